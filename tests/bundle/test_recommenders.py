"""Recommenders in bundles: ids of any kind, and a probe that asks customers whom the model knows."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.bundle.probe import make_probe
from crmml.errors import BundleError, ConfigError, SchemaError
from tests.recommend.blocks import text_of, two_blocks

ROLES = cm.Roles(customer_id="user", timestamp="ts", item_id="sku")


def bundle_of(model: Any) -> cm.Bundle:
    return cm.Bundle(cm.ItemWeights(), None, model, roles=ROLES, training_cutoffs=["2024-06-01"])


def name(number: int) -> str:
    return f"nr {number:02d}"


@pytest.mark.parametrize(
    "model",
    [
        cm.Popularity(),
        cm.ItemKNN(),
        cm.ContentItems({name(0): ["a"], name(1): ["a"], "new": ["a"]}, factors=2),
        cm.TwoStage([cm.ItemKNN(), cm.UserKNN()], k=3),
        cm.NextBestOffer(cm.ItemKNN()),
    ],
    ids=lambda model: type(model).__name__,
)
def test_ids_of_text_are_saved_and_loaded(model: Any, tmp_path: Path) -> None:
    model.fit(two_blocks(name, name))
    loaded = cm.Bundle.load(bundle_of(model).save(tmp_path / "bundle")).model
    asked = [name(3), name(12), "a stranger"]
    pd.testing.assert_frame_equal(loaded.recommend(asked), model.recommend(asked), check_exact=True)


def test_the_probe_asks_who_is_known_and_who_is_not() -> None:
    for kind, stranger in ((np.int32, 2**31 - 1), (np.uint64, 2**64 - 1)):
        model = cm.ItemKNN().fit(two_blocks().astype({"customer_id": kind}))
        assert make_probe(cm.ItemWeights(), None, model)["probe.customers"].tolist() == [0, 1, 2, stranger]
    model = cm.ItemKNN().fit(two_blocks(name, name))
    asked = make_probe(cm.ItemWeights(), None, model)["probe.customers"].tolist()
    assert asked == ["nr 00", "nr 01", "nr 02", "nobody has this id"]


def test_other_scores_of_known_customers_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that scored known customers otherwise would give strangers the same popular items."""
    folder = bundle_of(cm.ItemKNN().fit(two_blocks())).save(tmp_path / "bundle")
    scores = cm.ItemKNN._scores
    monkeypatch.setattr(cm.ItemKNN, "_scores", lambda self, customers: scores(self, customers) * 2)
    assert "the model gives other scores than when it was saved: score of row 0" in text_of(
        BundleError, lambda: cm.Bundle.load(folder)
    )


def test_attributes_of_items_that_are_numbers_are_written_as_text(tmp_path: Path) -> None:
    """JSON has no numbers as keys: a bundle refuses them, and says what to do, which works."""
    about: dict[Any, list[str]] = {item: ["a" if item < 6 else "b"] for item in (*range(12), 99)}
    numbers = cm.ContentItems(about, factors=2).fit(two_blocks())
    assert text_of(ConfigError, lambda: bundle_of(numbers)) == "the key 0 is no text. Use a text such as '0'."
    texts = cm.ContentItems({str(item): listed for item, listed in about.items()}, factors=2).fit(two_blocks())
    pd.testing.assert_frame_equal(texts.recommend([0, 9], k=12), numbers.recommend([0, 9], k=12), check_exact=True)
    loaded = cm.Bundle.load(bundle_of(texts).save(tmp_path / "bundle")).model
    pd.testing.assert_frame_equal(loaded.recommend([0, 9], k=12), numbers.recommend([0, 9], k=12), check_exact=True)
    for wrong in ("01", "1.0", " 1", "+1", "-0"):
        model = cm.ContentItems({wrong: ["a"]})
        assert text_of(SchemaError, lambda model=model: model.fit(two_blocks())) == (  # type: ignore[misc]
            f"ContentItems.fit: items of attributes look like {wrong!r}, those of the interactions like 0. "
            "Use the same ids in both."
        )

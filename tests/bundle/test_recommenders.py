"""Recommenders in bundles: ids of any kind, and a probe that asks customers whom the model knows."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.bundle.probe import make_probe
from crmml.errors import BundleError
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

"""An answer for every customer: known ones, strangers, strangers of a segment, and where a model runs out of items."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import crmml as cm
from crmml.errors import BundleError, ConfigError, SchemaError
from crmml.recommend import fallback as module_of_fallback
from crmml.recommend.base import Recommender
from tests.models.mutants import dies
from tests.recommend.blocks import CUSTOMERS, ITEMS, each, text_of, two_blocks

EVERYBODY = list(range(2 * CUSTOMERS))
WEST = pd.DataFrame({"customer_id": [*range(CUSTOMERS, 2 * CUSTOMERS), 77], "segment": "west"})


def few() -> pd.DataFrame:
    """Tea is taken by three, the cup by two; in the north the nut by one, and the tea by none."""
    rows = [("ann", "tea"), ("bob", "tea"), ("bob", "cup"), ("cat", "tea"), ("cat", "cup"), ("eve", "nut")]
    return pd.DataFrame(rows, columns=["customer_id", "item_id"]).assign(weight=1.0)


def by_hand(module: ModuleType) -> None:
    north = pd.DataFrame({"customer_id": ["eve", "joe", "eve"], "segment": ["north", "north", "south"]})
    model = module.Fallback(trust=2.0).fit(few(), segments=north)
    # Shares among all 3/6, 2/6, 1/6. In the north, with 1 of its own, 2 of trust: nut (1 + 2/6) / 3, tea 1/3, cup 2/9.
    found = model.recommend(["joe", "zoe"])
    assert found["item_id"].tolist() == ["nut", "tea", "cup", "tea", "cup", "nut"]
    assert found["score"].tolist() == pytest.approx([4 / 9, 1 / 3, 2 / 9, 1 / 2, 1 / 3, 1 / 6])
    assert found["source"].tolist() == ["segment"] * 3 + ["popular"] * 3
    assert found["rank"].tolist() == [1, 2, 3] * 2
    # bob has seen two of three; of the nut alone Popularity makes a list of one, which nothing can follow.
    assert model.recommend(["bob"], k=2)[["item_id", "source"]].to_numpy().tolist() == [["nut", "model"]]
    # A customer who came, or moved, since.
    moved = pd.DataFrame({"customer_id": ["zoe", "joe"], "segment": ["north", "nowhere"]})
    now = model.recommend(["joe", "zoe"], k=1, segments=moved)
    assert now["item_id"].tolist() == ["tea", "nut"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(own + float(self.trust) * overall)", "(own + float(self.trust))"),
        ("head[~np.isin(head, seen)]", "head"),
        ("pd.concat([_segments(segments, model.matrix_, where), self.segments_])", "self.segments_"),
        ("found[~found.index.duplicated()]", 'found[~found.index.duplicated(keep="last")]'),
    ],
    ids=["not smoothed", "seen items", "what came since", "the last of two"],
)
def test_mutants_die(old: str, new: str, tmp_path: Path) -> None:
    dies(by_hand, module_of_fallback, old, new, tmp_path)


class Stingy(cm.ItemKNN):
    """Has one item for everybody, as a model with few candidates may."""

    def _rank(self, customers: Any, k: int, exclude_seen: bool) -> Any:
        return super()._rank(customers, 1, exclude_seen)


def test_a_list_that_ends_early_goes_on_with_popular_items() -> None:
    model = cm.Fallback(Stingy()).fit(two_blocks(), segments=WEST)
    found = model.recommend([0, 9], k=4)
    assert found.groupby("customer_id").size().to_dict() == {0: 4, 9: 4}
    assert found["source"].tolist() == ["model", "popular", "popular", "popular", "model", *["segment"] * 3]
    assert not found.duplicated(["customer_id", "item_id"]).any()
    # 0 took 1..5 and gets 0 from the model, then of 6..11 those that seven took; 9 likewise in its own block.
    assert found["item_id"].tolist() == [0, 8, 9, 10, 7, 2, 3, 4]


@each
class TestEveryRecommender:
    def test_everybody_gets_a_full_list_and_the_known_their_own(self, kind: type[Recommender]) -> None:
        model = cm.Fallback(kind()).fit(two_blocks(), segments=WEST)
        found = model.recommend([*EVERYBODY, 77, 88], k=5)
        assert (found.groupby("customer_id", sort=False).size() == 5).all()
        own = model.model_.recommend(EVERYBODY, k=5)
        ours = found.loc[found["source"] == "model", own.columns].reset_index(drop=True)
        pd.testing.assert_frame_equal(ours, own)
        # The stranger of the west gets the west's items, the other one everybody's.
        west = found[found["customer_id"] == 77]
        assert set(west["item_id"]) < set(range(ITEMS, 2 * ITEMS))
        assert found.loc[found["customer_id"] == 88, "item_id"].tolist() == [2, 3, 4, 5, 8]

    def test_filters_and_exclusions_hold_for_all_sources(self, kind: type[Recommender]) -> None:
        model = cm.Fallback(kind()).fit(two_blocks(), segments=WEST)
        never = pd.DataFrame({"customer_id": [0, 77, 88], "item_id": [6, 8, 8]})
        found = model.recommend([0, 77, 88], k=3, items=[0, 6, 8, 9, 10], exclude=never)
        assert found.groupby("customer_id")["item_id"].agg(set).to_dict()[88] <= {0, 6, 9, 10}
        assert (found.groupby("customer_id").size() == 3).all()
        assert not found.merge(never).size

    def test_loaded_it_is_the_same(self, kind: type[Recommender]) -> None:
        model = cm.Fallback(kind()).fit(two_blocks(), segments=WEST)
        loaded = clone(model).set_state(model.get_state())
        asked = [0, 9, 77, 88]
        pd.testing.assert_frame_equal(loaded.recommend(asked), model.recommend(asked), check_exact=True)


def test_it_goes_into_a_bundle(tmp_path: Path) -> None:
    log = cm.simulate_log(200, seed=1).log
    likes, target = cm.ItemWeights(weights={"purchase": 1.0}), cm.NextItems("30d", event_type="purchase")
    bundle = cm.train(log, likes, target, cm.Fallback(cm.ItemKNN()), as_of="2024-10-01")
    loaded = cm.Bundle.load(bundle.save(tmp_path / "bundle"))
    lists = loaded.score(log, "2024-12-01", k=5)
    pd.testing.assert_frame_equal(lists, bundle.score(log, "2024-12-01", k=5))
    assert (lists.groupby("customer_id").size() == 5).all()


@pytest.mark.parametrize(
    ("kind", "call", "message"),
    [
        (
            ConfigError,
            lambda: cm.Fallback("ALS").fit(few()),  # type: ignore[arg-type]
            "Fallback.fit: model is 'ALS'. Use a recommender, such as ItemKNN().",
        ),
        (
            ConfigError,
            lambda: cm.Fallback(trust=-1).fit(few()),
            "Fallback.fit: trust is -1. Use a number of at least 0, such as 50.0.",
        ),
        (
            ConfigError,
            lambda: cm.Fallback().recommend(["a"]),
            "Fallback.recommend: not fitted yet. Call fit(interactions) first.",
        ),
        (
            SchemaError,
            lambda: cm.Fallback().fit(few(), segments=few()),
            "Fallback.fit: segments need the columns 'customer_id' and 'segment'. Use such a table.",
        ),
        (
            SchemaError,
            lambda: cm.Fallback().fit(few(), segments=WEST),
            "Fallback.fit: segments: customer_id: ids are whole numbers (first: 9), but the model was fitted on text "
            "(first: 'xxx'). Use the type of the log.",
        ),
    ],
)
def test_bad_input_is_named(kind: type[Exception], call: Any, message: str) -> None:
    assert text_of(kind, call) == message


def test_damaged_segments_are_refused() -> None:
    model = cm.Fallback().fit(two_blocks(), segments=WEST)
    state = model.get_state() | {"segment_codes": np.arange(9)}
    assert text_of(BundleError, lambda: clone(model).set_state(state)) == (
        "Fallback.set_state: segment_codes are not numbers below 1. The state is damaged: train the model again."
    )

"""Pairs that must not be offered: the same lists as if these items were not there."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.errors import DataError, SchemaError
from crmml.recommend import _excluded
from crmml.recommend.base import Recommender
from tests.models.mutants import dies
from tests.recommend.blocks import CUSTOMERS, ITEMS, each, missing, text_of, two_blocks

EVERYBODY = list(range(2 * CUSTOMERS))
CANDIDATES_FIRST = {"TwoStage"}  # scores items beside the other candidates, which depend on the length asked for


@each
def test_the_list_goes_on_below_what_is_excluded(kind: type[Recommender]) -> None:
    model = kind().fit(two_blocks())
    asked = [*EVERYBODY, 99]
    never = pd.DataFrame({"customer_id": asked, "item_id": [missing(who) for who in EVERYBODY] + [2]})
    whole = model.recommend(asked, k=50)
    expected = whole[whole["item_id"] != whole["customer_id"].map(never.set_index("customer_id")["item_id"])]
    expected = expected.assign(rank=expected.groupby("customer_id").cumcount() + 1)
    found = model.recommend(asked, k=3, exclude=never)
    if kind.__name__ in CANDIDATES_FIRST:
        assert found.groupby("customer_id").size().tolist() == [3] * len(asked)
        assert not (found["item_id"] == found["customer_id"].map(never.set_index("customer_id")["item_id"])).any()
        return
    expected = expected[expected["rank"] <= 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def as_if_not_there(module: ModuleType) -> None:
    """Popularity: 9 items of falling popularity, nobody has seen any; customers with 0, 1 and 5 excluded ones."""
    items = pd.Index(list("abcdefghi"))
    matrix = cm.Interactions.from_frame(pd.DataFrame({"customer_id": 1, "item_id": items}))

    def lists(some: Any, length: int) -> pd.DataFrame:
        rows = [(who, item, rank) for who in some for rank, item in enumerate(items[:length], start=1)]
        return pd.DataFrame(rows, columns=["customer_id", "item_id", "rank"])

    never = pd.DataFrame([*((3, item) for item in "abcdex"), (2, "b"), (2, "b"), (8, "a")])
    never.columns = ["customer_id", "item_id"]
    found = module.lists_without(never, pd.Index([3, 1, 2]), matrix, lists, k=2, where="test")
    assert found.to_numpy().tolist() == [[3, "f", 1], [3, "g", 2], [1, "a", 1], [1, "b", 2], [2, "a", 1], [2, "c", 2]]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("k + int(count[some].max(initial=0))", "k"),
        ("np.unique(row * len(items) + column)", "np.sort(row * len(items) + column)[1:]"),
        ("assign(rank=rank)[rank <= k]", "assign(rank=rank)[rank < k]"),
    ],
    ids=["not asked for more", "one forgotten", "one less"],
)
def test_mutants_die(old: str, new: str, tmp_path: Path) -> None:
    dies(as_if_not_there, _excluded, old, new, tmp_path)


@given(st.lists(st.tuples(st.integers(0, 16), st.integers(0, 13)), max_size=60), st.integers(1, 12), st.booleans())
def test_exclusion_is_a_filter_of_the_whole_list(pairs: list[tuple[int, int]], k: int, seen: bool) -> None:
    model = cm.ItemKNN().fit(two_blocks())
    never = pd.DataFrame(pairs, columns=["customer_id", "item_id"]).astype(np.int64)
    found = model.recommend(EVERYBODY, k=k, exclude_seen=seen, exclude=never)
    whole = model.recommend(EVERYBODY, k=2 * ITEMS, exclude_seen=seen)
    left = whole[[pair not in set(pairs) for pair in zip(whole["customer_id"], whole["item_id"], strict=True)]]
    expected = left.assign(rank=left.groupby("customer_id").cumcount() + 1)
    pd.testing.assert_frame_equal(found, expected[expected["rank"] <= k].reset_index(drop=True), check_exact=True)


def test_nothing_excluded_and_everything_excluded() -> None:
    model = cm.Popularity().fit(two_blocks())
    nothing = pd.DataFrame({"customer_id": pd.Series(dtype="int64"), "item_id": pd.Series(dtype="int64")})
    pd.testing.assert_frame_equal(model.recommend([99], exclude=nothing), model.recommend([99]))
    everything = pd.DataFrame({"customer_id": 99, "item_id": range(2 * ITEMS)})
    assert len(model.recommend([99], exclude=everything)) == 0
    assert list(model.recommend([], exclude=everything).columns) == ["customer_id", "item_id", "rank", "score"]


def test_bought_lately_is_a_table_of_interactions() -> None:
    log = cm.simulate_log(200, seed=1).log
    purchases = cm.ItemWeights(weights={"purchase": 1.0})
    model = cm.ItemKNN().fit(cm.build_interactions(log, purchases, "2024-09-01"))
    lately = cm.build_interactions(log, cm.ItemWeights(weights={"purchase": 1.0}, window="60d"), "2024-09-01")
    customers = lately["customer_id"].unique()
    lists = model.recommend(customers, k=20, exclude_seen=False, exclude=lately)
    assert len(lists.merge(lately, on=["customer_id", "item_id"])) == 0
    assert len(lists) == 20 * len(customers)
    # What they bought longer ago may come again.
    before = cm.build_interactions(log, purchases, "2024-09-01")
    assert len(lists.merge(before, on=["customer_id", "item_id"])) > 0


@pytest.mark.parametrize(
    ("kind", "exclude", "message"),
    [
        (
            SchemaError,
            [(1, 2)],
            "ItemKNN.recommend: exclude needs the columns 'customer_id' and 'item_id'. "
            "Use a table with one row for each pair that must not be offered.",
        ),
        (
            SchemaError,
            pd.DataFrame({"customer_id": [1], "item_id": ["2"]}),
            "ItemKNN.recommend: exclude: item_id: ids are text (first: '9'), but the model was fitted on whole numbers "
            "(first: 9). Use the type of the log.",
        ),
        (
            DataError,
            pd.DataFrame({"customer_id": [1, None], "item_id": [2, 3]}),
            "ItemKNN.recommend: exclude: customer_id: 1 of 2 ids are missing, first in row 1. Drop these rows.",
        ),
    ],
)
def test_bad_tables_are_named(kind: type[Exception], exclude: Any, message: str) -> None:
    model = cm.ItemKNN().fit(two_blocks())
    assert text_of(kind, lambda: model.recommend([1], exclude=exclude)) == message

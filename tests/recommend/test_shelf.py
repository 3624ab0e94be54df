"""Finished lists made fit for a shop: limits by group, and diversity."""

from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.errors import ConfigError, DataError, SchemaError
from crmml.recommend import shelf
from tests.models.mutants import dies

ITEMS = "abcdef"
GROUPS = {"a": "tea", "b": "tea", "c": "cup", "d": "tea", "e": "cup", "f": None}


def lists(*scores: tuple[str, str, float]) -> pd.DataFrame:
    table = pd.DataFrame(scores, columns=["customer_id", "item_id", "score"])
    table.insert(2, "rank", table.groupby("customer_id").cumcount() + 1)
    return table


def one(scores: str = ITEMS, customer: str = "ann") -> pd.DataFrame:
    return lists(*((customer, item, float(len(scores) - place)) for place, item in enumerate(scores)))


def limits_by_hand(module: ModuleType) -> None:
    table = pd.concat([one("abdcef"), one("da", "bob")], ignore_index=True).assign(as_of="today")
    found = module.limit_per_group(table, GROUPS, most=1, k=2)
    # Of tea a only, then c; d of bob, and no more, since a is tea as well.
    assert found.values.tolist() == [
        ["ann", "a", 1, 6.0, "today"],
        ["ann", "c", 2, 3.0, "today"],
        ["bob", "d", 1, 2.0, "today"],
    ]
    assert module.limit_per_group(table, GROUPS, most=2, k=9)["item_id"].tolist() == [*"abcef", *"da"]


def diversity_by_hand(module: ModuleType) -> None:
    # Relevance 1, .8, .6, .4, .2, 0. a and b are alike altogether, a and c by one of three attributes.
    attributes = {"a": "xy", "b": "xy", "c": "yz", "d": "z", "e": "", "f": "w"}
    # Half and half. After a: b (.8 - 1) / 2, c (.6 - 1/3) / 2, d (.4 - 0) / 2, e .2 / 2: d. Then c is half like d:
    # (.6 - .5) / 2, e (.2 - 0) / 2: e. Then c .05, f 0, b -.1.
    found = module.diversify(one(), attributes, k=5, diversity=0.5)
    assert found["item_id"].tolist() == ["a", "d", "e", "c", "f"]
    assert found["rank"].tolist() == [1, 2, 3, 4, 5]
    assert found["score"].tolist() == [6.0, 3.0, 2.0, 4.0, 1.0]


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        (limits_by_hand, "(taken < most)", "(taken <= most)"),
        (limits_by_hand, "rank=rank.astype(np.int64)", "rank=table_rank"),
        (diversity_by_hand, "np.maximum(nearest[open_], alike", "np.minimum(nearest[open_], alike"),
        (diversity_by_hand, "self._size[a] + self._size[b] - both", "self._size[a] + self._size[b]"),
        (diversity_by_hand, "- diversity * nearest", "+ diversity * nearest"),
        (diversity_by_hand, "(turn[picked], customer)", "(picked, customer)"),
    ],
    ids=["one more", "old ranks", "the least alike", "not Jaccard", "the more alike the better", "in the old order"],
)
def test_mutants_die(check: Any, old: str, new: str, tmp_path: Path) -> None:
    if "table_rank" in new:
        new = 'rank=kept["rank"]'
    dies(check, shelf, old, new, tmp_path)


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=6),
    st.lists(st.sampled_from("xyz"), min_size=6, max_size=6),
    st.integers(1, 3),
    st.integers(1, 6),
)
def test_no_other_choice_within_the_limit_scores_more(scores: list[int], groups: list[str], most: int, k: int) -> None:
    ordered = sorted(scores, reverse=True)
    table = lists(*(("ann", item, float(score)) for item, score in zip(ITEMS, ordered, strict=False)))
    group = dict(zip(ITEMS, groups, strict=True))
    found = cm.limit_per_group(table, group, most=most, k=k)
    assert found["item_id"].map(group).value_counts().max() <= most
    allowed = [
        sum(ordered[place] for place in some)
        for size in range(1, k + 1)
        for some in combinations(range(len(ordered)), size)
        if all(sum(groups[place] == kind for place in some) <= most for kind in "xyz")
    ]
    assert found["score"].sum() == max(allowed)


@given(
    st.lists(
        st.tuples(st.sampled_from(["ann", "bob"]), st.sampled_from(ITEMS), st.integers(0, 9)),
        min_size=1,
        max_size=12,
        unique_by=lambda row: row[:2],
    ),
    st.dictionaries(st.sampled_from(ITEMS), st.text("xyz", max_size=3)),
    st.integers(1, 7),
    st.floats(0, 1),
)
def test_diversity_step_by_step(rows: list[Any], had: dict[str, str], k: int, diversity: float) -> None:
    table = pd.DataFrame(rows, columns=["customer_id", "item_id", "score"])
    table = table.sort_values("score", ascending=False, kind="stable", ignore_index=True)
    table["rank"] = table.groupby("customer_id").cumcount() + 1
    attributes = {item: set(had.get(item, "")) for item in ITEMS}
    found = cm.diversify(table, attributes, k, diversity=diversity)
    for customer, mine in table.groupby("customer_id"):
        low, high = mine["score"].min(), mine["score"].max()
        relevance = (mine["score"] - low) / (high - low) if high > low else mine["score"] * 0.0 + 1.0
        left: dict[str, float] = dict(zip(mine["item_id"].tolist(), relevance.tolist(), strict=True))
        taken: list[str] = []
        for item in found.loc[found["customer_id"] == customer, "item_id"].tolist():
            gains = {
                other: (1 - diversity) * worth
                - diversity * max((jaccard(attributes[other], attributes[before]) for before in taken), default=0.0)
                for other, worth in left.items()
            }
            assert gains[item] == pytest.approx(max(gains.values()), abs=1e-12)
            taken.append(item)
            del left[item]
        assert len(taken) == min(k, len(mine))


def jaccard(one: set[str], other: set[str]) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0


def test_no_diversity_leaves_the_lists_as_they_are() -> None:
    table = pd.concat([one(), one("fa", "bob")], ignore_index=True)
    pd.testing.assert_frame_equal(cm.diversify(table, dict.fromkeys(ITEMS, "x"), k=9, diversity=0.0), table)
    pd.testing.assert_frame_equal(cm.limit_per_group(table, GROUPS, most=9, k=9), table)
    empty = table.iloc[:0]
    assert len(cm.diversify(empty, {}, k=3)) == len(cm.limit_per_group(empty, {}, most=1, k=3)) == 0


def test_of_equal_items_the_first_is_taken() -> None:
    table = one("ab").assign(score=1.0)
    assert cm.diversify(table, {"a": "x", "b": "y"}, k=1)["item_id"].tolist() == ["a"]
    assert np.isfinite(cm.diversify(table, {"a": "", "b": ""}, k=2)["score"]).all()


@pytest.mark.parametrize(
    ("kind", "call", "message"),
    [
        (
            SchemaError,
            lambda: cm.limit_per_group(one().drop(columns="score"), GROUPS, most=1),
            "limit_per_group: lists need the columns customer_id, item_id, rank, score. Use what recommend returned.",
        ),
        (
            DataError,
            lambda: cm.limit_per_group(one(), {"a": "tea"}, most=1),
            "limit_per_group: 5 items of the lists have no group, first 'b'. Give one for each.",
        ),
        (
            ConfigError,
            lambda: cm.limit_per_group(one(), GROUPS, most=0),
            "limit_per_group: most is 0. Use a whole number of at least 1, such as most=10.",
        ),
        (
            ConfigError,
            lambda: cm.diversify(one(), ["red"]),
            "diversify: attributes is ['red'], not a mapping. Use {item_id: attributes}.",
        ),
        (
            ConfigError,
            lambda: cm.diversify(one(), {}, diversity=1.5),
            "diversify: diversity is 1.5. Use a number from 0 to 1, such as 0.3.",
        ),
    ],
)
def test_bad_input_is_named(kind: type[Exception], call: Any, message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message

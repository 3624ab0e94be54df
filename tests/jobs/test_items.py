"""The backtest of recommenders: lists from the history, measured on new items that came next."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.jobs.items import metrics_of_lists, new_items
from crmml.metrics import hit_rate_at_k, ndcg_at_k, recall_at_k
from tests.jobs.small import day

LISTS = cm.ItemWeights(weights={"purchase": 1})
# Of every customer the days and items.
BOUGHT = {
    "ann": [(1, "tea"), (32, "pot"), (33, "tea")],
    "bob": [(2, "tea"), (3, "cup"), (35, "jam")],
    "cat": [(4, "tea"), (28, "jam"), (36, "cup")],
    "dan": [(29, "jam"), (37, "jam")],
    "eve": [(34, "tea")],
    "end": [(60, "tea")],
}


def items_log(bought: dict[str, list[tuple[int, str]]] = BOUGHT) -> cm.InteractionLog:
    rows = [(who, day(number), item) for who, pairs in bought.items() for number, item in pairs]
    frame = pd.DataFrame(rows, columns=["who", "at", "sku"])
    return cm.InteractionLog(
        frame, customer_id="who", timestamp="at", item_id="sku", event_type=cm.Constant("purchase")
    )


def backtest(**changes: Any) -> Any:
    given: dict[str, Any] = {
        "log": items_log(),
        "features": LISTS,
        "target": cm.NextItems("10d"),
        "model": cm.Popularity(),
        "as_of": day(30),
    }
    return cm.backtest(**(given | changes))


def test_metrics_by_hand() -> None:
    report = backtest()
    # New items after day 30: ann the pot (nobody had one: unknown), bob the jam, cat the cup. Not dan, who had jam
    # before, and not eve, who has no history. Popular before day 30: tea 3, jam 2, cup 1.
    rows = report.predictions.set_index("customer_id")
    assert rows["y"].to_dict() == {"ann": 1, "bob": 1, "cat": 1}
    assert rows["recall_at_10"].to_dict() == {"ann": 0, "bob": 1, "cat": 1}
    # bob has had tea and cup: jam comes first; cat has had tea and jam: cup comes first
    assert rows["ndcg_at_10"].to_dict() == {"ann": 0, "bob": 1, "cat": 1}
    assert report.metrics["hit_rate_at_10"] == pytest.approx(2 / 3)


def test_recently_popular_is_a_rule_too() -> None:
    # twenty customers took tea long ago, three took jam lately; who is new to both is shown jam first
    long_ago = {f"t{number}": [(1, "tea")] for number in range(20)}
    lately = {f"j{number}": [(25, "jam")] for number in range(3)}
    new = {"ann": [(2, "cup"), (31, "jam")], "end": [(60, "tea")]}
    rows = backtest(log=items_log(long_ago | lately | new)).scores.set_index("contender")["ndcg_at_10"]
    assert rows["recent-popularity rule"] == 1
    assert rows["popularity rule"] == pytest.approx(1 / np.log2(3))  # second place


def test_popularity_is_no_better_than_itself() -> None:
    report = backtest()
    assert str(report.comparison) == (
        "no better than the popularity rule on the only cutoff: NDCG@10 +0.000 (95 % interval +0.000 to +0.000)"
    )


def test_a_cutoff_without_new_items_is_left_out() -> None:
    report = backtest(as_of=[day(30), day(50)])
    assert [(one.as_of, one.reason) for one in report.skipped] == [
        (day(50), "no customer with a history took a new item within the horizon.")
    ]


def test_every_cutoff_is_a_holdout_and_the_model_sees_the_history_alone() -> None:
    seen = []

    class Spy(cm.Popularity):  # type: ignore[misc]  # public names are loaded lazily
        def fit(self, interactions: Any) -> Any:
            seen.append(interactions)
            return super().fit(interactions)

    report = backtest(model=Spy(), as_of=[day(20), day(30)])
    assert report.cutoffs == (day(20), day(30))
    assert set(seen[0]["item_id"]) == {"tea", "cup"}  # jam came on day 28
    assert set(seen[1]["item_id"]) == {"tea", "cup", "jam"}  # the pot came on day 32


def test_new_means_not_in_the_history() -> None:
    history = pd.DataFrame({"customer_id": [1, 1, 2], "item_id": ["a", "a", "b"], "weight": 1.0})
    relevant = pd.DataFrame({"customer_id": [1, 1, 2, 3], "item_id": ["a", "b", "b", "c"]})
    assert new_items(relevant, history).values.tolist() == [[1, "b"]]


def test_only_the_first_k_places_count() -> None:
    relevant = pd.DataFrame({"customer_id": [1], "item_id": ["a"]})
    lists = pd.DataFrame({"customer_id": [1, 1], "item_id": ["x", "a"], "rank": [1, 2]})
    assert metrics_of_lists(relevant, lists, k=1)["recall_at_1"].tolist() == [0]
    assert metrics_of_lists(relevant, lists, k=2)["recall_at_2"].tolist() == [1]


@st.composite
def truth_and_lists(draw: st.DrawFn) -> tuple[dict[int, set[int]], dict[int, list[int]]]:
    customers = draw(st.sets(st.integers(1, 6), min_size=1))
    items = st.integers(0, 8)
    actual = {customer: draw(st.sets(items, min_size=1)) for customer in customers}
    lists = {customer: draw(st.lists(items, unique=True)) for customer in draw(st.sets(st.integers(1, 6)))}
    lists[min(customers)] = draw(st.lists(items, unique=True, min_size=1))
    return actual, lists


@given(truth_and_lists(), st.integers(1, 5))
def test_means_over_customers_are_the_metrics(made: tuple[dict[int, set[int]], dict[int, list[int]]], k: int) -> None:
    actual, lists = made
    relevant = pd.DataFrame(
        [(customer, item) for customer, items in actual.items() for item in items],
        columns=["customer_id", "item_id"],
    )
    ranked = pd.DataFrame(
        [(who, item, place) for who, items in lists.items() for place, item in enumerate(items, start=1)],
        columns=["customer_id", "item_id", "rank"],
    )
    means = metrics_of_lists(relevant, ranked, k).mean()
    assert means[f"ndcg_at_{k}"] == pytest.approx(ndcg_at_k(actual, lists, k))
    assert means[f"recall_at_{k}"] == pytest.approx(recall_at_k(actual, lists, k))
    assert means[f"hit_rate_at_{k}"] == pytest.approx(hit_rate_at_k(actual, lists, k))

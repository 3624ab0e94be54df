"""Metrics of lists from tables: the same as those of mappings, by hand, and what is refused."""

from math import log2
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmml import metrics
from crmml.errors import ConfigError, DataError, SchemaError
from crmml.metrics.lists import refuse_sampled

Rows = list[tuple[set[int], list[int]]]
items = st.integers(0, 8)
customers = st.lists(
    st.tuples(st.sets(items, min_size=1), st.lists(items, unique=True, max_size=9)), min_size=1, max_size=5
)


def pairs(lists: Any) -> pd.DataFrame:
    """One row per customer and item of a sequence of collections, with the places as ranks."""
    rows = [(who, item, place) for who, mine in enumerate(lists) for place, item in enumerate(mine, start=1)]
    return pd.DataFrame(rows, columns=["customer_id", "item_id", "rank"]).astype("int64")


@given(customers, st.integers(1, 10), st.randoms(use_true_random=False))
def test_means_are_those_of_the_functions_of_mappings(rows: Rows, k: int, shuffled: Any) -> None:
    relevant, lists = zip(*rows, strict=True)
    order = list(range(sum(map(len, lists))))
    shuffled.shuffle(order)  # rows in any order
    found = metrics.list_metrics(pairs(relevant), pairs(lists).iloc[order], k).mean()
    for name, metric in {
        "ndcg": metrics.ndcg_at_k,
        "recall": metrics.recall_at_k,
        "hit_rate": metrics.hit_rate_at_k,
        "average_precision": metrics.average_precision_at_k,
        "reciprocal_rank": metrics.reciprocal_rank_at_k,
    }.items():
        assert found[name] == pytest.approx(metric(relevant, lists, k)), name


def test_by_hand() -> None:
    found = metrics.list_metrics(pairs([{1, 2, 3}]), pairs([[9, 1, 2]]), k=3).iloc[0]
    assert found["ndcg"] == pytest.approx((1 / log2(3) + 1 / log2(4)) / (1 + 1 / log2(3) + 1 / log2(4)))
    assert found["recall"] == pytest.approx(2 / 3)
    assert found["average_precision"] == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert found["reciprocal_rank"] == 1 / 2


class TestCatalogue:
    # Items 1 (four customers), 2 (two), 3 (one); customers 1 to 4, and 8 with an item of its own.
    history = pd.DataFrame({"customer_id": [1, 2, 3, 4, 1, 2, 3, 8], "item_id": [1, 1, 1, 1, 2, 2, 3, 4]})

    def lists(self, *rows: list[int]) -> pd.DataFrame:
        return pairs(rows)

    def test_novelty_is_the_mean_of_the_customers_means_in_bits(self) -> None:
        lists = self.lists([1, 3], [2])
        assert metrics.novelty(lists, self.history, k=2) == pytest.approx(
            ((-log2(4 / 5) - log2(1 / 5)) / 2 - log2(2 / 5)) / 2
        )
        assert metrics.novelty(lists, self.history, k=1) == pytest.approx((-log2(4 / 5) - log2(2 / 5)) / 2)
        # An unknown item counts as if one customer had it.
        assert metrics.novelty(self.lists([77]), self.history, k=1) == pytest.approx(log2(5))

    def test_popularity_lift_compares_customers_with_themselves(self) -> None:
        # Customer 1 has items of 4 and 2 customers (3 on average), customer 3 of 4 and 1.
        lists = pd.DataFrame({"customer_id": [1, 3], "item_id": [3, 2], "rank": 1})
        assert metrics.popularity_lift(lists, self.history, k=1) == pytest.approx((1 + 2) / (3 + 2.5) - 1)
        with pytest.raises(DataError) as caught:
            metrics.popularity_lift(lists.assign(customer_id=99), self.history, k=1)
        assert str(caught.value) == (
            "popularity_lift: no customer of lists is in history. Use the same customer ids in both."
        )

    def test_new_items_are_new_to_the_customer(self) -> None:
        lists = pd.DataFrame({"customer_id": [1, 1, 8], "item_id": [1, 3, 1], "rank": [1, 2, 1]})
        assert metrics.new_item_share(lists, self.history, k=2) == (1 / 2 + 1) / 2

    def test_diversity_is_the_mean_over_pairs(self) -> None:
        # Cosines: 1 and 2 share two of 4 and 2 customers, 1 and 3 one of 4 and 1, 2 and 3 none.
        likeness = [2 / np.sqrt(8), 1 / np.sqrt(4), 0]
        assert metrics.intra_list_diversity(self.lists([1, 2, 3]), self.history, k=3) == pytest.approx(
            1 - np.mean(likeness)
        )
        # Items that nobody took are like nothing, not even like themselves.
        assert metrics.intra_list_diversity(self.lists([77, 78]), self.history, k=2) == 1
        assert metrics.intra_list_diversity(self.lists([1, 2, 3], [1]), self.history, k=2) == pytest.approx(
            1 - likeness[0]
        )

    def test_diversity_of_many_customers_is_that_of_some_drawn(self) -> None:
        lists = self.lists(*[[1, 2], [1, 3]] * 100)
        some = metrics.intra_list_diversity(lists, self.history, k=2, most=50)
        assert some == metrics.intra_list_diversity(lists, self.history, k=2, most=50)
        assert some == pytest.approx(metrics.intra_list_diversity(lists, self.history, k=2), abs=0.05)

    def test_coverage_counts_items_once_and_only_the_first_places(self) -> None:
        lists = self.lists([1, 2], [1, 3])
        assert metrics.catalogue_coverage(lists, items=4, k=1) == 1 / 4
        assert metrics.catalogue_coverage(lists, items=4, k=2) == 3 / 4


@pytest.mark.parametrize(
    ("relevant", "lists", "kind", "message"),
    [
        (
            pairs([{1}]).drop(columns="item_id"),
            pairs([[1]]),
            SchemaError,
            "list_metrics: relevant has no column 'item_id'. It has: customer_id, rank.",
        ),
        (
            pairs([]),
            pairs([[1]]),
            DataError,
            "list_metrics: relevant has no rows: nothing can be found. Give at least one pair.",
        ),
        (
            pairs([{1}]),
            pairs([[2, 2]]),
            DataError,
            "lists: item 2 stands in the list of customer 0 more than once. Recommend each item once.",
        ),
        (
            pairs([{1}]),
            pairs([[2]]).astype({"item_id": str}),
            DataError,
            "list_metrics: item_id is 1 in relevant and '2' in lists: they never meet. Use the same ids in both.",
        ),
    ],
)
def test_bad_tables_are_named(relevant: pd.DataFrame, lists: pd.DataFrame, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        metrics.list_metrics(relevant, lists, k=2)
    assert str(caught.value) == message


def test_sampled_metrics_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        refuse_sampled("evaluate_recommenders", 99)
    assert str(caught.value) == (
        "evaluate_recommenders: negatives=99 asks for metrics among sampled items. They can order recommenders "
        "otherwise than the ranking of all items does, since they hardly see who stands first among thousands. "
        "Leave negatives out: all items are ranked."
    )

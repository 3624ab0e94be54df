"""Recall, NDCG, hit rate and average precision of lists: by hand, laws, and scikit-learn beside them."""

from collections.abc import Callable
from fractions import Fraction
from math import log2
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from crmml.errors import ConfigError, DataError
from crmml.metrics import average_precision_at_k, hit_rate_at_k, ndcg_at_k, recall_at_k, reciprocal_rank_at_k

Metric = Callable[..., float]
Rows = list[tuple[set[int], list[int]]]
METRICS: list[Metric] = [recall_at_k, ndcg_at_k, hit_rate_at_k, average_precision_at_k, reciprocal_rank_at_k]
items = st.integers(0, 8)
lists = st.lists(items, unique=True, max_size=9)
customers = st.lists(st.tuples(st.sets(items, min_size=1), lists), min_size=1, max_size=5)
ks = st.integers(1, 10)


class TestByHand:
    actual = ({"a", "b", "c"}, {"d"})
    lists = (["a", "x", "b"], ["x", "y", "z"])

    @pytest.mark.parametrize(
        ("k", "expected"), [(1, Fraction(1, 3) / 2), (2, Fraction(1, 3) / 2), (3, Fraction(2, 3) / 2)]
    )
    def test_recall_divides_by_all_relevant_items(self, k: Any, expected: Any) -> None:
        assert recall_at_k(self.actual, self.lists, k) == pytest.approx(float(expected), abs=1e-15)

    def test_ndcg_divides_by_the_best_list_of_length_k(self) -> None:
        ideal = {1: 1, 2: 1 + 1 / log2(3), 3: 1 + 1 / log2(3) + 1 / log2(4)}
        gain = {1: 1, 2: 1, 3: 1 + 1 / log2(4)}
        for k in (1, 2, 3):
            assert ndcg_at_k(self.actual, self.lists, k) == pytest.approx(gain[k] / ideal[k] / 2, abs=1e-15)

    def test_hit_rate_counts_customers(self) -> None:
        assert hit_rate_at_k(self.actual, self.lists, 3) == 0.5

    def test_average_precision_at_each_hit(self) -> None:
        # Hits at places 1 and 3 with precision 1/1 and 2/3, out of min(3, 3).
        expected = (Fraction(1) + Fraction(2, 3)) / 3 / 2
        assert average_precision_at_k(self.actual, self.lists, 3) == pytest.approx(float(expected), abs=1e-15)

    def test_a_short_list_loses_only_what_it_does_not_name(self) -> None:
        assert recall_at_k([{"a", "b"}], [["a"]], k=20) == 0.5
        assert ndcg_at_k([{"a"}], [["a"]], k=20) == 1


class TestLaws:
    @given(customers, ks)
    def test_ndcg_equals_scikit_learn(self, rows: Rows, k: Any) -> None:
        universe = 9
        for relevant, ranked in rows:
            truth = np.array([[item in relevant for item in range(universe)]], dtype=float)
            # Scores that rank the list first, in its order, and leave the rest out of every k.
            full = ranked + [item for item in range(universe) if item not in ranked and item not in relevant]
            full += [item for item in range(universe) if item not in full]
            scores = np.zeros((1, universe))
            scores[0, full] = np.arange(universe, 0, -1)
            if len(ranked) >= k:
                assert ndcg_at_k([relevant], [ranked], k) == pytest.approx(ndcg_score(truth, scores, k=k))

    @given(customers, ks)
    def test_all_lie_between_none_and_the_perfect_list(self, rows: Rows, k: Any) -> None:
        actual, ranked = zip(*rows, strict=True)
        perfect = [sorted(relevant) for relevant in actual]
        for metric in METRICS:
            assert 0 <= metric(actual, ranked, k) <= metric(actual, perfect, k) + 1e-12
            assert metric(actual, [[] for _ in actual], k) == 0
        for metric in (ndcg_at_k, hit_rate_at_k, average_precision_at_k, reciprocal_rank_at_k):
            assert metric(actual, perfect, k) == pytest.approx(1)

    @given(customers, ks)
    def test_places_after_k_do_not_count(self, rows: Rows, k: Any) -> None:
        actual, ranked = zip(*rows, strict=True)
        for metric in METRICS:
            assert metric(actual, ranked, k) == metric(actual, [items[:k] for items in ranked], k)

    @given(customers, ks)
    def test_the_mean_is_over_customers(self, rows: Rows, k: Any) -> None:
        actual, ranked = zip(*rows, strict=True)
        for metric in METRICS:
            single = [metric([a], [r], k) for a, r in rows]
            assert metric(actual, ranked, k) == pytest.approx(sum(single) / len(single))


class TestForms:
    def test_a_customer_without_a_list_was_not_helped(self) -> None:
        assert recall_at_k({1: {"a"}, 2: {"b"}}, {1: ["a"]}, k=5) == 0.5

    def test_customers_without_relevant_items_are_not_looked_at(self) -> None:
        assert recall_at_k({1: {"a"}}, {1: ["a"], 2: ["a"], 3: []}, k=5) == 1

    def test_arrays_are_lists(self) -> None:
        assert recall_at_k([np.array([1, 2])], [np.array([2, 3])], k=2) == 0.5


ONE_EACH = "Give one list for each customer, empty where there is none."
SAME_IDS = "Use the same customer ids in both."


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({}, {}), "actual is empty. Give at least one customer with relevant items."),
        (
            ({1: {"a"}, 7: set()}, {1: ["a"]}),
            "actual[7] is empty: without relevant items nothing can be found. Leave such customers out.",
        ),
        (
            ({1: {"a"}}, {1: ["b", "a", "b"]}),
            "recommended[1] holds 'b' more than once. Recommend each item once.",
        ),
        (
            ([{"a"}], [["a"], ["b"]]),
            "actual has 1 customers and recommended has 2. " + ONE_EACH,
        ),
        (
            ({1: {"a"}}, [["a"]]),
            "actual is a dict and recommended a list. Give two mappings from customers, or two sequences.",
        ),
        (({1: "abc"}, {1: ["a"]}), "actual[1] is 'abc'. Give a list of items, such as ['abc']."),
        (({1: {"a"}}, {1: 5}), "recommended[1] is 5. Give a list of items, such as [5]."),
        (
            ({1: {"a"}}, {"1": ["a"]}),
            "no customer of actual is in recommended: keys like 1 and '1'. " + SAME_IDS,
        ),
    ],
)
def test_bad_values_are_named(metric: Metric, arguments: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        metric(*arguments, k=3)
    assert str(caught.value) == f"{metric.__name__}: {message}"


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [0, -1, 2.0, "5", True])
def test_bad_k_is_named(metric: Metric, k: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        metric([{"a"}], [["a"]], k=k)
    assert str(caught.value) == f"{metric.__name__}: k is {k!r}. Use a whole number of at least 1, such as k=10."

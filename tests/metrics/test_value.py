"""Gini, Spearman, MAE, total error and the decile table: by hand, laws, and their definitions beside them."""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise, permutations
from statistics import mean
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error

from crmml.errors import ConfigError, DataError
from crmml.metrics import auc, decile_table, mae, normalised_gini, spearman, total_error

Rows = list[tuple[int, int]]
valued = st.lists(st.tuples(st.integers(-5, 50), st.integers(-3, 3)), min_size=2, max_size=30)


def split(rows: Rows) -> tuple[Any, Any]:
    actual, score = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    assume(len(set(actual)) > 1)
    return actual, score


def gini_by_area(ranked: Any) -> float:
    """Twice the area between the gains curve (best customer first) and the diagonal, with trapezoids."""
    captured = np.concatenate([[0], np.cumsum(ranked)]) / np.sum(ranked)
    return float((captured[1:] + captured[:-1]).sum() / len(ranked)) - 1


class TestNormalisedGini:
    @given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1)), min_size=2, max_size=6))
    def test_is_the_ratio_of_areas_averaged_over_the_orders_of_ties(self, rows: Rows) -> None:
        actual, score = split(rows)
        areas = [
            gini_by_area(actual[list(order)])
            for order in permutations(range(len(actual)))
            if all(score[a] >= score[b] for a, b in pairwise(order))
        ]
        expected = mean(areas) / gini_by_area(np.sort(actual)[::-1])
        assert normalised_gini(actual, score) == pytest.approx(expected, abs=1e-12)

    @given(valued)
    def test_perfect_is_one_reversed_is_minus_one_constant_is_zero(self, rows: Rows) -> None:
        actual, score = split(rows)
        assert normalised_gini(actual, actual) == 1
        assert normalised_gini(actual, -actual) == pytest.approx(-1, abs=1e-12)
        assert normalised_gini(actual, np.full(len(actual), 3.0)) == pytest.approx(0, abs=1e-15)
        assert abs(normalised_gini(actual, score)) <= 1 + 1e-12

    @given(valued)
    def test_only_the_order_of_the_scores_and_the_shape_of_the_values_matter(self, rows: Rows) -> None:
        actual, score = split(rows)
        assert normalised_gini(actual, np.exp(score)) == normalised_gini(actual, score)
        assert normalised_gini(3 * actual + 100, score) == pytest.approx(normalised_gini(actual, score), abs=1e-9)
        assert normalised_gini(actual, -score) == pytest.approx(-normalised_gini(actual, score), abs=1e-12)

    @given(valued)
    def test_for_two_values_it_is_the_gini_of_the_roc_curve(self, rows: Rows) -> None:
        actual, score = split(rows)
        y = (actual > actual.min()).astype(float)
        assert normalised_gini(y, score) == pytest.approx(2 * auc(y, score) - 1, abs=1e-12)

    def test_a_small_spread_on_large_values_stays_exact(self) -> None:
        # Centred ranks of the scores -1, 1, 0 and of the values -1, 0, 1: (0 * -1 + 1 * 1 + 2 * 0) / (2 * 1).
        assert normalised_gini([0, 1, 2], [1, 3, 2]) == 0.5
        assert normalised_gini([1e15, 1e15 + 1, 1e15 + 2], [1, 3, 2]) == 0.5


class TestSpearman:
    @given(valued)
    def test_equals_scipy(self, rows: Rows) -> None:
        actual, score = split(rows)
        assume(len(set(score)) > 1)
        assert spearman(actual, score) == pytest.approx(spearmanr(actual, score).statistic, abs=1e-12)

    def test_a_constant_score_orders_nothing(self) -> None:
        assert spearman([1, 2, 3], [7, 7, 7]) == 0

    @pytest.mark.parametrize(("score", "expected"), [([1, 2, 3], 1), ([3, 2, 1], -1), ([2, 1, 3], Fraction(1, 2))])
    def test_by_hand(self, score: Any, expected: Any) -> None:
        # Without ties 1 - 6 sum(d^2) / (n (n^2 - 1)); the last: d = 1, 1, 0.
        assert spearman([10, 20, 30], score) == pytest.approx(float(expected), abs=1e-15)


class TestErrors:
    @given(valued)
    def test_mae_equals_scikit_learn(self, rows: Rows) -> None:
        actual, predicted = split(rows)
        assert mae(actual, predicted) == pytest.approx(mean_absolute_error(actual, predicted), abs=1e-12)

    @pytest.mark.parametrize(
        ("predicted", "expected"), [([10, 30], 0), ([30, 30], Fraction(1, 2)), ([0, 0], -1), ([-40, 0], -2)]
    )
    def test_total_error_is_relative_to_the_actual_total(self, predicted: Any, expected: Any) -> None:
        assert total_error([10, 30], predicted) == pytest.approx(float(expected), abs=1e-15)

    def test_total_error_is_not_seen_by_the_mean_error(self) -> None:
        actual = [0, 0, 0, 100]
        assert mae(actual, [0] * 4) == 25
        assert total_error(actual, [0] * 4) == -1
        assert mae(actual, [25] * 4) == float(Fraction(3 * 25 + 75, 4))
        assert total_error(actual, [25] * 4) == 0


class TestDecileTable:
    def test_bins_from_the_highest_forecast(self) -> None:
        actual, predicted = np.arange(20.0), np.arange(20.0) * 2
        table = decile_table(actual, predicted)
        assert table.index.tolist() == list(range(1, 11))
        assert table.index.name == "bin"
        assert table["customers"].tolist() == [2] * 10
        assert table["mean_actual"].tolist() == [18.5 - 2 * i for i in range(10)]
        assert table["mean_predicted"].tolist() == [37.0 - 4 * i for i in range(10)]
        assert table["share_of_value"].iloc[0] == float(Fraction(19 + 18, 190))

    def test_ties_share_their_value(self) -> None:
        table = decile_table([100, 0, 0, 0], [5, 5, 5, 5], n_bins=2)
        assert table["mean_actual"].tolist() == [25, 25]
        assert table["share_of_value"].tolist() == [0.5, 0.5]

    def test_no_value_at_all_has_no_shares(self) -> None:
        table = decile_table([0, 0], [1, 2], n_bins=2)
        assert table["mean_actual"].tolist() == [0, 0]
        assert table["share_of_value"].isna().all()

    @given(valued, st.integers(1, 12))
    def test_no_value_is_lost_and_the_order_of_rows_is_nothing(self, rows: Rows, n_bins: int) -> None:
        actual, predicted = split(rows)
        table = decile_table(actual, predicted, n_bins)
        assert len(table) == min(n_bins, len(actual))
        assert table["customers"].max() - table["customers"].min() <= 1
        assert (table["customers"] * table["mean_actual"]).sum() == pytest.approx(actual.sum(), abs=1e-9)
        if actual.sum() > 0:
            assert table["share_of_value"].sum() == pytest.approx(1)
        pd.testing.assert_frame_equal(decile_table(actual[::-1], predicted[::-1], n_bins), table)


MORE = "Use more customers or a longer horizon."
DROP = "Drop these rows or fill them in before measuring."


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: normalised_gini([5, 5], [1, 2]),
            (
                "normalised_gini: all 2 actual values are 5, so there is no order to find. "
                "Use more customers or a longer horizon."
            ),
        ),
        (
            lambda: spearman([0.0], [1.0]),
            "spearman: all 1 actual values are 0, so there is no order to find. " + MORE,
        ),
        (
            lambda: total_error([5, -8], [1, 1]),
            (
                "total_error: the actual values sum to -3, and an error relative to that means nothing. "
                "Use more customers or a longer horizon, or compare the sums yourself."
            ),
        ),
        (
            lambda: total_error([0, 0], [1, 1]),
            (
                "total_error: the actual values sum to 0, and an error relative to that means nothing. "
                "Use more customers or a longer horizon, or compare the sums yourself."
            ),
        ),
        (
            lambda: mae([1.0, float("inf")], [1.0, 2.0]),
            "mae: actual[1] is inf (1 of 2 values are not finite). " + DROP,
        ),
        (
            lambda: mae([1.0], [1.0, 2.0]),
            "mae: actual has 1 values and predicted has 2. Give one value of each per row.",
        ),
    ],
)
def test_bad_values_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError) as caught:
        call()
    assert str(caught.value) == message


def test_bad_parameter_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        decile_table([1, 2], [1, 2], n_bins=-1)
    assert str(caught.value) == "decile_table: n_bins is -1. Use a whole number of at least 1, such as n_bins=10."

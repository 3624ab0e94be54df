"""AUC, average precision, Brier, calibration, lift and gains: by hand, laws, and scikit-learn beside them."""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise, permutations
from random import Random
from statistics import mean
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from crmml.errors import ConfigError, DataError
from crmml.metrics import auc, brier, calibration_error, calibration_table, gains_table, lift, pr_auc

Rows = list[tuple[int, float]]
# Few distinct scores, so that ties are common.
labelled = st.lists(st.tuples(st.integers(0, 1), st.integers(-5, 5)), min_size=2, max_size=30)


def split(rows: Rows, need: tuple[int, ...] = (0, 1)) -> tuple[Any, Any]:
    y, score = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    assume(set(need) <= set(y))
    return y, score


def expected_over_tie_orders(y: Any, score: Any, measure: Callable[[list[Any]], float]) -> float:
    """The mean of `measure(labels in rank order)` over every order that agrees with the score."""
    orders = [order for order in permutations(range(len(y))) if all(score[a] >= score[b] for a, b in pairwise(order))]
    return mean(measure([y[i] for i in order]) for order in orders)


class TestAuc:
    @pytest.mark.parametrize(
        ("y", "score", "expected"),
        [
            ([0, 1], [1, 2], 1),
            ([0, 1], [2, 1], 0),
            ([0, 1], [1, 1], Fraction(1, 2)),
            # Pairs (1, 0): 3 beats both, 2 ties one and beats one, 1 ties one: (2 + 1.5 + .5) / 6.
            ([1, 1, 1, 0, 0], [3, 2, 1, 2, 1], Fraction(4, 6)),
        ],
    )
    def test_is_the_share_of_ordered_pairs(self, y: Any, score: Any, expected: Any) -> None:
        assert auc(y, score) == float(expected)

    @given(labelled)
    def test_equals_scikit_learn(self, rows: Rows) -> None:
        y, score = split(rows)
        assert auc(y, score) == pytest.approx(roc_auc_score(y, score), abs=1e-12)

    @given(labelled)
    def test_only_the_order_of_the_scores_matters(self, rows: Rows) -> None:
        y, score = split(rows)
        assert auc(y, np.exp(score) * 7 - 2) == auc(y, score)

    @given(labelled)
    def test_the_reversed_score_has_the_rest(self, rows: Rows) -> None:
        y, score = split(rows)
        assert auc(y, score) + auc(y, -score) == pytest.approx(1, abs=1e-15)
        assert auc(1 - y, score) == auc(y, -score)

    def test_is_exact_where_the_pairs_outgrow_32_bits(self) -> None:
        half = 100_000  # 10^10 pairs, all in the right order
        y = np.repeat(np.array([0, 1], dtype=np.int8), half)
        assert auc(y, np.arange(2 * half)) == 1.0


class TestPrAuc:
    def test_ties_enter_together(self) -> None:
        # 2 rows at score 2 (one of them a 1): recall 1/2 at precision 1/2; then 4 rows, 2 ones.
        assert pr_auc([1, 0, 1, 0], [2, 2, 1, 1]) == float(
            Fraction(1, 2) * Fraction(1, 2) + Fraction(1, 2) * Fraction(2, 4)
        )

    @given(labelled)
    def test_equals_scikit_learn(self, rows: Rows) -> None:
        y, score = split(rows, need=(1,))
        assert pr_auc(y, score) == pytest.approx(average_precision_score(y, score), abs=1e-12)

    @given(labelled)
    def test_a_constant_score_has_the_base_rate(self, rows: Rows) -> None:
        y, _ = split(rows, need=(1,))
        assert pr_auc(y, np.zeros(len(y))) == pytest.approx(y.mean(), abs=1e-15)


class TestBrier:
    @given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=2))
    def test_equals_scikit_learn(self, rows: Rows) -> None:
        y, p = split(rows)
        assert brier(y, p) == pytest.approx(brier_score_loss(y, p), abs=1e-12)

    def test_the_base_rate_as_forecast_has_its_variance(self) -> None:
        assert brier([1, 0, 0, 0], [0.25] * 4) == float(Fraction(1, 4) * Fraction(3, 4))


class TestCalibration:
    @given(
        st.dictionaries(st.integers(0, 20).map(lambda p: p / 20), st.integers(1, 3), min_size=1, max_size=6),
        st.integers(1, 12),
        st.randoms(use_true_random=False),
    )
    def test_perfect_forecasts_have_no_error_in_any_bins_and_order(
        self, groups: dict[float, int], n_bins: int, random: Random
    ) -> None:
        # Of 20 g rows with forecast p, exactly 20 g p are ones.
        rows = [(int(i < round(20 * g * p)), p) for p, g in groups.items() for i in range(20 * g)]
        random.shuffle(rows)
        y, p = zip(*rows, strict=True)
        assert calibration_error(y, p, n_bins=n_bins) == pytest.approx(0, abs=1e-12)

    def test_the_error_is_the_mean_gap_weighted_by_customers(self) -> None:
        # 5 rows in 2 bins: 3 and 2. Gaps: |1/3 - .1| and |1/2 - .8|.
        y, p = [0, 0, 1, 0, 1], [0.1, 0.1, 0.1, 0.8, 0.8]
        first, second = abs(Fraction(1, 3) - Fraction(1, 10)), abs(Fraction(1, 2) - Fraction(8, 10))
        expected = Fraction(3, 5) * first + Fraction(2, 5) * second
        assert calibration_error(y, p, n_bins=2) == pytest.approx(float(expected), abs=1e-15)

    def test_one_bin_compares_the_means(self) -> None:
        assert calibration_error([1, 0, 0, 0], [0.9, 0.1, 0.1, 0.1], n_bins=1) == pytest.approx(0.3 - 0.25)

    def test_table_has_bins_of_equal_mass_from_low_to_high(self) -> None:
        table = calibration_table([0, 1, 1, 0, 1], [0.5, 0.75, 1.0, 0.0, 0.25], n_bins=2)
        expected = pd.DataFrame(
            # Lowest three forecasts 0, .25, .5 with labels 0, 1, 0; then .75 and 1 with labels 1, 1.
            {"customers": [3, 2], "mean_predicted": [0.25, 0.875], "mean_actual": [1 / 3, 1.0]},
            index=pd.RangeIndex(1, 3, name="bin"),
        ).assign(gap=[1 / 3 - 0.25, 0.125])
        pd.testing.assert_frame_equal(table, expected, rtol=1e-15)

    def test_ties_across_two_bins_share_their_ones(self) -> None:
        table = calibration_table([1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5], n_bins=2)
        assert table["mean_actual"].tolist() == [0.25, 0.25]

    def test_fewer_rows_than_bins_give_one_bin_per_row(self) -> None:
        assert calibration_table([0, 1], [0.25, 0.75], n_bins=10)["customers"].tolist() == [1, 1]

    @given(
        st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.1, 0.3, 0.9])), min_size=1),
        st.integers(1, 5),
    )
    def test_no_row_is_lost_and_the_order_of_rows_is_nothing(self, rows: Rows, n_bins: int) -> None:
        y, p = split(rows, need=())
        table = calibration_table(y, p, n_bins)
        assert table["customers"].sum() == len(y)
        assert (table["customers"] * table["mean_actual"]).sum() == pytest.approx(y.sum())
        assert (table["customers"] * table["mean_predicted"]).sum() == pytest.approx(p.sum())
        pd.testing.assert_frame_equal(calibration_table(y[::-1], p[::-1], n_bins), table)


class TestLift:
    # n = 10, 2 ones: a random choice reaches 1/5 of any group.
    scores = range(10, 0, -1)

    @pytest.mark.parametrize(
        ("y", "at", "expected"),
        [
            ([1, 1, 0, 0, 0, 0, 0, 0, 0, 0], 0.2, Fraction(2, 2) / Fraction(2, 10)),
            ([1, 0, 0, 0, 0, 0, 0, 0, 0, 1], 0.5, Fraction(1, 5) / Fraction(2, 10)),
            ([0, 0, 0, 0, 0, 0, 0, 0, 1, 1], 0.1, 0),
            # 1.5 customers: the first whole, the second by half.
            ([0, 1, 0, 0, 0, 0, 0, 0, 0, 1], 0.15, (Fraction(1, 2) / Fraction(3, 2)) / Fraction(2, 10)),
        ],
    )
    def test_is_the_rate_at_the_top_over_the_rate_of_all(self, y: Any, at: float, expected: Any) -> None:
        assert lift(y, self.scores, at) == pytest.approx(float(expected), abs=1e-12)

    @given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=6), st.data())
    def test_ties_give_the_mean_over_their_orders(self, rows: Rows, data: st.DataObject) -> None:
        y, score = split(rows, need=(1,))
        top = data.draw(st.integers(1, len(y)))
        expected = expected_over_tie_orders(y, score, lambda ranked: sum(ranked[:top]) / top) / y.mean()
        assert lift(y, score, at=top / len(y)) == pytest.approx(expected, abs=1e-12)

    @given(labelled, st.floats(0.01, 1))
    @example([(1, 0), (0, 1)], 1.0)
    def test_bounds(self, rows: Rows, at: float) -> None:
        y, score = split(rows, need=(1,))
        assert -1e-12 <= lift(y, score, at) <= min(1 / at, len(y) / y.sum()) + 1e-9
        assert lift(y, score, at=1.0) == pytest.approx(1)
        assert lift(y, np.zeros(len(y)), at) == pytest.approx(1)  # a constant score is a random choice

    @given(labelled, st.floats(0.01, 1))
    def test_nothing_beats_the_labels_themselves(self, rows: Rows, at: float) -> None:
        y, score = split(rows, need=(1,))
        assert lift(y, y, at) == pytest.approx(min(1 / at, len(y) / y.sum()))
        assert lift(y, score, at) <= lift(y, y, at) + 1e-9


class TestGainsTable:
    def test_by_hand(self) -> None:
        table = gains_table([1, 0, 1, 0, 0], [5, 4, 3, 2, 1], n_bins=2)  # 3 rows with 2 ones, 2 rows with none
        expected = pd.DataFrame(
            {
                "customers": [3, 2],
                "positives": [2.0, 0.0],
                "rate": [2 / 3, 0.0],
                "captured": [1.0, 1.0],
                "lift": [1 / (3 / 5), 1.0],
            },
            index=pd.RangeIndex(1, 3, name="bin"),
        )
        pd.testing.assert_frame_equal(table, expected, rtol=1e-15)

    @given(labelled, st.integers(1, 12))
    def test_agrees_with_lift_and_loses_nobody(self, rows: Rows, n_bins: int) -> None:
        y, score = split(rows, need=(1,))
        table = gains_table(y, score, n_bins)
        shares = table["customers"].cumsum() / len(y)
        assert table["lift"].tolist() == pytest.approx([lift(y, score, at) for at in shares])
        assert table["positives"].sum() == pytest.approx(y.sum())
        assert table["captured"].iloc[-1] == 1


NAN = float("nan")
DROP = "Drop these rows or fill them in before measuring."
PROBABILITIES = "Probabilities lie in [0, 1]: give predict_proba(X)[:, 1], not a score."
SHARE = "Use a share of the customers in (0, 1], such as at=0.1."
ONE_CLASS = "all 3 labels in y are {}, but it needs {}. Use more customers or a longer horizon."


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: auc([0, 1, 1], [1, 2]),
            "auc: y has 3 values and score has 2. Give one value of each per row.",
        ),
        (lambda: auc([], []), "auc: y is empty. Give at least one row."),
        (lambda: auc([[0, 1]], [1]), "auc: y has shape (1, 2). Give a vector, one value per row."),
        (lambda: auc([0, 2], [1, 2]), "auc: y[1] is 2. Labels are 0 or 1."),
        (
            lambda: auc([0, 1, 1], [1, NAN, NAN]),
            "auc: score[1] is nan (2 of 3 values are not finite). " + DROP,
        ),
        (
            lambda: auc(pd.Series([0, None], dtype="Int64"), [1, 2]),
            "auc: y[1] is nan (1 of 2 values are not finite). " + DROP,
        ),
        (lambda: auc([0, 0, 0], [1, 2, 3]), "auc: " + ONE_CLASS.format(0, "both 0 and 1")),
        (lambda: auc([1, 1, 1], [1, 2, 3]), "auc: " + ONE_CLASS.format(1, "both 0 and 1")),
        (lambda: pr_auc([0, 0, 0], [1, 2, 3]), "pr_auc: " + ONE_CLASS.format(0, "at least one 1")),
        (lambda: lift([0, 0, 0], [1, 2, 3]), "lift: " + ONE_CLASS.format(0, "at least one 1")),
        (lambda: gains_table([0, 0, 0], [1, 2, 3]), "gains_table: " + ONE_CLASS.format(0, "at least one 1")),
        (
            lambda: auc(["no", "yes"], [1, 2]),
            "auc: y does not hold numbers (dtype <U3, first value np.str_('no')). Give numbers.",
        ),
        (
            lambda: auc(pd.Series(["0", "1"]), [1, 2]),
            "auc: y does not hold numbers (dtype str, first value '0'). Give numbers.",
        ),
        (
            lambda: brier([0, 1], [0.5, 1.5]),
            "brier: p[1] is 1.5. " + PROBABILITIES,
        ),
        (
            lambda: calibration_error([0, 1], [-0.5, 0.5]),
            "calibration_error: p[0] is -0.5. " + PROBABILITIES,
        ),
        (
            lambda: auc(pd.Series([0, 1], index=["a", "b"]), pd.Series([1, 2], index=["b", "a"])),
            (
                "auc: the indexes of y and score differ: row 0 is 'a' in y and 'b' in score. "
                "Align them, for example score.loc[y.index]."
            ),
        ),
    ],
)
def test_bad_values_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(DataError) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: lift([0, 1], [1, 2], at=0),
            "lift: at is 0. " + SHARE,
        ),
        (
            lambda: lift([0, 1], [1, 2], at=10),
            "lift: at is 10. " + SHARE,
        ),
        (
            lambda: lift([0, 1], [1, 2], at=NAN),
            "lift: at is nan. " + SHARE,
        ),
        (
            lambda: calibration_error([0, 1], [0.5, 0.5], n_bins=0),
            "calibration_error: n_bins is 0. Use a whole number of at least 1, such as n_bins=10.",
        ),
        (
            lambda: gains_table([0, 1], [1, 2], n_bins=2.5),  # type: ignore[arg-type]
            "gains_table: n_bins is 2.5. Use a whole number of at least 1, such as n_bins=10.",
        ),
        (
            lambda: calibration_table([0, 1], [0.5, 0.5], n_bins=True),
            "calibration_table: n_bins is True. Use a whole number of at least 1, such as n_bins=10.",
        ),
    ],
)
def test_bad_parameters_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        call()
    assert str(caught.value) == message


def test_series_with_the_same_index_and_plain_arrays_agree() -> None:
    y, score = pd.Series([0, 1, 1], index=[7, 8, 9]), pd.Series([1.0, 3.0, 2.0], index=[7, 8, 9])
    assert auc(y, score) == auc(y.to_numpy(), score) == auc(list(y), list(score)) == 1.0

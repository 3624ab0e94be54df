"""Conformal limits by hand."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from crmml.models import _intervals
from crmml.models._intervals import LEAST_ROWS, MOST_RATIOS, RatioIntervals
from tests.models.mutants import dies


def nineteen_rows_just_suffice_for_nine_tenths(module: ModuleType) -> None:
    # Of 20 exchangeable values the new one is the lowest with probability 1/20, the highest with 1/20.
    learned = module.RatioIntervals.learn(np.full(19, 10.0), 10.0 * np.arange(1.0, 20.0))
    low, high = learned.interval(np.array([2.0]), 0.9)
    assert (low[0], high[0]) == (2.0 * 1, 2.0 * 19)


def a_rank_between_two_rows_is_taken_outwards(module: ModuleType) -> None:
    # 20 rows: rank .05 * 21 = 1.05 below is 1, rank .95 * 21 = 19.95 above is 20.
    low, high = module.RatioIntervals.learn(np.ones(20), np.arange(1.0, 21.0)).interval(np.ones(1), 0.9)
    assert (low[0], high[0]) == (1.0, 20.0)


def test_with_fewer_rows_there_is_no_lower_limit_and_then_no_upper_one() -> None:
    # 9 rows: the new value is above all with probability 1/10, which uses up what may be missed; with 8
    # rows it is 1/9, too much.
    for n, limit in ((18, 18.0), (9, 9.0), (8, np.inf)):
        learned = RatioIntervals.learn(np.ones(n), np.arange(1.0, n + 1))
        low, high = learned.interval(np.ones(1), 0.9)
        assert (low[0], high[0]) == (0.0, limit), n


def where_the_lower_limit_is_zero_all_that_may_be_missed_is_above(module: ModuleType) -> None:
    # 10 zeros and the ratios 1..9: rank .9 * 20 = 18 of 19 is the ratio 8; rank .95 * 20 = 19 would be 9.
    actual = np.concatenate([np.zeros(10), np.arange(1.0, 10.0)])
    low, high = module.RatioIntervals.learn(np.ones(19), actual).interval(np.ones(1), 0.9)
    assert (low[0], high[0]) == (0.0, 8.0)


def the_top_bin_has_its_own_limits(module: ModuleType) -> None:
    # 500 rows: ten bins. In the top bin actual = 3 x predicted, elsewhere half of it.
    prediction = np.arange(1.0, 501.0)
    actual = np.where(prediction > 450, 3.0, 0.5) * prediction
    low, high = module.RatioIntervals.learn(prediction, actual).interval(np.array([10.0, 500.0]), 0.8)
    assert (low[1], high[1]) == (500.0, 1500.0)  # the prediction is always inside
    assert (low[0], high[0]) == (5.0, 10.0)


def test_bins_have_enough_rows() -> None:
    for n, bins in ((1, 1), (2 * LEAST_ROWS - 1, 1), (2 * LEAST_ROWS, 2), (10 * LEAST_ROWS, 10), (5_000, 10)):
        learned = RatioIntervals.learn(np.arange(1.0, n + 1), np.ones(n))
        assert len(learned.counts) == bins, n
        assert learned.counts.sum() == n


def test_tied_predictions_share_a_bin() -> None:
    learned = RatioIntervals.learn(np.full(1_000, 500.0), np.arange(1_000.0))
    assert learned.counts.tolist() == [0, 1_000]
    low, high = learned.interval(np.array([500.0]), 0.9)
    # rank 50.05 -> 50 (value 49) below, rank 950.95 -> 951 (value 950) above
    assert (low[0], high[0]) == pytest.approx((49.0, 950.0))


def test_without_rows_nothing_is_known() -> None:
    low, high = RatioIntervals.learn(np.empty(0), np.empty(0)).interval(np.array([3.0]), 0.5)
    assert (low[0], high[0]) == (0.0, np.inf)


def test_a_prediction_of_zero_has_a_limit_in_money() -> None:
    low, high = RatioIntervals.learn(np.zeros(19), np.arange(19.0)).interval(np.zeros(1), 0.9)
    assert (low[0], high[0]) == (0.0, 17.0)  # the lowest limit is the ratio 0: all above, rank 18 of 0..18


def test_thinned_ratios_are_never_narrower() -> None:
    rng = np.random.default_rng(0)
    actual = np.sort(rng.gamma(1.0, size=30_000))
    learned = RatioIntervals.learn(np.ones(30_000), actual)
    assert learned.counts.tolist() == [0, MOST_RATIOS]  # one value of the prediction: one bin in use
    _, high = learned.interval(np.ones(1), 0.9)
    exact = actual[int(np.ceil(30_001 * 0.95)) - 1]
    assert exact <= high[0] <= actual[int(np.ceil(30_001 * 0.951)) - 1]


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        (nineteen_rows_just_suffice_for_nine_tenths, "np.floor((n + 1) * missed / 2", "np.floor(n * missed / 2"),
        (a_rank_between_two_rows_is_taken_outwards, "np.ceil((n + 1) * (1.0 - above)", "np.ceil(n * (1.0 - above)"),
        (where_the_lower_limit_is_zero_all_that_may_be_missed_is_above, "if low == 0.0 else", "if low < 0.0 else"),
        (the_top_bin_has_its_own_limits, "MOST_BINS = 10", "MOST_BINS = 1"),
        (the_top_bin_has_its_own_limits, "np.minimum(low[bins] * unit, prediction)", "low[bins] * unit"),
    ],
    ids=["rank below of n", "rank above of n", "half above a zero", "one bin", "prediction outside"],
)
def test_mutants_die(check: Any, old: str, new: str, tmp_path: Path) -> None:
    dies(check, _intervals, old, new, tmp_path)

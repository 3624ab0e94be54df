"""Distributions of spend by hand, and how they are made to hold."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.special import gammaincc

from crmml.errors import BundleError
from crmml.models import _predictive
from crmml.models._predictive import Calibration, Outlook, Spread, amount_at, fit_spread, survival
from crmml.models._state import StateReader
from tests.models.mutants import dies

EXPONENTIAL = Spread(1.0, 0.0)
_RANK = 'np.searchsorted(part, left[rows], side="right")'


def outlook(mean: float, p_buys: float, orders: float, rows: int = 1, module: ModuleType = _predictive) -> Any:
    return module.Outlook(np.full(rows, mean), np.full(rows, p_buys), np.full(rows, orders))


def who_buys_spends_the_mean_over_the_probability(module: ModuleType) -> None:
    # 6 on average and a probability of .25: 24 of who buys. An exponential exceeds 24 with the probability 1/e.
    who = outlook(6.0, 0.25, 0.5, module=module)
    assert module.survival(who, EXPONENTIAL, 24.0)[0] == pytest.approx(0.25 * np.exp(-1))
    assert module.amount_at(who, EXPONENTIAL, np.array([0.25 / np.e]))[0] == pytest.approx(24.0)


def more_orders_spread_less(module: ModuleType) -> None:
    # Of who buys, 5 orders on average: squared variation 1/2 + 2/5 = 9/10, a gamma of the shape 10/9.
    found = module.survival(outlook(10.0, 0.4, 2.0), Spread(0.5, 2.0), 30.0)[0]
    assert found == pytest.approx(0.4 * gammaincc(10 / 9, 10 / 9 * 30 / 25))


def test_the_amount_is_the_inverse_of_the_survival() -> None:
    who, spread = outlook(10.0, 0.4, 2.0, rows=3), Spread(0.5, 2.0)
    left = np.array([0.39, 0.1, 1e-9])
    assert survival(who, spread, amount_at(who, spread, left)) == pytest.approx(left)
    assert amount_at(who, spread, np.array([0.4, 0.7, 0.0])).tolist() == [0.0, 0.0, np.inf]


def test_the_spread_is_found_again() -> None:
    rng = np.random.default_rng(0)
    orders = rng.uniform(1.0, 20.0, 20_000)
    shape = 1 / (0.25 + 1.0 / orders)
    actual = rng.gamma(shape) / shape * 50.0
    assert fit_spread(Outlook(np.full(20_000, 50.0), np.ones(20_000), orders), actual) == Spread(0.25, 1.0)


def limits_are_ranks_of_new_and_old_places_together(module: ModuleType) -> None:
    """Nineteen customers lie at 1/20, ..., 19/20 of an exponential with the mean 10: each gap has 1 of 20."""
    calibration = module.Calibration(EXPONENTIAL, np.empty(0), np.arange(1, 20) / 20, np.array([19]))
    low, high = calibration.interval(np.ones(1), outlook(10.0, 1.0, 1.0), 0.9)
    # With nine tenths inside, one gap on each side is left out: between the places 19/20 and 1/20.
    assert (low[0], high[0]) == (pytest.approx(-10 * np.log(19 / 20)), pytest.approx(-10 * np.log(1 / 20)))


def where_nothing_lies_below_all_that_may_be_missed_is_above(module: ModuleType) -> None:
    calibration = module.Calibration(EXPONENTIAL, np.empty(0), np.arange(1, 20) / 20, np.array([19]))
    low, high = calibration.interval(np.ones(1), outlook(5.0, 0.5, 0.5), 0.9)
    # Half of the customers spend nothing: the limit above leaves 2/20 of all out, 1/5 of the buyers.
    assert (low[0], high[0]) == (0.0, pytest.approx(-10 * np.log(2 / 20 / 0.5)))


def test_too_few_customers_cannot_tell() -> None:
    few = Calibration(EXPONENTIAL, np.empty(0), np.array([0.5] * 8), np.array([8]))
    low, high = few.interval(np.ones(1), outlook(10.0, 1.0, 1.0), 0.9)
    assert (low[0], high[0]) == (0.0, np.inf)


def a_chance_is_what_came_true_of_it(module: ModuleType) -> None:
    """Expected was that half spend more than the median; of the 39 who were watched, 30 did."""
    places = np.sort(np.concatenate([np.linspace(0.01, 0.49, 30), np.linspace(0.51, 0.99, 9)]))
    calibration = module.Calibration(EXPONENTIAL, np.empty(0), places, np.array([39]))
    chance = calibration.exceeds(np.ones(1), outlook(10.0, 1.0, 1.0), 10 * np.log(2))
    assert chance[0] == pytest.approx((30 + 0.5) / 40)


def test_without_anybody_watched_the_distribution_speaks() -> None:
    nobody = Calibration.learn(np.empty(0), Outlook(*[np.empty(0)] * 3), np.empty(0), 0)
    assert nobody.exceeds(np.ones(1), outlook(10.0, 0.5, 0.5), 0.0)[0] == 0.5
    assert nobody.interval(np.ones(1), outlook(10.0, 0.5, 0.5), 0.9)[1].tolist() == [np.inf]


def wrong_expectations_are_put_right(module: ModuleType) -> None:
    """Every forecast is half of what is spent, and the high ones are a third: limits and chances hold all the same."""
    rng = np.random.default_rng(1)
    forecast, p = rng.uniform(1.0, 50.0, 40_000), rng.uniform(0.1, 0.9, 40_000)
    factor = np.where(forecast > 45, 3.0, 2.0)
    spent = np.where(rng.random(40_000) < p, rng.exponential(factor * forecast / p), 0.0)
    who = Outlook(forecast, p, p)
    learn, new = np.arange(20_000), np.arange(20_000, 40_000)

    def some(rows: Any) -> Outlook:
        return Outlook(*(values[rows] for values in who))

    calibration = module.Calibration.learn(forecast[learn], some(learn), spent[learn], 0)
    low, high = calibration.interval(forecast[new], some(new), 0.9)
    inside = (low <= spent[new]) & (spent[new] <= high)
    chance = calibration.exceeds(forecast[new], some(new), 100.0)
    top = forecast[new] > 45
    # Two standard errors each of the limits and of the test, and the prediction itself is always inside.
    for rows in (np.ones(20_000, dtype=bool), top):
        assert inside[rows].mean() == pytest.approx(0.9, abs=4 * np.sqrt(0.09 / rows.sum()) + 0.005)
        assert chance[rows].mean() == pytest.approx((spent[new][rows] > 100).mean(), abs=0.02)


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        (who_buys_spends_the_mean_over_the_probability, "np.maximum(self.mean, 1e-300) / p", "self.mean"),
        (who_buys_spends_the_mean_over_the_probability, "p * gammaincc", "gammaincc"),
        (more_orders_spread_less, "spread.per_order * p / np.maximum(outlook.orders, p)", "spread.per_order"),
        (limits_are_ranks_of_new_and_old_places_together, "np.floor((n + 1) * share", "np.floor(n * share"),
        (where_nothing_lies_below_all_that_may_be_missed_is_above, "np.where(low > 0,", "np.where(low >= 0,"),
        (a_chance_is_what_came_true_of_it, _RANK, "len(part) * left[rows]"),
        (wrong_expectations_are_put_right, "(1.0 - p[nothing]) * draws", "0.0 * draws"),
        (wrong_expectations_are_put_right, "edges = bin_edges(forecast)", "edges = np.empty(0)"),
    ],
    ids=["mean of all", "all buy", "orders", "rank of n", "half above", "as expected", "nothing at one place", "bins"],
)
def test_mutants_die(check: Any, old: str, new: str, tmp_path: Path) -> None:
    dies(check, _predictive, old, new, tmp_path)


def test_the_state_is_read_with_care() -> None:
    learned = Calibration(Spread(0.5, 2.0), np.array([5.0]), np.array([0.2, 0.7, 0.1]), np.array([2, 1]))
    state = learned.state()
    again = Calibration.from_state(StateReader(state, "test"))
    assert {key: value.tolist() for key, value in again.state().items()} == {
        key: value.tolist() for key, value in state.items()
    }
    for key, bad in {
        "calibration_spread": np.array([0.5, 0.0]),
        "calibration_edges": np.array([np.nan]),
        "calibration_places": np.array([0.7, 0.2, 0.1]),
        "calibration_counts": np.array([1, 1]),
    }.items():
        with pytest.raises(BundleError, match=key):
            Calibration.from_state(StateReader(state | {key: bad}, "test"))

"""The summary of a customer's purchases in a table of features, and what buy-till-you-die models say of it."""

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.errors import BundleError
from crmml.models._buyers import Buyers
from crmml.models._history import History, find_history, read_history
from crmml.models._snapshots import snapshots_of
from crmml.models._state import StateReader

NAMES = ["tenure_order", "recency_order", "days_active_order", "sum_amount_order", "decayed_sum_120d_amount"]
COLUMNS = find_history(NAMES)
assert COLUMNS is not None


def history_of(*rows: list[float]) -> History:
    return read_history(np.array(rows, dtype=float), COLUMNS)


def test_the_net_sum_over_all_events_goes_before_that_of_purchases() -> None:
    names = ["sum_amount_order", "days_active_order", "tenure_order", "recency_order", "sum_amount"]
    assert find_history(names).total == names.index("sum_amount")
    assert find_history(names[:-1]).total == names.index("sum_amount_order")


def test_a_windowed_column_is_no_history() -> None:
    assert find_history(["tenure_order", "recency_order", "days_active_order_365d"]) is None
    assert find_history(["tenure_view", "recency_order", "days_active_order"]) is None
    assert find_history(None) is None


def test_the_unit_of_the_half_life_is_days() -> None:
    assert find_history([*NAMES[:3], "decayed_sum_8w_amount"]).half_life == 56.0


def test_a_history_is_days_after_the_first_purchase() -> None:
    history = history_of([30.5, 10.5, 3, 60.0, 0.0])
    assert (history.x[0], history.t_x[0], history.T[0], history.mean_value[0]) == (2.0, 20.0, 30.5, 20.0)


def test_two_purchases_within_one_day_are_a_first_purchase() -> None:
    history = history_of([30.5, 30.25, 1, 60.0, 0.0])
    assert (history.x[0], history.t_x[0], history.T[0]) == (0.0, 0.0, 30.5)


def test_who_has_never_bought_is_unknown_and_expected_to_buy_nothing() -> None:
    history = history_of([np.nan, np.nan, 0, 0.0, 0.0])
    assert not history.known[0]
    assert np.isnan(history.mean_value[0])
    buyers = Buyers(cm.BGNBD.from_parameters({"r": 0.24, "alpha": 31.0, "a": 0.79, "b": 2.43}), None)
    for answer in (buyers.p_alive(history), buyers.p_buys(history, 90.0), buyers.expected_spend(history, 90.0)):
        assert answer.tolist() == [0.0]


def test_money_per_day_is_the_decayed_sum_over_its_mean_lifetime() -> None:
    # Steady spend of s per day sums to s * half-life / ln 2.
    history = history_of([900, 1, 90, 900.0, 120.0 / np.log(2.0)])
    assert history.spend_rate[0] == pytest.approx(1.0)


def test_expected_spend_is_orders_times_value() -> None:
    purchases = cm.BGNBD.from_parameters({"r": 0.24, "alpha": 31.0, "a": 0.79, "b": 2.43})
    value = cm.GammaGamma.from_parameters({"p": 6.25, "q": 3.74, "gamma": 15.44})
    buyers = Buyers(purchases, value)
    history = history_of([200.0, 20.0, 4, 160.0, 0.0], [200.0, 20.0, 4, -5.0, 0.0])
    orders = purchases.expected_purchases(pd.DataFrame({"x": [3.0], "t_x": [180.0], "T": [200.0]}), 90.0)[0]
    # (gamma + m n) p / (p n + q - 1) for n = 4 purchases of 40 on average; without a usable mean, n = 0.
    own = 6.25 * (15.44 + 160.0) / (6.25 * 4 + 3.74 - 1)
    everybody = 6.25 * 15.44 / (3.74 - 1)
    assert buyers.expected_spend(history, 90.0) == pytest.approx([orders * own, orders * everybody])


def test_parameters_are_learned_and_kept_as_arrays() -> None:
    truth = cm.BGNBD.from_parameters({"r": 0.24, "alpha": 31.0, "a": 0.79, "b": 2.43})
    drawn = truth.simulate(np.full(4_000, 273.0), np.random.default_rng(1))
    rows = np.column_stack(
        [drawn["T"], drawn["T"] - drawn["t_x"], drawn["x"] + 1, np.full(4_000, 5.0), np.zeros(4_000)]
    )
    history = read_history(rows, COLUMNS)
    buyers = Buyers.learn(history)
    assert abs(buyers.purchases.r_ - 0.24) < 3 * buyers.purchases.standard_errors_["r"]
    state = buyers.state()
    again = Buyers.from_state(StateReader(state, "test"))
    assert again.expected_spend(history, 30.0).tolist() == buyers.expected_spend(history, 30.0).tolist()
    assert Buyers.from_state(StateReader(Buyers.no_state(), "test")) is None
    with pytest.raises(BundleError, match="must hold 4 numbers above 0 or none, not "):
        Buyers.from_state(StateReader(state | {"buyers_purchases": np.array([1.0, -1.0, 1.0, 1.0])}, "test"))


def test_purchases_that_say_nothing_make_no_model() -> None:
    assert Buyers.learn(history_of([0.0, 0.0, 1, 5.0, 0.0])) is None
    assert Buyers.learn(history_of([np.nan, np.nan, 0, 0.0, 0.0])) is None


def test_snapshots_are_the_cutoffs_of_the_index_in_order() -> None:
    at = pd.to_datetime(["2024-02-01", "2024-01-01", "2024-02-01"])
    for zone in (None, "UTC", "Europe/Berlin"):
        index = pd.MultiIndex.from_arrays([[7, 7, 8], at.tz_localize(zone)], names=["customer_id", "as_of"])
        found = snapshots_of(pd.DataFrame({"recency": [1.0, 2.0, 3.0]}, index=index), 3)
        assert (found.codes.tolist(), found.dated) == ([1, 0, 1], True)
        first = pd.Timestamp("2024-01-01", tz=zone)
        assert found.times[0] == int(first.timestamp() * 1_000_000)


def test_a_table_without_cutoffs_is_one_snapshot() -> None:
    for table in (np.zeros((2, 1)), pd.DataFrame({"a": [1.0, 2.0]})):
        found = snapshots_of(table, 2)
        assert (found.codes.tolist(), found.latest.tolist(), found.dated) == ([0, 0], [True, True], False)

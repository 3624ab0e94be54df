"""What the design for lifetime value reads in a table: positions, forecasts, features, by hand."""

import numpy as np
import pytest

import crmml as cm
from crmml.errors import BundleError
from crmml.models._buyers import Buyers
from crmml.models._state import StateReader
from crmml.models._value_table import N_FEATURES, Scales, ValueColumns, ValueTable, find_columns, relative
from tests.models.made_buyers import shop

NAMES = ["tenure", "recency", "days_active", "sum_amount", "sum_amount_90d", "decayed_sum_120d_amount"]
COLUMNS = find_columns(NAMES, 90.0)
assert COLUMNS is not None
BUYERS = Buyers(
    cm.BGNBD.from_parameters({"r": 0.24, "alpha": 31.0, "a": 0.79, "b": 2.43}),
    cm.GammaGamma.from_parameters({"p": 6.25, "q": 3.74, "gamma": 15.44}),
)
# Four purchases for 160 together; one; a return greater than the purchase; nobody.
ROWS = np.array(
    [
        [200.0, 20.0, 4, 160.0, 80.0, 60.0],
        [50.0, 50.0, 1, 30.0, 30.0, 22.5],
        [90.0, 10.0, 2, -5.0, -20.0, -9.0],
        [np.nan, np.nan, 0, 0.0, 0.0, 0.0],
    ]
)
TABLE = ValueTable(ROWS, COLUMNS)


def test_positions_are_found_by_name() -> None:
    assert (COLUMNS.history.total, COLUMNS.last) == (3, 4)
    assert find_columns(NAMES, 60.0).last is None
    assert find_columns([name for name in NAMES if name != "sum_amount"], 90.0) is None
    assert find_columns(None, 90.0) is None
    weeks = ["tenure", "recency", "days_active", "sum_amount", "sum_amount_2w"]
    assert find_columns(weeks, 14.0).last == 4


def test_the_weighted_forecast_is_its_rate_times_the_horizon_and_never_negative() -> None:
    forecasts = TABLE.forecasts(BUYERS, 90.0)
    assert forecasts.weighted == pytest.approx(np.array([60.0, 22.5, 0.0, 0.0]) * np.log(2) / 120 * 90)
    assert forecasts.btyd.tolist() == BUYERS.expected_spend(TABLE.history, 90.0).tolist()
    assert (forecasts.btyd[3], forecasts.p_buys[3], forecasts.p_alive[3]) == (0.0, 0.0, 0.0)


def test_without_a_weighted_sum_both_forecasts_are_one() -> None:
    table = ValueTable(ROWS[:, :5], find_columns(NAMES[:5], 90.0))
    forecasts = table.forecasts(BUYERS, 90.0)
    assert not table.weighs
    assert forecasts.weighted.tolist() == forecasts.btyd.tolist()


def test_scales_are_means_over_the_rows_of_a_snapshot() -> None:
    forecasts = TABLE.forecasts(BUYERS, 90.0)
    scales = TABLE.scales(forecasts, np.array([True, True, True, False]))
    # 40 and 30 a purchase; who has returned more than bought has no order value.
    assert scales.order_value == (40 + 30) / 2
    assert scales.btyd == pytest.approx(forecasts.btyd[:3].mean())
    nobody = TABLE.scales(forecasts, np.array([False, False, False, True]))
    assert nobody == Scales(1.0, 1.0, 1.0)


def test_forecasts_are_relative_to_the_mean_of_their_own_snapshot() -> None:
    forecasts = TABLE.forecasts(BUYERS, 90.0)._replace(btyd=np.array([8.0, 2.0, 0.0, 5.0]))
    scales = [Scales(4.0, 1.0, 1.0), Scales(1.0, 1.0, 1.0)]
    btyd, _ = relative(forecasts, scales, np.array([0, 1, 0, 1]))
    assert btyd == pytest.approx(np.log([8 / 4, 2 / 1, 1e-4, 5 / 1]))


def features_of(X: np.ndarray) -> np.ndarray:
    table = ValueTable(X, COLUMNS)
    history = table.history
    buyers = Buyers.learn(history)
    assert buyers is not None
    forecasts = table.forecasts(buyers, 90.0)
    everybody = np.ones(len(table), dtype=bool)
    found = table.features(forecasts, [table.scales(forecasts, everybody)], np.zeros(len(table), dtype=np.int64))
    assert found.shape == (len(X), N_FEATURES)
    return found


def test_no_feature_knows_the_currency() -> None:
    X = shop(500, seed=1, cutoffs=(200.0,)).X.to_numpy()
    yen = X.copy()
    yen[:, 3:] *= 160
    assert np.allclose(features_of(yen), features_of(X), rtol=1e-3, atol=1e-3, equal_nan=True)


def test_what_each_feature_has_is_divided_among_its_columns() -> None:
    gains = np.full(N_FEATURES, 1 / N_FEATURES)
    shares = COLUMNS.shares(gains, 6)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[4] == 0.0  # the last period is no feature
    only_weighted = np.zeros(N_FEATURES)
    only_weighted[1] = 1.0
    assert COLUMNS.shares(only_weighted, 6).tolist() == [0, 0, 0, 0, 0, 1]


def test_the_state_is_read_with_care() -> None:
    again = ValueColumns.from_state(StateReader(COLUMNS.state(), "test"), 6)
    assert again == COLUMNS
    without = find_columns(NAMES[:4], 90.0)
    assert str(ValueColumns.from_state(StateReader(without.state(), "test"), 4)) == str(without)
    for key, bad, count in (
        ("history_columns", np.array([0, 1, 2, 3, 5, 4]), 5),
        ("history_columns", np.array([0, -1, 2, 3, 5, 4]), 6),
        ("half_life", np.array([0.0]), 6),
    ):
        with pytest.raises(BundleError, match=key):
            ValueColumns.from_state(StateReader(COLUMNS.state() | {key: bad}, "test"), count)

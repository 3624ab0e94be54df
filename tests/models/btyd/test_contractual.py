"""sBG: the likelihood by the paper's recursion, the gradient, known truth, laws and limits."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

import crmml as cm
from crmml.models.btyd.contractual import ShiftedBetaGeometric
from tests.models.btyd.made import assert_gradient_is_that_of_differences, assert_recovered

TRUTH = {"alpha": 0.7, "beta": 2.5}
known = ShiftedBetaGeometric.from_parameters(TRUTH)


def log_likelihood(t: int, churned: int) -> float:
    rows = {"t": np.array([float(t)]), "churned": np.array([float(churned)])}
    return float(known._objective(rows, np.ones(1))(np.log([0.7, 2.5]))[0])


def test_the_likelihood_is_the_recursion_of_the_paper() -> None:
    # P(T=1) = alpha / (alpha + beta); P(T=t) = (beta + t - 2) / (alpha + beta + t - 1) P(T=t-1); S = 1 - their sum.
    leaves, stays = 0.7 / 3.2, 1 - 0.7 / 3.2
    for t in range(1, 30):
        assert log_likelihood(t, 1) == pytest.approx(np.log(leaves), abs=1e-10)
        assert log_likelihood(t, 0) == pytest.approx(np.log(stays), abs=1e-10)
        assert known.survival([t])[0] == pytest.approx(stays)
        leaves *= (2.5 + t - 1) / (3.2 + t)
        stays -= leaves


@given(
    st.lists(st.tuples(st.integers(1, 5_000), st.integers(0, 1)), min_size=1, max_size=6),
    st.lists(st.floats(-3, 3), min_size=2, max_size=2),
)
def test_the_gradient_is_that_of_differences(table: list[tuple[int, int]], point: list[float]) -> None:
    X = pd.DataFrame(table, columns=["t", "churned"])
    assert_gradient_is_that_of_differences(ShiftedBetaGeometric(), X, np.arange(1.0, len(X) + 1), np.array(point))


def test_parameters_are_recovered_from_cohorts_of_different_age() -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        table = known.simulate(rng.integers(0, 12, 10_000), rng)
        assert_recovered(ShiftedBetaGeometric().fit(table), TRUTH)


def test_customers_renew_as_often_as_was_said() -> None:
    table = known.simulate(np.full(200_000, 8), np.random.default_rng(0))
    renewed = table["t"] - table["churned"]
    more = renewed[renewed >= 3] - 3  # of five renewals that came up after the third
    still = pd.DataFrame({"t": [3], "churned": [0]})
    assert abs(more.mean() - known.expected_renewals(still, 5)[0]) < 4 * more.std() / np.sqrt(len(more))
    every = more == 5
    assert abs(every.mean() - known.p_renews(still, 5)[0]) < 4 * every.std() / np.sqrt(len(every))


def test_expected_renewals_are_the_sum_of_the_chances_to_renew() -> None:
    X = pd.DataFrame({"t": [0, 1, 40, 3], "churned": [0, 0, 0, 1]})
    for horizon in (0, 1, 7, 200):
        summed = np.sum([known.p_renews(X, ahead) for ahead in range(1, horizon + 1)], axis=0)
        assert np.allclose(known.expected_renewals(X, horizon), summed, rtol=1e-9, atol=0)
    assert known.p_renews(X, 0).tolist() == [1.0, 1.0, 1.0, 0.0]


def test_retention_rises_with_age_and_survival_is_its_product() -> None:
    ages = np.arange(50)
    retained = known.retention(ages)
    assert (np.diff(retained) > 0).all()
    assert retained[0] == pytest.approx(2.5 / 3.2)
    assert known.survival(ages + 1) == pytest.approx(np.cumprod(retained))
    assert known.retention([10**9])[0] == pytest.approx(1.0)


@pytest.mark.parametrize("survivors", [[100, 100, 100], [100, 0]])
def test_nobody_left_or_everybody_at_once_is_reported(survivors: list[float]) -> None:
    table = ShiftedBetaGeometric.lifetimes(survivors)
    with pytest.warns(ConvergenceWarning, match=r"ShiftedBetaGeometric\.fit: not converged"):
        ShiftedBetaGeometric().fit(table, sample_weight=table["customers"])


def message(error: type[Exception], call: Any) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def test_what_no_contract_can_be_is_refused() -> None:
    fit = ShiftedBetaGeometric().fit
    assert message(cm.DataError, lambda: fit(pd.DataFrame({"t": [3], "churned": [2]}))) == (
        "ShiftedBetaGeometric.fit: column 'churned' is 2 in row 0, but must be 0 or 1. Give 1 to who left."
    )
    assert message(cm.DataError, lambda: fit(pd.DataFrame({"t": [0], "churned": [1]}))) == (
        "ShiftedBetaGeometric.fit: column 'churned' is 1 in row 0, but must be 0 where t is 0. "
        "Nobody can leave before the first renewal: give t = 1 to who left there."
    )
    assert message(cm.DataError, lambda: fit(pd.DataFrame({"t": [0], "churned": [0]}))) == (
        "ShiftedBetaGeometric.fit: column 't' is 0 for every customer. Give customers with a renewal behind them."
    )
    assert message(cm.ConfigError, lambda: known.p_renews(pd.DataFrame({"t": [1], "churned": [0]}), 1.5)) == (
        "ShiftedBetaGeometric.p_renews: horizon=1.5 must be a whole number of periods. Use horizon=2."
    )
    assert message(cm.DataError, lambda: known.survival([1.5])) == (
        "ShiftedBetaGeometric.survival: t must hold whole numbers, such as t=[1, 3]."
    )


@pytest.mark.parametrize("survivors", [[100], [100, 90, 95], [100, -1], [100, float("nan")], []])
def test_survivors_that_rise_are_refused(survivors: list[float]) -> None:
    assert message(cm.DataError, lambda: ShiftedBetaGeometric.lifetimes(survivors)) == (
        "ShiftedBetaGeometric.lifetimes: survivors must be two or more numbers, 0 or more, none above the one "
        "before it. Use survivors=[1000, 869, 743]."
    )

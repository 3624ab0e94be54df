"""Gamma-Gamma: the likelihood by integration, the gradient, known truth, laws and limits."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import gamma

from crmml.models.btyd.gamma_gamma import GammaGamma
from tests.models.btyd.made import assert_gradient_is_that_of_differences, assert_recovered

TRUTH = {"p": 6.25, "q": 3.74, "gamma": 15.44}
known = GammaGamma.from_parameters(TRUTH)


@pytest.mark.parametrize(("x", "m_x"), [(1, 20.0), (4, 55.0)])
def test_the_likelihood_is_the_mean_over_customers_of_the_story(x: int, m_x: float) -> None:
    def story(rate: float) -> float:
        # The mean of x values Gamma(p, rate) is Gamma(p x, rate x).
        seen = gamma.pdf(m_x, 6.25 * x, scale=1 / (rate * x))
        return float(seen * gamma.pdf(rate, 3.74, scale=1 / 15.44))

    expected, _ = quad(story, 0, 5, epsabs=1e-14, limit=200)
    rows = {"x": np.array([float(x)]), "m_x": np.array([m_x])}
    value, _ = known._objective(rows, np.ones(1))(np.log([6.25, 3.74, 15.44]))
    assert value == pytest.approx(np.log(expected), abs=1e-7)


@given(
    st.lists(st.tuples(st.integers(1, 5_000), st.floats(0.01, 100)), min_size=1, max_size=6),
    st.lists(st.floats(-3, 3), min_size=3, max_size=3),
)
def test_the_gradient_is_that_of_differences(table: list[tuple[int, float]], point: list[float]) -> None:
    X = pd.DataFrame(table, columns=["x", "m_x"])
    assert_gradient_is_that_of_differences(GammaGamma(), X, np.arange(1.0, len(X) + 1), np.array(point))


def test_parameters_are_recovered_from_simulated_customers() -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        table = known.simulate(rng.integers(0, 9, 10_000), rng)
        assert_recovered(GammaGamma().fit(table), TRUTH)


def test_the_expected_value_is_the_mean_of_customers_who_look_alike() -> None:
    table = known.simulate(np.full(400_000, 2), np.random.default_rng(0))
    alike = table[(table["m_x"] > 49) & (table["m_x"] < 51)]
    off = alike["mean"] - known.expected_value(alike)
    assert abs(off.mean()) < 4 * off.std() / np.sqrt(len(off))


def test_the_expected_value_lies_between_everybodys_mean_and_the_own() -> None:
    everybody = 6.25 * 15.44 / (3.74 - 1)
    x = np.array([0, 1, 2, 10, 100, 10_000, 1_000_000])
    said = known.expected_value(pd.DataFrame({"x": x, "m_x": np.full(7, 100.0)}))
    assert said[0] == pytest.approx(everybody)
    assert (np.diff(said) > 0).all()
    assert said[-1] == pytest.approx(100.0, rel=1e-5)
    assert (said < 100).all()


def test_without_a_mean_the_expected_value_is_infinite() -> None:
    heavy_tailed = GammaGamma.from_parameters({"p": 0.3, "q": 0.5, "gamma": 1.0})
    X = pd.DataFrame({"x": [0, 1, 2], "m_x": [np.nan, 5.0, 5.0]})
    # p x + q - 1: -0.5, -0.2, 0.1; then 0.3 (1 + 10) / 0.1
    assert heavy_tailed.expected_value(X) == pytest.approx([np.inf, np.inf, 33.0])


def test_customers_without_purchases_change_nothing() -> None:
    table = known.simulate(np.arange(3_000) % 4, np.random.default_rng(1))
    some = GammaGamma().fit(table[table["x"] > 0])
    for nothing in (0.0, -3.0, np.nan):
        every = GammaGamma().fit(table.assign(m_x=table["m_x"].where(table["x"] > 0, nothing)))
        assert [every.p_, every.q_, every.gamma_] == [some.p_, some.q_, some.gamma_]
        assert every.log_likelihood_ == some.log_likelihood_


def test_the_currency_changes_only_gamma() -> None:
    table = known.simulate(np.full(2_000, 3), np.random.default_rng(2))
    pounds, pence = GammaGamma().fit(table), GammaGamma().fit(table.assign(m_x=table["m_x"] * 100))
    assert [pence.p_, pence.q_, pence.gamma_] == pytest.approx([pounds.p_, pounds.q_, 100 * pounds.gamma_], rel=1e-5)
    assert pence.log_likelihood_ == pytest.approx(pounds.log_likelihood_ - 2_000 * np.log(100), abs=1e-5)

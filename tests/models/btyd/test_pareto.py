"""Pareto/NBD: the likelihood by integration, the gradient, known truth, laws and limits."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import gammaln

from crmml.models.btyd.pareto import _ENOUGH, ParetoNBD, _Curve, _Fall, _integrals, _silence
from tests.models.btyd.made import assert_gradient_is_that_of_differences, assert_recovered

TRUTH = {"r": 0.55, "alpha": 10.6, "s": 0.61, "beta": 11.7}
known = ParetoNBD.from_parameters(TRUTH)


def customers(x: list[float], t_x: list[float], T: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"x": x, "t_x": t_x, "T": T})


@pytest.mark.parametrize(("x", "t_x"), [(0, 0.0), (1, 12.5), (3, 37.0), (3, 40.0), (60, 20.0)])
def test_the_likelihood_is_the_mean_over_customers_of_the_story(x: int, t_x: float) -> None:
    r, alpha, s, beta = TRUTH.values()
    T = 40.0
    # lambda^x with silence after t_x, alive at T or stopped at u: the gamma rates integrate to powers.
    alive = (alpha + T) ** -(r + x) * (beta + T) ** -s
    stopped, _ = quad(lambda u: (alpha + u) ** -(r + x) * s * (beta + u) ** -(s + 1), t_x, T, epsabs=0, epsrel=1e-11)
    expected = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta) + np.log(alive + stopped)
    rows = {"x": np.array([float(x)]), "t_x": np.array([t_x]), "T": np.array([T])}
    value, _ = known._objective(rows, np.ones(1))(np.log([r, alpha, s, beta]))
    assert value == pytest.approx(expected, abs=1e-9)
    X = customers([x], [t_x], [T])
    assert known.p_alive(X)[0] == pytest.approx(alive / (alive + stopped), rel=1e-9)


exponents = st.floats(np.log(1e-3), np.log(3e3)).map(np.exp)


@given(exponents, exponents, exponents, exponents, st.floats(np.log(1e-3), np.log(1e4)).map(np.exp))
def test_the_integrals_hold_for_scales_and_powers_of_any_size(k: float, s: float, a: float, b: float, T: float) -> None:
    found = _silence(_Curve(np.array([k]), s, np.array([a]), np.array([b])), np.array([T]))

    def f(w: float) -> float:  # in w = ln(u + least), in which there is something everywhere
        u = np.exp(w) - min(a, b)
        return float(np.exp(w) * np.exp(-k * np.log1p(u / a) - s * np.log1p(u / b)) / (b + u))

    start = np.log(min(a, b))
    way = np.log1p(T / min(a, b))
    breaks = np.linspace(start, start + way, 400)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    halves = np.diff(breaks) / 2
    at = breaks[:-1] + halves + nodes[:, None] * halves
    expected = (np.vectorize(f)(at) * weights[:, None] * halves).sum()
    assert found.plain[0] == pytest.approx(expected, rel=2e-8)


@pytest.mark.parametrize(("nodes", "far", "deep"), _ENOUGH)
@pytest.mark.parametrize("other", [False, True])
def test_so_many_nodes_are_enough(nodes: int, far: float, deep: float, other: bool) -> None:
    """At the bounds of each class, for scales of any ratio and any division of the fall between the two powers."""
    rng = np.random.default_rng(nodes)
    ratio = np.exp(rng.uniform(np.log(1e-5), 0.0, 4_000))
    small, way = np.ones(4_000), np.full(4_000, far)
    share = np.concatenate([np.zeros(500), np.ones(500), rng.random(3_000)])
    power, power_large = deep * share / way, deep * (1.0 - share) / np.log(ratio * np.exp(way) + 1.0 - ratio)
    fits = power_large < 1e6
    fall = _Fall(*(values[fits] for values in (small, small / ratio, power, power_large, way)))
    for found, exact in zip(_integrals(fall, nodes, other=other), _integrals(fall, 150, other=other), strict=True):
        assert found == pytest.approx(exact, rel=2e-9)


@pytest.mark.parametrize(("alpha", "beta"), [(2.0, 9.0), (9.0, 2.0), (5.0, 5.0)])
@pytest.mark.parametrize(("k", "T"), [(0.5, 3.0), (3.0, 30.0), (800.0, 1.0)])
def test_each_of_the_five_integrals(alpha: float, beta: float, k: float, T: float) -> None:
    s = 1.5

    def integral(of: Callable[[float], float]) -> float:
        def f(u: float) -> float:
            return float((1 + u / alpha) ** -k * (1 + u / beta) ** -s / (beta + u))

        return float(quad(lambda u: of(u) * f(u), 0, T, epsabs=0, epsrel=1e-10, limit=500)[0])

    found = _silence(_Curve(np.array([k]), s, np.array([alpha]), np.array([beta])), np.array([T]))
    assert [values[0] for values in found] == pytest.approx(
        [
            integral(lambda u: 1.0),
            integral(lambda u: np.log1p(u / alpha)),
            integral(lambda u: k / (alpha + u)),
            integral(lambda u: np.log1p(u / beta)),
            integral(lambda u: (s + 1) / (beta + u)),
        ],
        rel=5e-8,
    )


rows = st.lists(
    st.tuples(st.integers(0, 3000), st.floats(0, 1), st.floats(0.01, 50)).map(
        lambda row: (row[0], row[1] * row[2] * (row[0] > 0), row[2])
    ),
    min_size=1,
    max_size=6,
)


@given(rows, st.lists(st.floats(-3, 3), min_size=4, max_size=4))
def test_the_gradient_is_that_of_differences(table: list[tuple[int, float, float]], point: list[float]) -> None:
    X = pd.DataFrame(table, columns=["x", "t_x", "T"])
    assert_gradient_is_that_of_differences(ParetoNBD(), X, np.arange(1.0, len(X) + 1), np.array(point))


def test_parameters_are_recovered_from_simulated_customers() -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        table = known.simulate(rng.uniform(26, 78, 10_000), rng)
        assert_recovered(ParetoNBD().fit(table), TRUTH)


def test_predictions_are_the_means_of_what_the_process_does_next() -> None:
    table = known.simulate(np.full(60_000, 30.0), np.random.default_rng(1), horizon=26.0)

    def agrees(said: npt.NDArray[np.float64], done: npt.NDArray[np.float64]) -> bool:
        return bool(abs(np.mean(done - said)) <= 4 * np.std(done - said) / np.sqrt(len(done)))

    for group in (table["x"] == 0, table["x"] == 1, table["x"] > 1):
        part = table[group]
        assert agrees(known.p_alive(part), part["alive"].to_numpy())
        assert agrees(known.p_buys(part, 26.0), (part["x_star"] > 0).to_numpy())
        assert agrees(known.expected_purchases(part, 26.0), part["x_star"].to_numpy())
    assert agrees(np.full(60_000, known.expected_purchases_new(30.0)), table["x"].to_numpy())


def test_expected_purchases_are_equations_27_and_41() -> None:
    r, alpha, s, beta = TRUTH.values()
    X = customers([2], [30.43], [38.86])
    said = known.expected_purchases(X, 39.0)[0]
    rate, ratio = (r + 2) * (beta + 38.86) / ((alpha + 38.86) * (s - 1)), (beta + 38.86) / (beta + 38.86 + 39.0)
    assert said == pytest.approx(rate * (1 - ratio ** (s - 1)) * known.p_alive(X)[0], rel=1e-12)
    new = r * beta / (alpha * (s - 1)) * (1 - (beta / (beta + 39.0)) ** (s - 1))
    assert known.expected_purchases_new(39.0) == pytest.approx(new, rel=1e-12)


def test_nothing_happens_where_the_formula_divides_by_zero() -> None:
    at_one = ParetoNBD.from_parameters({**TRUTH, "s": 1.0}).expected_purchases_new(39.0)
    assert at_one == pytest.approx(0.55 * 11.7 / 10.6 * np.log((11.7 + 39) / 11.7), rel=1e-12)


def test_p_alive_is_1_at_a_purchase_and_falls_with_silence() -> None:
    T = np.linspace(20, 400, 50)
    for x in (1, 5, 50):
        said = known.p_alive(customers([x] * 50, [20.0] * 50, T.tolist()))
        assert said[0] == 1.0
        assert (np.diff(said) < 0).all()
    more_is_worse = known.p_alive(customers([1, 2, 5, 20], [20.0] * 4, [30.0] * 4))
    assert (np.diff(more_is_worse) < 0).all()  # the same silence is longer for who buys often


def test_probabilities_and_expectations_grow_with_the_horizon_within_their_bounds() -> None:
    X = customers([0, 1, 30], [0.0, 9.0, 29.0], [30.0, 30.0, 30.0])
    horizons = (0.0, 0.1, 1.0, 10.0, 1e3, 1e6)
    more = np.array([known.expected_purchases(X, t) for t in horizons])
    buys = np.array([known.p_buys(X, t) for t in horizons])
    assert (more[0] == 0).all()
    assert np.allclose(buys[0], 0, atol=1e-15)
    assert (np.diff(more, axis=0) > 0).all()
    assert (np.diff(buys, axis=0) >= 0).all()
    assert (np.diff(buys[:4], axis=0) > 0).all()
    assert (buys <= known.p_alive(X) + 1e-15).all()
    assert (buys <= more + 1e-15).all()


def test_thousands_of_purchases_overflow_nothing() -> None:
    X = customers([5_000, 5_000, 200_000], [364.9, 30.0, 364.999], [365.0] * 3)
    alive, more = known.p_alive(X), known.expected_purchases(X, 365.0)
    assert alive[1] < 1e-100
    assert alive[0] > 0.99
    assert (more[[0, 2]] < (0.55 + X["x"][[0, 2]]) / 375.6 * 365).all()
    assert (more[[0, 2]] > 0.7 * X["x"][[0, 2]]).all()
    mixed = pd.concat([X, known.simulate(np.full(2_000, 365.0), np.random.default_rng(0))])
    assert ParetoNBD().fit(mixed).convergence_.converged


def test_the_unit_of_time_changes_only_alpha_and_beta() -> None:
    table = known.simulate(np.full(3_000, 30.0), np.random.default_rng(3))
    weeks, days = ParetoNBD().fit(table), ParetoNBD().fit(table.assign(t_x=table["t_x"] * 7, T=table["T"] * 7))
    assert [days.r_, days.alpha_, days.s_, days.beta_] == pytest.approx(
        [weeks.r_, 7 * weeks.alpha_, weeks.s_, 7 * weeks.beta_], rel=1e-4
    )
    assert days.log_likelihood_ == pytest.approx(weeks.log_likelihood_ - table["x"].sum() * np.log(7), abs=1e-4)

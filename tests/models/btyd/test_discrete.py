"""BG/BB: the likelihood by counting, the gradient, known truth, laws and limits."""

from math import comb

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import beta as beta_function
from scipy.special import gamma as gamma_function
from scipy.special import roots_legendre
from scipy.stats import beta
from sklearn.exceptions import ConvergenceWarning

import crmml as cm
from crmml.models.btyd.discrete import BetaGeometricBetaBinomial
from tests.models.btyd.made import assert_gradient_is_that_of_differences, assert_recovered

TRUTH = {"alpha": 1.2, "beta": 0.75, "gamma": 0.66, "delta": 2.78}
known = BetaGeometricBetaBinomial.from_parameters(TRUTH)


def likelihood(model: BetaGeometricBetaBinomial, x: int, t_x: int, n: int) -> float:
    rows = {"x": np.array([float(x)]), "t_x": np.array([float(t_x)]), "n": np.array([float(n)])}
    point = np.log([model.alpha_, model.beta_, model.gamma_, model.delta_])
    return float(np.exp(model._objective(rows, np.ones(1))(point)[0]))


@pytest.mark.parametrize(("x", "t_x"), [(0, 0), (1, 1), (2, 4), (3, 4), (5, 5)])
def test_the_likelihood_is_the_mean_over_customers_of_the_story(x: int, t_x: int) -> None:
    n = 5
    nodes, weights = roots_legendre(40)
    p, stops = (nodes + 1) / 2, (nodes[:, None] + 1) / 2
    story = sum(
        p**x * (1 - p) ** (active - x) * (1 - stops) ** active * (stops if active < n else 1.0)
        for active in range(t_x, n + 1)
    )
    expected = weights @ (story * beta.pdf(p, 2, 3) * beta.pdf(stops, 3, 2)) @ weights / 4
    model = BetaGeometricBetaBinomial.from_parameters({"alpha": 2.0, "beta": 3.0, "gamma": 3.0, "delta": 2.0})
    assert likelihood(model, x, t_x, n) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("n", [1, 2, 6, 40])
def test_all_that_can_happen_adds_up_to_one(n: int) -> None:
    # With the last purchase in t_x, the other x - 1 lie in any of the t_x - 1 periods before it.
    some = sum(
        comb(t_x - 1, x - 1) * likelihood(known, x, t_x, n) for t_x in range(1, n + 1) for x in range(1, t_x + 1)
    )
    assert some + likelihood(known, 0, 0, n) == pytest.approx(1.0, rel=1e-9)


@given(
    st.lists(st.tuples(st.integers(1, 200), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5),
    st.lists(st.floats(-3, 3), min_size=4, max_size=4),
)
def test_the_gradient_is_that_of_differences(table: list[tuple[int, float, float]], point: list[float]) -> None:
    n, last, often = (np.array(column, dtype=float) for column in zip(*table, strict=True))
    t_x = np.ceil(n * last)
    X = pd.DataFrame({"x": np.minimum(np.ceil(t_x * often), t_x), "t_x": t_x, "n": n})
    X["t_x"] = X["t_x"].where(X["x"] > 0, 0.0)
    model = BetaGeometricBetaBinomial()
    assert_gradient_is_that_of_differences(model, X, np.arange(1.0, len(X) + 1), np.array(point))


def test_parameters_are_recovered_from_simulated_customers() -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        table = known.simulate(rng.integers(4, 10, 20_000), rng)
        assert_recovered(BetaGeometricBetaBinomial().fit(table), TRUTH)


def test_predictions_are_the_means_of_what_the_process_does_next() -> None:
    table = known.simulate(np.full(100_000, 6), np.random.default_rng(1), horizon=5)

    def agrees(said: npt.NDArray[np.float64], done: npt.NDArray[np.float64]) -> bool:
        return bool(abs(np.mean(done - said)) <= 4 * np.std(done - said) / np.sqrt(len(done)))

    for group in (table["x"] == 0, table["x"] == 1, table["x"] > 1, table["x"] == 6):
        part = table[group]
        assert agrees(known.p_alive(part), part["alive"].to_numpy())
        assert agrees(known.p_buys(part, 5), (part["x_star"] > 0).to_numpy())
        assert agrees(known.expected_purchases(part, 5), part["x_star"].to_numpy())
    assert agrees(np.full(100_000, known.expected_purchases_new(6)), table["x"].to_numpy())


def test_expected_purchases_are_equation_13_and_a_single_period_is_a_chance() -> None:
    a, b, c, d = TRUTH.values()
    x, t_x, n, ahead = 3, 5, 6, 4
    X = pd.DataFrame({"x": [x], "t_x": [t_x], "n": [n]})
    ratios = [gamma_function(1 + d + m) / gamma_function(c + d + m) for m in (n, n + ahead)]
    buys = beta_function(a + x + 1, b + n - x) / beta_function(a, b)
    above = buys * d / (c - 1) * gamma_function(c + d) / gamma_function(1 + d) * (ratios[0] - ratios[1])
    assert known.expected_purchases(X, ahead)[0] == pytest.approx(above / likelihood(known, x, t_x, n), rel=1e-9)
    assert known.expected_purchases(X, 1)[0] == pytest.approx(known.p_buys(X, 1)[0], rel=1e-9)
    # Next period: active then, and buys.
    assert known.p_buys(X, 1)[0] == pytest.approx(known.p_alive(X)[0] * (a + x) / (a + b + n), rel=1e-9)


def test_p_alive_falls_with_silence_and_a_purchase_in_the_last_period_settles_it() -> None:
    said = known.p_alive(pd.DataFrame({"x": [2] * 5, "t_x": [6, 5, 4, 3, 2], "n": [6] * 5}))
    assert (np.diff(said) < 0).all()
    assert said[0] == pytest.approx((2.78 + 6) / (0.66 + 2.78 + 6))  # only the next chance to stop is open


def test_expectations_grow_with_the_horizon_within_their_bounds() -> None:
    X = pd.DataFrame({"x": [0, 2, 6], "t_x": [0, 3, 6], "n": [6, 6, 6]})
    horizons = (0, 1, 2, 10, 1_000)
    more = np.array([known.expected_purchases(X, ahead) for ahead in horizons])
    buys = np.array([known.p_buys(X, ahead) for ahead in horizons])
    assert (more[0] == 0).all()
    assert (np.diff(more, axis=0) > 0).all()
    assert (np.diff(buys, axis=0) > -1e-15).all()
    assert (buys <= known.p_alive(X) + 1e-12).all()
    assert (buys <= more + 1e-12).all()


def test_thousands_of_periods_overflow_nothing() -> None:
    X = pd.DataFrame({"x": [3_000, 3_000], "t_x": [4_000, 3_000], "n": [4_000, 4_000]})
    alive, more = known.p_alive(X), known.expected_purchases(X, 100)
    assert alive[0] > 0.99
    assert alive[1] < 1e-100
    assert 70 < more[0] < 75.1
    mixed = pd.concat([X, known.simulate(np.full(5_000, 9), np.random.default_rng(0))])
    assert BetaGeometricBetaBinomial().fit(mixed).convergence_.converged


@pytest.mark.parametrize(("x", "t_x"), [(0, 0), (6, 6), (2, 3)])
def test_one_customer_determines_no_model(x: int, t_x: int) -> None:
    with pytest.warns(ConvergenceWarning, match=r"BetaGeometricBetaBinomial\.fit: not converged"):
        BetaGeometricBetaBinomial().fit(pd.DataFrame({"x": [x], "t_x": [t_x], "n": [6]}))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ((1, 7, 6), "'t_x' is 7 in row 0, but must not exceed n. Count periods from the first purchase."),
        ((4, 3, 6), "'x' is 4 in row 0, but must not exceed t_x. Count each period once."),
        (
            (0, 3, 6),
            "'t_x' is 3 in row 0, but must be 0 where x is 0. Give 0 to customers without a repeat purchase.",
        ),
        ((0, 0, 0), "'n' is 0 for every customer. Give customers seen for a period or more."),
        (
            (1, 1.5, 6),
            "'t_x' is 1.5 in row 0, but must be a whole number, 0 or more. "
            "Give the number of the last period with a purchase, 0 where there is none.",
        ),
    ],
)
def test_what_no_customer_can_be_is_refused(table: tuple[float, float, float], words: str) -> None:
    with pytest.raises(cm.DataError) as caught:
        BetaGeometricBetaBinomial().fit(pd.DataFrame([table], columns=["x", "t_x", "n"]))
    assert str(caught.value) == f"BetaGeometricBetaBinomial.fit: column {words}"

"""BG/NBD and MBG/NBD: the likelihood by brute force, the gradient, known truth, laws and limits."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import hyp2f1, roots_legendre
from scipy.stats import beta, gamma

from crmml.models.btyd.beta_geometric import BGNBD, MBGNBD
from tests.models.btyd.made import assert_gradient_is_that_of_differences, assert_recovered

TRUTH = {"r": 0.5, "alpha": 6.0, "a": 0.8, "b": 2.5}
each = pytest.mark.parametrize("model", [BGNBD, MBGNBD])


def customers(x: list[float], t_x: list[float], T: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"x": x, "t_x": t_x, "T": T})


def log_likelihood(model: Any, X: pd.DataFrame) -> float:
    rows = {name: X[name].to_numpy(dtype=float) for name in ("x", "t_x", "T")}
    point = np.log([getattr(model, f"{name}_") for name in ("r", "alpha", "a", "b")])
    return float(model._objective(rows, np.ones(len(X)))(point)[0])


@each
@pytest.mark.parametrize(("x", "t_x"), [(0, 0.0), (1, 2.5), (3, 7.0)])
def test_the_likelihood_is_the_mean_over_customers_of_the_story(model: Any, x: int, t_x: float) -> None:
    T, coins = 10.0, x + (model is MBGNBD)
    nodes, weights = roots_legendre(100)
    p, rate = (nodes + 1) / 2, (nodes[:, None] + 1) * 4  # rates above 8 are as good as impossible
    # x purchases with silence after the last: alive after every coin, or stopped at the last one.
    survived = (1 - p) ** coins * np.exp(-rate * T)
    stopped = p * (1 - p) ** (coins - 1) * np.exp(-rate * t_x) if coins else 0.0
    density = gamma.pdf(rate, 2.0, scale=1 / 6.0) * beta.pdf(p, 2.0, 3.0)
    story = rate**x * (survived + stopped) * density
    expected = weights @ story @ weights / 2 * 4
    known = model.from_parameters({"r": 2.0, "alpha": 6.0, "a": 2.0, "b": 3.0})
    assert log_likelihood(known, customers([x], [t_x], [T])) == pytest.approx(np.log(expected), abs=1e-9)


rows = st.lists(
    st.tuples(st.integers(0, 3000), st.floats(0, 1), st.floats(0.01, 50)).map(
        lambda row: (row[0], row[1] * row[2] * (row[0] > 0), row[2])
    ),
    min_size=1,
    max_size=6,
)


@each
def test_the_gradient_is_that_of_differences(model: Any) -> None:
    @given(rows, st.lists(st.floats(-3, 3), min_size=4, max_size=4))
    def law(table: list[tuple[int, float, float]], point: list[float]) -> None:
        X = pd.DataFrame(table, columns=["x", "t_x", "T"])
        assert_gradient_is_that_of_differences(model(), X, np.arange(1.0, len(X) + 1), np.array(point))

    law()


@each
def test_parameters_are_recovered_from_simulated_customers(model: Any) -> None:
    known = model.from_parameters(TRUTH)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        table = known.simulate(rng.uniform(26, 52, 20_000), rng)
        assert_recovered(model().fit(table), TRUTH)


@each
def test_predictions_are_the_means_of_what_the_process_does_next(model: Any) -> None:
    known = model.from_parameters(TRUTH)
    table = known.simulate(np.full(60_000, 30.0), np.random.default_rng(1), horizon=26.0)

    def agrees(said: Any, done: Any) -> bool:
        return bool(abs(np.mean(done - said)) <= 4 * np.std(done - said) / np.sqrt(len(done)))

    for group in (table["x"] == 0, table["x"] == 1, table["x"] > 1):
        part = table[group]
        assert agrees(known.p_alive(part), part["alive"].to_numpy())
        assert agrees(known.p_buys(part, 26.0), (part["x_star"] > 0).to_numpy())
        assert agrees(known.expected_purchases(part, 26.0), part["x_star"].to_numpy())
    assert agrees(np.full(60_000, known.expected_purchases_new(30.0)), table["x"].to_numpy())


@pytest.mark.parametrize("a", [0.793, 1.7])
def test_expected_purchases_are_equation_10(a: float) -> None:
    r, alpha, b, x, t_x, T, t = 0.243, 4.414, 2.426, 2, 30.43, 38.86, 39.0
    inner = ((alpha + T) / (alpha + T + t)) ** (r + x) * hyp2f1(r + x, b + x, a + b + x - 1, t / (alpha + T + t))
    below = 1 + a / (b + x - 1) * ((alpha + T) / (alpha + t_x)) ** (r + x)
    expected = (a + b + x - 1) / (a - 1) * (1 - inner) / below
    model = BGNBD.from_parameters({"r": r, "alpha": alpha, "a": a, "b": b})
    assert model.expected_purchases(customers([x], [t_x], [T]), t)[0] == pytest.approx(expected, rel=1e-9)
    new = (a + b - 1) / (a - 1) * (1 - (alpha / (alpha + t)) ** r * hyp2f1(r, b, a + b - 1, t / (alpha + t)))
    assert model.expected_purchases_new(t) == pytest.approx(new, rel=1e-9)


def test_nothing_happens_where_the_formula_divides_by_zero() -> None:
    X = customers([2], [30.0], [39.0])
    around = [
        BGNBD.from_parameters({**TRUTH, "a": a}).expected_purchases(X, 10.0)[0] for a in (1 - 1e-6, 1.0, 1 + 1e-6)
    ]
    assert around[0] > around[1] > around[2]
    assert around[0] - around[2] < 1e-4


@each
def test_p_alive_falls_with_silence_and_is_sure_on_the_day_of_a_purchase_of_many(model: Any) -> None:
    known = model.from_parameters(TRUTH)
    T = np.linspace(20, 200, 50)
    for x in (1, 2, 5, 50):
        said = known.p_alive(customers([x] * 50, [20.0] * 50, T.tolist()))
        assert (np.diff(said) < 0).all()
        # At T = t_x only the last coin is open: stopped a / (a + b + x - 1 + coins at 0), by the beta posterior.
        coins = x + (model is MBGNBD)
        assert said[0] == pytest.approx((2.5 + coins - 1) / (2.5 + coins - 1 + 0.8), rel=1e-12)


def test_without_repeat_purchase_bg_says_alive_and_mbg_doubts() -> None:
    X = customers([0, 0], [0.0, 0.0], [10.0, 100.0])
    assert BGNBD.from_parameters(TRUTH).p_alive(X).tolist() == [1.0, 1.0]
    # Stopped at once, a / (a + b); alive and silent, b / (a + b) (alpha / (alpha + T))^r.
    silent = [2.5 * (6.0 / (6.0 + T)) ** 0.5 for T in (10.0, 100.0)]
    assert MBGNBD.from_parameters(TRUTH).p_alive(X) == pytest.approx([s / (s + 0.8) for s in silent])


@each
def test_expectations_grow_with_the_horizon_and_stay_within_the_rate(model: Any) -> None:
    known = model.from_parameters(TRUTH)
    X = customers([0, 1, 30], [0.0, 9.0, 29.0], [30.0, 30.0, 30.0])
    said = np.array([known.expected_purchases(X, t) for t in (0.0, 0.1, 1.0, 10.0, 1e3, 1e6)])
    assert (said[0] == 0).all()
    assert (np.diff(said, axis=0) > 0).all()
    rate = (0.5 + X["x"]) / (6.0 + X["T"])
    assert (said[2] <= rate * known.p_alive(X)).all()
    buys = np.array([known.p_buys(X, t) for t in (0.0, 1.0, 10.0, 1e6)])
    assert (buys <= known.p_alive(X) + 1e-15).all()
    assert (buys[1:] <= np.array([known.expected_purchases(X, t) for t in (1.0, 10.0, 1e6)])).all()


@each
def test_thousands_of_purchases_overflow_nothing(model: Any) -> None:
    known = model.from_parameters(TRUTH)
    X = customers([5_000, 5_000, 200_000], [364.9, 30.0, 364.999], [365.0] * 3)
    # (6 + 365)^5000 is beyond any float. Regular: nearly (r + x) / (alpha + T) a day, while they stay.
    alive, more = known.p_alive(X), known.expected_purchases(X, 365.0)
    assert np.isfinite(more).all()
    assert alive[1] == 0.0
    assert alive[0] > 0.95
    assert 0.7 * 5000 < more[0] < 5000.5 / 371 * 365
    assert 0.7 * 200_000 < more[2] < 200_000.5 / 371 * 365
    mixed = pd.concat([X, known.simulate(np.full(2_000, 365.0), np.random.default_rng(0))])
    assert model().fit(mixed).convergence_.converged


@each
def test_customers_with_counts_are_customers_in_rows(model: Any) -> None:
    table = model.from_parameters(TRUTH).simulate(np.full(600, 30.0), np.random.default_rng(2))
    counts = np.arange(600) % 4
    once = model().fit(table, sample_weight=counts)
    often = model().fit(table.loc[np.repeat(np.arange(600), counts)])
    for name in ("r", "alpha", "a", "b"):
        assert getattr(once, f"{name}_") == pytest.approx(getattr(often, f"{name}_"), rel=1e-5)
        assert once.standard_errors_[name] == pytest.approx(often.standard_errors_[name], rel=1e-3)
    assert once.log_likelihood_ == pytest.approx(often.log_likelihood_, abs=1e-6)


@each
def test_the_unit_of_time_changes_only_alpha(model: Any) -> None:
    table = model.from_parameters(TRUTH).simulate(np.full(3_000, 30.0), np.random.default_rng(3))
    weeks, days = model().fit(table), model().fit(table.assign(t_x=table["t_x"] * 7, T=table["T"] * 7))
    assert [days.r_, days.alpha_, days.a_, days.b_] == pytest.approx(
        [weeks.r_, 7 * weeks.alpha_, weeks.a_, weeks.b_], rel=1e-4
    )
    # Each purchase's density is per day instead of per week.
    assert days.log_likelihood_ == pytest.approx(weeks.log_likelihood_ - table["x"].sum() * np.log(7), abs=1e-4)

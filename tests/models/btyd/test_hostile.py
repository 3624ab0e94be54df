"""Inputs that break others, for all six models: a right result, a report, or an error that says what to do."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

import crmml as cm

TIMED = ("BGNBD", "MBGNBD", "ParetoNBD")
SIX = (*TIMED, "GammaGamma", "ShiftedBetaGeometric", "BetaGeometricBetaBinomial")


def table(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


def of_all(
    timed: pd.DataFrame, values: pd.DataFrame, renewals: pd.DataFrame, periods: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """The same situation as each of the six models sees it."""
    return dict(zip(SIX, (timed, timed, timed, values, renewals, periods), strict=True))


SITUATIONS = {
    "one purchase each": of_all(
        table(x=[0] * 6, t_x=[0.0] * 6, T=[1.0, 2, 3, 5, 8, 13]),
        table(x=[1] * 4, m_x=[3.0, 5, 8, 40]),
        table(t=[1, 2, 3], churned=[0, 0, 0]),
        table(x=[0] * 4, t_x=[0] * 4, n=[1, 2, 3, 4]),
    ),
    "one customer": of_all(
        table(x=[3], t_x=[8.0], T=[9.0]),
        table(x=[3], m_x=[9.0]),
        table(t=[3], churned=[1]),
        table(x=[3], t_x=[5], n=[6]),
    ),
    "all alike": of_all(
        table(x=[9] * 5, t_x=[9.0] * 5, T=[9.0] * 5),
        table(x=[2, 3, 4], m_x=[5.0] * 3),
        table(t=[1] * 5, churned=[1] * 5),
        table(x=[6] * 5, t_x=[6] * 5, n=[6] * 5),
    ),
}
CASES = [(situation, name) for situation, tables in SITUATIONS.items() for name in tables]
QUESTIONS = {"GammaGamma": "expected_value", "ShiftedBetaGeometric": "expected_renewals"}


def answer(model: Any, X: pd.DataFrame, horizon: int) -> Any:
    """What a model is asked first."""
    question = QUESTIONS.get(type(model).__name__, "expected_purchases")
    options = {} if question == "expected_value" else {"horizon": horizon}
    return getattr(model, question)(X, **options)


@pytest.mark.parametrize(("situation", "name"), CASES)
def test_too_little_is_reported_and_a_penalty_helps(situation: str, name: str) -> None:
    X = SITUATIONS[situation][name]
    with pytest.warns(ConvergenceWarning) as caught:
        model = getattr(cm, name)().fit(X)
    (warning,) = caught
    assert str(warning.message) == f"{name}.fit: {model.convergence_.message}."
    assert model.convergence_.message.startswith("not converged: ")
    assert model.convergence_.message.endswith(
        ": fit more customers, set a penalty such as penalty=0.1, or raise max_iter"
    )
    assert np.isfinite(model.log_likelihood_)
    assert np.isfinite(answer(model, X, 12)).all()
    helped = getattr(cm, name)(penalty=0.1).fit(X)  # no warning, which would be an error here
    assert helped.convergence_.converged
    assert (answer(helped, X, 12) >= 0).all()


@pytest.mark.parametrize(
    ("name", "X", "words"),
    [
        *(
            (name, table(x=[0, 2], t_x=[0.0, 0.0], T=[0.0, 0.0]),
             "column 'T' is 0 for every customer: all are seen on the day of their first purchase only, which says "
             "nothing about later ones. Give a later end of observation.")
            for name in TIMED
        ),
        ("GammaGamma", table(x=[0, 0], m_x=[np.nan, np.nan]),
         "column 'x' is 0 for every customer. Give customers with purchases."),
        ("ShiftedBetaGeometric", table(t=[0, 0], churned=[0, 0]),
         "column 't' is 0 for every customer. Give customers with a renewal behind them."),
        ("BetaGeometricBetaBinomial", table(x=[0, 0], t_x=[0, 0], n=[0, 0]),
         "column 'n' is 0 for every customer. Give customers seen for a period or more."),
        ("GammaGamma", table(x=[2, 1], m_x=[5.0, 0.0]),
         "column 'm_x' is 0 in row 1, but must be above 0 where x is above 0. "
         "Leave such customers out: X[X['m_x'] > 0]."),
        ("GammaGamma", table(x=[2, 1], m_x=[-3.5, 4.0]),
         "column 'm_x' is -3.5 in row 0, but must be above 0 where x is above 0. "
         "Leave such customers out: X[X['m_x'] > 0]."),
        ("GammaGamma", table(x=[2, 1], m_x=[3.5, np.nan]),
         "column 'm_x' is nan in row 1, but must be a finite number. Leave the row out."),
    ],
)  # fmt: skip
def test_what_says_nothing_is_refused(name: str, X: pd.DataFrame, words: str) -> None:
    with pytest.raises(cm.DataError) as caught:
        getattr(cm, name)().fit(X)
    assert str(caught.value) == f"{name}.fit: {words}"


BUSY: dict[str, dict[str, float]] = {
    "BGNBD": {"r": 20.0, "alpha": 0.5, "a": 0.05, "b": 30.0},
    "MBGNBD": {"r": 20.0, "alpha": 0.5, "a": 0.05, "b": 30.0},
    "ParetoNBD": {"r": 20.0, "alpha": 0.5, "s": 0.6, "beta": 100.0},
    "GammaGamma": {"p": 6.0, "q": 4.0, "gamma": 15.0},
    "ShiftedBetaGeometric": {"alpha": 0.7, "beta": 300.0},
    "BetaGeometricBetaBinomial": {"alpha": 3.0, "beta": 1.0, "gamma": 0.7, "delta": 1_000.0},
}


@pytest.mark.parametrize("name", SIX)
def test_thousands_of_purchases_of_each_customer_are_no_overflow(name: str) -> None:
    rng = np.random.default_rng(1)
    known = getattr(cm, name).from_parameters(BUSY[name])
    # What one buyer of thousands spends says all about the mean and nothing about p: others buy once.
    sizes = {
        "GammaGamma": np.where(np.arange(1_500) % 3 == 0, 5_000, 1),
        "BetaGeometricBetaBinomial": np.full(200, 2_000),
    }
    drawn = known.simulate(sizes.get(name, np.full(1_500, 100 if name in TIMED else 5_000)), rng)
    assert drawn["t" if name == "ShiftedBetaGeometric" else "x"].max() > 1_500
    model = getattr(cm, name)().fit(drawn)
    assert model.convergence_.converged, model.convergence_.message
    for key, true in BUSY[name].items():
        error = model.standard_errors_[key] / getattr(model, f"{key}_")
        assert abs(np.log(getattr(model, f"{key}_") / true)) < 3.5 * error, key
    assert np.isfinite(answer(model, drawn, 12)).all()


LONG_AGO = table(x=[0, 3, 40], t_x=[0.0, 20.0, 39.0], T=[39.0, 39.0, 39.0])


@pytest.mark.parametrize("name", TIMED)
def test_a_horizon_longer_than_the_history_only_adds(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing overflows on the way
        parameters = {"r": 0.5, "alpha": 6.0, "a": 0.8, "b": 2.5}
        model = getattr(cm, name).from_parameters(
            {"r": 0.5, "alpha": 6.0, "s": 0.8, "beta": 9.0} if name == "ParetoNBD" else parameters
        )
        spans = [0.0, 13.0, 39.0, 390.0, 1e6, 1e12]
        expected = np.array([model.expected_purchases(LONG_AGO, span) for span in spans])
        buys = np.array([model.p_buys(LONG_AGO, span) for span in spans])
    assert np.isfinite(expected).all()
    assert (np.diff(expected, axis=0) >= 0).all()
    assert (np.diff(buys, axis=0) >= -1e-12).all()
    assert (expected[0] == 0).all()
    assert (buys[0] == 0).all()
    # In all eternity, whoever is alive buys again before stopping; by Pareto/NBD, not everybody.
    alive = model.p_alive(LONG_AGO)
    assert (buys[-1] <= alive + 1e-12).all()
    if name != "ParetoNBD":
        assert buys[-1] == pytest.approx(alive, abs=1e-5)


def test_periods_beyond_the_history_only_add() -> None:
    renews = cm.ShiftedBetaGeometric.from_parameters({"alpha": 0.7, "beta": 3.8})
    buys = cm.BetaGeometricBetaBinomial.from_parameters({"alpha": 1.2, "beta": 0.75, "gamma": 0.66, "delta": 2.78})
    customers, donors = table(t=[0, 5], churned=[0, 0]), table(x=[0, 3, 6], t_x=[0, 4, 6], n=[6, 6, 6])
    spans = [0, 1, 6, 60, 10**6]
    for model, X in ((renews, customers), (buys, donors)):
        expected = np.array([answer(model, X, span) for span in spans])
        assert np.isfinite(expected).all()
        assert (np.diff(expected, axis=0) > 0).all()
        assert (expected <= np.array(spans)[:, None]).all()

"""What is refused, and in which words; what is merged; where a fit says that it cannot tell."""

import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import crmml as cm
from crmml.models.btyd._inputs import each_different, merged

GOOD = pd.DataFrame({"x": [2, 0, 1], "t_x": [5.0, 0.0, 3.0], "T": [9.0, 9.0, 8.0]})


def message(error: type[Exception], call: Any) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": [2, -1, 1]}, "'x' is -1 in row 1, but must be a whole number, 0 or more. "
         "Give the number of repeat purchases, without the first."),
        ({"x": [2, 0, 1.5]}, "'x' is 1.5 in row 2, but must be a whole number, 0 or more. "
         "Give the number of repeat purchases, without the first."),
        ({"T": [9.0, np.nan, 8.0]}, "'T' is nan in row 1, but must be a finite number. Leave the row out."),
        ({"T": [9.0, np.inf, 8.0]}, "'T' is inf in row 1, but must be a finite number. Leave the row out."),
        ({"T": [9.0, -2, 8.0]}, "'T' is -2 in row 1, but must be 0 or more. Give the time from the first purchase."),
        ({"t_x": [-5, 0, 3.0]}, "'t_x' is -5 in row 0, but must be 0 or more. Give the time from the first purchase."),
        ({"t_x": [9.5, 0, 3.0]}, "'t_x' is 9.5 in row 0, but must not exceed T. Give the time of the last purchase."),
        ({"t_x": [5.0, 4, 3.0]}, "'t_x' is 4 in row 1, but must be 0 where x is 0. "
         "Give 0 to customers without a repeat purchase."),
    ],
)  # fmt: skip
def test_a_value_that_no_customer_can_have_is_refused(change: dict[str, Any], words: str) -> None:
    wrong = GOOD.assign(**change)
    assert message(cm.DataError, lambda: cm.BGNBD().fit(wrong)) == f"BGNBD.fit: column {words}"
    known = cm.BGNBD.from_parameters({"r": 1.0, "alpha": 1.0, "a": 1.0, "b": 1.0})
    assert message(cm.DataError, lambda: known.p_alive(wrong)) == f"BGNBD.p_alive: column {words}"


def test_a_table_without_its_columns_is_refused() -> None:
    assert message(cm.SchemaError, lambda: cm.BGNBD().fit(GOOD.rename(columns={"t_x": "tx"}))) == (
        "BGNBD.fit: X has no column 't_x'. Did you mean 'tx'? Give the columns x, t_x, T."
    )
    assert message(cm.SchemaError, lambda: cm.BGNBD().fit(GOOD.to_numpy())) == (
        "BGNBD.fit: X is a ndarray. Give a pandas DataFrame with the columns x, t_x, T."
    )
    assert message(cm.SchemaError, lambda: cm.BGNBD().fit(GOOD.assign(T="9"))).startswith(
        "BGNBD.fit: column 'T' holds text (9), and this model reads numbers."
    )
    assert message(cm.DataError, lambda: cm.BGNBD().fit(GOOD.head(0))) == (
        "BGNBD.fit: X has no rows. Give one row or more, a customer each."
    )


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([1, 2], "sample_weight has the shape (2,). Give one weight per row: (3,)."),
        ([1, -2, 3], "sample_weight is -2 in row 1. Give the number of customers that the row stands for, 0 or more."),
        ([0, 0, 0], "sample_weight is 0 in every row. Give at least one row a weight, such as 1."),
    ],
)
def test_weights_that_count_nobody_are_refused(weights: list[int], words: str) -> None:
    assert message(cm.DataError, lambda: cm.BGNBD().fit(GOOD, sample_weight=weights)) == f"BGNBD.fit: {words}"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (cm.BGNBD(penalty=-1), "penalty=-1 must be a number, 0 or more. Use penalty=0.0, the default."),
        (cm.BGNBD(penalty=np.inf), "penalty=inf must be a number, 0 or more. Use penalty=0.0, the default."),
        (cm.BGNBD(max_iter=0), "max_iter=0 must be a whole number, 1 or more. Use max_iter=500, the default."),
    ],
)
def test_a_parameter_out_of_range_is_refused(model: Any, words: str) -> None:
    assert message(cm.ConfigError, lambda: model.fit(GOOD)) == f"BGNBD: {words}"


def test_parameters_and_horizons_that_make_no_model_are_refused() -> None:
    make = cm.BGNBD.from_parameters
    assert message(cm.ConfigError, lambda: make({"r": 1.0, "alpha": 1.0, "a": 1.0})) == (
        "BGNBD.from_parameters: 'b' is missing. Give r, alpha, a, b."
    )
    assert message(cm.ConfigError, lambda: make({"r": 1.0, "alpha": 1.0, "a": 1.0, "b": 1.0, "s": 1.0})) == (
        "BGNBD.from_parameters: 's' is no parameter of it. Give r, alpha, a, b."
    )
    assert message(cm.ConfigError, lambda: make({"r": 1.0, "alpha": 0.0, "a": 1.0, "b": 1.0})) == (
        "BGNBD.from_parameters: alpha=0.0 must be a finite number above 0. Use alpha=1.0."
    )
    known = make({"r": 1.0, "alpha": 1.0, "a": 1.0, "b": 1.0})
    assert message(cm.ConfigError, lambda: known.expected_purchases(GOOD, "30d")) == (
        "BGNBD.expected_purchases: horizon='30d' must be a finite number, 0 or more. Use horizon=30."
    )
    assert message(cm.DataError, lambda: known.simulate([3.0, -1.0], np.random.default_rng(0))) == (
        "BGNBD.simulate: T must hold finite numbers, 0 or more, in one dimension. Use T=[30, 40]."
    )
    with pytest.raises(NotFittedError):
        cm.BGNBD().p_alive(GOOD)


def test_customers_seen_on_one_day_only_say_nothing() -> None:
    one_day = pd.DataFrame({"x": [0, 2], "t_x": [0.0, 0.0], "T": [0.0, 0.0]})
    assert message(cm.DataError, lambda: cm.BGNBD().fit(one_day)) == (
        "BGNBD.fit: column 'T' is 0 for every customer: all are seen on the day of their first purchase only, "
        "which says nothing about later ones. Give a later end of observation."
    )
    assert message(cm.DataError, lambda: cm.GammaGamma().fit(pd.DataFrame({"x": [0], "m_x": [0.0]}))) == (
        "GammaGamma.fit: column 'x' is 0 for every customer. Give customers with purchases."
    )


@pytest.mark.parametrize(
    ("model", "table"),
    [
        (cm.BGNBD(), pd.DataFrame({"x": [0] * 5, "t_x": [0.0] * 5, "T": [1.0, 5, 6, 7, 9]})),  # nobody came back
        (cm.BGNBD(), GOOD.head(1)),  # one customer
        (cm.BGNBD(), pd.DataFrame({"x": [3] * 9, "t_x": [8.0] * 9, "T": [9.0] * 9})),  # all alike
        (cm.MBGNBD(), pd.DataFrame({"x": [0] * 5, "t_x": [0.0] * 5, "T": [1.0, 5, 6, 7, 9]})),
        (cm.ParetoNBD(), pd.DataFrame({"x": [0] * 5, "t_x": [0.0] * 5, "T": [1.0, 5, 6, 7, 9]})),
        (cm.ParetoNBD(), GOOD.head(1)),
        (cm.GammaGamma(), pd.DataFrame({"x": [2], "m_x": [9.0]})),
        (cm.GammaGamma(), pd.DataFrame({"x": [2, 3, 4], "m_x": [9.0, 9.0, 9.0]})),
    ],
)
def test_data_that_determine_no_model_are_reported(model: Any, table: pd.DataFrame) -> None:
    with pytest.warns(ConvergenceWarning, match=rf"{type(model).__name__}\.fit: not converged: "):
        model.fit(table)
    assert not model.convergence_.converged
    assert "set a penalty such as penalty=0.1" in model.convergence_.message
    assert np.isfinite(model.log_likelihood_)
    type(model)(penalty=0.1).fit(table)  # no warning, which would be an error here


def test_a_search_cut_short_is_finished_or_reported() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        table = cm.BGNBD.from_parameters({"r": 0.5, "alpha": 6.0, "a": 0.8, "b": 2.5}).simulate(
            np.full(2_000, 30.0), np.random.default_rng(0)
        )
        short, full = cm.BGNBD(max_iter=1).fit(table), cm.BGNBD().fit(table)
    same = np.isclose(short.log_likelihood_, full.log_likelihood_, atol=1e-5)
    assert bool(same) == short.convergence_.converged


def test_the_penalty_draws_the_parameters_to_one() -> None:
    table = cm.BGNBD.from_parameters({"r": 0.3, "alpha": 6.0, "a": 0.4, "b": 2.5}).simulate(
        np.full(3_000, 30.0), np.random.default_rng(0)
    )
    sizes = []
    for penalty in (0.0, 1.0, 100.0, 1e6):
        model = cm.BGNBD(penalty=penalty).fit(table)
        logs = np.log([model.r_, model.alpha_ / 30.0, model.a_, model.b_])
        sizes.append((logs @ logs, model.log_likelihood_))
    assert all(after[0] < before[0] and after[1] < before[1] for before, after in pairwise(sizes))
    assert sizes[-1][0] < 1e-4


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=30))
def test_merging_keeps_every_customer(table: list[tuple[int, int, int]]) -> None:
    values = np.array(table, dtype=float)
    weights = values[:, 2] + 1.0
    rows = {"x": values[:, 0], "T": values[:, 1]}
    fewer, counts = merged(rows, weights)
    assert counts.sum() == weights.sum()
    for x in range(3):
        for T in range(3):
            before = weights[(rows["x"] == x) & (rows["T"] == T)].sum()
            assert counts[(fewer["x"] == x) & (fewer["T"] == T)].sum() == before
    assert (
        each_different(rows, lambda some: 10 * some["x"] + some["T"]).tolist() == (10 * rows["x"] + rows["T"]).tolist()
    )


def test_the_state_brings_the_model_back() -> None:
    table = cm.BGNBD.from_parameters({"r": 0.5, "alpha": 6.0, "a": 0.8, "b": 2.5}).simulate(
        np.full(2_000, 30.0), np.random.default_rng(0)
    )
    model = cm.BGNBD().fit(table)
    back = cm.BGNBD().set_state(model.get_state())
    assert back.expected_purchases(table, 9.0).tobytes() == model.expected_purchases(table, 9.0).tobytes()
    assert back.standard_errors_ == model.standard_errors_
    with pytest.raises(cm.BundleError, match="must hold numbers above 0"):
        back.set_state(model.get_state() | {"parameters": np.array([1.0, 1.0, 0.0, 1.0])})
    assert back.r_ == model.r_

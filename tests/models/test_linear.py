"""The regression beside scikit-learn's on inputs made by hand, and what it does with columns that say nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from crmml.models._linear import Linear
from crmml.models._state import StateReader


def table(seed: int = 0, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.gamma(1.0, 10.0, size=(n, 3)) * [1, -1, 1]
    X[rng.random(n) < 0.3, 2] = np.nan
    return X, rng.random(n) < 1 / (1 + np.exp(-(np.log1p(X[:, 0]) - 2 + np.isnan(X[:, 2]))))


def test_it_is_a_ridge_regression_on_standardised_logarithms_and_flags() -> None:
    X, y = table()
    z = np.sign(X) * np.log1p(np.abs(X))
    flag = np.isnan(z[:, 2])
    medians = np.nanmedian(z, axis=0)
    filled = np.where(np.isnan(z), medians, z)
    inputs = np.clip((filled - medians) / filled.std(axis=0), -5, 5)
    design = np.column_stack([inputs, flag])
    expected = LogisticRegression(C=0.1, tol=1e-10, max_iter=10_000).fit(design, y).decision_function(design)
    assert Linear.train(X, y).raw(X) == pytest.approx(expected, abs=1e-4)


def test_contributions_are_what_a_row_has_beyond_the_middle_customer() -> None:
    X, y = table()
    model = Linear.train(X, y)
    middle = np.nanmedian(X, axis=0)[None, :]  # the median of logarithms is the logarithm of the median, n being even
    rest = model.raw(X) - model.contributions(X).sum(axis=1)
    assert rest == pytest.approx(np.full(len(X), rest[0]), abs=1e-12)
    assert model.raw(middle)[0] == pytest.approx(rest[0], abs=0.05)
    assert model.contributions(X)[np.isnan(X[:, 2]), 2].min() > 0  # who is missing there leaves more often


def test_columns_without_values_or_spread_weigh_nothing() -> None:
    X, y = table()
    wide = np.column_stack([X, np.full(len(X), np.nan), np.full(len(X), 7.0), np.full(len(X), 1e300)])
    assert Linear.train(wide, y).raw(wide) == pytest.approx(Linear.train(X, y).raw(X), abs=1e-9)
    nothing = Linear.train(np.ones((4, 1)), np.array([True, False, False, False])).raw(np.zeros((1, 1)))
    assert nothing[0] == pytest.approx(np.log(2 / 4))  # (1 + 1) / (4 + 2), as odds 2 : 4


@given(st.lists(st.floats(allow_nan=True, allow_infinity=False), min_size=3, max_size=3))
def test_any_number_gives_a_finite_score(values: list[float]) -> None:
    model = MODEL
    assert np.isfinite(model.raw(np.array([values]))).all()


MODEL = Linear.train(*table())


def test_the_state_predicts_the_same_to_the_last_bit() -> None:
    X, _ = table(1)
    again = Linear.from_state(StateReader(MODEL.state(), "test"), 3)
    assert again.raw(X).tobytes() == MODEL.raw(X).tobytes()

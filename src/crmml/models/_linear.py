"""Logistic regression on any table of numbers: what trees see in steps, it sees as one slope per column."""

from typing import Self

import numpy as np
from sklearn.linear_model import LogisticRegression

from crmml.models._base import Bools, Floats, State
from crmml.models._state import StateReader

# On standardised inputs: strong enough for a hundred columns and a few hundred rows.
_PENALTY = 10.0
_FAR = 5.0  # standard deviations; what lies farther off pulls no harder


class Linear:
    """L2-penalised logistic regression of sign(x) log(1 + |x|), standardised; missing values as the median and a flag.

    The fit is scikit-learn's (Newton's method with a Cholesky factor: a few steps, no step size to choose); what it
    learned is an array, and predicting is a product of matrices.

    Args:
        columns: Rows: median, 1 / standard deviation (0 where there is none), weight of the value, weight of the flag;
            shape (4, columns).
        intercept: The log odds of a customer who is at the median of everything.
    """

    def __init__(self, columns: Floats, intercept: float) -> None:
        self._columns = columns
        self._intercept = intercept

    @classmethod
    def train(cls, X: Floats, positive: Bools) -> Self:
        """Learn from rows of both classes."""
        z = _logarithms(X)
        absent = np.isnan(z)
        median = np.nanmedian(np.where(absent.all(axis=0), 0.0, z), axis=0)
        spread = np.where(absent, median, z).std(axis=0)
        # A spread of rounding errors is none: standardised, it would shout.
        scale = np.where(spread > 1e-9 * (1.0 + np.abs(median)), 1.0 / np.maximum(spread, 1e-300), 0.0)
        columns = np.vstack([median, scale, np.zeros_like(median), np.zeros_like(median)])
        values, flags = _inputs(z, columns)
        used, flagged = np.flatnonzero(scale), np.flatnonzero(absent.any(axis=0) & ~absent.all(axis=0))
        design = np.column_stack([values[:, used], flags[:, flagged]])
        if design.shape[1] == 0:
            share = (positive.sum() + 1.0) / (len(positive) + 2.0)
            return cls(columns, float(np.log(share / (1.0 - share))))
        fitted = LogisticRegression(C=1.0 / _PENALTY, solver="newton-cholesky", max_iter=50).fit(design, positive)
        columns[2, used], columns[3, flagged] = np.split(fitted.coef_[0], [len(used)])
        return cls(columns, float(fitted.intercept_[0]))

    def raw(self, X: Floats) -> Floats:
        """Log odds, shape (rows,)."""
        values, flags = _inputs(_logarithms(X), self._columns)
        raw: Floats = values @ self._columns[2] + flags @ self._columns[3] + self._intercept
        return raw

    def contributions(self, X: Floats) -> Floats:
        """What each column adds to the log odds of a customer at the median, shape (rows, columns)."""
        values, flags = _inputs(_logarithms(X), self._columns)
        parts: Floats = values * self._columns[2] + flags * self._columns[3]
        return parts

    def state(self) -> State:
        """What was learned, as arrays."""
        return {"linear": self._columns, "linear_intercept": np.array([self._intercept])}

    @classmethod
    def from_state(cls, reader: StateReader, n_features: int) -> Self:
        """The model from the keys that `state` gives."""
        columns = reader.finite("linear", (4, n_features))
        return cls(columns, float(reader.finite("linear_intercept", (1,))[0]))


def _logarithms(X: Floats) -> Floats:
    logarithms: Floats = np.sign(X) * np.log1p(np.abs(X))
    return logarithms


def _inputs(z: Floats, columns: Floats) -> tuple[Floats, Floats]:
    """Standardised values, 0 where they are missing, and flags of what is; each shape (rows, columns)."""
    absent = np.isnan(z)
    values = np.where(absent, 0.0, (z - columns[0]) * columns[1])
    return np.clip(values, -_FAR, _FAR), absent.astype(np.float64)

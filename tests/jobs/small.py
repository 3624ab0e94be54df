"""A log small enough to compute every metric by hand, and models whose scores are a column of the table.

Days are counted from 2024-01-01. Cutoffs are day 30, 40 and 50, the horizon is 10 days: each cutoff lies exactly
one horizon after the one before.
"""

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

import crmml as cm

START = pd.Timestamp("2024-01-01", tz="UTC")
PURCHASES = {"a": [5, 25, 33, 45, 55], "b": [28, 38, 52], "c": [10, 35], "d": [29], "e": [20, 42], "end": [61]}
AMOUNTS = {"a": 10.0, "b": 20.0, "c": 5.0, "d": 8.0, "e": 40.0, "end": 1.0}
ITEMS = {"a": "xyxzz", "b": "xyz", "c": "yx", "d": "x", "e": "xz", "end": "x"}
CHURN = cm.Churn("10d", event_type="purchase")
SPEND = cm.Spend("10d", event_type="purchase")
# Every table that a model below was fitted on, in this test.
FITS: list[tuple[pd.DataFrame, pd.Series]] = []


def day(number: int) -> pd.Timestamp:
    """The moment `number` days after the start."""
    return (START + pd.Timedelta(number, unit="D")).as_unit("us")


CUTOFFS = (day(30), day(40), day(50))


def small_frame(purchases: dict[str, list[int]] = PURCHASES) -> pd.DataFrame:
    """One row per purchase."""
    rows = [
        {"who": who, "at": day(number), "value": AMOUNTS.get(who, 1.0), "sku": ITEMS.get(who, "x" * 99)[place]}
        for who, days in purchases.items()
        for place, number in enumerate(days)
    ]
    return pd.DataFrame(rows)


def small_log(frame: pd.DataFrame | None = None, **roles: Any) -> cm.InteractionLog:
    """The log of a frame like `small_frame()`; every event is a purchase."""
    roles = {"event_type": cm.Constant("purchase"), "item_id": "sku", "amount": "value"} | roles
    return cm.InteractionLog(small_frame() if frame is None else frame, customer_id="who", timestamp="at", **roles)


class _FromColumn(BaseEstimator):  # type: ignore[misc]
    """Scores with one column divided by 100, and keeps every table that it was fitted on in FITS."""

    def __init__(self, column: str = "recency_purchase") -> None:
        self.column = column

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        FITS.append((X, y))
        self.classes_ = np.unique(y)
        return self

    def _values(self, X: pd.DataFrame) -> Any:
        return X[self.column].to_numpy(np.float64)


class ColumnClassifier(ClassifierMixin, _FromColumn):  # type: ignore[misc]
    """p = column / 100."""

    def predict_proba(self, X: pd.DataFrame) -> Any:
        p = self._values(X) / 100
        return np.column_stack([1 - p, p])


class ColumnRegressor(RegressorMixin, _FromColumn):  # type: ignore[misc]
    """The column itself."""

    def predict(self, X: pd.DataFrame) -> Any:
        return self._values(X)

"""Tiers of customers by what they are worth: the few who bring most of the revenue, and the many who do not."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from crmml.errors import ConfigError, DataError
from crmml.models._base import Floats, Ints, State, check_parameters
from crmml.models._segmenter import Segmenter, column_names
from crmml.models._state import StateReader

_MEASURES = ("revenue", "customers")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class ValueTiers(Segmenter):
    """Tiers by value, best first: A, B, C, ... with limits that are learned once.

    The first column of `X` is what a customer is worth (revenue of a year, say); further columns only stand in the
    gradient table. `by="revenue"`: tier A are the best customers who together bring the first of the `shares` of the
    revenue (V. Pareto's 80/20; H. F. Dickie, ABC inventory analysis, 1951), B those up to the second, and so on.
    `by="customers"`: A are the best 20 % of the customers, where the first share is .2. Equal values are in one
    tier, the better one. Whoever has no value (missing, 0 or below) is in the last.

    The limits are values in the column's own unit: tomorrow's customers move nobody.

    Parameters:
        shares: Where a tier ends, as rising shares above 0 and below 1; the last tier is what remains.
        by: "revenue" or "customers": what the shares are of.

    Attributes:
        segments_: Names of the tiers, "A" first; `predict` gives positions in it.
        limits_: The least value of each tier but the last, falling.
        feature_names_in_: Names of the columns of `fit`, where it got a table with names.
        n_features_in_: Number of columns.

    >>> X = pd.DataFrame({"revenue": [500, 300, 100, 60, 30, 10, 0]})
    >>> model = ValueTiers(shares=(0.8, 0.95)).fit(X)
    >>> model.segment(X).tolist()
    ['A', 'A', 'B', 'B', 'C', 'C', 'C']
    >>> print(model.gradient().round(2).rename_axis(None).to_string())
       customers  customer_share  revenue  revenue_share  least    mean  step_up
    A          2            0.29    800.0           0.80  300.0  400.00      NaN
    B          2            0.29    160.0           0.16   60.0   80.00   320.00
    C          3            0.43     40.0           0.04    0.0   13.33    66.67
    """

    def __init__(self, shares: Sequence[float] = (0.8, 0.95), *, by: str = "revenue") -> None:
        self.shares = shares
        self.by = by

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: Any, y: object = None) -> Self:
        """Learn the limits.

        Args:
            X: The value in the first column, shape (rows, 1 or more).
            y: Ignored.

        Raises:
            ConfigError: `shares` do not rise between 0 and 1, or `by` is unknown.
            SchemaError: A column with text or dates.
            DataError: An infinite value, no rows, or nobody with a value above 0.
        """
        check_parameters(self)
        shares = self._checked_shares()
        values, _ = self._check_fitting(X)
        worth = values[:, 0]
        above = np.sort(worth[worth > 0])[::-1]
        if not len(above):
            raise DataError(
                f"{type(self).__name__}.fit: nobody has a {column_names(self)[0]!r} above 0 among {len(worth)} rows, "
                "so there is no revenue to divide. Give the column of the value first."
            )
        if self.by == "revenue":
            sums = np.cumsum(above)
            last = np.searchsorted(sums, shares * sums[-1] * (1 - 1e-12))  # the first customer to reach the share
        else:
            last = np.ceil(shares * len(worth) * (1 - 1e-12)).astype(np.int64) - 1
        self.limits_ = above[np.minimum(last, len(above) - 1)]
        self.segments_ = np.array(list(_LETTERS[: len(shares) + 1]))
        self._gradient = _sums(values, self._tiers(worth), len(self.segments_))
        return self

    def gradient(self) -> pd.DataFrame:
        """The customer gradient: what each tier is worth, and what a step up from it would bring.

        Returns:
            Index `segment`, the best tier first. `customers` and `customer_share`; `revenue` (the sum of the values)
            and `revenue_share`; `least`, the value at which the tier begins (for the last one the least there is);
            `mean` value; `step_up`, the difference of the means of the tier above and this one: what a customer
            brings who moves up and then is like those above (an assumption, no promise). Then the mean of each
            further column, missing values left out.

        Raises:
            sklearn.exceptions.NotFittedError: Before `fit`.
        """
        check_is_fitted(self)
        customers, revenue, least, *further = self._gradient.T
        mean = np.divide(revenue, customers, out=np.full(len(revenue), np.nan), where=customers > 0)
        table = pd.DataFrame(
            {
                "customers": customers.astype(np.int64),
                "customer_share": customers / customers.sum(),
                "revenue": revenue,
                "revenue_share": revenue / revenue.sum(),
                "least": [*self.limits_, least[-1]],
                "mean": mean,
                "step_up": [np.nan, *(mean[:-1] - mean[1:])],
            },
            index=pd.Index(self.segments_.tolist(), name="segment"),
        )
        for name, column in zip(column_names(self)[1:], further, strict=True):
            table.insert(table.shape[1], name, column, allow_duplicates=True)
        return table

    def _checked_shares(self) -> Floats:
        name = type(self).__name__
        if self.by not in _MEASURES:
            raise ConfigError(
                f"{name}: by={self.by!r} must be one of 'revenue', 'customers'. Use by='revenue', the default."
            )
        given = self.shares
        numbers = isinstance(given, list | tuple) and all(
            isinstance(share, int | float) and not isinstance(share, bool) for share in given
        )
        shares = np.array(given if numbers else [], dtype=np.float64)
        rise = np.all(np.diff(shares, prepend=0.0, append=1.0) > 0)
        if not 1 <= len(shares) < len(_LETTERS) or not rise:
            raise ConfigError(
                f"{name}: shares={given!r} must be 1 to {len(_LETTERS) - 1} rising numbers above 0 and below 1. "
                "Use shares=(0.8, 0.95), the default."
            )
        return shares

    def _assign(self, X: Any, method: str) -> Ints:
        return self._tiers(self._check_rows(method, X)[:, 0])

    def _tiers(self, worth: Floats) -> Ints:
        """How many limits each value falls short of; a missing value all of them."""
        short = np.zeros(len(worth), dtype=np.int64)
        for limit in self.limits_:
            short += ~(worth >= limit)
        return short

    def _learned(self) -> State:
        return {"limits": self.limits_, "gradient": self._gradient}

    def _checked_state(self, reader: StateReader, n_features: int) -> dict[str, Any]:
        limits = reader.finite("limits", (None,))
        if not 1 <= len(limits) < len(_LETTERS) or np.any(np.diff(limits) > 0) or limits[-1] <= 0:
            reader.refuse("limits", f"must hold 1 to {len(_LETTERS) - 1} falling values above 0")
        gradient = reader.array("gradient", "f", (len(limits) + 1, 2 + n_features))
        if not np.isfinite(gradient[:, :2]).all() or np.any(gradient[:, 0] < 0) or not gradient[:, 0].sum():
            reader.refuse("gradient", "must hold numbers of customers and sums of values")
        names: npt.NDArray[np.str_] = np.array(list(_LETTERS[: len(limits) + 1]))
        return {"limits_": limits, "_gradient": gradient, "segments_": names}


def _sums(values: Floats, tiers: Ints, count: int) -> Floats:
    """A row per tier: its customers, the sum and the least of their values, the mean of each further column."""
    table = pd.DataFrame(values)
    groups = table.groupby(tiers)
    parts = [groups.size(), groups[0].sum(), groups[0].min(), *(groups[column].mean() for column in table.columns[1:])]
    rows = pd.concat(parts, axis=1).reindex(range(count))
    rows.iloc[:, :2] = rows.iloc[:, :2].fillna(0.0)
    return rows.to_numpy(dtype=np.float64)

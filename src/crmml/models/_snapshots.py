"""The cutoffs of a table's rows, read from its index: rows of one cutoff form a snapshot.

A model learns nothing from a date itself. It needs to know which rows were seen together (their mean), which are
later (probabilities are calibrated on those) and which lie a year before the rows to be scored (the season).
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from crmml.data.time import DAY
from crmml.models._base import Bools, Floats, Ints

YEAR = 365 * DAY


class Snapshots(NamedTuple):
    """The snapshots of a table, from the earliest.

    times: Microseconds since 1970 of each cutoff, rising; (0,) where the table names none.
    codes: For each row, the position of its cutoff in `times`.
    dated: Whether the times are true cutoffs.
    """

    times: Ints
    codes: Ints
    dated: bool

    @property
    def latest(self) -> Bools:
        """Whether a row is of the last cutoff, shape (rows,)."""
        latest: Bools = self.codes == len(self.times) - 1
        return latest

    def means(self, values: Floats) -> Floats:
        """The mean of `values` in each snapshot, shape (snapshots,)."""
        sums = np.bincount(self.codes, weights=values, minlength=len(self.times))
        means: Floats = sums / np.bincount(self.codes, minlength=len(self.times))
        return means


def snapshots_of(X: Any, count: int) -> Snapshots:
    """The snapshots in the index level `as_of` of `X`; one of all `count` rows where there is none.

    >>> at = pd.to_datetime(["2024-02-01", "2024-01-01", "2024-02-01"], utc=True)
    >>> index = pd.MultiIndex.from_arrays([[7, 7, 8], at], names=["customer_id", "as_of"])
    >>> found = snapshots_of(pd.DataFrame({"recency": [1.0, 2.0, 3.0]}, index=index), 3)
    >>> found.codes.tolist(), found.latest.tolist(), found.means(np.array([1.0, 2.0, 3.0])).tolist()
    ([1, 0, 1], [True, False, True], [2.0, 2.0])
    """
    index = getattr(X, "index", None)
    if not isinstance(X, pd.DataFrame) or index is None or "as_of" not in index.names:
        return Snapshots(np.zeros(1, dtype=np.int64), np.zeros(count, dtype=np.int64), dated=False)
    level = index.get_level_values("as_of")
    if not isinstance(level, pd.DatetimeIndex) or level.hasnans:
        return Snapshots(np.zeros(1, dtype=np.int64), np.zeros(count, dtype=np.int64), dated=False)
    if level.tz is not None:
        level = level.tz_convert("UTC").tz_localize(None)
    times, codes = np.unique(level.as_unit("us").to_numpy().astype(np.int64), return_inverse=True)
    return Snapshots(times, codes.astype(np.int64), dated=True)


def year_before(times: Ints, known: Ints, near: int) -> tuple[Ints, Bools]:
    """For each cutoff, which known one is nearest to a year before, and whether it is at most `near` away.

    All in microseconds; `known` holds one or more.

    >>> nearest, there = year_before(np.array([370, 500]) * DAY, np.array([0, 60]) * DAY, 31 * DAY)
    >>> nearest.tolist(), there.tolist()
    ([0, 1], [True, False])
    """
    away = np.abs(times[:, None] - YEAR - known[None, :])
    near_enough: Bools = away.min(axis=1) <= near
    return away.argmin(axis=1), near_enough

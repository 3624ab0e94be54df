"""The clock of the simulated shop: the hours and seasons in which its customers are busy."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

YEAR = 365.25  # days
SEASON = 0.35  # the busiest day has 1.35 times, the calmest 0.65 times the mean activity
BUSIEST = 339  # day of the year: 5 December
# Relative activity by hour of the day (UTC): little at night, a small peak at noon, a large one later.
HOURS = np.array([2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 11, 12, 13, 12, 11, 11, 12, 14, 17, 20, 21, 17, 10, 5], dtype=float)


@dataclass(frozen=True, eq=False)
class Clock:
    """The span of the log, in days since `start`, and its activity: 1 on the mean over a year.

    `busy` and `moment` change between time and *busy time*, which runs faster when customers are busier: a
    Poisson process of constant rate in busy time has hours and seasons in time (Cinlar 1975, section 4.7).

    >>> clock = Clock(pd.Timestamp("2023-01-01", tz="UTC"), 730.0)
    >>> days = np.array([0.0, 150.0, 729.9])
    >>> bool(np.allclose(clock.moment(clock.busy(days)), days))
    True
    """

    start: pd.Timestamp
    days: float

    @property
    def last(self) -> float:
        """The last moment before the end of the log: under a microsecond, or a few for a span of years."""
        return self.days * (1 - 1e-13)

    @cached_property
    def _grid(self) -> Floats:
        """Hours since `start`, in days, to the first hour at or after the end."""
        return np.arange(int(np.ceil(self.days * 24)) + 1) / 24

    @cached_property
    def _busy(self) -> Floats:
        """Busy time at each hour of the grid."""
        midnight = self.start.normalize()
        since_midnight = (self.start - midnight) / pd.Timedelta(days=1)
        middle = self._grid[:-1] + 0.5 / 24 + since_midnight
        hour = np.floor(middle * 24).astype(np.int64) % 24
        season = 1 + SEASON * np.cos(2 * np.pi * (midnight.day_of_year - 1 + middle - BUSIEST) / YEAR)
        activity = season * HOURS[hour] / HOURS.mean()
        return np.concatenate([[0.0], np.cumsum(activity)]) / 24

    def busy(self, time: Floats) -> Floats:
        """Busy time, in days of mean activity, from `start` to `time`."""
        return np.interp(time, self._grid, self._busy)

    def moment(self, busy: Floats) -> Floats:
        """The time at which busy time has reached `busy`; always before the end of the log."""
        return np.minimum(np.interp(busy, self._busy, self._grid), self.last)

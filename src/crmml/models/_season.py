"""How the season moves the total: what came true a year before over what BG/NBD had expected then."""

import numpy as np

from crmml.models._base import Floats, Ints, State
from crmml.models._snapshots import Snapshots
from crmml.models._state import StateReader

_DAY_US = 86_400_000_000
_YEAR_US = 365 * _DAY_US
# A snapshot so near to a year before stands for the same season.
_NEAR_US = 31 * _DAY_US
# With less of a past, expectations are no measure.
_LEAST_PAST = 120.0
_MOST = 4.0


class Season:
    """Factors of the total by cutoff.

    Args:
        times: Microseconds since 1970 of the cutoffs in question, rising.
        factors: What came true over what was expected at each.
    """

    def __init__(self, times: Ints, factors: Floats) -> None:
        self.times = times
        self.factors = factors

    @classmethod
    def learn(cls, snapshots: Snapshots, past: Floats, expected: Floats, actual: Floats) -> "Season":
        """From the totals of each snapshot, and the days of history before it, shape (snapshots,) each."""
        if not snapshots.dated:
            return cls(np.empty(0, dtype=np.int64), np.empty(0))
        known = (past >= _LEAST_PAST) & (expected > 0) & (actual > 0)
        factors = np.clip(actual[known] / expected[known], 1.0 / _MOST, _MOST)
        return cls(snapshots.times[known], factors)

    def of(self, times: Ints) -> Floats:
        """The factor for each cutoff: that of the snapshot nearest to a year before; 1 where none is near.

        >>> day = 86_400_000_000
        >>> Season(np.array([0, 60 * day]), np.array([1.2, 0.8])).of(np.array([0, 370, 430, 500]) * day).tolist()
        [1.0, 1.2, 0.8, 1.0]
        """
        if not len(self.times):
            return np.ones(len(times))
        away = np.abs(times[:, None] - _YEAR_US - self.times)
        nearest = away.argmin(axis=1)
        near = away[np.arange(len(times)), nearest] <= _NEAR_US
        return np.where(near, self.factors[nearest], 1.0)

    def state(self) -> State:
        """The factors as arrays."""
        return {"season_times": self.times, "season_factors": self.factors}

    @classmethod
    def from_state(cls, reader: StateReader) -> "Season":
        """The factors from the keys that `state` gives."""
        times = reader.array("season_times", "i", (None,)).astype(np.int64)
        factors = reader.finite("season_factors", (len(times),))
        if (np.diff(times) <= 0).any():
            reader.refuse("season_times", "must rise")
        if (factors <= 0).any():
            reader.refuse("season_factors", f"must be above 0, not {factors.tolist()}")
        return cls(times, factors)

"""How the season moves the total: what came true a year before over what BG/NBD had expected then."""

import numpy as np

from crmml.data.time import DAY
from crmml.models._base import Floats, Ints, State
from crmml.models._snapshots import Snapshots, year_before
from crmml.models._state import StateReader

# A snapshot so near to a year before stands for the same season.
_NEAR = 31 * DAY
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

        >>> Season(np.array([0, 60]) * DAY, np.array([1.2, 0.8])).of(np.array([0, 370, 430, 500]) * DAY).tolist()
        [1.0, 1.2, 0.8, 1.0]
        """
        if not len(self.times):
            return np.ones(len(times))
        nearest, near = year_before(times, self.times, _NEAR)
        return np.where(near, self.factors[nearest], 1.0)

    def extremes(self) -> tuple[float, float]:
        """The lowest and the highest factor that was seen, with 1 between them.

        >>> Season(np.array([0, 60]) * DAY, np.array([1.2, 1.1])).extremes()
        (1.0, 1.2)
        """
        return float(self.factors.min(initial=1.0)), float(self.factors.max(initial=1.0))

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

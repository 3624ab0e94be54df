"""From raw scores to probabilities: at the level of the season, or half way from the latest labels to BG/NBD's."""

from dataclasses import dataclass

import numpy as np

from crmml.data.time import DAY
from crmml.models._base import Bools, Floats, Ints, State
from crmml.models._blend import BlendTrainer
from crmml.models._folds import N_FOLDS, assign_folds, held_out
from crmml.models._platt import base_rate, fit_level, fit_platt, level_at, log_odds, sigmoid
from crmml.models._snapshots import YEAR, Snapshots, year_before
from crmml.models._state import StateReader

SEASON_KEYS = ("season_times", "season_levels")
_NEAR = 20 * DAY
# A level from so many rows has a standard error of .07 or so: less than what it follows.
_LATEST_ROWS = 1_000
# A young log has seen too little of its customers to tell the season from that: as many horizons must lie before.
_HORIZONS_BEFORE = 2
# Nothing is surer than this.
_CERTAIN = (1e-6, 1.0 - 1e-6)
# Odds that are further apart than this factor are those of two different events.
_SAME_EVENT = 2.0


@dataclass(frozen=True)
class Calibration:
    """p = sigmoid(slope * raw + intercept), the intercept that of a year before where one is known.

    Attributes:
        slope, intercept: Slope 0: everybody has the base rate.
        times: The cutoffs whose level is known, microseconds since 1970, rising, shape (cutoffs,).
        levels: The intercept of each.
    """

    slope: float
    intercept: float
    times: Ints
    levels: Floats

    def intercepts(self, rows: Snapshots) -> Floats:
        """The intercept of each row, shape (rows,)."""
        if not rows.dated or len(self.times) == 0:
            return np.full(len(rows.codes), self.intercept)
        nearest, known = year_before(rows.times, self.times, _NEAR)
        by_cutoff: Floats = np.where(known, self.levels[nearest], self.intercept)
        return by_cutoff[rows.codes]

    def probabilities(self, raw: Floats, rows: Snapshots) -> Floats:
        """Of the positive label, shape (rows,)."""
        return sigmoid(self.slope * raw + self.intercepts(rows))

    def state(self) -> State:
        """Arrays."""
        line = np.array([self.slope, self.intercept])
        return {"calibration": line, "season_times": self.times, "season_levels": self.levels}

    @classmethod
    def from_state(cls, reader: StateReader, *, seasons: bool) -> "Calibration":
        """The map from the keys of `state`, of which an older state has only the first."""
        slope, intercept = reader.finite("calibration", (2,)).tolist()
        if slope < 0:
            reader.refuse("calibration", f"must not turn the ranking round, but its slope is {slope}")
        times, levels = np.empty(0, dtype=np.int64), np.empty(0)
        if seasons:
            times = reader.array("season_times", "i", (None,)).astype(np.int64)
            levels = reader.finite("season_levels", (len(times),))
            if (np.diff(times) <= 0).any():
                reader.refuse("season_times", "must rise")
        return cls(slope, intercept, times, levels)


class Calibrator:
    """Learns the map for the raw scores of a table's blends.

    Args:
        trainer: Trains on some rows.
        X, positive: The table and its labels.
        groups: The customer of each row; None where every row is one.
        snapshots: The cutoffs of the rows.
        ages: Days since each customer's first purchase, shape (rows,); None where that is not known.
        chance: Of the positive label, by a model that has seen no label, shape (rows,); None where there is none.
        reach: How far the labels look ahead, in microseconds; 0 where that is not known.
        n_jobs, seed: As of the classifier.
    """

    def __init__(
        self,
        trainer: BlendTrainer,
        X: Floats,
        positive: Bools,
        *,
        groups: Ints | None,
        snapshots: Snapshots,
        ages: Floats | None,
        chance: Floats | None,
        reach: int,
        n_jobs: int,
        seed: int,
    ) -> None:
        self._trainer, self._X, self._positive = trainer, X, positive
        self._groups, self._snapshots, self._ages, self._reach = groups, snapshots, ages, reach
        self._chance = chance
        self._n_jobs, self._seed = n_jobs, seed

    def learn(self) -> Calibration:
        """One slope for all rows; the level of the latest cutoffs, and of each where they span a year."""
        rows, raw = self._out_of_fold()
        if not len(rows) or _one_class(self._positive[rows]):
            slope, intercept = base_rate(self._positive)
        else:
            slope, intercept = fit_platt(raw, self._positive[rows])
        codes, positive = self._snapshots.codes[rows], self._positive[rows]
        latest = codes >= self._first_of_the_latest(codes)
        if 0 < latest.sum() < len(rows):
            intercept = fit_level(slope * raw[latest], positive[latest])
        if self._leans() and latest.any():
            intercept = self._half_way(slope * raw[latest], intercept, rows[latest])
        known = [code for code in self._seasons() if (codes == code).any()]
        levels = [fit_level(slope * raw[codes == code], positive[codes == code]) for code in known]
        return Calibration(slope, intercept, self._snapshots.times[known], np.array(levels))

    def _leans(self) -> bool:
        """Whether there is a chance that means the same event as the labels, which are of another season."""
        if self._chance is None or not self._snapshots.dated:
            return False
        share, expected = float(self._positive.mean()), float(self._chance.mean())
        return 0.0 < expected < 1.0 and abs(log_odds(share) - log_odds(expected)) <= np.log(_SAME_EVENT)

    def _half_way(self, scaled: Floats, intercept: float, rows: Ints) -> float:
        """From the level of labels that are a horizon old to that of a model without seasons, in log odds."""
        assert self._chance is not None  # noqa: S101 (asked before)
        labelled, expected = float(sigmoid(scaled + intercept).mean()), float(self._chance[rows].mean())
        middle = (log_odds(labelled) + log_odds(np.clip(expected, *_CERTAIN))) / 2.0
        return level_at(scaled, float(sigmoid(np.array(middle))))

    def _first_of_the_latest(self, codes: Ints) -> int:
        """The cutoff from which on there are rows enough for a level; the first where there are not."""
        sizes = np.bincount(codes, minlength=len(self._snapshots.times))
        enough = np.flatnonzero(np.cumsum(sizes[::-1])[::-1] >= _LATEST_ROWS)
        return int(enough[-1]) if len(enough) else 0

    def _seasons(self) -> Ints:
        """The cutoffs that may say what a season is like: of a year, in a log that is old enough."""
        times, codes = self._snapshots.times, self._snapshots.codes
        if not self._snapshots.dated or times[-1] + self._reach - times[0] < YEAR - _NEAR:
            return np.empty(0, dtype=np.int64)
        if self._ages is None:
            return np.arange(len(times))
        oldest = np.zeros(len(times))
        np.fmax.at(oldest, codes, self._ages)
        # Nobody buys at the very moment a log begins.
        return np.flatnonzero((oldest + 1.0) * DAY >= _HORIZONS_BEFORE * self._reach)

    def _out_of_fold(self) -> tuple[Ints, Floats]:
        """Rows and their scores by models that have not seen the customer; none where folds are impossible."""
        positive, groups = self._positive, self._groups
        rows: list[Ints] = [np.empty(0, dtype=np.int64)]
        scores: list[Floats] = [np.empty(0)]
        n_folds = min(N_FOLDS, *(_n_groups(labelled, groups) for labelled in (positive, ~positive)))
        folds = assign_folds(positive.astype(np.float64), groups, max(n_folds, 1), self._seed)
        for train, test in held_out(folds, n_folds if n_folds > 1 else 0):
            if _one_class(positive[train]):
                continue  # customers with rows of both classes can leave a fold with one
            scores.append(self._trainer.train(train).raw(self._X[test], self._n_jobs))
            rows.append(test)
        return np.concatenate(rows), np.concatenate(scores)


def _one_class(positive: Bools) -> bool:
    return bool(positive.all() or not positive.any())


def _n_groups(rows: Bools, groups: Ints | None) -> int:
    return int(rows.sum()) if groups is None else len(np.unique(groups[rows]))

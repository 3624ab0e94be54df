"""Lifetime value on an offset: few small trees that correct two forecasts, whose total stays that of BG/NBD.

The trees begin from the geometric mean of what BG/NBD with Gamma-Gamma expects and of exponentially weighted spend,
each relative to its mean in the snapshot, and learn what is left of the label relative to the mean of its snapshot:
who is worth more than whom. How much all are worth together is what BG/NBD expects, times the factor of the season.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from crmml.models._base import Bools, Floats, Ints, State
from crmml.models._buyers import Buyers
from crmml.models._history import History
from crmml.models._predictive import Calibration, Outlook
from crmml.models._season import Season
from crmml.models._snapshots import Snapshots
from crmml.models._state import StateReader
from crmml.models._trees import Trees, read_trees
from crmml.models._value_learner import LEARNED, SEEDS, Learner, Training, inputs, ordering, width
from crmml.models._value_table import Forecasts, Scales, ValueColumns, ValueTable

_BOOSTERS = ("booster", "booster_2", "booster_3")
_LEAST_ROWS = 20
# Times by which what comes true may differ from what was expected, in the mean of all snapshots, of the same money.
_SEASONS = 2.0
# The total of fewer rows is their own story, not that of the season.
_LEAST_SNAPSHOT = 100


class Newcomers(NamedTuple):
    """Of who has never bought: spend over the mean of BG/NBD, and the share that buys."""

    spend: float
    buys: float


class OffsetDesign:
    """The fitted design.

    Args:
        days: The horizon that it was trained for.
        design: One of `DESIGNS`: what orders the customers.
        columns: What it reads.
        buyers: BG/NBD and Gamma-Gamma of the latest snapshot.
        scales: Those of the latest snapshot.
        level: What the relative forecast is multiplied by, for the total of BG/NBD.
        unit: The labels over the money of the table, where they are not the same kind of money.
        newcomers: What is expected of who has never bought.
        season: Factors of the total.
        trees: The trees, one model per seed; none where the design is a rule.
        calibration: Of the distribution of spend.
    """

    def __init__(
        self,
        days: float,
        design: str,
        *,
        columns: ValueColumns,
        buyers: Buyers,
        scales: Scales,
        level: float,
        unit: float,
        newcomers: Newcomers,
        season: Season,
        trees: Sequence[Trees],
        calibration: Calibration,
    ) -> None:
        self.days = days
        self.design = design
        self.columns = columns
        self.buyers = buyers
        self.scales = scales
        self.level = level
        self.unit = unit
        self.newcomers = newcomers
        self.season = season
        self.trees = tuple(trees)
        self.calibration = calibration
        # By cutoff, where they were worked out before, of more rows than will be given together.
        self.levels: dict[int, float] | None = None

    # What it says -------------------------------------------------------------------------------------------

    def base(self, table: ValueTable, snapshots: Snapshots, n_jobs: int) -> Floats:
        """Expected spend within the trained horizon in a year without seasons, shape (rows,).

        The rows of a cutoff together are worth what BG/NBD expects of them, where they are enough to fit it; few rows,
        and rows without a cutoff, stand at the level of the latest training snapshot.
        """
        expected = self.relative(table, n_jobs)
        if self.levels is None:
            levels = self.levels_of(table.history, expected, snapshots)
        else:
            levels = np.array([self.levels[int(time)] for time in snapshots.times])
        return expected * levels[snapshots.codes]

    def relative(self, table: ValueTable, n_jobs: int) -> Floats:
        """Expected spend of each row up to the level of its snapshot, shape (rows,): it depends on no other row."""
        forecasts = with_newcomers(table, self.buyers, self.days, self.scales, self.newcomers)
        codes = np.zeros(len(table), dtype=np.int64)
        raw = ordering(self.design, table, forecasts, [self.scales], codes)
        if self.trees:
            X = inputs(self.design, table, forecasts, [self.scales], codes)
            raw = raw + np.mean([trees.raw(X, n_jobs) for trees in self.trees], axis=0)
        return np.exp(raw)

    def levels_of(self, history: History, relative: Floats, snapshots: Snapshots) -> Floats:
        """What the rows of each snapshot are multiplied by for the right total, shape (snapshots,)."""
        totals = self.unit * snapshot_totals(history, snapshots, self.days, self.newcomers)
        sums = np.bincount(snapshots.codes, relative, minlength=len(totals))
        return np.where(np.isfinite(totals), totals / np.maximum(sums, 1e-300), self.level)

    def outlook(self, table: ValueTable, base: Floats, times: Ints, days: float, beyond_by: float = 1.0) -> Outlook:
        """What is expected within so many days from the cutoffs `times`; after the labels' `beyond_by` times that."""
        trained = with_newcomers(table, self.buyers, self.days, self.scales, self.newcomers)
        season = self.season.of(times)
        if days == self.days:
            return Outlook(base * season, trained.p_buys, trained.orders)
        other = with_newcomers(table, self.buyers, days, self.scales, self.newcomers)
        # As BG/NBD goes on, or ends earlier; the season is known of the trained horizon only.
        within = np.minimum(other.btyd / trained.btyd, 1.0)
        beyond = np.maximum(other.btyd / trained.btyd - 1.0, 0.0)
        return Outlook(base * (season * within + beyond_by * beyond), other.p_buys, other.orders)

    def interval(
        self, rows: Floats, base: Floats, snapshots: Snapshots, days: float, coverage: float
    ) -> tuple[Floats, Floats]:
        """Lowest and highest spend within so many days with the probability `coverage` between them, (rows,) each.

        No label says how far the total may be off after their horizon: there, each limit moves outwards by the factor
        by which a total of the training snapshots was off the most.
        """
        table, times = ValueTable(rows, self.columns), snapshots.times[snapshots.codes]
        if days <= self.days:
            return self.calibration.interval(base, self.outlook(table, base, times, days), coverage)
        outlooks = [self.outlook(table, base, times, days, by) for by in self.season.extremes()]
        low, _ = self.calibration.interval(base, outlooks[0], coverage)
        _, high = self.calibration.interval(base, outlooks[1], coverage)
        return low, high

    # How it is learned --------------------------------------------------------------------------------------

    @classmethod
    def learn(cls, training: Training, days: float) -> "OffsetDesign | None":
        """The design for a horizon; None where the purchases of the latest snapshot determine no BG/NBD."""
        table, snapshots = training.table, training.snapshots
        if table.history.known.sum() < _LEAST_ROWS or len(training.spend) < _LEAST_ROWS:
            return None
        latest = snapshots.latest
        buyers = Buyers.learn(table.history[latest])
        if buyers is None:
            return None
        plain = table.forecasts(buyers, days)
        scales = [table.scales(plain, snapshots.codes == code) for code in range(len(snapshots.times))]
        unit = _unit(training.spend, plain.btyd, table.history.known)
        newcomers = _newcomers(training, scales, unit)
        forecasts = _filled(table, plain, np.array([one.btyd for one in scales])[snapshots.codes], newcomers)
        totals = unit * snapshot_totals(table.history, snapshots, days, newcomers)
        season = _season(training, totals)
        stored = unit * np.bincount(snapshots.codes, forecasts.btyd, len(totals))
        totals = np.where(np.isfinite(totals), totals, stored)
        learner = Learner(training, forecasts, scales)
        design = learner.choose(days)
        calibration = learner.calibrate(design, season, totals)
        trees = learner.train(design, None, SEEDS)
        fitted = cls(
            days,
            design,
            columns=training.columns,
            buyers=buyers,
            scales=scales[-1],
            level=1.0,
            unit=unit,
            newcomers=newcomers,
            season=season,
            trees=trees,
            calibration=calibration,
        )
        raw = learner.raw(design, trees, np.flatnonzero(latest))
        fitted.level = float(totals[-1] / np.exp(raw).sum())
        return fitted

    # State --------------------------------------------------------------------------------------------------

    def state(self) -> State:
        """Texts and arrays."""
        texts = {key: self.trees[turn].text if self.trees else None for turn, key in enumerate(_BOOSTERS)}
        numbers = np.array([self.days, self.level, self.unit, *self.scales, *self.newcomers])
        return {
            **texts,
            "offset": numbers,
            **self.columns.state(),
            **self.buyers.state(),
            **self.season.state(),
            **self.calibration.state(),
        }

    @classmethod
    def from_state(cls, reader: StateReader, design: str, n_features: int) -> "OffsetDesign":
        """The design from the keys that `state` gives, for a table of so many columns."""
        numbers = reader.finite("offset", (8,))
        if (numbers < 0).any() or (numbers[:6] == 0).any():
            reader.refuse("offset", f"must hold numbers of 0 or more, the first six above 0, not {numbers.tolist()}")
        days, level, unit, *rest = numbers.tolist()
        buyers = Buyers.from_state(reader)
        if buyers is None:
            reader.refuse("buyers_purchases", "must hold the parameters of BG/NBD")
        return cls(
            days,
            design,
            columns=ValueColumns.from_state(reader, n_features),
            buyers=buyers,
            scales=Scales(*rest[:3]),
            level=level,
            unit=unit,
            newcomers=Newcomers(*rest[3:]),
            season=Season.from_state(reader),
            trees=_checked_trees(reader, design, width(design, n_features)),
            calibration=Calibration.from_state(reader),
        )


def snapshot_totals(everybody: History, snapshots: Snapshots, days: float, newcomers: Newcomers) -> Floats:
    """What a BG/NBD of its own expects of all rows of a snapshot, shape (snapshots,); NaN where they are too few."""
    totals = np.full(len(snapshots.times), np.nan)
    for code in range(len(totals) if snapshots.dated else 0):
        rows = snapshots.codes == code
        history = everybody[rows]
        buyers = Buyers.learn(history) if history.known.sum() >= _LEAST_SNAPSHOT else None
        if buyers is not None:
            spend = buyers.expected_spend(history, days)
            totals[code] = spend.sum() + newcomers.spend * spend.mean() * (~history.known).sum()
    return totals


def with_newcomers(table: ValueTable, buyers: Buyers, days: float, scales: Scales, newcomers: Newcomers) -> Forecasts:
    """The forecasts, with something also for who has never bought."""
    return _filled(table, table.forecasts(buyers, days), np.full(len(table), scales.btyd), newcomers)


def _filled(table: ValueTable, plain: Forecasts, unit: Floats, newcomers: Newcomers) -> Forecasts:
    known = table.history.known
    spend = np.maximum(newcomers.spend, 1e-6) * unit
    return plain._replace(
        btyd=np.where(known, np.maximum(plain.btyd, 1e-6 * unit), spend),
        weighted=np.where(known, plain.weighted, spend),
        orders=np.where(known, plain.orders, newcomers.buys),
        p_buys=np.where(known, plain.p_buys, newcomers.buys),
    )


def _unit(spend: Floats, btyd: Floats, known: Bools) -> float:
    """Labels over forecasts where they are further apart than seasons are: margins, quantities; else 1."""
    expected, actual = float(btyd[known].sum()), float(spend[known].sum())
    ratio = actual / expected if expected > 0 and actual > 0 else 1.0
    return ratio if max(ratio, 1.0 / ratio) > _SEASONS else 1.0


def _newcomers(training: Training, scales: Sequence[Scales], unit_of_labels: float) -> Newcomers:
    new = ~training.table.history.known
    if not new.any():
        return Newcomers(0.0, 0.0)
    unit = np.array([one.btyd for one in scales])[training.snapshots.codes[new]]
    return Newcomers(
        float((training.spend[new] / unit).mean()) / unit_of_labels, float((training.spend[new] > 0).mean())
    )


def _season(training: Training, totals: Floats) -> Season:
    """Each snapshot against what a BG/NBD of its own had expected, as one would have known it then."""
    snapshots, history = training.snapshots, training.table.history
    past = np.zeros(len(totals))
    np.maximum.at(past, snapshots.codes, history.T)
    actual = np.bincount(snapshots.codes, training.spend, len(totals)).astype(np.float64)
    return Season.learn(snapshots, past, np.nan_to_num(totals), actual)


def _checked_trees(reader: StateReader, design: str, n_features: int) -> list[Trees]:
    trees = []
    for key in _BOOSTERS:
        if design not in LEARNED:
            if reader.take(key) is not None:
                reader.refuse(key, f"must be None where the design is {design!r}")
            continue
        trees.append(read_trees(reader, key, n_features, "tweedie"))
    return trees

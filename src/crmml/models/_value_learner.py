"""What orders customers by their value: trees on a few columns, or on all, or a simple rule; and which to take."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from crmml.data.time import DAY
from crmml.metrics.value import normalised_gini
from crmml.models._base import Floats, Ints
from crmml.models._folds import N_FOLDS, assign_folds, held_out
from crmml.models._predictive import Calibration, Outlook
from crmml.models._season import Season
from crmml.models._snapshots import Snapshots
from crmml.models._trees import Trees, TreeTrainer
from crmml.models._value_table import N_FEATURES, Forecasts, Scales, ValueColumns, ValueTable, relative

TREES, WIDE = "trees", "trees on all columns"
LEARNED = (TREES, WIDE)
RULES = ("geometric mean", "exponentially weighted", "buy till you die", "last period")
DESIGNS = (*LEARNED, *RULES)
SEEDS = 3
# Held-out snapshots of some thousand customers do not tell smaller differences of the normalised Gini apart.
_MARGIN = 0.005
# So many of the latest snapshots choose: one alone is a matter of luck.
_HELD_OUT = 3


class Training(NamedTuple):
    """What the design is trained on: the table, the spend of each row (0 or more), and which rows belong together."""

    columns: ValueColumns
    table: ValueTable
    spend: Floats
    snapshots: Snapshots
    groups: Ints | None
    lightgbm: Mapping[str, Any]
    n_jobs: int
    seed: int


def ordering(design: str, table: ValueTable, forecasts: Forecasts, scales: Sequence[Scales], codes: Ints) -> Floats:
    """The logarithm of the relative forecast that the trees begin from, or that a rule is."""
    btyd, weighted = relative(forecasts, scales, codes)
    if design == "buy till you die":
        return btyd
    if design == "exponentially weighted":
        return weighted
    if design == "last period" and table.last is not None:
        unit = np.array([scale.btyd for scale in scales])[codes]
        last: Floats = np.log(np.maximum(table.last / unit, 1e-4))
        return last
    return (btyd + weighted) / 2.0


def inputs(design: str, table: ValueTable, forecasts: Forecasts, scales: Sequence[Scales], codes: Ints) -> Floats:
    """What the trees of a design read, shape (rows, `width`)."""
    features = table.features(forecasts, scales, codes)
    return np.hstack([features, table.all_columns]) if design == WIDE else features


def width(design: str, n_columns: int) -> int:
    """How many columns the trees of a design read, of a table with so many."""
    return N_FEATURES + n_columns if design == WIDE else N_FEATURES


class Learner:
    """Trains on all or some rows, and tries on others what it has learned."""

    def __init__(self, training: Training, forecasts: Forecasts, scales: Sequence[Scales]) -> None:
        self._training = training
        self._forecasts = forecasts
        self._scales = scales
        codes = training.snapshots.codes
        means = training.snapshots.means(training.spend)
        self._label = training.spend / np.where(means > 0, means, 1.0)[codes]
        self._offset = ordering(TREES, training.table, forecasts, scales, codes)
        self._prepared: dict[str, tuple[Floats, list[TreeTrainer]]] = {}

    def _trainers(self, design: str) -> tuple[Floats, list[TreeTrainer]]:
        """What the trees read, and who trains them, one per seed."""
        if design not in self._prepared:
            training = self._training
            X = inputs(design, training.table, self._forecasts, self._scales, training.snapshots.codes)
            seeds = [{**training.lightgbm, "seed": SEEDS * training.seed + turn} for turn in range(SEEDS)]
            trainers = [TreeTrainer(X, self._label, seeded, n_jobs=training.n_jobs) for seeded in seeds]
            self._prepared[design] = X, trainers
        return self._prepared[design]

    def train(self, design: str, rows: Ints | None, seeds: int) -> list[Trees]:
        """The trees of some rows; of all rows where none are named; none for a rule."""
        if design not in LEARNED:
            return []
        offset = self._offset if rows is None else self._offset[rows]
        return [trainer.train(rows, offset=offset) for trainer in self._trainers(design)[1][:seeds]]

    def raw(self, design: str, trees: Sequence[Trees], rows: Ints) -> Floats:
        """The logarithm of the relative forecast of some rows."""
        codes = self._training.snapshots.codes
        raw = ordering(design, self._training.table, self._forecasts, self._scales, codes)[rows]
        if not trees:
            return raw
        X = self._trainers(design)[0][rows]
        parts = [one.raw(X, self._training.n_jobs) for one in trees]
        total: Floats = raw + np.mean(parts, axis=0)
        return total

    def choose(self, days: float) -> str:
        """The trees, unless a rule orders rows that they have not seen clearly better."""
        train, tests = self._later(days) or self._other_customers() or (np.empty(0, dtype=np.int64), [])
        tests = [test for test in tests if np.ptp(self._training.spend[test]) > 0]
        if not tests or not self._training.spend[train].any():
            return RULES[0] if self._training.table.weighs else RULES[2]

        def gini(design: str, trees: Sequence[Trees] = ()) -> float:
            return float(
                np.mean([normalised_gini(self._training.spend[at], self.raw(design, trees, at)) for at in tests])
            )

        found = {rule: gini(rule) for rule in self._rules()}
        rule = max(found, key=lambda one: found[one])
        found |= {design: gini(design, self.train(design, train, 1)) for design in LEARNED}
        # The few columns, unless the others tell clearly more; and those trees, unless a rule does clearly better.
        trees = WIDE if found[WIDE] > found[TREES] + _MARGIN else TREES
        return trees if found[trees] >= found[rule] - _MARGIN else rule

    def _rules(self) -> list[str]:
        table = self._training.table
        having = {RULES[0]: table.weighs, RULES[1]: table.weighs, RULES[2]: True, RULES[3]: table.last is not None}
        return [rule for rule, there in having.items() if there]

    def _later(self, days: float) -> tuple[Ints, list[Ints]] | None:
        """The rows whose labels were complete before the latest snapshots, and the rows of these, as many as can be."""
        times, codes, dated = self._training.snapshots
        for held in range(min(_HELD_OUT, len(times) - 1), 0, -1) if dated else ():
            early = times[codes] + days * DAY <= times[-held]
            if early.any():
                return np.flatnonzero(early), [
                    np.flatnonzero(codes == len(times) - back) for back in range(1, held + 1)
                ]
        return None

    def _other_customers(self) -> tuple[Ints, list[Ints]] | None:
        folds, n_folds = self._folds()
        for train, test in held_out(folds, n_folds) if n_folds > 1 else ():
            return train, [test]
        return None

    def _folds(self) -> tuple[Ints, int]:
        spend, groups = self._training.spend, self._training.groups
        n_folds = min(N_FOLDS, len(spend) if groups is None else int(groups.max()) + 1)
        return assign_folds(spend, groups, n_folds, self._training.seed), n_folds

    def calibrate(self, design: str, season: Season, totals: Floats) -> Calibration:
        """From forecasts for customers whom the trees had not seen, at the totals that they would have had."""
        codes, times = self._training.snapshots.codes, self._training.snapshots.times
        factors = season.of(times) if self._training.snapshots.dated else np.ones(len(times))
        folds, n_folds = self._folds()
        base, rows = [np.empty(0)], [np.empty(0, dtype=np.int64)]
        for train, test in held_out(folds, n_folds):
            if design in LEARNED and (not self._training.spend[train].any() or not len(train)):
                continue
            trees = self.train(design, train, 1)
            everybody = np.exp(self.raw(design, trees, np.arange(len(codes))))
            levels = totals / np.bincount(codes, everybody, len(times))
            base.append((everybody * levels[codes])[test])
            rows.append(test)
        found, at = np.concatenate(base), np.concatenate(rows)
        p_buys, orders = self._forecasts.p_buys[at], self._forecasts.orders[at]
        outlook = Outlook(found * factors[codes[at]], p_buys, orders)
        return Calibration.learn(found, outlook, self._training.spend[at], self._training.seed)

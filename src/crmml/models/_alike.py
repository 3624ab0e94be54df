"""The two ways to be alike: what trees cannot tell apart, and what lies nearer to the seeds than to others."""

from typing import NamedTuple

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from crmml.models._base import Bools, Floats, Ints, State
from crmml.models._robust import RobustScaler
from crmml.models._state import StateReader
from crmml.models._trees import Trees, TreeTrainer, read_trees

_OBJECTIVE = "binary sigmoid:1"
# A centre stands for so many seeds, so that the model holds nobody's own row; and there are at most so many centres,
# found among so many rows.
_ROWS_OF_A_CENTRE, _MOST_CENTRES, _MOST_ROWS = 10, 32, 20_000


class TreeScorer(NamedTuple):
    """Log odds of the trees."""

    trees: Trees

    def score(self, X: Floats, n_jobs: int) -> Floats:
        return self.trees.raw(X, n_jobs)

    def state(self) -> State:
        return {"trees": self.trees.text}

    @classmethod
    def read(cls, reader: StateReader, n_features: int) -> "TreeScorer":
        return cls(read_trees(reader, "trees", n_features, _OBJECTIVE))


class TreeLearner(NamedTuple):
    """Trains on some rows, or on all (None)."""

    trainer: TreeTrainer

    def learn(self, rows: Ints | None) -> TreeScorer:
        return TreeScorer(self.trainer.train(rows))


class NearestScorer(NamedTuple):
    """How much nearer a centre of the seeds is than a centre of the others, in the scaled space.

    The distance to the seeds alone would rank the most ordinary customers first: they are near to everybody.
    """

    scaler: RobustScaler
    seeds: Floats
    others: Floats

    def score(self, X: Floats, n_jobs: int) -> Floats:
        Z = self.scaler.apply(X)
        scores: Floats = _to_the_nearest(Z, self.others) - _to_the_nearest(Z, self.seeds)
        return scores

    def state(self) -> State:
        scaler = self.scaler
        scaling = np.array([scaler.low, scaler.high, scaler.centre, scaler.scale])
        return {"seeds": self.seeds, "others": self.others, "logged": scaler.logged, "scaling": scaling}

    @classmethod
    def read(cls, reader: StateReader, n_features: int) -> "NearestScorer":
        centres = [reader.finite(side, (None, n_features)) for side in ("seeds", "others")]
        logged = reader.array("logged", "b", (n_features,))
        low, high, centre, scale = reader.finite("scaling", (4, n_features))
        if not all(map(len, centres)) or np.any(low > high) or np.any(scale <= 0):
            reader.refuse("scaling", "must have low <= high and scale > 0, and seeds and others must have a row")
        return cls(RobustScaler(logged, low, high, centre, scale), *centres)


class NearestLearner:
    """Finds as many centres of the seeds as of the others, among some rows, or all (None)."""

    def __init__(self, values: Floats, seeds: Bools, random_state: int) -> None:
        self._scaler = RobustScaler.learn(values)
        self._Z = self._scaler.apply(values)
        self._seeds = seeds
        self._random_state = random_state

    def learn(self, rows: Ints | None) -> NearestScorer:
        known = np.ones(len(self._seeds), dtype=bool) if rows is None else np.isin(np.arange(len(self._seeds)), rows)
        seeds, others = self._Z[known & self._seeds], self._Z[known & ~self._seeds]
        count = min(_MOST_CENTRES, max(1, min(len(seeds), len(others)) // _ROWS_OF_A_CENTRE))
        return NearestScorer(self._scaler, self._centres(seeds, count), self._centres(others, count))

    def _centres(self, Z: Floats, count: int) -> Floats:
        if len(Z) > _MOST_ROWS:
            Z = Z[np.random.default_rng(self._random_state).choice(len(Z), _MOST_ROWS, replace=False)]
        count = min(count, len(np.unique(Z, axis=0)))
        with threadpool_limits(1):  # sums over threads would depend on their number
            found = KMeans(count, n_init=1, random_state=self._random_state).fit(Z).cluster_centers_
        return np.asarray(found, dtype=np.float64)


def _to_the_nearest(Z: Floats, centres: Floats) -> Floats:
    """The distance of each row to its nearest centre: in plain sums, so that it does not depend on the rows beside."""
    best = np.full(len(Z), np.inf)
    for centre in centres:
        best = np.minimum(best, ((Z - centre) ** 2).sum(axis=1))
    distances: Floats = np.sqrt(best)
    return distances

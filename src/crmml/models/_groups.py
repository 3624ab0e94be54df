"""Three ways to find groups in scaled columns, each with an explicit rule for rows that come later.

All rules look at one row at a time, in sums whose order does not depend on the rows beside it: more customers in a
table never change the group of another.
"""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from sklearn.cluster import HDBSCAN, KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from crmml.models._base import Floats, Ints, State
from crmml.models._robust import nearest
from crmml.models._state import StateReader

NOISE = -1
STARTS = 4
# Above so many rows k-means reads small batches; a mixture, and density, learn from a sample of so many.
MINI_BATCH_ROWS = 100_000
MIXTURE_ROWS = 20_000
DENSITY_ROWS = 5_000
BATCH = 4_096
_CHUNK = 4_096  # rows at a time
_WAYS = 512  # rows at a time, beside thousands of points
# No component of a mixture is narrower than a tenth of the spread of a column: counts pile up on few values.
_LEAST_VARIANCE = 0.01
# The neighbour whose distance says how dense the place of a customer is; the customer is the first.
_NEIGHBOURS = 5


@dataclass(frozen=True)
class Centres:
    """k-means (S. Lloyd, 1982): a row belongs to the nearest centre."""

    centres: Floats
    noisy: ClassVar[bool] = False

    @staticmethod
    def find(Z: Floats, count: int, seed: int) -> "Centres":
        """Of several starts the one with the least sum of squares; mini-batches (D. Sculley, 2010) for many rows."""
        if len(Z) > MINI_BATCH_ROWS:
            kmeans = MiniBatchKMeans(count, n_init=STARTS, batch_size=BATCH, random_state=seed)
        else:
            kmeans = KMeans(count, n_init=STARTS, random_state=seed)
        with threadpool_limits(1), warnings.catch_warnings():  # sums over threads would depend on their number
            warnings.simplefilter("ignore", ConvergenceWarning)  # too few different rows: the caller counts
            return Centres(kmeans.fit(Z).cluster_centers_.astype(np.float64))

    def assign(self, Z: Floats) -> Ints:
        """The nearest centre of each row."""
        return nearest(Z, self.centres)

    def taking(self, order: Ints) -> "Centres":
        """The groups `order`, in this order, and no others."""
        return Centres(self.centres[order])

    def learned(self) -> State:
        """Arrays to be kept."""
        return {"centres": self.centres}

    @staticmethod
    def restored(reader: StateReader, n_features: int) -> "Centres":
        """From the arrays kept."""
        centres = reader.finite("centres", (None, n_features))
        if len(centres) == 0:
            reader.refuse("centres", "must have a row or more")
        return Centres(centres)


@dataclass(frozen=True)
class Mixture:
    """A mixture of normal distributions (A. Dempster, N. Laird & D. Rubin, 1977): a row belongs to the likeliest."""

    centres: Floats
    level: Floats  # log weight and log determinant of each component
    whitening: Floats  # (components, columns, columns), upper triangular: the Cholesky factor of the precision
    noisy: ClassVar[bool] = False

    @staticmethod
    def find(Z: Floats, count: int, seed: int) -> "Mixture":
        """By expectation maximisation from several starts of k-means, each component with a covariance of its own."""
        model = GaussianMixture(
            count, covariance_type="full", n_init=STARTS, reg_covar=_LEAST_VARIANCE, random_state=seed
        )
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(sample_of(Z, MIXTURE_ROWS, seed))
        whitening = model.precisions_cholesky_
        determinants = np.log(np.diagonal(whitening, axis1=1, axis2=2)).sum(axis=1)
        return Mixture(model.means_, np.log(model.weights_) + determinants, whitening)

    def assign(self, Z: Floats) -> Ints:
        """The component of the greatest density at each row."""
        found = np.empty(len(Z), dtype=np.int64)
        for start in range(0, len(Z), _CHUNK):
            columns = np.ascontiguousarray(Z[start : start + _CHUNK].T)
            found[start : start + _CHUNK] = np.argmax(
                [self._height(columns, g) for g in range(len(self.level))], axis=0
            )
        return found

    def _height(self, columns: Floats, component: int) -> Floats:
        """The logarithm of the weighted density, but for a constant: column by column, never a matrix product."""
        away = columns - self.centres[component][:, None]
        total = np.zeros(columns.shape[1])
        for column, weights in enumerate(self.whitening[component].T):
            white = np.zeros(columns.shape[1])
            for row in range(column + 1):  # the rest of an upper triangle is 0
                white += weights[row] * away[row]
            total += white * white
        height: Floats = self.level[component] - 0.5 * total
        return height

    def taking(self, order: Ints) -> "Mixture":
        """The groups `order`, in this order, and no others."""
        return Mixture(self.centres[order], self.level[order], self.whitening[order])

    def learned(self) -> State:
        """Arrays to be kept."""
        return {"centres": self.centres, "level": self.level, "whitening": self.whitening}

    @staticmethod
    def restored(reader: StateReader, n_features: int) -> "Mixture":
        """From the arrays kept."""
        centres = reader.finite("centres", (None, n_features))
        if len(centres) == 0:
            reader.refuse("centres", "must have a row or more")
        level = reader.finite("level", (len(centres),))
        whitening = reader.finite("whitening", (len(centres), n_features, n_features))
        return Mixture(centres, level, whitening)


@dataclass(frozen=True)
class Density:
    """HDBSCAN (R. Campello, D. Moulavi & J. Sander, 2013): dense groups, and the rest is noise.

    A row belongs to the group of the nearest learned member within reach: as near to it as the group's own members
    are to each other. Near in the sense of HDBSCAN, the mutual reachability: the largest of the distance, and of
    either's distance to its fifth neighbour. With none in reach it is noise. The learned rows get their own groups.
    """

    points: Floats  # the learned rows
    groups: Ints  # of each of them, -1 for noise
    core: Floats  # distance of each to its fifth neighbour
    reach: Floats  # of each group: the longest way from one of its members to the next
    noisy: ClassVar[bool] = True

    @staticmethod
    def find(Z: Floats, share: float, seed: int) -> "Density":
        """All groups of at least this share of the rows, and of at least as many as there are neighbours."""
        points = sample_of(Z, DENSITY_ROWS, seed)
        smallest = max(_NEIGHBOURS, math.ceil(share * len(points)))
        if len(points) < 2 * smallest:  # no room for two groups
            return Density(points, np.full(len(points), NOISE), np.zeros(len(points)), np.zeros(0))
        model = HDBSCAN(min_cluster_size=smallest, min_samples=_NEIGHBOURS, algorithm="kd_tree", copy=True)
        with threadpool_limits(1):
            groups = model.fit(points).labels_.astype(np.int64)
        core = np.concatenate([_to_fifth(way) for _, way in _ways(points, points)])
        reach = [_longest(points[groups == g], core[groups == g]) for g in range(groups.max() + 1)]
        return Density(points, groups, core, np.array(reach, dtype=np.float64))

    @property
    def centres(self) -> Floats:
        """The mean of the learned members of each group."""
        count = len(self.reach)
        return np.array([self.points[self.groups == g].mean(axis=0) for g in range(count)]).reshape(
            count, self.points.shape[1]
        )

    def assign(self, Z: Floats) -> Ints:
        """The group of each row, -1 for noise."""
        found = np.full(len(Z), NOISE, dtype=np.int64)
        if not len(self.reach):
            return found
        members = self.groups != NOISE
        core, groups = self.core[members], self.groups[members]
        for start, way in _ways(Z, self.points):
            to_members = way[:, members]
            mutual = np.maximum(np.maximum(to_members, core), _to_fifth(way)[:, None])
            to_members[mutual > self.reach[groups]] = np.inf
            best = to_members.argmin(axis=1)
            near = np.isfinite(to_members[np.arange(len(way)), best])
            found[start : start + len(way)] = np.where(near, groups[best], NOISE)
        return found

    def taking(self, order: Ints) -> "Density":
        """The groups `order`, in this order; members of the others become noise."""
        new = np.full(len(self.reach) + 1, NOISE)  # the last stands for noise, -1
        new[order] = np.arange(len(order))
        return Density(self.points, new[self.groups], self.core, self.reach[order])

    def learned(self) -> State:
        """Arrays to be kept."""
        return {"points": self.points, "groups": self.groups, "core": self.core, "reach": self.reach}

    @staticmethod
    def restored(reader: StateReader, n_features: int) -> "Density":
        """From the arrays kept."""
        points = reader.finite("points", (None, n_features))
        groups = reader.array("groups", "i", (len(points),)).astype(np.int64)
        core, reach = reader.finite("core", (len(points),)), reader.finite("reach", (None,))
        if set(groups.tolist()) - {NOISE} != set(range(len(reach))) or (len(reach) and len(points) < _NEIGHBOURS):
            reader.refuse("groups", f"must number the {len(reach)} groups from 0, and noise -1")
        return Density(points, groups, core, reach)


Groups = Centres | Mixture | Density
METHODS: dict[str, type[Centres] | type[Mixture] | type[Density]] = {
    "kmeans": Centres,
    "gaussian_mixture": Mixture,
    "hdbscan": Density,
}


def sample_of(X: npt.NDArray[Any], most: int, seed: int) -> npt.NDArray[Any]:
    """At most so many rows, drawn without replacement."""
    if len(X) <= most:
        return X
    rows = np.random.default_rng(seed).choice(len(X), most, replace=False)
    return X[np.sort(rows)]


def _ways(Z: Floats, points: Floats) -> Iterator[tuple[int, Floats]]:
    """The distances of the rows to all points, some rows at a time, each time after the number of the first row."""
    for start in range(0, len(Z), _WAYS):
        yield start, cdist(Z[start : start + _WAYS], points)


def _to_fifth(way: Floats) -> Floats:
    """The distance of each row to its fifth neighbour: how thin it is there."""
    fifth: Floats = np.partition(way, _NEIGHBOURS - 1, axis=1)[:, _NEIGHBOURS - 1]
    return fifth


def _longest(points: Floats, core: Floats) -> float:
    """The greatest distance, in mutual reachability, from a member of a group to the nearest other member."""
    longest = 0.0
    for start, way in _ways(points, points):
        mutual = np.maximum(np.maximum(way, core), core[start : start + len(way), None])
        rows = np.arange(len(way))
        mutual[rows, start + rows] = np.inf  # not to itself
        longest = max(longest, float(mutual.min(axis=1).max()))
    return longest

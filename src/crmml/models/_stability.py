"""Are there so many segments? Whether they are found again in other customers, and lie apart.

Two questions about a number of segments k, asked of random halves of the customers.

*Found again*: each half learns its own scaling and segments, and both divide all rows. The adjusted Rand index
(L. Hubert & P. Arabie, 1985) says how far they agree: 1 is the same division, 0 is chance. (T. Lange, V. Roth,
M. Braun & J. Buhmann, Stability-based validation of clustering solutions, 2004.) One cloud that is longer than wide
is cut in two at the same place again and again, so the same is done to a normal cloud of the same covariance, and
stands beside it.

*Apart*: on the line between the centres of two neighbouring segments, learned from one half, there must be fewer rows
of the other half around its middle than around both of its ends. Any distribution with a single peak, however skewed,
has at least as many in the middle one of three equal intervals as in the lesser of the outer two: so "fewer than in
both" is tested by two exact binomial tests, of which the larger p-value counts (R. Berger, Multiparameter hypothesis
testing and acceptance sampling, 1982). Of all neighbouring pairs the largest p-value counts, as one pair that is not
apart is enough to say that k are too many. The halves that learn see none of the rows that judge.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import binom
from sklearn.metrics import adjusted_rand_score

from crmml.models._base import Bools, Floats, Ints
from crmml.models._groups import METHODS, Groups
from crmml.models._robust import RobustScaler

# Half the width of an interval, as a part of the way from centre to centre: three intervals, none touching another.
_HALF_WIDTH = 1 / 6


@dataclass(frozen=True)
class Halves:
    """What one draw of two halves says about one number of segments."""

    agreement: float
    agreement_null: float  # NaN where the normal cloud was not asked
    p_values: tuple[float, float]  # of either half's segments on the rows of the other
    depths: tuple[float, float]  # how empty it is between the two neighbours that are least apart, 0 to 1


class _Half:
    """One half of the rows: its own scaling, and all rows and the other half's in it."""

    def __init__(self, own: Floats, everybody: Floats, judges: Floats) -> None:
        scaler = RobustScaler.learn(own)
        self._own = scaler.apply(own)
        self._everybody = scaler.apply(everybody)
        self._judges = scaler.apply(judges)

    def divided(self, k: int, method: str, seed: int) -> tuple[Ints, tuple[float, float]]:
        """The group of every row, and whether the groups lie apart among the judges."""
        kind: Any = METHODS[method]
        groups: Groups = kind.find(self._own, k, seed)
        return groups.assign(self._everybody), least_apart(groups, self._judges)


def draw(X: Floats, candidates: Sequence[int], method: str, seed: int, *, null: bool) -> dict[int, Halves]:
    """Divide the rows at random in two halves, and compare what they learn, for each candidate of 2 or more."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(X))
    own = (X[order[::2]], X[order[1::2]])
    smooth = [_smooth(half, _whole(X), rng) for half in own]
    halves = (_Half(own[0], X, smooth[1]), _Half(own[1], X, smooth[0]))
    cloud = normal_cloud(RobustScaler.learn(X).apply(X), rng)
    clouds = (_Half(cloud[::2], cloud, cloud[1::2]), _Half(cloud[1::2], cloud, cloud[::2])) if null else ()
    said = {}
    for k in candidates:
        (one, (p_one, depth_one)), (other, (p_other, depth_other)) = (half.divided(k, method, seed) for half in halves)
        in_cloud = [half.divided(k, method, seed)[0] for half in clouds]
        said[k] = Halves(
            agreement(one, other), agreement(*in_cloud) if null else np.nan, (p_one, p_other), (depth_one, depth_other)
        )
    return said


def agreement(one: Ints, other: Ints) -> float:
    """The adjusted Rand index of two divisions of the same rows."""
    return float(adjusted_rand_score(one, other))


def normal_cloud(Z: Floats, rng: np.random.Generator) -> Floats:
    """As many rows of one normal distribution with the mean and the covariance of `Z`: nothing to split."""
    # Along its own axes, so that constant and repeated columns do no harm.
    centred = Z - Z.mean(axis=0)
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    spread = lengths / np.sqrt(max(1, len(Z) - 1))
    cloud: Floats = (rng.normal(size=(len(Z), len(spread))) * spread) @ axes
    return cloud


def least_apart(groups: Groups, Z: Floats) -> tuple[float, float]:
    """The largest p-value of the neighbouring pairs of groups, and how empty it is between the pair that it is of."""
    centres = groups.centres
    labels = groups.assign(Z)
    found = [_apart(Z[np.isin(labels, pair)], *centres[list(pair)]) for pair in neighbours(centres)]
    return max(found, key=lambda pair: (pair[0], -pair[1]))


def neighbours(centres: Floats) -> list[tuple[int, int]]:
    """The pairs of centres half way between which no third is nearer (K. Gabriel & R. Sokal, 1969)."""
    pairs = []
    for i, j in combinations(range(len(centres)), 2):
        to_all = ((centres - (centres[i] + centres[j]) / 2) ** 2).sum(axis=1)
        half_way = to_all[i]
        others = np.delete(to_all, [i, j])
        if np.all(others >= half_way):
            pairs.append((i, j))
    return pairs


def _apart(Z: Floats, one: Floats, other: Floats) -> tuple[float, float]:
    """(p-value of "as many in the middle as at one of the ends", emptiness of the middle)."""
    line = other - one
    length = float(line @ line)
    if length == 0.0:  # two centres at one place are one
        return 1.0, 0.0
    way = (Z - one) @ line / length
    first, middle, last = (int((np.abs(way - place) < _HALF_WIDTH).sum()) for place in (0.0, 0.5, 1.0))
    p_value = max(float(binom.cdf(middle, middle + end, 0.5)) for end in (first, last))
    fewer = min(first, last)
    return p_value, max(0.0, 1 - middle / fewer) if fewer else 0.0


def _whole(X: Floats) -> Bools:
    """The columns of whole numbers."""
    return np.array([bool(np.all(known == np.round(known))) for known in (column[~np.isnan(column)] for column in X.T)])


def _smooth(X: Floats, whole: Bools, rng: np.random.Generator) -> Floats:
    """Whole numbers spread evenly over the half before and after: between 2 and 3 orders there is no valley."""
    smooth = X.copy()
    smooth[:, whole] += rng.uniform(-0.5, 0.5, size=(len(X), int(whole.sum())))
    return smooth


def combined(p_values: list[float]) -> float:
    """One p-value from those of many draws of the same rows: twice the median.

    Source: N. Meinshausen, L. Meier & P. Buehlmann, p-values for high-dimensional regression (2009).
    """
    return min(1.0, 2.0 * float(np.median(p_values)))

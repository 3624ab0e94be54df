"""Has a distribution changed, by how much, and is that more than chance and than it has always moved?

Distributions come as counts in bins of fixed limits, in ascending order: what is kept of training customers are such
counts and no value of anybody. A test that only knows sampling finds drift everywhere as soon as there are customers
enough, because no month is quite like another. So the null of these tests has two parts: customers are drawn, and
distributions move from cutoff to cutoff as they did between the cutoffs of the training (`natural_variation`).
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import kolmogi, kolmogorov, ndtri, stdtr

from crmml.errors import ConfigError, DataError
from crmml.metrics.arrays import Floats, checked

# With fewer cutoffs, how much distributions move by themselves cannot be told.
LEAST_CUTOFFS = 3
# Added to every bin before shares are compared, so that an empty bin is a large difference and not an infinite one.
_PSEUDO_COUNT = 0.5
# Where the tail of chance is cut: far below any level that anybody tests at.
_LEAST_TAIL = 1e-12
_NODES = 300


def population_stability(before: ArrayLike, after: ArrayLike) -> float:
    """The population stability index (PSI) of two distributions: 0 for equal ones, without an upper limit.

    Sum over the bins of (a - b) ln(a / b), with shares b before and a after; half a customer is added to every bin.
    By custom, below .1 nothing has happened, and above .25 much. Between two samples of m and n customers of one
    distribution in B bins it is (B - 1)(1 / m + 1 / n) on the mean: do not read it for fewer than some hundred.

    before, after: counts per bin, of the same bins. Symmetric in both.
    Raises `DataError`: counts that are negative, empty, or of different lengths.
    Source: Kullback and Leibler (1951), the symmetric divergence J; the name is that of credit scoring.

    >>> round(population_stability([500, 500], [400, 600]), 4)  # -.1 ln(.4 / .5) + .1 ln(.6 / .5)
    0.0405
    """
    b, a = _counts("population_stability", before, after)
    b, a = ((counts + _PSEUDO_COUNT) / (counts + _PSEUDO_COUNT).sum() for counts in (b, a))
    return float(np.sum((a - b) * np.log(a / b)))


def ks_distance(before: ArrayLike, after: ArrayLike) -> float:
    """The largest difference of the two cumulative distributions at the limits of the bins (Kolmogorov and Smirnov).

    before, after: counts per bin, of the same bins in ascending order. From 0 to 1; of values in bins it is at most
    what it would be of the values themselves.
    Raises `DataError`: as `population_stability`.

    >>> round(ks_distance([50, 30, 20], [30, 30, 40]), 3)  # below the second limit 80 % and 60 %
    0.2
    """
    b, a = _counts("ks_distance", before, after)
    return float(np.abs(np.cumsum(b) / b.sum() - np.cumsum(a) / a.sum()).max())


def natural_variation(shares: ArrayLike) -> float:
    """By how much a share moves from one cutoff to the next beyond chance: a standard deviation.

    Every cutoff is seen through two halves of the customers. What both halves do at a cutoff is common to all
    customers, what only one does is chance: the mean over the cutoffs of the product of both deviations is, on the
    mean, the variance of what is common, also where the same customers stand at many cutoffs. 0 where that is negative.

    shares: of shape (cutoffs, 2, limits), such as cumulative shares; with several limits the largest deviation counts.
    Raises `DataError`: another shape, or fewer than two cutoffs.
    Source: the covariance of split halves (Spearman 1910, Brown 1910).

    >>> both_move = [[[0.3], [0.3]], [[0.5], [0.5]], [[0.4], [0.4]]]  # deviations -.1, .1, 0: (.01 + .01) / 2
    >>> round(natural_variation(both_move), 3)
    0.1
    >>> natural_variation([[[0.3], [0.5]], [[0.5], [0.3]]])  # against each other: chance
    0.0
    """
    values = np.asarray(shares, dtype=np.float64)
    if values.ndim != 3 or values.shape[1] != 2 or len(values) < 2:
        raise DataError(
            f"natural_variation: shares has shape {values.shape}. Give (cutoffs, 2, limits) with at least two cutoffs."
        )
    moved = values - values.mean(axis=0)
    common = (moved[:, 0] * moved[:, 1]).sum(axis=0) / (len(values) - 1)
    return float(np.sqrt(max(0.0, common.max(initial=0.0))))


def ks_p_value(distance: float, n_before: float, n_after: float, *, natural: float = 0.0, cutoffs: int = 0) -> float:
    """The chance of so large a distance, or a larger one, if nothing has happened beyond chance and habit.

    Chance alone makes a distance that follows Kolmogorov's law; on it comes, at worst in the same direction, what is
    common to all customers of a cutoff: `natural`, learned from so many cutoffs and so uncertain itself (Student's t).
    Customers who stand on both sides make the two more alike, and the test more cautious.

    distance: of `ks_distance`. n_before: customers of one training cutoff (not of all together: they are mostly the
    same customers); n_after: of the new one. natural, cutoffs: `natural_variation` and its number of cutoffs.
    Raises `ConfigError`: sizes or a variation that cannot be.
    Source: Kolmogorov (1933); Smirnov (1948).

    >>> round(ks_p_value(0.05, 2000, 2000), 4)  # Kolmogorov's law at .05 * sqrt(1000) = 1.58
    0.0135
    >>> round(ks_p_value(0.05, 2000, 2000, natural=0.02, cutoffs=6), 3)
    0.372
    """
    if not (n_before > 0 and n_after > 0 and natural >= 0):
        raise ConfigError(
            f"ks_p_value: sizes {n_before!r} and {n_after!r}, natural {natural!r}. Use sizes above 0 and natural >= 0."
        )
    scale = float(np.sqrt(1 / n_before + 1 / n_after))
    if natural == 0:
        return float(kolmogorov(distance / scale))
    return _with_habit(distance, lambda tail: scale * kolmogi(tail), natural, cutoffs)


def shift_p_value(shift: float, spread: float, *, natural: float = 0.0, cutoffs: int = 0) -> float:
    """The chance of so large a shift of a mean, to either side, if nothing has happened beyond chance and habit.

    shift: the difference. spread: its standard deviation by chance. natural, cutoffs: as for `ks_p_value`.
    Raises `ConfigError`: a spread or a variation that cannot be.

    >>> round(shift_p_value(1.96, 1.0), 3)
    0.05
    """
    if not (spread > 0 and natural >= 0):
        raise ConfigError(f"shift_p_value: spread {spread!r}, natural {natural!r}. Use a spread > 0 and natural >= 0.")
    if natural == 0:
        return float(2 * stdtr(np.inf, -abs(shift) / spread))
    return _with_habit(abs(shift), lambda tail: -spread * ndtri(tail / 2), natural, cutoffs)


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """The p-values corrected for their number: who calls all those up to q a discovery is wrong in q of them at most.

    Where nothing has happened anywhere, the chance of any discovery at all is at most q. Ties and order are kept; NaN
    stays NaN and is not counted.

    p_values: a vector of numbers from 0 to 1. Returns as many, none smaller than given.
    Raises `DataError`: no vector, or values outside 0 to 1.
    Source: Benjamini and Hochberg (1995); Benjamini and Yekutieli (2001), for positively dependent tests.

    >>> benjamini_hochberg([0.01, 0.04, 0.03, 0.5]).round(4).tolist()  # .01 * 4 / 1; .04 * 4 / 3 twice; .5 * 4 / 4
    [0.04, 0.0533, 0.0533, 0.5]
    """
    p = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(p))
    if p.ndim != 1 or ((p[known] < 0) | (p[known] > 1)).any():
        raise DataError(f"benjamini_hochberg: p_values is {p_values!r}. Give a vector of numbers from 0 to 1.")
    order = known[np.argsort(p[known], kind="stable")]
    scaled = p[order] * len(order) / np.arange(1, len(order) + 1)
    corrected = np.full(len(p), np.nan)
    corrected[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return corrected


def _with_habit(distance: float, quantile: Any, natural: float, cutoffs: int) -> float:
    """P(chance + habit >= distance): the mean, over the quantiles of chance, of the tail of Student's t behind it.

    quantile: the distance that chance exceeds with a given probability. The new cutoff differs from the mean of K
    others by the variation of one and of their mean: sqrt(1 + 1 / K).
    """
    if cutoffs < 2:
        raise ConfigError(f"natural variation is {natural!r}, but of {cutoffs} cutoffs. Give at least 2.")
    tails = np.concatenate([np.geomspace(_LEAST_TAIL, 0.1, _NODES), np.linspace(0.1, 1.0, _NODES)[1:]])
    left = np.maximum(distance - np.asarray(quantile(tails)), 0.0) / (natural * np.sqrt(1 + 1 / cutoffs))
    return float(min(1.0, np.trapezoid(2 * stdtr(cutoffs - 1, -left), tails) + _LEAST_TAIL))


def _counts(metric: str, before: ArrayLike, after: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    b, a = checked(metric, before=before, after=after)
    for name, counts in (("before", b), ("after", a)):
        if (counts < 0).any() or counts.sum() == 0:
            raise DataError(f"{metric}: {name} is {counts.tolist()}. Give counts, not all of them 0.")
    return b, a

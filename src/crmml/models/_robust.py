"""Scale columns so that distances between customers mean something: robust to skew and outliers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial.distance import cdist

from crmml.models._base import Bools, Floats

_TAIL = 0.01  # cut from either end
_IQR_OF_NORMAL = 1.349  # the interquartile range of a standard normal distribution
_SKEWED = 1.0
_ROWS = 4_096  # at a time


@dataclass(frozen=True)
class RobustScaler:
    """log where that helps, cut to [low, high], centred on the median, divided by a robust scale."""

    logged: Bools
    low: Floats
    high: Floats
    centre: Floats
    scale: Floats

    @staticmethod
    def learn(X: Floats) -> "RobustScaler":
        """From a table with NaN; a column that is constant, or all NaN, becomes 0 everywhere."""
        logged = np.array([_log_helps(column[~np.isnan(column)]) for column in X.T])
        rows = [_location(column[~np.isnan(column)]) for column in _log(X, logged).T]
        low, high, centre, scale = np.array(rows).T
        return RobustScaler(logged, low, high, centre, scale)

    def apply(self, X: Floats) -> Floats:
        """The scaled table; a missing value is taken for the median, 0. A part of the rows at a time."""
        scaled = np.empty(X.shape, dtype=np.float64)
        for start in range(0, len(X), _ROWS):
            part = _log(X[start : start + _ROWS], self.logged)
            np.clip(part, self.low, self.high, out=part)
            part -= self.centre
            part /= self.scale
            part[np.isnan(part)] = 0.0
            scaled[start : start + _ROWS] = part
        return scaled


def _log(X: Floats, logged: Bools) -> Floats:
    """sign(x) * log(1 + |x|) in the columns that are to be logged: 0 stays 0, returns stay negative. A copy."""
    result = np.array(X, dtype=np.float64)
    some = result[:, logged]
    result[:, logged] = np.sign(some) * np.log1p(np.abs(some))
    return result


def _log_helps(known: Floats) -> bool:
    if len(known) < 3 or known.min() == known.max():
        return False
    plain = abs(_skewness(known))
    return bool(plain > _SKEWED and abs(_skewness(_log(known[:, None], np.array([True]))[:, 0])) < plain)


def _skewness(values: Floats) -> float:
    centred = values - values.mean()
    largest = np.abs(centred).max()
    if largest == 0.0:
        return 0.0
    centred = centred / largest  # keeps the third power in range
    squares = centred * centred  # ten times as fast as a power
    return float(np.mean(squares * centred) / np.mean(squares) ** 1.5)


def _location(known: Floats) -> tuple[float, float, float, float]:
    """(low, high, centre, scale) of the known values of a column."""
    if len(known) == 0:
        return 0.0, 0.0, 0.0, 1.0
    low, lower, centre, upper, high = np.quantile(known, [_TAIL, 0.25, 0.5, 0.75, 1 - _TAIL])
    spread = float(np.clip(known, low, high).std())
    # The greater of the two, so that no column spreads by more than 1: a column in which nearly everybody has one
    # value has no interquartile range, and would outweigh all others.
    scale = max((upper - lower) / _IQR_OF_NORMAL, spread)
    return low, high, centre, scale if scale > 0.0 else 1.0


def nearest(Z: Floats, centres: Floats) -> npt.NDArray[np.int64]:
    """The position of the nearest centre of each row; of two equally near the first.

    Pair by pair in plain sums (no matrix product, whose last bits depend on where a row stands), in chunks: the
    answer for a row does not depend on the rows beside it.
    """
    found = np.empty(len(Z), dtype=np.int64)
    for start in range(0, len(Z), _ROWS):
        found[start : start + _ROWS] = cdist(Z[start : start + _ROWS], centres, "sqeuclidean").argmin(axis=1)
    return found


def medians_by(X: Floats, labels: npt.NDArray[np.int64]) -> Floats:
    """The median of each column in each label, NaN left out, shape (labels, columns)."""
    return pd.DataFrame(X).groupby(labels).median().to_numpy(dtype=np.float64)

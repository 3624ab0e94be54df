"""How good intervals are: whether they hold the truth, and how wide they had to be for it."""

import numpy as np
from numpy.typing import ArrayLike

from crmml.errors import ConfigError, DataError
from crmml.metrics.arrays import Floats, checked


def coverage(actual: ArrayLike, lo: ArrayLike, hi: ArrayLike) -> float:
    """Share of the actual values inside their interval, both ends included.

    actual, lo, hi: vectors of one length, in one unit, lo <= hi.
    Raises `DataError`: an interval whose ends are the wrong way round, missing values, different lengths.

    >>> coverage([0.0, 5.0, 20.0], [0.0, 1.0, 1.0], [3.0, 5.0, 10.0])
    0.6666666666666666
    """
    values, low, high = _checked("coverage", actual, lo, hi)
    return float(np.mean((low <= values) & (values <= high)))


def winkler(actual: ArrayLike, lo: ArrayLike, hi: ArrayLike, *, coverage: float = 0.9) -> float:
    """Mean interval score: the width, and a fine of 2 / (1 - coverage) for each unit by which the truth lies outside.

    Its expected value is least for the true quantiles: an interval that is too narrow pays in fines, one that is too
    wide in width. In the unit of the values; small is good.

    actual, lo, hi: vectors of one length, in one unit, lo <= hi. coverage: what the intervals promise, in (0, 1).
    Raises `DataError`: as `coverage`; `ConfigError`: coverage outside (0, 1).
    Source: Winkler (1972), A decision-theoretic approach to interval estimation; Gneiting and Raftery (2007), eq. 43.

    >>> round(winkler([5.0, 12.0], [0.0, 0.0], [10.0, 10.0], coverage=0.9), 6)  # (10 + 10 + 20 * 2) / 2
    30.0
    """
    values, low, high = _checked("winkler", actual, lo, hi)
    if not 0 < coverage < 1:
        raise ConfigError(f"winkler: coverage is {coverage!r}. Use a share in (0, 1), such as coverage=0.9.")
    outside = np.maximum(low - values, 0.0) + np.maximum(values - high, 0.0)
    return float(np.mean(high - low + 2.0 / (1.0 - coverage) * outside))


def _checked(metric: str, actual: ArrayLike, lo: ArrayLike, hi: ArrayLike) -> tuple[Floats, Floats, Floats]:
    values, low, high = checked(metric, actual=actual, lo=lo, hi=hi)
    wrong = np.flatnonzero(low > high)
    if len(wrong):
        row = wrong[0]
        raise DataError(
            f"{metric}: lo[{row}] is {low[row]:g} and hi[{row}] is {high[row]:g}. Give the lower end as lo."
        )
    return values, low, high

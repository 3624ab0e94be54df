"""The names of RFM segments and where they lie on the grid of recency against frequency and money."""

import numpy as np
import numpy.typing as npt

from crmml.models._base import Floats, Ints

SEGMENTS = (
    "Champions",
    "Loyal",
    "Potential loyalists",
    "New customers",
    "Promising",
    "Need attention",
    "About to sleep",
    "At risk",
    "Cannot lose them",
    "Hibernating",
    "Lost",
)
LEVELS = 5
# Rows: recency from 5 (just now) down to 1; columns: mean of the value scores from 1 (least) to 5.
_GRID = """
New customers  | Potential loyalists | Potential loyalists | Champions | Champions
Promising      | Potential loyalists | Potential loyalists | Loyal     | Loyal
About to sleep | About to sleep      | Need attention      | Loyal     | Loyal
Hibernating    | Hibernating         | At risk             | At risk   | Cannot lose them
Lost           | Hibernating         | At risk             | At risk   | Cannot lose them
"""


def _positions() -> npt.NDArray[np.int64]:
    rows = [line.split("|") for line in _GRID.strip().splitlines()]
    named = [[SEGMENTS.index(cell.strip()) for cell in row] for row in reversed(rows)]
    return np.array(named)


POSITIONS = _positions()  # [recency level - 1, value level - 1] -> position in SEGMENTS


def positions_of(scores: Ints, n_bins: int) -> Ints:
    """The segment of each row of scores 1..n_bins (recency first), as its position in `SEGMENTS`.

    >>> SEGMENTS[positions_of(np.array([[5, 4, 5]]), 5)[0]]
    'Champions'
    """
    recency = _levels(scores[:, :1], n_bins)
    value = _levels(scores[:, 1:], n_bins)
    found: Ints = POSITIONS[recency - 1, value - 1]
    return found


def _levels(scores: Ints, n_bins: int) -> Ints:
    """The mean of each row's scores stretched from 1..n_bins to 1..5 and rounded, halves up.

    In whole numbers, so that a half is a half: level - 1 = 4 * sum(score - 1) / (columns * (n_bins - 1)).
    """
    above: Ints = (scores - 1).sum(axis=1)
    full = scores.shape[1] * (n_bins - 1)
    levels: Ints = 1 + (2 * (LEVELS - 1) * above + full) // (2 * full)
    return levels


def thresholds(values: Floats, n_bins: int) -> Floats:
    """The n_bins - 1 quantiles between the bins of a column, missing values left out; NaN where all are.

    A column without any spread tells nobody apart: its thresholds give its one value the middle score.

    >>> thresholds(np.arange(1.0, 12.0), 5)
    array([3., 5., 7., 9.])
    """
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return np.full(n_bins - 1, np.nan)
    if known.min() == known.max():
        flat = np.full(n_bins - 1, known[0])
        flat[: (n_bins - 1) // 2] = np.nextafter(known[0], -np.inf)
        return flat
    limits: Floats = np.quantile(known, np.arange(1, n_bins) / n_bins)
    return limits


def scores_of(values: Floats, limits: Floats) -> Ints:
    """1 + the number of thresholds that each value exceeds: equal values score alike, NaN scores 1.

    >>> scores_of(np.array([1.0, 3.0, 3.5, np.nan]), np.array([1.0, 1.0, 3.0]))
    array([1, 3, 4, 1])
    """
    exceeded = np.zeros(len(values), dtype=np.int64)
    for limit in limits:
        exceeded += values > limit
    return 1 + exceeded

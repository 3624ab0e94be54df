"""How far groups lie apart in one column, and whether chance explains it: rank statistics of plain arrays."""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import chi2, false_discovery_control

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

# Bounds of |Cliff's delta| from Romano, Kromrey, Coraggio and Skowronek (2006): below the first, nothing to speak of.
NEGLIGIBLE, SMALL, MEDIUM = 0.147, 0.33, 0.474


class Ranks(NamedTuple):
    """One column as ranks, equal values sharing theirs; rows without a value are left out.

    Attributes:
        known: which rows have a value, shape (rows,).
        order: the known rows from the least value to the greatest, shape (known rows,).
        values: their values, rising.
        ranks: their ranks from 1, in that order.
        ties: the sum of t^3 - t over the groups of t equal values.
    """

    known: NDArray[np.bool_]
    order: Ints
    values: Floats
    ranks: Floats
    ties: float


def ranked(column: Floats) -> Ranks:
    """The ranks of a column with NaN where nothing is known; it is sorted once, for all that follows.

    >>> ranked(np.array([5.0, np.nan, 3.0, 5.0])).ranks.tolist()
    [1.0, 2.5, 2.5]
    """
    known = ~np.isnan(column)
    rows = np.flatnonzero(known)
    order = rows[np.argsort(column[rows], kind="stable")]
    values = column[order]
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]])) if len(values) else rows
    equal = np.diff(np.append(starts, len(values)))
    ranks = np.repeat(starts + (equal + 1) / 2, equal)
    sizes = equal.astype(np.float64)
    return Ranks(known, order, values, ranks, float((sizes**3 - sizes).sum()))


def deltas(column: Ranks, codes: Ints, groups: int) -> tuple[Floats, Floats]:
    """Cliff's delta of each group against all others, and its two-sided p-value; both of shape (groups,).

    delta = P(a member's value is higher) - P(it is lower): 1 where every member lies above everybody else, 0 where
    none of both is more frequent. It is 2 AUC - 1, is not moved by outliers, and needs no unit. The p-value is that of
    the Mann-Whitney test (normal approximation, corrected for ties and for continuity). NaN where a group, or the rest,
    has no value.

    codes: the group of every row, 0 to groups - 1.
    Source: Cliff (1993), Dominance statistics; Mann and Whitney (1947), On a test of whether one of two random
    variables is stochastically larger than the other.

    >>> column = ranked(np.array([1.0, 2.0, 3.0, 4.0]))
    >>> deltas(column, np.array([0, 0, 1, 1]), 2)[0].tolist()
    [-1.0, 1.0]
    """
    inside = codes[column.order]
    n = float(len(inside))
    size = np.bincount(inside, minlength=groups).astype(np.float64)
    pairs = size * (n - size)
    above = np.bincount(inside, weights=column.ranks, minlength=groups) - size * (size + 1) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        delta = 2 * above / pairs - 1
        spread = np.sqrt(pairs / 12 * (n + 1 - column.ties / max(n * (n - 1), 1.0)))
        z = np.maximum(np.abs(above - pairs / 2) - 0.5, 0.0) / spread
    p = np.where(spread > 0, np.minimum(1.0, 2 * ndtr(-np.nan_to_num(z))), 1.0)  # all equal: nothing differs
    return delta, np.where(pairs > 0, p, np.nan)


def typical(column: Ranks, codes: Ints, groups: int, *, yes_no: bool) -> tuple[Floats, Floats, Ints]:
    """The median of each group and of everybody else, and how many values the group has; NaN where it has none.

    yes_no: the share of 1 instead, since the median of zeros and ones says nothing.

    >>> own, rest, known = typical(ranked(np.array([1.0, 2.0, 3.0, 9.0])), np.array([0, 0, 0, 1]), 2, yes_no=False)
    >>> own.tolist(), rest.tolist(), known.tolist()
    ([2.0, 9.0], [9.0, 2.0], [3, 1])
    """
    inside = codes[column.order]
    own, rest = np.full(groups, np.nan), np.full(groups, np.nan)
    for group in range(groups):
        mine = inside == group
        for into, side in ((own, column.values[mine]), (rest, column.values[~mine])):
            if len(side):  # risen already: the median stands in the middle
                into[group] = side.mean() if yes_no else (side[(len(side) - 1) // 2] + side[len(side) // 2]) / 2
    return own, rest, np.bincount(inside, minlength=groups)


def any_difference(column: Ranks, codes: Ints, groups: int) -> float:
    """The p-value that the column is the same in all groups (Kruskal and Wallis); NaN with fewer than two groups.

    Source: Kruskal and Wallis (1952), Use of ranks in one-criterion variance analysis.

    >>> column = ranked(np.arange(12.0))
    >>> round(any_difference(column, np.repeat([0, 1, 2], 4), 3), 4)
    0.0073
    """
    inside = codes[column.order]
    n = float(len(inside))
    size = np.bincount(inside, minlength=groups).astype(np.float64)
    there = size > 0
    if there.sum() < 2:
        return float("nan")
    if column.ties >= n**3 - n:  # all equal
        return 1.0
    sums = np.bincount(inside, weights=column.ranks, minlength=groups)
    between = 12 / (n * (n + 1)) * float((sums[there] ** 2 / size[there]).sum()) - 3 * (n + 1)
    return float(chi2.sf(between / (1 - column.ties / (n**3 - n)), int(there.sum()) - 1))


def discoveries(p_values: Floats) -> Floats:
    """p-values corrected for their number by Benjamini and Hochberg; NaN stays NaN and does not count.

    Those at or below q are findings of which on average at most the share q is false.
    Source: Benjamini and Hochberg (1995), Controlling the false discovery rate.

    >>> discoveries(np.array([0.01, np.nan, 0.04])).tolist()
    [0.02, nan, 0.04]
    """
    corrected = np.full(len(p_values), np.nan)
    tested = ~np.isnan(p_values)
    if tested.any():
        corrected[tested] = false_discovery_control(p_values[tested])
    return corrected

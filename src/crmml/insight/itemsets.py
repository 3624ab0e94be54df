"""Frequent itemsets: which items stand in at least so many baskets together, and in baskets of which sizes.

Depth first: the baskets that hold a prefix of items, reduced to the items that can follow it, are one matrix; its
product with itself counts every pair of followers at once. Memory holds the lines of the baskets, one such matrix
per item of the prefix, and the result.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

Itemset: TypeAlias = tuple[int, ...]  # columns, ascending
Counts = NDArray[np.int64]

# Up to so many cells the baskets of a prefix are a plain matrix, which is faster than a sparse one.
DENSE_CELLS = 1_000_000
# Items whose pairs are counted at a time: bounds the product of a large catalogue with itself.
BLOCK = 2_000


def frequent_itemsets(
    lines: csr_array, least: int, *, longest: int | None = None, most: int = 2_000_000
) -> dict[Itemset, int]:
    """The number of baskets of every set of items that stands in at least `least` of them.

    lines: shape (baskets, items), 1 where an item is in a basket. longest: items of a set at most.
    most: an `OverflowError` is raised as soon as there are more sets than these.

    Source: Zaki (2000), Scalable algorithms for association mining (Eclat): prefixes depth first, here with the
    counts of all pairs of followers as one matrix product; rare items first, which keeps the matrices small.

    >>> baskets = csr_array(np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0]]))
    >>> frequent_itemsets(baskets, 2)
    {(0,): 3, (1,): 2, (0, 1): 2}
    """
    totals = np.asarray(lines.sum(axis=0)).ravel().astype(np.int64)
    kept = np.flatnonzero(totals >= least)
    found: dict[Itemset, int] = {(int(item),): int(totals[item]) for item in kept}
    if longest == 1 or len(kept) < 2:
        return found
    rare_first = kept[np.argsort(totals[kept], kind="stable")]
    root = csr_array(lines[:, rare_first], dtype=np.int32)
    for itemset, count in _extended((), root, rare_first, least, longest):
        found[tuple(sorted(itemset))] = count
        if len(found) > most:
            raise OverflowError
    return dict(sorted(found.items(), key=lambda entry: (len(entry[0]), entry[0])))


Rows: TypeAlias = "csr_array | NDArray[np.float32]"


def _extended(
    prefix: Itemset, rows: Rows, items: Counts, least: int, longest: int | None
) -> Iterator[tuple[Itemset, int]]:
    """The frequent sets that are `prefix` and two or more of `items`, whose columns `rows` has."""
    for first, others, counts in _pairs(rows, least):
        head = (*prefix, int(items[first]))
        for other, count in zip(items[others].tolist(), counts.tolist(), strict=True):
            yield (*head, other), count
        if len(others) > 1 and (longest is None or len(head) + 2 <= longest):
            yield from _extended(head, _with(rows, first, others), items[others], least, longest)


def _pairs(rows: Rows, least: int) -> Iterator[tuple[int, Counts, Counts]]:
    """For each column the later columns that share at least `least` rows with it, and how many they share."""
    width = rows.shape[1]
    columns = rows.T if isinstance(rows, np.ndarray) else csr_array(rows.T)
    for start in range(0, width, BLOCK):
        shared = columns[start : start + BLOCK] @ rows
        if isinstance(shared, np.ndarray):
            one, other = np.nonzero(np.triu(shared >= least, start + 1))
            count = shared[one, other].astype(np.int64)
        else:
            cells = shared.tocoo()
            keep = (cells.data >= least) & (cells.col > cells.row + start)
            one, other, count = cells.row[keep], cells.col[keep], cells.data[keep].astype(np.int64)
        order = np.lexsort((other, one))
        one, other, count = one[order], other[order].astype(np.int64), count[order]
        for part in np.split(np.arange(len(one)), np.flatnonzero(np.diff(one)) + 1):
            if len(part):
                yield int(one[part[0]]) + start, other[part], count[part]


def _with(rows: Rows, column: int, others: Counts) -> Rows:
    """The rows that have `column`, reduced to the columns `others`; plain where that is small."""
    if isinstance(rows, np.ndarray):
        return rows[rows[:, column] > 0][:, others]
    having = np.flatnonzero(np.asarray(rows[:, [column]].toarray()).ravel())
    chosen = rows[having][:, others]
    # Counts below 2^24 are exact in single precision; a plain matrix has fewer rows than that.
    return chosen.toarray().astype(np.float32) if chosen.shape[0] * len(others) <= DENSE_CELLS else chosen


class SizeCounts:
    """In how many baskets of each size a set of items stands.

    lines: shape (baskets, items), 1 where an item is in a basket.
    sizes: the number of items of every basket, shape (baskets,); they may count items that `lines` does not have.

    >>> counts = SizeCounts(csr_array(np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0]])), np.array([3, 2, 1]))
    >>> counts.of((0,)).tolist(), counts.of((0, 1)).tolist(), counts.of(()).tolist()
    ([0, 1, 1, 1, 0], [0, 0, 1, 1, 0], [0, 1, 1, 1, 0])
    """

    def __init__(self, lines: csr_array, sizes: Counts) -> None:
        columns = csc_array(lines)
        columns.sort_indices()
        self._of_item = np.split(columns.indices, columns.indptr[1:-1])
        self._sizes = sizes
        # One place more than the largest basket: a set without one of its items is compared one size further on.
        self._width = int(sizes.max(initial=0)) + 2
        self._counted: dict[Itemset, Counts] = {(): self._histogram(sizes)}

    def count(self, wanted: Iterable[Itemset]) -> None:
        """Count these sets in one walk: prefix after prefix, each the baskets of the one before and one item more."""
        path: list[Counts] = []
        last: Itemset = ()
        for itemset in sorted(set(wanted) - set(self._counted)):
            shared = _common(last, itemset)
            del path[shared:]
            for item in itemset[shared:]:
                mine = self._of_item[item]
                path.append(np.intersect1d(path[-1], mine, assume_unique=True) if path else mine)
            self._counted[itemset] = self._histogram(self._sizes[path[-1]])
            last = itemset

    def of(self, itemset: Itemset) -> Counts:
        """The number of baskets with all of these items by size from 0, shape (largest size + 2,)."""
        if itemset not in self._counted:
            self.count([itemset])
        return self._counted[itemset]

    def _histogram(self, sizes: Counts) -> Counts:
        return np.bincount(sizes, minlength=self._width).astype(np.int64)


def _common(one: Itemset, other: Itemset) -> int:
    """With how many of the same items two sets begin."""
    for place, (mine, theirs) in enumerate(zip(one, other, strict=False)):
        if mine != theirs:
            return place
    return min(len(one), len(other))

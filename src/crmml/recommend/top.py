"""The best k of many scores, with ties broken the same way every time."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating[Any]]

SIFT = 4  # one column of so many is looked at first
LEAST_TO_SIFT = 16  # with fewer columns than so many times k, all are sorted at once


class Ranked(NamedTuple):
    """Ranked items of several rows, one after the other: three vectors of one length, best first within a row."""

    row: NDArray[np.int64]
    item: NDArray[np.int64]
    score: NDArray[np.float64]


def top_k(scores: Scores, k: int) -> Ranked:
    """The k best columns of every row: by score from the highest, then by column from the lowest.

    scores: shape (rows, columns); -inf means "not available": a row with fewer than k others gives fewer.

    >>> top_k(np.array([[1.0, 3.0, 3.0, 3.0]]), 2).item.tolist()
    [1, 2]
    """
    columns = scores.shape[1]
    k = min(k, columns)
    cell = _contenders(scores, k)
    row, value = cell // columns, scores.ravel()[cell]
    order = np.lexsort((-value, row))  # stable: of equal scores the first column stays first
    order = order[(ranks(row) <= k) & (value[order] > -np.inf)]
    return Ranked(row[order], cell[order] % columns, value[order].astype(np.float64))


def _contenders(scores: Scores, k: int) -> NDArray[np.int64]:
    """Cells, as positions in the flattened array, among which are the k best columns of every row; ascending."""
    rows, columns = scores.shape
    if columns < LEAST_TO_SIFT * k:
        return np.arange(scores.size)
    # The k-th best of some columns is no better than the k-th best of all.
    some = np.ascontiguousarray(scores[:, ::SIFT])
    bound = np.partition(some, some.shape[1] - k, axis=1)[:, -k]
    above = np.flatnonzero(scores > bound[:, None])
    count = np.bincount(above // columns, minlength=rows)
    cells = [above]
    for row in np.flatnonzero((count < k) & (bound > -np.inf)):
        equal = np.flatnonzero(scores[row] == bound[row])
        cells.append(row * columns + equal[: k - count[row]])
    return np.sort(np.concatenate(cells)) if len(cells) > 1 else above


def joined(parts: list[Ranked]) -> Ranked:
    """Several results as one, rows in ascending order.

    >>> one = Ranked(np.array([1]), np.array([5]), np.array([0.5]))
    >>> joined([one, one._replace(row=np.array([0]))]).row.tolist()
    [0, 1]
    """
    row, item, score = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(row, kind="stable")
    return Ranked(row[order], item[order], score[order])


def ranks(row: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of every entry within its row, from 1; `row` ascending.

    >>> ranks(np.array([4, 4, 9])).tolist()
    [1, 2, 1]
    """
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    lengths = np.diff(np.append(starts, len(row)))
    return np.arange(1, len(row) + 1) - np.repeat(starts, lengths)

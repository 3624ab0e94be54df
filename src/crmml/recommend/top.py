"""The best k of many scores, with ties broken the same way every time."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating[Any]]


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
    rows, columns = scores.shape
    k = min(k, columns)
    best = np.argpartition(scores, columns - k, axis=1)[:, columns - k :]
    found = np.take_along_axis(scores, best, axis=1)
    border = found.min(axis=1, keepdims=True)
    # argpartition picks any of the columns that tie at the border: where there are more than fit, pick again.
    at_border = np.count_nonzero(scores == border, axis=1) > np.count_nonzero(found == border, axis=1)
    for row in np.flatnonzero(at_border & (border.ravel() > -np.inf)):
        enough = np.flatnonzero(scores[row] >= border[row])
        best[row] = enough[np.argsort(-scores[row, enough], kind="stable")[:k]]
    best.sort(axis=1)
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
    best = np.take_along_axis(best, order, axis=1)
    found = np.take_along_axis(scores, best, axis=1)
    keep = found > -np.inf
    return Ranked(np.repeat(np.arange(rows), keep.sum(axis=1)), best[keep], found[keep].astype(np.float64))


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

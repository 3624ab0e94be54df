"""The first stage: the best items of several recommenders, united, with what each of them thinks of every one."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmml.recommend._threads import mapped
from crmml.recommend.base import Recommender
from crmml.recommend.matrix import Interactions
from crmml.recommend.top import Scores, top_k

CELLS = 16_000_000  # scores in memory at a time, over all recommenders: 64 MB in single precision


class Candidates(NamedTuple):
    """Candidates of several customers, one after the other: by customer, then by item.

    row: shape (n,), ascending; counts the customers from 0. item: shape (n,), the column of the item.
    score: shape (n, recommenders), float64: the scores, in units of the standard deviation over the customer's
    candidates, with mean 0. rank: shape (n, recommenders), the place on each recommender's list, from 1; 0 where it
    is not on it.
    """

    row: NDArray[np.int64]
    item: NDArray[np.int64]
    score: NDArray[np.float64]
    rank: NDArray[np.int64]

    def of(self, keep: NDArray[np.bool_]) -> "Candidates":
        """Those for which `keep`, shape (n,), is true; the customers keep their numbers."""
        return Candidates(self.row[keep], self.item[keep], self.score[keep], self.rank[keep])


def candidates(
    generators: Mapping[str, Recommender],
    matrix: Interactions,
    customers: NDArray[np.int64],
    size: int,
    *,
    exclude_seen: bool = True,
    hidden: NDArray[np.bool_] | None = None,
    n_jobs: int = 1,
) -> Candidates:
    """The union of the `size` best items of every generator for these rows of the matrix, on so many threads.

    hidden: shape (items,), items that nobody is to get; None: none.
    The candidates of a customer do not depend on the other customers, nor on the threads.
    """
    step = max(1, CELLS // (len(matrix.item_ids) * len(generators)))

    def part(start: int) -> Candidates:
        some = customers[start : start + step]
        scores = [generator._scores(some) for generator in generators.values()]
        for one in scores:
            if exclude_seen:
                seen = matrix.weights[some]
                one[np.repeat(np.arange(len(some)), np.diff(seen.indptr)), seen.indices] = -np.inf
            if hidden is not None:
                one[:, hidden] = -np.inf
        found = _block(scores, len(some), len(matrix.item_ids), size)
        return found._replace(row=found.row + start)

    parts = mapped(part, range(0, len(customers), step), n_jobs)
    if not parts:
        nothing = np.empty(0, dtype=np.int64)
        return Candidates(nothing, nothing, np.empty((0, len(generators))), nothing.reshape(0, len(generators)))
    return Candidates(
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.item for part in parts]),
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.rank for part in parts]),
    )


def _block(scores: list[Scores], customers: int, items: int, size: int) -> Candidates:
    cells, places = [], []
    for one in scores:
        best = top_k(one, size)
        cells.append(best.row * items + best.item)
        starts = np.searchsorted(best.row, np.arange(customers))
        places.append(np.arange(len(best.row)) - starts[best.row] + 1)
    union = np.unique(np.concatenate(cells))
    row, item = np.divmod(union, items)
    rank = np.zeros((len(union), len(scores)), dtype=np.int64)
    for column, (cell, place) in enumerate(zip(cells, places, strict=True)):
        rank[np.searchsorted(union, cell), column] = place
    raw = np.stack([one[row, item].astype(np.float64) for one in scores], axis=1)
    return Candidates(row, item, standardised(raw, row), rank)


def standardised(raw: NDArray[np.float64], row: NDArray[np.int64]) -> NDArray[np.float64]:
    """Every column less its mean and over its standard deviation within the rows of the same number.

    A score of -inf counts as the lowest that is finite; where all are equal, all become 0. Sums run over one
    customer's candidates in order, so that the result does not depend on the others, to the last bit.

    >>> standardised(np.array([[1.0], [3.0], [5.0]]), np.array([0, 0, 1])).tolist()
    [[-1.0], [1.0], [0.0]]
    """
    if not len(row):
        return raw
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    count = np.diff(np.append(starts, len(row)))

    def spread(values: NDArray[Any]) -> NDArray[Any]:
        return np.repeat(values, count, axis=0)

    finite = np.isfinite(raw)
    lowest = np.minimum.reduceat(np.where(finite, raw, np.inf), starts, axis=0)
    raw = np.where(finite, raw, spread(np.where(np.isfinite(lowest), lowest, 0.0)))
    centred = raw - spread(np.add.reduceat(raw, starts, axis=0) / count[:, None])
    deviation = np.sqrt(np.add.reduceat(centred**2, starts, axis=0) / count[:, None])
    # Rounding alone makes the deviation of equal scores a little more than 0.
    largest = np.maximum.reduceat(np.abs(raw), starts, axis=0)
    flat = deviation <= 1e-9 * largest
    return np.where(spread(flat), 0.0, centred / spread(np.where(flat, 1.0, deviation)))

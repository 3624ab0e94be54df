"""A weighted sum of standardised scores, and how good an order is on a hold-out."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmml.recommend.candidates import Candidates

Floats = NDArray[np.float64]


class Judged(NamedTuple):
    """Candidates of whom it is known which are wanted: what a blend or a ranker is fitted to, or judged on.

    candidates: of these customers. wanted: shape (n,), which of them were held out. held: shape (customers,), how
    many items were held out of each, found among the candidates or not. kind: shape (customers,), how.
    """

    candidates: Candidates
    wanted: NDArray[np.bool_]
    held: NDArray[np.int64]
    kind: NDArray[np.str_]

    def of(self, customers: NDArray[np.bool_]) -> "Judged":
        """These customers alone, numbered anew."""
        keep = customers[self.candidates.row]
        number = np.cumsum(customers) - 1
        some = self.candidates.of(keep)
        some = some._replace(row=number[some.row])
        return Judged(some, self.wanted[keep], self.held[customers], self.kind[customers])


def blended(score: Floats, weights: Floats) -> Floats:
    """The weighted mean of the columns of standardised scores, shape (n,).

    Added column by column: a product of matrices may add in another order for other numbers of rows.

    >>> blended(np.array([[1.0, 3.0]]), np.array([1.0, 1.0])).tolist()
    [2.0]
    """
    total: Floats = np.zeros(len(score))
    for column, weight in enumerate(weights):
        total += weight * score[:, column]
    return np.asarray(total / weights.sum())


def places(score: Floats, candidates: Candidates) -> NDArray[np.int64]:
    """The place of every candidate among its customer's, from 0: by score from the highest, then by item.

    >>> two = Candidates(np.array([0, 0]), np.array([3, 5]), np.zeros((2, 1)), np.zeros((2, 1), dtype=np.int64))
    >>> places(np.array([0.5, 0.7]), two).tolist()
    [1, 0]
    """
    order = np.lexsort((candidates.item, -score, candidates.row))
    starts = np.searchsorted(candidates.row, np.arange(candidates.row[-1] + 1 if len(order) else 0))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order)) - starts[candidates.row[order]]
    return place


def ndcg(score: Floats, judged: Judged, k: int) -> Floats:
    """NDCG at k of the candidates ordered by this score, by customer; wanted items that are no candidates count."""
    place = places(score, judged.candidates)
    hit = judged.wanted & (place < k)
    gained = np.bincount(judged.candidates.row[hit], weights=1 / np.log2(place[hit] + 2), minlength=len(judged.held))
    ideal = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
    return np.asarray(gained / ideal[np.clip(judged.held, 1, k) - 1])


def recall(score: Floats, judged: Judged, k: int) -> Floats:
    """Recall at k in the same way."""
    hit = judged.wanted & (places(score, judged.candidates) < k)
    found = np.bincount(judged.candidates.row[hit], minlength=len(judged.held))
    return np.asarray(found / np.maximum(judged.held, 1))

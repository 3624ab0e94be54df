"""Recommenders whose score is a scalar product: a vector for every customer, a vector for every item."""

from math import ceil, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crmml.recommend.base import CELLS, Recommender
from crmml.recommend.matrix import Interactions, checked_array
from crmml.recommend.top import Ranked, joined, top_k

Factors = NDArray[np.float32]

HEAD = 16  # the first look is at one item in so many, those with the longest vectors
MARGIN = 1 + 1e-9  # lengths are rounded, scores are not


class FactorRecommender(Recommender):
    """Base of the recommenders with `customer_factors_` (customers, n) and `item_factors_` (items, n), on a grid.

    A subclass has `_learn`, which sets both through `on_grid`, and `_width`.
    """

    customer_factors_: Factors
    item_factors_: Factors

    def _width(self, matrix: Interactions) -> int:
        """The length of the vectors."""
        raise NotImplementedError

    def _scores(self, customers: NDArray[np.int64]) -> NDArray[np.float64]:
        some = self.customer_factors_[customers].astype(np.float64)
        return np.asarray(some @ self.item_factors_.T.astype(np.float64))

    def _best(
        self, customers: NDArray[np.int64], k: int, exclude_seen: bool, hidden: NDArray[np.bool_] | None
    ) -> Ranked:
        """As in the base, and the same to the last bit, without scoring items that cannot be among the best.

        No score is larger than the product of both lengths. The items with the longest vectors are scored first;
        the k-th best of them says how long the vector of any other item must be to come before it.
        """
        vectors = self.item_factors_.astype(np.float64)
        length = np.sqrt((vectors**2).sum(axis=1)) * MARGIN
        order = np.argsort(-length, kind="stable")
        order = order if hidden is None else order[~hidden[order]]

        def scores_of(some: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float64]:
            scores = np.asarray(self.customer_factors_[some].astype(np.float64) @ vectors[items].T)
            if exclude_seen:
                column = np.full(len(vectors), -1)
                column[items] = np.arange(len(items))
                seen = self.matrix_.weights[some]
                row, at = np.repeat(np.arange(len(some)), np.diff(seen.indptr)), column[seen.indices]
                scores[row[at >= 0], at[at >= 0]] = -np.inf
            return scores

        def needed(some: NDArray[np.int64]) -> NDArray[np.int64]:
            scores = scores_of(some, head)
            bound = np.partition(scores, len(head) - k, axis=1)[:, len(head) - k]
            own = np.sqrt((self.customer_factors_[some].astype(np.float64) ** 2).sum(axis=1))
            shortest = np.divide(bound, own, out=np.full(len(some), -np.inf), where=own > 0)
            return np.asarray(np.searchsorted(-length[order], -shortest, side="right"), dtype=np.int64)

        head = order[: max(2 * k, len(order) // HEAD)]
        if len(head) == len(order) or not len(customers):
            return super()._best(customers, k, exclude_seen, hidden)
        size = max(1, CELLS // len(order))
        looks = range(0, len(customers), size * HEAD)
        counts = np.concatenate([needed(customers[start : start + size * HEAD]) for start in looks])
        alike = np.argsort(counts, kind="stable")  # those who need as many items are scored together
        parts = []
        for rows in (alike[start : start + size] for start in range(0, len(alike), size)):
            items = np.sort(order[: counts[rows[-1]]])  # in their own order, in which ties are broken
            found = top_k(scores_of(customers[rows], items), k)
            parts.append(Ranked(rows[found.row], items[found.item], found.score))
        return joined(parts)

    def _likeness(self, items: NDArray[np.int64]) -> NDArray[np.float64]:
        return cosines(self.item_factors_, items)

    def _array_names(self) -> tuple[str, ...]:
        return ("customer_factors", "item_factors")

    def _get_arrays(self) -> dict[str, NDArray[Any]]:
        return {"customer_factors": self.customer_factors_, "item_factors": self.item_factors_}

    def _set_arrays(self, state: dict[str, Any], matrix: Interactions, where: str) -> None:
        rows = {"customer_factors": len(matrix.customer_ids), "item_factors": len(matrix.item_ids)}
        customers, items = (
            checked_array(state[name], "f", (rows[name], self._width(matrix)), f"{where}: {name}")
            for name in self._array_names()
        )
        self.customer_factors_, self.item_factors_ = customers, items


def cosines(factors: Factors, items: NDArray[np.int64]) -> NDArray[np.float64]:
    """The cosines of these rows with all rows, shape (len(items), rows).

    >>> cosines(np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 0.0]], dtype=np.float32), np.array([0])).tolist()
    [[1.0, 1.0, 0.0]]
    """
    vectors = factors.astype(np.float64)
    length = np.sqrt((vectors**2).sum(axis=1))
    length[length == 0] = 1  # an item that was only ever seen with weight 0 is like nothing: cosine 0
    return np.asarray(vectors[items] @ vectors.T / (length[items, None] * length))


def on_grid(factors: Factors) -> Factors:
    """The factors rounded to multiples of a power of two so coarse that every scalar product is exact in float64.

    A product of two such matrices has no rounding at all: the scores are the same for one customer or a
    thousand at a time, and for any BLAS, any number of threads. The step is at most the largest factor times
    2^-21 for up to 2,048 factors.

    factors: shape (rows, length), float32.

    >>> on_grid(np.array([[1 / 3, 1.0]], dtype=np.float32)).tolist()
    [[0.3333333730697632, 1.0]]
    """
    largest = float(np.abs(factors).max())
    if largest == 0:
        return factors
    # Integers of up to 2^bits: their products summed over the length stay below 2^53, and 2^23 fits float32.
    bits = min(23, (53 - ceil(log2(factors.shape[1]))) // 2)
    step = 2.0 ** (ceil(log2(largest)) - bits)
    return (np.round(factors / step) * step).astype(np.float32)

"""Weights of a blend, found on hold-outs: what helps on no kind of hold-out is left out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from crmml.recommend.blend import Judged, blended
from crmml.recommend.candidates import Candidates, standardised

Floats = NDArray[np.float64]
VALUES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
PASSES = 3
MOST = 6_000  # customers that weights are fitted to: bounds time, and memory to some 100 MB
MEAN = 0.1  # how much the mean gain counts beside the least: it leads where the least of two stands still


def fitted_weights(judged: Judged, k: int) -> Floats:
    """Weights of the generators that gain most over equal ones, in mean NDCG at k, on the kind of hold-out where least.

    Shape (generators,); 0 leaves a generator out, with what it alone proposes. They are found one by one from equal
    ones, or from one generator alone where that is better, and change only for a higher figure: equal weights are the
    answer where nothing speaks against them. A gain on one kind that is paid for on another is none: nobody knows
    which kind is more like what comes.

    >>> one = Candidates(np.array([0, 0]), np.array([3, 5]), np.array([[1.0, -1], [-1, 1]]), np.ones((2, 2), dtype=int))
    >>> first = Judged(one, np.array([True, False]), np.array([1]), np.array(["later"]))
    >>> fitted_weights(first, 1).tolist()
    [1.0, 1.0]
    >>> second = first._replace(wanted=np.array([False, True]))
    >>> fitted_weights(second, 1).tolist()
    [0.0, 1.0]
    """
    table = _Table(judged.of(np.arange(len(judged.held)) < MOST), k)
    weights, best = np.ones(judged.candidates.score.shape[1]), 0.0
    equal = table.ndcg(weights)

    def better(changed: Floats) -> None:
        nonlocal weights, best
        found = table.least(table.ndcg(changed) - equal)
        if found > best:
            weights, best = changed, found

    for alone in np.eye(len(weights)):
        better(alone)
    for _ in range(PASSES):
        before = best
        for column in range(len(weights)):
            for value in VALUES:
                changed = weights.copy()
                changed[column] = value
                if value != weights[column] and changed.any():
                    better(changed)
        if best == before:
            break
    return weights


def weighed(found: Candidates, weights: Floats) -> Floats:
    """What a blend with these weights makes of the candidates, shape (n,): -inf where those left out propose alone.

    Scores are standardised among what the others propose: where a generator is left out, nothing hangs on it.

    >>> ranks = np.array([[1, 0], [0, 1], [2, 2]])
    >>> three = Candidates(np.zeros(3, dtype=int), np.arange(3), np.array([[1.0, 0], [0, 2], [0, 1]]), ranks)
    >>> weighed(three, np.array([0.0, 1.0])).tolist()
    [-inf, 1.0, -1.0]
    """
    kept = weights > 0
    own = (found.rank[:, kept] > 0).any(axis=1)
    score = np.full(len(found.row), -np.inf)
    score[own] = blended(standardised(found.score[own][:, kept], found.row[own]), weights[kept])
    return score


class _Table:
    """Candidates as a matrix, a row for every customer, in which many weights are tried in little time."""

    def __init__(self, judged: Judged, k: int) -> None:
        found = judged.candidates
        customers = len(judged.held)
        self.k = k
        self.kinds = [judged.kind == kind for kind in np.unique(judged.kind)]
        counts = np.bincount(found.row, minlength=customers)
        place = np.arange(len(found.row)) - (np.cumsum(counts) - counts)[found.row]
        shape = (customers, max(int(counts.max(initial=0)), k))

        def spread(values: NDArray[Any], kind: type) -> NDArray[Any]:
            matrix: NDArray[Any] = np.zeros(shape, dtype=kind)
            matrix[found.row, place] = values
            return matrix

        self.score = [spread(column, np.float32) for column in found.score.T]
        self.listed = [spread(column > 0, np.bool_) for column in found.rank.T]
        self.wanted = spread(judged.wanted, np.bool_)
        self.discount = 1 / np.log2(np.arange(2, k + 2))
        self.ideal = np.cumsum(self.discount)[np.clip(judged.held, 1, k) - 1]

    def ndcg(self, weights: Floats) -> Floats:
        """NDCG at k by customer, as `blend.ndcg` of `weighed`, equal scores in any order."""
        kept = [column for column, weight in enumerate(weights) if weight > 0]
        own = np.logical_or.reduce([self.listed[column] for column in kept])
        count = np.maximum(own.sum(axis=1, keepdims=True), 1)
        total = np.where(own, np.float32(0), np.float32(-np.inf))
        for column in kept:
            score = self.score[column]
            within = np.where(own, score, 0)
            mean = within.sum(axis=1, keepdims=True) / count
            # The mean itself moves a customer's scores all alike.
            deviation = np.sqrt(np.maximum((within**2).sum(axis=1, keepdims=True) / count - mean**2, 0))
            scale = np.divide(weights[column], deviation, out=np.zeros_like(deviation), where=deviation > 1e-6)
            total += scale.astype(np.float32) * score
        top = np.argpartition(-total, self.k - 1, axis=1)[:, : self.k]
        order = np.argsort(-np.take_along_axis(total, top, axis=1), axis=1, kind="stable")
        hits = np.take_along_axis(self.wanted, np.take_along_axis(top, order, axis=1), axis=1)
        return np.asarray((hits @ self.discount) / self.ideal)

    def least(self, difference: Floats) -> float:
        """The least mean over the kinds of hold-out, and a little of their mean."""
        gains = [float(difference[kind].mean()) for kind in self.kinds]
        return min(gains) + MEAN * sum(gains) / len(gains)

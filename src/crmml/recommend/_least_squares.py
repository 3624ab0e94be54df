"""One half of alternating least squares, with a penalty of its own for every row: conjugate gradients in numpy."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Factors = NDArray[np.float32]

STEPS = 3  # of conjugate gradients for every solve, as in the source
BATCH = 500_000  # numbers of the other side's vectors that are looked at together: they stay in the cache


def improved(extra: csr_array, own: Factors, other: Factors, penalty: NDArray[np.float32]) -> Factors:
    """Better vectors for one side while the other is held fast.

    Takes `STEPS` steps of conjugate gradients, from `own`, towards the x_r with

        (Y'Y + sum over r's interactions e y y' + penalty_r) x_r = sum over r's interactions (1 + e) y

    extra: shape (rows, columns), above 0: by how much the confidence is above the 1 of an absence.
    own: shape (rows, n). other: the y, shape (columns, n). penalty: shape (rows,).
    Source: Takacs, Pilaszy and Tikk (2011), Applications of the conjugate gradient method for implicit
    feedback collaborative filtering, RecSys.

    >>> y = np.array([[2.0]], dtype=np.float32)
    >>> x = improved(csr_array([[9.0]]), np.zeros((1, 1), dtype=np.float32), y, np.ones(1, dtype=np.float32))
    >>> x.astype(float).round(4).tolist()  # 10 * 2 / (10 * 4 + 1)
    [[0.4878]]
    """
    gram = other.T @ other
    found = np.zeros_like(own)
    for rows, places, weight in _batches(extra, other.shape[1]):
        vectors = other[places]
        target = np.matmul(_and_one(weight)[:, None], vectors)[:, 0]
        found[rows] = _solved(gram, vectors, weight, penalty[rows, None], own[rows], target)
    return found


def _solved(  # noqa: PLR0917
    gram: Factors, vectors: Factors, weight: Factors, penalty: Factors, start: Factors, target: Factors
) -> Factors:
    """`STEPS` steps for a batch: vectors (rows, most interactions, n), weight (rows, most interactions)."""

    def times(x: Factors) -> Factors:
        inner = np.matmul(vectors, x[:, :, None])[:, :, 0] * weight
        return np.asarray(x @ gram + np.matmul(inner[:, None], vectors)[:, 0] + penalty * x)

    x = start.copy()
    residual = target - times(x)
    direction = residual.copy()
    length = (residual**2).sum(axis=1, keepdims=True)
    for _ in range(STEPS):
        product = times(direction)
        along = (direction * product).sum(axis=1, keepdims=True)
        step = np.divide(length, along, out=np.zeros_like(length), where=along > 0)
        x += step * direction
        residual -= step * product
        before, length = length, (residual**2).sum(axis=1, keepdims=True)
        ratio = np.divide(length, before, out=np.zeros_like(length), where=before > 0)
        direction = residual + ratio * direction
    return x


def _batches(extra: csr_array, width: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Factors]]:
    """Rows with about as many interactions: the rows, their columns and weights, filled up with weight 0."""
    counts = np.diff(extra.indptr)
    order = np.argsort(counts, kind="stable")
    order = order[counts[order] > 0]  # without interactions the solution is 0
    first = 0
    while first < len(order):
        most = BATCH // width
        end = first + 1
        # Rows are in ascending order of their counts: the last one of a batch says how wide it is.
        while end < len(order) and (end + 1 - first) * counts[order[end]] <= most:
            end += 1
        rows = order[first:end]
        inside = np.arange(counts[rows[-1]]) < counts[rows, None]
        at = np.where(inside, extra.indptr[rows, None] + np.arange(inside.shape[1]), 0)
        yield rows, extra.indices[at], np.where(inside, extra.data[at], 0).astype(np.float32)
        first = end


def _and_one(weight: Factors) -> Factors:
    """1 + e for interactions, 0 for what only fills up."""
    return np.where(weight > 0, 1 + weight, 0).astype(np.float32)

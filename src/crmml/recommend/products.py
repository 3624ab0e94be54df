"""Products of the interactions with themselves, a block of rows at a time: what neighbours are made of."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from crmml.recommend.matrix import checked_array, damaged

Floats = NDArray[np.float64]

PAIRS = 20_000_000  # products of two interactions that a block may need: bounds its memory to some 300 MB


def taste(weights: csr_array) -> csr_array:
    """The weights above 0, divided by the largest, so that their unit is nothing; shape as given, float64.

    >>> taste(csr_array(np.array([[4.0, 2.0]]))).toarray().tolist()
    [[1.0, 0.5]]
    """
    positive = csr_array(weights, copy=True)
    positive.eliminate_zeros()
    positive.data = positive.data / positive.data.max() if positive.nnz else positive.data
    return positive


def powers(sums: Any, exponent: float) -> Floats:
    """The sums to this power; 1 where the sum is 0, since nothing is ever multiplied with it.

    >>> powers(np.array([4.0, 0.0]), -0.5).tolist()
    [0.5, 1.0]
    """
    found = np.asarray(sums, dtype=np.float64).ravel()
    return np.where(found > 0, np.where(found > 0, found, 1.0) ** exponent, 1.0)


def scaled(matrix: csr_array, rows: Floats | None = None, columns: Floats | None = None) -> csr_array:
    """The matrix with its rows and columns multiplied by these numbers.

    >>> scaled(csr_array(np.ones((1, 2))), np.array([2.0]), np.array([1.0, 5.0])).toarray().tolist()
    [[2.0, 10.0]]
    """
    data = matrix.data.copy()
    if rows is not None:
        data *= np.repeat(rows, np.diff(matrix.indptr))
    if columns is not None:
        data *= columns[matrix.indices]
    return csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def blocks(left: csr_array, right: csr_array) -> Iterator[tuple[int, csr_array]]:
    """The product of two sparse matrices as (first row, rows of the product), blocks of bounded memory.

    >>> [(first, block.toarray().tolist()) for first, block in blocks(*(csr_array(np.eye(2)),) * 2)]
    [(0, [[1.0, 0.0], [0.0, 1.0]])]
    """
    cost = np.concatenate([[0], np.cumsum(np.diff(right.indptr)[left.indices])])[left.indptr]
    first = 0
    while first < left.shape[0]:
        end = max(first + 1, int(np.searchsorted(cost, cost[first] + PAIRS, side="right")) - 1)
        block = csr_array(left[first:end] @ right)
        block.sort_indices()
        yield first, block
        first = end


def strongest(block: csr_array, count: int) -> csr_array:
    """The `count` largest values of every row, equal ones by column from the lowest; columns stay sorted.

    >>> strongest(csr_array(np.array([[1.0, 3.0, 1.0, 2.0]])), 3).toarray().tolist()
    [[1.0, 3.0, 0.0, 2.0]]
    """
    keep = np.ones(block.nnz, dtype=bool)
    for row in np.flatnonzero(np.diff(block.indptr) > count):
        start, end = block.indptr[row : row + 2]
        values = block.data[start:end]
        border = np.partition(values, len(values) - count)[len(values) - count]
        keep[start:end] = values > border
        equal = np.flatnonzero(values == border)
        keep[start + equal[: count - np.count_nonzero(keep[start:end])]] = True
    return where_true(block, keep)


def where_true(block: csr_array, keep: NDArray[np.bool_]) -> csr_array:
    """The stored values for which `keep`, shape (nnz,), is true.

    >>> where_true(csr_array(np.array([[5.0, 6.0]])), np.array([False, True])).toarray().tolist()
    [[0.0, 6.0]]
    """
    ends = np.concatenate([[0], np.cumsum(keep)])[block.indptr]
    return csr_array((block.data[keep], block.indices[keep], ends), shape=block.shape)


def stacked(parts: list[csr_array], columns: int) -> csr_array:
    """Blocks of rows as one matrix of single precision, with integers no longer than they need be.

    >>> stacked([csr_array(np.eye(2)), csr_array(np.ones((1, 2)))], 2).toarray().tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    """
    lengths = np.concatenate([np.diff(part.indptr) for part in parts])
    return csr_array(
        (
            np.concatenate([part.data.astype(np.float32) for part in parts]),
            np.concatenate([part.indices.astype(np.int32) for part in parts]),
            np.concatenate([[0], np.cumsum(lengths)]),
        ),
        shape=(len(lengths), columns),
    )


def on_diagonal(block: csr_array, first: int) -> NDArray[np.bool_]:
    """Which stored values of these rows, the first of which is row `first`, stand on the diagonal; shape (nnz,).

    >>> on_diagonal(csr_array(np.ones((1, 3))), 1).tolist()
    [False, True, False]
    """
    rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
    return np.asarray(block.indices == rows + first)


def to_arrays(matrix: csr_array, name: str) -> dict[str, NDArray[Any]]:
    """A sparse matrix as the three arrays `name_indptr`, `name_indices`, `name_values`.

    >>> sorted(to_arrays(csr_array(np.eye(2)), "links"))
    ['links_indices', 'links_indptr', 'links_values']
    """
    return {
        f"{name}_indptr": matrix.indptr.astype(np.int64),
        f"{name}_indices": matrix.indices.astype(np.int32),
        f"{name}_values": matrix.data,
    }


def from_arrays(state: dict[str, Any], name: str, rows: int, columns: int, where: str) -> csr_array:
    """The reverse of `to_arrays`. Raises `BundleError` for arrays that it cannot have written.

    >>> from_arrays(to_arrays(csr_array(np.eye(2)), "links"), "links", 2, 2, "example").toarray().tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    indptr = checked_array(state[f"{name}_indptr"], "i", (rows + 1,), f"{where}: {name}_indptr")
    if indptr[0] != 0 or (np.diff(indptr) < 0).any():
        raise damaged(f"{where}: {name}_indptr does not rise from 0")
    indices = checked_array(state[f"{name}_indices"], "i", (int(indptr[-1]),), f"{where}: {name}_indices")
    values = checked_array(state[f"{name}_values"], "f", indices.shape, f"{where}: {name}_values")
    if len(indices) and (indices.min() < 0 or indices.max() >= columns):
        raise damaged(f"{where}: {name}_indices are not item numbers below {columns}")
    return csr_array((values, indices, indptr), shape=(rows, columns))

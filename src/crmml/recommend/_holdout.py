"""Hold-outs inside the training data: what the choice between recommenders is made on."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from crmml.recommend.matrix import Interactions

ALL_OF = 1_000  # customers: of fewer, all
CELLS = 4_000_000  # likenesses in memory at a time: 16 MB


class HoldOut(NamedTuple):
    """Interactions divided in two.

    known: what is left to learn from, with the ids of all. wanted: shape (customers, items), 1 where an
    interaction was held out. coherent: shape (customers,), how it was drawn: coherently, or at random.
    """

    known: Interactions
    wanted: csr_array
    coherent: NDArray[np.bool_]


def hold_out(matrix: Interactions, share: float, sample: int, random: np.random.Generator) -> HoldOut:
    """Take this share of some customers' items away, of at least two items one, and leave at least one.

    The customers are drawn at random: at most `sample`, and of more than 1,000 at most a third, because what is known
    should be about as dense as everything is. Of one half of them any items are taken; of the other half one item and
    those most like it (cosine of the sets of customers). The first is how items are missing, the second how they
    come: a later purchase is rarely about everything at once. Interactions without weight are left as they are.
    """
    positive = _positive(matrix.weights)
    taken = np.diff(positive.indptr)
    drawn = random.permutation(np.flatnonzero(taken > 1))
    drawn = drawn[: min(sample, max(len(drawn) // 3, ALL_OF))]
    coherent = np.zeros(len(taken), dtype=bool)
    coherent[drawn[: len(drawn) // 2]] = True
    count = np.zeros(len(taken), dtype=np.int64)
    count[drawn] = np.clip(np.round(share * taken[drawn]), 1, taken[drawn] - 1)
    chance = random.random(positive.nnz)
    # Items leave in ascending order of this key: chance, or chance within likeness.
    key = -_likeness_to_one(positive, coherent, random)
    row = np.repeat(np.arange(len(taken)), taken)
    order = np.lexsort((chance, key, row))
    place = np.empty(positive.nnz, dtype=np.int64)
    place[order] = np.arange(positive.nnz) - positive.indptr[row]
    leaves = place < count[row]
    wanted = _some(positive, row, leaves)
    return HoldOut(_without(matrix, wanted), wanted, coherent)


def _likeness_to_one(
    positive: csr_array, coherent: NDArray[np.bool_], random: np.random.Generator
) -> NDArray[np.float64]:
    """How like each stored item is to one of the same customer's, drawn at random; 0 for the other customers."""
    customers = np.flatnonzero(coherent)
    taken = np.diff(positive.indptr)
    drawn = positive.indptr[:-1] + (random.random(len(taken)) * taken).astype(np.int64)
    popularity = np.bincount(positive.indices, minlength=positive.shape[1])
    unit = csr_array((popularity[positive.indices] ** -0.5, positive.indices, positive.indptr), shape=positive.shape)
    by_item = unit.T.tocsr()
    likeness = np.zeros(positive.nnz)
    size = max(1, CELLS // positive.shape[1])
    for start in range(0, len(customers), size):
        some = customers[start : start + size]
        both = (by_item[positive.indices[drawn[some]]] @ unit).toarray()
        mine = np.concatenate([np.arange(*positive.indptr[customer : customer + 2]) for customer in some])
        likeness[mine] = both[np.repeat(np.arange(len(some)), taken[some]), positive.indices[mine]]
    return likeness


def _positive(weights: csr_array) -> csr_array:
    """1 where there is a weight above 0."""
    positive = csr_array(weights, copy=True)
    positive.eliminate_zeros()
    positive.data = np.ones(positive.nnz)
    return positive


def _some(matrix: csr_array, row: NDArray[np.int64], keep: NDArray[np.bool_]) -> csr_array:
    ends = np.concatenate([[0], np.cumsum(np.bincount(row[keep], minlength=matrix.shape[0]))])
    return csr_array((matrix.data[keep], matrix.indices[keep], ends), shape=matrix.shape)


def _without(matrix: Interactions, wanted: csr_array) -> Interactions:
    """The interactions that are not wanted: of these nothing is known any more, not even that they were seen."""
    weights = matrix.weights
    row = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    there = row * weights.shape[1] + weights.indices
    gone = np.repeat(np.arange(wanted.shape[0]), np.diff(wanted.indptr)) * wanted.shape[1] + wanted.indices
    return Interactions(matrix.customer_ids, matrix.item_ids, _some(weights, row, ~np.isin(there, gone)))

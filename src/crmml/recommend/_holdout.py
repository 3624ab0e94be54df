"""Hold-outs inside the training data: what the choice between recommenders is made on."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from crmml.recommend.matrix import Events, Interactions

RANDOM, COHERENT, LATER = KINDS = ("random", "coherent", "later")
ALL_OF = 1_000  # customers: of fewer, all
CELLS = 4_000_000  # likenesses in memory at a time: 16 MB


class HoldOut(NamedTuple):
    """Interactions divided in two.

    known: what is left to learn from, with the ids of all. wanted: shape (customers, items), 1 where an
    interaction was held out. kind: shape (customers,), how: one of `KINDS`.
    """

    known: Interactions
    wanted: csr_array
    kind: NDArray[np.str_]


def hold_out(
    matrix: Interactions, share: float, sample: int, random: np.random.Generator, *, repeats: bool = False
) -> HoldOut:
    """Take a part of the interactions away, to see who would have found it.

    Where events are in order, it is what came later: see `_later`. Where they are not, or all happened at one time:
    see `_drawn`. repeats: what a customer has already is wanted again, which only events in order can tell.
    """
    later = None if matrix.events is None else _later(matrix, share, sample, random, repeats)
    return _drawn(matrix, share, sample, random) if later is None else later


def _later(
    matrix: Interactions, share: float, sample: int, random: np.random.Generator, repeats: bool
) -> HoldOut | None:
    """The last share of all events is held out, at one moment for everybody, as it will be; None where there is none.

    Wanted is what at most `sample` customers, drawn at random, took then: for the first time, or with `repeats` at all.
    """
    events = matrix.events
    if events is None or not (events.weight > 0).any():
        return None
    moments = np.sort(events.time[events.weight > 0])
    before = events.time < moments[int((1 - share) * len(moments))]
    if not before.any():
        return None
    known = _until(matrix, events, before)
    items = matrix.weights.shape[1]
    cell = np.unique((events.customer * items + events.item)[(events.weight > 0) & ~before])
    if not repeats:
        cell = cell[~np.isin(cell, _cells(known.weights))]
    row = cell // items
    able = np.unique(row[known.has_weight[row]])
    keep = np.isin(row, random.permutation(able)[:sample])
    ends = np.concatenate([[0], np.cumsum(np.bincount(row[keep], minlength=matrix.weights.shape[0]))])
    wanted = csr_array((np.ones(int(keep.sum())), cell[keep] % items, ends), shape=matrix.weights.shape)
    return HoldOut(known, wanted, np.full(matrix.weights.shape[0], LATER))


def _until(matrix: Interactions, events: Events, before: NDArray[np.bool_]) -> Interactions:
    """What the interactions were with these events alone; the ids are those of all."""
    some = replace(
        events,
        customer=events.customer[before],
        item=events.item[before],
        weight=events.weight[before],
        time=events.time[before],
    )
    weights = csr_array((some.weight, (some.customer, some.item)), shape=matrix.weights.shape)
    weights.sort_indices()
    return Interactions(matrix.customer_ids, matrix.item_ids, weights, some)


def _drawn(matrix: Interactions, share: float, sample: int, random: np.random.Generator) -> HoldOut:
    """This share of some customers' items, of at least two items one, so that at least one is left.

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
    return HoldOut(_without(matrix, wanted), wanted, np.where(coherent, COHERENT, RANDOM))


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
    left = _some(weights, row, ~np.isin(_cells(weights), _cells(wanted)))
    return Interactions(matrix.customer_ids, matrix.item_ids, left)


def _cells(matrix: csr_array) -> NDArray[np.int64]:
    """Every stored cell as one number: row * columns + column."""
    row = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    return np.asarray(row * matrix.shape[1] + matrix.indices)

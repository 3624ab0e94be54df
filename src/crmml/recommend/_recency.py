"""When things were taken, for the ranker: by item, customer and pair, in shares of the time that the log spans."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crmml.recommend.matrix import Interactions, damaged

Floats = NDArray[np.float64]
LATELY = 0.25  # of the span of the log
NAMES = ("item", "customer", "pair")


class Recency(NamedTuple):
    """How long ago and how much of it lately; NaN where nothing is known of when.

    Ages are from 0, at the log's last event, to 1, at its first.
    item: shape (items, 2), the age of the item's last event and the share of its events that came lately.
    customer: shape (customers, 2), the same of the customer's.
    pair: shape (pairs,), in the order of the matrix's stored cells: the age of the pair's last event.
    """

    item: Floats
    customer: Floats
    pair: Floats

    def folded(self, known: Interactions, matrix: Interactions, rows: NDArray[np.int64]) -> "Recency":
        """For a matrix in which these rows are new or others than they were, and of whom no times are known."""
        kept = np.ones(len(matrix.customer_ids), dtype=bool)
        kept[rows] = False
        places = known.customer_ids.get_indexer(matrix.customer_ids[kept])
        customer = np.full((len(kept), 2), np.nan)
        customer[kept] = self.customer[places]
        stays = np.zeros(len(known.customer_ids), dtype=bool)
        stays[places] = True
        pair = np.full(matrix.weights.nnz, np.nan)
        # Both matrices are sorted by customer and item, so what stays stands in the same order.
        pair[np.repeat(kept, np.diff(matrix.weights.indptr))] = self.pair[
            np.repeat(stays, np.diff(known.weights.indptr))
        ]
        return Recency(self.item, customer, pair)

    def columns(
        self, matrix: Interactions, who: NDArray[np.int64], item: NDArray[np.int64], *, repeats: bool
    ) -> list[Floats]:
        """What the ranker sees of these rows and columns of the matrix: four columns, shape (n,), or six."""
        seen = [*self.item[item].T, *self.customer[who].T]
        if not repeats:
            return seen
        weights = matrix.weights
        # Of these customers' cells alone: there may be thousands, of millions.
        customers, row = np.unique(who, return_inverse=True)
        stored = np.diff(weights.indptr)[customers]
        first = np.repeat(weights.indptr[customers] - np.cumsum(stored) + stored, stored)
        place = first + np.arange(stored.sum())
        cells = np.repeat(np.arange(len(customers)), stored) * weights.shape[1] + weights.indices[place]
        asked = row * weights.shape[1] + item
        found = np.searchsorted(cells, asked)
        there = np.append(cells, -1)[found] == asked  # behind the last cell there is none
        at = np.append(place, 0)[found]
        return [*seen, np.where(there, weights.data[at], 0.0), np.where(there, self.pair[at], np.nan)]


def recency_of(matrix: Interactions) -> Recency | None:
    """From the events of the matrix; None where it has none.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"customer_id": [1, 1, 2], "item_id": ["cup", "tea", "cup"], "at": [0, 10, 8]})
    >>> recency_of(Interactions.from_frame(table, timestamp="at")).item.tolist()
    [[0.2, 0.5], [0.0, 1.0]]
    """
    events = matrix.events
    if events is None or not len(events.time):
        return None
    time = events.time.astype(np.float64)
    span = time.max() - time.min()
    age = (time.max() - time) / (span if span > 0 else 1.0)
    cell = events.customer * len(matrix.item_ids) + events.item
    return Recency(
        _of(events.item, age, len(matrix.item_ids)),
        _of(events.customer, age, len(matrix.customer_ids)),
        _youngest(np.unique(cell, return_inverse=True)[1], age, matrix.weights.nnz),
    )


def width(recency: Recency | None, *, repeats: bool) -> int:
    """How many columns the ranker gets of it."""
    return 0 if recency is None else 6 if repeats else 4


def written(recency: Recency | None) -> dict[str, NDArray[Any]]:
    """As arrays, empty ones where no times are known."""
    nothing = Recency(np.empty((0, 2)), np.empty((0, 2)), np.empty(0))
    return {f"recency.{name}": array for name, array in zip(NAMES, recency or nothing, strict=True)}


def read(state: dict[str, Any], matrix: Interactions, where: str) -> Recency | None:
    """The reverse of `written`. Raises `BundleError`."""
    shapes = ((len(matrix.item_ids), 2), (len(matrix.customer_ids), 2), (matrix.weights.nnz,))
    arrays = [state[f"recency.{name}"] for name in NAMES]
    if all(isinstance(array, np.ndarray) and not array.size for array in arrays):
        return None
    for name, array, shape in zip(NAMES, arrays, shapes, strict=True):
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.shape != shape:
            raise damaged(f"{where}: recency.{name} is not floats of shape {shape}")
    return Recency(*arrays)


def _of(code: NDArray[np.int64], age: Floats, size: int) -> Floats:
    count = np.bincount(code, minlength=size)
    lately = np.bincount(code[age < LATELY], minlength=size)
    share = np.divide(lately, count, out=np.full(size, np.nan), where=count > 0)
    return np.stack([_youngest(code, age, size), share], axis=1)


def _youngest(code: NDArray[np.int64], age: Floats, size: int) -> Floats:
    youngest = np.full(size, np.inf)
    np.minimum.at(youngest, code, age)
    return np.where(np.isfinite(youngest), youngest, np.nan)

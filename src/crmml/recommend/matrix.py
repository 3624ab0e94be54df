"""Interactions: a sparse matrix of customers and items, the ids of its rows and columns, and the events in order."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from crmml.errors import BundleError, DataError, SchemaError, did_you_mean
from crmml.recommend.ids import Ids, as_ids, sorted_codes, to_array

MOST = 1e12  # weights stay below, so that their sums are finite and precise

Floats = NDArray[np.float64]


class Columns(NamedTuple):
    """Which column of a table is what."""

    customer_id: str = "customer_id"
    item_id: str = "item_id"
    weight: str | None = None
    timestamp: str | None = None


@dataclass(frozen=True, eq=False)
class Events:
    """Interactions one by one: by customer, then by time, then by item; all shapes (events,).

    customer, item: positions among the sorted ids. weight: float64. time: int64 microseconds since 1970 (UTC)
    where `dated`, else the number that was given, float64.
    """

    customer: NDArray[np.int64]
    item: NDArray[np.int64]
    weight: Floats
    time: NDArray[Any]
    dated: bool


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """Who interacted with what, and how strongly: what every recommender learns from. Made by `from_frame`.

    customer_ids, item_ids: the sorted ids, shapes (customers,) and (items,).
    weights: shape (customers, items), float64, sorted; a stored 0 is an interaction without weight.
    events: the interactions in the order of time, or None where no times were given.

    >>> table = pd.DataFrame({"user": ["b", "a", "b"], "sku": [7, 7, 9], "pieces": [1.0, 2.0, 0.5]})
    >>> log = Interactions.from_frame(table, customer_id="user", item_id="sku", weight="pieces")
    >>> log
    Interactions(2 customers, 2 items, 3 pairs)
    >>> log.customer_ids.tolist(), log.item_ids.tolist(), log.weights.toarray().tolist()
    (['a', 'b'], [7, 9], [[2.0, 0.0], [1.0, 0.5]])
    """

    customer_ids: Ids
    item_ids: Ids
    weights: csr_array
    events: Events | None = None

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        customer_id: str = "customer_id",
        item_id: str = "item_id",
        weight: str | None = None,
        timestamp: str | None = None,
    ) -> Self:
        """From a table with one row per interaction; further columns are not looked at.

        Args:
            frame: the table.
            customer_id: the column of the customers' ids: whole numbers or text.
            item_id: the column of the items' ids: whole numbers or text.
            weight: the column of the weights, at least 0; without it every row counts 1. Rows of one customer
                and item are added up, in an order that does not depend on the rows'.
            timestamp: the column of times, or of numbers that say the order; without it no order is known.

        Raises:
            SchemaError: not a table, a missing column, ids that are neither whole numbers nor text, weights or
                times of another type.
            DataError: no rows, missing ids or times, weights that are missing, negative or 1e12 and more.

        >>> table = pd.DataFrame({"customer_id": [1, 1], "item_id": ["cup", "tea"], "at": [20, 10]})
        >>> Interactions.from_frame(table, timestamp="at").events.item.tolist()
        [1, 0]
        """
        columns = Columns(customer_id, item_id, weight, timestamp)
        return cls._read(frame, columns, "Interactions.from_frame")

    @classmethod
    def _read(cls, frame: Any, columns: "Columns", where: str) -> Self:
        _check_table(frame, columns, where)
        customers, customer_ids = sorted_codes(as_ids(frame[columns.customer_id], f"{where}: {columns.customer_id}"))
        items, item_ids = sorted_codes(as_ids(frame[columns.item_id], f"{where}: {columns.item_id}"))
        weights = _checked_weights(frame, columns.weight, where)
        events = None
        if columns.timestamp is not None:
            time, dated = _checked_times(frame[columns.timestamp], f"{where}: {columns.timestamp}")
            order = np.lexsort((weights, items, time, customers))
            events = Events(customers[order], items[order], weights[order], time[order], dated)
        order = np.lexsort((weights, items, customers))
        customers, items, weights = customers[order], items[order], weights[order]
        first = np.flatnonzero(np.diff(customers, prepend=-1) | np.diff(items, prepend=-1))
        ends = np.cumsum(np.bincount(customers[first], minlength=len(customer_ids)))
        matrix = csr_array(
            (np.add.reduceat(weights, first), items[first], np.concatenate([[0], ends])),
            shape=(len(customer_ids), len(item_ids)),
        )
        return cls(customer_ids, item_ids, matrix, events)

    def __repr__(self) -> str:
        size = f"{len(self.customer_ids)} customers, {len(self.item_ids)} items, {self.weights.nnz} pairs"
        return f"Interactions({size}{'' if self.events is None else f', {len(self.events.time)} events in order'})"

    @cached_property
    def popularity(self) -> Floats:
        """The sum of the weights of every item over all customers, shape (items,)."""
        sums = np.bincount(self.weights.indices, weights=self.weights.data, minlength=len(self.item_ids))
        return sums.astype(np.float64)

    @cached_property
    def popular(self) -> NDArray[np.int64]:
        """All items from the most popular down, ties in the order of the ids; shape (items,)."""
        return np.argsort(-self.popularity, kind="stable")

    @cached_property
    def has_weight(self) -> NDArray[np.bool_]:
        """Which customers have any weight at all, shape (customers,): of the others no taste is known."""
        return np.asarray(self.weights.sum(axis=1)).ravel() > 0

    def seen(self, customer: int) -> NDArray[np.int64]:
        """The items that the customer in this row interacted with, shape (n,), ascending."""
        start, end = self.weights.indptr[customer : customer + 2]
        return np.asarray(self.weights.indices[start:end], dtype=np.int64)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything in five arrays: integers, floats and unicode only."""
        return {
            "customer_ids": to_array(self.customer_ids),
            "item_ids": to_array(self.item_ids),
            "indptr": self.weights.indptr.astype(np.int64),
            "indices": self.weights.indices.astype(np.int32),
            "weights": self.weights.data,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], where: str) -> Self:
        """The reverse of `to_arrays`. Raises `BundleError` for arrays that `to_arrays` cannot have written."""
        customer_ids = _stored_ids(arrays["customer_ids"], f"{where}: customer_ids")
        item_ids = _stored_ids(arrays["item_ids"], f"{where}: item_ids")
        indptr = checked_array(arrays["indptr"], "i", (len(customer_ids) + 1,), f"{where}: indptr")
        if indptr[0] != 0 or (np.diff(indptr) < 0).any():
            raise damaged(f"{where}: indptr does not rise from 0")
        stored = (int(indptr[-1]),)
        indices = checked_array(arrays["indices"], "i", stored, f"{where}: indices")
        weights = checked_array(arrays["weights"], "f", stored, f"{where}: weights")
        rows = np.repeat(np.arange(len(customer_ids)), np.diff(indptr))
        places = rows * len(item_ids) + indices
        inside = ((indices >= 0) & (indices < len(item_ids))).all()
        if not inside or (np.diff(places) <= 0).any():
            raise damaged(f"{where}: indices are not sorted item numbers below {len(item_ids)}")
        if (weights < 0).any():
            raise damaged(f"{where}: weights are negative")
        shape = (len(customer_ids), len(item_ids))
        return cls(customer_ids, item_ids, csr_array((weights, indices.astype(np.int64), indptr), shape=shape))


def interactions_of(given: Any, where: str, *, in_order: bool = False) -> Interactions:
    """What `fit` was given: `Interactions` as they are, or a table with `customer_id`, `item_id` and `weight`.

    in_order: the column `timestamp` is read as well, where there is one.

    >>> table = pd.DataFrame({"customer_id": [1], "item_id": ["tea"], "weight": [2.0]})
    >>> interactions_of(table, "example"), interactions_of(Interactions.from_frame(table), "example")
    (Interactions(1 customers, 1 items, 1 pairs), Interactions(1 customers, 1 items, 1 pairs))
    """
    if isinstance(given, Interactions):
        return given
    dated = in_order and isinstance(given, pd.DataFrame) and "timestamp" in given.columns
    return Interactions._read(given, Columns(weight="weight", timestamp="timestamp" if dated else None), where)


def damaged(what: str) -> BundleError:
    """The error for arrays that were not written by `get_state`.

    >>> str(damaged("ALS.set_state: indptr does not rise from 0"))
    'ALS.set_state: indptr does not rise from 0. The state is damaged: train the model again.'
    """
    return BundleError(f"{what}. The state is damaged: train the model again.")


def checked_array(array: Any, kind: str, shape: tuple[int, ...], where: str) -> NDArray[Any]:
    """The array, once its kind ("i" integers, "f" finite floats) and shape are known to be right; else `BundleError`.

    >>> checked_array(np.zeros(2), "f", (2,), "example").tolist()
    [0.0, 0.0]
    """
    if not isinstance(array, np.ndarray) or array.dtype.kind != kind or array.shape != shape:
        found = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        wanted = {"i": "integers", "f": "floats"}[kind]
        raise damaged(f"{where} is {found}, not {wanted} of shape {shape}")
    if kind == "f" and not np.isfinite(array).all():
        raise damaged(f"{where} holds values that are not finite")
    return array


def _stored_ids(array: Any, where: str) -> Ids:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuU" or array.ndim != 1 or not len(array):
        raise damaged(f"{where} is not a vector of whole numbers or text")
    ids = as_ids(array.tolist(), where) if array.dtype.kind == "U" else pd.Index(array)
    values = ids.to_numpy()
    if not (values[1:] > values[:-1]).all():
        raise damaged(f"{where} is not sorted")
    return ids


def _check_table(frame: Any, columns: Columns, where: str) -> None:
    needed = [name for name in columns if name is not None]
    if not isinstance(frame, pd.DataFrame):
        raise SchemaError(
            f"{where}: interactions is a {type(frame).__name__}. Give a pandas DataFrame with the columns "
            f"{', '.join(needed)}, such as build_interactions(log, ItemWeights(), as_of=...) returns."
        )
    found = [str(column) for column in frame.columns]
    for column in needed:
        if column not in frame.columns:
            raise SchemaError(
                f"{where}: interactions has no column '{column}'.{did_you_mean(column, found)} "
                f"It needs {', '.join(needed)} and has {', '.join(found) or 'none'}."
            )
    if not len(frame):
        raise DataError(f"{where}: interactions has no rows. Use a later as_of, a longer window or other weights.")


def _checked_weights(frame: pd.DataFrame, name: str | None, where: str) -> Floats:
    if name is None:
        return np.ones(len(frame))
    column = frame[name]
    if not pd.api.types.is_numeric_dtype(column.dtype):
        raise SchemaError(f"{where}: {name} is of type {column.dtype}. Use numbers of at least 0, such as 1.0.")
    weights: Floats = column.to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = np.flatnonzero(~((weights >= 0) & (weights < MOST)))
    if len(wrong):
        raise DataError(
            f"{where}: {name} is {weights[wrong[0]]} in row {wrong[0]} ({len(wrong)} of {len(weights)} rows "
            "are wrong). Use numbers of at least 0 and below 1e12, such as 1.0."
        )
    return weights


def _checked_times(column: pd.Series, where: str) -> tuple[NDArray[Any], bool]:
    """The times as sortable numbers, and whether they are dates (then in microseconds)."""
    dated = pd.api.types.is_datetime64_any_dtype(column.dtype)
    if not dated and (pd.api.types.is_bool_dtype(column.dtype) or not pd.api.types.is_numeric_dtype(column.dtype)):
        raise SchemaError(f"{where}: times of type {column.dtype}. Use pd.to_datetime, or numbers in their order.")
    wrong = np.flatnonzero(column.isna())
    if len(wrong):
        raise DataError(
            f"{where}: {len(wrong)} of {len(column)} times are missing, first in row {wrong[0]}. Drop these rows."
        )
    if not dated:
        return column.to_numpy(dtype=np.float64), False
    if column.dt.tz is not None:
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    return column.to_numpy().astype("datetime64[us]").astype(np.int64), True

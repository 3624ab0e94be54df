"""Interactions as a sparse matrix of customers and items, with the ids that its rows and columns stand for."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from crmml.errors import BundleError, DataError, SchemaError, did_you_mean
from crmml.recommend.ids import Ids, as_ids, sorted_codes, to_array

COLUMNS = ("customer_id", "item_id", "weight")
MOST = 1e12  # weights stay below, so that their sums are finite and precise

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class InteractionMatrix:
    """Who interacted with what, and how strongly.

    customer_ids, item_ids: the sorted ids, shapes (customers,) and (items,).
    weights: shape (customers, items), float64, sorted; a stored 0 is an interaction without weight.

    >>> table = pd.DataFrame({"customer_id": ["b", "a", "b"], "item_id": [7, 7, 9], "weight": [1.0, 2.0, 0.5]})
    >>> matrix = InteractionMatrix.from_frame(table, "example")
    >>> matrix.customer_ids.tolist(), matrix.item_ids.tolist(), matrix.weights.toarray().tolist()
    (['a', 'b'], [7, 9], [[2.0, 0.0], [1.0, 0.5]])
    """

    customer_ids: Ids
    item_ids: Ids
    weights: csr_array

    @classmethod
    def from_frame(cls, interactions: pd.DataFrame, where: str) -> Self:
        """From a table with the columns `customer_id`, `item_id`, `weight`; others are not looked at.

        Several rows of one customer and item are added up, in an order that does not depend on the rows'.
        Raises `SchemaError`: not a table, a missing column, ids that are neither whole numbers nor text,
        weights that are not numbers; `DataError`: no rows, missing ids, weights that are missing, negative or
        1e12 and more.
        """
        _check_table(interactions, where)
        customers, customer_ids = sorted_codes(as_ids(interactions["customer_id"], f"{where}: customer_id"))
        items, item_ids = sorted_codes(as_ids(interactions["item_id"], f"{where}: item_id"))
        weights = _checked_weights(interactions["weight"], where)
        order = np.lexsort((weights, items, customers))
        customers, items, weights = customers[order], items[order], weights[order]
        first = np.flatnonzero(np.diff(customers, prepend=-1) | np.diff(items, prepend=-1))
        ends = np.cumsum(np.bincount(customers[first], minlength=len(customer_ids)))
        matrix = csr_array(
            (np.add.reduceat(weights, first), items[first], np.concatenate([[0], ends])),
            shape=(len(customer_ids), len(item_ids)),
        )
        return cls(customer_ids, item_ids, matrix)

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


def _check_table(interactions: Any, where: str) -> None:
    if not isinstance(interactions, pd.DataFrame):
        raise SchemaError(
            f"{where}: interactions is a {type(interactions).__name__}. Give a pandas DataFrame with the columns "
            f"{', '.join(COLUMNS)}, such as build_interactions(log, Interactions(), as_of=...) returns."
        )
    columns = [str(column) for column in interactions.columns]
    for column in COLUMNS:
        if column not in interactions.columns:
            raise SchemaError(
                f"{where}: interactions has no column '{column}'.{did_you_mean(column, columns)} "
                f"It needs {', '.join(COLUMNS)} and has {', '.join(columns) or 'none'}."
            )
    if not len(interactions):
        raise DataError(f"{where}: interactions has no rows. Use a later as_of, a longer window or other weights.")


def _checked_weights(column: pd.Series, where: str) -> Floats:
    if not pd.api.types.is_numeric_dtype(column.dtype):
        raise SchemaError(f"{where}: weight is of type {column.dtype}. Use numbers of at least 0, such as 1.0.")
    weights: Floats = column.to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = np.flatnonzero(~((weights >= 0) & (weights < MOST)))
    if len(wrong):
        raise DataError(
            f"{where}: weight is {weights[wrong[0]]} in row {wrong[0]} ({len(wrong)} of {len(weights)} rows "
            "are wrong). Use numbers of at least 0 and below 1e12, such as 1.0."
        )
    return weights

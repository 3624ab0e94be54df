"""Because you took ...: which of a customer's items a recommendation comes from, out of the model's own terms."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from crmml.errors import DataError, SchemaError
from crmml.recommend.ids import as_ids, look_up, nearest, shown
from crmml.recommend.matrix import Interactions

PAIRS = 2_000_000  # of a recommendation and an item of the customer, in memory at a time


class Terms(NamedTuple):
    """What a score is the sum of: the score of item j for customer c is the sum over items i of took[c, i] links[i, j].

    took: shape (customers, items). links: shape (items, items), sparse or dense.
    """

    took: csr_array
    links: "csr_array | NDArray[Any]"


def explained(matrix: Interactions, terms: Terms, recommendations: pd.DataFrame, n: int, where: str) -> pd.DataFrame:
    """The `n` largest positive terms of each pair of customer and item; see `Recommender.explain`."""
    customers, items = (_ids(recommendations, name, where) for name in ("customer_id", "item_id"))
    customer = look_up(matrix.customer_ids, customers, f"{where}: customer_id")
    item = look_up(matrix.item_ids, items, f"{where}: item_id")
    unknown = items[item < 0]
    if len(unknown):
        raise DataError(
            f"{where}: item {shown(unknown, 0)} was not in the interactions the model was fitted on."
            f"{nearest(matrix.item_ids, unknown[0])} Explain what this model has recommended."
        )
    pairs = np.flatnonzero(customer >= 0)
    count = np.diff(terms.took.indptr)[customer[pairs]]
    cuts = np.searchsorted(np.cumsum(count), np.arange(PAIRS, count.sum(), PAIRS), side="right")
    parts = [_largest(terms, customer[some], item[some], some, n) for some in np.split(pairs, cuts) if len(some)]
    parts.append((np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0)))
    pair, because = (np.concatenate([part[at] for part in parts]).astype(np.int64) for at in (0, 1))
    share = np.concatenate([part[2] for part in parts])
    place = np.arange(len(pair)) - np.searchsorted(pair, pair) + 1
    return pd.DataFrame(
        {
            "customer_id": customers[pair],
            "item_id": items[pair],
            "rank": place.astype(np.int64),
            "because_item_id": matrix.item_ids[because],
            "share": share,
        }
    )


def _ids(recommendations: Any, name: str, where: str) -> "pd.Index[Any]":
    if not isinstance(recommendations, pd.DataFrame) or name not in recommendations.columns:
        raise SchemaError(
            f"{where}: recommendations need the columns 'customer_id' and 'item_id'. Use what recommend returned."
        )
    return as_ids(recommendations[name], f"{where}: {name}")


def _largest(
    terms: Terms, customer: NDArray[np.int64], item: NDArray[np.int64], pair: NDArray[np.int64], n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Which pair, which item of the customer, and its share of the positive terms: by pair, then from the largest."""
    took = terms.took[customer]
    row = np.repeat(np.arange(len(customer)), np.diff(took.indptr))
    links = np.asarray(terms.links[took.indices, item[row]], dtype=np.float64).ravel()
    term = np.maximum(took.data * links, 0.0)
    order = np.lexsort((took.indices, -term, row))
    total = np.bincount(row, weights=term, minlength=len(customer))
    place = np.arange(len(row)) - np.searchsorted(row, row)
    kept = order[(place < n) & (term[order] > 0)]
    return pair[row[kept]], took.indices[kept].astype(np.int64), term[kept] / total[row[kept]]

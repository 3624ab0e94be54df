"""What must not be offered to whom: pairs of customer and item that never stand in a list."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmml.errors import SchemaError
from crmml.recommend.ids import Ids, as_ids, look_up
from crmml.recommend.matrix import Interactions
from crmml.recommend.top import ranks

Lists = Callable[[Ids, int], pd.DataFrame]


def lists_without(exclude: Any, ids: Ids, matrix: Interactions, lists: Lists, *, k: int, where: str) -> pd.DataFrame:
    """The k best of every list that are not excluded for its customer: as if these items were not there.

    Of whom m items are excluded, the list is asked for k + m: at most m of them go, so that k stay where there are k.

    Args:
        exclude: a table with `customer_id`, `item_id`; pairs of others and of unknown items do no harm.
        ids: the customers asked for, each once.
        matrix: what the model was fitted on.
        lists: makes the table for some customers and a length.
        k: the length of the lists.
        where: who asks, for the messages.

    Raises:
        SchemaError: `exclude` is no such table, or its ids are of another type than the model's.
        DataError: missing ids.

    >>> table = pd.DataFrame({"customer_id": [7] * 3, "item_id": ["tea", "cup", "pot"], "rank": [1, 2, 3]})
    >>> never, matrix = pd.DataFrame({"customer_id": [7, 8], "item_id": ["tea", "cup"]}), Interactions.from_frame(table)
    >>> lists_without(never, pd.Index([7]), matrix, lambda some, n: table.head(n), k=1, where="example").values.tolist()
    [[7, 'cup', 1]]
    """
    items = matrix.item_ids
    row, column = _pairs(exclude, ids, matrix, where)
    never = np.unique(row * len(items) + column)
    count = np.bincount(never // len(items), minlength=len(ids))
    # Customers with about as many excluded items are asked for together: nobody's list is twice as long as needed.
    size = np.ceil(np.log2(count + 1)).astype(np.int64)
    parts = []
    for one in np.unique(size) if len(ids) else [0]:
        some = np.flatnonzero(size == one)
        found = lists(ids[some], k + int(count[some].max(initial=0)))
        pair = _at(ids, found["customer_id"]) * len(items) + _at(items, found["item_id"])
        parts.append(found[~np.isin(pair, never)])
    table = pd.concat(parts, ignore_index=True)
    place = _at(ids, table["customer_id"])
    order = np.lexsort((table["rank"].to_numpy(), place))
    rank = ranks(place[order])
    return table.iloc[order].assign(rank=rank)[rank <= k].reset_index(drop=True)


def _pairs(exclude: Any, ids: Ids, matrix: Interactions, where: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The excluded pairs of these customers and known items, as positions."""
    for name in ("customer_id", "item_id"):
        if not isinstance(exclude, pd.DataFrame) or name not in exclude.columns:
            raise SchemaError(
                f"{where}: exclude needs the columns 'customer_id' and 'item_id'. "
                "Use a table with one row for each pair that must not be offered."
            )
    customers, items = (as_ids(exclude[name], f"{where}: exclude: {name}") for name in ("customer_id", "item_id"))
    look_up(matrix.customer_ids, customers, f"{where}: exclude: customer_id")  # 5 and "5" would never meet
    column = look_up(matrix.item_ids, items, f"{where}: exclude: item_id")
    row = _at(ids, customers)
    known = (row >= 0) & (column >= 0)
    return row[known], column[known]


def _at(ids: Ids, some: Any) -> NDArray[np.int64]:
    return ids.get_indexer(pd.Index(some)).astype(np.int64)

"""Newer interactions of some customers put into what a recommender knows."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from crmml.errors import DataError
from crmml.recommend.ids import look_up, shown, sorted_codes
from crmml.recommend.matrix import Interactions


def merged(known: Interactions, newer: Interactions, where: str) -> tuple[Interactions, NDArray[np.int64]]:
    """What is known, the rows of the customers in `newer` replaced or added; and which rows those are, ascending.

    Items that are not known are left out. Raises `SchemaError`: ids of another type; `DataError`: no item known.

    >>> import pandas as pd
    >>> one, two = (pd.DataFrame({"customer_id": ids, "item_id": ["a", "b"]}) for ids in ([1, 3], [2, 3]))
    >>> both, rows = merged(Interactions.from_frame(one), Interactions.from_frame(two), "example")
    >>> both.customer_ids.tolist(), both.weights.toarray().tolist(), rows.tolist()
    ([1, 2, 3], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [1, 2])
    """
    column = look_up(known.item_ids, newer.item_ids, f"{where}: item_id")
    old = look_up(known.customer_ids, newer.customer_ids, f"{where}: customer_id")
    if not (column >= 0).any():
        raise DataError(
            f"{where}: none of the {len(newer.item_ids)} items was in the interactions the model was fitted on, such "
            f"as {shown(known.item_ids, 0)}. Call fit with all interactions."
        )
    codes, customer_ids = sorted_codes(known.customer_ids.append(newer.customer_ids))
    of_known, of_newer = codes[: len(known.customer_ids)], codes[len(known.customer_ids) :]
    replaced = np.zeros(len(known.customer_ids), dtype=bool)
    replaced[old[old >= 0]] = True
    row, item, weight = _cells(known.weights)
    stays = ~replaced[row]
    new_row, new_item, new_weight = _cells(newer.weights)
    familiar = column[new_item] >= 0
    place = (
        np.concatenate([of_known[row[stays]], of_newer[new_row[familiar]]]),
        np.concatenate([item[stays], column[new_item[familiar]]]),
    )
    shape = (len(customer_ids), len(known.item_ids))
    weights = csr_array((np.concatenate([weight[stays], new_weight[familiar]]), place), shape=shape)
    weights.sort_indices()
    return Interactions(customer_ids, known.item_ids, weights), np.sort(of_newer)


def _cells(weights: csr_array) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Row, column and value of everything stored, zeros too."""
    row = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    return row, weights.indices, weights.data

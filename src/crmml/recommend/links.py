"""Links from item to item: a customer's score of an item is the sum of what their items say for it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse

from crmml.recommend.explanations import Terms
from crmml.recommend.matrix import Interactions
from crmml.recommend.products import from_arrays, taste, to_arrays


class ItemLinks:
    """What the recommenders with `item_links_`, shape (items, items), float32, have in common beside `Recommender`.

    A subclass has `_learn`, which sets the links; dense ones it stores itself.
    """

    matrix_: Interactions
    item_links_: csr_array | NDArray[np.float32]

    def _folded(self, known: Interactions, rows: NDArray[np.int64]) -> None:
        """Nothing to learn: scores are made from what the customers took."""

    def _scores(self, customers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Every row is added up by itself, in the order of its items: it does not depend on the other rows."""
        took = csr_array(self.matrix_.weights[customers])
        scale = self.matrix_.weights.data.max()
        took.data = (took.data / scale).astype(np.float32)
        scores = took @ self.item_links_
        return np.asarray(scores.toarray() if issparse(scores) else scores)

    def _terms(self) -> Terms:
        return Terms(taste(self.matrix_.weights), self.item_links_)

    def _array_names(self) -> tuple[str, ...]:
        return ("links_indptr", "links_indices", "links_values")

    def _get_arrays(self) -> dict[str, NDArray[Any]]:
        return to_arrays(self.item_links_, "links")

    def _set_arrays(self, state: dict[str, Any], matrix: Interactions, where: str) -> None:
        items = len(matrix.item_ids)
        self.item_links_ = from_arrays(state, "links", items, items, where)

"""Items from items by ridge regression: a closed form, over the whole catalogue or item by item among neighbours."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits

from crmml.errors import ConfigError
from crmml.metrics.arrays import checked_count
from crmml.recommend.base import Recommender
from crmml.recommend.links import ItemLinks
from crmml.recommend.matrix import Interactions, checked_array
from crmml.recommend.parameters import check_number
from crmml.recommend.products import (
    blocks,
    on_diagonal,
    powers,
    scaled,
    stacked,
    strongest,
    taste,
    where_true,
)

MOST_ITEMS = 20_000  # of the full form: two matrices of 3.2 GB each while it is fitted, 1.6 GB afterwards
ROWS = 4_000_000  # rows of the customers that the regressions of a block see, all together

Floats = NDArray[np.float64]


class EASE(ItemLinks, Recommender):
    """Every item predicted from the others by a ridge regression with no weight on itself.

    With R the weights (customers x items, divided by the largest) and d_u the sums of its rows, the scores are
    R B, where column j of B minimises

        sum over customers u of d_u^-activity_exponent (r_uj - sum over i of r_ui b_ij)^2 + regularization |b_j|^2

    with b_jj = 0. `neighbors` says which items i may speak for item j: that many with the largest cosine to it
    (in R so weighted), or with None all of them, which needs a matrix of all items by all items and is refused
    above 20,000 items. `similar_items` is the cosine of the sets of customers.

    neighbors: at least 1, or None. regularization: above 0; it grows with the number of customers who take an
    item, and is smaller where activity_exponent is larger: with 0 try 50, 100, 200, with 1 try 2, 4, 8.
    activity_exponent: at least 0; the larger, the less a customer says who takes everything.

    Raises as `Recommender`, and `ConfigError` for a parameter out of its range, or too many items for None.
    Source: Steck (2019), Embarrassingly shallow autoencoders for sparse data, WWW, equation 8; Ning and Karypis
    (2011), SLIM, ICDM, for regressions among neighbours.

    >>> import pandas as pd
    >>> rows = [("ann", "tea"), ("ann", "cup"), ("bob", "tea"), ("bob", "cup"), ("bob", "pot"), ("eve", "nut")]
    >>> table = pd.DataFrame(rows, columns=["customer_id", "item_id"]).assign(weight=1.0)
    >>> EASE().fit(table).recommend(["ann"], k=1)["item_id"].tolist()
    ['pot']
    """

    def __init__(
        self, neighbors: int | None = 100, *, regularization: float = 4.0, activity_exponent: float = 1.0
    ) -> None:
        self.neighbors = neighbors
        self.regularization = regularization
        self.activity_exponent = activity_exponent

    def _check_parameters(self, where: str) -> None:
        if self.neighbors is not None:
            checked_count(where, "neighbors", self.neighbors)
        check_number(where, "regularization", self.regularization, such_as=4.0, above=True)
        check_number(where, "activity_exponent", self.activity_exponent, such_as=1.0)

    def _learn(self, matrix: Interactions) -> None:
        took = taste(matrix.weights)
        even = scaled(took, rows=powers(took.sum(axis=1), -self.activity_exponent / 2))
        # One thread: the solutions are then the same whatever the number of cores.
        with threadpool_limits(limits=1):
            if self.neighbors is None:
                self.item_links_ = _full(even, float(self.regularization))
            else:
                self.item_links_ = _local(even, int(self.neighbors), float(self.regularization))

    def _array_names(self) -> tuple[str, ...]:
        return ("links",) if self.neighbors is None else super()._array_names()

    def _get_arrays(self) -> dict[str, NDArray[Any]]:
        return {"links": self.item_links_} if self.neighbors is None else super()._get_arrays()

    def _set_arrays(self, state: dict[str, Any], matrix: Interactions, where: str) -> None:
        if self.neighbors is None:
            items = len(matrix.item_ids)
            self.item_links_ = checked_array(state["links"], "f", (items, items), f"{where}: links")
        else:
            super()._set_arrays(state, matrix, where)


def _full(even: csr_array, regularization: float) -> NDArray[np.float32]:
    items = even.shape[1]
    if items > MOST_ITEMS:
        raise ConfigError(
            f"EASE.fit: neighbors is None, which inverts a matrix of {items} x {items} items ({8e-9 * items**2:.1f} "
            f"GB, twice); at most {MOST_ITEMS} are allowed. Use neighbors=100."
        )
    gram = np.empty((items, items))
    for first, block in blocks(even.T.tocsr(), even):
        gram[first : first + block.shape[0]] = block.toarray()
    gram[np.diag_indices(items)] += regularization
    inverse = np.linalg.inv(gram)
    diagonal = np.diag(inverse).copy()
    links = np.divide(inverse, -diagonal, out=gram)
    links[np.diag_indices(items)] = 0
    return links.astype(np.float32)


def _local(even: csr_array, neighbors: int, regularization: float) -> csr_array:
    by_item, items = even.T.tocsr(), even.shape[1]
    length = powers(even.power(2).sum(axis=0), -0.5)
    parts = []
    for first, both in blocks(by_item, even):
        near = where_true(scaled(both, columns=length), ~on_diagonal(both, first))
        parts.append(strongest(near, neighbors))
    near = stacked(parts, items)
    size = max(1, ROWS // even.shape[0])
    for first in range(0, items, size):
        _regress(by_item, near, np.arange(first, min(first + size, items)), regularization)
    links = csr_array(near.T.tocsr())  # row i: for which items j it speaks
    links.sort_indices()
    return links


def _regress(by_item: csr_array, near: csr_array, targets: NDArray[np.int64], regularization: float) -> None:
    """Write the coefficients of the neighbours over the values of these rows of `near`."""
    start, end = near.indptr[targets[0]], near.indptr[targets[-1] + 1]
    counts = np.diff(near.indptr[targets[0] : targets[-1] + 2])
    widest = int(counts.max())
    # Every target is a world of its own: its neighbours, itself behind them, and the customers once more.
    world = np.concatenate([np.repeat(np.arange(len(targets)), counts), np.arange(len(targets))])
    place = np.concatenate(
        [np.arange(end - start) - np.repeat(near.indptr[targets] - start, counts), np.full(len(targets), widest)]
    )
    took = by_item[np.concatenate([near.indices[start:end], targets])]
    columns = took.indices.astype(np.int64) + np.repeat(world * by_item.shape[1], np.diff(took.indptr))
    worlds = csr_array((took.data, columns, took.indptr), shape=(len(world), len(targets) * by_item.shape[1]))
    both = (worlds @ worlds.T.tocsr()).tocoo()
    row, column = both.coords
    gram = np.zeros((len(targets), widest + 1, widest + 1))
    gram[world[row], place[row], place[column]] = both.data
    diagonal = np.arange(widest + 1)
    gram[:, diagonal, diagonal] += regularization
    solved = np.linalg.solve(gram[:, :widest, :widest], gram[:, :widest, widest:])[..., 0]
    near.data[start:end] = solved[world[: end - start], place[: end - start]]

"""Neighbours: items that the same customers take, customers who take the same items."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from crmml.metrics.arrays import checked_count
from crmml.recommend.base import Recommender
from crmml.recommend.links import ItemLinks
from crmml.recommend.matrix import Interactions
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


class ItemKNN(ItemLinks, Recommender):
    """Items that the same customers take: a linear filter of what a customer took.

    With R the weights (customers x items, divided by the largest), d_u and d_i the sums of its rows and
    columns, an item i a customer took adds to the score of item j

        r_i  d_i^-from_exponent  (sum over customers u of r_ui r_uj d_u^-activity_exponent)^power  d_j^-to_exponent

    where only the `neighbors` items j are kept for which this is largest. An item adds nothing to itself.
    `ItemKNN(activity_exponent=0, power=1, from_exponent=0.5, to_exponent=0.5)` is the plain cosine.

    neighbors: how many items each item speaks for; memory and time of ranking grow with it.
    activity_exponent: at least 0; the larger, the less a customer who takes everything says. power: above 0;
    below 1, being taken together often counts less than in proportion. from_exponent, to_exponent: at least
    0; how much less a popular item says, and is helped; the larger, the rarer the items recommended.

    Raises as `Recommender`, and `ConfigError` for a parameter out of its range.
    Source: Sarwar et al. (2001), Item-based collaborative filtering recommendation algorithms, WWW; Deshpande
    and Karypis (2004), Item-based top-N recommendation algorithms, ACM TOIS 22, for the exponents.

    >>> import pandas as pd
    >>> rows = [("ann", "tea"), ("ann", "cup"), ("bob", "tea"), ("bob", "cup"), ("bob", "pot"), ("eve", "nut")]
    >>> table = pd.DataFrame(rows, columns=["customer_id", "item_id"]).assign(weight=1.0)
    >>> ItemKNN().fit(table).recommend(["ann"], k=1)["item_id"].tolist()
    ['pot']
    """

    def __init__(
        self,
        neighbors: int = 500,
        *,
        activity_exponent: float = 1.1,
        power: float = 0.85,
        from_exponent: float = 0.6,
        to_exponent: float = 0.3,
    ) -> None:
        self.neighbors = neighbors
        self.activity_exponent = activity_exponent
        self.power = power
        self.from_exponent = from_exponent
        self.to_exponent = to_exponent

    def _check_parameters(self, where: str) -> None:
        checked_count(where, "neighbors", self.neighbors)
        check_number(where, "activity_exponent", self.activity_exponent, such_as=1.1)
        check_number(where, "power", self.power, such_as=0.85, above=True)
        check_number(where, "from_exponent", self.from_exponent, such_as=0.6)
        check_number(where, "to_exponent", self.to_exponent, such_as=0.3)

    def _learn(self, matrix: Interactions) -> None:
        took = taste(matrix.weights)
        popularity = took.sum(axis=0)
        by_customer = scaled(took, rows=powers(took.sum(axis=1), -self.activity_exponent))
        by_item = took.T.tocsr()
        says, helped = powers(popularity, -self.from_exponent), powers(popularity, -self.to_exponent)
        parts = []
        for first, both in blocks(by_item, by_customer):
            both.data **= self.power
            links = scaled(both, says[first : first + both.shape[0]], helped)
            parts.append(strongest(where_true(links, ~on_diagonal(both, first)), self.neighbors))
        self.item_links_ = stacked(parts, len(matrix.item_ids))


class UserKNN(Recommender):
    """What customers took who took the same items.

    With R the weights (customers x items, divided by the largest), d_u and d_i the sums of its rows and
    columns, customer v counts for customer u

        (sum over items i of r_ui r_vi d_i^-popularity_exponent)^power  d_v^-activity_exponent

    and an item's score is the sum of its weights with the `neighbors` customers v for whom this is largest, times
    d_i^-to_exponent.
    Nothing is learned in `fit`: neighbours are looked for when recommendations are asked for, so that memory
    does not grow with the number of customers.

    neighbors: how many customers are listened to. popularity_exponent: at least 0; the larger, the less it says
    that two took the same popular item. power: above 0; above 1, the nearest count for more.
    activity_exponent: at least 0; the larger, the less a customer counts who takes everything. to_exponent: at
    least 0; the larger, the rarer the items recommended.

    Raises as `Recommender`, and `ConfigError` for a parameter out of its range.
    Source: Resnick et al. (1994), GroupLens, CSCW; Aiolli (2013), Efficient top-N recommendation for very
    large scale binary rated datasets, RecSys, for the exponents.

    >>> import pandas as pd
    >>> rows = [("ann", "tea"), ("ann", "cup"), ("bob", "tea"), ("bob", "cup"), ("bob", "pot"), ("eve", "nut")]
    >>> table = pd.DataFrame(rows, columns=["customer_id", "item_id"]).assign(weight=1.0)
    >>> UserKNN().fit(table).recommend(["ann"], k=1)["item_id"].tolist()
    ['pot']
    """

    def __init__(
        self,
        neighbors: int = 500,
        *,
        popularity_exponent: float = 0.6,
        power: float = 1.5,
        activity_exponent: float = 0.8,
        to_exponent: float = 0.15,
    ) -> None:
        self.neighbors = neighbors
        self.popularity_exponent = popularity_exponent
        self.power = power
        self.activity_exponent = activity_exponent
        self.to_exponent = to_exponent

    def _check_parameters(self, where: str) -> None:
        checked_count(where, "neighbors", self.neighbors)
        check_number(where, "popularity_exponent", self.popularity_exponent, such_as=0.6)
        check_number(where, "power", self.power, such_as=1.5, above=True)
        check_number(where, "activity_exponent", self.activity_exponent, such_as=0.8)
        check_number(where, "to_exponent", self.to_exponent, such_as=0.15)

    def _learn(self, matrix: Interactions) -> None:
        self.__dict__.pop("_tables", None)

    def _folded(self, known: Interactions, rows: NDArray[np.int64]) -> None:
        """Nothing to learn: scores are made from what the customers took."""

    def _scores(self, customers: NDArray[np.int64]) -> NDArray[np.float32]:
        helped, weighed, by_item, counts = self._prepared()
        parts = []
        for first, both in blocks(csr_array(weighed[customers]), by_item):
            oneself = np.repeat(customers[first : first + both.shape[0]], np.diff(both.indptr))
            both.data **= self.power
            near = strongest(where_true(scaled(both, columns=counts), both.indices != oneself), self.neighbors)
            near.data = near.data.astype(np.float32)
            parts.append(np.asarray((near @ helped).toarray()))
        return np.concatenate(parts) if parts else np.empty((0, helped.shape[1]), dtype=np.float32)

    def _prepared(self) -> tuple[csr_array, csr_array, csr_array, NDArray[np.float64]]:
        """What is recommended (R D_i^-to_exponent), compared (R D_i^-popularity_exponent, R'), and d_v's weights."""
        if getattr(self, "_tables", (None,))[0] is not self.matrix_:
            took = taste(self.matrix_.weights)
            popularity = took.sum(axis=0)
            weighed = scaled(took, columns=powers(popularity, -self.popularity_exponent))
            helped = scaled(took, columns=powers(popularity, -self.to_exponent)).astype(np.float32)
            counts = powers(took.sum(axis=1), -self.activity_exponent)
            tables = (csr_array(helped), weighed, took.T.tocsr(), counts)
            self._tables = (self.matrix_, tables)
        return self._tables[1]

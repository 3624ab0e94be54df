"""The recommender to beat: what everybody takes."""

import numpy as np
from numpy.typing import NDArray

from crmml.recommend.base import Recommender, popular
from crmml.recommend.matrix import Interactions
from crmml.recommend.top import Ranked


class Popularity(Recommender):
    """The same items for everybody: those with the largest sum of weights, without what the customer has seen.

    The simple rule that every other recommender is measured against. `similar_items` is the cosine of the
    sets of customers, since popularity itself knows no likeness. Verbs, tables and errors: see `Recommender`.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"customer_id": [1, 2, 2, 3], "item_id": ["a", "a", "b", "c"], "weight": 1.0})
    >>> Popularity().fit(table).recommend([1, 99], k=2)
       customer_id item_id  rank  score
    0            1       b     1    1.0
    1            1       c     2    1.0
    2           99       a     1    2.0
    3           99       b     2    1.0
    """

    def _folded(self, known: Interactions, rows: NDArray[np.int64]) -> None:
        """Nothing to learn: scores are made from what the customers took."""

    def _scores(self, customers: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.tile(self.matrix_.popularity, (len(customers), 1))

    def _rank(self, customers: NDArray[np.int64], k: int, exclude_seen: bool) -> Ranked:
        return popular(self.matrix_, customers, k, exclude_seen)

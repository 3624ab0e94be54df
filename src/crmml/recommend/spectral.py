"""What is smooth over the graph of customers and items: a filter that needs no training by gradients."""

import numpy as np
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits

from crmml.metrics.arrays import checked_count
from crmml.recommend.factors import FactorRecommender, on_grid
from crmml.recommend.matrix import Interactions
from crmml.recommend.parameters import check_number, check_seed
from crmml.recommend.products import powers, scaled, taste

SHARE = 6  # of the smaller side of the matrix at most this part is kept


class SpectralFilter(FactorRecommender):
    """The part of what a customer took that lies in the main directions of everybody's taste.

    With R the weights (customers x items, divided by the largest), D_u and D_i the sums of its rows and columns,
    and V the first right singular vectors of D_u^-1/2 R D_i^-1/2, the scores are

        R D_i^-popularity_exponent V V' D_i^popularity_exponent

    `similar_items` is the cosine of the rows of V, in [-1, 1].

    factors: how many singular vectors; never more than a sixth of the smaller side of the matrix, since a filter
    that lets everything pass recommends nothing new. popularity_exponent: at least 0; how much the popular are
    helped over the rare. random_state: seed of the search for the singular vectors.

    Raises as `Recommender`, and `ConfigError` for a parameter out of its range.
    Source: Shen et al. (2021), How powerful is graph convolution for recommendation?, CIKM (the ideal low-pass
    filter of GF-CF); Halko, Martinsson and Tropp (2011), SIAM Review 53, for the singular vectors.

    >>> import pandas as pd
    >>> rows = [(who, f"{'tea' if who < 6 else 'wool'}-{item}") for who in range(12) for item in range(6)]
    >>> rows = [(who, item) for who, item in rows if item[-1] != str(who % 6)]  # each lacks one of six
    >>> table = pd.DataFrame(rows, columns=["customer_id", "item_id"]).assign(weight=1.0)
    >>> SpectralFilter().fit(table).recommend([0, 7], k=1)["item_id"].tolist()
    ['tea-0', 'wool-1']
    """

    def __init__(self, factors: int = 256, *, popularity_exponent: float = 0.5, random_state: int = 0) -> None:
        self.factors = factors
        self.popularity_exponent = popularity_exponent
        self.random_state = random_state

    def _check_parameters(self, where: str) -> None:
        checked_count(where, "factors", self.factors)
        check_number(where, "popularity_exponent", self.popularity_exponent, such_as=0.5)
        check_seed(where, self.random_state)

    def _width(self, matrix: Interactions) -> int:
        return fitting_width(int(self.factors), matrix)

    def _learn(self, matrix: Interactions) -> None:
        took = taste(matrix.weights)
        popularity = took.sum(axis=0)
        even = scaled(took, powers(took.sum(axis=1), -0.5), powers(popularity, -0.5)).astype(np.float32)
        # One thread: the vectors are then the same whatever the number of cores.
        with threadpool_limits(limits=1):
            vectors = randomized_svd(
                even, self._width(matrix), n_oversamples=32, n_iter=3, random_state=int(self.random_state)
            )[2].T.astype(np.float64)
        weighed = scaled(took, columns=powers(popularity, -self.popularity_exponent))
        self.customer_factors_ = on_grid((weighed @ vectors).astype(np.float32))
        helped = powers(popularity, self.popularity_exponent)[:, None]
        self.item_factors_ = on_grid((vectors * helped).astype(np.float32))


def fitting_width(factors: int, matrix: Interactions) -> int:
    """So many factors, or as many as the smaller side of the matrix has sixths.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"customer_id": range(12), "item_id": range(12)})
    >>> fitting_width(256, Interactions.from_frame(rows))
    2
    """
    return min(factors, max(1, int(min(matrix.weights.shape)) // SHARE))

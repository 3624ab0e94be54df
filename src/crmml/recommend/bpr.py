"""Matrix factorisation that learns from pairs of items which of them a customer prefers."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from crmml.errors import DataError, MissingExtraError
from crmml.metrics.arrays import checked_count
from crmml.recommend.factors import FactorRecommender, cosines, on_grid
from crmml.recommend.matrix import Interactions
from crmml.recommend.parameters import check_number, check_seed


class BPR(FactorRecommender):
    """Bayesian personalised ranking; needs the package `implicit` to fit, not to recommend.

    Customers and items get vectors x, y of length `factors`, items a number b as well. Steps of stochastic
    gradients raise the log-likelihood that a customer prefers an item i they took to an item j they did not,
    1 / (1 + exp(-(x'y_i + b_i - x'y_j - b_j))), over random pairs. Weights say only whether there is any. A
    recommendation's score is x'y + b. `similar_items` is the cosine of the item vectors, in [-1, 1].

    factors: length of the vectors. learning_rate: above 0; the size of a step. regularization: at least 0; the
    penalty of all numbers. iterations: as many pairs as there are interactions are drawn so many times.
    random_state: seed of starting vectors and pairs.

    Raises as `Recommender`, and `MissingExtraError` in `fit` where `implicit` is not installed.
    Source: Rendle, Freudenthaler, Gantner and Schmidt-Thieme (2009), BPR: Bayesian personalized ranking from
    implicit feedback, UAI.

    >>> import pandas as pd
    >>> rows = [("ann", "tea"), ("ann", "cup"), ("bob", "tea"), ("bob", "cup"), ("bob", "pot"), ("eve", "nut")]
    >>> table = pd.DataFrame(rows, columns=["customer_id", "item_id"]).assign(weight=1.0)
    >>> BPR(iterations=500).fit(table).recommend(["ann"], k=1)["item_id"].tolist()
    ['pot']
    """

    def __init__(
        self,
        factors: int = 64,
        *,
        learning_rate: float = 0.05,
        regularization: float = 0.01,
        iterations: int = 100,
        random_state: int = 0,
    ) -> None:
        self.factors = factors
        self.learning_rate = learning_rate
        self.regularization = regularization
        self.iterations = iterations
        self.random_state = random_state

    def _check_parameters(self, where: str) -> None:
        checked_count(where, "factors", self.factors)
        check_number(where, "learning_rate", self.learning_rate, such_as=0.05, above=True)
        check_number(where, "regularization", self.regularization, such_as=0.01)
        checked_count(where, "iterations", self.iterations)
        check_seed(where, self.random_state)

    def _width(self, matrix: Interactions) -> int:
        return int(self.factors) + 1  # the last number is b, and 1 with the customers

    def _learn(self, matrix: Interactions) -> None:
        try:
            from implicit.cpu.bpr import BayesianPersonalizedRanking
            from implicit.recommender_base import ModelFitError
        except ImportError:
            raise MissingExtraError("BPR.fit", "implicit", extra="recommend") from None
        positive = csr_matrix(matrix.weights, copy=True)
        positive.eliminate_zeros()
        positive.data = np.ones(positive.nnz, dtype=np.float32)
        # One thread: with more, the steps come in another order every time.
        with threadpool_limits(limits=1):
            model = BayesianPersonalizedRanking(
                factors=int(self.factors),
                learning_rate=float(self.learning_rate),
                regularization=float(self.regularization),
                iterations=int(self.iterations),
                num_threads=1,
                random_state=int(self.random_state),
            )
            try:
                model.fit(positive, show_progress=False)
            except ModelFitError as problem:
                raise DataError(f"BPR.fit: {problem}. Use a smaller learning_rate.") from None
        self.customer_factors_, self.item_factors_ = on_grid(model.user_factors), on_grid(model.item_factors)

    def _likeness(self, items: NDArray[np.int64]) -> NDArray[np.float64]:
        return cosines(self.item_factors_[:, :-1], items)

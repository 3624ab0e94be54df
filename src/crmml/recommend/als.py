"""Matrix factorisation for implicit feedback by alternating least squares: the only home of `implicit`."""

from math import ceil, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix
from threadpoolctl import threadpool_limits

from crmml.errors import DataError, MissingExtraError
from crmml.metrics.arrays import checked_count
from crmml.recommend.base import Recommender
from crmml.recommend.matrix import Interactions, checked_array
from crmml.recommend.parameters import check_number, check_seed

Factors = NDArray[np.float32]


class ALS(Recommender):
    """Alternating least squares on implicit feedback; needs the package `implicit` to fit, not to recommend.

    Customers and items get vectors x, y of length `factors` that minimise

        sum over all cells of c (p - x'y)^2 + regularization (sum |x|^2 + sum |y|^2)

    where p is 1 with a confidence c = 1 + alpha * weight in the cells with a weight above 0, and p is 0 with c
    = 1 in all others. Weights should be about 1 in size: where most of alpha * weight is above 1e5 (amounts of
    money, say), single precision cannot solve it, which is refused. A recommendation's score is x'y.
    `similar_items` is the cosine of the item vectors, in [-1, 1].

    factors: length of the vectors. regularization: at least 0; not scaled by how often a customer or item
    occurs, so its best value grows with alpha and with the activity of the customers (try 1, 10, 100).
    iterations: passes over both sides. alpha: above 0; how much more an interaction of weight 1 says than the
    absence of one. random_state: seed of the starting vectors; the same seed gives the same scores, to the
    last bit.

    Raises as `Recommender`, and `MissingExtraError` in `fit` where `implicit` is not installed.
    Source: Hu, Koren and Volinsky (2008), Collaborative filtering for implicit feedback datasets, ICDM,
    equation 3; solved as Takacs, Pilaszy and Tikk (2011), Applications of the conjugate gradient method.

    >>> import pandas as pd
    >>> rows = [("ann", "tea"), ("ann", "cup"), ("bob", "tea"), ("bob", "cup"), ("bob", "pot"), ("eve", "nut")]
    >>> table = pd.DataFrame(rows, columns=["customer_id", "item_id"]).assign(weight=1.0)
    >>> ALS(factors=2).fit(table).recommend(["ann"], k=1)["item_id"].tolist()
    ['pot']
    """

    customer_factors_: Factors
    item_factors_: Factors

    def __init__(
        self,
        factors: int = 64,
        *,
        regularization: float = 20.0,
        iterations: int = 15,
        alpha: float = 20.0,
        random_state: int = 0,
    ) -> None:
        self.factors = factors
        self.regularization = regularization
        self.iterations = iterations
        self.alpha = alpha
        self.random_state = random_state

    def _check_parameters(self, where: str) -> None:
        checked_count(where, "factors", self.factors)
        checked_count(where, "iterations", self.iterations)
        check_number(where, "regularization", self.regularization, such_as=20.0)
        check_number(where, "alpha", self.alpha, such_as=20.0, above=True)
        check_seed(where, self.random_state)

    def _learn(self, matrix: Interactions) -> None:
        customers, items = self._factorise(_confidence(matrix.weights, self.alpha))
        self.customer_factors_, self.item_factors_ = on_grid(customers), on_grid(items)

    def _factorise(self, confidence: csr_matrix) -> tuple[Factors, Factors]:
        try:
            from implicit.cpu.als import AlternatingLeastSquares
            from implicit.recommender_base import ModelFitError
        except ImportError:
            raise MissingExtraError("ALS.fit", "implicit", extra="recommend") from None
        # Threaded BLAS on products this small is many times slower, and adds in another order on every machine.
        with threadpool_limits(limits=1):
            model = AlternatingLeastSquares(
                factors=int(self.factors),
                regularization=float(self.regularization),
                alpha=1.0,  # the confidence is complete: implicit would leave out the 1 of 1 + alpha * weight
                iterations=int(self.iterations),
                num_threads=1,
                random_state=int(self.random_state),
            )
            try:
                model.fit(confidence, show_progress=False)
            except ModelFitError as problem:
                raise DataError(f"ALS.fit: {problem}. Use a larger regularization or smaller weights.") from None
        return model.user_factors, model.item_factors

    def _scores(self, customers: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(
            self.customer_factors_[customers].astype(np.float64) @ self.item_factors_.T.astype(np.float64)
        )

    def _likeness(self, items: NDArray[np.int64]) -> NDArray[np.float64]:
        factors = self.item_factors_.astype(np.float64)
        length = np.sqrt((factors**2).sum(axis=1))
        length[length == 0] = 1  # an item that was only ever seen with weight 0 is like nothing: cosine 0
        return np.asarray(factors[items] @ factors.T / (length[items, None] * length))

    def _array_names(self) -> tuple[str, ...]:
        return ("customer_factors", "item_factors")

    def _get_arrays(self) -> dict[str, NDArray[Any]]:
        return {"customer_factors": self.customer_factors_, "item_factors": self.item_factors_}

    def _set_arrays(self, state: dict[str, Any], matrix: Interactions, where: str) -> None:
        rows = {"customer_factors": len(matrix.customer_ids), "item_factors": len(matrix.item_ids)}
        customers, items = (
            checked_array(state[name], "f", (rows[name], self.factors), f"{where}: {name}")
            for name in self._array_names()
        )
        self.customer_factors_, self.item_factors_ = customers, items


def on_grid(factors: Factors) -> Factors:
    """The factors rounded to multiples of a power of two so coarse that every scalar product is exact in float64.

    A product of two such matrices has no rounding at all: the scores are the same for one customer or a
    thousand at a time, and for any BLAS, any number of threads. The step is at most the largest factor times
    2^-21 for up to 2,048 factors.

    factors: shape (rows, length), float32.

    >>> on_grid(np.array([[1 / 3, 1.0]], dtype=np.float32)).tolist()
    [[0.3333333730697632, 1.0]]
    """
    largest = float(np.abs(factors).max())
    if largest == 0:
        return factors
    # Integers of up to 2^bits: their products summed over the length stay below 2^53, and 2^23 fits float32.
    bits = min(23, (53 - ceil(log2(factors.shape[1]))) // 2)
    step = 2.0 ** (ceil(log2(largest)) - bits)
    return (np.round(factors / step) * step).astype(np.float32)


def _confidence(weights: csr_array, alpha: float) -> csr_matrix:
    """1 + alpha * weight where there is a weight; a stored 0 is no preference, so it is left out.

    Measured on MovieLens: at a typical confidence of 2e5 nine tenths of the recall are gone, and nothing says so.
    """
    positive = csr_matrix(weights, copy=True)
    positive.eliminate_zeros()
    confidence = 1 + alpha * positive.data
    typical, largest = float(np.median(confidence)), float(confidence.max())
    if typical > 1e5 or largest > 1e20:
        raise DataError(
            f"ALS.fit: the confidences 1 + alpha * weight are too large to solve for (median {typical:g}, largest "
            f"{largest:g}). Use weights of about 1, such as log1p of an amount, or a smaller alpha."
        )
    positive.data = confidence.astype(np.float32)
    return positive

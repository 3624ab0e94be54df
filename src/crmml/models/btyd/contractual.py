"""Shifted beta-geometric: contracts that are renewed, or not, once a period."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.special import betaln, digamma
from sklearn.utils.validation import check_is_fitted

from crmml.errors import DataError
from crmml.models._base import Floats
from crmml.models.btyd._fitting import Objective
from crmml.models.btyd._inputs import Rows, Rule, counts, each_different, periods, whole
from crmml.models.btyd._model import BuyTillYouDie
from crmml.models.btyd._special import mean_periods


class ShiftedBetaGeometric(BuyTillYouDie):
    """Shifted beta-geometric (sBG): customers under contract who leave at a renewal with a probability of their own.

    The model of P. S. Fader & B. G. S. Hardie, "How to project customer retention" (Journal of Interactive Marketing
    21, 2007): the probability of leaving at each renewal is Beta(`alpha`, `beta`) among customers. The loyal remain,
    so retention rises with age although nobody changes. A customer leaves at the t-th renewal with probability
    P(T = t) = B(alpha + 1, beta + t - 1) / B(alpha, beta), and is still there after it with probability
    S(t) = B(alpha, beta + t) / B(alpha, beta).

    Columns of `X`, a customer per row: `t`, the number of renewals that came up, and `churned`: 1 where the customer
    left at the last of them, 0 where all were renewed. Customers of any age can be mixed. The papers' tables, so many
    left of so many after each period, become such rows by `lifetimes`.

    Parameters:
        penalty: Weight of the squared logarithms of the parameters, subtracted from the log-likelihood: it draws them
            to 1 where customers are few. 0: plain maximum likelihood.
        max_iter: Most iterations of the search.

    Attributes:
        alpha_, beta_: The parameters.
        log_likelihood_: At the maximum, without the penalty.
        standard_errors_: Of each parameter, by name, from the observed information; NaN where it runs to a limit. With
            a penalty, from the curvature of the penalised log-likelihood: how wide the posterior is whose prior the
            penalty stands for (logarithms normal around 0 with variance 1 / (2 penalty)), so less than without.
        convergence_: Whether the fit can be believed, in words (`message`) and numbers.

    >>> high_end = ShiftedBetaGeometric.lifetimes([1000, 869, 743, 653, 593, 551, 517, 491])
    >>> model = ShiftedBetaGeometric().fit(high_end, sample_weight=high_end["customers"])
    >>> round(model.alpha_, 3), round(model.beta_, 3), round(model.log_likelihood_, 1)
    (0.668, 3.806, -1611.2)
    >>> model.survival([7, 12]).round(3).tolist()
    [0.489, 0.378]
    >>> customers = pd.DataFrame({"t": [0, 7, 3], "churned": [0, 0, 1]})
    >>> model.p_renews(customers, horizon=1).round(3).tolist()
    [0.851, 0.942, 0.0]
    """

    _names: ClassVar[tuple[str, ...]] = ("alpha", "beta")
    _columns: ClassVar[tuple[str, ...]] = ("t", "churned")
    _rules: ClassVar[tuple[Rule, ...]] = (
        whole("t", "the number of renewals that came up"),
        Rule("churned", lambda rows: np.isin(rows["churned"], (0, 1)), "must be 0 or 1", "Give 1 to who left"),
        Rule(
            "churned",
            lambda rows: (rows["churned"] == 0) | (rows["t"] > 0),
            "must be 0 where t is 0",
            "Nobody can leave before the first renewal: give t = 1 to who left there",
        ),
    )

    alpha_: float
    beta_: float

    @staticmethod
    def lifetimes(survivors: Sequence[float]) -> pd.DataFrame:
        """The customers of one cohort as rows for `fit`.

        Args:
            survivors: How many customers there were at the start, after one renewal, after two, and so on.

        Returns:
            A row per renewal with those who left at it, and one with those who stayed: columns `t`, `churned` and
            `customers`, the `sample_weight` of `fit`. Tables of several cohorts can be joined by `pd.concat`.

        Raises:
            DataError: Fewer than two numbers, a number below 0, or one that rises.

        >>> ShiftedBetaGeometric.lifetimes([1000, 631, 468]).to_dict("list")
        {'t': [1, 2, 2], 'churned': [1, 1, 0], 'customers': [369.0, 163.0, 468.0]}
        """
        left = np.asarray(survivors, dtype=np.float64)
        if (
            left.ndim != 1
            or len(left) < 2
            or not np.isfinite(left).all()
            or (left < 0).any()
            or np.diff(left).max() > 0
        ):
            raise DataError(
                "ShiftedBetaGeometric.lifetimes: survivors must be two or more numbers, 0 or more, none above the one "
                "before it. Use survivors=[1000, 869, 743]."
            )
        last = len(left) - 1
        return pd.DataFrame(
            {
                "t": [*range(1, last + 1), last],
                "churned": [*[1] * last, 0],
                "customers": np.append(-np.diff(left), left[-1]),
            }
        )

    def survival(self, t: Any) -> Floats:
        """The share of new customers still there after `t` renewals, shape of `t` (one dimension).

        Raises:
            DataError: A `t` that is no whole number of 0 or more.
        """
        check_is_fitted(self)
        ages = counts(t, "t", "ShiftedBetaGeometric.survival")
        share: Floats = np.exp(betaln(self.alpha_, self.beta_ + ages) - betaln(self.alpha_, self.beta_))
        return share

    def retention(self, t: Any) -> Floats:
        """Of the customers there after `t` renewals, the share that also renews the next, shape of `t`.

        Raises:
            DataError: A `t` that is no whole number of 0 or more.
        """
        check_is_fitted(self)
        ages = counts(t, "t", "ShiftedBetaGeometric.retention")
        return (self.beta_ + ages) / (self.alpha_ + self.beta_ + ages)

    def p_renews(self, X: Any, horizon: int) -> Floats:
        """The probability that each customer renews each of the next `horizon` times, shape (rows,); 0 for who left.

        Raises:
            ConfigError: A horizon that is no whole number of 0 or more.
            SchemaError, DataError: As `fit`.
        """
        rows, ahead = self._customers(X, "p_renews"), self._periods(horizon, "p_renews")
        there = np.exp(
            betaln(self.alpha_, self.beta_ + rows["t"] + ahead) - betaln(self.alpha_, self.beta_ + rows["t"])
        )
        return np.where(rows["churned"] == 1, 0.0, there)

    def expected_renewals(self, X: Any, horizon: int) -> Floats:
        """How many of the next `horizon` renewals each customer is expected to make, shape (rows,); 0 for who left.

        Raises:
            ConfigError: A horizon that is no whole number of 0 or more.
            SchemaError, DataError: As `fit`.
        """
        rows, ahead = self._customers(X, "expected_renewals"), self._periods(horizon, "expected_renewals")

        def stays(some: Rows) -> Floats:
            return mean_periods(np.full(len(some["t"]), self.alpha_), self.beta_ + some["t"], ahead)

        return np.where(rows["churned"] == 1, 0.0, each_different({"t": rows["t"]}, stays))

    def simulate(self, T: Any, rng: np.random.Generator) -> pd.DataFrame:
        """Draw customers from the process.

        Args:
            T: How many renewals came up since each customer began, shape (customers,).
            rng: Source of randomness, such as `np.random.default_rng(0)`: the same seed, the same customers.

        Returns:
            A row per customer: `t`, `churned` as `fit` takes them.

        Raises:
            DataError: A number of renewals that is no whole number of 0 or more.
        """
        check_is_fitted(self)
        most = counts(T, "T", "ShiftedBetaGeometric.simulate")
        leaves = rng.geometric(np.maximum(rng.beta(self.alpha_, self.beta_, len(most)), 1e-18)).astype(np.float64)
        return pd.DataFrame({"t": np.minimum(leaves, most), "churned": (leaves <= most).astype(np.int64)})

    def _periods(self, horizon: int, method: str) -> float:
        return periods(horizon, "horizon", f"{type(self).__name__}.{method}")

    def _informative(self, rows: Rows, weights: Floats, where: str) -> tuple[Rows, Floats]:
        if not (weights * rows["t"]).any():
            raise DataError(f"{where}: column 't' is 0 for every customer. Give customers with a renewal behind them.")
        return rows, weights

    def _start(self, rows: Rows, weights: Floats) -> dict[str, float]:
        return {"alpha": 1.0, "beta": 1.0}

    def _objective(self, rows: Rows, weights: Floats) -> Objective:
        t, left, n = rows["t"], rows["churned"], weights

        def evaluate(point: Floats) -> tuple[float, Floats]:
            alpha, beta = np.exp(point).tolist()
            value = n @ (betaln(alpha + left, beta + t - left) - betaln(alpha, beta))
            both = digamma(alpha + beta) - digamma(alpha + beta + t)
            slope = [
                n @ (both + digamma(alpha + left) - digamma(alpha)),
                n @ (both + digamma(beta + t - left) - digamma(beta)),
            ]
            return float(value), np.array(slope) * np.array([alpha, beta])

        return evaluate

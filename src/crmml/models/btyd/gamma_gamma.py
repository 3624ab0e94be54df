"""Gamma-Gamma: what a customer spends per purchase."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.special import digamma, gammaln
from sklearn.utils.validation import check_is_fitted

from crmml.errors import DataError
from crmml.models._base import Floats
from crmml.models.btyd._fitting import Objective
from crmml.models.btyd._inputs import Rows, Rule, counts, read_rows, whole
from crmml.models.btyd._model import BuyTillYouDie


class GammaGamma(BuyTillYouDie):
    """Gamma-Gamma: the value of each purchase varies around a mean of the customer's own.

    The model of P. S. Fader & B. G. S. Hardie, "The Gamma-Gamma Model of Monetary Value" (note, 2013): values are
    Gamma(`p`, nu), with nu ~ Gamma(`q`, `gamma`) among customers, whatever the number of purchases. The likelihood
    is their equation (1a), the conditional expectation their (5).

    Columns of `X`: `x` purchases whose mean value is `m_x`, in any currency (`gamma` has the same). Count in `x` the
    purchases that went into `m_x`: the repeat purchases in the papers. Customers with `x` 0 say nothing in `fit` and
    are expected to be like everybody. A mean value of 0 or less has no probability at all under this model; such
    customers (more returned than bought) are refused: leave them out of `fit`.

    Parameters:
        penalty: Weight of the squared logarithms of the parameters (`gamma` over the mean `m_x`), subtracted from the
            log-likelihood: it draws them to 1 where customers are few. 0: plain maximum likelihood.
        max_iter: Most iterations of the search.

    Attributes:
        p_, q_, gamma_: The parameters.
        log_likelihood_: At the maximum, without the penalty.
        standard_errors_: Of each parameter, by name, from the observed information; NaN where it runs to a limit. With
            a penalty, from the curvature of the penalised log-likelihood: how wide the posterior is whose prior the
            penalty stands for (logarithms normal around 0 with variance 1 / (2 penalty)), so less than without.
        convergence_: Whether the fit can be believed, in words (`message`) and numbers.

    >>> truth = GammaGamma.from_parameters({"p": 6.25, "q": 3.74, "gamma": 15.44})
    >>> model = GammaGamma().fit(truth.simulate(np.full(5_000, 3), np.random.default_rng(0)))
    >>> model.convergence_.converged, bool(abs(model.p_ - 6.25) < 3 * model.standard_errors_["p"])
    (True, True)
    >>> customers = pd.DataFrame({"x": [0, 1, 50], "m_x": [0.0, 100.0, 100.0]})
    >>> truth.expected_value(customers).round(2).tolist()  # the more purchases, the less they are doubted
    [35.22, 80.26, 99.44]
    >>> model.fit(customers.assign(m_x=[0, 0, 100]))
    Traceback (most recent call last):
        ...
    crmml.errors.DataError: GammaGamma.fit: column 'm_x' is 0 in row 1, but must be above 0 where x is above 0. Leave \
such customers out: X[X['m_x'] > 0].
    """

    _names: ClassVar[tuple[str, ...]] = ("p", "q", "gamma")
    _with_unit: ClassVar[tuple[str, ...]] = ("gamma",)
    _columns: ClassVar[tuple[str, ...]] = ("x", "m_x")
    _rules: ClassVar[tuple[Rule, ...]] = (
        whole("x", "the number of purchases that went into m_x"),
        Rule(
            "m_x",
            lambda rows: (rows["x"] == 0) | (rows["m_x"] > 0),
            "must be above 0 where x is above 0",
            "Leave such customers out: X[X['m_x'] > 0]",
        ),
    )

    p_: float
    q_: float
    gamma_: float

    def expected_value(self, X: Any) -> Floats:
        """The expected mean value of each customer's purchases to come, in the unit of `m_x`, shape (rows,).

        Infinite where so few purchases leave no mean: p x + q <= 1.

        Raises:
            SchemaError, DataError: As `fit`.
        """
        rows = self._customers(X, "expected_value")
        left = self.p_ * rows["x"] + self.q_ - 1.0
        # gamma + m x over p x + q - 1, each divided by x + 1, so that nothing overflows
        per = 1.0 / (rows["x"] + 1.0)
        above = self.p_ * (self.gamma_ * per + rows["m_x"] * (rows["x"] * per))
        return np.where(left > 0, above / np.where(left > 0, left * per, 1.0), np.inf)

    def simulate(self, x: Any, rng: np.random.Generator) -> pd.DataFrame:
        """Draw customers from the process.

        Args:
            x: The number of purchases of each customer, shape (customers,).
            rng: Source of randomness, such as `np.random.default_rng(0)`: the same seed, the same customers.

        Returns:
            A row per customer: `x`, `m_x` as `fit` takes them (`m_x` is 0 where x is 0); `mean`, the customer's own
            mean, that the model estimates.

        Raises:
            DataError: A number of purchases that is no whole number of 0 or more.
        """
        check_is_fitted(self)
        where = f"{type(self).__name__}.simulate"
        bought = counts(x, "x", where)
        rate = rng.gamma(self.q_, 1.0 / self.gamma_, len(bought))
        some = bought > 0
        total = np.zeros(len(bought))
        total[some] = rng.gamma(self.p_ * bought[some]) / rate[some]
        return pd.DataFrame({"x": bought, "m_x": total / np.maximum(bought, 1.0), "mean": self.p_ / rate})

    def _read(self, X: Any, where: str) -> Rows:
        if isinstance(X, pd.DataFrame) and {"x", "m_x"} <= set(X.columns):
            X = X.assign(m_x=X["m_x"].where(X["x"] != 0, 0.0))  # whatever stands there is the mean of nothing
        return read_rows(X, self._columns, self._rules, where)

    def _informative(self, rows: Rows, weights: Floats, where: str) -> tuple[Rows, Floats]:
        some = (rows["x"] > 0) & (weights > 0)
        if not some.any():
            raise DataError(f"{where}: column 'x' is 0 for every customer. Give customers with purchases.")
        return {name: values[some] for name, values in rows.items()}, weights[some]

    def _unit(self, rows: Rows, weights: Floats) -> float:
        return float((weights * rows["m_x"]).sum() / weights.sum())

    def _in_units(self, rows: Rows, unit: float) -> Rows:
        return {"x": rows["x"], "m_x": rows["m_x"] / unit}

    def _log_units(self, rows: Rows, weights: Floats, unit: float) -> float:
        return float(weights.sum() * np.log(unit))

    def _start(self, rows: Rows, weights: Floats) -> dict[str, float]:
        return {"p": 2.0, "q": 3.0, "gamma": 1.0}

    def _objective(self, rows: Rows, weights: Floats) -> Objective:
        levels, level = np.unique(rows["x"], return_inverse=True)
        sizes = np.bincount(level, weights=weights)
        n, x, total = weights, rows["x"], rows["x"] * rows["m_x"]
        fixed = -float((n * np.log(rows["m_x"])).sum())

        def evaluate(point: Floats) -> tuple[float, Floats]:
            p, q, gamma = np.exp(point).tolist()
            shapes = p * levels
            above = digamma(shapes + q)
            share = np.log1p(gamma / total)  # of ln(gamma + total) over ln(total)
            fraction = 1.0 / (gamma + total)
            heavy = (n * x * share).sum()
            light = (n * (share + np.log(total))).sum()
            value = sizes @ (gammaln(shapes + q) - gammaln(shapes) - gammaln(q))
            value += sizes.sum() * q * np.log(gamma) - p * heavy - q * light + fixed
            slope = [
                sizes @ (levels * (above - digamma(shapes))) - heavy,
                sizes @ (above - digamma(q)) + sizes.sum() * np.log(gamma) - light,
                sizes.sum() * q / gamma - (n * (p * x + q) * fraction).sum(),
            ]
            return float(value), np.array(slope) * np.array([p, q, gamma])

        return evaluate

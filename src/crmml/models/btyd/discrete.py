"""BG/BB: customers who buy or do not buy in each period, until they stop."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.special import betaln, digamma, gammaln
from sklearn.utils.validation import check_is_fitted

from crmml.errors import DataError
from crmml.models._base import Floats, Ints
from crmml.models.btyd._fitting import Objective
from crmml.models.btyd._inputs import Rows, Rule, counts, each_different, periods, whole
from crmml.models.btyd._model import BuyTillYouDie
from crmml.models.btyd._special import mean_periods


class BetaGeometricBetaBinomial(BuyTillYouDie):
    """BG/BB: in each period an active customer buys or not; before each, the customer may stop for good.

    The model of P. S. Fader, B. G. S. Hardie & J. Shang, "Customer-base analysis in a discrete-time noncontractual
    setting" (Marketing Science 29, 2010): probabilities of buying are Beta(`alpha`, `beta`) among customers, of
    stopping Beta(`gamma`, `delta`). The likelihood sums over the periods in which a customer may have stopped,
    on a logarithmic scale; `p_alive` is that of the first period after the n observed, `expected_purchases` their
    equation (13) as an integral without a pole at gamma = 1.

    Columns of `X`: `x` periods with a purchase, the last of them number `t_x`, of `n` periods in all (the period of
    the very first purchase is number 0 and not counted).

    Parameters:
        penalty: Weight of the squared logarithms of the parameters, subtracted from the log-likelihood: it draws them
            to 1 where customers are few. 0: plain maximum likelihood.
        max_iter: Most iterations of the search.

    Attributes:
        alpha_, beta_, gamma_, delta_: The parameters.
        log_likelihood_: At the maximum, without the penalty.
        standard_errors_: Of each parameter, by name, from the observed information; NaN where it runs to a limit. With
            a penalty, from the curvature of the penalised log-likelihood: how wide the posterior is whose prior the
            penalty stands for (logarithms normal around 0 with variance 1 / (2 penalty)), so less than without.
        convergence_: Whether the fit can be believed, in words (`message`) and numbers.

    >>> truth = BetaGeometricBetaBinomial.from_parameters({"alpha": 1.2, "beta": 0.75, "gamma": 0.66, "delta": 2.78})
    >>> donors = truth.simulate(np.full(5_000, 6), np.random.default_rng(0))
    >>> model = BetaGeometricBetaBinomial().fit(donors)
    >>> model.convergence_.converged, bool(abs(model.alpha_ - 1.2) < 3 * model.standard_errors_["alpha"])
    (True, True)
    >>> every_year_and_long_ago = pd.DataFrame({"x": [6, 2], "t_x": [6, 2], "n": [6, 6]})
    >>> truth.p_alive(every_year_and_long_ago).round(2).tolist()
    [0.93, 0.07]
    >>> truth.expected_purchases(every_year_and_long_ago, horizon=5).round(2).tolist()
    [3.75, 0.12]
    """

    _names: ClassVar[tuple[str, ...]] = ("alpha", "beta", "gamma", "delta")
    _columns: ClassVar[tuple[str, ...]] = ("x", "t_x", "n")
    _rules: ClassVar[tuple[Rule, ...]] = (
        whole("x", "the number of periods with a purchase, without the first"),
        whole("t_x", "the number of the last period with a purchase, 0 where there is none"),
        whole("n", "the number of periods after the first"),
        Rule(
            "t_x", lambda rows: rows["t_x"] <= rows["n"], "must not exceed n", "Count periods from the first purchase"
        ),
        Rule("x", lambda rows: rows["x"] <= rows["t_x"], "must not exceed t_x", "Count each period once"),
        Rule(
            "t_x",
            lambda rows: (rows["x"] > 0) | (rows["t_x"] == 0),
            "must be 0 where x is 0",
            "Give 0 to customers without a repeat purchase",
        ),
    )

    alpha_: float
    beta_: float
    gamma_: float
    delta_: float

    def p_alive(self, X: Any) -> Floats:
        """The probability that each customer is still active in period n + 1, shape (rows,).

        Raises:
            SchemaError, DataError: As `fit`.
        """

        def alive(rows: Rows) -> Floats:
            stays = (self.delta_ + rows["n"]) / (self.gamma_ + self.delta_ + rows["n"])
            return self._active(rows) * stays

        return each_different(self._customers(X, "p_alive"), alive)

    def p_buys(self, X: Any, horizon: int) -> Floats:
        """The probability of a purchase in any of the next `horizon` periods, shape (rows,).

        Raises:
            ConfigError: A horizon that is no whole number of 0 or more.
            SchemaError, DataError: As `fit`.
        """
        rows = self._customers(X, "p_buys")
        ahead = periods(horizon, "horizon", f"{type(self).__name__}.p_buys")
        return each_different(rows, lambda some: self._active(some) * self._buys_if_active(some, int(ahead)))

    def expected_purchases(self, X: Any, horizon: int) -> Floats:
        """The expected number of the next `horizon` periods with a purchase, shape (rows,).

        Raises:
            ConfigError: A horizon that is no whole number of 0 or more.
            SchemaError, DataError: As `fit`.
        """
        rows = self._customers(X, "expected_purchases")
        ahead = periods(horizon, "horizon", f"{type(self).__name__}.expected_purchases")

        def expected(some: Rows) -> Floats:
            buys = (self.alpha_ + some["x"]) / (self.alpha_ + self.beta_ + some["n"])
            stays = mean_periods(np.full(len(buys), self.gamma_), self.delta_ + some["n"], ahead)
            return self._active(some) * buys * stays

        return each_different(rows, expected)

    def expected_purchases_new(self, horizon: int) -> float:
        """The expected number of a new customer's first `horizon` periods with a purchase.

        Raises:
            ConfigError: A horizon that is no whole number of 0 or more.
        """
        check_is_fitted(self)
        ahead = periods(horizon, "horizon", f"{type(self).__name__}.expected_purchases_new")
        stays = mean_periods(np.array([self.gamma_]), np.array([self.delta_]), ahead)[0]
        return float(self.alpha_ / (self.alpha_ + self.beta_) * stays)

    def simulate(self, n: Any, rng: np.random.Generator, *, horizon: int = 0) -> pd.DataFrame:
        """Draw customers from the process.

        Args:
            n: How many periods each customer is observed, shape (customers,).
            rng: Source of randomness, such as `np.random.default_rng(0)`: the same seed, the same customers.
            horizon: How many periods they are watched after that.

        Returns:
            A row per customer: `x`, `t_x`, `n` as `fit` takes them; `alive` in period n + 1 (bool); `x_star`, the
            number of the `horizon` periods after `n` with a purchase.

        Raises:
            ConfigError: A horizon that is no whole number of 0 or more.
            DataError: A number of periods that is no whole number of 0 or more.
        """
        check_is_fitted(self)
        where = f"{type(self).__name__}.simulate"
        seen, ahead = counts(n, "n", where), periods(horizon, "horizon", where)
        buys = np.clip(rng.beta(self.alpha_, self.beta_, len(seen)), 1e-18, 1.0)
        stops = np.clip(rng.beta(self.gamma_, self.delta_, len(seen)), 1e-18, 1.0)
        life = rng.geometric(stops) - 1.0
        active = np.minimum(life, seen)
        # Looking back, the last purchase is as far away as the next one would be, looking forward.
        t_x = np.maximum(active - (rng.geometric(buys) - 1.0), 0.0)
        x = np.where(t_x > 0, 1.0 + rng.binomial(np.maximum(t_x - 1, 0).astype(np.int64), buys), 0.0)
        later = np.clip(np.minimum(life, seen + ahead) - seen, 0, None).astype(np.int64)
        x_star = rng.binomial(later, buys).astype(np.float64)
        return pd.DataFrame({"x": x, "t_x": t_x, "n": seen, "alive": life > seen, "x_star": x_star})

    def _active(self, rows: Rows) -> Floats:
        """The probability of having been active up to period n."""
        stories = _Stories(rows)
        logs = stories.logs(self.alpha_, self.beta_, self.gamma_, self.delta_)
        return np.exp(logs[stories.alive] - stories.totals(logs))

    def _buys_if_active(self, rows: Rows, horizon: int) -> Floats:
        # No purchase: stopped before one of the periods, or active in all of them and bought in none.
        idle, active = np.ones(len(rows["n"])), np.ones(len(rows["n"]))
        nothing = np.zeros(len(rows["n"]))
        for ahead in range(horizon):
            period = rows["n"] + ahead
            stays = (self.delta_ + period) / (self.gamma_ + self.delta_ + period)
            nothing += idle * active * (1.0 - stays)
            active = active * stays
            idle = idle * (self.beta_ + period - rows["x"]) / (self.alpha_ + self.beta_ + period)
            if (idle * active).max() < 1e-18:
                break
        return np.clip(1.0 - nothing - idle * active, 0.0, 1.0)

    def _informative(self, rows: Rows, weights: Floats, where: str) -> tuple[Rows, Floats]:
        if not (weights * rows["n"]).any():
            raise DataError(f"{where}: column 'n' is 0 for every customer. Give customers seen for a period or more.")
        return rows, weights

    def _start(self, rows: Rows, weights: Floats) -> dict[str, float]:
        return {"alpha": 1.0, "beta": 1.0, "gamma": 0.7, "delta": 2.0}

    def _objective(self, rows: Rows, weights: Floats) -> Objective:
        stories = _Stories(rows)
        total = float(weights.sum())

        def evaluate(point: Floats) -> tuple[float, Floats]:
            alpha, beta, gamma, delta = np.exp(point).tolist()
            logs = stories.logs(alpha, beta, gamma, delta)
            totals = stories.totals(logs)
            likely = np.exp(logs - totals[stories.row]) * weights[stories.row]
            tables = (
                digamma(shape + stories.whole) for shape in (alpha, beta, alpha + beta, gamma, delta, gamma + delta)
            )
            one, two, either, three, four, other = tables
            buying, stopping = either[stories.j] - either[0], other[stories.j + stories.stopped] - other[0]
            slope = [
                likely @ (one[stories.x] - buying) - total * one[0],
                likely @ (two[stories.j - stories.x] - buying) - total * two[0],
                likely @ (three[stories.stopped] - stopping) - total * three[0],
                likely @ (four[stories.j] - stopping) - total * four[0],
            ]
            return float(weights @ totals), np.array(slope) * np.array([alpha, beta, gamma, delta])

        return evaluate


class _Stories:
    """What may have happened: for each row, active up to each period j from t_x on, then stopped; or active to the end.

    The log-likelihood of each story is a sum of logarithms of gamma functions at a parameter plus a whole number:
    tables over whole numbers, however many customers there are.
    """

    def __init__(self, rows: Rows) -> None:
        x, t_x, n = (rows[name].astype(np.int64) for name in ("x", "t_x", "n"))
        sizes = n - t_x + 1
        ends = np.cumsum(sizes)
        self.begins: Ints = ends - sizes
        self.alive: Ints = ends - 1  # the last story of each row
        self.row: Ints = np.repeat(np.arange(len(x)), sizes)
        self.j: Ints = np.arange(ends[-1]) - self.begins[self.row] + t_x[self.row]
        self.x: Ints = x[self.row]
        self.stopped: Ints = np.ones(ends[-1], dtype=np.int64)
        self.stopped[self.alive] = 0
        self.whole = np.arange(n.max() + 2.0)

    def logs(self, alpha: float, beta: float, gamma: float, delta: float) -> Floats:
        """The log-likelihood of each story, shape (stories,)."""
        shapes = (alpha, beta, alpha + beta, gamma, delta, gamma + delta)
        one, two, either, three, four, other = (gammaln(shape + self.whole) for shape in shapes)
        bought = one[self.x] + two[self.j - self.x] - either[self.j] - betaln(alpha, beta)
        stayed = three[self.stopped] + four[self.j] - other[self.j + self.stopped] - betaln(gamma, delta)
        return np.asarray(bought + stayed, dtype=np.float64)

    def totals(self, logs: Floats) -> Floats:
        """The log-likelihood of each row, over all its stories, from that of each story, shape (rows,)."""
        top = np.maximum.reduceat(logs, self.begins)
        return np.asarray(top + np.log(np.add.reduceat(np.exp(logs - top[self.row]), self.begins)), dtype=np.float64)

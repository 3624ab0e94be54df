"""BG/NBD and MBG/NBD: customers who may stop after each purchase."""

from typing import ClassVar, NamedTuple

import numpy as np
from scipy.special import betaln, digamma, expit, gammaln

from crmml.models._base import Bools, Floats, Ints
from crmml.models.btyd._fitting import Objective
from crmml.models.btyd._inputs import Rows
from crmml.models.btyd._special import mean_over_beta
from crmml.models.btyd._transactions import TransactionModel

# Rows that fit into the cache together with what is computed from them; few enough for a product of two columns to
# be made by one thread.
_CHUNK = 8_192


class _Chunk(NamedTuple):
    """Rows of customers: who might have stopped at `t_x`, or (`t_x` None) who can only be alive."""

    weights: Floats
    bought: Floats  # weights times x
    level: Ints  # position of x among the different x
    x: Floats
    T: Floats
    t_x: Floats | None


class _BetaGeometric(TransactionModel):
    """Both models: the number of chances to stop, up to the last purchase, is x + `_coins`."""

    _names: ClassVar[tuple[str, ...]] = ("r", "alpha", "a", "b")
    _with_unit: ClassVar[tuple[str, ...]] = ("alpha",)
    _coins: ClassVar[int]

    r_: float
    alpha_: float
    a_: float
    b_: float

    def _start(self, rows: Rows, weights: Floats) -> dict[str, float]:
        mean = float((weights * rows["x"]).sum() / weights.sum())
        return {"r": 0.5, "alpha": 0.5 / (mean + 0.1), "a": 0.7, "b": 2.0}

    def _objective(self, rows: Rows, weights: Floats) -> Objective:
        levels, level = np.unique(rows["x"], return_inverse=True)
        counts = np.bincount(level, weights=weights)
        n = float(counts.sum())
        chunks = self._chunks(rows, weights, level)
        coins = levels + self._coins
        # Of x and of the chances, after a 0: one call gives what is subtracted too.
        steps = np.array([np.append(0.0, levels), np.append(0.0, coins), np.append(0.0, coins)])

        def evaluate(point: Floats) -> tuple[float, Floats]:
            r, alpha, a, b = np.exp(point).tolist()
            rates, chances = gammaln(r + steps[0]), betaln(a, b + steps[1])
            value = counts @ (rates[1:] - rates[0] + chances[1:] - chances[0]) + n * r * point[1]
            slopes = digamma(steps + np.array([[r], [a + b], [b]]))
            by_r, by_both, by_b = (slopes[:, 1:] - slopes[:, :1]) @ counts
            slope = np.array([by_r + n * point[1], n * r / alpha, -by_both, by_b - by_both])
            last = np.maximum(b + coins - 1.0, b)
            odds = point[2] - np.log(last)  # of the last chance
            stopped = np.zeros(len(levels))
            for chunk in chunks:
                part, d_r, d_alpha = _chunk_terms(chunk, r, alpha, odds, stopped)
                value, slope[0], slope[1] = value + part, slope[0] + d_r, slope[1] + d_alpha
            slope[2] += stopped.sum() / a
            slope[3] -= (stopped / last).sum()
            return float(value), slope * np.array([r, alpha, a, b])

        return evaluate

    def _chunks(self, rows: Rows, weights: Floats, level: Ints) -> list[_Chunk]:
        some = rows["x"] + self._coins > 0
        chunks = []
        for mask, may_stop in ((some, True), (~some, False)):
            chosen = np.flatnonzero(mask)
            for begin in range(0, len(chosen), _CHUNK):
                part = chosen[begin : begin + _CHUNK]
                t_x = rows["t_x"][part] if may_stop else None
                n, x = weights[part], rows["x"][part]
                chunks.append(_Chunk(n, n * x, level[part], x, rows["T"][part], t_x))
        return chunks

    def _log_odds_stopped(self, rows: Rows) -> Floats:
        """Of having stopped at `t_x`; -inf where there was no chance to."""
        x, coins = rows["x"], rows["x"] + self._coins
        chance = np.log(self.a_) - np.log(np.maximum(self.b_ + coins - 1.0, self.b_))
        # log1p of the relative silence: exact however small it is
        odds = chance + (self.r_ + x) * np.log1p((rows["T"] - rows["t_x"]) / (self.alpha_ + rows["t_x"]))
        return np.where(coins > 0, odds, -np.inf)

    def _alive(self, rows: Rows) -> Floats:
        alive: Floats = expit(-self._log_odds_stopped(rows))
        return alive

    def _buys_if_alive(self, rows: Rows, horizon: float) -> Floats:
        # Nobody stops before the next purchase: only the rate matters.
        buys: Floats = -np.expm1(-(self.r_ + rows["x"]) * np.log1p(horizon / (self.alpha_ + rows["T"])))
        return buys

    def _if_alive(self, rows: Rows, horizon: float) -> Floats:
        x = rows["x"]
        return self._purchases(self.r_ + x, horizon / (self.alpha_ + rows["T"]), self.b_ + x + self._coins)

    def _new(self, horizon: float) -> float:
        start = np.array([self.b_ + self._coins])
        while_alive = self._purchases(np.array([self.r_]), np.array([horizon / self.alpha_]), start)[0]
        return float(while_alive * (self.b_ / (self.a_ + self.b_)) ** self._coins)

    def _purchases(self, shape: Floats, span: Floats, survived: Floats) -> Floats:
        """Mean of (1 - exp(-rate p t)) / p over rate ~ Gamma(shape), span = t over its scale, p ~ Beta(a, survived)."""

        def over_rates(p: Floats, part: slice) -> Floats:
            values: Floats = -np.expm1(-shape[part] * np.log1p(p * span[part])) / np.maximum(p, 1e-300)
            return np.where(p > 1e-300, values, shape[part] * span[part])

        return mean_over_beta(over_rates, np.full(len(shape), self.a_), survived)

    def _draw(self, observed: Floats, horizon: float, rng: np.random.Generator) -> tuple[Floats, Floats, Bools, Floats]:
        n = len(observed)
        rate = rng.gamma(self.r_, 1.0 / self.alpha_, n)
        p = rng.beta(self.a_, self.b_, n)
        alive = rng.random(n) >= p * self._coins  # MBG/NBD: some stop at once
        alive_at_T = alive.copy()
        x, t_x, x_star, clock = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
        buying = np.flatnonzero(alive)
        while len(buying):
            with np.errstate(divide="ignore"):
                clock[buying] += rng.standard_exponential(len(buying)) / rate[buying]
            buying = buying[clock[buying] <= observed[buying] + horizon]
            seen = buying[clock[buying] <= observed[buying]]
            x[seen] += 1
            t_x[seen] = clock[seen]
            x_star[buying] += clock[buying] > observed[buying]
            goes_on = rng.random(len(buying)) >= p[buying]
            stops = buying[~goes_on]
            alive_at_T[stops[clock[stops] <= observed[stops]]] = False
            buying = buying[goes_on]
        return x, t_x, alive_at_T, x_star


def _chunk_terms(chunk: _Chunk, r: float, alpha: float, odds: Floats, stopped: Floats) -> tuple[float, float, float]:
    """Log-likelihood and its slopes by r and alpha of what depends on the times; adds to `stopped` by level of x."""
    n, bought = chunk.weights, chunk.bought
    until = alpha + chunk.T
    log_until, rate = np.log(until), 1.0 / until
    d_r = -float(n @ log_until)
    value = r * d_r - float(bought @ log_until)
    d_alpha = -r * float(n @ rate) - float(bought @ rate)
    if chunk.t_x is None:
        return value, d_r, d_alpha
    last = alpha + chunk.t_x
    silence, shape = log_until - np.log(last), r + chunk.x
    z = odds[chunk.level] + shape * silence  # log-odds of having stopped: far above -700, where exp would overflow
    p = 1.0 / (1.0 + np.exp(-z))
    dead = n * p
    stopped += np.bincount(chunk.level, weights=dead, minlength=len(stopped))
    value += float(n @ (z - np.log(p)))
    return value, d_r + float(dead @ silence), d_alpha + float((dead * shape) @ (rate - 1.0 / last))


class BGNBD(_BetaGeometric):
    """BG/NBD: buys at a random rate, and stops after any repeat purchase with a probability of their own.

    The model of P. S. Fader, B. G. S. Hardie & K. L. Lee, "Counting your customers" the easy way (Marketing Science
    24, 2005): rates are Gamma(`r`, `alpha`) among customers, dropout probabilities Beta(`a`, `b`). Fitted over
    logarithms of the parameters with the exact gradient of the likelihood; `expected_purchases` is their equation
    (10), `expected_purchases_new` their (9), both as integrals without a hypergeometric function; `p_alive` as in
    their note "Computing P(alive) using the BG/NBD model" (2008). Who never bought again counts as alive:
    where that is wrong, see `MBGNBD`.

    Columns of `X`: `x` repeat purchases, the last at `t_x`, observed until `T` (times from the first purchase, in any
    one unit; `alpha` has the same).

    Parameters:
        penalty: Weight of the squared logarithms of the parameters (`alpha` over the mean `T`), subtracted from the
            log-likelihood: it draws them to 1 where customers are few. 0: plain maximum likelihood.
        max_iter: Most iterations of the search.

    Attributes:
        r_, alpha_, a_, b_: The parameters.
        log_likelihood_: At the maximum, without the penalty.
        standard_errors_: Of each parameter, by name, from the observed information; NaN where it runs to a limit. With
            a penalty, from the curvature of the penalised log-likelihood: how wide the posterior is whose prior the
            penalty stands for (logarithms normal around 0 with variance 1 / (2 penalty)), so less than without.
        convergence_: Whether the fit can be believed, in words (`message`) and numbers.

    >>> truth = BGNBD.from_parameters({"r": 0.5, "alpha": 6.0, "a": 0.8, "b": 2.5})
    >>> customers = truth.simulate(np.full(5_000, 52.0), np.random.default_rng(0))
    >>> model = BGNBD().fit(customers)
    >>> model.convergence_.converged, bool(abs(model.r_ - 0.5) < 3 * model.standard_errors_["r"])
    (True, True)
    >>> import pandas as pd
    >>> regular_and_silent = pd.DataFrame({"x": [10, 10], "t_x": [50.0, 10.0], "T": [52.0, 52.0]})
    >>> truth.p_alive(regular_and_silent).round(3).tolist()
    [0.909, 0.0]
    >>> truth.expected_purchases(regular_and_silent, horizon=26).round(2).tolist()
    [3.74, 0.0]
    >>> model.fit(customers.drop(columns="T"))
    Traceback (most recent call last):
        ...
    crmml.errors.SchemaError: BGNBD.fit: X has no column 'T'. Give the columns x, t_x, T.
    """

    _coins: ClassVar[int] = 0


class MBGNBD(_BetaGeometric):
    """MBG/NBD: as `BGNBD`, but a customer can stop already after the very first purchase.

    The model of E. P. Batislam, M. Denizel & A. Filiztekin (International Journal of Research in Marketing 24, 2007),
    which D. Hoppe & U. Wagner (Marketing ZFP 29, 2007) call CBG/NBD. One chance to stop more than in BG/NBD, at time
    0; hence also who never bought again may have gone.

    Columns of `X`: `x` repeat purchases, the last at `t_x`, observed until `T` (times from the first purchase, in any
    one unit; `alpha` has the same).

    Parameters:
        penalty: Weight of the squared logarithms of the parameters (`alpha` over the mean `T`), subtracted from the
            log-likelihood: it draws them to 1 where customers are few. 0: plain maximum likelihood.
        max_iter: Most iterations of the search.

    Attributes:
        r_, alpha_, a_, b_: The parameters.
        log_likelihood_: At the maximum, without the penalty.
        standard_errors_: Of each parameter, by name, from the observed information; NaN where it runs to a limit. With
            a penalty, from the curvature of the penalised log-likelihood: how wide the posterior is whose prior the
            penalty stands for (logarithms normal around 0 with variance 1 / (2 penalty)), so less than without.
        convergence_: Whether the fit can be believed, in words (`message`) and numbers.

    >>> truth = MBGNBD.from_parameters({"r": 0.5, "alpha": 6.0, "a": 0.8, "b": 2.5})
    >>> import pandas as pd
    >>> never_again = pd.DataFrame({"x": [0, 0], "t_x": [0.0, 0.0], "T": [1.0, 52.0]})
    >>> truth.p_alive(never_again).round(3).tolist()
    [0.743, 0.501]
    """

    _coins: ClassVar[int] = 1

"""Pareto/NBD: customers who may stop at any moment."""

import functools
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import numpy as np
from scipy.special import digamma, exprel, gammaln, roots_legendre

from crmml.models._base import Bools, Floats, Ints
from crmml.models.btyd._fitting import Objective
from crmml.models.btyd._inputs import Rows
from crmml.models.btyd._transactions import TransactionModel

# Rows that fit into the cache together with what is computed from them.
_CHUNK = 8_192
_NEGLIGIBLE = 40.0  # exp(-40) of the integrand's largest value
# How many nodes keep the relative error of each integral below 1e-9: enough for a way up to the first bound on which
# the logarithm of the integrand falls by up to the second; 56 for any other.
_ENOUGH = ((6, 1.0, 2.5), (8, 1.5, 6.0), (10, 2.0, 11.0), (12, 2.5, 18.0), (14, 3.0, 25.0), (24, 6.0, 40.0))
_MANY = 56


class _Silence(NamedTuple):
    """Integrals of f(u) = ((alpha+u)/(alpha+t))^-k ((beta+u)/(beta+t))^-s / (beta+u) over u from t to T, by customer.

    What is integrated: f; f times ln((alpha+u)/(alpha+t)); f times k / (alpha+u); the same two with beta, and s + 1 in
    the place of k.
    """

    plain: Floats
    log_alpha: Floats
    over_alpha: Floats
    log_beta: Floats
    over_beta: Floats


class _Curve(NamedTuple):
    """The parameters of f by customer: k = r + x, s, and the scales at t, which differ by the same for everybody."""

    k: Floats
    s: float
    alpha: Floats
    beta: Floats

    def part(self, rows: slice | Ints) -> "_Curve":
        return _Curve(self.k[rows], self.s, self.alpha[rows], self.beta[rows])


class _Fall(NamedTuple):
    """The same by size of the scale, and the logarithm of how often the smaller one grows by itself until T."""

    small: Floats
    large: Floats
    power: Floats | float
    power_large: Floats | float
    way: Floats


class ParetoNBD(TransactionModel):
    """Pareto/NBD: buys at a random rate until an unseen moment, which may be any.

    The model of D. C. Schmittlein, D. G. Morrison & R. Colombo, "Counting your customers: who are they and what will
    they do next?" (Management Science 33, 1987): rates of buying are Gamma(`r`, `alpha`) among customers, rates of
    dropout Gamma(`s`, `beta`). In the notation of P. S. Fader & B. G. S. Hardie, "A note on deriving the Pareto/NBD
    model" (2005): the likelihood is their (18), P(alive) their (36), expected purchases their (41), of a new
    customer their (27). The integral over the moment of dropout is taken numerically on a logarithmic scale, which
    replaces the two hypergeometric functions of (19) and (20) and does not overflow (Gauss-Legendre; relative error
    below 1e-9).

    Columns of `X`: `x` repeat purchases, the last at `t_x`, observed until `T` (times from the first purchase, in any
    one unit; `alpha` and `beta` have the same).

    Parameters:
        penalty: Weight of the squared logarithms of the parameters (`alpha`, `beta` over the mean `T`), subtracted
            from the log-likelihood: it draws them to 1 where customers are few. 0: plain maximum likelihood.
        max_iter: Most iterations of the search.

    Attributes:
        r_, alpha_, s_, beta_: The parameters.
        log_likelihood_: At the maximum, without the penalty.
        standard_errors_: Of each parameter, by name, from the observed information; NaN where it runs to a limit. With
            a penalty, from the curvature of the penalised log-likelihood: how wide the posterior is whose prior the
            penalty stands for (logarithms normal around 0 with variance 1 / (2 penalty)), so less than without.
        convergence_: Whether the fit can be believed, in words (`message`) and numbers.

    >>> truth = ParetoNBD.from_parameters({"r": 0.55, "alpha": 10.6, "s": 0.61, "beta": 11.7})
    >>> customers = truth.simulate(np.full(5_000, 52.0), np.random.default_rng(0))
    >>> model = ParetoNBD().fit(customers)
    >>> model.convergence_.converged, bool(abs(model.r_ - 0.55) < 3 * model.standard_errors_["r"])
    (True, True)
    >>> import pandas as pd
    >>> regular_and_silent = pd.DataFrame({"x": [10, 10], "t_x": [50.0, 10.0], "T": [52.0, 52.0]})
    >>> truth.p_alive(regular_and_silent).round(3).tolist()
    [0.977, 0.0]
    >>> truth.expected_purchases(regular_and_silent, horizon=26).round(2).tolist()
    [3.84, 0.0]
    """

    _names: ClassVar[tuple[str, ...]] = ("r", "alpha", "s", "beta")
    _with_unit: ClassVar[tuple[str, ...]] = ("alpha", "beta")

    r_: float
    alpha_: float
    s_: float
    beta_: float

    def _start(self, rows: Rows, weights: Floats) -> dict[str, float]:
        mean = float((weights * rows["x"]).sum() / weights.sum())
        return {"r": 0.7, "alpha": 0.5 / (mean + 0.1), "s": 0.7, "beta": 0.7}

    def _objective(self, rows: Rows, weights: Floats) -> Objective:
        levels, level = np.unique(rows["x"], return_inverse=True)
        counts = np.bincount(level, weights=weights)
        n = float(counts.sum())
        order = _alike(rows["x"], rows["T"] - rows["t_x"])
        columns = [values[order] for values in (weights, rows["x"], rows["t_x"], rows["T"])]
        chunks = [tuple(values[part] for values in columns) for part in _chunks(len(weights))]

        def evaluate(point: Floats) -> tuple[float, Floats]:
            r, alpha, s, beta = np.exp(point).tolist()
            value = float(counts @ (gammaln(r + levels) - gammaln(r)) + n * (r * np.log(alpha) + s * np.log(beta)))
            slope = np.array(
                [
                    counts @ (digamma(r + levels) - digamma(r)) + n * np.log(alpha),
                    n * r / alpha,
                    n * np.log(beta),
                    n * s / beta,
                ]
            )
            for chunk in chunks:
                part, slopes = _chunk_terms(chunk, r, alpha, s, beta)
                value += part
                slope += slopes
            return value, slope * np.array([r, alpha, s, beta])

        return evaluate

    def _alive(self, rows: Rows) -> Floats:
        x, last, until = rows["x"], rows["t_x"], rows["T"]
        curve = _Curve(self.r_ + x, self.s_, self.alpha_ + last, self.beta_ + last)
        survives, stops = _survives_and_stops(curve, until - last)
        return survives / (survives + stops)

    def _buys_if_alive(self, rows: Rows, horizon: float) -> Floats:
        # The story from T on: no purchase, alive at the end or stopped before.
        curve = _Curve(self.r_ + rows["x"], self.s_, self.alpha_ + rows["T"], self.beta_ + rows["T"])
        survives, stops = _survives_and_stops(curve, np.full(len(rows["T"]), horizon))
        return np.clip(1.0 - survives - stops, 0.0, 1.0)

    def _if_alive(self, rows: Rows, horizon: float) -> Floats:
        beta = self.beta_ + rows["T"]
        mean: Floats = (self.r_ + rows["x"]) / (self.alpha_ + rows["T"]) * _mean_life(self.s_, beta, horizon)
        return mean

    def _new(self, horizon: float) -> float:
        return float(self.r_ / self.alpha_ * _mean_life(self.s_, np.array([self.beta_]), horizon)[0])

    def _draw(self, observed: Floats, horizon: float, rng: np.random.Generator) -> tuple[Floats, Floats, Bools, Floats]:
        n = len(observed)
        rate = rng.gamma(self.r_, 1.0 / self.alpha_, n)
        with np.errstate(divide="ignore", over="ignore"):
            life = rng.standard_exponential(n) / rng.gamma(self.s_, 1.0 / self.beta_, n)
        active = np.minimum(life, observed)
        x = rng.poisson(rate * active).astype(np.float64)
        # The last of x moments that fall anywhere in the active time.
        t_x = np.where(x > 0, active * rng.random(n) ** (1.0 / np.maximum(x, 1.0)), 0.0)
        later = np.clip(np.minimum(life, observed + horizon) - observed, 0.0, None)
        return x, t_x, life > observed, rng.poisson(rate * later).astype(np.float64)


def _mean_life(s: float, beta: Floats, horizon: float) -> Floats:
    """The mean part of a horizon that a customer lives: of (1 - exp(-m h)) / m over m ~ Gamma(s, beta)."""
    log_ratio = np.log1p(horizon / beta)
    mean: Floats = beta * log_ratio * exprel((1.0 - s) * log_ratio)  # no pole at s = 1
    return mean


def _alike(k: Floats, span: Floats) -> Ints:
    """An order in which neighbours need about as many nodes."""
    return np.lexsort((span, k))


def _chunks(count: int) -> Iterator[slice]:
    return (slice(begin, begin + _CHUNK) for begin in range(0, count, _CHUNK))


def _survives_and_stops(curve: _Curve, span: Floats) -> tuple[Floats, Floats]:
    """The likelihood of silence over a span, alive at its end or stopped within it, relative to a span of 0."""
    survives = np.exp(-curve.k * np.log1p(span / curve.alpha) - curve.s * np.log1p(span / curve.beta))
    order = _alike(curve.k, span)
    stops = np.empty(len(span))
    for part in _chunks(len(span)):
        rows = order[part]
        stops[rows] = curve.s * _silence(curve.part(rows), span[rows]).plain
    return survives, stops


def _chunk_terms(chunk: tuple[Floats, ...], r: float, alpha: float, s: float, beta: float) -> tuple[float, Floats]:
    """Log-likelihood and its slopes by the four parameters of what depends on the times."""
    n, x, last, until = chunk
    curve = _Curve(r + x, s, alpha + last, beta + last)
    span = until - last
    log_alpha, log_beta = np.log1p(span / curve.alpha), np.log1p(span / curve.beta)
    alive = np.exp(-curve.k * log_alpha - s * log_beta)
    stop = _silence(curve, span)
    both = alive + s * stop.plain
    log_a, log_b = np.log(curve.alpha), np.log(curve.beta)
    value = (n * (np.log(both) - curve.k * log_a - s * log_b)).sum()
    each = n / both
    slopes = [
        -(each * (log_alpha * alive + s * stop.log_alpha)).sum() - (n * log_a).sum(),
        -(each * (curve.k * alive / (alpha + until) + s * stop.over_alpha)).sum(),
        (each * (stop.plain - log_beta * alive - s * stop.log_beta)).sum() - (n * log_b).sum(),
        -s * (each * (alive / (beta + until) + stop.over_beta)).sum(),
    ]
    return float(value), np.array(slopes)


def _silence(curve: _Curve, span: Floats) -> _Silence:
    """The five integrals, on as many nodes as the most demanding of the rows needs."""
    # Where the integrand is negligible, the way ends: nodes belong where something is.
    span = np.minimum(span, curve.alpha * np.expm1(np.minimum(_NEGLIGIBLE / curve.k, 600.0)))
    span = np.minimum(span, curve.beta * np.expm1(min(_NEGLIGIBLE / curve.s, 600.0)))
    by_alpha, by_beta = np.log1p(span / curve.alpha), np.log1p(span / curve.beta)
    falls = curve.k * by_alpha + curve.s * by_beta
    way, deepest = max(float(by_alpha.max()), float(by_beta.max())), float(falls.max())
    count = next((nodes for nodes, far, deep in _ENOUGH if way < far and deepest < deep), _MANY)
    # f(u) at both ends: the derivative of f is -f times what is integrated "over" alpha and beta.
    ends = 1.0 / curve.beta - np.exp(-falls) / (curve.beta + span)
    if curve.beta[0] <= curve.alpha[0]:
        fall = _Fall(curve.beta, curve.alpha, curve.s, curve.k, by_beta)
        total, log_beta, over_beta, log_alpha = _integrals(fall, count, other=False)
        over_beta *= curve.s + 1.0
        return _Silence(total, log_alpha, ends - over_beta, log_beta, over_beta)
    fall = _Fall(curve.alpha, curve.beta, curve.k, curve.s, by_alpha)
    total, log_alpha, over_alpha, log_beta = _integrals(fall, count, other=True)
    over_alpha *= curve.k
    return _Silence(total, log_alpha, over_alpha, log_beta, ends - over_alpha)


@functools.cache
def _rule(count: int) -> list[tuple[float, float]]:
    nodes, weights = roots_legendre(count)
    return list(zip(((nodes + 1.0) / 2.0).tolist(), (weights / 2.0).tolist(), strict=True))


def _integrals(fall: _Fall, count: int, *, other: bool) -> tuple[Floats, Floats, Floats, Floats]:
    """Gauss-Legendre in the logarithm of the smaller scale, in which both powers are smooth.

    The integrals of f; of f with the logarithm, and with the reciprocal, of the smaller scale; and with the logarithm
    of the larger. The 1 / (beta + u) of f is that of the smaller scale, or of the `other`.
    """
    small, large, power, power_large, way = fall
    share = small / large
    rest = 1.0 - share
    total, log_small, over_small, log_large = np.zeros((4, len(way)))
    for node, weight in _rule(count):
        ahead = node * way
        grown = np.exp(ahead)
        large_grown = share * grown + rest
        ahead_large = np.log(large_grown)
        f = np.exp(-power * ahead - power_large * ahead_large)
        f *= weight
        if other:
            f *= grown / large_grown
        total += f
        log_small += f * ahead
        over_small += f / grown
        log_large += f * ahead_large
    scale = way * share if other else way
    return total * scale, log_small * scale, over_small * scale / small, log_large * scale

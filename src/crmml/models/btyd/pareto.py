"""Pareto/NBD: customers who may stop at any moment."""

import functools
from typing import ClassVar, NamedTuple

import numpy as np
from scipy.special import digamma, exprel, gammaln, roots_legendre

from crmml.models._base import Bools, Floats
from crmml.models.btyd._fitting import Objective
from crmml.models.btyd._inputs import Rows
from crmml.models.btyd._transactions import TransactionModel

# Rows that fit into the cache together with what is computed from them.
_CHUNK = 8_192
_NEGLIGIBLE = 40.0  # exp(-40) of the integrand's largest value
# Nodes for an integrand that falls little over a short way, and for any other.
_FEW, _MANY = 14, 56
_GENTLE, _SHORT = 8.0, 2.5


class _Silence(NamedTuple):
    """Integrals of f(u) = ((alpha+u)/(alpha+t))^-k ((beta+u)/(beta+t))^-s / (beta+u) over u from t to T, by customer.

    What is integrated: f; f times ln((alpha+u)/(alpha+t)); f / (alpha+u); and the same two with beta.
    """

    plain: Floats
    log_alpha: Floats
    over_alpha: Floats
    log_beta: Floats
    over_beta: Floats


class _Curve(NamedTuple):
    """The parameters of f by customer: k = r + x, s, and the two scales at t."""

    k: Floats
    s: float
    alpha: Floats
    beta: Floats


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
        standard_errors_: Of each parameter, by name, from the observed information; NaN where it runs to a limit.
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
        parts = [slice(begin, begin + _CHUNK) for begin in range(0, len(weights), _CHUNK)]
        chunks = [(weights[part], rows["x"][part], rows["t_x"][part], rows["T"][part]) for part in parts]

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


def _survives_and_stops(curve: _Curve, span: Floats) -> tuple[Floats, Floats]:
    """The likelihood of silence over a span, alive at its end or stopped within it, relative to a span of 0."""
    survives = np.exp(-curve.k * np.log1p(span / curve.alpha) - curve.s * np.log1p(span / curve.beta))
    stops = np.empty(len(span))
    for begin in range(0, len(span), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        some = _Curve(curve.k[part], curve.s, curve.alpha[part], curve.beta[part])
        stops[part] = curve.s * _silence(some, span[part]).plain
    return survives, stops


def _chunk_terms(
    chunk: tuple[Floats, Floats, Floats, Floats], r: float, alpha: float, s: float, beta: float
) -> tuple[float, Floats]:
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
        -(each * curve.k * (alive / (alpha + until) + s * stop.over_alpha)).sum(),
        (each * (stop.plain - log_beta * alive - s * stop.log_beta)).sum() - (n * log_b).sum(),
        -s * (each * (alive / (beta + until) + (s + 1.0) * stop.over_beta)).sum(),
    ]
    return float(value), np.array(slopes)


def _silence(curve: _Curve, span: Floats) -> _Silence:
    """The five integrals, on few nodes where those suffice."""
    # Where the integrand is negligible, the way ends: nodes belong where something is.
    ends = [
        scale * np.expm1(np.minimum(_NEGLIGIBLE / power, 600.0))
        for scale, power in ((curve.alpha, curve.k), (curve.beta, np.full(len(span), curve.s)))
    ]
    span = np.minimum(span, np.minimum(*ends))
    falls = curve.k * np.log1p(span / curve.alpha) + curve.s * np.log1p(span / curve.beta)
    easy = (falls < _GENTLE) & (np.log1p(span / np.minimum(curve.alpha, curve.beta)) < _SHORT)
    if easy.all():
        return _integrals(curve, span, _FEW)
    result = np.empty((5, len(span)))
    for group, nodes in ((np.flatnonzero(easy), _FEW), (np.flatnonzero(~easy), _MANY)):
        part = _Curve(curve.k[group], curve.s, curve.alpha[group], curve.beta[group])
        result[:, group] = _integrals(part, span[group], nodes)
    return _Silence(*result)


@functools.cache
def _rule(count: int) -> list[tuple[float, float]]:
    nodes, weights = roots_legendre(count)
    return list(zip(((nodes + 1.0) / 2.0).tolist(), (weights / 2.0).tolist(), strict=True))


def _integrals(curve: _Curve, span: Floats, count: int) -> _Silence:
    """Gauss-Legendre in the logarithm of the smaller scale, in which both powers are smooth."""
    small, large = np.minimum(curve.alpha, curve.beta), np.maximum(curve.alpha, curve.beta)
    by_beta = curve.beta <= curve.alpha
    power_small, power_large = np.where(by_beta, curve.s, curve.k), np.where(by_beta, curve.k, curve.s)
    way, gap = np.log1p(span / small), large - small
    # Integrals of f, and of f with the logarithm or the reciprocal of either scale.
    total, log_s, over_s, log_l, over_l = np.zeros((5, len(span)))
    for node, weight in _rule(count):
        ahead = node * way
        at_small = small * np.exp(ahead)
        at_large = at_small + gap
        ahead_large = np.log(at_large / large)
        f = (weight * way) * np.exp(-power_small * ahead - power_large * ahead_large)
        f *= np.where(by_beta, 1.0, at_small / at_large)  # du / (beta + u) in the logarithm of the smaller scale
        total += f
        log_s += f * ahead
        over_s += f / at_small
        log_l += f * ahead_large
        over_l += f / at_large
    alpha = np.where(by_beta, log_l, log_s), np.where(by_beta, over_l, over_s)
    beta = np.where(by_beta, log_s, log_l), np.where(by_beta, over_s, over_l)
    return _Silence(total, *alpha, *beta)

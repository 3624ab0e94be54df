"""Means over beta distributions by quadrature, where the papers have hypergeometric functions.

A ratio or difference of Gauss's 2F1 overflows for customers with thousands of purchases, cancels where a
parameter is near 1, and needs another series in each region. The same expectation, written as the mean of a
smooth function of the dropout probability, is a sum of positive terms in every case.
"""

import functools
from collections.abc import Callable

import numpy as np
from scipy.special import betaln, log1p

from crmml.models._base import Floats

_REACH = 9.0  # enough for a shape parameter of 0.005, whose density reaches far
_NODES = 241
_CHUNK = 4_096


@functools.cache
def _grid() -> tuple[Floats, Floats]:
    """Nodes and weights of the double-exponential rule, shape (nodes, 1): the trapezoidal rule in v."""
    v, step = np.linspace(-_REACH, _REACH, _NODES, retstep=True)
    return np.sinh(v)[:, None], float(step) * np.cosh(v)[:, None]


def mean_over_beta(function: Callable[[Floats, slice], Floats], a: Floats, b: Floats) -> Floats:
    """The mean of `function(p)` for p ~ Beta(a, b), shape (rows,).

    The integral over the log-odds of p, which makes both ends harmless, stretched around the top of the density
    (H. Takahasi & M. Mori, Double exponential formulas for numerical integration, 1974). Relative error below 1e-9
    for a function that does not oscillate.

    Args:
        function: From p, shape (nodes, rows of the slice), and the slice, to values of the same shape.
        a, b: Shapes of the distributions, above 0, shape (rows,).

    >>> a, b = np.array([0.5, 2000.0]), np.array([3.0, 1.0])
    >>> np.allclose(mean_over_beta(lambda p, _: p, a, b), a / (a + b), rtol=1e-10)
    True
    """
    stretched, weights = _grid()
    means = np.empty(len(a))
    for begin in range(0, len(a), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        one, two = a[part], b[part]
        odds = np.log(one / two) + np.minimum(np.sqrt(1.0 / one + 1.0 / two), 2.0) * stretched
        tail = log1p(np.exp(-np.abs(odds)))
        log_p, log_q = np.minimum(odds, 0.0) - tail, -np.maximum(odds, 0.0) - tail
        density = np.exp(one * log_p + two * log_q - betaln(one, two))
        values = function(np.exp(log_p), part)
        # Numerator over denominator by the same rule: what the rule misses, it misses in both.
        heavy = weights * density
        means[part] = (heavy * values).sum(axis=0) / heavy.sum(axis=0)
    return means


def mean_periods(a: Floats, b: Floats, horizon: float) -> Floats:
    """The expected number of whole periods, of the next `horizon`, that a customer stays, shape (rows,).

    The customer leaves before each period with probability p ~ Beta(a, b): the mean of the sum of (1 - p)^k, k from
    1 to the horizon.

    >>> one = np.array([1.0])
    >>> bool(np.isclose(mean_periods(one, one, 2.0)[0], 1 / 2 + 1 / 3))  # means of 1 - p and (1 - p)^2
    True
    """

    def periods(p: Floats, _: slice) -> Floats:
        # (1 - p) (1 - (1 - p)^h) / p, and h where p is nothing
        inside = np.clip(p, 1e-300, 1.0 - 1e-16)
        values: Floats = (1.0 - p) * -np.expm1(horizon * np.log1p(-inside)) / inside
        return values

    return mean_over_beta(periods, a, b)

"""BG/NBD learned from customers who are in the table because they bought lately.

A table of the customers active within 180 days shows nobody who has been silent for longer: a plain fit takes those
who are left for everybody, and believes that hardly anyone ever stops. Here each customer counts with the probability
of what was seen, given that they were seen at all.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import digamma

from crmml.models._base import Floats
from crmml.models.btyd._fitting import Objective
from crmml.models.btyd._inputs import Rows
from crmml.models.btyd._special import mean_over_beta
from crmml.models.btyd.beta_geometric import BGNBD

# The probability is smooth in T: between so many values it is as good as straight.
_LEVELS = 32


class RecentBGNBD(BGNBD):
    """As `BGNBD`, for customers who were chosen by the time since their last purchase.

    The longest silence in the data is taken for the bound of the choice: where nobody was left out, so long a silence
    hardly ever happens, and the correction vanishes.

    >>> truth = BGNBD.from_parameters({"r": 0.8, "alpha": 40.0, "a": 0.8, "b": 2.5})
    >>> drawn = truth.simulate(np.random.default_rng(0).uniform(0, 700, 8_000), np.random.default_rng(1))
    >>> recent = drawn[drawn["T"] - drawn["t_x"] <= 180]
    >>> model = RecentBGNBD().fit(recent)
    >>> bool(abs(model.a_ - 0.8) < 3 * model.standard_errors_["a"])  # BGNBD() runs off to an a without bound
    True
    """

    def _objective(self, rows: Rows, weights: Floats) -> Objective:
        plain = super()._objective(rows, weights)
        within = float((rows["T"] - rows["t_x"]).max())
        longer = rows["T"] > within  # the others were seen for sure: their first purchase was lately
        if within <= 0.0 or not longer.any():
            return plain
        past, counts = _levels(rows["T"][longer] - within, weights[longer])

        def objective(point: Floats) -> tuple[float, Floats]:
            value, gradient = plain(point)
            seen = seen_within(point, past, within)
            return value - float(counts @ np.log(seen.p)), gradient - (seen.slopes / seen.p) @ counts

        return objective


class Seen(NamedTuple):
    """The probability of a purchase lately, shape (rows,), and its slopes by the log parameters, (4, rows)."""

    p: Floats
    slopes: Floats


def seen_within(point: Floats, past: Floats, within: float) -> Seen:
    """How likely a customer of age `past + within` has bought within the last `within`.

    Who buys at rate l and stops after a purchase with probability p is still there after `past` with probability
    exp(-l p past), and then buys within the time with 1 - exp(-l within); the mean over l ~ Gamma(r, alpha) is
    u^-r - v^-r with u = 1 + p past / alpha and v = u + within / alpha, and that over p ~ Beta(a, b) a sum.

    Args:
        point: Logarithms of r, alpha, a, b.
        past: Ages less `within`, shape (rows,).
        within: In the same unit.
    """
    r, alpha, a, b = np.exp(point).tolist()
    shapes = np.full(len(past), a), np.full(len(past), b)
    mean_log = np.array([digamma(a), digamma(b)]) - digamma(a + b)

    def terms(p: Floats, part: slice) -> tuple[Floats, Floats, Floats, Floats]:
        u = 1.0 + p * past[part] / alpha
        v = u + within / alpha
        return u, v, u**-r, v**-r

    def chance(p: Floats, part: slice) -> Floats:
        _, _, there, silent = terms(p, part)
        left: Floats = there - silent
        return left

    def by_r(p: Floats, part: slice) -> Floats:
        u, v, there, silent = terms(p, part)
        slope: Floats = r * (np.log(v) * silent - np.log(u) * there)
        return slope

    def by_alpha(p: Floats, part: slice) -> Floats:
        u, v, there, silent = terms(p, part)
        slope: Floats = r * ((1.0 - 1.0 / u) * there - (1.0 - 1.0 / v) * silent)
        return slope

    def by_a(p: Floats, part: slice) -> Floats:
        slope: Floats = a * (np.log(np.maximum(p, 1e-300)) - mean_log[0]) * chance(p, part)
        return slope

    def by_b(p: Floats, part: slice) -> Floats:
        slope: Floats = b * (np.log1p(-np.minimum(p, 1.0 - 1e-16)) - mean_log[1]) * chance(p, part)
        return slope

    slopes = [mean_over_beta(function, *shapes) for function in (by_r, by_alpha, by_a, by_b)]
    # Above 0 even where nobody can be expected: the logarithm is taken of it.
    return Seen(np.maximum(mean_over_beta(chance, *shapes), 1e-300), np.array(slopes))


def _levels(past: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Few values, and weights, with about the same weighted mean of any smooth function."""
    grid = np.linspace(0.0, float(past.max()), _LEVELS)
    place = np.minimum((past / grid[1]).astype(np.int64), _LEVELS - 2)
    share = past / grid[1] - place
    counts = np.bincount(place, weights=weights * (1.0 - share), minlength=_LEVELS)
    counts = counts + np.bincount(place + 1, weights=weights * share, minlength=_LEVELS)
    return grid, counts.astype(np.float64)

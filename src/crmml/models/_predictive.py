"""The distribution of what customers will spend, and how it is made to hold: chances of any amount, intervals.

The family is that of BG/NBD with Gamma-Gamma, with its first moments: nothing with the probability 1 - p_buys, else a
gamma around the expected spend of who buys, the narrower the more orders that spend is made of. Where customers whom
the model had not seen really came to lie in their own distributions is what every chance is corrected by, apart by
bins of the forecast (V. Chernozhukov, K. Wüthrich and Y. Zhu, Distributional conformal prediction, PNAS 118, 2021).
"""

from typing import NamedTuple

import numpy as np
from scipy.special import gammaincc, gammainccinv, gammaln

from crmml.models._base import Floats, Ints, State
from crmml.models._intervals import bin_edges, bin_of, thinned
from crmml.models._state import StateReader

# Squared coefficients of variation of a buyer's spend: of customers, and of a single order.
_BETWEEN = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
_PER_ORDER = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
_RAREST = 1e-12


class Spread(NamedTuple):
    """The squared coefficient of variation of a buyer's spend: `between` + `per_order` / orders."""

    between: float
    per_order: float


class Outlook(NamedTuple):
    """Expected spend, the probability of any, and expected orders of each customer, shape (rows,) each."""

    mean: Floats
    p_buys: Floats
    orders: Floats

    def buyers(self) -> tuple[Floats, Floats]:
        """The probability of spending, and the mean of who does; never 0."""
        p = np.clip(self.p_buys, _RAREST, 1.0)
        return p, np.maximum(self.mean, 1e-300) / p


def fit_spread(outlook: Outlook, actual: Floats) -> Spread:
    """The spread that makes the amounts above 0 most likely, of a small grid."""
    spent = actual > 0
    p, mean = (values[spent] for values in outlook.buyers())
    ratio = actual[spent] / mean
    per_order = p / np.maximum(outlook.orders[spent], p)

    def log_likelihood(spread: Spread) -> float:
        shape = 1.0 / (spread.between + spread.per_order * per_order)
        values = shape * np.log(shape) - gammaln(shape) + (shape - 1.0) * np.log(ratio) - shape * ratio
        return float(values.sum())

    return max((Spread(a, b) for a in _BETWEEN for b in _PER_ORDER), key=log_likelihood)


def survival(outlook: Outlook, spread: Spread, amount: Floats | float) -> Floats:
    """The probability of spending more than an amount of 0 or more, shape (rows,)."""
    p, mean = outlook.buyers()
    shape = _shape(outlook, spread)
    left: Floats = p * gammaincc(shape, shape * np.maximum(amount, 0.0) / mean)
    return left


def amount_at(outlook: Outlook, spread: Spread, left: Floats) -> Floats:
    """The amount that is exceeded with the probability `left`; infinite where that is 0."""
    p, mean = outlook.buyers()
    shape = _shape(outlook, spread)
    amount: Floats = gammainccinv(shape, np.clip(left / p, 0.0, 1.0)) * mean / shape
    return np.where(left >= p, 0.0, np.where(left <= 0.0, np.inf, amount))


def _shape(outlook: Outlook, spread: Spread) -> Floats:
    p = np.clip(outlook.p_buys, _RAREST, 1.0)
    return 1.0 / (spread.between + spread.per_order * p / np.maximum(outlook.orders, p))


class Calibration:
    """Where unseen customers came to lie in their own distributions, by bins of the forecast.

    Args:
        spread: The spread of the distributions.
        edges: Forecasts between the bins, rising.
        places: In each bin the sorted probabilities of spending more than was spent, end to end.
        counts: How many of each bin.
    """

    def __init__(self, spread: Spread, edges: Floats, places: Floats, counts: Ints) -> None:
        self.spread = spread
        self.edges = edges
        self.places = places
        self.counts = counts

    @classmethod
    def learn(cls, forecast: Floats, outlook: Outlook, actual: Floats, seed: int) -> "Calibration":
        """From what was expected of unseen customers, and what they spent; `forecast` decides the bin."""
        spread = fit_spread(outlook, actual) if (actual > 0).any() else Spread(1.0, 1.0)
        places = survival(outlook, spread, actual)
        # Who spends nothing lies anywhere above the probability of spending: evenly, if the distribution is right.
        nothing = actual <= 0
        p, _ = outlook.buyers()
        draws = np.random.default_rng(seed).random(int(nothing.sum()))
        places[nothing] = p[nothing] + (1.0 - p[nothing]) * draws
        edges = bin_edges(forecast)
        bins = bin_of(forecast, edges)
        kept = [thinned(np.sort(places[bins == number])) for number in range(len(edges) + 1)]
        return cls(spread, edges, np.concatenate(kept), np.array([len(part) for part in kept]))

    def interval(self, forecast: Floats, outlook: Outlook, coverage: float) -> tuple[Floats, Floats]:
        """Lowest and highest amount with the probability `coverage` between them, shape (rows,) each.

        Half of what may be missed is left on each side; where nothing lies below the interval, all of it above. Of n
        places in a bin and a new one, each is the k-th with the same probability: no more of it is assumed. Where n
        is too small for the coverage, the limit is 0 or infinite. The expected spend is always inside.
        """
        missed = 1.0 - coverage
        limits = np.array([_ranks(part, missed) for part in self._parts()])[bin_of(forecast, self.edges)]
        low = amount_at(outlook, self.spread, limits[:, 0])
        above = np.where(low > 0, limits[:, 1], limits[:, 2])
        high = amount_at(outlook, self.spread, above)
        return np.minimum(low, outlook.mean), np.maximum(high, outlook.mean)

    def exceeds(self, forecast: Floats, outlook: Outlook, amount: float) -> Floats:
        """The probability of spending more than an amount, shape (rows,)."""
        left = survival(outlook, self.spread, amount)
        bins, chance = bin_of(forecast, self.edges), np.empty(len(left))
        for number, part in enumerate(self._parts()):
            rows = bins == number
            chance[rows] = (np.searchsorted(part, left[rows], side="right") + left[rows]) / (len(part) + 1.0)
        return chance

    def state(self) -> State:
        """The calibration as arrays."""
        return {
            "calibration_spread": np.array(self.spread),
            "calibration_edges": self.edges,
            "calibration_places": self.places,
            "calibration_counts": self.counts,
        }

    @classmethod
    def from_state(cls, reader: StateReader) -> "Calibration":
        """The calibration from the keys that `state` gives."""
        spread = reader.finite("calibration_spread", (2,))
        edges = reader.finite("calibration_edges", (None,))
        places = reader.finite("calibration_places", (None,))
        counts = reader.array("calibration_counts", "i", (len(edges) + 1,)).astype(np.int64)
        if (spread < 0).any() or spread[1] == 0.0:
            reader.refuse("calibration_spread", f"must be 0 or more and above 0, not {spread.tolist()}")
        if (np.diff(edges) <= 0).any():
            reader.refuse("calibration_edges", "must rise")
        if (counts < 0).any() or counts.sum() != len(places):
            reader.refuse("calibration_counts", f"must add up to the {len(places)} places")
        parts = np.split(places, np.cumsum(counts)[:-1])
        if (places > 1).any() or any((np.diff(part, prepend=0.0) < 0).any() for part in parts):
            reader.refuse("calibration_places", "must be between 0 and 1 and rise within each bin")
        return cls(Spread(*spread.tolist()), edges, places, counts)

    def _parts(self) -> list[Floats]:
        return np.split(self.places, np.cumsum(self.counts)[:-1])


def _ranks(places: Floats, missed: float) -> tuple[float, float, float]:
    """The place below which the amount is too low, and those above it: for half of what may be missed, for all."""
    n = len(places)
    # The guard against 0.1 * 20 = 2.0000000000000004: a rank is a whole number.
    half, whole = (int(np.floor((n + 1) * share + 1e-9)) for share in (missed / 2, missed))
    return (
        float(places[n - half]) if half >= 1 else 1.0,
        float(places[half - 1]) if half >= 1 else 0.0,
        float(places[whole - 1]) if whole >= 1 else 0.0,
    )

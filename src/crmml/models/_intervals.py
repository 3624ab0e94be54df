"""Conformal intervals for spend: quantiles of actual over predicted, by the height of the prediction.

The ratios come from rows that the predicting model had not seen. They are kept apart by bins of the
prediction (a Mondrian taxonomy: V. Vovk, A. Gammerman and G. Shafer, Algorithmic learning in a random
world, 2005, section 4.5), so that the bin of the highest predictions is covered as well as the others:
a single pool covers on average and misses just the customers that matter.
"""

from dataclasses import dataclass

import numpy as np

from crmml.models._base import Floats, Ints

MOST_BINS = 10  # the last bin is then the top decile
LEAST_ROWS = 50  # per bin
# So many order statistics per bin say all that matters and keep the model small, whatever the data.
MOST_RATIOS = 1_999


@dataclass(frozen=True)
class RatioIntervals:
    """What was learned: `edges` between the bins; their sorted `ratios` end to end, `counts` of each."""

    edges: Floats
    ratios: Floats
    counts: Ints

    @staticmethod
    def learn(prediction: Floats, actual: Floats) -> "RatioIntervals":
        """From out-of-sample predictions (0 or more) and what came true (0 or more), shape (rows,) each."""
        edges = bin_edges(prediction)
        ratio = actual / _unit(prediction)
        bins = bin_of(prediction, edges)
        kept = [thinned(np.sort(ratio[bins == number])) for number in range(len(edges) + 1)]
        return RatioIntervals(edges, np.concatenate(kept), np.array([len(part) for part in kept]))

    def interval(self, prediction: Floats, coverage: float) -> tuple[Floats, Floats]:
        """Lowest and highest value, shape (rows,) each, around each prediction.

        With n ratios in a bin, the k-th smallest is not exceeded by a new one with probability k/(n + 1).
        Half of what may be missed is left on each side, unless the lower limit is 0: nothing lies below
        that, and all of it is left above. Where n is too small for the coverage, the limit is 0 or
        infinite. The prediction itself is always inside.
        """
        low = np.zeros(len(self.counts))
        high = np.full(len(self.counts), np.inf)
        for number, part in enumerate(np.split(self.ratios, np.cumsum(self.counts)[:-1])):
            low[number], high[number] = _limits(part, 1.0 - coverage)
        bins = bin_of(prediction, self.edges)
        unit = _unit(prediction)
        return np.minimum(low[bins] * unit, prediction), np.maximum(high[bins] * unit, prediction)

    def exceeds(self, prediction: Floats, amount: float) -> Floats:
        """The probability of more than an amount above 0, shape (rows,): the share of the ratios that are greater."""
        wanted, bins = amount / _unit(prediction), bin_of(prediction, self.edges)
        chance = np.empty(len(prediction))
        for number, part in enumerate(np.split(self.ratios, np.cumsum(self.counts)[:-1])):
            rows = bins == number
            # Half a row more or less: never certain.
            chance[rows] = (len(part) - np.searchsorted(part, wanted[rows], side="right") + 0.5) / (len(part) + 1.0)
        return chance


def _limits(ratios: Floats, missed: float) -> tuple[float, float]:
    n = len(ratios)
    # The guard against 0.1 * 20 = 2.0000000000000004: a rank is a whole number.
    below = int(np.floor((n + 1) * missed / 2 + 1e-9))
    low = float(ratios[below - 1]) if below >= 1 else 0.0
    above = missed if low == 0.0 else missed / 2
    rank = int(np.ceil((n + 1) * (1.0 - above) - 1e-9))
    return low, float(ratios[rank - 1]) if rank <= n else np.inf


def bin_edges(prediction: Floats) -> Floats:
    """Predictions between the bins, rising, shape (bins - 1,): as many bins of equal size as the rows allow."""
    n_bins = max(1, min(MOST_BINS, len(prediction) // LEAST_ROWS))
    return np.unique(np.quantile(prediction, np.arange(1, n_bins) / n_bins)) if n_bins > 1 else np.empty(0)


def bin_of(prediction: Floats, edges: Floats) -> Ints:
    """The bin of each prediction, shape (rows,)."""
    return np.searchsorted(edges, prediction, side="right").astype(np.int64)


def _unit(prediction: Floats) -> Floats:
    """What a ratio is taken of: the prediction; 1 where that is 0."""
    return np.where(prediction > 0.0, prediction, 1.0)


def thinned(ordered: Floats) -> Floats:
    """At most `MOST_RATIOS` order statistics, at evenly spaced ranks of n + 1, rounded up: never narrower."""
    n = len(ordered)
    if n <= MOST_RATIOS:
        return ordered
    ranks = np.ceil(np.arange(1, MOST_RATIOS + 1) * (n + 1) / (MOST_RATIOS + 1)).astype(np.int64)
    thinned: Floats = ordered[np.minimum(ranks, n) - 1]
    return thinned

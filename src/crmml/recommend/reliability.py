"""Do probabilities hold? Predicted beside actual purchases, with the error that chance alone would show."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmml.metrics.classification import calibration_error, calibration_table

Floats = NDArray[np.float64]

DRAWS = 200


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Reliability:
    """How well probabilities of purchase agree with the purchases of customers that they were not learned from.

    Attributes:
        table: ten bins of equal size: `customers` (here: pairs of customer and item), `mean_predicted`,
            `mean_actual`, `gap`; see `metrics.calibration_table`.
        error: the expected calibration error, the mean distance of predicted and actual over these bins.
        error_lo, error_hi: 90 % interval over redraws of the customers. Never 0, since it is a mean of distances.
        by_chance: the error that exact probabilities stay below in 95 of 100 cases, with the same customers.
        expected, bought: the sum of the probabilities, and the number of purchases among the pairs.
        pairs, customers: how many of each.

    >>> p = np.tile([0.5, 0.1], 100)
    >>> bought = np.tile([True, False, False, False], 50)
    >>> found = measure(p, bought, np.repeat(np.arange(100), 2))
    >>> found.expected, found.bought, round(found.error, 3)
    (60.0, 50, 0.05)
    """

    table: pd.DataFrame
    error: float
    error_lo: float
    error_hi: float
    by_chance: float
    expected: float
    bought: int
    pairs: int
    customers: int

    def __repr__(self) -> str:
        return f"Reliability(error={self.error:.4f}, by_chance={self.by_chance:.4f}, pairs={self.pairs})"

    def __str__(self) -> str:
        judged = "no more than chance explains" if self.error <= self.by_chance else "more than chance explains"
        head = (
            f"{self.pairs:,} pairs of {self.customers:,} customers: {self.expected:,.1f} purchases expected, "
            f"{self.bought:,} made\ncalibration error {self.error:.4f} (90 % interval {self.error_lo:.4f} to "
            f"{self.error_hi:.4f}), {judged} ({self.by_chance:.4f})"
        )
        rows = self.table.rename(columns={"customers": "pairs"})
        return f"{head}\n{rows.round(4).to_string()}"


def measure(p: Floats, bought: NDArray[np.bool_], customer: NDArray[np.int64], *, random_state: int = 0) -> Reliability:
    """The reliability of these probabilities.

    The interval redraws customers, whose pairs belong together: who comes at all buys several things. For the same
    reason the error by chance turns all differences of a customer round together, at random (a wild bootstrap).

    p, bought, customer: shape (pairs,); customers are numbered from 0.
    Source: Naeini, Cooper and Hauskrecht (2015) for the error; Broecker and Smith (2007), Increasing the reliability of
    reliability diagrams, for asking its size by chance; Cameron, Gelbach and Miller (2008), Bootstrap-based
    improvements for inference with clustered errors, for the draw.
    """
    random = np.random.default_rng(random_state)
    labels = bought.astype(np.float64)
    # The bins stay those of all pairs: only how much each customer counts is drawn.
    order = np.argsort(p, kind="stable")
    table = calibration_table(labels, p)
    bins = np.empty(len(p), dtype=np.int64)
    bins[order] = np.repeat(np.arange(len(table)), table["customers"].to_numpy())
    count = int(customer.max()) + 1
    errors = [
        _error(p, labels, bins, np.bincount(random.integers(0, count, count), minlength=count)[customer])
        for _ in range(DRAWS)
    ]
    # Were the probabilities exact, a customer's differences from them would be as likely the other way round.
    signs = random.choice([-1.0, 1.0], size=(DRAWS, count))
    chance = [np.abs(np.bincount(bins, weights=sign[customer] * (labels - p))).sum() / len(p) for sign in signs]
    low, high = np.quantile(errors, [0.05, 0.95])
    return Reliability(
        table=table,
        error=calibration_error(labels, p),
        error_lo=float(low),
        error_hi=float(high),
        by_chance=float(np.quantile(chance, 0.95)),
        expected=float(p.sum()),
        bought=int(bought.sum()),
        pairs=len(p),
        customers=len(np.unique(customer)),
    )


def _error(p: Floats, labels: Floats, bins: NDArray[np.int64], weight: NDArray[Any]) -> float:
    """The mean distance of predicted and actual over these bins, rows counted as often as `weight` says."""
    gap = np.bincount(bins, weights=weight * (labels - p))
    return float(np.abs(gap).sum() / weight.sum())

"""`EarlyWarning`: what dropped for whom, against their own past, and how far such a drop can be believed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmml.report.comparison import REPLICATES, WeightedGini, interval, means_over_cutoffs
from crmml.report.measures import Floats
from crmml.report.text import day

TOP = 0.1


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class EarlyWarning:
    """What `early_warning` found.

    Attributes:
        table: One row per customer and indicator that dropped: `customer_id`, `as_of`, `indicator`, `before` (its
            value in `[before_from, now_from)`), `now` (in `[now_from, as_of)`), `drop` (the share that is gone, 0 to
            1), `before_from`, `now_from`. The largest drop of a customer comes first.
        indicators: One row per indicator, the best first: `customers` (active ones who had anything to lose),
            `dropped` (of these, the share in `table`), and on the earlier cutoffs `auc` and `lift` with their 95 %
            intervals `auc_lo`, `auc_hi`, `lift_lo`, `lift_hi`; NaN where none could be measured.
        active: Number of active customers.
        cutoffs: The earlier cutoffs on which the indicators were measured.
        target: As the code that makes it.

    >>> import crmml as cm
    >>> log = cm.simulate_log(300, seed=1).log
    >>> churn = cm.Churn("60d", event_type="purchase", active_within="180d")
    >>> found = cm.early_warning(log, churn, "2024-06-01", window="60d")
    >>> list(found.table.columns)
    ['customer_id', 'as_of', 'indicator', 'before', 'now', 'drop', 'before_from', 'now_from']
    """

    table: pd.DataFrame
    indicators: pd.DataFrame
    active: int
    as_of: pd.Timestamp
    before_from: pd.Timestamp
    now_from: pd.Timestamp
    cutoffs: tuple[pd.Timestamp, ...]
    target: str

    def __str__(self) -> str:
        warned = self.table["customer_id"].nunique()
        n = len(self.cutoffs)
        where = f"{n} earlier cutoff{'' if n == 1 else 's'}, {day(self.cutoffs[0])}" if n else ""
        lines = [
            f"Early warning for {self.target}",
            f"  compares  {day(self.now_from)} to {day(self.as_of)} with {day(self.before_from)} to "
            f"{day(self.now_from)}",
            f"  active    {self.active:,} customers, {warned:,} with a warning",
            f"  measured  on {where}{f' to {day(self.cutoffs[-1])}' if n > 1 else ''}"
            if n
            else "  measured  on no earlier cutoff: the log is too short",
            "",
            "                 had any  dropped      AUC alone (95 %)     lift at 10 % (95 %)",
        ]
        for name, row in self.indicators.iterrows():
            auc, lift = (_with_interval(row, measure) for measure in ("auc", "lift"))
            lines.append(f"  {name!s:13s}{row['customers']:9,.0f}{row['dropped']:8.1%} {auc:>21s} {lift:>23s}")
        return "\n".join(lines)

    __repr__ = __str__


def _with_interval(row: "pd.Series[float]", measure: str) -> str:
    if np.isnan(row[measure]):
        return "-"
    return f"{row[measure]:.3f} ({row[f'{measure}_lo']:.3f} to {row[f'{measure}_hi']:.3f})"


def alone(drops: pd.DataFrame) -> dict[str, float]:
    """AUC and lift of one indicator, mean over the cutoffs, with 95 % intervals over redrawn customers.

    Whole customers are drawn, so that their rows at several cutoffs stay together. A cutoff where all labels are
    equal says nothing; NaN where no cutoff says anything.

    drops: the rows of earlier cutoffs: `customer_id`, `as_of`, `drop`, and `y`, 1 for who churned.

    >>> import pandas as pd
    >>> ids, at = [1, 2, 3, 4], [0, 0, 0, 0]
    >>> drops = pd.DataFrame({"customer_id": ids, "as_of": at, "drop": [0.1, 0.9, 0.5, 0.4], "y": [0.0, 1.0, 0.0, 1.0]})
    >>> alone(drops)["auc"]
    0.75
    """
    codes, customers = pd.factorize(drops["customer_id"])
    y, drop = drops["y"].to_numpy(np.float64), drops["drop"].to_numpy(np.float64)
    meters: dict[str, list[WeightedGini | WeightedLift]] = {"auc": [], "lift": []}
    for rows in drops.groupby("as_of").indices.values():
        if 0.0 < y[rows].mean() < 1.0:
            meters["auc"].append(WeightedGini(y[rows], drop[rows], codes[rows], auc=True))
            meters["lift"].append(WeightedLift(y[rows], drop[rows], codes[rows]))
    if not meters["auc"]:
        return {f"{name}{end}": float("nan") for name in meters for end in ("", "_lo", "_hi")}
    n, generator = len(customers), np.random.default_rng(0)
    drawn = [np.bincount(generator.integers(n, size=n), minlength=n) for _ in range(REPLICATES)]
    found: dict[str, float] = {}
    for name, of_cutoffs in meters.items():
        value = float(np.mean([meter.value(np.ones(n)) for meter in of_cutoffs]))
        draws = np.array([[meter.value(times.astype(np.float64)) for meter in of_cutoffs] for times in drawn])
        low, high = interval(means_over_cutoffs(draws))
        found |= {name: value, f"{name}_lo": low, f"{name}_hi": high}
    return found


class WeightedLift:
    """Lift of the highest-scored tenth, for weights of customers; rows with equal scores count in proportion.

    >>> y, score = np.array([1.0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), np.arange(10.0)[::-1]
    >>> WeightedLift(y, score, np.arange(10)).value(np.ones(10))
    10.0
    """

    def __init__(self, y: Floats, score: Floats, customers: NDArray[np.intp]) -> None:
        _, groups = np.unique(-score, return_inverse=True)
        self._y, self._groups, self._customers = y, groups, customers

    def value(self, weights: Floats) -> float:
        """The share of positives in the top tenth over that of all; NaN where nobody is positive."""
        mine = weights[self._customers]
        rows = np.bincount(self._groups, weights=mine)
        positives = np.bincount(self._groups, weights=mine * self._y)
        total, ones = rows.sum(), positives.sum()
        if ones == 0.0:
            return float("nan")
        room = np.clip(TOP * total - (np.cumsum(rows) - rows), 0.0, rows)  # of each group, what fits into the tenth
        inside = (positives * np.divide(room, rows, out=np.zeros_like(rows), where=rows > 0)).sum()
        return float(inside / (TOP * total) / (ones / total))

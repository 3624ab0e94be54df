"""Which metrics a backtest reports for which task, how each is called, and which direction is better."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crmml.errors import ConfigError
from crmml.metrics import (
    auc,
    brier,
    calibration_error,
    lift,
    mae,
    normalised_gini,
    pr_auc,
    spearman,
    total_error,
)

Floats = NDArray[np.float64]

# Customers are not this predictable: above it, a feature most likely knows the label.
TOO_GOOD = 0.98


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One metric as a report shows it.

    `name` is its column, `label` its heading; `better` says which values are good ("zero": near to it);
    `of` is the function of (y, prediction), where the prediction is the `score` or the `probability`. Metrics
    of recommended lists have none: they come per customer, and the value of a cutoff is their mean.

    >>> from crmml.report.measures import measures_of
    >>> measures_of("binary")[0].name
    'auc'
    """

    name: str
    label: str
    better: Literal["high", "low", "zero"]
    style: str = ".3f"
    on: Literal["score", "probability"] = "score"
    of: Callable[[ArrayLike, ArrayLike], float] | None = None

    def cost(self, value: float) -> float:
        """The value turned so that less is better.

        >>> from crmml.report.measures import measures_of
        >>> measures_of("value")[3].cost(-0.25)  # an error of the total: its sign is no merit
        0.25
        """
        return {"high": -value, "low": value, "zero": abs(value)}[self.better]

    def difference(self, value: float, other: float) -> float:
        """`value - other`; for errors around zero, the difference of their sizes."""
        return abs(value) - abs(other) if self.better == "zero" else value - other

    def is_better(self, value: float, other: float) -> bool:
        """Whether `value` beats `other`; equal values do not."""
        return self.cost(value) < self.cost(other)

    def text(self, value: float, *, signed: bool = False, like: float | None = None) -> str:
        """The value as people read it; amounts with the decimals that `like` would have.

        >>> from crmml.report.measures import measures_of
        >>> auc, *_, lift = measures_of("binary")
        >>> auc.text(0.78251), auc.text(0.0312, signed=True), lift.text(1.7), auc.text(float("nan"))
        ('0.783', '+0.031', '1.70', '-')
        """
        if np.isnan(value):
            return "-"
        sign = "+" if signed or (self.better == "zero") else ""
        if self.style == "%":
            return f"{100 * value:{sign}.1f} %"
        if self.style == "money":
            size = abs(value if like is None else like)
            digits = 2 if size < 100 else (1 if size < 1000 else 0)
            return f"{value:{sign},.{digits}f}"
        return f"{value:{sign}{self.style}}"


def _lift(y: ArrayLike, score: ArrayLike) -> float:
    return lift(y, score, at=0.1)


# The first measure of a task is the one that decides: which rule is the best, and the verdict.
_BINARY = (
    Measure(name="auc", label="AUC", better="high", of=auc),
    Measure(name="pr_auc", label="PR-AUC", better="high", of=pr_auc),
    Measure(name="brier", label="Brier", better="low", on="probability", of=brier),
    Measure(name="calibration_error", label="calibr. error", better="low", on="probability", of=calibration_error),
    Measure(name="lift_at_10_percent", label="lift at 10 %", better="high", style=".2f", of=_lift),
)
_VALUE = (
    Measure(name="normalised_gini", label="norm. Gini", better="high", of=normalised_gini),
    Measure(name="spearman", label="Spearman", better="high", of=spearman),
    Measure(name="mae", label="MAE", better="low", style="money", of=mae),
    Measure(name="total_error", label="total error", better="zero", style="%", of=total_error),
)


def measures_of(task: str, k: int = 10) -> tuple[Measure, ...]:
    """The measures of a task: "binary", "value" or "items" (lists of length `k`).

    Raises:
        ConfigError: the task is unknown.

    >>> [measure.name for measure in measures_of("items", k=5)]
    ['ndcg_at_5', 'recall_at_5', 'hit_rate_at_5']
    """
    if task == "binary":
        return _BINARY
    if task == "value":
        return _VALUE
    if task == "items":
        return (
            Measure(name=f"ndcg_at_{k}", label=f"NDCG@{k}", better="high"),
            Measure(name=f"recall_at_{k}", label=f"recall@{k}", better="high"),
            Measure(name=f"hit_rate_at_{k}", label=f"hit rate@{k}", better="high"),
        )
    raise ConfigError(f"measures_of: no task {task!r}. The tasks are 'binary', 'value' and 'items'.")


def measured(measures: tuple[Measure, ...], rows: pd.DataFrame) -> dict[str, float]:
    """The value of every measure on the `rows` of one contender at one cutoff.

    rows: columns `y`, `score`, `probability` (NaN where there is none); for lists, one column per measure.

    Raises:
        DataError: the rows cannot be measured, such as labels of one class.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"y": [0, 1], "score": [1.0, 2.0], "probability": [0.5, 1.0]})
    >>> measured(measures_of("binary")[:3], rows)
    {'auc': 1.0, 'pr_auc': 1.0, 'brier': 0.125}
    """
    return {
        measure.name: float(rows[measure.name].mean())
        if measure.of is None
        else measure.of(rows["y"].to_numpy(), rows[measure.on].to_numpy())
        for measure in measures
    }


def holdout_table(
    rows: pd.DataFrame, measures: tuple[Measure, ...], training: tuple[pd.Timestamp, ...]
) -> pd.DataFrame:
    """The rows of one hold-out cutoff as one line per contender: the piece that a report's table is made of.

    rows: `as_of` (one value), `contender`, `kind`, `customer_id`, `y` and what `measured` needs.
    training: the cutoffs that the model was trained on.

    Raises:
        DataError: the rows cannot be measured, such as labels of one class.

    >>> import pandas as pd
    >>> at = pd.Timestamp("2024-03-01", tz="UTC")
    >>> rows = pd.DataFrame({"as_of": at, "contender": "model", "kind": "model", "customer_id": [1, 2],
    ...                      "y": [0, 1], "score": [0.1, 0.9], "probability": [0.1, 0.9]})
    >>> table = holdout_table(rows, measures_of("binary")[:1], (pd.Timestamp("2024-01-01", tz="UTC"),))
    >>> print(table.drop(columns=["as_of", "trained_until"]).to_string(index=False))
    contender  kind  customers  mean_y  trained_on  auc
        model model          2     0.5           1  1.0
    """
    lines = []
    for (contender, kind), mine in rows.groupby(["contender", "kind"], sort=False):
        lines.append(
            {
                "as_of": mine["as_of"].iloc[0],
                "contender": contender,
                "kind": kind,
                "customers": len(mine),
                "mean_y": float(mine["y"].mean()),
                "trained_on": len(training),
                "trained_until": max(training, default=pd.NaT),
                **measured(measures, mine),
            }
        )
    return pd.DataFrame(lines)

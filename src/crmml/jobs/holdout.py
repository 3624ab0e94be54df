"""One measured hold-out cutoff, and what looks suspicious in it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from crmml.data.time import spoken
from crmml.metrics import auc, normalised_gini
from crmml.report.measures import TOO_GOOD, Floats, Measure


@dataclass(frozen=True, eq=False)
class Holdout:
    """What one hold-out adds to a report: lines of its table, the rows behind them, warnings."""

    table: pd.DataFrame
    scores: pd.DataFrame
    warnings: tuple[str, ...] = ()


def contender_rows(
    index: "pd.Index[Any]",
    contender: tuple[str, str],
    y: Floats,
    score: Floats,
    probability: Floats | None,
    **more: Any,
) -> pd.DataFrame:
    """The rows of one contender (name, kind) at one cutoff, in the columns of `BacktestReport.scores`."""
    return pd.DataFrame(
        {
            "as_of": index.get_level_values("as_of"),
            "contender": contender[0],
            "kind": contender[1],
            "customer_id": index.get_level_values("customer_id"),
            "y": y,
            "score": score,
            "probability": np.nan if probability is None else probability,
            **more,
        }
    )


def suspicions(table: pd.DataFrame, measure: Measure, X: pd.DataFrame, y: pd.Series) -> tuple[str, ...]:
    """A warning where the model is too good to be true, with the features that alone nearly are, too.

    table: the lines of one hold-out; X, y: the features and labels of that hold-out.
    """
    line = table[table["kind"] == "model"].iloc[0]
    value = float(line[measure.name])
    if not value >= TOO_GOOD:
        return ()
    alone = {name: _alone(X[name], y, measure) for name in X.columns}
    named = sorted((name for name in alone if alone[name] >= TOO_GOOD), key=lambda name: -alone[name])[:3]
    culprits = "".join(f" {name!r} alone has {measure.text(alone[name])}." for name in named)
    warning = (
        f"{measure.label} {measure.text(value)} as of {spoken(line['as_of'])} is too good to be true.{culprits} "
        "Check that no column of the log was filled in, or changed, after the event it belongs to."
    )
    return (warning,)


def _alone(values: pd.Series, y: pd.Series, measure: Measure) -> float:
    """The metric of a single feature as the score, in its better direction; 0 where it is no number."""
    if not pd.api.types.is_numeric_dtype(values):
        return 0.0
    known = values.astype(np.float64).fillna(values.min() - 1 if values.notna().any() else 0.0).to_numpy()
    metric = auc if measure.name == "auc" else normalised_gini
    return max(metric(y.to_numpy(), known), metric(y.to_numpy(), -known))

"""Customers of the public data sets as the papers summarise them, and laws that every model keeps."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]


def cdnow(folder: Path) -> pd.DataFrame:
    """The classic tenth of CDNOW as of 39 weeks, times in weeks: x, t_x, T, m_x."""
    table = pd.read_parquet(folder / "cdnow" / "summary_39_weeks.parquet")
    return table.rename(columns={"frequency": "x", "recency": "t_x", "t": "T", "monetary_value": "m_x"})


def cdnow_raw(folder: Path) -> pd.DataFrame:
    """The same from the log, times exact: x, t_x, T, and what was bought in the 39 weeks after, x_star."""
    log = pd.read_parquet(folder / "cdnow" / "transactions_sample_1in10.parquet")
    days = log[["customer_id", "date"]].drop_duplicates()
    first = days.groupby("customer_id")["date"].min()
    end = pd.Timestamp("1997-09-30")
    seen = days[days["date"] <= end].groupby("customer_id")["date"].agg(["max", "size"])
    later = days[days["date"] > end].groupby("customer_id").size().reindex(first.index, fill_value=0)
    weeks = 7.0
    return pd.DataFrame(
        {
            "x": seen["size"] - 1,
            "t_x": (seen["max"] - first).dt.days / weeks,
            "T": (end - first).dt.days / weeks,
            "x_star": later,
        }
    )


def assert_gradient_is_that_of_differences(model: Any, X: pd.DataFrame, weights: Floats, point: Floats) -> None:
    """The analytic gradient of the log-likelihood, by the sum of the weights, against differences of five points.

    Five, because the step can be long then: the terms of a likelihood are a million times larger than its slope, and
    their rounding is divided by the step.
    """
    rows = {name: X[name].to_numpy(dtype=float) for name in model._columns}
    objective = model._objective(rows, weights)
    step = 3e-4
    for axis, slope in zip(np.eye(len(point)), objective(point)[1], strict=True):
        near, far = (
            objective(point + steps * step * axis)[0] - objective(point - steps * step * axis)[0] for steps in (1, 2)
        )
        difference = (8 * near - far) / (12 * step)
        scale = 1 + np.abs(slope) + 1e-4 * abs(objective(point)[0])
        assert abs(slope - difference) < 1e-5 * scale, (axis, slope, difference)


def assert_recovered(model: Any, truth: dict[str, float], *, within: float = 3.0) -> None:
    """The fit converged, and each parameter lies within so many standard errors of the truth."""
    assert model.convergence_.converged, model.convergence_.message
    off = {name: (getattr(model, f"{name}_") - true) / model.standard_errors_[name] for name, true in truth.items()}
    assert max(abs(value) for value in off.values()) < within, off

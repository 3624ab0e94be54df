"""Made assignments: customers who come, change and go by known rules, so that what is found can be compared."""

from typing import Any

import numpy as np
import pandas as pd

CUTOFFS = tuple(pd.date_range("2024-01-01", periods=12, freq="30D", tz="UTC"))
NAMES = np.array(["high", "low", "middle"])


def stable_world(
    customers: int, cutoffs: int, generator: np.random.Generator, *, later: float = 0.0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Assignments and features of a world in which nothing changes but the customers themselves.

    Every customer has a level of their own, wanders around it (the more alike the cutoffs lie, the more alike), and
    is absent now and then. Segments are cut by fixed limits of `activity`; `spend` is skewed and goes with it; `noise`
    goes with nothing. `later` is added to the activity of the second half of the cutoffs.
    """
    level = generator.normal(size=customers)
    wander = np.empty((customers, cutoffs))
    wander[:, 0] = generator.normal(size=customers)
    for column in range(1, cutoffs):
        wander[:, column] = 0.7 * wander[:, column - 1] + np.sqrt(1 - 0.49) * generator.normal(size=customers)
    activity = level[:, None] + wander
    activity[:, (cutoffs + 1) // 2 :] += later
    spend = np.exp(activity + generator.normal(size=activity.shape)).round(1)
    here = generator.random(activity.shape) < 0.9
    who, when = np.nonzero(here)
    keys: dict[str, Any] = {"customer_id": who, "as_of": np.array(CUTOFFS[:cutoffs])[when]}
    position = np.digitize(activity[here], [-0.8, 0.8])
    assigned = pd.DataFrame({**keys, "segment": np.array(["low", "middle", "high"])[position]})
    noise = generator.integers(0, 5, size=len(who)).astype(float)
    return assigned, pd.DataFrame({**keys, "activity": activity[here], "spend": spend[here], "noise": noise})

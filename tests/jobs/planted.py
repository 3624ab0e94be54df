"""Logs in which segments are planted, and the table in which they have to be found again."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import crmml as cm

YEAR = "365d"
HABITS = cm.FeatureSet(
    [
        cm.Count(event_type="purchase", window=YEAR),
        cm.Count(event_type="visit", window=YEAR),
        cm.Sum("amount", event_type="purchase", window=YEAR),
        cm.Mean("quantity", event_type="purchase", window=YEAR),
        *(cm.Share(event_type="purchase", channel=channel, window=YEAR) for channel in ("web", "app", "shop")),
    ]
)
AS_OF = "2024-12-31"


@cache
def planted(segments: int | None, seed: int, customers: int = 600) -> tuple[pd.DataFrame, Any]:
    """The habits of the last year, and the planted segment of each customer."""
    simulated = cm.simulate_log(customers, seed=seed, segments=segments)
    X = cm.build_features(simulated.log, HABITS, as_of=AS_OF)
    known = simulated.truth.get("segment", pd.Series(0, index=simulated.truth.index))
    return X, known.loc[X.index.get_level_values("customer_id")].to_numpy(dtype=np.int64)

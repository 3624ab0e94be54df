"""What featuretools 1.31 has quick primitives for: 37 of the hundred features, a matrix for each window.

Featuretools does not run on pandas 3, so that this runs in an environment of its own (see
`benchmarks.environments`). Set up as its documentation recommends: customers and events as an entity set with a time
index, one cutoff time for everybody, `training_window` for windows, `where` for types of events, one process.

It also has `TimeSinceLast`, `TimeSinceFirst`, `AvgTimeBetween`, `Median`, `Entropy`, `First` and `Last`, 16 more of
the hundred. They run a Python function for each customer, 3 to 100 times slower than the ones here, and are left out
in its favour. There are no quantiles, trends, sessions, streaks, orders or days among its primitives.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import featuretools as ft
import pandas as pd
from featuretools import primitives as of
from woodwork.logical_types import Categorical, Double

TYPES = ("purchase", "view", "cart", "return", "search", "support")
WINDOWS = (30, 90, 180, 365)
COLUMNS = ["customer", "ts", "kind", "item", "revenue", "units", "channel"]


def build(path: Path, as_of: datetime) -> pd.DataFrame:
    """One row per customer; see the package."""
    entities = entity_set(path)
    parts = []
    for window, features in definitions(entities).items():
        matrix = ft.calculate_feature_matrix(
            list(features.values()),
            entityset=entities,
            cutoff_time=pd.Timestamp(as_of).tz_localize(None),
            training_window=None if window is None else f"{window} days",
            include_cutoff_time=False,
            n_jobs=1,
        )
        parts.append(matrix.set_axis(list(features), axis=1))
    table = pd.concat(parts, axis=1).rename_axis("customer")
    distinct = [name for name in table if name.startswith("nunique_")]
    return table.fillna(dict.fromkeys(distinct, 0))


def entity_set(path: Path) -> ft.EntitySet:
    """Customers and their events."""
    events = pd.read_parquet(path, columns=COLUMNS, read_dictionary=["kind", "channel"])
    events["ts"] = events["ts"].dt.tz_localize(None)
    events["event"] = range(len(events))
    types = {"kind": Categorical, "channel": Categorical, "item": Categorical, "revenue": Double, "units": Double}
    entities = ft.EntitySet("log")
    entities = entities.add_dataframe(
        dataframe=events, dataframe_name="events", index="event", time_index="ts", logical_types=types
    )
    return entities.normalize_dataframe("events", "customers", index="customer", make_time_index=False)


def definitions(entities: ft.EntitySet) -> dict[int | None, dict[str, Any]]:
    """The features of each window."""
    column = {name: ft.Feature(entities["events"].ww[name]) for name in ("event", "kind", "item", "channel")}
    column |= {name: ft.Feature(entities["events"].ww[name]) for name in ("revenue", "units")}

    def make(primitive: Any, name: str, kind: str | None = None) -> Any:
        where = None if kind is None else column["kind"] == kind
        return ft.Feature(column[name], parent_dataframe_name="customers", primitive=primitive, where=where)

    found: dict[int | None, dict[str, Any]] = {None: ever(make), **{window: {} for window in WINDOWS}}
    for window, own in found.items():
        end = "" if window is None else f"_{window}d"
        own[f"sum_amount{end}"] = make(of.Sum, "revenue")
        own[f"count_purchase{end}"] = make(of.Count, "event", "purchase")
        if window is not None:
            own[f"count{end}"] = make(of.Count, "event")
        if window in (30, 180):
            own |= {f"count_{kind}{end}": make(of.Count, "event", kind) for kind in TYPES[1:]}
            own[f"nunique_item_id_view{end}"] = make(of.NumUnique, "item", "view")
        if window in (None, 90, 365):
            own[f"nunique_item_id_purchase{end}"] = make(of.NumUnique, "item", "purchase")
    found[180] |= {
        "mean_amount_purchase_180d": make(of.Mean, "revenue", "purchase"),
        "sum_quantity_purchase_180d": make(of.Sum, "units", "purchase"),
    }
    found[365]["nunique_channel_365d"] = make(of.NumUnique, "channel")
    return found


def ever(make: Any) -> dict[str, Any]:
    """The features of all history."""
    return {
        "mean_amount_purchase": make(of.Mean, "revenue", "purchase"),
        "min_amount_purchase": make(of.Min, "revenue", "purchase"),
        "max_amount_purchase": make(of.Max, "revenue", "purchase"),
        "std_amount_purchase": make(of.Std, "revenue", "purchase"),
        "mean_quantity_purchase": make(of.Mean, "units", "purchase"),
    }

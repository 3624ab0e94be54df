"""The features in polars: one lazy query on the streaming engine, with conditional aggregates and joins."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import reduce
from operator import and_, or_
from pathlib import Path

import polars as pl
import pyarrow as pa
from benchmarks.peers import Feature

DAY = 86_400_000_000
Filters = tuple[tuple[str, tuple[str, ...]], ...]


def build(path: Path, features: Sequence[Feature], as_of: datetime) -> pa.Table:
    """One row per customer; see the package."""
    history = pl.scan_parquet(path).filter(pl.col("ts") < as_of)
    plain = [feature for feature in features if _is_plain(feature)]
    table = history.group_by("customer").agg(_plain(feature, as_of).alias(feature.name) for feature in plain)
    for part in [*_distinct(history, features, as_of), *_gaps(history, features, as_of)]:
        table = table.join(part, on="customer", how="left", maintain_order="none")
    counts = [feature.name for feature in features if feature.verb == "NUnique"]
    table = table.with_columns(pl.col(counts).fill_null(0)) if counts else table
    names = ["customer", *(feature.name for feature in features)]
    return table.select(names).collect(engine="streaming").to_arrow()


def _is_plain(feature: Feature) -> bool:
    return feature.verb != "NUnique" and not (feature.verb == "Gap" and feature.stat == "std")


def _condition(filters: Filters, start: datetime | None, time: str = "ts") -> pl.Expr:
    parts = [
        pl.col(column) == values[0] if len(values) == 1 else pl.col(column).is_in(values) for column, values in filters
    ]
    if start is not None:
        parts.append(pl.col(time) >= start)
    # Without a condition: true for every row, not one literal.
    return reduce(and_, parts) if parts else pl.col("customer").is_not_null()


def _days(duration: pl.Expr) -> pl.Expr:
    return duration.dt.total_microseconds() / DAY


def _plain(feature: Feature, as_of: datetime) -> pl.Expr:
    """One aggregate per customer; when-then rather than filter, which the streaming engine does better."""
    condition = _condition(feature.filters, feature.start(as_of))
    value = pl.when(condition).then(pl.col(feature.column or "ts"))
    now = pl.lit(as_of)
    simple: dict[str, Callable[[], pl.Expr]] = {
        "Recency": lambda: _days(now - value.max()),
        "Tenure": lambda: _days(now - value.min()),
        "Count": lambda: _count(condition),
        "Sum": value.sum,
        "Mean": value.mean,
        "Min": value.min,
        "Max": value.max,
        "Std": value.std,
        "Share": lambda: _ratio(_count(condition), _count(_condition(feature.base, feature.start(as_of)))),
        "Latest": lambda: (
            pl.col(feature.column or "ts").filter(condition).sort_by(pl.col("ts").filter(condition)).last()
        ),
        "Gap": lambda: _ratio(_days(value.max() - value.min()), value.count().cast(pl.Int64) - 1),
        "Trend": lambda: _trend(feature, as_of, condition),
    }
    return simple[feature.verb]()


def _count(condition: pl.Expr) -> pl.Expr:
    return condition.cast(pl.Int32).sum()


def _ratio(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    return numerator / pl.when(denominator > 0).then(denominator)


def _trend(feature: Feature, as_of: datetime, condition: pl.Expr) -> pl.Expr:
    start, periods = feature.start(as_of), feature.periods
    period = int(feature.length.total_seconds() * 1_000_000) // periods
    weight = 2 * ((pl.col("ts") - pl.lit(start)).dt.total_microseconds() // period) - (periods - 1)
    if feature.column:
        weight = weight * pl.col(feature.column)
    return pl.when(condition).then(weight).sum() * 6 / (periods * (periods**2 - 1))


def _distinct(history: pl.LazyFrame, features: Sequence[Feature], as_of: datetime) -> list[pl.LazyFrame]:
    """Exact distinct values: group by the pair, keep its last time per filter, count the pairs in the window."""
    parts = []
    wanted = [feature for feature in features if feature.verb == "NUnique"]
    for column in dict.fromkeys(feature.column or "" for feature in wanted):
        own = [feature for feature in wanted if feature.column == column]
        filters = list(dict.fromkeys(feature.filters for feature in own))
        lasts = [
            pl.when(_condition(each, None)).then(pl.col("ts")).max().alias(f"last_{i}")
            for i, each in enumerate(filters)
        ]
        any_of = reduce(or_, [_condition(each, _oldest(own, each, as_of)) for each in filters])
        pairs = history.filter(any_of & pl.col(column).is_not_null()).group_by("customer", column).agg(lasts)
        counts = []
        for feature in own:
            last = f"last_{filters.index(feature.filters)}"
            start = feature.start(as_of)
            inside = pl.col(last).is_not_null() if start is None else (pl.col(last) >= start).fill_null(False)
            counts.append(inside.cast(pl.Int32).sum().alias(feature.name))
        parts.append(pairs.group_by("customer").agg(counts))
    return parts


def _oldest(own: Sequence[Feature], filters: Filters, as_of: datetime) -> datetime | None:
    """The start of the longest window with these filters; None where one looks at all history."""
    starts = [feature.start(as_of) for feature in own if feature.filters == filters]
    known = [start for start in starts if start is not None]
    return min(known) if len(known) == len(starts) else None


def _gaps(history: pl.LazyFrame, features: Sequence[Feature], as_of: datetime) -> list[pl.LazyFrame]:
    """Standard deviations of the time between events: sort once per filter, then the difference of neighbours."""
    parts = []
    wanted = [feature for feature in features if feature.verb == "Gap" and feature.stat == "std"]
    for filters in dict.fromkeys(feature.filters for feature in wanted):
        own = [feature for feature in wanted if feature.filters == filters]
        same = pl.col("customer") == pl.col("customer").shift(1)
        ordered = history.filter(_condition(filters, None)).select("customer", "ts").sort("customer", "ts")
        gaps = ordered.select(
            "customer",
            pl.col("ts").shift(1).alias("before"),
            pl.when(same).then(pl.col("ts").diff().dt.total_microseconds()).alias("gap"),
        )
        columns = [
            (pl.when(_condition((), f.start(as_of), "before")).then(pl.col("gap")).std() / DAY).alias(f.name)
            for f in own
        ]
        parts.append(gaps.group_by("customer").agg(columns))
    return parts

"""The common features in polars: lazy queries on the streaming engine, one for each grouping; see `polars_lazy`."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
from benchmarks.common_list import NAMES
from benchmarks.peers.polars_lazy import (
    DAY,
    OTHERS,
    age,
    channels,
    days,
    entropy,
    events,
    inside,
    last,
    number,
    sessions,
    slope,
    type_,
    weekend,
)

WINDOWS = (30, 90, 180, 365)
WAYS = ("web", "app", "shop", "phone")
way = pl.col("channel")


def build(path: Path, as_of: datetime) -> pa.Table:
    """One row per customer; see the package."""
    history = events(path, as_of).sort("customer").collect(engine="streaming").lazy()
    year = last(history, 365)
    bought = history.filter(type_ == "purchase").drop("kind").collect(engine="streaming").lazy()
    half = last(history, 180).select("customer", "age", "kind", "channel").collect(engine="streaming").lazy()
    parts = [
        ever(history),
        year.group_by("customer").agg(pl.len().alias("count_365d"), *counts(365)),
        in_half(half),
        money(year.filter(pl.col("revenue").is_not_null())),
        purchases(bought),
        gaps(bought),
        items(year),
        channels(year).select("customer", "entropy_channel_365d"),
        days(year),
        sessions(half),
    ]
    table = parts[0].collect(engine="streaming").lazy()
    for part in parts[1:]:
        found = part.collect(engine="streaming").lazy()
        table = table.join(found, on="customer", how="left", maintain_order="none")
    return finish(table).select("customer", *NAMES).collect(engine="streaming").to_arrow()


def counts(length: int) -> Iterator[pl.Expr]:
    """Events of each type but purchases, and of each channel, in a window; the longest needs no look at the age."""
    conditions = {**{kind: type_ == kind for kind in OTHERS}, **{channel: way == channel for channel in WAYS}}
    for name, condition in conditions.items():
        wanted = condition if length in (180, 365) else condition & inside(length)
        yield number(wanted).alias(f"count_{name}_{length}d")


def ever(events: pl.LazyFrame) -> pl.LazyFrame:
    """All events: the first and the last ones."""
    return events.group_by("customer").agg(
        (age.min() / DAY).alias("recency"),
        (age.max() / DAY).alias("tenure"),
        *((pl.when(type_ == kind).then(age).min() / DAY).alias(f"recency_{kind}") for kind in OTHERS),
        way.max_by("age").alias("first_channel"),
        way.min_by("age").alias("latest_channel"),
    )


def in_half(events: pl.LazyFrame) -> pl.LazyFrame:
    """All events of 180 days, and of the windows within."""
    hour = -age // (DAY // 24) % 24
    return events.group_by("customer").agg(
        pl.len().alias("count_180d"),
        *(number(inside(n)).alias(f"count_{n}d") for n in (30, 90)),
        *(each for n in (30, 90, 180) for each in counts(n)),
        pl.when(type_ == "view").then(5 - 2 * ((age - 1) // (30 * DAY))).sum().alias("viewed_weight"),
        number(hour >= 18).alias("evening"),
        number(hour < 6).alias("night"),
        weekend().alias("weekend"),
    )


def money(events: pl.LazyFrame) -> pl.LazyFrame:
    """Amounts of a year, of all and by channel."""
    revenue = pl.col("revenue")
    return events.group_by("customer").agg(
        *(pl.when(inside(n)).then(revenue).sum().alias(f"sum_amount_{n}d") for n in WINDOWS),
        *(
            pl.when(inside(n) & (way == channel)).then(revenue).sum().alias(f"sum_amount_{channel}_{n}d")
            for channel in WAYS
            for n in WINDOWS
        ),
        slope(180, revenue).alias("trend_amount_180d"),
    )


def purchases(bought: pl.LazyFrame) -> pl.LazyFrame:
    """Purchases without regard to their order."""
    revenue = pl.col("revenue")
    return bought.group_by("customer").agg(
        (age.min() / DAY).alias("recency_purchase"),
        (age.max() / DAY).alias("tenure_purchase"),
        pl.len().alias("n_purchase"),
        *(number(inside(n)).alias(f"count_purchase_{n}d") for n in WINDOWS),
        *(pl.when(inside(n)).then(revenue).sum().alias(f"sum_amount_purchase_{n}d") for n in WINDOWS),
        *(pl.when(inside(n)).then(revenue).mean().alias(f"mean_amount_purchase_{n}d") for n in WINDOWS),
        revenue.std().alias("std_amount_purchase"),
        revenue.median().alias("median_amount_purchase"),
        revenue.quantile(0.9, "linear").alias("quantile_90_amount_purchase"),
        slope(180).alias("trend_purchase_180d"),
        weekend().alias("weekend_purchase"),
    )


def gaps(bought: pl.LazyFrame) -> pl.LazyFrame:
    """Purchases one after the other: sorted once, then the difference to the row before."""
    ordered = bought.select("customer", "age").sort("customer", "age", descending=[False, True])
    same = (pl.col("customer") == pl.col("customer").shift(1)).fill_null(False)
    value = pl.col("gap")
    gap = ordered.with_columns(gap=(age.shift(1) - age) / DAY, same=same).filter("same")
    return gap.group_by("customer").agg(
        value.mean().alias("gap_mean_purchase"),
        value.std().alias("gap_std_purchase"),
        value.median().alias("gap_median_purchase"),
        value.min_by("age").alias("gap_last_purchase"),
    )


def items(year: pl.LazyFrame) -> pl.LazyFrame:
    """Exact distinct items through the pairs, each with its last time."""
    pairs = year.group_by("customer", "item").agg(age.min(), pl.len().alias("n"))
    return pairs.group_by("customer").agg(
        *(number(inside(n)).alias(f"nunique_item_id_{n}d") for n in WINDOWS), entropy().alias("entropy_item_id_365d")
    )


def finish(table: pl.LazyFrame) -> pl.LazyFrame:
    """Zeros for customers without a row in a part, then what is made of several columns."""
    zero = "^(count_|sum_|trend_|nunique_|days_|sessions_count|viewed_).*$"
    table = table.with_columns(pl.col(zero).fill_null(0))

    def share(part: str, whole: str, name: str) -> pl.Expr:
        return (pl.col(part) / pl.when(pl.col(whole) > 0).then(whole)).alias(name)

    return table.with_columns(
        (pl.col("viewed_weight") * 6 / (6 * 35)).alias("trend_view_180d"),
        share("evening", "count_180d", "hour_share_18_24_180d"),
        share("night", "count_180d", "hour_share_0_6_180d"),
        share("weekend", "count_180d", "weekday_share_saturday_or_sunday_180d"),
        share("weekend_purchase", "n_purchase", "weekday_share_saturday_or_sunday_purchase"),
        share("session_minutes", "sessions_count_180d", "sessions_length_180d"),
        share("count_180d", "sessions_count_180d", "sessions_events_180d"),
    )

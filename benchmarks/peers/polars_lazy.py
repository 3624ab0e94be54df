"""The hundred features in polars: lazy queries on the streaming engine, one for each grouping, joined in the end.

The log is sorted by customer once, so that every group-by after it finds a customer's rows side by side. Measured
shapes that lost: no such sort, everything in one query, and the in-memory engine.
"""

from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
from benchmarks.feature_list import NAMES

DAY = 86_400_000_000
MONTH = 30 * DAY
HALF_HOUR = 1_800_000_000
OTHERS = ("view", "cart", "return", "search", "support")
age, type_ = pl.col("age"), pl.col("kind")


def build(path: Path, as_of: datetime) -> pa.Table:
    """One row per customer; see the package."""
    history = events(path, as_of).sort("customer").collect(engine="streaming").lazy()
    year = last(history, 365)
    bought = history.filter(type_ == "purchase").drop("kind").collect(engine="streaming").lazy()
    half = last(history, 180).select("customer", "age", "kind", "item").collect(engine="streaming").lazy()
    viewed = half.filter(type_ == "view")
    parts = [
        ever(history),
        in_year(year),
        in_half(half),
        money(history.filter(pl.col("revenue").is_not_null())),
        purchases(bought),
        gaps(bought),
        orders(last(bought, 365)),
        bought_items(bought),
        viewed_items(viewed),
        channels(year),
        days(year),
        days_bought(last(bought, 365)),
        sessions(half),
        streaks(history, "streak_current_by_30d", "streak_longest_by_30d"),
        streaks(bought, "streak_current_by_30d_purchase"),
        conversions(viewed, bought),
    ]
    table = parts[0].collect(engine="streaming").lazy()
    for part in parts[1:]:
        found = part.collect(engine="streaming").lazy()
        table = table.join(found, on="customer", how="left", maintain_order="none")
    return finish(table).select("customer", *NAMES).collect(engine="streaming").to_arrow()


def events(path: Path, as_of: datetime) -> pl.LazyFrame:
    """All events with their ages: integers, which the engine compares without going through a calendar."""
    log = pl.scan_parquet(path).filter(pl.col("ts") < as_of)
    return log.with_columns(age=int(as_of.timestamp()) * 1_000_000 - pl.col("ts").dt.epoch("us")).drop("ts")


def last(events: pl.LazyFrame, length: int) -> pl.LazyFrame:
    """The events of the last `length` days."""
    return events.filter(age <= length * DAY)


def number(condition: pl.Expr) -> pl.Expr:
    """How many rows meet a condition."""
    return condition.cast(pl.Int32).sum()


def inside(length: int) -> pl.Expr:
    """Whether the event is at most so many days old."""
    return age <= length * DAY


def slope(length: int, value: pl.Expr | None = None) -> pl.Expr:
    """The least-squares slope over six periods is linear in the events: one weighted sum."""
    weight = 5 - 2 * ((age - 1) // (length * DAY // 6))
    return pl.when(inside(length)).then(weight if value is None else weight * value).sum() * 6 / (6 * 35)


def weekend() -> pl.Expr:
    """Counted back from the cutoff, the midnight that a Tuesday starts with."""
    return number((-age // DAY + 1) % 7 >= 5)


def ever(events: pl.LazyFrame) -> pl.LazyFrame:
    """All events: the first and the last ones."""
    return events.group_by("customer").agg(
        (age.min() / DAY).alias("recency"),
        (age.max() / DAY).alias("tenure"),
        *((pl.when(type_ == kind).then(age).min() / DAY).alias(f"recency_{kind}") for kind in OTHERS),
        pl.col("channel").max_by("age").alias("first_channel"),
        pl.col("channel").min_by("age").alias("latest_channel"),
    )


def in_year(events: pl.LazyFrame) -> pl.LazyFrame:
    """All events of 365 days."""
    return events.group_by("customer").agg(pl.len().alias("count_365d"), number(type_ == "return").alias("returned"))


def in_half(events: pl.LazyFrame) -> pl.LazyFrame:
    """All events of 180 days."""
    hour = -age // (DAY // 24) % 24
    viewed = type_ == "view"
    return events.group_by("customer").agg(
        pl.len().alias("count_180d"),
        number(inside(90)).alias("count_90d"),
        number(inside(30)).alias("count_30d"),
        *(number(type_ == kind).alias(f"count_{kind}_180d") for kind in OTHERS),
        *(number((type_ == kind) & inside(30)).alias(f"count_{kind}_30d") for kind in OTHERS),
        number(viewed & inside(60)).alias("viewed_60"),
        number(viewed & inside(90)).alias("viewed_90"),
        pl.when(viewed).then(5 - 2 * ((age - 1) // MONTH)).sum().alias("viewed_weight"),
        number(hour >= 18).alias("evening"),
        number(hour < 6).alias("night"),
        weekend().alias("weekend"),
    )


def money(events: pl.LazyFrame) -> pl.LazyFrame:
    """Amounts of all types."""
    revenue = pl.col("revenue")
    sums = [pl.when(inside(n)).then(revenue).sum().alias(f"sum_amount_{n}d") for n in (30, 90, 180, 365)]
    return events.group_by("customer").agg(
        revenue.sum().alias("sum_amount"), *sums, slope(180, revenue).alias("trend_amount_180d")
    )


def purchases(bought: pl.LazyFrame) -> pl.LazyFrame:
    """Purchases without regard to their order."""
    revenue, units, recently = pl.col("revenue"), pl.col("units"), inside(180)
    return bought.group_by("customer").agg(
        (age.min() / DAY).alias("recency_purchase"),
        (age.max() / DAY).alias("tenure_purchase"),
        pl.len().alias("count_purchase"),
        *(number(inside(n)).alias(f"count_purchase_{n}d") for n in (30, 90, 180, 365)),
        revenue.mean().alias("mean_amount_purchase"),
        pl.when(recently).then(revenue).mean().alias("mean_amount_purchase_180d"),
        revenue.min().alias("min_amount_purchase"),
        revenue.max().alias("max_amount_purchase"),
        revenue.std().alias("std_amount_purchase"),
        pl.when(recently).then(units).sum().alias("sum_quantity_purchase_180d"),
        units.mean().alias("mean_quantity_purchase"),
        revenue.median().alias("median_amount_purchase"),
        revenue.quantile(0.9, "linear").alias("quantile_90_amount_purchase"),
        pl.when(inside(365)).then(revenue).quantile(0.9, "linear").alias("quantile_90_amount_purchase_365d"),
        slope(180).alias("trend_purchase_180d"),
        slope(360).alias("trend_purchase_360d"),
        *(
            number((pl.col("channel") == channel) & inside(365)).alias(f"share_purchase_{channel}_365d")
            for channel in ("web", "app", "shop", "phone")
        ),
        weekend().alias("weekend_purchase"),
    )


def gaps(bought: pl.LazyFrame) -> pl.LazyFrame:
    """Purchases one after the other: sorted once, then the difference to the row before."""
    ordered = bought.select("customer", "age").sort("customer", "age", descending=[False, True])
    same = pl.col("customer") == pl.col("customer").shift(1)
    gap = ordered.with_columns(
        gap=(age.shift(1) - age) / DAY, inside=age.shift(1) <= 180 * DAY, same=same.fill_null(False)
    ).filter("same")
    value = pl.col("gap")
    return gap.group_by("customer").agg(
        value.mean().alias("gap_mean_purchase"),
        value.std().alias("gap_std_purchase"),
        value.median().alias("gap_median_purchase"),
        value.min_by("age").alias("gap_last_purchase"),
        value.max_by("age").alias("time_to_2_purchase"),
        pl.when("inside").then(value).mean().alias("gap_mean_purchase_180d"),
    )


def orders(bought: pl.LazyFrame) -> pl.LazyFrame:
    """Purchases at the same moment are one order."""
    lines = bought.group_by("customer", "age", "item").agg(pl.col("revenue").sum())
    each = lines.group_by("customer", "age").agg(pl.len().alias("items"), pl.col("revenue").sum())
    return each.group_by("customer").agg(
        pl.col("items").mean().alias("basket_items_purchase_365d"),
        pl.col("revenue").mean().alias("basket_value_purchase_365d"),
    )


def bought_items(bought: pl.LazyFrame) -> pl.LazyFrame:
    """Exact distinct items through the pairs, each with its last time."""
    pairs = bought.group_by("customer", "item").agg(
        age.min(), pl.len().alias("n"), number(inside(365)).alias("in_year")
    )
    return pairs.group_by("customer").agg(
        pl.len().alias("nunique_item_id_purchase"),
        number(inside(90)).alias("nunique_item_id_purchase_90d"),
        number(inside(365)).alias("nunique_item_id_purchase_365d"),
        pl.col("in_year").max().alias("most_bought"),
        number(pl.col("n") > 1).alias("bought_again"),
    )


def entropy() -> pl.Expr:
    """Of the shares of the values: ln n - sum(k ln k) / n."""
    n = pl.col("n").cast(pl.Float64)
    return n.sum().log() - (n * n.log()).sum() / n.sum()


def viewed_items(viewed: pl.LazyFrame) -> pl.LazyFrame:
    """The same for views."""
    pairs = viewed.group_by("customer", "item").agg(age.min(), pl.len().alias("n"))
    return pairs.group_by("customer").agg(
        pl.len().alias("nunique_item_id_view_180d"),
        number(inside(30)).alias("nunique_item_id_view_30d"),
        entropy().alias("entropy_item_id_view_180d"),
    )


def channels(events: pl.LazyFrame) -> pl.LazyFrame:
    """The same for channels."""
    pairs = events.group_by("customer", "channel").agg(pl.len().alias("n"))
    return pairs.group_by("customer").agg(
        pl.len().alias("nunique_channel_365d"),
        entropy().alias("entropy_channel_365d"),
        (pl.col("n").max() / pl.col("n").sum()).alias("top_share_channel_365d"),
    )


def periods(events: pl.LazyFrame, length: int) -> pl.LazyFrame:
    """The distinct periods, counted back from the cutoff, in which a customer has events."""
    period = ((age - 1) // length).cast(pl.Int32).alias("period")
    return events.select("customer", period).group_by("customer", "period").agg()


def days(events: pl.LazyFrame) -> pl.LazyFrame:
    """Days with events."""
    own = periods(events, DAY).group_by("customer")
    return own.agg(number(pl.col("period") < n).alias(f"days_active_{n}d") for n in (30, 90, 180, 365))


def days_bought(bought: pl.LazyFrame) -> pl.LazyFrame:
    """Days with purchases."""
    return periods(bought, DAY).group_by("customer").agg(pl.len().alias("days_active_purchase_365d"))


def streaks(events: pl.LazyFrame, current: str, longest: str | None = None) -> pl.LazyFrame:
    """Runs of 30-day periods with events, from a bit for each period: five years of them."""
    bits = pl.lit(2, pl.Int64).pow((age - 1) // MONTH).cast(pl.Int64)
    table = events.group_by("customer").agg(bits.bitwise_or().alias("bits"))
    table = table.with_columns(pl.col("bits").bitwise_trailing_ones().alias(current))
    if longest is None:
        return table.drop("bits")
    # What is left after n - 1 times keeping the bits that have a neighbour is a run of n. A step is a query of its
    # own: written into one expression, each would hold the one before it twice.
    rows = table.with_columns(pl.lit(0).alias(longest)).collect(engine="streaming")
    while (rows["bits"] > 0).any():
        bits = pl.col("bits")
        rows = rows.with_columns(bits & (bits // 2), pl.col(longest) + (bits > 0).cast(pl.Int32))
    return rows.drop("bits").lazy()


def sessions(events: pl.LazyFrame) -> pl.LazyFrame:
    """Visits apart by more than half an hour; from the newest event back, so that windows cut none at its end."""
    ordered = events.select("customer", "age").sort("customer", "age")
    same = (pl.col("customer") == pl.col("customer").shift(1)).fill_null(False)
    gap = pl.when(same).then(age - age.shift(1))
    each = ordered.with_columns(ends=~(gap <= HALF_HOUR).fill_null(False), gap=gap)
    return each.group_by("customer").agg(
        number(pl.col("ends")).alias("sessions_count_180d"),
        number(pl.col("ends") & inside(30)).alias("sessions_count_30d"),
        (pl.when(~pl.col("ends")).then("gap").sum() / 60_000_000).alias("session_minutes"),
    )


def conversions(viewed: pl.LazyFrame, bought: pl.LazyFrame) -> pl.LazyFrame:
    """Views followed by a purchase within a week: the next purchase of each by an as-of join."""
    left = viewed.select("customer", "age").sort("age")
    right = bought.filter(inside(180)).select("customer", "age", bought="age").sort("age")
    joined = left.join_asof(right, on="age", by="customer", strategy="backward", check_sortedness=False)
    converted = (age - pl.col("bought") < 7 * DAY).fill_null(False)
    name = "conversion_rate_view_to_purchase_within_7d_180d"
    return (
        joined.select("customer", converted=converted).group_by("customer").agg(pl.col("converted").mean().alias(name))
    )


def finish(table: pl.LazyFrame) -> pl.LazyFrame:
    """Zeros for customers without a row in a part, then what is made of several columns."""
    zero = ("count_", "sum_", "trend_", "nunique_", "days_", "streak_", "sessions_count", "viewed_", "returned")
    table = table.with_columns(pl.col(f"^({'|'.join(zero)}).*$").fill_null(0))
    table = table.with_columns(
        pl.col(name).cast(pl.Int64)
        for name in ("count_purchase_90d", "count_purchase_180d", "count_view_30d", "viewed_60")
    )

    def share(part: str, whole: str) -> pl.Expr:
        return pl.col(part) / pl.when(pl.col(whole) > 0).then(whole)

    half = [share(f"count_{kind}_180d", "count_180d").alias(f"share_{kind}_180d") for kind in OTHERS]
    year = [
        share(f"share_purchase_{channel}_365d", "count_purchase_365d").alias(f"share_purchase_{channel}_365d")
        for channel in ("web", "app", "shop", "phone")
    ]
    return table.with_columns(
        *half,
        *year,
        (pl.col("viewed_weight").fill_null(0) * 6 / (6 * 35)).alias("trend_view_180d"),
        (2 * pl.col("count_purchase_90d") - pl.col("count_purchase_180d")).alias("change_purchase_90d"),
        (2 * pl.col("sum_amount_90d") - pl.col("sum_amount_180d")).alias("change_amount_90d"),
        (2 * pl.col("count_view_30d") - pl.col("viewed_60")).alias("change_view_30d"),
        share("gap_last_purchase", "gap_mean_purchase").alias("gap_last_to_mean_purchase"),
        share("evening", "count_180d").alias("hour_share_18_24_180d"),
        share("night", "count_180d").alias("hour_share_0_6_180d"),
        share("weekend", "count_180d").alias("weekday_share_saturday_or_sunday_180d"),
        share("weekend_purchase", "count_purchase").alias("weekday_share_saturday_or_sunday_purchase"),
        share("most_bought", "count_purchase_365d").alias("top_share_item_id_purchase_365d"),
        share("bought_again", "nunique_item_id_purchase").alias("repeat_share_item_id_purchase"),
        share("session_minutes", "sessions_count_180d").alias("sessions_length_180d"),
        share("count_180d", "sessions_count_180d").alias("sessions_events_180d"),
        share("returned", "count_purchase_365d").alias("return_rate_purchase_365d"),
        share("count_purchase_90d", "viewed_90").alias("count_purchase_90d_per_count_view_90d"),
    )

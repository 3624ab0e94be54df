"""The hundred features in Ibis on its DuckDB backend: one expression, a table for each grouping, joined in the end.

Ibis 12 does not run on DuckDB 2, so that this runs in an environment of its own (see `benchmarks.environments`).
Two calls go around Ibis' own spelling, through functions it declares as built in: `epoch_us`, as casting the time
takes it through the time zone tables, and `arg_max`, which Ibis writes as a sort per group. Purchases and the last
180 days are cached, as both are read many times.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
from benchmarks.feature_list import NAMES
from ibis import _

ibis.duckdb.connect().disconnect()  # the backends are imported here, which is start-up and no work

DAY = 86_400_000_000
MONTH = 30 * DAY
HALF_HOUR = 1_800_000_000
OTHERS = ("view", "cart", "return", "search", "support")
CHANNELS = ("web", "app", "shop", "phone")


@ibis.udf.scalar.builtin
def epoch_us(moment: ibis.dtype("timestamp('UTC')")) -> int:  # type: ignore[valid-type,empty-body]
    """Microseconds since 1970."""


@ibis.udf.agg.builtin
def arg_max(value: str, by: int) -> str:  # type: ignore[empty-body]
    """The value where `by` is greatest."""


def build(path: Path, as_of: datetime) -> pa.Table:
    """One row per customer; see the package."""
    connection = ibis.duckdb.connect()
    connection.raw_sql("SET TimeZone = 'UTC'")
    connection.raw_sql("SET preserve_insertion_order = false")
    now = int(as_of.timestamp()) * 1_000_000
    log = connection.read_parquet(path)
    history = log.filter(log.ts < ibis.literal(as_of)).mutate(age=now - epoch_us(log.ts)).drop("ts")
    bought = history.filter(_.kind == "purchase").drop("kind").cache()
    half = last(history, 180).select("customer", "age", "kind", "item").cache()
    year, viewed = last(history, 365), half.filter(_.kind == "view")
    parts = [
        *(totals(history, year, half, bought)),
        *(sequences(half, bought)),
        *(distinct(year, viewed, bought)),
        *(streaks(history), streaks(bought).select("customer", current_purchase="current")),
        conversions(viewed, bought),
    ]
    # One chain of joins without anything between them, which Ibis compiles much faster than joins of joins.
    table = parts[0]
    for place, part in enumerate(parts[1:]):
        table = table.left_join(part, "customer", rname=f"{{name}}_{place}")
    result: pa.Table = finish(table).select("customer", *NAMES).to_pyarrow()
    return result


def last(events: Any, days: int) -> Any:
    """The events of the last `days` days."""
    return events.filter(_.age <= days * DAY)


def number(condition: Any) -> Any:
    """How many rows meet a condition: a CASE, which DuckDB runs faster than the FILTER of `count(where=...)`."""
    return ibis.cases((condition, 1)).count()


def within(days: int) -> Any:
    """Whether the event is at most so many days old."""
    return _.age <= days * DAY


def weight(days: int) -> Any:
    """The least-squares slope over six periods is linear in the events: what each adds."""
    return 5 - 2 * ((_.age - 1) // (days * DAY // 6))


def weekend() -> Any:
    """Counted from 1970-01-05, a Monday; the cutoff is the midnight that a Tuesday starts with."""
    return number((365 * 7 + 1 + -1 * ((_.age - 1) // DAY + 1)) % 7 >= 5)


def totals(history: Any, year: Any, half: Any, bought: Any) -> list[Any]:
    """What needs no order and no pairs."""
    ever = history.group_by("customer").agg(
        newest=_.age.min(),
        oldest=_.age.max(),
        first_channel=arg_max(_.channel, _.age),
        latest_channel=arg_max(_.channel, -1 * _.age),
        **{f"newest_{kind}": ibis.cases((_.kind == kind, _.age)).min() for kind in OTHERS},
    )
    in_year = year.group_by("customer").agg(n_365=_.count(), returned=number(_.kind == "return"))
    hour = 23 - (_.age - 1) // (DAY // 24) % 24
    viewed = _.kind == "view"
    recent = half.group_by("customer").agg(
        n_180=_.count(),
        **{f"n_{days}": number(within(days)) for days in (30, 90)},
        **{f"n_{kind}_180": number(_.kind == kind) for kind in OTHERS},
        **{f"n_{kind}_30": number((_.kind == kind) & within(30)) for kind in OTHERS},
        n_view_60=number(viewed & within(60)),
        n_view_90=number(viewed & within(90)),
        weight_view=ibis.cases((viewed, weight(180))).sum(),
        evening=number(hour >= 18),
        night=number(hour < 6),
        weekend=weekend(),
    )
    money = (
        history.filter(_.revenue.notnull())
        .group_by("customer")
        .agg(
            sum_amount=_.revenue.sum(),
            weight_amount=ibis.cases((within(180), weight(180) * _.revenue)).sum(),
            **{f"sum_{days}": ibis.cases((within(days), _.revenue)).sum() for days in (30, 90, 180, 365)},
        )
    )
    return [ever, in_year, recent, money, purchases(bought)]


def purchases(bought: Any) -> Any:
    """Purchases without regard to their order."""
    recently = within(180)
    return bought.group_by("customer").agg(
        newest_purchase=_.age.min(),
        oldest_purchase=_.age.max(),
        n_purchase=_.count(),
        **{f"n_purchase_{days}": number(within(days)) for days in (30, 90, 180, 365)},
        mean_amount_purchase=_.revenue.mean(),
        mean_amount_purchase_180d=ibis.cases((recently, _.revenue)).mean(),
        min_amount_purchase=_.revenue.min(),
        max_amount_purchase=_.revenue.max(),
        std_amount_purchase=_.revenue.std(),
        units_180=ibis.cases((recently, _.units)).sum(),
        mean_quantity_purchase=_.units.mean(),
        quantiles=_.revenue.quantile([0.5, 0.9]),
        quantile_90_amount_purchase_365d=ibis.cases((within(365), _.revenue)).quantile(0.9),
        weight_180=ibis.cases((recently, weight(180))).sum(),
        weight_360=ibis.cases((within(360), weight(360))).sum(),
        **{f"n_{channel}": number((_.channel == channel) & within(365)) for channel in CHANNELS},
        weekend_purchase=weekend(),
    )


def sequences(half: Any, bought: Any) -> list[Any]:
    """Events one after the other; from the newest back, so that windows cut nothing at its end."""
    by_time = ibis.window(group_by="customer", order_by=[_.age, _.item])
    ordered = bought.mutate(after=_.age.lag().over(by_time), item_after=_.item.lag().over(by_time))
    ordered = ordered.mutate(
        place=ibis.row_number().over(by_time), before=_.age.lead().over(by_time), gap=_.age - _.after
    )
    gap, line = _.gap, within(365) & ((_.gap > 0) | _.after.isnull())
    gaps = ordered.group_by("customer").agg(
        gap_std_purchase=gap.std() / DAY,
        gap_median_purchase=gap.median() / DAY,
        gap_last_purchase=ibis.cases((_.place == 1, gap)).max() / DAY,
        time_to_2_purchase=ibis.cases((_.before.isnull(), gap)).max() / DAY,
        gap_mean_purchase_180d=ibis.cases((within(180), gap)).mean() / DAY,
        orders=number(line),
        lines=number(line | (within(365) & (_.item != _.item_after))),
        value=ibis.cases((within(365), _.revenue)).sum(),
    )
    by_age = ibis.window(group_by="customer", order_by=_.age)
    steps = half.select("customer", "age").mutate(gap=_.age - _.age.lag().over(by_age))
    goes_on = _.gap <= HALF_HOUR
    sessions = steps.group_by("customer").agg(
        going_on=number(goes_on),
        going_on_30=number(goes_on & within(30)),
        minutes=ibis.cases((goes_on, _.gap)).sum().fill_null(0) / 60_000_000,
    )
    return [gaps, sessions]


def distinct(year: Any, viewed: Any, bought: Any) -> list[Any]:
    """Exact distinct items, channels and days through the pairs."""
    pairs = bought.group_by("customer", "item").agg(age=_.age.min(), n=_.count(), in_year=number(within(365)))
    items = pairs.group_by("customer").agg(
        items=_.count(),
        items_90=number(within(90)),
        items_365=number(within(365)),
        top=_.in_year.max(),
        again=number(_.n > 1),
    )
    entropy = _.n.sum().ln() - (_.n * _.n.ln()).sum() / _.n.sum()
    pairs = viewed.group_by("customer", "item").agg(age=_.age.min(), n=_.count())
    seen = pairs.group_by("customer").agg(seen=_.count(), seen_30=number(within(30)), entropy_item_id_view_180d=entropy)
    pairs = year.group_by("customer", "channel").agg(n=_.count())
    channels = pairs.group_by("customer").agg(
        channels=_.count(),
        entropy_channel_365d=entropy,
        top_share_channel_365d=_.n.max() / _.n.sum(),
    )
    days = year.select("customer", day=(_.age - 1) // DAY).distinct().group_by("customer")
    active = days.agg(**{f"days_{length}": number(_.day < length) for length in (30, 90, 180, 365)})
    days = last(bought, 365).select("customer", day=(_.age - 1) // DAY).distinct().group_by("customer")
    return [items, seen, channels, active, days.agg(days_purchase=_.count())]


def streaks(events: Any) -> Any:
    """Runs of 30-day periods with events: within a run, the period less its rank stays the same."""
    periods = events.select("customer", period=(_.age - 1) // MONTH).distinct()
    by_period = ibis.window(group_by="customer", order_by="period")
    runs = periods.mutate(run=_.period - ibis.row_number().over(by_period)).group_by("customer", "run").agg(n=_.count())
    return runs.group_by("customer").agg(current=ibis.cases((_.run == 0, _.n)).max(), longest=_.n.max())


def conversions(viewed: Any, bought: Any) -> Any:
    """Views followed by a purchase within a week: the next purchase of each by an as-of join."""
    left, right = viewed.select("customer", "age"), bought.select("customer", bought="age")
    joined = left.asof_join(right, on=left.age >= right.bought, predicates="customer")
    converted = number(_.age - _.bought < 7 * DAY) / _.count()
    return joined.group_by("customer").agg(conversion_rate_view_to_purchase_within_7d_180d=converted)


def finish(table: Any) -> Any:
    """The columns with their names; zeros for customers without a row in a part."""
    days = {
        "recency": "newest",
        "tenure": "oldest",
        "tenure_purchase": "oldest_purchase",
        **{f"recency_{kind}": f"newest_{kind}" for kind in ("purchase", *OTHERS)},
    }
    zero = {f"count_{d}d": f"n_{d}" for d in (30, 90, 180, 365)}
    zero |= {f"count_purchase_{d}d": f"n_purchase_{d}" for d in (30, 90, 180, 365)}
    zero |= {f"count_{kind}_{d}d": f"n_{kind}_{d}" for kind in OTHERS for d in (30, 180)}
    zero |= {f"sum_amount_{d}d": f"sum_{d}" for d in (30, 90, 180, 365)}
    zero |= {f"days_active_{d}d": f"days_{d}" for d in (30, 90, 180, 365)}
    zero |= {
        "count_purchase": "n_purchase",
        "sum_amount": "sum_amount",
        "sum_quantity_purchase_180d": "units_180",
        "nunique_item_id_purchase": "items",
        "nunique_item_id_purchase_90d": "items_90",
        "nunique_item_id_purchase_365d": "items_365",
        "nunique_item_id_view_30d": "seen_30",
        "nunique_item_id_view_180d": "seen",
        "nunique_channel_365d": "channels",
        "days_active_purchase_365d": "days_purchase",
        "streak_current_by_30d": "current",
        "streak_longest_by_30d": "longest",
        "streak_current_by_30d_purchase": "current_purchase",
    }
    share = {f"share_{kind}_180d": (f"n_{kind}_180", "n_180") for kind in OTHERS}
    share |= {f"share_purchase_{channel}_365d": (f"n_{channel}", "n_purchase_365") for channel in CHANNELS}
    share |= {
        "hour_share_18_24_180d": ("evening", "n_180"),
        "hour_share_0_6_180d": ("night", "n_180"),
        "weekday_share_saturday_or_sunday_180d": ("weekend", "n_180"),
        "weekday_share_saturday_or_sunday_purchase": ("weekend_purchase", "n_purchase"),
        "top_share_item_id_purchase_365d": ("top", "n_purchase_365"),
        "repeat_share_item_id_purchase": ("again", "items"),
        "basket_items_purchase_365d": ("lines", "orders"),
        "basket_value_purchase_365d": ("value", "orders"),
        "return_rate_purchase_365d": ("returned", "n_purchase_365"),
        "count_purchase_90d_per_count_view_90d": ("n_purchase_90", "n_view_90"),
    }
    slopes = {"purchase_180d": "180", "purchase_360d": "360", "amount_180d": "amount", "view_180d": "view"}
    sessions = table.n_180 - table.going_on
    mean = (table.oldest_purchase - table.newest_purchase) / (table.n_purchase - 1).nullif(0) / DAY
    return table.mutate(
        **{name: table[column] / DAY for name, column in days.items()},
        **{name: table[column].fill_null(0) for name, column in zero.items()},
        **{name: table[part].fill_null(0) / table[whole].nullif(0) for name, (part, whole) in share.items()},
        **{f"trend_{name}": table[f"weight_{of}"].fill_null(0) * 6 / (6 * 35) for name, of in slopes.items()},
        change_purchase_90d=(2 * table.n_purchase_90 - table.n_purchase_180).fill_null(0),
        change_amount_90d=2 * table.sum_90.fill_null(0) - table.sum_180.fill_null(0),
        change_view_30d=(2 * table.n_view_30 - table.n_view_60).fill_null(0),
        median_amount_purchase=table.quantiles[0],
        quantile_90_amount_purchase=table.quantiles[1],
        gap_mean_purchase=mean,
        gap_last_to_mean_purchase=table.gap_last_purchase / mean.nullif(0),
        sessions_count_180d=sessions.fill_null(0),
        sessions_count_30d=(table.n_30 - table.going_on_30).fill_null(0),
        sessions_length_180d=table.minutes / sessions,
        sessions_events_180d=table.n_180 / sessions,
    )

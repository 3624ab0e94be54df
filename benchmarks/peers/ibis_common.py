"""The common features in Ibis on its DuckDB backend: a table for each grouping, joined; see `ibis_duckdb`."""

from datetime import datetime
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
from benchmarks.common_list import NAMES
from benchmarks.peers.ibis_duckdb import (
    CHANNELS,
    DAY,
    HALF_HOUR,
    OTHERS,
    arg_max,
    epoch_us,
    last,
    number,
    weekend,
    weight,
    within,
)
from ibis import _

WINDOWS = (30, 90, 180, 365)


def build(path: Path, as_of: datetime) -> pa.Table:
    """One row per customer; see the package."""
    connection = ibis.duckdb.connect()
    connection.raw_sql("SET TimeZone = 'UTC'")
    connection.raw_sql("SET preserve_insertion_order = false")
    now = int(as_of.timestamp()) * 1_000_000
    log = connection.read_parquet(path)
    history = log.filter(log.ts < ibis.literal(as_of)).mutate(age=now - epoch_us(log.ts)).drop("ts")
    bought = history.filter(_.kind == "purchase").select("customer", "age", "item", "revenue").cache()
    half = last(history, 180).select("customer", "age", "kind", "channel").cache()
    parts = [*totals(history, last(history, 365), half), *purchases(bought), *distinct(last(history, 365))]
    parts.append(visits(half))
    # One chain of joins without anything between them, which Ibis compiles much faster than joins of joins.
    table = parts[0]
    for place, part in enumerate(parts[1:]):
        table = table.left_join(part, "customer", rname=f"{{name}}_{place}")
    result: pa.Table = finish(table).select("customer", *NAMES).to_pyarrow()
    return result


def counts(days: int) -> dict[str, Any]:
    """Events of each type but purchases, and of each channel, in a window; the longest needs no look at the age."""
    conditions = {**{kind: _.kind == kind for kind in OTHERS}, **{way: _.channel == way for way in CHANNELS}}
    inside = {name: each if days in (180, 365) else each & within(days) for name, each in conditions.items()}
    return {f"n_{name}_{days}": number(each) for name, each in inside.items()}


def totals(history: Any, year: Any, half: Any) -> list[Any]:
    """What needs no order and no pairs."""
    ever = history.group_by("customer").agg(
        newest=_.age.min(),
        oldest=_.age.max(),
        first_channel=arg_max(_.channel, _.age),
        latest_channel=arg_max(_.channel, -1 * _.age),
        **{f"newest_{kind}": ibis.cases((_.kind == kind, _.age)).min() for kind in OTHERS},
    )
    in_year = year.group_by("customer").agg(n_365=_.count(), **counts(365))
    hour = 23 - (_.age - 1) // (DAY // 24) % 24
    in_half = half.group_by("customer").agg(
        n_180=_.count(),
        **{f"n_{days}": number(within(days)) for days in (30, 90)},
        **{**counts(30), **counts(90), **counts(180)},
        weight_view=ibis.cases((_.kind == "view", weight(180))).sum(),
        evening=number(hour >= 18),
        night=number(hour < 6),
        weekend=weekend(),
    )
    money = (
        year.filter(_.revenue.notnull())
        .group_by("customer")
        .agg(
            weight_amount=ibis.cases((within(180), weight(180) * _.revenue)).sum(),
            **{f"sum_{days}": ibis.cases((within(days), _.revenue)).sum() for days in WINDOWS},
            **{
                f"sum_{way}_{days}": ibis.cases((within(days) & (_.channel == way), _.revenue)).sum()
                for way in CHANNELS
                for days in WINDOWS
            },
        )
    )
    return [ever, in_year, in_half, money]


def purchases(bought: Any) -> list[Any]:
    """Purchases without regard to their order, and one after the other."""
    plain = bought.group_by("customer").agg(
        newest_purchase=_.age.min(),
        oldest_purchase=_.age.max(),
        n_purchase=_.count(),
        **{f"n_purchase_{days}": number(within(days)) for days in WINDOWS},
        **{f"sum_purchase_{days}": ibis.cases((within(days), _.revenue)).sum() for days in WINDOWS},
        **{f"mean_amount_purchase_{days}d": ibis.cases((within(days), _.revenue)).mean() for days in WINDOWS},
        std_amount_purchase=_.revenue.std(),
        quantiles=_.revenue.quantile([0.5, 0.9]),
        weight_purchase=ibis.cases((within(180), weight(180))).sum(),
        weekend_purchase=weekend(),
    )
    by_time = ibis.window(group_by="customer", order_by=[_.age, _.item])
    ordered = bought.mutate(gap=_.age - _.age.lag().over(by_time), place=ibis.row_number().over(by_time))
    gaps = ordered.group_by("customer").agg(
        gap_std_purchase=_.gap.std() / DAY,
        gap_median_purchase=_.gap.median() / DAY,
        gap_last_purchase=ibis.cases((_.place == 1, _.gap)).max() / DAY,
    )
    return [plain, gaps]


def distinct(year: Any) -> list[Any]:
    """Exact distinct items, channels and days through the pairs."""
    entropy = _.n.sum().ln() - (_.n * _.n.ln()).sum() / _.n.sum()
    pairs = year.group_by("customer", "item").agg(age=_.age.min(), n=_.count())
    items = pairs.group_by("customer").agg(
        entropy_item_id_365d=entropy, **{f"items_{days}": number(within(days)) for days in WINDOWS}
    )
    ways = year.group_by("customer", "channel").agg(n=_.count()).group_by("customer").agg(entropy_channel_365d=entropy)
    days = year.select("customer", day=(_.age - 1) // DAY).distinct().group_by("customer")
    return [items, ways, days.agg(**{f"days_{length}": number(_.day < length) for length in WINDOWS})]


def visits(half: Any) -> Any:
    """From the newest event back, so that the window cuts nothing at its end."""
    by_age = ibis.window(group_by="customer", order_by=_.age)
    steps = half.select("customer", "age").mutate(gap=_.age - _.age.lag().over(by_age))
    goes_on = _.gap <= HALF_HOUR
    minutes = ibis.cases((goes_on, _.gap)).sum().fill_null(0) / 60_000_000
    return steps.group_by("customer").agg(going_on=number(goes_on), minutes=minutes)


def finish(table: Any) -> Any:
    """The columns with their names; zeros for customers without a row in a part."""
    days = {"recency": "newest", "tenure": "oldest", "tenure_purchase": "oldest_purchase"}
    days |= {f"recency_{kind}": f"newest_{kind}" for kind in ("purchase", *OTHERS)}
    zero = {}
    for n in WINDOWS:
        zero |= {f"count_{n}d": f"n_{n}", f"days_active_{n}d": f"days_{n}", f"nunique_item_id_{n}d": f"items_{n}"}
        zero |= {f"count_{name}_{n}d": f"n_{name}_{n}" for name in ("purchase", *OTHERS, *CHANNELS)}
        zero |= {f"sum_amount_{n}d": f"sum_{n}"}
        zero |= {f"sum_amount_{name}_{n}d": f"sum_{name}_{n}" for name in ("purchase", *CHANNELS)}
    slopes = {"purchase_180d": "purchase", "amount_180d": "amount", "view_180d": "view"}
    sessions = table.n_180 - table.going_on
    return table.mutate(
        **{name: table[column] / DAY for name, column in days.items()},
        **{name: table[column].fill_null(0) for name, column in zero.items()},
        **{f"trend_{name}": table[f"weight_{of}"].fill_null(0) * 6 / (6 * 35) for name, of in slopes.items()},
        median_amount_purchase=table.quantiles[0],
        quantile_90_amount_purchase=table.quantiles[1],
        gap_mean_purchase=(table.oldest_purchase - table.newest_purchase) / (table.n_purchase - 1).nullif(0) / DAY,
        hour_share_18_24_180d=table.evening / table.n_180,
        hour_share_0_6_180d=table.night / table.n_180,
        weekday_share_saturday_or_sunday_180d=table.weekend / table.n_180,
        weekday_share_saturday_or_sunday_purchase=table.weekend_purchase / table.n_purchase,
        sessions_count_180d=sessions.fill_null(0),
        sessions_length_180d=table.minutes / sessions,
        sessions_events_180d=table.n_180 / sessions,
    )

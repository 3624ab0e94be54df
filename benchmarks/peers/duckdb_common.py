"""The common features in DuckDB SQL, by hand, in the shape that won for the other list; see `duckdb_sql`.

Columns that differ in a type, a channel or a window are written by a loop, as a person would.
"""

from datetime import datetime
from pathlib import Path

import pyarrow as pa
from benchmarks.peers.duckdb_sql import run

KINDS = ("purchase", "view", "cart", "return", "search", "support")
CHANNELS = ("web", "app", "shop", "phone")

# Sorted once, in what most groupings need; amounts and items are kept out of that sort and read again.
RAW = """
WITH history AS MATERIALIZED (
  SELECT customer, now() - epoch_us(ts) AS age, {kind} AS kind, {channel} AS channel
  FROM '{path}' WHERE ts < {as_of}
  ORDER BY customer, age, kind
),
paid AS MATERIALIZED (
  SELECT customer, now() - epoch_us(ts) AS age, kind = 'purchase' AS bought, revenue, {channel} AS channel
  FROM '{path}' WHERE ts < {as_of} AND (kind = 'purchase' OR revenue IS NOT NULL)
  ORDER BY customer, age
),
seen AS (
  SELECT customer, now() - epoch_us(ts) AS age, item
  FROM '{path}' WHERE ts < {as_of} AND ts >= {as_of} - INTERVAL 365 DAY
),
"""

# A prepared log lies in order of customer and time, oldest first, in a few files of whole customers.
PREPARED = """
WITH history AS NOT MATERIALIZED (
  SELECT customer_id AS customer, now() - epoch_us(timestamp) AS age, {kind} AS kind, {channel} AS channel
  FROM '{path}' WHERE timestamp < {as_of}
),
paid AS MATERIALIZED (
  SELECT customer_id AS customer, now() - epoch_us(timestamp) AS age, event_type = 'purchase' AS bought,
    amount AS revenue, {channel} AS channel
  FROM '{path}' WHERE timestamp < {as_of} AND (event_type = 'purchase' OR amount IS NOT NULL)
),
seen AS (
  SELECT customer_id AS customer, now() - epoch_us(timestamp) AS age, item_id AS item
  FROM '{path}' WHERE timestamp < {as_of} AND timestamp >= {as_of} - INTERVAL 365 DAY
),
"""

# `age` is the time to the cutoff in microseconds; kinds and channels are the places in the lists above.
FEATURES = """
steps AS (
  SELECT customer, age, kind, channel, {newer}(customer) OVER () AS customer_newer, {newer}(age) OVER () AS age_newer,
    {older}(customer) OVER () AS customer_older
  FROM history
),
ever AS (
  SELECT customer, MIN(age) AS newest, MAX(age) AS oldest, {newest},
    MAX(CASE WHEN customer_older IS DISTINCT FROM customer THEN channel END) AS first_channel,
    MAX(CASE WHEN customer_newer IS DISTINCT FROM customer THEN channel END) AS latest_channel
  FROM steps GROUP BY customer
),
-- From the newest event back, a window cuts no day and no session at its end.
year_steps AS (
  SELECT customer, age, kind, channel, (now() - age) // days(1) AS day,
    CASE WHEN customer_newer = customer THEN age - age_newer END AS gap,
    CASE WHEN customer_newer = customer AND (now() - age_newer) // days(1) = (now() - age) // days(1) THEN NULL
         ELSE age END AS new_day
  FROM steps WHERE age <= days(365)
),
year AS (
  SELECT customer, COUNT(*) AS n_365, COUNT(new_day) AS days_365, {year_counts} FROM year_steps GROUP BY customer
),
half AS (
  SELECT customer, COUNT(*) AS n_180, COUNT_IF(age <= days(90)) AS n_90,
    COUNT_IF(age <= days(30)) AS n_30, {half_counts},
    -- A least-squares slope over six periods is linear in the events: one weighted sum.
    SUM(CASE WHEN kind = 1 THEN 5 - 2 * ((age - 1) // days(30)) END) AS trend_view,
    COUNT_IF((now() - age) // 3600000000 % 24 >= 18) AS evening,
    COUNT_IF((now() - age) // 3600000000 % 24 < 6) AS night,
    COUNT_IF((day + 3) % 7 >= 5) AS weekend, -- day 0 was a Thursday
    COUNT(CASE WHEN gap <= 1800000000 THEN NULL ELSE 1 END) AS sessions,
    COALESCE(SUM(CASE WHEN gap <= 1800000000 THEN gap END), 0) / 60000000 AS minutes,
    COUNT(new_day) AS days_180, COUNT_IF(new_day <= days(90)) AS days_90,
    COUNT_IF(new_day <= days(30)) AS days_30
  FROM year_steps WHERE age <= days(180) GROUP BY customer
),
money AS (
  SELECT customer, {sums}, SUM(CASE WHEN age <= days(180) THEN revenue * (5 - 2 * ((age - 1) // days(30))) END) AS trend
  FROM paid WHERE age <= days(365) GROUP BY customer
),
bought AS (
  SELECT customer, age, revenue,
    CASE WHEN {newer}(customer) OVER () = customer THEN age - {newer}(age) OVER () END AS gap,
    {newer}(customer, 2) OVER () IS DISTINCT FROM customer AS at_end
  FROM paid WHERE bought
),
purchases AS (
  SELECT customer, MIN(age) AS newest, MAX(age) AS oldest, COUNT(*) AS n, {purchased},
    STDDEV_SAMP(revenue) AS deviation, QUANTILE_CONT(revenue, [0.5, 0.9]) AS quantiles,
    SUM(CASE WHEN age <= days(180) THEN 5 - 2 * ((age - 1) // days(30)) END) AS trend,
    COUNT_IF(((now() - age) // days(1) + 3) % 7 >= 5) AS weekend,
    STDDEV_SAMP(gap) / days(1) AS gap_deviation, MEDIAN(gap) / days(1) AS gap_median,
    MAX(CASE WHEN at_end THEN gap END) / days(1) AS gap_last
  FROM bought GROUP BY customer
),
items AS (
  SELECT customer, COUNT(*) AS n_365, {item_windows}, LN(SUM(n)) - SUM(n * LN(n)) / SUM(n) AS entropy
  FROM (SELECT customer, MIN(age) AS newest, COUNT(*) AS n FROM seen GROUP BY customer, item)
  GROUP BY customer
),
channels AS (
  SELECT customer, LN(SUM(n)) - SUM(n * LN(n)) / SUM(n) AS entropy
  FROM (SELECT customer, COUNT(*) AS n FROM history WHERE age <= days(365) GROUP BY customer, channel)
  GROUP BY customer
)
SELECT ever.customer, {selected},
  ever.newest / days(1) AS recency, ever.oldest / days(1) AS tenure,
  purchases.newest / days(1) AS recency_purchase, purchases.oldest / days(1) AS tenure_purchase,
  purchases.deviation AS std_amount_purchase, purchases.quantiles[1] AS median_amount_purchase,
  purchases.quantiles[2] AS quantile_90_amount_purchase,
  (purchases.oldest - purchases.newest) / NULLIF(purchases.n - 1, 0) / days(1) AS gap_mean_purchase,
  purchases.gap_deviation AS gap_std_purchase, purchases.gap_median AS gap_median_purchase,
  purchases.gap_last AS gap_last_purchase,
  COALESCE(purchases.trend, 0) * 6 / 210 AS trend_purchase_180d,
  COALESCE(half.trend_view, 0) * 6 / 210 AS trend_view_180d,
  COALESCE(money.trend, 0) * 6 / 210 AS trend_amount_180d,
  half.evening / half.n_180 AS hour_share_18_24_180d, half.night / half.n_180 AS hour_share_0_6_180d,
  half.weekend / half.n_180 AS weekday_share_saturday_or_sunday_180d,
  purchases.weekend / purchases.n AS weekday_share_saturday_or_sunday_purchase,
  channels.entropy AS entropy_channel_365d, items.entropy AS entropy_item_id_365d,
  COALESCE(half.sessions, 0) AS sessions_count_180d, half.minutes / half.sessions AS sessions_length_180d,
  half.n_180 / half.sessions AS sessions_events_180d,
  {channels}[ever.first_channel + 1] AS first_channel, {channels}[ever.latest_channel + 1] AS latest_channel
FROM ever
LEFT JOIN year USING (customer)
LEFT JOIN half USING (customer)
LEFT JOIN money USING (customer)
LEFT JOIN purchases USING (customer)
LEFT JOIN items USING (customer)
LEFT JOIN channels USING (customer)
"""


def build(path: Path, as_of: datetime) -> pa.Table:
    """One row per customer; see the package. `path` is the log's file, or the folder of the prepared log."""
    return run(path, as_of, text)


def text(path: Path, as_of: datetime, *, prepared: bool = False) -> str:
    """The SQL text for a file of the log."""
    kind, cutoff = ("event_type", "TIMESTAMP") if prepared else ("kind", "TIMESTAMPTZ")
    source = (PREPARED if prepared else RAW).format(
        path=path,
        kind=place(kind, KINDS),
        channel=place("channel", CHANNELS),
        as_of=f"{cutoff} '{as_of:%Y-%m-%d %H:%M:%S}{'' if prepared else '+00'}'",
    )
    newer, older = ("LEAD", "LAG") if prepared else ("LAG", "LEAD")
    return source + FEATURES.format(newer=newer, older=older, channels=list(CHANNELS), **columns())


def place(column: str, names: tuple[str, ...]) -> str:
    """The place of a text in a list, as a number of one byte."""
    cases = " ".join(f"WHEN '{name}' THEN {number}" for number, name in enumerate(names))
    return f"CASE {column} {cases} ELSE {len(names)} END::UTINYINT"


def columns() -> dict[str, str]:
    """What is repeated for types, channels and windows."""
    kinds = [(f"kind = {number}", name) for number, name in enumerate(KINDS) if number]
    ways = [(f"channel = {number}", name) for number, name in enumerate(CHANNELS)]
    windows = {30: " AND age <= days(30)", 90: " AND age <= days(90)", 180: "", 365: ""}
    year = [f"COUNT_IF({condition}) AS {name}_365" for condition, name in kinds + ways]
    half = [
        f"COUNT_IF({condition}{windows[n]}) AS {name}_{n}" for condition, name in kinds + ways for n in (30, 90, 180)
    ]
    paid = [("TRUE", "every"), *ways]
    sums = [
        f"SUM(CASE WHEN {condition} AND age <= days({n}) THEN revenue END) AS {name}_{n}"
        for condition, name in paid
        for n in windows
    ]
    purchased = [
        f"COUNT_IF(age <= days({n})) AS n_{n}, "
        f"SUM(CASE WHEN age <= days({n}) THEN revenue END) AS sum_{n}, "
        f"AVG(CASE WHEN age <= days({n}) THEN revenue END) AS mean_{n}"
        for n in windows
    ]
    return {
        "newest": ", ".join(f"MIN(CASE WHEN {condition} THEN age END) AS {name}" for condition, name in kinds),
        "year_counts": ", ".join(year),
        "half_counts": ", ".join(half),
        "sums": ", ".join(sums),
        "purchased": ", ".join(purchased),
        "item_windows": ", ".join(f"COUNT_IF(newest <= days({n})) AS n_{n}" for n in (30, 90, 180)),
        "selected": ", ".join(selected([name for _, name in kinds], list(windows))),
    }


def selected(kinds: list[str], windows: list[int]) -> list[str]:
    """The features that are repeated, of the last step."""
    found = [f"ever.{kind} / days(1) AS recency_{kind}" for kind in kinds]
    for n in windows:
        side = "year" if n == 365 else "half"
        zeros = {f"count_{n}d": f"{side}.n_{n}", f"days_active_{n}d": f"{side}.days_{n}"}
        zeros |= {f"count_{name}_{n}d": f"{side}.{name}_{n}" for name in (*kinds, *CHANNELS)}
        zeros |= {f"count_purchase_{n}d": f"purchases.n_{n}", f"sum_amount_purchase_{n}d": f"purchases.sum_{n}"}
        zeros |= {f"sum_amount_{name}_{n}d": f"money.{name}_{n}" for name in CHANNELS}
        zeros |= {f"sum_amount_{n}d": f"money.every_{n}", f"nunique_item_id_{n}d": f"items.n_{n}"}
        found += [f"COALESCE({column}, 0) AS {name}" for name, column in zeros.items()]
        found.append(f"purchases.mean_{n} AS mean_amount_purchase_{n}d")
    return found

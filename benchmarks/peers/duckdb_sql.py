"""The hundred features in DuckDB SQL, by hand; the text stands in features.sql, this file reads the log into it.

Measured shapes that lost, in CPU of this one: the groupings on the unsorted log, 1.4; a sort into a temporary table,
1.2 or more; sorting all columns instead of four, 1.1; COUNT(CASE ...) instead of COUNT_IF, 1.1. In noise: 32-bit ids,
texts instead of numbers for kinds, a grouping by customer and kind first, first and last rows by join, orders by LAG
instead of by grouping.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

FEATURES = Path(__file__).with_name("features.sql")
KINDS = ("purchase", "view", "cart", "return", "search", "support")

# Sorted once, in what most groupings need, and every grouping after it finds a customer's rows side by side. Amounts
# and items are kept out of that sort: the few rows that need them are read again. Numbers for kinds sort faster.
RAW = """
WITH history AS MATERIALIZED (
  SELECT customer, now() - epoch_us(ts) AS age, {kind} AS kind, channel
  FROM '{path}' WHERE ts < {as_of}
  ORDER BY customer, age, kind
),
paid AS MATERIALIZED (
  SELECT customer, now() - epoch_us(ts) AS age, kind = 'purchase' AS bought, item, revenue, units, channel
  FROM '{path}' WHERE ts < {as_of} AND (kind = 'purchase' OR revenue IS NOT NULL)
  ORDER BY customer, age
),
viewed AS (
  SELECT customer, now() - epoch_us(ts) AS age, item
  FROM '{path}' WHERE ts < {as_of} AND ts >= {as_of} - INTERVAL 180 DAY AND kind = 'view'
),
conversions AS (
  -- From the newest event back, the next purchase is the last one that came by. Its customer is kept with it.
  SELECT customer, COUNT(CASE WHEN own + age - purchase < days(7) THEN 1 END) / COUNT(*) AS rate
  FROM (
    SELECT customer, age, kind, customer * 1000000000000000000::HUGEINT AS own,
      MAX(CASE WHEN kind = 0 THEN customer * 1000000000000000000::HUGEINT + age END)
        OVER (ROWS UNBOUNDED PRECEDING) AS purchase
    FROM history WHERE age <= days(180) AND kind IN (0, 1)
  )
  WHERE kind = 1 GROUP BY customer
),
"""

# A prepared log lies in order of customer and time, oldest first, in a few files of whole customers.
PREPARED = """
WITH history AS NOT MATERIALIZED (
  SELECT customer_id AS customer, now() - epoch_us(timestamp) AS age, {kind} AS kind, channel
  FROM '{path}' WHERE timestamp < {as_of}
),
paid AS MATERIALIZED (
  SELECT customer_id AS customer, now() - epoch_us(timestamp) AS age, event_type = 'purchase' AS bought,
    item_id AS item, amount AS revenue, quantity AS units, channel
  FROM '{path}' WHERE timestamp < {as_of} AND (event_type = 'purchase' OR amount IS NOT NULL)
),
viewed AS MATERIALIZED (
  SELECT customer_id AS customer, now() - epoch_us(timestamp) AS age, item_id AS item
  FROM '{path}' WHERE timestamp < {as_of} AND timestamp >= {as_of} - INTERVAL 180 DAY AND event_type = 'view'
),
conversions AS (
  SELECT viewed.customer, COUNT(CASE WHEN age - purchase < days(7) THEN 1 END) / COUNT(*) AS rate
  FROM viewed ASOF LEFT JOIN (SELECT customer, age AS purchase FROM paid WHERE bought) AS purchases
    ON viewed.customer = purchases.customer AND viewed.age >= purchase
  GROUP BY viewed.customer
),
"""


def build(path: Path, as_of: datetime) -> pa.Table:
    """One row per customer; see the package. `path` is the log's file, or the folder of the prepared log."""
    return run(path, as_of, text)


def run(path: Path, as_of: datetime, text: Callable[..., str]) -> pa.Table:
    """The table of a text, which is written for the log's file or for each of the prepared log's files."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'").fetchall()
    now = int(as_of.timestamp()) * 1_000_000
    # Constants to the engine, and readable.
    connection.execute(f"CREATE MACRO now() AS {now}").fetchall()
    connection.execute("CREATE MACRO days(n) AS n * 86400000000").fetchall()
    if path.is_file():
        return connection.sql(text(path, as_of)).to_arrow_table()
    buckets = sorted(path.rglob("*.parquet"))
    return pa.concat_tables(connection.sql(text(bucket, as_of, prepared=True)).to_arrow_table() for bucket in buckets)


def text(path: Path, as_of: datetime, *, prepared: bool = False) -> str:
    """The SQL text for a file of the log."""
    column, cutoff = ("event_type", "TIMESTAMP") if prepared else ("kind", "TIMESTAMPTZ")
    numbers = " ".join(f"WHEN '{kind}' THEN {number}" for number, kind in enumerate(KINDS))
    source = (PREPARED if prepared else RAW).format(
        path=path,
        kind=f"CASE {column} {numbers} ELSE {len(KINDS)} END::UTINYINT",
        as_of=f"{cutoff} '{as_of:%Y-%m-%d %H:%M:%S}{'' if prepared else '+00'}'",
    )
    newer, older = ("LEAD", "LAG") if prepared else ("LAG", "LEAD")
    return source + FEATURES.read_text().replace("NEWER(", f"{newer}(").replace("OLDER(", f"{older}(")

"""The features in DuckDB SQL: conditional aggregates with CASE, and a step of its own for each other grouping.

Measured shapes that lost: FILTER (2-3 times slower than CASE), count(DISTINCT) (slower than grouping by the pair
first), everything in one GROUP BY with window functions, cells per (customer, kind, period) summed afterwards.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
from benchmarks.peers import Feature

DAY = 86_400_000_000


def build(path: Path, features: Sequence[Feature], as_of: datetime) -> pa.Table:
    """One row per customer; see the package."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
    return connection.sql(text(path, features, as_of)).to_arrow_table()


def text(path: Path, features: Sequence[Feature], as_of: datetime) -> str:
    """The SQL text."""
    columns = ",\n    ".join(f'{_plain(f, as_of)} AS "{f.name}"' for f in features if _is_plain(f))
    steps = [
        # epoch_us does not go through the time zone tables, unlike a cast to TIMESTAMP.
        "history AS (\n  SELECT customer, make_timestamp(epoch_us(ts)) AS ts, kind, item, revenue, units, channel\n"
        f"  FROM read_parquet('{path}')\n  WHERE ts < TIMESTAMPTZ '{as_of:%Y-%m-%d %H:%M:%S}+00'\n)",
        f"customers AS (\n  SELECT customer,\n    {columns}\n  FROM history\n  GROUP BY customer\n)",
    ]
    others: dict[str, list[str]] = {}
    for name, query, names in [*_distinct(features, as_of), *_gaps(features, as_of)]:
        steps.append(f"{name} AS (\n  {query}\n)")
        others[name] = names
    selected = [f'customers."{f.name}"' for f in features if _is_plain(f)]
    for name, names in others.items():
        missing = "0" if name.startswith("distinct") else "NULL"
        selected += [f'COALESCE({name}."{column}", {missing}) AS "{column}"' for column in names]
    joins = "".join(f"\nLEFT JOIN {name} USING (customer)" for name in others)
    return f"WITH {', '.join(steps)}\nSELECT customer, {', '.join(selected)}\nFROM customers{joins}"


def _is_plain(feature: Feature) -> bool:
    return feature.verb != "NUnique" and not (feature.verb == "Gap" and feature.stat == "std")


def _condition(filters: Sequence[tuple[str, tuple[str, ...]]], start: datetime | None, time: str = "ts") -> str:
    parts = [f"{column} IN {values}" if len(values) > 1 else f"{column} = {values[0]!r}" for column, values in filters]
    if start is not None:
        parts.append(f"{time} >= TIMESTAMP '{start:%Y-%m-%d %H:%M:%S}'")
    return " AND ".join(parts) or "TRUE"


def _plain(feature: Feature, as_of: datetime) -> str:
    """One aggregate per customer."""
    condition = _condition(feature.filters, feature.start(as_of))
    value = f"CASE WHEN {condition} THEN {feature.column or 'ts'} END"
    since = f"(epoch_us(TIMESTAMP '{as_of:%Y-%m-%d %H:%M:%S}') - epoch_us"
    simple = {
        "Recency": f"{since}(MAX({value}))) / {DAY}",
        "Tenure": f"{since}(MIN({value}))) / {DAY}",
        "Count": f"COUNT(CASE WHEN {condition} THEN 1 END)",
        "Sum": f"COALESCE(SUM({value}), 0)",
        "Mean": f"AVG({value})",
        "Min": f"MIN({value})",
        "Max": f"MAX({value})",
        "Std": f"STDDEV_SAMP({value})",
        "Latest": f"ARG_MAX({feature.column}, CASE WHEN {condition} THEN ts END)",
        "Gap": f"(epoch_us(MAX({value})) - epoch_us(MIN({value}))) / NULLIF(COUNT({value}) - 1, 0) / {DAY}",
    }
    if feature.verb in simple:
        return simple[feature.verb]
    if feature.verb == "Share":
        base = _condition(feature.base, feature.start(as_of))
        return f"COUNT(CASE WHEN {condition} THEN 1 END) / NULLIF(COUNT(CASE WHEN {base} THEN 1 END), 0)"
    return _trend(feature, as_of, condition)


def _trend(feature: Feature, as_of: datetime, condition: str) -> str:
    """The least-squares slope over K periods is linear in the events: one weighted sum."""
    start, periods = feature.start(as_of), feature.periods
    period = int(feature.length.total_seconds() * 1_000_000) // periods
    x = f"((epoch_us(ts) - epoch_us(TIMESTAMP '{start:%Y-%m-%d %H:%M:%S}')) // {period})"
    weight = f"(2 * {x} - {periods - 1})" + (f" * {feature.column}" if feature.column else "")
    return f"COALESCE(SUM(CASE WHEN {condition} THEN {weight} END), 0) * 6.0 / {periods * (periods**2 - 1)}"


def _distinct(features: Sequence[Feature], as_of: datetime) -> list[tuple[str, str, list[str]]]:
    """Exact distinct values: group by the pair, keep its last time per filter, count the pairs in the window."""
    found = []
    wanted = [feature for feature in features if feature.verb == "NUnique"]
    for column in dict.fromkeys(feature.column for feature in wanted):
        own = [feature for feature in wanted if feature.column == column]
        filters = list(dict.fromkeys(feature.filters for feature in own))
        lasts = ", ".join(
            f"MAX(CASE WHEN {_condition(each, None)} THEN ts END) AS last_{i}" for i, each in enumerate(filters)
        )
        counts = []
        for feature in own:
            last = f"last_{filters.index(feature.filters)}"
            inside = _condition((), feature.start(as_of), last) if feature.window else f"{last} IS NOT NULL"
            counts.append(f'COUNT(CASE WHEN {inside} THEN 1 END) AS "{feature.name}"')
        oldest = {each: _oldest(own, each, as_of) for each in filters}
        any_of = " OR ".join(f"({_condition(each, oldest[each])})" for each in filters)
        pairs = (
            f"SELECT customer, {column}, {lasts} FROM history "
            f"WHERE {column} IS NOT NULL AND ({any_of}) GROUP BY customer, {column}"
        )
        query = f"SELECT customer, {', '.join(counts)}\n  FROM ({pairs})\n  GROUP BY customer"
        found.append((f"distinct_{column}", query, [feature.name for feature in own]))
    return found


def _oldest(own: Sequence[Feature], filters: object, as_of: datetime) -> datetime | None:
    """The start of the longest window with these filters; None where one looks at all history."""
    starts = [feature.start(as_of) for feature in own if feature.filters == filters]
    known = [start for start in starts if start is not None]
    return min(known) if len(known) == len(starts) else None


def _gaps(features: Sequence[Feature], as_of: datetime) -> list[tuple[str, str, list[str]]]:
    """Standard deviations of the time between events: one LAG per filter."""
    wanted = [feature for feature in features if feature.verb == "Gap" and feature.stat == "std"]
    found = []
    for number, filters in enumerate(dict.fromkeys(feature.filters for feature in wanted)):
        own = [feature for feature in wanted if feature.filters == filters]
        lag = "LAG(ts) OVER (PARTITION BY customer ORDER BY ts)"
        gaps = f"SELECT customer, {lag} AS before, epoch_us(ts) - epoch_us({lag}) AS gap FROM history"
        columns = ", ".join(
            f'STDDEV_SAMP(CASE WHEN {_condition((), f.start(as_of), "before")} THEN gap END) / {DAY} AS "{f.name}"'
            for f in own
        )
        inner = f"{gaps} WHERE {_condition(filters, None)}"
        query = f"SELECT customer, {columns}\n  FROM ({inner})\n  GROUP BY customer"
        found.append((f"gaps_{number}", query, [feature.name for feature in own]))
    return found

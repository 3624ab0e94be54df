"""The rows of a log in plain Python: what a cutoff may see, what matches a definition, values as exact numbers.

A log is a list of rows: dicts with `customer_id`, `timestamp` (microseconds since 1970, UTC), `recorded_at`
(the same, or None) and any other columns. Numbers are decimals or fractions, so nothing is lost on the way to
the one division or square root at the end.
"""

import math
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

Row = dict[str, Any]

DAY = 86_400_000_000  # microseconds
UNITS = {"w": 7 * DAY, "d": DAY, "h": DAY // 24, "m": 60_000_000, "s": 1_000_000}


def duration(text: str) -> int:
    """The microseconds of "30d", "8w", "12h", "30m" or "45s"."""
    return int(text[:-1]) * UNITS[text[-1]]


def history(rows: Iterable[Row], as_of: int) -> list[Row]:
    """The rows that happened, and were known, before the cutoff."""

    def known(row: Row) -> int:
        recorded = row.get("recorded_at")
        return int(row["timestamp"] if recorded is None else recorded)

    return [row for row in rows if row["timestamp"] < as_of and known(row) < as_of]


def within(rows: Iterable[Row], window: str | None, as_of: int) -> list[Row]:
    """The rows at or after the start of the window."""
    if window is None:
        return list(rows)
    return [row for row in rows if row["timestamp"] >= as_of - duration(window)]


def equal_or_in(row: Row, column: str, wanted: Any) -> bool:
    """Whether the row's value is the wanted one, or one of them; a missing value is none of them."""
    if wanted is None:
        return True
    value = row.get(column)
    options = wanted if isinstance(wanted, (list, tuple, set, frozenset)) else [wanted]
    return value is not None and any(value == option for option in options)


def conditions(definition: Any) -> dict[str, Any]:
    """The attributes that a definition filters by."""
    where = definition.where
    return dict(where) if where else {}


def matching(rows: Iterable[Row], definition: Any, as_of: int) -> list[Row]:
    """History, filter and window of a definition, oldest first."""
    seen = within(history(rows, as_of), definition.window, as_of)
    found = [
        row
        for row in seen
        if equal_or_in(row, "event_type", definition.event_type)
        and equal_or_in(row, "channel", definition.channel)
        and all(equal_or_in(row, column, wanted) for column, wanted in conditions(definition).items())
    ]
    return sorted(found, key=lambda row: row["timestamp"])


def exact(value: Any) -> Fraction:
    """A number, rounded half away from zero to 6 decimals."""
    return Fraction(Decimal(str(value)).quantize(Decimal("0.000001"), rounding=ROUND_HALF_UP))


def present(rows: Iterable[Row], column: str) -> list[Any]:
    """The values of a column that are there."""
    values = [row.get(column) for row in rows]
    return [value for value in values if value is not None and value == value]


def numbers(rows: Iterable[Row], column: str) -> list[Fraction]:
    return [exact(value) for value in present(rows, column)]


def sample_deviation(values: list[Fraction]) -> float:
    """The square root of the sum of squared deviations over n - 1."""
    if len(values) < 2:
        return math.nan
    mean = sum(values, Fraction(0)) / len(values)
    return math.sqrt(sum(((value - mean) ** 2 for value in values), Fraction(0)) / (len(values) - 1))

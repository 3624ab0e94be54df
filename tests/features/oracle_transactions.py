"""What `transactions` and `discrete_transactions` have to say, customer by customer, in plain Python."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from tests.features.oracle_rows import Row, equal_or_in, exact, history

BEGIN = datetime(1970, 1, 1, tzinfo=UTC)


def day(at: int, zone: str) -> int:
    """The calendar day of a time, counted from any day."""
    return (BEGIN + timedelta(microseconds=at)).astimezone(ZoneInfo(zone)).date().toordinal()


def by_moment(
    rows: list[Row], as_of: int, event_type: Any, returns: Any, moment: Callable[[int], int]
) -> dict[Any, tuple[list[int], dict[int, list[Row]], dict[int, list[Row]]]]:
    """For every customer with a purchase: its moments with one, the purchases of each, and these with the returns."""
    bought: dict[Any, dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
    either: dict[Any, dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in history(rows, as_of):
        who, at = row["customer_id"], moment(row["timestamp"])
        if equal_or_in(row, "event_type", event_type):
            bought[who][at].append(row)
        if equal_or_in(row, "event_type", event_type) or (
            returns is not None and equal_or_in(row, "event_type", returns)
        ):
            either[who][at].append(row)
    return {who: (sorted(days), days, either[who]) for who, days in bought.items()}


def transactions(
    rows: list[Row], as_of: int, *, event_type: Any, returns: Any, unit_us: int, zone: str | None
) -> dict[Any, dict[str, Any]]:
    """x, t_x, T and m_x by customer; `zone` None merges by microsecond only."""
    step = 1 if zone is None else 86_400_000_000
    until = as_of if zone is None else day(as_of - 1, zone)
    found = {}
    merged = by_moment(rows, as_of, event_type, returns, (lambda at: at) if zone is None else lambda at: day(at, zone))
    for who, (moments, bought, either) in merged.items():
        first, last = moments[0], moments[-1]
        later = [row["amount"] for at, found in either.items() if at > first for row in found]
        value = sum((exact(amount) for amount in later if amount is not None), Fraction(0))
        priced = sum(any(row["amount"] is not None for row in bought[at]) for at in moments[1:])
        found[who] = {
            "x": len(moments) - 1,
            "t_x": float(Fraction((last - first) * step, unit_us)),
            "T": float(Fraction((until - first) * step, unit_us)),
            "m_x": float(value / priced) if priced else None,
        }
    return found


def discrete(
    rows: list[Row], as_of: int, *, event_type: Any, period: Callable[[int], int]
) -> dict[Any, dict[str, Any]]:
    """x, t_x and n by customer, for the number of the period of a time."""
    merged = by_moment(rows, as_of, event_type, None, period)
    until = period(as_of - 1)
    return {
        who: {"x": len(moments) - 1, "t_x": moments[-1] - moments[0], "n": until - moments[0]}
        for who, (moments, _, _) in merged.items()
    }

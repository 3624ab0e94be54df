"""The rhythm family of the oracle: days, sessions, gaps, streaks, clocks, and how all of this changes."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from tests.features.oracle_rows import DAY, Row, duration, matching, numbers, sample_deviation, within

MINUTE = 60_000_000
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def times(rows: list[Row], definition: Any, as_of: int) -> list[int]:
    """The times of the matching events, oldest first."""
    return [row["timestamp"] for row in matching(rows, definition, as_of)]


def clock(microseconds: int, timezone: str = "UTC") -> datetime:
    """What a calendar and a clock of the zone show at that time."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)).astimezone(ZoneInfo(timezone))


def days_active(rows: list[Row], definition: Any, as_of: int) -> int:
    return len({clock(at, definition.timezone).date() for at in times(rows, definition, as_of)})


def sessions(rows: list[Row], definition: Any, as_of: int) -> float:
    found: list[list[int]] = []
    for at in times(rows, definition, as_of):
        if not found or at - found[-1][-1] > duration(definition.gap):
            found.append([])
        found[-1].append(at)
    if definition.stat == "count":
        return len(found)
    if not found:
        return math.nan
    if definition.stat == "events":
        return float(Fraction(sum(len(session) for session in found), len(found)))
    return float(Fraction(sum(session[-1] - session[0] for session in found), len(found) * MINUTE))


def gap(rows: list[Row], definition: Any, as_of: int) -> float:
    gaps = [Fraction(late - early, DAY) for early, late in pairwise(times(rows, definition, as_of))]
    if definition.stat == "std":
        return sample_deviation(gaps)
    if not gaps:
        return math.nan
    mean = sum(gaps, Fraction(0)) / len(gaps)
    if definition.stat == "last_to_mean":
        return float(gaps[-1] / mean) if mean else math.nan
    return float({"mean": mean, "median": median(gaps), "last": gaps[-1]}[definition.stat])


def streak(rows: list[Row], definition: Any, as_of: int) -> int:
    every = duration(definition.every)
    active = {(as_of - at - 1) // every for at in times(rows, definition, as_of)}

    def length(newest: int) -> int:
        """How many periods in a row have events, from this one back."""
        n = 0
        while newest + n in active:
            n += 1
        return n

    return length(0) if definition.stat == "current" else max(map(length, active), default=0)


def time_to(rows: list[Row], definition: Any, as_of: int) -> float:
    found = times(rows, definition, as_of)
    return float(Fraction(found[definition.nth - 1] - found[0], DAY)) if len(found) >= definition.nth else math.nan


def hour_share(rows: list[Row], definition: Any, as_of: int) -> float:
    first, end = definition.hours
    hours = {hour % 24 for hour in range(first, end if first < end else end + 24)}
    found = [clock(at, definition.timezone).hour in hours for at in times(rows, definition, as_of)]
    return float(Fraction(sum(found), len(found))) if found else math.nan


def weekday_share(rows: list[Row], definition: Any, as_of: int) -> float:
    days = [definition.days] if isinstance(definition.days, str) else definition.days
    zone = definition.timezone
    found = [WEEKDAYS[clock(at, zone).weekday()] in days for at in times(rows, definition, as_of)]
    return float(Fraction(sum(found), len(found))) if found else math.nan


def cutoff_calendar(rows: list[Row], definition: Any, as_of: int) -> int:
    day = clock(as_of)
    return {"month": day.month, "weekday": day.weekday(), "day_of_year": day.timetuple().tm_yday}[definition.part]


def change(rows: list[Row], definition: Any, as_of: int) -> float:
    start = as_of - duration(definition.window)
    now = matching(rows, definition, as_of)
    # The window before ends where this one starts; what became known since then is known.
    earlier_rows = [row for row in matching_without_window(rows, definition, as_of) if row["timestamp"] < start]
    earlier = within(earlier_rows, definition.window, start)
    if definition.column is None:
        recent, before = Fraction(len(now)), Fraction(len(earlier))
    else:
        recent, before = (sum(numbers(part, definition.column), Fraction(0)) for part in (now, earlier))
    if definition.stat == "ratio":
        return float(recent / before) if before else math.nan
    return float(recent - before)


def matching_without_window(rows: list[Row], definition: Any, as_of: int) -> list[Row]:
    """The matching events of all history."""

    class AllHistory:
        event_type, channel, where, window = definition.event_type, definition.channel, definition.where, None

    return matching(rows, AllHistory, as_of)


RHYTHM: dict[str, Callable[[list[Row], Any, int], Any]] = {
    "DaysActive": days_active,
    "Sessions": sessions,
    "Gap": gap,
    "Streak": streak,
    "TimeTo": time_to,
    "HourShare": hour_share,
    "WeekdayShare": weekday_share,
    "CutoffCalendar": cutoff_calendar,
    "Change": change,
}

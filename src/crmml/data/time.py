"""Durations and moments: how windows, horizons and cutoffs are written, and what they are in microseconds."""

import re
from collections.abc import Iterable
from datetime import date, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pandas as pd

from crmml.errors import ConfigError, did_you_mean

AsOf = str | date | datetime | pd.Timestamp

SECOND = 1_000_000
DAY = 86_400 * SECOND
# A hundred thousand years is more than any clock; beyond it 64 bits would not hold the microseconds.
_TOO_LONG = 100_000 * 365 * DAY
_UNITS = {"s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": DAY, "w": 7 * DAY}
_DURATION = re.compile(r"([0-9]+)([smhdw])")
# The spellings that mean one moment only: in "05/01/2024" or "01.05.2024" nobody knows which one is the month.
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)? ?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?"
)
# Words people try, and what they should write.
_WORDS = {"day": "d", "week": "w", "hour": "h", "minute": "m", "min": "m", "second": "s", "sec": "s"}
_CALENDAR = {"month": 30, "mo": 30, "quarter": 91, "q": 91, "year": 365, "y": 365, "yr": 365}


def parse_duration(text: str, what: str = "duration") -> int:
    """A duration such as "30d", "8w", "12h", "45m" or "90s" in microseconds.

    Months and years are not durations: they differ in length.

    Raises:
        ConfigError: the spelling is unknown, or the duration is not positive.

    >>> parse_duration("30d") == 30 * 24 * 3600 * 10**6
    True
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ConfigError(f"{what} {text!r} is not a duration{_suggestion(text)}")
    # Python does not read numbers of thousands of digits; whatever has more than 30 is too long anyway.
    microseconds = int(match[1]) * _UNITS[match[2]] if len(match[1]) <= 30 else _TOO_LONG + 1
    if microseconds == 0:
        raise ConfigError(f"{what} {text!r} has no length. Use a positive duration, for example '30d'.")
    if microseconds > _TOO_LONG:
        raise ConfigError(f"{what} {text!r} is longer than any log. Leave it out, or use for example '3650d'.")
    return microseconds


def _suggestion(text: Any) -> str:
    words = re.fullmatch(r"\s*(\d{1,30})\s*([A-Za-z]+?)s?\s*", text) if isinstance(text, str) else None
    if words:
        number, unit = int(words[1]), words[2].lower()
        if unit in _CALENDAR:
            return f": months and years differ in length. Use days: '{number * _CALENDAR[unit]}d'."
        short = unit if unit in _UNITS else _WORDS.get(unit)
        if short:
            return f". Use '{number}{short}'."
    return ". Use a number and one of s, m, h, d, w, for example '30d', '8w' or '12h'."


def moment_of(value: AsOf, what: str = "as_of") -> pd.Timestamp:
    """A moment in UTC, in microseconds; without a zone it is meant in UTC.

    Raises:
        ConfigError: it is not a moment.

    >>> moment_of("2024-01-31")
    Timestamp('2024-01-31 00:00:00+0000', tz='UTC')
    """
    try:
        # datetime and pandas.Timestamp are dates too; a number would be taken for nanoseconds.
        readable = _ISO.fullmatch(value) is not None if isinstance(value, str) else isinstance(value, date)
        when = pd.Timestamp(value) if readable else None
    except (ValueError, OverflowError):
        when = None
    if when is None or pd.isna(when):
        raise ConfigError(
            f"{what} {value!r} is not a date or time. Use for example '2024-01-31' or '2024-01-31T12:00:00+01:00'."
        )
    return (when.tz_localize("UTC") if when.tzinfo is None else when.tz_convert("UTC")).as_unit("us")


def moments_of(as_of: AsOf | Iterable[AsOf], what: str = "as_of") -> tuple[pd.Timestamp, ...]:
    """One or many moments, sorted; the same moment twice is an error.

    >>> len(moments_of(["2024-02-01", "2024-01-01"]))
    2
    """
    values = [as_of] if isinstance(as_of, (str, date)) or not isinstance(as_of, Iterable) else list(as_of)
    if not values:
        raise ConfigError(f"{what} is an empty list. Give at least one cutoff, for example '2024-01-31'.")
    moments = sorted(moment_of(value, what) for value in values)
    for before, after in pairwise(moments):
        if before == after:
            raise ConfigError(f"{what} {spoken(after)} stands in the list twice. Leave one of them out.")
    return tuple(moments)


def spoken(moment: pd.Timestamp) -> str:
    """A moment as people write it: the date alone at midnight UTC, otherwise with the time.

    >>> spoken(moment_of("2024-01-31"))
    '2024-01-31'
    """
    utc = moment.tz_convert("UTC")
    if utc == utc.normalize():
        return str(utc.date())
    return str(utc.tz_localize(None).isoformat(sep=" "))


def require_zone(timezone: str, what: str) -> None:
    """Raise a ConfigError where `timezone` is not the name of an IANA time zone.

    >>> require_zone("Europe/Berlin", "timezone")
    """
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError, TypeError, AttributeError):
        hint = did_you_mean(timezone, sorted(available_timezones())) if isinstance(timezone, str) else ""
        raise ConfigError(
            f"{what} {timezone!r} is not an IANA time zone.{hint} Use a name like 'UTC' or 'Europe/Berlin'."
        ) from None

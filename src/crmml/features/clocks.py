"""What clocks and calendars show: shares of the events by hour and weekday, and the calendar of the cutoff."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sqlglot import exp

from crmml.data.time import require_zone
from crmml.errors import ConfigError, did_you_mean
from crmml.features.aggregate import Aggregate, Feature
from crmml.features.expressions import count, microseconds, number, ratio
from crmml.features.filters import as_values
from crmml.features.moments import clock_sql, zone_parts
from crmml.features.plan import Plan

# In the order of their numbers.
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
PARTS = ("month", "weekday", "day_of_year")


@dataclass(frozen=True, repr=False, kw_only=True)
class HourShare(Aggregate):
    """Share of the events at certain hours of the day.

    An event counts if the hour that the clocks of `timezone` show, from 0 to 23, is at least the first of `hours`
    and below the second. Where the first is greater, the hours run past midnight: (22, 6) is from 22:00 to 05:59.

    Formula: |{i: first <= hour(t_i) < end}| / n
    Unit: share, 0 to 1
    Missing: no event matches

    Args:
        hours: the first hour, from 0 to 23, and the hour before which it ends, from 1 to 24.
        timezone: the IANA zone whose clocks count.

    >>> from crmml import HourShare
    >>> HourShare(hours=(22, 6), event_type="purchase", window="90d").name
    'hour_share_22_6_purchase_90d'
    """

    hours: Sequence[int] = (18, 24)
    timezone: str = "UTC"

    verb: ClassVar[str] = "hour_share"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_zone(self.timezone, "HourShare: timezone")
        whole = isinstance(self.hours, tuple) and all(type(hour) is int for hour in self.hours)
        if not whole or len(self.hours) != 2 or not 0 <= self.hours[0] <= 23 or not 1 <= self.hours[1] <= 24:
            raise ConfigError(
                f"HourShare: hours must be a first hour from 0 to 23 and an end from 1 to 24, not {self.hours!r}. "
                "Use hours=(18, 24)."
            )
        if self.hours[0] == self.hours[1] or self.hours == (0, 24):
            raise ConfigError(f"HourShare: hours {self.hours!r} is no part of a day. Use hours=(18, 24).")

    def _own_parts(self) -> list[str]:
        return [*(str(hour) for hour in self.hours), *zone_parts(self.timezone)]

    def sql(self, plan: Plan) -> exp.Expr:
        hour = plan.clock("hour", self.timezone)
        first, end = self.hours
        # No hour is below 0 or above 23: a bound there would only be compared with.
        bounds: list[exp.Expr] = [exp.GTE(this=hour, expression=number(first))] if first else []
        bounds += [exp.LT(this=hour.copy(), expression=number(end))] if end < 24 else []
        return _share(self, plan, exp.and_(*bounds) if first < end else exp.paren(exp.or_(*bounds)))


@dataclass(frozen=True, repr=False, kw_only=True)
class WeekdayShare(Aggregate):
    """Share of the events on certain days of the week.

    Formula: |{i: weekday(t_i) in days}| / n
    Unit: share, 0 to 1
    Missing: no event matches

    Args:
        days: the days, in English, such as ["saturday", "sunday"]; or one of them.
        timezone: the IANA zone whose calendar counts.

    >>> from crmml import WeekdayShare
    >>> WeekdayShare(window="90d").name
    'weekday_share_saturday_or_sunday_90d'
    """

    days: str | Sequence[str] = ("saturday", "sunday")
    timezone: str = "UTC"

    verb: ClassVar[str] = "weekday_share"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_zone(self.timezone, "WeekdayShare: timezone")
        days = as_values(self.days)
        for day in days:
            if day not in WEEKDAYS:
                hint = did_you_mean(day, WEEKDAYS) if isinstance(day, str) else ""
                raise ConfigError(
                    f"WeekdayShare: {day!r} is no day of the week.{hint} Use days=('saturday', 'sunday')."
                )
        if not 1 <= len(set(days)) == len(days) <= 6:
            raise ConfigError(
                f"WeekdayShare: days must be one to six different days, not {self.days!r}. "
                "Use days=('saturday', 'sunday')."
            )

    def _own_parts(self) -> list[str]:
        return ["_or_".join(as_values(self.days)), *zone_parts(self.timezone)]

    def sql(self, plan: Plan) -> exp.Expr:
        numbers = [number(WEEKDAYS.index(day)) for day in as_values(self.days)]
        return _share(self, plan, exp.In(this=plan.clock("weekday", self.timezone), expressions=numbers))


def _share(of: Aggregate, plan: Plan, condition: exp.Expr) -> exp.Expr:
    """The share of the matching events that meet a condition."""
    events = plan.events(of.filter)
    inside = events.inside(of.window_us)
    part = events.per_customer(count([*inside, condition]), f"n_of_{of.name}")
    return ratio(part, events.per_customer(count(events.inside(of.window_us)), f"of_{of.name}"))


@dataclass(frozen=True, repr=False, kw_only=True)
class CutoffCalendar(Feature):
    """Where in the year or week the cutoff lies, in UTC: the same for all customers of one cutoff.

    It lets a model that is trained on many cutoffs know the season. With cutoffs from less than a year, or always on
    the same weekday, it tells a model nothing, or what it should not learn: so no preset holds it.

    Formula: the calendar's month, weekday or day of the year of as_of
    Unit: "month" 1 to 12; "weekday" 0 (Monday) to 6; "day_of_year" 1 to 366
    Missing: never

    Args:
        part: "month", "weekday" or "day_of_year".

    >>> from crmml import CutoffCalendar
    >>> CutoffCalendar(part="weekday").name
    'as_of_weekday'
    """

    part: str = "month"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.part not in PARTS:
            raise ConfigError(
                f"CutoffCalendar: part must be 'month', 'weekday' or 'day_of_year', not {self.part!r}. "
                "Use part='month'."
            )

    @property
    def name(self) -> str:
        """The name of the feature's column, made from the definition."""
        return f"as_of_{self.part}"

    def sql(self, plan: Plan) -> exp.Expr:
        as_of = plan.as_of()
        if self.part == "weekday":
            return exp.cast(clock_sql("weekday", microseconds(as_of)), "BIGINT")
        part = exp.Month(this=as_of) if self.part == "month" else exp.DayOfYear(this=as_of)
        return exp.cast(part, "BIGINT")

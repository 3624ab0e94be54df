"""Days, hours and weekdays of an event, as whole numbers."""

from typing import Literal

from sqlglot import exp

from crmml.data.time import DAY
from crmml.features.expressions import microseconds, number
from crmml.features.filters import slug

Clock = Literal["day", "hour", "weekday"]
HOUR = DAY // 24
# The microseconds from Monday, 1899-12-25 to 1970-01-01: no event of a log is from before 1900, so that days are not
# negative in any zone (engines disagree on the division of negative numbers), and modulo 7 they are weekdays.
SINCE_1899 = 25_574 * DAY


def local_us(timestamp: exp.Expr, timezone: str) -> exp.Expr:
    """A TIMESTAMP in UTC as microseconds on the clocks of `timezone`."""
    if timezone != "UTC":
        utc = exp.AtTimeZone(this=timestamp, zone=exp.Literal.string("UTC"))
        timestamp = exp.AtTimeZone(this=utc, zone=exp.Literal.string(timezone))
    return microseconds(timestamp)


def clock_sql(part: Clock, at_us: exp.Expr) -> exp.Expr:
    """The part of a time, in microseconds since 1970, that a clock or calendar shows."""
    since = exp.Paren(this=exp.Add(this=at_us, expression=number(SINCE_1899)))
    # Small numbers first: their remainders are cheaper than those of microseconds.
    if part == "hour":
        hours = exp.cast(exp.IntDiv(this=since, expression=number(HOUR)), "INT")
        return exp.Mod(this=hours, expression=number(24))
    days = exp.cast(exp.IntDiv(this=since, expression=number(DAY)), "INT")
    return exp.Mod(this=days, expression=number(7)) if part == "weekday" else days


def zone_parts(timezone: str) -> list[str]:
    """The part of a feature's name that says whose clocks it means; none where they show UTC.

    >>> zone_parts("America/New_York")
    ['america_new_york']
    """
    return [] if timezone == "UTC" else [slug(timezone.replace("/", "_"))]

"""Days, hours and weekdays of an event, as whole numbers."""

from typing import Literal

from sqlglot import exp

from crmml.data.time import DAY
from crmml.features.expressions import microseconds, number

Clock = Literal["day", "hour", "weekday"]
HOUR = DAY // 24
# The microseconds from Monday, 1900-01-01 to 1970-01-01: no event of a log is older, so that days are not negative
# (engines disagree on the division of negative numbers), and a day's number modulo 7 is its weekday.
SINCE_1900 = 25_567 * DAY


def clock_sql(part: Clock, timestamp: exp.Expr, timezone: str) -> exp.Expr:
    """The part of a TIMESTAMP in UTC that the clocks of `timezone` show."""
    if timezone != "UTC":
        zone = exp.Literal.string(timezone)
        utc = exp.AtTimeZone(this=timestamp, zone=exp.Literal.string("UTC"))
        timestamp = exp.AtTimeZone(this=utc, zone=zone)
    since = exp.Paren(this=exp.Add(this=microseconds(timestamp), expression=number(SINCE_1900)))
    if part == "hour":
        hours = exp.IntDiv(this=since, expression=number(HOUR))
        return exp.cast(exp.Mod(this=exp.Paren(this=hours), expression=number(24)), "INT")
    days: exp.Expr = exp.IntDiv(this=since, expression=number(DAY))
    if part == "weekday":
        days = exp.Mod(this=exp.Paren(this=days), expression=number(7))
    return exp.cast(days, "INT")

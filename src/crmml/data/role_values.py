"""The SQL of a role's value: its column in the type that everything after it expects, time in UTC."""

from sqlglot import exp

from crmml.data.column_types import FLOATS, NUMBERS, ZONED
from crmml.data.roles import ID_ROLES, TIME_ROLES, Constant, Roles
from crmml.data.sources import Opened


def value_of(name: str, source: str, roles: Roles, opened: Opened) -> exp.Expr:
    """The value of a role or attribute `name`, which stands in the column `source` of the log."""
    if name == "event_type" and isinstance(roles.event_type, Constant):
        return exp.Literal.string(roles.event_type.value)
    column: exp.Expr = exp.column(source, quoted=True)
    kind = opened.columns[source]
    if opened.prepared is not None:  # cleaned and cast when it was written
        casts = opened.prepared.casts
        return exp.cast(column, casts[name]) if name in casts else column
    if name in TIME_ROLES:
        return _time_in_utc(column, kind, opened.text_times.get(name, kind in ZONED), roles)
    if kind in FLOATS:
        # NaN is a missing value; without this it would be the greatest of all numbers. Not by a comparison: DuckDB
        # leaves that out where a Parquet file's statistics, which know no NaN, say that no number is so great.
        number = exp.Not(this=exp.IsNan(this=column))
        value = exp.Case(ifs=[exp.If(this=number, true=column.copy())])
        return exp.cast(value, "BIGINT") if name in ID_ROLES else value
    if name in ID_ROLES and kind in NUMBERS and "HUGE" not in kind and kind != "UBIGINT":
        # The same ids whatever the width in which a file keeps them.
        return exp.cast(column, "BIGINT")
    return exp.cast(column, "TEXT") if kind.startswith("ENUM") else column


def _time_in_utc(column: exp.Expr, kind: str, zoned: bool, roles: Roles) -> exp.Expr:
    if zoned:
        moment = column if kind == ZONED[0] else exp.cast(column, "TIMESTAMPTZ")
        # Through the microseconds: AT TIME ZONE asks the calendar for every single row.
        microseconds = exp.Anonymous(this="epoch_us", expressions=[moment])
        return exp.Anonymous(this="make_timestamp", expressions=[microseconds])
    local = column if kind == "TIMESTAMP" else exp.cast(column, "TIMESTAMP")
    if roles.timezone in (None, "UTC"):
        return local
    zone, utc = (exp.Literal.string(text) for text in (str(roles.timezone), "UTC"))
    return exp.AtTimeZone(this=exp.AtTimeZone(this=local, zone=zone), zone=utc)

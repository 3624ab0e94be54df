"""Values and names as SQL: the one place where they become SQLGlot nodes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import Any

from sqlglot import exp

from crmml.errors import ConfigError

# Our own names that need no quotes; every name that a user chose is quoted.
_PLAIN = ("customer_id", "event_type", "item_id", "amount", "quantity", "channel", "event_id", "recorded_at")
# Above it, SQL has no integers.
LARGEST_INTEGER = 2**127


def name_of(column: str, table: str | None = None) -> exp.Column:
    """A role or an attribute as a column: quoted, unless it is a plain name of our own."""
    return exp.column(exp.to_identifier(column, quoted=column not in _PLAIN), table=table)


def named(value: exp.Expr, name: str) -> exp.Expr:
    """`value AS name`; the value alone where it is a column of that name."""
    if isinstance(value, exp.Column) and value.name == name:
        return value
    return exp.alias_(value, exp.to_identifier(name, quoted=name not in _PLAIN))


def not_null(column: str) -> exp.Expr:
    """`column IS NOT NULL`, of a role or an attribute."""
    return is_there(name_of(column))


def is_there(value: exp.Expr) -> exp.Expr:
    """`value IS NOT NULL`."""
    return exp.Not(this=exp.Is(this=value, expression=exp.null()))


def can_be_compared(number: float | Decimal) -> bool:
    """Whether a column of numbers can hold a number: it is finite, and not above the greatest double."""
    try:
        return isfinite(float(number))
    except (OverflowError, ValueError):  # of integers; of a signalling NaN
        return False


def literal(value: Any) -> exp.Expr:
    """A text, number or truth value as a SQL literal.

    Raises:
        ConfigError: the value is of another type, or text that no engine can hold.
    """
    if isinstance(value, bool):
        return exp.true() if value else exp.false()
    if isinstance(value, (int, float, Decimal)):
        if not can_be_compared(value):
            raise ConfigError(f"the value {value!r:.40} cannot be compared with a column. Use a finite number.")
        return exp.convert(value if -LARGEST_INTEGER < value < LARGEST_INTEGER else float(value))
    if isinstance(value, str):
        if "\0" in value:
            raise ConfigError(f"the text {value!r} contains a NUL character, which SQL cannot hold. Remove it.")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise ConfigError(f"the text {value!r} contains half a character, which UTF-8 cannot hold. Remove it.")
        return exp.Literal.string(value)
    raise ConfigError(
        f"the value {value!r} ({type(value).__name__}) cannot be compared with a column. "
        "Use a text, a number, True or False."
    )


def is_one_of(column: str | exp.Column, values: Sequence[Any]) -> exp.Expr:
    """`column = value`, or `column IN (values)` where there are several; a role or attribute by its name."""
    name = name_of(column) if isinstance(column, str) else column
    if len(values) == 1:
        return exp.EQ(this=name, expression=literal(values[0]))
    return exp.In(this=name, expressions=[literal(value) for value in values])


def moment(value: str | datetime) -> exp.Expr:
    """A moment as a TIMESTAMP literal in UTC; a text or datetime without a zone is UTC."""
    try:
        when = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ConfigError(
            f"{value!r} is not a date or time. Use a text like '2024-01-31' or '2024-01-31T12:30:00+01:00'."
        ) from None
    if when.tzinfo is not None:
        when = when.astimezone(UTC).replace(tzinfo=None)
    return exp.cast(exp.Literal.string(when.isoformat(sep=" ")), "TIMESTAMP")

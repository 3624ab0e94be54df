"""Which types of columns can play which role; everything else is refused with an example from the column."""

import re

from sqlglot import exp

from crmml.data.roles import ID_ROLES, NUMERIC_ROLES, TIME_ROLES, Roles
from crmml.data.sources import LOG, Opened
from crmml.errors import SchemaError, shape_of

NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
FLOATS = ("FLOAT", "DOUBLE")
ZONED = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")


def is_number(kind: str) -> bool:
    """Whether the values of the engine's type `kind` are numbers (or truth values)."""
    decimal = kind.startswith("DECIMAL") and not kind.endswith("]")  # "DECIMAL(9,2)[]" is a list of them
    return kind in NUMBERS or kind in FLOATS or decimal or kind == "BOOLEAN"


def is_text(kind: str) -> bool:
    """Whether the values of the engine's type `kind` are texts."""
    return kind == "VARCHAR" or kind.startswith("ENUM")


def check_types(roles: Roles, opened: Opened) -> None:
    """Raise a SchemaError if a column of the log cannot play its role."""
    for role, column in roles.columns().items():
        kind = opened.columns[column]
        if role in TIME_ROLES:
            _check_time(roles, opened, role)
        elif role in NUMERIC_ROLES and not is_number(kind):
            raise SchemaError(
                f"InteractionLog: column {column!r} cannot be the {role}: it is {_spoken(kind)}"
                f"{_example(opened, column)}. Make it a number, for example "
                f"frame[{column!r}] = pd.to_numeric(frame[{column!r}])."
            )
        elif role == "event_type" and not is_text(kind):
            raise SchemaError(
                f"InteractionLog: column {column!r} cannot be the event_type: it is {_spoken(kind)}"
                f"{_example(opened, column)}. Make it text, or use event_type=Constant('purchase')."
            )
        elif role in ID_ROLES:
            _check_id(opened, role, column)


def _check_id(opened: Opened, role: str, column: str) -> None:
    """Ids are whole numbers or texts; pandas makes floats of whole numbers as soon as one is missing."""
    kind = opened.columns[column]
    if kind in NUMBERS or is_text(kind) or kind in ("UUID", '"NULL"') or re.fullmatch(r"DECIMAL\(\d+,0\)", kind):
        return
    example = _first_fraction(opened, column) if kind in FLOATS else _example(opened, column)
    if kind in FLOATS and not example:
        return
    raise SchemaError(
        f"InteractionLog: column {column!r} cannot be the {role}: it is {_spoken(kind)}{example}. "
        f"Make it text or whole numbers, for example frame[{column!r}] = frame[{column!r}].astype(str)."
    )


def _first_fraction(opened: Opened, column: str) -> str:
    """ " (for example 1.5)" with the least value that is no whole number of 53 bits, or "" where all are."""
    value = exp.column(column, quoted=True)
    whole = exp.and_(
        exp.EQ(this=exp.Floor(this=value), expression=value.copy()),
        exp.LTE(this=exp.Abs(this=value.copy()), expression=exp.Literal.number(2**53)),
    )
    known = exp.Not(this=exp.Anonymous(this="isnan", expressions=[value.copy()]))
    query = exp.select(exp.alias_(exp.Min(this=value.copy()), "example")).from_(LOG)
    example = opened.engine.row(query.where(known, exp.Not(this=exp.paren(whole))))["example"]
    return _for_example(opened, column, example)


def _check_time(roles: Roles, opened: Opened, role: str) -> None:
    column = roles.columns()[role]
    kind = opened.columns[column]
    zoned = opened.text_times.get(role, kind in ZONED)
    if role not in opened.text_times and not kind.startswith(("TIMESTAMP", "DATE")):
        unit = ", unit='s'" if is_number(kind) else ""
        raise SchemaError(
            f"InteractionLog: column {column!r} cannot be the {role}: it is {_spoken(kind)}"
            f"{_example(opened, column)}. Parse it first, for example "
            f"frame[{column!r}] = pd.to_datetime(frame[{column!r}]{unit}, utc=True)."
        )
    if not zoned and roles.timezone is None:
        raise SchemaError(
            f"InteractionLog: the times in column {column!r} have no zone{_example(opened, column)}. "
            "Say which one they are meant in, for example timezone='UTC' or timezone='Europe/Berlin'."
        )


def _example(opened: Opened, column: str) -> str:
    """ " (for example 'x')" with a value of the column, or "" where it has none."""
    value = exp.column(column, quoted=True)
    query = exp.select(exp.alias_(exp.cast(exp.Min(this=value), "TEXT"), "example")).from_(LOG)
    example = opened.engine.row(query)["example"]
    return _for_example(opened, column, example)


def _for_example(opened: Opened, column: str, value: object) -> str:
    """A value of a column for a message; of a text, which can be personal, the shape."""
    if value is None:
        return ""
    return f" (for example {shape_of(value) if is_text(opened.columns[column]) else repr(value)})"


def _spoken(kind: str) -> str:
    return "text" if is_text(kind) else kind.lower()

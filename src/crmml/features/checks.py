"""Whether a log has what a definition names: columns, their types, event types."""

import re
from typing import TYPE_CHECKING

from sqlglot import exp

from crmml.data.column_types import is_number
from crmml.data.cutoffs import require_event_types
from crmml.data.sql import name_of
from crmml.data.steps import EVENTS, chain
from crmml.errors import SchemaError
from crmml.features.filters import Filter

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog
    from crmml.features.aggregate import Aggregate
    from crmml.features.vectors import MeanVector

# A list of the engine: of any length, or of one ("float[3]").
LIST = re.compile(r"(?P<of>[^\[\]]+)\[(?P<size>\d*)\]")


def check_aggregate(aggregate: "Aggregate", log: "InteractionLog", *, numeric: bool) -> None:
    """Raise a SchemaError where `log` lacks a column of `aggregate`, or has it in another type."""
    where = repr(aggregate)
    check_columns(aggregate.filter, log, where)
    of = aggregate.of
    if of is None:
        return
    log.require(of, where)
    if numeric and log.kind(of) != "number":
        raise SchemaError(
            f"{where}: {of!r} is {log.kind(of)}, not a number. "
            f"Use NUnique({of!r}) or Latest({of!r}), or a column of numbers."
        )


def check_vectors(of: "MeanVector", log: "InteractionLog") -> None:
    """Raise a SchemaError where the column holds neither texts nor lists of as many numbers as `of` says."""
    where, name, kind = repr(of), of.column, log.kind(of.column)
    if kind == "text":
        return
    list_of = LIST.fullmatch(kind)
    if not list_of or not is_number(list_of["of"].upper()):
        raise SchemaError(
            f"{where}: {name!r} is {kind}, neither a list of numbers nor text. "
            f"Use a column with a list of {of.size} numbers per event, or Mean({name!r}) if it is one number."
        )
    vector = name_of(name)
    length, known = exp.ArraySize(this=vector), exp.Anonymous(this="list_count", expressions=[vector.copy()])
    least, most, there = (
        exp.Min(this=length),
        exp.Max(this=length.copy()),
        exp.Min(this=exp.Sub(this=known, expression=length.copy())),
    )
    query = exp.select(exp.alias_(least, "least"), exp.alias_(most, "most"), exp.alias_(there, "there")).from_(EVENTS)
    row = log.engine.row(chain(log.steps([name]), query))
    if row["least"] is None:
        return
    if row["least"] != row["most"]:
        raise SchemaError(
            f"{where}: the lists in {name!r} have from {row['least']} to {row['most']} numbers. "
            "Make them vectors of one length; a missing one is None."
        )
    if row["most"] != of.size:
        raise SchemaError(
            f"{where}: the lists in {name!r} have {row['most']} numbers, not {of.size}. Use size={row['most']}."
        )
    if row["there"]:
        raise SchemaError(
            f"{where}: a list in {name!r} lacks some of its numbers. Fill them, or make the whole list missing (None)."
        )


def check_columns(filter_: Filter, log: "InteractionLog", where: str) -> None:
    """Raise a SchemaError where `log` lacks a column that the filter compares, or has it in another type."""
    for name, values in filter_.conditions:
        log.require(name, where)
        kind = log.kind(name)
        if kind not in ("text", "number", "uuid", '"null"'):
            raise SchemaError(
                f"{where}: {name!r} is {kind}, which no filter compares. Make it text or a number in the log, for "
                f"example frame[{name!r}] = frame[{name!r}].astype(str)."
            )
        for value in values:
            fits = isinstance(value, str) if kind == "text" else not isinstance(value, str)
            if kind in ("text", "number") and not fits:
                example = "'gold'" if kind == "text" else "1"
                raise SchemaError(
                    f"{where}: {name!r} is {kind}, and {value!r} ({type(value).__name__}) is not. "
                    f"Compare it with a {kind}, for example {name}={example}."
                )


def check_event_types(filter_: Filter, log: "InteractionLog", where: str) -> None:
    """Raise a ConfigError where the filter names an event type that never occurs in `log`."""
    for name, values in filter_.conditions:
        if name == "event_type":
            require_event_types(log, values, where)

"""Whether a log has what a definition names: columns, their types, event types."""

from typing import TYPE_CHECKING

from crmml.errors import ConfigError, SchemaError, did_you_mean
from crmml.features.filters import Filter

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog
    from crmml.features.aggregate import Aggregate


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
    known = log.facts.event_types
    for name, values in filter_.conditions:
        if name != "event_type":
            continue
        for value in values:
            if value not in known:
                listed = ", ".join(f"{kind!r} ({n:,})" for kind, n in list(known.items())[:20])
                raise ConfigError(
                    f"{where}: event type {value!r} never occurs in the log."
                    f"{did_you_mean(value, known)} It has: {listed}."
                )

"""The facts of a log that every table needs, read in one pass; and what makes a log unusable."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from sqlglot import exp

from crmml.data.engine import EngineError
from crmml.data.sql import moment
from crmml.data.steps import EVENTS, chain
from crmml.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from crmml.data.log import InteractionLog

# No interaction log is older than this: an earlier time is a wrong default or a parsing mistake.
EARLIEST = datetime(1900, 1, 1)  # noqa: DTZ001 (UTC, as every time inside)
# Clocks differ a little; a day is more than any of them.
CLOCK_SKEW = timedelta(days=1)


@dataclass(frozen=True)
class Facts:
    """What one pass over a log says.

    Attributes:
        rows: number of events, after cleaning.
        missing_customer_id: events without a customer.
        missing_timestamp: events without a time.
        impossible_timestamp: events before 1900.
        future_timestamp: events later than a day from now.
        first, last: time of the first and last event (UTC), NaT where there is none.
        event_types: number of events by event type, most frequent first; empty where the log has no event_type.
    """

    rows: int
    missing_customer_id: int
    missing_timestamp: int
    impossible_timestamp: int
    future_timestamp: int
    first: "pd.Timestamp"
    last: "pd.Timestamp"
    event_types: dict[str, int]


def count_where(condition: exp.Expr) -> exp.Expr:
    """How many rows meet `condition`. Written with CASE: several times faster than FILTER in DuckDB."""
    return exp.Count(this=exp.Case(ifs=[exp.If(this=condition, true=exp.Literal.number(1))]))


def is_missing(name: str) -> exp.Expr:
    """`name IS NULL`."""
    return exp.Is(this=exp.column(name, quoted=True), expression=exp.null())


def now() -> datetime:
    """The present moment in UTC, without a zone; tests put another in its place."""
    return datetime.now(UTC).replace(tzinfo=None)


@contextmanager
def readable() -> Iterator[None]:
    """Where the engine fails, a DataError that says of what."""
    try:
        yield
    except EngineError as error:
        raise DataError(f"InteractionLog: the log cannot be read: {error}. Check the files or the frame.") from error


def read_facts(log: "InteractionLog") -> Facts:
    """One pass over the events of `log`."""
    typed = log.roles.knows("event_type")
    steps = log.steps(["customer_id", "timestamp", *(["event_type"] if typed else [])])
    time = exp.column("timestamp", quoted=True)
    group = exp.column("event_type", quoted=True) if typed else exp.null()
    query = (
        exp.select(
            exp.alias_(group, "event_type"),
            exp.alias_(exp.Count(this=exp.Star()), "n"),
            exp.alias_(_count_missing("customer_id"), "missing_customer_id"),
            exp.alias_(_count_missing("timestamp"), "missing_timestamp"),
            exp.alias_(count_where(exp.LT(this=time, expression=moment(EARLIEST))), "impossible_timestamp"),
            exp.alias_(count_where(exp.GT(this=time, expression=moment(now() + CLOCK_SKEW))), "future_timestamp"),
            exp.alias_(_within_calendar(exp.Min(this=time)), "first"),
            exp.alias_(_within_calendar(exp.Max(this=time)), "last"),
        )
        .from_(EVENTS)
        .group_by(exp.Literal.number(1))
    )
    with readable():
        rows = log.engine.rows(chain(steps, query))
    firsts = [row["first"] for row in rows if row["first"] is not None]
    lasts = [row["last"] for row in rows if row["last"] is not None]
    counts = sorted(
        ((row["event_type"], row["n"]) for row in rows if row["event_type"] is not None),
        key=lambda pair: (-pair[1], pair[0]),
    )
    return Facts(
        rows=sum(row["n"] for row in rows),
        missing_customer_id=sum(row["missing_customer_id"] for row in rows),
        missing_timestamp=sum(row["missing_timestamp"] for row in rows),
        impossible_timestamp=sum(row["impossible_timestamp"] for row in rows),
        future_timestamp=sum(row["future_timestamp"] for row in rows),
        first=_in_utc(min(firsts, default=None)),
        last=_in_utc(max(lasts, default=None)),
        event_types=dict(counts),
    )


def _count_missing(name: str) -> exp.Expr:
    """How many rows have no value: cheaper than to compare each with NULL."""
    return exp.Sub(this=exp.Count(this=exp.Star()), expression=exp.Count(this=exp.column(name, quoted=True)))


def _within_calendar(time: exp.Expr) -> exp.Expr:
    """`time`, or the first or last moment of Python's calendar where it lies outside: year -5000, infinity."""
    low, high = moment("0001-01-01"), moment("9999-12-31T23:59:59.999999")
    return exp.Case(
        ifs=[
            exp.If(this=exp.LT(this=time, expression=low), true=low.copy()),
            exp.If(this=exp.GT(this=time.copy(), expression=high), true=high.copy()),
        ],
        default=time.copy(),
    )


def _in_utc(moment: datetime | None) -> "pd.Timestamp":
    import pandas as pd

    # NaT passes for a Timestamp: an empty log has no first event, and require_usable() refuses it.
    return cast("pd.Timestamp", pd.NaT) if moment is None else pd.Timestamp(moment, tz="UTC").as_unit("us")


def require_usable(log: "InteractionLog") -> Facts:
    """The facts of `log`; a DataError where no honest table can be built from it."""
    facts = log.facts
    if facts.rows == 0:
        after = " after cleaning (log.cleaning_report() shows the steps)" if log.cleaning else ""
        raise DataError(f"InteractionLog: the log is empty{after}. Give a log with at least one event.")
    column = log.roles.columns()
    if facts.missing_customer_id:
        raise DataError(
            f"InteractionLog: {facts.missing_customer_id:,} of {facts.rows:,} events have no customer_id "
            f"(column {column['customer_id']!r}). Drop them: log.clean(DropMissing('customer_id'))."
        )
    if facts.missing_timestamp:
        raise DataError(
            f"InteractionLog: {facts.missing_timestamp:,} of {facts.rows:,} events have no timestamp "
            f"(column {column['timestamp']!r}). Drop them: log.clean(DropMissing('timestamp'))."
        )
    if facts.impossible_timestamp:
        raise DataError(
            f"InteractionLog: {facts.impossible_timestamp:,} of {facts.rows:,} events are before {EARLIEST.year}, "
            f"the first at {facts.first} (column {column['timestamp']!r}). Mend them, or drop them: "
            f"log.clean(KeepBetween('timestamp', minimum='{EARLIEST.date()}'))."
        )
    if facts.future_timestamp:
        today = now().date()
        raise DataError(
            f"InteractionLog: {facts.future_timestamp:,} of {facts.rows:,} events are in the future, "
            f"the last at {facts.last} (column {column['timestamp']!r}). Mend them, or drop them: "
            f"log.clean(KeepBetween('timestamp', maximum='{today}'))."
        )
    return facts

"""The events of the pictures: a customer each, few enough to count by eye; and which of them a feature counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from crmml import InteractionLog
from crmml.data.time import parse_duration
from crmml.features.aggregate import Feature

AS_OF = pd.Timestamp("2024-07-01", tz="UTC")
ATTRIBUTES = ("amount", "item_id", "channel", "plan", "taste")


@dataclass(frozen=True)
class Event:
    """One row of a log, without its customer."""

    at: pd.Timestamp
    event_type: str
    amount: float | None = None
    item_id: str | None = None
    channel: str | None = None
    plan: str | None = None
    taste: tuple[float, ...] | None = None

    def value(self, column: str) -> Any:
        """The value of a role or attribute; None where it is missing."""
        return getattr(self, column)


def read(table: str) -> tuple[Event, ...]:
    """The events of a table in words: its first line names the columns, and `-` is missing.

    >>> read("when event_type amount\\n 06-30T18:00 purchase 20\\n 06-30 view -")[0].amount
    20.0
    """
    head, *rows = (line.split() for line in table.strip().splitlines())
    return tuple(_event(dict(zip(head, row, strict=True))) for row in rows)


def _event(row: dict[str, str]) -> Event:
    known: dict[str, Any] = {name: row[name] for name in ATTRIBUTES if row.get(name, "-") != "-"}
    if "amount" in known:
        known["amount"] = float(known["amount"])
    if "taste" in known:
        known["taste"] = tuple(map(float, known["taste"].split(",")))
    return Event(pd.Timestamp(f"2024-{row['when']}", tz="UTC"), row["event_type"], **known)


def log_of(customers: dict[str, Sequence[Event]]) -> InteractionLog:
    """One log with the events of every customer."""
    rows = [
        {
            "customer_id": customer,
            "timestamp": event.at,
            "event_type": event.event_type,
            **{name: event.value(name) for name in ATTRIBUTES},
        }
        for customer, events in customers.items()
        for event in events
    ]
    # Written out, as no row of a picture may have a value for a column.
    frame = pd.DataFrame(rows).astype({"amount": "float64", "item_id": "str", "channel": "str", "plan": "str"})
    roles = ("customer_id", "timestamp", "event_type", "item_id", "amount", "channel")
    return InteractionLog(frame, **{role: role for role in roles}, observed_until=max(frame["timestamp"].max(), AS_OF))


def counts(feature: Feature, event: Event) -> bool:
    """Whether an event is in the window of an aggregate, meets its filter, and has a value where one is needed."""
    window = getattr(feature, "window", None)
    inside = event.at < AS_OF and (window is None or event.at >= start_of(window))
    meets = all(event.value(name) in values for filter_ in feature.filters[:1] for name, values in filter_.conditions)
    of = getattr(feature, "of", None)
    return inside and meets and (of is None or event.value(of) is not None)


def start_of(window: str, times: int = 1) -> pd.Timestamp:
    """Where a window starts, or as many of them in a row."""
    return AS_OF - times * pd.Timedelta(microseconds=parse_duration(window))


def days(start: pd.Timestamp, end: pd.Timestamp) -> str:
    """A time in days, as it is spoken.

    >>> days(AS_OF - pd.Timedelta(hours=36), AS_OF)
    '1.5 days'
    """
    number = round((end - start) / pd.Timedelta(days=1), 4)
    return f"{number:g} day{'' if number == 1 else 's'}"


def in_order(events: Iterable[Event]) -> list[Event]:
    """The events, oldest first."""
    return sorted(events, key=lambda event: event.at)

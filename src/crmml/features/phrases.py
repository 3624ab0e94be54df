"""English for what definitions share: durations, filters, windows."""

from collections.abc import Sequence
from typing import Any

from crmml.data.time import DAY, SECOND
from crmml.features.aggregate import Aggregate
from crmml.features.filters import Filter

_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"}
_LENGTHS = (("day", DAY), ("hour", DAY // 24), ("minute", 60 * SECOND), ("second", SECOND))
# Event types that are words for what happened; every other name stands in quotes before "events".
_PLURALS = {
    "click": "clicks",
    "login": "logins",
    "order": "orders",
    "payment": "payments",
    "purchase": "purchases",
    "refund": "refunds",
    "return": "returns",
    "search": "searches",
    "survey": "surveys",
    "transaction": "transactions",
    "view": "views",
    "visit": "visits",
}


def times_of(number: int, word: str) -> str:
    """A number and what is counted.

    >>> times_of(1, "day"), times_of(90, "day")
    ('1 day', '90 days')
    """
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def duration(text: str) -> str:
    """A duration in words.

    >>> duration("90d"), duration("1w")
    ('90 days', '1 week')
    """
    return times_of(int(text[:-1]), _UNITS[text[-1]])


def length(microseconds: int) -> str:
    """A duration in words, in the largest unit that it is a whole number of.

    >>> length(30 * 86_400_000_000), length(90 * 60_000_000), length(1)
    ('30 days', '90 minutes', '1 microsecond')
    """
    for word, size in _LENGTHS:
        if microseconds % size == 0:
            return times_of(microseconds // size, word)
    return times_of(microseconds, "microsecond")


def one_of(values: Sequence[Any]) -> str:
    """Values as they are compared: texts in quotes.

    >>> one_of(["gold", "free"]), one_of([1])
    ('"gold" or "free"', '1')
    """
    return " or ".join(f'"{value}"' if isinstance(value, str) else f"{value}" for value in values)


class Events:
    """How the events of a filter are called: one of them, and several.

    >>> from crmml import Count
    >>> some = Events(Count(event_type=["purchase", "add"], channel="web", where={"plan": "gold"}).filter)
    >>> some.one
    'purchase or "add" event through "web" with plan "gold"'
    >>> some.several
    'purchases or "add" events through "web" with plan "gold"'
    """

    def __init__(self, filter_: Filter) -> None:
        of_type, rest = filter_.split("event_type")
        types = of_type.conditions[0][1] if of_type.conditions else ()
        self.one_type = " or ".join(kind if kind in _PLURALS else f'"{kind}" event' for kind in types) or "event"
        self.several_types = " or ".join(_PLURALS.get(kind, f'"{kind}" events') for kind in types) or "events"
        self.rest = "".join(
            f" through {one_of(values)}" if name == "channel" else f" with {name} {one_of(values)}"
            for name, values in rest.conditions
        )

    @property
    def one(self) -> str:
        """One event of the filter, without an article."""
        return f"{self.one_type}{self.rest}"

    @property
    def several(self) -> str:
        """Several events of the filter, without an article."""
        return f"{self.several_types}{self.rest}"


class Seen:
    """What an aggregate looks at: its events, its window, and what it means that there are none.

    >>> from crmml import Count
    >>> seen = Seen(Count(event_type="purchase", window="90d"))
    >>> seen.one, seen.several
    ('purchase in the 90 days before the cutoff', 'purchases in the 90 days before the cutoff')
    >>> seen.none
    'there is no purchase in the 90 days before the cutoff'
    """

    def __init__(self, aggregate: Aggregate) -> None:
        self.events = Events(aggregate.filter)
        window = aggregate.window
        self.when = "before the cutoff" if window is None else f"in the {duration(window)} before the cutoff"
        self.back = "" if window is None else f", looking back {duration(window)}"
        self.of = aggregate.of

    @property
    def one(self) -> str:
        """One of the events, and when."""
        return f"{self.events.one} {self.when}"

    @property
    def several(self) -> str:
        """The events, and when."""
        return f"{self.events.several} {self.when}"

    @property
    def with_value(self) -> str:
        """The events that have a value of the column."""
        return f"{self.events.several} with a value of {self.of} {self.when}"

    @property
    def none(self) -> str:
        """That there are no events."""
        return f"there is no {self.one}"

    @property
    def no_value(self) -> str:
        """That no event has a value of the column."""
        return f"no {self.one} has a value of {self.of}"

    def fewer_than(self, number: str) -> str:
        """That there are too few events."""
        return f"there are fewer than {number} {self.several}"

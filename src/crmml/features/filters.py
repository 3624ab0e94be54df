"""Which events a definition looks at: its filter, as SQL and as a part of its name."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from crmml.data.sql import can_be_compared
from crmml.errors import ConfigError

Values = str | Sequence[str] | None
Where = Mapping[str, Any] | None


@dataclass(frozen=True)
class Filter:
    """Conditions on event type, channel and attributes, all of which must hold; a missing value meets none."""

    conditions: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    @classmethod
    def of(cls, *, event_type: Values = None, channel: Values = None, where: Where = None) -> "Filter":
        """The filter that a definition's parameters describe."""
        pairs = [("event_type", event_type), ("channel", channel), *(where or {}).items()]
        return cls(tuple((column, as_values(value)) for column, value in pairs if value is not None))

    @property
    def columns(self) -> tuple[str, ...]:
        """The roles and attributes that are compared."""
        return tuple(column for column, _ in self.conditions)

    def split(self, column: str) -> tuple["Filter", "Filter"]:
        """The conditions on `column`, and all others."""
        own = tuple(condition for condition in self.conditions if condition[0] == column)
        rest = tuple(condition for condition in self.conditions if condition[0] != column)
        return Filter(own), Filter(rest)

    def names(self) -> list[str]:
        """The parts of a feature's name that come from the filter."""
        parts = []
        for column, values in self.conditions:
            text = "_or_".join(slug(value) for value in values)
            parts.append(text if column in ("event_type", "channel") else f"{slug(column)}_{text}")
        return parts


def as_values(value: Any) -> tuple[Any, ...]:
    """One value or several, as a tuple."""
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def check_filter(owner: str, event_type: Values, channel: Values, where: Where) -> None:
    """Raise a ConfigError where a parameter of a filter is not what it should be."""
    for name, value in (("event_type", event_type), ("channel", channel)):
        values = as_values(value)
        if value is not None and (not values or not all(isinstance(item, str) for item in values)):
            raise ConfigError(
                f"{owner}: {name} must be a text or a list of texts, not {value!r}. Use {name}='web'."
                if name == "channel"
                else f"{owner}: {name} must be a text or a list of texts, not {value!r}. Use {name}='purchase'."
            )
    if where is not None and (not isinstance(where, Mapping) or not where):
        raise ConfigError(f"{owner}: where must be a mapping, not {where!r}. Use where={{'plan': 'gold'}}.")
    for column, value in (where or {}).items():
        if column in ("event_type", "channel"):
            raise ConfigError(f"{owner}: where names {column!r}. Use the parameter instead: {column}={value!r}.")
        if value is None or not as_values(value):
            raise ConfigError(
                f"{owner}: where compares {column!r} with {value!r}, which no event equals. "
                f"Use a value, for example where={{{column!r}: 'gold'}}."
            )
        for each in as_values(value):
            if isinstance(each, (int, float, Decimal)) and not can_be_compared(each):
                raise ConfigError(
                    f"{owner}: where compares {column!r} with {_shown(each)}, which no event equals. "
                    f"Use a finite number, for example where={{{column!r}: 1}}."
                )


def _shown(number: float | Decimal) -> str:
    """A number that may have more digits than Python writes."""
    return f"a number of {number.bit_length():,} bits" if isinstance(number, int) else repr(number)


def slug(value: Any) -> str:
    """A value as a part of a column's name; a short digest is added where the value cannot be read back from it.

    >>> slug("add to cart")
    'add_to_cart'
    >>> slug("café")
    'caf_850f7d'
    """
    text = str(value)
    plain = text.lower().replace(" ", "_").replace("-", "_")
    safe = re.sub(r"[^a-z0-9_]+", "_", plain).strip("_")[:40]
    if safe and safe == plain:
        return safe
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{safe}_{digest}" if safe else digest

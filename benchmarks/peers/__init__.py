"""The same features written directly in DuckDB SQL, polars and pandas, as a person who knows the tool would.

Each module has one function `build(path, features, as_of)`: it reads the Parquet file, and gives one row per
customer with the column `customer` and one column per feature. `Feature` is all that they know of crmml.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

# The roles of the definitions -> the columns of the simulated log.
COLUMNS = {"amount": "revenue", "quantity": "units", "item_id": "item", "channel": "channel", "event_type": "kind"}
UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


@dataclass(frozen=True)
class Feature:
    """One feature: what to compute (`verb`) of which column, over which events, looking back how far."""

    name: str
    verb: str
    column: str | None
    filters: tuple[tuple[str, tuple[str, ...]], ...]
    window: str | None
    stat: str
    periods: int

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Feature":
        """A feature from its JSON: name, verb and the parameters of the definition."""
        filters = [(key, data[key]) for key in ("event_type", "channel") if data.get(key) is not None]
        filters += sorted((data.get("where") or {}).items())
        column = data.get("column")
        return cls(
            name=data["name"],
            verb=data["verb"],
            column=None if column is None else COLUMNS.get(column, column),
            filters=tuple(
                (COLUMNS.get(key, key), tuple(value) if isinstance(value, list) else (value,)) for key, value in filters
            ),
            window=data.get("window"),
            stat=data.get("stat", "mean"),
            periods=data.get("periods", 6),
        )

    @property
    def length(self) -> timedelta:
        """The window as a length of time."""
        assert self.window is not None
        return timedelta(**{UNITS[self.window[-1]]: int(self.window[:-1])})

    def start(self, as_of: datetime) -> datetime | None:
        """The start of the window, or None where all history counts."""
        return None if self.window is None else as_of - self.length

    @property
    def base(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The filters of the denominator of a share."""
        narrowed = any(column != "kind" for column, _ in self.filters)
        return tuple(item for item in self.filters if item[0] == "kind") if narrowed else ()

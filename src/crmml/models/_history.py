"""What a table of features says of a customer's purchases: the summary that buy-till-you-die models read.

The models know no log; they know a column by its generated name. `tenure_purchase`, `recency_purchase` and
`days_active_purchase` together are a history (purchases of one day count once); sums of money add what it was worth.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from crmml.data.time import DAY, parse_duration
from crmml.models._base import Bools, Floats


class HistoryColumns(NamedTuple):
    """Positions of the columns of a history in a table; None where the table lacks one.

    `total`: net money over all time. `decayed`: money that counts half after each `half_life` days.
    """

    tenure: int
    recency: int
    days: int
    total: int | None
    decayed: int | None
    half_life: float


def find_history(names: Sequence[str] | None, column: str = "amount") -> HistoryColumns | None:
    """The history in a table with these column names, the first if there are several; None where there is none.

    Money is taken from the sum over all events, in which returns count against purchases, else from that over the
    purchases.

    >>> find_history(["recency_purchase", "tenure_purchase", "count_view", "days_active_purchase", "sum_amount"])
    HistoryColumns(tenure=1, recency=0, days=3, total=4, decayed=None, half_life=nan)
    >>> find_history(["recency_purchase", "count_purchase"]) is None
    True
    """
    places = {name: place for place, name in enumerate(names or [])}
    for name, days in places.items():
        kind = name.removeprefix("days_active")
        if kind == name or f"tenure{kind}" not in places or f"recency{kind}" not in places:
            continue
        total = next((places[it] for it in (f"sum_{column}", f"sum_{column}{kind}") if it in places), None)
        decayed, half_life = _decayed(places, column, kind)
        return HistoryColumns(places[f"tenure{kind}"], places[f"recency{kind}"], days, total, decayed, half_life)
    return None


def _decayed(places: dict[str, int], column: str, kind: str) -> tuple[int | None, float]:
    for ending in ("", kind):
        for name, place in places.items():
            found = re.fullmatch(rf"decayed_sum_(\d+[smhdw])_{re.escape(column + ending)}", name)
            if found is not None:
                return place, parse_duration(found[1]) / DAY
    return None, float("nan")


@dataclass(frozen=True)
class History:
    """The purchases of each customer, all arrays of shape (rows,).

    Attributes:
        known: Whether the customer has bought at all; where not, `x`, `t_x` and `T` are 0.
        x: Days with purchases after the first.
        t_x, T: Days from the first purchase to the last, and to the cutoff.
        mean_value: Net money per day with purchases; 0 or less where returns exceed purchases, NaN without money.
        spend_rate: Exponentially weighted money per day; NaN where the table has none.
    """

    known: Bools
    x: Floats
    t_x: Floats
    T: Floats
    mean_value: Floats
    spend_rate: Floats

    def __getitem__(self, rows: object) -> "History":
        return History(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.x)


def read_history(X: Floats, columns: HistoryColumns) -> History:
    """The history in the rows of a table.

    >>> columns = find_history(["tenure_order", "recency_order", "days_active_order", "sum_amount_order"])
    >>> history = read_history(np.array([[30.5, 10.5, 3, 60.0]]), columns)
    >>> history.x.item(), history.t_x.item(), history.T.item(), history.mean_value.item()
    (2.0, 20.0, 30.5, 20.0)
    """
    tenure, recency, days = X[:, columns.tenure], X[:, columns.recency], X[:, columns.days]
    known = np.isfinite(tenure) & np.isfinite(recency) & (days >= 1)
    x = np.where(known, np.maximum(np.round(days) - 1.0, 0.0), 0.0)
    end = np.where(known, np.maximum(tenure, 0.0), 0.0)
    # Two purchases within one day are one: without another day there is no time between the first and the last.
    last = np.where(known & (x > 0), np.clip(tenure - recency, 0.0, end), 0.0)
    missing = np.full(len(X), np.nan)
    mean_value = missing if columns.total is None else np.where(known, X[:, columns.total] / (x + 1.0), np.nan)
    spend_rate = missing if columns.decayed is None else X[:, columns.decayed] * np.log(2.0) / columns.half_life
    return History(known, x, last, end, mean_value, spend_rate)

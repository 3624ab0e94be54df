"""What the design for lifetime value reads in a table of features: two forecasts, and how customers differ.

The forecasts are those of BG/NBD with Gamma-Gamma and of exponentially weighted spend. Everything else is a logarithm,
a ratio or a share, with money relative to the mean order value: nothing that a date, a currency or the age of the shop
could be read off.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from crmml.data.time import DAY, parse_duration
from crmml.models._base import Bools, Floats, Ints, State
from crmml.models._buyers import Buyers
from crmml.models._history import History, HistoryColumns, find_history, read_history
from crmml.models._state import StateReader

# Forecasts below this share of their mean are taken for as much: a logarithm needs something.
_LEAST = 1e-4
# The columns of the history that each feature is made of.
_MADE_OF = (
    ("tenure", "recency", "days", "total"),
    ("decayed",),
    ("tenure", "recency", "days", "total", "decayed"),
    ("tenure", "recency", "days"),
    ("tenure", "recency", "days"),
    ("days", "total"),
    ("tenure", "recency"),
    ("days",),
    ("recency",),
    ("tenure", "recency", "days"),
)
N_FEATURES = len(_MADE_OF)


class ValueColumns(NamedTuple):
    """Positions of the columns that the design reads.

    `last`: net money of a window as long as the horizon.
    """

    history: HistoryColumns
    last: int | None

    def state(self) -> State:
        """The positions, -1 for none, and the half-life."""
        *places, half_life = self.history
        positions = [-1 if place is None else place for place in (*places, self.last)]
        return {
            "history_columns": np.array(positions, dtype=np.int64),
            "half_life": np.array([0.0 if self.history.decayed is None else half_life]),
        }

    @classmethod
    def from_state(cls, reader: StateReader, count: int) -> "ValueColumns":
        """The columns from the keys that `state` gives, of a table of so many."""
        places = reader.array("history_columns", "i", (6,)).tolist()
        half_life = reader.finite("half_life", (1,)).item()
        if min(places[:4]) < 0 or min(places) < -1 or max(places) >= count:
            reader.refuse("history_columns", f"must be six positions in {count} columns, not {places}")
        decayed, last = (None if place < 0 else place for place in places[4:])
        if (half_life > 0) is not (decayed is not None):
            reader.refuse("half_life", f"must be above 0 just where there is a column for it, not {half_life}")
        tenure, recency, count_of_days, total = places[:4]
        life = float("nan") if decayed is None else half_life
        return cls(HistoryColumns(tenure, recency, count_of_days, total, decayed, life), last)

    def shares(self, of_features: Floats, count: int) -> Floats:
        """What each feature has, divided evenly among the columns that it is made of, shape (count,).

        Behind the features may stand all columns themselves.
        """
        found = np.zeros(count)
        if len(of_features) > N_FEATURES:
            found += of_features[N_FEATURES:]
        for share, names in zip(of_features[:N_FEATURES], _MADE_OF, strict=True):
            places = [place for place in (getattr(self.history, name) for name in names) if place is not None]
            for place in places:
                found[place] += share / len(places)
        return found


class Scales(NamedTuple):
    """What one snapshot's forecasts and orders are measured by: their means, each above 0."""

    btyd: float
    weighted: float
    order_value: float


class Forecasts(NamedTuple):
    """What is expected of each customer within the horizon, shape (rows,) each.

    btyd, weighted: Money, as BG/NBD with Gamma-Gamma and as exponentially weighted spend have it.
    orders: Days with purchases. p_buys: The probability of any. p_alive: That of not having left for good.
    """

    btyd: Floats
    weighted: Floats
    orders: Floats
    p_buys: Floats
    p_alive: Floats


def find_columns(names: Sequence[str] | None, days: float) -> ValueColumns | None:
    """The columns of the design in a table with these names; None where there is no history with money.

    >>> names = ["tenure", "recency", "days_active", "sum_amount", "sum_amount_90d", "sum_amount_30d"]
    >>> find_columns(names, 90.0).last
    4
    >>> find_columns(["recency", "count_90d"], 90.0) is None
    True
    """
    history = find_history(names)
    if names is None or history is None or history.total is None:
        return None
    money = re.escape(names[history.total])
    found = ((re.fullmatch(rf"{money}_(\d+[smhdw])", name), place) for place, name in enumerate(names))
    windows = {parse_duration(match[1]) / DAY: place for match, place in found if match is not None}
    return ValueColumns(history, windows.get(days))


class ValueTable:
    """A table of features as the design reads it."""

    def __init__(self, X: Floats, columns: ValueColumns) -> None:
        self.all_columns = X
        self.history: History = read_history(X, columns.history)
        self.last = None if columns.last is None else np.maximum(np.nan_to_num(X[:, columns.last]), 0.0)
        self.weighs = columns.history.decayed is not None

    def __len__(self) -> int:
        return len(self.history)

    def forecasts(self, buyers: Buyers, days: float) -> Forecasts:
        """Both forecasts; 0 for who has never bought."""
        history = self.history
        btyd = buyers.expected_spend(history, days)
        weighted = np.maximum(np.nan_to_num(history.spend_rate), 0.0) * days if self.weighs else btyd
        orders, p_buys = buyers.expected_orders(history, days), buyers.p_buys(history, days)
        return Forecasts(btyd, np.where(history.known, weighted, 0.0), orders, p_buys, buyers.p_alive(history))

    def scales(self, forecasts: Forecasts, rows: Bools) -> Scales:
        """The means over some rows."""
        values = self.history.mean_value[rows]
        bought = values[values > 0]
        order_value = float(bought.mean()) if len(bought) else 1.0
        return Scales(_above_0(forecasts.btyd[rows].mean()), _above_0(forecasts.weighted[rows].mean()), order_value)

    def features(self, forecasts: Forecasts, scales: Sequence[Scales], codes: Ints) -> Floats:
        """Features, shape (rows, N_FEATURES); `codes` gives the position in `scales` of each row."""
        history = self.history
        btyd, weighted = relative(forecasts, scales, codes)
        unit = np.array([scale.order_value for scale in scales])[codes]
        gap = np.log((history.T - history.t_x + 1.0) / (history.t_x / np.maximum(history.x, 1.0) + 1.0))
        return np.column_stack(  # in the order of _MADE_OF
            [
                btyd,
                weighted,
                btyd - weighted,
                forecasts.p_alive,
                np.log(np.maximum(forecasts.orders, _LEAST)),
                np.log(np.maximum(np.nan_to_num(history.mean_value, nan=1.0), 0.01 * unit) / unit),
                history.t_x / np.maximum(history.T, 1.0),
                np.log1p(history.x),
                np.log1p(history.T - history.t_x),
                np.where(history.x > 0, gap, np.nan),
            ]
        )


def relative(forecasts: Forecasts, scales: Sequence[Scales], codes: Ints) -> tuple[Floats, Floats]:
    """The logarithms of both forecasts over their means in the row's snapshot."""
    btyd = np.array([scale.btyd for scale in scales])[codes]
    weighted = np.array([scale.weighted for scale in scales])[codes]
    return (
        np.log(np.maximum(forecasts.btyd / btyd, _LEAST)),
        np.log(np.maximum(forecasts.weighted / weighted, _LEAST)),
    )


def _above_0(value: float) -> float:
    return float(value) if value > 0 else 1.0

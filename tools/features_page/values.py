"""The pictures of how much and which: sums, quantiles, concentration, first and last values, baskets."""

import itertools
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pandas as pd

from crmml import (
    Basket,
    DecayedSum,
    Entropy,
    First,
    Latest,
    Max,
    Mean,
    MeanVector,
    Median,
    Min,
    NUnique,
    Quantile,
    RepeatShare,
    Std,
    Sum,
    TopShare,
    TopValue,
)
from tools.features_page.events import AS_OF, Event, read
from tools.features_page.picture import Picture
from tools.features_page.timeline import Mark, Span

MONEY = read("""
    when   event_type amount item_id channel plan
    04-09  purchase   20     tea     shop    basic
    05-06  purchase   35     cup     web     basic
    05-30  purchase   80     pot     web     gold
    06-18  purchase   15     tea     app     gold
    07-06  purchase   40     cup     web     gold
    05-20  return     -35    cup     web     basic
    04-22  view       -      pot     web     basic
    05-12  view       -      cup     app     -
    06-08  view       -      pot     web     gold
    06-26  view       -      tea     web     -
""")
BOUGHT = tuple(event for event in MONEY if event.event_type == "purchase")
NET = tuple(event for event in MONEY if event.event_type != "view")
TASTES = read("""
    when   event_type taste
    04-18  view       0,1
    05-10  view       1,0
    05-28  view       0.5,0.5
    06-11  view       -
    06-24  view       0.9,-0.2
    07-07  view       0,1
""")
ORDERS = read("""
    when   event_type amount item_id
    04-20  purchase   20     tea
    05-15  purchase   20     tea
    06-10  purchase   20     tea
    07-06  purchase   20     tea
    05-15  purchase   35     cup
    07-06  purchase   35     cup
    04-20  purchase   80     pot
    05-15  purchase   80     pot
""")


def _amounts(seen: list[Event]) -> list[float]:
    return [event.amount for event in seen if event.amount is not None]


def _added(seen: list[Event]) -> str:
    first, *rest = _amounts(seen)
    return f"{first:g}" + "".join(f" {'+' if value > 0 else '−'} {abs(value):g}" for value in rest)


def _decayed_by(half_life: int) -> Callable[[list[Event]], str]:
    """The amounts, each with the power of one half that it is multiplied by."""

    def working(seen: list[Event]) -> str:
        days = [(AS_OF - event.at) / pd.Timedelta(days=half_life) for event in seen]
        terms = (f"{event.amount:g} · 0.5^{age:.2f}".replace("-", "−") for event, age in zip(seen, days, strict=True))
        return " + ".join(terms).replace("+ −", "− ")

    return working


def _in_order(seen: list[Event]) -> str:
    return "in order: " + ", ".join(f"{value:g}" for value in sorted(_amounts(seen)))


def _with(column: str, value: Callable[[list[float]], float]) -> Callable[[list[Event]], list[Event]]:
    """The events that have the least, or the greatest, value."""
    return lambda seen: [event for event in seen if event.value(column) == value(_amounts(seen))]


def _tally(column: str) -> Callable[[list[Event]], str]:
    def working(seen: list[Event]) -> str:
        return ", ".join(f"{value}: {n}" for value, n in Counter(event.value(column) for event in seen).most_common())

    return working


def _by_place(seen: list[Event]) -> str:
    """The sums, coordinate by coordinate."""
    vectors = [event.taste for event in seen if event.taste is not None]
    sums = (" + ".join(f"{value:g}".replace("-", "−") for value in values) for values in zip(*vectors, strict=True))
    return "; ".join(f"({added}) / {len(vectors)}" for added in sums).replace("+ −", "− ")


def _baskets(seen: list[Event]) -> list[Mark]:
    orders = [(at, list(lines)) for at, lines in itertools.groupby(seen, lambda event: event.at)]
    return [
        Span(at, at, f"{len(lines)} line{'s' if len(lines) > 1 else ''}, {math.fsum(_amounts(lines)):g}", group=True)
        for at, lines in orders
    ]


RANGE: dict[str, Any] = {"start": "04-01", "end": "07-12"}
CHANNELS = {**RANGE, "label": "channel", "working": _tally("channel")}
ITEMS = {**RANGE, "label": "item_id", "working": _tally("item_id")}

HOW_MUCH = {
    "Sum": Picture([Sum("amount", window="60d")], NET, **RANGE, label="amount", working=_added),
    "DecayedSum": Picture(
        [DecayedSum("amount", half_life="60d")], NET, **RANGE, label="amount", working=_decayed_by(60)
    ),
    "Mean": Picture(
        [Mean("amount", event_type="purchase", window="60d")],
        NET,
        **RANGE,
        label="amount",
        working=lambda seen: f"({_added(seen)}) / {len(seen)}",
    ),
    "Min": Picture(
        [Min("amount", event_type="purchase", window="60d")], NET, **RANGE, label="amount", ring=_with("amount", min)
    ),
    "Max": Picture(
        [Max("amount", event_type="purchase", window="60d")], NET, **RANGE, label="amount", ring=_with("amount", max)
    ),
    "Std": Picture(
        [Std("amount", event_type="purchase", window="60d")],
        NET,
        **RANGE,
        label="amount",
        working=lambda seen: f"{len(seen)} values with the mean {math.fsum(_amounts(seen)) / len(seen):.4g}",
    ),
    "Median": Picture([Median("amount", event_type="purchase")], NET, **RANGE, label="amount", working=_in_order),
    "Quantile": Picture(
        [Quantile("amount", q=q, event_type="purchase") for q in (0.9, 0.25)],
        NET,
        **RANGE,
        label="amount",
        working=_in_order,
    ),
    "Basket": Picture(
        [Basket(stat=stat, event_type="purchase") for stat in ("orders", "lines", "items", "value")],
        ORDERS,
        **RANGE,
        lane="item_id",
        label="amount",
        marks=_baskets,
    ),
}

WHICH = {
    "NUnique": Picture([NUnique("item_id", event_type="purchase")], MONEY, **ITEMS),
    "Entropy": Picture([Entropy("channel", window="60d")], MONEY, **CHANNELS),
    "TopShare": Picture(
        [TopShare("channel", window="60d")], MONEY, **RANGE, label="channel", working=_tally("channel")
    ),
    "TopValue": Picture(
        [TopValue("channel", window="60d")], MONEY, **RANGE, label="channel", working=_tally("channel")
    ),
    "RepeatShare": Picture([RepeatShare("item_id", event_type="purchase")], MONEY, **ITEMS),
    "First": Picture([First("channel")], MONEY, **RANGE, label="channel", ring=lambda seen: seen[:1]),
    "Latest": Picture([Latest("plan")], MONEY, **RANGE, label="plan", ring=lambda seen: seen[-1:]),
    "MeanVector": Picture(
        [MeanVector("taste", size=2, window="60d")], TASTES, **RANGE, label="taste", working=_by_place
    ),
}

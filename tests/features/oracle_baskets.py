"""The oracle of orders, returns, conversions, and ratios of other features."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from tests.features.oracle_rows import Row, duration, equal_or_in, history, matching, numbers, present


def orders(rows: list[Row], definition: Any, as_of: int) -> list[list[Row]]:
    """The matching rows, order by order."""
    key = definition.order or "timestamp"
    found: dict[Any, list[Row]] = {}
    for row in matching(rows, definition, as_of):
        for value in present([row], key):
            found.setdefault(value, []).append(row)
    return list(found.values())


def basket(rows: list[Row], definition: Any, as_of: int) -> float:
    found = orders(rows, definition, as_of)
    if definition.stat == "orders":
        return len(found)
    sizes: dict[str, Callable[[list[Row]], int | Fraction]] = {
        "lines": len,
        "items": lambda order: len(set(present(order, "item_id"))),
        "value": lambda order: sum(numbers(order, "amount"), Fraction(0)),
    }
    size = sizes[definition.stat]
    return float(Fraction(sum(size(order) for order in found)) / len(found)) if found else math.nan


class OfType:
    """The filter of a definition, with another event type."""

    def __init__(self, definition: Any, event_type: Any) -> None:
        self.event_type = event_type
        self.channel, self.where, self.window = definition.channel, definition.where, definition.window


def return_rate(rows: list[Row], definition: Any, as_of: int) -> float:
    bought = matching(rows, definition, as_of)
    column = definition.column
    if definition.returned is None:
        values = numbers(bought, column)
        gone = -sum((value for value in values if value < 0), Fraction(0))
        whole = sum((value for value in values if value > 0), Fraction(0))
    else:
        back = matching(rows, OfType(definition, definition.returned), as_of)
        gone, whole = (
            Fraction(len(part)) if column is None else sum(numbers(part, column), Fraction(0))
            for part in (back, bought)
        )
    return float(abs(gone) / whole) if whole else math.nan


def conversion_rate(rows: list[Row], definition: Any, as_of: int) -> float:
    starts = matching(rows, definition, as_of)
    goals = [row for row in history(rows, as_of) if equal_or_in(row, "event_type", definition.to)]

    def converted(start: Row) -> bool:
        first = start["timestamp"]
        return any(
            first <= goal["timestamp"] < first + duration(definition.within)
            and (definition.on is None or present([start], definition.on) == present([goal], definition.on) != [])
            for goal in goals
        )

    return float(Fraction(sum(converted(start) for start in starts), len(starts))) if starts else math.nan


def ratio(rows: list[Row], definition: Any, as_of: int) -> float:
    from tests.features.oracle import AGGREGATES  # which holds this function too

    above, below = (
        AGGREGATES[type(part).__name__](rows, part, as_of) for part in (definition.numerator, definition.denominator)
    )
    if above is None or below is None or not below:
        return math.nan
    return float(above) / float(below)


BASKETS: dict[str, Callable[[list[Row], Any, int], Any]] = {
    "Basket": basket,
    "ReturnRate": return_rate,
    "ConversionRate": conversion_rate,
    "Ratio": ratio,
}

"""Every aggregate, population and label once more, in plain Python: slow, exact, and written without the compiler.

Each family of aggregates has a file of its own; this one has the simplest, and puts all into one table.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

from tests.features.oracle_baskets import BASKETS
from tests.features.oracle_distribution import DISTRIBUTION
from tests.features.oracle_rhythm import RHYTHM
from tests.features.oracle_rows import (
    DAY,
    Row,
    conditions,
    duration,
    equal_or_in,
    history,
    matching,
    numbers,
    present,
    sample_deviation,
    within,
)


def recency(rows: list[Row], definition: Any, as_of: int) -> float:
    times = [row["timestamp"] for row in matching(rows, definition, as_of)]
    return float(Fraction(as_of - max(times), DAY)) if times else math.nan


def tenure(rows: list[Row], definition: Any, as_of: int) -> float:
    times = [row["timestamp"] for row in matching(rows, definition, as_of)]
    return float(Fraction(as_of - min(times), DAY)) if times else math.nan


def count(rows: list[Row], definition: Any, as_of: int) -> int:
    return len(matching(rows, definition, as_of))


def total(rows: list[Row], definition: Any, as_of: int) -> float:
    return float(sum(numbers(matching(rows, definition, as_of), definition.column), Fraction(0)))


def decayed(rows: list[Row], definition: Any, as_of: int) -> float:
    """Each value times its weight, a decimal of twelve places."""
    life, total = duration(definition.half_life), Fraction(0)
    for row in matching(rows, definition, as_of):
        weight = Fraction(round(10**12 * 2.0 ** -((as_of - row["timestamp"]) / life)), 10**12)
        total += weight * sum(numbers([row], definition.column), Fraction(0))
    return float(total)


def mean(rows: list[Row], definition: Any, as_of: int) -> float:
    values = numbers(matching(rows, definition, as_of), definition.column)
    return float(sum(values, Fraction(0)) / len(values)) if values else math.nan


def least(rows: list[Row], definition: Any, as_of: int) -> float:
    return float(min(numbers(matching(rows, definition, as_of), definition.column), default=math.nan))


def greatest(rows: list[Row], definition: Any, as_of: int) -> float:
    return float(max(numbers(matching(rows, definition, as_of), definition.column), default=math.nan))


def deviation(rows: list[Row], definition: Any, as_of: int) -> float:
    return sample_deviation(numbers(matching(rows, definition, as_of), definition.column))


def distinct(rows: list[Row], definition: Any, as_of: int) -> int:
    return len(set(present(matching(rows, definition, as_of), definition.column)))


def share(rows: list[Row], definition: Any, as_of: int) -> float:
    base = within(history(rows, as_of), definition.window, as_of)
    if definition.channel is not None or conditions(definition):
        base = [row for row in base if equal_or_in(row, "event_type", definition.event_type)]
    return float(Fraction(len(matching(rows, definition, as_of)), len(base))) if base else math.nan


def trend(rows: list[Row], definition: Any, as_of: int) -> float:
    """The textbook slope: sum of (x - mean x)(y - mean y) over sum of (x - mean x) squared."""
    window, periods = duration(definition.window), definition.periods
    ys = [Fraction(0)] * periods
    for row in matching(rows, definition, as_of):
        period = (row["timestamp"] - (as_of - window)) * periods // window
        if definition.column is None:
            ys[period] += 1
        else:
            ys[period] += sum(numbers([row], definition.column), Fraction(0))
    middle, mean_y = Fraction(periods - 1, 2), sum(ys, Fraction(0)) / periods
    above = sum(((x - middle) * (y - mean_y) for x, y in enumerate(ys)), Fraction(0))
    return float(above / sum(((x - middle) ** 2 for x in range(periods)), Fraction(0)))


def latest(rows: list[Row], definition: Any, as_of: int) -> Any:
    column = definition.column
    there = [row for row in matching(rows, definition, as_of) if present([row], column)]
    if not there:
        return None
    last = max(row["timestamp"] for row in there)
    return max(row[column] for row in there if row["timestamp"] == last)


# The name of every public aggregate and what computes it; a test walks crmml's public table against this one.
AGGREGATES: dict[str, Callable[[list[Row], Any, int], Any]] = {
    "Recency": recency,
    "Tenure": tenure,
    "Count": count,
    "Sum": total,
    "DecayedSum": decayed,
    "Mean": mean,
    "Min": least,
    "Max": greatest,
    "Std": deviation,
    "NUnique": distinct,
    "Share": share,
    "Trend": trend,
    "Latest": latest,
    **BASKETS,
    **DISTRIBUTION,
    **RHYTHM,
}


def by_customer(rows: Iterable[Row]) -> dict[Any, list[Row]]:
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(row["customer_id"], []).append(row)
    return found


def columns(definition: Any, value: Any) -> list[tuple[str, Any]]:
    """The columns of a definition with their values: one, or a list of as many."""
    several = definition.columns != (definition.name,)
    return list(zip(definition.columns, value if several else [value], strict=True))


def build(rows: list[Row], features: Iterable[Any], as_of: Iterable[int]) -> dict[tuple[Any, int], dict[str, Any]]:
    """What `build_features` has to give: (customer, cutoff) -> feature name -> value."""
    definitions = list(features)
    return {
        (customer, cutoff): {
            column: value
            for definition in definitions
            for column, value in columns(definition, AGGREGATES[type(definition).__name__](own, definition, cutoff))
        }
        for customer, own in by_customer(rows).items()
        for cutoff in as_of
        if history(own, cutoff)
    }


def active(rows: list[Row], population: Any, as_of: int) -> bool:
    """Whether a customer with these rows belongs to the population at the cutoff."""
    seen = within(history(rows, as_of), population.active_within, as_of)
    return any(equal_or_in(row, "event_type", population.event_type) for row in seen)


def future(rows: Iterable[Row], target: Any, as_of: int) -> list[Row]:
    """The target's events in its horizon, whenever they became known."""
    start = as_of + duration(getattr(target, "gap", None) or "0d")
    end = start + duration(target.horizon)
    return [
        row for row in rows if start <= row["timestamp"] < end and equal_or_in(row, "event_type", target.event_type)
    ]


def churned(rows: list[Row], target: Any, as_of: int) -> int:
    return int(not future(rows, target, as_of))


def spent(rows: list[Row], target: Any, as_of: int) -> float:
    return float(sum(numbers(future(rows, target, as_of), target.column), Fraction(0)))


def bought_again(rows: list[Row], target: Any, as_of: int) -> int:
    return int(bool(future(rows, target, as_of)))


LABELS: Mapping[str, Callable[[list[Row], Any, int], Any]] = {
    "Churn": churned,
    "Spend": spent,
    "Repurchase": bought_again,
}


def labels(rows: list[Row], target: Any, as_of: Iterable[int]) -> dict[tuple[Any, int], Any]:
    """What `build_dataset` has to give as `y`: (customer, cutoff) -> label, for the target's population."""
    label = LABELS[type(target).__name__]
    return {
        (customer, cutoff): label(own, target, cutoff)
        for customer, own in by_customer(rows).items()
        for cutoff in as_of
        if active(own, target.population, cutoff)
    }

"""Named mutants of orders, returns, conversions and ratios: each one is built in, and the oracle must object."""

from random import Random
from typing import Any

import pytest

import crmml as cm
from tests.features.compare import feature_differences
from tests.features.mutants import Mutant, built_in
from tests.features.oracle_rows import Row, duration
from tests.features.strategies import EPOCH, anchored, random_rows

CUTOFFS = [EPOCH, EPOCH + 1]
# A view, and a purchase that is just soon enough, just too late, or beside that.
EDGES: list[Row] = [
    {"customer_id": 1000 + step, "timestamp": EPOCH - duration("5d") + late, "event_type": kind, "item_id": "a"}
    for step in (-1, 0, 1)
    for kind, late in (("view", 0), ("purchase", duration("3d") + step))
]
ROWS = anchored([*random_rows(Random(12), CUTOFFS, customers=120, events=16), *EDGES])
BOTH = ["purchase", "view"]
FEATURES: list[Any] = [
    cm.Basket(stat="orders", event_type=BOTH),
    cm.Basket(stat="lines", event_type=BOTH, window="3d"),
    cm.Basket(stat="items", event_type=BOTH, window="3d"),
    cm.Basket(stat="lines", order="plan"),
    cm.Basket(stat="value", order="plan"),
    cm.ReturnRate("amount", event_type=BOTH, returned=None),
    cm.ReturnRate("amount", event_type="purchase", returned="view", window="1w"),
    # A window of a conversion is looked at twice, by the events that may convert and by what they are a share of.
    cm.ConversionRate(event_type="view", within="3d", window="3d"),
    cm.ConversionRate(event_type="view", within="3d"),
    cm.ConversionRate(event_type="view", within="3d", on="item_id"),
    cm.Ratio(cm.Count(window="3d"), cm.Count(event_type="purchase")),
]
MUTANTS = [
    Mutant("order: events of one moment are two", r"previous_us = age_us", "FALSE"),
    Mutant("order: a moment later is the same", r"previous_us = age_us", "previous_us <= age_us + 1"),
    Mutant("order: joins outside of the window", r"age_us <= \d+ AND previous_us = age_us", "previous_us = age_us"),
    Mutant("order: lines without a number count", r'COUNT_IF\(NOT "plan" IS NULL\)', "COUNT(*)"),
    Mutant("order: amounts without a number count", r'CASE WHEN NOT "plan" IS NULL THEN "exact_amount" END',
           '"exact_amount"'),
    Mutant("items: one of several orders", r"customer_id, age_us, item_id", "customer_id, item_id"),
    Mutant("returns: their sign", r"ABS\(", "("),
    Mutant("returns: what was bought is net", r'"exact_amount" > 0', '"exact_amount" <> 0'),
    Mutant("conversion: < becomes <=", r"age_us - next_us < ", "age_us - next_us <= "),
    Mutant("conversion: however late", r" AND age_us - next_us < \d+", " AND age_us >= next_us"),
    Mutant("conversion: an event of the same moment does not follow", r"(ORDER BY age_us)(\) AS next_us)",
           r"\1 RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING\2"),
    Mutant("conversion: back in time", r"(ORDER BY age_us)(\) AS next_us)", r"\1 DESC\2"),
    Mutant("conversion: the last of those that follow", r"MAX(\(CASE[^)]*\) OVER \([^)]*\) AS next_us)", r"MIN\1"),
    Mutant("conversion: of any item", r"PARTITION BY customer_id, item_id", "PARTITION BY customer_id"),
    Mutant("conversion: the window forgotten", r"AND age_us <= \d+ (AND age_us - next_us)", r"\1"),
    Mutant("conversion: of all events", r'"event_type_code" = \d+ (AND age_us - next_us)', r"TRUE \1"),
    Mutant("ratio: nothing to divide by is one", r"NULLIF\((COALESCE\(by_purchase.count_purchase, 0\)), 0\)",
           r"GREATEST(\1, 1)"),
]  # fmt: skip


def test_without_a_mutant_everything_agrees() -> None:
    assert feature_differences(ROWS, FEATURES, CUTOFFS) == []


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_the_oracle_finds_the_mutant(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    with built_in(mutant, monkeypatch):
        differences = feature_differences(ROWS, FEATURES, CUTOFFS)
    assert differences != []

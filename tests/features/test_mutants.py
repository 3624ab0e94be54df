"""Named mutants of the lines that a leak would come through: each one is built in, and the oracle must object.

The texts are those of `build_features` and `build_dataset`, cutoff by cutoff; test_plan.py compares the text of several
cutoffs at once with them.
"""

import re
from random import Random
from typing import Any

import pytest

import crmml as cm
from tests.features.compare import feature_differences, label_differences
from tests.features.mutants import Mutant, built_in
from tests.features.oracle_rows import Row, duration
from tests.features.strategies import EPOCH, EVENT_TYPES, HORIZON, anchored, random_rows

CUTOFFS = [EPOCH, EPOCH + 1]
EDGES = [EPOCH - duration("3d"), EPOCH, EPOCH + duration("1d"), EPOCH + duration("3d")]
# Customers with one purchase on each edge of the population, the history and the horizon, or beside it.
SINGLE: list[Row] = [
    {"customer_id": 1000 + number, "timestamp": at, "event_type": "purchase", "amount": 1.0}
    for number, at in enumerate(edge + step for edge in EDGES for step in (-1, 0, 1))
]
ROWS = anchored([*random_rows(Random(11), CUTOFFS, customers=120, events=12), *SINGLE])
# The same events in a log that does not say when they became known: only one line guards the cutoff there.
UNRECORDED = [{**row, "recorded_at": None} for row in ROWS]
FEATURES: list[Any] = [
    cm.Recency(),
    cm.Count(event_type="purchase", window="3d"),
    cm.Count(event_type="view", where={"quantity": 1}),
    cm.Sum("amount", window="1w"),
    *(cm.NUnique("item_id", window=window) for window in ("3d", "1w")),
    *(cm.NUnique("plan", channel=channel) for channel in ("web", "app")),
    *(cm.Gap(stat="std", window=window) for window in ("3d", "1w")),
    cm.Trend(window="3d"),
    cm.Latest("plan"),
]
LATE = cm.Spend(HORIZON, event_type="purchase", active_within="3d", gap="1d")
PROMPT = cm.Churn(HORIZON, event_type=list(EVENT_TYPES[:2]), active_within="3d")
DAY, HORIZON_US = 86_400_000_000, 2 * 86_400_000_000


# Without the last bracket: what the cutoff is compared with.
CUTOFF = r"EPOCH_US\(CAST\('[^']*' AS TIMESTAMP\)\)"
BEFORE = rf"FROM coded WHERE at_us < {CUTOFF}"
KNOWN = rf"known_us < {CUTOFF}"
PURCHASE = r'"event_type_code" = 1'

IN_HISTORY = [
    Mutant("cutoff: < becomes <=", r"(FROM coded WHERE at_us) <", r"\1 <="),
    Mutant("cutoff: forgotten", BEFORE, "FROM coded WHERE TRUE"),
    Mutant("cutoff: one microsecond early", BEFORE, r"\g<0> - 1"),
]
IN_RECORDED = [
    Mutant("recorded_at: < becomes <=", r"known_us <", "known_us <="),
    Mutant("recorded_at: forgotten", rf" AND {KNOWN}", ""),
    Mutant("recorded_at: instead of the time", rf"{BEFORE} AND", "FROM coded WHERE"),
    Mutant("recorded_at: missing means unseen", r'COALESCE\(recorded_at, "timestamp"\)', "recorded_at"),
]
# What is kept of each event before any cutoff looks at it.
IN_CODED = [
    Mutant("until: one microsecond early", rf"AS coded WHERE at_us < {CUTOFF}", r"\g<0> - 1"),
    Mutant("codes: swapped", r"WHEN 'purchase' THEN 1 WHEN 'view' THEN 2", "WHEN 'purchase' THEN 2 WHEN 'view' THEN 1"),
    Mutant("codes: another text is the last", r"THEN (\d) END AS SMALLINT", r"THEN \1 ELSE \1 END AS SMALLINT"),
    Mutant("codes: of another column", r"CASE event_type WHEN", "CASE channel WHEN"),
    Mutant("truth: negated", r"(quantity) = 1 AS", r"\1 <> 1 AS"),
    Mutant("exact: two decimals", r"DECIMAL\(18, 6\)", "DECIMAL(18, 2)"),
]
IN_WINDOWS = [
    Mutant("window: <= becomes <", r"age_us <= ", "age_us < "),
    Mutant("window: forgotten", r"age_us <= \d+", "TRUE"),
    Mutant("window of distinct values: <= becomes <", r"youngest_us <= ", "youngest_us < "),
    Mutant(
        "reach of pairs: the shorter of two windows",
        rf"(NOT item_id IS NULL AND age_us <= ){duration('1w')}",
        rf"\g<1>{duration('3d')}",
    ),
    Mutant("reach of pairs: a filter forgotten", r'(NOT "plan" IS NULL AND )\("channel_code" = 1 OR ', r"\1("),
    Mutant(
        "reach of an order: the shorter of two windows",
        rf"(WHERE age_us <= ){duration('1w')}",
        rf"\g<1>{duration('3d')}",
    ),
    Mutant("window of gaps: <= becomes <", r"previous_us <= ", "previous_us < "),
    Mutant("window of gaps: by the later event", r"previous_us <= (\d+)", r"age_us <= \1"),
    Mutant("order: youngest first", r"ORDER BY age_us DESC", "ORDER BY age_us", in_order=False),
    Mutant("order: of all customers", r"PARTITION BY customer_id ORDER", "ORDER", in_order=False),
    Mutant("in order: the row before is of any customer", r"LAG\(customer_id\) OVER \(\) = customer_id", "TRUE"),
    Mutant("period of a trend: closed on the wrong side", r"\(age_us - 1\)", "(age_us)"),
    Mutant("ties of the latest value: the least", r"MAX(\(CASE WHEN [^)]* END\) AS last_value)", r"MIN\1"),
]
IN_LABELS = [
    Mutant("until: one microsecond early", rf"AS coded WHERE at_us < {CUTOFF}", r"\g<0> - 1"),
    Mutant("until: the gap forgotten", rf"AS coded WHERE at_us < {CUTOFF}", rf"\g<0> - {DAY}"),
    Mutant("until: the horizon forgotten", rf"AS coded WHERE at_us < {CUTOFF}", rf"\g<0> - {HORIZON_US}"),
    Mutant("horizon: end < becomes <=", r"ahead_us < ", "ahead_us <= "),
    Mutant("horizon: start >= becomes >", r"ahead_us >= ", "ahead_us > "),
    Mutant("horizon: forgotten", r"ahead_us < \d+", "TRUE"),
    Mutant("gap: forgotten at the start", rf"ahead_us >= {DAY}", "ahead_us >= 0"),
    Mutant("gap: forgotten at the end", rf"ahead_us < {DAY + HORIZON_US}", f"ahead_us < {HORIZON_US}"),
    Mutant("label: all events", rf"(ahead_us < \d+) AND {PURCHASE}", r"\1"),
    Mutant("population: window <= becomes <", r"(population AS \([^)]*age_us) <= ", r"\1 < "),
    Mutant("population: window forgotten", r"(population AS \([^)]*) AND age_us <= \d+", r"\1"),
    Mutant("population: all event types", rf"(population AS \([^)]*WHERE ){PURCHASE} AND", r"\1"),
    # From all events of the log instead of the history: customers of the future get a row.
    Mutant(
        "population: sees the future",
        rf"({CUTOFF})( - at_us AS age_us.*?population AS \([^)]*FROM )history",
        r"\1\2(SELECT *, \1 - at_us AS age_us FROM coded) AS history",
    ),
]


def test_without_a_mutant_everything_agrees() -> None:
    for rows in (ROWS, UNRECORDED):
        assert feature_differences(rows, FEATURES, CUTOFFS) == []
        assert label_differences(rows, LATE, CUTOFFS) == []
        assert label_differences(rows, PROMPT, CUTOFFS) == []


@pytest.mark.parametrize("mutant", [*IN_HISTORY, *IN_RECORDED, *IN_CODED, *IN_WINDOWS], ids=str)
def test_the_oracle_finds_the_mutant_in_features(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    with built_in(mutant, monkeypatch):
        differences = feature_differences(ROWS, FEATURES, CUTOFFS)
    assert differences != []


@pytest.mark.parametrize("mutant", IN_HISTORY, ids=str)
def test_the_oracle_finds_the_mutant_without_recorded_at(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    with built_in(mutant, monkeypatch):
        differences = feature_differences(UNRECORDED, FEATURES, CUTOFFS)
    assert differences != []


@pytest.mark.parametrize("mutant", IN_LABELS, ids=str)
def test_the_oracle_finds_the_mutant_in_labels(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    with built_in(mutant, monkeypatch):
        differences = label_differences(ROWS, LATE, CUTOFFS)
    assert differences != []


@pytest.mark.parametrize("mutant", [IN_LABELS[0], IN_LABELS[1]], ids=str)
def test_the_oracle_finds_the_mutant_in_labels_without_gap(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    with built_in(mutant, monkeypatch):
        differences = label_differences(ROWS, PROMPT, CUTOFFS)
    assert differences != []


@pytest.mark.parametrize("mutant", [*IN_HISTORY, *IN_RECORDED[:2]], ids=str)
def test_each_cutoff_mutant_leaks_an_event(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The differences are what they are meant to be: the mutants that open the cutoff count more events."""
    count = cm.Count()
    with built_in(mutant, monkeypatch):
        differences = feature_differences(ROWS, [count], CUTOFFS)
    counted = [re.search(r": (\d+), expected (\d+)$", line) for line in differences]
    changes = [int(found[1]) - int(found[2]) for found in counted if found]
    assert changes
    assert all(change < 0 if "early" in mutant.name else change > 0 for change in changes)

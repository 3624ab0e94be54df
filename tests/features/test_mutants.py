"""Named mutants of the lines that a leak would come through: each one is built in, and the oracle must object.

A mutant is a change of the SQL text just before it runs. A mutant that finds nothing to change fails, so that a
test here does not live on when the line that it guards has moved.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

import crmml as cm
from crmml.data.engine import Engine
from tests.features.compare import feature_differences, label_differences
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
    cm.Sum("amount", window="1w"),
    cm.NUnique("item_id", window="3d"),
    cm.Gap(stat="std", window="3d"),
    cm.Trend(window="3d"),
    cm.Latest("plan"),
]
LATE = cm.Spend(HORIZON, event_type="purchase", active_within="3d", gap="1d")
PROMPT = cm.Churn(HORIZON, event_type=list(EVENT_TYPES[:2]), active_within="3d")
DAY, HORIZON_US = 86_400_000_000, 2 * 86_400_000_000


@dataclass(frozen=True)
class Mutant:
    """A replacement (regular expression, text) in the SQL."""

    name: str
    pattern: str
    replacement: str

    def __str__(self) -> str:
        return self.name


@contextmanager
def built_in(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every query of a table (known by its `history`) runs as the mutant writes it; one must have changed."""
    original = Engine.arrow
    changed = 0

    def arrow(self: Engine, query: Any) -> Any:
        nonlocal changed
        text = query if isinstance(query, str) else query.sql("duckdb")
        if "history AS " in text:
            text, count = re.subn(mutant.pattern, mutant.replacement, text)
            changed += count
        return original(self, text)

    monkeypatch.setattr(Engine, "arrow", arrow)
    yield
    monkeypatch.undo()
    assert changed > 0, f"the mutant {mutant.name!r} found nothing to change: has its line moved?"


TIME = r'events\."timestamp"'
KNOWN = rf"COALESCE\(events\.recorded_at, {TIME}\)"
# The population from all events of the log instead of the history: customers of the future get a row.
ALL_EVENTS = (
    '(SELECT *, EPOCH_US(cutoffs.as_of) - EPOCH_US("timestamp") AS age_us FROM events CROSS JOIN cutoffs) AS history'
)

IN_HISTORY = [
    Mutant("cutoff: < becomes <=", rf"{TIME} < cutoffs\.as_of", 'events."timestamp" <= cutoffs.as_of'),
    Mutant("cutoff: forgotten", rf"{TIME} < cutoffs\.as_of", "TRUE"),
    Mutant("cutoff: one microsecond early", rf"{TIME} < cutoffs\.as_of", r"\g<0> - INTERVAL 1 MICROSECOND"),
]
IN_RECORDED = [
    Mutant("recorded_at: < becomes <=", rf"({KNOWN}) < cutoffs\.as_of", r"\1 <= cutoffs.as_of"),
    Mutant("recorded_at: forgotten", rf"{KNOWN} < cutoffs\.as_of", "TRUE"),
    Mutant("recorded_at: instead of the time", rf"{TIME} < cutoffs\.as_of AND", ""),
    Mutant("recorded_at: missing means unseen", KNOWN, "events.recorded_at"),
]
IN_WINDOWS = [
    Mutant("window: <= becomes <", r"age_us <= ", "age_us < "),
    Mutant("window: forgotten", r"age_us <= \d+", "TRUE"),
    Mutant("window of distinct values: <= becomes <", r"(youngest_\d+) <= ", r"\1 < "),
    Mutant("window of gaps: <= becomes <", r"previous_us <= ", "previous_us < "),
    Mutant("window of gaps: by the later event", r"previous_us <= (\d+)", r"previous_us - gap_us <= \1"),
    Mutant("period of a trend: closed on the wrong side", r"\(age_us - 1\)", "(age_us)"),
    Mutant("ties of the latest value: the least", r'MAX\("plan"\) AS latest_value', 'MIN("plan") AS latest_value'),
]
IN_LABELS = [
    Mutant("horizon: end < becomes <=", r"ahead_us < ", "ahead_us <= "),
    Mutant("horizon: start >= becomes >", r"ahead_us >= ", "ahead_us > "),
    Mutant("horizon: forgotten", r"ahead_us < \d+", "TRUE"),
    Mutant("gap: forgotten at the start", rf"ahead_us >= {DAY}", "ahead_us >= 0"),
    Mutant("gap: forgotten at the end", rf"ahead_us < {DAY + HORIZON_US}", f"ahead_us < {HORIZON_US}"),
    Mutant("label: all events", r"(ahead_us < \d+) AND event_type = 'purchase'", r"\1"),
    Mutant("population: window <= becomes <", r"(population AS \([^)]*age_us) <= ", r"\1 < "),
    Mutant("population: window forgotten", r"(population AS \([^)]*) AND age_us <= \d+", r"\1"),
    Mutant("population: all event types", r"(population AS \([^)]*WHERE )event_type = 'purchase' AND", r"\1"),
    Mutant("population: sees the future", r"(population AS \([^)]*FROM )history", rf"\1{ALL_EVENTS}"),
]


def test_without_a_mutant_everything_agrees() -> None:
    for rows in (ROWS, UNRECORDED):
        assert feature_differences(rows, FEATURES, CUTOFFS) == []
        assert label_differences(rows, LATE, CUTOFFS) == []
        assert label_differences(rows, PROMPT, CUTOFFS) == []


@pytest.mark.parametrize("mutant", [*IN_HISTORY, *IN_RECORDED, *IN_WINDOWS], ids=str)
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

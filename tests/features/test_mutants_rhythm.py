"""Named mutants of days, sessions, gaps, streaks and clocks: each one is built in, and the oracle must object."""

from random import Random
from typing import Any

import pytest

import crmml as cm
from tests.features.compare import feature_differences
from tests.features.mutants import Mutant, built_in
from tests.features.oracle_rows import Row
from tests.features.strategies import EPOCH, anchored, random_rows

CUTOFFS = [EPOCH, EPOCH + 1]
HOUR, MINUTE = 3_600_000_000, 60_000_000
# Two events of each customer: one on the edge of an hour or a microsecond beside it, and one that follows it after
# half an hour or a microsecond more or less.
PAIRS = [(EPOCH - hours * HOUR + a, 30 * MINUTE + b) for hours in (2, 6, 18) for a in (-1, 0, 1) for b in (-1, 0, 1)]
EDGES: list[Row] = [
    {"customer_id": 1000 + number, "timestamp": at, "event_type": "purchase", "amount": 1.0}
    for number, (first, gap) in enumerate(PAIRS)
    for at in (first, first + gap)
]
ROWS = anchored([*random_rows(Random(17), CUTOFFS, customers=40, events=12), *EDGES])
FEATURES: list[Any] = [
    cm.DaysActive(),  # which needs the events before the windows of the others
    cm.DaysActive(window="3d"),
    cm.DaysActive(window="36h", timezone="America/New_York"),
    *(cm.Sessions(stat=stat, window="3d") for stat in ("count", "length", "events")),
    *(cm.Gap(stat=stat, window="3d") for stat in ("median", "last", "last_to_mean")),
    *(cm.Streak(every="1d", stat=stat, window="1w") for stat in ("current", "longest")),
    *(cm.TimeTo(nth=nth, window="3d") for nth in (2, 3)),
    *(cm.Change(stat=stat, window="36h") for stat in ("difference", "ratio")),
    cm.HourShare(hours=(6, 18), window="3d"),
    cm.HourShare(hours=(22, 6), window="3d"),
    cm.WeekdayShare(window="1w"),
    *(cm.CutoffCalendar(part=part) for part in ("month", "weekday", "day_of_year")),
]
MUTANTS = [
    Mutant("window: <= becomes <", r"age_us <= ", "age_us < "),
    Mutant("window of the event before: <= becomes <", r"previous_us <= ", "previous_us < "),
    Mutant("window of the event before: forgotten", r"previous_us <= \d+ AND ", ""),
    Mutant("days: every event starts one", r"previous_day\"? = ", 'previous_day" <> '),
    Mutant("days: from noon to noon", r"(at_us \+ 2209593600000000)(\s*\) // 86400000000)", r"\1 + 43200000000\2"),
    Mutant("days of a zone: those of UTC", r" AT TIME ZONE 'America/New_York'", ""),
    Mutant(
        "sessions: an event half an hour later is of another",
        r"(previous_us - age_us\) <=) 1800000000",
        r"\1 1799999999",
    ),
    Mutant(
        "sessions: half an hour and a microsecond is the same",
        r"(previous_us - age_us\) <=) 1800000000",
        r"\1 1800000001",
    ),
    Mutant("sessions: the length in seconds", r" / 60000000 ", " / 1000000 "),
    Mutant("gaps: the lower of the middle two", r"MEDIAN\((.*?END)\)", r"QUANTILE_DISC(\1, 0.5)"),
    Mutant("gaps: the first, not the last", r"MIN(\(CASE WHEN previous_us <= \d+ THEN previous_us END\))", r"MAX\1"),
    Mutant("gaps: the newest first", r"ORDER BY age_us DESC", "ORDER BY age_us", in_order=False),
    Mutant("streaks: period closed on the wrong side", r"\(age_us - 1\)", "(age_us)"),
    Mutant("streaks: the first period does not count", r"youngest_start \+ 1", "youngest_start"),
    Mutant("streaks: over a hole of one period", r"> period \+ 1", "> period + 2"),
    Mutant("streaks: each period begins another", r"> period \+ 1", "> period"),
    Mutant("streaks: the one before is shorter", r"(start_before - previous_period\)) \+ 1", r"\1"),
    Mutant(
        "streaks: the one before is another customer's",
        r"(LAG\(period\) OVER \()PARTITION BY customer_id ",
        r"\1",
        in_order=False,
    ),
    Mutant("time to the third: the second", r"LAG\(age_us, 2\)", "LAG(age_us, 1)"),
    Mutant("change: the windows overlap", r" AND age_us > \d+", ""),
    Mutant("change: the windows share their edge", r"age_us > (\d+)", r"age_us >= \1"),
    Mutant("hours: the first hour is open", r"\"?hour\"? >= ", '"hour" > '),
    Mutant("hours: the end is closed", r"\"?hour\"? < ", '"hour" <= '),
    Mutant("hours: past midnight means both", r" OR (\"?hour)", r" AND \1"),
    Mutant("weekdays: Sunday is 0", r"(\"?weekday\"? IN) \(5, 6\)", r"\1 (6, 0)"),
    Mutant("cutoff: Sunday is 0", r"(EPOCH_US\(CAST\([^)]*\)\) \+ 2209593600000000\) // 86400000000) AS", r"\1 + 1 AS"),
    Mutant("cutoff: months from 0", r"MONTH\((CAST\([^)]*\))\)", r"MONTH(\1) - 1"),
]


def test_without_a_mutant_everything_agrees() -> None:
    assert feature_differences(ROWS, FEATURES, CUTOFFS) == []


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_the_oracle_finds_the_mutant(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    with built_in(mutant, monkeypatch):
        differences = feature_differences(ROWS, FEATURES, CUTOFFS)
    assert differences != []

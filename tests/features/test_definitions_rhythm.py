"""Days, sessions, gaps, streaks and changes: names, arithmetic, edges, refusals. Clocks are in test_clocks."""

import math
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

import crmml as cm
from tests.features.oracle_rows import duration

AS_OF = pd.Timestamp("2024-03-11", tz="UTC")  # a Monday


def microseconds(age: str) -> int:
    """The microseconds of an age such as "30m 1s" or "1d 1us"."""
    return sum(int(part[:-2]) if part.endswith("us") else duration(part) for part in age.split())


def table_of(features: list[Any], *customers: list[str], amounts: list[float] | None = None) -> list[list[Any]]:
    """The features of customers who have an event at each age before the cutoff, one line for each customer."""
    rows = [
        (who, AS_OF - pd.Timedelta(microseconds(age), unit="us")) for who, ages in enumerate(customers) for age in ages
    ]
    frame = pd.DataFrame(rows, columns=["u", "t"]).assign(k="purchase", a=amounts or 1.0)
    log = cm.InteractionLog(frame, customer_id="u", timestamp="t", event_type="k", amount="a", observed_until=AS_OF)
    lines: list[list[Any]] = cm.build_features(log, features, AS_OF).to_numpy().tolist()
    return lines


def same(actual: list[list[Any]], expected: list[list[float]]) -> bool:
    """Whether the tables are equal, a missing value like a missing value."""
    return actual == [pytest.approx(line, rel=1e-12, nan_ok=True) for line in expected]


@pytest.mark.parametrize(
    ("feature", "name"),
    [
        (cm.DaysActive(), "days_active"),
        (cm.DaysActive(event_type="purchase", window="90d"), "days_active_purchase_90d"),
        (cm.DaysActive(timezone="Asia/Tokyo", window="90d"), "days_active_asia_tokyo_90d"),
        (cm.Sessions(event_type="view", window="90d"), "sessions_count_view_90d"),
        (cm.Sessions(stat="events", gap="1h", channel="web"), "sessions_events_gap_1h_web"),
        (cm.Gap(stat="median", event_type="purchase"), "gap_median_purchase"),
        (cm.Gap(stat="last_to_mean"), "gap_last_to_mean"),
        (cm.Streak(event_type="purchase"), "streak_current_by_7d_purchase"),
        (cm.Streak(every="30d", stat="longest", window="365d"), "streak_longest_by_30d_365d"),
        (cm.TimeTo(event_type="purchase"), "time_to_2_purchase"),
        (cm.TimeTo(nth=5), "time_to_5"),
        (cm.Change(event_type="purchase", window="30d"), "change_purchase_30d"),
        (cm.Change("amount", stat="ratio", window="30d"), "change_ratio_amount_30d"),
    ],
)
def test_names_are_made_from_the_definition(feature: Any, name: str) -> None:
    assert feature.name == name


def test_days_are_counted_from_midnight_to_midnight() -> None:
    cases = [
        (["1us"], 1),
        (["1us", "1d"], 1),  # from the last microsecond of a day back to its midnight
        (["1us", "1d 1us"], 2),  # the last microsecond of the day before is another day
        (["1d", "1d 1us"], 2),  # a microsecond apart, midnight between them
        (["3h", "2h", "1h", "50h"], 2),
    ]
    found = table_of([cm.DaysActive()], *(ages for ages, _ in cases))
    assert found == [[expected] for _, expected in cases]


def test_a_window_that_starts_within_a_day_counts_what_lies_in_it() -> None:
    expected = {"9h": 0, "10h": 1, "23h": 1, "24h": 1, "35h": 1, "36h": 2, "3d": 2}
    # Events at 14:00 and 13:00 of the day before the cutoff, and at noon of the day before that.
    found = table_of([cm.DaysActive(window=window) for window in expected], ["10h", "11h", "36h"])
    assert found == [list(expected.values())]


SESSIONS = [cm.Sessions(stat=stat) for stat in ("count", "length", "events")]


def test_a_session_ends_where_the_time_to_the_next_event_is_longer_than_its_gap() -> None:
    # At 0:00, 0:30 and 1:00, then more than half an hour later at 1:30:01, at last at 9:00 and 9:10.
    ages = ["24h", "23h 30m", "23h", "22h 29m 59s", "15h", "14h 50m"]
    assert same(table_of(SESSIONS, ages), [[3, (60 + 0 + 10) / 3, (3 + 1 + 2) / 3]])


def test_a_window_cuts_a_session() -> None:
    whole, cut, empty = ([replace(each, window=window) for each in SESSIONS] for window in ("24h", "1439m", "1h"))
    ages = ["24h", "23h 40m", "23h 20m"]
    expected = [[1, 40, 3], [1, 20, 2], [0, math.nan, math.nan]]
    assert same([table_of(each, ages)[0] for each in (whole, cut, empty)], expected)


GAPS = [cm.Gap(stat=stat) for stat in ("mean", "median", "last", "last_to_mean", "std")]


def test_gaps_are_days_between_consecutive_events() -> None:
    # Of 10, 4, 1 and 5 days: the mean is 5, that of the middle two 4.5, the squares add up to 25 + 1 + 16.
    assert same(table_of(GAPS, ["22d", "12d", "8d", "7d", "2d"]), [[5, 4.5, 5, 1, math.sqrt(42 / 3)]])


def test_events_at_the_same_moment_have_a_gap_of_zero() -> None:
    gaps = table_of(GAPS, ["9d", "2d", "2d"], ["2d", "2d"])
    # Where the mean is 0, the last gap cannot be compared with it.
    assert same(gaps, [[3.5, 3.5, 0, 0, math.sqrt(2 * 3.5**2)], [0, 0, 0, math.nan, math.nan]])


def test_one_event_has_no_gap() -> None:
    short = [replace(gap, window="3d") for gap in GAPS]
    assert same(table_of([*GAPS, *short], ["2d"]), [[math.nan] * 10])
    assert same(table_of(short, ["2d", "4d"]), [[math.nan] * 5])


def test_streaks_are_periods_in_a_row() -> None:
    cases = [
        (["7d"], 1, 1),  # an event exactly one period old belongs to the youngest period
        (["7d 1us"], 0, 1),  # one that is older to the one before it
        (["1d", "8d", "15d"], 3, 3),
        (["1d", "15d"], 1, 1),  # a period without events between them
        (["1d", "15d", "22d", "23d", "29d"], 1, 3),
        (["1d", "8d", "22d", "36d", "43d", "50d"], 2, 3),
        (["8d", "15d", "29d"], 0, 2),  # the longest run need not reach the cutoff
        (["1us", "1us", "7d", "14d", "14d"], 2, 2),
    ]
    found = table_of([cm.Streak(), cm.Streak(stat="longest")], *(ages for ages, *_ in cases))
    assert found == [expected for _, *expected in cases]


def test_a_window_bounds_a_streak() -> None:
    longest = [cm.Streak(every="1d", stat="longest", window=window) for window in ("4d", "9d", "99d")]
    assert table_of(longest, [f"{day}d" for day in range(1, 11)]) == [[4, 9, 10]]


def test_streaks_of_many_periods() -> None:
    active = [
        [1, 59, 60, 61, 62],
        [*range(60)],
        [*range(61)],
        [*range(130)],
        [*range(70), 200],
        [*range(100, 164), 299],
        [59],
        [60],
        [*range(0, 300, 2)],
    ]
    expected = [[0, 4], [60, 60], [61, 61], [130, 130], [70, 70], [0, 64], [0, 1], [0, 1], [1, 1]]
    customers = [[f"{period}h 1us" for period in periods] for periods in active]
    assert table_of([cm.Streak(every="1h"), cm.Streak(every="1h", stat="longest")], *customers) == expected


def test_time_runs_from_the_first_event_to_the_nth() -> None:
    features = [cm.TimeTo(nth=nth) for nth in (2, 3, 4, 5)]
    assert same(table_of(features, ["14d", "5d", "5d", "2d"], ["14d"]), [[9, 9, 12, math.nan], [math.nan] * 4])


def test_the_first_event_is_the_first_of_the_window() -> None:
    features = [cm.TimeTo(window="9d"), cm.TimeTo(nth=3, window="9d"), cm.TimeTo(nth=3, window="8d")]
    assert same(table_of(features, ["14d", "9d", "5d", "2d"]), [[4, 7, math.nan]])


CHANGES = [cm.Change(of, stat=stat, window="10d") for of in (None, "amount") for stat in ("difference", "ratio")]


def test_a_change_compares_two_windows_that_touch() -> None:
    # Two events of this window, three of the one before, one that is a microsecond too old for it.
    ages, amounts = ["1d", "10d", "10d 1us", "15d", "20d", "20d 1us"], [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    assert same(table_of(CHANGES, ages, amounts=amounts), [[2 - 3, 2 / 3, 3 - 28, 3 / 28]])


def test_a_change_from_nothing_has_no_ratio() -> None:
    amounts = [1.0, 2.0, 4.0, 5.0, -5.0]
    found = table_of(CHANGES, ["1d"], ["11d"], ["1d", "11d", "12d"], amounts=amounts)
    assert same(found, [[1, math.nan, 1, math.nan], [-1, 0, -2, 0], [-1, 1 / 2, 4, math.nan]])


def test_what_is_counted_is_a_whole_number() -> None:
    counts = [cm.DaysActive(), cm.DaysActive(timezone="Asia/Tokyo"), cm.Sessions(), cm.Streak(every="1h")]
    others = [cm.Streak(stat="longest"), cm.Change(window="1d"), cm.CutoffCalendar()]
    table = cm.build_features(cm.simulate_log(5, seed=1).log, [*counts, *others], "2024-06-01")
    assert set(table.dtypes.astype(str)) == {"int64"}


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: cm.DaysActive(timezone="Europe/Berln"),
            "DaysActive: timezone 'Europe/Berln' is not an IANA time zone. Did you mean 'Europe/Berlin'? "
            "Use a name like 'UTC' or 'Europe/Berlin'.",
        ),
        (
            lambda: cm.DaysActive(timezone=1),
            "DaysActive: timezone 1 is not an IANA time zone. Use a name like 'UTC' or 'Europe/Berlin'.",
        ),
        (
            lambda: cm.Sessions(stat="number"),
            "Sessions: stat must be 'count', 'length' or 'events', not 'number'. Use stat='count'.",
        ),
        (
            lambda: cm.Sessions(gap="30 min"),
            "Sessions: gap '30 min' is not a duration. Use '30m'.",
        ),
        (
            lambda: cm.Streak(stat="best"),
            "Streak: stat must be 'current' or 'longest', not 'best'. Use stat='current'.",
        ),
        (
            lambda: cm.Streak(every="1 month"),
            "Streak: every '1 month' is not a duration: months and years differ in length. Use days: '30d'.",
        ),
        (
            lambda: cm.TimeTo(nth=1),
            "TimeTo: nth must be a whole number from 2 to 1000, not 1. Use nth=2.",
        ),
        (
            lambda: cm.TimeTo(nth=True),
            "TimeTo: nth must be a whole number from 2 to 1000, not True. Use nth=2.",
        ),
        (cm.Change, "Change: a change needs a window. Use Change(window='30d')."),
        (
            lambda: cm.Change(stat="percent", window="30d"),
            "Change: stat must be 'difference' or 'ratio', not 'percent'. Use stat='difference'.",
        ),
        (
            lambda: cm.Gap(stat="max"),
            "Gap: stat must be 'mean', 'std', 'median', 'last' or 'last_to_mean', not 'max'. Use stat='mean'.",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(act: Any, message: str) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        act()
    assert str(caught.value) == message

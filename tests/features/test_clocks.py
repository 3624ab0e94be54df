"""Hours, weekdays and days on the clocks of a zone, across the changes of these clocks; the calendar of the cutoff."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

import crmml as cm

# Clocks in Berlin went forward from 2:00 to 3:00 (1:00 in UTC) on the first day, back from 3:00 on the second.
SPRING, AUTUMN = datetime(2024, 3, 31, 1, tzinfo=UTC), datetime(2024, 10, 27, 1, tzinfo=UTC)
US = timedelta(microseconds=1)
BERLIN = "Europe/Berlin"


def table_of(features: list[Any], *times: datetime, as_of: str = "2024-12-31") -> pd.DataFrame:
    """The features of one customer with events at these times."""
    log = cm.InteractionLog(
        pd.DataFrame({"u": 1, "t": pd.DatetimeIndex(times, dtype="datetime64[us, UTC]")}),
        customer_id="u",
        timestamp="t",
        observed_until=as_of,
    )
    return cm.build_features(log, features, as_of)


def value_of(feature: Any, *times: datetime, as_of: str = "2024-12-31") -> Any:
    return table_of([feature], *times, as_of=as_of).iloc[0, 0]


@pytest.mark.parametrize(
    ("feature", "name"),
    [
        (cm.HourShare(window="90d"), "hour_share_18_24_90d"),
        (cm.HourShare(hours=[22, 6], timezone=BERLIN), "hour_share_22_6_europe_berlin"),
        (cm.WeekdayShare(event_type="view"), "weekday_share_saturday_or_sunday_view"),
        (cm.WeekdayShare(days="monday", timezone="Asia/Tokyo"), "weekday_share_monday_asia_tokyo"),
        (cm.CutoffCalendar(), "as_of_month"),
        (cm.CutoffCalendar(part="day_of_year"), "as_of_day_of_year"),
    ],
)
def test_names_are_made_from_the_definition(feature: Any, name: str) -> None:
    assert feature.name == name


def test_hours_are_half_open_and_run_past_midnight() -> None:
    nine, five = (datetime(2024, 5, 1, hour, tzinfo=UTC) for hour in (9, 17))
    # Of the four events, on both edges and a microsecond before: how many lie within the hours.
    expected = {(9, 17): 2, (17, 9): 2, (9, 10): 1, (16, 17): 1, (0, 9): 1, (10, 16): 0}
    table = table_of([cm.HourShare(hours=hours) for hours in expected], nine - US, nine, five - US, five)
    assert table.iloc[0].tolist() == [n / 4 for n in expected.values()]


@pytest.mark.parametrize(
    ("at", "hour"),
    [
        (SPRING - US, 1),  # 1:59:59 of winter
        (SPRING, 3),  # and the next microsecond is 3:00 of summer
        (AUTUMN - US, 2),  # 2:59:59 of summer
        (AUTUMN, 2),  # and the next microsecond is 2:00 of winter
        (AUTUMN + timedelta(hours=1), 3),
    ],
)
def test_hours_follow_the_change_of_the_clocks(at: datetime, hour: int) -> None:
    table = table_of([cm.HourShare(hours=(h, h + 1), timezone=BERLIN) for h in range(24)], at)
    assert table.iloc[0].tolist() == [float(h == hour) for h in range(24)]


@pytest.mark.parametrize("change", [SPRING, AUTUMN])
def test_a_day_on_which_clocks_change_is_one_day(change: datetime) -> None:
    """It has 23 or 25 hours; its midnights are not a whole number of days apart."""
    local = change.astimezone(ZoneInfo(BERLIN)).date()
    midnights = [
        datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)
        for day in (local, local + timedelta(days=1))
    ]
    assert midnights[1] - midnights[0] == timedelta(hours=23 if change is SPRING else 25)
    inside, around = (midnights[0], midnights[1] - US), (midnights[0] - US, midnights[1])
    assert value_of(cm.DaysActive(timezone=BERLIN), *inside) == 1
    assert value_of(cm.DaysActive(timezone=BERLIN), *inside, *around) == 3
    sunday = cm.WeekdayShare(days="sunday", timezone=BERLIN)  # clocks change on Sundays
    assert value_of(sunday, *inside, *around) == 2 / 4


def test_a_day_that_comes_in_two_parts_is_counted_once() -> None:
    """In St. John's, clocks went back at 0:01, from Sunday into the last hour of Saturday; then Sunday came again."""
    change = datetime(2010, 11, 7, 2, 31, tzinfo=UTC)
    times = [change - timedelta(seconds=30), change + timedelta(seconds=30), change + timedelta(hours=2)]
    assert [at.astimezone(ZoneInfo("America/St_Johns")).day for at in times] == [7, 6, 7]
    assert value_of(cm.DaysActive(timezone="America/St_Johns"), *times, as_of="2010-12-01") == 2


def test_the_first_hours_of_1900_were_of_1899_in_america() -> None:
    times = [datetime(1900, 1, 1, hour, tzinfo=UTC) for hour in (0, 4, 5)]  # 19:00, 23:00, and midnight
    zone = {"timezone": "America/New_York"}
    features = [
        cm.DaysActive(**zone),
        cm.HourShare(hours=(19, 24), **zone),
        cm.WeekdayShare(days="sunday", **zone),
        cm.WeekdayShare(days="monday", timezone="UTC"),
    ]
    assert table_of(features, *times, as_of="1900-01-02").to_numpy().tolist() == [[2, 2 / 3, 2 / 3, 1.0]]


def test_every_day_of_a_week_has_its_name() -> None:
    monday = datetime(2024, 1, 1, 12, tzinfo=UTC)
    names = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    times = [
        monday + timedelta(days=number) for number in range(7) for _ in range(number + 1)
    ]  # 1 on Monday, 7 on Sunday
    table = table_of([cm.WeekdayShare(days=day) for day in names], *times)
    assert table.iloc[0].tolist() == [n / 28 for n in range(1, 8)]


def test_without_events_there_is_no_share() -> None:
    long_ago = datetime(2024, 1, 1, tzinfo=UTC)
    assert math.isnan(value_of(cm.HourShare(window="1d"), long_ago))
    assert math.isnan(value_of(cm.WeekdayShare(window="1d"), long_ago))


@pytest.mark.parametrize(
    ("as_of", "expected"),
    [
        ("2024-01-01", [1, 0, 1]),  # a Monday
        ("2024-02-29", [2, 3, 60]),
        ("2024-12-31", [12, 1, 366]),  # a leap year
        ("2023-12-31T23:59:59", [12, 6, 365]),
        ("2024-01-01T00:30:00+01:00", [12, 6, 365]),  # in UTC it is still the old year
    ],
)
def test_the_calendar_of_the_cutoff_is_that_of_utc(as_of: str, expected: list[int]) -> None:
    features = [cm.CutoffCalendar(part=part) for part in ("month", "weekday", "day_of_year")]
    table = table_of(features, datetime(2023, 6, 1, tzinfo=UTC), as_of=as_of)
    assert table.to_numpy().tolist() == [expected]


def test_the_calendar_is_that_of_each_cutoff_and_needs_no_event_in_a_population() -> None:
    times = pd.to_datetime(["2023-06-01", "2024-01-15"], utc=True)
    log = cm.InteractionLog(pd.DataFrame({"u": [1, 2], "t": times}), customer_id="u", timestamp="t")
    table = cm.build_features(log, [cm.CutoffCalendar()], ["2023-07-01", "2024-01-16"])
    assert table["as_of_month"].tolist() == [7, 1, 1]  # one customer at the first cutoff, two at the second
    active = cm.Population(active_within="7d")
    assert cm.build_features(log, [cm.CutoffCalendar()], "2024-01-16", population=active).shape == (1, 1)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: cm.HourShare(hours=(18, 25)),
            "HourShare: hours must be a first hour from 0 to 23 and an end from 1 to 24, not (18, 25). "
            "Use hours=(18, 24).",
        ),
        (
            lambda: cm.HourShare(hours=(22, 0)),
            "HourShare: hours must be a first hour from 0 to 23 and an end from 1 to 24, not (22, 0). "
            "Use hours=(18, 24).",
        ),
        (
            lambda: cm.HourShare(hours=18),
            "HourShare: hours must be a first hour from 0 to 23 and an end from 1 to 24, not 18. Use hours=(18, 24).",
        ),
        (
            lambda: cm.HourShare(hours=(1.5, 2)),
            "HourShare: hours must be a first hour from 0 to 23 and an end from 1 to 24, not (1.5, 2). "
            "Use hours=(18, 24).",
        ),
        (
            lambda: cm.HourShare(hours=(0, 24)),
            "HourShare: hours (0, 24) is no part of a day. Use hours=(18, 24).",
        ),
        (
            lambda: cm.HourShare(hours=(6, 6)),
            "HourShare: hours (6, 6) is no part of a day. Use hours=(18, 24).",
        ),
        (
            lambda: cm.HourShare(timezone="CET+1"),
            "HourShare: timezone 'CET+1' is not an IANA time zone. Did you mean 'CET'? "
            "Use a name like 'UTC' or 'Europe/Berlin'.",
        ),
        (
            lambda: cm.WeekdayShare(days=["saturday", "sundays"]),
            "WeekdayShare: 'sundays' is no day of the week. Did you mean 'sunday'? Use days=('saturday', 'sunday').",
        ),
        (
            lambda: cm.WeekdayShare(days=5),
            "WeekdayShare: 5 is no day of the week. Use days=('saturday', 'sunday').",
        ),
        (
            lambda: cm.WeekdayShare(days=["sunday", "sunday"]),
            "WeekdayShare: days must be one to six different days, not ('sunday', 'sunday'). "
            "Use days=('saturday', 'sunday').",
        ),
        (
            lambda: cm.WeekdayShare(days=[]),
            "WeekdayShare: days must be one to six different days, not (). Use days=('saturday', 'sunday').",
        ),
        (
            lambda: cm.CutoffCalendar(part="year"),
            "CutoffCalendar: part must be 'month', 'weekday' or 'day_of_year', not 'year'. Use part='month'.",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(act: Any, message: str) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        act()
    assert str(caught.value) == message

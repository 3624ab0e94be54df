"""Durations and moments: what people write, what it means, and what is refused."""

from datetime import UTC, date, datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.data.time import DAY, moment_of, moments_of, parse_duration, spoken


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("90s", 90), ("45m", 45 * 60), ("12h", 12 * 3600), ("30d", 30 * 86400), ("8w", 8 * 7 * 86400)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds * 10**6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3 months", "window '3 months' is not a duration: months and years differ in length. Use days: '90d'."),
        ("1y", "window '1y' is not a duration: months and years differ in length. Use days: '365d'."),
        ("2q", "window '2q' is not a duration: months and years differ in length. Use days: '182d'."),
        ("30 days", "window '30 days' is not a duration. Use '30d'."),
        ("30D", "window '30D' is not a duration. Use '30d'."),
        ("2 weeks", "window '2 weeks' is not a duration. Use '2w'."),
        (
            "d30",
            "window 'd30' is not a duration. Use a number and one of s, m, h, d, w, for example '30d', '8w' or '12h'.",
        ),
        (
            "",
            "window '' is not a duration. Use a number and one of s, m, h, d, w, for example '30d', '8w' or '12h'.",
        ),
        (
            "-30d",
            "window '-30d' is not a duration. Use a number and one of s, m, h, d, w, for example '30d', '8w' or '12h'.",
        ),
        ("0d", "window '0d' has no length. Use a positive duration, for example '30d'."),
        ("99999999999d", "window '99999999999d' is longer than any log. Leave it out, or use for example '3650d'."),
        (
            30,
            "window 30 is not a duration. Use a number and one of s, m, h, d, w, for example '30d', '8w' or '12h'.",
        ),
        (
            "٣d",
            "window '٣d' is not a duration. Use '3d'.",
        ),
    ],
)
def test_other_spellings_are_refused_with_one_that_works(text: str, message: str) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        parse_duration(text, "window")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "value",
    [
        "2024-01-31",
        "2024-01-31 00:00",
        "2024-01-31T01:00:00+01:00",
        date(2024, 1, 31),
        datetime(2024, 1, 31),
        datetime(2024, 1, 31, tzinfo=UTC),
        pd.Timestamp("2024-01-31"),
        pd.Timestamp("2024-01-30 16:00", tz="America/Los_Angeles"),
    ],
)
def test_every_spelling_of_a_moment_is_the_same_moment(value: datetime | str) -> None:
    assert moment_of(value) == pd.Timestamp("2024-01-31", tz="UTC")
    assert moment_of(value).unit == "us"


@pytest.mark.parametrize("value", ["", "soon", None, 3, 2.5, pd.NaT, float("nan"), "2024-13-01", ["2024-01-01"]])
def test_what_is_no_moment_is_refused(value: object) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        moment_of(value)  # type: ignore[arg-type]
    assert str(caught.value) == (
        f"as_of {value!r} is not a date or time. Use for example '2024-01-31' or '2024-01-31T12:00:00+01:00'."
    )


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))
def test_moments_survive_the_way_through_text(when: datetime) -> None:
    moment = moment_of(when)
    assert moment_of(spoken(moment)) == moment


def test_many_moments_are_sorted() -> None:
    assert [spoken(one) for one in moments_of(["2024-03-01", "2024-01-01"])] == ["2024-01-01", "2024-03-01"]
    assert parse_duration("1d") == DAY


@pytest.mark.parametrize("value", ["01.05.2024", "05/01/2024", "may", "now", "today", "12:00", "2024", "20240501"])
def test_a_text_that_can_be_read_in_two_ways_is_no_moment(value: str) -> None:
    """A parser that guesses takes "01.05.2024" for the fifth of January, and nobody notices."""
    with pytest.raises(cm.ConfigError) as caught:
        moment_of(value)
    assert str(caught.value) == (
        f"as_of {value!r} is not a date or time. Use for example '2024-01-31' or '2024-01-31T12:00:00+01:00'."
    )


@pytest.mark.parametrize(
    "value", ["2024-01-31 00:00", "2024-01-31T00:00:00Z", "2024-01-31 01:00+01", "2024-01-31T05:30:00.0 +0530"]
)
def test_the_iso_spellings_of_a_moment_are_read(value: str) -> None:
    assert moment_of(value) == pd.Timestamp("2024-01-31", tz="UTC")


@pytest.mark.parametrize("digits", [20, 40, 5000])
def test_a_duration_of_very_many_digits_is_refused(digits: int) -> None:
    """Python itself refuses to read more than 4,300 digits, with an error of its own."""
    text = "9" * digits + "d"
    with pytest.raises(cm.ConfigError) as caught:
        parse_duration(text, "window")
    assert str(caught.value) == (f"window {text!r} is longer than any log. Leave it out, or use for example '3650d'.")
    with pytest.raises(cm.ConfigError, match="is not a duration"):
        parse_duration("9" * digits + " fortnights")

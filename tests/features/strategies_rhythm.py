"""Strategies for what is particular to the definitions of the rhythm family."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import crmml as cm
from tests.features.oracle_rhythm import WEEKDAYS

# Clocks went forward in New York seven hours after the first cutoff of the tests; elsewhere they are hours, half
# hours and quarters away from UTC, on both sides.
ZONES = st.sampled_from(("UTC", "UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland"))
HOURS = st.tuples(st.integers(0, 23), st.integers(1, 24)).filter(lambda pair: pair[0] != pair[1] and pair != (0, 24))
DAYS = st.one_of(st.sampled_from(WEEKDAYS), st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=6, unique=True))
DURATIONS = st.sampled_from(("1d", "36h", "90m", "45m", "45s", "1w"))

OWN_RHYTHM: dict[str, dict[str, SearchStrategy[Any]]] = {
    "DaysActive": {"timezone": ZONES},
    "Sessions": {"stat": st.sampled_from(("count", "length", "events")), "gap": DURATIONS},
    "Gap": {"stat": st.sampled_from(("mean", "std", "median", "last", "last_to_mean"))},
    "Streak": {"every": DURATIONS, "stat": st.sampled_from(("current", "longest"))},
    "TimeTo": {"nth": st.integers(2, 4)},
    "HourShare": {"hours": st.one_of(st.sampled_from(((18, 24), (0, 6), (22, 6))), HOURS), "timezone": ZONES},
    "WeekdayShare": {"days": DAYS, "timezone": ZONES},
    "Change": {
        "column": st.sampled_from((None, "amount", "quantity")),
        "stat": st.sampled_from(("difference", "ratio")),
    },
}


def cutoff_calendars() -> SearchStrategy[Any]:
    return st.builds(cm.CutoffCalendar, part=st.sampled_from(("month", "weekday", "day_of_year")))

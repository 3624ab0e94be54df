"""The pictures of when and how often: recency, rhythm, counts, shares, change."""

import itertools
from collections.abc import Sequence

import pandas as pd

from crmml import (
    Change,
    ConversionRate,
    Count,
    CutoffCalendar,
    DaysActive,
    Gap,
    HourShare,
    Ratio,
    Recency,
    ReturnRate,
    Sessions,
    Share,
    Streak,
    Tenure,
    TimeTo,
    Trend,
    WeekdayShare,
)
from tools.features_page.events import AS_OF, Event, counts, days, read, start_of
from tools.features_page.picture import Picture
from tools.features_page.timeline import Bars, Divide, Interval, Mark, Note, Shade, Span

SPRING = read("""
    when   event_type channel
    04-08  view       web
    04-21  view       web
    05-02  view       app
    05-17  view       web
    06-08  view       app
    06-24  view       web
    07-01  view       web
    04-12  purchase   shop
    05-20  purchase   web
    06-03  purchase   shop
    06-20  purchase   web
    07-06  purchase   web
""")
PURCHASES = tuple(event for event in SPRING if event.event_type == "purchase")
RETURNS = (*PURCHASES, *read("when event_type channel\n 04-24 return shop\n 06-12 return web"))
WEEK = read("""
    when         event_type
    06-25T14:00  view
    06-26T20:00  view
    06-27T09:00  view
    06-27T19:30  view
    06-29T11:00  view
    06-29T15:00  view
    06-29T21:00  view
    06-30T19:00  view
    07-01T08:00  view
""")
EVENING = read("""
    when         event_type
    06-30T16:30  view
    06-30T18:10  view
    06-30T18:30  view
    06-30T18:50  view
    06-30T20:30  view
    06-30T22:20  view
    06-30T22:45  view
    07-01T00:40  view
""")
JUNE = read("""
    when         event_type
    06-01T12:00  view
    06-04T12:00  view
    06-08T12:00  view
    06-13T12:00  view
    06-16T12:00  view
    06-21T12:00  view
    06-29T12:00  view
    07-03T12:00  view
""")
WITH_A_BREAK = read("""
    when   event_type
    04-15  purchase
    05-01  purchase
    05-10  purchase
    05-15  purchase
    06-08  purchase
    06-27  purchase
    07-05  purchase
""")
GROWING = read("""
    when   event_type
    04-08  purchase
    05-09  purchase
    05-25  purchase
    06-05  purchase
    06-12  purchase
    06-18  purchase
    06-23  purchase
    06-28  purchase
    07-05  purchase
""")
BUSIER = (*SPRING, *read("when event_type channel\n 06-17 view app"))


def _to_the_cutoff(event: Event) -> list[Mark]:
    return [Span(event.at, AS_OF, days(event.at, AS_OF))]


def _gaps(seen: list[Event]) -> list[Mark]:
    return [Span(one.at, other.at, days(one.at, other.at)) for one, other in itertools.pairwise(seen)]


def _nights(start: str, end: str) -> list[pd.Timestamp]:
    return list(pd.date_range(f"2024-{start}", f"2024-{end}", freq="D", tz="UTC"))


def _active(seen: list[Event]) -> list[Mark]:
    day = pd.Timedelta(days=1)
    active = sorted({event.at.normalize() for event in seen})
    numbered = [Note(at, at + day, f"day {number}") for number, at in enumerate(active, 1)]
    return [*(Divide(at) for at in _nights("06-26", "07-01")), *numbered]


def _sessions(seen: list[Event]) -> list[Mark]:
    groups: list[list[Event]] = []
    for event in seen:
        if groups and event.at - groups[-1][-1].at <= pd.Timedelta(minutes=30):
            groups[-1].append(event)
        else:
            groups.append([event])
    return [
        Span(group[0].at, group[-1].at, f"{(group[-1].at - group[0].at).seconds // 60} min", group=True)
        for group in groups
    ]


def _periods(every: str, number: int) -> list[pd.Timestamp]:
    """The ends of periods, from the cutoff back."""
    return [start_of(every, times) for times in range(number + 1)]


def _streaks(seen: list[Event]) -> list[Mark]:
    ends = _periods("14d", 6)
    marks: list[Mark] = [Divide(at) for at in ends[1:]]
    for end, start in itertools.pairwise(ends):
        some = any(start <= event.at < end for event in seen)
        marks.append(Note(start, end, "events" if some else "none", "in" if some else "out"))
    return marks


def _trend(seen: list[Event]) -> list[Mark]:
    edges = _periods("15d", 6)[::-1]
    heights = [float(sum(start <= event.at < end for event in seen)) for start, end in itertools.pairwise(edges)]
    middle, mean = (len(heights) - 1) / 2, sum(heights) / len(heights)
    squares = sum((x - middle) ** 2 for x in range(len(heights)))
    slope = sum((x - middle) * y for x, y in enumerate(heights)) / squares
    ends = (mean - slope * middle, mean + slope * middle)
    return [*(Divide(at) for at in edges[1:-1]), Bars(tuple(edges), tuple(heights), ends)]


def _next(view: Event, within: str) -> Event | None:
    """The first purchase that follows within a time."""
    end = view.at + (AS_OF - start_of(within))
    return next((event for event in PURCHASES if view.at <= event.at < min(end, AS_OF)), None)


def _conversions(seen: list[Event]) -> list[Mark]:
    found = ((view, _next(view, "14d")) for view in seen)
    return [Span(view.at, bought.at, days(view.at, bought.at), style="second") for view, bought in found if bought]


def _calendar(_: Sequence[Event]) -> str:
    return f"{AS_OF:%Y-%m-%d} is a {AS_OF:%A} in {AS_OF:%B}, day {AS_OF.day_of_year} of its year"


RANGE = {"start": "04-01", "end": "07-12"}

WHEN = {
    "Recency": Picture(
        [Recency(event_type="purchase")],
        SPRING,
        **RANGE,
        ring=lambda seen: seen[-1:],
        marks=lambda seen: _to_the_cutoff(seen[-1]),
    ),
    "Tenure": Picture(
        [Tenure()], SPRING, **RANGE, ring=lambda seen: seen[:1], marks=lambda seen: _to_the_cutoff(seen[0])
    ),
    "Gap": Picture(
        [Gap(event_type="purchase", stat=stat) for stat in ("mean", "std", "median", "last", "last_to_mean")],
        SPRING,
        **RANGE,
        marks=_gaps,
    ),
    "TimeTo": Picture(
        [TimeTo(event_type="purchase")],
        SPRING,
        **RANGE,
        first=lambda event: event in PURCHASES[:2],
        marks=_gaps,
    ),
    "Streak": Picture(
        [Streak(every="14d", stat=stat, event_type="purchase") for stat in ("current", "longest")],
        WITH_A_BREAK,
        **RANGE,
        marks=_streaks,
    ),
    "DaysActive": Picture([DaysActive(window="5d")], WEEK, "06-25T00:00", "07-01T12:00", "D", marks=_active),
    "Sessions": Picture(
        [Sessions(stat=stat, window="7h") for stat in ("count", "length", "events")],
        EVENING,
        "06-30T16:00",
        "07-01T01:30",
        "h",
        clock=True,
        marks=_sessions,
    ),
    "HourShare": Picture(
        [HourShare(hours=(17, 22), window="5d")],
        WEEK,
        "06-25T00:00",
        "07-01T12:00",
        "D",
        first=lambda event: counts(DaysActive(window="5d"), event) and 17 <= event.at.hour < 22,
        second=lambda event: counts(DaysActive(window="5d"), event),
        legend=("from 17:00 to 22:00", "at other hours", "does not count"),
        marks=lambda _: [Shade(at.replace(hour=17), at.replace(hour=22)) for at in _nights("06-25", "06-30")],
    ),
    "WeekdayShare": Picture(
        [WeekdayShare(window="28d")],
        JUNE,
        "05-30",
        "07-06",
        "W-MON",
        first=lambda event: counts(Count(window="28d"), event) and event.at.weekday() >= 5,
        second=lambda event: counts(Count(window="28d"), event),
        legend=("at a weekend", "on other days", "does not count"),
        marks=lambda _: [
            Shade(at, at + pd.Timedelta(days=2))
            for at in pd.date_range("2024-06-01", "2024-07-01", freq="W-SAT", tz="UTC")
        ],
    ),
    "CutoffCalendar": Picture(
        [CutoffCalendar(part=part) for part in ("month", "weekday", "day_of_year")],
        SPRING,
        "01-01",
        "12-31",
        first=lambda _: False,
        legend=("", "", "no event counts: only where the cutoff lies"),
        intervals=(),
        marks=lambda _: [Divide(at) for at in pd.date_range("2024-02-01", "2024-12-01", freq="MS", tz="UTC")],
        working=_calendar,
    ),
}

HOW_OFTEN = {
    "Count": Picture([Count(event_type="view", window="60d")], SPRING, **RANGE),
    "Share": Picture(
        [Share(event_type="purchase", channel="web", window="60d")],
        PURCHASES,
        **RANGE,
        label="channel",
        second=lambda event: counts(Count(event_type="purchase", window="60d"), event),
        legend=("purchase on the web", "any other purchase in the window", "does not count"),
    ),
    "Trend": Picture([Trend(event_type="purchase", window="90d")], GROWING, **RANGE, marks=_trend),
    "Change": Picture(
        [Change(event_type="view", window="30d"), Change(stat="ratio", event_type="view", window="30d")],
        BUSIER,
        **RANGE,
        second=lambda event: event.event_type == "view" and start_of("30d", 2) <= event.at < start_of("30d"),
        legend=("this window", "the window before", "does not count"),
        intervals=(
            Interval(start_of("30d", 2), start_of("30d"), "[as_of − 60d, as_of − 30d)", "second"),
            Interval(start_of("30d"), AS_OF, "[as_of − 30d, as_of)"),
        ),
    ),
    "ConversionRate": Picture(
        [ConversionRate(event_type="view", to="purchase", within="14d", window="60d")],
        SPRING,
        **RANGE,
        second=lambda event: counts(Count(event_type="purchase", window="60d"), event),
        legend=("a view in the window", "a purchase that may follow it", "does not count"),
        ring=lambda seen: [view for view in seen if _next(view, "14d")],
        marks=_conversions,
        working=lambda seen: f"{sum(_next(view, '14d') is not None for view in seen)} of {len(seen)} views (ringed)",
    ),
    "ReturnRate": Picture(
        [ReturnRate(event_type="purchase", window="60d")],
        RETURNS,
        **RANGE,
        second=lambda event: counts(Count(event_type="return", window="60d"), event),
        legend=("bought", "came back", "does not count"),
    ),
    "Ratio": Picture(
        [Ratio(Count(event_type="purchase"), Count(event_type="view"))],
        SPRING,
        **RANGE,
        first=lambda event: counts(Count(event_type="purchase"), event),
        second=lambda event: counts(Count(event_type="view"), event),
        legend=("numerator", "denominator", "does not count"),
    ),
}

"""The rhythm of a customer's events: active days, sessions, gaps, streaks, the time from the first to the next.

All but streaks compare an event with the one before it, so they share one ordering of the events of a filter.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from sqlglot import exp

from crmml.data.sql import is_there
from crmml.data.steps import Step
from crmml.data.time import parse_duration, require_zone
from crmml.errors import ConfigError
from crmml.features.aggregate import Aggregate
from crmml.features.expressions import (
    AGE,
    as_double,
    at_most,
    case,
    column,
    count,
    deviation,
    group,
    in_days,
    minus,
    number,
    oldest_first,
    or_zero,
    plus,
    ratio,
    times,
)
from crmml.features.moments import zone_parts
from crmml.features.needs import HISTORY, Aggregates
from crmml.features.plan import Plan

MINUTE_US = 60_000_000


def check_stat(owner: str, stat: str, known: tuple[str, ...]) -> None:
    """Raise a ConfigError where `stat` is none of the known ones; the first of them is the example."""
    if stat not in known:
        listed = f"{', '.join(map(repr, known[:-1]))} or {known[-1]!r}"
        raise ConfigError(f"{owner}: stat must be {listed}, not {stat!r}. Use stat={known[0]!r}.")


def _count(of: Aggregate, plan: Plan) -> exp.Column:
    """The number of matching events: from the grouping of all, where other features count them too."""
    events = plan.events(of.filter)
    return events.per_customer(count(events.inside(of.window_us)), f"n_of_{of.name}")


@dataclass(frozen=True, repr=False, kw_only=True)
class DaysActive(Aggregate):
    """Number of calendar days with at least one event.

    The days are those of `timezone`, from midnight to midnight of its clocks. A window that starts within a day
    counts that day if there is an event in the part of it that lies in the window.

    Formula: |{day(t_1), ..., day(t_n)}|
    Unit: days
    Missing: never; 0 where no event matches

    Args:
        timezone: the IANA zone whose calendar counts. UTC is cheaper than any other.

    >>> from crmml import DaysActive
    >>> DaysActive(window="90d").name
    'days_active_90d'
    >>> DaysActive(timezone="Europe/Berlin", event_type="view").name
    'days_active_europe_berlin_view'
    """

    timezone: str = "UTC"

    verb: ClassVar[str] = "days_active"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_zone(self.timezone, "DaysActive: timezone")

    def _own_parts(self) -> list[str]:
        return zone_parts(self.timezone)

    def sql(self, plan: Plan) -> exp.Expr:
        day = plan.clock("day", self.timezone)
        return or_zero(self._starts(plan, day) if self.timezone == "UTC" else self._distinct(plan, day))

    def _starts(self, plan: Plan, day: exp.Column) -> exp.Expr:
        """Every event starts a day, unless the event before it is of the same day."""
        ordered = plan.ordered(self.filter)
        same = exp.EQ(this=ordered.before(day), expression=ordered.carried(day))
        later = ordered.per_customer(count([*ordered.both_inside(self.window_us), same]), f"later_of_{self.name}")
        return minus(_count(self, plan), or_zero(later))

    def _distinct(self, plan: Plan, day: exp.Column) -> exp.Expr:
        """In a few zones the date has gone back: where clocks change just after midnight, a day comes in two parts."""
        pairs = plan.pairs(self.filter, day)
        youngest = pairs.youngest(self.filter, self.window_us)
        inside = exp.Count(this=youngest) if self.window_us is None else count([at_most(youngest, self.window_us)])
        return pairs.per_customer(inside, self.name)


@dataclass(frozen=True, repr=False, kw_only=True)
class Sessions(Aggregate):
    """Visits made of events: how many, how many minutes they last, or how many events they have, on average.

    A session ends where the time to the next event is longer than `gap`. A session of one event has the length 0.

    Formula: with S = 1 + |{i: t_(i+1) - t_i > gap}| sessions:
        "count"   S
        "length"  sum of the times t_(i+1) - t_i that are not longer than gap, / S
        "events"  n / S
    Unit: sessions for "count", minutes for "length", events for "events"
    Missing: no event matches; "count" is 0 instead

    Args:
        stat: "count", "length" or "events".
        gap: the longest time between two events of the same session.

    >>> from crmml import Sessions
    >>> Sessions(event_type="view", window="90d").name
    'sessions_count_view_90d'
    >>> Sessions(stat="length", gap="1h").name
    'sessions_length_gap_1h'
    """

    stat: str = "count"
    gap: str = "30m"

    verb: ClassVar[str] = "sessions"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_stat("Sessions", self.stat, ("count", "length", "events"))
        parse_duration(self.gap, "Sessions: gap")

    def _own_parts(self) -> list[str]:
        return [self.stat, *([] if self.gap == "30m" else [f"gap_{self.gap}"])]

    def sql(self, plan: Plan) -> exp.Expr:
        ordered = plan.ordered(self.filter)
        # Every event starts a session, unless it follows another closely enough.
        joins = [*ordered.both_inside(self.window_us), at_most(ordered.gap, parse_duration(self.gap))]
        n = _count(self, plan)
        sessions = minus(n, or_zero(ordered.per_customer(count(joins), f"joins_of_{self.name}")))
        if self.stat == "count":
            return or_zero(sessions)
        if self.stat == "events":
            return ratio(n.copy(), sessions)
        # The gaps within a session add up to the time from its first to its last event.
        length = ordered.per_customer(exp.Sum(this=case(joins, ordered.gap)), f"length_of_{self.name}")
        return exp.Div(this=ratio(or_zero(length), sessions), expression=number(MINUTE_US))


@dataclass(frozen=True, repr=False, kw_only=True)
class Gap(Aggregate):
    """Days between consecutive events inside the window: how long a customer usually waits, and waited last.

    Events at the same moment have a gap of 0. "last_to_mean" is above 1 where a customer has slowed down.

    Formula: with the gaps g_i = t_(i+1) - t_i:
        "mean"          sum_i g_i / (n - 1) = (t_n - t_1) / (n - 1)
        "std"           sqrt(sum_i (g_i - mean)^2 / (n - 2))
        "median"        the gap in the middle, or the mean of the middle two
        "last"          t_n - t_(n-1)
        "last_to_mean"  last / mean
    Unit: days; none for "last_to_mean"
    Missing: fewer than two events match, for "std" fewer than three; for "last_to_mean" also where the mean is 0

    Args:
        stat: "mean", "std", "median", "last" or "last_to_mean".

    >>> from crmml import Gap
    >>> Gap(event_type="purchase", stat="std").name
    'gap_std_purchase'
    """

    stat: str = "mean"

    verb: ClassVar[str] = "gap"
    _named: ClassVar[tuple[str, ...]] = ("stat",)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_stat("Gap", self.stat, ("mean", "std", "median", "last", "last_to_mean"))

    def sql(self, plan: Plan) -> exp.Expr:
        if self.stat == "last_to_mean":
            return self._last_to_mean(plan)
        stats = {"mean": self._mean, "std": self._deviation, "median": self._median, "last": self._last}
        return in_days(stats[self.stat](plan))

    def _mean(self, plan: Plan) -> exp.Expr:
        """The gaps between first and last event add up to the time between these two."""
        events = plan.events(self.filter)
        ages = case(events.inside(self.window_us), column(AGE))
        oldest = events.per_customer(exp.Max(this=ages), f"oldest_of_{self.name}")
        youngest = events.per_customer(exp.Min(this=ages.copy()), f"youngest_of_{self.name}")
        n = _count(self, plan)
        # No event gives -1 gaps, one event 0: a span of NULL or a denominator of NULL, both missing.
        return ratio(minus(oldest, youngest), minus(n, number(1)))

    def _deviation(self, plan: Plan) -> exp.Expr:
        ordered = plan.ordered(self.filter)
        inside = ordered.both_inside(self.window_us)
        gap = exp.cast(ordered.gap, "INT128")
        return deviation(
            ordered.per_customer(count(inside), f"n_of_{self.name}"),
            ordered.per_customer(exp.Sum(this=case(inside, gap)), f"sum_of_{self.name}"),
            ordered.per_customer(exp.Sum(this=case(inside, times(gap.copy(), gap.copy()))), f"squares_of_{self.name}"),
        )

    def _median(self, plan: Plan) -> exp.Expr:
        ordered = plan.ordered(self.filter)
        gaps = case(ordered.both_inside(self.window_us), as_double(ordered.gap))
        return ordered.per_customer(exp.Median(this=gaps), self.name)

    def _last(self, plan: Plan) -> exp.Expr:
        """The least age that an event before another one has, less the least age of all."""
        ordered = plan.ordered(self.filter)
        inside = ordered.both_inside(self.window_us)
        before = ordered.per_customer(exp.Min(this=case(inside, column("previous_us"))), f"before_last_of_{self.name}")
        return minus(before, ordered.per_customer(exp.Min(this=case(inside, column(AGE))), f"last_of_{self.name}"))

    def _last_to_mean(self, plan: Plan) -> exp.Expr:
        ordered = plan.ordered(self.filter)
        inside = ordered.both_inside(self.window_us)
        n = ordered.per_customer(count(inside), f"n_of_{self.name}")
        oldest = ordered.per_customer(exp.Max(this=case(inside, column("previous_us"))), f"oldest_of_{self.name}")
        youngest = ordered.per_customer(exp.Min(this=case(inside, column(AGE))), f"youngest_of_{self.name}")
        return ratio(times(as_double(self._last(plan)), n), minus(oldest, youngest))


@dataclass(frozen=True, repr=False, kw_only=True)
class TimeTo(Aggregate):
    """Days from the first event to the `nth`: how soon a customer came back.

    Formula: t_nth - t_1
    Unit: days
    Missing: fewer than `nth` events match

    Args:
        nth: which event, from 2; 2 is the one after the first.

    >>> from crmml import TimeTo
    >>> TimeTo(event_type="purchase").name
    'time_to_2_purchase'
    """

    nth: int = 2

    verb: ClassVar[str] = "time_to"
    _named: ClassVar[tuple[str, ...]] = ("nth",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.nth, int) or isinstance(self.nth, bool) or not 2 <= self.nth <= 1000:
            raise ConfigError(f"TimeTo: nth must be a whole number from 2 to 1000, not {self.nth!r}. Use nth=2.")

    def sql(self, plan: Plan) -> exp.Expr:
        ordered = plan.ordered(self.filter)
        ordered.inside(self.window_us)
        first = ordered.earlier_age(self.nth - 1)
        # Of the events that have as many before them in the window, the nth is the oldest.
        inside = [is_there(first)] if self.window_us is None else [at_most(first, self.window_us)]
        start = ordered.per_customer(exp.Max(this=case(inside, first.copy())), f"first_of_{self.name}")
        return in_days(minus(start, ordered.per_customer(exp.Max(this=case(inside, column(AGE))), self.name)))


@dataclass(frozen=True, repr=False, kw_only=True)
class Streak(Aggregate):
    """Number of periods in a row with at least one event.

    The periods are counted back from the cutoff: with `every="7d"` the first is the last seven days before it, half
    open like a window. "current" is how many in a row, from that first one on, have events; "longest" is the longest
    row there is.

    Formula: with the periods P_k = [as_of - (k + 1) every, as_of - k every), k = 0, 1, ...:
        "current"  the number of periods before the first one without events
        "longest"  the greatest number of consecutive periods that all have events
    Unit: periods
    Missing: never; 0 where no event matches

    Args:
        every: the length of a period.
        stat: "current" or "longest".

    >>> from crmml import Streak
    >>> Streak(every="7d", event_type="purchase").name
    'streak_current_by_7d_purchase'
    """

    every: str = "7d"
    stat: str = "current"

    verb: ClassVar[str] = "streak"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_stat("Streak", self.stat, ("current", "longest"))
        parse_duration(self.every, "Streak: every")

    def _own_parts(self) -> list[str]:
        return [self.stat, f"by_{self.every}"]

    def sql(self, plan: Plan) -> exp.Expr:
        every_us = parse_duration(self.every)
        conditions = plan.conditions(self.filter, self.window_us)
        runs = plan.need(("runs", *conditions, every_us), lambda plan: Runs(plan, conditions, every_us))
        # The youngest run begins with the youngest event, and goes back to the start that is the youngest.
        start = runs.per_customer(exp.Min(this=column("period")), "youngest_start")
        events = plan.events(self.filter)
        youngest = events.per_customer(
            exp.Min(this=case(events.inside(self.window_us), column(AGE))), f"of_{self.name}"
        )
        if self.stat == "current":
            return or_zero(case([at_most(youngest, every_us)], plus(start, 1)))
        length = plus(minus(start, period_of(youngest, every_us)), 1)
        before = runs.per_customer(exp.Max(this=runs.length_of_before), "longest_before")
        return or_zero(exp.Greatest(this=length, expressions=[or_zero(before)]))


class Runs:
    """The runs of periods with events: one row for each, at its first event.

    An event begins a run where the event before it, if there is one, lies more than one period back.
    """

    def __init__(self, plan: Plan, conditions: list[exp.Expr], every_us: int) -> None:
        self._plan = plan
        self._conditions = conditions
        self._every_us = every_us
        self._name = plan.step_name("runs")
        self.side = f"{self._name}_by_customer"
        self._aggregates = Aggregates(self.side)

    @property
    def length_of_before(self) -> exp.Expr:
        """The number of periods of the run before: from its start to the period of its last event."""
        return plus(minus(column("start_before"), column("previous_period")), 1)

    def per_customer(self, aggregate: exp.Expr, name: str) -> exp.Column:
        """An aggregate over the runs of a customer, as the last step refers to it."""
        return self._aggregates.add(aggregate, name)

    def steps(self) -> Iterable[Step]:
        keys = self._plan.keys
        period = exp.alias_(period_of(column(AGE), self._every_us), "period")
        periods = exp.select(*keys, column(AGE), period).from_(HISTORY)
        yield Step(f"{self._name}_periods", periods.where(*self._conditions))
        before = exp.alias_(oldest_first(exp.Lag(this=column("period")), keys), "previous_period")
        beside = exp.select(*keys, column(AGE), column("period"), before).from_(f"{self._name}_periods")
        yield Step(f"{self._name}_beside", beside)
        far = exp.GT(this=column("previous_period"), expression=plus(column("period"), 1))
        start_before = oldest_first(exp.Lag(this=column("period")), keys)
        starts = exp.select(*keys, "period", "previous_period", exp.alias_(start_before, "start_before")).from_(
            f"{self._name}_beside"
        )
        yield Step(
            self._name, starts.where(exp.or_(exp.Is(this=column("previous_period"), expression=exp.null()), far))
        )
        yield Step(self.side, group(self._name, keys, self._aggregates.selected()))


def period_of(age: exp.Expr, every_us: int) -> exp.Expr:
    """The number of the period that an age lies in: ages start at 1, periods at 0."""
    return exp.Paren(this=exp.IntDiv(this=minus(age, number(1)), expression=number(every_us)))

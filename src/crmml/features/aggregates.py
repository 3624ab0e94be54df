"""The aggregates: each a frozen definition of one feature, which knows its name and its SQL.

Every aggregate sees the events in `[as_of - window, as_of)` that meet its filter; without a window, all events
before `as_of`. A missing value meets no filter.
"""

from dataclasses import dataclass
from typing import ClassVar

from sqlglot import exp

from crmml.errors import ConfigError
from crmml.features.aggregate import Aggregate
from crmml.features.expressions import (
    AGE,
    WIDE,
    as_double,
    at_most,
    case,
    column,
    count,
    deviation,
    in_days,
    or_zero,
    ratio,
    times,
)
from crmml.features.filters import Filter
from crmml.features.plan import Plan


@dataclass(frozen=True, repr=False, kw_only=True)
class Recency(Aggregate):
    """Days from the last event to the cutoff: small is recent.

    Formula: as_of - t_n
    Unit: days
    Missing: no event matches

    >>> from crmml import Recency
    >>> Recency(event_type="view").name
    'recency_view'
    """

    verb: ClassVar[str] = "recency"

    def sql(self, plan: Plan) -> exp.Expr:
        events = plan.events(self.filter)
        youngest = exp.Min(this=case(events.inside(self.window_us), column(AGE)))
        return in_days(events.per_customer(youngest, self.name))


@dataclass(frozen=True, repr=False, kw_only=True)
class Tenure(Aggregate):
    """Days from the first event to the cutoff.

    Formula: as_of - t_1
    Unit: days
    Missing: no event matches

    >>> from crmml import Tenure
    >>> Tenure().name
    'tenure'
    """

    verb: ClassVar[str] = "tenure"

    def sql(self, plan: Plan) -> exp.Expr:
        events = plan.events(self.filter)
        oldest = exp.Max(this=case(events.inside(self.window_us), column(AGE)))
        return in_days(events.per_customer(oldest, self.name))


@dataclass(frozen=True, repr=False, kw_only=True)
class Count(Aggregate):
    """Number of events.

    Formula: n
    Unit: events
    Missing: never; 0 where no event matches

    >>> from crmml import Count
    >>> Count(event_type="purchase", window="90d").name
    'count_purchase_90d'
    """

    verb: ClassVar[str] = "count"

    def sql(self, plan: Plan) -> exp.Expr:
        events = plan.events(self.filter)
        return or_zero(events.per_customer(count(events.inside(self.window_us)), self.name))


@dataclass(frozen=True, repr=False)
class Sum(Aggregate):
    """Sum of `column`, net of returns where these are negative.

    Exact: each value is taken as a decimal of six places, so that the order of the rows does not matter.

    Formula: x_1 + ... + x_m
    Unit: that of `column`
    Missing: never; 0 where no event has a value

    >>> from crmml import Sum
    >>> Sum("amount", window="365d").name
    'sum_amount_365d'
    """

    column: str

    verb: ClassVar[str] = "sum"

    def sql(self, plan: Plan) -> exp.Expr:
        events = plan.events(self.filter, self.column)
        total = exp.Sum(this=case(events.inside(self.window_us), plan.exact(self.column)))
        return as_double(or_zero(events.per_customer(total, self.name)))


@dataclass(frozen=True, repr=False)
class Mean(Aggregate):
    """Mean of `column`.

    Formula: (x_1 + ... + x_m) / m
    Unit: that of `column`
    Missing: no event has a value

    >>> from crmml import Mean
    >>> Mean("amount", event_type="purchase").name
    'mean_amount_purchase'
    """

    column: str

    verb: ClassVar[str] = "mean"

    def sql(self, plan: Plan) -> exp.Expr:
        events = plan.events(self.filter, self.column)
        values = case(events.inside(self.window_us), plan.exact(self.column))
        total = events.per_customer(exp.Sum(this=values), f"sum_of_{self.name}")
        return ratio(total, events.per_customer(exp.Count(this=values.copy()), f"n_of_{self.name}"))


@dataclass(frozen=True, repr=False)
class Min(Aggregate):
    """Least value of `column`.

    Formula: min x_i
    Unit: that of `column`
    Missing: no event has a value

    >>> from crmml import Min
    >>> Min("amount", event_type="purchase", window="90d").name
    'min_amount_purchase_90d'
    """

    column: str

    verb: ClassVar[str] = "min"

    def sql(self, plan: Plan) -> exp.Expr:
        events = plan.events(self.filter, self.column)
        least = exp.Min(this=case(events.inside(self.window_us), plan.exact(self.column)))
        return as_double(events.per_customer(least, self.name))


@dataclass(frozen=True, repr=False)
class Max(Aggregate):
    """Greatest value of `column`.

    Formula: max x_i
    Unit: that of `column`
    Missing: no event has a value

    >>> from crmml import Max
    >>> Max("amount", event_type="purchase", window="90d").name
    'max_amount_purchase_90d'
    """

    column: str

    verb: ClassVar[str] = "max"

    def sql(self, plan: Plan) -> exp.Expr:
        events = plan.events(self.filter, self.column)
        greatest = exp.Max(this=case(events.inside(self.window_us), plan.exact(self.column)))
        return as_double(events.per_customer(greatest, self.name))


@dataclass(frozen=True, repr=False)
class Std(Aggregate):
    """Sample standard deviation of `column`.

    Formula: sqrt(sum_i (x_i - mean)^2 / (m - 1))
    Unit: that of `column`
    Missing: fewer than two events have a value

    >>> from crmml import Std
    >>> Std("amount", event_type="purchase").name
    'std_amount_purchase'
    """

    column: str

    verb: ClassVar[str] = "std"

    def sql(self, plan: Plan) -> exp.Expr:
        events = plan.events(self.filter, self.column)
        inside, value = events.inside(self.window_us), plan.exact(self.column)
        wide = exp.cast(value.copy(), WIDE)
        return deviation(
            events.per_customer(exp.Count(this=case(inside, value)), f"n_of_{self.name}"),
            events.per_customer(exp.Sum(this=case(inside, value.copy())), f"sum_of_{self.name}"),
            events.per_customer(exp.Sum(this=case(inside, times(wide, wide.copy()))), f"squares_of_{self.name}"),
        )


@dataclass(frozen=True, repr=False)
class NUnique(Aggregate):
    """Number of distinct values of `column`.

    Formula: |{x_1, ..., x_m}|
    Unit: values
    Missing: never; 0 where no event has a value

    >>> from crmml import NUnique
    >>> NUnique("item_id", event_type="view", window="30d").name
    'nunique_item_id_view_30d'
    """

    column: str

    verb: ClassVar[str] = "nunique"
    _numeric: ClassVar[bool] = False

    def sql(self, plan: Plan) -> exp.Expr:
        pairs = plan.pairs(self.filter, plan.value(self.column))
        youngest = pairs.youngest(self.filter, self.window_us)
        inside = exp.Count(this=youngest) if self.window_us is None else count([at_most(youngest, self.window_us)])
        return or_zero(pairs.per_customer(inside, self.name))


@dataclass(frozen=True, repr=False, kw_only=True)
class Share(Aggregate):
    """Share of the events that meet the filter.

    With `channel` or `where`, it is their share in the events of that `event_type`; with `event_type` alone, in all
    events in the window.

    Formula: n / N, where N events are in the window, of the same `event_type` where there is another filter too
    Unit: share, 0 to 1
    Missing: N is 0; 0 where N is not, but no event matches

    >>> from crmml import Share
    >>> Share(event_type="purchase", channel="web", window="90d").name
    'share_purchase_web_90d'
    """

    verb: ClassVar[str] = "share"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.filter.conditions:
            raise ConfigError("Share: without a filter the share is always 1. Use Share(event_type='purchase').")

    def sql(self, plan: Plan) -> exp.Expr:
        narrowed = self.channel is not None or self.where is not None
        base = Filter.of(event_type=self.event_type) if narrowed else Filter()
        part, whole = plan.events(self.filter), plan.events(base)
        n = part.per_customer(count(part.inside(self.window_us)), f"n_of_{self.name}")
        return ratio(or_zero(n), whole.per_customer(count(whole.inside(self.window_us)), f"of_{self.name}"))


@dataclass(frozen=True, repr=False)
class Latest(Aggregate):
    """Value of `column` at the last event that has one.

    Attributes that change (plan, address, consent) are known as of the cutoff in this way. Of several values at
    the same moment, the greatest is taken; numbers come as floats.

    Formula: x_m
    Unit: that of `column`
    Missing: no event has a value

    >>> from crmml import Latest
    >>> Latest("plan").name
    'latest_plan'
    """

    column: str

    verb: ClassVar[str] = "latest"
    _numeric: ClassVar[bool] = False
    picks: ClassVar[bool] = True

    def sql(self, plan: Plan) -> exp.Expr:
        value = plan.ends(self.filter, self.window_us, self.column, first=False)
        # One type whatever the cutoff: whole numbers with a gap in them could not stay whole.
        return as_double(value) if plan.log.kind(self.column) == "number" else value

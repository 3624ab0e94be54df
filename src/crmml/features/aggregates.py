"""The aggregates: each a frozen definition of one feature, which knows its name and its SQL.

Every aggregate sees the events in `[as_of - window, as_of)` that meet its filter; without a window, all events
before `as_of`. A missing value meets no filter.
"""

from dataclasses import dataclass
from typing import ClassVar

from sqlglot import exp

from crmml.data.time import DAY, parse_duration
from crmml.errors import ConfigError
from crmml.features.aggregate import Aggregate
from crmml.features.compiler import (
    AGE,
    WIDE,
    Plan,
    as_double,
    case,
    column,
    count,
    number,
    ratio,
    within,
)
from crmml.features.filters import Filter


@dataclass(frozen=True, repr=False, kw_only=True)
class Recency(Aggregate):
    """Days from the last event to the cutoff (small is good); missing where there is none.

    >>> from crmml import Recency
    >>> Recency(event_type="view").name
    'recency_view'
    """

    verb: ClassVar[str] = "recency"

    def sql(self, plan: Plan) -> exp.Expr:
        youngest = exp.Min(this=case(self._matching(plan), column(AGE)))
        return plan.per_customer(self.name, days(youngest))


@dataclass(frozen=True, repr=False, kw_only=True)
class Tenure(Aggregate):
    """Days from the first event to the cutoff; missing where there is none.

    >>> from crmml import Tenure
    >>> Tenure().name
    'tenure'
    """

    verb: ClassVar[str] = "tenure"

    def sql(self, plan: Plan) -> exp.Expr:
        oldest = exp.Max(this=case(self._matching(plan), column(AGE)))
        return plan.per_customer(self.name, days(oldest))


@dataclass(frozen=True, repr=False, kw_only=True)
class Count(Aggregate):
    """Number of events; 0 where there are none.

    >>> from crmml import Count
    >>> Count(event_type="purchase", window="90d").name
    'count_purchase_90d'
    """

    verb: ClassVar[str] = "count"

    def sql(self, plan: Plan) -> exp.Expr:
        return plan.per_customer(self.name, count(self._matching(plan)))


@dataclass(frozen=True, repr=False)
class Sum(Aggregate):
    """Sum of `column`, net of returns where they are negative; 0 where there are no values.

    Exact: each value is taken as a decimal of six places, so that the order of the rows does not matter.

    >>> from crmml import Sum
    >>> Sum("amount", window="365d").name
    'sum_amount_365d'
    """

    column: str

    verb: ClassVar[str] = "sum"

    def sql(self, plan: Plan) -> exp.Expr:
        total = exp.Sum(this=case(self._matching(plan), plan.exact(self.column)))
        return plan.per_customer(self.name, as_double(exp.Coalesce(this=total, expressions=[number(0)])))


@dataclass(frozen=True, repr=False)
class Mean(Aggregate):
    """Mean of `column`; missing where there are no values.

    >>> from crmml import Mean
    >>> Mean("amount", event_type="purchase").name
    'mean_amount_purchase'
    """

    column: str

    verb: ClassVar[str] = "mean"

    def sql(self, plan: Plan) -> exp.Expr:
        values = case(self._matching(plan), plan.exact(self.column))
        return plan.per_customer(self.name, ratio(exp.Sum(this=values), exp.Count(this=values.copy())))


@dataclass(frozen=True, repr=False)
class Min(Aggregate):
    """Least value of `column`; missing where there are no values.

    >>> from crmml import Min
    >>> Min("amount", event_type="purchase", window="90d").name
    'min_amount_purchase_90d'
    """

    column: str

    verb: ClassVar[str] = "min"

    def sql(self, plan: Plan) -> exp.Expr:
        least = exp.Min(this=case(self._matching(plan), plan.exact(self.column)))
        return plan.per_customer(self.name, as_double(least))


@dataclass(frozen=True, repr=False)
class Max(Aggregate):
    """Greatest value of `column`; missing where there are no values.

    >>> from crmml import Max
    >>> Max("amount", event_type="purchase", window="90d").name
    'max_amount_purchase_90d'
    """

    column: str

    verb: ClassVar[str] = "max"

    def sql(self, plan: Plan) -> exp.Expr:
        greatest = exp.Max(this=case(self._matching(plan), plan.exact(self.column)))
        return plan.per_customer(self.name, as_double(greatest))


@dataclass(frozen=True, repr=False)
class Std(Aggregate):
    """Sample standard deviation of `column` (divided by n - 1); missing with fewer than two values.

    >>> from crmml import Std
    >>> Std("amount", event_type="purchase").name
    'std_amount_purchase'
    """

    column: str

    verb: ClassVar[str] = "std"

    def sql(self, plan: Plan) -> exp.Expr:
        value = plan.exact(self.column)
        square = exp.Mul(this=exp.cast(value.copy(), WIDE), expression=exp.cast(value.copy(), WIDE))
        spread = deviation(
            exp.Count(this=case(self._matching(plan), value)),
            exp.Sum(this=case(self._matching(plan), value.copy())),
            exp.Sum(this=case(self._matching(plan), square)),
        )
        return plan.per_customer(self.name, spread)


@dataclass(frozen=True, repr=False)
class NUnique(Aggregate):
    """Number of distinct values of `column`; 0 where there are none.

    >>> from crmml import NUnique
    >>> NUnique("item_id", event_type="view", window="30d").name
    'nunique_item_id_view_30d'
    """

    column: str

    verb: ClassVar[str] = "nunique"
    _numeric: ClassVar[bool] = False

    def sql(self, plan: Plan) -> exp.Expr:
        return plan.distinct(self.name, self.column, self.filter, self.window_us)


@dataclass(frozen=True, repr=False, kw_only=True)
class Gap(Aggregate):
    """Days between consecutive events inside the window: their mean or sample standard deviation.

    Events at the same moment have a gap of 0. Missing with fewer than two events ("mean") or three ("std").

    >>> from crmml import Gap
    >>> Gap(event_type="purchase", stat="std").name
    'gap_std_purchase'
    """

    stat: str = "mean"

    verb: ClassVar[str] = "gap"
    _named: ClassVar[tuple[str, ...]] = ("stat",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stat not in ("mean", "std"):
            raise ConfigError(f"Gap: stat must be 'mean' or 'std', not {self.stat!r}. Use stat='mean'.")

    def sql(self, plan: Plan) -> exp.Expr:
        if self.stat == "mean":
            return plan.per_customer(self.name, self._mean(plan))
        # Both events of a gap lie in the window if the earlier one does.
        inside = [] if self.window_us is None else [bound("previous_us", self.window_us)]
        gap = exp.cast(column("gap_us"), "INT128")
        squares = case(inside, exp.Mul(this=gap, expression=gap.copy()))
        spread = deviation(count(inside), exp.Sum(this=case(inside, gap.copy())), exp.Sum(this=squares))
        return plan.gap(self.name, self.filter, exp.Div(this=spread, expression=number(DAY)))

    def _mean(self, plan: Plan) -> exp.Expr:
        """The gaps between first and last event add up to the time between these two."""
        ages = case(self._matching(plan), column(AGE))
        span = exp.Sub(this=exp.Max(this=ages), expression=exp.Min(this=ages.copy()))
        gaps = exp.Sub(this=count(self._matching(plan)), expression=number(1))
        # No event gives -1 gaps, one event 0: a span of NULL or a denominator of NULL, both missing.
        return exp.Div(this=ratio(exp.Paren(this=span), exp.Paren(this=gaps)), expression=number(DAY))


@dataclass(frozen=True, repr=False, kw_only=True)
class Share(Aggregate):
    """Share of the events that meet the filter; missing where there is nothing to have a share of.

    With `channel` or `where`, the share of the events of that `event_type`; with `event_type` alone, the share of
    all events in the window.

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
        whole = count(plan.conditions(base, self.window_us))
        return plan.per_customer(self.name, ratio(count(self._matching(plan)), whole))


@dataclass(frozen=True, repr=False)
class Trend(Aggregate):
    """Least-squares slope over equal periods of the window: change per period of the count, or sum of `column`.

    The periods are half-open, oldest first, `x = 0, 1, ..., periods - 1`; empty ones count as 0. As the slope
    `12 / (K (K^2 - 1)) * sum_k (x_k - (K - 1) / 2) y_k` is linear in the events, it is a plain sum over them.

    >>> from crmml import Trend
    >>> Trend(event_type="purchase", window="180d").name
    'trend_purchase_180d'
    """

    column: str | None = None
    periods: int = 6

    verb: ClassVar[str] = "trend"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window is None:
            raise ConfigError("Trend: a trend needs a window. Use Trend(window='180d').")
        if not isinstance(self.periods, int) or isinstance(self.periods, bool) or not 2 <= self.periods <= 366:
            raise ConfigError(f"Trend: periods must be a whole number from 2 to 366, not {self.periods!r}. Use 6.")
        if parse_duration(self.window) % self.periods:
            raise ConfigError(
                f"Trend: window {self.window!r} does not divide into {self.periods} equal periods. "
                f"Use a multiple, for example window='{30 * self.periods}d'."
            )

    @property
    def name(self) -> str:
        plain = super().name
        return plain if self.periods == 6 else f"{plain}_by_{self.periods}"

    def sql(self, plan: Plan) -> exp.Expr:
        period_us = (self.window_us or 0) // self.periods
        # Ages start at 1: an event one period old, to the microsecond, belongs to the youngest period.
        past = exp.IntDiv(
            this=exp.Paren(this=exp.Sub(this=column(AGE), expression=number(1))), expression=number(period_us)
        )
        # Twice the distance from the middle, to stay with whole numbers.
        twice = exp.Sub(
            this=number(self.periods - 1), expression=exp.Mul(this=number(2), expression=exp.cast(past, "INT"))
        )
        value: exp.Expr = exp.Paren(this=twice)
        if self.column is not None:
            value = exp.Mul(this=exp.cast(plan.exact(self.column), WIDE), expression=value)
        total = exp.Coalesce(this=exp.Sum(this=case(self._matching(plan), value)), expressions=[number(0)])
        scale = exp.Div(
            this=exp.Mul(this=as_double(total), expression=number(6)),
            expression=number(self.periods * (self.periods**2 - 1)),
        )
        return plan.per_customer(self.name, scale)


@dataclass(frozen=True, repr=False)
class Latest(Aggregate):
    """Value of `column` at the last event that has one; missing where none has.

    Attributes that change (plan, address, consent) are known as of the cutoff in this way. Of several values at
    the same moment, the greatest is taken.

    >>> from crmml import Latest
    >>> Latest("plan").name
    'latest_plan'
    """

    column: str

    verb: ClassVar[str] = "latest"
    _numeric: ClassVar[bool] = False

    def sql(self, plan: Plan) -> exp.Expr:
        value = plan.latest(self.column, self._matching(plan))
        # One type whatever the cutoff: whole numbers with a gap in them could not stay whole.
        return as_double(value) if plan.log.kind(self.column) == "number" else value


def days(microseconds: exp.Expr) -> exp.Expr:
    """Microseconds as days."""
    return exp.Div(this=as_double(microseconds), expression=number(DAY))


def bound(age: str, window_us: int) -> exp.Expr:
    """`age <= window`, for an age other than the event's own."""
    return exp.LTE(this=column(age), expression=within(window_us).expression)


def deviation(n: exp.Expr, total: exp.Expr, squares: exp.Expr) -> exp.Expr:
    """Sample standard deviation `sqrt((n * sum x^2 - (sum x)^2) / (n (n - 1)))`.

    With whole numbers or decimals the difference is exact: equal values give exactly 0, and the order does not matter.
    """
    square = exp.Mul(this=total, expression=total.copy())
    difference = exp.Sub(this=exp.Mul(this=n, expression=squares), expression=square)
    pairs = exp.Mul(this=as_double(n.copy()), expression=exp.Paren(this=exp.Sub(this=n.copy(), expression=number(1))))
    return exp.Sqrt(this=ratio(exp.Paren(this=difference), exp.Paren(this=pairs)))

"""How a customer's activity changes: the slope over periods, and one window against the one before."""

from dataclasses import dataclass
from typing import ClassVar

from sqlglot import exp

from crmml.data.time import parse_duration
from crmml.errors import ConfigError
from crmml.features.aggregate import Aggregate
from crmml.features.expressions import (
    AGE,
    WIDE,
    as_double,
    case,
    column,
    count,
    minus,
    number,
    or_zero,
    ratio,
    times,
)
from crmml.features.plan import Plan


@dataclass(frozen=True, repr=False)
class Trend(Aggregate):
    """Least-squares slope over equal periods of the window: how the count, or the sum of `column`, changes.

    The periods are half open, oldest first; empty ones count as 0. As the slope is linear in the events, it is a
    plain sum over them.

    Formula: with the count or sum y_k of period k = 0, ..., K - 1, where K = `periods`:
        12 / (K (K^2 - 1)) * sum_k (k - (K - 1) / 2) y_k
    Unit: events, or the unit of `column`, per period
    Missing: never; 0 where nothing matches

    Args:
        column: the amount to sum; None counts events.
        periods: how many parts the window has, from 2 to 366; it has to divide the window.

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
        events = plan.events(self.filter, self.column)
        period_us = (self.window_us or 0) // self.periods
        # Ages start at 1: an event one period old, to the microsecond, belongs to the youngest period.
        past = exp.IntDiv(this=minus(column(AGE), number(1)), expression=number(period_us))
        # Twice the distance from the middle, to stay with whole numbers.
        value: exp.Expr = minus(number(self.periods - 1), times(number(2), exp.cast(past, "INT")))
        if self.column is not None:
            value = times(exp.cast(plan.exact(self.column), WIDE), value)
        total = events.per_customer(exp.Sum(this=case(events.inside(self.window_us), value)), self.name)
        scale = number(self.periods * (self.periods**2 - 1))
        return exp.Div(this=times(as_double(or_zero(total)), number(6)), expression=scale)


@dataclass(frozen=True, repr=False)
class Change(Aggregate):
    """This window against the one before it: the difference or the ratio of the counts, or sums of `column`.

    Formula: with the count or sum y_1 in [as_of - window, as_of) and y_0 in [as_of - 2 window, as_of - window):
        "difference"  y_1 - y_0
        "ratio"       y_1 / y_0
    Unit: events, or the unit of `column`; none for "ratio"
    Missing: never for "difference"; for "ratio" where y_0 is 0

    Args:
        column: the amount to sum; None counts events.
        stat: "difference" or "ratio".

    >>> from crmml import Change
    >>> Change(event_type="purchase", window="30d").name
    'change_purchase_30d'
    >>> Change("amount", stat="ratio", event_type="purchase", window="30d").name
    'change_ratio_amount_purchase_30d'
    """

    column: str | None = None
    stat: str = "difference"

    verb: ClassVar[str] = "change"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window is None:
            raise ConfigError("Change: a change needs a window. Use Change(window='30d').")
        if self.stat not in ("difference", "ratio"):
            raise ConfigError(
                f"Change: stat must be 'difference' or 'ratio', not {self.stat!r}. Use stat='difference'."
            )

    def _own_parts(self) -> list[str]:
        return ["ratio"] if self.stat == "ratio" else []

    def sql(self, plan: Plan) -> exp.Expr:
        events = plan.events(self.filter, self.column)
        window_us = self.window_us or 0
        # Twice the window, less what is of this window.
        earlier = [*events.inside(2 * window_us), exp.GT(this=column(AGE), expression=number(window_us))]
        recent, before = (
            or_zero(events.per_customer(self._total(plan, inside), f"{when}_of_{self.name}"))
            for when, inside in (("recent", events.inside(window_us)), ("earlier", earlier))
        )
        if self.stat == "ratio":
            return ratio(recent, before)
        difference = minus(recent, before)
        return difference if self.column is None else as_double(difference)

    def _total(self, plan: Plan, inside: list[exp.Expr]) -> exp.Expr:
        return count(inside) if self.column is None else exp.Sum(this=case(inside, plan.exact(self.column)))

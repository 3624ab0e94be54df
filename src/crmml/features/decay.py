"""Sums in which what happened longer ago counts less."""

from dataclasses import dataclass
from typing import ClassVar

from sqlglot import exp

from crmml.data.time import parse_duration
from crmml.features.aggregate import Aggregate
from crmml.features.expressions import AGE, WIDE, as_double, case, column, number, or_zero, times
from crmml.features.plan import Plan

# A weight is a whole number of these parts: products with it and sums of them are exact, so that neither the order
# of the rows nor the last digit of an engine's power function shows.
PARTS = 10**12


@dataclass(frozen=True, repr=False)
class DecayedSum(Aggregate):
    """Sum of `column` in which an event counts half after each `half_life`: exponentially weighted.

    Divided by the mean lifetime half_life / ln 2, it is money per time: the rule to beat for lifetime value. Exact:
    each value is taken as a decimal of six places and each weight as one of twelve.

    Formula: sum_i x_i 0.5^((as_of - t_i) / half_life)
    Unit: that of `column`
    Missing: never; 0 where no event has a value

    Args:
        half_life: the age at which an event counts half, such as "120d".

    >>> from crmml import DecayedSum
    >>> DecayedSum("amount", event_type="purchase").name
    'decayed_sum_120d_amount_purchase'
    """

    column: str
    half_life: str = "120d"

    verb: ClassVar[str] = "decayed_sum"
    _named: ClassVar[tuple[str, ...]] = ("half_life",)

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_duration(self.half_life, "DecayedSum: half_life")

    def sql(self, plan: Plan) -> exp.Expr:
        events = plan.events(self.filter, self.column)
        lives = exp.Div(this=as_double(column(AGE)), expression=as_double(number(parse_duration(self.half_life))))
        power = exp.Pow(this=number(0.5), expression=exp.Paren(this=lives))
        weight = exp.cast(exp.Round(this=times(power, number(PARTS))), "BIGINT")
        value = times(exp.cast(plan.exact(self.column), WIDE), weight)
        total = events.per_customer(exp.Sum(this=case(events.inside(self.window_us), value)), self.name)
        return exp.Div(this=as_double(or_zero(total)), expression=as_double(number(PARTS)))

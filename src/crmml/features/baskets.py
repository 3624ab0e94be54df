"""Baskets, returns, conversions, and ratios of other features: what several events say together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sqlglot import exp

from crmml.data.sql import is_there
from crmml.data.time import parse_duration
from crmml.errors import ConfigError, SchemaError
from crmml.features.aggregate import Aggregate, Feature
from crmml.features.checks import check_aggregate
from crmml.features.expressions import (
    AGE,
    at_most,
    case,
    column,
    count,
    minus,
    number,
    or_zero,
    ratio,
)
from crmml.features.filters import Filter, as_values, slug
from crmml.features.followed import Followed
from crmml.features.plan import Plan
from crmml.features.rhythm import check_stat

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog


@dataclass(frozen=True, repr=False, kw_only=True)
class Basket(Aggregate):
    """What an order is like on average: its lines, its distinct items or its value; or the number of orders.

    The matching events with the same value of the attribute `order` are one order (events without a value belong to
    none); where `order` is not given, the events at the same moment are. Values are exact, and net of returns.

    Formula: with the number of orders K:
        "orders"  K
        "lines"   events of the orders / K
        "items"   sum over the orders of their distinct `item_id` / K
        "value"   sum of `amount` over the orders / K
    Unit: orders, events, items, or that of `amount`
    Missing: there is no order; "orders" is 0 instead

    Args:
        stat: "lines", "items", "value" or "orders".
        order: the attribute that numbers the orders, such as "order_id".

    >>> from crmml import Basket
    >>> Basket(stat="value", order="invoice", event_type="purchase", window="365d").name
    'basket_value_by_invoice_purchase_365d'
    """

    stat: str = "lines"
    order: str | None = None

    verb: ClassVar[str] = "basket"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_stat("Basket", self.stat, ("lines", "items", "value", "orders"))
        if self.order is not None and (not isinstance(self.order, str) or not self.order):
            raise ConfigError(
                f"Basket: order must be the name of an attribute, not {self.order!r}. Use order='order_id'."
            )

    def _own_parts(self) -> list[str]:
        return [self.stat, *([] if self.order is None else [f"by_{slug(self.order)}"])]

    @property
    def of(self) -> str | None:
        return {"value": "amount", "items": "item_id"}.get(self.stat)

    @property
    def name(self) -> str:
        # "basket_value", not "basket_value_amount": the role is the stat's.
        return "_".join([self.verb, *self._own_parts(), *self.filter.names(), *filter(None, [self.window])])

    @property
    def numbers(self) -> tuple[str, ...]:
        return ("amount",) if self.stat == "value" else ()

    def check(self, log: "InteractionLog") -> None:
        check_aggregate(self, log, numeric=self.stat == "value")
        if self.order is not None:
            log.require(self.order, repr(self))

    def sql(self, plan: Plan) -> exp.Expr:
        orders = self._orders(plan)
        if self.stat == "orders":
            return or_zero(orders)
        return ratio(or_zero(self._total(plan)), orders)

    def _orders(self, plan: Plan) -> exp.Expr:
        """The number of orders; NULL, or 0, where there are none."""
        if self.order is not None:
            return self._distinct(plan, plan.value(self.order))
        ordered = plan.ordered(self.filter)
        # Every event starts an order, unless the event before it is of the same moment.
        same = exp.EQ(this=column("previous_us"), expression=column(AGE))
        joins = ordered.per_customer(count([*ordered.inside(self.window_us), same]), f"joins_of_{self.name}")
        return minus(self._lines(plan), or_zero(joins))

    def _total(self, plan: Plan) -> exp.Expr:
        if self.stat == "lines":
            return self._lines(plan)
        if self.stat == "items":
            order = column(AGE) if self.order is None else plan.value(self.order)
            return self._distinct(plan, order, plan.value("item_id"))
        events = plan.events(self.filter, "amount")
        amount = case([*events.inside(self.window_us), *self._in_order(plan)], plan.exact("amount"))
        return events.per_customer(exp.Sum(this=amount), f"sum_of_{self.name}")

    def _lines(self, plan: Plan) -> exp.Expr:
        events = plan.events(self.filter)
        inside = [*events.inside(self.window_us), *self._in_order(plan)]
        return events.per_customer(count(inside), f"n_of_{self.name}")

    def _distinct(self, plan: Plan, *values: exp.Expr) -> exp.Expr:
        """How many distinct values, or pairs of values, the matching events have."""
        pairs = plan.pairs(self.filter, *values)
        youngest = pairs.youngest(self.filter, self.window_us)
        inside = is_there(youngest) if self.window_us is None else at_most(youngest, self.window_us)
        return pairs.per_customer(count([inside]), f"distinct_of_{self.name}")

    def _in_order(self, plan: Plan) -> list[exp.Expr]:
        """That an event belongs to an order."""
        return [] if self.order is None else [is_there(plan.value(self.order))]


@dataclass(frozen=True, repr=False)
class ReturnRate(Aggregate):
    """How much of what was bought came back: returns divided by purchases.

    Returns are the events of the type `returned`, whenever their purchase was, with the same `channel`, `where` and
    `window`; with `returned=None` they are the events of `event_type` whose `column` is negative.

    Formula: by type, without and with `column`; by sign:
        number of returns / n
        |sum of `column` over the returns| / sum of `column` over the events
        |sum of the negative x_i| / sum of the positive x_i
    Unit: ratio; 1 where as much came back as was bought
    Missing: what it is divided by is 0

    Args:
        column: the amount or quantity to sum.
        returned: the event type of returns, or a list of types; None where they are negative values of `column`.

    >>> from crmml import ReturnRate
    >>> ReturnRate(event_type="purchase", window="365d").name
    'return_rate_purchase_365d'
    """

    column: str | None = None
    returned: str | Sequence[str] | None = "return"

    verb: ClassVar[str] = "return_rate"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_types("ReturnRate", "returned", self.returned, "return")
        if self.event_type is None:
            raise ConfigError(
                "ReturnRate: without event_type it is not known what was bought. Use ReturnRate(event_type='purchase')."
            )
        if self.returned is None and self.column is None:
            raise ConfigError(
                "ReturnRate: returned=None takes negative values for returns, and no column is given. "
                "Use ReturnRate('amount', returned=None, event_type='purchase')."
            )

    def _own_parts(self) -> list[str]:
        if self.returned is None:
            return ["negative"]
        names = [slug(value) for value in as_values(self.returned)]
        return [] if names == ["return"] else [f"by_{'_or_'.join(names)}"]

    @property
    def returns(self) -> Filter | None:
        """The filter of the returns; None where they are negative values."""
        if self.returned is None:
            return None
        return Filter.of(event_type=self.returned, channel=self.channel, where=self.where)

    @property
    def filters(self) -> tuple[Filter, ...]:
        return (self.filter,) if self.returns is None else (self.filter, self.returns)

    def sql(self, plan: Plan) -> exp.Expr:
        if self.returns is None:
            return ratio(_size(self._signed(plan, "negative", exp.LT)), self._signed(plan, "positive", exp.GT))
        returned, bought = self._total(plan, "returned", self.returns), self._total(plan, "bought", self.filter)
        return ratio(_size(returned), bought)

    def _total(self, plan: Plan, what: str, filter_: Filter) -> exp.Expr:
        """The number of events of a filter, or the sum of the column over them."""
        events = plan.events(filter_)
        inside = events.inside(self.window_us)
        total = count(inside) if self.column is None else exp.Sum(this=case(inside, plan.exact(self.column)))
        return events.per_customer(total, f"{what}_of_{self.name}")

    def _signed(self, plan: Plan, what: str, sign: type[exp.Binary]) -> exp.Expr:
        """The sum of the values on one side of 0."""
        events, value = plan.events(self.filter), plan.exact(str(self.column))
        inside = [*events.inside(self.window_us), sign(this=value, expression=number(0))]
        return events.per_customer(exp.Sum(this=case(inside, value.copy())), f"{what}_of_{self.name}")


@dataclass(frozen=True, repr=False, kw_only=True)
class ConversionRate(Aggregate):
    """Share of the events that an event of the type `to` follows in time.

    With `on`, only an event with the same value of that column follows: the item that was viewed is the item that is
    bought. `channel`, `where` and `window` choose the events that may convert, not what they convert to. An event
    younger than `within` may still convert after the cutoff, which the share cannot know.

    Formula: |{i: an event of the type `to` is in [t_i, t_i + within), and before as_of}| / n
    Unit: share, 0 to 1
    Missing: no event matches

    Args:
        to: the event type that has to follow, or a list of types.
        within: how soon.
        on: the column that has to be equal, such as "item_id"; a missing value equals nothing.

    >>> from crmml import ConversionRate
    >>> ConversionRate(event_type="view", to="purchase", within="7d", window="90d").name
    'conversion_rate_view_to_purchase_within_7d_90d'
    """

    to: str | Sequence[str] = "purchase"
    within: str = "7d"
    on: str | None = None

    verb: ClassVar[str] = "conversion_rate"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.to is None:
            raise ConfigError("ConversionRate: to must be a text or a list of texts, not None. Use to='purchase'.")
        _check_types("ConversionRate", "to", self.to, "purchase")
        parse_duration(self.within, "ConversionRate: within")
        if self.on is not None and (not isinstance(self.on, str) or not self.on):
            raise ConfigError(
                f"ConversionRate: on must be the name of a role or attribute, not {self.on!r}. Use on='item_id'."
            )
        if self.event_type is None:
            raise ConfigError(
                "ConversionRate: without event_type it is not known what converts. "
                f"Use ConversionRate(event_type='view', to={self.to!r})."
            )
        both = [value for value in as_values(self.to) if value in as_values(self.event_type)]
        if both:
            raise ConfigError(
                f"ConversionRate: {both[0]!r} is in event_type and in to, and would follow itself. Leave it out of "
                f"one of them, or use TimeTo(nth=2, event_type={both[0]!r}) for what is done again."
            )

    @property
    def name(self) -> str:
        to = "_or_".join(slug(value) for value in as_values(self.to))
        parts = [self.verb, *self.filter.names(), "to", to, "within", self.within]
        parts += [] if self.on is None else ["on", slug(self.on)]
        return "_".join([*parts, *filter(None, [self.window])])

    @property
    def goal(self) -> Filter:
        """The filter of the events that have to follow."""
        return Filter.of(event_type=self.to)

    @property
    def filters(self) -> tuple[Filter, ...]:
        return (self.filter, self.goal)

    def check(self, log: "InteractionLog") -> None:
        super().check(log)
        if self.on is not None:
            log.require(self.on, repr(self))

    def sql(self, plan: Plan) -> exp.Expr:
        goal, on = self.goal, self.on
        followed = plan.need(("followed", goal, on), lambda plan: Followed(plan, goal, on))
        # A difference of ages is one of times: `within` itself is too late.
        soon = exp.LT(this=minus(column(AGE), column("next_us")).this, expression=number(parse_duration(self.within)))
        converted = count([*followed.inside(self.filter, self.window_us), soon])
        events = plan.events(self.filter)
        n = events.per_customer(count(events.inside(self.window_us)), f"n_of_{self.name}")
        return ratio(or_zero(followed.aggregates.add(converted, self.name)), n)


@dataclass(frozen=True, repr=False)
class Ratio(Feature):
    """One feature divided by another.

    Formula: numerator / denominator
    Unit: that of the numerator per that of the denominator
    Missing: the denominator is 0, or one of them is missing

    Args:
        numerator: a feature of one column that is a number.
        denominator: another.

    >>> from crmml import Count, Ratio
    >>> bought, viewed = (Count(event_type=kind, window="90d") for kind in ("purchase", "view"))
    >>> Ratio(bought, viewed).name
    'count_purchase_90d_per_count_view_90d'
    """

    numerator: Feature
    denominator: Feature

    def __post_init__(self) -> None:
        super().__post_init__()
        for what, part in (("numerator", self.numerator), ("denominator", self.denominator)):
            if not isinstance(part, Feature):
                raise ConfigError(f"Ratio: {what} must be a feature, not {part!r}. Use {what}=Count(window='90d').")
            if part.columns != (part.name,):
                raise ConfigError(
                    f"Ratio: {what} {part!r} has {len(part.columns)} columns. Use a feature of one column."
                )

    @property
    def parts(self) -> tuple[Feature, Feature]:
        """Numerator and denominator."""
        return self.numerator, self.denominator

    @property
    def name(self) -> str:
        """The names of both features, joined by "per"."""
        return f"{self.numerator.name}_per_{self.denominator.name}"

    @property
    def filters(self) -> tuple[Filter, ...]:
        return tuple(filter_ for part in self.parts for filter_ in part.filters)

    @property
    def numbers(self) -> tuple[str, ...]:
        return tuple(name for part in self.parts for name in part.numbers)

    def check(self, log: "InteractionLog") -> None:
        for part in self.parts:
            part.check(log)
            picked = part.of if isinstance(part, Aggregate) and part.picks else None
            if picked is not None and log.kind(picked) != "number":
                raise SchemaError(
                    f"{self!r}: {part!r} is {log.kind(picked)}, which cannot be divided. Use a feature that is a "
                    f"number, for example NUnique({picked!r})."
                )

    def sql(self, plan: Plan) -> exp.Expr:
        return ratio(self.numerator.sql(plan), self.denominator.sql(plan))


def _size(total: exp.Expr) -> exp.Expr:
    """A sum without its sign; 0 where there is nothing to sum."""
    return exp.Abs(this=or_zero(total))


def _check_types(owner: str, name: str, value: str | Sequence[str] | None, example: str) -> None:
    values = as_values(value)
    if value is not None and (not values or not all(isinstance(item, str) for item in values)):
        raise ConfigError(f"{owner}: {name} must be a text or a list of texts, not {value!r}. Use {name}={example!r}.")

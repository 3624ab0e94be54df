"""The transactions of each customer: events merged by moment, day or period, and what the later ones are worth."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from crmml.data.sql import is_there
from crmml.data.steps import Step
from crmml.features.aggregate import Feature
from crmml.features.checks import check_columns
from crmml.features.expressions import AGE, case, column, count, group, named, number
from crmml.features.filters import Filter, as_values
from crmml.features.plan import AT, HISTORY, Plan

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

MOMENT = "moment"


@dataclass(frozen=True, repr=False, kw_only=True)
class Bought(Feature):
    """The number of a customer's transactions, the first and the last of them, and the value of those after the first.

    Moments are whole numbers that grow with time. They depend on what is given: `timezone`, days of its calendar
    (counted from 1899-12-25); `period_us`, periods back from the cutoff, which ends period 0; `begins_us`, periods
    that begin at these times; else microseconds since 1970.

    Columns: `n` transactions, `first` and `last` moment, `value` of the events after the first moment, returns
    included, and `priced`, how many transactions after the first have a value.
    """

    event_type: str | Sequence[str] | None = None
    returns: str | Sequence[str] | None = None
    column: str | None = None
    timezone: str | None = None
    period_us: int | None = None
    begins_us: Sequence[int] = ()

    @property
    def name(self) -> str:
        return "bought"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("n", "first", "last", *(("value", "priced") if self.column else ()))

    @property
    def bought(self) -> Filter:
        """The events that are transactions."""
        return Filter.of(event_type=self.event_type)

    @property
    def filters(self) -> tuple[Filter, ...]:
        back = [Filter.of(event_type=self.returns)] if self.returns is not None else []
        return (self.bought, *back)

    @property
    def numbers(self) -> tuple[str, ...]:
        return (self.column,) if self.column else ()

    def check(self, log: "InteractionLog") -> None:
        for filter_ in self.filters:
            check_columns(filter_, log, repr(self))

    def moment(self, plan: Plan) -> exp.Expr:
        """The moment of an event of the history."""
        if self.timezone is not None:
            return plan.clock("day", self.timezone)
        if self.period_us is not None:
            # The last microsecond before the cutoff has the age 1 and belongs to period 0.
            before = exp.Paren(this=exp.Sub(this=column(AGE), expression=number(1)))
            periods = exp.IntDiv(this=before, expression=number(self.period_us))
            return exp.cast(exp.Neg(this=exp.Paren(this=periods)), "BIGINT")
        if self.begins_us:
            later = (exp.GTE(this=column(AT), expression=number(begin)) for begin in reversed(self.begins_us))
            ifs = [exp.If(this=since, true=number(len(self.begins_us) - place)) for place, since in enumerate(later)]
            return plan.of_time(exp.Case(ifs=ifs, default=number(0)), "period")
        return plan.of_time(column(AT), MOMENT)

    def sql_by_column(self, plan: Plan) -> dict[str, exp.Expr]:
        need = plan.need(("bought", self), lambda plan: Transactions(plan, self))
        return {name: column(name, need.side) for name in self.columns}


class Transactions:
    """The steps behind `Bought`: events by customer and moment; customers; with values, both joined."""

    def __init__(self, plan: Plan, definition: Bought) -> None:
        self._plan = plan
        self._name = plan.step_name("transactions")
        self._bought = plan.flags(definition.bought)
        self._returned = plan.flags(Filter.of(event_type=definition.returns)) if definition.returns is not None else []
        self._moment = definition.moment(plan)
        self._value = plan.exact(definition.column) if definition.column else None
        self._customers = f"{self._name}_by_customer"
        self.side = self._customers if self._value is None else plan.step_name("repeats")

    def steps(self) -> Iterable[Step]:
        yield Step(self._name, self._by_moment())
        there = exp.GT(this=column("bought"), expression=number(0))
        own = case([there], column(MOMENT))
        found = {"n": count([there]), "first": exp.Min(this=own), "last": exp.Max(this=own.copy())}
        yield Step(self._customers, group(self._name, self._plan.keys, named(found)))
        if self._value is not None:
            yield Step(self.side, self._repeats())

    def _by_moment(self) -> exp.Select:
        """One row per customer and moment: how many purchases, how many with a value, and the value of all events."""
        found: dict[str, exp.Expr] = {"bought": count(self._bought)}
        if self._value is not None:
            priced = [*(flag.copy() for flag in self._bought), is_there(self._value.copy())]
            found |= {"priced": count(priced), "value": exp.Sum(this=self._value.copy())}
        moment = exp.alias_(self._moment.copy(), MOMENT)
        query = group(HISTORY, [*self._plan.keys, self._moment], named(found))
        query.set("expressions", [moment if each == self._moment else each for each in query.expressions])
        either = [exp.and_(*(flag.copy() for flag in flags)) for flags in (self._bought, self._returned) if flags]
        return query.where(exp.or_(*either)) if either else query

    def _repeats(self) -> exp.Select:
        keys = [column(key.name, self._name) for key in self._plan.keys]
        later = exp.GT(this=column(MOMENT, self._name), expression=column("first", self._customers))
        with_value = exp.GT(this=column("priced", self._name), expression=number(0))
        found: dict[str, exp.Expr] = {
            name: exp.Max(this=column(name, self._customers)) for name in ("n", "first", "last")
        }
        found["value"] = exp.Sum(this=case([later], column("value", self._name)))
        found["priced"] = count([later.copy(), with_value])
        query = group(self._name, keys, named(found))
        return query.join(self._customers, using=[key.name for key in self._plan.keys], copy=False)


def overlap(one: str | Sequence[str] | None, other: str | Sequence[str] | None) -> list[str]:
    """The event types that both name."""
    return [each for each in as_values(one) if each is not None and each in as_values(other)]

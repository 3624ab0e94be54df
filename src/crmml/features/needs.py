"""The groupings of the history that definitions share: each a step or two, with one row per customer at its end."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from crmml.data.sql import is_there, name_of
from crmml.data.steps import Step
from crmml.features.expressions import (
    AGE,
    at_most,
    case,
    column,
    count,
    group,
    minus,
    number,
    oldest_first,
    window_of,
    within,
)
from crmml.features.filters import Filter

if TYPE_CHECKING:
    from crmml.features.plan import Plan

HISTORY = "history"
# So many aggregates over a window cost less among all events of a type than a pass and a join of their own.
FEW = 3


class Aggregates:
    """The aggregates of one step, each under a name; the same aggregate asked for twice is computed once."""

    def __init__(self, side: str, taken: Iterable[str] = ()) -> None:
        self.side = side
        self._taken = tuple(taken)
        self._names: dict[exp.Expr, str] = {}

    def __bool__(self) -> bool:
        return bool(self._names)

    def add(self, aggregate: exp.Expr, name: str) -> exp.Column:
        """The column of the step `side` that holds `aggregate`, for the last step."""
        if aggregate not in self._names:
            taken = {other.casefold() for other in (*self._taken, *self._names.values())}
            while name.casefold() in taken:
                name += "_"
            self._names[aggregate] = name
        return column(self._names[aggregate], self.side)

    def take(self, other: "Aggregates") -> bool:
        """Take over the few aggregates of `other`, under the names that they have there; False if that cannot be."""
        taken = {name.casefold() for name in (*self._taken, *self._names.values())}
        if len(other._names) > FEW or any(name.casefold() in taken for name in other._names.values()):
            return False
        self._names |= other._names
        return True

    def selected(self) -> Iterable[exp.Expr]:
        """`aggregate AS name`, for each."""
        return (exp.alias_(aggregate.copy(), name) for aggregate, name in self._names.items())


class Events:
    """The events of one type (or of all, or all with a value) by customer: one pass for every aggregate of them."""

    def __init__(self, plan: "Plan", filter_: Filter, name: str, *, there: exp.Column | None = None) -> None:
        self._plan = plan
        self._filter = filter_
        self._there = there
        self._reach_us: int | None = None
        self._aggregates = Aggregates(name)
        self.side = name

    def add(self, aggregate: exp.Expr, name: str, window_us: int | None) -> exp.Column:
        """An aggregate over the grouping; either all of them look at a window of it, or none does."""
        self._reach_us = max(window_us, self._reach_us or 0) if window_us is not None else None
        return self._aggregates.add(aggregate, name)

    def take(self, lately: "Events") -> bool:
        """Take over what the grouping of a window of the same events has, where that is little."""
        return self._aggregates.take(lately._aggregates)

    def steps(self) -> Iterable[Step]:
        query = group(HISTORY, self._plan.keys, self._aggregates.selected())
        there = [is_there(self._there.copy())] if self._there else []
        conditions = [*self._plan.flags(self._filter), *there, *within(self._reach_us)]
        yield Step(self.side, query.where(*conditions) if conditions else query)


@dataclass(frozen=True)
class Matching:
    """The events of a grouping that meet further conditions.

    What looks at a window is a grouping of its own, over the longest of the windows: most events of a log are older.
    """

    grouping: Callable[[bool], Events]
    flags: list[exp.Expr]

    def inside(self, window_us: int | None) -> list[exp.Expr]:
        """What an event of the grouping has to meet: the other conditions of the filter, and the window."""
        return [*(flag.copy() for flag in self.flags), *within(window_us)]

    def per_customer(self, aggregate: exp.Expr, name: str) -> exp.Column:
        """An aggregate over the grouping, as the last step refers to it: NULL for customers without such events."""
        window_us = window_of(aggregate)
        return self.grouping(window_us is not None).add(aggregate, name, window_us)


class Pairs:
    """The events of one type (or of all) by customer and one or more values, none of them missing.

    Much cheaper than COUNT(DISTINCT): each pair knows the age of its youngest event under each filter, and how many
    events it has under each filter and window.
    """

    def __init__(self, plan: "Plan", of_type: Filter, values: tuple[exp.Expr, ...], name: str) -> None:
        self._plan = plan
        self._type = of_type
        self._values = values
        self._name = name
        self.side = f"{name}_by_customer"
        # An attribute may be called "n".
        self._of_pair = Aggregates(name, [value.name for value in values])
        self._of_customer = Aggregates(self.side)
        # The longest window under which a filter's events matter, None where one looks at all history.
        self._reach: dict[Filter, int | None] = {}

    @property
    def values(self) -> list[exp.Expr]:
        """The values of the pair, as columns of its step."""
        return [value.copy() for value in self._values]

    @property
    def name(self) -> str:
        """The step with one row per pair."""
        return self._name

    def of_pair(self, aggregate: exp.Expr, name: str, filter_: Filter, window_us: int | None) -> exp.Column:
        """A column of the pair: an aggregate over its events, which looks at those of a filter and window only."""
        rest = self._rest(filter_)
        self._reach[rest] = _longest(self._reach, rest, window_us)
        return column(self._of_pair.add(aggregate, name).name)

    def youngest(self, filter_: Filter, window_us: int | None) -> exp.Column:
        """The age of the pair's youngest event that meets a filter; to be compared with the window."""
        youngest = exp.Min(this=case(self._plan.flags(self._rest(filter_)), column(AGE)))
        return self.of_pair(youngest, "youngest_us", filter_, window_us)

    def events(self, filter_: Filter, window_us: int | None) -> exp.Column:
        """How many events of the pair meet a filter and lie in a window."""
        return self.of_pair(count(self._plan.conditions(self._rest(filter_), window_us)), "n", filter_, window_us)

    def per_customer(self, aggregate: exp.Expr, name: str) -> exp.Column:
        """An aggregate over the pairs of a customer, as the last step refers to it."""
        return self._of_customer.add(aggregate, name)

    def steps(self) -> Iterable[Step]:
        keys = [*self._plan.keys, *self._values]
        there = [is_there(value.copy()) for value in self._values]
        grouped = group(HISTORY, keys, self._of_pair.selected())
        grouped = grouped.where(*there, *self._plan.flags(self._type), *self._of_any())
        yield Step(self._name, grouped)
        yield Step(self.side, group(self._name, self._plan.keys, self._of_customer.selected()))

    def _rest(self, filter_: Filter) -> Filter:
        """The conditions of a filter that the grouping does not make already."""
        return filter_.split("event_type")[1]

    def _of_any(self) -> list[exp.Expr]:
        """That an event meets one of the filters, in its window: what meets none would be counted nowhere."""
        conditions = [self._plan.conditions(filter_, reach) for filter_, reach in self._reach.items()]
        return [exp.or_(*(exp.and_(*each) for each in conditions))] if all(conditions) else []


class Ordered:
    """The events of a filter in order of time: each knows the age of the one before it, `previous_us`."""

    def __init__(self, plan: "Plan", filter_: Filter, name: str) -> None:
        self._plan = plan
        self._filter = filter_
        self._name = name
        self.side = f"{name}_by_customer"
        self._aggregates = Aggregates(self.side)
        self._columns: dict[str, exp.Expr] = {}
        self._reach: dict[Filter, int | None] = {}

    @property
    def name(self) -> str:
        """The step with one row per event."""
        return self._name

    @property
    def gap(self) -> exp.Expr:
        """Microseconds since the event before; NULL at the first."""
        return minus(column("previous_us"), column(AGE))

    def inside(self, window_us: int | None) -> list[exp.Expr]:
        """That the event lies in the window."""
        self._reach[self._filter] = _longest(self._reach, self._filter, window_us)
        return within(window_us)

    def both_inside(self, window_us: int | None) -> list[exp.Expr]:
        """That the event and the one before it lie in the window: they do if the earlier one does."""
        self.inside(window_us)
        if window_us is None:
            return [is_there(column("previous_us"))]
        return [at_most(column("previous_us"), window_us)]

    def carried(self, value: exp.Column) -> exp.Column:
        """A column of the history that is a function of time alone (others are not in order between equal times)."""
        self._columns[value.name] = value.copy()
        return name_of(value.name)

    def before(self, value: exp.Column) -> exp.Column:
        """The same column at the event before, in the whole history of the filter."""
        self._columns[f"previous_{value.name}"] = oldest_first(exp.Lag(this=value.copy()), self._plan.keys)
        return name_of(f"previous_{value.name}")

    def earlier_age(self, nth: int) -> exp.Column:
        """The age of the `nth` event before; NULL where there are fewer."""
        if nth == 1:
            return column("previous_us")
        self._columns[f"earlier_{nth}_us"] = oldest_first(
            exp.Lag(this=column(AGE), offset=number(nth)), self._plan.keys
        )
        return name_of(f"earlier_{nth}_us")

    def per_customer(self, aggregate: exp.Expr, name: str) -> exp.Column:
        """An aggregate over the ordered events of a customer, as the last step refers to it."""
        return self._aggregates.add(aggregate, name)

    def steps(self) -> Iterable[Step]:
        previous = exp.alias_(oldest_first(exp.Lag(this=column(AGE)), self._plan.keys), "previous_us")
        others = (
            exp.alias_(value.copy(), exp.to_identifier(name, quoted=True))
            if isinstance(value, exp.Window)
            else value.copy()
            for name, value in self._columns.items()
        )
        ordered = exp.select(*self._plan.keys, column(AGE), previous, *others).from_(HISTORY)
        conditions = self._plan.conditions(self._filter, self._reach.get(self._filter))
        yield Step(self._name, ordered.where(*conditions) if conditions else ordered)
        yield Step(self.side, group(self._name, self._plan.keys, self._aggregates.selected()))


class Ends:
    """The first and last events where a column is there: their ages, then the greatest value at each of these ages."""

    def __init__(self, plan: "Plan", filter_: Filter, window_us: int | None, of: str, name: str) -> None:
        self._plan = plan
        self._events = plan.events(filter_)
        self._value = column_of_history(plan.value(of))
        self._inside = [*self._events.inside(window_us), is_there(plan.value(of))]
        self._found = [column_of_history(each) for each in (*plan.conditions(filter_, window_us), self._inside[-1])]
        self._at_end: list[exp.Expr] = []
        # The step that knows the ages of the first and the last.
        self._ages = ""
        self.aggregates = Aggregates(name)
        self.side = name

    def end(self, *, first: bool) -> exp.Column:
        """The value at the first or last event, as the last step refers to it."""
        edge, name = (exp.Max, "first_us") if first else (exp.Min, "last_us")
        age = self._events.per_customer(edge(this=case(self._inside, column(AGE))), f"{self.side}_{name}")
        self._ages = age.table
        at_end = exp.EQ(this=column(AGE, HISTORY), expression=age)
        if at_end not in self._at_end:
            self._at_end.append(at_end)
        # The greatest of several: a tie-break that needs no order.
        greatest = exp.Max(this=case([at_end], self._value.copy()))
        return self.aggregates.add(greatest, "first_value" if first else "last_value")

    def steps(self) -> Iterable[Step]:
        keys = [column(key.name, HISTORY) for key in self._plan.keys]
        using: list[int | str | exp.Expr] = [key.name for key in keys]
        found = group(HISTORY, keys, self.aggregates.selected())
        found = found.join(self._ages, using=using, copy=False)
        yield Step(self.side, found.where(*self._found, exp.or_(*self._at_end)))


def column_of_history(value: exp.Expr) -> exp.Expr:
    """The same SQL with every column said to be one of `history`, where another step stands beside it."""
    found = value.copy()
    for each in found.find_all(exp.Column):
        each.set("table", exp.to_identifier(HISTORY))
    return found


def _longest(reach: dict[Filter, int | None], filter_: Filter, window_us: int | None) -> int | None:
    known = reach.get(filter_, window_us)
    return None if known is None or window_us is None else max(known, window_us)

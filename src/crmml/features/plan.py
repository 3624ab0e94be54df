"""From definitions to one SQL text: a chain of named steps, of which only `history` knows the cutoff.

`coded` holds what is read of each event: its time in microseconds, its values, exact decimals, and a number for each
text that a filter looks for, so that texts are compared once per event and not once per feature. `history` holds the
events that the cutoff may see, with their age in microseconds. From there on a window is a bound on `age_us`, an
integer: exact, and the same on every engine.

    events -> coded -> history -> by_customer, by_<event type>, pairs_<n>, ordered_<n>, end_<n> -> the table

As of one cutoff the steps know customers; as of several, customers and cutoffs, in the same words.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pandas as pd
from sqlglot import exp

from crmml.data.sql import is_one_of, literal, moment, name_of, named
from crmml.data.steps import EVENTS, Step, chain
from crmml.features.expressions import AGE, EXACT, at_most, column, microseconds, minus
from crmml.features.filters import Filter, slug
from crmml.features.moments import Clock, clock_sql, local_us
from crmml.features.needs import Ends, Events, Matching, Ordered, Pairs

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

KEYS = ("customer_id", "as_of")
CUTOFFS = "cutoffs"
CODED = "coded"
HISTORY = "history"
BY_CUSTOMER = "by_customer"
POPULATION = "population"
AT = "at_us"
KNOWN = "known_us"
_INTERNAL = ("customer_id", "as_of", AGE, AT, KNOWN, "previous_us", "next_us", "gap_us", "ahead_us", "rowid")


class Need(Protocol):
    """A grouping of the history that several definitions share; `side` has one row per customer and cutoff."""

    side: str

    def steps(self) -> Iterable[Step]:
        """The steps, from `history` to `side`; asked for once every definition has said what it needs."""
        ...


N = TypeVar("N", bound=Need)


class Plan:
    """Collects what the definitions of one table need, and writes the steps that provide it.

    A definition asks for columns of the history (`value`, `exact`, `clock`, `flags`) and for groupings of it
    (`events`, `pairs`, `ordered`, `ends`, or a `need` of its own). From a grouping it gets back the SQL by which the
    last step refers to a column.
    """

    def __init__(self, log: "InteractionLog", cutoffs: Sequence[pd.Timestamp]) -> None:
        self.log = log
        self.cutoffs = tuple(cutoffs)
        # Columns of `coded` by the SQL that makes them from a column of `events`; the customer and the times apart.
        self._coded: dict[exp.Expr, str] = {}
        # The texts that filters look for, by role or attribute, each with its number in `coded`.
        self._codes: dict[str, dict[str, int]] = {}
        self._read: dict[str, None] = {}
        self._steps: set[str] = {name.casefold() for name in (EVENTS, CUTOFFS, CODED, HISTORY, POPULATION)}
        self._needs: dict[object, Need] = {}
        # The base of the table: every customer with any event before the cutoff.
        self.events(Filter()).grouping(False)

    # What definitions ask for: columns --------------------------------------------------------------------

    def value(self, name: str) -> exp.Column:
        """A role or attribute as it is."""
        return self._column(self._of_log(name), name)

    def exact(self, name: str) -> exp.Column:
        """A numeric role or attribute as an exact decimal."""
        return self._column(exp.cast(self._of_log(name), EXACT), f"exact_{slug(name)}")

    def clock(self, part: Clock, timezone: str = "UTC") -> exp.Column:
        """The "day" (counted from Monday, 1899-12-25), "hour" or "weekday" (Monday is 0) of the event."""
        if timezone != "UTC":
            return self._column(
                clock_sql(part, local_us(self._of_log("timestamp"), timezone)), f"{part}_{slug(timezone)}"
            )
        # A sum and a division: cheaper to repeat than to keep.
        return self._column(clock_sql(part, column(AT)), part)

    def of_time(self, value: exp.Expr, wanted: str) -> exp.Column:
        """A function of the time of the event: an expression of the column `at_us`."""
        return self._column(value, wanted)

    def flags(self, filter_: Filter) -> list[exp.Expr]:
        """The conditions of a filter, on the columns of `coded`."""
        return [self._condition(name, values) for name, values in filter_.conditions]

    def conditions(self, filter_: Filter, window_us: int | None = None) -> list[exp.Expr]:
        """The conditions of a filter and a window, on the columns of `history`."""
        return [*self.flags(filter_), *([] if window_us is None else [at_most(column(AGE), window_us)])]

    # What definitions ask for: groupings ------------------------------------------------------------------

    def events(self, filter_: Filter, of: str | None = None) -> Matching:
        """The events of a filter by customer; those of one event type are a grouping of their own.

        Where the types are mixed, most events lack a number that only some types have: an aggregate `of` such a
        number is a grouping of the events that have it.
        """
        of_type, rest = filter_.split("event_type")
        name = f"by_{'_or_'.join(of_type.names())}"[:60] if of_type.conditions else BY_CUSTOMER
        mixed = not of_type.conditions and self.log.roles.event_type is not None
        there = self.exact(of) if of is not None and mixed else None
        if there is not None:
            name = f"by_customer_with_{slug(of)}"

        def grouping(lately: bool) -> Events:
            step = f"{name}_lately" if lately else name
            key = ("events", of_type, there, lately)
            return self.need(key, lambda plan: Events(plan, of_type, plan.step_name(step), there=there))

        return Matching(grouping, self.flags(rest))

    def pairs(self, filter_: Filter, *values: exp.Expr) -> Pairs:
        """The events of a filter's type by customer and values, such as items: counted, with the youngest of each."""
        of_type, _ = filter_.split("event_type")
        key = ("pairs", of_type, values)
        return self.need(key, lambda plan: Pairs(plan, of_type, values, plan.step_name("pairs")))

    def ordered(self, filter_: Filter) -> Ordered:
        """The events of a filter in order of time, each with the event before it."""
        return self.need(("ordered", filter_), lambda plan: Ordered(plan, filter_, plan.step_name("ordered")))

    def ends(self, filter_: Filter, window_us: int | None, of: str, *, first: bool) -> exp.Column:
        """The value of a column at the first or last event of a filter that has one."""
        key = ("ends", filter_, window_us, of)
        need = self.need(key, lambda plan: Ends(plan, filter_, window_us, of, plan.step_name("ends")))
        return need.end(first=first)

    def need(self, key: object, make: Callable[["Plan"], N]) -> N:
        """The grouping under `key`, made when it is first asked for."""
        if key not in self._needs:
            self._needs[key] = make(self)
        found: N = self._needs[key]  # type: ignore[assignment]  # what stands under a key is what its maker made
        return found

    def step_name(self, wanted: str) -> str:
        """A name for a step that no other step has: numbered, unless it is one of the plain groupings by type."""
        name, number = (wanted, 1) if wanted.startswith("by_") else (f"{wanted}_1", 1)
        while {name.casefold(), f"{name}_by_customer".casefold()} & self._steps:
            number += 1
            name = f"{wanted}_{number}"
        self._steps |= {name.casefold(), f"{name}_by_customer".casefold()}
        return name

    # The steps --------------------------------------------------------------------------------------------

    @property
    def keys(self) -> list[exp.Expr]:
        """What every grouping groups by: the customer, and the cutoff where there are several."""
        names = KEYS if self._several else KEYS[:1]
        return [column(name) for name in names]

    @property
    def _several(self) -> bool:
        return len(self.cutoffs) != 1

    def as_of(self, table: str = BY_CUSTOMER) -> exp.Expr:
        """The cutoff in the last step."""
        return column("as_of", table) if self._several else moment(self.cutoffs[0].to_pydatetime())

    def write(
        self,
        features: dict[str, exp.Expr],
        *,
        before: Sequence[Step] = (),
        after: Sequence[Step] = (),
        base: str = BY_CUSTOMER,
        joined: Sequence[str] = (),
    ) -> "Text":
        """One row per customer and cutoff of the step `base`, sorted by both, with the columns `features`.

        `before` are steps that stand between the history and the groupings, `after` others that `joined` names to
        be joined to the result.
        """
        taken = self._take_together()
        # The plain groupings come first: others look at what they find.
        ordered = sorted(self._needs.values(), key=lambda need: not isinstance(need, Events))
        needs = [step for need in ordered for step in need.steps()]
        for each in (*features.values(), *(step.query for step in needs)):
            _rename(each, taken)
        query = exp.select(
            column("customer_id", base),
            exp.alias_(self.as_of(base), "as_of"),
            *(_named_feature(expression, name) for name, expression in features.items()),
        ).from_(base)
        sides = [need.side for need in self._needs.values()]
        using = [key.name for key in self.keys]
        for side in [*(side for side in sides if side != base), *joined]:
            query = query.join(side, using=list(using), join_type="left", copy=False)
        order = (column(key, base) for key in using)
        return Text(
            [*self.coded_steps(), self.history_step(), *before, *needs, *after], query.order_by(*order, copy=False)
        )

    def _take_together(self) -> dict[str, str]:
        """Make one grouping of those of a type, ever and lately, where that is cheaper; old side -> new side."""
        taken = {}
        for key, lately in list(self._needs.items()):
            if not (isinstance(key, tuple) and isinstance(lately, Events) and key[-1]):
                continue
            ever = self._needs.get((*key[:-1], False))
            if isinstance(ever, Events) and ever.take(lately):
                taken[lately.side] = ever.side
                del self._needs[key]
        return taken

    def coded_steps(self) -> list[Step]:
        """The steps from the log to `coded`; call it after everything has been asked of the plan."""
        recorded = ["recorded_at"] if self._recorded else []
        selected = [self._of_log("customer_id"), exp.alias_(microseconds(self._of_log("timestamp")), AT)]
        if recorded:
            known = exp.Coalesce(this=self._of_log("recorded_at"), expressions=[self._of_log("timestamp")])
            selected.append(exp.alias_(microseconds(known), KNOWN))
        selected += [named(self._meaning(value), name) for value, name in self._coded.items() if not _of_time(value)]
        coded = exp.select(*selected).from_(EVENTS)
        return [*self.log.steps(["customer_id", "timestamp", *recorded, *self._read]), Step(CODED, coded)]

    def history_step(self) -> Step:
        """The one step that knows what a cutoff may see."""
        cutoff = microseconds(column("as_of") if self._several else moment(self.cutoffs[0].to_pydatetime()))
        seen = [exp.LT(this=column(AT), expression=cutoff)]
        if self._recorded:
            seen.append(exp.LT(this=column(KNOWN), expression=cutoff.copy()))
        age = exp.alias_(minus(cutoff.copy(), column(AT)).this, AGE)
        columns = (
            named(value.copy(), name) if _of_time(value) else name_of(name) for value, name in self._coded.items()
        )
        query = exp.select(*self.keys, age, *columns).from_(CODED)
        if not self._several:
            return Step(HISTORY, query.where(*seen, copy=False))
        return Step(HISTORY, query.join(self.listed_cutoffs(), on=exp.and_(*seen)))

    def listed_cutoffs(self) -> exp.Subquery:
        """The cutoffs as a table with the column `as_of`."""
        rows = [exp.Tuple(expressions=[moment(cutoff.to_pydatetime())]) for cutoff in self.cutoffs]
        alias = exp.TableAlias(this=exp.to_identifier("listed"), columns=[exp.to_identifier("as_of")])
        listed = exp.select("as_of").from_(exp.Values(expressions=rows, alias=alias))
        return listed.subquery(CUTOFFS)

    # Names ------------------------------------------------------------------------------------------------

    @property
    def _recorded(self) -> bool:
        return self.log.roles.knows("recorded_at")

    def _of_log(self, name: str) -> exp.Column:
        self._read[name] = None
        return name_of(name)

    def _condition(self, name: str, values: tuple[Any, ...]) -> exp.Expr:
        found = self._of_log(name)
        if self.log.kind(name) != "text":
            texts = "_or_".join(slug(value) for value in values)
            return self._column(is_one_of(found, values), f"is_{slug(name)}_{texts}"[:60])
        codes = self._codes.setdefault(name, {})
        numbers = [codes.setdefault(value, len(codes) + 1) for value in values]
        # The codes are not complete yet: what stands here is the name, `coded_steps` writes what it means.
        return is_one_of(self._column(exp.Placeholder(this=name), f"{slug(name)}_code"), numbers)

    def _meaning(self, value: exp.Expr) -> exp.Expr:
        """The SQL of a column of `coded`."""
        if not isinstance(value, exp.Placeholder):
            return value.copy()
        codes = self._codes[str(value.this)]
        ifs = [exp.If(this=literal(text), true=literal(code)) for text, code in codes.items()]
        return exp.cast(exp.Case(this=name_of(str(value.this)), ifs=ifs), "SMALLINT")

    def _column(self, value: exp.Expr, wanted: str) -> exp.Column:
        """The column of `coded` that holds `value`."""
        if value not in self._coded:
            # DuckDB does not tell upper from lower case in names, so neither does this.
            taken = {other.casefold() for other in (*_INTERNAL, *self._coded.values())}
            while wanted.casefold() in taken:
                wanted += "_"
            self._coded[value] = wanted
        return name_of(self._coded[value])


class Text:
    """The steps of a table and the query that reads them: one SQL text, or two for an executor that keeps `coded`."""

    def __init__(self, steps: Sequence[Step], query: exp.Select) -> None:
        self.steps = list(steps)
        self.query = query

    def whole(self) -> exp.Select:
        """The whole text."""
        return chain(self.steps, self.query.copy())

    @property
    def reads_events(self) -> bool:
        """Whether there are steps from the log on, not only from what another table holds."""
        return any(step.name == CODED for step in self.steps)

    @property
    def coded(self) -> int:
        """The position of the step `coded`."""
        return [step.name for step in self.steps].index(CODED)

    def until_coded(self) -> exp.Select:
        """The text that makes `coded` from the log."""
        return chain(self.steps[: self.coded], self.steps[self.coded].query.copy())

    def from_coded(self, rows: exp.Select) -> exp.Select:
        """The text that reads `coded` from the rows of a table.

        What is kept in a table already need not be kept again: `history` is worked out where it is read.
        """
        after = [replace(step, kept=False) if step.name == HISTORY else step for step in self.steps[self.coded + 1 :]]
        return chain([Step(CODED, rows, kept=False), *after], self.query.copy())


def _of_time(value: exp.Expr) -> bool:
    """Whether a column is worked out of `at_us` in `history`, and not kept in `coded`."""
    # An attribute may be called so too, but what a user named is quoted.
    return any(found.name == AT and not found.this.quoted for found in value.find_all(exp.Column))


def _rename(query: exp.Expr, sides: dict[str, str]) -> None:
    """Let `query` read other sides than it was written for."""
    for found in query.find_all(exp.Column, exp.Table):
        part = "table" if isinstance(found, exp.Column) else "this"
        if found.text(part) in sides:
            found.set(part, exp.to_identifier(sides[found.text(part)]))


def _named_feature(value: exp.Expr, name: str) -> exp.Expr:
    """`value AS name` for a generated name; the value alone where it is a column of that name."""
    same = isinstance(value, exp.Column) and value.name == name
    return value if same else exp.alias_(value, name)

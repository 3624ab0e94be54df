"""From definitions to one SQL text: a chain of named steps, of which only `history` knows the cutoff.

`history` holds every event that a cutoff may see, with its age in microseconds. From there on a window is a bound
on `age_us`, an integer: exact, the same on every engine, and compared once per event.

    cutoffs -> events -> history -> by_customer, pairs_<column>, gaps_<n>, latest_<n> -> the table
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pandas as pd
from sqlglot import exp

from crmml.data.sql import is_there, moment, name_of, named, not_null
from crmml.data.steps import EVENTS, Step, chain
from crmml.features.filters import Filter, slug

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

KEYS = ("customer_id", "as_of")
CUTOFFS = "cutoffs"
HISTORY = "history"
BY_CUSTOMER = "by_customer"
POPULATION = "population"
AGE = "age_us"
# Exact arithmetic: sums of decimals do not depend on the order of the rows or the number of threads.
EXACT = "DECIMAL(18, 6)"
EXACT_BELOW = 10**12
# Products need more digits: DuckDB keeps that of two DECIMAL(18) within 18, and refuses what does not fit.
WIDE = "DECIMAL(38, 6)"
_INTERNAL = ("as_of", AGE)


def column(name: str, table: str | None = None) -> exp.Column:
    """A column of one of our own steps, by its plain name."""
    return exp.column(name, table=table)


def number(value: int | float) -> exp.Expr:
    """A number as a literal."""
    return exp.convert(value)


def as_double(value: exp.Expr) -> exp.Expr:
    """`CAST(value AS DOUBLE)`."""
    return exp.cast(value, "DOUBLE")


def ratio(numerator: exp.Expr, denominator: exp.Expr) -> exp.Expr:
    """`numerator / denominator` as a double; NULL where the denominator is 0."""
    nullif = exp.Nullif(this=denominator, expression=number(0))
    return exp.Div(this=as_double(numerator), expression=nullif)


def microseconds(moment_column: exp.Expr) -> exp.Expr:
    """Microseconds since 1970 of a TIMESTAMP in UTC."""
    return exp.Anonymous(this="epoch_us", expressions=[moment_column])


def case(conditions: Sequence[exp.Expr], value: exp.Expr) -> exp.Expr:
    """`CASE WHEN conditions THEN value END`; the value alone where there is no condition."""
    if not conditions:
        return value
    return exp.Case(ifs=[exp.If(this=exp.and_(*conditions, copy=True), true=value)])


def count(conditions: Sequence[exp.Expr]) -> exp.Expr:
    """How many rows meet all conditions. CASE is several times faster than FILTER in DuckDB."""
    return exp.Count(this=case(conditions, number(1))) if conditions else exp.Count(this=exp.Star())


def group(source: str, keys: Sequence[str], values: Iterable[exp.Expr]) -> exp.Select:
    """`SELECT keys, values FROM source GROUP BY keys`."""
    names = [column(key) for key in keys]
    return exp.select(*names, *values).from_(source).group_by(*[name.copy() for name in names])


class Plan:
    """Collects what the definitions of one table need, and writes the steps that provide it.

    A definition asks for a column of the history, an aggregate per customer, or one of the steps that need
    another grouping; it gets back the SQL by which the final step refers to it.
    """

    def __init__(self, log: "InteractionLog") -> None:
        self.log = log
        self._columns: dict[str, str] = {}
        self._exact: dict[str, str] = {}
        self._by_customer: dict[str, exp.Expr] = {}
        self._pairs: dict[str, dict[Filter, str]] = {}
        # The longest window under which a column's values are counted, 0 where one looks at all history.
        self._reach: dict[tuple[str, Filter], int] = {}
        self._pair_steps: dict[str, str] = {}
        self._distinct: dict[str, dict[str, exp.Expr]] = {}
        self._gaps: dict[Filter, tuple[str, dict[str, exp.Expr]]] = {}
        self._latest: list[tuple[str, str, list[exp.Expr]]] = []

    # What definitions ask for -----------------------------------------------------------------------------

    def value(self, name: str) -> exp.Column:
        """A role or attribute as it is, in `history`."""
        return name_of(self._named(name))

    def exact(self, name: str) -> exp.Column:
        """A numeric role or attribute as an exact decimal, in `history`."""
        if name not in self._exact:
            self._exact[name] = self._unused(f"exact_{slug(name)}")
        return column(self._exact[name])

    def conditions(self, filter_: Filter, window_us: int | None = None) -> list[exp.Expr]:
        """The comparisons of a filter and a window, on the columns of `history`."""
        found = filter_.sql({name: self._named(name) for name in filter_.columns})
        if window_us is not None:
            found.append(within(window_us))
        return found

    def per_customer(self, name: str, aggregate: exp.Expr) -> exp.Column:
        """An aggregate over the whole history of a customer."""
        self._by_customer[name] = aggregate
        return column(name, BY_CUSTOMER)

    def distinct(self, name: str, of: str, filter_: Filter, window_us: int | None) -> exp.Expr:
        """The number of distinct values of a column: counted over pairs (customer, value), each of which knows
        the age of its youngest event; much cheaper than COUNT(DISTINCT)."""
        self._named(of)
        if of not in self._pair_steps:
            name_of = slug(of)
            clash = name_of in self._pair_steps.values()
            self._pair_steps[of] = f"{name_of}_{len(self._pair_steps) + 1}" if clash else name_of
        pairs = self._pairs.setdefault(of, {})
        youngest = pairs.setdefault(filter_, f"youngest_{len(pairs) + 1}")
        reach = self._reach.get((of, filter_), window_us)
        self._reach[of, filter_] = max(reach, window_us) if reach and window_us else 0
        if window_us is None:
            counted: exp.Expr = exp.Count(this=column(youngest))
        else:
            counted = count([exp.LTE(this=column(youngest), expression=number(window_us))])
        self._distinct.setdefault(of, {})[name] = counted
        return exp.Coalesce(this=column(name, self._distinct_step(of)), expressions=[number(0)])

    def gap(self, name: str, filter_: Filter, aggregate: exp.Expr) -> exp.Column:
        """An aggregate over the gaps between consecutive events that meet a filter.

        Each event carries `gap_us`, the time since the event before it, whose age is `previous_us`.
        """
        step, aggregates = self._gaps.setdefault(filter_, (f"gaps_{len(self._gaps) + 1}", {}))
        self.conditions(filter_)
        aggregates[name] = aggregate
        return column(name, f"{step}_by_customer")

    def latest(self, of: str, conditions: list[exp.Expr]) -> exp.Column:
        """The value of a column at the last event where it is there."""
        step = f"latest_{len(self._latest) + 1}"
        self._latest.append((step, of, [*conditions, not_null(self._named(of))]))
        return column("latest_value", step)

    # The steps --------------------------------------------------------------------------------------------

    def write(
        self,
        cutoffs: Sequence[pd.Timestamp],
        features: dict[str, exp.Expr],
        *,
        before: Sequence[Step] = (),
        after: Sequence[Step] = (),
        event_columns: Iterable[str] = (),
        base: str = BY_CUSTOMER,
        joined: Sequence[str] = (),
    ) -> exp.Select:
        """The whole SQL text: one row per customer and cutoff of the step `base`, sorted by both.

        `before` are steps that stand between the log and the groups (and read `history`), `after` others that
        `joined` names to be joined to the result; `event_columns` are what they read of the log.
        """
        groups = list(self._groups())
        steps = [*self.history_steps(cutoffs, event_columns), *before, *groups, *after]
        query = exp.select(
            *(column(key, base) for key in KEYS),
            *(named_feature(expression, name) for name, expression in features.items()),
        ).from_(base)
        sides = [*([BY_CUSTOMER] if base != BY_CUSTOMER else []), *self._sides(), *joined]
        for side in sides:
            query = query.join(side, using=list(KEYS), join_type="left")
        return chain(steps, query.order_by(*(column(key, base) for key in KEYS)))

    def history_steps(self, cutoffs: Sequence[pd.Timestamp], event_columns: Iterable[str] = ()) -> list[Step]:
        """The steps from the log to `history`; call it after everything has been asked of the plan."""
        needed = [*self._event_columns(), *event_columns]
        return [cutoffs_step(cutoffs), *self.log.steps(needed), Step(HISTORY, self._history())]

    def _history(self) -> exp.Select:
        """The one step that knows what a cutoff may see."""
        time, as_of = column_of("timestamp"), column("as_of", CUTOFFS)
        seen: list[exp.Expr] = [exp.LT(this=time, expression=as_of)]
        if self.log.roles.knows("recorded_at"):
            known = exp.Coalesce(this=column_of("recorded_at"), expressions=[time.copy()])
            seen.append(exp.LT(this=known, expression=as_of.copy()))
        age = exp.Sub(this=microseconds(as_of.copy()), expression=microseconds(time.copy()))
        return (
            exp.select(
                column_of("customer_id"),
                as_of.copy(),
                exp.alias_(age, AGE),
                *(named(column_of(name), alias) for name, alias in self._columns.items()),
                *(exp.alias_(_exact(name), alias) for name, alias in self._exact.items()),
            )
            .from_(EVENTS)
            .join(CUTOFFS, on=exp.and_(*seen))
        )

    def _groups(self) -> Iterable[Step]:
        aggregates = (exp.alias_(value, name) for name, value in self._by_customer.items())
        yield Step(BY_CUSTOMER, group(HISTORY, KEYS, aggregates))
        for of in self._pairs:
            yield from self._distinct_steps(of)
        for filter_, (step, values) in self._gaps.items():
            yield from self._gap_steps(filter_, step, values)
        for step, of, conditions in self._latest:
            yield from self._latest_steps(step, of, conditions)

    def _distinct_step(self, of: str) -> str:
        return f"distinct_{self._pair_steps[of]}"

    def _distinct_steps(self, of: str) -> Iterable[Step]:
        value, pairs = self.value(of), f"pairs_{self._pair_steps[of]}"
        youngest = (
            exp.alias_(exp.Min(this=case(self.conditions(filter_), column(AGE))), name)
            for filter_, name in self._pairs[of].items()
        )
        keys = [*(column(key) for key in KEYS), value]
        grouped = exp.select(*keys, *youngest).from_(HISTORY).where(not_null(self._named(of)), *self._of_any(of))
        yield Step(pairs, grouped.group_by(*[key.copy() for key in keys]))
        counts = (exp.alias_(value, name) for name, value in self._distinct[of].items())
        yield Step(self._distinct_step(of), group(pairs, KEYS, counts))

    def _of_any(self, of: str) -> list[exp.Expr]:
        """That an event meets one of the filters under which the values of a column are counted, in its window.

        Only a saving: what meets none of them would be counted nowhere.
        """
        filters = [self.conditions(filter_, self._reach[of, filter_] or None) for filter_ in self._pairs[of]]
        return [exp.or_(*(exp.and_(*conditions) for conditions in filters))] if all(filters) else []

    def _gap_steps(self, filter_: Filter, step: str, values: dict[str, exp.Expr]) -> Iterable[Step]:
        previous = exp.Window(
            this=exp.Lag(this=column(AGE)),
            partition_by=[column(key) for key in KEYS],
            order=exp.Order(expressions=[exp.Ordered(this=column(AGE), desc=True)]),
        )
        lagged = exp.select(*(column(key) for key in KEYS), column(AGE), exp.alias_(previous, "previous_us"))
        lagged = lagged.from_(HISTORY)
        conditions = self.conditions(filter_)
        if conditions:
            lagged = lagged.where(*conditions)
        gap = exp.Sub(this=column("previous_us"), expression=column(AGE))
        selected = exp.select(*(column(key) for key in KEYS), column("previous_us"), exp.alias_(gap, "gap_us"))
        yield Step(step, selected.from_(lagged.subquery("lagged")).where(is_there(column("previous_us"))))
        aggregates = (exp.alias_(value, name) for name, value in values.items())
        yield Step(f"{step}_by_customer", group(step, KEYS, aggregates))

    def _latest_steps(self, step: str, of: str, conditions: list[exp.Expr]) -> Iterable[Step]:
        """The age of the last event, then the greatest value at that age: the tie-break that needs no order."""
        found = exp.select(*(column(key) for key in KEYS), column(AGE), self.value(of)).from_(HISTORY)
        yield Step(f"{step}_events", found.where(*conditions))
        youngest = exp.alias_(exp.Min(this=column(AGE)), AGE)
        yield Step(f"{step}_age", group(f"{step}_events", KEYS, [youngest]))
        value = exp.alias_(exp.Max(this=self.value(of)), "latest_value")
        keys = [column(key, f"{step}_events") for key in KEYS]
        query = exp.select(*keys, value).from_(f"{step}_events")
        query = query.join(f"{step}_age", using=[*KEYS, AGE])
        yield Step(step, query.group_by(*[key.copy() for key in keys]))

    def _sides(self) -> list[str]:
        """The steps that are joined to the base, besides by_customer."""
        distinct = [self._distinct_step(of) for of in self._pairs]
        gaps = [f"{step}_by_customer" for step, _ in self._gaps.values()]
        return [*distinct, *gaps, *(step for step, _, _ in self._latest)]

    # Names ------------------------------------------------------------------------------------------------

    def _event_columns(self) -> list[str]:
        recorded = ["recorded_at"] if self.log.roles.knows("recorded_at") else []
        return ["customer_id", "timestamp", *recorded, *self._columns, *self._exact]

    def _named(self, name: str) -> str:
        """The name of a role or attribute in `history`."""
        if name not in self._columns:
            self._columns[name] = self._unused(name)
        return self._columns[name]

    def _unused(self, name: str) -> str:
        # DuckDB does not tell upper from lower case in names, so neither does this.
        taken = {*_INTERNAL, "customer_id", *self._columns.values(), *self._exact.values()}
        folded = {other.casefold() for other in taken}
        while name.casefold() in folded:
            name += "_"
        return name


def column_of(name: str) -> exp.Column:
    """A role or attribute in the step `events`."""
    return name_of(name, table=EVENTS)


def named_feature(value: exp.Expr, name: str) -> exp.Expr:
    """`value AS name` for a generated name; the value alone where it is a column of that name."""
    same = isinstance(value, exp.Column) and value.name == name
    return value if same else exp.alias_(value, name)


def within(window_us: int) -> exp.Expr:
    """At most `window_us` old: together with `history`, the window `[as_of - window, as_of)`."""
    return exp.LTE(this=column(AGE), expression=number(window_us))


def _exact(name: str) -> exp.Expr:
    return exp.cast(column_of(name), EXACT)


def cutoffs_step(cutoffs: Sequence[pd.Timestamp]) -> Step:
    """The cutoffs as the first step."""
    rows = [exp.Tuple(expressions=[moment(cutoff.to_pydatetime())]) for cutoff in cutoffs]
    alias = exp.TableAlias(this=exp.to_identifier("listed"), columns=[exp.to_identifier("as_of")])
    return Step(CUTOFFS, exp.select("as_of").from_(exp.Values(expressions=rows, alias=alias)))

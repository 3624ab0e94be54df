"""The groupings of a text that one pass over its ordered events can answer, and the text that is left.

An engine reads the events once for each grouping, and finds each event's customer in a hash table each time. In order
of customers none of that is needed: here whole customers come in batches, a batch is worked out for all groupings while
it lies in the processor's caches, and a customer's aggregate is that of rows side by side. What is not known
(`Unknown`) stays in the text.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from crmml.data.steps import Step
from crmml.features.expressions import AGE
from crmml.features.plan import CODED, HISTORY
from crmml.features.stream.casts import comparable
from crmml.features.stream.folds import Fold, Found, fold_of
from crmml.features.stream.groups import grouped
from crmml.features.stream.rows import Array, Rows, Runs, Total, Unknown, Values, Vector, changes, values_of, vector
from crmml.features.stream.sums import spread
from crmml.features.stream.values import Expressions, Value

CUSTOMER = "customer_id"
# The column of a step that only says which customers there are.
THERE = "there"


@dataclass(frozen=True)
class Events:
    """Events of whole customers, in order of customer and time: rows of `coded`.

    Attributes:
        ids: the customer of each event.
        column: the values of a column, by name.
    """

    ids: pa.Array
    column: Callable[[str], Values]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, batch: pa.RecordBatch) -> "Events":
        """The rows that an engine gave."""
        return cls(batch.column(CUSTOMER), lambda name: comparable(values_of(batch.column(name))))


@dataclass(frozen=True)
class Side:
    """What was found of the customers of a batch that a grouping has, by column."""

    customers: Array
    columns: dict[str, Found]


class Batch:
    """The steps of a batch that have been worked out: rows, and sides with one row per customer."""

    def __init__(self, customers: int, coded: Rows) -> None:
        self.customers = customers
        self._rows = {CODED: coded}
        self.sides: dict[str, Side] = {}

    def rows(self, step: str) -> Rows:
        """The rows of a step; Unknown where it has values that are not known."""
        if step not in self._rows:
            raise Unknown(step)
        return self._rows[step]

    def add(self, step: str, rows: Rows) -> None:
        """Remember the rows of a step."""
        self._rows[step] = rows

    def forget(self) -> None:
        """Let go of all rows."""
        for rows in self._rows.values():
            rows.forget()
        self._rows.clear()

    def side(self, step: str) -> Side:
        """What was found of a side; Unknown where that has values that are not known."""
        if step not in self.sides:
            raise Unknown(step)
        return self.sides[step]

    def beside(self, side: str, name: str, rows: Rows) -> Values:
        """The value of a side's column for the customer of each row."""
        found, places = self.side(side).columns[name], self.side(side).customers
        if not isinstance(found, Vector):
            raise Unknown("texts or sums beside rows")
        missing = np.ones(self.customers, bool)
        missing[places] = False if found.missing is None else found.missing
        every = missing if missing.any() else None
        return Vector(spread(found.data, places, self.customers), every, found.scale, found.wide).take(rows.owner)


Work = Callable[[Batch], None]


class Program:
    """The steps of a text that are known here.

    Args:
        history: the step of that name.
        steps: the steps after it, in order.

    Attributes:
        sides: the names of the sides that are worked out, each with its columns.
        reads: the columns of `coded` that are read.

    Raises:
        Unknown: the step `history` is not known.
    """

    def __init__(self, history: Step, steps: Sequence[Step]) -> None:
        self._expressions = Expressions()
        self._rows = {CODED}
        if history.query.args.get("joins"):
            raise Unknown(history.name)
        # Which events the cutoff may see is asked before they come here.
        self._work: list[Work] = [self._selected(history, CODED, None)]
        self._history = {each.alias_or_name: each for each in history.query.expressions}
        self.sides: dict[str, list[str]] = {}
        self.reads: dict[str, None] = {}
        self._read([AGE])
        for step in steps:
            try:
                self._work.append(self._known(step))
            except Unknown:
                continue
            self._note(step.query)

    def run(self, events: Events) -> tuple[pa.Array, dict[str, Side], bool]:
        """The customers of a batch of whole customers, what was found of them, and whether times were in order.

        A side with values that are not known is left out.
        """
        ids = events.ids
        customers = Runs(changes_of(ids), len(ids))
        done = Batch(len(customers), Rows(customers.number, lambda _, name: events.column(name), customers))
        for work in self._work:
            with suppress(Unknown):
                work(done)
        in_order = _in_order(done.rows(HISTORY))
        done.forget()
        return ids.take(pa.array(customers.starts)), done.sides, in_order

    # What a step does -------------------------------------------------------------------------------------

    def _known(self, step: Step) -> Work:
        query = step.query
        if any(query.args.get(part) for part in ("order", "having", "limit", "qualify", "with_")):
            raise Unknown(step.name)
        source = query.args["from_"].this
        if not isinstance(source, exp.Table) or source.name not in self._rows:
            raise Unknown(step.name)
        beside = [self._joined(join) for join in query.args.get("joins") or []]
        where = query.args.get("where")
        condition = self._expressions.of(where.this) if where else None
        group, distinct = query.args.get("group"), query.args.get("distinct")
        grouped_by: list[exp.Expr] = group.expressions if group else query.expressions if distinct else []
        if not grouped_by and not beside:
            return self._selected(step, source.name, condition)
        if not grouped_by or grouped_by[0].name != CUSTOMER or (group and distinct):
            raise Unknown(step.name)
        if len(grouped_by) > 1:
            if beside or distinct:
                raise Unknown(step.name)
            return self._groups(step, source.name, grouped_by[1:], condition)
        counted = [exp.alias_(exp.Count(this=exp.Star()), THERE)]
        return self._side(step, source.name, beside, condition, counted if distinct else _values(query))

    def _joined(self, join: exp.Join) -> str:
        """The side that is joined, to each row that of its customer."""
        using = [each.name for each in join.args.get("using") or []]
        if join.side or join.this.name not in self.sides or using != [CUSTOMER]:
            raise Unknown(join.sql())
        return str(join.this.name)

    def _selected(self, step: Step, source: str, condition: Value | None) -> Work:
        """Rows with other columns."""
        columns = {each.alias_or_name: self._expressions.of(each.unalias()) for each in _values(step.query)}

        def work(batch: Batch) -> None:
            rows = _where(batch.rows(source), condition)
            batch.add(step.name, Rows(rows.owner, lambda _, name: columns[name](rows), rows.by_customer))

        self._rows.add(step.name)
        return work

    def _side(
        self, step: Step, source: str, beside: list[str], condition: Value | None, values: list[exp.Expr]
    ) -> Work:
        """One row for each customer that has rows."""
        folds = {each.alias_or_name: fold_of(each.unalias(), self._expressions) for each in values}

        def work(batch: Batch) -> None:
            every = _with(batch.rows(source), beside, batch) if beside else batch.rows(source)
            rows = _where(every, condition)
            batch.sides[step.name] = Side(rows.customers, _folded(folds, rows, rows.by_customer))
            if beside:
                every.forget()

        self.sides[step.name] = list(folds)
        return work

    def _groups(self, step: Step, source: str, keys: list[exp.Expr], condition: Value | None) -> Work:
        """Rows for groups of rows: by customer and other values."""
        if not all(isinstance(key, exp.Column) for key in keys):
            raise Unknown(step.name)
        values = _values(step.query)
        if len(keys) != sum(each.unalias() in keys for each in values):
            raise Unknown(step.name)
        of_key = {each.alias_or_name: self._expressions.of(each.unalias()) for each in values if each.unalias() in keys}
        selected = [each for each in values if each.unalias() not in keys]
        folds = {each.alias_or_name: fold_of(each.unalias(), self._expressions) for each in selected}

        def work(batch: Batch) -> None:
            rows = _where(batch.rows(source), condition)
            order, runs = grouped(rows.owner, [value(rows) for value in of_key.values()])
            rows = rows.take(order)
            found: dict[str, Found] = _folded(folds, rows, runs)
            columns: dict[str, Values] = {name: value(rows).take(runs.starts) for name, value in of_key.items()}
            for name, each in found.items():
                if isinstance(each, Total):
                    raise Unknown("a sum of more than 64 bits")
                columns[name] = each
            batch.add(step.name, Rows(rows.owner[runs.starts], lambda _, name: columns[name]))

        self._rows.add(step.name)
        return work

    def _note(self, query: exp.Select) -> None:
        """Remember which columns of the history a known step reads."""
        if query.args["from_"].this.name == HISTORY:
            self._read(each.name for each in query.find_all(exp.Column) if each.table in ("", HISTORY))

    def _read(self, names: Iterable[str]) -> None:
        """Remember the columns of `coded` that make columns of the history."""
        read = (each.name for name in names for each in self._history[name].find_all(exp.Column))
        self.reads |= dict.fromkeys(name for name in read if name != CUSTOMER)


def _in_order(rows: Rows) -> bool:
    """Whether the rows of a customer stand in order of time: the oldest first."""
    return rows.by_customer.never_rise(vector(rows.column("", AGE)).data)


def changes_of(ids: pa.Array) -> Array:
    """The rows where another customer begins."""
    if pa.types.is_integer(ids.type):
        return changes(ids.to_numpy())
    other = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
    return np.flatnonzero(np.concatenate([np.ones(min(len(ids), 1), bool), other]))


def _values(query: exp.Select) -> list[exp.Expr]:
    """What a query selects beside the customer."""
    return [each for each in query.expressions if each.alias_or_name != CUSTOMER]


def _where(rows: Rows, condition: Value | None) -> Rows:
    """The rows that meet a condition; those of the same condition are the same."""
    if condition is None:
        return rows

    def met() -> Rows:
        found = np.flatnonzero(vector(condition(rows)).whole(len(rows)))
        return rows if len(found) == len(rows) else rows.chosen(found)

    return rows.remember(("where", condition), met)


def _with(rows: Rows, beside: list[str], batch: Batch) -> Rows:
    """The rows whose customers all sides have, with their columns."""
    for side in beside:
        has = np.zeros(batch.customers, bool)
        has[batch.side(side).customers] = True
        if not has.all():
            rows = rows.take(np.flatnonzero(has[rows.owner]))

    def find(table: str, name: str) -> Values:
        return batch.beside(table, name, rows) if table in beside else rows.column("", name)

    return Rows(rows.owner, find)


def _folded(folds: dict[str, Fold], rows: Rows, runs: Runs) -> dict[str, Found]:
    return {name: fold(rows, runs) for name, fold in folds.items()}

"""Aggregates of rows in order of time, for which few of them have to be looked at.

Counts and sums of a window are differences: the rows of each customer end with those of every window. With the running
total of a column, a window costs one look at its first row for each customer, however many windows there are (a prefix
sum; Blelloch, 1990, Prefix sums and their applications). The greatest and the least age are those of the first and the
last row.
"""

from collections.abc import Callable

import numpy as np
from sqlglot import exp

from crmml.features.expressions import AGE, case, column, number
from crmml.features.stream.rows import Array, Rows, Runs, Vector, filled, vector
from crmml.features.stream.sums import fits
from crmml.features.stream.values import Expressions, Value

Recent = Callable[[Rows, Runs], Vector | None]


def recent(node: exp.Count | exp.Sum, expressions: Expressions) -> Recent | None:
    """The function that works out a count or sum of a window, which gives None where rows are in no order of time.

    None for an aggregate without a window.
    """
    parts = _apart(node)
    if parts is None:
        return None
    what, window = parts
    value, age = expressions.of(what) if what is not None else None, expressions.of(column(AGE))
    counted = isinstance(node, exp.Count)

    def found(rows: Rows, runs: Runs) -> Vector | None:
        first = rows.remember(("first of", window, len(runs)), lambda: _first(vector(age(rows)), rows, runs, window))
        if first is None:
            return None
        there = _there(value, rows, first, runs)
        if counted or value is None:
            return Vector(there)
        values = value(rows)
        total = rows.remember(("total", value, len(runs)), lambda: _total(values, rows, runs))
        if total is None or not isinstance(values, Vector):
            return None
        return Vector(total[runs.ends] - total[first], there == 0, values.scale, wide=True)

    return found


def first_or_last(node: exp.Max | exp.Min, expressions: Expressions) -> Recent | None:
    """The function that works out the greatest or least age of the rows that meet a condition.

    It gives None where rows are in no order of time. None for the extremes of other values.
    """
    chosen = node.this
    of = chosen.args["ifs"][0].args["true"] if _is_simple(chosen) else chosen
    if of != column(AGE):
        return None
    value, age = expressions.of(chosen), expressions.of(of)
    oldest = isinstance(node, exp.Max)

    def found(rows: Rows, runs: Runs) -> Vector | None:
        ages = _in_order(vector(age(rows)), rows, runs)
        if ages is None:
            return None
        missing = value(rows).missing
        if missing is None:
            return Vector(ages.take(runs.starts if oldest else runs.ends - 1))
        there = np.flatnonzero(~missing)
        if not len(there):
            return Vector(np.zeros(len(runs), np.int64), np.ones(len(runs), bool))
        place = np.searchsorted(there, runs.starts) if oldest else np.searchsorted(there, runs.ends) - 1
        row = there.take(place, mode="clip")
        inside = (row >= runs.starts) & (row < runs.ends)
        return Vector(ages.take(row), None if inside.all() else ~inside)

    return found


def _is_simple(node: exp.Expr) -> bool:
    """Whether something is `CASE WHEN condition THEN value END`."""
    if not isinstance(node, exp.Case) or node.this or node.args.get("default"):
        return False
    return len(node.args["ifs"]) == 1


def _apart(node: exp.Count | exp.Sum) -> tuple[exp.Expr | None, int] | None:
    """What is counted or summed whatever its age (None: every row is counted), and the window."""
    chosen = node.this
    if not _is_simple(chosen):
        return None
    (only,) = chosen.args["ifs"]
    every = list(only.this.flatten()) if isinstance(only.this, exp.And) else [only.this]
    bounds = [
        each for each in every if isinstance(each, exp.LTE) and each.this == column(AGE) and each.expression.is_int
    ]
    if len(bounds) != 1:
        return None
    value, others = only.args["true"].copy(), [each.copy() for each in every if each is not bounds[0]]
    every_row = isinstance(node, exp.Count) and value == number(1) and not others
    what = None if every_row else case(others, value) if others else value
    return what, int(bounds[0].expression.this)


def _first(age: Vector, rows: Rows, runs: Runs, window: int) -> Array | None:
    """The first row of each run that is in the window, or the run's end; None where rows are in no order of time."""
    data = _in_order(age, rows, runs)
    return None if data is None else runs.ends - np.add.reduceat(data <= window, runs.starts, dtype=np.int32)


def _in_order(age: Vector, rows: Rows, runs: Runs) -> Array | None:
    """The ages of all rows; None where the rows of a run are in no order of time."""
    data = age.whole(len(rows))
    ordered = rows.remember(("in order of time", len(runs)), lambda: runs.never_rise(data))
    return data if ordered and age.missing is None else None


def _there(value: Value | None, rows: Rows, first: Array, runs: Runs) -> Array:
    """How many rows of each run, from `first` on, have a value."""
    missing = value(rows).missing if value is not None else None
    if missing is None:
        return runs.ends - first
    count = rows.remember(("count", value), lambda: _running(~missing))
    return count[runs.ends] - count[first]


def _total(values: object, rows: Rows, runs: Runs) -> Array | None:
    """The running total of whole numbers; None where the sum of a run may have more than 64 bits."""
    if not isinstance(values, Vector) or values.data.dtype.kind != "i":
        return None
    data = filled(values.whole(len(rows)), values.missing)
    # The total itself may go round: the difference of two is right as long as that has 64 bits.
    return _running(data) if fits(data, runs) else None


def _running(data: Array) -> Array:
    """What stands before each row, and after the last, added up."""
    found = np.zeros(len(data) + 1, np.int64)
    np.cumsum(data, dtype=np.int64, out=found[1:])
    return found

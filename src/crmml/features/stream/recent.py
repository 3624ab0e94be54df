"""Counts and sums of the rows of a window, as differences: rows in order of time end with those of every window.

With the running total of a column, a window costs one look at its first row for each customer, however many windows
there are (a prefix sum; Blelloch, 1990, Prefix sums and their applications).
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


def _apart(node: exp.Count | exp.Sum) -> tuple[exp.Expr | None, int] | None:
    """What is counted or summed whatever its age (None: every row is counted), and the window."""
    chosen = node.this
    if not isinstance(chosen, exp.Case) or chosen.this or chosen.args.get("default") or len(chosen.args["ifs"]) != 1:
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
    data = age.whole(len(rows))
    ordered = rows.remember(("in order of time", len(runs)), lambda: runs.never_rise(data))
    if not ordered or age.missing is not None:
        return None
    return runs.ends - np.add.reduceat(data <= window, runs.starts, dtype=np.int32)


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

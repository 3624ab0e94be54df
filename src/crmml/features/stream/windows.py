"""Windows over a customer's events: the event before, and the goal that follows."""

import numpy as np
from sqlglot import exp

from crmml.features.expressions import AGE, case, column, newest_first
from crmml.features.in_order import looks_back
from crmml.features.stream.groups import grouped
from crmml.features.stream.rows import Array, Runs, Values, Vector, changes

CUSTOMER = column("customer_id")


def offset_of(node: exp.Window) -> int | None:
    """How many events back `LAG(...) OVER (PARTITION BY customer_id ORDER BY age_us DESC)` looks."""
    if not looks_back(node):
        return None
    offset = node.this.args.get("offset")
    return int(offset.this) if offset else 1


def followed(node: exp.Window) -> tuple[exp.Expr, list[exp.Expr]] | None:
    """The condition and the keys of `MAX(CASE WHEN condition THEN age_us END)` over events from the cutoff back.

    The keys are those that the events are divided by beside the customer.
    """
    condition: exp.If | None = node.find(exp.If)
    customer, *keys = node.args.get("partition_by") or [None]
    if condition is None or customer != CUSTOMER:
        return None
    asked = exp.Max(this=case([condition.this], column(AGE)))
    same = newest_first(asked, [CUSTOMER.copy(), *(key.copy() for key in keys)])
    return (condition.this, keys) if node == same else None


def before(value: Vector, owner: Array, offset: int) -> Vector:
    """The value `offset` rows before, of the same customer."""
    data = np.zeros(len(owner), value.data.dtype)
    missing = np.ones(len(owner), bool)
    if offset < len(owner):
        data[offset:] = value.whole(len(owner))[:-offset]
        missing[offset:] = owner[offset:] != owner[:-offset]
        if value.missing is not None:
            missing[offset:] |= value.missing[:-offset]
    return Vector(data, missing, value.scale, value.wide)


def following(goal: Vector, age: Vector, owner: Array, keys: list[Values]) -> Vector:
    """The age of the first goal at the time of the row or after it: rows stand in order of time, oldest first."""
    if not keys:
        return _following(goal, age, owner)
    order, runs = grouped(owner, keys)
    found = _following(goal.take(order), age.take(order), runs.number)
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return found.take(back)


def _following(goal: Vector, age: Vector, owner: Array) -> Vector:
    n = len(owner)
    places = np.where(goal.whole(n), np.arange(n), n)
    place = np.minimum.accumulate(places[::-1])[::-1]
    # Goals of the same moment count wherever they stand among its events.
    moments = changes(owner, age.data)
    found = place[np.repeat(moments, Runs(moments, n).lengths)]
    missing = found == n
    found = np.where(missing, 0, found)
    if n:
        missing |= owner[found] != owner
    return Vector(age.data[found] if n else age.data, missing)

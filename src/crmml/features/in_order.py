"""What the order of a table saves: a window over the events of a customer becomes a look at the row before.

The embedded engine keeps the events of a build in order of customer and time. There `LAG` of a customer's events needs
no partition and no sort, only that the row before is of the same customer; DuckDB then answers it while it reads.
"""

from sqlglot import exp

from crmml.features.expressions import case, column, oldest_first
from crmml.features.plan import AT, HISTORY

ORDER = ("customer_id", AT)


def sorted_by_customer_and_time(query: exp.Select) -> exp.Select:
    """The rows of `coded` in the order that `looking_back` relies on."""
    return query.order_by(*ORDER)


def is_in_order(table: str) -> exp.Select:
    """Whether a table is read in that order: one row, one column `in_order`."""
    looks = (exp.alias_(exp.Window(this=exp.Lag(this=column(name))), f"{name}_before") for name in ORDER)
    before = exp.select(*ORDER, *looks).from_(table)
    customer, time = (column(name) for name in ORDER)
    earlier = exp.and_(
        exp.EQ(this=column("customer_id_before"), expression=customer),
        exp.LTE(this=column(f"{AT}_before"), expression=time),
    )
    fine = exp.or_(exp.LT(this=column("customer_id_before"), expression=customer.copy()), earlier)
    # The first row has none before it; a table without rows is in order.
    every = exp.Coalesce(this=exp.LogicalAnd(this=fine), expressions=[exp.true()])
    return exp.select(exp.alias_(every, "in_order")).from_(before.subquery("looked"))


def looking_back(query: exp.Select) -> exp.Select:
    """The same text for a table in order: `LAG` over the events of a customer looks at the row before."""
    in_order = {HISTORY}
    for step in query.ctes:
        if _row_by_row(step.this) and step.this.args["from_"].this.name in in_order:
            # Worked out where it is read: what an engine keeps of a step comes back in any order.
            step.set("materialized", False)
            in_order.add(step.alias)
            for window in list(step.this.find_all(exp.Window)):
                if looks_back(window):
                    window.replace(_row_before(window.this))
    return query


def _row_before(lag: exp.Lag) -> exp.Expr:
    """`LAG` over all rows, where the row is of the same customer."""
    offset = lag.args.get("offset")
    whose = exp.Window(this=exp.Lag(this=column("customer_id"), offset=offset and offset.copy()))
    same = exp.EQ(this=whose, expression=column("customer_id"))
    return case([same], exp.Window(this=lag.copy()))


def _row_by_row(query: exp.Select) -> bool:
    """Whether a step only leaves out rows and works out columns: its rows stand in the order of those it reads."""
    changes = any(query.args.get(part) for part in ("joins", "group", "distinct", "order"))
    return not changes and isinstance(query.args["from_"].this, exp.Table)


def looks_back(window: exp.Window) -> bool:
    """Whether a window is `LAG` over the events of a customer in order of time."""
    return isinstance(window.this, exp.Lag) and window == oldest_first(window.this.copy(), [column("customer_id")])

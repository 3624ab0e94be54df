"""The few shapes of SQL that all definitions are made of, as SQLGlot nodes."""

from collections.abc import Iterable, Mapping, Sequence

from sqlglot import exp

AGE = "age_us"
# Exact arithmetic: sums of decimals do not depend on the order of the rows or the number of threads.
EXACT = "DECIMAL(18, 6)"
EXACT_BELOW = 10**12
# The numbers of a vector are smaller and need more places: nine hold what a float of 32 bits says of an embedding.
COORDINATE = "DECIMAL(18, 9)"
VECTOR_BELOW = 10**9
# Products need more digits: DuckDB keeps that of two DECIMAL(18) within 18, and refuses what does not fit.
WIDE = "DECIMAL(38, 6)"


def column(name: str, table: str | None = None) -> exp.Column:
    """A column of one of our own steps, by its plain name."""
    return exp.column(name, table=table)


def number(value: int | float) -> exp.Expr:
    """A number as a literal."""
    return exp.convert(value)


def as_double(value: exp.Expr) -> exp.Expr:
    """`CAST(value AS DOUBLE)`."""
    return exp.cast(value, exp.DataType.Type.DOUBLE)


def ratio(numerator: exp.Expr, denominator: exp.Expr) -> exp.Expr:
    """`numerator / denominator` as a double; NULL where the denominator is 0."""
    nullif = exp.Nullif(this=denominator, expression=number(0))
    return exp.Div(this=as_double(numerator), expression=nullif)


def or_zero(value: exp.Expr) -> exp.Expr:
    """`COALESCE(value, 0)`: nothing counted is 0."""
    return exp.Coalesce(this=value, expressions=[number(0)])


def microseconds(moment_column: exp.Expr) -> exp.Expr:
    """Microseconds since 1970 of a TIMESTAMP in UTC."""
    return exp.Anonymous(this="epoch_us", expressions=[moment_column])


def at_most(value: exp.Expr, bound: int) -> exp.Expr:
    """`value <= bound`."""
    return exp.LTE(this=value, expression=number(bound))


def within(window_us: int | None, age: str = AGE) -> list[exp.Expr]:
    """At most `window_us` old: together with `history`, the window `[as_of - window, as_of)`."""
    return [] if window_us is None else [at_most(column(age), window_us)]


def window_of(aggregate: exp.Expr) -> int | None:
    """The window that an aggregate `f(CASE WHEN age_us <= window AND ... THEN x END)` looks at."""
    if not isinstance(aggregate.this, exp.Case):
        return None
    condition = aggregate.this.args["ifs"][0].this
    every = condition.flatten() if isinstance(condition, exp.And) else [condition]
    bounds = (each.expression for each in every if isinstance(each, exp.LTE) and each.this == column(AGE))
    return min((int(bound.this) for bound in bounds), default=None)


def minus(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    """`(left - right)`."""
    return exp.Paren(this=exp.Sub(this=left, expression=right))


def plus(left: exp.Expr, right: int) -> exp.Expr:
    """`left + right`."""
    return exp.Add(this=left, expression=number(right))


def oldest_first(function: exp.Expr, keys: list[exp.Expr]) -> exp.Window:
    """`function` over the events of each of `keys` in order of time."""
    order = exp.Order(expressions=[exp.Ordered(this=column(AGE), desc=True)])
    return exp.Window(this=function, partition_by=keys, order=order)


def newest_first(function: exp.Expr, keys: list[exp.Expr]) -> exp.Window:
    """`function` over the events of each of `keys` from the cutoff back, as far as to those of the same moment."""
    order = exp.Order(expressions=[exp.Ordered(this=column(AGE))])
    return exp.Window(this=function, partition_by=keys, order=order)


def times(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    """`left * right`."""
    return exp.Mul(this=left, expression=right)


def case(conditions: Sequence[exp.Expr], value: exp.Expr) -> exp.Expr:
    """`CASE WHEN conditions THEN value END`; the value alone where there is no condition."""
    if not conditions:
        return value
    condition = exp.and_(*conditions, copy=True) if len(conditions) > 1 else conditions[0].copy()
    return exp.Case(ifs=[exp.If(this=condition, true=value)])


def count(conditions: Sequence[exp.Expr]) -> exp.Expr:
    """How many rows meet all conditions. CASE is several times faster than FILTER in DuckDB."""
    return exp.Count(this=case(conditions, number(1))) if conditions else exp.Count(this=exp.Star())


def named(values: Mapping[str, exp.Expr]) -> list[exp.Expr]:
    """The values under their names, as a query selects them."""
    return [exp.alias_(value, name) for name, value in values.items()]


def group(source: str | exp.Expr, keys: Sequence[exp.Expr], values: Iterable[exp.Expr]) -> exp.Select:
    """`SELECT keys, values FROM source GROUP BY keys`."""
    query = exp.select(*(key.copy() for key in keys), *values).from_(source, copy=False)
    return query.group_by(*(key.copy() for key in keys), copy=False)


def deviation(n: exp.Expr, total: exp.Expr, squares: exp.Expr) -> exp.Expr:
    """Sample standard deviation `sqrt((n * sum x^2 - (sum x)^2) / (n (n - 1)))`.

    With whole numbers or decimals the difference is exact: equal values give exactly 0, and the order does not matter.
    """
    square = times(total, total.copy())
    difference = minus(times(n, squares), square)
    pairs = exp.Paren(this=times(as_double(n.copy()), minus(n.copy(), number(1))))
    return exp.Sqrt(this=ratio(difference, pairs))


def in_days(microseconds: exp.Expr, day_us: int = 86_400_000_000) -> exp.Expr:
    """Microseconds as days."""
    return exp.Div(this=as_double(microseconds), expression=number(day_us))

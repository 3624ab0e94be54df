"""The SQL of a row's values, worked out for all rows of a batch at once.

Only what definitions write is known here, with the meaning that the engine gives it: truth values of three kinds,
division of whole numbers towards zero, exact decimals. Everything else is `Unknown`, and left to the engine.
"""

import itertools
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from sqlglot import exp

from crmml.features.expressions import AGE, column
from crmml.features.stream.casts import (
    SAFE,
    WIDE_DIGITS,
    as_decimal,
    as_double,
    as_whole,
    is_nan,
    largest,
    logarithm,
    number_of,
    rounded,
    without_nan,
)
from crmml.features.stream.rows import Array, Moments, Product, Rows, Unknown, Values, Vector, Words, moments, vector
from crmml.features.stream.windows import before, followed, following, offset_of

Value = Callable[[Rows], Values]
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (UTC, as every time inside)
_TIMES = {exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ, exp.DataType.Type.TIMESTAMPTZ}
_WHOLE = {exp.DataType.Type.INT, exp.DataType.Type.BIGINT, exp.DataType.Type.SMALLINT}
_COMPARED: dict[type[exp.Expr], Callable[[Array, Array], Array]] = {
    exp.LT: np.less,
    exp.LTE: np.less_equal,
    exp.GT: np.greater,
    exp.GTE: np.greater_equal,
    exp.EQ: np.equal,
    exp.NEQ: np.not_equal,
}


class Expressions:
    """SQL expressions as functions of rows; the same expression is worked out once for the same rows."""

    def __init__(self) -> None:
        self._known: dict[exp.Expr, Value] = {}
        self._numbers = itertools.count()
        self._makers: dict[type[exp.Expr], Callable[[Any], Value]] = {
            exp.Column: self._column,
            exp.Literal: _literal,
            exp.Paren: lambda node: self.of(node.this),
            exp.Neg: lambda node: self._binary(added, exp.Literal.number(0), node.this, sign=-1),
            exp.Add: lambda node: self._binary(added, node.this, node.expression),
            exp.Sub: lambda node: self._binary(added, node.this, node.expression, sign=-1),
            exp.Mul: lambda node: self._binary(multiplied, node.this, node.expression),
            exp.IntDiv: lambda node: self._binary(_divided, node.this, node.expression),
            exp.Mod: lambda node: self._binary(_remainder, node.this, node.expression),
            exp.Anonymous: self._function,
            exp.IsNan: lambda node: self._unary(is_nan, node.this),
            exp.Not: self._not,
            exp.And: lambda node: self._binary(_and, node.this, node.expression),
            exp.Or: lambda node: self._binary(_or, node.this, node.expression),
            exp.In: self._in,
            exp.Is: self._is_missing,
            exp.Coalesce: self._coalesce,
            exp.Case: self._case,
            exp.Cast: self._cast,
            exp.Ln: lambda node: self._unary(logarithm, node.this),
            exp.Div: lambda node: self._binary(_ratio, node.this, node.expression),
            exp.Pow: self._power,
            exp.Round: self._round,
            exp.Window: self._window,
        }
        for kind, compare in _COMPARED.items():
            self._makers[kind] = partial(self._comparison, compare)

    def of(self, node: exp.Expr) -> Value:
        """The function that works out `node`.

        Raises:
            Unknown: part of it is SQL that is not known here.
        """
        if node not in self._known:
            maker = self._makers.get(type(node))
            if maker is None:
                raise Unknown(node.sql())
            make, number = maker(node), next(self._numbers)
            self._known[node] = lambda rows: rows.remember(number, lambda: make(rows))
        return self._known[node]

    def _binary(self, compute: Callable[..., Values], left: exp.Expr, right: exp.Expr, **how: int) -> Value:
        one, other = self.of(left), self.of(right)
        return lambda rows: compute(vector(one(rows)), vector(other(rows)), **how)

    def _unary(self, compute: Callable[[Vector], Values], inner: exp.Expr) -> Value:
        value = self.of(inner)
        return lambda rows: compute(vector(value(rows)))

    def _column(self, node: exp.Column) -> Value:
        table, name = node.table, node.name
        return lambda rows: rows.column(table, name)

    def _comparison(self, compare: Callable[[Array, Array], Array], node: exp.Binary) -> Value:
        return self._binary(partial(_compared, compare), node.this, node.expression)

    def _not(self, node: exp.Not) -> Value:
        inner = self.of(node.this)

        def negated(rows: Rows) -> Vector:
            value = vector(inner(rows))
            return Vector(~value.data if value.missing is None else ~(value.data | value.missing), value.missing)

        return negated

    def _in(self, node: exp.In) -> Value:
        if not node.expressions or node.args.get("query"):
            raise Unknown(node.sql())
        return self.of(exp.or_(*(exp.EQ(this=node.this.copy(), expression=each) for each in node.expressions)))

    def _is_missing(self, node: exp.Is) -> Value:
        if not isinstance(node.expression, exp.Null):
            raise Unknown(node.sql())
        inner = self.of(node.this)

        def missing(rows: Rows) -> Vector:
            found = inner(rows).missing
            return Vector(np.zeros(len(rows), bool) if found is None else found)

        return missing

    def _coalesce(self, node: exp.Coalesce) -> Value:
        if len(node.expressions) != 1:
            raise Unknown(node.sql())
        first, other = self.of(node.this), self.of(node.expressions[0])
        return lambda rows: _first_there(first(rows), other(rows))

    def _case(self, node: exp.Case) -> Value:
        if node.this:
            return self._number_of(node)
        default = node.args.get("default")
        otherwise = None if default is None else self.of(default)
        first, *more = node.args["ifs"]
        for each in reversed(more):
            otherwise = partial(_chosen, self.of(each.this), self.of(each.args["true"]), otherwise)
        return partial(_chosen, self.of(first.this), self.of(first.args["true"]), otherwise)

    def _number_of(self, node: exp.Case) -> Value:
        """`CASE text WHEN 'a' THEN 1 WHEN ... END`."""
        texts, numbers = ([each.args[part] for each in node.args["ifs"]] for part in ("this", "true"))
        if node.args.get("default") or not all(text.is_string for text in texts) or not all(n.is_int for n in numbers):
            raise Unknown(node.sql())
        inner = self.of(node.this)
        number: dict[str, int] = {}
        for text, its in zip(texts, numbers, strict=True):
            number.setdefault(text.this, int(its.this))
        return lambda rows: number_of(inner(rows), number)

    def _function(self, node: exp.Anonymous) -> Value:
        """The functions that a log is read with; a time is the microseconds since 1970."""
        name = node.name.casefold()
        if name not in ("epoch_us", "make_timestamp"):
            raise Unknown(node.sql())
        inner = self.of(node.expressions[0])
        if name == "epoch_us":
            return lambda rows: moments(inner(rows)).us
        return lambda rows: Moments(vector(inner(rows)))

    def _cast(self, node: exp.Cast) -> Value:
        if node.to.this in _TIMES:
            return self._time(node)
        kind, inner = node.to.this, self.of(node.this)
        digits = [int(parameter.this.this) for parameter in node.to.expressions]
        if kind in _WHOLE:
            return lambda rows: as_whole(vector(inner(rows)))
        if kind == exp.DataType.Type.INT128:
            return lambda rows: as_decimal(vector(inner(rows)), WIDE_DIGITS, 0)
        if kind == exp.DataType.Type.DECIMAL and len(digits) == 2:
            return lambda rows: as_decimal(vector(inner(rows)), *digits)
        if kind == exp.DataType.Type.DOUBLE:
            return lambda rows: as_double(vector(inner(rows)))
        raise Unknown(node.sql())

    def _time(self, node: exp.Cast) -> Value:
        if not node.this.is_string:
            inner = self.of(node.this)
            return lambda rows: moments(inner(rows))
        since = datetime.fromisoformat(node.this.this) - _EPOCH
        constant = Moments(Vector(np.array(since // timedelta(microseconds=1))))
        return lambda _: constant

    def _window(self, node: exp.Window) -> Value:
        offset, goal = offset_of(node), followed(node)
        if offset is not None:
            inner = self.of(node.this.this)
            return lambda rows: before(vector(inner(rows)), rows.owner, offset)
        if goal is None:
            raise Unknown(node.sql())
        met, age, keys = self.of(goal[0]), self.of(column(AGE)), [self.of(key) for key in goal[1]]
        return lambda rows: following(vector(met(rows)), vector(age(rows)), rows.owner, [key(rows) for key in keys])

    def _power(self, node: exp.Pow) -> Value:
        base, exponent = self.of(node.this), self.of(node.expression)
        return lambda rows: _power(vector(base(rows)), vector(exponent(rows)))

    def _round(self, node: exp.Round) -> Value:
        if node.args.get("decimals"):
            raise Unknown(node.sql())
        return self._unary(rounded, node.this)


def _literal(node: exp.Literal) -> Value:
    if node.is_string:
        texts = pa.array([node.this])
        return lambda rows: Words(np.zeros(len(rows), np.int32), texts)
    whole, _, part = node.this.partition(".")
    if not (whole + part).isdigit():
        raise Unknown(node.sql())
    constant = Vector(np.array(int(whole + part)), scale=len(part))
    return lambda _: constant


def either(left: Array | None, right: Array | None) -> Array | None:
    """Missing where one of two is."""
    if left is None or right is None:
        return right if left is None else left
    return left | right


def alike(left: Vector, right: Vector) -> tuple[Array, Array, int]:
    """The data of two numbers with the same places behind the point."""
    if left.data.dtype != right.data.dtype:
        raise Unknown(f"{left.data.dtype} and {right.data.dtype}")
    if left.scale == right.scale:
        return left.data, right.data, left.scale
    scale = max(left.scale, right.scale)
    return _scaled(left, scale), _scaled(right, scale), scale


def _scaled(value: Vector, scale: int) -> Array:
    """The digits of a constant with more places behind the point."""
    if value.data.ndim and value.scale != scale:
        raise Unknown("columns with other places behind the point")
    return value.data * np.int64(10 ** (scale - value.scale))


def _compared(compare: Callable[[Array, Array], Array], left: Vector, right: Vector) -> Vector:
    one, other, _ = alike(left, right)
    missing = either(left.missing, right.missing)
    found = compare(one, other)
    return Vector(found if missing is None else found & ~missing, missing)


def _and(left: Vector, right: Vector) -> Vector:
    missing = either(left.missing, right.missing)
    if missing is not None:  # false if one is false, whatever the other
        missing = missing & (left.data | absent(left)) & (right.data | absent(right))
    return Vector(left.data & right.data, missing)


def _or(left: Vector, right: Vector) -> Vector:
    true = left.data | right.data
    missing = either(left.missing, right.missing)
    return Vector(true, None if missing is None else missing & ~true)


def _first_there(value: Values, other: Values) -> Values:
    """`COALESCE(value, other)`."""
    if isinstance(value, Moments):
        return Moments(vector(_first_there(value.us, moments(other).us)))
    value, other = vector(value), vector(other)
    if value.missing is None:
        return value
    one, two, scale = alike(value, other)
    missing = None if other.missing is None else value.missing & other.missing
    return Vector(np.where(value.missing, two, one), missing, scale, value.wide or other.wide)


def absent(value: Vector) -> Array:
    """Where a value is missing, of every row or of all at once."""
    return np.zeros((), bool) if value.missing is None else value.missing


def added(left: Vector, right: Vector, sign: int = 1, *, doubles: bool = False) -> Vector:
    """The sum, or the difference with the sign -1; of doubles only where what is not finite is looked at later."""
    # Ages have less than 59 bits and exact decimals less than 60: a sum of two always fits.
    one, other, scale = alike(left, right)
    if one.dtype.kind == "f" and not doubles:
        raise Unknown("a sum of doubles")
    missing = either(left.missing, right.missing)
    return Vector(one + other if sign > 0 else one - other, missing, scale, left.wide or right.wide)


def multiplied(left: Vector, right: Vector) -> Vector | Product:
    missing = either(left.missing, right.missing)
    if left.data.dtype.kind == "f" and not right.data.ndim:
        right = as_double(right)
    if left.data.dtype != right.data.dtype:
        raise Unknown("a product of different types")
    if left.data.dtype.kind != "f" and largest(left) * largest(right) >= SAFE:
        if left.wide or right.wide:
            return Product(left, right, missing)
        raise Unknown("a product of more than 64 bits")
    return Vector(left.data * right.data, missing, left.scale + right.scale, left.wide or right.wide)


def _divisor(left: Vector, right: Vector) -> int:
    by = int(right.data) if right.data.ndim == 0 else 0
    if by <= 0 or left.scale or right.scale or left.data.dtype.kind != "i":
        raise Unknown("a division that is not one of whole numbers by a constant")
    return by


def _divided(left: Vector, right: Vector) -> Vector:
    by = _divisor(left, right)
    found = left.data // by
    if left.data.size and left.data.min() < 0:  # towards zero, not down
        found = np.where(left.data < 0, -(-left.data // by), found)
    return Vector(found, left.missing)


def _remainder(left: Vector, right: Vector) -> Vector:
    by = _divisor(left, right)
    if left.data.size and left.data.min() < 0:  # with the sign of what is divided
        return Vector(np.fmod(left.data, by), left.missing)
    # A division is several times faster than a remainder.
    return Vector(left.data - left.data // by * by, left.missing)


def _ratio(left: Vector, right: Vector) -> Vector:
    if left.data.dtype.kind != "f" or right.data.dtype.kind != "f" or right.data.ndim or right.data == 0:
        raise Unknown("a ratio that is not one of doubles to a constant")
    return Vector(left.data / right.data, left.missing)


def _power(base: Vector, exponent: Vector) -> Vector:
    """Powers of a constant, by the function that the engine calls: that of numpy differs in the last bit."""
    if base.data.ndim or exponent.data.dtype.kind != "f":
        raise Unknown("a power that is not one of a constant to doubles")
    of = float(as_double(base).data)
    powers = np.array([math.pow(of, each) for each in exponent.data.reshape(-1).tolist()])
    return Vector(powers.reshape(exponent.data.shape), exponent.missing)


def _chosen(condition: Value, then: Value, otherwise: Value | None, rows: Rows) -> Values:
    """`CASE WHEN condition THEN then ELSE otherwise END`."""
    met, value = vector(condition(rows)).data, then(rows)
    if otherwise is None:
        unmet = ~met if value.missing is None else ~met | value.missing
        if isinstance(value, Words):
            return Words(value.codes, value.texts, unmet)
        if isinstance(value, Product):
            return Product(value.left, value.right, unmet)
        value = vector(value)
        data = value.data & met if value.data.dtype == bool else without_nan(value.data, unmet)
        return Vector(data, unmet, value.scale, value.wide)
    value, other = vector(value), vector(otherwise(rows))
    one, two, scale = alike(value, other)
    none = value.missing is None and other.missing is None
    missing: Array | None = None if none else np.where(met, absent(value), absent(other))
    return Vector(np.where(met, one, two), missing, scale, value.wide or other.wide)

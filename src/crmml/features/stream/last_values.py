"""The SQL of last expressions: what a customer's aggregates are made into, such as means, shares and deviations."""

from collections.abc import Callable

import numpy as np
from sqlglot import exp

from crmml.features.stream import wide
from crmml.features.stream.casts import as_double
from crmml.features.stream.rows import Product, Rows, Total, Unknown, Values, Vector, filled, vector
from crmml.features.stream.values import Expressions, Value, absent, added, alike, either, multiplied


class LastExpressions(Expressions):
    """SQL expressions, with those that only the last ones have: of doubles, and of wide sums."""

    def __init__(self) -> None:
        super().__init__()
        self._makers |= {
            exp.Add: lambda node: self._binary(added, node.this, node.expression, doubles=True),
            exp.Sub: lambda node: self._two(_difference, node.this, node.expression),
            exp.Mul: lambda node: self._two(_product, node.this, node.expression),
            exp.Div: lambda node: self._binary(_ratio, node.this, node.expression),
            exp.Nullif: lambda node: self._binary(_unless, node.this, node.expression),
            exp.Greatest: self._greatest,
            exp.Sqrt: lambda node: self._unary(_square_root, node.this),
            exp.Abs: lambda node: self._unary(_size, node.this),
            exp.Coalesce: self._or_zero,
            exp.Cast: self._to_double,
        }

    def _two(self, compute: Callable[[Values, Values], Values], left: exp.Expr, right: exp.Expr) -> Value:
        one, other = self.of(left), self.of(right)
        return lambda rows: compute(one(rows), other(rows))

    def _greatest(self, node: exp.Greatest) -> Value:
        if len(node.expressions) != 1:
            raise Unknown(node.sql())
        return self._binary(_greater, node.this, node.expressions[0])

    def _or_zero(self, node: exp.Coalesce) -> Value:
        plain, inner = self._coalesce(node), self.of(node.this)
        zero = node.expressions[0] == exp.Literal.number(0)

        def found(rows: Rows) -> Values:
            value = inner(rows)
            if zero and isinstance(value, Total):
                return wide.or_zero(value)
            if zero and isinstance(value, Vector) and value.data.dtype.kind == "i":
                return Vector(filled(value.data, value.missing), None, value.scale, value.wide)
            return plain(rows)

        return found

    def _to_double(self, node: exp.Cast) -> Value:
        if node.to.this != exp.DataType.Type.DOUBLE:
            return self._cast(node)
        inner = self.of(node.this)

        def found(rows: Rows) -> Values:
            value = inner(rows)
            return wide.as_double(value) if isinstance(value, Total) else as_double(vector(value))

        return found


def _difference(left: Values, right: Values) -> Values:
    if isinstance(left, Total) or isinstance(right, Total):
        return wide.difference(*(each if isinstance(each, Total) else vector(each) for each in (left, right)))
    return added(vector(left), vector(right), sign=-1, doubles=True)


def _product(left: Values, right: Values) -> Values:
    if isinstance(right, Total):
        return wide.product(vector(left), right)
    one, other = vector(left), vector(right)
    found = multiplied(one, as_double(other) if one.data.dtype.kind == "f" else other)
    return wide.product(one, other) if isinstance(found, Product) else found


def _ratio(left: Vector, right: Vector) -> Vector:
    if left.data.dtype.kind != "f":
        raise Unknown("a ratio of what are no doubles")
    by = as_double(right)
    none = by.data == 0
    if np.any(none if by.missing is None else none & ~by.missing):
        raise Unknown("a ratio to zero")
    return Vector(left.data / by.data, either(left.missing, by.missing))


def _unless(value: Vector, other: Vector) -> Vector:
    """`NULLIF(value, other)`, where `other` is a constant."""
    one, two, _ = alike(value, as_double(other) if value.data.dtype.kind == "f" else other)
    if two.ndim:
        raise Unknown("NULLIF with what is no constant")
    return Vector(value.data, either(value.missing, one == two), value.scale, value.wide)


def _greater(left: Vector, right: Vector) -> Vector:
    """`GREATEST(left, right)`, of whole numbers that are there."""
    one, two, scale = alike(left, right)
    if one.dtype.kind != "i":
        raise Unknown("the greater of what are no whole numbers")
    found = np.where(absent(right) | ~absent(left) & (one >= two), one, two)
    missing = None if left.missing is None or right.missing is None else left.missing & right.missing
    return Vector(found, missing, scale, left.wide or right.wide)


def _square_root(value: Vector) -> Vector:
    """Square roots of doubles; of what is negative, the engine says that there is none."""
    if value.data.dtype.kind != "f":
        raise Unknown("a square root of what is no double")
    return Vector(np.sqrt(value.data), value.missing)


def _size(value: Vector) -> Vector:
    return Vector(np.abs(value.data), value.missing, value.scale, value.wide)

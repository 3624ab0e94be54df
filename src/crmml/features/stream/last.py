"""The columns of a table, worked out of what one pass has found of the customers: the last expressions of its text.

Only those are worked out here whose type in the engine is certain: whole numbers of 64 bits, doubles, moments, and
columns as they are. The others, such as whole numbers of 128 bits, are left to the engine.
"""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pyarrow as pa
from sqlglot import exp

from crmml.features.plan import BY_CUSTOMER
from crmml.features.stream.columns import BIGINT, DOUBLE, TEXT, Answer, is_wide, of_buffers, qualified
from crmml.features.stream.last_values import LastExpressions
from crmml.features.stream.program import CUSTOMER
from crmml.features.stream.rows import (
    Moments,
    Rows,
    Total,
    Unknown,
    Values,
    Vector,
    halves_of,
    missing_of,
    values_of,
    whole_of,
)

INTEGER, MOMENT = "INTEGER", "TIMESTAMP"
# Numbers in the order in which the engine widens one type to the other.
_WIDER = (INTEGER, BIGINT, DOUBLE)
_DOUBLE = (exp.Div, exp.Sqrt, exp.Ln)
_WIDEST = (exp.Paren, exp.Add, exp.Sub, exp.Mul, exp.IntDiv, exp.Coalesce, exp.Greatest, exp.Abs, exp.Case)
_ARROW = {BIGINT: pa.int64(), DOUBLE: pa.float64(), MOMENT: pa.timestamp("us")}
# The types of ids that the engine gives back as they were.
_IDS = (pa.int64(), pa.int32(), pa.string())


def finished(query: exp.Select, found: Answer) -> dict[str, pa.Array]:
    """The columns of the last query of a text that are known here, with the customers in the order of `found`.

    None of them where the query may have other rows than `found`.
    """
    if not _has_everybody(query, found):
        return {}
    last = _Last(found)
    columns: dict[str, pa.Array] = {}
    for each in query.expressions:
        try:
            columns[each.alias_or_name] = last.column(each.unalias())
        except Unknown:
            continue
    return columns


def _has_everybody(query: exp.Select, found: Answer) -> bool:
    """Whether a query has one row for each customer that was found, and reads nothing else."""
    read = [query.args["from_"].this.name, *(join.this.name for join in query.args.get("joins") or [])]
    others = ("where", "group", "having", "qualify", "distinct", "limit")
    return (
        read[0] == BY_CUSTOMER
        and all(side in found.types for side in read)
        and not any(query.args.get(part) for part in others)
    )


class _Last:
    """The last expressions, as columns."""

    def __init__(self, found: Answer) -> None:
        self._table = found.table
        self._types = {qualified(side, name): kind for side, of in found.types.items() for name, kind in of.items()}
        none = np.empty(len(found.table), np.int8)
        # Bound to what it reads, and not to this object, which knows the rows.
        self._rows = Rows(none, partial(_values, self._table, self._types))
        self._expressions = LastExpressions()

    def column(self, node: exp.Expr) -> pa.Array:
        """One column.

        Raises:
            Unknown: its values, or its type, are not known here.
        """
        if isinstance(node, exp.Column) and (as_it_is := self._as_it_is(node)) is not None:
            return as_it_is
        kind = _ARROW.get(_type_of(node, self._types))
        with np.errstate(all="ignore"):
            value = self._expressions.of(node)(self._rows)
        # Everything that an expression goes through on the way is as large as its column.
        self._rows.forget()
        number = value.us if isinstance(value, Moments) else value
        if kind is None or not isinstance(number, Vector) or not _is_finite(number):
            raise Unknown(node.sql())
        return of_buffers(kind, np.ascontiguousarray(number.whole(len(self._rows))), number.missing)

    def _as_it_is(self, node: exp.Column) -> pa.Array | None:
        """A column that needs no work: the customers, or texts."""
        ids = node.name == CUSTOMER
        name = CUSTOMER if ids else qualified(node.table, node.name)
        if not ids and self._types[name] != TEXT:
            return None
        found = self._table[name].combine_chunks()
        if found.type not in (_IDS if ids else (pa.string(),)):
            raise Unknown(f"a column of {found.type}")
        return found


def _values(table: pa.Table, types: Mapping[str, str], side: str, name: str) -> Values:
    of = qualified(side, name)
    column = table[of].combine_chunks()
    if pa.types.is_decimal128(column.type):
        low, high = halves_of(column).T
        return Total(high, low.copy().view(np.uint64), missing_of(column), column.type.scale)
    scale = column.type.scale if pa.types.is_decimal64(column.type) else 0
    if scale or pa.types.is_signed_integer(column.type):
        return Vector(whole_of(column), missing_of(column), scale, is_wide(types[of]))
    return values_of(column)


def _is_finite(value: Vector) -> bool:
    """Whether no double is infinite or NaN: what becomes of these, the engine says."""
    if value.data.dtype.kind != "f":
        return True
    finite = np.isfinite(value.data)
    return bool(np.all(finite if value.missing is None else finite | value.missing))


def _type_of(node: exp.Expr, types: Mapping[str, str]) -> str:
    """The type that the engine gives to an expression.

    Raises:
        Unknown: that is not certain.
    """
    if isinstance(node, exp.Column):
        return types[qualified(node.table, node.name)]
    if isinstance(node, _DOUBLE):
        return DOUBLE
    if isinstance(node, exp.Nullif):
        return _type_of(node.this, types)
    if isinstance(node, exp.Cast):
        return str(node.to.sql("duckdb"))
    if isinstance(node, exp.Literal) and node.is_int:
        return INTEGER if int(node.this) < 2**31 else BIGINT
    if isinstance(node, _WIDEST):
        parts = [_type_of(part, types) for part in _parts(node)]
        if all(part in _WIDER for part in parts):
            return max(parts, key=_WIDER.index)
    raise Unknown(node.sql())


def _parts(node: exp.Expr) -> Iterator[exp.Expr]:
    """What the value of an expression may be, or is made of."""
    if isinstance(node, exp.Case):
        yield from (each.args["true"] for each in node.args["ifs"])
        if node.args.get("default"):
            yield node.args["default"]
    else:
        yield node.this
        yield from [node.expression] if isinstance(node, exp.Binary) else node.expressions

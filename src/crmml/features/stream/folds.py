"""Aggregates of runs of rows: the functions of SQL that definitions use, with the types that the engine gives them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from sqlglot import exp

from crmml.features.stream.casts import as_double
from crmml.features.stream.recent import first_or_last, recent
from crmml.features.stream.rows import Array, Rows, Runs, Total, Unknown, Values, Vector, Words, vector
from crmml.features.stream.sums import total
from crmml.features.stream.values import Expressions

Found = Vector | Words | Total
Fold = Callable[[Rows, Runs], Found]


def fold_of(node: exp.Expr, expressions: Expressions) -> Fold:
    """The function that works out an aggregate for each run.

    Raises:
        Unknown: it is not known here.
    """
    if isinstance(node, exp.Count | exp.Sum):
        plain = _count(node, expressions) if isinstance(node, exp.Count) else _sum(node, expressions)
        return _either(recent(node, expressions), plain)
    if isinstance(node, exp.Min | exp.Max):
        value, greatest = expressions.of(node.this), isinstance(node, exp.Max)
        outer = first_or_last(node, expressions)
        return _either(outer, lambda rows, runs: _edge(value(rows), rows, runs, greatest=greatest))
    if isinstance(node, exp.Median):
        return _quantile(node.this, 0.5, expressions)
    if isinstance(node, exp.PercentileCont):
        return _quantile(node.this, float(node.expression.this), expressions)
    raise Unknown(node.sql())


def _either(first: Callable[[Rows, Runs], Found | None] | None, other: Fold) -> Fold:
    """The first that gives something."""
    if first is None:
        return other

    def found(rows: Rows, runs: Runs) -> Found:
        one = first(rows, runs)
        return other(rows, runs) if one is None else one

    return found


def _count(node: exp.Count, expressions: Expressions) -> Fold:
    value = None if isinstance(node.this, exp.Star) else expressions.of(node.this)

    def counted(rows: Rows, runs: Runs) -> Vector:
        missing = value(rows).missing if value else None
        if missing is None:
            return Vector(runs.lengths)
        # No batch has as many rows as 32 bits count.
        return Vector(np.add.reduceat(~missing, runs.starts, dtype=np.int32).astype(np.int64))

    return counted


def _sum(node: exp.Sum, expressions: Expressions) -> Fold:
    value = expressions.of(node.this)
    return lambda rows, runs: total(value(rows), rows, runs)


def _edge(value: Values, rows: Rows, runs: Runs, *, greatest: bool) -> Found:
    """The least or the greatest of the values that are there."""
    if isinstance(value, Words):
        return _edge_of_texts(value, rows, runs, greatest=greatest)
    return _edge_of_numbers(vector(value), rows, runs, greatest=greatest)


def _edge_of_numbers(value: Vector, rows: Rows, runs: Runs, *, greatest: bool) -> Vector:
    if value.data.dtype.kind not in "if" or value.wide:
        raise Unknown("the least or greatest of what is no number of 64 bits")
    data, function = value.whole(len(rows)), np.maximum if greatest else np.minimum
    if value.missing is None:
        return Vector(function.reduceat(data, runs.starts), None, value.scale)
    # To look at those that are there costs less than to put another value in place of the others.
    there = np.flatnonzero(~value.missing)
    starts = np.searchsorted(there, runs.starts)
    has = np.diff(starts, append=len(there)) > 0
    found = np.zeros(len(runs), data.dtype)
    found[has] = function.reduceat(data[there], starts[has])
    return Vector(found, None if has.all() else ~has, value.scale)


def _edge_of_texts(value: Words, rows: Rows, runs: Runs, *, greatest: bool) -> Words:
    """By bytes, as the engine compares texts."""
    order = pc.sort_indices(value.texts).to_numpy(zero_copy_only=False).astype(np.int64)
    rank = np.empty(max(len(order), 1), np.int64)
    rank[order] = np.arange(len(order))
    found = _edge_of_numbers(Vector(rank[value.codes], value.missing), rows, runs, greatest=greatest)
    if found.missing is None:
        return Words(order[found.data], value.texts)
    codes = np.zeros(len(runs), np.int64)
    codes[~found.missing] = order[found.data[~found.missing]]
    return Words(codes, value.texts, found.missing)


def _quantile(node: exp.Expr, q: float, expressions: Expressions) -> Fold:
    """Interpolated as the engine does: `(1 - d) x_k + d x_(k + 1)`, where `k + d = (m - 1) q`."""
    # Whole numbers are sorted, and those that are taken made doubles.
    value = expressions.of(node.copy().transform(_without_cast))

    def found(rows: Rows, runs: Runs) -> Vector:
        ordered = rows.remember((value, len(runs)), lambda: _sort(vector(value(rows)), rows, runs))
        missing = ordered.lengths == 0
        if not len(ordered.values.data):
            return Vector(np.zeros(len(runs)), missing)
        place = np.where(missing, 0, ordered.lengths - 1) * q
        below, above = np.floor(place).astype(np.int64), np.ceil(place).astype(np.int64)
        # Where a run has no values, another's are looked at and not taken.
        start = np.minimum(ordered.starts, len(ordered.values.data) - 1)
        part = place - below
        low, high = (as_double(ordered.values.take(start + each)).data for each in (below, above))
        return Vector(np.where(below == above, low, low * (1.0 - part) + high * part), missing)

    return found


def _without_cast(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Cast) and node.to.this == exp.DataType.Type.DOUBLE:
        inner: exp.Expr = node.this
        return inner
    return node


@dataclass(frozen=True)
class _Sorted:
    """The values of each run in order, those that are there."""

    values: Vector
    starts: Array
    lengths: Array


def _sort(value: Vector, rows: Rows, runs: Runs) -> _Sorted:
    if value.data.dtype.kind != "i":
        raise Unknown("a quantile of what are no whole numbers or decimals")
    data, run = value.whole(len(rows)), runs.number
    if value.missing is not None:
        there = np.flatnonzero(~value.missing)
        data, run = data[there], run[there]
    lengths = np.bincount(run, minlength=len(runs))
    starts = np.cumsum(lengths) - lengths
    if len(data):
        least = int(data.min())
        reach = int(data.max()) - least + 1
        if reach * len(runs) >= np.iinfo(np.int64).max:
            raise Unknown("a quantile of numbers that are far from each other")
        begin = run * reach - least
        data = np.sort(data + begin) - begin
    return _Sorted(Vector(data, None, value.scale), starts, lengths)

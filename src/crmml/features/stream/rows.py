"""Rows in order of customers, as columns: what one batch of a stream is worked on in.

The terms are those of SQL. A value is there or missing; a truth value is true, false or missing. Numbers are whole:
of a decimal they are its digits, `scale` of them behind the point, so that sums are exact.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Array = npt.NDArray[Any]
T = TypeVar("T")


class Unknown(Exception):
    """SQL, or values, that a stream does not know; the engine answers instead."""


@dataclass(frozen=True)
class Vector:
    """Truth values, whole numbers or doubles of rows.

    Attributes:
        data: bool, int64 or float64 of shape (rows,), or () where all rows have the same. False where a truth value
            is missing; any number where a number is.
        missing: bool of shape (rows,), or None where nothing is missing.
        scale: the places behind the point, of whole numbers.
        wide: whether the type has 38 digits: a product of it is exact where it takes more than 64 bits.
    """

    data: Array
    missing: Array | None = None
    scale: int = 0
    wide: bool = False

    def take(self, rows: Array) -> "Vector":
        """The values of some rows."""
        # By `take`, as everywhere here: an index in brackets takes half as long again.
        missing = None if self.missing is None else self.missing.take(rows)
        return Vector(self.data.take(rows) if self.data.ndim else self.data, missing, self.scale, self.wide)

    def whole(self, rows: int) -> Array:
        """The data of every row, (rows,)."""
        return self.data if self.data.ndim else np.broadcast_to(self.data, rows)


@dataclass(frozen=True)
class Product:
    """Two factors of which one is wide: multiplied where they are summed."""

    left: Vector
    right: Vector
    missing: Array | None

    @property
    def scale(self) -> int:
        """The places behind the point of the product."""
        return self.left.scale + self.right.scale

    def take(self, rows: Array) -> "Product":
        """The values of some rows."""
        missing = None if self.missing is None else self.missing.take(rows)
        return Product(self.left.take(rows), self.right.take(rows), missing)


@dataclass(frozen=True)
class Total:
    """Whole numbers of 128 bits, such as sums: `high * 2^64 + low`, with `scale` places behind the point."""

    high: Array
    low: Array
    missing: Array | None
    scale: int

    @classmethod
    def of(cls, sums: Vector) -> "Total":
        """Sums of 64 bits."""
        data = sums.data.astype(np.int64, copy=False)
        return cls(data >> 63, data.view(np.uint64), sums.missing, sums.scale)

    def take(self, rows: Array) -> "Total":
        """The values of some rows."""
        missing = None if self.missing is None else self.missing.take(rows)
        return Total(self.high.take(rows), self.low.take(rows), missing, self.scale)


@dataclass(frozen=True)
class Words:
    """Texts of rows.

    Attributes:
        codes: the place of each text in `texts`, (rows,).
        texts: different texts, in any order.
        missing: as of a `Vector`.
    """

    codes: Array
    texts: pa.Array
    missing: Array | None = None

    def take(self, rows: Array) -> "Words":
        """The values of some rows."""
        return Words(self.codes.take(rows), self.texts, None if self.missing is None else self.missing.take(rows))

    def arrow(self) -> pa.Array:
        """The texts of all rows."""
        return self.texts.take(pa.array(self.codes, mask=self.missing))


@dataclass(frozen=True)
class Moments:
    """Times of rows.

    Attributes:
        us: microseconds since 1970, in UTC, as whole numbers.
    """

    us: Vector

    @property
    def missing(self) -> Array | None:
        """As of a `Vector`."""
        return self.us.missing

    def take(self, rows: Array) -> "Moments":
        """The values of some rows."""
        return Moments(self.us.take(rows))


Values = Vector | Product | Total | Words | Moments


class Rows:
    """Some rows of a batch, in order of customers, and within a customer in order of time.

    Args:
        owner: the number of each row's customer within the batch, never falling.
        find: the values of a column, by table and name.
        runs: the rows of each customer, where that is known.
    """

    def __init__(self, owner: Array, find: Callable[[str, str], Values], runs: "Runs | None" = None) -> None:
        self.owner = owner
        self._find = find
        self._known: dict[Hashable, Any] = {}
        if runs is not None:
            self.by_customer = runs

    def __len__(self) -> int:
        return len(self.owner)

    def column(self, table: str, name: str) -> Values:
        """The values of a column; `table` is empty where the name alone says which."""
        return self.remember((table, name), lambda: self._find(table, name))

    def remember(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, made once for these rows."""
        if key not in self._known:
            self._known[key] = make()
        return cast("T", self._known[key])

    def forget(self) -> None:
        """Let go of everything that was made for these rows, and for those among them.

        They know each other: without this their memory would stay until Python looks for cycles, and the next batch
        would have to work in memory that no cache of the processor holds.
        """
        known, self._known = self._known, {}
        for each in known.values():
            if isinstance(each, Rows):
                each.forget()

    def take(self, rows: Array) -> "Rows":
        """Some of the rows, or all in another order that keeps customers together."""
        return Rows(self.owner.take(rows), lambda table, name: self.column(table, name).take(rows))

    def chosen(self, rows: Array) -> "Rows":
        """Some of the rows, in their order."""
        return _Chosen(self, rows)

    @cached_property
    def by_customer(self) -> "Runs":
        """The rows of each customer that has any."""
        return Runs(changes(self.owner), len(self))

    @cached_property
    def customers(self) -> Array:
        """The numbers of these customers, rising."""
        return self.owner.take(self.by_customer.starts)


class _Chosen(Rows):
    """Some of the rows of others: whose each of them is, is not worked out unless somebody asks."""

    def __init__(self, of: Rows, rows: Array) -> None:
        self._of, self._rows = of, rows
        self._find = lambda table, name: of.column(table, name).take(rows)
        self._known = {}

    def __len__(self) -> int:
        return len(self._rows)

    @cached_property
    def owner(self) -> Array:  # type: ignore[override]
        return self._of.owner.take(self._rows)

    @cached_property
    def by_customer(self) -> "Runs":
        starts = np.searchsorted(self._rows, self._of.by_customer.starts)
        # Who has none begins where the next does.
        return Runs(starts[np.diff(starts, append=len(self)) > 0], len(self))

    @cached_property
    def customers(self) -> Array:
        return self._of.owner.take(self._rows.take(self.by_customer.starts))


@dataclass(frozen=True)
class Runs:
    """Rows that follow each other and belong together.

    Attributes:
        starts: the first row of each run, rising.
        rows: the number of all rows.
    """

    starts: Array
    rows: int

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def lengths(self) -> Array:
        """The number of rows of each run."""
        return np.diff(self.starts, append=self.rows)

    @cached_property
    def ends(self) -> Array:
        """The row behind the last of each run."""
        return self.starts + self.lengths

    @cached_property
    def longest(self) -> int:
        """The rows of the longest run."""
        return int(self.lengths.max(initial=0))

    def never_rise(self, values: Array) -> bool:
        """Whether no value is greater than the one before it in its run."""
        rising = values[1:] > values[:-1]
        rising[self.starts[1:] - 1] = False
        return not rising.any()

    @cached_property
    def number(self) -> Array:
        """The number of the run of each row."""
        return np.repeat(np.arange(len(self)), self.lengths)


def vector(value: Values) -> Vector:
    """A value that is no text and no product."""
    if not isinstance(value, Vector):
        raise Unknown(type(value).__name__)
    return value


def moments(value: Values) -> Moments:
    """A value that is a time."""
    if not isinstance(value, Moments):
        raise Unknown(f"{type(value).__name__} as a time")
    return value


def changes(*values: Array) -> Array:
    """The rows where one of several columns has another value than in the row before; the first row is one."""
    rows = len(values[0])
    other = np.ones(rows, bool)
    if rows:
        other[1:] = np.logical_or.reduce([each[1:] != each[:-1] for each in values])
    return np.flatnonzero(other)


def filled(data: Array, missing: Array | None) -> Array:
    """Whole numbers with 0 where one is missing."""
    # A product takes the same time whatever is missing; a choice waits for each guess that was wrong.
    return data if missing is None else data * ~missing


def narrowest(data: Array) -> np.dtype[Any]:
    """The type of the fewest bits that holds whole numbers; that of others."""
    if data.dtype.kind != "i" or not data.size:
        return data.dtype
    return np.result_type(*(np.min_scalar_type(min(int(edge), -1 - int(edge))) for edge in (data.min(), data.max())))


def values_of(column: pa.Array) -> Values:
    """A column that the engine gave, or Arrow read, as values.

    Raises:
        Unknown: its type is not known here.
        ArrowInvalid: a text is no UTF-8, which Arrow does not look at when it reads a file.
    """
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = column.dictionary_encode()
        kind = column.type
    missing = missing_of(column)
    if pa.types.is_dictionary(kind) and not column.dictionary.null_count:
        column.dictionary.validate(full=True)
        codes = pc.fill_null(column.indices, 0).to_numpy(zero_copy_only=False)
        return Words(codes, column.dictionary, missing)
    if pa.types.is_decimal128(kind) and kind.precision <= 18:
        # Of the two halves of a number the lower says everything, where it has 64 bits.
        return Vector(halves_of(column)[:, 0].copy(), missing, scale=kind.scale)
    if pa.types.is_boolean(kind):
        return Vector(pc.fill_null(column, False).to_numpy(zero_copy_only=False), missing)
    if pa.types.is_signed_integer(kind):
        return Vector(_whole(column, missing), missing)
    if pa.types.is_float64(kind):
        data = _data(column, np.float64)
        # Below what is missing stands anything, NaN too.
        return Vector(data if missing is None else np.where(missing, 0.0, data), missing)
    if pa.types.is_timestamp(kind) and kind.unit in _US:
        count, unit = _whole(column, missing), _US[kind.unit]
        return Moments(Vector(count if unit == 1 else count * unit, missing))
    if pa.types.is_date32(kind):
        return Moments(Vector(_whole(column, missing) * _DAY, missing))
    raise Unknown(f"a column of {kind}")


# The microseconds of units of time, and of a day.
_US = {"s": 1_000_000, "ms": 1_000, "us": 1}
_DAY = 86_400_000_000


def halves_of(column: pa.Array) -> Array:
    """The lower and the upper half of decimals of 128 bits, int64 (rows, 2)."""
    return np.frombuffer(column.buffers()[1], np.int64)[2 * column.offset :][: 2 * len(column)].reshape(-1, 2)


def _data(column: pa.Array, kind: npt.DTypeLike) -> Array:
    """The numbers of a column as they stand in memory."""
    return np.frombuffer(column.buffers()[1], kind)[column.offset :][: len(column)]


def whole_of(column: pa.Array) -> Array:
    """Whole numbers, or the digits of decimals of 64 bits; anything where one is missing."""
    return _data(column, np.dtype(f"i{column.type.bit_width // 8}")).astype(np.int64, copy=False)


def _whole(column: pa.Array, missing: Array | None) -> Array:
    """Whole numbers, 0 where one is missing."""
    return filled(whole_of(column), missing)


def missing_of(column: pa.Array) -> Array | None:
    """Which values of a column are missing; None where all are there."""
    if not column.null_count:
        return None
    there = np.unpackbits(np.frombuffer(column.buffers()[0], np.uint8), bitorder="little")
    return ~there[column.offset :][: len(column)].view(bool)

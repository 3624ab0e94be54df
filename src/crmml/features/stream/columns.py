"""What was found of the customers of all batches, as columns in order of customer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crmml.features.stream.casts import DIGITS, WIDE_DIGITS
from crmml.features.stream.folds import Found
from crmml.features.stream.program import CUSTOMER, Side
from crmml.features.stream.rows import Array, Total, Vector, Words, narrowest
from crmml.features.stream.sums import validity

# What the engine calls the types of what is found.
BIGINT, HUGEINT, DOUBLE, TEXT = "BIGINT", "HUGEINT", "DOUBLE", "VARCHAR"


@dataclass(frozen=True)
class Answer:
    """What was found of each customer.

    Attributes:
        table: one row per customer, in order, with the columns of all sides as `side.column`.
        types: the types that the engine gives to them, by side and column.
        in_order: whether the rows of each customer followed each other, in order of time.
    """

    table: pa.Table
    types: Mapping[str, Mapping[str, str]]
    in_order: bool


class Gathering:
    """What is found, batch by batch."""

    def __init__(self) -> None:
        self._ids: list[pa.Array] = []
        self._places: list[dict[str, Array]] = []
        self._found: list[dict[str, dict[str, Found]]] = []
        self._types: dict[str, dict[str, str]] = {}
        self._in_order = True

    def add(self, ids: pa.Array, sides: Mapping[str, Side], *, in_order: bool) -> None:
        """Add what was found of some customers.

        Args:
            ids: the customers.
            sides: what was found, by side; one that is not there for all customers is left out in the end.
            in_order: whether their rows were in order of time.
        """
        self._types = self._types or {name: _types(side) for name, side in sides.items()}
        self._ids.append(ids)
        self._places.append({name: side.customers.astype(np.int32) for name, side in sides.items()})
        self._found.append(
            {name: {of: _small(each) for of, each in side.columns.items()} for name, side in sides.items()}
        )
        self._in_order &= in_order

    def answer(self) -> Answer | None:
        """Everything, which is let go of on the way; None where there were no customers, or none that have an order."""
        if not self._ids:
            return None
        ids = pa.concat_arrays(self._ids)
        try:
            order = pc.sort_indices(ids)
        except pa.ArrowNotImplementedError:
            return None
        rank = np.empty(len(ids), np.int64)
        rank[order.to_numpy()] = np.arange(len(ids))
        ends = np.cumsum([len(each) for each in self._ids])[:-1]
        ranks = np.split(rank, ends)
        known = {name: types for name, types in self._types.items() if all(name in found for found in self._found)}
        columns: dict[str, pa.Array] = {CUSTOMER: ids.take(order)}
        for name, types in known.items():
            places = [own[each[name]] for own, each in zip(ranks, self._places, strict=True)]
            for of in types:
                columns[qualified(name, of)] = column_of(
                    places, [found[name].pop(of) for found in self._found], len(ids)
                )
        once = bool(pc.all(pc.not_equal(columns[CUSTOMER][1:], columns[CUSTOMER][:-1]), min_count=0).as_py())
        return Answer(pa.table(columns), known, self._in_order and once)


def qualified(side: str, name: str) -> str:
    """The name of a side's column where those of all sides stand together."""
    return f"{side}.{name}"


def _types(side: Side) -> dict[str, str]:
    return {name: type_of(found) for name, found in side.columns.items()}


def _small(found: Found) -> Found:
    """The same in less memory."""
    if not isinstance(found, Vector):
        return found
    return Vector(found.data.astype(narrowest(found.data), copy=False), found.missing, found.scale, found.wide)


def column_of(places: list[Array], found: list[Found], size: int) -> pa.Array:
    """What was found at places among `size`, piece by piece, as one column of the narrowest type that holds it."""
    if isinstance(found[0], Words):
        return _texts(places, [each for each in found if isinstance(each, Words)], size)
    missing = _missing(places, found, size)
    numbers = [each for each in found if isinstance(each, Vector)]
    if len(numbers) < len(found):
        totals = [each if isinstance(each, Total) else Total.of(each) for each in found if not isinstance(each, Words)]
        halves = np.zeros((size, 2), np.uint64)
        for place, total in zip(places, totals, strict=True):
            halves[place, 0], halves[place, 1] = total.low, total.high.view(np.uint64)
        return of_buffers(pa.decimal128(WIDE_DIGITS, totals[0].scale), halves, missing)
    scale = numbers[0].scale
    data = np.zeros(size, np.int64 if scale else np.result_type(*(each.data for each in numbers)))
    for place, number in zip(places, numbers, strict=True):
        data[place] = number.data
    return of_buffers(pa.decimal64(DIGITS, scale) if scale else pa.from_numpy_dtype(data.dtype), data, missing)


def of_buffers(kind: pa.DataType, data: Array, missing: Array | None) -> pa.Array:
    """Numbers as a column of a type that keeps them in the same way."""
    return pa.Array.from_buffers(kind, len(data), [validity(missing), pa.py_buffer(data)])


def _missing(places: Iterable[Array], found: list[Found], size: int) -> Array | None:
    """Which of `size` places have nothing."""
    missing = np.ones(size, bool)
    for place, each in zip(places, found, strict=True):
        missing[place] = False if each.missing is None else each.missing
    return missing if missing.any() else None


def _texts(places: list[Array], found: list[Words], size: int) -> pa.Array:
    every = pa.concat_arrays([each.arrow() for each in found])
    row = np.full(size, -1)
    row[np.concatenate(places)] = np.arange(len(every))
    return every.take(pa.array(row, mask=row < 0))


def is_wide(kind: str) -> bool:
    """Whether a type of the engine has 38 digits."""
    return kind == HUGEINT or kind.startswith(f"DECIMAL({WIDE_DIGITS},")


def type_of(found: Found) -> str:
    """The type that the engine gives to what was found."""
    if isinstance(found, Words):
        return TEXT
    if isinstance(found, Vector) and found.data.dtype.kind == "f":
        return DOUBLE
    wide = isinstance(found, Total) or found.wide
    if found.scale:
        return f"DECIMAL({WIDE_DIGITS if wide else DIGITS}, {found.scale})"
    return HUGEINT if wide else BIGINT

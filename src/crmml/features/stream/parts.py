"""Events in any order, dealt into parts of whole customers that are small enough to be put in order quickly.

To put all events in order moves every column through memory that no cache holds, several times. Here each batch is
dealt while it lies in the caches, and so is each part put in order. Columns are kept as narrow as their values are.
"""

from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crmml.features.plan import AT
from crmml.features.stream.program import Events
from crmml.features.stream.rows import Array, Unknown, Values, Vector, Words, narrowest, vector

# Spreads ids that are near each other: 2^64 over the golden ratio (Knuth, The Art of Computer Programming 3, 6.4).
SPREAD = np.uint64(0x9E3779B97F4A7C15)
HALF = np.uint64(32)
# A part has so many events, which are put in order in the caches of a processor.
SIZE = 150_000
# Numbers of so many bits are sorted by radix.
DIGIT = 16


class Parts:
    """Events of a log, by part.

    Args:
        names: the columns that the events have.
        rows: how many events there are at most.
        size: how many events a part has, about.
    """

    def __init__(self, names: Iterable[str], rows: int, size: int) -> None:
        self.of = max(1, -(-rows // size))
        self._rows = rows
        self._ids = _Column(rows)
        self._columns = {name: _Column(rows) for name in names}
        self._there = 0
        # Where each part of each batch begins and ends.
        self._bounds: list[Array] = []

    def add(self, events: Events) -> None:
        """Deal some events.

        Raises:
            Unknown: ids that are no whole numbers, or a column that is not alike in all batches.
        """
        if not pa.types.is_integer(events.ids.type):
            raise Unknown("customers that are no whole numbers")
        if self._there + len(events) > self._rows:
            raise Unknown("a log that has grown")
        ids = events.ids.to_numpy()
        part = _part_of(ids, self.of)
        order = np.argsort(part, kind="stable")
        ends = np.cumsum(np.bincount(part, minlength=self.of))
        self._bounds.append(self._there + np.concatenate([[0], ends]))
        self._ids.put(Vector(ids), order, self._there)
        for name, column in self._columns.items():
            column.put(events.column(name), order, self._there)
        self._there += len(ids)

    def __iter__(self) -> Generator[Callable[[], Events]]:
        """What gives the events of each part."""
        for number in range(self.of):
            yield partial(self.part, number)

    def part(self, number: int) -> Events:
        """The events of a part, in order of customer and time."""
        slices = [slice(bounds[number], bounds[number + 1]) for bounds in self._bounds]
        ids = vector(self._ids.of(slices)).data
        order = _order(ids, vector(self._columns[AT].of(slices)).data)
        return Events(pa.array(ids[order]), lambda name: self._columns[name].of(slices).take(order))


class _Column:
    """The values of all events, in numbers as small as they are."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._data = np.empty(0, np.int8)
        self._missing: Array | None = None
        # Of numbers: the type, the places behind the point, and whether that is wide.
        self._kind: tuple[np.dtype[Any], int, bool] | None = None
        # Of texts: those that there were, each where its number says.
        self._texts = pa.array([], pa.string())

    def put(self, values: Values, order: Array, at: int) -> None:
        """Put the values of some events, in another order, behind those that are there."""
        numbers = self._numbers(values)
        narrow = numbers.whole(len(order)).astype(narrowest(numbers.data), copy=False)
        kind = np.result_type(self._data, narrow) if len(self._data) else narrow.dtype
        if kind != self._data.dtype or not len(self._data):
            data = np.empty(self._rows, kind)
            data[:at] = self._data[:at]
            self._data = data
        self._data[at : at + len(order)] = narrow[order]
        if numbers.missing is not None:
            if self._missing is None:
                self._missing = np.zeros(self._rows, bool)
            self._missing[at : at + len(order)] = numbers.missing[order]

    def _numbers(self, values: Values) -> Vector:
        """The values as numbers, of which those of texts are the same in all batches."""
        if isinstance(values, Words) and self._kind is None:
            texts = values.texts.cast(pa.string())
            new = texts.filter(pc.invert(pc.is_in(texts, value_set=self._texts)))
            self._texts = pa.concat_arrays([self._texts, new])
            place = pc.index_in(texts, value_set=self._texts).to_numpy(zero_copy_only=False)
            return Vector(place[values.codes] if len(place) else values.codes, values.missing)
        found = vector(values)
        kind = (found.data.dtype, found.scale, found.wide)
        if len(self._texts) or self._kind not in (None, kind):
            raise Unknown("a column that is not alike in all batches")
        self._kind = kind
        return found

    def of(self, slices: Iterable[slice]) -> Values:
        """The values of some events, one slice after the other."""
        data = np.concatenate([self._data[each] for each in slices])
        missing = None if self._missing is None else np.concatenate([self._missing[each] for each in slices])
        if self._kind is not None:
            kind, scale, wide = self._kind
            return Vector(data.astype(kind, copy=False), missing, scale, wide)
        if len(self._texts) <= len(data):
            return Words(data, self._texts, missing)
        some, codes = np.unique(data, return_inverse=True)
        return Words(codes, self._texts.take(pa.array(some)), missing)


def _part_of(ids: Array, of: int) -> Array:
    """The part of each customer, among `of`."""
    spread = (ids.astype(np.int64, copy=False).view(np.uint64) * SPREAD) >> HALF
    part = (spread * np.uint64(of)) >> HALF
    return part.astype(np.uint8 if of <= 2**8 else np.uint16 if of <= 2**DIGIT else np.int64)


def _order(ids: Array, time: Array) -> Array:
    """The places of events in order of customer and time."""
    if not len(ids):
        return np.empty(0, np.int64)
    rising = bool(np.all(time[1:] >= time[:-1]))
    order = None if rising else np.argsort(time, kind="stable")
    rest = (ids - ids.min()).view(np.uint64)
    # By the last digit first: each sort keeps the order of the one before.
    while order is None or rest.any():
        digit = (rest & np.uint64(2**DIGIT - 1)).astype(np.uint16)
        order = np.argsort(digit, kind="stable") if order is None else order[np.argsort(digit[order], kind="stable")]
        rest = rest >> np.uint64(DIGIT)
    return order

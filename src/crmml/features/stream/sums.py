"""Exact sums of whole numbers and of their products, of up to 128 bits."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from crmml.features.stream.casts import DIGITS, largest
from crmml.features.stream.rows import Array, Product, Rows, Runs, Total, Unknown, Values, Vector, filled

# A product is that of parts of its factors: two parts of 23 bits where the factors have 46, else three of 21, of which
# the last has the sign. The sum of the products of parts stays within 64 bits for so many rows.
SHORT, LONG = (23, 2), (21, 3)
MOST_ROWS = {SHORT: 2**15, LONG: 2**19}
HALF = 32
# Fewer than 38 digits have.
MOST_BITS = 124


def spread(values: Array, places: Array, size: int) -> Array:
    """Values at some of `size` places, zero at the others."""
    if len(places) == size:
        return values
    every = np.zeros(size, values.dtype)
    every[places] = values
    return every


def validity(missing: Array | None) -> pa.Buffer | None:
    """Which values are there, as Arrow wants it: a bit each."""
    return None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))


def total(value: Values, rows: Rows, runs: Runs) -> Vector | Total:
    """The sum of each run, missing where all of its values are."""
    missing = None
    if value.missing is not None:
        missing = np.logical_and.reduceat(value.missing, runs.starts)
    if isinstance(value, Product):
        left, right = (filled(each.whole(len(rows)), value.missing) for each in (value.left, value.right))
        return Total(*_products(left, right, runs), missing, value.scale)
    if not isinstance(value, Vector) or value.data.dtype.kind != "i":
        raise Unknown("a sum of what is no whole number")
    data = filled(value.whole(len(rows)), value.missing)
    if fits(data, runs):
        return Vector(np.add.reduceat(data, runs.starts), missing, value.scale, wide=True)
    # The upper and the lower half of each number add up within 64 bits, whatever the numbers.
    lower = np.add.reduceat(data & (2**HALF - 1), runs.starts)
    return Total(*carried([(lower, 0), (np.add.reduceat(data >> HALF, runs.starts), HALF)]), missing, value.scale)


def fits(data: Array, runs: Runs) -> bool:
    """Whether the sum of each run has the digits of 64 bits."""
    return bool(largest(Vector(data)) * runs.longest < 10**DIGITS)


def _products(left: Array, right: Array, runs: Runs) -> tuple[Array, Array]:
    small = max(largest(Vector(left)), largest(Vector(right))) < 1 << 2 * SHORT[0]
    bits, number = cut = SHORT if small and runs.longest < MOST_ROWS[SHORT] else LONG
    if runs.longest >= MOST_ROWS[cut]:
        raise Unknown("sums of products of very many rows")
    sums: list[tuple[Array, int]] = []
    parts = [part_of(right, place, bits, number) for place in range(number)]
    for place in range(number):
        part = part_of(left, place, bits, number)
        sums += [(np.add.reduceat(part * its, runs.starts), bits * (place + other)) for other, its in enumerate(parts)]
    return carried(sums)


def part_of(data: Array, place: int, bits: int, number: int) -> Array:
    """The `place`-th of the parts of which `data` is the sum, each times `2^(bits place)`; only the last has a sign."""
    shifted = data >> (bits * place)
    return shifted if place == number - 1 else shifted & ((1 << bits) - 1)


def carried(sums: Iterable[tuple[Array, int]]) -> tuple[Array, Array]:
    """The sum of each `value * 2^shift`, in the two halves of 128 bits.

    Unknown where that is near the 38 digits that a sum may have: what is too much, the engine says.
    """
    high, low = np.zeros((), np.int64), np.zeros((), np.uint64)
    for value, shift in sums:
        if largest(Vector(value)) >= 1 << (MOST_BITS - shift):
            raise Unknown("a sum of more than 38 digits")
        if shift >= 64:
            high = high + (value << (shift - 64))
            continue
        summed = low + (value.view(np.uint64) << np.uint64(shift))
        high = high + (value >> min(64 - shift, 63)) + (summed < low)
        low = summed
    if largest(Vector(high)) >= 1 << (MOST_BITS - 64):
        raise Unknown("a sum of more than 38 digits")
    return high, low

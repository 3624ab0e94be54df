"""Whole numbers of up to 128 bits: their products and differences, and what they are as doubles."""

import numpy as np

from crmml.features.stream.casts import EXACT_DOUBLES
from crmml.features.stream.rows import Total, Unknown, Vector, filled
from crmml.features.stream.sums import LONG, carried, part_of
from crmml.features.stream.values import either

LOWER = np.uint64(2**32 - 1)


def product(left: Vector, right: Vector | Total) -> Total:
    """The product of numbers of which one, or the product, has more than 64 bits."""
    missing = either(left.missing, right.missing)
    if isinstance(right, Total):
        low, high = (right.low & LOWER).view(np.int64), (right.low >> np.uint64(32)).view(np.int64)
        if np.any(np.abs(left.data) >= 2**31) or np.any(np.abs(right.high) >= 2**31):
            raise Unknown("a product of more than 128 bits")
        parts = [(left.data * low, 0), (left.data * high, 32), (left.data * right.high, 64)]
    else:
        bits, number = LONG
        ones, others = ([part_of(each.data, place, *LONG) for place in range(number)] for each in (left, right))
        parts = [(one * other, bits * (i + k)) for i, one in enumerate(ones) for k, other in enumerate(others)]
    return Total(*carried(parts), missing, left.scale + right.scale)


def difference(left: Vector | Total, right: Vector | Total) -> Total:
    """The difference of numbers of which one has more than 64 bits."""
    one, other = (each if isinstance(each, Total) else Total.of(each) for each in (left, right))
    if one.scale != other.scale:
        raise Unknown("wide numbers with other places behind the point")
    high = one.high - other.high - (one.low < other.low)
    return Total(high, one.low - other.low, either(one.missing, other.missing), one.scale)


def or_zero(value: Total) -> Total:
    """Zero where a number is missing."""
    return Total(filled(value.high, value.missing), filled(value.low, value.missing), None, value.scale)


def as_double(value: Total) -> Vector:
    """Numbers as doubles, as the engine makes them: decimals rounded to the nearest, whole numbers half by half."""
    # Where the upper half is -1 the number is the lower half less 2^64.
    halves = value.low.astype(float) + value.high.astype(float) * 2.0**64
    found = np.where(value.high == -1, -(~value.low).astype(float) - 1.0, halves)
    if not value.scale:
        return Vector(found, value.missing)
    unit = 10**value.scale
    found = found / float(unit)
    exact = (value.high == 0) & (value.low <= EXACT_DOUBLES) | (value.high == -1) & (~value.low < EXACT_DOUBLES)
    rows = np.flatnonzero(~exact)
    numbers = zip(value.high[rows].tolist(), value.low[rows].tolist(), strict=True)
    found[rows] = [((high << 64) + low) / unit for high, low in numbers]
    return Vector(found, value.missing)

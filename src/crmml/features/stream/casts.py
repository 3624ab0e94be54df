"""Casts and functions of numbers and times, with the results that the engine gives to the last bit."""

import math
from collections.abc import Iterable, Mapping

import numpy as np

from crmml.features.stream.rows import Array, Unknown, Values, Vector, Words

# Larger whole numbers have no double of their own each.
EXACT_DOUBLES = 2**53
# Results below this need no look at each of them.
SAFE = 2**62
# Of whole numbers below this, logarithms stand in a table.
MOST_LOGARITHMS = 2**20
# The digits of a decimal of 64 bits, and of a wide one.
DIGITS, WIDE_DIGITS = 18, 38


def largest(value: Vector) -> int:
    """The greatest size of whole numbers."""
    if not value.data.size:
        return 0
    return max(abs(int(value.data.max())), abs(int(value.data.min())))


def rounded(value: Vector) -> Vector:
    """Halves are rounded away from zero."""
    if value.data.dtype.kind != "f":
        raise Unknown("the rounding of what is no double")
    size = np.abs(value.data)
    whole = np.floor(size)
    return Vector(np.copysign(whole + (size - whole >= 0.5), value.data), value.missing)


def as_whole(value: Vector) -> Vector:
    """Whole numbers; Unknown for what would have to be rounded."""
    if (
        value.data.dtype.kind == "f"
        and np.all(np.abs(value.data) < SAFE)
        and np.all(np.floor(value.data) == value.data)
    ):
        return Vector(value.data.astype(np.int64), value.missing)
    if value.scale or value.data.dtype.kind != "i":
        raise Unknown("a cast to whole numbers of what is none")
    return value


def as_decimal(value: Vector, digits: int, scale: int) -> Vector:
    """With `digits` digits, 18 or 38, `scale` of them behind the point."""
    wide = digits == WIDE_DIGITS
    if digits not in (DIGITS, WIDE_DIGITS) or value.data.dtype.kind not in "if":
        raise Unknown("a decimal of other digits, or of what is no number")
    below = SAFE if wide else 10**DIGITS
    if value.data.dtype.kind == "f":
        there = value.data if value.missing is None else without_nan(value.data, value.missing)
        with np.errstate(over="ignore", invalid="ignore"):
            shifted = rounded(Vector(there * 10.0**scale)).data
        if not np.all(np.abs(shifted) < below):  # what is not in order, the engine says
            raise Unknown("doubles that are too large for a decimal")
        return Vector(shifted.astype(np.int64), value.missing, scale, wide)
    more = scale - value.scale
    if wide and not more:
        return Vector(value.data, value.missing, scale, wide)
    if more < 0 or largest(value) * 10**more >= below:
        raise Unknown("a cast to fewer places behind the point, or of numbers that are too large")
    return Vector(value.data * 10**more, value.missing, scale, wide)


def as_double(value: Vector) -> Vector:
    """Numbers as doubles: of a decimal the nearest, as division gives it where its digits are a double."""
    if value.data.dtype.kind == "f":
        return value
    if value.data.dtype.kind != "i":
        raise Unknown("truth values as doubles")
    unit = 10**value.scale
    found = np.asarray(value.data / float(unit))
    if value.scale and largest(value) > EXACT_DOUBLES:
        others = np.abs(value.data) > EXACT_DOUBLES
        found[others] = [each / unit for each in value.data[others].tolist()]
    return Vector(found, value.missing)


def logarithm(value: Vector) -> Vector:
    """Natural logarithms, by the function that the engine calls; missing for what has none, which is an error there."""
    if value.data.size and value.data.min() >= 0 and (most := value.data.max()) < MOST_LOGARITHMS:
        place = value.data.astype(np.int64)
        if np.array_equal(place, value.data):
            table = _LOGARITHMS if most < len(_LOGARITHMS) else _logarithms_at(place)
            return Vector(table[place], value.missing)
    found, place = np.unique(value.data, return_inverse=True)
    return Vector(_logarithms(found.tolist())[place].reshape(value.data.shape), value.missing)


def _logarithms(values: Iterable[float]) -> Array:
    return np.array([math.log(each) if each > 0 else math.nan for each in values])


def _logarithms_at(places: Array) -> Array:
    """A table with the logarithms of some whole numbers."""
    wanted = np.flatnonzero(np.bincount(places.reshape(-1)))
    table = np.empty(wanted[-1] + 1)
    table[wanted] = _logarithms(wanted.tolist())
    return table


# Of small whole numbers, which most are that a logarithm is taken of.
_LOGARITHMS = _logarithms(range(1000))


def is_nan(value: Vector) -> Vector:
    """Whether doubles are NaN; missing where they are."""
    if value.data.dtype.kind != "f":
        raise Unknown("NaN among what are no doubles")
    found = np.isnan(value.data)
    return Vector(found if value.missing is None else found & ~value.missing, value.missing)


def without_nan(data: Array, missing: Array) -> Array:
    """The data of a column of which some are missing, which shall be no NaN then."""
    return np.where(missing, 0.0, data) if data.dtype.kind == "f" and np.isnan(data).any() else data


def comparable(value: Values) -> Values:
    """The value; Unknown for doubles where engines have rules: NaN is the greatest, and of two zeros one comes first.

    It is asked of what is read, before aggregates compare it; NaN that is a missing value has been taken out by then.
    """
    if isinstance(value, Vector) and value.data.dtype.kind == "f":
        data = value.data
        if np.isnan(data).any() or (np.signbit(data) & (data == 0)).any():
            raise Unknown("doubles that are not compared as numbers are")
    return value


def number_of(words: Values, numbers: Mapping[str, int]) -> Vector:
    """`CASE words WHEN text THEN number ... END`: a number for each of some texts, missing for the others."""
    if not isinstance(words, Words):
        raise Unknown("a choice by what is no text")
    found = [numbers.get(text) for text in words.texts.to_pylist()] or [None]
    # Codes are places of texts: that they are within bounds need not be looked at again.
    data = np.array([each or 0 for each in found]).take(words.codes, mode="clip")
    if None not in found:
        return Vector(data, words.missing)
    other = np.array([each is None for each in found]).take(words.codes, mode="clip")
    return Vector(data, other if words.missing is None else other | words.missing)

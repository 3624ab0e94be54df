"""The distribution family of the oracle: quantiles, concentration, the most frequent and the first value."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from tests.features.oracle_rows import Row, matching, numbers, present


def quantile(values: list[Fraction], q: Fraction) -> float:
    """Hyndman and Fan's type 7: the values are x_0 ... x_(n-1), and the quantile lies at position (n - 1) q."""
    if not values:
        return math.nan
    ordered, position = sorted(values), (len(values) - 1) * q
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (position - below) * (ordered[above] - ordered[below]))


def median(rows: list[Row], definition: Any, as_of: int) -> float:
    return quantile(numbers(matching(rows, definition, as_of), definition.column), Fraction(1, 2))


def any_quantile(rows: list[Row], definition: Any, as_of: int) -> float:
    # The decimal that was written, not the binary number next to it: 0.9 is nine tenths.
    q = Fraction(str(definition.q))
    return quantile(numbers(matching(rows, definition, as_of), definition.column), q)


def counted(rows: list[Row], definition: Any, as_of: int) -> Counter[Any]:
    """How many events each value has."""
    return Counter(present(matching(rows, definition, as_of), definition.column))


def entropy(rows: list[Row], definition: Any, as_of: int) -> float:
    counts = counted(rows, definition, as_of)
    shares = [n / counts.total() for n in counts.values()]
    return math.fsum(-p * math.log(p) for p in shares) if shares else math.nan


def top_share(rows: list[Row], definition: Any, as_of: int) -> float:
    counts = counted(rows, definition, as_of)
    return float(Fraction(max(counts.values()), counts.total())) if counts else math.nan


def repeat_share(rows: list[Row], definition: Any, as_of: int) -> float:
    counts = counted(rows, definition, as_of)
    return float(Fraction(sum(n > 1 for n in counts.values()), len(counts))) if counts else math.nan


def top_value(rows: list[Row], definition: Any, as_of: int) -> Any:
    counts = counted(rows, definition, as_of)
    most = max(counts.values(), default=0)
    return max((value for value, n in counts.items() if n == most), default=None)


def first(rows: list[Row], definition: Any, as_of: int) -> Any:
    column = definition.column
    there = [row for row in matching(rows, definition, as_of) if present([row], column)]
    begin = min((row["timestamp"] for row in there), default=None)
    return max((row[column] for row in there if row["timestamp"] == begin), default=None)


def mean_vector(rows: list[Row], definition: Any, as_of: int) -> list[float]:
    """The mean of each coordinate: of the numbers of a list to 9 decimals, or of the signed words of a text."""
    there = present(matching(rows, definition, as_of), definition.column)
    if not there:
        return [math.nan] * definition.size
    vectors = [hashed(value, definition.size) if isinstance(value, str) else decimals(value) for value in there]
    return [float(sum(numbers) / len(there)) for numbers in zip(*vectors, strict=True)]


def decimals(values: list[float]) -> list[Fraction]:
    """Each number rounded half away from zero to 9 decimals."""
    return [Fraction(Decimal(str(value)).quantize(Decimal("1e-9"), rounding=ROUND_HALF_UP)) for value in values]


# What stands between words: white space and punctuation. Whatever is left of a text is a word.
BETWEEN = {*map(chr, range(9, 128))} - {*"abcdefghijklmnopqrstuvwxyz0123456789"} | {*map(chr, range(0x80, 0xC0))}
BETWEEN |= {*map(chr, range(0x2010, 0x205F)), *map(chr, range(0x2FF0, 0x3005)), *map(chr, range(0x3008, 0x3020))}


def hashed(text: str, size: int) -> list[Fraction]:
    """A text as the bag of its words, each added or taken off at the place that its MD5 digest gives."""
    vector = [Fraction(0)] * size
    for word in "".join(" " if character in BETWEEN else character for character in text.lower()).split(" "):
        if word:
            digest = hashlib.md5(word.encode(), usedforsecurity=False).hexdigest()
            vector[int(digest[:4], 16) % size] += 1 if digest[4] in "01234567" else -1
    return vector


DISTRIBUTION: dict[str, Callable[[list[Row], Any, int], Any]] = {
    "Median": median,
    "Quantile": any_quantile,
    "Entropy": entropy,
    "TopShare": top_share,
    "RepeatShare": repeat_share,
    "TopValue": top_value,
    "First": first,
    "MeanVector": mean_vector,
}

"""Whether two tables are the same to the last bit: order, types, missing values, and the sign of zero."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def bits(values: pa.ChunkedArray) -> list[object]:
    """The values of a column; a double as the whole number that its 64 bits are."""
    if not pa.types.is_float64(values.type):
        return values.to_pylist()  # type: ignore[no-any-return]
    numbers = pc.fill_null(values, 0.0).to_numpy().astype(np.float64).view(np.int64).tolist()
    return [None if gone else number for gone, number in zip(pc.is_null(values).to_pylist(), numbers, strict=True)]


def differing(actual: pa.Table, expected: pa.Table, *, last_bit: str | None = None) -> list[str]:
    """The columns in which two tables differ; ["schema"] where their columns are others.

    The last bit may be another in columns whose names begin with `last_bit`.
    """
    if actual.schema != expected.schema:
        return ["schema"]
    names = [name for name in expected.column_names if bits(actual[name]) != bits(expected[name])]
    rounded = [name for name in names if last_bit is not None and name.startswith(last_bit)]
    return [name for name in names if name not in rounded or not _beside(bits(actual[name]), bits(expected[name]))]


def _beside(actual: list[object], expected: list[object]) -> bool:
    """Whether doubles, as bits, are the same or follow each other."""
    both = zip(actual, expected, strict=True)
    return all(
        one == other or (isinstance(one, int) and isinstance(other, int) and abs(one - other) == 1)
        for one, other in both
    )

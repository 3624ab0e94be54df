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


def differing(actual: pa.Table, expected: pa.Table) -> list[str]:
    """The columns in which two tables differ; ["schema"] where their columns are others."""
    if actual.schema != expected.schema:
        return ["schema"]
    return [name for name in expected.column_names if bits(actual[name]) != bits(expected[name])]

"""Comparison of two contenders' tables, column by column."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TOLERANCE = 1e-6


def largest_difference(reference: Path, other: Path, names: Sequence[str]) -> float:
    """The largest difference in these columns, relative to the value where that is above 1; stops above 1e-6."""
    left, right = ordered(reference), ordered(other)
    key = left["customer"]
    if not key.equals(right["customer"].cast(key.type)):
        raise SystemExit(f"{other.stem}: other customers than {reference.stem} ({right.num_rows:,}, {left.num_rows:,})")
    largest = 0.0
    for name in names:
        difference = difference_of(left[name], right[name])
        if difference > TOLERANCE:
            raise SystemExit(f"{other.stem}: {name} differs from {reference.stem} by {difference:g}")
        largest = max(largest, difference)
    return largest


def ordered(path: Path) -> pa.Table:
    """The table in order of customers."""
    table = pq.read_table(path)
    names = ["customer" if name == "customer_id" else name for name in table.column_names]
    return table.rename_columns(names).sort_by("customer")


def difference_of(left: pa.ChunkedArray, right: pa.ChunkedArray) -> float:
    """The largest difference of two columns; infinite where one has a value that the other lacks."""
    texts = [pa.types.is_string(c.type) or pa.types.is_large_string(c.type) for c in (left, right)]
    if any(texts) or pa.types.is_dictionary(left.type):
        return 0.0 if left.cast(pa.string()).to_pylist() == right.cast(pa.string()).to_pylist() else float("inf")
    a, b = (column.cast(pa.float64()).to_pandas().to_numpy() for column in (left, right))
    if (np.isnan(a) != np.isnan(b)).any():
        return float("inf")
    gaps = np.abs(a - b) / np.maximum(1.0, np.abs(a))
    return float(np.nanmax(gaps)) if (~np.isnan(gaps)).any() else 0.0

"""pandas frames in, as Arrow, with errors that name the column."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pandas as pd
import pyarrow as pa

from crmml.errors import SchemaError, shape_of


def arrow_from_pandas(frame: pd.DataFrame, time_columns: Sequence[str | None]) -> pa.Table:
    """The columns of `frame` (not its index) as an Arrow table.

    Args:
        frame: the events, one per row.
        time_columns: the columns that hold times.

    Raises:
        SchemaError: a column's name is not text, or its values have no single type.
    """
    _check_names(frame)
    for column in time_columns:
        if column in frame.columns and frame[column].dtype == object:
            _check_zones_alike(column, frame[column])
    for name, kind in frame.dtypes.items():
        if isinstance(kind, pd.SparseDtype):
            raise SchemaError(
                f"InteractionLog: column {name!r} is sparse ({kind}). "
                f"Make it dense: frame[{name!r}] = frame[{name!r}].sparse.to_dense()."
            )
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        column, first, second = _mixed_column(frame)
        if type(first) is type(second):
            raise SchemaError(
                f"InteractionLog: column {column!r} holds {shape_of(first)} ({type(first).__name__}), which is neither "
                f"a number nor a text nor a time. Leave it out: frame.drop(columns=[{column!r}])."
            ) from None
        raise SchemaError(
            f"InteractionLog: column {column!r} mixes types: {shape_of(first)} ({type(first).__name__}) and "
            f"{shape_of(second)} ({type(second).__name__}). Make it one type, for example "
            f"frame[{column!r}] = frame[{column!r}].astype(str)."
        ) from None


def _check_names(frame: pd.DataFrame) -> None:
    for name in frame.columns:
        if not isinstance(name, str):
            raise SchemaError(
                f"InteractionLog: the frame has a column named {name!r}, which is not text. "
                "Rename it: frame.columns = frame.columns.map(str)."
            )
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise SchemaError(f"InteractionLog: column {twice[0]!r} stands in the frame twice. Rename one of them.")


def _check_zones_alike(column: str | None, values: "pd.Series[Any]") -> None:
    """Times with and without a zone in one column would silently be read as if all were UTC."""
    aware = naive = None
    for value in values:
        if isinstance(value, datetime) and not pd.isna(value):
            if value.tzinfo is None:
                naive = value
            else:
                aware = value
        if aware is not None and naive is not None:
            raise SchemaError(
                f"InteractionLog: column {column!r} mixes timestamps with a zone ({aware.isoformat()}) and without "
                f"one ({naive.isoformat()}). Give all of them a zone, for example "
                f"frame[{column!r}] = pd.to_datetime(frame[{column!r}], utc=True)."
            )


def _mixed_column(frame: pd.DataFrame) -> tuple[str, object, object]:
    """The first column that Arrow refuses, with two values of different types from it."""
    for name in frame.columns:
        try:
            pa.array(frame[name], from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
            values = [value for value in frame[name] if value is not None and not pd.isna(value)]
            other = next((value for value in values if type(value) is not type(values[0])), values[-1])
            return name, values[0], other
    raise AssertionError("Arrow refused the frame but each of its columns alone is accepted")

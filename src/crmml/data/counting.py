"""Counting in Parquet files by the engine, which holds as little of them in memory as it can."""

from collections.abc import Sequence
from pathlib import Path

from sqlglot import exp

from crmml.data.engine import Engine, EngineError
from crmml.data.sources import parquet
from crmml.data.sql import name_of
from crmml.errors import DataError

# Ten million ids fit; more spill to disk.
_MEMORY = "1GB"


def count_distinct(files: Sequence[Path], column: str) -> int:
    """How many different values a column has in all files together.

    Raises:
        DataError: a file cannot be read.

    >>> import pandas as pd, tempfile
    >>> file = Path(tempfile.mkdtemp()) / "a.parquet"
    >>> pd.DataFrame({"customer_id": ["a", "b", "a"]}).to_parquet(file)
    >>> count_distinct([file], "customer_id")
    2
    """
    paths = [file.absolute() for file in files]
    counted = exp.Count(this=exp.Distinct(expressions=[name_of(column)]))
    query = exp.select(exp.alias_(counted, "n")).from_(parquet(paths))
    try:
        return int(Engine(files=paths, memory_limit=_MEMORY).row(query)["n"])
    except EngineError as error:
        raise DataError(f"{files[0].parent}: cannot be counted ({error}). Check the disk.") from error

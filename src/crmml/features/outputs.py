"""The ways out of a table: pandas, polars, Arrow, a DuckDB relation, a folder of Parquet files."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmml.data.engine import relation_of
from crmml.data.files import as_path, atomic_file, check_writable, lock, remove_leftovers, write_bytes
from crmml.data.manifest import identity_of
from crmml.data.prepared import source_digests
from crmml.data.time import spoken
from crmml.errors import ConfigError, DataError, MissingExtraError, did_you_mean
from crmml.features.plan import KEYS

if TYPE_CHECKING:
    from crmml.features.table import Table

To = Literal["pandas", "polars", "arrow", "relation"]
Categories = Mapping[str, Sequence[str]]
KINDS = ("pandas", "polars", "arrow", "relation")
# Readers of Parquet folders pass over names that begin with an underscore.
MANIFEST = "_features.json"
AS_OF = pa.timestamp("us", tz="UTC")


class Shape:
    """How the columns of a table leave: 32 or 64 bits, texts as they are or as numbers of a dictionary.

    Raises:
        ConfigError: `categories` is no mapping of columns to lists of different texts.
    """

    def __init__(self, *, float32: bool = False, categories: Categories | None = None) -> None:
        self.float32 = float32
        self.categories: dict[str, list[str]] = {}
        for name, values in (categories or {}).items():
            listed = [values] if isinstance(values, str) else list(values)
            if isinstance(values, str) or not all(isinstance(value, str) for value in listed):
                raise ConfigError(
                    f"categories: {name!r} must be a list of texts, not {values!r}. Use {{{name!r}: ['free', 'gold']}}."
                )
            if len(set(listed)) < len(listed):
                twice = next(value for value in listed if listed.count(value) > 1)
                raise ConfigError(f"categories: {name!r} lists {twice!r} twice. Leave one of them out.")
            self.categories[name] = listed

    def check(self, names: Sequence[str]) -> None:
        """Raise a ConfigError where the categories name a column that the table does not have."""
        for name in self.categories:
            if name not in names:
                raise ConfigError(
                    f"categories: the table has no column {name!r}.{did_you_mean(name, names)} "
                    f"It has: {', '.join(names[:20])}."
                )

    def of(self, table: pa.Table) -> pa.Table:
        """`table` in this shape, its cutoffs in UTC."""
        return pa.table({name: self._column(name, table[name]) for name in table.column_names})

    def _column(self, name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
        if name == "as_of":
            return values.cast(pa.timestamp("us")).cast(AS_OF)
        if self.float32 and pa.types.is_float64(values.type):
            return values.cast(pa.float32())
        if name not in self.categories:
            return values
        if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
            raise ConfigError(
                f"categories: the column {name!r} is {values.type}, not text. Leave it out of the categories."
            )
        return _coded(values, self.categories[name])


def _coded(values: pa.ChunkedArray, dictionary: list[str]) -> pa.ChunkedArray:
    """The texts as numbers of a given dictionary; a text that it lacks is missing."""
    known = pa.array(dictionary, values.type)
    positions = [pc.index_in(chunk, value_set=known) for chunk in values.chunks]
    chunks = [pa.DictionaryArray.from_arrays(each, known) for each in positions]
    return pa.chunked_array(chunks, pa.dictionary(pa.int32(), values.type))


def categories_of(table: Any) -> dict[str, list[str]]:
    """The texts of every text column of a table of features, sorted: the dictionary that later tables should keep.

    Args:
        table: a pandas frame or an Arrow table of `build_features`.

    Returns:
        Column -> its distinct values, in order; to be given as `categories` when the table is built again, so that
        the same text has the same number whatever else occurs.

    >>> import crmml as cm
    >>> log = cm.simulate_log(50, seed=1).log
    >>> training = cm.build_features(log, [cm.Latest("channel")], "2024-01-01")
    >>> dictionary = cm.categories_of(training)
    >>> later = cm.build_features(log, [cm.Latest("channel")], "2024-06-01", categories=dictionary)
    >>> list(later["latest_channel"].cat.categories) == dictionary["latest_channel"]
    True
    """
    arrow = pa.Table.from_pandas(table, preserve_index=False) if isinstance(table, pd.DataFrame) else table
    found = {}
    for field in arrow.schema:
        if field.name not in KEYS and (pa.types.is_string(field.type) or pa.types.is_large_string(field.type)):
            found[field.name] = sorted(value for value in arrow[field.name].unique().to_pylist() if value is not None)
    return found


def converted(table: pa.Table, to: str) -> Any:
    """An Arrow table as what the user wants."""
    if to == "arrow":
        return table
    if to == "relation":
        return relation_of(table)
    if to == "polars":
        try:
            import polars as pl
        except ImportError:
            raise MissingExtraError("build_features(to='polars')", "polars", extra="polars") from None
        return pl.from_arrow(table)
    frame: pd.DataFrame = table.to_pandas(self_destruct=True, split_blocks=True)
    return frame.set_index(list(KEYS))


def check_to(to: object) -> None:
    """Raise a ConfigError where `to` is no way out."""
    if to not in KINDS:
        raise ConfigError(
            f"to: {to!r} is not one of {', '.join(KINDS)}.{did_you_mean(str(to), KINDS)} Use to='pandas'."
        )


def write_parquet(table: "Table", out: str | Path, *, progress: bool | None = None) -> Path:
    """Write the pieces of `table` into the folder `out`: a folder per cutoff, a file per share of the customers.

    A build that was killed goes on where it stopped; the folder of another build is refused. Each file is whole or
    absent; `_features.json` says what the folder holds, and `complete` when it holds all of it.
    """
    folder = as_path(out, "build_features: out")
    check_writable(folder)
    shape = table.shape
    shape.check(table.features.names)
    with lock(folder / ".lock"):
        build = _identity(table)
        known = _read(folder)
        if known is not None and known.get("build") != build:
            raise ConfigError(
                f"{folder}: holds the features of another build (other features, log or cutoffs). "
                "Give another folder, or remove this one."
            )
        if known is not None and known["complete"]:
            return folder
        _write(folder, {"build": build, "complete": False})
        for piece in table.pieces(done=lambda number, as_of: _file(folder, number, as_of).exists(), progress=progress):
            file = _file(folder, piece.number, piece.as_of)
            file.parent.mkdir(exist_ok=True)
            remove_leftovers(file)
            with atomic_file(file) as temporary:
                pq.write_table(shape.of(piece.table), temporary, compression="zstd", write_page_checksum=True)
        rows = sum(pq.read_metadata(file).num_rows for file in folder.glob("*/part-*.parquet"))
        cutoffs = [spoken(as_of) for as_of in table.cutoffs]
        _write(folder, {"build": build, "complete": True, "rows": rows, "cutoffs": cutoffs})
    return folder


def _file(folder: Path, number: int, as_of: pd.Timestamp) -> Path:
    return folder / spoken(as_of).replace(" ", "T").replace(":", "") / f"part-{number:05d}.parquet"


def _identity(table: "Table") -> str:
    """What decides the content of the folder: the log, the text, the shape, and how the customers are divided."""
    log = table.log
    source = identity_of(log, source_digests(log))
    text = table.text(table.cutoffs).whole().sql("duckdb")
    parts = [repr(source), text, str(table.shape.float32), repr(table.shape.categories), str(table.shares())]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _read(folder: Path) -> dict[str, Any] | None:
    file = folder / MANIFEST
    if not file.exists():
        if any(folder.glob("*.parquet")) or any(folder.glob("*/*.parquet")):
            raise ConfigError(
                f"{folder}: holds Parquet files that no build of features wrote. Give another folder, or remove them."
            )
        return None
    try:
        data = json.loads(file.read_bytes())
        if not (isinstance(data, dict) and isinstance(data.get("complete"), bool)):
            raise ValueError("no object with the key 'complete'")
    except (ValueError, OSError) as error:
        raise DataError(f"{file}: cannot be read ({error}). Remove the folder and build it again.") from error
    return data


def _write(folder: Path, data: dict[str, Any]) -> None:
    write_bytes(folder / MANIFEST, json.dumps(data, indent=2).encode())

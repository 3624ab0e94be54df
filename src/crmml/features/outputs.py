"""The ways out of a table: pandas, polars, Arrow, a DuckDB relation, a folder of Parquet files."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmml.data.engine import VERSION, relation_of
from crmml.data.files import as_path, atomic_file, check_writable, lock, remove_leftovers, write_bytes
from crmml.data.manifest import identity_of
from crmml.data.prepared import source_digests
from crmml.data.sql import literal
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
        if categories is not None and not isinstance(categories, Mapping):
            raise ConfigError(
                f"categories: must be a mapping of columns to lists of texts, not {categories!r}. "
                "Use {'latest_plan': ['free', 'gold']}."
            )
        self.categories = {name: _listed(name, values) for name, values in (categories or {}).items()}

    def check(self, names: Sequence[str]) -> None:
        """Raise a ConfigError where the categories name a column that the table does not have."""
        for name in self.categories:
            if name not in names:
                raise ConfigError(
                    f"categories: the table has no column {name!r}.{did_you_mean(str(name), names)} "
                    f"It has: {', '.join(names[:20])}."
                )

    def check_types(self, schema: pa.Schema) -> None:
        """Raise a ConfigError where the categories name a column that is no text."""
        for name in self.categories:
            if not _is_text(schema.field(name).type):
                raise ConfigError(
                    f"categories: the column {name!r} is {schema.field(name).type}, not text. "
                    "Leave it out of the categories."
                )

    def of(self, table: pa.Table) -> pa.Table:
        """`table` in this shape, its cutoffs in UTC."""
        self.check_types(table.schema)
        return pa.table({name: self._column(name, table[name]) for name in table.column_names})

    def _column(self, name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
        if name == "as_of":
            return values.cast(pa.timestamp("us")).cast(AS_OF)
        if self.float32 and pa.types.is_float64(values.type):
            return values.cast(pa.float32())
        return _coded(values, self.categories[name]) if name in self.categories else values


def _listed(name: str, values: object) -> list[str]:
    """The texts of one column's dictionary."""
    ordered = isinstance(values, Iterable) and not isinstance(values, (str, Mapping, Set))
    listed: list[Any] = list(values) if ordered else [None]  # type: ignore[call-overload]
    if not all(isinstance(value, str) for value in listed):
        raise ConfigError(
            f"categories: {name!r} must be a list of texts, not {values!r}. Use {{{name!r}: ['free', 'gold']}}."
        )
    for value, times in Counter(listed).items():
        literal(value)  # raises where no engine holds such a text
        if times > 1:
            raise ConfigError(f"categories: {name!r} lists {value!r} twice. Leave one of them out.")
    return listed


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


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
        if field.name not in KEYS and _is_text(field.type):
            found[field.name] = sorted(value for value in arrow[field.name].unique().to_pylist() if value is not None)
    return found


def converted(table: pa.Table, to: str) -> Any:
    """An Arrow table as what the user wants."""
    if to == "arrow":
        return table
    if to == "relation":
        return relation_of(table)
    if to == "polars":
        pl = _polars()
        # A Categorical would number its texts anew, in the order in which this process meets them.
        fixed = {
            field.name: pl.Enum(table[field.name].combine_chunks().dictionary.to_pylist())
            for field in table.schema
            if pa.types.is_dictionary(field.type)
        }
        return pl.DataFrame(pl.from_arrow(table)).cast(fixed)
    frame: pd.DataFrame = table.to_pandas(self_destruct=True, split_blocks=True)
    return frame.set_index(list(KEYS))


def check_to(to: object) -> None:
    """Raise a ConfigError where `to` is no way out, a MissingExtraError where it is not installed."""
    if to not in KINDS:
        raise ConfigError(
            f"to: {to!r} is not one of {', '.join(KINDS)}.{did_you_mean(str(to), KINDS)} Use to='pandas'."
        )
    if to == "polars":
        _polars()


def _polars() -> ModuleType:
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError("build_features(to='polars')", "polars", extra="polars") from None
    return pl


def write_parquet(table: "Table", out: str | Path, *, progress: bool | None = None) -> Path:
    """Write the pieces of `table` into the folder `out`: a folder per cutoff, a file per share of the customers.

    A build that was killed goes on where it stopped; the folder of another build is refused. Each file is whole or
    absent; `_features.json` says what the folder holds, and `complete` when it holds all of it.
    """
    folder = check_out(out)
    with lock(folder / ".lock"):
        build = _identity(table)
        known = _read(folder)
        if known is not None and known["build"] != build:
            raise ConfigError(
                f"{folder}: holds the features of another build (other features, log, cutoffs or form). "
                "Give another folder, or remove this one."
            )
        # How the customers were divided is kept: a build may go on with more memory, which alone would divide anew.
        shares = table.shares() if known is None else known["shares"]
        state = {"build": build, "shares": shares, "complete": False, "rows": {}} if known is None else known
        files = [_file(folder, number, as_of) for as_of in table.cutoffs for number in range(shares)]
        _tidy(folder, files)
        if state["complete"] and all(_is_whole(file, state) for file in files):
            return folder
        _write(folder, {**state, "complete": False})
        for piece in table.pieces(
            shares=shares, done=lambda number, as_of: _is_whole(_file(folder, number, as_of), state), progress=progress
        ):
            file = _file(folder, piece.number, piece.as_of)
            file.parent.mkdir(exist_ok=True)
            with atomic_file(file) as temporary:
                pq.write_table(table.shape.of(piece.table), temporary, compression="zstd", write_page_checksum=True)
        rows = {_name(file): pq.read_metadata(file).num_rows for file in files}
        _write(folder, {**state, "complete": True, "rows": rows})
    return folder


def check_out(out: str | Path) -> Path:
    """The folder `out`; a ConfigError where nothing can be written there."""
    folder = as_path(out, "build_features: out")
    check_writable(folder)
    return folder


def _file(folder: Path, number: int, as_of: pd.Timestamp) -> Path:
    return folder / spoken(as_of).replace(" ", "T").replace(":", "") / f"part-{number:05d}.parquet"


def _name(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"


def _is_whole(file: Path, state: Mapping[str, Any]) -> bool:
    """Whether a file is there and can be read, with the rows that it had when the folder was complete."""
    try:
        rows = pq.read_metadata(file).num_rows
    except (OSError, pa.ArrowException):
        return False
    return bool(rows == state["rows"].get(_name(file), rows))


def _tidy(folder: Path, files: Sequence[Path]) -> None:
    """Remove what killed processes left; refuse a folder with Parquet files of somebody else."""
    foreign = sorted({*folder.rglob("*.parquet")} - {*files})
    if foreign:
        raise ConfigError(
            f"{folder}: holds Parquet files that no build of features wrote, such as "
            f"{foreign[0].relative_to(folder)}. Give another folder, or remove them."
        )
    for left in folder.rglob(f".?*.{'[0-9a-f]' * 16}.tmp"):
        remove_leftovers(left.with_name(left.name[1 : -len(".0123456789abcdef.tmp")]))


def _identity(table: "Table") -> str:
    """What decides the content of the folder: the log, the text, what it runs on, and the shape."""
    log = table.log
    source = identity_of(log, source_digests(log))
    text = table.text(table.cutoffs).whole().sql("duckdb")
    parts = [repr(source), text, VERSION, str(table.shape.float32), repr(table.shape.categories)]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _read(folder: Path) -> dict[str, Any] | None:
    """What `_features.json` says of the folder."""
    file = folder / MANIFEST
    if not file.exists():
        return None
    try:
        data = json.loads(file.read_bytes())
        kinds = {"build": str, "shares": int, "complete": bool, "rows": dict}
        for key, kind in kinds.items():
            if not isinstance(data[key], kind):
                raise TypeError(f"{key} is {data[key]!r}")
    except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
        raise DataError(
            f"{file}: cannot be read ({type(error).__name__}: {error}). Remove the folder and build it again."
        ) from error
    return data  # type: ignore[no-any-return]


def _write(folder: Path, data: dict[str, Any]) -> None:
    write_bytes(folder / MANIFEST, json.dumps(data, indent=2).encode())

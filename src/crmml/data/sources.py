"""Where the rows of a log come from: files, frames, Arrow tables, a DuckDB relation.

Each source ends as one table named `log` in an engine, so that nothing above has to know which it was.
"""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlglot import exp

from crmml.data import csv_source
from crmml.data.cleaning import CleaningStep
from crmml.data.engine import Engine, EngineError, relation_to_arrow
from crmml.data.facts import Facts
from crmml.data.frames import arrow_from_pandas
from crmml.data.manifest import BUCKET, MANIFEST
from crmml.data.roles import TIME_ROLES, Roles
from crmml.errors import ConfigError, DataError, SchemaError

LOG = "log"
PARQUET = (".parquet", ".pq")
CSV = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")


@dataclass(frozen=True)
class Prepared:
    """What is known of a prepared log before it is read.

    Attributes:
        folder: where it stands.
        files: the files, each with all events of its customers.
        cleaning: the steps that were applied before it was written.
        facts: the facts after them.
        casts: the types of the columns that Parquet keeps as another.
    """

    folder: Path
    files: tuple[Path, ...]
    cleaning: tuple[CleaningStep, ...]
    facts: Facts
    casts: dict[str, exp.DataType]


@dataclass(frozen=True)
class Opened:
    """A log that can be queried: the engine, the columns with their types, and what it was made from."""

    engine: Engine
    columns: dict[str, str]
    # role -> how the text of a CSV file writes its timestamps: with an offset or without
    text_times: dict[str, bool]
    description: str
    # The files, where another engine can read them: Parquet.
    parquet: tuple[Path, ...] = ()
    # The rows, where they are in memory.
    table: pa.Table | None = None
    # What is known of a log that was written by `InteractionLog.prepare`.
    prepared: Prepared | None = None


def open_source(source: Any, roles: Roles, *, threads: int | None, memory_limit: str | None) -> Opened:
    """Open `source` in a new engine, as the table `log`.

    Raises:
        ConfigError: it is nothing that a log can be read from.
        SchemaError: a mapped column is missing.
        DataError: the files cannot be read.
    """
    if isinstance(source, (str, Path)) or _is_list_of_paths(source):
        return _open_files(source, roles, threads=threads, memory_limit=memory_limit)
    table = _as_arrow(source, roles)
    _check_columns(table.column_names, roles)
    engine = Engine(threads=threads, memory_limit=memory_limit)
    try:
        engine.register(LOG, table)
    except EngineError as error:
        raise _unreadable(engine, table, error) from error
    return Opened(engine, engine.columns(LOG), {}, f"{table.num_rows:,} rows in memory", table=table)


def _unreadable(engine: Engine, table: pa.Table, error: EngineError) -> SchemaError:
    """Which column it is that the engine cannot read."""
    for field in table.schema:
        try:
            engine.register("column_alone", table.select([field.name]))
        except EngineError:
            return SchemaError(
                f"InteractionLog: column {field.name!r} is of the Arrow type {field.type}, which cannot be queried. "
                "Make it float64, text or another plain type, or leave the column out."
            )
    return SchemaError(f"InteractionLog: the table cannot be read: {error}. Leave out the columns that are not needed.")


def _is_list_of_paths(source: Any) -> bool:
    return isinstance(source, (list, tuple)) and all(isinstance(item, (str, Path)) for item in source)


def _open_files(source: Any, roles: Roles, *, threads: int | None, memory_limit: str | None) -> Opened:
    files = _expand(source)
    kind = _kind(files)
    engine = Engine(files=files, threads=threads, memory_limit=memory_limit)
    description = str(files[0]) if len(files) == 1 else f"{len(files)} files, the first {files[0]}"
    try:
        if kind == "parquet":
            engine.create_view(LOG, exp.select("*").from_(parquet(files)))
            columns = engine.columns(LOG)
            _check_columns(list(columns), roles)
            return Opened(engine, columns, {}, description, tuple(files))
        columns, text_times = csv_source.open_csv(engine, LOG, files, roles, _check_columns)
    except EngineError as error:
        raise DataError(
            f"InteractionLog: {files[0]} cannot be read as {kind}: {error}. "
            "Write it again, or leave the file out of the source."
        ) from error
    return Opened(engine, columns, text_times, description)


def parquet(files: Sequence[Path]) -> exp.Expr:
    """The rows of Parquet files, as what stands behind FROM."""
    return exp.Anonymous(
        this="read_parquet",
        expressions=[
            exp.array(*(exp.Literal.string(str(file)) for file in files)),
            # Files of one log may have their columns in another order.
            exp.PropertyEQ(this=exp.to_identifier("union_by_name"), expression=exp.true()),
        ],
    )


def _expand(source: Any) -> list[Path]:
    """The files behind a path, a folder, a glob, or a list of these; sorted, so that the order says nothing."""
    patterns = list(source) if isinstance(source, (list, tuple)) else [source]
    files: list[Path] = []
    for pattern in patterns:
        path = Path(pattern).expanduser()
        if path.is_dir():
            found = _files_in(path)
        elif path.exists():
            found = [path]
        else:
            found = [Path(name) for name in glob.glob(str(path), recursive=True)]  # noqa: PTH207 (absolute patterns)
        if not found:
            raise ConfigError(
                f"InteractionLog: no file matches {str(pattern)!r} (looked in {Path.cwd()}). "
                "Give the path of a Parquet or CSV file, a folder of them, or a glob like 'events/*.parquet'."
            )
        files.extend(found)
    if not files:
        raise ConfigError("InteractionLog: the list of files is empty. Give at least one path.")
    return sorted({file.resolve() for file in files})


def _files_in(folder: Path) -> list[Path]:
    """The files of a log in a folder: not those of a prepared log, which may be half-written, or a copy of others."""
    found = [file for file in folder.rglob("*") if file.name.lower().endswith(PARQUET + CSV)]
    own = [file for file in found if not (BUCKET.fullmatch(file.name) and (file.parent / MANIFEST).exists())]
    if found and not own:
        raise ConfigError(f"InteractionLog: {folder} is a prepared log. Open it with open_prepared({str(folder)!r}).")
    return own


def _kind(files: Sequence[Path]) -> str:
    kinds = set()
    for file in files:
        name = file.name.lower()
        kind = "parquet" if name.endswith(PARQUET) else "CSV" if name.endswith(CSV) else None
        if kind is None:
            raise ConfigError(
                f"InteractionLog: {file} is neither Parquet nor CSV by its name. "
                f"Use a file that ends in one of {', '.join(PARQUET + CSV)}, or pass a frame."
            )
        if file.stat().st_size == 0:
            raise DataError(f"InteractionLog: {file} is empty (0 bytes). Leave it out, or write it again.")
        kinds.add(kind)
    if len(kinds) > 1:
        raise ConfigError(
            "InteractionLog: the source mixes Parquet and CSV files. Give one kind, for example 'events/*.parquet'."
        )
    return kinds.pop()


def _as_arrow(source: Any, roles: Roles) -> pa.Table:
    if isinstance(source, pa.Table):
        return source
    module = type(source).__module__.partition(".")[0]
    if module == "pandas" and hasattr(source, "columns"):
        _check_index(source, roles)
        return arrow_from_pandas(source, [roles.columns().get(role) for role in TIME_ROLES])
    if module == "polars" and hasattr(source, "collect"):
        source = source.collect()
    relation = relation_to_arrow(source)
    if relation is not None:
        return relation
    if hasattr(source, "__arrow_c_stream__") and hasattr(source, "columns"):  # a column alone has none
        return pa.table(source)
    raise ConfigError(
        f"InteractionLog: cannot read a log from {type(source).__module__}.{type(source).__qualname__}. "
        "Pass a path or glob of Parquet or CSV files, a pandas or polars frame, an Arrow table, "
        "or a DuckDB relation."
    )


def _check_index(frame: Any, roles: Roles) -> None:
    """A column that was made the index is the mistake behind most missing columns of a pandas frame."""
    for role, column in roles.columns().items():
        if column in frame.index.names and column not in frame.columns:
            raise SchemaError(
                f"InteractionLog: {column!r} for {role} is the index of the frame, not a column. "
                "Make it one: frame.reset_index()."
            )


def _check_columns(found: Sequence[str], roles: Roles) -> None:
    from crmml.errors import did_you_mean

    names = list(found)
    folded: dict[str, str] = {}
    for name in names:
        # The engine does not tell upper from lower case in names.
        other = folded.setdefault(name.casefold(), name)
        if other is not name:
            raise SchemaError(
                f"InteractionLog: columns {other!r} and {name!r} have the same name but for upper and lower case. "
                "Rename one of them."
            )
    for role, column in roles.columns().items():
        if column not in names:
            listed = ", ".join(repr(name) for name in names[:20]) + (", ..." if len(names) > 20 else "")
            raise SchemaError(
                f"InteractionLog: no column {column!r} for {role}.{did_you_mean(column, names)} The log has: {listed}."
            )

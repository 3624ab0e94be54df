"""The embedded SQL engine: the only home of duckdb.

Every connection is closed off: it reads the log's own files and nothing else, loads no extension from the
network, and its settings cannot be changed by a query.
"""

import itertools
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from sqlglot import exp

from crmml.errors import ConfigError, CrmmlError, DataError

DIALECT = "duckdb"
# Of another version the hash of a customer may be another.
VERSION = duckdb.__version__


class EngineError(CrmmlError):
    """A query failed in the engine; callers turn it into an error that speaks of the user's data."""


class Engine:
    """An embedded DuckDB in which one log stands as the table `log`.

    Args:
        files: the files that it may read; every other is closed to it.
        threads: how many threads a query may use; all cores by default.
        memory_limit: such as "2GB"; DuckDB's default (80 % of the machine) where it is None.

    Attributes:
        files, threads, limit: as given.
    """

    def __init__(
        self,
        *,
        files: Sequence[Path] = (),
        threads: int | None = None,
        memory_limit: str | None = None,
    ) -> None:
        spill = tempfile.mkdtemp(prefix="crmml-")
        # Removed with the engine, without the warning that a TemporaryDirectory gives when nobody closes it.
        weakref.finalize(self, shutil.rmtree, spill, ignore_errors=True)
        config: dict[str, Any] = {"temp_directory": spill}
        if threads is not None:
            config["threads"] = threads
        if memory_limit is not None:
            config["memory_limit"] = memory_limit
        try:
            self._connection = duckdb.connect(config=config)
        except duckdb.Error as error:
            raise ConfigError(
                f"Engine: threads={threads!r}, memory_limit={memory_limit!r} is refused: {_first_line(error)}. "
                "Use a number and a text, for example threads=2, memory_limit='2GB'."
            ) from error
        # One query at a time: a DuckDB connection is not for two threads, and its temporary views are its own.
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self.threads = threads
        self.limit = memory_limit
        self.files = tuple(files)
        self._close_off([str(file) for file in files])

    def _close_off(self, files: list[str]) -> None:
        # TimeZone cannot be given to connect() in DuckDB 2.0; set it before the configuration is locked.
        run = self._connection.execute
        run("SET TimeZone = 'UTC'")
        run("SET autoinstall_known_extensions = false")
        run("SET autoload_known_extensions = false")
        run("SET python_enable_replacements = false")
        # A table that was written in an order is read in it.
        run("SET preserve_insertion_order = true")
        if files:
            listed = exp.array(*(exp.Literal.string(file) for file in files)).sql(DIALECT)
            run(f"SET allowed_paths = {listed}")
        run("SET enable_external_access = false")
        run("SET lock_configuration = true")

    def register(self, name: str, table: pa.Table) -> None:
        """Let the Arrow `table` be read under `name`."""
        try:
            with self._lock:
                self._connection.register(name, table)
        except duckdb.Error as error:
            raise _translated(error) from error

    def unregister(self, name: str) -> None:
        """Let go of a table that was registered under `name`."""
        with self._lock:
            self._connection.unregister(name)

    def new_name(self, of: str) -> str:
        """A name that no table of this engine has yet."""
        return f"{of}_{next(self._numbers)}"

    def create_view(self, name: str, query: exp.Expr) -> None:
        """Let the rows of `query` be read under `name`."""
        view = exp.to_identifier(name, quoted=True).sql(DIALECT)
        self._run(f"CREATE OR REPLACE TEMP VIEW {view} AS {query.sql(DIALECT)}")

    def create_table(self, query: exp.Expr, name: str | None = None) -> str:
        """Keep the rows of `query` in a table, and give its name; `drop_table` when done.

        `name` is that of a table that was made and dropped before; a new one by default.
        """
        name = name or self.new_name("kept")
        with self._lock:
            self._run(f"CREATE TEMP TABLE {exp.to_identifier(name).sql(DIALECT)} AS {query.sql(DIALECT)}")
        return name

    def drop_table(self, name: str) -> None:
        """Remove a table that `create_table` made."""
        with self._lock:
            self._run(f"DROP TABLE IF EXISTS {exp.to_identifier(name).sql(DIALECT)}")

    def explain(self, query: exp.Expr) -> str:
        """The plan that the engine makes for `query`, as a drawing in text."""
        with self._lock:
            rows = self._run(f"EXPLAIN {query.sql(DIALECT)}").fetchall()
        return "\n".join(str(row[1]) for row in rows)

    @property
    def memory_limit(self) -> int:
        """The bytes that a query may use before it spills to disk."""
        size, unit = self.arrow("SELECT current_setting('memory_limit') AS size")["size"][0].as_py().split()
        return int(float(size) * 1024 ** ("bytes", "KiB", "MiB", "GiB", "TiB").index(unit))

    def columns(self, table: str) -> dict[str, str]:
        """Column name -> DuckDB type of a table or view."""
        name = exp.to_identifier(table, quoted=True).sql(DIALECT)
        rows = self._run(f"DESCRIBE {name}").fetchall()
        return {row[0]: row[1] for row in rows}

    def arrow(self, query: exp.Expr | str) -> pa.Table:
        """Run `query` and give its rows as an Arrow table."""
        text = query if isinstance(query, str) else query.sql(DIALECT)
        try:
            with self._lock:
                return self._connection.sql(text).to_arrow_table()
        except duckdb.Error as error:
            raise self._explained(error) from error

    def batches(self, query: exp.Expr, *, rows: int) -> pa.RecordBatchReader:
        """Run `query` and give its rows batch by batch; read all of them before the next query."""
        try:
            return self._connection.sql(query.sql(DIALECT)).to_arrow_reader(rows)
        except duckdb.Error as error:
            raise self._explained(error) from error

    def stream(self, query: exp.Expr, *, rows: int) -> Iterator[pa.RecordBatch]:
        """The same batches; no other query runs until they are read or closed."""
        try:
            with self._lock:
                yield from self.batches(query, rows=rows)
        except (pa.ArrowException, OSError) as error:  # what is wrong after the first batch comes through Arrow
            raise self._explained(error) from error

    def row(self, query: exp.Expr) -> Mapping[str, Any]:
        """The first row of `query`, by column name."""
        table = self.arrow(query)
        return {name: table.column(name)[0].as_py() for name in table.column_names}

    def rows(self, query: exp.Expr) -> list[dict[str, Any]]:
        """All rows of `query`, by column name."""
        rows: list[dict[str, Any]] = self.arrow(query).to_pylist()
        return rows

    def _run(self, text: str) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.execute(text)
        except duckdb.Error as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> CrmmlError:
        gone = next((file for file in self.files if not file.exists()), None)
        return _translated(error) if gone is None else gone_file(gone)


def relation_to_arrow(relation: Any) -> pa.Table | None:
    """The rows of a DuckDB relation, or None where `relation` is something else."""
    if isinstance(relation, duckdb.DuckDBPyRelation):
        return relation.to_arrow_table()
    return None


def gone_file(file: Path) -> DataError:
    """What to say about a file that was there when the log was opened."""
    return DataError(
        f"InteractionLog: {file} is gone; it was there when the log was opened. Put it back, or open the log anew."
    )


def relation_of(table: pa.Table) -> Any:
    """An Arrow table as a DuckDB relation, of DuckDB's default connection."""
    return duckdb.from_arrow(table)


def _translated(error: Exception) -> CrmmlError:
    # By its text, which Arrow passes on, and the class it does not.
    if str(error).startswith("Out of Memory Error"):
        return DataError(
            f"the engine ran out of memory: {_first_line(error)}. Give it more with memory_limit='8GB', "
            "or build fewer cutoffs at once."
        )
    return EngineError(_first_line(error))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")

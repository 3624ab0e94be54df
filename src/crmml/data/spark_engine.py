"""Spark as an engine: the only home of pyspark.

A log stays what it is: an `InteractionLog`, opened, typed and checked by the embedded engine. `SparkEngine` lets a
session of Spark read the same events, under the same names and in the same types, and runs one SQL text over them.
"""

import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from crmml.data.engine import DIALECT as DUCKDB
from crmml.data.engine import Engine, EngineError, gone_file
from crmml.data.sources import LOG
from crmml.errors import ConfigError, CrmmlError, MissingExtraError, SchemaError

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

DIALECT = "spark"
# The table in which a build keeps what it reads more than once, and the column by which it is divided.
KEPT = "kept_events"
CUSTOMER = "customer_id"
# What makes a text mean the same however the user's session is set up.
SETTINGS = {
    # All time is UTC; a TIMESTAMP is a moment, a TIMESTAMP_NTZ has no zone.
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # What does not fit is an error, never a silent NULL.
    "spark.sql.ansi.enabled": "true",
    # Products of decimals keep all their digits.
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    # Names and texts mean what they say: no ${env:HOME} in them, and backslashes as SQLGlot writes them.
    "spark.sql.variable.substitute": "false",
    "spark.sql.parser.escapedStringLiterals": "false",
    "spark.sql.ansi.doubleQuotedIdentifiers": "false",
    "spark.sql.caseSensitive": "false",
    # All groupings and joins are by customer, and so are the events divided: nothing has to move or to be sent for
    # them, if Spark takes what is divided by customer as divided by customer and cutoff, and joins part by part.
    "spark.sql.requireAllClusterKeysForCoPartition": "false",
    "spark.sql.autoBroadcastJoinThreshold": "-1",
}
# The types that Spark reads from Parquet files by itself: DuckDB's name -> Spark's.
READABLE = {
    "BOOLEAN": "BOOLEAN",
    "TINYINT": "TINYINT",
    "SMALLINT": "SMALLINT",
    "INTEGER": "INT",
    "BIGINT": "BIGINT",
    "UTINYINT": "SMALLINT",
    "USMALLINT": "INT",
    "UINTEGER": "BIGINT",
    "UBIGINT": "DECIMAL(20, 0)",
    "FLOAT": "FLOAT",
    "DOUBLE": "DOUBLE",
    "VARCHAR": "STRING",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP_NTZ",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
}
# What the embedded engine has to write as another type first, since Spark has nothing like it.
CONVERTED = {
    "HUGEINT": "DECIMAL(38, 0)",
    "UHUGEINT": "DECIMAL(38, 0)",
    "UUID": "VARCHAR",
    "ENUM": "VARCHAR",
    '"NULL"': "INTEGER",
    "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
    "TIMESTAMP_NS": "TIMESTAMP",
    "TIMESTAMPTZ_NS": "TIMESTAMP WITH TIME ZONE",
}
# Rows that are held at a time while a source is converted.
BATCH = 500_000


class SparkEngine:
    """Builds tables on Spark: `build_features(log, features, as_of, engine=SparkEngine(session))`.

    The table is the one that the embedded engine builds: the same rows in the same order, the same types, and the
    same values but for the last digits of a division.

    Spark reads the Parquet files of a log by itself, so its workers must see them under the same paths. Any other
    source (CSV files, frames, Parquet files with types that Spark has not, such as nanoseconds) is written once, by
    the embedded engine, as a temporary Parquet file on this machine.

    Every log gets a session beside the user's (`session.newSession()`) with the user's settings and a few of ours:
    UTC, ANSI arithmetic, exact decimals. The user's own session is not changed.

    Args:
        session: a running `pyspark.sql.SparkSession`.

    Raises:
        MissingExtraError: pyspark is not installed.
        ConfigError: `session` is something else.

    >>> import crmml as cm
    >>> cm.SparkEngine("local[2]")
    Traceback (most recent call last):
        ...
    crmml.errors.ConfigError: SparkEngine: session must be a SparkSession, not 'local[2]'. \
Use SparkEngine(SparkSession.builder.getOrCreate()).
    """

    def __init__(self, session: Any) -> None:
        try:
            import pyspark  # noqa: F401  (only whether it is there)
        except ImportError as error:
            raise MissingExtraError("SparkEngine", "pyspark", extra="spark") from error
        if not callable(getattr(session, "newSession", None)):
            raise ConfigError(
                f"SparkEngine: session must be a SparkSession, not {session!r}. "
                "Use SparkEngine(SparkSession.builder.getOrCreate())."
            )
        self._session = session
        self._lock = threading.Lock()
        # A log and what clean() makes of it share the embedded engine, and read the same source.
        self._readers: weakref.WeakKeyDictionary[Engine, Any] = weakref.WeakKeyDictionary()

    def arrow(self, log: "InteractionLog", steps: Sequence[tuple[str, str]], text: str, schema: pa.Schema) -> pa.Table:
        """The rows of a Spark SQL text that reads some steps more than once.

        Args:
            log: the interactions.
            steps: names and statements; each reads the source of `log` as the table `log`, and the steps before it.
                The last one is worked out once, and divided by customer: no grouping and no join moves it again.
            text: the statement that reads the last step as the table `KEPT`.
            schema: the columns of the result with their types, as the embedded engine has them.

        Raises:
            EngineError: Spark refuses a text, or fails while it runs.
            SchemaError: the text reads a column whose type Spark is not given.
            DataError: a file of the log is gone.
        """
        with self._rows(log, steps, text) as rows:
            return typed(rows.toArrow(), schema)

    def write(
        self,
        log: "InteractionLog",
        steps: Sequence[tuple[str, str]],
        text: str,
        *,
        each: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]],
        schema: pa.Schema,
        path: Path,
        parts: int,
    ) -> list[Path | None]:
        """Divide the rows of a text by customer, have Spark's workers make others of each part, and write those.

        Args:
            log, steps, text: as for `arrow`.
            each: what a worker, which has crmml installed, makes of the rows of a part.
            schema: of what it makes.
            path: a folder to write to, which the workers see as well; what is there is replaced.
            parts: how many there are. A customer is in the same one of so many every time.

        Returns:
            The Parquet file of each part; None where it has no rows.
        """
        from pyspark.sql.pandas.types import from_arrow_schema

        with self._rows(log, steps, text) as rows:
            divided = rows.repartition(parts, CUSTOMER)
            made = divided.mapInArrow(each, from_arrow_schema(schema))
            made.write.mode("overwrite").parquet(path.absolute().as_uri())
        files = {int(file.name.split("-")[1]): file for file in sorted(path.glob("part-*.parquet"))}
        return [files.get(number) for number in range(parts)]

    @contextmanager
    def _rows(self, log: "InteractionLog", steps: Sequence[tuple[str, str]], text: str) -> Iterator[Any]:
        """The rows of a text as a Spark DataFrame; what Spark says is translated."""
        try:
            # The views of a build are the session's: one build at a time.
            with self._lock, _kept(self._reader(log), steps) as reader:
                yield reader.sql(text)
        except _spark_errors() as error:
            raise _translated(error, log) from error

    def _reader(self, log: "InteractionLog") -> Any:
        """The session in which the source of `log` is the table `log`."""
        opened = log._opened
        if opened.engine not in self._readers:
            reader = self._new_session()
            columns = {name: kind for name, kind in opened.columns.items() if _spark_type(_written_as(kind))}
            files = opened.parquet
            if not files or any(_written_as(kind) != kind for kind in columns.values()):
                files = (_written(opened.engine, columns),)
            frame = reader.read.option("mergeSchema", "true").parquet(*(str(file) for file in files))
            frame.selectExpr(*_selected(columns)).createOrReplaceTempView(LOG)
            self._readers[opened.engine] = reader
        return self._readers[opened.engine]

    def _new_session(self) -> Any:
        reader = self._session.newSession()
        for key, value in self._session.conf.getAll.items():
            if reader.conf.isModifiable(key):
                reader.conf.set(key, value)
        for key, value in SETTINGS.items():
            reader.conf.set(key, value)
        return reader


@contextmanager
def _kept(reader: Any, steps: Sequence[tuple[str, str]]) -> Iterator[Any]:
    """The session in which the last of the steps is kept as the table `KEPT`."""
    # As views and not as one text: Spark does not find rows again that it keeps for a text with a WITH.
    for name, step in steps[:-1]:
        reader.sql(step).createOrReplaceTempView(name)
    parts = reader.conf.get("spark.sql.shuffle.partitions")
    # With a number the parts stay as they are; some services know no number, only "auto".
    number = [int(parts)] if parts.isdigit() else []
    kept = reader.sql(steps[-1][1]).repartition(*number, CUSTOMER).persist()
    kept.createOrReplaceTempView(KEPT)
    try:
        yield reader
    finally:
        kept.unpersist()


def typed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns of a table from Spark, by position, under the names and in the types of a schema."""
    columns = zip(table.columns, schema, strict=True)
    return pa.table([_as_type(column, field.type) for column, field in columns], schema=schema)


def _written_as(kind: str) -> str:
    """The type, in DuckDB's words, in which Spark gets a column of type `kind`."""
    if kind.endswith("]"):
        # DOUBLE[] and DOUBLE[3] are both an array to Spark.
        return f"{_written_as(kind[: kind.rindex('[')])}[]"
    return CONVERTED.get(kind.partition("(")[0], kind)


def _spark_type(kind: str) -> str | None:
    """Spark's name of a DuckDB type, None where it is given no such column."""
    if kind.endswith("[]"):
        inner = _spark_type(kind.removesuffix("[]"))
        return inner and f"ARRAY<{inner}>"
    return kind if kind.startswith("DECIMAL") else READABLE.get(kind)


def _written(engine: Engine, columns: Mapping[str, str]) -> Path:
    """The table `log` of the embedded engine as a Parquet file, which goes when the engine goes."""
    folder = Path(tempfile.mkdtemp(prefix="crmml-spark-"))
    weakref.finalize(engine, shutil.rmtree, folder, ignore_errors=True)
    query = exp.select(*(_as(name, _written_as(kind), DUCKDB) for name, kind in columns.items())).from_(LOG)
    batches = engine.batches(query, rows=BATCH)
    with pq.ParquetWriter(folder / "log.parquet", batches.schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return folder / "log.parquet"


def _as(name: str, kind: str, dialect: str) -> exp.Expr:
    """`CAST(name AS kind) AS name`."""
    column = exp.column(name, quoted=True)
    return exp.alias_(exp.cast(column, exp.DataType.build(kind, dialect=dialect)), name, quoted=True)


def _selected(columns: Mapping[str, str]) -> list[str]:
    """The columns in exactly the types that the SQL text was written for."""
    return [_as(name, str(_spark_type(_written_as(kind))), DIALECT).sql(DIALECT) for name, kind in columns.items()]


def _as_type(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return pa.chunked_array([pa.nulls(len(column))]) if pa.types.is_null(kind) else column.cast(kind)


def _spark_errors() -> tuple[type[Exception], ...]:
    """What Spark raises: its own words, or those of Java where it has none."""
    from pyspark.errors import PySparkException

    try:
        from py4j.protocol import Py4JError
    except ImportError:  # a client of a remote Spark has no Java
        return (PySparkException,)
    return (PySparkException, Py4JError)


def _translated(error: Exception, log: "InteractionLog") -> CrmmlError:
    gone = next((file for file in log._opened.parquet if not file.exists()), None)
    if gone is not None:
        return gone_file(gone)
    left_out = [(name, kind) for name, kind in log._opened.columns.items() if not _spark_type(_written_as(kind))]
    for name, kind in left_out:
        if f"`{name}`" in str(error):
            return SchemaError(
                f"SparkEngine: column {name!r} is {kind.lower()}, which Spark is not given. Make it text or a number, "
                "or build the table without engine=."
            )
    said = str(error).partition("JVM stacktrace")[0]
    lines = [line.strip() for line in said.splitlines() if line.strip() and "SQLSTATE" not in line]
    # Of a worker's traceback the last line says what happened, of anything else the first.
    what = lines[-1 if type(error).__name__ == "PythonException" else 0]
    if what == "ModuleNotFoundError: No module named 'crmml'":
        return ConfigError(
            "SparkEngine: the Python of Spark's workers does not find crmml. Install it there, or have them run another"
            " Python: PYSPARK_PYTHON=/path/to/python."
        )
    return EngineError(what.rstrip("."))

"""The events of a log as Arrow reads them, with the columns of `coded` worked out here and not by the engine.

What the engine reads it hands over row by row, texts and all. Arrow reads the same Parquet files in a quarter of the
time, because a text stays what it is in the file: a number in a dictionary.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from crmml.data.steps import EVENTS, Step
from crmml.features.plan import AT, CODED, Text
from crmml.features.stream.casts import comparable
from crmml.features.stream.program import CUSTOMER, Events
from crmml.features.stream.rows import Array, Rows, Unknown, Values, Vector, Words, values_of, vector
from crmml.features.stream.values import Expressions, Value


class Reading:
    """How the columns of `coded` are worked out of those of a log.

    Args:
        text: the text of a table.
        names: the columns of `coded` that are read, beside the customer.

    Attributes:
        columns: the columns of the log that are read.

    Raises:
        Unknown: something of it is not known here, such as a cleaning step.
    """

    def __init__(self, text: Text, names: Iterable[str]) -> None:
        before, history = text.steps[: text.coded + 1], text.steps[text.coded + 1]
        if [step.name for step in before] != [EVENTS, CODED]:
            raise Unknown("steps before the events")
        expressions = Expressions()
        seen = history.query.args["where"].this
        self._seen = expressions.of(seen)
        self.names = dict.fromkeys([AT, *names])
        coded = {CUSTOMER: None} | self.names | dict.fromkeys(each.name for each in seen.find_all(exp.Column))
        self._coded, events = _selected(before[1], coded, expressions)
        self._events, self.columns = _selected(before[0], events, expressions)

    def of(self, batch: pa.RecordBatch) -> Events:
        """The events of a batch that the history sees, in their order."""
        none = np.zeros(batch.num_rows, np.int8)
        read = Rows(none, lambda _, name: values_of(batch.column(name)))
        events = Rows(none, lambda _, name: self._events[name](read))
        coded = Rows(none, lambda _, name: self._coded[name](events))
        seen = _met(vector(self._seen(coded)), len(coded))

        def column(name: str) -> Values:
            values = comparable(coded.column("", name))
            return values if len(seen) == len(coded) else values.take(seen)

        return Events(_ids(column(CUSTOMER)), column)


def _met(condition: Vector, rows: int) -> Array:
    """The places of the rows that meet a condition."""
    return np.flatnonzero(condition.whole(rows))


def _selected(step: Step, wanted: Iterable[str], expressions: Expressions) -> tuple[dict[str, Value], list[str]]:
    """The functions of the columns `wanted` of a step that only selects, and the columns that they read."""
    query = step.query
    if any(query.args.get(part) for part in ("where", "joins", "group", "distinct", "order", "qualify", "limit")):
        raise Unknown(step.name)
    nodes = {each.alias_or_name: each.unalias() for each in query.expressions}
    read = dict.fromkeys(each.name for name in wanted for each in nodes[name].find_all(exp.Column))
    return {name: expressions.of(nodes[name]) for name in wanted}, list(read)


def _ids(values: Values) -> pa.Array:
    return values.arrow() if isinstance(values, Words) else pa.array(vector(values).data)


Source: TypeAlias = "pa.Table | Sequence[Path]"


def rows_of(source: Source) -> int:
    """The number of rows that a table in memory, or Parquet files, have."""
    if isinstance(source, pa.Table):
        return int(source.num_rows)
    return sum(pq.read_metadata(file).num_rows for file in source)


def batches_of(source: Source, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of a table in memory, or of Parquet files; no batch is empty.

    Raises:
        Unknown: a column is not in all files, or not of the same type.
    """
    read = _batches_of_table if isinstance(source, pa.Table) else _batches_of_files
    return (batch for batch in read(source, columns, rows) if batch.num_rows)


def _batches_of_table(table: pa.Table, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of a table in memory, texts as they are."""
    chosen = table.select(columns)
    for place, field in enumerate(chosen.schema):
        if pa.types.is_dictionary(field.type):  # whose texts may stand there twice
            chosen = chosen.set_column(place, field.name, chosen.column(place).cast(field.type.value_type))
    yield from chosen.to_batches(max_chunksize=rows)


def _batches_of_files(files: Iterable[Path], columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of Parquet files, one file after the other, texts as numbers in dictionaries."""
    types: list[pa.DataType] | None = None
    for file in files:
        schema = pq.read_schema(file)
        if any(len(schema.get_all_field_indices(name)) != 1 for name in columns):
            raise Unknown(f"the columns of {file}")
        own = [schema.field(name).type for name in columns]
        if types not in (None, own):
            raise Unknown(f"the types of {file}")
        types = own
        texts = [name for name, kind in zip(columns, own, strict=True) if pa.types.is_string(kind)]
        # Of a file of this machine nothing is read ahead: that is for those that answer late.
        with pq.ParquetFile(file, read_dictionary=texts, pre_buffer=False) as opened:
            for batch in opened.iter_batches(_at_once(opened.metadata, rows), columns=list(columns), use_threads=False):
                yield batch.select(columns)


def _at_once(file: pq.FileMetaData, rows: int) -> int:
    """How many rows to read: those of the file's row groups, where that is about `rows`, so that none is divided."""
    of_group = file.row_group(0).num_rows if file.num_row_groups else rows
    return of_group if rows <= 2 * of_group <= 2 * rows else rows

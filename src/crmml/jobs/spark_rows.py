"""The rows of a scoring job on Spark: its workers build the features of their customers, and score them."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from crmml.bundle import Bundle
from crmml.bundle.scoring import score_rows
from crmml.data.files import remove_tree
from crmml.data.log import InteractionLog
from crmml.data.spark_engine import SparkEngine, typed
from crmml.features.outputs import converted
from crmml.features.plan import KEYS
from crmml.jobs.part_files import Parts, arrow_of
from crmml.jobs.part_rows import Numbered, TableRows
from crmml.models._levels import Levels, at_levels, level_rows, levels_of, needs_levels

# Where Spark writes, beside the parts: its workers see this folder, and what is left there is removed.
WRITTEN = "on-spark"
# What Spark has no type for -> what holds it there.
_WIDER = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
}


@dataclass(frozen=True)
class Work:
    """What a worker does with the rows of a part. It is sent to the workers, so it holds the bundle as its files.

    Attributes:
        files: the files of the bundle by name, as text and arrays.
        features: the columns of a table of features, with their types.
        made: the columns of what is made of it.
        details: whether to give what the model says besides the scores.
        levels: what `at_levels` holds, where the model needs them; None to make the rows that decide them.
    """

    files: dict[str, bytes]
    features: pa.Schema
    made: pa.Schema
    details: bool
    levels: Levels | None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Score all rows of a part at once."""
        some = [batch for batch in batches if batch.num_rows]
        if some:
            X: pd.DataFrame = converted(typed(pa.Table.from_batches(some), self.features), "pandas")
            table = made_of(self.bundle(), X, self.details, self.levels)[self.made.names]
            yield from pa.Table.from_pandas(table, preserve_index=False).cast(self.made).to_batches()

    def bundle(self) -> Bundle:
        """The bundle, loaded as from any folder: every byte is compared with its digest, and nothing is executed."""
        with tempfile.TemporaryDirectory(prefix="crmml-bundle-") as folder:
            for name, content in self.files.items():
                (Path(folder) / name).write_bytes(content)
            return Bundle.load(folder)


def made_of(bundle: Bundle, X: pd.DataFrame, details: bool, levels: Levels | None) -> pd.DataFrame:
    """The scores of features; without the levels that a model needs, the rows that decide these."""
    model = bundle.model
    if needs_levels(model):
        if levels is None:
            return level_rows(model, X)
        model = at_levels(model, levels)
    return score_rows(model, bundle.target, X, details=details)


class SparkRows(TableRows):
    """The scores of a table of features that Spark builds; the rows of a part in order of customer and cutoff.

    Args and attributes as `TableRows`; `engine` is where the table is built.
    """

    def __init__(
        self, bundle: Bundle, log: InteractionLog, cutoffs: Sequence[pd.Timestamp], details: bool, engine: SparkEngine
    ) -> None:
        super().__init__(bundle, log, cutoffs, details)
        # Spark divides the customers itself, whatever the files of a prepared log.
        self._files = None
        self._engine = engine
        self._at = cutoffs[0]

    def rows(self, parts: Parts) -> Numbered:
        """The scores of the parts that are missing, each with the number of the part."""
        place, levels = parts.place / WRITTEN, None
        if needs_levels(self._bundle.model):
            found = [rows for _, rows in self._made(None, place, range(parts.of), parts.of)]
            levels = levels_of(self._bundle.model, pd.concat(found))
        yield from self._made(levels, place, parts.missing, parts.of)
        remove_tree(place)

    def _made(self, levels: Levels | None, place: Path, wanted: Sequence[int], of: int) -> Numbered:
        """What the workers make of the features, part by part."""
        features = self._table.schema()
        made = self._columns(features, levels)
        there = pa.schema([pa.field(field.name, _spark_type(field.type)) for field in made])
        work = Work(self._bundle._encoded(), features, there, self._details, levels)
        files = self._table.write_on(self._engine, work, there, place, of)
        for number in wanted:
            file = files[number]
            table = made.empty_table() if file is None else typed(pq.read_table(file), made)
            yield number, table.to_pandas().sort_values(list(KEYS), ignore_index=True)

    def _columns(self, features: pa.Schema, levels: Levels | None) -> pa.Schema:
        """The columns of the result and their types, learned from a row of no customer."""
        names = list(self._table.features.names)
        index = pd.MultiIndex.from_arrays([[0], pd.DatetimeIndex([self._at])], names=list(KEYS))
        ones = pd.DataFrame(np.ones((1, len(names))), index=index, columns=names)
        made = arrow_of(made_of(self._bundle, ones, self._details, levels), {}).schema
        return pa.schema([*(features.field(key) for key in KEYS), *(field for field in made if field.name not in KEYS)])


def _spark_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return pa.string()
    return _WIDER.get(kind, kind)

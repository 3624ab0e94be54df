"""The rows of a scoring job on Spark: its workers build what the model has to know of their customers, and score them.

No recommender needs more of the log than the customer's own rows: all else that decides a list is in the bundle.
"""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmml.bundle import Bundle
from crmml.bundle.lists import Asked
from crmml.bundle.scoring import score_rows
from crmml.data.files import remove_tree
from crmml.data.log import InteractionLog
from crmml.data.spark_engine import SparkEngine, typed
from crmml.features.interactions import ItemWeights
from crmml.features.outputs import AS_OF, converted
from crmml.features.plan import KEYS
from crmml.features.seen import seen_table
from crmml.features.table import Table
from crmml.jobs.part_files import KEYS as ROW
from crmml.jobs.part_files import Parts, arrow_of
from crmml.jobs.part_rows import LINES_PER_PART, MOST_PARTS, Lists, Numbered, TableRows, dated_lists
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
class Work(ABC):
    """What a worker does with the rows of a part. It is sent to the workers, so it holds the bundle as its files.

    Attributes:
        files: the files of the bundle by name, as text and arrays.
        given: the columns of the rows, with their types.
        made: the columns of what is made of them, in types that Spark has.
    """

    files: dict[str, bytes]
    given: pa.Schema
    made: pa.Schema

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Score all rows of a part at once."""
        some = [batch for batch in batches if batch.num_rows]
        if some:
            table = self.scores(self.bundle(), typed(pa.Table.from_batches(some), self.given))[self.made.names]
            yield from pa.Table.from_pandas(table, preserve_index=False).cast(self.made).to_batches()

    def bundle(self) -> Bundle:
        """The bundle, loaded as from any folder: every byte is compared with its digest, and nothing is executed."""
        with tempfile.TemporaryDirectory(prefix="crmml-bundle-") as folder:
            for name, content in self.files.items():
                (Path(folder) / name).write_bytes(content)
            return Bundle.load(folder)

    @abstractmethod
    def scores(self, bundle: Bundle, rows: pa.Table) -> pd.DataFrame:
        """What the bundle makes of the rows."""


@dataclass(frozen=True)
class TableWork(Work):
    """Scores of features.

    Attributes:
        details: whether to give what the model says besides the scores.
        levels: what `at_levels` holds, where the model needs them; None to make the rows that decide them.
    """

    details: bool
    levels: Levels | None

    def scores(self, bundle: Bundle, rows: pa.Table) -> pd.DataFrame:
        """The scores of the features."""
        X: pd.DataFrame = converted(rows, "pandas")
        return made_of(bundle, X, self.details, self.levels)


@dataclass(frozen=True)
class ListWork(Work):
    """Lists for customers whose items are known.

    Attributes:
        cutoffs: the cutoffs.
        k: the length of a list.
    """

    cutoffs: tuple[pd.Timestamp, ...]
    k: int

    def scores(self, bundle: Bundle, rows: pa.Table) -> pd.DataFrame:
        """The lists of the customers."""
        asked = {at: _asked(rows.filter(pc.equal(rows["as_of"], pa.scalar(at, AS_OF)))) for at in self.cutoffs}
        return dated_lists(bundle, asked, self.k)


def _asked(rows: pa.Table) -> Asked:
    """Who is asked, and what they have seen, as of one cutoff."""
    seen = rows.filter(pc.is_valid(rows["item_id"])).select(["customer_id", "item_id"])
    return Asked(pd.Index(rows["customer_id"].to_pandas().unique()), seen.to_pandas())


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

    @cached_property
    def _sent(self) -> tuple[dict[str, bytes], pa.Schema]:
        """The files of the bundle and the columns of the features; the same where levels are looked for first."""
        return self._bundle._encoded(), self._table.schema()

    def rows(self, parts: Parts) -> Numbered:
        """The scores of the parts that are missing, each with the number of the part."""
        levels = None
        if needs_levels(self._bundle.model):
            found = [rows for _, rows in self._made(None, parts, range(parts.of))]
            levels = levels_of(self._bundle.model, pd.concat(found))
        yield from self._made(levels, parts, parts.missing)

    def _made(self, levels: Levels | None, parts: Parts, wanted: Sequence[int]) -> Numbered:
        """What the workers make of the features, part by part."""
        files, features = self._sent
        made = self._columns(features, levels)
        work = TableWork(files, features, _on_spark(made), self._details, levels)
        return _written(self._table, self._engine, work, made, parts=parts, wanted=wanted)

    def _columns(self, features: pa.Schema, levels: Levels | None) -> pa.Schema:
        """The columns of the result and their types, learned from a row of no customer."""
        names = list(self._table.features.names)
        index = pd.MultiIndex.from_arrays([[0], pd.DatetimeIndex([self._at])], names=list(KEYS))
        ones = pd.DataFrame(np.ones((1, len(names))), index=index, columns=names)
        made = arrow_of(made_of(self._bundle, ones, self._details, levels), {}).schema
        return pa.schema([*(features.field(key) for key in KEYS), *(field for field in made if field.name not in KEYS)])


class SparkLists(Lists):
    """Lists that Spark's workers make: each knows what the customers of its part have seen, and the whole model.

    Args and attributes as `Lists`; `engine` is where the lists are made.
    """

    def __init__(
        self, bundle: Bundle, log: InteractionLog, cutoffs: Sequence[pd.Timestamp], k: int, engine: SparkEngine
    ) -> None:
        assert isinstance(bundle.features, ItemWeights)  # noqa: S101 (others have tables)
        self._table = seen_table(log, bundle.features, cutoffs, bundle.target)
        super().__init__(bundle, cutoffs, k, self._table.customers())
        self._engine = engine

    def parts(self, asked: int | None) -> int:
        """As of other lists; and what its customers have seen, for which a worker has to have room, bounds a part."""
        seen = self._table.log.facts.rows * len(self._table.cutoffs)
        return asked or min(max(super().parts(None), -(-seen // LINES_PER_PART)), MOST_PARTS)

    def rows(self, parts: Parts) -> Numbered:
        """The lists of the parts that are missing, each with the number of the part."""
        given = self._table.schema()
        made = self._columns(given)
        work = ListWork(self._bundle._encoded(), given, _on_spark(made), self._table.cutoffs, self._k)
        return _written(self._table, self._engine, work, made, parts=parts, wanted=parts.missing)

    def _columns(self, given: pa.Schema) -> pa.Schema:
        """The columns of the lists and their types, learned from a list of this machine.

        Where the ids of the log are of another type than the model's, that is found here as well.
        """
        one = self._table.example().append_column("as_of", pa.array([self._table.cutoffs[0]], AS_OF))
        made = arrow_of(dated_lists(self._bundle, {self._table.cutoffs[0]: _asked(one)}, 1), {}).schema
        return pa.schema([*(given.field(key) for key in KEYS), *(field for field in made if field.name not in KEYS)])


def _written(
    table: Table, engine: SparkEngine, work: Work, made: pa.Schema, *, parts: Parts, wanted: Sequence[int]
) -> Numbered:
    """What the workers make of a table, in parts of which some are wanted; the rows of each in order of their keys."""
    files = table.write_on(engine, work, work.made, parts.place / WRITTEN, parts.of)
    order = [key for key in ROW if key in made.names]
    for number in wanted:
        file = files[number]
        found = made.empty_table() if file is None else typed(pq.read_table(file), made)
        yield number, found.to_pandas().sort_values(order, ignore_index=True)
    remove_tree(parts.place / WRITTEN)


def _on_spark(made: pa.Schema) -> pa.Schema:
    """The same columns in types that Spark has."""
    return pa.schema([pa.field(field.name, _spark_type(field.type)) for field in made])


def _spark_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
        return pa.string()
    return _WIDER.get(kind, kind)

"""One table to build: which features, of whom, as of when, with which label; its text and its rows."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
from sqlglot import exp

from crmml.data.engine import EngineError
from crmml.data.spark_engine import DIALECT, KEPT
from crmml.errors import DataError
from crmml.features.dialects import text_of
from crmml.features.execute import Piece, pieces, shares_of, sorted_by_keys
from crmml.features.feature_set import FeatureSet
from crmml.features.labels import LABELS, label_of, labels_steps, population_step
from crmml.features.outputs import Shape, converted
from crmml.features.plan import POPULATION, Plan, Text
from crmml.features.targets import Population, Target
from crmml.features.validity import explain_values

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog
    from crmml.data.spark_engine import SparkEngine

LABEL = "label"


@dataclass(frozen=True)
class Table:
    """The features of a population as of cutoffs; with a target, its label too.

    One row per customer and cutoff, sorted by both.
    """

    log: "InteractionLog"
    features: FeatureSet
    cutoffs: tuple[pd.Timestamp, ...]
    population: Population | None = None
    target: Target | None = None
    # Where the text runs; the embedded engine of the log by default.
    engine: "SparkEngine | None" = None
    shape: Shape = field(default_factory=Shape)

    def text(self, cutoffs: Sequence[pd.Timestamp]) -> Text:
        """The SQL text as of some of the cutoffs."""
        plan = Plan(self.log, cutoffs)
        columns = self.features.sql_by_column(plan)
        if self.population is None:
            return plan.write(columns)
        self.population.check(self.log)
        before = [population_step(plan, self.population)]
        if self.target is None:
            return plan.write(columns, before=before, base=POPULATION)
        columns[LABEL] = label_of(self.target)
        after = labels_steps(plan, self.target)
        return plan.write(columns, before=before, after=after, base=POPULATION, joined=[LABELS])

    def shares(self) -> int:
        """Into how many shares the customers are divided."""
        return len(shares_of(self.log, self.text(self.cutoffs[:1]).until_coded()))

    def check_shape(self) -> None:
        """Raise a ConfigError where the table cannot have its shape, before anything is built."""
        self.shape.check(self.features.names)
        if self.shape.categories:
            self.shape.check_types(self._none().schema)

    def pieces(
        self,
        *,
        shares: int | None = None,
        done: Callable[[int, pd.Timestamp], bool] | None = None,
        progress: bool | None = None,
        together: bool = False,
    ) -> Iterator[Piece]:
        """The table piece by piece, without those that are `done` already; in fewer pieces if `together` is cheaper."""
        from tqdm import tqdm

        until = self.cutoffs[-1] + (self.target.reach if self.target else pd.Timedelta(0))
        disable = None if progress is None else not progress
        found = pieces(
            self.log,
            lambda as_of: self.text([as_of]),
            self.cutoffs,
            until=until,
            shares=shares,
            done=done,
            together=together,
        )
        with self._explained(), tqdm(desc="features", leave=False, disable=disable) as bar:
            for piece in found:
                bar.total = piece.of * len(self.cutoffs)
                yield piece
                bar.update(piece.number * len(self.cutoffs) + self.cutoffs.index(piece.as_of) + 1 - bar.n)

    def arrow(self, *, progress: bool | None = None) -> pa.Table:
        """All rows, sorted by customer and cutoff."""
        if self.engine is not None:
            return self.shape.of(self._on(self.engine))
        found = [self.shape.of(piece.table) for piece in self.pieces(progress=progress, together=True)]
        return found[0] if len(found) == 1 else sorted_by_keys(found)

    def count(self) -> int:
        """The number of rows, counted by the engine over the whole log at once."""
        rows = self.text(self.cutoffs).whole()
        rows.set("order", None)
        counted = exp.select(exp.alias_(exp.Count(this=exp.Star()), "n")).from_(rows.subquery("counted"))
        with self._explained():
            return int(self.log.engine.row(counted)["n"])

    def schema(self) -> pa.Schema:
        """The columns with their types."""
        return self.shape.of(self._none()).schema

    def _none(self) -> pa.Table:
        """A table without rows, as the embedded engine makes it."""
        with self._explained():
            return self.log.engine.arrow(self.text(self.cutoffs).whole().limit(0))

    def write_on(
        self,
        engine: "SparkEngine",
        each: Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]],
        schema: pa.Schema,
        path: Path,
        parts: int,
    ) -> list[Path | None]:
        """What the workers of an engine make of the rows, in files: see `SparkEngine.write`."""
        with self._explained():
            return engine.write(self.log, *self._texts(), each=each, schema=schema, path=path, parts=parts)

    def _on(self, engine: "SparkEngine") -> pa.Table:
        """The rows as another engine makes them, in the types of the embedded one."""
        schema = self._none().schema
        with self._explained():
            return engine.arrow(self.log, *self._texts(), schema)

    def _texts(self) -> tuple[list[tuple[str, str]], str]:
        """The steps until what is kept, and the text that reads it, for another engine."""
        text = self.text(self.cutoffs)
        steps = [(step.name, text_of(step.query, DIALECT)) for step in text.steps[: text.coded + 1]]
        return steps, text_of(text.from_coded(exp.select("*").from_(KEPT)), DIALECT)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what an engine says into what is wrong with the log."""
        try:
            yield
        except EngineError as error:
            label = self.target.label_column if self.target else None
            columns = [*(name for feature in self.features for name in feature.numbers), *([label] if label else [])]
            explain_values(self.log, columns)
            raise DataError(
                f"the table cannot be built: {error}. Run log.check() to see what the log holds."
            ) from error

    def frame(self) -> pd.DataFrame:
        """All rows as a frame with the index (`customer_id`, `as_of`)."""
        frame: pd.DataFrame = converted(self.arrow(), "pandas")
        return frame

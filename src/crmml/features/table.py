"""One table to build: which features, of whom, as of when, with which label; its text and its rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from crmml.data.engine import EngineError
from crmml.errors import DataError
from crmml.features.execute import Piece, pieces
from crmml.features.feature_set import FeatureSet
from crmml.features.labels import LABELS, label_of, labels_steps, population_step
from crmml.features.plan import KEYS, POPULATION, Plan, Text
from crmml.features.targets import Population, Target
from crmml.features.validity import explain_values

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

LABEL = "label"
AS_OF = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Table:
    """The features of a population as of cutoffs; with a target, its label too.

    One row per customer and cutoff, sorted by both.
    """

    log: "InteractionLog"
    features: FeatureSet
    cutoffs: Sequence[pd.Timestamp]
    population: Population | None = None
    target: Target | None = None

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

    def pieces(self) -> Iterator[Piece]:
        """The table piece by piece."""
        until = self.cutoffs[-1] + (self.target.reach if self.target else pd.Timedelta(0))
        try:
            yield from pieces(self.log, lambda as_of: self.text([as_of]), self.cutoffs, until=until)
        except EngineError as error:
            label = self.target.label_column if self.target else None
            columns = [*(name for feature in self.features for name in feature.numbers), *([label] if label else [])]
            explain_values(self.log, columns)
            raise DataError(
                f"the table cannot be built: {error}. Run log.check() to see what the log holds."
            ) from error

    def arrow(self) -> pa.Table:
        """All rows, sorted by customer and cutoff."""
        found = [piece.table for piece in self.pieces()]
        table = found[0] if len(found) == 1 else _sorted(found)
        position = table.column_names.index("as_of")
        return table.set_column(position, "as_of", table["as_of"].cast(pa.timestamp("us")).cast(AS_OF))

    def frame(self) -> pd.DataFrame:
        """All rows as a frame with the index (`customer_id`, `as_of`)."""
        frame: pd.DataFrame = self.arrow().to_pandas(self_destruct=True, split_blocks=True)
        return frame.set_index(list(KEYS))


def _sorted(tables: list[pa.Table]) -> pa.Table:
    """The tables as one, column by column, so that no two copies of all of them are in memory."""
    keys = pa.concat_tables([table.select(KEYS) for table in tables])
    positions = pc.sort_indices(keys, sort_keys=[(key, "ascending") for key in KEYS])
    columns = {}
    for name in tables[0].column_names:
        values = pa.chunked_array([chunk for table in tables for chunk in table[name].chunks], tables[0][name].type)
        columns[name] = values.take(positions).combine_chunks()
    return pa.table(columns)

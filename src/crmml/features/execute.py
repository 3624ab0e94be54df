"""Running a table's text on the embedded engine: share by share of the customers, cutoff by cutoff.

What all cutoffs need - reading the log, comparing texts, exact decimals - is done once and kept in a table, in order of
customer and time. Each share of the customers is a range of its rows, as many as fit into the memory that there is,
and each cutoff one query over them. A prepared log is kept file by file, and stands in that order already.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from crmml.data.engine import DIALECT
from crmml.data.sources import LOG, parquet
from crmml.data.sql import moment
from crmml.features.counting import counting
from crmml.features.expressions import column, microseconds, number
from crmml.features.in_order import is_in_order, looking_back, sorted_by_customer_and_time
from crmml.features.plan import AT, KEYS, Text

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

# What one value of `coded` takes, on average: flags 1 byte, numbers 8, texts 16 and more.
BYTES_PER_VALUE = 12
# The part of the memory limit that `coded` may fill; the rest is for groupings and the result.
SHARE_OF_MEMORY = 0.4


@dataclass(frozen=True)
class Piece:
    """The rows of some of the customers as of one cutoff."""

    number: int
    of: int
    as_of: pd.Timestamp
    table: pa.Table


@dataclass(frozen=True)
class Share:
    """Customers that are read together: those of a file of a prepared log, or a range of all."""

    number: int
    of: int
    file: exp.Expr | None = None


def pieces(
    log: "InteractionLog",
    text_of: Callable[[pd.Timestamp], Text],
    cutoffs: Sequence[pd.Timestamp],
    *,
    until: pd.Timestamp,
    shares: int | None = None,
    done: Callable[[int, pd.Timestamp], bool] | None = None,
) -> Iterator[Piece]:
    """The table, piece by piece: the same pieces, in the same order, for the same log and memory limit.

    Args:
        log: the interactions.
        text_of: the text of the table as of one cutoff.
        cutoffs: the cutoffs.
        until: no event at or after this moment is read.
        shares: into how many shares the customers of an unprepared log are divided, where that is known already.
        done: whether a piece is there already; it is left out.
    """
    texts = {as_of: text_of(as_of) for as_of in cutoffs}
    coded = texts[cutoffs[0]].until_coded()
    with Kept(log, coded, until) as kept:
        for share in shares_of(log, coded, shares):
            wanted = [as_of for as_of in cutoffs if not (done and done(share.number, as_of))]
            for as_of in wanted:
                rows = log.engine.arrow(kept.text_of(share, texts[as_of]))
                yield Piece(share.number, share.of, as_of, sorted_by_keys([rows]))


def shares_of(log: "InteractionLog", coded: exp.Select, of: int | None = None) -> list[Share]:
    """How the customers of `log` are divided: by its buckets, `of` so many, or by what `coded` takes of the memory."""
    files = log.bucket_files
    if files is not None:
        return [Share(number, len(files), parquet([file])) for number, file in enumerate(files)]
    if of is None:
        size = log.facts.rows * len(coded.selects) * BYTES_PER_VALUE
        of = max(1, -int(-size // (log.engine.memory_limit * SHARE_OF_MEMORY)))
    return [Share(number, of) for number in range(of)]


class Kept:
    """The table that holds `coded`: of the whole log, or of the file of one share after the other."""

    def __init__(self, log: "InteractionLog", coded: exp.Select, until: pd.Timestamp) -> None:
        self._engine = log.engine
        self._coded = coded
        self._until = until
        self._file: exp.Expr | None = None
        self._table: str | None = None
        # Every table gets the name of the first, so that files of a log share their texts.
        self._name: str | None = None
        self._texts: dict[tuple[Text, bool], str] = {}
        self._in_order = False
        # Where the shares begin in the table, and where the last ends.
        self._starts: list[int] | None = None

    def __enter__(self) -> "Kept":
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    def _drop(self) -> None:
        if self._table is not None:
            self._engine.drop_table(self._table)
            self._table = None

    def text_of(self, share: Share, text: Text) -> exp.Select | str:
        """The text of the rows of a share, which reads what is kept for it."""
        table = self._table
        if table is None or share.file is not self._file:
            table = self._keep(share)
        if share.file is None:
            return self._written(table, share, text)
        key = (text, self._in_order)
        if key not in self._texts:
            self._texts[key] = self._written(table, share, text).sql(DIALECT)
        return self._texts[key]

    def _written(self, table: str, share: Share, text: Text) -> exp.Select:
        rows = exp.select("*").from_(table)
        if share.file is None and share.of > 1:
            rows = rows.where(*self._range(table, share))
        query = text.from_coded(rows)
        # What comes out is sorted as columns, which is several times cheaper than as rows.
        query.set("order", None)
        # The steps are those of the text itself, which the next file may have to read without this order.
        query = counting(query if share.file is None else query.copy())
        return looking_back(query) if self._in_order else query

    def _keep(self, share: Share) -> str:
        """Read the log, or the file of a share, into a table in place of the one that is there."""
        self._drop()
        query = _read(self._coded.copy(), share.file, self._until)
        # What is prepared stands in this order; only cleaning may have taken it away, and that is looked at.
        query = query if share.file is not None else sorted_by_customer_and_time(query)
        table: str = self._engine.create_table(query, self._name)
        self._table = self._name = table
        self._file = share.file
        self._in_order = bool(self._engine.row(is_in_order(table))["in_order"])
        return table

    def _range(self, table: str, share: Share) -> list[exp.Expr]:
        """The rows of a share: from its first customer's first to the next share's."""
        if self._starts is None:
            self._starts = self._find_starts(table, share.of)
        row, (start, end) = column("rowid"), self._starts[share.number : share.number + 2]
        return [exp.GTE(this=row, expression=number(start)), exp.LT(this=row.copy(), expression=number(end))]

    def _find_starts(self, table: str, of: int) -> list[int]:
        """The first row of each share, and the number of rows: as many rows in each as whole customers allow."""
        rows = int(self._engine.row(exp.select(exp.alias_(exp.Count(this=exp.Star()), "n")).from_(table))["n"])
        positions = [number(rows * share // of) for share in range(1, of)]
        customers = exp.select("customer_id").from_(table).where(column("rowid").isin(*positions))
        first = exp.alias_(exp.Min(this=column("rowid")), "start")
        query = exp.select(first).from_(table).where(column("customer_id").isin(query=customers))
        found = self._engine.rows(query.group_by("customer_id").order_by("start"))
        # A customer may be larger than a share: some are without customers then.
        starts = [0, *(int(row["start"]) for row in found)]
        return [*starts, *[rows] * (of + 1 - len(starts))]


def _read(coded: exp.Select, file: exp.Expr | None, until: pd.Timestamp) -> exp.Select:
    """The text of `coded` for the events until a moment, of the log or of one of its files."""
    if file is not None:
        for table in list(coded.find_all(exp.Table)):
            if table.name == LOG:
                table.replace(file.copy())
    before = exp.LT(this=column(AT), expression=microseconds(moment(until.to_pydatetime())))
    return exp.select("*").from_(coded.subquery("coded")).where(before)


def sorted_by_keys(tables: list[pa.Table]) -> pa.Table:
    """The rows of tables in order of customer and cutoff: column by column, so that few are in memory twice."""
    every = pa.concat_tables(tables)
    positions = pc.sort_indices(every.select(KEYS), sort_keys=[(key, "ascending") for key in KEYS])
    if np.array_equal(positions, np.arange(every.num_rows)):
        return every  # Shares are ranges of customers: as of one cutoff they follow each other.
    return pa.table({name: every[name].combine_chunks().take(positions) for name in every.column_names})

"""The events of some customers: answered in one pass over the log where that can be, else kept in a table first.

One pass over ordered events answers the groupings that `stream` knows; the engine answers the others, and needs a
table for that, since it reads the events once for each. So do several cutoffs, which all read the same events.
"""

import os
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
from sqlglot import exp

from crmml.data.engine import DIALECT
from crmml.data.sources import LOG, parquet
from crmml.data.sql import moment
from crmml.features.counting import counting
from crmml.features.expressions import column, microseconds, number
from crmml.features.in_order import is_in_order, looking_back, sorted_by_customer_and_time
from crmml.features.plan import AT, Text
from crmml.features.stream.batches import answer, rows_within, whole_customers
from crmml.features.stream.columns import Answer
from crmml.features.stream.last import finished
from crmml.features.stream.left import answers_all, events_of, left_of, program_of, selecting
from crmml.features.stream.parts import SIZE, Parts
from crmml.features.stream.program import Events, Program
from crmml.features.stream.reading import Reading, batches_of, rows_of
from crmml.features.stream.rows import Unknown

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog


@dataclass(frozen=True)
class Share:
    """Customers that are read together: those of some files of a prepared log, or a range of all."""

    number: int
    of: int
    files: tuple[Path, ...] = ()

    @property
    def is_range(self) -> bool:
        """Whether it is a part of what is read from the log at once."""
        return not self.files and self.of > 1


class Kept:
    """What is read of the log: `coded` of all of it, or of the file of one share after the other.

    Args:
        once: whether there is one text only, so that nothing has to be kept for another.
    """

    def __init__(self, log: "InteractionLog", coded: exp.Select, until: pd.Timestamp, *, once: bool) -> None:
        self._log = log
        self._engine = log.engine
        self._coded = coded
        self._until = until
        self._once = once
        self._files: tuple[Path, ...] = ()
        self._table: str | None = None
        # Every table gets the name of the first, so that files of a log share their texts.
        self._name: str | None = None
        self._texts: dict[tuple[Text, bool], str] = {}
        self._programs: dict[Text, Program | None] = {}
        self._readings: dict[Text, Reading | None] = {}
        # The name of the table that holds what one pass has found.
        self._found = log.engine.new_name("found")
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

    def rows_of(self, share: Share, text: Text) -> pa.Table:
        """The rows of the table of a text, for the customers of a share, in any order."""
        program = self._program(text)
        rows = self._from_log(share, text, program) if program and self._once and not share.is_range else None
        return rows if rows is not None else self._from_table(share, text, program)

    def _program(self, text: Text) -> Program | None:
        if text not in self._programs:
            self._programs[text] = program_of(text)
        return self._programs[text]

    def _from_log(self, share: Share, text: Text, program: Program) -> pa.Table | None:
        """By one pass over the log itself; None where that does not answer everything."""
        if answers_all(text, program):
            found = self._read_here(share, text, program) or self._pass(text, program, self._read(share))
            if found and found.in_order and (rows := self._finished(text, found)) is not None:
                return rows
        self._once = False
        return None

    def reads_here(self, text: Text) -> bool:
        """Whether one pass over the files of a prepared log, as Arrow reads them, should answer everything."""
        program = self._program(text)
        return program is not None and answers_all(text, program) and self._reading(text, program) is not None

    def _reading(self, text: Text, program: Program) -> Reading | None:
        if text not in self._readings:
            try:
                self._readings[text] = Reading(text, program.reads)
            except Unknown:
                self._readings[text] = None
        return self._readings[text]

    def _read_here(self, share: Share, text: Text, program: Program) -> Answer | None:
        """What one pass finds of the log as Arrow reads it; None where that, or what it reads, is not known."""
        reading, source = self._reading(text, program), self._log.arrow_source
        if reading is None or source is None:
            return None
        rows, threads = self._at_once()
        # What cannot be read, the engine says in its own words.
        with suppress(Unknown, pa.ArrowException, OSError):
            if share.files:
                files = (whole_customers(batches_of([file], reading.columns, rows), rows) for file in share.files)
                prepared = (partial(reading.of, batch) for batches in files for batch in batches)
                return answer(program, prepared, threads=threads)
            size = min(rows, SIZE)
            parts = Parts(reading.names, rows_of(source), size)
            for batch in batches_of(source, reading.columns, size):
                parts.add(reading.of(batch))
            return answer(program, iter(parts), threads=threads)
        return None

    def _from_table(self, share: Share, text: Text, program: Program | None) -> pa.Table:
        """By one pass over the table that is kept, and the engine for what that does not know."""
        table = self._table
        if table is None or share.files != self._files:
            table = self._keep(share)
        rows = exp.select("*").from_(table)
        if share.is_range:
            rows = rows.where(*self._range(table, share))
        found = self._pass(text, program, rows) if program and self._in_order else None
        if found and found.types and (table := self._finished(text, found, rows)) is not None:
            return table
        return self._engine.arrow(self._text_of(share, text, rows))

    def _pass(self, text: Text, program: Program, rows: exp.Select) -> Answer | None:
        """What one pass finds of the events that `rows` of `coded` give."""
        size, threads = self._at_once()
        # Closed whatever happens: until then no other query runs.
        with closing(self._engine.stream(events_of(text, program).from_coded(rows), rows=size)) as events:
            batches = (partial(Events.of, batch) for batch in whole_customers(events, size))
            return answer(program, batches, threads=threads)

    def _at_once(self) -> tuple[int, int]:
        """How many events are worked on at once by a thread, and by how many threads."""
        # Where the engine reads, its own threads do so at the same time.
        threads = max(1, (self._engine.threads or os.cpu_count() or 1) // 2)
        return rows_within(self._engine.memory_limit, threads), threads

    def _finished(self, text: Text, found: Answer, rows: exp.Select | None = None) -> pa.Table | None:
        """The rows of the table of a text, of what one pass has found, and what the engine finds of the others.

        None where that has to read the events, and no rows of a table are given.
        """
        columns = finished(text.query, found)
        others = [each for each in text.query.expressions if each.alias_or_name not in columns]
        if others:
            left = left_of(Text(text.steps, selecting(text.query, others)), self._found, found.types)
            if left.reads_events and rows is None:
                return None
            # Where some columns are there already the engine reads what was found, in its order, and nothing else.
            query = self._run_on(rows, left) if rows is not None and left.reads_events else left.whole()
            columns |= self._rest(found, query)
        return pa.table({each.alias_or_name: columns[each.alias_or_name] for each in text.query.expressions})

    def _rest(self, found: Answer, query: exp.Select) -> dict[str, pa.ChunkedArray]:
        self._engine.register(self._found, found.table)
        try:
            query.set("order", None)
            table = self._engine.arrow(query)
            return dict(zip(table.column_names, table.columns, strict=True))
        finally:
            self._engine.unregister(self._found)

    def _text_of(self, share: Share, text: Text, rows: exp.Select) -> exp.Select | str:
        """The text of the rows of a share, which reads what is kept for it."""
        if not share.files:
            return self._run_on(rows, text)
        key = (text, self._in_order)
        if key not in self._texts:
            # The steps are those of the text itself, which the next file may have to read without this order.
            self._texts[key] = self._run_on(rows, text, copy=True).sql(DIALECT)
        return self._texts[key]

    def _run_on(self, rows: exp.Select, text: Text, *, copy: bool = False) -> exp.Select:
        """A text on the rows of a table, as the embedded engine likes it."""
        query = text.from_coded(rows)
        # What comes out is sorted as columns, which is several times cheaper than as rows.
        query.set("order", None)
        query = counting(query.copy() if copy else query)
        return looking_back(query) if self._in_order else query

    def _keep(self, share: Share) -> str:
        """Read the log, or the file of a share, into a table in place of the one that is there."""
        self._drop()
        table: str = self._engine.create_table(self._read(share), self._name)
        self._table = self._name = table
        self._files = share.files
        self._in_order = bool(self._engine.row(is_in_order(table))["in_order"])
        return table

    def _read(self, share: Share) -> exp.Select:
        """The text of `coded` for the events of a log or of one of its files, in order of customer and time."""
        coded = self._coded.copy()
        if share.files:
            for table in list(coded.find_all(exp.Table)):
                if table.name == LOG:
                    table.replace(parquet(share.files))
        before = exp.LT(this=column(AT), expression=microseconds(moment(self._until.to_pydatetime())))
        query = exp.select("*").from_(coded.subquery("coded")).where(before)
        # A file of a prepared log stands in this order; only cleaning may have taken it away, and that is looked at.
        return query if len(share.files) == 1 else sorted_by_customer_and_time(query)

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

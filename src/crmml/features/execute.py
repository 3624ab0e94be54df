"""Running a table's text on the embedded engine: share by share of the customers, cutoff by cutoff.

What all cutoffs need - reading the log, comparing texts, exact decimals - is done once per share and kept in a table;
each cutoff is then one query over it. Shares are taken by customer, so that every customer's events are together; how
many there are follows from the memory that there is.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
from sqlglot import exp

from crmml.data.sources import LOG, parquet
from crmml.data.sql import moment
from crmml.features.expressions import column, microseconds, number
from crmml.features.plan import AT, Text

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
    """The customers whose events are read together: a file of a prepared log, or a share of any log by hash."""

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
    for share in shares_of(log, coded, shares):
        wanted = [as_of for as_of in cutoffs if not (done and done(share.number, as_of))]
        if not wanted:
            continue
        table = log.engine.create_table(_read(coded.copy(), share, until))
        try:
            for as_of in wanted:
                rows = log.engine.arrow(texts[as_of].from_coded(table))
                yield Piece(share.number, share.of, as_of, rows)
        finally:
            log.engine.drop_table(table)


def shares_of(log: "InteractionLog", coded: exp.Select, of: int | None = None) -> list[Share]:
    """How the customers of `log` are divided: by its buckets, `of` so many, or by what `coded` takes of the memory."""
    files = log.bucket_files
    if files is not None:
        return [Share(number, len(files), parquet([file])) for number, file in enumerate(files)]
    if of is None:
        size = log.facts.rows * len(coded.selects) * BYTES_PER_VALUE
        of = max(1, -int(-size // (log.engine.memory_limit * SHARE_OF_MEMORY)))
    return [Share(number, of) for number in range(of)]


def _read(coded: exp.Select, share: Share, until: pd.Timestamp) -> exp.Select:
    """The text of `coded` for the customers of a share alone."""
    if share.file is not None:
        for table in list(coded.find_all(exp.Table)):
            if table.name == LOG:
                table.replace(share.file.copy())
    before = exp.LT(this=column(AT), expression=microseconds(moment(until.to_pydatetime())))
    query = exp.select("*").from_(coded.subquery("coded")).where(before)
    if share.file is None and share.of > 1:
        hashed = exp.Anonymous(this="hash", expressions=[column("customer_id")])
        share_of = exp.Mod(this=hashed, expression=number(share.of))
        query = query.where(exp.EQ(this=share_of, expression=number(share.number)))
    return query

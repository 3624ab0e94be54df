"""Running a table's text on the embedded engine: share by share of the customers, cutoff by cutoff.

What all cutoffs need - reading the log, comparing texts, exact decimals - is done once and kept in a table, in order of
customer and time. Each share of the customers is a range of its rows, as many as fit into the memory that there is,
and each cutoff one pass over them. A prepared log is read file by file, and stands in that order already.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from crmml.features.kept import Kept, Share
from crmml.features.plan import KEYS, Text

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


def pieces(
    log: "InteractionLog",
    text_of: Callable[[pd.Timestamp], Text],
    cutoffs: Sequence[pd.Timestamp],
    *,
    until: pd.Timestamp,
    shares: int | None = None,
    done: Callable[[int, pd.Timestamp], bool] | None = None,
    together: bool = False,
) -> Iterator[Piece]:
    """The table, piece by piece: the same pieces, in the same order, for the same log and memory limit.

    Args:
        log: the interactions.
        text_of: the text of the table as of one cutoff.
        cutoffs: the cutoffs.
        until: no event at or after this moment is read.
        shares: into how many shares the customers of an unprepared log are divided, where that is known already.
        done: whether a piece is there already; it is left out.
        together: whether shares may be read together where that is cheaper.
    """
    texts = {as_of: text_of(as_of) for as_of in cutoffs}
    coded = texts[cutoffs[0]].until_coded()
    with Kept(log, coded, until, once=len(cutoffs) == 1) as kept:
        divided = shares_of(log, coded, shares)
        if together and len(cutoffs) == 1 and kept.reads_here(texts[cutoffs[0]]):
            divided = joined(divided, _least_shares(log, coded))
        for share in divided:
            wanted = [as_of for as_of in cutoffs if not (done and done(share.number, as_of))]
            for as_of in wanted:
                rows = kept.rows_of(share, texts[as_of])
                yield Piece(share.number, share.of, as_of, sorted_by_keys([rows]))


def shares_of(log: "InteractionLog", coded: exp.Select, of: int | None = None) -> list[Share]:
    """How the customers of `log` are divided: by its buckets, `of` so many, or by what `coded` takes of the memory."""
    files = log.bucket_files
    if files is not None:
        return [Share(number, len(files), (file,)) for number, file in enumerate(files)]
    of = of or _least_shares(log, coded)
    return [Share(number, of) for number in range(of)]


def _least_shares(log: "InteractionLog", coded: exp.Select) -> int:
    """How many shares there have to be, for what is read of one to fit into the memory."""
    size = log.facts.rows * len(coded.selects) * BYTES_PER_VALUE
    return max(1, -int(-size // (log.engine.memory_limit * SHARE_OF_MEMORY)))


def joined(shares: Sequence[Share], least: int) -> list[Share]:
    """Shares of files, put together to as few as memory allows.

    >>> from pathlib import Path
    >>> [len(share.files) for share in joined([Share(n, 5, (Path(str(n)),)) for n in range(5)], least=2)]
    [2, 2, 1]
    """
    size = max(1, len(shares) // least)
    files = [file for share in shares for file in share.files]
    groups = [tuple(files[start : start + size]) for start in range(0, len(files), size)]
    return [Share(number, len(groups), group) for number, group in enumerate(groups)] or list(shares)


def sorted_by_keys(tables: list[pa.Table]) -> pa.Table:
    """The rows of tables in order of customer and cutoff: column by column, so that few are in memory twice."""
    every = pa.concat_tables(tables)
    positions = pc.sort_indices(every.select(KEYS), sort_keys=[(key, "ascending") for key in KEYS])
    if np.array_equal(positions, np.arange(every.num_rows)):
        return every  # Shares are ranges of customers: as of one cutoff they follow each other.
    return pa.table({name: every[name].combine_chunks().take(positions) for name in every.column_names})

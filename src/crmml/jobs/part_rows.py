"""The rows of a scoring job, part by part: the same rows, in the same order, as `Bundle.score` gives at once.

A part holds whole customers, all cutoffs of each. Of an unprepared log the customers are divided in the order of their
ids, into ranges with about as many events each; of a prepared log as it is divided already, file by file.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from crmml.bundle import Bundle
from crmml.bundle.lists import Asked
from crmml.bundle.scoring import nobody, score_rows, watched
from crmml.data.log import InteractionLog
from crmml.errors import ConfigError, DataError
from crmml.features.datasets import count_customers, feature_table
from crmml.features.execute import Piece, sorted_by_keys
from crmml.features.feature_set import FeatureSet
from crmml.features.interactions import ItemWeights
from crmml.features.outputs import converted
from crmml.features.targets import Population
from crmml.jobs.part_files import Finished, Parts
from crmml.models._levels import at_levels, level_rows, levels_of, needs_levels

# The values of the features of one part: 200,000 rows of 60 features, half a gigabyte with all that is made of them.
VALUES_PER_PART = 12_000_000
# The rows of lists in one part.
LINES_PER_PART = 2_000_000
# The number of a part has five digits in its name.
MOST_PARTS = 10_000

Numbered = Iterator[tuple[int, pd.DataFrame]]


class TableRows:
    """The scores of a table of features.

    Args:
        bundle: what scores.
        log: the log, cleaned as the bundle wants it.
        cutoffs: the cutoffs.
        details: whether to give what the model says besides.

    Attributes:
        expected: how many rows there have to be, counted in the log.
        left: how many customers have left before, where the target tells.

    Raises:
        DataError: nobody is to be scored; and as `Bundle.score`.
    """

    def __init__(self, bundle: Bundle, log: InteractionLog, cutoffs: Sequence[pd.Timestamp], details: bool) -> None:
        assert isinstance(bundle.features, FeatureSet)  # noqa: S101 (a recommender has lists)
        self._bundle, self._details = bundle, details
        population = None if bundle.target is None else bundle.target.population
        self._table = feature_table(log, bundle.features, cutoffs, population)
        self._files = None if log.bucket_files is None else len(log.bucket_files)
        self.expected = sum(count_customers(log, cutoffs, population))
        if not self.expected:
            raise nobody(bundle.target, cutoffs)
        ever = watched(bundle.target)
        self.left = None
        if ever is not None:
            everyone = sum(count_customers(log, cutoffs, Population(event_type=ever.event_type)))
            self.left = everyone - self.expected

    def parts(self, asked: int | None) -> int:
        """Into how many parts the customers are divided, where `asked` does not say it."""
        wanted = -(-self.expected * len(self._table.features.names) // VALUES_PER_PART)
        if self._files is None:
            return asked or wanted
        if asked is not None and asked > self._files:
            raise ConfigError(
                f"score: parts is {asked}, but the prepared log has {self._files} files, and each is read as a whole. "
                f"Use parts={self._files}, or prepare the log with buckets={asked}."
            )
        return asked or min(wanted, self._files)

    def rows(self, parts: Parts) -> Numbered:
        """The scores of the parts that are missing, each with the number of the part."""
        shares = parts.said.get("shares")
        if shares is None:
            # With more memory they would be others: a job that goes on takes those that it began with.
            shares = (
                self._table.shares() if self._files is not None else parts.of * -(-self._table.shares() // parts.of)
            )
            parts.note(shares=shares)
        model = self._bundle.model
        if needs_levels(model) and parts.of > 1:
            if "levels" not in parts.said:
                parts.note(levels=self._levels(shares, parts.of))
            model = at_levels(model, {int(at): level for at, level in parts.said["levels"].items()})
        for number, X in self._features(shares, parts.of, set(parts.missing).__contains__):
            yield number, score_rows(model, self._bundle.target, X, details=self._details)

    def counted(self, part: Finished) -> int:
        """How many of those that are expected a part holds."""
        return part.rows

    def check(self, parts: Sequence[Finished], shown: Path) -> None:
        """Compare what was written with what was counted in the log; raise a DataError where it is not the same."""
        found = sum(part.rows for part in parts)
        if found != self.expected:
            raise _others(shown, self.expected, found)

    def _levels(self, shares: int, of: int) -> dict[str, float]:
        """What a score depends on besides its own row, from all rows, which are not kept."""
        model = self._bundle.model
        found = [level_rows(model, X) for _, X in self._features(shares, of, lambda _: True) if len(X)]
        return {str(at): level for at, level in levels_of(model, pd.concat(found)).items()}

    def _features(self, shares: int, of: int, wanted: Callable[[int], bool]) -> Numbered:
        """The features of the parts that are wanted."""

        def part_of(share: int) -> int:
            return share * of // shares

        def found(piece: Piece) -> int:
            return part_of(piece.number)

        pieces = self._table.pieces(shares=shares, done=lambda share, _: not wanted(part_of(share)), progress=False)
        for number, some in groupby(pieces, key=found):
            yield number, _frame([self._table.shape.of(piece.table) for piece in some])


class Lists(ABC):
    """Recommended lists, wherever they are made.

    Args and attributes as `TableRows`; `k` is the length of a list. There may be fewer rows than `expected`, which is
    of customers: who has seen everything gets no list.

    Raises:
        DataError: nobody is to get a list.
    """

    def __init__(self, bundle: Bundle, cutoffs: Sequence[pd.Timestamp], k: int, expected: int) -> None:
        self._bundle, self._k = bundle, k
        self.expected, self.left = expected, None
        if not expected:
            raise nobody(bundle.target, cutoffs)

    def parts(self, asked: int | None) -> int:
        """Into how many parts the customers are divided, where `asked` does not say it."""
        return asked or -(-self.expected * self._k // LINES_PER_PART)

    @abstractmethod
    def rows(self, parts: Parts) -> Numbered:
        """The lists of the parts that are missing, each with the number of the part."""

    def counted(self, part: Finished) -> int:
        """How many of those that are expected a part holds."""
        return part.customers

    def check(self, parts: Sequence[Finished], shown: Path) -> None:
        """Compare what was written with what was counted in the log; raise a DataError where there is more."""
        found = sum(part.customers for part in parts)
        if found > self.expected:
            raise _others(shown, self.expected, found)


class ListRows(Lists):
    """Lists that this machine makes. Who gets one, and what they have seen, is read once for each cutoff, and kept."""

    def __init__(self, bundle: Bundle, log: InteractionLog, cutoffs: Sequence[pd.Timestamp], k: int) -> None:
        assert isinstance(bundle.features, ItemWeights)  # noqa: S101 (others have tables)
        self._asked = {at: Asked.of(log, bundle.features, bundle.target, as_of=at) for at in cutoffs}
        ids = [asked.customers for asked in self._asked.values()]
        super().__init__(bundle, cutoffs, k, sum(len(each) for each in ids))
        self._customers = pd.Index(np.sort(pd.Index(np.concatenate([each.to_numpy() for each in ids])).unique()))

    def rows(self, parts: Parts) -> Numbered:
        """The lists of the parts that are missing, each with the number of the part."""
        edges = [len(self._customers) * number // parts.of for number in range(parts.of + 1)]
        for number in parts.missing:
            some = self._customers[edges[number] : edges[number + 1]]
            yield number, dated_lists(self._bundle, {at: each.among(some) for at, each in self._asked.items()}, self._k)


def dated_lists(bundle: Bundle, asked: Mapping[pd.Timestamp, Asked], k: int) -> pd.DataFrame:
    """The lists of those asked as of each cutoff: a row per customer, cutoff and rank, sorted by them."""
    tables = []
    for at, each in asked.items():
        table = each.lists(bundle.target, bundle.model, k)
        table.insert(1, "as_of", pd.Series(at, index=table.index, dtype="datetime64[us, UTC]"))
        tables.append(table)
    found = pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
    return found.sort_values(["customer_id", "as_of", "rank"], ignore_index=True)


def checked_parts(parts: Any) -> int | None:
    """`parts` as the user gave it.

    Raises:
        ConfigError: it is no whole number of 1 or more.
    """
    if parts is not None and (isinstance(parts, bool) or not isinstance(parts, int) or not 1 <= parts <= MOST_PARTS):
        raise ConfigError(f"score: parts is {parts!r}. Use a whole number from 1 to {MOST_PARTS}, such as parts=8.")
    return parts


def _frame(tables: list[pa.Table]) -> pd.DataFrame:
    """Pieces as one table of features, sorted by customer and cutoff."""
    frame: pd.DataFrame = converted(tables[0] if len(tables) == 1 else sorted_by_keys(tables), "pandas")
    return frame


def _others(shown: Path, expected: int, found: int) -> DataError:
    return DataError(
        f"{shown}: {expected:,} customers were to be scored by the log, and {found:,} were; nothing was replaced. "
        "Run it again on a log that does not change meanwhile."
    )

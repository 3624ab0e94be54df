"""What a recommender may learn from, and what it is measured on."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from crmml.errors import ConfigError, DataError, SchemaError, did_you_mean

PAIR = ["customer_id", "item_id"]


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Interactions to learn from, and later ones to find: as it will be in use, or as papers divide them.

    `Split.temporal` is the one to use: everything before a moment against what came after it. `random` and `last_item`
    let a model learn from what happened after the things it has to find; they are there for comparing with papers, and
    `Split(train, test)` for divisions that were published.

    Attributes:
        train: `customer_id`, `item_id` and further columns, such as `weight` and `timestamp`.
        test: `customer_id`, `item_id`.
        kind: how it was made: "temporal", "random", "last item" or "given".

    >>> import pandas as pd
    >>> rows = [(1, "tea", 1), (1, "cup", 2), (2, "tea", 1), (2, "pot", 3)]
    >>> frame = pd.DataFrame(rows, columns=["customer_id", "item_id", "timestamp"])
    >>> split = Split.temporal(frame, at=3)
    >>> split
    Split(temporal: 3 rows of 2 customers to learn from, 1 of 1 to find)
    >>> split.test["item_id"].tolist()
    ['pot']
    """

    train: pd.DataFrame
    test: pd.DataFrame
    kind: str = "given"

    def __post_init__(self) -> None:
        for name in ("train", "test"):
            table = getattr(self, name)
            _check("Split", table, PAIR, name)
            if table.empty:
                raise DataError(f"Split: {name} has no rows. Divide at another moment, or give more interactions.")

    @classmethod
    def temporal(cls, frame: pd.DataFrame, *, at: Any = None, until: Any = None, share: float = 0.2) -> Self:
        """Rows before the moment `at` to learn from; those from it on, and before `until`, to find.

        Args:
            frame: `customer_id`, `item_id`, `timestamp` (times, or numbers that say the order).
            at: the moment; by default the one that leaves about `share` of the rows to find.
            until: rows from here on are left out; none by default.
            share: of the rows to find, where `at` is not given.

        Raises:
            SchemaError: a column is missing.
            DataError: one side is empty.
        """
        _check("Split.temporal", frame, [*PAIR, "timestamp"], "frame")
        _check_share("Split.temporal", share)
        if frame.empty:
            raise DataError("Split.temporal: frame has no rows. Give at least two.")
        time = frame["timestamp"]
        if at is None:
            at = time.sort_values(ignore_index=True).iloc[min(int((1 - share) * len(frame)), len(frame) - 1)]
        later = time >= at
        tested = later if until is None else later & (time < until)
        return cls._of(frame, frame[~later], frame[tested], "temporal")

    @classmethod
    def random(cls, frame: pd.DataFrame, *, share: float = 0.2, random_state: int = 0) -> Self:
        """A share of the items of every customer to find (rounded down), drawn; the rest to learn from.

        The draw depends on the ids alone, not on the order of the rows. All rows of a pair go to the same side.

        Raises:
            SchemaError: a column is missing.
            ConfigError: share is not in (0, 1).
            DataError: nobody has items enough.
        """
        _check("Split.random", frame, PAIR, "frame")
        _check_share("Split.random", share)
        pairs = frame[PAIR].drop_duplicates().sort_values(PAIR, ignore_index=True)
        order = np.random.default_rng(random_state).permutation(len(pairs))
        pairs["place"] = pairs.iloc[order].groupby("customer_id").cumcount()
        sizes = pairs.groupby("customer_id")["item_id"].transform("size")
        pairs["found"] = pairs["place"] < (sizes * share).astype(np.int64)
        marked = frame[PAIR].merge(pairs, on=PAIR, how="left")["found"].to_numpy(dtype=bool)
        return cls._of(frame, frame[~marked], frame[marked], "random")

    @classmethod
    def last_item(cls, frame: pd.DataFrame, *, back: int = 1) -> Self:
        """The last row of every customer to find, those before it to learn from; of those with two rows or more.

        Args:
            frame: `customer_id`, `item_id`, `timestamp`. Rows of one moment are ordered by item.
            back: which row counts as the last: 2 is the one before it, for choosing; later ones are left out.

        Raises:
            SchemaError: a column is missing.
            ConfigError: back is below 1.
            DataError: nobody has rows enough.
        """
        _check("Split.last_item", frame, [*PAIR, "timestamp"], "frame")
        if isinstance(back, bool) or not isinstance(back, (int, np.integer)) or back < 1:
            raise ConfigError(f"Split.last_item: back is {back!r}. Use 1 for the last row, 2 for the one before it.")
        ordered = frame.sort_values(["customer_id", "timestamp", "item_id"], kind="stable")
        from_end = ordered.groupby("customer_id").cumcount(ascending=False)
        sizes = ordered.groupby("customer_id")["item_id"].transform("size")
        return cls._of(frame, ordered[from_end >= back], ordered[(from_end == back - 1) & (sizes > back)], "last item")

    @classmethod
    def _of(cls, frame: pd.DataFrame, train: pd.DataFrame, test: pd.DataFrame, kind: str) -> Self:
        for name, side in (("learn from", train), ("find", test)):
            if side.empty:
                raise DataError(
                    f"Split: of {len(frame)} rows none is left to {name} ({kind}). "
                    "Divide at another moment, or give more interactions."
                )
        return cls(train.reset_index(drop=True), test[PAIR].drop_duplicates().reset_index(drop=True), kind)

    def __repr__(self) -> str:
        sizes = [(len(table), table["customer_id"].nunique()) for table in (self.train, self.test)]
        (rows, customers), (found, finders) = sizes
        return f"Split({self.kind}: {rows} rows of {customers} customers to learn from, {found} of {finders} to find)"


def _check(where: str, frame: pd.DataFrame, columns: list[str], name: str) -> None:
    for column in columns:
        if column not in frame.columns:
            names = [str(found) for found in frame.columns]
            raise SchemaError(
                f"{where}: {name} has no column {column!r}.{did_you_mean(column, names)} It has: {', '.join(names)}."
            )


def _check_share(where: str, share: object) -> None:
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
        raise ConfigError(f"{where}: share is {share!r}. Use a share between 0 and 1, such as 0.2.")

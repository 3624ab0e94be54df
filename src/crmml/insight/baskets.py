"""Baskets: which items were bought together, out of a log or a table."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sqlglot import exp

from crmml.data.facts import readable
from crmml.data.log import InteractionLog
from crmml.data.sql import is_one_of, is_there, moment, name_of
from crmml.data.steps import EVENTS, chain
from crmml.data.time import AsOf, moment_of
from crmml.errors import ConfigError, DataError, SchemaError, did_you_mean


@dataclass(frozen=True, eq=False, repr=False)
class Baskets:
    """Which items stand in which basket; each counts once, however often it was bought.

    Attributes:
        items: the distinct items, sorted, shape (items,).
        lines: shape (baskets, items), 1 where an item is in a basket; in the order of time, or of the basket's ids.
        times: when each basket was bought (its first line), shape (baskets,); None where that is not known.

    >>> import crmml as cm
    >>> import pandas as pd
    >>> table = pd.DataFrame({"receipt": [1, 1, 2], "article": ["tea", "cup", "tea"]})
    >>> cm.Baskets.from_frame(table, basket_id="receipt", item_id="article")
    Baskets(2 baskets of 2 items, 1.5 items each)
    """

    items: "pd.Index[Any]"
    lines: csr_array
    times: NDArray[Any] | None = None

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        basket_id: str = "basket_id",
        item_id: str = "item_id",
        timestamp: str | None = None,
    ) -> Self:
        """Baskets out of a table with one row per line.

        Args:
            frame: the lines; a line twice counts once.
            basket_id, item_id: the columns with the ids, of any one type that can be sorted.
            timestamp: the column with the time, or anything that rises with it; later baskets then test the rules.

        Raises:
            SchemaError: a column is missing.
            DataError: there are no rows, or values are missing.
        """
        wanted = [basket_id, item_id, *([] if timestamp is None else [timestamp])]
        for name in wanted:
            if name not in frame.columns:
                names = [str(column) for column in frame.columns]
                raise SchemaError(
                    f"Baskets.from_frame: no column {name!r}.{did_you_mean(name, names)} The frame has: "
                    f"{', '.join(map(repr, names))}."
                )
            missing = int(frame[name].isna().sum())
            if missing:
                raise DataError(
                    f"Baskets.from_frame: {missing} of {len(frame)} values of {name!r} are missing. "
                    f"Drop these rows: frame.dropna(subset=[{name!r}])."
                )
        if frame.empty:
            raise DataError("Baskets.from_frame: the frame has no rows. Give at least one line.")
        rows = frame[basket_id].to_numpy()
        return cls._of(rows, frame[item_id], None if timestamp is None else frame[timestamp])

    @classmethod
    def from_log(
        cls,
        log: InteractionLog,
        *,
        order: str | None = None,
        event_type: str | None = None,
        as_of: AsOf | None = None,
    ) -> Self:
        """Baskets out of a log: the events of one customer with the same value of `order`, or of the same moment.

        Args:
            log: the interactions; it needs an item_id.
            order: the attribute that numbers the orders, such as "invoice"; events without a value are left out.
            event_type: the events that count, such as "purchase"; all of them by default.
            as_of: a cutoff: only events before it, and known before it, are seen; all of them by default.

        Raises:
            SchemaError: the log has no item_id, no such attribute, or no event_type.
            DataError: no event is left.

        >>> import crmml as cm
        >>> log = cm.simulate_log(50, seed=1).log
        >>> baskets = cm.Baskets.from_log(log, event_type="purchase", as_of="2024-06-01")
        >>> bool((baskets.times < pd.Timestamp("2024-06-01").to_datetime64()).all())
        True
        """
        log.require("item_id", "Baskets.from_log")
        for name in [*([] if order is None else [order]), *([] if event_type is None else ["event_type"])]:
            log.require(name, "Baskets.from_log")
        log.require_usable()
        table = _lines_of(log, order, event_type, as_of)
        if table.empty:
            raise DataError(
                f"Baskets.from_log: no event with an item is left of {log!r} (order={order!r}, "
                f"event_type={event_type!r}, as_of={as_of!r}). Use another event_type or a later as_of."
            )
        keys = ["customer_id", "moment" if order is None else "order"]
        return cls._of(table.groupby(keys, sort=True).ngroup().to_numpy(), table["item"], table["moment"])

    @classmethod
    def _of(cls, baskets: NDArray[Any], item: pd.Series, time: pd.Series | None) -> Self:
        row, ids = pd.factorize(baskets, sort=True)
        column, items = pd.factorize(pd.Index(item), sort=True)
        times = None
        if time is not None:
            first = pd.Series(time.to_numpy()).groupby(row).min().to_numpy()
            order = np.argsort(first, kind="stable")
            place = np.empty(len(order), dtype=np.int64)
            place[order] = np.arange(len(order))
            row, times = place[row], first[order]
        lines = csr_array((np.ones(len(row), dtype=np.int32), (row, column)), shape=(len(ids), len(items)))
        lines.sum_duplicates()
        lines.data[:] = 1
        return cls(items, lines, times)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The number of items of every basket, shape (baskets,)."""
        ends: NDArray[np.int64] = self.lines.indptr.astype(np.int64)
        return ends[1:] - ends[:-1]

    def __len__(self) -> int:
        return int(self.lines.shape[0])

    def __repr__(self) -> str:
        each = f"{self.lines.nnz / max(len(self), 1):.1f} items each"
        return f"Baskets({len(self):,} baskets of {len(self.items):,} items, {each})"

    def divided(self, hold_out: float) -> tuple["Baskets", "Baskets"]:
        """The baskets to search in, and the share `hold_out` to test on: the latest, or drawn where no time is known.

        Baskets of one moment stay together. The draw depends on the basket's place among the sorted ids alone.

        Raises:
            ConfigError: hold_out is not a number in (0, 1).
            DataError: one side would be empty.
        """
        _check_share("hold_out", hold_out)
        held = np.zeros(len(self), dtype=bool)
        if self.times is None:
            held[np.random.default_rng(0).permutation(len(self))[: round(hold_out * len(self))]] = True
        else:
            held = self.times >= self.times[min(len(self) - round(hold_out * len(self)), len(self) - 1)]
        if held.all() or not held.any():
            raise DataError(
                f"Baskets.divided: hold_out={hold_out} of {len(self):,} baskets leaves one side empty. "
                "Use more baskets, or hold_out=0 in association_rules."
            )
        return self._some(~held), self._some(held)

    def _some(self, chosen: NDArray[np.bool_]) -> "Baskets":
        return Baskets(self.items, self.lines[chosen], None if self.times is None else self.times[chosen])


def _check_share(name: str, value: object) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and 0 < value < 1):  # type: ignore[operator]
        raise ConfigError(f"Baskets.divided: {name} is {value!r}. Use a share between 0 and 1, such as 0.3.")


def _lines_of(log: InteractionLog, order: str | None, event_type: str | None, as_of: AsOf | None) -> pd.DataFrame:
    """The distinct lines: `customer_id`, `item`, `moment` (UTC, the first of the line), and `order` where asked for."""
    wanted = ["customer_id", "timestamp", "item_id", *([] if order is None else [order])]
    conditions: list[exp.Expr] = [is_there(name_of("item_id"))]
    if order is not None:
        conditions.append(is_there(name_of(order)))
    if event_type is not None:
        wanted.append("event_type")
        conditions.append(is_one_of("event_type", [event_type]))
    if as_of is not None:
        cutoff = moment(moment_of(as_of).to_pydatetime())
        conditions.append(exp.LT(this=name_of("timestamp"), expression=cutoff))
        if log.roles.knows("recorded_at"):
            wanted.append("recorded_at")
            known = exp.Coalesce(this=name_of("recorded_at"), expressions=[name_of("timestamp")])
            conditions.append(exp.LT(this=known, expression=cutoff.copy()))
    keys = [exp.alias_(name_of("customer_id"), "customer_id"), exp.alias_(name_of("item_id"), "item")]
    when: exp.Expr = name_of("timestamp")
    if order is None:
        keys.append(exp.alias_(when, "moment"))
        query = exp.select(*keys).distinct()
    else:
        groups = [name_of("customer_id"), name_of("item_id"), name_of(order)]
        keys += [exp.alias_(name_of(order), "order", quoted=True), exp.alias_(exp.Min(this=when), "moment")]
        query = exp.select(*keys).group_by(*groups)
    query = chain(log.steps(wanted), query.from_(EVENTS).where(*conditions))
    with readable():
        frame: pd.DataFrame = log.engine.arrow(query).to_pandas()
    return frame

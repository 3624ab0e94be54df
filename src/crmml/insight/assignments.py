"""Who was in which segment as of which cutoff: the common table of segments, checked and laid out as a grid."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from crmml.data.time import moments_of, spoken
from crmml.errors import ConfigError, DataError, SchemaError, did_you_mean
from crmml.insight.tags import KEYS, keyed

Codes = NDArray[np.int16]
ABSENT = "(absent)"
NONE = "(none)"


@dataclass(frozen=True, eq=False)
class Grid:
    """Customers by cutoffs.

    customers: their ids, shape (customers,). cutoffs: in order, shape (cutoffs,). names: the segments.
    codes: the position of each customer's segment in `names` as of each cutoff, shape (customers, cutoffs); -1 where a
    customer is not in the table.
    row, column: where each row of the table stands in the grid.
    """

    customers: "pd.Index[Any]"
    cutoffs: pd.DatetimeIndex
    names: tuple[str, ...]
    codes: Codes
    row: NDArray[np.intp]
    column: NDArray[np.intp]

    @property
    def days(self) -> NDArray[np.float64]:
        """The cutoffs as days after the first, shape (cutoffs,)."""
        return np.asarray((self.cutoffs - self.cutoffs[0]) / pd.Timedelta(days=1), dtype=np.float64)


def read_grid(assignments: "pd.DataFrame | pa.Table", segment: str, where: str, *, least: int = 2) -> Grid:
    """The grid of a table with `customer_id`, `as_of` and a column of segments; a missing segment is "(none)".

    Args:
        assignments: one row per customer and cutoff, of any assigner.
        segment: the column with the segments; their order is that of its categories, or that of the alphabet.
        where: what messages begin with.
        least: the number of cutoffs that are needed.

    Raises:
        SchemaError: a column is missing, or the segments are no texts.
        DataError: there are no rows, too few cutoffs, missing customers, or two rows for one customer and cutoff.
    """
    frame = keyed(assignments, where)
    if segment not in frame.columns or segment in KEYS:
        others = [str(name) for name in frame.columns if name not in KEYS]
        raise SchemaError(
            f"{where}: the table has no segments in {segment!r}.{did_you_mean(segment, others)} "
            f"It has: {', '.join(map(repr, others))}."
        )
    if frame["customer_id"].isna().any() or frame["as_of"].isna().any():
        raise DataError(f"{where}: some rows have no customer_id or no as_of. Drop them: table.dropna().")
    row, customers = pd.factorize(frame["customer_id"], sort=True)
    column, cutoffs = _moments(frame["as_of"], where)
    if len(cutoffs) < least:
        that = "that of" if len(cutoffs) == 1 else "those up to"
        found = f", only {that} {spoken(cutoffs[-1])}" if len(cutoffs) else ""
        raise DataError(
            f"{where}: the table has {len(cutoffs)} cutoff{'s' * (len(cutoffs) != 1)}{found}; {least} are needed. "
            "Assign the segments as of several cutoffs: cutoffs('2024-01-01', '2024-06-01', every='30d')."
        )
    codes, names = _segments(frame[segment], where)
    grid = np.full((len(customers), len(cutoffs)), -1, dtype=np.int16)
    grid[row, column] = codes
    if int((grid >= 0).sum()) < len(frame):
        twice = frame.loc[frame.duplicated(list(KEYS)), list(KEYS)].iloc[0]
        raise DataError(
            f"{where}: customer {twice['customer_id']!r} has two rows as of {twice['as_of']}. Keep one of them."
        )
    return Grid(customers, cutoffs, names, grid, row, column)


def position(grid: Grid, cutoff: Any, what: str) -> int:
    """The position of a cutoff of the grid.

    Raises:
        ConfigError: it is none of them.
    """
    (moment,) = moments_of(cutoff, what)
    if moment not in grid.cutoffs:
        known = [spoken(each) for each in grid.cutoffs]
        raise ConfigError(
            f"{what} {spoken(moment)} is none of the cutoffs of the table. Use one of them: {', '.join(known)}."
        )
    return int(grid.cutoffs.get_indexer(pd.DatetimeIndex([moment]))[0])


def _moments(as_of: "pd.Series[Any]", where: str) -> tuple[NDArray[np.intp], pd.DatetimeIndex]:
    """Each row's position among the cutoffs, and the cutoffs."""
    codes, different = pd.factorize(as_of)
    try:
        moments = pd.DatetimeIndex(pd.to_datetime(pd.Index(different), utc=True)).as_unit("us")
    except (ValueError, TypeError, OverflowError):
        raise SchemaError(
            f"{where}: as_of holds {different[0]!r}, which is no moment. Use moments such as '2024-06-01'."
        ) from None
    places, cutoffs = pd.factorize(moments, sort=True)
    return places[codes], pd.DatetimeIndex(cutoffs)


def _segments(values: "pd.Series[Any]", where: str) -> tuple[Codes, tuple[str, ...]]:
    """Each row's segment as a position, and the names: those that occur, in order, "(none)" last."""
    categories = values.astype("category")
    if not isinstance(values.dtype, pd.CategoricalDtype) and not all(
        isinstance(name, str) for name in categories.cat.categories
    ):
        raise SchemaError(
            f"{where}: {values.name!r} holds {categories.cat.categories.tolist()[0]!r}, which is no name. "
            f"Make the segments texts: table.assign({values.name}=table[{str(values.name)!r}].astype(str))."
        )
    used = categories.cat.remove_unused_categories()
    names = [str(name) for name in used.cat.categories]
    codes: Codes = np.array(used.cat.codes, dtype=np.int16)
    if (codes < 0).any():
        codes[codes < 0] = len(names)
        names.append(NONE)
    return codes, tuple(names)

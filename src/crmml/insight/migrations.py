"""Migrations: who moved from which segment to which, with intervals that know that customers come again."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import stdtrit

from crmml.data.time import spoken
from crmml.insight.assignments import ABSENT, Grid, read_grid
from crmml.insight.conditions import check_number

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Migrations:
    """What `migrations` found.

    Attributes:
        shares: a row per cutoff and segment: `as_of`, `segment`, `customers`, `share` of the customers of that cutoff.
        counts: a row per step and way: `as_of`, `until` (the next cutoff), `from_segment`, `to_segment`, `customers`.
            "(absent)" is where new customers come from, and where those go who are no longer in the table.
        matrix: all steps together, a row per way: `from_segment`, `to_segment`, `customers` (times that one went it),
            `share` of all that left `from_segment` so, or stayed in it, and its interval `lo`, `hi`.
        coverage: what the intervals promise.

    >>> import crmml as cm
    >>> log = cm.simulate_log(300, seed=1).log
    >>> rules = cm.Lifecycle("20d", event_type="purchase")
    >>> found = cm.migrations(cm.build_lifecycle(log, rules, ["2024-03-01", "2024-06-01"]))
    >>> found.table().loc["acquired", "acquired"]  # none: who does not buy again is declining after 60 days
    np.float64(0.0)
    """

    shares: pd.DataFrame
    counts: pd.DataFrame
    matrix: pd.DataFrame
    coverage: float

    @property
    def cutoffs(self) -> pd.DatetimeIndex:
        """The cutoffs, in order."""
        return pd.DatetimeIndex(self.shares["as_of"].unique())

    def table(self) -> pd.DataFrame:
        """The shares of `matrix` as a square: rows are where customers come from, columns where they go."""
        order = list(dict.fromkeys(self.matrix["from_segment"]))
        to = list(dict.fromkeys(self.matrix["to_segment"]))
        wide = self.matrix.pivot_table(index="from_segment", columns="to_segment", values="share", observed=True)
        return wide.reindex(index=order, columns=to)

    def __str__(self) -> str:
        first, last = self.cutoffs[0], self.cutoffs[-1]
        steps = len(self.cutoffs) - 1
        head = f"Migrations from {spoken(first)} to {spoken(last)}, {steps} step{'s' * (steps != 1)}"
        shares = self.shares.pivot_table(index="segment", columns="as_of", values="share", observed=True)
        names = [name for name in dict.fromkeys(self.shares["segment"]) if name in shares.index]
        ends = pd.DataFrame({"before": shares.loc[names, first], "after": shares.loc[names, last]}).fillna(0.0)
        table = self.table().rename_axis(None).rename_axis(None, axis=1)
        return "\n".join(
            [
                head,
                "",
                "Share of the customers at the first and the last cutoff",
                ends.rename_axis(None).to_string(float_format="{:.1%}".format),
                "",
                "Where they go within one step (rows: from)",
                table.to_string(float_format="{:.1%}".format, na_rep=""),
            ]
        )

    __repr__ = __str__


def migrations(
    assignments: "pd.DataFrame | pa.Table", *, segment: str = "segment", coverage: float = 0.95
) -> Migrations:
    """Who moved from which segment to which, between each cutoff and the next.

    Works for any assigner: scores of a bundle, stages of the lifecycle, a tag. Customers come again at every step, and
    a customer who moves often counts often: the interval of a share is Wilson's, for as many independent moves as
    have the variance between customers (never more than there are moves).

    Args:
        assignments: one row per customer and cutoff: `customer_id`, `as_of`, and the segment. pandas or Arrow.
        segment: the column with the segments; a missing one is "(none)".
        coverage: what the intervals promise, in (0, 1).

    Returns:
        Migrations: shares by cutoff, moves by step, the matrix of all steps with intervals.

    Raises:
        SchemaError: a column is missing, or the segments are no texts.
        DataError: fewer than two cutoffs, or two rows for one customer and cutoff.
        ConfigError: coverage is no share.

    Source: Wilson (1927), Probable inference; Korn and Graubard (1998), Confidence intervals for proportions with
    small expected number of positive counts estimated from survey data, for the effective number.

    >>> table = pd.DataFrame({"customer_id": [1, 2, 3, 1, 2, 3, 4], "as_of": ["2024-01-01"] * 3 + ["2024-02-01"] * 4,
    ...                       "segment": ["new", "new", "loyal", "loyal", "new", "loyal", "new"]})
    >>> print(migrations(table))
    Migrations from 2024-01-01 to 2024-02-01, 1 step
    <BLANKLINE>
    Share of the customers at the first and the last cutoff
           before  after
    loyal   33.3%  50.0%
    new     66.7%  50.0%
    <BLANKLINE>
    Where they go within one step (rows: from)
              loyal    new
    loyal    100.0%   0.0%
    new       50.0%  50.0%
    (absent)   0.0% 100.0%
    """
    check_number("migrations", "coverage", coverage, example="0.95", low=0, high=1)
    grid = read_grid(assignments, segment, "migrations")
    return Migrations(shares=_shares(grid), counts=_counts(grid), matrix=_matrix(grid, coverage), coverage=coverage)


def _shares(grid: Grid) -> pd.DataFrame:
    parts = []
    for column, cutoff in enumerate(grid.cutoffs):
        there = grid.codes[:, column]
        customers = np.bincount(there[there >= 0], minlength=len(grid.names))
        part = {"as_of": cutoff, "segment": list(grid.names), "customers": customers}
        parts.append(pd.DataFrame({**part, "share": customers / customers.sum()}))
    return pd.concat(parts, ignore_index=True)


def _states(grid: Grid) -> tuple[NDArray[np.int64], list[str]]:
    """The grid with the absent as a state of their own, the last, and the names of the states."""
    absent = len(grid.names)
    return np.where(grid.codes < 0, absent, grid.codes).astype(np.int64), [*grid.names, ABSENT]


def _counts(grid: Grid) -> pd.DataFrame:
    states, names = _states(grid)
    n, parts = len(names), []
    for column in range(len(grid.cutoffs) - 1):
        moves = np.bincount(states[:, column] * n + states[:, column + 1], minlength=n * n)
        moves[-1] = 0  # absent at both: neither here nor there
        used = np.flatnonzero(moves)
        way = {"from_segment": np.take(names, used // n), "to_segment": np.take(names, used % n)}
        step = {"as_of": grid.cutoffs[column], "until": grid.cutoffs[column + 1]}
        parts.append(pd.DataFrame({**step, **way, "customers": moves[used]}))
    return pd.concat(parts, ignore_index=True)


def _matrix(grid: Grid, coverage: float) -> pd.DataFrame:
    states, names = _states(grid)
    rows: list[dict[str, Any]] = []
    for start, name in enumerate(names):
        left = states[:, :-1] == start
        if start == len(grid.names):
            left &= states[:, 1:] != start
        of_customer = left.sum(axis=1)
        there = of_customer > 0
        if not there.any():
            continue
        moved_to = np.where(left[there], states[there, 1:], -1)
        for end, other in enumerate(names):
            if start == end == len(grid.names) or (end == len(grid.names) and not (moved_to == end).any()):
                continue
            moves = (moved_to == end).sum(axis=1)
            share, low, high = clustered_share(moves, of_customer[there], coverage)
            way = {"from_segment": name, "to_segment": other, "customers": int(moves.sum())}
            rows.append({**way, "share": share, "lo": low, "hi": high})
    return pd.DataFrame(rows)


def clustered_share(hits: Any, trials: Any, coverage: float) -> tuple[float, float, float]:
    """The share of hits among trials that belong to customers, with its interval.

    hits, trials: by customer, whole numbers, shape (customers,); every customer has a trial.

    >>> share, low, high = clustered_share(np.array([1, 0, 1, 0]), np.array([1, 1, 1, 1]), 0.95)
    >>> round(share, 3), round(low, 3), round(high, 3)
    (0.5, 0.061, 0.939)
    """
    n, customers = float(np.sum(trials)), len(trials)
    share = float(np.sum(hits)) / n
    if customers < 2:
        return share, 0.0, 1.0
    residuals = hits - share * trials
    variance = float((residuals**2).sum()) * customers / (customers - 1) / n**2
    # Where all customers do the same, nothing is known of the variance: each of them counts once.
    independent = min(n, share * (1 - share) / variance) if 0 < share < 1 and variance > 0 else float(customers)
    z = float(stdtrit(customers - 1, (1 + coverage) / 2))
    middle = (share + z**2 / (2 * independent)) / (1 + z**2 / independent)
    spread = share * (1 - share) / independent + z**2 / (4 * independent**2)
    half = z * float(np.sqrt(spread)) / (1 + z**2 / independent)
    low, high = middle - half, middle + half
    return share, max(0.0, low) if share > 0 else 0.0, min(1.0, high) if share < 1 else 1.0

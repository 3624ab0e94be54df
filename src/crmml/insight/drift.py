"""Drift: has a segment grown, shrunk or changed its character since a baseline, beyond what chance explains?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import stdtr
from scipy.stats import rankdata

from crmml.data.time import AsOf, spoken
from crmml.errors import DataError, SchemaError
from crmml.insight.assignments import Grid, position, read_grid
from crmml.insight.conditions import check_number
from crmml.insight.tags import KEYS, keyed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
# Below so many customers on a side nothing is tested: the tails of the test's distribution are not known well enough.
LEAST = 30
BINS = 10


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SegmentDrift:
    """What `segment_drift` found.

    Attributes:
        table: a row per cutoff after the baseline, segment and measure ("share", or a column): `as_of`, `segment`,
            `measure`, `before` and `after` (shares, or medians), `effect` (of a share its relative change; of a column
            Cliff's delta, -1 to 1: above 0 where values have grown), `psi` (of a column, the population stability
            index), `p_value` (NaN where there are too few customers to test), `alarm`.
        baseline: the cutoff that the others are compared with.
        false_alarms: the chance of any alarm where nothing has drifted.

    >>> import crmml as cm
    >>> log = cm.simulate_log(300, seed=1).log
    >>> rules = cm.Lifecycle("20d", event_type="purchase")
    >>> found = cm.segment_drift(cm.build_lifecycle(log, rules, ["2024-05-01", "2024-06-01"]))
    >>> found.table["measure"].unique().tolist()
    ['share']
    """

    table: pd.DataFrame
    baseline: pd.Timestamp
    false_alarms: float

    @property
    def alarms(self) -> pd.DataFrame:
        """The rows of `table` with an alarm, the greatest effect first."""
        found = self.table[self.table["alarm"]]
        return found.iloc[np.argsort(-found["effect"].abs().round(9).to_numpy(), kind="stable")].reset_index(drop=True)

    def __str__(self) -> str:
        tested = int(self.table["p_value"].notna().sum())
        alarms = self.alarms
        head = (
            f"Drift against {spoken(self.baseline)}: {len(alarms)} alarm{'s' * (len(alarms) != 1)} in {tested} "
            f"comparisons (if nothing drifts, any at all with a chance of at most {self.false_alarms:.0%})"
        )
        return "\n".join([head, *(f"  {_in_words(row)}" for row in alarms.to_dict("records"))])

    __repr__ = __str__


def segment_drift(
    assignments: "pd.DataFrame | pa.Table",
    features: "pd.DataFrame | pa.Table | None" = None,
    *,
    segment: str = "segment",
    baseline: AsOf | None = None,
    false_alarms: float = 0.05,
    least_share: float = 0.1,
    least_shift: float = 0.147,
) -> SegmentDrift:
    """Compare the share and the profile of every segment with those at a baseline.

    An alarm is a difference that is more than chance and large enough to matter. Chance: customers are drawn, with all
    that each does at both cutoffs; p-values are corrected for the number of all comparisons (Holm). Of a share, its
    relative change must reach `least_share`; of a column, Cliff's delta `least_shift`: the chance that a customer of
    the segment now has more than one of then, minus the chance of less.

    What is compared are customers, not causes: where all grow older, buy less in summer, or the shop grows, segments
    do change, and the alarms say so. Take a baseline of the same season.

    Args:
        assignments: one row per customer and cutoff: `customer_id`, `as_of`, and the segment. pandas or Arrow.
        features: the columns that make the profile, of the same customers and cutoffs; the columns of numbers count.
            Only shares are compared without it.
        segment: the column with the segments; a missing one is "(none)".
        baseline: the cutoff to compare with; the first by default.
        false_alarms: the chance of any alarm in the whole table where nothing has drifted, in (0, 1).
        least_share, least_shift: effects below these are no alarm.

    Returns:
        SegmentDrift: a table of all comparisons; printed, the alarms in words.

    Raises:
        SchemaError: a column is missing, or the segments are no texts.
        DataError: fewer than two cutoffs, or two rows for one customer and cutoff.
        ConfigError: the baseline is none of the cutoffs; a parameter out of its range.

    Source: Brunner and Munzel (2000), The nonparametric Behrens-Fisher problem, with the variance between customers
    as Obuchowski (1997), Nonparametric analysis of clustered ROC curve data; Holm (1979); Romano et al. (2006) for
    .147, below which a delta is called negligible.

    >>> table = pd.DataFrame({"customer_id": [*range(200)] * 2, "as_of": ["2024-01-01"] * 200 + ["2024-02-01"] * 200})
    >>> table["segment"] = ["loyal"] * 100 + ["late"] * 100 + ["loyal"] * 60 + ["late"] * 140
    >>> print(segment_drift(table))
    Drift against 2024-01-01: 2 alarms in 2 comparisons (if nothing drifts, any at all with a chance of at most 5%)
      2024-02-01 late: share 50.0% -> 70.0% (+40%)
      2024-02-01 loyal: share 50.0% -> 30.0% (-40%)
    """
    where = "segment_drift"
    check_number(where, "false_alarms", false_alarms, example="0.05", low=0, high=1)
    for name, value in (("least_share", least_share), ("least_shift", least_shift)):
        check_number(where, name, value, example="0.1", low=-1)
    grid = read_grid(assignments, segment, where)
    start = 0 if baseline is None else position(grid, baseline, f"{where}: baseline")
    ends = [column for column in range(len(grid.cutoffs)) if column > start]
    if not ends:
        raise DataError(
            f"{where}: no cutoff comes after the baseline {spoken(grid.cutoffs[start])}. Use an earlier baseline."
        )
    profile = {} if features is None else _profile(features, grid, where)
    rows = [row for end in ends for row in _compared(grid, start, end, profile)]
    table = pd.DataFrame(rows)
    least = np.where(table["measure"] == "share", least_share, least_shift)
    large = table["effect"].abs().to_numpy() >= least
    table["alarm"] = _more_than_chance(table["p_value"].to_numpy(), false_alarms) & large
    return SegmentDrift(table=table, baseline=grid.cutoffs[start], false_alarms=false_alarms)


def _profile(features: "pd.DataFrame | pa.Table", grid: Grid, where: str) -> dict[str, Floats]:
    """Column -> its values on the grid; NaN where a customer has none."""
    frame = keyed(features, f"{where}: features")
    numbers = [
        name
        for name, dtype in frame.dtypes.items()
        if name not in KEYS and pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
    ]
    if not numbers:
        raise SchemaError(f"{where}: features has no column of numbers. Give a table such as build_features makes.")
    row = grid.customers.get_indexer(pd.Index(frame["customer_id"]))
    column = grid.cutoffs.get_indexer(pd.DatetimeIndex(pd.to_datetime(frame["as_of"], utc=True)).as_unit("us"))
    known = (row >= 0) & (column >= 0)
    found = {}
    for name in numbers:
        values = np.full(grid.codes.shape, np.nan)
        values[row[known], column[known]] = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)[known]
        found[str(name)] = values
    return found


def _compared(grid: Grid, start: int, end: int, profile: dict[str, Floats]) -> Iterator[dict[str, Any]]:
    """The comparisons of one cutoff with the baseline."""
    before, after = grid.codes[:, start], grid.codes[:, end]
    for number, name in enumerate(grid.names):
        then, now = before == number, after == number
        key = {"as_of": grid.cutoffs[end], "segment": name}
        yield {**key, "measure": "share", **_share_change(then, before >= 0, now, after >= 0)}
        for column, values in profile.items():
            yield {**key, "measure": column, **_shift(values[:, start], then, values[:, end], now)}


def _share_change(then: Any, there_then: Any, now: Any, there_now: Any) -> dict[str, float]:
    """Did the share of a segment change? The difference of two shares of partly the same customers.

    Each customer's own part of the difference is one draw; a t distribution with as many degrees of freedom as
    customers came or went, so that a handful of them proves little.
    """
    n_then, n_now = there_then.sum(), there_now.sum()
    before, after = then.sum() / n_then, now.sum() / n_now
    own = (now - after * there_now) / n_now - (then - before * there_then) / n_then
    moved = int((then != now).sum())
    error = float(np.sqrt((own**2).sum()))
    p_value = float("nan")
    if moved > 1 and error > 0:
        p_value = float(2 * stdtr(moved - 1, -abs(after - before) / error))
    effect = after / before - 1 if before > 0 else (0.0 if after == 0 else float("inf"))
    return {"before": before, "after": after, "effect": effect, "psi": float("nan"), "p_value": p_value}


def _shift(value_then: Floats, then: Any, value_now: Floats, now: Any) -> dict[str, float]:
    """Did a column of a segment's customers shift? Cliff's delta with the variance between customers."""
    then, now = then & ~np.isnan(value_then), now & ~np.isnan(value_now)
    old, new = value_then[then], value_now[now]
    found = {"before": _median(old), "after": _median(new), "effect": float("nan"), "psi": float("nan")}
    if min(len(old), len(new)) < LEAST:
        return {**found, "p_value": float("nan")}
    # The share of the other side that lies below each value, ties half.
    ranks = rankdata(np.concatenate([old, new]))
    above_then = (ranks[len(old) :] - rankdata(new)) / len(old)
    below_now = 1 - (ranks[: len(old)] - rankdata(old)) / len(new)
    theta = float(above_then.mean())
    own = np.zeros(len(then))
    own[now] += (above_then - theta) / len(new)
    own[then] += (below_now - theta) / len(old)
    error = float(np.sqrt((own**2).sum()))
    freedom = min(len(old), len(new)) - 1
    p_value = float(2 * stdtr(freedom, -abs(theta - 0.5) / error)) if error > 0 else float(theta == 0.5)
    return found | {"effect": 2 * theta - 1, "psi": _stability(old, new), "p_value": p_value}


def _stability(old: Floats, new: Floats) -> float:
    """The population stability index over the tenths of the old values; half a customer more in each of them."""
    edges = np.unique(np.quantile(old, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    shares = []
    for values in (old, new):
        counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1) + 0.5
        shares.append(counts / counts.sum())
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def _more_than_chance(p_values: Floats, false_alarms: float) -> NDArray[np.bool_]:
    """Holm's: whichever of the comparisons are none, the chance of any alarm among them is at most `false_alarms`."""
    found = np.zeros(len(p_values), dtype=bool)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    passed = p_values[order] <= false_alarms / np.arange(len(order), 0, -1)
    found[order[: len(order) if passed.all() else int(np.argmin(passed))]] = True
    return found


def _median(values: Floats) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _in_words(row: Mapping[Any, Any]) -> str:
    start = f"{spoken(row['as_of'])} {row['segment']}: "
    if row["measure"] == "share":
        return f"{start}share {row['before']:.1%} -> {row['after']:.1%} ({row['effect']:+.0%})"
    return f"{start}median {row['measure']} {row['before']:.4g} -> {row['after']:.4g} (delta {row['effect']:+.2f})"

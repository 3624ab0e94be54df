"""Dwell times: how long customers stay in a segment, where some of the stays are not over yet."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from crmml.errors import DataError
from crmml.insight.assignments import Grid, read_grid
from crmml.insight.conditions import check_number

Floats = NDArray[np.float64]
REPLICATES = 200


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DwellTimes:
    """What `dwell_times` found.

    Attributes:
        table: a row per segment: `segment`, `stays` (whose beginning was seen), `ended` (of these), `median` days
            with `median_lo`, `median_hi` (NaN: longer than anybody was watched), `mean` days within the first
            `within` days, with `mean_lo`, `mean_hi`.
        curves: a row per segment and number of days: `segment`, `days`, `at_risk`, `ended`, `stays` (the share that
            stays longer, by Kaplan and Meier).
        unseen: the stays that had begun before the first cutoff, and are left out.
        within: the days up to which `mean` is taken: the longest that a stay could be watched.

    >>> import crmml as cm
    >>> log = cm.simulate_log(300, seed=1).log
    >>> rules = cm.Lifecycle("20d", event_type="purchase")
    >>> found = cm.dwell_times(cm.build_lifecycle(log, rules, cm.cutoffs("2024-01-01", "2024-09-01", every="30d")))
    >>> found.within
    210.0
    """

    table: pd.DataFrame
    curves: pd.DataFrame
    unseen: int
    within: float

    def __str__(self) -> str:
        shown = self.table.set_index("segment").rename_axis(None)
        head = (
            f"How long customers stay, in days; means of the first {self.within:.0f} days. Left out: {self.unseen:,} "
            "stays that had begun before the first cutoff."
        )
        return f"{head}\n{shown.to_string(float_format='{:.0f}'.format, na_rep='-')}"

    __repr__ = __str__


def dwell_times(
    assignments: "pd.DataFrame | pa.Table", *, segment: str = "segment", coverage: float = 0.95, seed: int = 0
) -> DwellTimes:
    """How long customers stay in each segment once they have come into it.

    A stay lasts from the first cutoff at which a customer is in the segment to the first at which not; stays that are
    not over at the last cutoff count as long as they were watched (Kaplan and Meier). Stays that had begun before the
    first cutoff are left out: nobody knows when, and long ones are more likely among them. Days are seen at the
    cutoffs only: with a cutoff a month, a stay is known to a month. Intervals are those of whole customers drawn anew.

    Args:
        assignments: one row per customer and cutoff: `customer_id`, `as_of`, and the segment. pandas or Arrow.
        segment: the column with the segments; a missing one is "(none)".
        coverage: what the intervals promise, in (0, 1).
        seed: of the draws.

    Returns:
        DwellTimes: a row per segment, and the curves.

    Raises:
        SchemaError: a column is missing, or the segments are no texts.
        DataError: fewer than three cutoffs, no stay whose beginning was seen, or two rows for one customer and cutoff.
        ConfigError: coverage is no share.

    Source: Kaplan and Meier (1958), Nonparametric estimation from incomplete observations; Efron (1981), Censored
    data and the bootstrap.

    >>> months = ["2024-01-01", "2024-01-31", "2024-03-01", "2024-03-31"]
    >>> table = pd.DataFrame({"customer_id": [1] * 4 + [2] * 4, "as_of": months * 2,
    ...                       "segment": ["new", "loyal", "loyal", "lost", "new", "new", "loyal", "loyal"]})
    >>> dwell_times(table).curves.to_dict("list")  # one left after 60 days, the other was watched for 30
    {'segment': ['loyal', 'loyal'], 'days': [30.0, 60.0], 'at_risk': [2, 1], 'ended': [0, 1], 'stays': [1.0, 0.0]}
    """
    check_number("dwell_times", "coverage", coverage, example="0.95", low=0, high=1)
    grid = read_grid(assignments, segment, "dwell_times", least=3)
    stays = _stays(grid)
    if not len(stays.customer):
        raise DataError("dwell_times: no stay began between two cutoffs. Give more cutoffs, or earlier ones.")
    within = float(grid.days[-1] - grid.days[1])
    generator, n = np.random.default_rng(seed), len(grid.customers)
    drawn = (np.bincount(generator.integers(n, size=n), minlength=n) for _ in range(REPLICATES))
    draws = [stays.staying(weights.astype(np.float64)) for weights in drawn]
    at_risk, ended, staying = stays.counted(np.ones(n))
    rows = []
    for number in np.flatnonzero(at_risk[:, 0] > 0):
        row = {"segment": grid.names[number], "stays": int(at_risk[number, 0]), "ended": int(ended[number].sum())}
        for name, measure in (("median", stays.median), ("mean", lambda curve: stays.mean(curve, within))):
            values = [measure(draw[number]) for draw in draws if not np.isnan(draw[number, 0])]
            low, high = np.quantile(values, [(1 - coverage) / 2, (1 + coverage) / 2], method="inverted_cdf")
            found = {name: measure(staying[number]), f"{name}_lo": low, f"{name}_hi": high}
            row |= {key: value if np.isfinite(value) else float("nan") for key, value in found.items()}
        rows.append(row)
    parts = [
        pd.DataFrame(
            {
                "segment": grid.names[number],
                "days": stays.lengths,
                "at_risk": at_risk[number].astype(np.int64),
                "ended": ended[number].astype(np.int64),
                "stays": staying[number],
            }
        )[at_risk[number] > 0]
        for number in np.flatnonzero(at_risk[:, 0] > 0)
    ]
    curves = pd.concat(parts, ignore_index=True)
    return DwellTimes(table=pd.DataFrame(rows), curves=curves, unseen=stays.unseen, within=within)


@dataclass(frozen=True, eq=False)
class _Stays:
    """Stays whose beginning was seen: whose, in which segment, how long (a position in `lengths`), whether over.

    segments: their number. lengths: the different numbers of days, rising. unseen: stays that began before.
    """

    customer: NDArray[np.int64]
    segment: NDArray[np.int64]
    length: NDArray[np.int64]
    over: NDArray[np.bool_]
    segments: int
    lengths: Floats
    unseen: int

    def counted(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """At risk just before each number of days, ended then, and the share that stays longer; by segment.

        weights: how often each customer counts. Shape of each: (segments, lengths); NaN where nobody is at risk.
        """
        shape = (self.segments, len(self.lengths))
        cell = self.segment * shape[1] + self.length
        mine = weights[self.customer]
        total = np.bincount(cell, mine, shape[0] * shape[1]).astype(np.float64).reshape(shape)
        ended = np.bincount(cell, mine * self.over, shape[0] * shape[1]).astype(np.float64).reshape(shape)
        at_risk: Floats = total[:, ::-1].cumsum(axis=1)[:, ::-1]
        left = 1.0 - np.divide(ended, at_risk, out=np.zeros(shape), where=at_risk > 0)
        staying: Floats = np.where(at_risk[:, :1] > 0, np.cumprod(left, axis=1), np.nan)
        return at_risk, ended, staying

    def staying(self, weights: Floats) -> Floats:
        """The last of these."""
        return self.counted(weights)[2]

    def median(self, curve: Floats) -> float:
        """The first number of days that at most half stay longer than; infinite where more do."""
        reached = np.flatnonzero(curve <= 0.5 + 1e-9)
        return float(self.lengths[reached[0]]) if len(reached) else float("inf")

    def mean(self, curve: Floats, within: float) -> float:
        """The mean of the days stayed within the first `within` days: the area under the curve."""
        edges = np.array([0.0, *np.minimum(self.lengths, within), within])
        return float((np.diff(edges) * [1.0, *curve]).sum())


def _stays(grid: Grid) -> _Stays:
    """The stays of a grid: runs of one segment in the row of a customer."""
    codes, (n, columns) = grid.codes, grid.codes.shape
    begins = np.ones((n, columns), dtype=bool)
    begins[:, 1:] = codes[:, 1:] != codes[:, :-1]
    places = np.flatnonzero(begins)
    # Every row begins a run, so that a run ends where the next begins.
    after = np.append(places[1:], n * columns)
    customer, first = places // columns, places % columns
    end = after - customer * columns  # the first cutoff after the run, in its own row
    segment = codes.ravel()[places].astype(np.int64)
    there = segment >= 0
    seen = there & (first > 0) & (first < columns - 1)  # who came at the last cutoff was not watched at all
    over = end < columns
    days = grid.days[np.minimum(end, columns - 1)] - grid.days[first]
    lengths, length = np.unique(days[seen], return_inverse=True)
    return _Stays(
        customer=customer[seen].astype(np.int64),
        segment=segment[seen],
        length=length.astype(np.int64),
        over=over[seen],
        segments=len(grid.names),
        lengths=lengths,
        unseen=int((there & (first == 0)).sum()),
    )

"""`SegmentChoice`: how many segments there are, the figures that say so, as a table, as text and as a picture."""

from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmml.errors import MissingExtraError
from crmml.report.pictures import GREY, MODEL, OTHER, RULE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# From here on an adjusted Rand index is called good (D. Steinley, Properties of the Hubert-Arabie adjusted Rand
# index, Psychological Methods 9, 2004).
GOOD = 0.8


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SegmentChoice:
    """How many segments `choose_segments` found, and why.

    Attributes:
        table: one row per candidate (index `k`). `stability`: mean adjusted Rand index between the segments of two
            halves of the customers, and `stability_lo`, `stability_hi`, between which 90 % of the draws lie;
            `stability_null`: the mean for one normal cloud of the same covariance. `silhouette` (P. J. Rousseeuw,
            1987); `smallest`: the share of the smallest segment. `valley`: how empty it is half way between the two
            neighbours that are least apart, as a part of the lesser of them, median of the draws; `p_value` of "no
            valley between them", multiplied by the number of candidates. `stable`, `apart`: what follows.
        rows, of_rows: how many rows were looked at, of how many.
        draws: how many pairs of halves.
        model: the segmenter, as the code that makes it.
        error_rate: how often one cloud may be divided at all.

    >>> import crmml as cm
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame(rng.normal(size=(600, 3)) + 9.0 * rng.integers(0, 3, size=(600, 1)))
    >>> choice = cm.choose_segments(X, candidates=[1, 2, 3, 4], draws=5)
    >>> choice.k
    3
    """

    table: pd.DataFrame
    rows: int
    of_rows: int
    draws: int
    model: str
    error_rate: float

    @property
    def k(self) -> int:
        """The most segments that are found again and lie apart; 1 where there is nothing to split."""
        good = self.table.index[self.table["stable"] & self.table["apart"]]
        return int(good.max()) if len(good) else 1

    @property
    def repeatable(self) -> int | None:
        """The most cuts that other customers repeat in 95 % of the draws, apart or not; None where there are none."""
        good = self.table.index[self.table["stability_lo"] >= GOOD]
        return int(good.max()) if len(good) else None

    @property
    def why(self) -> str:
        """The choice in a sentence or two, with its figures."""
        return self._why_several() if self.k > 1 else self._why_none()

    def figure(self) -> "Figure":
        """What is found again, and what lies apart, for every candidate (no window is opened).

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        return _picture(self)

    def __str__(self) -> str:
        seen = f"all {self.rows:,}" if self.rows == self.of_rows else f"{self.rows:,} of {self.of_rows:,}, at random"
        lines = [
            f"Choice of segments: {self.k}",
            f"  with  {self.model}",
            f"  rows  {seen}; {self.draws} draws of two halves",
            "",
            "   k  found again (90 % of draws)  one cloud  silhouette  smallest  valley        p",
            *(self._line(int(k)) for k in self.table.index),
            "",
            fill(self.why, 100),
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"SegmentChoice(k={self.k}, candidates={self.table.index.tolist()}, rows={self.rows:,})"

    def _row(self, k: int) -> dict[str, Any]:
        return dict(self.table.loc[k])

    def _line(self, k: int) -> str:
        row = self._row(k)
        if k == 1:
            return f"   1  {'':53}{'':8}{'':9}{'  <- chosen' if self.k == 1 else ''}".rstrip()
        said = [word for word in ("stable", "apart") if row[word]]
        chosen = "  <- chosen" if k == self.k else ""
        return (
            f"  {k:2}  {row['stability']:5.2f} ({row['stability_lo']:5.2f} to {row['stability_hi']:4.2f})"
            f"       {row['stability_null']:9.2f}  {row['silhouette']:10.2f}  {100 * row['smallest']:6.1f} %"
            f"  {100 * row['valley']:4.0f} %  {row['p_value']:7.1g}  {', '.join(said)}{chosen}"
        ).rstrip()

    def _why_several(self) -> str:
        row = self._row(self.k)
        return (
            f"{self.k} segments: the most that other customers repeat (agreement {row['stability']:.2f}, asked for is "
            f"{GOOD:g}) and that all lie apart, with a valley of {100 * row['valley']:.0f} % between the nearest two "
            f"(p = {row['p_value']:.1g}, asked for is {self.error_rate:g}).{self._more_cuts('more groups')}"
        )

    def _why_none(self) -> str:
        cuts = self.table[self.table.index > 1]
        apart = cuts[cuts["apart"]]
        if len(apart):
            k = int(apart.index.to_numpy()[apart["stability"].to_numpy().argmax()])
            row = self._row(k)
            reason = (
                f"{k} lie apart (p = {row['p_value']:.1g}), but other customers do not repeat them "
                f"(agreement {row['stability']:.2f}, asked for is {GOOD:g})."
            )
        else:
            reason = "No number of segments leaves a valley between all neighbours."
        more = self._more_cuts("groups all the same") or " Nor does any number of cuts come back in other customers."
        return f"Nothing to split. {reason}{more}"

    def _more_cuts(self, wish: str) -> str:
        """What can be repeated beyond what lies apart; "" where nothing can."""
        if self.repeatable is None or self.repeatable <= self.k:
            return ""
        agreement = self._row(self.repeatable)["stability"]
        return (
            f" For {wish}, n_clusters={self.repeatable} is the most that other customers repeat (agreement "
            f"{agreement:.2f}): cuts through a cloud, and people near a cut are alike."
        )


def _picture(choice: SegmentChoice) -> "Figure":
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("SegmentChoice.figure()", "matplotlib", extra="plot") from None
    cuts = choice.table[choice.table.index > 1]
    figure = Figure(figsize=(10.0, 4.2), layout="constrained", facecolor="white")
    again, apart = figure.subplots(1, 2, sharex=True)
    _dress(again, "Are they found again in other customers?", "Agreement of two halves (adjusted Rand)")
    ends = np.vstack([cuts["stability"] - cuts["stability_lo"], cuts["stability_hi"] - cuts["stability"]]).clip(0)
    look: dict[str, Any] = {"color": MODEL, "marker": "o", "linewidth": 2, "capsize": 3, "zorder": 3}
    again.errorbar(cuts.index, cuts["stability"], yerr=ends, label="these customers (bar: 90 % of draws)", **look)
    look = {"color": RULE, "marker": "s", "linewidth": 1.5, "linestyle": (0, (4, 2))}
    again.plot(cuts.index, cuts["stability_null"], label="one cloud of the same covariance", **look)
    again.axhline(GOOD, color=GREY, linewidth=1, linestyle=":", label=f"good: {GOOD:g}")
    again.set_ylim(min(0.0, cuts["stability_lo"].min()), 1.05)
    _dress(apart, "Do they lie apart?", "Share, or silhouette")
    for is_apart, label in ((True, "valley between the nearest two: apart"), (False, "valley: not proven")):
        bars = cuts[cuts["apart"] == is_apart]
        if bars.empty:
            continue
        face = OTHER if is_apart else "white"
        apart.bar(
            bars.index, bars["valley"], 0.6, color=face, edgecolor=OTHER, hatch="" if is_apart else "////", label=label
        )
    apart.plot(cuts.index, cuts["silhouette"], color=MODEL, marker="D", markersize=5, linewidth=1.5, label="silhouette")
    apart.plot(
        cuts.index, cuts["smallest"], color=GREY, marker="v", markersize=5, linestyle=":", label="smallest segment"
    )
    apart.set_ylim(min(0.0, cuts["silhouette"].min()), 1.05)
    for axes in (again, apart):
        axes.set_xticks(list(cuts.index))
        if choice.k > 1:
            axes.axvline(choice.k, color="#CC79A7", linewidth=8, alpha=0.25, zorder=0, label="chosen")
        if choice.repeatable is not None and choice.repeatable > choice.k:
            look = {"color": "#CC79A7", "linewidth": 2, "linestyle": ":", "zorder": 0}
            axes.axvline(choice.repeatable, **look, label="the most cuts that come back")
        axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    said = f"{choice.k} segments" if choice.k > 1 else "Nothing to split"
    figure.suptitle(f"{said} ({choice.rows:,} rows, {choice.draws} draws)", x=0.01, ha="left", fontsize=13)
    return figure


def _dress(axes: "Axes", title: str, y: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.set_xlabel("Number of segments, k")
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)

"""The flow of customers between segments, cutoff by cutoff, as a picture."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmml.errors import ConfigError
from crmml.insight.assignments import ABSENT
from crmml.insight.migrations import Migrations
from crmml.report.pictures import GREY, _canvas
from crmml.report.text import day

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind people tell apart, then paler ones; beyond them they begin anew.
_COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442",
    "#8AB8D9", "#F2CC80", "#80CFB9", "#EAAF80", "#ABDAF4", "#E5BCD3",
)  # fmt: skip
_MOST_CUTOFFS = 8
_BAR = 0.14  # of the way from one cutoff to the next
_SPACE = 0.012  # between segments, of all customers


def migration_figure(migrations: Migrations) -> "Figure":
    """The segments at every cutoff as bars, and who moves between them as bands.

    Bands have the colour of the segment that customers come from. Heights are numbers of customers, the labels shares
    of those of that cutoff. Those who came anew or are gone stand below, as "(absent)".

    Args:
        migrations: what `migrations` found, at 8 cutoffs at most.

    Returns:
        A matplotlib figure; `figure.savefig("flow.svg")` writes it.

    Raises:
        ConfigError: it is something else, or has more cutoffs.
        MissingExtraError: matplotlib is not installed.

    >>> import crmml as cm
    >>> log = cm.simulate_log(300, seed=1).log
    >>> rules = cm.Lifecycle("20d", event_type="purchase")
    >>> stages = cm.build_lifecycle(log, rules, cm.cutoffs("2024-01-01", "2024-07-01", every="90d"))
    >>> figure = cm.migration_figure(cm.migrations(stages))
    >>> figure.axes[0].get_title(loc="left")
    'Who moves between segments'
    """
    if not isinstance(migrations, Migrations):
        raise ConfigError(f"migration_figure: migrations is {migrations!r}. Use what migrations(assignments) returns.")
    cutoffs = migrations.cutoffs
    if len(cutoffs) > _MOST_CUTOFFS:
        raise ConfigError(
            f"migration_figure: {len(cutoffs)} cutoffs are too many for one picture. Use {_MOST_CUTOFFS} at most: "
            "assignments[assignments['as_of'].isin(few)]."
        )
    names = _names(migrations)
    figure = _canvas((2.4 + 1.7 * len(cutoffs), 4.8), "migration_figure()")
    axes = figure.add_subplot()
    bands, bars = _layout(migrations, names)
    for band in bands:
        _draw_band(axes, band, _colour(names, band["from_segment"]))
    for bar in bars:
        axes.bar(bar["x"], bar["height"], _BAR, bar["bottom"], color=_colour(names, bar["segment"]), zorder=3)
    share = migrations.shares.set_index(["as_of", "segment"])["share"].to_dict()
    for x, side, shift in ((0, "right", -1), (len(cutoffs) - 1, "left", 1)):
        for bar in (one for one in bars if one["x"] == x and one["height"] > 0.012):
            own = share.get((cutoffs[x], bar["segment"]))
            label = bar["segment"] if own is None else f"{bar['segment']} {own:.0%}"
            place = (x + shift * 0.7 * _BAR, bar["bottom"] + bar["height"] / 2)
            axes.text(*place, label, ha=side, va="center", fontsize=8)
    axes.set_title("Who moves between segments", loc="left", fontsize=12, fontweight="bold", pad=10)
    axes.set_xticks(range(len(cutoffs)), [day(cutoff) for cutoff in cutoffs])
    axes.set_xlim(-0.75, len(cutoffs) - 0.25)
    axes.set_yticks([])
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
    return figure


def _names(migrations: Migrations) -> list[str]:
    """The segments from bottom to top: the absent first, then in reverse order, so that the first is on top."""
    found = list(dict.fromkeys(migrations.shares["segment"]))[::-1]
    sides = {*migrations.counts["from_segment"], *migrations.counts["to_segment"]}
    return [*([ABSENT] if ABSENT in sides else []), *found]


def _colour(names: list[str], name: str) -> str:
    if name == ABSENT:
        return "#D0D0D0"
    return _COLOURS[[other for other in names if other != ABSENT][::-1].index(name) % len(_COLOURS)]


def _layout(migrations: Migrations, names: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Where bands and bars stand; heights are shares of the customers of the largest cutoff, the absent included."""
    cutoffs, counts = list(migrations.cutoffs), migrations.counts
    shares = migrations.shares.pivot_table(index="as_of", columns="segment", values="customers", aggfunc="sum")
    heights = pd.DataFrame(0.0, index=cutoffs, columns=names)
    heights[shares.columns] = shares.reindex(cutoffs).fillna(0.0)
    if ABSENT in names:
        gone = counts[counts["to_segment"] == ABSENT].groupby("until")["customers"].sum()
        new = counts[counts["from_segment"] == ABSENT].groupby("as_of")["customers"].sum()
        both = pd.concat([gone, new], axis=1, sort=False).reindex(cutoffs).fillna(0.0)
        heights[ABSENT] = both.max(axis=1)  # in the middle some come and others go: the bar is for the more
    heights /= heights.drop(columns=[ABSENT], errors="ignore").sum(axis=1).max()
    bottoms = heights.cumsum(axis=1) - heights + _SPACE * np.arange(len(names))
    total = migrations.shares.groupby("as_of")["customers"].sum().max()
    bars = [
        {"x": x, "segment": name, "bottom": float(bottoms.loc[at, name]), "height": float(heights.loc[at, name])}
        for x, at in enumerate(cutoffs)
        for name in names
    ]
    bands = []
    for x, at in enumerate(cutoffs[:-1]):
        step = counts[counts["as_of"] == at]
        moved = {(row.from_segment, row.to_segment): row.customers / total for row in step.itertuples()}
        left, right = bottoms.loc[at].to_dict(), bottoms.loc[cutoffs[x + 1]].to_dict()
        for start in names:
            for end in names:
                height = moved.get((start, end), 0.0)
                if height:
                    way = {"x": x, "from_segment": start, "to_segment": end, "height": height}
                    bands.append({**way, "left": left[start], "right": right[end]})
                    left[start] += height
                    right[end] += height
    return bands, bars


def _draw_band(axes: "Axes", band: dict[str, Any], colour: str) -> None:
    """A band that leaves and arrives level."""
    t = np.linspace(0, 1, 41)
    rise = t * t * (3 - 2 * t)
    x = band["x"] + _BAR / 2 + t * (1 - _BAR)
    low = band["left"] + (band["right"] - band["left"]) * rise
    edge = GREY if colour == "#D0D0D0" else colour
    axes.fill_between(x, low, low + band["height"], color=colour, alpha=0.45, linewidth=0.3, edgecolor=edge, zorder=2)

"""The picture of segment profiles: how large each is, what it is worth, and where it differs from everybody else."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmml.errors import ConfigError, MissingExtraError
from crmml.insight.profiles import SegmentProfiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CUSTOMERS, _VALUE = "#0072B2", "#D55E00"
_LONGEST = 32  # letters of a label
_NOTHING = 0.147


def profile_figure(profiles: SegmentProfiles, *, most: int = 12) -> "Figure":
    """A picture of `profile_segments`: shares of customers and value to the left, effects as a map to the right.

    A cell is Cliff's delta of the segment against everybody else, from -1 (everybody lower, brown) to 1 (everybody
    higher, green). A star marks what is proven; columns that made the segments stand in italics, and are not tested.
    Cells below 0.147, which is next to nothing, have no number.

    Args:
        profiles: what `profile_segments` returned.
        most: columns shown at most: those with the largest effect in any segment.

    Returns:
        A matplotlib figure: `figure.savefig("profiles.png")`.

    Raises:
        ConfigError: `most` is not a whole number of at least 1, or there is only one segment.
        MissingExtraError: matplotlib is not installed.

    >>> import pandas as pd
    >>> import crmml as cm
    >>> table = pd.DataFrame({"visits": [1.0] * 30 + [9.0] * 20, "age": [30.0, 40.0] * 25})
    >>> profiles = cm.profile_segments(table, ["few"] * 30 + ["many"] * 20, made_from=["visits"])
    >>> figure = cm.profile_figure(profiles)
    >>> [axes.get_title(loc="left") for axes in figure.axes[:2]]
    ['Share', 'Effect against the rest']
    """
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise ConfigError(f"profile_figure: most is {most!r}. Use a whole number of at least 1, such as most=12.")
    if len(profiles.segments) < 2:
        raise ConfigError("profile_figure: there is one segment, and nothing to compare it with. Use two or more.")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("profile_figure()", "matplotlib", extra="plot") from None
    segments = profiles.segments["segment"].tolist()
    shown = _strongest(profiles, most)
    wide, high = 4.2 + 0.62 * len(shown), 2.6 + 0.42 * len(segments)
    figure = Figure(figsize=(wide, high), layout="constrained", facecolor="white")
    shares, effects = figure.subplots(1, 2, sharey=True, width_ratios=[2.0, 0.62 * len(shown) + 0.6])
    _draw_shares(shares, profiles.segments)
    _draw_effects(effects, profiles, shown)
    shares.set_yticks(range(len(segments)), [_short(segment) for segment in segments])
    shares.set_ylim(len(segments) - 0.5, -0.5)
    figure.legend(*shares.get_legend_handles_labels(), frameon=False, fontsize=9, loc="outside lower left", ncols=2)
    return figure


def _strongest(profiles: SegmentProfiles, most: int) -> list[str]:
    sizes = profiles.effects["effect"].abs().groupby(profiles.effects["column"], sort=False).max()
    return sizes.sort_values(ascending=False, kind="stable").head(most).index.tolist()


def _draw_shares(axes: "Axes", segments: pd.DataFrame) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    places = np.arange(len(segments))
    both = "share_of_value" in segments
    height = 0.36 if both else 0.7
    axes.barh(places - both * height / 2, segments["share"], height, color=_CUSTOMERS, label="of customers")
    if both:
        look: dict[str, Any] = {"color": "white", "edgecolor": _VALUE, "hatch": "////"}
        axes.barh(places + height / 2, segments["share_of_value"], height, label="of value", **look)
    axes.set_title("Share", loc="left", fontsize=12, fontweight="bold", pad=10)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=3))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_effects(axes: "Axes", profiles: SegmentProfiles, shown: list[str]) -> None:
    table = profiles.effects[profiles.effects["column"].isin(shown)]
    order = profiles.segments["segment"].tolist()
    effect = table.pivot_table(index="segment", columns="column", values="effect", dropna=False).loc[order, shown]
    proven = table.pivot_table(index="segment", columns="column", values="proven").loc[order, shown].to_numpy() > 0
    axes.imshow(effect.to_numpy(), cmap="BrBG", vmin=-1.0, vmax=1.0, aspect="auto", interpolation="nearest")
    for row, column in np.argwhere(np.abs(effect.to_numpy()) >= _NOTHING):
        value = effect.to_numpy()[row, column]
        text = f"{value:+.2f}{'*' * bool(proven[row, column])}"
        colour = "white" if abs(value) > 0.7 else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    made = table.groupby("column")["made_segments"].first()
    labels = [_short(profiles.words.get(name, name)) for name in shown]
    axes.set_xticks(range(len(shown)), labels, rotation=40, ha="right", fontsize=8)
    for name, label in zip(shown, axes.get_xticklabels(), strict=True):
        label.set_fontstyle("italic" if made[name] else "normal")
    axes.tick_params(length=0)
    axes.set_title("Effect against the rest", loc="left", fontsize=12, fontweight="bold", pad=10)
    axes.spines[:].set_visible(False)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 2] + ".."

"""The pictures of a report: matplotlib figures that open no window and change no global setting.

Colours are those of Okabe and Ito, which colour-blind people tell apart; the model and the rule also differ in
marker and line.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crmml.errors import MissingExtraError
from crmml.metrics import calibration_table, decile_table, gains_table
from crmml.report.text import capital, contenders, day, outcome, paired

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from crmml.report.backtest import BacktestReport
    from crmml.report.monitor import MonitorReport
    from crmml.report.profit import Profit
    from crmml.report.selection import Selection

MODEL, RULE, OTHER, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"
_SIZE = (6.4, 4.2)
_BARS = 15  # at most so many columns in a picture
_MODEL_LINE: dict[str, Any] = {"color": MODEL, "marker": "o", "linewidth": 2, "markersize": 6, "zorder": 3}
_RULE_LINE: dict[str, Any] = {
    "color": RULE,
    "marker": "s",
    "linewidth": 1.5,
    "markersize": 5,
    "linestyle": (0, (4, 2)),
}


def backtest_figures(report: "BacktestReport") -> "dict[str, Figure]":
    """Every picture that fits the task, by name; see `BacktestReport.figures`."""
    if report.task == "binary":
        return {
            "over_cutoffs": over_cutoffs(report),
            "gains": gains(report),
            "lift": lift_by_decile(report),
            "calibration": calibration(report),
            "levels": levels_over_cutoffs(report),
        }
    if report.task == "value":
        return {
            "over_cutoffs": over_cutoffs(report),
            "gains": gains(report),
            "value_deciles": value_deciles(report),
            "levels": levels_over_cutoffs(report),
        }
    return {"over_cutoffs": over_cutoffs(report), "metrics": metrics_beside(report)}


def over_cutoffs(report: "BacktestReport") -> "Figure":
    """The deciding metric at every hold-out cutoff: the model beside the best rule."""
    measure = report.measures[0]
    figure, axes = _figure(f"{capital(measure.label)} at every hold-out cutoff", "", measure.label)
    model = report.table[report.table["kind"] == "model"]
    times = [moment.tz_localize(None) for moment in model["as_of"]]
    axes.plot(times, model[measure.name], label=report.contender, **_MODEL_LINE)
    if report.best_rule is not None:
        axes.plot(times, paired(report, measure)["rule"], label=_rule_label(report), **_RULE_LINE)
    if measure.name == "auc":
        _level(axes, 0.5, "a coin")
    _cutoff_ticks(axes, list(report.cutoffs), times)
    axes.margins(x=0.08, y=0.15)
    _legend(figure)
    return figure


def gains(report: "BacktestReport") -> "Figure":
    """What share of the churners (or of the value) the first x % of the list holds, all hold-outs pooled."""
    what = "value" if report.task == "value" else _those_who(outcome(report))
    figure, axes = _figure(f"Share of {what} found by the top of the list", "Top of the list", f"Share of {what}")
    model, rule = _sides(report)
    line: dict[str, Any] = {"linewidth": 2, "color": MODEL, "zorder": 3}
    axes.plot(*_gains_curve(model["y"].to_numpy(), model["score"].to_numpy()), label=report.contender, **line)
    if rule is not None:
        line = {"linewidth": 1.5, "color": RULE, "linestyle": (0, (4, 2))}
        axes.plot(*_gains_curve(rule["y"].to_numpy(), rule["score"].to_numpy()), label=_rule_label(report), **line)
    perfect = model["y"].to_numpy()
    axes.plot(*_gains_curve(perfect, perfect), color=GREY, linewidth=1, linestyle=":", label="perfect order")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="random order")
    _percent(axes, x=True, y=True)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, max(1.02, axes.get_ylim()[1]))
    _legend(figure)
    return figure


def lift_by_decile(report: "BacktestReport") -> "Figure":
    """The rate of each tenth of the list over the average rate: the model beside the best rule."""
    word = outcome(report)
    figure, axes = _figure(
        "Lift of every tenth of the list", "Tenth of the list (1 = highest score)", f"Share {word} / average"
    )
    model, rule = _sides(report)
    width = 0.8 if rule is None else 0.4
    for place, (side, label) in enumerate([(model, report.contender), (rule, _rule_label(report))]):
        if side is None:
            continue
        rates = gains_table(side["y"], side["score"])["rate"] / side["y"].mean()
        look = _bar(RULE, "////") if place else _bar(MODEL)
        axes.bar(rates.index + (place - 0.5) * width * (rule is not None), rates, width, label=label, **look)
    _level(axes, 1.0, "average")
    axes.set_xticks(rates.index)
    _legend(figure)
    return figure


def calibration(report: "BacktestReport") -> "Figure":
    """Predicted against actual share of ones in ten bins of equal size, above how often each score occurs."""
    from matplotlib.ticker import PercentFormatter

    figure = _canvas((6.4, 5.0))
    axes, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [4, 1]})
    word = outcome(report)
    _dress(axes, "Is a predicted 30 % a 30 %?", "", f"Actual share {word}")
    _dress(below, "", f"Predicted probability ({_noun(word)})", "Customers")
    model, rule = _sides(report)
    ends = [0.0]
    for side, label, line in ((model, report.contender, _MODEL_LINE), (rule, _rule_label(report), _RULE_LINE)):
        if side is None:
            continue
        table = calibration_table(side["y"], side["probability"])
        axes.plot(table["mean_predicted"], table["mean_actual"], label=label, **line)
        ends += [
            table["mean_predicted"].max(),
            table["mean_actual"].max(),
            float(side["probability"].quantile(0.999)),
        ]
    end = min(1.0, max(ends) * 1.08)
    axes.plot([0, end], [0, end], color=GREY, linewidth=1, zorder=1, label="perfect")
    below.hist(model["probability"], bins=np.linspace(0, end, 41), color=MODEL)
    axes.set_xlim(0, end)
    axes.set_ylim(0, end)
    for one in (axes.yaxis, below.xaxis):
        one.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    _thousands(below)
    below.yaxis.get_major_locator().set_params(nbins=3)
    _legend(figure)
    return figure


def value_deciles(report: "BacktestReport") -> "Figure":
    """Predicted beside actual mean value in every tenth of the list."""
    figure, axes = _figure(
        "Predicted and actual value", "Tenth of the list (1 = highest prediction)", "Mean value per customer"
    )
    model, _ = _sides(report)
    table = decile_table(model["y"], model["score"])
    width = 0.4
    axes.bar(table.index - width / 2, table["mean_predicted"], width, label="predicted", **_bar(MODEL, "////"))
    axes.bar(table.index + width / 2, table["mean_actual"], width, label="actual", **_bar(MODEL))
    axes.set_xticks(table.index)
    axes.axhline(0, color=GREY, linewidth=0.8)
    _thousands(axes)
    _legend(figure)
    return figure


def levels_over_cutoffs(report: "BacktestReport") -> "Figure":
    """The mean that was predicted at every hold-out cutoff, and the mean that came: does the level hold?"""
    binary = report.task == "binary"
    what = f"Share {outcome(report)}" if binary else "Mean value per customer"
    figure, axes = _figure("Predicted and actual, cutoff by cutoff", "", what)
    table = report.stability
    times = [moment.tz_localize(None) for moment in table["as_of"]]
    axes.plot(times, table["mean_predicted"], label="predicted", **_RULE_LINE | {"color": MODEL})
    axes.plot(times, table["mean_actual"], label="actual", **_MODEL_LINE)
    _cutoff_ticks(axes, list(table["as_of"]), times)
    axes.margins(x=0.08)
    axes.set_ylim(0, 1.15 * max(table["mean_predicted"].max(), table["mean_actual"].max()))
    if binary:
        _percent(axes, y=True)
    else:
        _thousands(axes)
    _legend(figure)
    return figure


def profit_curves(profit: "Profit") -> "Figure":
    """The profit of every length of the list: the model beside the best rule, and where the model earns most."""
    figure = _canvas(_SIZE, "Profit.figure()")
    axes = figure.add_subplot()
    _dress(axes, "What contacting the top of the list earns", "Share of the list contacted", "Mean profit per cutoff")
    axes.plot(profit.table.index, profit.table["model"], color=MODEL, linewidth=2, zorder=3, label=profit.contender)
    if "rule" in profit.table:
        line: dict[str, Any] = {"color": RULE, "linewidth": 1.5, "linestyle": (0, (4, 2))}
        axes.plot(profit.table.index, profit.table["rule"], label=f"best rule: {profit.rule}", **line)
    best = profit.best_share
    label = f"most: the first {100 * best:.0f} %"
    axes.plot([best], [profit.table["model"].max()], "o", color=MODEL, markersize=8, zorder=4, label=label)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_xlim(0, 1)
    _percent(axes, x=True)
    _thousands(axes)
    _legend(figure)
    return figure


def metrics_beside(report: "BacktestReport") -> "Figure":
    """Every metric of the recommended lists, contender beside contender; the bars' ends span the cutoffs."""
    names = contenders(report)
    figure, axes = _figure("Recommended lists beside simple rules", "", "Mean over the cutoffs")
    width = 0.8 / len(names)
    looks = [(MODEL, ""), (RULE, "////"), (OTHER, ".."), ("#CC79A7", "xx"), ("#E69F00", "\\\\")]
    for number, (name, kind) in enumerate(names):
        mine = report.summary[(report.summary["contender"] == name) & (report.summary["kind"] == kind)]
        of = mine.set_index("metric").loc[[measure.name for measure in report.measures]]
        places = np.arange(len(of)) + (number - (len(names) - 1) / 2) * width
        spread = np.vstack([of["mean"] - of["min"], of["max"] - of["mean"]])
        look = _bar(*looks[number % len(looks)]) | {"ecolor": "#333333", "capsize": 3}
        axes.bar(places, of["mean"], width * 0.92, yerr=spread, label=name, **look)
    axes.set_xticks(range(len(report.measures)), [measure.label for measure in report.measures])
    _legend(figure)
    return figure


def importances(selection: "Selection") -> "Figure":
    """What the deciding metric loses without each feature that was kept; the bars' ends span the cutoffs."""
    kept = selection.table[selection.table["kept"]].iloc[::-1]
    figure = _canvas((6.4, 1.6 + 0.22 * len(kept)), "Selection.figure()")
    axes = figure.add_subplot()
    _dress(axes, "What matters, over the cutoffs", f"Loss of {selection.measure.label} when it is shuffled", "")
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color="#E6E6E6", linewidth=0.8)
    spread = np.vstack([kept["mean"] - kept["min"], kept["max"] - kept["mean"]])
    look = _bar(MODEL) | {"ecolor": "#333333", "capsize": 2}
    axes.barh(range(len(kept)), kept["mean"], 0.7, xerr=spread, **look)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(kept)), list(kept.index), fontsize=8)
    axes.margins(y=0.01)
    return figure


def _figure(title: str, x: str, y: str) -> "tuple[Figure, Axes]":
    figure = _canvas(_SIZE)
    axes = figure.add_subplot()
    _dress(axes, title, x, y)
    return figure, axes


def _canvas(size: tuple[float, float], owner: str = "BacktestReport.figures()") -> "Figure":
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError(owner, "matplotlib", extra="plot") from None
    return Figure(figsize=size, layout="constrained", facecolor="white")


def _dress(axes: "Axes", title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)


def _bar(colour: str, hatch: str = "") -> dict[str, Any]:
    """A filled bar, or a hatched one that differs without its colour too."""
    return {"color": "white" if hatch else colour, "edgecolor": colour, "hatch": hatch, "linewidth": 1.2}


def stability_bars(report: "MonitorReport") -> "Figure":
    """How far the columns have moved that moved most; alarms in another colour, and hatched."""
    rows = report.table[report.table["distance"].notna()].nlargest(_BARS, "effect").iloc[::-1]
    figure = _canvas((6.4, 1.6 + 0.26 * len(rows)), "MonitorReport.figure()")
    axes = figure.add_subplot()
    _dress(axes, f"What has moved since the training, as of {day(report.as_of)}", "Population stability index", "")
    for alarm, look, label in ((False, _bar(MODEL), "no alarm"), (True, _bar(RULE, "////"), "alarm")):
        chosen = (rows["alarm"] == alarm).to_numpy()
        axes.barh(np.flatnonzero(chosen), rows["effect"][chosen], 0.7, label=label, **look)
    axes.set_yticks(range(len(rows)), [name if len(name) <= 40 else f"{name[:37]}..." for name in rows["column"]])
    axes.axvline(report.least_psi, color=GREY, linewidth=1, linestyle=":", label="worth an alarm")
    axes.grid(visible=False, axis="y")
    _legend(figure)
    return figure


def _legend(figure: "Figure") -> None:
    """Below the picture, where it can hide nothing."""
    figure.legend(frameon=False, fontsize=9, loc="outside lower center", ncols=2)


def _level(axes: "Axes", value: float, label: str) -> None:
    axes.axhline(value, color=GREY, linewidth=1, linestyle=":", zorder=1, label=label)


def _cutoff_ticks(axes: "Axes", cutoffs: Sequence[pd.Timestamp], times: Sequence[Any]) -> None:
    """Ticks at the cutoffs themselves (at most six of them), as dates."""
    step = -(-len(cutoffs) // 6)
    axes.set_xticks(times[::step], [day(moment) for moment in cutoffs[::step]])
    axes.set_xlabel("Hold-out cutoff (the labels are what followed)")


def _percent(axes: "Axes", *, x: bool = False, y: bool = False) -> None:
    from matplotlib.ticker import PercentFormatter

    for wanted, axis in ((x, axes.xaxis), (y, axes.yaxis)):
        if wanted:
            axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))


def _thousands(axes: "Axes") -> None:
    from matplotlib.ticker import StrMethodFormatter

    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _sides(report: "BacktestReport") -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """The rows of the model and of the best rule."""
    scores = report.scores
    model = scores[scores["kind"] == "model"]
    if report.best_rule is None:
        return model, None
    return model, scores[(scores["kind"] == "rule") & (scores["contender"] == report.best_rule)]


def _gains_curve(y: "np.ndarray[Any, Any]", score: "np.ndarray[Any, Any]") -> tuple[Any, Any]:
    """Share of the list taken and share of y found, at 201 places; ties are shared out evenly."""
    distinct, group = np.unique(-score.astype(np.float64), return_inverse=True)
    taken = np.concatenate([[0.0], np.cumsum(np.bincount(group, minlength=len(distinct)))])
    found = np.concatenate([[0.0], np.cumsum(np.bincount(group, weights=y, minlength=len(distinct)))])
    places = np.linspace(0, 1, 201)
    return places, np.interp(places * taken[-1], taken, found) / found[-1]


def _rule_label(report: "BacktestReport") -> str:
    return f"best rule: {(report.best_rule or '').removesuffix(' rule')}"


def _those_who(word: str) -> str:
    return "positives" if word == "positive" else f"those who {word}"


def _noun(word: str) -> str:
    return {"churned": "of churn", "bought again": "of buying again"}.get(word, "of a positive")

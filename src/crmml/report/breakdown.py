"""A backtest looked at closely: intervals of its metrics, each cutoff, each segment, the width of its intervals."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmml.errors import DataError
from crmml.metrics import coverage, winkler
from crmml.report.comparison import interval
from crmml.report.measures import measured

if TYPE_CHECKING:
    from crmml.report.backtest import BacktestReport

_REPLICATES = 100
# What the intervals of a value promise.
INTERVAL = 0.9


def metric_intervals(report: "BacktestReport") -> pd.DataFrame:
    """The mean of each metric of the model over the cutoffs, with its 95 % interval by redrawing customers.

    Whole customers are drawn with replacement, as in the comparison with the best rule. The draws are moved so that
    their mean is that of the metric: redrawing adds noise, from which a calibration error looks larger than it is.
    """
    rows = report.scores[report.scores["kind"] == "model"].reset_index(drop=True)
    codes, customers = pd.factorize(rows["customer_id"])
    holdouts = [(rows.iloc[places], codes[places]) for places in rows.groupby("as_of").indices.values()]
    generator = np.random.default_rng(0)
    draws = []
    for _ in range(_REPLICATES):
        drawn = np.bincount(generator.integers(len(customers), size=len(customers)), minlength=len(customers))
        found = []
        for mine, who in holdouts:
            copies = np.repeat(np.arange(len(mine)), drawn[who])
            try:
                found.append(measured(report.measures, mine.iloc[copies]))
            except DataError:
                continue  # a draw may hold labels of one class only
        if found:
            draws.append(pd.DataFrame(found).mean())
    means = report.table[report.table["kind"] == "model"]
    lines = []
    for measure in report.measures:
        mean = float(means[measure.name].mean())
        drawn_values = np.array([draw[measure.name] for draw in draws])
        low, high = interval(drawn_values + (mean - drawn_values.mean()) if len(drawn_values) else drawn_values)
        lines.append({"metric": measure.name, "mean": mean, "low": low, "high": high})
    return pd.DataFrame(lines)


def stability_of(report: "BacktestReport") -> pd.DataFrame:
    """Cutoff by cutoff: what was predicted and what came, and the deciding metric.

    Columns `as_of`, `customers`, `mean_predicted`, `mean_actual`, `ratio` (predicted over actual; NaN where nothing
    came) and the metric. A ratio that follows the seasons says that the level does, too.
    """
    on = "probability" if report.task == "binary" else "score"
    model = report.scores[report.scores["kind"] == "model"]
    groups = model.groupby("as_of")
    table = pd.DataFrame(
        {"customers": groups.size(), "mean_predicted": groups[on].mean(), "mean_actual": groups["y"].mean()}
    )
    table["ratio"] = (table["mean_predicted"] / table["mean_actual"]).where(table["mean_actual"] > 0)
    name = report.measures[0].name
    table[name] = report.table[report.table["kind"] == "model"].set_index("as_of")[name]
    return table.reset_index()


def segments_of(report: "BacktestReport") -> pd.DataFrame:
    """Segment by segment, all hold-outs pooled: the model and the best rule on the deciding metric.

    Columns `segment`, `customers`, `mean_predicted`, `mean_actual`, `model`, `rule` (NaN where a segment cannot be
    measured, such as one with labels of one class), largest segment first.
    """
    measure = report.measures[0]
    on = "probability" if report.task == "binary" else "score"
    scores = report.scores
    chosen = (scores["kind"] == "model") | (scores["contender"] == report.best_rule)
    lines = []
    for segment, rows in scores[chosen].groupby("segment", sort=False):
        model = rows[rows["kind"] == "model"]
        line = {"segment": segment, "customers": len(model)}
        line |= {"mean_predicted": model[on].mean(), "mean_actual": model["y"].mean()}
        for kind in ("model", "rule"):
            try:
                line[kind] = measured((measure,), rows[rows["kind"] == kind])[measure.name]
            except DataError:
                line[kind] = float("nan")
        lines.append(line)
    table = pd.DataFrame(lines)
    return table.sort_values(["customers", "segment"], ascending=[False, True], ignore_index=True)


def coverage_of(report: "BacktestReport") -> pd.DataFrame:
    """How often the truth lay inside the model's intervals, all hold-outs pooled.

    One row for all customers and one for the tenth with the highest prediction, which is where the money is: columns
    `customers`, `coverage`, `mean_width`, `winkler` (interval score over the mean value; small is good), index
    `group`. Empty where the model has no intervals.
    """
    model = report.scores[report.scores["kind"] == "model"]
    if "hi" not in model or not np.isfinite(model[["lo", "hi"]].to_numpy()).all():
        return pd.DataFrame()
    rank = model.groupby("as_of")["score"].rank(method="first", ascending=False, pct=True)
    lines = {}
    for name, rows in {"all": model, "top tenth": model[rank <= 0.1]}.items():
        if rows.empty:
            continue
        mean = rows["y"].mean()
        score = winkler(rows["y"], rows["lo"], rows["hi"], coverage=INTERVAL)
        lines[name] = {
            "customers": len(rows),
            "coverage": coverage(rows["y"], rows["lo"], rows["hi"]),
            "mean_width": float((rows["hi"] - rows["lo"]).mean()),
            "winkler": score / mean if mean > 0 else float("nan"),
        }
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("group")

"""A backtest as plain text: what a terminal shows, never wider than 99 columns."""

import textwrap
from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

import pandas as pd

from crmml.report.measures import Measure

if TYPE_CHECKING:
    from crmml.report.backtest import BacktestReport

WIDTH = 99
# What a 1 means to a person, by the class of the target.
_OUTCOMES = {"Churn": "churned", "Repurchase": "bought again"}


def report_text(report: "BacktestReport") -> str:
    """The whole report: verdict first, then the means, every cutoff, and what was left out."""
    parts = [_head(report), wrapped(verdict(report)), _means(report), _by_cutoff(report)]
    top = top_tenth(report)
    parts += [wrapped(top)] if top else []
    parts += [wrapped(line) for line in (levels(report), covered(report)) if line]
    parts += [_segments(report)] if not report.segments.empty else []
    parts += [_listed("Look into", report.warnings)] if report.warnings else []
    skipped = [f"{day(one.as_of)}: {one.reason}" for one in report.skipped]
    parts += [_listed("Hold-outs skipped", skipped)] if skipped else []
    return "\n\n".join(parts)


def verdict(report: "BacktestReport") -> str:
    """One or two sentences: is the model better than the best rule, and how far to trust that."""
    if report.comparison is None:
        return f"Verdict: {report.contender} stands alone: the target names no rule to compare it with."
    sentence = f"Verdict: {report.comparison}."
    if not report.grade.startswith("no "):  # which the comparison has said already
        sentence += f" Grade: {report.grade}."
    behind = _behind(report)
    if behind:
        sentence += f" Behind the same rule in {', '.join(behind)}."
    if len(report.cutoffs) == 1:
        sentence += " One cutoff says little about other seasons: add earlier or later ones."
    return sentence


def _behind(report: "BacktestReport") -> list[str]:
    """The other measures in which the best rule wins at least two thirds of the cutoffs, and how often it does."""
    found = []
    for measure in report.measures[1:]:
        pair = paired(report, measure)
        lost = sum(measure.is_better(theirs, mine) for mine, theirs in zip(pair["model"], pair["rule"], strict=True))
        if 3 * lost >= 2 * len(pair):
            found.append(f"{measure.label} (on {lost} of {len(pair)})")
    return found


def outcome(report: "BacktestReport") -> str:
    """What a label of 1 is called, such as "churned"; "value" and "new items" for the other tasks."""
    if report.task == "value":
        return "mean value"
    if report.task == "items":
        return "items each"
    return _OUTCOMES.get(report.target.partition("(")[0], "positive")


def mean_y_text(report: "BacktestReport", value: float) -> str:
    """The mean label as people read it: a share, an amount, or a number of items."""
    if report.task == "binary":
        return f"{100 * value:.1f} %"
    return f"{value:,.2f}"


def top_tenth(report: "BacktestReport") -> str:
    """What the first tenth of the list is worth, in words; "" for lists of items and for fewer than ten rows."""
    deciles = report.deciles
    if len(deciles) < 10:
        return ""
    first = deciles.iloc[0]
    if report.task == "value":
        return (
            f"The tenth with the highest prediction spent {_amount(first['mean_actual'])} each "
            f"(predicted {_amount(first['mean_predicted'])}): {100 * first['share_of_value']:.1f} % of all value."
        )
    word = outcome(report)
    return (
        f"The tenth with the highest score: {100 * first['rate']:.1f} % {word}, {first['lift']:.2f} times the "
        f"average. It holds {100 * first['captured']:.1f} % of all who {word}."
        if word != "positive"
        else f"The tenth with the highest score: {100 * first['rate']:.1f} % positive, {first['lift']:.2f} times "
        f"the average. It holds {100 * first['captured']:.1f} % of all positives."
    )


def levels(report: "BacktestReport") -> str:
    """How far the level of the predictions was off, cutoff by cutoff, in words; "" for lists and for one cutoff."""
    ratios: list[float] = [] if report.stability.empty else report.stability["ratio"].dropna().tolist()
    if len(ratios) < 2:
        return ""
    return f"Predicted over actual, cutoff by cutoff: from {min(ratios):.2f} to {max(ratios):.2f}; 1 is right."


def covered(report: "BacktestReport") -> str:
    """What the intervals of a value were worth, in words; "" where there are none."""
    if report.coverage.empty:
        return ""
    shares = {str(group): f"{100 * row['coverage']:.1f} %" for group, row in report.coverage.iterrows()}
    top = f" and {shares['top tenth']} of the tenth with the highest prediction" if "top tenth" in shares else ""
    return f"The intervals of 90 % held {shares['all']} of all customers{top}."


def segment_rows(report: "BacktestReport") -> tuple[list[str], list[list[str]]]:
    """Heading and rows of the table of segments, at most the twelve largest."""
    measure = report.measures[0]
    header = ["segment", "customers", "predicted", outcome(report), f"{measure.label}, model"]
    header += [] if report.best_rule is None else ["best rule"]
    rows = []
    for row in report.segments.head(12).to_dict("records"):
        cells = [row["segment"], f"{row['customers']:,}", mean_y_text(report, row["mean_predicted"])]
        cells += [mean_y_text(report, row["mean_actual"]), measure.text(row["model"])]
        rows.append(cells + ([] if report.best_rule is None else [measure.text(row["rule"])]))
    return header, rows


def _segments(report: "BacktestReport") -> str:
    header, rows = segment_rows(report)
    return "\n".join(["Segment by segment, all hold-outs pooled", *aligned([header, *rows])])


def means_rows(report: "BacktestReport") -> list[list[str]]:
    """Contender by contender, the mean of every metric "±" its standard deviation; then the difference, wins."""
    rows = [[name, *_spread(report, name, kind)] for name, kind in contenders(report)]
    if report.best_rule is None:
        return rows
    pairs = [paired(report, measure) for measure in report.measures]
    differences = [
        _plus_minus(measure, pair["difference"].mean(), pair["difference"].std(), signed=True)
        for measure, pair in zip(report.measures, pairs, strict=True)
    ]
    wins = [f"{int(pair['better'].sum())} of {len(pair)}" for pair in pairs]
    return [*rows, ["difference", *differences], ["better on", *wins]]


def contenders(report: "BacktestReport") -> list[tuple[str, str]]:
    """Name and kind of every contender: the model first, then the rules as the target names them."""
    pairs = report.table[["contender", "kind"]].drop_duplicates().itertuples(index=False)
    return sorted(((str(name), str(kind)) for name, kind in pairs), key=lambda pair: pair[1] != "model")


def paired(report: "BacktestReport", measure: Measure) -> pd.DataFrame:
    """Model and best rule side by side, one row per cutoff: `model`, `rule`, `difference`, `better`."""
    table = report.table
    model = table[table["kind"] == "model"].set_index("as_of")[measure.name]
    rule = table[(table["kind"] == "rule") & (table["contender"] == report.best_rule)]
    pair = pd.DataFrame({"model": model, "rule": rule.set_index("as_of")[measure.name]})
    both = list(zip(pair["model"], pair["rule"], strict=True))
    return pair.assign(
        difference=[measure.difference(mine, theirs) for mine, theirs in both],
        better=[measure.is_better(mine, theirs) for mine, theirs in both],
    )


def day(moment: pd.Timestamp) -> str:
    """A moment as a date; with the time where it is not midnight UTC.

    >>> import pandas as pd
    >>> day(pd.Timestamp("2024-03-01", tz="UTC")), day(pd.Timestamp("2024-03-01 12:30", tz="UTC"))
    ('2024-03-01', '2024-03-01 12:30')
    """
    return f"{moment:%Y-%m-%d}" if moment == moment.normalize() else f"{moment:%Y-%m-%d %H:%M}"


def capital(text: str) -> str:
    """The text with a capital first letter, as in a heading.

    >>> capital("norm. Gini")
    'Norm. Gini'
    """
    return text[:1].upper() + text[1:]


def aligned(rows: Sequence[Sequence[str]], *, left: int = 1, gap: int = 2) -> list[str]:
    """Rows as lines of equal columns: the first `left` columns to the left, the others to the right.

    The first column is shortened where a line would be wider than the page.

    >>> aligned([["", "AUC"], ["model", "0.7"]])
    ['         AUC', '  model  0.7']
    """
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    widths[0] = min(widths[0], max(12, WIDTH - 2 - sum(widths[1:]) - gap * (len(widths) - 1)))
    lines = []
    for row in rows:
        cells = [_shortened(cell, width) for cell, width in zip(row, widths, strict=True)]
        cells = [
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append(("  " + (" " * gap).join(cells)).rstrip())
    return lines


def wrapped(text: str, indent: str = "") -> str:
    """The text in lines that fit the page."""
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def _head(report: "BacktestReport") -> str:
    return "\n".join(wrapped(line, " " * 12) for line in head_lines(report))


def head_lines(report: "BacktestReport") -> list[str]:
    """What was tested, on what."""
    model = report.table[report.table["kind"] == "model"]
    cutoffs, customers = len(model), report.predictions["customer_id"].nunique()
    mean_y = float(report.predictions["y"].mean())
    span = " to ".join(dict.fromkeys([day(report.cutoffs[0]), day(report.cutoffs[-1])]))
    times = f"{customers:,} customers {int(model['customers'].sum()):,} times"
    return [
        f"Backtest of {report.model}",
        f"  predicts  {report.target}",
        f"  held out  {cutoffs} cutoff{'s' * (cutoffs != 1)}, {span}",
        f"  scored    {times}; {_mean_y_phrase(report, mean_y)}",
    ]


def _mean_y_phrase(report: "BacktestReport", value: float) -> str:
    text = mean_y_text(report, value)
    if report.task == "value":
        return f"they spent {text} on average"
    return f"{text} items to find on average" if report.task == "items" else f"{text} {outcome(report)}"


def _means(report: "BacktestReport") -> str:
    header = ["", *(measure.label for measure in report.measures)]
    best = {"high": "high is good", "low": "low is good", "zero": "0 is good"}
    direction = ["", *(best[measure.better] for measure in report.measures)]
    lines = ["Mean over the cutoffs ± standard deviation", *aligned([header, direction, *means_rows(report)])]
    if report.best_rule is not None:
        note = f"difference: model - {report.best_rule}, the best rule with hindsight"
        sizes = ["the total error compares sizes"] if any(one.better == "zero" for one in report.measures) else []
        lines.append(wrapped(f"  ({'; '.join([note, *sizes])})", "   "))
    return "\n".join(lines)


def _by_cutoff(report: "BacktestReport") -> str:
    header, rows = cutoff_rows(report)
    return "\n".join([f"{capital(report.measures[0].label)}, cutoff by cutoff", *aligned([header, *rows])])


def cutoff_rows(report: "BacktestReport") -> tuple[list[str], list[list[str]]]:
    """Heading and rows of the table of cutoffs: the deciding metric of the model and of the best rule."""
    measure = report.measures[0]
    model = report.table[report.table["kind"] == "model"].set_index("as_of")
    header = [
        "hold-out",
        "customers",
        outcome(report),
        "trained on" if report.task == "items" else "trained on cutoffs",
        "model",
    ]
    header += [] if report.best_rule is None else ["best rule", "difference"]
    pair = paired(report, measure) if report.best_rule is not None else None
    rows = []
    for number, (as_of, row) in enumerate(zip(report.cutoffs, model.to_dict("records"), strict=True)):
        # Nobody knows it of earlier scores.
        trained = f"{row['trained_on']}, last {day(row['trained_until'])}" if row["trained_on"] else "unknown"
        if report.task == "items":  # a recommender learns from the history, not from labels
            trained = "all before"
        cells = [day(as_of), f"{row['customers']:,}", mean_y_text(report, row["mean_y"]), trained]
        cells.append(measure.text(row[measure.name]))
        if pair is not None:
            cells.append(measure.text(pair["rule"].tolist()[number]))
            cells.append(measure.text(pair["difference"].tolist()[number], signed=True))
        rows.append(cells)
    return header, rows


def _spread(report: "BacktestReport", name: str, kind: str) -> list[str]:
    mine = report.summary[(report.summary["contender"] == name) & (report.summary["kind"] == kind)]
    of = mine.set_index("metric")[["mean", "std"]].to_dict("index")
    return [_plus_minus(measure, of[measure.name]["mean"], of[measure.name]["std"]) for measure in report.measures]


def _plus_minus(measure: Measure, mean: float, std: float, *, signed: bool = False) -> str:
    text = measure.text(mean, signed=signed)
    if isnan(std):
        return text
    return f"{text.removesuffix(' %')} ±{measure.text(std, like=mean).removeprefix('+')}"


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 2] + ".."


def _amount(value: float) -> str:
    return f"{value:,.2f}"


def _listed(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *(wrapped(f"  - {line}", "    ") for line in lines)])

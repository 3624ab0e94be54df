"""A report as one HTML page: text, tables and pictures in one file that asks the network for nothing."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

import pandas as pd

from crmml.errors import MissingExtraError
from crmml.report.text import (
    capital,
    covered,
    cutoff_rows,
    day,
    head_lines,
    levels,
    means_rows,
    segment_rows,
    top_tenth,
    verdict,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from crmml.report.backtest import BacktestReport

# Nothing may be loaded or run, whatever a name in the log contains.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
# Colours have a contrast of at least 4.5 : 1 on white.
_STYLE = """
.crmml-report { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: #1a1a1a;
  background: #fff; max-width: 1080px; margin: 0 auto; padding: 24px; color-scheme: light; }
.crmml-report h1 { font-size: 24px; margin: 0 0 8px; overflow-wrap: anywhere; }
.crmml-report h2 { font-size: 18px; margin: 32px 0 8px; }
.crmml-report dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 0 0 16px; }
.crmml-report dt { color: #595959; }
.crmml-report dd { margin: 0; overflow-wrap: anywhere; }
.crmml-report .verdict { border-left: 6px solid #767676; background: #f4f4f4; padding: 12px 16px; font-size: 17px; }
.crmml-report .better { border-color: #0072b2; background: #eaf3f9; }
.crmml-report .worse { border-color: #d55e00; background: #fdf0e6; }
.crmml-report .scroll { overflow-x: auto; }
.crmml-report table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; }
.crmml-report th, .crmml-report td { padding: 4px 12px; text-align: right; white-space: nowrap; }
.crmml-report th:first-child, .crmml-report td:first-child { text-align: left; padding-left: 0; }
.crmml-report thead th { border-bottom: 1px solid #767676; font-weight: 600; vertical-align: bottom; }
.crmml-report tbody tr + tr td { border-top: 1px solid #e6e6e6; }
.crmml-report .note { color: #595959; font-size: 13px; font-weight: 400; }
.crmml-report .pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 24px; }
.crmml-report img { width: 100%; height: auto; }
.crmml-report summary { cursor: pointer; margin: 12px 0; font-weight: 600; }
@media (max-width: 520px) { .crmml-report .pictures { grid-template-columns: 1fr; } }
"""
_BETTER = {"high": "high is good", "low": "low is good", "zero": "0 is good"}
# What a picture shows, for who cannot see it.
_SHOWN = {
    "over_cutoffs": "The deciding metric at every hold-out cutoff, model beside best rule",
    "gains": "Share found by the top of the list, model beside best rule",
    "lift": "Lift of every tenth of the list, model beside best rule",
    "calibration": "Predicted against actual share, with the distribution of the predictions",
    "levels": "Predicted and actual mean at every hold-out cutoff",
    "value_deciles": "Predicted and actual mean value in every tenth of the list",
    "metrics": "Every metric, contender beside contender",
}


def page(title: str, body: str) -> str:
    """A whole page around `body`, which is HTML: it needs no other file and no network, and runs no script."""
    from crmml import __version__

    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n</head>\n<body>\n{body}\n"
        f"<!-- crmml {escape(__version__)} -->\n</body>\n</html>\n"
    )


def dressed(parts: Iterable[str]) -> str:
    """Parts of HTML, each one closed in itself, in the style of the reports."""
    styled = ['<div class="crmml-report">', f"<style>{_STYLE}</style>", *filter(None, parts), "</div>"]
    return "\n".join(styled)


def backtest_page(report: "BacktestReport") -> str:
    """The whole page as text; every name that came from a log is escaped."""
    return page(f"Backtest: {report.contender}", backtest_body(report))


def backtest_body(report: "BacktestReport") -> str:
    """The page without its frame: what a notebook shows."""
    mood = "" if report.comparison is None else report.comparison.verdict.replace(" ", "-")
    parts = [
        f"<h1>Backtest of {escape(report.contender)}</h1>",
        _facts(report),
        f'<p class="verdict {mood}">{escape(verdict(report))}</p>',
        *(f"<p>{escape(line)}</p>" for line in (top_tenth(report), levels(report), covered(report)) if line),
        _list("Look into", report.warnings),
        _list("Hold-outs skipped", [f"{day(one.as_of)}: {one.reason}" for one in report.skipped]),
        _means(report),
        _pictures(report),
        f"<h2>{escape(capital(report.measures[0].label))}, cutoff by cutoff</h2>",
        table_of(*cutoff_rows(report)),
        *(["<h2>Segment by segment</h2>", table_of(*segment_rows(report))] if not report.segments.empty else []),
        _details(report),
    ]
    return dressed(parts)


def _facts(report: "BacktestReport") -> str:
    lines = [line.strip().partition("  ") for line in head_lines(report)[1:]]
    facts = [("model", report.model), *((name, text.strip()) for name, _, text in lines)]
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(text)}</dd>' for name, text in facts)}</dl>"


def _means(report: "BacktestReport") -> str:
    header = ["", *(f"{one.label}\n{_BETTER[one.better]}" for one in report.measures)]
    text = "<h2>Mean over the cutoffs ± standard deviation</h2>" + table_of(header, means_rows(report))
    if report.best_rule is not None:
        sizes = any(one.better == "zero" for one in report.measures)
        note = f"difference: model - {report.best_rule}, the best rule with hindsight"
        text += f'<p class="note">{escape(note)}{"; the total error compares sizes" if sizes else ""}</p>'
    return text


def _pictures(report: "BacktestReport") -> str:
    try:
        images = [f'<img alt="{escape(_SHOWN[name])}" src="{image}">' for name, image in report._images.items()]
    except MissingExtraError as error:
        return f'<h2>Pictures</h2><p class="note">{escape(str(error))}</p>'
    return f'<h2>Pictures</h2><div class="pictures">{"".join(images)}</div>'


def picture(figure: "Figure") -> str:
    """A figure as a `data:` address of an SVG picture: sharp at every size, the same bytes every time.

    As a picture of its own, and not inside the page, since the names that SVG parts go by would clash.
    """
    import matplotlib as mpl

    buffer = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "crmml", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return f"data:image/svg+xml;base64,{b64encode(buffer.getvalue()).decode()}"


def _details(report: "BacktestReport") -> str:
    tables = {"All metrics, every cutoff and contender": report.table}
    if not report.deciles.empty:
        tables["Tenths of the list, from the highest score down"] = report.deciles.reset_index(names="tenth")
    if not report.calibration.empty:
        tables["Calibration, from the lowest probability up"] = report.calibration.reset_index(names="tenth")
    if not report.stability.empty:
        tables["Predicted and actual, cutoff by cutoff"] = report.stability
    if not report.coverage.empty:
        tables["Intervals of 90 %"] = report.coverage.reset_index()
    return "".join(
        f"<details><summary>{escape(title)}</summary>{table_of(list(frame.columns), _cells(frame))}</details>"
        for title, frame in tables.items()
    )


def _cells(frame: pd.DataFrame) -> Iterable[list[str]]:
    for row in frame.itertuples(index=False):
        yield [_cell(value) for value in row]


def _cell(value: object) -> str:
    if isinstance(value, pd.Timestamp):
        return day(value)
    if isinstance(value, float):
        return "-" if pd.isna(value) else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def table_of(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as HTML, every cell escaped; what follows a line break in a heading is a note."""
    head = "".join(f"<th>{_heading(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _heading(text: str) -> str:
    first, _, note = escape(text).partition("\n")
    return f'{first}<br><span class="note">{note}</span>' if note else first


def _list(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return f"<h2>{escape(title)}</h2><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"

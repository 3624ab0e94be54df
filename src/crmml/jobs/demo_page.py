"""The page that `crmml demo` writes: every question with its verdict, its pictures, and what is true."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import pandas as pd

from crmml.errors import MissingExtraError
from crmml.jobs.truth import Truth
from crmml.report.backtest import BacktestReport
from crmml.report.page import dressed, page, picture
from crmml.report.pictures import over_cutoffs
from crmml.report.text import verdict

# The first rows of the scores: what a user of them sees.
ROWS = 5
# A picture alone takes as much room as one of two.
_COLUMNS = "grid-template-columns: repeat(auto-fill, minmax(min(440px, 100%), 1fr))"


@dataclass(frozen=True, eq=False)
class Chapter:
    """One question with all that the demo found about it."""

    name: str
    question: str
    report: BacktestReport | None
    scores: pd.DataFrame
    truth: Truth


def demo_page(check: str, chapters: Sequence[Chapter], seconds: float) -> str:
    """The page as HTML.

    Args:
        check: the readiness report, as text.
        chapters: the questions, in order.
        seconds: how long it all took.
    """
    parts = [
        "<h1>crmml: from a raw interaction log to scored customers</h1>",
        "<p>The log is simulated, so the truth is known: who has left for ever, who buys how often, who likes "
        "what. The models saw only the events. Each answer stands beside a simple rule on cutoffs that it had not "
        f"seen, and beside the truth. Everything took {seconds:.0f} seconds.</p>",
        f'<h2>The log</h2><pre style="white-space: pre-wrap">{escape(check)}</pre>',
        *(_chapter(chapter) for chapter in chapters),
    ]
    return page("crmml demo", dressed(parts))


def _chapter(chapter: Chapter) -> str:
    parts = [f"<h2>{escape(chapter.name.capitalize())}: {escape(chapter.question)}</h2>"]
    pictures = []
    if chapter.report is not None:
        comparison = chapter.report.comparison
        mood = "" if comparison is None else comparison.verdict.replace(" ", "-")
        link = f'<a href="{escape(chapter.name)}.html">the backtest in full</a>'
        parts.append(f'<p class="verdict {mood}">{escape(verdict(chapter.report))} See {link}.</p>')
    parts.append(f"<p>Beside the truth: {escape(chapter.truth.sentence)}</p>")
    try:
        if chapter.report is not None:
            pictures.append(_image("Backtest at every cutoff", picture(over_cutoffs(chapter.report))))
        pictures.append(_image(chapter.truth.sentence, picture(chapter.truth.figure())))
    except MissingExtraError as error:
        parts.append(f'<p class="note">{escape(str(error))}</p>')
    parts.append(f'<div class="pictures" style="{_COLUMNS}">{"".join(pictures)}</div>')
    parts.append(_table(chapter.truth.table.reset_index(names="")))
    rows = chapter.scores.head(ROWS)
    parts.append(f"<p>The first of {len(chapter.scores):,} rows in scores/{escape(chapter.name)}:</p>{_table(rows)}")
    return "\n".join(parts)


def _image(text: str, address: str) -> str:
    return f'<img alt="{escape(text)}" src="{address}">'


def _table(frame: pd.DataFrame) -> str:
    head = "".join(f"<th>{escape(str(name))}</th>" for name in frame.columns)
    rows = ("".join(f"<td>{escape(_cell(value))}</td>" for value in row) for row in frame.itertuples(index=False))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: object) -> str:
    if isinstance(value, pd.Timestamp):
        return str(value.date())
    return f"{value:,.2f}" if isinstance(value, float) else str(value)

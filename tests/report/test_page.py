"""The page: whole in itself, harmless, the same every time, and readable without pictures."""

import re
import sys
from base64 import b64decode
from html.parser import HTMLParser

import pytest

from crmml.report.backtest import BacktestReport
from crmml.report.page import backtest_page
from tests.report.made import SKIPPED, churn_report, items_report, report_of, value_report

EVIL = """<script>alert("1")</script> & '"><img src=x onerror=alert(2)> `${x}` {0} %s 🛒 日本"""
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; complains about tags that do not close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f"{data}\n"


@pytest.fixture(scope="module")
def report() -> BacktestReport:
    return churn_report(2, 200, skipped=SKIPPED)


@pytest.fixture(scope="module")
def pages(report: BacktestReport) -> list[str]:
    return [backtest_page(report), backtest_page(value_report(2, 60)), backtest_page(items_report(2, 60))]


def test_the_page_needs_and_runs_nothing(pages: list[str]) -> None:
    for text in pages:
        page = Page(text)
        assert {tag for tag, _ in page.tags} <= {
            *("html", "head", "meta", "title", "body", "div", "style", "h1", "h2", "dl", "dt", "dd", "p", "ul", "li"),
            *("table", "thead", "tbody", "tr", "th", "td", "br", "span", "img", "details", "summary"),
        }
        attributes = {name for _, found in page.tags for name in found}
        assert attributes <= {"lang", "charset", "http-equiv", "content", "name", "class", "alt", "src"}
        sources = [found["src"] or "" for tag, found in page.tags if tag == "img"]
        assert sources
        assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
        assert not re.search(r"url\(|@import|https?:", text)


def test_pictures_ask_the_network_for_nothing_either(pages: list[str]) -> None:
    for source in re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', "".join(pages)):
        picture = b64decode(source).decode()
        references = re.findall(r'(?:href|src)="([^"]*)"', picture)
        assert all(reference.startswith("#") for reference in references)
        assert "<script" not in picture


def test_every_picture_has_words_for_who_cannot_see_it(pages: list[str]) -> None:
    for text, pictures in zip(pages, (5, 4, 2), strict=True):
        words = [found["alt"] for tag, found in Page(text).tags if tag == "img"]
        assert len(words) == pictures
        assert all(words)


def test_names_from_outside_are_text() -> None:
    made = items_report(1, 30)
    scores = made.scores.replace({"contender": {"ALS": EVIL[:70], "popularity rule": f"rule {EVIL[:70]}"}})
    report = report_of(scores, "items", target=EVIL, model=EVIL, warnings=(EVIL,), skipped=SKIPPED)
    page = Page(backtest_page(report))
    assert {tag for tag, _ in page.tags} & {"script"} == set()
    assert all(not name.startswith("on") for _, found in page.tags for name in found)
    assert page.text.count(EVIL) == 3  # target, model, warning


def test_the_page_says_what_the_text_says(pages: list[str], report: BacktestReport) -> None:
    text = Page(pages[0]).text
    assert f"Verdict: {report.comparison}." in text
    assert "2024-07-29: all 12 labels in y are 1" in text
    for number in re.findall(r"[+-]?\d\.\d{3} ±\d\.\d{3}", str(report)):
        assert number in text


def test_the_same_report_is_the_same_page(pages: list[str]) -> None:
    assert backtest_page(items_report(2, 60)) == pages[2]


def test_a_notebook_shows_the_page_without_its_frame() -> None:
    body = items_report(1, 30)._repr_html_()
    assert body.startswith('<div class="crmml-report">')
    assert body.endswith("</div>")
    # every rule of the style names the report, and leaves the rest of the notebook alone
    style = body.partition("<style>")[2].partition("</style>")[0]
    for rule in re.findall(r"([^{}]+)\{", style.replace("@media (max-width: 520px) {", "")):
        assert all(part.strip().startswith(".crmml-report") for part in rule.split(","))


def test_without_matplotlib_the_page_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    page = Page(backtest_page(churn_report(1, 60)))
    assert (
        "BacktestReport.figures() needs the package 'matplotlib'. Install it with: pip install \"crmml[plot]\""
        in page.text
    )
    assert "Mean over the cutoffs" in page.text
    assert not any(tag == "img" for tag, _ in page.tags)

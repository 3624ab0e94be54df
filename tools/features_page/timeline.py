"""A timeline as SVG: events as dots in lanes, windows as shaded bands, the cutoff as a line.

The text is written by hand, so that the same timeline has the same bytes everywhere. Colours are named once and have a
light and a dark form; the picture brings its own background, so that it is readable on any page.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

import pandas as pd

Style = Literal["in", "second", "out"]

WIDTH = 760
LEFT, RIGHT = 104, 736
TITLE, HEADER, LANE, TICKS, LINE = 21, 40, 36, 24, 22
MARGIN = 20

# Name -> colour on a light and on a dark page.
COLOURS = {
    "card": ("#ffffff", "#151b23"),
    "edge": ("#d1d9e0", "#3d444d"),
    "text": ("#1f2328", "#f0f6fc"),
    "soft": ("#59636e", "#9198a1"),
    "faint": ("#c5ccd3", "#4a525c"),
    "in": ("#0969da", "#58a6ff"),
    "second": ("#a65f00", "#e3a03a"),
}
RULES = """\
.card{fill:var(--card);stroke:var(--edge)} .t{fill:var(--text)} .s{fill:var(--soft)} .i{fill:var(--in)}
.z{fill:var(--second)} text{font:12px -apple-system,"Segoe UI",Helvetica,Arial,sans-serif}
.m{font:12.5px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace} .b{font-weight:600}
.lane{stroke:var(--faint)} .axis{stroke:var(--soft)} .cut{stroke:var(--text);stroke-width:2}
.guide{stroke:var(--soft);stroke-dasharray:2 3} .future{fill:url(#hatch)} .hatch{stroke:var(--faint)}
.band-in{fill:var(--in);opacity:.11} .band-second{fill:var(--second);opacity:.13} .part{fill:var(--in);opacity:.14}
.line-in{stroke:var(--in);fill:none;stroke-width:1.5} .line-second{stroke:var(--second);fill:none;stroke-width:1.5}
.dot-in{fill:var(--in)} .dot-second{fill:var(--second)} .dot-out{fill:var(--card);stroke:var(--soft);stroke-width:1.5}
.open-in{fill:var(--card);stroke:var(--in);stroke-width:1.5}
.open-second{fill:var(--card);stroke:var(--second);stroke-width:1.5}
.ring{fill:none;stroke:var(--in);stroke-width:1.5}"""


@dataclass(frozen=True)
class Dot:
    """An event: when, in which lane, whether it counts, what is written above it, whether it decides (a ring)."""

    at: pd.Timestamp
    lane: str
    style: Style
    label: str = ""
    ring: bool = False


@dataclass(frozen=True)
class Interval:
    """A half-open window, closed where it starts; without a start, everything before its end."""

    start: pd.Timestamp | None
    end: pd.Timestamp
    text: str
    style: Style = "in"


@dataclass(frozen=True)
class Shade:
    """A part of time that is looked for, such as the evenings."""

    start: pd.Timestamp
    end: pd.Timestamp


@dataclass(frozen=True)
class Divide:
    """A thin line at a moment: where one period ends and the next begins."""

    at: pd.Timestamp


@dataclass(frozen=True)
class Span:
    """A measured time under the lanes, with its length; a bracket where `group` says that it holds events together."""

    start: pd.Timestamp
    end: pd.Timestamp
    text: str
    row: int = 0
    group: bool = False
    style: Style = "in"


@dataclass(frozen=True)
class Note:
    """A text under the lanes, in the middle of a part of time."""

    start: pd.Timestamp
    end: pd.Timestamp
    text: str
    style: Style = "in"
    row: int = 0


@dataclass(frozen=True)
class Bars:
    """A bar for each part of time under the lanes, and the straight line through them."""

    edges: tuple[pd.Timestamp, ...]
    heights: tuple[float, ...]
    line: tuple[float, float]


Mark = Shade | Divide | Span | Note | Bars
BARS = 62  # with the line of their numbers


@dataclass(frozen=True)
class Text:
    """A text in the picture, and the room that it takes in any usual font."""

    x: float
    y: float
    text: str
    classes: str = "t"
    anchor: Literal["start", "middle", "end"] = "start"

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom."""
        mono = "m" in self.classes.split()
        width = len(self.text) * (7.7 if mono else 6.7)
        left = self.x - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return left, self.y - 10, left + width, self.y + 3

    def svg(self) -> str:
        anchor = "" if self.anchor == "start" else f' text-anchor="{self.anchor}"'
        place = f'x="{_number(self.x)}" y="{_number(self.y)}"'
        return f'<text class="{self.classes}" {place}{anchor}>{escape(self.text)}</text>'


@dataclass(frozen=True)
class Timeline:
    """Everything that one picture shows, from top to bottom."""

    titles: Sequence[tuple[str, str]]  # a definition, and the value that it has
    lanes: Sequence[str]
    dots: Sequence[Dot]
    start: pd.Timestamp
    end: pd.Timestamp
    as_of: pd.Timestamp
    intervals: Sequence[Interval]
    marks: Sequence[Mark]
    ticks: Sequence[tuple[pd.Timestamp, str]]
    legend: Sequence[tuple[Style, str]]
    working: str = ""

    # Where things are, from top to bottom ------------------------------------------------------------------

    @property
    def _header(self) -> int:
        return 16 + TITLE * len(self.titles)

    @property
    def _top(self) -> int:
        return self._header + HEADER

    @property
    def _strip(self) -> int:
        return self._top + LANE * len(self.lanes)

    @property
    def _axis(self) -> int:
        rows = [mark.row for mark in self.marks if isinstance(mark, Span | Note)]
        bars = BARS if any(isinstance(mark, Bars) for mark in self.marks) else 0
        return self._strip + bars + (6 + LINE * (1 + max(rows)) if rows else 4)

    @property
    def height(self) -> int:
        """The height of the picture; its width is always the same."""
        return self._axis + TICKS + LINE * (bool(self.working) + bool(self.legend)) + 10

    def x(self, at: pd.Timestamp) -> float:
        """The place of a moment."""
        return LEFT + (at - self.start) / (self.end - self.start) * (RIGHT - LEFT)

    def _lane(self, name: str) -> float:
        return self._top + LANE * self.lanes.index(name) + 24

    # What is drawn, from the back to the front -------------------------------------------------------------

    def svg(self, summary: str) -> str:
        """The picture; `summary` is what it says to those who cannot see it."""
        shapes = [*self._back(), *self._lines(), *self._under(), *self._cut(), *self._events(), *self._key()]
        body = "\n".join([*shapes, *(text.svg() for text in self.texts())])
        size = f'width="{WIDTH}" height="{self.height}" viewBox="0 0 {WIDTH} {self.height}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<title>{escape(summary)}</title>\n'
            f"<style>\n:root{{{_variables(0)}}}\n@media (prefers-color-scheme:dark){{:root{{{_variables(1)}}}}}\n"
            f"{RULES}\n</style>\n"
            '<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><line class="hatch" x1="0" y1="0" x2="0" y2="7"/></pattern></defs>\n'
            f"{body}\n</svg>\n"
        )

    def _back(self) -> Iterator[str]:
        height = self.height - 1
        yield f'<rect class="card" x=".5" y=".5" width="{WIDTH - 1}" height="{height}" rx="8"/>'
        yield self._rect("future", self.as_of, self.end)
        for interval in self.intervals:
            yield self._rect(f"band-{interval.style}", interval.start or self.start, interval.end)
        for mark in self.marks:
            if isinstance(mark, Shade):
                yield self._rect("part", mark.start, mark.end)
            elif isinstance(mark, Divide):
                yield _line("guide", self.x(mark.at), self._top, self.x(mark.at), self._axis)

    def _lines(self) -> Iterator[str]:
        for lane in self.lanes:
            yield _line("lane", LEFT, self._lane(lane), RIGHT, self._lane(lane))
        yield _line("axis", LEFT, self._axis, RIGHT, self._axis)
        for at, _ in self.ticks:
            yield _line("axis", self.x(at), self._axis, self.x(at), self._axis + 4)
        for interval in self.intervals:
            y, style = self._top - 8, interval.style
            start = LEFT if interval.start is None else self.x(interval.start)
            yield _line(f"line-{style}", start, y, self.x(interval.end), y)
            if interval.start is not None:
                yield _circle(f"dot-{style}", start, y, 4)

    def _under(self) -> Iterator[str]:
        for mark in self.marks:
            if isinstance(mark, Span):
                yield from self._span(mark)
            elif isinstance(mark, Bars):
                yield from self._bars(mark)

    def _span(self, span: Span) -> Iterator[str]:
        y, line = self._strip + LINE * span.row + 18, f"line-{span.style}"
        start, end = self.x(span.start), self.x(span.end)
        if span.group:
            start, end = start - 7, end + 7
            path = f"M{_number(start)} {y - 18}v5h{_number(end - start)}v-5"
            yield f'<path class="{line}" d="{path}"/>'
            return
        for x in (start, end):
            yield _line("guide", x, self._strip - 10, x, y)
            yield _line(line, x, y - 4, x, y + 4)
        yield _line(line, start, y, end, y)

    def _bars(self, bars: Bars) -> Iterator[str]:
        base, scale = self._strip + BARS, (BARS - 26) / max(1.0, *bars.heights)
        for start, end, height in zip(bars.edges, bars.edges[1:], bars.heights, strict=False):
            left, width = self.x(start) + 3, self.x(end) - self.x(start) - 6
            top = base - height * scale
            yield (
                f'<rect class="part" x="{_number(left)}" y="{_number(top)}" width="{_number(width)}" '
                f'height="{_number(height * scale)}"/>'
            )
        middles = [(self.x(one) + self.x(other)) / 2 for one, other in zip(bars.edges, bars.edges[1:], strict=False)]
        low, high = (base - value * scale for value in bars.line)
        yield _line("line-second", middles[0], low, middles[-1], high)

    def _cut(self) -> Iterator[str]:
        yield _line("cut", self.x(self.as_of), self._top - 8, self.x(self.as_of), self._axis + 5)
        for interval in self.intervals:
            yield _circle(f"open-{interval.style}", self.x(interval.end), self._top - 8, 4)

    def _events(self) -> Iterator[str]:
        for dot in self.dots:
            x, y = self.x(dot.at), self._lane(dot.lane)
            yield _circle(f"dot-{dot.style}", x, y, 5)
            if dot.ring:
                yield _circle("ring", x, y, 8.5)

    def _key(self) -> Iterator[str]:
        for text, (style, _) in zip(self._legend(), self.legend, strict=True):
            yield _circle(f"dot-{style}", text.x - 11, text.y - 4, 5)

    def _rect(self, name: str, start: pd.Timestamp, end: pd.Timestamp) -> str:
        x, width = self.x(start), self.x(end) - self.x(start)
        y, height = self._top, self._axis - self._top
        return f'<rect class="{name}" x="{_number(x)}" y="{y}" width="{_number(width)}" height="{height}"/>'

    # The texts ---------------------------------------------------------------------------------------------

    def texts(self) -> list[Text]:
        """Every text of the picture."""
        return [*self._titles(), *self._labels(), *self._ticks(), *self._working(), *self._legend()]

    def _titles(self) -> Iterator[Text]:
        for position, (definition, value) in enumerate(self.titles):
            y = 28 + TITLE * position
            yield Text(MARGIN, y, definition, "m t")
            yield Text(RIGHT, y, value, "m b i", "end")

    def _labels(self) -> Iterator[Text]:
        for interval in self.intervals:
            middle = (self.x(interval.start or self.start) + self.x(interval.end)) / 2
            yield Text(middle, self._top - 16, interval.text, f"{_ink(interval.style)}", "middle")
        if self.x(self.end) - self.x(self.as_of) > 50:
            yield Text((self.x(self.as_of) + RIGHT) / 2, self._top - 16, "the future", "s", "middle")
        for lane in self.lanes:
            yield Text(LEFT - 10, self._lane(lane) + 4, lane, "s", "end")
        for dot in self.dots:
            if dot.label:
                yield Text(
                    self.x(dot.at),
                    self._lane(dot.lane) - (13 if dot.ring else 11),
                    dot.label,
                    _ink(dot.style),
                    "middle",
                )
        for mark in self.marks:
            yield from self._of_mark(mark)

    def _of_mark(self, mark: Mark) -> Iterator[Text]:
        if isinstance(mark, Span | Note):
            middle = (self.x(mark.start) + self.x(mark.end)) / 2
            y = self._strip + LINE * mark.row + (13 if isinstance(mark, Span) and not mark.group else 17)
            text = Text(middle, y, mark.text, _ink(mark.style), "middle")
            fits = isinstance(mark, Note) or mark.group or text.box[0] > self.x(mark.start)
            # What is wider than its span stands at the side of it.
            yield text if fits else Text(self.x(mark.end) + 6, y + 9, mark.text, _ink(mark.style))
        elif isinstance(mark, Bars):
            for start, end, height in zip(mark.edges, mark.edges[1:], mark.heights, strict=False):
                middle = (self.x(start) + self.x(end)) / 2
                yield Text(middle, self._strip + 13, f"{height:g}", "i", "middle")

    def _ticks(self) -> Iterator[Text]:
        y = self._axis + 17
        cut = Text(self.x(self.as_of), y, f"as_of {self.as_of.day} {self.as_of:%b}", "t b", "middle")
        yield cut
        for at, label in self.ticks:
            tick = Text(self.x(at), y, label, "s", "middle")
            if not overlap(tick, cut, apart=6):
                yield tick

    def _working(self) -> Iterator[Text]:
        if self.working:
            yield Text(MARGIN, self._axis + TICKS + 17, self.working, "s")

    def _legend(self) -> list[Text]:
        texts, x, y = [], MARGIN + 16, self._axis + TICKS + LINE * bool(self.working) + 17
        for _, label in self.legend:
            texts.append(Text(x, y, label, "s"))
            x = round(texts[-1].box[2]) + 36
        return texts


def overlap(one: Text, other: Text, apart: float = 0) -> bool:
    """Whether two texts come nearer than `apart` to each other."""
    left, top, right, bottom = one.box
    its_left, its_top, its_right, its_bottom = other.box
    return left - apart < its_right and its_left - apart < right and top < its_bottom and its_top < bottom


def _ink(style: Style) -> str:
    return {"in": "i", "second": "z", "out": "s"}[style]


def _variables(mode: int) -> str:
    return "".join(f"--{name}:{colours[mode]};" for name, colours in COLOURS.items())


def _line(name: str, *ends: float) -> str:
    places = zip(("x1", "y1", "x2", "y2"), ends, strict=True)
    return f'<line class="{name}" {" ".join(_attributes(places))}/>'


def _circle(name: str, x: float, y: float, radius: float) -> str:
    return f'<circle class="{name}" {" ".join(_attributes([("cx", x), ("cy", y), ("r", radius)]))}/>'


def _attributes(values: Iterable[tuple[str, float]]) -> Iterator[str]:
    return (f'{name}="{_number(value)}"' for name, value in values)


def _number(value: float) -> str:
    """One digit after the point is finer than a screen shows."""
    return f"{round(value, 1):g}"

"""docs/features.md: every class has its section, and no picture says what is not so."""

import dataclasses
import itertools
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pandas as pd
import pytest

from crmml import Count, Sum
from crmml.features.aggregate import Aggregate
from tests.features.oracle_rows import matching, present
from tools.features_page.docstrings import FIELDS, parts_of
from tools.features_page.events import AS_OF, Event, read
from tools.features_page.page import GALLERY, PAGE, PICTURES, file_of, page, pictures, public_features
from tools.features_page.picture import Gallery, Picture, spoken
from tools.features_page.timeline import WIDTH, Text, overlap

REPEAT = "write it again: python -m tools.features_page"
NAMES = sorted(public_features())


def test_the_page_says_what_the_docstrings_say() -> None:
    assert PAGE.read_text("utf-8") == page(), REPEAT


def test_the_pictures_show_what_is_computed() -> None:
    drawn = {file.name: file.read_text("utf-8") for file in PICTURES.iterdir()}
    assert sorted(drawn) == sorted(pictures()), REPEAT
    assert [name for name, svg in pictures().items() if drawn[name] != svg] == [], REPEAT


@pytest.mark.parametrize("name", NAMES)
def test_every_feature_has_formula_unit_missing_rule_example_and_picture(name: str) -> None:
    parts = parts_of(public_features()[name])
    lacking = [field for field in FIELDS if field != "Source" and not parts.fields.get(field)]
    assert lacking == [], f"the docstring of {name} lacks lines such as 'Unit: days'"
    assert parts.sentence.endswith(".")
    assert len(parts.sentence) <= 120, f"the first sentence of {name} is too long for a table"
    assert parts.example, f"the docstring of {name} has no example"
    assert name in GALLERY.pictures, f"{name} has no picture: add one in tools/features_page"
    section = PAGE.read_text("utf-8").split(f"\n### {name}\n")[1].split("\n### ")[0]
    shown = ["- Formula: ", "- Unit: ", "- Missing: ", f"](pictures/{file_of(name)})", "```pycon\n>>> "]
    assert [part for part in shown if part not in section] == [], REPEAT


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_of_its_own_is_explained(name: str) -> None:
    feature = public_features()[name]
    shared = {field.name for field in dataclasses.fields(Aggregate)}
    # What `column` is, the first sentence of those says that cannot do without it.
    own = [
        field.name
        for field in dataclasses.fields(feature)
        if field.name not in shared and (field.name, field.default) != ("column", dataclasses.MISSING)
    ]
    assert [parameter for parameter in own if parameter not in parts_of(feature).parameters] == []


@pytest.mark.parametrize("name", sorted(GALLERY.pictures))
def test_the_events_in_colour_are_enough_for_the_value(name: str) -> None:
    told = {column: spoken(value) for column, value in GALLERY.values(name).items()}
    assert told == {column: spoken(value) for column, value in GALLERY.values(name, in_colour=True).items()}
    assert "missing" not in told.values(), "a picture of nothing"


def test_an_event_in_the_wrong_colour_is_noticed() -> None:
    events = read("when event_type amount\n 06-01 view 1\n 06-20 view 2\n 07-02 view 4")
    outside, inside = events[0], events[1]

    def values(first: Callable[[Event], bool] | None) -> list[dict[str, object]]:
        picture = Picture([Sum("amount", window="30d")], events, "05-01", "07-12", first=first)
        gallery = Gallery({"Sum": picture})
        return [gallery.values("Sum"), gallery.values("Sum", in_colour=True)]

    assert values(None) == [{"sum_amount_30d": 3.0}, {"sum_amount_30d": 3.0}]  # 1 June is 30 days before 1 July
    assert values(lambda event: event == outside)[1] == {"sum_amount_30d": 1.0}
    assert values(lambda event: event == inside)[1] == {"sum_amount_30d": 2.0}


@pytest.mark.parametrize(
    "name", [name for name, picture in GALLERY.pictures.items() if picture.first is None and name != "Ratio"]
)
def test_what_counts_in_a_picture_is_what_matches_in_the_oracle(name: str) -> None:
    picture = GALLERY.pictures[name]
    rows = [
        {**dataclasses.asdict(event), "timestamp": event.at.value // 1000, "event": event} for event in picture.events
    ]
    seen = matching(rows, picture.features[0], AS_OF.value // 1000)
    column = getattr(picture.features[0], "column", None)
    valued = [row for row in seen if column is None or present([row], column)]
    assert picture.seen() == [row["event"] for row in valued]


@pytest.mark.parametrize("name", sorted(GALLERY.pictures))
def test_a_picture_has_a_future_and_all_of_it_is_grey(name: str) -> None:
    picture = GALLERY.pictures[name]
    assert {picture.style(event) for event in picture.events if event.at >= AS_OF} == {"out"}


def test_an_event_on_each_border_of_the_window_is_in_the_picture_of_count() -> None:
    picture = GALLERY.pictures["Count"]
    (interval,) = picture.timeline(GALLERY.values("Count")).intervals
    styles = {event.at: picture.style(event) for event in picture.events if event.event_type == "view"}
    assert (interval.start, interval.end) == (AS_OF - pd.Timedelta(days=60), AS_OF)
    assert (styles[AS_OF - pd.Timedelta(days=60)], styles[AS_OF]) == ("in", "out")


@pytest.mark.parametrize("name", sorted(GALLERY.pictures))
def test_no_text_of_a_picture_is_cut_or_covers_another(name: str) -> None:
    timeline = GALLERY.pictures[name].timeline(GALLERY.values(name))
    texts = timeline.texts()
    cut = [text.text for text in texts if text.box[0] < 4 or text.box[2] > WIDTH - 4 or text.box[3] > timeline.height]
    assert cut == []
    covered = [(one.text, other.text) for one, other in itertools.combinations(texts, 2) if overlap(one, other)]
    assert covered == []


def test_texts_overlap_where_their_boxes_do() -> None:
    # Five letters of at most 6.7 pixels are 33.5 wide, 13 high.
    first = Text(10, 20, "abcde")
    assert first.box == pytest.approx((10, 10, 43.5, 23))
    assert overlap(first, Text(43, 20, "x"))
    assert not overlap(first, Text(44, 20, "x"))
    assert overlap(first, Text(44, 20, "x"), apart=1)
    assert not overlap(first, Text(10, 33, "x"))


@pytest.mark.parametrize("name", sorted(GALLERY.pictures))
def test_a_picture_is_well_formed_and_tells_its_values_in_words(name: str) -> None:
    root = ET.fromstring(pictures()[file_of(name)])
    title = root.find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    for column, value in GALLERY.values(name).items():
        assert f"{column} is {spoken(value)}" in (title.text or "")


def test_markup_in_a_value_stays_text() -> None:
    events = read("when event_type\n 06-20 <b>&")
    svg = Gallery({"Count": Picture([Count(event_type="<b>&")], events, "05-01", "07-12")}).svg("Count")
    assert "Count(event_type=&#x27;&lt;b&gt;&amp;&#x27;)" in svg
    ET.fromstring(svg)

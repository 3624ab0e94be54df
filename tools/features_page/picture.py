"""A picture of one class: what is drawn, and the values that `build_features` computes for just these events."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from crmml import build_features
from crmml.features.aggregate import Feature
from tools.features_page.events import AS_OF, Event, counts, in_order, log_of, start_of
from tools.features_page.timeline import Dot, Interval, Mark, Style, Timeline

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Picture:
    """What the picture of a class shows.

    `features` are drawn on the same events. `first` says which of these count (by default those in the window that
    meet the filter), `second` which of the others they are compared with; all others are grey. The customer who has
    only the events in colour has to have the same values.
    """

    features: Sequence[Feature]
    events: Sequence[Event]
    start: str
    end: str
    ticks: str = "MS"  # how far apart, as pandas writes it
    clock: bool = False  # whether the ticks are hours
    lane: str = "event_type"
    label: str | None = None  # the column that is written above the dots
    first: Callable[[Event], bool] | None = None
    second: Callable[[Event], bool] = lambda _: False
    legend: tuple[str, str, str] = ("counts", "", "does not")
    ring: Callable[[list[Event]], list[Event]] = lambda _: []
    marks: Callable[[list[Event]], Sequence[Mark]] = lambda _: []
    intervals: Sequence[Interval] | None = None
    working: Callable[[list[Event]], str] = lambda _: ""

    def style(self, event: Event) -> Style:
        """Whether an event counts, is compared with, or is not seen."""
        if self.first(event) if self.first is not None else counts(self.features[0], event):
            return "in"
        return "second" if self.second(event) else "out"

    def seen(self) -> list[Event]:
        """The events that count, oldest first."""
        return in_order(event for event in self.events if self.style(event) == "in")

    def coloured(self) -> list[Event]:
        """The events that the value depends on."""
        return [event for event in self.events if self.style(event) != "out"]

    def timeline(self, values: Values) -> Timeline:
        """The drawing, with the values of the features by name."""
        seen = self.seen()
        rings = self.ring(seen)
        start, end = (pd.Timestamp(f"2024-{at}", tz="UTC") for at in (self.start, self.end))
        lanes = dict.fromkeys(str(event.value(self.lane)) for event in self.events)
        styles = {self.style(event) for event in self.events}
        return Timeline(
            titles=[line for feature in self.features for line in _lines(feature, values)],
            lanes=tuple(lanes),
            dots=[
                Dot(event.at, str(event.value(self.lane)), self.style(event), self._label(event), event in rings)
                for event in self.events
            ],
            start=start,
            end=end,
            as_of=AS_OF,
            intervals=self._windows if self.intervals is None else self.intervals,
            marks=self.marks(seen),
            ticks=[
                (at, f"{at:%H:%M}" if self.clock else f"{at.day} {at:%b}")
                for at in pd.date_range(start, end, freq=self.ticks)
            ],
            legend=[
                (style, text)
                for style, text in zip(("in", "second", "out"), self.legend, strict=True)
                if style in styles
            ],
            working=self.working(seen),
        )

    def _label(self, event: Event) -> str:
        if self.label is None:
            return ""
        value = event.value(self.label)
        if value is None:
            return "–"
        return f"{value:g}".replace("-", "−") if isinstance(value, float) else _plain(value)

    @property
    def _windows(self) -> list[Interval]:
        window = getattr(self.features[0], "window", None)
        if window is None:
            return [Interval(None, AS_OF, "everything before as_of")]
        return [Interval(start_of(window), AS_OF, f"[as_of − {window}, as_of)")]


def _plain(value: Any) -> str:
    return (
        "(" + ", ".join(f"{part:g}".replace("-", "−") for part in value) + ")"
        if isinstance(value, tuple)
        else str(value)
    )


def _lines(feature: Feature, values: Values) -> list[tuple[str, str]]:
    """The definition, and what it is; of several columns, all."""
    if feature.columns == (feature.name,):
        return [(repr(feature), f"= {spoken(values[feature.name])}")]
    parts = ", ".join(spoken(values[name]) for name in feature.columns)
    return [(repr(feature), f"= ({parts})")]


def spoken(value: Any) -> str:
    """A value as the pictures write it: four digits after the point at most.

    >>> spoken(2 / 3), spoken(3.0), spoken(float("nan")), spoken("web")
    ('0.6667', '3', 'missing', "'web'")
    """
    if isinstance(value, str):
        return repr(value)
    if value is None or math.isnan(value):
        return "missing"
    return f"{round(float(value), 4):g}"


@dataclass(frozen=True)
class Gallery:
    """All pictures by the name of their class, and the one table that has the values of all of them."""

    pictures: Mapping[str, Picture]

    @cached_property
    def table(self) -> pd.DataFrame:
        """For each picture two customers: one with its events, one with those in colour only."""
        customers: dict[str, Sequence[Event]] = {}
        for name, picture in self.pictures.items():
            customers[name] = picture.events
            customers[f"{name}, in colour"] = picture.coloured() or picture.events
        features = {feature: None for picture in self.pictures.values() for feature in picture.features}
        return build_features(log_of(customers), list(features), AS_OF).droplevel("as_of")

    def values(self, name: str, *, in_colour: bool = False) -> dict[str, Any]:
        """The values of the features of a picture, by column."""
        row = self.table.loc[f"{name}, in colour" if in_colour else name]
        return {column: row[column] for feature in self.pictures[name].features for column in feature.columns}

    def summary(self, name: str) -> str:
        """What the picture says, in a sentence."""
        values = self.values(name)
        told = (f"{column} is {spoken(value)}" for column, value in values.items())
        return f"Events on a time axis with the cutoff {AS_OF:%Y-%m-%d}: {', '.join(told)}."

    def svg(self, name: str) -> str:
        """The picture of a class."""
        return self.pictures[name].timeline(self.values(name)).svg(self.summary(name))

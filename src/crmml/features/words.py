"""What each column of a table says, in words that are made from its definition."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING

import pandas as pd

from crmml.features import aggregates, baskets, change, clocks, decay, distribution, rhythm, vectors
from crmml.features.aggregate import Aggregate, Feature
from crmml.features.filters import as_values
from crmml.features.phrases import Events, Seen, duration, length

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

NEVER = "never missing: 0 where there are none"
SHARE = "share, 0 to 1"
RATIO = "ratio"


@dataclass(frozen=True)
class Words:
    """A column in words: what it says, in which unit, and what it means where it is missing."""

    text: str
    unit: str
    missing: str


def described(features: Iterable[Feature], log: "InteractionLog | None" = None) -> pd.DataFrame:
    """One row per column: `column`, `definition`, `words`, `unit`, `missing`."""
    rows = []
    for feature in features:
        words, several = words_of(feature), len(feature.columns) > 1
        unit = words.unit
        if log is not None and isinstance(feature, Aggregate) and feature.picks and feature.of is not None:
            unit = f"{unit} ({log.kind(feature.of)})"
        for position, column in enumerate(feature.columns):
            text = f"number {position} of {words.text}" if several else words.text
            rows.append((column, repr(feature), text, unit, words.missing))
    return pd.DataFrame(rows, columns=["column", "definition", "words", "unit", "missing"])


@singledispatch
def words_of(feature: Feature) -> Words:
    """The words of one feature.

    Raises:
        TypeError: its class has none yet: register them in this module.

    >>> from crmml import Count
    >>> words_of(Count(event_type="purchase", window="90d")).text
    'number of purchases in the 90 days before the cutoff'
    """
    raise TypeError(f"{type(feature).__name__} has no words: register a function for it in crmml.features.words")


# Whether and how lately -----------------------------------------------------------------------------------


@words_of.register
def _(feature: aggregates.Recency) -> Words:
    seen = Seen(feature)
    return Words(f"days since the last {seen.events.one}{seen.back}", "days", seen.none)


@words_of.register
def _(feature: aggregates.Tenure) -> Words:
    seen = Seen(feature)
    return Words(f"days since the first {seen.events.one}{seen.back}", "days", seen.none)


@words_of.register
def _(feature: aggregates.Count) -> Words:
    return Words(f"number of {Seen(feature).several}", "events", NEVER)


@words_of.register
def _(feature: aggregates.Share) -> Words:
    seen = Seen(feature)
    if feature.channel is None and feature.where is None:
        text = f"of all events {seen.when}, the share that are {seen.events.several}"
        return Words(text, SHARE, f"there is no event {seen.when}")
    events = seen.events
    text = f"of the {events.several_types} {seen.when}, the share{events.rest}"
    return Words(text, SHARE, f"there is no {events.one_type} {seen.when}")


# How much -------------------------------------------------------------------------------------------------


@words_of.register
def _(feature: aggregates.Sum) -> Words:
    return Words(f"sum of {feature.column} over {Seen(feature).several}", f"unit of {feature.column}", NEVER)


@words_of.register
def _(feature: decay.DecayedSum) -> Words:
    text = (
        f"sum of {feature.column} over {Seen(feature).several}, each counting half after {duration(feature.half_life)}"
    )
    return Words(text, f"unit of {feature.column}", NEVER)


def _of_values(feature: Aggregate, what: str) -> Words:
    seen = Seen(feature)
    return Words(f"{what} of {seen.of} over {seen.several}", f"unit of {seen.of}", seen.no_value)


@words_of.register
def _(feature: aggregates.Mean) -> Words:
    return _of_values(feature, "mean")


@words_of.register
def _(feature: aggregates.Min) -> Words:
    return _of_values(feature, "least value")


@words_of.register
def _(feature: aggregates.Max) -> Words:
    return _of_values(feature, "greatest value")


@words_of.register
def _(feature: distribution.Median) -> Words:
    return _of_values(feature, "median")


@words_of.register
def _(feature: distribution.Quantile) -> Words:
    percent = feature._own_parts()[0].replace("_", ".")
    return _of_values(feature, f"{percent} % quantile")


@words_of.register
def _(feature: aggregates.Std) -> Words:
    seen = Seen(feature)
    text = f"standard deviation of {feature.column} over {seen.several}"
    return Words(text, f"unit of {feature.column}", f"there are fewer than two {seen.with_value}")


# How broadly ----------------------------------------------------------------------------------------------


@words_of.register
def _(feature: aggregates.NUnique) -> Words:
    return Words(f"number of distinct values of {feature.column} of {Seen(feature).several}", "values", NEVER)


@words_of.register
def _(feature: distribution.Entropy) -> Words:
    seen = Seen(feature)
    text = f"how evenly {seen.several} spread over the values of {feature.column}: their entropy, 0 for one value"
    return Words(text, "nats", seen.no_value)


@words_of.register
def _(feature: distribution.TopShare) -> Words:
    seen = Seen(feature)
    text = f"of the {seen.with_value}, the share that have the most frequent one"
    return Words(text, SHARE, seen.no_value)


@words_of.register
def _(feature: distribution.RepeatShare) -> Words:
    seen = Seen(feature)
    text = f"of the distinct values of {feature.column} of {seen.several}, the share with at least two"
    return Words(text, SHARE, seen.no_value)


@words_of.register
def _(feature: vectors.MeanVector) -> Words:
    seen = Seen(feature)
    text = f"the mean vector of {feature.column} over {seen.several}"
    return Words(text, f"unit of {feature.column}; of a text, words", seen.no_value)


def _picked(feature: Aggregate, text: str) -> Words:
    return Words(text, f"value of {feature.of}", Seen(feature).no_value)


@words_of.register
def _(feature: distribution.TopValue) -> Words:
    return _picked(feature, f"most frequent value of {feature.column} of {Seen(feature).several}")


@words_of.register
def _(feature: distribution.First) -> Words:
    seen = Seen(feature)
    return _picked(feature, f"value of {feature.column} of the first {seen.events.one} that has one{seen.back}")


@words_of.register
def _(feature: aggregates.Latest) -> Words:
    seen = Seen(feature)
    return _picked(feature, f"value of {feature.column} of the last {seen.events.one} that has one{seen.back}")


# In which rhythm ------------------------------------------------------------------------------------------


@words_of.register
def _(feature: rhythm.DaysActive) -> Words:
    return Words(f"number of days ({feature.timezone}) with {Seen(feature).several}", "days", NEVER)


@words_of.register
def _(feature: rhythm.Sessions) -> Words:
    seen = Seen(feature)
    sessions = f"sessions of {seen.several}, each ended by more than {duration(feature.gap)} without one"
    if feature.stat == "count":
        return Words(f"number of {sessions}", "sessions", NEVER)
    if feature.stat == "length":
        return Words(f"mean time from the first to the last event of {sessions}", "minutes", seen.none)
    return Words(f"mean number of events of {sessions}", "events", seen.none)


@words_of.register
def _(feature: rhythm.Gap) -> Words:
    seen = Seen(feature)
    between, last = f"days between consecutive {seen.several}", f"days between the last two {seen.several}"
    text = {
        "mean": f"mean {between}",
        "std": f"standard deviation of the {between}",
        "median": f"median {between}",
        "last": last,
        "last_to_mean": f"{last}, divided by the mean between consecutive ones",
    }[feature.stat]
    missing = seen.fewer_than("three" if feature.stat == "std" else "two")
    if feature.stat == "last_to_mean":
        return Words(text, RATIO, f"{missing}, or all are at the same moment")
    return Words(text, "days", missing)


@words_of.register
def _(feature: rhythm.TimeTo) -> Words:
    seen = Seen(feature)
    text = f"days from the first to the {_ordinal(feature.nth)} of the {seen.several}"
    return Words(text, "days", seen.fewer_than(f"{feature.nth:,}"))


@words_of.register
def _(feature: rhythm.Streak) -> Words:
    every, seen = duration(feature.every), Seen(feature)
    which = "number of periods in a row up to the cutoff" if feature.stat == "current" else "most periods in a row"
    return Words(f"{which}, of {every} each, with {seen.several}", f"periods of {every}", NEVER)


@words_of.register
def _(feature: change.Trend) -> Words:
    seen, each = Seen(feature), length((feature.window_us or 0) // feature.periods)
    what = f"the number of {seen.events.several}"
    if feature.column is not None:
        what = f"the sum of {feature.column} over {seen.events.several}"
    text = f"slope of {what}, over the {feature.periods} periods of {each} before the cutoff"
    unit = "events" if feature.column is None else f"unit of {feature.column}"
    return Words(text, f"{unit} per {each}", "never missing: 0 where nothing happened")


@words_of.register
def _(feature: change.Change) -> Words:
    seen, column = Seen(feature), feature.column
    what = f"number of {seen.several}" if column is None else f"sum of {column} over {seen.several}"
    before = f"the same for the {duration(feature.window or '')} before these"
    if feature.stat == "ratio":
        return Words(f"{what}, divided by {before}", RATIO, "what it is divided by is 0")
    unit = "events" if column is None else f"unit of {column}"
    return Words(f"{what}, minus {before}", unit, "never missing: 0 where nothing happened")


@words_of.register
def _(feature: clocks.HourShare) -> Words:
    seen, (first, end) = Seen(feature), feature.hours
    hours = f"from {first:02}:00 to before {end:02}:00 ({feature.timezone})"
    return Words(f"of the {seen.several}, the share {hours}", SHARE, seen.none)


@words_of.register
def _(feature: clocks.WeekdayShare) -> Words:
    seen = Seen(feature)
    days = " or ".join(day.capitalize() for day in as_values(feature.days))
    return Words(f"of the {seen.several}, the share on {days} ({feature.timezone})", SHARE, seen.none)


@words_of.register
def _(feature: clocks.CutoffCalendar) -> Words:
    text, unit = {
        "month": ("month of the cutoff (UTC)", "1 to 12"),
        "weekday": ("day of the week of the cutoff (UTC), Monday is 0", "0 to 6"),
        "day_of_year": ("day of the year of the cutoff (UTC)", "1 to 366"),
    }[feature.part]
    return Words(text, unit, "never missing")


# What events say together ---------------------------------------------------------------------------------


@words_of.register
def _(feature: baskets.Basket) -> Words:
    seen = Seen(feature)
    one = "at one moment" if feature.order is None else f"with one value of {feature.order}"
    orders = f"orders ({seen.events.several} {one}) {seen.when}"
    if feature.stat == "orders":
        return Words(f"number of {orders}", "orders", NEVER)
    what, unit = {
        "lines": ("number of events", "events"),
        "items": ("number of distinct values of item_id", "values"),
        "value": ("sum of amount", "unit of amount"),
    }[feature.stat]
    return Words(f"mean {what} of {orders}", unit, f"there are no {orders}")


@words_of.register
def _(feature: baskets.ReturnRate) -> Words:
    seen, column = Seen(feature), feature.column
    if feature.returns is None:
        negative = f"sum of the negative values of {column}, without the sign"
        text = f"{negative}, divided by the sum of the positive ones, of {seen.several}"
        return Words(text, RATIO, "the sum of the positive values is 0")
    events = seen.events
    back, bought = Events(feature.returns).several_types, events.several_types
    both = f"both{events.rest} {seen.when}"
    if column is None:
        return Words(f"number of {back}, divided by the number of {bought}, {both}", RATIO, seen.none)
    text = f"sum of {column} over {back}, without the sign, divided by that over {bought}, {both}"
    return Words(text, RATIO, f"the sum over {bought} is 0")


@words_of.register
def _(feature: baskets.ConversionRate) -> Words:
    seen, goal = Seen(feature), Events(feature.goal)
    same = "" if feature.on is None else f" with the same value of {feature.on}"
    text = f"of the {seen.several}, the share followed within {duration(feature.within)} by {goal.several}{same}"
    return Words(text, SHARE, seen.none)


@words_of.register
def _(feature: baskets.Ratio) -> Words:
    above, below = words_of(feature.numerator), words_of(feature.denominator)
    unit = RATIO if above.unit == below.unit else f"{above.unit} per {below.unit}"
    missing = f"one of the two is missing, or {feature.denominator.name} is 0"
    parts = zip(feature.parts, (above, below), strict=True)
    texts = [f"({words.text})" if isinstance(part, baskets.Ratio) else words.text for part, words in parts]
    return Words(f"{texts[0]}; divided by: {texts[1]}", unit, missing)


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"

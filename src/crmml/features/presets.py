"""Presets: sets of features for common situations, chosen from what a log has."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from crmml.data.steps import EVENTS, chain
from crmml.errors import ConfigError, did_you_mean
from crmml.features.aggregate import Aggregate, Feature
from crmml.features.aggregates import (
    Count,
    Max,
    Mean,
    Min,
    NUnique,
    Recency,
    Share,
    Std,
    Sum,
    Tenure,
)
from crmml.features.change import Trend
from crmml.features.feature_set import FeatureSet
from crmml.features.rhythm import Gap

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

__all__ = ["rfm", "standard"]

WINDOWS = ("30d", "90d", "180d", "365d")
# More types or channels than these make columns that hardly any customer has.
MAX_EVENT_TYPES = 5
MAX_CHANNELS = 4


def main_event_type(log: "InteractionLog") -> str | None:
    """The event that the business lives from: "purchase" where the log has it, else the most frequent type."""
    types = log.facts.event_types
    return "purchase" if "purchase" in types else next(iter(types), None)


def rfm(log: "InteractionLog") -> FeatureSet:
    """Recency, frequency and monetary value of the main event, and nothing else.

    >>> import crmml as cm
    >>> log = cm.simulate_log(20, seed=1).log
    >>> cm.presets.rfm(log).names
    ('recency_purchase', 'count_purchase', 'sum_amount_purchase')
    """
    kind = main_event_type(log)
    features: list[Aggregate] = [Recency(event_type=kind), Count(event_type=kind)]
    if log.roles.knows("amount"):
        features.append(Sum("amount", event_type=kind))
    return FeatureSet(features)


def standard(log: "InteractionLog") -> FeatureSet:
    """About 60 features: how lately, how often, how much, how regularly, how broadly, and in which direction.

    Which ones depends on the roles, event types and channels of the log.

    >>> import crmml as cm
    >>> log = cm.simulate_log(200, seed=1).log
    >>> 50 <= len(cm.presets.standard(log)) <= 80
    True
    """
    kind = main_event_type(log)
    features: list[Aggregate] = [Tenure(), Recency(), *(Count(window=window) for window in WINDOWS)]
    features += _of_main_event(log, kind)
    features += _of_other_events(log, kind)
    features += _of_channels(log, kind)
    # A log of one type has the same feature under "all events" and under that type only by name: both are kept
    # apart by their definitions, and a log without types has it once.
    return FeatureSet(list({feature.name: feature for feature in features}.values()))


def _of_main_event(log: "InteractionLog", kind: str | None) -> list[Aggregate]:
    features: list[Aggregate] = []
    if kind is not None:
        features += [Recency(event_type=kind), Tenure(event_type=kind), Count(event_type=kind)]
        features += [Count(event_type=kind, window=window) for window in WINDOWS]
    features += [Gap(event_type=kind), Gap(event_type=kind, stat="std"), Gap(event_type=kind, window="180d")]
    features += [Trend(event_type=kind, window=window) for window in ("180d", "360d")]
    if log.roles.knows("amount"):
        features += [Sum("amount"), *(Sum("amount", window=window) for window in WINDOWS)]
        features += [Mean("amount", event_type=kind), Mean("amount", event_type=kind, window="180d")]
        features += [aggregate("amount", event_type=kind) for aggregate in (Min, Max, Std)]
        features += [Trend("amount", window="180d")]
    if log.roles.knows("quantity"):
        features += [Sum("quantity", event_type=kind, window="180d"), Mean("quantity", event_type=kind)]
    if log.roles.knows("item_id"):
        features += [NUnique("item_id", event_type=kind)]
        features += [NUnique("item_id", event_type=kind, window=window) for window in ("90d", "365d")]
    return features


def _of_other_events(log: "InteractionLog", kind: str | None) -> list[Aggregate]:
    others = [other for other in log.facts.event_types if other != kind][:MAX_EVENT_TYPES]
    features: list[Aggregate] = []
    for other in others:
        features += [Recency(event_type=other)]
        features += [Count(event_type=other, window=window) for window in ("30d", "180d")]
        features += [Share(event_type=other, window="180d")]
    return features


def _of_channels(log: "InteractionLog", kind: str | None) -> list[Aggregate]:
    if not log.roles.knows("channel"):
        return []
    features: list[Aggregate] = [NUnique("channel", window="365d")]
    features += [Share(event_type=kind, channel=channel, window="365d") for channel in _channels(log)]
    return features


def _channels(log: "InteractionLog") -> list[str]:
    """The most used channels, most used first; ties in alphabetical order."""
    channel = exp.column("channel")
    counted = exp.select(channel, exp.alias_(exp.Count(this=exp.Star()), "n")).from_(EVENTS).group_by(channel.copy())
    rows = log.engine.rows(chain(log.steps(["channel"]), counted))
    rows = sorted((row for row in rows if row["channel"] is not None), key=lambda row: (-row["n"], row["channel"]))
    return [row["channel"] for row in rows[:MAX_CHANNELS]]


PRESETS: dict[str, Callable[["InteractionLog"], FeatureSet]] = {"rfm": rfm, "standard": standard}


def as_feature_set(features: "FeatureSet | Sequence[Feature] | str", log: "InteractionLog") -> FeatureSet:
    """A FeatureSet as it is, a list of aggregates as one, or the name of a preset built for `log`."""
    if isinstance(features, FeatureSet):
        return features
    if isinstance(features, str):
        if features not in PRESETS:
            raise ConfigError(
                f"features: there is no preset {features!r}.{did_you_mean(features, PRESETS)} "
                f"Use one of {', '.join(PRESETS)}, or a FeatureSet."
            )
        return PRESETS[features](log)
    return FeatureSet(features)

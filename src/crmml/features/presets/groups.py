"""Groups of features that presets are put together from: each takes what a log has, and may give none."""

from typing import Any

from crmml.features.aggregate import Feature
from crmml.features.aggregates import Count, Max, Mean, Min, NUnique, Recency, Share, Std, Sum, Tenure
from crmml.features.baskets import Basket, ConversionRate, Ratio, ReturnRate
from crmml.features.change import Change, Trend
from crmml.features.clocks import HourShare, WeekdayShare
from crmml.features.decay import DecayedSum
from crmml.features.distribution import Entropy, Median, Quantile, RepeatShare, TopShare
from crmml.features.presets.known import Known
from crmml.features.rhythm import DaysActive, Gap, Sessions, Streak, TimeTo

Features = list[Feature]
WINDOWS = ("30d", "90d", "180d", "365d")


def when(known: Known) -> Features:
    """How long ago, and for how long."""
    features: Features = [Recency(event_type=known.main), Tenure(event_type=known.main)]
    if known.mixed:
        features += [Recency(), Tenure(), *(Recency(event_type=kind) for kind in known.others)]
    return features


def how_many(known: Known) -> Features:
    """Numbers of events."""
    main: Any = {"event_type": known.main}
    features: Features = [Count(**main), *(Count(**main, window=window) for window in WINDOWS)]
    if known.mixed:
        features += [Count(window=window) for window in WINDOWS]
    features += [Count(event_type=kind, window=window) for kind in known.others for window in ("30d", "180d")]
    return features


def how_much(known: Known) -> Features:
    """Amounts and quantities; sums are over all events, so that returns count against purchases."""
    main: Any = {"event_type": known.main}
    features: Features = []
    if known.has("amount"):
        features += [Sum("amount"), *(Sum("amount", window=window) for window in WINDOWS), DecayedSum("amount")]
        features += [Mean("amount", **main), Mean("amount", **main, window="180d")]
        features += [Min("amount", **main), Max("amount", **main), Std("amount", **main), Median("amount", **main)]
        features += [Quantile("amount", **main), Quantile("amount", **main, window="365d")]
    if known.has("quantity"):
        features += [Sum("quantity", **main, window="180d"), Mean("quantity", **main)]
    return features


def how_regular(known: Known) -> Features:
    """The time between events, and the direction of what customers do."""
    main: Any = {"event_type": known.main}
    stats = ("mean", "std", "median", "last", "last_to_mean")
    features: Features = [*(Gap(**main, stat=stat) for stat in stats), Gap(**main, window="180d")]
    features += [TimeTo(**main), Streak(**main, every="30d")]
    features += [Trend(**main, window="180d"), Trend(**main, window="360d"), Change(**main, window="90d")]
    if known.has("amount"):
        features += [Trend("amount", window="180d"), Change("amount", window="90d")]
    if known.mixed:
        features += [Streak(every="30d"), Streak(every="30d", stat="longest")]
    if known.interest is not None:
        features += [Trend(event_type=known.interest, window="180d"), Change(event_type=known.interest, window="30d")]
    return features


def what_kind(known: Known) -> Features:
    """Of what, through which channel, at which hours and days."""
    features: Features = [Share(event_type=kind, window="180d") for kind in known.others]
    features += [Share(event_type=known.main, channel=channel, window="365d") for channel in known.channels]
    features += [WeekdayShare(event_type=known.main)]
    if known.mixed:
        features += [WeekdayShare(window="180d")]
    if known.timed:
        features += [HourShare(hours=(18, 24), window="180d"), HourShare(hours=(0, 6), window="180d")]
    return features


def how_broad(known: Known) -> Features:
    """Distinct items and channels, and how evenly events spread over them."""
    main: Any = {"event_type": known.main}
    features: Features = []
    if known.has("item_id"):
        features += [NUnique("item_id", **main)]
        features += [NUnique("item_id", **main, window=window) for window in ("90d", "365d")]
        features += [TopShare("item_id", **main, window="365d"), RepeatShare("item_id", **main)]
        if known.interest is not None:
            seen: Any = {"event_type": known.interest}
            features += [NUnique("item_id", **seen, window=window) for window in ("30d", "180d")]
            features += [Entropy("item_id", **seen, window="180d")]
    if known.channels:
        features += [of("channel", window="365d") for of in (NUnique, Entropy, TopShare)]
    return features


def how_active(known: Known) -> Features:
    """Days and sessions."""
    features: Features = [DaysActive(event_type=known.main), DaysActive(event_type=known.main, window="365d")]
    if known.mixed:
        features += [DaysActive(window=window) for window in WINDOWS]
    if known.mixed and known.timed:
        features += [Sessions(stat=stat, window="180d") for stat in ("count", "length", "events")]
        features += [Sessions(window="30d")]
    return features


def what_follows(known: Known) -> Features:
    """Baskets, returns, and what interest leads to."""
    year: Any = {"event_type": known.main, "window": "365d"}
    features: Features = []
    if known.has("item_id"):
        features += [Basket(stat="items", **year)]
    if known.has("amount"):
        features += [Basket(stat="value", **year)]
    if known.returned is not None:
        features += [ReturnRate(returned=known.returned, **year)]
    if known.interest is not None:
        seen: Any = {"event_type": known.interest}
        soon: Any = {"to": known.main, "within": "7d"}
        features += [ConversionRate(**seen, **soon, window="180d")]
        features += [Ratio(Count(event_type=known.main, window="90d"), Count(**seen, window="90d"))]
    return features

"""Presets for one situation each: they refuse a log that lacks what the situation is about."""

from typing import TYPE_CHECKING, Any

from crmml.data.time import DAY, parse_duration
from crmml.errors import ConfigError, did_you_mean
from crmml.features.aggregates import Count, Latest, Mean, NUnique, Recency, Share, Std, Sum, Tenure
from crmml.features.baskets import ConversionRate, Ratio, ReturnRate
from crmml.features.change import Change, Trend
from crmml.features.clocks import HourShare, WeekdayShare
from crmml.features.distribution import Entropy, RepeatShare, TopShare
from crmml.features.feature_set import FeatureSet
from crmml.features.presets.basic import put_together
from crmml.features.presets.groups import Features
from crmml.features.presets.known import Known
from crmml.features.rhythm import DaysActive, Gap, Sessions, Streak

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

# The types that are taken for a renewal, the likeliest name first.
RENEWALS = ("renewal", "renew", "payment", "charge", "subscription", "invoice", "billing")
# Attributes that say which plan a customer has.
PLANS = ("plan", "tier", "tariff", "contract")
# An early warning compares three months with the three before them.
LONGEST_COMPARED = "90d"


def clickstream(log: "InteractionLog") -> FeatureSet:
    """What visitors of a site or an app did in the last minutes to months: sessions, views, what they lead to.

    For logs of several event types with times of day. Windows are short, from one day to 90; where there are
    purchases, every other type has its conversion to them within a day.

    Raises:
        ConfigError: the log has only one event type, or dates without times, in which no session can be seen.

    >>> import crmml as cm
    >>> log = cm.simulate_log(200, seed=1).log
    >>> features = cm.presets.clickstream(log)
    >>> "sessions_count_7d" in features.names, len(features) > 50
    (True, True)
    """
    known = Known(log)
    if not known.mixed:
        has = f"one event type, {known.main!r}" if known.main is not None else "no event_type"
        raise ConfigError(
            f"presets.clickstream: the log has {has}, and a click stream has several, such as views and purchases. "
            "Use presets.standard(log), or a log with all events and event_type='column'."
        )
    if not known.timed:
        raise ConfigError(
            "presets.clickstream: every timestamp of the log is a date, or on a quarter of an hour, so that no "
            "session can be seen. Use presets.standard(log), or a log with exact times."
        )
    interest: Any = {"event_type": known.interest or known.main}
    types = (known.main, *known.others)
    lately: Features = [Recency(), Tenure(), *(Recency(event_type=kind) for kind in types)]
    counts: Features = [Count(window=window) for window in ("1d", "7d", "30d", "90d")]
    counts += [Count(event_type=kind, window=window) for kind in types for window in ("7d", "30d")]
    counts += [Share(event_type=kind, window="30d") for kind in types]
    sessions: Features = [Sessions(window=window) for window in ("7d", "30d", "90d")]
    sessions += [Sessions(stat="length", window="30d"), Sessions(stat="events", window="30d")]
    sessions += [DaysActive(window=window) for window in ("7d", "30d", "90d")]
    sessions += [Streak(every="1d"), Streak(every="7d"), Streak(every="7d", stat="longest")]
    sessions += [Gap(window="90d"), Gap(stat="last_to_mean", window="90d")]
    direction: Features = [Trend(window="28d", periods=4), Trend(**interest, window="28d", periods=4)]
    direction += [Change(window="7d"), Change(window="28d"), Change(**interest, window="7d")]
    clocks: Features = [HourShare(hours=hours, window="90d") for hours in ((0, 6), (6, 12), (18, 24))]
    clocks += [WeekdayShare(window="90d")]
    breadth: Features = []
    if known.has("item_id"):
        breadth += [NUnique("item_id", **interest, window=window) for window in ("7d", "30d")]
        breadth += [Entropy("item_id", **interest, window="30d"), TopShare("item_id", **interest, window="30d")]
        breadth += [RepeatShare("item_id", **interest, window="90d")]
    if known.channels:
        breadth += [NUnique("channel", window="90d"), Entropy("channel", window="90d")]
    return put_together(lately, counts, sessions, direction, clocks, breadth, _conversions(known))


def _conversions(known: Known) -> Features:
    """What leads to a purchase, and how many purchases a visit has."""
    if known.main != "purchase":
        return []
    goal: Any = {"to": known.main, "window": "90d"}
    before = [kind for kind in known.others if kind != known.returned]
    features: Features = [ConversionRate(event_type=kind, within="1d", **goal) for kind in before]
    if known.interest is not None and known.has("item_id"):
        features += [ConversionRate(event_type=known.interest, within="7d", on="item_id", **goal)]
    return [*features, Ratio(Count(event_type=known.main, window="30d"), Sessions(window="30d"))]


def subscription(log: "InteractionLog", *, renewal: str | None = None) -> FeatureSet:
    """Payments that come back at regular times, and the use between them: who is late, and who uses it less.

    Args:
        log: the interactions.
        renewal: the event type of payments or renewals; by default one that is called so, such as "renewal" or
            "payment".

    Raises:
        ConfigError: no event type is called like a renewal, or `renewal` never occurs.

    >>> import crmml as cm
    >>> log = cm.simulate_log(200, seed=1).log
    >>> cm.presets.subscription(log, renewal="purchase").names[:3]
    ('recency_purchase', 'tenure_purchase', 'count_purchase_90d')
    """
    known = Known(log)
    paid: Any = {"event_type": _renewal(known, renewal)}
    rhythm: Features = [Recency(**paid), Tenure(**paid), Count(**paid, window="90d"), Count(**paid, window="365d")]
    rhythm += [Gap(**paid, stat=stat) for stat in ("mean", "std", "median", "last", "last_to_mean")]
    # Above 1: longer ago than usual, so the next renewal is overdue.
    rhythm += [Ratio(Recency(**paid), Gap(**paid, stat="median"))]
    price: Features = []
    if known.has("amount"):
        price += [Latest("amount", **paid), Mean("amount", **paid), Std("amount", **paid)]
        price += [Sum("amount", **paid, window="365d"), Change("amount", **paid, window="180d")]
        price += [Ratio(Latest("amount", **paid), Mean("amount", **paid))]
    if known.has("item_id"):
        price += [NUnique("item_id", **paid)]
    plans = [name for name in PLANS if name in log.attributes]
    price += [NUnique(name, window=window) for name in plans for window in (None, "180d")]
    use: Features = [Recency(), *(Count(window=window) for window in ("7d", "30d", "90d"))]
    use += [DaysActive(window=window) for window in ("7d", "30d", "90d")]
    use += [Ratio(DaysActive(window="30d"), DaysActive(window="90d"))]
    use += [Streak(every="7d"), Streak(every="7d", stat="longest"), Gap(stat="last_to_mean", window="90d")]
    use += [Change(window="30d"), Change(window="30d", stat="ratio"), Trend(window="84d"), Trend(window="180d")]
    if known.timed:
        use += [Sessions(stat=stat, window="30d") for stat in ("count", "length", "events")]
    others: Features = []
    for kind in (kind for kind in (known.main, *known.others) if kind != paid["event_type"]):
        others += [Recency(event_type=kind), Count(event_type=kind, window="30d")]
        others += [Count(event_type=kind, window="90d"), Change(event_type=kind, window="30d")]
    return put_together(rhythm, price, use, others)


def _renewal(known: Known, renewal: str | None) -> str:
    if renewal is None:
        found = next((kind for kind in RENEWALS if kind in known.types), None)
        if found is not None:
            return found
        listed = f"the event types of the log are {', '.join(map(repr, known.types))}" if known.types else "it has none"
        example = known.main or "payment"
        raise ConfigError(
            f"presets.subscription: no event type of the log is called like a renewal ({', '.join(RENEWALS)}): "
            f"{listed}. Say which one it is: presets.subscription(log, renewal={example!r})."
        )
    if renewal not in known.types:
        raise ConfigError(
            f"presets.subscription: renewal {renewal!r} never occurs in the log.{did_you_mean(renewal, known.types)} "
            f"It has: {', '.join(map(repr, known.types)) or 'no event types'}."
        )
    return renewal


def omnichannel(log: "InteractionLog") -> FeatureSet:
    """How customers divide themselves between channels, and how they move from one to another.

    By channel: how lately, how much, which share, in which direction, and how often interest there leads to a
    purchase anywhere.

    Raises:
        ConfigError: the log does not say the channel, or has only one.

    >>> import crmml as cm
    >>> log = cm.simulate_log(200, seed=1).log
    >>> "change_web_90d" in cm.presets.omnichannel(log).names
    True
    """
    known = Known(log)
    if not known.channels:
        has = "one channel" if known.has("channel") else "no channel"
        raise ConfigError(
            f"presets.omnichannel: the log has {has}, and customers who use several are what this preset is about. "
            "Use presets.standard(log), or a log with InteractionLog(..., channel='column')."
        )
    main: Any = {"event_type": known.main}
    year: Any = {"window": "365d"}
    lately: Features = [Recency(), Recency(**main), Tenure(), Count(**main, **year)]
    if known.has("amount"):
        lately += [Sum("amount", **year)]
    spread: Features = [NUnique("channel", window=window) for window in ("30d", "90d", "365d")]
    spread += [of("channel", window=window) for of in (Entropy, TopShare) for window in ("90d", "365d")]
    spread += [NUnique("channel", **main, **year), Entropy("channel", **main, **year)]
    each: Features = []
    for channel in known.channels:
        through: Any = {"channel": channel}
        each += [Recency(**through), Count(**through, window="90d"), Count(**through, **year)]
        each += [Share(**through, window="90d"), Share(**through, **year), Share(**main, **through, **year)]
        each += [Change(**through, window="90d"), DaysActive(**through, **year)]
        if known.has("amount"):
            each += [Sum("amount", **main, **through, **year)]
        if known.returned is not None:
            each += [ReturnRate(returned=known.returned, **main, **through, **year)]
        if known.interest is not None:
            seen: Any = {"event_type": known.interest, "to": known.main, **through, **year}
            each += [ConversionRate(**seen, within="14d")]
    return put_together(lately, spread, each)


def early_warning(log: "InteractionLog") -> FeatureSet:
    """Who is about to leave: the last weeks against the weeks before, and against the customer's own rhythm.

    Raises:
        ConfigError: the log is shorter than 180 days: three months cannot be compared with the three before.

    >>> import crmml as cm
    >>> log = cm.simulate_log(200, seed=1).log
    >>> "recency_purchase_per_gap_mean_purchase" in cm.presets.early_warning(log).names
    True
    """
    known = Known(log)
    facts = log.require_usable()
    span, needed = facts.last - facts.first, 2 * parse_duration(LONGEST_COMPARED) // DAY
    if span.days < needed:
        raise ConfigError(
            f"presets.early_warning: the log covers {span.days} days, and comparing the last {LONGEST_COMPARED} with "
            f"the {LONGEST_COMPARED} before takes {needed}. Use a longer log, or presets.standard(log)."
        )
    main: Any = {"event_type": known.main}
    whole = _slowing({}) if known.mixed else []
    money: Features = []
    if known.has("amount"):
        money += [Sum("amount", window=window) for window in ("30d", "90d")]
        money += [Change("amount", window="30d"), Change("amount", window="90d"), Trend("amount", window="180d")]
        money += [Ratio(Mean("amount", **main, window="90d"), Mean("amount", **main))]
    if known.has("item_id"):
        money += [Ratio(NUnique("item_id", **main, window="90d"), NUnique("item_id", **main, window="365d"))]
    others: Features = []
    for kind in known.others:
        others += [Recency(event_type=kind), Count(event_type=kind, window="30d")]
        others += [Change(event_type=kind, window="30d")]
    if known.returned is not None:
        others += [ReturnRate(returned=known.returned, **main, window=LONGEST_COMPARED)]
    return put_together(_slowing(main), whole, money, others)


def _slowing(events: dict[str, Any]) -> Features:
    """How the events of a filter become fewer."""
    now, usual = Recency(**events), Gap(**events)
    features: Features = [now, Tenure(**events), usual, Gap(**events, stat="last_to_mean"), Ratio(now, usual)]
    features += [Count(**events, window=window) for window in ("14d", "30d", "90d")]
    features += [Change(**events, window=window) for window in ("14d", "30d", LONGEST_COMPARED)]
    features += [Change(**events, window=window, stat="ratio") for window in ("30d", LONGEST_COMPARED)]
    features += [Ratio(of(**events, window="30d"), of(**events, window="180d")) for of in (Count, DaysActive)]
    features += [Trend(**events, window="84d"), Trend(**events, window="180d"), DaysActive(**events, window="30d")]
    streaks = [Streak(**events, every="7d", stat=stat) for stat in ("current", "longest")]
    return [*features, *streaks, Ratio(*streaks)]

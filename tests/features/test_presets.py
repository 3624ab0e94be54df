"""Presets: what each takes of a log, and what it says to a log that is not for it."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.features.presets.known import MAX_CHANNELS, MAX_EVENT_TYPES, Known

NOON = pd.Timestamp("2024-01-01T12:34:56Z")
RENEWAL = {"subscription": {"renewal": "purchase"}}


def log_of(events: int = 6, days: int = 40, start: pd.Timestamp = NOON, **columns: Any) -> cm.InteractionLog:
    """A log of two customers; each column is given as its values from the first event on, repeated."""
    frame = pd.DataFrame({"u": np.arange(events) % 2, "t": start + np.arange(events) * pd.Timedelta(days=days)})
    for name, values in columns.items():
        frame[name] = pd.Series([values[i % len(values)] for i in range(events)])
    roles = {name: name for name in columns if name in ("event_type", "item_id", "amount", "quantity", "channel")}
    return cm.InteractionLog(frame, customer_id="u", timestamp="t", **roles)


def preset(name: str, log: cm.InteractionLog) -> cm.FeatureSet:
    found: cm.FeatureSet = getattr(cm.presets, name)(log, **RENEWAL.get(name, {}))
    return found


@pytest.fixture(scope="module")
def rich() -> cm.InteractionLog:
    return cm.simulate_log(150, seed=1).log


# In this log every line of an order has a moment of its own, nobody views in the shop or buys within a day of a survey.
CONSTANT = {
    "basket_items_purchase_365d",
    "conversion_rate_survey_to_purchase_within_1d_90d",
    "conversion_rate_view_shop_to_purchase_within_14d_365d",
}
SIZES = {
    "rfm": (3, 3),
    "standard": (90, 110),
    "clickstream": (50, 70),
    "subscription": (50, 60),
    "omnichannel": (50, 60),
    "early_warning": (60, 70),
}


@pytest.mark.parametrize("name", cm.presets.__all__)
def test_every_preset_gives_numbers_that_tell_customers_apart(rich: cm.InteractionLog, name: str) -> None:
    features = preset(name, rich)
    least, most = SIZES[name]
    assert least <= len(features) <= most
    assert cm.from_data(cm.to_data(features)) == features
    table = cm.build_features(rich, features, ["2024-06-01", "2024-09-01"])
    assert all(dtype.kind in "if" for dtype in table.dtypes)
    assert {column for column in table.columns if table[column].nunique() < 2} <= CONSTANT


def test_the_features_of_the_standard_are_about_a_hundred_for_a_shop() -> None:
    kinds = ["purchase", "view", "view", "cart", "return", "search", "support"]
    channels = ["web", "app", "shop", "phone"]
    log = log_of(200, 1, event_type=kinds, item_id=["a", "b"], amount=[1.0], quantity=[1], channel=channels)
    # The four windows of the count, the types besides the main one, the channels; and hours of exact times.
    names = set(cm.presets.standard(log).names)
    assert {f"count_purchase_{window}" for window in ("30d", "90d", "180d", "365d")} <= names
    assert {f"share_{kind}_180d" for kind in ("view", "cart", "return", "search", "support")} <= names
    assert {f"share_purchase_{channel}_365d" for channel in channels} <= names
    assert {"hour_share_18_24_180d", "conversion_rate_view_to_purchase_within_7d_180d"} <= names
    assert len(names) == 100


def test_the_standard_takes_what_the_log_has() -> None:
    def names(**columns: Any) -> set[str]:
        return set(cm.presets.standard(log_of(**columns)).names)

    bare, bought = names(), names(event_type=["purchase"])
    assert not [name for name in bare if any(word in name for word in ("amount", "quantity", "item", "channel"))]
    # One type is all events: each feature stands there once.
    assert {name.replace("_purchase", "") for name in bought} == bare
    assert names(amount=[1.0]) - bare >= {"sum_amount", "median_amount", "trend_amount_180d", "basket_value_365d"}
    assert names(item_id=["a"]) - bare >= {"nunique_item_id", "repeat_share_item_id", "basket_items_365d"}
    # One channel is always a share of 1.
    assert names(channel=["web"]) == bare
    assert names(channel=["web", "app"]) - bare >= {"share_app_365d", "entropy_channel_365d"}
    two = {"event_type": ["purchase", "view"]}
    assert "hour_share_0_6_180d" in names(**two)
    assert "hour_share_0_6_180d" not in names(**two, start=NOON.normalize())
    assert "return_rate_purchase_365d" in names(event_type=["purchase", "return"])
    assert "return_rate_by_refund_purchase_365d" in names(event_type=["purchase", "refund"])
    assert not [name for name in names(**two) if "return" in name]


def test_every_preset_is_known_by_its_name() -> None:
    log = log_of(event_type=["purchase", "view"], channel=["web", "app", "web"])
    for name in ("rfm", "standard", "clickstream", "omnichannel", "early_warning"):
        table = cm.build_features(log, name, "2024-07-01")
        assert tuple(table.columns) == getattr(cm.presets, name)(log).names


def test_what_the_presets_know_of_a_log() -> None:
    kinds = [f"kind {n:02}" for n in range(20)]
    log = log_of(38, event_type=[*kinds, *kinds[3:], "page_view"], channel=[f"c{n:02}" for n in range(13)])
    known = Known(log)
    assert (known.main, known.interest, known.returned) == (kinds[3], "page_view", None)
    assert known.others == tuple(kinds[4 : 4 + MAX_EVENT_TYPES])
    assert len(known.channels) == MAX_CHANNELS
    assert known.channels[0] == "c00"
    assert known.timed


def test_dates_of_a_zone_are_no_times() -> None:
    days = pd.DataFrame({"u": [1, 1], "t": pd.to_datetime(["2024-01-01", "2024-07-01"])})
    for timezone in ("UTC", "Europe/Berlin", "Asia/Kathmandu"):
        assert not Known(cm.InteractionLog(days, customer_id="u", timestamp="t", timezone=timezone)).timed


def test_types_that_make_the_same_name_are_taken_once() -> None:
    log = log_of(event_type=["purchase", "add to cart", "add-to-cart"])
    assert cm.presets.standard(log).names.count("count_add_to_cart_30d") == 1


def test_a_subscription_is_found_by_the_name_of_its_renewals() -> None:
    log = log_of(event_type=["play", "payment", "play"], amount=[9.99], plan=["basic", "gold"])
    found = cm.presets.subscription(log)
    assert {"recency_payment", "recency_payment_per_gap_median_payment", "latest_amount_payment"} <= set(found.names)
    assert {"nunique_plan_180d", "count_play_30d"} <= set(found.names)
    other = cm.presets.subscription(log, renewal="play")
    assert {"recency_play", "count_payment_30d"} <= set(other.names)


REFUSED = [
    (lambda: cm.presets.clickstream(log_of(event_type=["purchase"])),
     "presets.clickstream: the log has one event type, 'purchase', and a click stream has several, such as views and "
     "purchases. Use presets.standard(log), or a log with all events and event_type='column'."),
    (lambda: cm.presets.clickstream(log_of()),
     "presets.clickstream: the log has no event_type, and a click stream has several, such as views and purchases. "
     "Use presets.standard(log), or a log with all events and event_type='column'."),
    (lambda: cm.presets.clickstream(log_of(event_type=["view", "cart"], start=NOON.normalize())),
     "presets.clickstream: every timestamp of the log is a date, or on a quarter of an hour, so that no session can "
     "be seen. Use presets.standard(log), or a log with exact times."),
    (lambda: cm.presets.subscription(log_of(event_type=["play", "pause", "play"])),
     "presets.subscription: no event type of the log is called like a renewal (renewal, renew, payment, charge, "
     "subscription, invoice, billing): the event types of the log are 'play', 'pause'. Say which one it is: "
     "presets.subscription(log, renewal='play')."),
    (lambda: cm.presets.subscription(log_of()),
     "presets.subscription: no event type of the log is called like a renewal (renewal, renew, payment, charge, "
     "subscription, invoice, billing): it has none. Say which one it is: "
     "presets.subscription(log, renewal='payment')."),
    (lambda: cm.presets.subscription(log_of(event_type=["payment", "play"]), renewal="paymnt"),
     "presets.subscription: renewal 'paymnt' never occurs in the log. Did you mean 'payment'? "
     "It has: 'payment', 'play'."),
    (lambda: cm.presets.omnichannel(log_of()),
     "presets.omnichannel: the log has no channel, and customers who use several are what this preset is about. "
     "Use presets.standard(log), or a log with InteractionLog(..., channel='column')."),
    (lambda: cm.presets.omnichannel(log_of(channel=["web", None])),
     "presets.omnichannel: the log has one channel, and customers who use several are what this preset is about. "
     "Use presets.standard(log), or a log with InteractionLog(..., channel='column')."),
    (lambda: cm.presets.early_warning(log_of(days=10)),
     "presets.early_warning: the log covers 50 days, and comparing the last 90d with the 90d before takes 180. "
     "Use a longer log, or presets.standard(log)."),
]  # fmt: skip


@pytest.mark.parametrize(("act", "message"), REFUSED)
def test_a_log_that_lacks_what_the_preset_is_for_is_refused(act: Any, message: str) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        act()
    assert str(caught.value) == message

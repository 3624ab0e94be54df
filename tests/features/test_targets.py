"""Targets by hand: labels at the edges of the horizon, populations at the edges of the window, both to 1 µs."""

from typing import Any

import pandas as pd
import pytest

import crmml as cm

AS_OF = pd.Timestamp("2024-06-01", tz="UTC")
DAY = pd.Timedelta(days=1)
MICROSECOND = pd.Timedelta(1, unit="us")
# Nobody but this customer says when the log ends.
END = {"u": "end", "t": AS_OF + 100 * DAY, "k": "other", "a": 0.0, "i": "x"}


def log_of(*events: tuple[pd.Timestamp, str, float], item: str = "x") -> cm.InteractionLog:
    rows = [{"u": "one", "t": time, "k": kind, "a": amount, "i": item} for time, kind, amount in events]
    return cm.InteractionLog(
        pd.DataFrame([*rows, END]), customer_id="u", timestamp="t", event_type="k", amount="a", item_id="i"
    )


BEFORE = (AS_OF - DAY, "purchase", 1.0)


@pytest.mark.parametrize("gap", [0, 7])
@pytest.mark.parametrize(
    ("offset", "inside"),
    [
        (-MICROSECOND, False),
        (pd.Timedelta(0), True),
        (MICROSECOND, True),
        (30 * DAY - MICROSECOND, True),
        (30 * DAY, False),
        (30 * DAY + MICROSECOND, False),
    ],
)
def test_the_horizon_is_half_open_and_begins_after_the_gap(offset: pd.Timedelta, inside: bool, gap: int) -> None:
    log = log_of(BEFORE, (AS_OF + gap * DAY + offset, "purchase", 5.0))
    common: dict[str, Any] = {"event_type": "purchase", "gap": f"{gap}d"}
    labels = {
        type(target).__name__: cm.build_dataset(log, [cm.Count()], target, AS_OF).y.tolist()
        for target in (cm.Churn("30d", **common), cm.Repurchase("30d", **common), cm.Spend("30d", **common))
    }
    assert labels == {"Churn": [int(not inside)], "Repurchase": [int(inside)], "Spend": [5.0 if inside else 0.0]}


@pytest.mark.parametrize(
    ("age", "inside"),
    [
        (90 * DAY + MICROSECOND, False),
        (90 * DAY, True),
        (90 * DAY - MICROSECOND, True),
        (MICROSECOND, True),
        (pd.Timedelta(0), False),
        (-MICROSECOND, False),
    ],
)
def test_the_population_is_who_was_active_in_the_half_open_window(age: pd.Timedelta, inside: bool) -> None:
    log = log_of((AS_OF - 200 * DAY, "view", 0.0), (AS_OF - age, "purchase", 1.0))
    target = cm.Churn("30d", event_type="purchase", active_within="90d")
    if inside:
        assert cm.build_dataset(log, [cm.Count()], target, AS_OF).X.index.get_level_values(0).tolist() == ["one"]
    else:
        with pytest.raises(cm.DataError) as caught:
            cm.build_dataset(log, [cm.Count()], target, AS_OF)
        assert str(caught.value) == (
            "build_dataset: nobody is in the Population(event_type='purchase', active_within='90d') as of 2024-06-01. "
            "Use a longer active_within, or a later cutoff."
        )


def test_spend_is_net_of_returns() -> None:
    log = log_of(BEFORE, (AS_OF, "purchase", 10.0), (AS_OF + DAY, "return", -4.0), (AS_OF + 2 * DAY, "return", -8.5))
    assert cm.build_dataset(log, [cm.Count()], cm.Spend("30d"), AS_OF).y.tolist() == [10.0 - 4.0 - 8.5]
    gross = cm.Spend("30d", event_type="purchase")
    assert cm.build_dataset(log, [cm.Count()], gross, AS_OF).y.tolist() == [10.0]


def test_an_event_that_became_known_late_is_no_feature_but_is_a_label() -> None:
    frame = pd.DataFrame(
        {
            "u": ["one", "one", "one", "end"],
            "t": [AS_OF - 9 * DAY, AS_OF - DAY, AS_OF + DAY, AS_OF + 100 * DAY],
            "known": [AS_OF - 9 * DAY, AS_OF, AS_OF + 50 * DAY, pd.NaT],
        }
    )
    log = cm.InteractionLog(frame, customer_id="u", timestamp="t", recorded_at="known")
    X, y = cm.build_dataset(log, [cm.Count(), cm.Recency()], cm.Repurchase("30d"), AS_OF)
    assert X.to_dict("list") == {"count": [1], "recency": [9.0]}
    assert y.tolist() == [1]


LATE = log_of(BEFORE)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            cm.Churn("101d"),
            "as_of 2024-06-01 + horizon 101d ends 2024-09-10, after the last event in the log (2024-09-09): customers "
            "would be labelled churned only because the log stops. Use as_of <= 2024-05-31.",
        ),
        (
            cm.Spend("100d", gap="1s"),
            "as_of 2024-06-01 + gap 1s + horizon 100d ends 2024-09-09 00:00:01, after the last event in the log "
            "(2024-09-09): customers would be labelled with too little value only because the log stops. Use as_of <= "
            "2024-05-31.",
        ),
        (
            cm.Repurchase("15w"),
            "as_of 2024-06-01 + horizon 15w ends 2024-09-14, after the last event in the log (2024-09-09): customers "
            "would be labelled as not returning only because the log stops. Use as_of <= 2024-05-27.",
        ),
    ],
)
def test_a_horizon_beyond_the_end_of_the_log_is_refused(target: cm.Churn, message: str) -> None:
    with pytest.raises(cm.LeakageError) as caught:
        cm.build_dataset(LATE, [cm.Count()], target, AS_OF)
    assert str(caught.value) == message


def test_a_horizon_up_to_the_last_event_is_allowed_and_observed_until_moves_the_end() -> None:
    assert len(cm.build_dataset(LATE, [cm.Count()], cm.Churn("100d"), AS_OF).y) == 1
    frame = pd.DataFrame({"u": [1, 2], "t": [AS_OF - DAY, AS_OF + DAY]})
    longer = cm.InteractionLog(frame, customer_id="u", timestamp="t", observed_until="2024-07-01")
    assert cm.build_dataset(longer, [cm.Count()], cm.Churn("30d"), AS_OF).y.tolist() == [1]
    with pytest.raises(cm.LeakageError, match=r"after observed_until \(2024-07-01\)"):
        cm.build_dataset(longer, [cm.Count()], cm.Churn("31d"), AS_OF)


def test_a_cutoff_long_after_observed_until_is_told_so_and_not_that_the_last_event_was_then() -> None:
    frame = pd.DataFrame({"u": [1, 2], "t": [AS_OF - DAY, AS_OF + DAY]})
    log = cm.InteractionLog(frame, customer_id="u", timestamp="t", observed_until="2024-07-01")
    with pytest.raises(cm.ConfigError) as caught:
        cm.build_features(log, [cm.Count()], "2024-07-31")
    assert str(caught.value) == (
        "as_of 2024-07-31 is 30 days after observed_until (2024-07-01): every customer would look inactive only "
        "because the log stops. Use as_of <= 2024-07-02, a newer log, or say InteractionLog(..., "
        "observed_until=...) if the log is complete."
    )


def test_cleaning_away_the_end_of_a_log_moves_its_end() -> None:
    """Otherwise everybody would be churned after the cut."""
    frame = pd.DataFrame({"u": [1, 2], "t": [AS_OF - DAY, AS_OF + 99 * DAY]})
    log = cm.InteractionLog(frame, customer_id="u", timestamp="t", observed_until=AS_OF + 100 * DAY)
    cut = log.clean(cm.KeepBetween("timestamp", maximum="2024-06-15"))
    assert cut.complete_until == AS_OF + 14 * DAY
    with pytest.raises(cm.LeakageError):
        cm.build_dataset(cut, [cm.Count()], cm.Churn("15d"), AS_OF)
    assert cm.build_dataset(cut, [cm.Count()], cm.Churn("14d"), AS_OF).y.tolist() == [1]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: cm.build_dataset(LATE, [cm.Count()], cm.Churn("30d", event_type="purchse"), AS_OF),
            "Churn('30d', event_type='purchse'): event type 'purchse' never occurs in the log. Did you mean "
            "'purchase'? It has: 'other' (1), 'purchase' (1).",
        ),
        (
            lambda: cm.build_dataset(LATE, [cm.Count()], cm.NextItems("30d"), AS_OF),
            "build_dataset: NextItems('30d') labels items, not customers. Use build_next_items(log, target, as_of).",
        ),
        (
            lambda: cm.Churn("2 months"),
            "Churn: horizon '2 months' is not a duration: months and years differ in length. Use days: '60d'.",
        ),
        (
            lambda: cm.Spend("30d", column="amont").check(LATE),
            "Sum('amont'): the log has no 'amont'. Did you mean 'amount'? It has: 'customer_id', 'timestamp', "
            "'event_type', 'item_id', 'amount'.",
        ),
    ],
)
def test_bad_targets_are_refused(act: Any, message: str) -> None:
    with pytest.raises(cm.CrmmlError) as caught:
        act()
    assert str(caught.value) == message


def test_interactions_weigh_events_and_halve_with_age() -> None:
    log = log_of((AS_OF - 10 * DAY, "purchase", 1.0), (AS_OF - 20 * DAY, "view", 1.0), (AS_OF, "purchase", 1.0))
    plain = cm.build_interactions(log, cm.ItemWeights(), AS_OF)
    assert plain["weight"].tolist() == [2.0]
    weighted = cm.ItemWeights(weights={"purchase": 3, "view": 1}, half_life="10d")
    # One half-life old, and two.
    assert cm.build_interactions(log, weighted, AS_OF)["weight"].tolist() == [3 * 0.5 + 1 * 0.25]
    recent = cm.ItemWeights(weights={"purchase": 3, "view": 1}, window="10d")
    assert cm.build_interactions(log, recent, AS_OF)["weight"].tolist() == [3.0]


def test_next_items_are_those_of_the_horizon_once_each() -> None:
    log = log_of(BEFORE, (AS_OF, "purchase", 1.0), (AS_OF + DAY, "purchase", 1.0), item="book")
    table = cm.build_next_items(log, cm.NextItems("30d", event_type="purchase"), AS_OF)
    assert table.to_dict("list") == {"customer_id": ["one"], "as_of": [AS_OF], "item_id": ["book"]}


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: cm.ItemWeights(weights={"purchase": 0}),
            "ItemWeights: weights['purchase'] must be a positive number up to 1e+100, not 0. Use for example 1.0.",
        ),
        (
            lambda: cm.ItemWeights(weights=["purchase"]),
            "ItemWeights: weights must be a mapping, not ('purchase',). Use weights={'purchase': 1}.",
        ),
        (
            lambda: cm.build_next_items(LATE, cm.NextItems("30d", event_type="purchase"), AS_OF),
            "build_next_items: NextItems('30d', event_type='purchase') finds no item in the horizon. "
            "Use a longer horizon.",
        ),
    ],
)
def test_bad_interactions_are_refused(act: Any, message: str) -> None:
    with pytest.raises(cm.CrmmlError) as caught:
        act()
    assert str(caught.value) == message


def test_a_filter_on_a_time_is_refused() -> None:
    frame = pd.DataFrame({"u": ["one", "end"], "t": [AS_OF - DAY, END["t"]], "seen": [AS_OF, AS_OF]})
    log = cm.InteractionLog(frame, customer_id="u", timestamp="t")
    with pytest.raises(cm.SchemaError) as caught:
        cm.build_features(log, [cm.Count(where={"seen": "yesterday"})], AS_OF)
    assert str(caught.value) == (
        "Count(where={'seen': 'yesterday'}): 'seen' is time, which no filter compares. Make it text or a number in "
        "the log, for example frame['seen'] = frame['seen'].astype(str)."
    )


def test_an_infinite_amount_in_the_horizon_is_named() -> None:
    """No feature sums the amount: it is the label that cannot."""
    log = log_of(BEFORE, (AS_OF + DAY, "purchase", float("inf")))
    with pytest.raises(cm.DataError) as caught:
        cm.build_dataset(log, [cm.Recency()], cm.Spend("30d"), AS_OF)
    assert str(caught.value) == (
        "'amount' has the value inf, but only values below 1e+12 can be summed exactly. Mend it, or drop the events: "
        "log.clean(KeepBetween('amount', minimum=-1e+12, maximum=1e+12))."
    )

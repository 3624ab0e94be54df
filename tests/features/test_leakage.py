"""What would let the future into training data is refused: whole messages, and every suggestion works."""

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.features.cutoffs import purged, require_purged
from tests.features.strategies import budget

FIRST, LAST = pd.Timestamp("2023-01-01", tz="UTC"), pd.Timestamp("2024-10-26 18:30", tz="UTC")
FRAME = pd.DataFrame({"who": ["anna", "ben"], "at": [FIRST, LAST], "sku": ["a", "b"], "revenue": [1.0, 2.0]})
LOG = cm.InteractionLog(
    FRAME, customer_id="who", timestamp="at", event_type=cm.Constant("purchase"), item_id="sku", amount="revenue"
)
COUNT = [cm.Count()]


def refusal(act: Any) -> str:
    with pytest.raises(cm.LeakageError) as caught:
        act()
    return str(caught.value)


PAST_THE_END = {
    "churn": (
        cm.Churn("60d"),
        "as_of 2024-10-01 + horizon 60d ends 2024-11-30, after the last event in the log (2024-10-26): customers "
        "would be labelled churned only because the log stops. Use as_of <= 2024-08-27.",
    ),
    "repurchase with a lead time": (
        cm.Repurchase("8w", gap="1w"),
        "as_of 2024-10-01 + gap 1w + horizon 8w ends 2024-12-03, after the last event in the log (2024-10-26): "
        "customers would be labelled as not returning only because the log stops. Use as_of <= 2024-08-24.",
    ),
    "spend": (
        cm.Spend("90d"),
        "as_of 2024-10-01 + horizon 90d ends 2024-12-30, after the last event in the log (2024-10-26): customers "
        "would be labelled with too little value only because the log stops. Use as_of <= 2024-07-28.",
    ),
}


@pytest.mark.parametrize("case", PAST_THE_END)
def test_a_horizon_past_the_end_of_the_log(case: str) -> None:
    target, message = PAST_THE_END[case]
    assert refusal(lambda: cm.build_dataset(LOG, COUNT, target, "2024-10-01")) == message


def test_the_first_cutoff_that_reaches_too_far_is_named() -> None:
    cutoffs = ["2024-09-30", "2024-08-26", "2024-10-01"]
    assert refusal(lambda: cm.build_dataset(LOG, COUNT, cm.Churn("60d"), cutoffs)) == (
        "as_of 2024-09-30 + horizon 60d ends 2024-11-29, after the last event in the log (2024-10-26): customers "
        "would be labelled churned only because the log stops. Use as_of <= 2024-08-27."
    )


def test_the_items_of_a_truncated_horizon() -> None:
    assert refusal(lambda: cm.build_next_items(LOG, cm.NextItems("60d"), "2024-10-01")) == (
        "as_of 2024-10-01 + horizon 60d ends 2024-11-30, after the last event in the log (2024-10-26): customers "
        "would be labelled with too few items only because the log stops. Use as_of <= 2024-08-27."
    )


def test_the_end_of_the_horizon_may_be_the_last_event_and_not_a_microsecond_later() -> None:
    edge = LAST - pd.Timedelta(days=60)
    assert len(cm.build_dataset(LOG, COUNT, cm.Churn("60d"), edge).y) == 1
    late = edge + pd.Timedelta(microseconds=1)
    assert refusal(lambda: cm.build_dataset(LOG, COUNT, cm.Churn("60d"), late)) == (
        "as_of 2024-08-27 18:30:00.000001 + horizon 60d ends 2024-10-26 18:30:00.000001, after the last event in the "
        "log (2024-10-26): customers would be labelled churned only because the log stops. Use as_of <= 2024-08-27."
    )


HORIZONS = st.builds(lambda n, unit: f"{n}{unit}", st.integers(1, 200), st.sampled_from(("d", "h")))
GAPS = st.builds(lambda n: f"{n}d", st.integers(0, 60))


@budget(15, 500)
@given(HORIZONS, GAPS)
def test_the_suggested_cutoff_works_and_the_next_day_does_not(horizon: str, gap: str) -> None:
    target = cm.Churn(horizon, gap=gap)
    message = refusal(lambda: cm.build_dataset(LOG, COUNT, target, LAST))
    suggested = pd.Timestamp(message.rpartition("Use as_of <= ")[2].rstrip("."), tz="UTC")
    assert len(cm.build_dataset(LOG, COUNT, target, suggested).y) == 1
    refusal(lambda: cm.build_dataset(LOG, COUNT, target, suggested + pd.Timedelta(days=1)))


DAYS = st.integers(0, 500).map(lambda n: FIRST + pd.Timedelta(days=n))


@budget(50, 5_000)
@given(st.lists(DAYS, min_size=1, max_size=6, unique=True), DAYS, HORIZONS, GAPS)
def test_purged_keeps_what_the_refusal_allows(
    training: list[pd.Timestamp], holdout: pd.Timestamp, horizon: str, gap: str
) -> None:
    target = cm.Spend(horizon, gap=gap)
    kept = purged(training, holdout, target)
    if kept:
        require_purged(kept, holdout, target)
    for dropped in set(training) - set(kept):
        assert str(dropped.date()) in refusal(lambda cutoff=dropped: require_purged([cutoff], holdout, target))


def test_a_holdout_within_the_reach_of_the_training_labels() -> None:
    target = cm.Churn("60d", gap="7d")
    assert refusal(lambda: require_purged(["2024-01-01", "2023-06-01"], ["2024-03-01", "2024-05-01"], target)) == (
        "hold-out cutoff 2024-03-01 is nearer than one gap + horizon (7d + 60d) to the last training cutoff "
        "2024-01-01: its labels reach to 2024-03-08 and know what the hold-out should predict. Train on cutoffs <= "
        "2023-12-25, or hold out a cutoff >= 2024-03-08."
    )

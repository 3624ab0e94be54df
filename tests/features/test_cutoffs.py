"""Cutoffs: where they lie, and the distance that keeps labels of the training away from the hold-out."""

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.data.time import spoken
from crmml.features.cutoffs import purged, require_purged

START = pd.Timestamp("2024-01-01", tz="UTC")
MICROSECOND = pd.Timedelta(1, unit="us")


def days(moments: tuple[pd.Timestamp, ...]) -> list[str]:
    return [spoken(moment) for moment in moments]


def test_both_ends_are_cutoffs_if_the_steps_hit_them() -> None:
    assert days(cm.cutoffs("2024-01-01", "2024-01-03", every="1d")) == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert days(cm.cutoffs("2024-01-01", "2024-01-02 23:59:59.999999", every="1d")) == ["2024-01-01", "2024-01-02"]
    assert days(cm.cutoffs("2024-01-01", "2024-01-01", every="1d")) == ["2024-01-01"]


def test_cutoffs_of_a_zone_are_midnights_there() -> None:
    assert days(cm.cutoffs("2024-01-01", "2024-01-01", every="1d", timezone="Europe/Berlin")) == ["2023-12-31 23:00:00"]


def test_days_of_a_zone_are_its_own_when_the_clocks_change_and_hours_are_not() -> None:
    # On 2024-03-31 Berlin goes from UTC+1 to UTC+2: that day has 23 hours.
    berlin = {"timezone": "Europe/Berlin"}
    assert days(cm.cutoffs("2024-03-30", "2024-04-01", every="1d", **berlin)) == [
        "2024-03-29 23:00:00",
        "2024-03-30 23:00:00",
        "2024-03-31 22:00:00",
    ]
    assert days(cm.cutoffs("2024-03-31", "2024-04-01", every="12h", **berlin)) == [
        "2024-03-30 23:00:00",
        "2024-03-31 11:00:00",
    ]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: cm.cutoffs("2024-02-01", "2024-01-01", every="30d"),
            "cutoffs: end 2024-01-01 is before start 2024-02-01. Swap them, or use a later end.",
        ),
        (
            lambda: cm.cutoffs("2024-01-01", "2024-02-01", every="month"),
            "every 'month' is not a duration. Use a number and one of s, m, h, d, w, for example '30d', '8w' or '12h'.",
        ),
        (
            lambda: cm.cutoffs("then", "2024-02-01", every="30d"),
            "start 'then' is not a date or time. Use for example '2024-01-31' or '2024-01-31T12:00:00+01:00'.",
        ),
    ],
)
def test_bad_cutoffs_are_refused(act: Any, message: str) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        act()
    assert str(caught.value) == message


@pytest.mark.parametrize(("gap", "reach"), [("0d", 60), ("7d", 67)])
def test_a_label_that_ends_at_the_hold_out_may_train_and_one_that_ends_later_may_not(gap: str, reach: int) -> None:
    target = cm.Churn("60d", gap=gap)
    edge = START + pd.Timedelta(days=reach)
    assert purged([START], edge, target) == (START,)
    assert purged([START], edge - MICROSECOND, target) == ()
    require_purged([START], edge, target)
    with pytest.raises(cm.LeakageError):
        require_purged([START], edge - MICROSECOND, target)


def test_the_refusal_says_which_cutoffs_would_do() -> None:
    with pytest.raises(cm.LeakageError) as caught:
        require_purged(["2024-01-01", "2024-02-01"], "2024-03-01", cm.Churn("60d"))
    assert str(caught.value) == (
        "hold-out cutoff 2024-03-01 is nearer than one horizon (60d) to the last training cutoff 2024-02-01: its "
        "labels reach to 2024-04-01 and know what the hold-out should predict. Train on cutoffs <= 2024-01-01, or "
        "hold out a cutoff >= 2024-04-01."
    )


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=10, unique=True),
    st.integers(0, 500),
    st.integers(1, 90),
    st.integers(0, 30),
)
def test_no_label_of_the_training_overlaps_what_the_hold_out_predicts(
    training: list[int], holdout: int, horizon: int, gap: int
) -> None:
    target = cm.Churn(f"{horizon}d", gap=f"{gap}d")
    at = START + pd.Timedelta(days=holdout)
    candidates = [START + pd.Timedelta(days=day) for day in training]
    kept = purged(candidates, at, target)
    assert sorted(kept) == sorted(one for one in candidates if one + pd.Timedelta(days=gap + horizon) <= at)


def test_more_cutoffs_than_anybody_wants_are_refused_before_they_fill_the_memory() -> None:
    with pytest.raises(cm.ConfigError) as caught:
        cm.cutoffs("2024-01-01", "2024-12-31", every="1s")
    # 365 days of 86,400 seconds, and the end itself.
    assert str(caught.value) == (
        "cutoffs: from 2024-01-01 to 2024-12-31 every '1s' makes 31,536,001 cutoffs, but the most is 10,000. "
        "Use a longer every, for example '30d'."
    )
    assert len(cm.cutoffs("2024-01-01", "2024-01-01T02:46:39Z", every="1s")) == 10_000

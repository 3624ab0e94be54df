"""The law of the rolling origin: no label that trains reaches beyond the hold-out's cutoff."""

from collections.abc import Sequence

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.features.targets import Target
from crmml.jobs import rolling
from tests.jobs.small import START

HOURS = st.sets(st.integers(0, 30 * 24), min_size=2, max_size=12)


def moments(hours: Sequence[int]) -> tuple[pd.Timestamp, ...]:
    return tuple((START + pd.Timedelta(hour, unit="h")).as_unit("us") for hour in sorted(hours))


def check_law(cutoffs: tuple[pd.Timestamp, ...], target: Target) -> None:
    """Every pair (training, hold-out) is allowed, and every allowed pair is there."""
    try:
        plan = dict(rolling.rolling_plan(cutoffs, target))
    except cm.LeakageError:
        plan = {}
    reach = pd.Timedelta(target.horizon) + pd.Timedelta(target.gap)
    pairs = {(training, holdout) for holdout, chosen in plan.items() for training in chosen}
    # the last label window of `training` is [training + gap, training + gap + horizon)
    assert all(training + reach <= holdout for training, holdout in pairs)
    assert pairs == {(t, h) for t in cutoffs for h in cutoffs if t + reach <= h}


@given(HOURS, st.integers(1, 15 * 24), st.integers(0, 5 * 24))
def test_no_training_label_knows_what_the_holdout_predicts(hours: set[int], horizon: int, gap: int) -> None:
    check_law(moments(sorted(hours)), cm.Churn(f"{horizon}h", gap=f"{gap}h"))


def test_a_label_may_end_where_the_holdout_begins_and_not_a_moment_later() -> None:
    day, hour = pd.Timedelta(1, unit="D"), pd.Timedelta(1, unit="h")
    for distance, holdouts in ((10 * day, 1), (10 * day - hour, 0), (10 * day + hour, 1)):
        second = (START + distance).as_unit("us")
        third = second + 20 * day
        plan = rolling.rolling_plan((START.as_unit("us"), second, third), cm.Churn("8d", gap="2d"))
        assert sum(holdout == second for holdout, _ in plan) == holdouts

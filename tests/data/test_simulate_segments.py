"""Planted segments: who belongs to which, and that their events follow the habits of the segment."""

from math import sqrt

import numpy as np
import pytest

import crmml as cm
from crmml.data.simulated.world import HABITS

SPAN = 731  # days of 2023 and 2024


def test_without_planted_segments_nothing_changes() -> None:
    plain, asked = cm.simulate_log(50, seed=3), cm.simulate_log(50, seed=3, segments=None)
    assert plain.events.equals(asked.events)
    assert "segment" not in plain.truth


def test_segments_are_equally_probable_and_everybody_stays() -> None:
    truth = cm.simulate_log(3_000, seed=1, segments=4).truth
    counts = truth["segment"].value_counts()
    assert sorted(counts.index) == [0, 1, 2, 3]
    # A binomial number of 3,000 with probability 1/4: within four standard deviations.
    assert all(abs(count - 750) < 4 * sqrt(3_000 * 0.25 * 0.75) for count in counts)
    assert truth["dropout"].isna().all()
    assert (truth["arrival"].dt.tz_localize(None) < np.datetime64("2023-02-15")).all()  # a twentieth of the span


def test_each_segment_buys_as_often_and_where_its_habits_say() -> None:
    simulated = cm.simulate_log(1_500, seed=2, segments=5)
    bought = simulated.events[simulated.events["event_type"] == "purchase"].merge(
        simulated.truth[["segment", "rate"]], left_on="customer_id", right_index=True
    )
    shares = {"web": 0.40, "app": 0.25, "shop": 0.20, "phone": 0.05, "social": 0.10}
    for segment, (rate, channel, quantity) in enumerate(HABITS):
        truth = simulated.truth[simulated.truth["segment"] == segment]
        logs = np.log(truth["rate"].to_numpy() / rate)
        assert abs(logs.mean()) < 4 * 0.1 / sqrt(len(logs))  # lognormal, of 10 %
        mine = bought[bought["segment"] == segment]
        expected = 0.7 + 0.3 * shares[channel]  # 70 % in the preferred channel, and its share of the rest
        assert abs((mine["channel"] == channel).mean() - expected) < 4 * sqrt(expected * (1 - expected) / len(mine))
        assert mine["quantity"].astype(float).mean() == pytest.approx(quantity, rel=0.05)


@pytest.mark.parametrize("segments", [0, 6, 2.0, True])
def test_other_numbers_are_refused(segments: object) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        cm.simulate_log(10, segments=segments)
    assert str(caught.value) == (f"simulate_log: segments must be a whole number from 1 to 5, not {segments!r}. Use 3.")

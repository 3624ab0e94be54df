"""A `NextBestOffer` through the jobs: calibrated before the cutoff, in the bundle, in the lists."""

from pathlib import Path

import pandas as pd
import pytest

import crmml as cm
from crmml.errors import ConfigError
from tests.recommend.blocks import text_of

LIKES = cm.ItemWeights(weights={"purchase": 1.0})
TARGET = cm.NextItems("60d", event_type="purchase", active_within="365d")


@pytest.fixture(scope="module")
def log() -> cm.InteractionLog:
    return cm.simulate_log(500, seed=1).log


def offer() -> cm.NextBestOffer:
    return cm.NextBestOffer(cm.ItemKNN(), method="platt")


def test_the_bundle_says_the_probability_as_the_notebook_does(log: cm.InteractionLog, tmp_path: Path) -> None:
    bundle = cm.train(log, LIKES, TARGET, offer(), as_of="2024-11-01")
    # By hand: calibrated on the 60 days before the cutoff, fitted on everything before it.
    earlier, now = (cm.build_interactions(log, LIKES, moment) for moment in ("2024-09-02", "2024-11-01"))
    bought = cm.build_next_items(log, TARGET, "2024-09-02")
    active = cm.build_features(log, [cm.Recency()], "2024-09-02", population=TARGET.population)
    by_hand = offer().calibrate(earlier, bought, active.index.get_level_values("customer_id")).fit(now)
    lists = bundle.score(log, "2024-11-01", k=5)
    expected = by_hand.recommend(lists["customer_id"].unique(), k=5)
    columns = ["customer_id", "item_id", "rank", "score", "p_purchase"]
    pd.testing.assert_frame_equal(lists[columns], expected, check_exact=True)
    assert lists["p_purchase"].between(0, 1).all()
    # And to disk and back.
    loaded = cm.Bundle.load(bundle.save(tmp_path / "bundle"))
    pd.testing.assert_frame_equal(loaded.score(log, "2024-11-01", k=5), lists, check_exact=True)
    assert "p_purchase" in loaded.score(log, "2024-12-01", k=3)


def test_nothing_at_or_after_the_cutoff_is_seen() -> None:
    """Whatever is bought from the cutoff on, the probabilities are the same; a day before it, they are not."""
    cutoff, target = pd.Timestamp("2024-11-01", tz="UTC"), cm.NextItems("100d", event_type="purchase")
    events = cm.simulate_log(300, seed=2).log.events(["customer_id", "timestamp", "event_type", "item_id"]).to_pandas()
    events["timestamp"] = events["timestamp"].dt.tz_localize("UTC")

    def probabilities(since: pd.Timestamp) -> "pd.Series[float]":
        changed = events.copy()
        changed.loc[events["timestamp"] >= since, "item_id"] = events["item_id"].dropna().iloc[0]
        log = cm.InteractionLog(
            changed, customer_id="customer_id", timestamp="timestamp", event_type="event_type", item_id="item_id"
        )
        bundle = cm.train(log, LIKES, target, cm.NextBestOffer(method="platt"), as_of=cutoff)
        return bundle.score(log, cutoff, k=3)["p_purchase"]

    never = probabilities(pd.Timestamp("2030-01-01", tz="UTC"))
    pd.testing.assert_series_equal(probabilities(cutoff), never, check_exact=True)
    assert not probabilities(cutoff - pd.Timedelta(days=30)).equals(never)


def test_a_backtest_measures_the_models_own_lists(log: cm.InteractionLog) -> None:
    ours, plain = (cm.backtest(log, LIKES, TARGET, model, as_of=["2024-09-01"]) for model in (offer(), cm.ItemKNN()))
    assert ours.metrics == plain.metrics


def test_too_early_a_cutoff_is_refused(log: cm.InteractionLog) -> None:
    assert text_of(ConfigError, lambda: cm.train(log, LIKES, TARGET, offer(), as_of="2023-02-10")) == (
        "train: NextBestOffer is calibrated at the cutoff less horizon (60d), 2022-12-12, when there was no history: "
        "the first event in the log is of 2023-01-02. Use a later as_of, or a shorter horizon."
    )

"""Subscriptions through the jobs: from a log to a backtest, a bundle and scores."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import crmml as cm

PAYS, TERM = ["start", "renewal"], "31d"
CHURN = cm.SubscriptionChurn("30d", event_type=PAYS, active_within=TERM, ended_by="cancel")
FEATURES = cm.FeatureSet([cm.Tenure(), cm.Recency(event_type=PAYS), cm.Count(event_type="complaint", window="30d")])


@pytest.fixture(scope="module")
def log() -> cm.InteractionLog:
    """Two hundred contracts, paid every 30 days of 2024; who has complained leaves at the next renewal."""
    rng = np.random.default_rng(4)
    lived = cm.ShiftedBetaGeometric.from_parameters({"alpha": 2.0, "beta": 14.0}).simulate(np.full(200, 12), rng)
    rows: list[tuple[int, float, str]] = []
    for customer, (t, churned) in enumerate(lived.to_numpy()):
        paid = [customer % 30 + 30.0 * month for month in range(int(t - churned) + 1)]
        rows += [(customer, day, "renewal" if day > paid[0] else "start") for day in paid]
        if churned:
            rows.append((customer, paid[-1] + 3.0, "complaint"))
        if churned and customer % 2:
            rows.append((customer, paid[-1] + 25.0, "cancel"))
    events = pd.DataFrame(rows, columns=["who", "day", "what"]).query("day < 366")
    events["at"] = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(events["day"], unit="D")
    return cm.InteractionLog(events, customer_id="who", timestamp="at", event_type="what", observed_until="2025-01-01")


def test_the_backtest_beats_the_rules_of_subscriptions(log: cm.InteractionLog) -> None:
    report = cm.backtest(
        log, FEATURES, CHURN, cm.ChurnClassifier(), as_of=cm.cutoffs("2024-04-01", "2024-12-01", every="60d")
    )
    contenders = set(report.table["contender"])
    assert {"ChurnClassifier", "renewal rule", "tenure rule"} <= contenders
    auc = report.table.groupby("contender")["auc"].mean()
    # A complaint precedes each end, and is all there is to know: the rules are left with the calendar.
    assert auc["ChurnClassifier"] > 0.9 > auc["tenure rule"]


def test_a_bundle_scores_the_subscribers_and_says_who_has_left(log: cm.InteractionLog, tmp_path: Path) -> None:
    bundle = cm.train(log, FEATURES, CHURN, cm.ChurnClassifier(), as_of=["2024-06-01", "2024-08-01", "2024-10-01"])
    bundle.save(tmp_path / "bundle")
    loaded = cm.Bundle.load(tmp_path / "bundle")
    assert loaded.target == CHURN
    scored = loaded.score(log, "2024-12-01")
    pd.testing.assert_frame_equal(scored, bundle.score(log, "2024-12-01"))
    subscribed = cm.build_features(log, [cm.Recency()], "2024-12-01", population=CHURN.population)
    assert scored["customer_id"].tolist() == subscribed.index.get_level_values("customer_id").tolist()
    assert scored.attrs["not_eligible"] == 200 - len(subscribed)
    contracts = cm.contracts(log, "2024-12-01", event_type=PAYS, term=TERM, ended_by="cancel")
    assert (contracts["churned"] == 0).sum() == len(subscribed)

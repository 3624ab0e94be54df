"""Buy-till-you-die models as rules: fitted on everybody's past, compared on the rows of the target."""

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.jobs.buyers import buyers_rules

CHURN = cm.Churn("60d", event_type="purchase", active_within="120d")
CUTOFFS = [pd.Timestamp(day, tz="UTC").as_unit("us") for day in ("2024-01-01", "2024-05-01")]


@pytest.fixture(scope="module")
def log() -> cm.InteractionLog:
    return cm.simulate_log(400, seed=3).log


def test_the_rule_is_bg_nbd_on_the_days_of_purchase_before_the_cutoff(log: cm.InteractionLog) -> None:
    rule = buyers_rules(log, CHURN, CUTOFFS)[CUTOFFS[1]]
    summary = cm.transactions(log, CUTOFFS[1], event_type="purchase", unit="1d")
    by_hand = cm.BGNBD().fit(summary)
    expected = pd.Series(1.0 - by_hand.p_buys(summary, 60.0), index=summary.index.get_level_values("customer_id"))
    # The rule draws its parameters to 1 by a hair.
    assert np.abs(rule.scores - expected.reindex(rule.scores.index)).max() < 0.01
    assert rule.probabilistic


def test_nothing_after_a_holdout_matters(log: cm.InteractionLog) -> None:
    events = cm.simulate_log(400, seed=3).events
    before = events[events["timestamp"] < CUTOFFS[0]]
    roles = {"customer_id": "customer_id", "timestamp": "timestamp", "event_type": "event_type", "amount": "amount"}
    past = cm.InteractionLog(before, **roles, observed_until=str(CUTOFFS[1]))
    for target in (CHURN, cm.Spend("60d")):
        known, whole = (buyers_rules(one, target, CUTOFFS[:1])[CUTOFFS[0]].scores for one in (past, log))
        pd.testing.assert_series_equal(known, whole)


def test_spend_is_net_and_orders_are_purchases(log: cm.InteractionLog) -> None:
    rule = buyers_rules(log, cm.Spend("60d"), CUTOFFS[:1])[CUTOFFS[0]]
    assert (rule.name, rule.probabilistic) == ("BG/NBD + Gamma-Gamma rule", False)
    index = pd.MultiIndex.from_tuples([("nobody", CUTOFFS[0])], names=["customer_id", "as_of"])
    assert rule.of(index).tolist() == [0.0]


def test_the_rule_of_repurchase_is_the_other_side(log: cm.InteractionLog) -> None:
    leaving = buyers_rules(log, cm.Churn("60d", event_type="purchase"), CUTOFFS[:1])[CUTOFFS[0]]
    coming = buyers_rules(log, cm.Repurchase("60d", event_type="purchase"), CUTOFFS[:1])[CUTOFFS[0]]
    assert (leaving.scores + coming.scores).round(12).unique().tolist() == [1.0]
    assert (leaving.absent, coming.absent) == (1.0, 0.0)


def test_each_holdout_has_its_own_fit() -> None:
    log = cm.simulate_log(400, seed=3).log
    both, first = (buyers_rules(log, CHURN, some)[CUTOFFS[0]] for some in (CUTOFFS, CUTOFFS[:1]))
    pd.testing.assert_series_equal(both.scores, first.scores)


def test_with_a_gap_there_is_no_rule(log: cm.InteractionLog) -> None:
    assert buyers_rules(log, cm.Churn("60d", event_type="purchase", gap="7d"), CUTOFFS) == {}


def test_one_purchase_each_says_that_nobody_comes_back() -> None:
    once = pd.DataFrame({"who": list("abcd"), "at": pd.date_range("2024-01-01", periods=4), "what": "purchase"})
    log = cm.InteractionLog(
        once, customer_id="who", timestamp="at", event_type="what", timezone="UTC", observed_until="2024-12-31"
    )
    rule = buyers_rules(log, cm.Churn("60d", event_type="purchase"), [CUTOFFS[1]])[CUTOFFS[1]]
    assert (rule.scores > 0.9).all()

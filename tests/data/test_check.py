"""The readiness report: it describes what is there, and never fails on bad data."""

from datetime import datetime

import pandas as pd
import pytest

import crmml as cm
from crmml.data import facts


def shop(customers: int, *, days: int = 400, items: int = 20) -> pd.DataFrame:
    """Each customer buys on day 0 and on the last day; the items go round."""
    rows = range(2 * customers)
    start = pd.Timestamp("2023-01-01", tz="UTC")
    return pd.DataFrame(
        {
            "u": [row // 2 for row in rows],
            "t": [start + pd.Timedelta(days=days * (row % 2)) for row in rows],
            "k": "purchase",
            "a": 5.0,
            "i": [f"item {row % items}" for row in rows],
        }
    )


def log_of(frame: pd.DataFrame, **roles: str | None) -> cm.InteractionLog:
    mapping: dict[str, str | None] = {
        "customer_id": "u", "timestamp": "t", "event_type": "k", "amount": "a", "item_id": "i",
    }  # fmt: skip
    return cm.InteractionLog(frame, **{**mapping, **roles})


def test_a_good_log_is_ready_for_everything() -> None:
    report = log_of(shop(100)).check(horizon="90d", window="180d")
    assert report.ready == {"churn": True, "value": True, "recommendations": True}
    assert str(report) == (
        "events          200\n"
        "customers       100\n"
        "items           20\n"
        "span            400 days, 2023-01-01 to 2024-02-05 (UTC)\n"
        "event types     purchase 200 (100%)\n"
        "returns         0 events with a negative amount (0.0%)\n"
        "problems        none found\n"
        "churn           ready (needs 360 days of history, the log has 400)\n"
        "value           ready (needs 360 days of history, the log has 400)\n"
        "recommendations ready (needs 360 days of history, the log has 400)"
    )


@pytest.mark.parametrize(("days", "ready"), [(360, True), (359, False)])
def test_history_must_hold_a_window_and_two_horizons(days: int, ready: bool) -> None:
    report = log_of(shop(100, days=days)).check(horizon="90d", window="180d")
    assert report.ready["churn"] is ready


@pytest.mark.parametrize(
    ("log", "task", "reason"),
    [
        (
            log_of(shop(99)),
            "churn",
            "only 99 customers are there: 100 are the least to judge by",
        ),
        (
            log_of(shop(100), amount=None),
            "value",
            "the log has no amount: say InteractionLog(..., amount=...)",
        ),
        (
            log_of(shop(100), item_id=None),
            "recommendations",
            "the log has no item_id: say InteractionLog(..., item_id=...)",
        ),
        (
            log_of(shop(100, items=9)),
            "recommendations",
            "only 9 items are there: with fewer than 10 show all of them",
        ),
        (
            log_of(shop(100, days=100)),
            "churn",
            "window 180d and two horizons of 90d need 360 days of history, and the log has 100: use a shorter window "
            "or horizon, or more history",
        ),
        (
            log_of(
                shop(200).groupby("u").head(1).assign(t=pd.date_range("2023-01-01", periods=200, freq="2D", tz="UTC"))
            ),
            "churn",
            "only 0.0% of the customers came twice: there is no behaviour to learn from",
        ),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(log: cm.InteractionLog, task: str, reason: str) -> None:
    found = {item.task: item for item in log.check().readiness}[task]
    assert found.reasons == (reason,)
    assert not found.ready


def test_a_log_with_everything_wrong_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "now", lambda: datetime(2025, 1, 1))
    bad = shop(100)
    bad.loc[0, "u"] = None
    bad.loc[1, "t"] = pd.NaT
    bad.loc[2, "t"] = pd.Timestamp("1066-10-14", tz="UTC")
    bad.loc[3, "t"] = pd.Timestamp("2025-01-02 00:00:00.000001", tz="UTC")
    bad.loc[8, "t"] = pd.Timestamp("1970-01-01", tz="UTC")
    bad.loc[5] = bad.loc[4]
    bad.loc[6, "a"] = -5.0
    bad.loc[7, "i"] = None
    report = log_of(bad).check()
    assert report.problems == (
        "1 of 200 events have no customer_id: clean(DropMissing('customer_id')).",
        "1 of 200 events have no timestamp: clean(DropMissing('timestamp')).",
        "1 of 200 events are before 1900: clean(KeepBetween('timestamp', minimum='1900-01-01')).",
        "1 of 200 events are in the future, the last at 2025-01-02 00:00:00.000001+00:00: "
        "clean(KeepBetween('timestamp', maximum=...)).",
        "1 of 200 events are at 1970-01-01 00:00:00, where a missing time ends up: "
        "clean(KeepBetween('timestamp', minimum='1970-01-02')).",
        "1 of 200 events repeat another one in every column: clean(DropDuplicates()).",
        "1 of 200 purchase events have no item_id: they count as missing values.",
    )
    assert report.counts.negative_amounts == 1
    assert set(report.ready.values()) == {False}


@pytest.mark.parametrize("frame", [shop(1).iloc[:0], shop(1), shop(2).assign(u=None), shop(1).assign(a=float("inf"))])
def test_it_never_fails(frame: pd.DataFrame) -> None:
    report = log_of(frame.astype({"u": "Int64"})).check()
    assert not any(report.ready.values())
    assert str(report)


def test_the_event_type_that_never_occurs_is_named_with_the_nearest() -> None:
    report = log_of(shop(100)).check(event_type="purchse")
    assert report.problems == ("event type 'purchse' never occurs. Did you mean 'purchase'?",)
    assert report.readiness[0].reasons == (
        "event type 'purchse' never occurs: Did you mean 'purchase'? name one that does",
    )


def test_repeated_event_ids_are_counted() -> None:
    report = log_of(shop(100).assign(e=["same"] * 3 + [str(n) for n in range(197)]), event_id="e").check()
    assert report.counts.repeated_event_ids == 2

"""Scores beside the truth: small tables whose numbers can be done by hand."""

from typing import Any

import pandas as pd
import pytest

import crmml as cm
from crmml.data.simulate import Simulated
from crmml.errors import MissingExtraError
from crmml.jobs import truth

AS_OF = pd.Timestamp("2025-01-01", tz="UTC")
DAY = pd.Timedelta("1D")


def simulated(truths: dict[str, list[Any]], *, events: Any = None, items: Any = None) -> Simulated:
    """Customers 1, 2, ... with these hidden traits."""
    size = len(next(iter(truths.values())))
    table = pd.DataFrame(truths, index=pd.RangeIndex(1, size + 1, name="customer_id"))
    return Simulated(None, pd.DataFrame(events), table, pd.DataFrame(items))  # type: ignore[arg-type]


def test_churn_is_compared_with_who_has_gone() -> None:
    # Gone at the cutoff itself counts as gone; 60 days later is the end of the horizon.
    dropout = [AS_OF, AS_OF - DAY, AS_OF + 60 * DAY, AS_OF + 61 * DAY, pd.NaT]
    scores = pd.DataFrame({"customer_id": [1, 2, 3, 4, 5], "p_churn": [0.9, 0.7, 0.5, 0.1, 0.3]})
    found = truth.of_churn(scores, simulated({"dropout": dropout}), AS_OF, cm.Churn("60d"))
    assert found.table.to_dict("index") == {
        "already gone": {"customers": 2, "p_churn": pytest.approx((0.9 + 0.7) / 2)},
        "leave within 60d": {"customers": 1, "p_churn": 0.5},
        "still there": {"customers": 2, "p_churn": pytest.approx((0.1 + 0.3) / 2)},
    }
    assert found.sentence == (
        "Customers who had already gone for ever, which no event in the log says, got a mean p_churn of 0.80; "
        "those who stayed got 0.20 (AUC for having gone 1.00)."
    )


def test_a_log_in_which_nobody_has_gone_is_no_error() -> None:
    scores = pd.DataFrame({"customer_id": [1], "p_churn": [0.4]})
    found = truth.of_churn(scores, simulated({"dropout": [AS_OF + 90 * DAY]}), AS_OF, cm.Churn("60d"))
    assert found.sentence == (
        "Customers who had already gone for ever, which no event in the log says, got a mean p_churn of nan; "
        "those who stayed got 0.40."
    )


def test_value_is_compared_with_the_rate_and_with_what_was_spent_afterwards() -> None:
    # Customer 6 has gone; the others have rates 1 to 5, each alone in a fifth.
    traits = {"dropout": [pd.NaT] * 5 + [AS_OF], "rate": [1.0, 2.0, 3.0, 4.0, 5.0, 9.0]}
    events = [
        (5, AS_OF, "purchase", 100.0),
        (5, AS_OF + 30 * DAY, "return", -40.0),
        (5, AS_OF + 90 * DAY, "purchase", 1000.0),  # after the horizon
        (5, AS_OF - DAY, "purchase", 1000.0),  # before the cutoff
        (5, AS_OF + DAY, "cart", 500.0),
        (1, AS_OF + DAY, "purchase", 7.0),
    ]
    frame = pd.DataFrame(events, columns=["customer_id", "timestamp", "event_type", "amount"])
    scores = pd.DataFrame({"customer_id": [1, 2, 3, 4, 5, 6], "clv": [10.0, 20.0, 30.0, 40.0, 50.0, 1.0]})
    found = truth.of_value(scores, simulated(traits, events=frame), AS_OF, cm.Spend("90d"))
    assert found.table["clv"].to_dict() == {
        "already gone": 1.0,
        "lowest rate": 10.0,
        "low rate": 20.0,
        "middle rate": 30.0,
        "high rate": 40.0,
        "highest rate": 50.0,
    }
    assert found.table["spent"].tolist() == [0.0, 7.0, 0.0, 0.0, 0.0, 100.0 - 40.0]
    assert found.sentence == (
        "Predicted value against the true rate of purchases (0 for who has gone): rank correlation 1.00. "
        "Customers who had gone were predicted 1.00 and the fifth with the highest rate 50.00 on average; "
        "they spent 0.00 and 60.00."
    )


def test_segments_are_sorted_by_the_share_that_has_gone() -> None:
    dropout = [AS_OF, AS_OF + DAY, AS_OF, pd.NaT, pd.NaT]
    scores = pd.DataFrame({"customer_id": [1, 2, 3, 4, 5], "segment": ["b", "b", "c", "a", "a"]})
    found = truth.of_segments(scores, simulated({"dropout": dropout}), AS_OF)
    assert found.table["gone"].to_dict() == {"a": 0.0, "b": 1 / 2, "c": 1.0}
    assert found.sentence == "Of the segment 'a' 0% had gone for ever, of 'c' 100%."


def test_recommendations_are_compared_with_tastes() -> None:
    items = pd.DataFrame({"category": ["tea", "cups", "nuts"]}, index=["i1", "i2", "i3"])
    traits: dict[str, list[Any]] = {"taste": ["tea", "nuts"], "second_taste": ["cups", "tea"]}
    good = pd.DataFrame({"customer_id": [1, 1, 2, 2], "item_id": ["i1", "i2", "i3", "i1"]})
    half = pd.DataFrame({"customer_id": [1, 2], "item_id": ["i2", "i2"]})
    found = truth.of_recommendations({"ALS": good, "Popularity": half}, simulated(traits, items=items))
    assert found.table.to_dict("index") == {
        "ALS": {"customers": 2, "liked": 1.0},
        "Popularity": {"customers": 2, "liked": 1 / 2},
    }
    assert found.sentence == (
        "Each customer truly likes two of 3 categories: "
        "100% of what ALS recommends and 50% of what Popularity recommends is in them."
    )


def test_the_picture_has_a_bar_for_every_number() -> None:
    pytest.importorskip("matplotlib")
    table = pd.DataFrame({"customers": [1, 1], "clv": [1.0, 2.0], "spent": [3.0, 4.0]}, index=["gone", "there"])
    figure = truth.Truth("", table, {"clv": "predicted", "spent": "spent"}, "value", "{:.1f}").figure()
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [1.0, 2.0, 3.0, 4.0]
    assert [text.get_text() for text in axes.texts] == ["1.0", "2.0", "3.0", "4.0"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["gone", "there"]


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError) as caught:
        truth.Truth("", pd.DataFrame(), {}, "").figure()
    assert str(caught.value) == (
        "A picture of the demo needs the package 'matplotlib'. Install it with: pip install \"crmml[plot]\""
    )

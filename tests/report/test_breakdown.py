"""A backtest looked at closely: intervals of metrics, levels, segments, coverage, profit."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.metrics import auc
from crmml.report.profit import Profit
from tests.report.made import CUTOFFS, churn_report, items_report, report_of, rows_of, value_report

ECONOMICS: dict[str, Any] = {"margin": 100.0, "save_rate": 0.5, "contact_cost": 10.0}


def test_the_interval_of_a_metric_has_the_width_that_theory_gives() -> None:
    """The Brier score is a mean of n squares of variance v: 2 * 1.96 * sqrt(v / n)."""
    report = churn_report(1, 3000)
    line = report.intervals.set_index("metric").loc["brier"]
    model = report.predictions
    squares = (model["y"] - model["probability"]) ** 2
    expected = 2 * 1.96 * np.sqrt(squares.var() / len(squares))
    assert line["high"] - line["low"] == pytest.approx(expected, rel=0.3)
    assert line["mean"] == pytest.approx(squares.mean())
    assert line["low"] < line["mean"] < line["high"]


def test_every_interval_holds_its_metric() -> None:
    # A calibration error of redrawn customers is larger, since their noise is: the interval is moved back.
    for report in (churn_report(3, 150), value_report(2, 150)):
        assert (report.intervals["low"] < report.intervals["mean"]).all()
        assert (report.intervals["mean"] < report.intervals["high"]).all()


def test_copies_of_a_holdout_narrow_no_interval() -> None:
    one = churn_report(1, 300).scores
    five = pd.concat([one.assign(as_of=as_of) for as_of in CUTOFFS], ignore_index=True)
    pd.testing.assert_frame_equal(report_of(one, "binary").intervals, report_of(five, "binary").intervals)


def test_levels_are_means_of_each_cutoff() -> None:
    y = np.array([0, 0, 1, 1])
    pieces = [rows_of(CUTOFFS[0], "m", "model", y, np.array([0.1, 0.2, 0.3, 0.4]), of="binary")]
    pieces += [rows_of(CUTOFFS[1], "m", "model", 1 - y, np.array([0.9, 0.8, 0.7, 0.6]), of="binary")]
    report = report_of(pd.concat(pieces), "binary")
    table = report.stability
    assert table["ratio"].tolist() == pytest.approx([0.25 / 0.5, 0.75 / 0.5])
    assert table["auc"].tolist() == [1.0, 1.0]
    assert "Predicted over actual, cutoff by cutoff: from 0.50 to 1.50; 1 is right." in str(report)
    assert items_report(2, 20).stability.empty


def test_segments_are_measured_one_by_one() -> None:
    report = churn_report(2, 400)
    scores = report.scores.assign(segment=np.where(report.scores["customer_id"] < 300, "web", "store"))
    scores.loc[scores["customer_id"] == 399, "segment"] = "phone"
    scores.loc[scores["customer_id"] == 399, "y"] = 1
    found = report_of(scores, "binary").segments.set_index("segment")
    assert found["customers"].to_dict() == {"web": 600, "store": 198, "phone": 2}
    web = scores[(scores["segment"] == "web") & (scores["kind"] == "model")]
    assert found.loc["web", "model"] == auc(web["y"], web["score"])
    assert found.loc["web", "mean_predicted"] == pytest.approx(web["probability"].mean())
    assert np.isnan(found.loc["phone", "model"])  # all of one class
    text = str(report_of(scores, "binary"))
    assert re.search(r"Segment by segment, all hold-outs pooled\n  segment +customers .*\n  web +600 ", text)
    assert report.segments.empty


def test_coverage_is_a_share_of_all_and_of_the_top_tenth() -> None:
    y = np.arange(20.0)
    rows = rows_of(CUTOFFS[0], "m", "model", y, y, of="value").assign(lo=y - 1.0, hi=y + 1.0)
    rows.loc[19, ["lo", "hi"]] = [0.0, 9.0]  # the best customer, of two in the top tenth, spent 19
    report = report_of(rows, "value", target="Spend('90d')")
    assert report.coverage["coverage"].to_dict() == {"all": 19 / 20, "top tenth": 1 / 2}
    # widths 2, 2, ..., 9 and a fine of 2 / 0.1 for 10 too few, over a mean of 9.5
    assert report.coverage.loc["all", "winkler"] == pytest.approx((19 * 2 + 9 + 20 * 10) / 20 / 9.5)
    assert "The intervals of 90 % held 95.0 % of all customers and 50.0 % of the tenth" in " ".join(str(report).split())
    assert report.metrics["interval_coverage_top_tenth"] == 0.5
    assert value_report(1, 50).coverage.empty
    assert churn_report(1, 50).coverage.empty


def test_too_good_is_no_grade() -> None:
    y = np.array([0, 0, 1, 1])
    rows = rows_of(CUTOFFS[0], "m", "model", y, np.array([0.1, 0.2, 0.3, 0.4]), of="binary")
    assert report_of(rows, "binary").grade == "too good: suspected leakage"
    rows = rows_of(CUTOFFS[0], "m", "model", y, np.array([0.1, 0.4, 0.3, 0.4]), of="binary")
    assert report_of(rows, "binary").grade == "no rule to beat"
    assert churn_report(4, 2000, edge=1.2).grade == "A"
    assert "Grade: A." in str(churn_report(4, 2000, edge=1.2))


def test_profit_is_the_mean_over_the_cutoffs() -> None:
    y = np.array([1, 1, 0, 0])
    right, wrong = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.2, 0.3, 0.4])
    pieces = [rows_of(CUTOFFS[0], "m", "model", y, right, of="binary")]
    pieces += [rows_of(CUTOFFS[1], "m", "model", y, wrong, of="binary")]
    profit = report_of(pd.concat(pieces), "binary").profit(**ECONOMICS)
    # Half of the list: 2 leavers * .5 * 100 - 2 contacts * 10 with the right order, -2 contacts * 10 with the wrong.
    earned = profit.table["model"].tolist()
    assert earned[50] == (80 - 20) / 2
    assert (profit.best_share, earned[100]) == (1.0, 100 - 40)
    assert profit.perfect == 80
    assert str(profit) == (
        "Contact the first 100 % of the list: 60.00 on average, 75 % of what perfect knowledge earns. Contacting "
        "everybody earns 60.00."
    )


def test_where_no_campaign_pays_nobody_is_contacted() -> None:
    profit = churn_report(2, 200).profit(margin=1.0, save_rate=0.1, contact_cost=5.0)
    assert profit.best_share == 0.0
    assert str(profit).startswith("Contact nobody: no part of the list pays. Contacting everybody earns -")


def test_the_picture_of_a_profit_is_its_table() -> None:
    profit: Profit = churn_report(2, 200).profit(**ECONOMICS)
    axes = profit.figure().axes[0]
    drawn = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
    assert list(drawn["ChurnClassifier"]) == profit.table["model"].tolist()
    assert list(drawn["best rule: recency rule"]) == profit.table["rule"].tolist()


def test_a_campaign_needs_leavers() -> None:
    with pytest.raises(cm.ConfigError) as caught:
        value_report(1, 50).profit(**ECONOMICS)
    assert str(caught.value) == (
        "profit: a campaign is aimed at who leaves, but the report is about "
        "Spend(horizon='90d', event_type='purchase', active_within='365d'). Use the report of a Churn target."
    )

"""`BacktestReport`: its tables, and what a terminal shows of it."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.metrics import auc
from crmml.report.text import WIDTH, aligned
from tests.report.made import CUTOFFS, SKIPPED, churn_report, items_report, report_of, rows_of, value_report
from tests.report.test_comparison import two_cutoffs


def three_cutoffs() -> pd.DataFrame:
    """AUC of the model: 1, 1 and 1/2."""
    y = np.array([0, 1])
    orders = ([0.1, 0.9], [0.1, 0.9], [0.5, 0.5])
    return pd.concat(
        [rows_of(at, "m", "model", y, np.array(p), of="binary") for at, p in zip(CUTOFFS[:3], orders, strict=True)],
        ignore_index=True,
    )


def test_summary_is_over_cutoffs() -> None:
    summary = report_of(three_cutoffs(), "binary").summary
    line = summary[summary["metric"] == "auc"].iloc[0]
    assert line["mean"] == pytest.approx((1 + 1 + 1 / 2) / 3)
    # deviations 1/6, 1/6, -1/3: their squares sum to 1/6, over n - 1 = 2
    assert line["std"] == pytest.approx(np.sqrt(1 / 12))
    assert (line["min"], line["max"], line["cutoffs"]) == (0.5, 1, 3)
    assert summary.columns.tolist() == ["contender", "kind", "metric", "mean", "std", "min", "max", "cutoffs"]


def test_one_cutoff_has_no_spread() -> None:
    report = churn_report(1, 200)
    assert report.summary["std"].isna().all()
    assert "auc_std" not in report.metrics
    assert "±" not in str(report).replace("± standard deviation", "")
    assert "One cutoff says little about other seasons: add earlier or later ones." in " ".join(str(report).split())


def test_metrics_are_flat_numbers_of_model_and_best_rule() -> None:
    report = report_of(two_cutoffs(), "binary")
    assert report.metrics["auc"] == pytest.approx((1 + 3 / 4) / 2)
    assert report.metrics["auc_best_rule"] == pytest.approx((3 / 4 + 1 / 4) / 2)
    assert report.metrics["auc_std"] == pytest.approx(np.sqrt(2) / 8)
    assert all(isinstance(value, float) for value in report.metrics.values())


def test_predictions_are_the_model_s_rows_alone() -> None:
    report = churn_report(2, 100)
    assert len(report.predictions) == 200
    first = report.predictions[report.predictions["as_of"] == CUTOFFS[0]]
    line = report.table[(report.table["kind"] == "model") & (report.table["as_of"] == CUTOFFS[0])]
    assert auc(first["y"], first["score"]) == line["auc"].item()
    lists = items_report(2, 50).predictions
    assert lists.columns.tolist() == ["customer_id", "as_of", "y", "ndcg_at_10", "recall_at_10", "hit_rate_at_10"]


def test_deciles_and_calibration_pool_all_holdouts() -> None:
    churn, value, items = churn_report(2, 100), value_report(2, 100), items_report(2, 50)
    assert churn.deciles["customers"].sum() == churn.calibration["customers"].sum() == 200
    assert value.deciles["customers"].sum() == 200
    assert churn.deciles["positives"].sum() == pytest.approx(churn.predictions["y"].sum())
    assert value.calibration.empty
    assert items.calibration.empty
    assert items.deciles.empty


def test_repr_is_short() -> None:
    assert repr(churn_report(2, 100)) == (
        "BacktestReport(task='binary', contender='ChurnClassifier', cutoffs=2, best_rule='recency rule')"
    )


# Text ---------------------------------------------------------------------------------------------------------


def test_the_whole_text() -> None:
    # Brier of the model: (.01 + .04 + .49 + .36) / 4 and (.01 + .09 + .64 + .36) / 4, of the rule: the latter and
    # (.04 + .16 + .81 + .49) / 4; average precision: 1 and (1 + 2/3) / 2, the latter and (1/2 + 2/4) / 2; lift: the
    # first of the list is a 1, and for the rule once; calibration error: the mean of |y - p|, row by row.
    report = report_of(two_cutoffs(), "binary", skipped=SKIPPED, warnings=("AUC 1.000 is too good.",))
    head, mean, tables = str(report).partition("\n\nMean")
    lines = [
        "Backtest of ChurnClassifier()",
        "  predicts  Churn(horizon='60d', event_type='purchase', active_within='180d')",
        "  held out  2 cutoffs, 2024-03-01 to 2024-03-31",
        "  scored    4 customers 8 times; 50.0 % churned",
        "",
        "Verdict: ",
    ]
    assert head.startswith("\n".join(lines))
    assert " ".join(head.split()).endswith(f"Verdict: {report.comparison}. Grade: too good: suspected leakage.")
    assert f"{mean}{tables}" == (
        "\n\n"
        "Mean over the cutoffs ± standard deviation\n"
        "                          AUC         PR-AUC          Brier  calibr. error  lift at 10 %\n"
        "                 high is good   high is good    low is good    low is good  high is good\n"
        "  model          0.875 ±0.177   0.917 ±0.118   0.250 ±0.035   0.425 ±0.035    2.00 ±0.00\n"
        "  recency rule   0.500 ±0.354   0.667 ±0.236   0.325 ±0.071   0.500 ±0.071    1.00 ±1.41\n"
        "  difference    +0.375 ±0.177  +0.250 ±0.118  -0.075 ±0.035  -0.075 ±0.035   +1.00 ±1.41\n"
        "  better on            2 of 2         2 of 2         2 of 2         2 of 2        1 of 2\n"
        "  (difference: model - recency rule, the best rule with hindsight)\n"
        "\n"
        "AUC, cutoff by cutoff\n"
        "  hold-out    customers  churned  trained on cutoffs  model  best rule  difference\n"
        "  2024-03-01          4   50.0 %  2, last 2023-12-02  1.000      0.750      +0.250\n"
        "  2024-03-31          4   50.0 %  2, last 2023-12-02  0.750      0.250      +0.500\n"
        "\n"
        "Predicted over actual, cutoff by cutoff: from 0.50 to 0.50; 1 is right.\n"
        "\n"
        "Look into\n"
        "  - AUC 1.000 is too good.\n"
        "\n"
        "Hold-outs skipped\n"
        "  - 2024-07-29: all 12 labels in y are 1"
    )


@pytest.mark.parametrize("report", [churn_report(3, 300), value_report(3, 300), items_report(3, 100)], ids=str)
def test_no_line_is_wider_than_a_page(report: cm.BacktestReport) -> None:
    assert max(map(len, str(report).splitlines())) <= WIDTH < 100


def test_long_names_are_shortened_and_stay_apart() -> None:
    long = churn_report(2, 100, model=f"ChurnClassifier({', '.join(f'parameter_{n}={n}' for n in range(30))})")
    renamed = report_of(
        long.scores.assign(contender=long.scores["contender"] + " of a most unusual and long-winded kind"), "binary"
    )
    for report in (long, renamed):
        assert max(map(len, str(report).splitlines())) <= WIDTH
    assert re.search(r"\n  ChurnClassifier of a[a-z ]*\.\.   0\.\d+ ±", str(renamed))
    assert aligned([["a", "1"], ["bc", "23"]]) == ["  a    1", "  bc  23"]


def test_the_top_of_the_list_in_words() -> None:
    y = np.array([1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0])
    scores = rows_of(CUTOFFS[0], "m", "model", y, np.linspace(1, 0, 20), of="binary")
    # the first 2 of 20 are ones: 100 % against 4/20, and 2 of 4
    sentence = (
        "The tenth with the highest score: 100.0 % churned, 5.00 times the average. It holds 50.0 % of all who churned."
    )
    assert sentence in " ".join(str(report_of(scores, "binary")).split())
    other = report_of(scores, "binary", target="Subscribed('30d')")
    assert "100.0 % positive, 5.00 times the average. It holds 50.0 % of all positives." in " ".join(str(other).split())
    spent = scores.assign(y=np.where(y == 1, 10.0, 0.0), score=np.linspace(20, 1, 20), probability=np.nan)
    sentence = "The tenth with the highest prediction spent 10.00 each (predicted 19.50): 50.0 % of all value."
    assert sentence in str(report_of(spent, "value", target="Spend('90d')"))


def test_what_the_rule_does_better_is_not_hidden() -> None:
    """The model orders better, and its probabilities are worse: both are said."""
    scores = two_cutoffs()
    scores["probability"] = np.where(scores["kind"] == "model", 1 - scores["y"], scores["y"]).astype(float)
    text = " ".join(str(report_of(scores, "binary")).split())
    assert "Behind the same rule in Brier (on 2 of 2), calibr. error (on 2 of 2). Mean over" in text
    assert "Behind" not in str(report_of(two_cutoffs(), "binary"))


def test_a_model_without_rules_stands_alone() -> None:
    assert "Verdict: m stands alone: the target names no rule to compare it with." in str(
        report_of(three_cutoffs(), "binary")
    )


def test_to_html_writes_a_page_or_nothing(tmp_path: Path) -> None:
    report = items_report(1, 30)
    path = report.to_html(tmp_path / "new" / "report.html")
    assert path.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    with pytest.raises(cm.ConfigError) as caught:
        report.to_html(path / "report.html")
    assert str(caught.value) == (
        f"{path}: cannot write there (is a file). Give a folder that you may write to, like ./scores."
    )

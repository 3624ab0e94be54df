"""`backtest` on a log whose metrics are fractions that one can compute by hand, and on logs that go wrong."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.report.backtest import BacktestReport
from tests.jobs.small import (
    CHURN,
    CUTOFFS,
    FITS,
    SPEND,
    ColumnClassifier,
    ColumnRegressor,
    day,
    small_frame,
    small_log,
)

RECENCY = [cm.Recency(event_type="purchase")]


@pytest.fixture(autouse=True)
def _forget_fits() -> Iterator[None]:
    FITS.clear()
    yield
    FITS.clear()


def churn_backtest(**changes: Any) -> BacktestReport:
    given: dict[str, Any] = {
        "log": small_log(),
        "features": RECENCY,
        "target": CHURN,
        "model": ColumnClassifier(),
        "as_of": CUTOFFS,
    }
    report: BacktestReport = cm.backtest(**(given | changes))
    return report


def value(report: BacktestReport, contender: str, as_of: pd.Timestamp, metric: str) -> float:
    table = report.table
    line = table[(table["contender"] == contender) & (table["as_of"] == as_of)]
    return float(line[metric].item())


# Days since the last purchase and labels: at day 40 a 7/0, b 2/1, c 5/1, d 11/1, e 20/0; at day 50 a 5/0, b 12/0,
# c 15/1, d 21/1, e 8/1.
def test_auc_of_model_and_rules_by_hand() -> None:
    report = churn_backtest()
    assert report.cutoffs == CUTOFFS[1:]  # nothing is early enough to train for the first
    # of 3 x 2 pairs only d > a
    assert value(report, "recency rule", CUTOFFS[1], "auc") == pytest.approx(Fraction(1, 6))
    # all but e < b
    assert value(report, "recency rule", CUTOFFS[2], "auc") == pytest.approx(Fraction(5, 6))
    # purchases at day 40: a 3, b 2, c 2, d 1, e 1; fewer means churn: b > a, c > a, d > a, and d = e counts a half
    assert value(report, "frequency rule", CUTOFFS[1], "auc") == pytest.approx(Fraction(7, 12))
    # at day 50: a 4, b 2, c 2, d 1, e 2: c > a, e > a, d > a, d > b, and c = b, e = b count a half each
    assert value(report, "frequency rule", CUTOFFS[2], "auc") == pytest.approx(Fraction(5, 6))
    for as_of in report.cutoffs:
        assert value(report, "ColumnClassifier", as_of, "auc") == value(report, "recency rule", as_of, "auc")


def test_every_cutoff_weighs_the_same_and_the_best_rule_is_chosen_with_hindsight() -> None:
    report = churn_backtest()
    mean = report.summary.query("metric == 'auc'").set_index("contender")["mean"]
    # pooled it would be 23/48 for recency: cutoffs are averaged, not thrown together
    assert mean["recency rule"] == pytest.approx((Fraction(1, 6) + Fraction(5, 6)) / 2)
    assert mean["frequency rule"] == pytest.approx((Fraction(7, 12) + Fraction(5, 6)) / 2)
    assert report.best_rule == "frequency rule"
    comparison = report.comparison
    assert comparison is not None
    assert comparison.difference == pytest.approx(Fraction(1, 2) - Fraction(17, 24))
    assert (comparison.wins, comparison.cutoffs) == (0, 2)


def test_brier_score_of_model_and_rule_by_hand() -> None:
    report = churn_backtest()
    # the model's probability is days / 100
    by_hand = (0.07**2 + 0.98**2 + 0.95**2 + 0.89**2 + 0.20**2) / 5
    assert value(report, "ColumnClassifier", CUTOFFS[1], "brier") == pytest.approx(by_hand)
    # The rule learns its probabilities at day 30 (days/label: d 1/1, b 2/0, a 5/0, e 10/1, c 20/0): isotonic gives
    # 1/3 up to 5 days and 1/2 from 10 days, and between them a straight line: 7 days are 2/5.
    p = {"a": Fraction(2, 5), "b": Fraction(1, 3), "c": Fraction(1, 3), "d": Fraction(1, 2), "e": Fraction(1, 2)}
    y = {"a": 0, "b": 1, "c": 1, "d": 1, "e": 0}
    assert value(report, "recency rule", CUTOFFS[1], "brier") == pytest.approx(
        sum((p[who] - y[who]) ** 2 for who in y) / 5
    )


def test_value_rules_guess_amounts_by_hand() -> None:
    sum_10d = [cm.Sum("amount", event_type="purchase", window="10d")]
    model = ColumnRegressor("sum_amount_purchase_10d")
    report = cm.backtest(small_log(), sum_10d, SPEND, model, CUTOFFS)
    at = CUTOFFS[1]
    # before day 40: a 10, b 20, c 5 in the last 10 days; after it: a 10, e 40
    assert value(report, "last-period spend", at, "mae") == pytest.approx((0 + 20 + 5 + 0 + 40) / 5)
    assert value(report, "last-period spend", at, "total_error") == pytest.approx(35 / 50 - 1)
    # before day 40 in 20 days: a 20, b 40, c 5, d 8, e 40; a period is half of that
    halves = "mean of the last two periods"
    assert value(report, halves, at, "mae") == pytest.approx((0 + 20 + 2.5 + 4 + 20) / 5)
    # before day 40 in 40 days: a 30, b 40, c 10, d 8, e 40; a period is a quarter of that
    quarters = "mean of the last four periods"
    assert value(report, quarters, at, "mae") == pytest.approx((2.5 + 10 + 2.5 + 2 + 30) / 5)
    assert value(report, "ColumnRegressor", at, "mae") == value(report, "last-period spend", at, "mae")
    assert report.predictions["probability"].isna().all()


def test_predictions_are_the_rows_behind_the_table() -> None:
    rows = churn_backtest().predictions
    assert rows.columns.tolist() == ["customer_id", "as_of", "y", "score", "probability"]
    first = rows[rows["as_of"] == CUTOFFS[1]].set_index("customer_id")
    assert first["y"].to_dict() == {"a": 0, "b": 1, "c": 1, "d": 1, "e": 0}
    assert (first["score"] * 100).round(9).to_dict() == {"a": 7, "b": 2, "c": 5, "d": 11, "e": 20}
    assert first["probability"].equals(first["score"])


def test_the_model_is_trained_anew_on_all_complete_earlier_cutoffs_and_never_on_the_holdout() -> None:
    model = ColumnClassifier()
    report = churn_backtest(model=model)
    trained = [sorted(set(X.index.get_level_values("as_of"))) for X, _ in FITS]
    assert trained == [[CUTOFFS[0]], [CUTOFFS[0], CUTOFFS[1]]]
    assert not hasattr(model, "classes_")  # the caller's model is left as it was
    lines = report.table[report.table["kind"] == "model"]
    assert lines["trained_on"].tolist() == [1, 2]
    assert lines["trained_until"].tolist() == [CUTOFFS[0], CUTOFFS[1]]
    assert report.training_cutoffs == CUTOFFS


def test_the_model_sees_the_features_asked_for_and_not_those_of_the_rules() -> None:
    features = [cm.Tenure(event_type="purchase")]
    churn_backtest(features=features, model=ColumnClassifier("tenure_purchase"))
    assert all(X.columns.tolist() == ["tenure_purchase"] for X, _ in FITS)


def test_a_gap_moves_the_training_back() -> None:
    target = cm.Churn("10d", event_type="purchase", gap="1d")
    report = churn_backtest(target=target, as_of=[day(29), day(39), day(40), day(50)])
    lines = report.table[report.table["kind"] == "model"].set_index("as_of")["trained_until"]
    # 29 + 1 + 10 = 40: complete for 40 but not for 39; 39 + 11 = 50
    assert lines.to_dict() == {day(40): day(29), day(50): day(39)}


def test_the_order_of_rows_and_cutoffs_changes_nothing() -> None:
    shuffled = small_frame().sample(frac=1, random_state=3)
    other = churn_backtest(log=small_log(shuffled), as_of=CUTOFFS[::-1])
    assert other.table.equals(churn_backtest().table)
    assert other.scores.equals(churn_backtest().scores)
    assert str(other) == str(churn_backtest())


# A column that is filled in later ---------------------------------------------------------------------------


def test_a_warning_says_where_what_and_what_to_do() -> None:
    """Churners' purchases carry a mark that only the future can have set: AUC 1."""
    frame = small_frame()
    frame["status"] = np.where(frame["who"].isin(["c", "d", "e"]), "closed", "open")  # who churns at day 50
    marked = cm.Share(where={"status": "closed"})
    report = churn_backtest(log=small_log(frame), features=[*RECENCY, marked], model=ColumnClassifier(marked.name))
    assert value(report, "ColumnClassifier", CUTOFFS[2], "auc") == 1
    assert report.warnings == (
        f"AUC 1.000 as of 2024-02-20 is too good to be true. {marked.name!r} alone has 1.000. Check that no column "
        "of the log was filled in, or changed, after the event it belongs to.",
    )
    assert "Look into" in str(report)


# Hold-outs that cannot be measured --------------------------------------------------------------------------


def test_a_holdout_of_one_class_is_left_out_and_said() -> None:
    frame = small_frame()
    nobody_leaves = pd.DataFrame([{"who": who, "at": day(44), "value": 1.0, "sku": "x"} for who in "abcde"])
    report = churn_backtest(log=small_log(pd.concat([frame, nobody_leaves])))
    assert report.cutoffs == (CUTOFFS[2],)
    assert [(one.as_of, one.reason) for one in report.skipped] == [
        (CUTOFFS[1], "all 5 labels as of this cutoff are 0, so there is nothing to tell apart.")
    ]
    assert "Hold-outs skipped\n  - 2024-02-10: all 5 labels as of this cutoff are 0" in str(report)


def test_training_rows_of_one_class_leave_the_holdout_out() -> None:
    everybody_stays = pd.DataFrame([{"who": who, "at": day(31), "value": 1.0, "sku": "x"} for who in "abcde"])
    report = churn_backtest(log=small_log(pd.concat([small_frame(), everybody_stays])))
    assert [(one.as_of, one.reason) for one in report.skipped] == [
        (CUTOFFS[1], "all 5 labels as of its training cutoffs are 0, so there is nothing to tell apart.")
    ]


def test_a_cutoff_without_a_population_is_left_out_and_said() -> None:
    frame = small_frame({"a": [1, 3, 44, 58, 70], "b": [2, 45, 50], "c": [46], "end": [99]})
    target = cm.Churn("10d", event_type="purchase", active_within="10d")
    with pytest.raises(cm.DataError) as caught:
        churn_backtest(log=small_log(frame), target=target, as_of=[day(5), day(30)])
    assert str(caught.value) == (
        f"backtest: no hold-out cutoff of {target!r} can be measured. 2024-01-31: nobody is in the "
        "Population(event_type='purchase', active_within='10d') as of this cutoff. Use other cutoffs, another "
        "horizon, or more customers."
    )


def test_spend_that_sums_to_nothing_is_left_out_and_said() -> None:
    frame = small_frame()
    frame.loc[frame["at"].between(day(40), day(50), inclusive="left"), "value"] *= -1
    report = cm.backtest(small_log(frame), RECENCY, SPEND, ColumnRegressor(), CUTOFFS)
    assert [one.reason for one in report.skipped] == [
        "the 5 labels as of this cutoff sum to -50, and an error relative to that means nothing.",
    ]


def test_errors_of_the_model_that_are_not_about_data_are_raised() -> None:
    with pytest.raises(KeyError, match="no_such_column"):
        churn_backtest(model=ColumnClassifier("no_such_column"))


# Requests that cannot be met --------------------------------------------------------------------------------


def message(error: type[Exception], **changes: Any) -> str:
    with pytest.raises(error) as caught:
        churn_backtest(**changes)
    return str(caught.value)


def test_one_cutoff() -> None:
    assert message(cm.ConfigError, as_of="2024-02-10") == (
        "backtest: as_of is one cutoff, 2024-02-10, but a backtest trains on earlier cutoffs than it holds out. Give "
        "at least two that lie one horizon (10d) apart, for example as_of=['2024-01-31', '2024-02-10']."
    )


def test_cutoffs_too_near() -> None:
    assert message(cm.LeakageError, as_of=[day(36), day(39), day(45)]) == (
        "hold-out cutoff 2024-02-15 is nearer than one horizon (10d) to the last training cutoff 2024-02-06: its "
        "labels reach to 2024-02-16 and know what the hold-out should predict. Train on cutoffs <= 2024-02-05, or "
        "hold out a cutoff >= 2024-02-16."
    )


def test_horizon_past_the_end() -> None:
    assert message(cm.LeakageError, as_of=[day(40), day(52)]).startswith(
        "as_of 2024-02-22 + horizon 10d ends 2024-03-03, after the last event in the log (2024-03-02): "
    )


def test_segments_have_no_backtest() -> None:
    assert message(cm.ConfigError, target=None, model=cm.RFMSegmenter()) == (
        "backtest: target is None, and segments predict nothing that could be measured. Use train(log, features, "
        "None, model, as_of), and look at the segments; or give a target, for example Churn(horizon='60d')."
    )


def test_no_bar_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    churn_backtest()
    churn_backtest(progress=False)
    assert capsys.readouterr() == ("", "")


def test_a_simulated_log_is_better_predicted_than_by_the_rules() -> None:
    log = cm.simulate_log(600, seed=4).log
    target = cm.Churn("60d", event_type="purchase", active_within="180d")
    model = cm.ChurnClassifier(num_iterations=60)
    report = cm.backtest(log, "standard", target, model, cm.cutoffs("2023-10-01", "2024-08-01", every="60d"))
    assert report.metrics["auc"] > report.metrics["auc_best_rule"]
    assert str(report.comparison).startswith("better than the BG/NBD rule on ")
    assert report.warnings == ()
    assert report.table.groupby("as_of")["customers"].nunique().eq(1).all()  # all contenders on the same rows

"""What became of earlier scores: joined by customer and cutoff, measured only where the horizon has passed."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

import crmml as cm
from tests.jobs.small import CHURN, SPEND, day, small_frame, small_log


def table(as_of: int, scores: dict[str, float], name: str = "p_churn") -> pd.DataFrame:
    """Scores by customer as of one day."""
    rows = [{"customer_id": who, "as_of": day(as_of), name: score} for who, score in scores.items()]
    return pd.DataFrame(rows)


# Purchases from day 30 to day 40: a 33, b 38, c 35; d and e churned.
EARLY = table(30, {"a": 0.1, "b": 0.2, "c": 0.6, "d": 0.5, "e": 0.9})


def test_scores_meet_what_happened() -> None:
    report = cm.realised(EARLY, small_log(), CHURN)
    mine = report.predictions.set_index("customer_id")
    assert mine["y"].to_dict() == {"a": 0, "b": 0, "c": 0, "d": 1, "e": 1}
    assert mine["probability"].to_dict() == {"a": 0.1, "b": 0.2, "c": 0.6, "d": 0.5, "e": 0.9}
    line = report.table[report.table["kind"] == "model"].iloc[0]
    assert line["auc"] == 5 / 6  # of 3 * 2 pairs, c stands above d
    assert line["brier"] == pytest.approx((0.01 + 0.04 + 0.36 + 0.25 + 0.01) / 5)
    assert report.stability["ratio"].tolist() == pytest.approx([2.3 / 5 / (2 / 5)])


def test_the_rules_are_measured_on_the_customers_with_a_score() -> None:
    report = cm.realised(EARLY[EARLY["customer_id"] != "a"], small_log(), CHURN)
    assert report.table["customers"].unique().tolist() == [4]
    # No labels lie a horizon before the first cutoff of this log... but the rules need them only for day 20, which has.
    assert {"recency rule", "frequency rule"} <= set(report.table["contender"])


def test_a_horizon_that_has_not_passed_is_named() -> None:
    both = pd.concat([EARLY, table(52, {"a": 0.5, "b": 0.6})])
    report = cm.realised(both, small_log(), CHURN)
    assert report.cutoffs == (day(30),)
    assert [(one.as_of, one.reason) for one in report.skipped] == [
        (day(52), "its labels are complete on 2024-03-03, and the log ends on 2024-03-02.")
    ]


def test_the_horizon_has_passed_with_its_last_microsecond() -> None:
    frame = small_frame()
    one = pd.Timedelta(1, unit="us")
    for end, holds in ((day(40), True), (day(40) + one, True), (day(40) - one, False)):
        log = small_log(frame[frame["at"] < day(40)], observed_until=end)
        if holds:
            assert cm.realised(EARLY, log, CHURN).predictions["y"].sum() == 2
        else:
            with pytest.raises(cm.DataError, match="no horizon has passed yet"):
                cm.realised(EARLY, log, CHURN)


def test_values_bring_their_intervals() -> None:
    # Spend from day 30 to day 40: a 10, b 20, c 5.
    scores = table(30, {"a": 9.0, "b": 30.0, "c": 4.0, "d": 2.0, "e": 1.0}, "clv")
    scores = scores.assign(clv_lo=0.0, clv_hi=[10.0, 19.0, 10.0, 10.0, 10.0])
    report = cm.realised(scores, small_log(), SPEND)
    assert report.coverage.loc["all", "coverage"] == 4 / 5
    assert report.predictions["y"].tolist() == [10.0, 20.0, 5.0, 0.0, 0.0]


def test_customers_who_are_gone_from_the_log_are_counted() -> None:
    report = cm.realised(pd.concat([EARLY, table(30, {"zoe": 0.5})]), small_log(), CHURN)
    assert report.warnings == (
        "1 of 6 customers who were scored as of 2024-01-31 are not in the target's population in this log: erased, "
        "merged, or another log.",
    )
    assert len(report.predictions) == 5


def test_who_had_left_has_no_score_to_be_measured() -> None:
    gone = EARLY.assign(eligible=True)
    gone.loc[gone["customer_id"] == "e", ["eligible", "p_churn"]] = [False, float("nan")]
    assert len(cm.realised(gone, small_log(), CHURN).predictions) == 4


def test_a_file_of_scores_knows_its_target(tmp_path: Path) -> None:
    bundle = cm.train(small_log(), "rfm", CHURN, cm.ChurnClassifier(num_iterations=2, min_data_in_leaf=1), day(20))
    file = cm.score(bundle, small_log(), [day(30), day(40)], out=tmp_path)
    report = cm.realised(file, small_log())
    assert (report.target, report.cutoffs) == (repr(CHURN), (day(30), day(40)))
    with pytest.raises(cm.ConfigError) as caught:
        cm.realised(file, small_log(), cm.Churn("20d"))
    assert str(caught.value) == (
        f"realised: target is Churn('20d'), but the scores are of {CHURN!r}. Leave target out."
    )
    damaged = tmp_path / "damaged.parquet"
    arrow = pq.read_table(file)
    pq.write_table(arrow.replace_schema_metadata({"crmml.target": '{"System": {}}'}), damaged)
    with pytest.raises(cm.DataError, match=r"the target in .* cannot be read"):
        cm.realised(damaged, small_log())


@pytest.mark.parametrize(
    ("scores", "target", "error", "message"),
    [
        (
            EARLY,
            None,
            cm.ConfigError,
            "realised: target is None, and the scores do not say it. Use target=Churn(horizon='60d').",
        ),
        (
            EARLY,
            cm.NextItems("10d"),
            cm.ConfigError,
            "realised: target is NextItems('10d'), which has no score per customer. Use for example "
            "Churn(horizon='60d').",
        ),
        (
            EARLY.rename(columns={"p_churn": "p"}),
            CHURN,
            cm.SchemaError,
            "realised: the scores have no column 'p_churn'. They need customer_id, as_of and p_churn, as score() "
            "writes them.",
        ),
        (
            EARLY.assign(p_churn=[0.1, 0.2, float("nan"), 0.5, 0.9]),
            CHURN,
            cm.DataError,
            "realised: p_churn is nan in row 2 of the scores. Leave the row out.",
        ),
        (
            pd.concat([EARLY, EARLY.head(1)]),
            CHURN,
            cm.DataError,
            "realised: customer 'a' has two scores as of 2024-01-31. Give each one once.",
        ),
        (EARLY.head(0), CHURN, cm.DataError, "realised: the scores have no rows. Give the file that score() wrote."),
        (
            [1, 2],
            CHURN,
            cm.ConfigError,
            "realised: scores is a list. Give the path of a score file, or its table.",
        ),
    ],
)
def test_what_cannot_be_joined_is_refused(scores: Any, target: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        cm.realised(scores, small_log(), target)
    assert str(caught.value) == message


def test_a_file_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        cm.realised(tmp_path / "none.parquet", small_log())
    assert str(caught.value) == (
        f"realised: there is no file {tmp_path / 'none.parquet'} (looked in {Path.cwd()}). Give the file that score() "
        "wrote."
    )
    (tmp_path / "scores.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(cm.DataError, match=r"realised: .*scores\.parquet cannot be read \("):
        cm.realised(tmp_path / "scores.parquet", small_log())

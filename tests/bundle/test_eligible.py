"""Customers who have left already are no rows to score: they are left out, and counted."""

import json
from pathlib import Path
from typing import Self

import pandas as pd
import pytest

import crmml as cm
from tests.jobs.small import ColumnClassifier, day, small_log

CHURN = cm.Churn("10d", event_type="purchase", active_within="10d")
# The horizons that models were told, in this test.
TOLD: list[str | None] = []


def bundle(target: cm.Churn) -> cm.Bundle:
    return cm.train(
        small_log(), "rfm", target, cm.ChurnClassifier(num_iterations=2, min_data_in_leaf=1), [day(30), day(40)]
    )


def test_who_has_not_bought_lately_is_left_out_and_counted() -> None:
    # Purchases before day 40, the last: a 33, b 38, c 35, d 29, e 20. Lately is day 30 and later.
    scores = bundle(CHURN).score(small_log(), day(40))
    assert scores["customer_id"].tolist() == ["a", "b", "c"]
    assert scores["eligible"].tolist() == [True] * 3
    assert scores.attrs == {"not_eligible": 2}


def test_everyone_has_a_row_on_request() -> None:
    scores = bundle(CHURN).score(small_log(), [day(30), day(40)], everyone=True)
    at = scores[scores["as_of"] == day(40)].set_index("customer_id")
    assert at["eligible"].to_dict() == {"a": True, "b": True, "c": True, "d": False, "e": False}
    assert at["p_churn"].isna().equals(~at["eligible"])
    # As of day 30 customer c (day 10) alone has not bought since day 20; e bought on it.
    assert scores.loc[(scores["as_of"] == day(30)) & ~scores["eligible"], "customer_id"].tolist() == ["c"]
    assert scores["model_id"].notna().all()
    assert list(zip(scores["customer_id"], scores["as_of"], strict=True)) == sorted(
        zip(scores["customer_id"], scores["as_of"], strict=True)
    )


def test_scores_alone_on_request(tmp_path: Path) -> None:
    few = bundle(CHURN).score(small_log(), day(40), details=False)
    assert few.columns.tolist() == ["customer_id", "as_of", "p_churn", "eligible", "model_id"]
    pd.testing.assert_frame_equal(few, bundle(CHURN).score(small_log(), day(40))[few.columns.tolist()])
    written = pd.read_parquet(cm.score(bundle(CHURN), small_log(), day(40), tmp_path, details=False))
    assert written.columns.tolist() == few.columns.tolist()


def test_without_a_bound_nobody_has_left() -> None:
    scores = bundle(cm.Churn("10d", event_type="purchase")).score(small_log(), day(40))
    assert "eligible" not in scores
    assert "not_eligible" not in scores.attrs


def test_the_job_writes_how_many_it_left_out(tmp_path: Path) -> None:
    path = cm.score(bundle(CHURN), small_log(), day(40), out=tmp_path)
    report = json.loads((path.parent / "_SUCCESS.json").read_text())
    assert (report["rows"], report["not_eligible"]) == (3, 2)
    assert pd.read_parquet(path)["eligible"].all()


class Told(ColumnClassifier):
    """A model that asks how far its labels look ahead."""

    def __init__(self, column: str = "recency_purchase", horizon: str | None = None) -> None:
        super().__init__(column)
        self.horizon = horizon

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        TOLD.append(self.horizon)
        return super().fit(X, y)


def test_a_model_learns_the_horizon_of_its_target() -> None:
    model = Told()
    TOLD.clear()
    cm.backtest(small_log(), "rfm", cm.Churn("10d", event_type="purchase"), model, [day(30), day(40)])
    assert TOLD == ["10d"]
    assert model.horizon is None


def test_another_horizon_than_that_of_the_target_is_refused() -> None:
    with pytest.raises(cm.ConfigError) as caught:
        cm.backtest(small_log(), "rfm", CHURN, Told(horizon="20d"), [day(30), day(40)])
    assert str(caught.value) == (
        "backtest: the model's horizon is '20d', but the target looks ahead '10d'. Leave it out: Told() takes the "
        "horizon of the target."
    )
    cm.backtest(small_log(), "rfm", CHURN, Told(horizon="240h"), [day(30), day(40)])  # the same time

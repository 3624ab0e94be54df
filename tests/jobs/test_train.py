"""`train`: the whole way to a bundle, for every task."""

from typing import Any

import pandas as pd
import pytest

import crmml as cm
from tests.jobs.small import CHURN, CUTOFFS, SPEND, day, small_frame, small_log

RFM = [cm.Recency(event_type="purchase"), cm.Count(event_type="purchase")]
LISTS = cm.ItemWeights(weights={"purchase": 1})


def trained(**changes: Any) -> cm.Bundle:
    given: dict[str, Any] = {
        "log": small_log(),
        "features": RFM,
        "target": CHURN,
        "model": cm.ChurnClassifier(num_iterations=3),
        "as_of": CUTOFFS,
    }
    return cm.train(**(given | changes))


def test_a_bundle_holds_what_was_asked_for() -> None:
    log = small_log()
    bundle = trained(log=log)
    assert bundle.features == cm.FeatureSet(RFM)
    assert bundle.target == CHURN
    assert bundle.training_cutoffs == CUTOFFS
    assert bundle.roles == log.roles
    columns = bundle.score(log, day(60)).columns.tolist()
    assert columns == ["customer_id", "as_of", "p_churn", "percentile", "risk_band", "reasons", "model_id"]


def test_the_caller_s_model_stays_unfitted() -> None:
    model = cm.ChurnClassifier(num_iterations=3)
    bundle = trained(model=model)
    assert not hasattr(model, "classes_")
    assert bundle.model.classes_.tolist() == [0, 1]


def test_value_segments_and_lists() -> None:
    log = small_log()
    value = trained(target=SPEND, model=cm.LifetimeValueRegressor(num_iterations=3))
    assert {"clv", "clv_lo", "clv_hi"} <= set(value.score(log, day(60)).columns)
    segments = trained(target=None, model=cm.RFMSegmenter(), features="rfm")
    assert "segment" in segments.score(log, day(60))
    lists = trained(features=LISTS, target=cm.NextItems("10d"), model=cm.Popularity())
    assert {"item_id", "rank", "score"} <= set(lists.score(log, day(60)).columns)


def test_a_recommender_learns_from_everything_before_the_latest_cutoff() -> None:
    bundle = trained(features=LISTS, target=cm.NextItems("10d"), model=cm.Popularity())
    assert bundle.training_cutoffs == CUTOFFS[-1:]
    assert set(bundle.model.matrix_.customer_ids) == set("abcde")
    early = trained(features=LISTS, target=cm.NextItems("10d"), model=cm.Popularity(), as_of=day(27))
    assert set(early.model.matrix_.customer_ids) == set("ace")


def test_cleaning_goes_with_the_bundle() -> None:
    log = small_log().clean(cm.KeepBetween("amount", minimum=0))
    assert trained(log=log).cleaning == log.cleaning


def test_the_fingerprint_is_of_the_rows_and_not_of_their_order() -> None:
    one = trained().fingerprint
    assert trained(log=small_log(small_frame().sample(frac=1, random_state=1))).fingerprint == one
    late = pd.DataFrame([{"who": "a", "at": day(99), "value": 1.0, "sku": "x"}])
    assert trained(log=small_log(pd.concat([small_frame(), late]))).fingerprint == one  # no cutoff sees it
    early = pd.DataFrame([{"who": "a", "at": day(1), "value": 1.0, "sku": "x"}])
    assert trained(log=small_log(pd.concat([small_frame(), early]))).fingerprint != one
    assert trained(as_of=CUTOFFS[:2]).fingerprint != one
    assert len(one) == 64


def message(error: type[Exception], **changes: Any) -> str:
    with pytest.raises(error) as caught:
        trained(**changes)
    return str(caught.value)


def test_labels_of_one_class() -> None:
    nobody_leaves = [{"who": who, "at": day(44), "value": 1.0, "sku": "x"} for who in "abcde"]
    log = small_log(pd.concat([small_frame(), pd.DataFrame(nobody_leaves)]))
    assert message(cm.DataError, log=log, as_of=CUTOFFS[1]) == (
        "train: all 5 labels of Churn('10d', event_type='purchase') as of 2024-02-10 are 0, so there is nothing to "
        "learn. Use more cutoffs, another horizon, or a wider population."
    )


def test_horizon_past_the_end() -> None:
    assert message(cm.LeakageError, as_of=day(52)).startswith("as_of 2024-02-22 + horizon 10d ends 2024-03-03, ")


def test_parts_that_do_not_fit() -> None:
    assert message(cm.ConfigError, target=SPEND) == (
        "train: target Spend('10d', event_type='purchase') needs a regressor, but model is ChurnClassifier. "
        "Use model=LifetimeValueRegressor(), or target=Churn(horizon='60d') for ChurnClassifier."
    )


def test_no_bar_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    trained()
    assert capsys.readouterr() == ("", "")

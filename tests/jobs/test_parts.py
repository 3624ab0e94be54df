"""Parts that do not belong together are refused before any work starts, with what would fit."""

from typing import Any

import pytest
from sklearn.linear_model import RidgeClassifier

import crmml as cm
from crmml.jobs.parts import check_parts
from tests.jobs.small import small_log

CHURN, SPEND, NEXT = cm.Churn("60d"), cm.Spend("90d"), cm.NextItems("30d")
LISTS = cm.ItemWeights(weights={"purchase": 1})


@pytest.mark.parametrize(
    ("features", "target", "model", "task"),
    [
        ("rfm", CHURN, cm.ChurnClassifier(), "binary"),
        ("rfm", cm.Repurchase("30d"), cm.ChurnClassifier(), "binary"),
        ("rfm", SPEND, cm.LifetimeValueRegressor(), "value"),
        (LISTS, NEXT, cm.Popularity(), "items"),
        ("rfm", None, cm.RFMSegmenter(), "segments"),
        ("rfm", None, cm.BehaviourSegmenter(), "segments"),
    ],
)
def test_parts_that_fit(features: Any, target: Any, model: Any, task: str) -> None:
    assert check_parts("train", small_log(), features, target, model) == task


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"log": "events.parquet"},
            "train: log is a str. Use InteractionLog(source, customer_id=..., ...).",
        ),
        ({"target": "churn"}, "train: target is 'churn'. Use for example Churn(horizon='60d')."),
        (
            {"target": cm.Churn},
            "train: target is <class 'crmml.features.targets.Churn'>. Use for example Churn(horizon='60d').",
        ),
        (
            {"model": "ChurnClassifier"},
            "train: model is 'ChurnClassifier'. Use an estimator, for example ChurnClassifier().",
        ),
        (
            {"model": cm.LifetimeValueRegressor()},
            "train: target Churn('60d') needs a classifier with predict_proba, but model is LifetimeValueRegressor. "
            "Use model=ChurnClassifier(), or target=Spend(horizon='90d') for LifetimeValueRegressor.",
        ),
        (
            {"model": RidgeClassifier()},
            "train: target Churn('60d') needs a classifier with predict_proba, but model is RidgeClassifier. "
            "Use model=ChurnClassifier().",
        ),
        (
            {"target": None},
            "train: target None needs a segmenter, but model is ChurnClassifier. "
            "Use model=RFMSegmenter(), or target=Churn(horizon='60d') for ChurnClassifier.",
        ),
        (
            {"target": SPEND},
            "train: target Spend('90d') needs a regressor, but model is ChurnClassifier. "
            "Use model=LifetimeValueRegressor(), or target=Churn(horizon='60d') for ChurnClassifier.",
        ),
        (
            {"model": cm.RFMSegmenter()},
            "train: target Churn('60d') needs a classifier with predict_proba, but model is RFMSegmenter. "
            "Use model=ChurnClassifier(), or target=None for RFMSegmenter.",
        ),
        (
            {"target": None, "model": cm.SuggestedSegments()},
            "train: SuggestedSegments learns from a table and labels, outside of a bundle. Use X, y = "
            "build_dataset(log, features, Churn(horizon='60d'), as_of), then SuggestedSegments().fit(X, y).",
        ),
        (
            {"features": LISTS},
            "train: features is ItemWeights(weights={'purchase': 1}), which only recommenders learn from. "
            "Use a FeatureSet, or target=NextItems(horizon='30d') and model=ALS().",
        ),
        (
            {"target": NEXT, "model": cm.Popularity()},
            "train: recommenders learn from interactions, but features is 'rfm'. "
            "Use features=ItemWeights(weights={'purchase': 1}).",
        ),
        (
            {"features": LISTS, "target": NEXT},
            "train: target NextItems('30d') needs a recommender, but model is ChurnClassifier. "
            "Use model=ALS(), or target=Churn(horizon='60d') for ChurnClassifier.",
        ),
    ],
)
def test_parts_that_do_not(changes: dict[str, Any], message: str) -> None:
    given = {"log": small_log(), "features": "rfm", "target": CHURN, "model": cm.ChurnClassifier()} | changes
    with pytest.raises(cm.ConfigError) as caught:
        check_parts("train", **given)
    assert str(caught.value) == message

"""ALS on a real Spark: the objective of our own, the right answers, and no Spark once it is fitted."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import crmml as cm
from crmml.errors import ConfigError
from tests.recommend.blocks import each_missing_first, text_of, two_blocks

pytest.importorskip("pyspark", reason="pyspark is not installed: pip install 'crmml[spark]'")

MODEL = cm.ALS(factors=4, regularization=0.05, iterations=6, alpha=20.0, frequency_exponent=1.0)


def loss(model: cm.ALS) -> float:
    """What both minimise: sum of c (p - x'y)^2 + regularization (sum n |x|^2 + sum n |y|^2)."""
    weights = model.matrix_.weights.toarray()
    x, y = model.customer_factors_.astype(np.float64), model.item_factors_.astype(np.float64)
    confidence, wanted = 1 + model.alpha * weights, (weights > 0).astype(np.float64)
    counts = [(weights > 0).sum(axis=axis) for axis in (1, 0)]
    lengths = sum(float((n * (side**2).sum(axis=1)).sum()) for n, side in zip(counts, (x, y), strict=True))
    return float((confidence * (wanted - x @ y.T) ** 2).sum()) + float(model.regularization) * lengths


def test_it_is_the_same_recommender(spark: Any) -> None:
    seen_only = pd.DataFrame({"customer_id": [0], "item_id": [7], "weight": [0.0]})
    table = pd.concat([two_blocks(), seen_only], ignore_index=True)
    ours, theirs = clone(MODEL).fit(table), cm.fit_on_spark(MODEL, table, spark)
    assert each_missing_first(theirs)
    # The same objective, alpha and regularization and all: the last pass of MLlib solves the customers' equations, and
    # our own exact solution of them, with its items held fast, is the same.
    again = theirs.fold_in(table)
    np.testing.assert_allclose(again.customer_factors_, theirs.customer_factors_, atol=2e-3)
    # It solves every pass exactly, ours a few steps of each: after as many passes it is nearer to the minimum.
    assert loss(theirs) < loss(ours)
    expected = ours.recommend([0, 9, 99], k=1)["item_id"].tolist()
    assert theirs.recommend([0, 9, 99], k=1)["item_id"].tolist() == expected
    assert not hasattr(MODEL, "matrix_")
    # Arrays alone: it is loaded where there is no Spark, and takes newer customers in.
    loaded = clone(MODEL).set_state(theirs.get_state())
    pd.testing.assert_frame_equal(loaded.recommend([0, 9]), theirs.recommend([0, 9]), check_exact=True)
    newer = loaded.fold_in(pd.DataFrame({"customer_id": 50, "item_id": [0, 1, 2, 3, 4], "weight": 1.0}))
    assert newer.recommend([50], k=1)["item_id"].tolist() == [5]


@pytest.mark.parametrize(
    ("model", "session", "message"),
    [
        (
            cm.ItemKNN(),
            None,
            "fit_on_spark: model is ItemKNN(). Use ALS(frequency_exponent=1.0, regularization=0.05).",
        ),
        (
            clone(MODEL).set_params(starts=2),
            None,
            "fit_on_spark: starts is 2, but MLlib factorises once. Use starts=1.",
        ),
        (
            MODEL,
            "local[2]",
            "fit_on_spark: session must be a SparkSession, not 'local[2]'. Use SparkSession.builder.getOrCreate().",
        ),
    ],
)
def test_bad_input_is_named(model: Any, session: Any, message: str) -> None:
    assert text_of(ConfigError, lambda: cm.fit_on_spark(model, two_blocks(), session)) == message

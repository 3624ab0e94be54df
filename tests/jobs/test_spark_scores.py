"""Scores from features that Spark has built: those of the embedded engine, row for row, for every kind of model."""

from typing import Any

import pandas as pd
import pytest

import crmml as cm
from crmml.bundle.scoring import score_rows
from crmml.features.targets import Target
from tests.bundle.bundles import KINDS, LATER, bundle, log

TABLES = [kind for kind in KINDS if bundle(kind).task != "items"]


@pytest.mark.parametrize("kind", TABLES)
def test_scores_equal_those_of_the_embedded_engine(kind: str, spark: Any) -> None:
    known = bundle(kind)
    population = None if known.target is None else known.target.population
    rows = cm.build_features(log(), known.features, LATER, population=population, engine=cm.SparkEngine(spark))
    actual = score_rows(known.model, known.target, rows, details=False)
    expected = known.score(log(), LATER, details=False).drop(columns="model_id")
    assert len(expected) > 50
    pd.testing.assert_frame_equal(actual[expected.columns], expected, check_exact=False, rtol=1e-9, atol=1e-12)


def test_every_kind_of_score_is_tested() -> None:
    """Segments, and every task that a public target has, but lists, which are no table of scores."""
    classes = [getattr(cm, name) for name in cm.__all__ if isinstance(getattr(cm, name), type)]
    tasks = {one.task for one in classes if issubclass(one, Target)}
    assert {bundle(kind).task for kind in TABLES} == (tasks | {"segment"}) - {"items"}

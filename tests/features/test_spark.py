"""The same table on Spark: every public aggregate against the plain-Python oracle, and against the embedded engine."""

from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import crmml as cm
from crmml.features.aggregate import Feature
from crmml.features.targets import Target
from tests.features import oracle
from tests.features.compare import RELATIVE, cells, differences
from tests.features.oracle_rows import DAY
from tests.features.strategies import (
    EPOCH,
    ROLES,
    anchored,
    arrow_table,
    budget,
    feature_sets,
    log_of,
    random_rows,
    some_cutoffs,
    stamp,
)
from tests.features.test_golden_sql import FEATURES
from tests.features.test_vectors import with_vectors

# Two definitions of every aggregate, and each in the ways that the golden files have it.
NAMES = sorted(oracle.AGGREGATES)
EVERY = [feature for group in FEATURES.values() for feature in group]
# Those of which no golden file has one for a log of invoices.
OF_INVOICES = (
    cm.Share(event_type="return"),
    cm.ConversionRate(event_type="purchase", to="return", within="30d", on="item_id"),
    cm.Entropy("item_id"),
    cm.TopShare("item_id", event_type="purchase"),
    cm.MeanVector("country", 4, window="90d"),
    cm.Ratio(cm.Count(event_type="return"), cm.Count(event_type="purchase")),
)


@pytest.fixture(scope="module")
def engine(spark: Any) -> cm.SparkEngine:
    return cm.SparkEngine(spark)


def assert_same(actual: pd.DataFrame, expected: pd.DataFrame) -> None:
    """The same rows in the same order, the same columns and types, values to 1e-9."""
    pd.testing.assert_frame_equal(actual, expected, check_exact=False, rtol=RELATIVE, atol=1e-12)


def features_for(log: cm.InteractionLog, features: list[Feature]) -> list[Feature]:
    """Those whose columns the log has, each name once."""
    found = {}
    for feature in features:
        try:
            feature.check(log)
        except cm.SchemaError:
            continue
        found[feature.name] = feature
    return list(found.values())


@settings(budget(2, 40), phases=(Phase.explicit, Phase.generate))
@given(st.integers(0, 2**32), some_cutoffs(), feature_sets(NAMES, each=1))
def test_features_equal_the_oracle(
    engine: cm.SparkEngine, seed: int, cutoffs: list[int], features: list[Feature]
) -> None:
    rows = anchored(random_rows(Random(seed), cutoffs, customers=100, events=12))
    at = [stamp(cutoff) for cutoff in cutoffs]
    frame = cm.build_features(log_of(rows), features, at, engine=engine)
    assert differences(cells(frame), oracle.build(rows, features, cutoffs), features) == []


@pytest.mark.parametrize("ids", [int, "customer {}".format])
def test_every_aggregate_on_a_random_log(engine: cm.SparkEngine, ids: Any) -> None:
    """As of one cutoff, whose text knows no `as_of`, with whole numbers as ids; as of several, with texts."""
    cutoffs = [EPOCH] if ids is int else [EPOCH, EPOCH + 1, EPOCH + DAY]
    rows = anchored(
        [{**row, "customer_id": ids(row["customer_id"])} for row in random_rows(Random(5), cutoffs, 60, 12)]
    )
    log, at = log_of(rows), [stamp(cutoff) for cutoff in cutoffs]
    features = features_for(log, EVERY)
    assert {type(feature).__name__ for feature in features} == set(FEATURES)
    actual, expected = (cm.build_features(log, features, at, engine=each) for each in (engine, None))
    assert len(expected) > 50 * len(cutoffs)
    assert_same(actual, expected)


def test_vectors(engine: cm.SparkEngine) -> None:
    """Of lists of numbers, some of them missing, and of texts."""
    rows = with_vectors(anchored(random_rows(Random(4), [EPOCH], customers=40, events=12)))
    table = arrow_table(rows).append_column("vector", pa.array([row["vector"] for row in rows], pa.list_(pa.float32())))
    log = cm.InteractionLog(table, **ROLES)
    features = [cm.MeanVector("vector", 3, window="1w"), cm.MeanVector("plan", 5, event_type="purchase")]
    actual, expected = (cm.build_features(log, features, stamp(EPOCH), engine=each) for each in (engine, None))
    assert expected.notna().all(axis=1).any()
    assert_same(actual, expected)


def test_a_simulated_log(engine: cm.SparkEngine) -> None:
    log = cm.simulate_log(300, seed=7).log
    features = [*features_for(log, EVERY), *cm.presets.standard(log)]
    names = list({feature.name: feature for feature in features}.values())
    actual, expected = (cm.build_features(log, names, "2024-06-01", engine=each) for each in (engine, None))
    assert expected.notna().any().mean() > 0.8  # it is not nothing that is compared
    assert_same(actual, expected)


@pytest.mark.real
def test_online_retail(engine: cm.SparkEngine, shared_data: Path, tmp_path: Path) -> None:
    """Invoice lines with returns, missing customers, duplicates and local times, cleaned on Spark as well.

    Those of every fifth customer, who have everything that the others have too, and a fifth of those without one.
    """
    lines = pd.read_parquet(shared_data / "online_retail" / "transactions.parquet")
    path = tmp_path / "some.parquet"
    lines[lines["customer_id"].fillna(pd.Series(range(len(lines)))) % 5 == 0].to_parquet(path, index=False)
    log = cm.datasets.online_retail(path).clean(*cm.datasets.online_retail_cleaning())
    known = [feature for feature in features_for(log, EVERY) if _types_of(feature) <= set(log.facts.event_types)]
    one_of_each = {type(feature).__name__: feature for feature in (*known, *OF_INVOICES)}
    assert set(one_of_each) == set(FEATURES)
    features = list(one_of_each.values())
    actual, expected = (cm.build_features(log, features, "2011-09-01", engine=each) for each in (engine, None))
    assert len(expected) > 600
    assert_same(actual, expected)


def _types_of(feature: Feature) -> set[str]:
    return {
        value
        for filter_ in feature.filters
        for column, values in filter_.conditions
        if column == "event_type"
        for value in values
    }


TARGETS = (
    cm.Churn("2d", event_type="purchase", active_within="1w", gap="1d"),
    cm.Spend("2d", event_type=["purchase", "view"]),
    cm.Repurchase("1d"),
    cm.SubscriptionChurn("2d", event_type="purchase", active_within="3d", ended_by="view"),
)
# Its labels are lists of items, which are built where the log is.
NOT_ON_SPARK = {"NextItems"}


def test_every_public_target_is_tested() -> None:
    classes = {name: getattr(cm, name) for name in cm.__all__ if isinstance(getattr(cm, name), type)}
    targets = {name for name, one in classes.items() if issubclass(one, Target)}
    assert targets == {type(target).__name__ for target in TARGETS} | NOT_ON_SPARK


@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_labels_and_populations(engine: cm.SparkEngine, target: Any) -> None:
    cutoffs = [EPOCH, EPOCH + DAY]
    log = log_of(anchored(random_rows(Random(11), cutoffs, customers=60, events=12)))
    at, features = [stamp(cutoff) for cutoff in cutoffs], [cm.Recency(), cm.Count(window="3d")]
    actual, expected = (cm.build_dataset(log, features, target, at, engine=each) for each in (engine, None))
    assert len(expected.X) > 20
    assert_same(actual.X, expected.X)
    assert_same(actual.y.to_frame(), expected.y.to_frame())

"""Scores and lists that Spark has made: those of the embedded engine, row for row, for every kind of model."""

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import crmml as cm
from crmml.bundle.scoring import score_rows
from crmml.features.targets import Target
from crmml.models._levels import needs_levels
from tests.bundle.bundles import BOUGHT, CUTOFF, KINDS, LATER, bundle, log

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


@pytest.fixture
def engine(spark: Any, monkeypatch: pytest.MonkeyPatch) -> cm.SparkEngine:
    """Spark's Python workers run this Python."""
    monkeypatch.setattr(spark.sparkContext, "pythonExec", sys.executable)
    return cm.SparkEngine(spark)


def of_texts() -> cm.InteractionLog:
    """The log with texts as ids of customers."""
    events = cm.simulate_log(200, seed=1).events
    roles = {name: name for name in ("customer_id", "timestamp", "event_type", "item_id", "amount")}
    return cm.InteractionLog(events.assign(customer_id="nr " + events["customer_id"].astype(str)), **roles)


def assert_scored_alike(known: cm.Bundle, some: cm.InteractionLog, engine: cm.SparkEngine, out: Path) -> None:
    expected = known.score(some, [CUTOFF, LATER])
    path = cm.score(known, some, [CUTOFF, LATER], out, parts=3, engine=engine)
    assert cm.verify(out).rows == len(expected) > 50
    found = pd.read_parquet(path)
    assert found.groupby("customer_id")["as_of"].nunique().max() == 2
    assert len(list(path.glob("part-*.parquet"))) == 3
    assert [entry.name for entry in out.iterdir() if entry.name == ".parts"] == []
    keys = [key for key in ("customer_id", "as_of", "rank") if key in expected]
    found = found.sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(found, expected, check_exact=False, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("ids", ["numbers", "texts"])
def test_the_workers_of_spark_score(ids: str, engine: cm.SparkEngine, tmp_path: Path) -> None:
    """With reasons, as of two cutoffs, in three parts: the job that one machine does, and then nothing to do."""
    some = log() if ids == "numbers" else of_texts()
    assert_scored_alike(bundle("churn"), some, engine, tmp_path)
    plan = cm.plan_score(bundle("churn"), some, [CUTOFF, LATER], tmp_path, parts=3, engine=engine)
    assert plan.done
    assert not cm.plan_score(bundle("churn"), some, [CUTOFF, LATER], tmp_path, parts=3).done


def test_what_all_customers_are_worth_together_is_worked_out_once_on_spark(
    engine: cm.SparkEngine, tmp_path: Path
) -> None:
    purchases = [each(event_type="purchase") for each in (cm.Recency, cm.Tenure, cm.DaysActive)]
    features = [*purchases, cm.Sum("amount"), cm.DecayedSum("amount", half_life="90d")]
    value = cm.train(log(), features, cm.Spend("90d"), cm.LifetimeValueRegressor(num_iterations=5), "2024-04-01")
    assert needs_levels(value.model)
    assert_scored_alike(value, log(), engine, tmp_path)


TAKERS = cm.TwoStage([cm.RepeatPurchase(), cm.Popularity()], repeats=True, n_jobs=1)
LATELY = cm.ItemWeights({"purchase": 1}, window="60d")
LISTS: dict[str, tuple[cm.ItemWeights, cm.NextItems, Any]] = {
    # Whoever has any event gets a list: also those who bought nothing lately, of whom nothing is left out.
    "of visitors": (LATELY, cm.NextItems("30d"), cm.ALS(factors=4, iterations=3)),
    # What is taken again, by the order of events; what they had is not left out.
    "again": (BOUGHT, cm.NextItems("30d", event_type="purchase", repeats=True), TAKERS),
}


@pytest.mark.parametrize("kind", LISTS)
def test_the_workers_of_spark_recommend(kind: str, engine: cm.SparkEngine, tmp_path: Path) -> None:
    assert_scored_alike(cm.train(log(), *LISTS[kind], CUTOFF), log(), engine, tmp_path)


def test_without_a_target_all_with_interactions_get_lists_on_spark(engine: cm.SparkEngine, tmp_path: Path) -> None:
    some = of_texts()
    model = cm.ItemKNN(neighbors=20).fit(cm.build_interactions(some, LATELY, CUTOFF))
    known = cm.Bundle(LATELY, None, model, roles=some.roles, training_cutoffs=[CUTOFF])
    assert_scored_alike(known, some, engine, tmp_path)


def test_what_was_taken_since_the_training_is_left_out_on_spark(engine: cm.SparkEngine, tmp_path: Path) -> None:
    known = bundle("popularity")
    path = cm.score(known, log(), LATER, tmp_path, k=3, engine=engine)
    lists = pd.read_parquet(path)
    before = known.model.recommend(lists["customer_id"].unique(), k=3)
    seen = cm.build_interactions(log(), BOUGHT, LATER)[["customer_id", "item_id"]]
    assert len(before.merge(seen)) > 0 == len(lists.merge(seen))


def test_what_customers_have_seen_bounds_a_part_on_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark has no count of what is distinct beforehand: it is at most all events, as of each of the cutoffs."""
    from crmml.data.time import moments_of
    from crmml.jobs import spark_rows

    lists: Any = spark_rows.SparkLists(bundle("popularity"), log(), moments_of([CUTOFF, LATER]), 10, None)  # type: ignore[arg-type]
    assert lists.parts(None) == 1
    monkeypatch.setattr(spark_rows, "LINES_PER_PART", log().facts.rows)
    assert (lists.parts(None), lists.parts(5)) == (2, 5)


@pytest.mark.parametrize("kind", ["rfm", "popularity"])
def test_a_job_that_went_on_asks_spark_for_all_parts_and_writes_what_is_missing(
    kind: str, engine: cm.SparkEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crmml.jobs.part_files import Parts

    write, asked = Parts.write, list[int]()

    def once(self: Parts, number: int, *rest: Any) -> Any:
        asked.append(number)
        if asked == [0, 1]:
            raise OSError(28, "No space left on device")
        return write(self, number, *rest)

    monkeypatch.setattr(Parts, "write", once)
    with pytest.raises(cm.DataError, match="No space left on device"):
        cm.score(bundle(kind), log(), LATER, tmp_path, parts=3, engine=engine)
    path = cm.score(bundle(kind), log(), LATER, tmp_path, parts=3, engine=engine)
    assert asked == [0, 1, 1, 2]
    assert len(pd.read_parquet(path)) == cm.verify(tmp_path).rows


def test_lists_are_refused_on_spark_as_they_are_here(spark: Any, tmp_path: Path) -> None:
    """Before a worker is asked: items of another type than in training, a type that never occurs, nobody."""
    events = cm.simulate_log(200, seed=1).events
    roles = {name: name for name in ("customer_id", "timestamp", "event_type", "item_id", "amount")}
    views = events[events["event_type"] != "purchase"]
    last = pd.concat([views, events[events["event_type"] == "purchase"].tail(1)])
    quiet = cm.Bundle(LATELY, None, bundle("popularity").model, roles=log().roles, training_cutoffs=[CUTOFF])
    refused = [
        (bundle("popularity"), events.assign(item_id=7), "score: the items of the log are of another type"),
        (bundle("popularity"), views, "ItemWeights(weights={'purchase': 1}): event type 'purchase' never occurs"),
        (quiet, last, "score: nobody is among customers with a history as of 2024-09-01"),
    ]
    for known, frame, begin in refused:
        some = cm.InteractionLog(frame, **roles)
        messages = []
        for engine in (None, cm.SparkEngine(spark)):
            with pytest.raises(cm.CrmmlError) as caught:
                cm.score(known, some, LATER, tmp_path, engine=engine)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
        assert messages[0].startswith(begin)


def test_a_spark_whose_workers_lack_crmml(spark: Any, tmp_path: Path) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        cm.score(bundle("popularity"), log(), LATER, tmp_path, engine=cm.SparkEngine(spark))
    assert str(caught.value) == (
        "SparkEngine: the Python of Spark's workers does not find crmml. Install it there, or have them run another "
        "Python: PYSPARK_PYTHON=/path/to/python."
    )


def test_what_spark_is_not_for(tmp_path: Path) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        cm.score(bundle("churn"), log(), LATER, tmp_path, engine="spark")  # type: ignore[arg-type]
    assert str(caught.value) == "score: engine is 'spark'. Use SparkEngine(session), or leave it out."

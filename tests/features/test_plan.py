"""One text for one cutoff or many: what the embedded engine runs cutoff by cutoff is what other engines run at once."""

from collections.abc import Sequence
from random import Random
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

import crmml as cm
from crmml.features.filters import Filter
from crmml.features.needs import Aggregates
from crmml.features.plan import Plan
from crmml.features.table import Table
from tests.features import oracle
from tests.features.compare import cells, differences
from tests.features.mutants import Mutant, built_in
from tests.features.oracle_rows import DAY, Row
from tests.features.same_bits import bits, differing
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
from tests.features.test_oracle import targets

# Of every public kind, with and without filter and window.
EVERY = cm.FeatureSet([feature for features in FEATURES.values() for feature in features])
# One of every kind.
EACH = cm.FeatureSet([features[0] for features in FEATURES.values()])
SOME = cm.FeatureSet([cm.Recency(), cm.Count(event_type="view", window="3d"), cm.NUnique("item_id"), cm.Latest("plan")])
TWELVE = tuple(stamp(EPOCH + n * DAY // 2) for n in range(12))
ROWS = anchored(random_rows(Random(3), [moment.value // 1000 for moment in TWELVE[:3]], customers=80, events=12))
# As in the log of the golden texts, events may have vectors too.
TASTES = pa.array([None if n % 3 == 0 else [n / 7, -1.0 / (n + 1)] for n in range(len(ROWS))], pa.list_(pa.float64()))
LOG = cm.InteractionLog(arrow_table(ROWS).append_column("taste", TASTES), **ROLES)
POPULATION = cm.Population(event_type="purchase", active_within="1w")
TARGETS = [
    cm.Spend("2d", event_type="purchase", active_within="3d", gap="1d"),
    cm.Churn("1d", event_type=["purchase", "view"]),
]


def at_once(table: Table) -> pa.Table:
    """The rows of one text that joins all cutoffs, as Spark and warehouses run it."""
    return table.shape.of(table.log.engine.arrow(table.text(table.cutoffs).whole()))


def assert_same(actual: pa.Table, expected: pa.Table) -> None:
    """To the last bit, but for quantiles between two values.

    An engine's own function is compiled to multiply and add in one step on some processors, one pass is not.
    """
    assert expected.num_rows > 0
    assert differing(actual, expected, last_bit="quantile_") == []


@pytest.fixture(scope="module")
def twelve() -> pa.Table:
    """Twelve cutoffs in one build."""
    return cm.build_features(LOG, EACH, TWELVE, to="arrow")


def test_the_bits_of_a_table_tell_what_equality_does_not() -> None:
    assert bits(pa.chunked_array([[0.0, 1.0, None]])) != bits(pa.chunked_array([[-0.0, 1.0, None]]))
    assert bits(pa.chunked_array([[0.0, None]])) != bits(pa.chunked_array([[0.0, 0.0]]))
    assert bits(pa.chunked_array([[0.0, float("nan")]])) == bits(pa.chunked_array([[0.0], [float("nan")]]))
    assert differing(pa.table({"x": [1]}), pa.table({"x": [1.0]})) == ["schema"]


def test_every_feature_joined_or_one_by_one() -> None:
    table = Table(LOG, EVERY, TWELVE[:3])
    assert_same(at_once(table), table.arrow())


def test_twelve_cutoffs_joined_or_one_by_one(twelve: pa.Table) -> None:
    assert_same(at_once(Table(LOG, EACH, TWELVE)), twelve)


def test_twelve_cutoffs_are_twelve_single_builds(twelve: pa.Table) -> None:
    alone = pa.concat_tables([cm.build_features(LOG, EACH, cutoff, to="arrow") for cutoff in TWELVE])
    assert_same(alone.sort_by([("customer_id", "ascending"), ("as_of", "ascending")]), twelve)


@budget(4, 300)
@given(st.integers(0, 2**32), some_cutoffs(), feature_sets(sorted(oracle.AGGREGATES), each=1))
def test_any_features_joined_or_one_by_one(seed: int, cutoffs: list[int], features: list[Any]) -> None:
    log = log_of(anchored(random_rows(Random(seed), cutoffs, customers=40, events=12)))
    table = Table(log, cm.FeatureSet(features), tuple(map(stamp, cutoffs)))
    assert_same(at_once(table), table.arrow())


def test_a_population_joined_or_one_by_one(twelve: pa.Table) -> None:
    table = Table(LOG, SOME, TWELVE, POPULATION)
    one_by_one = table.arrow()
    assert_same(at_once(table), one_by_one)
    assert one_by_one.num_rows < twelve.num_rows


@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_labels_joined_or_one_by_one(target: Any) -> None:
    table = Table(LOG, SOME, TWELVE[:5], target.population, target)
    together = table.arrow()
    assert_same(at_once(table), together)
    alone = [Table(LOG, SOME, (cutoff,), target.population, target).arrow() for cutoff in table.cutoffs]
    assert_same(pa.concat_tables(alone).sort_by([("customer_id", "ascending"), ("as_of", "ascending")]), together)
    assert len(set(together["label"].to_pylist())) > 1


@budget(6, 300)
@given(st.integers(0, 2**32), some_cutoffs(), targets())
def test_any_labels_joined_or_one_by_one(seed: int, cutoffs: list[int], target: Any) -> None:
    log = log_of(anchored(random_rows(Random(seed), cutoffs, customers=40, events=12)))
    table = Table(log, cm.FeatureSet([cm.Count()]), tuple(map(stamp, cutoffs)), target.population, target)
    assert differing(at_once(table), table.arrow()) == []


# Mutants of what only the joined text has: the cutoffs beside each event.
JOINED = [
    Mutant("joined cutoffs: < becomes <=", r"ON at_us <", "ON at_us <="),
    Mutant("joined cutoffs: forgotten", r"ON at_us < EPOCH_US\(as_of\)", "ON TRUE"),
    Mutant("joined recorded_at: forgotten", r" AND known_us < EPOCH_US\(as_of\)", ""),
    Mutant("joined cutoffs: one of them lost", r"(FROM \(VALUES \([^,]*\)), \(.*?\)\)\) AS listed", r"\1) AS listed"),
    Mutant("joined groups: of all cutoffs", r"USING \(customer_id, as_of\)", "USING (customer_id)"),
    Mutant("joined order: over all cutoffs", r"PARTITION BY customer_id, as_of", "PARTITION BY customer_id"),
]


@pytest.mark.parametrize("mutant", JOINED, ids=str)
def test_the_oracle_finds_the_mutant_in_the_joined_text(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    features = [cm.Count(), cm.Count(event_type="purchase"), cm.Gap(stat="std")]
    table = Table(LOG, cm.FeatureSet(features), TWELVE[:3])
    expected = oracle.build(ROWS, features, [moment.value // 1000 for moment in table.cutoffs])

    def found() -> list[str]:
        rows = at_once(table)
        frame = rows.to_pandas().set_index(["customer_id", "as_of"])
        return differences(cells(frame), expected, features) + (["rows"] if rows.num_rows != len(expected) else [])

    assert found() == []
    with built_in(mutant, monkeypatch):
        assert found() != []


# What groupings read, and what they are called -------------------------------------------------------------------


def step(features: Sequence[Any], name: str, log: cm.InteractionLog = LOG) -> str:
    """The SQL of one step of the text of some features."""
    steps = {step.name: step.query for step in Table(log, cm.FeatureSet(features), TWELVE[:1]).text(TWELVE[:1]).steps}
    return steps[name].sql("duckdb")


def test_a_grouping_reads_no_event_older_than_its_longest_window() -> None:
    pairs = [cm.NUnique("item_id", window=window) for window in ("3d", "5d", "1w")]
    assert step(pairs, "pairs_1").endswith(
        f"WHERE NOT item_id IS NULL AND age_us <= {7 * DAY} GROUP BY customer_id, item_id"
    )
    ordered = [cm.Gap(stat="std", window=window) for window in ("1w", "3d")]
    assert step(ordered, "ordered_1").endswith(f"FROM history WHERE age_us <= {7 * DAY}")


def test_a_grouping_reads_all_history_where_one_definition_does() -> None:
    pairs = [cm.NUnique("item_id", window="3d"), cm.NUnique("item_id")]
    assert step(pairs, "pairs_1").endswith("WHERE NOT item_id IS NULL GROUP BY customer_id, item_id")
    assert step([cm.Gap(stat="std", window="3d"), cm.Gap(stat="std")], "ordered_1").endswith("FROM history")


def test_pairs_are_of_the_events_of_any_filter_that_asks_for_them() -> None:
    pairs = [cm.NUnique("item_id", channel="web", window="3d"), cm.NUnique("item_id", channel="app")]
    text = step(pairs, "pairs_1")
    assert f'AND (("channel_code" = 1 AND age_us <= {3 * DAY}) OR "channel_code" = 2)' in text


def test_pairs_of_each_event_type_are_a_grouping() -> None:
    pairs = [cm.NUnique("item_id", event_type="view", window="3d"), cm.NUnique("item_id", event_type="purchase")]
    assert step(pairs, "pairs_1").endswith(
        f'WHERE NOT item_id IS NULL AND "event_type_code" = 1 AND age_us <= {3 * DAY} GROUP BY customer_id, item_id'
    )
    assert step(pairs, "pairs_2").endswith(
        'WHERE NOT item_id IS NULL AND "event_type_code" = 2 GROUP BY customer_id, item_id'
    )


def test_an_aggregate_asked_for_twice_is_computed_once() -> None:
    features = [
        cm.Count(event_type="purchase"),
        cm.Mean("amount", event_type="purchase"),
        cm.Sum("amount", event_type="purchase"),
    ]
    text = step(features, "by_purchase")
    assert text.count("COUNT(*)") == text.count("SUM(") == 1


def test_a_text_that_a_filter_looks_for_is_compared_once_per_event() -> None:
    kinds = ["purchase", "view"]
    features = [cm.Count(event_type=kinds), *(cm.Count(event_type=kind, window="3d") for kind in kinds)]
    features += [cm.Share(event_type="purchase", channel="web"), cm.Recency(channel=["shop", "web"])]
    text = step(features, "coded")
    assert text.count("CASE event_type WHEN 'purchase' THEN 1 WHEN 'view' THEN 2 END") == 1
    assert text.count("'purchase'") == text.count("'view'") == text.count("'web'") == text.count("'shop'") == 1


def test_only_columns_that_are_needed_are_read() -> None:
    assert step([cm.Count()], "coded") == (
        'SELECT customer_id, EPOCH_US("timestamp") AS at_us, EPOCH_US(COALESCE(recorded_at, "timestamp")) AS known_us '
        "FROM events"
    )
    assert '"revenue"' not in step([cm.Count(event_type="view")], "events")


# Event types and attributes whose steps and columns would be called like ours, or like each other.
KINDS = ("customer", "customer_with_amount", "purchase", "a b", "x" * 70, "x" * 71, "", "购买", "买")
ATTRIBUTES = ("event_type_code", "EVENT_TYPE_CODE_", "is_quantity_1", "exact_amount", "hour", "n", "recency", "count")


def test_names_that_meet_are_kept_apart() -> None:
    random = Random(5)
    rows: list[Row] = [
        {
            "customer_id": random.randint(1, 9),
            "timestamp": EPOCH - random.randint(1, 5 * DAY),
            "event_type": random.choice(KINDS),
            "quantity": random.choice((1, 2, None)),
            "amount": random.choice((1.5, 2.5, None)),
            **{name: random.choice((1.0, 2.0, 7.0, None)) for name in ATTRIBUTES},
        }
        for _ in range(400)
    ]
    features: list[Any] = [
        cm.Recency(),
        cm.Count(where={"quantity": 1}),
        cm.Sum("amount"),
        *(verb(event_type=kind) for kind in KINDS for verb in (cm.Count, cm.Gap)),
        *(cm.Latest("amount", event_type=kind) for kind in KINDS[:4]),
        *(verb(name) for name in ATTRIBUTES for verb in (cm.Sum, cm.Max, cm.NUnique, cm.Latest, cm.First, cm.TopValue)),
        *(cm.Count(where={name: 7}) for name in ATTRIBUTES),
        *(cm.Latest("count", where={name: 1}) for name in ATTRIBUTES),
    ]
    frame = pd.DataFrame(rows)
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="us", utc=True).astype("datetime64[us, UTC]")
    roles = {name: name for name in ("customer_id", "timestamp", "event_type", "quantity", "amount")}
    log = cm.InteractionLog(frame, **roles)
    built = cm.build_features(log, features, stamp(EPOCH))
    assert differences(cells(built), oracle.build(rows, features, [EPOCH]), features) == []


def test_a_step_is_called_as_no_other() -> None:
    plan = Plan(LOG, TWELVE[:1])
    sides = [
        plan.events(Filter.of(event_type=kind)).grouping(lately).side for kind in KINDS for lately in (False, True)
    ]
    names = ["by_customer", *sides]
    assert len({name.casefold() for name in names}) == len(names)
    assert all(len(name) < 64 for name in names)  # what the shortest engine takes as a name


def names_of(features: list[Any]) -> list[str]:
    """The steps of the text of some features, after the history."""
    text = Table(LOG, cm.FeatureSet(features), TWELVE[:1]).text(TWELVE[:1])
    names = [step.name for step in text.steps]
    return names[names.index("history") + 1 :]


def test_few_aggregates_of_a_window_are_counted_with_those_of_all_history() -> None:
    few = [cm.Count(event_type="view", window=f"{n}d") for n in range(1, 4)]
    ever = cm.Recency(event_type="view")
    assert names_of([ever, *few]) == ["by_customer", "by_view"]
    # One more, and a pass over the window is cheaper; without all of history there is nothing to go with.
    assert names_of([ever, *few, cm.Count(event_type="view", window="4d")]) == [
        "by_customer",
        "by_view",
        "by_view_lately",
    ]
    assert names_of(few) == ["by_customer", "by_view_lately"]


def test_what_looks_at_a_grouping_looks_at_the_one_it_was_taken_into() -> None:
    latest = cm.Latest("channel", window="3d")
    assert names_of([latest]) == ["by_customer", "ends_1"]
    text = str(Table(LOG, cm.FeatureSet([latest]), TWELVE[:1]).text(TWELVE[:1]).whole())
    assert "JOIN by_customer USING" in text
    assert "lately" not in text


def test_aggregates_whose_names_meet_stay_apart() -> None:
    ever, lately = Aggregates("ever"), Aggregates("lately")
    ever.add(exp.Max(this=exp.column("x")), "seen")
    lately.add(exp.Min(this=exp.column("x")), "Seen")
    assert not ever.take(lately)
    assert [each.sql() for each in ever.selected()] == ["MAX(x) AS seen"]

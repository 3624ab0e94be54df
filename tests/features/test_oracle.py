"""Every public aggregate and target against the plain-Python oracle, on logs whose times sit on the boundaries."""

from inspect import isclass
from random import Random
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

import crmml as cm
from crmml.features.aggregate import Feature
from tests.features import oracle
from tests.features.compare import feature_differences, label_differences
from tests.features.oracle_rows import DAY
from tests.features.strategies import (
    EPOCH,
    EVENT_TYPES,
    HORIZON,
    WINDOWS,
    anchored,
    budget,
    feature_sets,
    log_of,
    logs,
    random_rows,
    several_logs,
    some_cutoffs,
    stamp,
)

NAMES = sorted(oracle.AGGREGATES)


def test_every_public_aggregate_and_target_has_an_oracle() -> None:
    classes = {name: value for name in cm.__all__ if isclass(value := getattr(cm, name))}
    public = {name for name, value in classes.items() if issubclass(value, Feature)}
    assert public == set(oracle.AGGREGATES)
    # NextItems has no label per customer: its rows are (customer, item), tested with the interactions.
    targets = set(cm._HOMES["features.targets"]) - {"NextItems", "Population", "Rule"}
    assert targets == set(oracle.LABELS)


# Most of the time goes into writing, planning and starting a query, so an example is as many logs as this, drawn one
# by one: `make property` compares 10,000 logs, each with two definitions of every aggregate.
LOGS = 10


@budget(8, 10_000 // LOGS)
@given(st.data())
def test_features_equal_the_oracle(data: st.DataObject) -> None:
    cutoffs = data.draw(some_cutoffs(), label="cutoffs")
    rows = anchored(data.draw(several_logs(cutoffs, of=LOGS), label="rows"))
    features = data.draw(feature_sets(NAMES), label="features")
    event(f"{len(cutoffs)} cutoffs")
    assert feature_differences(rows, features, cutoffs) == []


@budget(4, 100)
@given(st.integers(0, 2**32), some_cutoffs(), feature_sets(NAMES, each=3))
def test_features_of_many_customers_equal_the_oracle(seed: int, cutoffs: list[int], features: list[Any]) -> None:
    rows = anchored(random_rows(Random(seed), cutoffs, customers=100, events=12))
    assert feature_differences(rows, features, cutoffs) == []


def targets() -> st.SearchStrategy[Any]:
    event_type = st.one_of(st.none(), st.sampled_from(EVENT_TYPES))
    active = st.one_of(st.none(), st.sampled_from(WINDOWS))
    horizon = st.sampled_from((HORIZON, "1d"))
    gap = st.sampled_from(("0d", "1d"))
    shared = {"horizon": horizon, "event_type": event_type, "active_within": active, "gap": gap}
    column = st.sampled_from(("amount", "quantity"))
    return st.one_of(
        st.builds(cm.Churn, **shared), st.builds(cm.Repurchase, **shared), st.builds(cm.Spend, column=column, **shared)
    )


@budget(40, 10_000)
@given(st.data())
def test_populations_and_labels_equal_the_oracle(data: st.DataObject) -> None:
    cutoffs = data.draw(some_cutoffs(), label="cutoffs")
    rows = anchored(data.draw(logs(cutoffs), label="rows"))
    target = data.draw(targets(), label="target")
    assert label_differences(rows, target, cutoffs) == []


@budget(10, 1_000)
@given(st.integers(0, 2**32), some_cutoffs(), targets())
def test_labels_of_many_customers_equal_the_oracle(seed: int, cutoffs: list[int], target: Any) -> None:
    rows = anchored(random_rows(Random(seed), cutoffs, customers=100, events=12))
    assert label_differences(rows, target, cutoffs) == []


EDGES = {  # microseconds around as_of - 3d, and around as_of: is the event counted in a window of 3 days?
    "start - 1us": (EPOCH - 3 * DAY - 1, 0),
    "start": (EPOCH - 3 * DAY, 1),
    "start + 1us": (EPOCH - 3 * DAY + 1, 1),
    "as_of - 1us": (EPOCH - 1, 1),
    "as_of": (EPOCH, 0),
    "as_of + 1us": (EPOCH + 1, 0),
}


@pytest.mark.parametrize("edge", EDGES)
def test_count_sees_the_window_half_open(edge: str) -> None:
    at, expected = EDGES[edge]
    rows = anchored([{"customer_id": "anna", "timestamp": at, "event_type": "purchase"}])
    count = cm.Count(event_type="purchase", window="3d")
    assert oracle.count(rows[:1], count, EPOCH) == expected
    table = cm.build_features(log_of(rows), [count], stamp(EPOCH)).droplevel("as_of")
    assert table["count_purchase_3d"].get("anna", 0) == expected

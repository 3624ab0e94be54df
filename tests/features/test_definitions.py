"""Definitions of features: names, equality, presets, and what is refused."""

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.features.filters import slug

T = pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01"], utc=True)


def log_of(**columns: Any) -> cm.InteractionLog:
    frame = pd.DataFrame({"u": [1, 1, 2], "t": T, "k": ["purchase", "view", "purchase"], **columns})
    return cm.InteractionLog(frame, customer_id="u", timestamp="t", event_type="k")


@pytest.mark.parametrize(
    ("feature", "name"),
    [
        (cm.Count(), "count"),
        (cm.Count(event_type="purchase", window="90d"), "count_purchase_90d"),
        (cm.Count(event_type=["purchase", "return"]), "count_purchase_or_return"),
        (cm.Count(where={"plan": ["gold", "free"]}), "count_plan_gold_or_free"),
        (cm.Recency(event_type="view", channel="web"), "recency_view_web"),
        (cm.Gap(stat="std", event_type="purchase", window="1d"), "gap_std_purchase_1d"),
        (cm.NUnique("item_id", event_type="Add to cart"), "nunique_item_id_add_to_cart"),
        (cm.Trend("amount", window="60d", periods=3), "trend_amount_60d_by_3"),
    ],
)
def test_names_are_made_from_the_definition(feature: Any, name: str) -> None:
    assert feature.name == name


@given(st.text(max_size=60), st.text(max_size=60))
def test_values_that_are_not_plain_words_get_names_of_their_own(one: str, other: str) -> None:
    plain = [text.lower().replace(" ", "_").replace("-", "_") for text in (one, other)]
    assert (slug(one) == slug(other)) == (plain[0] == plain[1] if slug(one) == plain[0] else one == other)
    assert slug(one).isascii()
    assert slug(one).replace("_", "a").isalnum()


EVIL = [
    "'; DROP TABLE log; --",
    '"',
    "'",
    "''",
    "/* comment */",
    "--",
    ";",
    "\\",
    "{{x}}",
    "%s",
    "$1",
    "?",
    "",
    " ",
    "\n",
    "\t",
    "😀",
    "ß",
    "İ",
    "e\u0301",
    "\u202eabc",
    "select",
    "NULL",
    "a" * 10_000,
]


def test_evil_event_types_are_counted_and_only_they() -> None:
    log = cm.InteractionLog(
        pd.DataFrame({"u": 1, "t": T[0], "k": EVIL}), customer_id="u", timestamp="t", event_type="k"
    )
    table = cm.build_features(log, [cm.Count(event_type=kind) for kind in EVIL], "2024-01-02")
    assert table.iloc[0].tolist() == [1] * len(EVIL)


def test_evil_ids_come_back_as_they_are() -> None:
    log = cm.InteractionLog(pd.DataFrame({"u": EVIL, "t": T[0]}), customer_id="u", timestamp="t")
    table = cm.build_features(log, [cm.Count()], "2024-01-02")
    assert sorted(table.index.get_level_values("customer_id")) == sorted(EVIL)


@pytest.mark.parametrize("column", [name for name in EVIL if name] + ["as_of", "age_us", "label", "events", "order"])
def test_evil_column_names_are_columns(column: str) -> None:
    log = log_of(**{column: ["x", "y", "x"]})
    features = [cm.NUnique(column), cm.Count(where={column: "x"}), cm.Latest(column)]
    table = cm.build_features(log, features, "2024-03-02")
    assert table.to_numpy().tolist() == [[2, 1, "y"], [1, 1, "x"]]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: cm.FeatureSet([cm.Count(), cm.Recency(), cm.Count()]),
            "FeatureSet: features[2] Count() has the same column 'count' as Count(). Leave one of them out.",
        ),
        (
            lambda: cm.FeatureSet([cm.Count(event_type="add to cart"), cm.Count(event_type="add-to-cart")]),
            "FeatureSet: features[1] Count(event_type='add-to-cart') has the same column 'count_add_to_cart' as "
            "Count(event_type='add to cart'). Leave one of them out.",
        ),
        (
            lambda: cm.FeatureSet([]),
            "FeatureSet: the list is empty. Use at least one aggregate, for example [Recency()].",
        ),
        (
            lambda: cm.FeatureSet(["count"]),
            "FeatureSet: features[0] is 'count', not an aggregate. Use for example Count(window='30d').",
        ),
        (
            lambda: cm.Share(window="30d"),
            "Share: without a filter the share is always 1. Use Share(event_type='purchase').",
        ),
        (cm.Trend, "Trend: a trend needs a window. Use Trend(window='180d')."),
        (
            lambda: cm.Trend(window="100s", periods=6),
            "Trend: window '100s' does not divide into 6 equal periods. Use a multiple, for example window='180d'.",
        ),
        (
            lambda: cm.Count(where={"event_type": "purchase"}),
            "Count: where names 'event_type'. Use the parameter instead: event_type='purchase'.",
        ),
        (
            lambda: cm.Count(event_type=3),
            "Count: event_type must be a text or a list of texts, not 3. Use event_type='purchase'.",
        ),
        (
            lambda: cm.build_features(log_of(), [cm.Count(event_type="purchases")], "2024-03-02"),
            "Count(event_type='purchases'): event type 'purchases' never occurs in the log. Did you mean 'purchase'? "
            "It has: 'purchase' (2), 'view' (1).",
        ),
        (
            lambda: cm.build_features(log_of(plan=["x", "y", "z"]), [cm.Sum("plan")], "2024-03-02"),
            "Sum('plan'): 'plan' is text, not a number. Use NUnique('plan') or Latest('plan'), or a column of numbers.",
        ),
        (
            lambda: cm.build_features(log_of(), "standrd", "2024-03-02"),
            "features: there is no preset 'standrd'. Did you mean 'standard'? Use one of rfm, standard, clickstream, "
            "subscription, omnichannel, early_warning, or a FeatureSet.",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(act: Any, message: str) -> None:
    with pytest.raises(cm.CrmmlError) as caught:
        act()
    assert str(caught.value) == message


@pytest.mark.parametrize("aggregate", [cm.Sum, cm.Mean, cm.Min, cm.Max, cm.Std])
def test_every_aggregate_of_numbers_refuses_an_infinite_one(aggregate: Any) -> None:
    with pytest.raises(cm.DataError, match="'a' has the value inf"):
        cm.build_features(log_of(a=[1.0, float("inf"), 2.0]), [aggregate("a")], "2024-03-02")

"""Quantiles, concentration, most frequent and first values: names, arithmetic, ties, missing values, refusals."""

import math
from typing import Any

import pandas as pd
import pytest

import crmml as cm

START = pd.Timestamp("2024-01-01", tz="UTC")
AS_OF = "2024-01-03"


def log_of(**columns: list[Any]) -> cm.InteractionLog:
    """One customer with one event a day, and their columns."""
    days = len(next(iter(columns.values())))
    frame = pd.DataFrame({"u": 1, "t": pd.date_range(START, periods=days), "k": "purchase", **columns})
    return cm.InteractionLog(frame, customer_id="u", timestamp="t", event_type="k")


def after(days: int) -> pd.Timestamp:
    """A cutoff after so many days of events."""
    return START + pd.Timedelta(days=days)


def value_of(feature: Any, **columns: list[Any]) -> Any:
    """The feature of that customer."""
    days = len(next(iter(columns.values())))
    return cm.build_features(log_of(**columns), [feature], after(days)).iloc[0, 0]


@pytest.mark.parametrize(
    ("feature", "name"),
    [
        (cm.Median("amount", event_type="purchase", window="90d"), "median_amount_purchase_90d"),
        (cm.Quantile("amount", event_type="purchase"), "quantile_90_amount_purchase"),
        (cm.Quantile("amount", q=0.975), "quantile_97_5_amount"),
        (cm.Quantile("amount", q=0.07), "quantile_7_amount"),
        (cm.Quantile("amount", q=0.0001), "quantile_0_01_amount"),
        (cm.Quantile("amount", q=1e-7), "quantile_0_00001_amount"),
        (cm.Entropy("channel", window="365d"), "entropy_channel_365d"),
        (cm.TopShare("item_id", event_type=["view", "cart"]), "top_share_item_id_view_or_cart"),
        (cm.TopValue("channel", where={"plan": "gold"}), "top_value_channel_plan_gold"),
        (cm.RepeatShare("item_id", channel="web"), "repeat_share_item_id_web"),
        (cm.First("channel", window="30d"), "first_channel_30d"),
    ],
)
def test_names_are_made_from_the_definition(feature: Any, name: str) -> None:
    assert feature.name == name


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [
        ([7.0], 0.9, 7.0),  # of one value, every quantile is that value
        ([1.0, 2.0, 3.0, 10.0], 0.5, 2.5),  # position 1.5: half-way from 2 to 3
        ([10.0, 3.0, 1.0, 2.0], 0.5, 2.5),  # whatever the order of the events
        ([0.0, 10.0], 0.975, 9.75),  # position 0.975
        (list(range(11)), 0.9, 9.0),  # position 9 exactly
        ([5.0, 5.0, 5.0, 99.0], 0.25, 5.0),  # position 0.75, between equal values
        ([-1.0, None, 1.0], 0.5, 0.0),  # the missing value has no position
    ],
)
def test_a_quantile_lies_at_position_n_minus_1_times_q(values: list[Any], q: float, expected: float) -> None:
    assert value_of(cm.Quantile("a", q=q), a=values) == expected
    if q == 0.5:
        assert value_of(cm.Median("a"), a=values) == expected


def test_quantiles_in_the_nine_types_of_hyndman_and_fan_are_of_type_7() -> None:
    """Types differ in the position among x_1 ... x_n: type 7 is (n - 1) q + 1, type 6 (n + 1) q, type 5 n q + 1/2."""
    values = [1.0, 2.0, 4.0, 8.0, 16.0]
    positions = {5: 5 * 0.3 + 0.5, 6: 6 * 0.3, 7: 4 * 0.3 + 1}
    interpolated = {
        t: values[int(p) - 1] + (p - int(p)) * (values[int(p)] - values[int(p) - 1]) for t, p in positions.items()
    }
    assert len(set(interpolated.values())) == 3
    assert value_of(cm.Quantile("a", q=0.3), a=values) == pytest.approx(interpolated[7], rel=1e-12)


def test_a_median_lies_between_two_decimals() -> None:
    assert value_of(cm.Median("a"), a=[0.000001, 0.000002]) == pytest.approx(0.0000015, rel=1e-12)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["x"] * 7, 0.0),
        (["x", "y"], math.log(2)),
        (["x", "y", "z", "z"], 1.5 * math.log(2)),  # 2 * 1/4 ln 4 + 1/2 ln 2
        (["x", "x", "y", None], -2 / 3 * math.log(2 / 3) - 1 / 3 * math.log(1 / 3)),
        ([3, 3, 100, 100], math.log(2)),  # numbers count as names, not by their size
    ],
)
def test_entropy_is_minus_the_sum_of_p_ln_p(values: list[Any], expected: float) -> None:
    assert value_of(cm.Entropy("a"), a=values) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n", [2, 3, 7, 49, 1000])
def test_the_entropy_of_one_value_is_exactly_0_and_of_equal_shares_the_greatest(n: int) -> None:
    values: list[Any] = list(range(n))
    log = log_of(same=[0] * n, other=values)
    same, other = cm.build_features(log, [cm.Entropy("same"), cm.Entropy("other")], after(n)).iloc[0]
    assert same == 0.0
    assert other == pytest.approx(math.log(n), rel=1e-12)


def test_shares_of_the_most_frequent_value_and_of_the_values_that_repeat() -> None:
    values = ["a", "b", "a", "c", "a", "c", None]
    assert value_of(cm.TopShare("v"), v=values) == 3 / 6
    assert value_of(cm.RepeatShare("v"), v=values) == 2 / 3  # a and c of a, b and c


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", "b", "b"], "b"),
        (["z", "a", "a", "z", "m"], "z"),  # a tie: the greatest
        (["a", "B"], "a"),  # by code points, capitals come first
        (["é", "z"], "é"),
        ([None, None, "a"], "a"),  # missing values are not counted
        (["9", "10"], "9"),
        ([9, 10], 10.0),
    ],
)
def test_of_equally_frequent_values_the_greatest_is_the_top_value(values: list[Any], expected: Any) -> None:
    assert value_of(cm.TopValue("v"), v=values) == expected


def test_the_top_value_is_that_of_the_window_though_another_is_ahead_in_all_history() -> None:
    log = log_of(v=["a", "a", "a", "b", "c", "b"])
    features = [cm.TopValue("v"), cm.TopValue("v", window="3d"), cm.TopShare("v", window="3d")]
    row = cm.build_features(log, features, after(6)).iloc[0]
    assert row.tolist() == ["a", "b", 2 / 3]


def test_first_takes_the_first_event_that_has_a_value_and_the_greatest_of_several() -> None:
    at = [START, START + pd.Timedelta(hours=1), START + pd.Timedelta(hours=1), START + pd.Timedelta(hours=2)]
    frame = pd.DataFrame({"u": 1, "t": at, "v": [None, "shop", "web", "zoo"]})
    log = cm.InteractionLog(frame, customer_id="u", timestamp="t")
    assert cm.build_features(log, [cm.First("v")], AS_OF).iloc[0, 0] == "web"


FAMILY = [cm.Median("a"), cm.Quantile("a"), cm.Entropy("a"), cm.TopShare("a"), cm.RepeatShare("a"), cm.TopValue("a")]


def test_without_a_value_all_of_them_are_missing() -> None:
    log = log_of(a=[None, None, 1.0])
    names = cm.FeatureSet([*FAMILY, cm.First("a")]).names
    row = cm.build_features(log, [*FAMILY, cm.First("a")], after(2)).iloc[0]
    assert row.isna().to_dict() == dict.fromkeys(names, True)


def test_a_value_under_another_filter_is_no_value() -> None:
    """The pairs of customer and value are shared: what only another feature counts has 0 events here."""
    frame = pd.DataFrame({"u": 1, "t": START, "k": ["view", "view"], "a": ["x", "y"]})
    frame = pd.concat([frame, frame.assign(u=2, k="purchase")])
    log = cm.InteractionLog(frame, customer_id="u", timestamp="t", event_type="k")
    verbs = (cm.Entropy, cm.TopShare, cm.RepeatShare, cm.TopValue)
    features = [*(verb("a", event_type="purchase") for verb in verbs), cm.NUnique("a")]
    table = cm.build_features(log, features, AS_OF)
    assert table.iloc[0].isna().tolist() == [True, True, True, True, False]
    assert table.iloc[1].tolist() == [math.log(2), 1 / 2, 0.0, "y", 2]


@pytest.mark.parametrize("name", ["n", "N", "n_", "most", "top_value", "youngest_us", "first_value"])
def test_an_attribute_may_have_the_name_of_a_step_or_of_a_number_in_it(name: str) -> None:
    features = [verb(name) for verb in (cm.TopShare, cm.TopValue, cm.RepeatShare, cm.First, cm.NUnique)]
    features += [cm.TopShare(name, window="5d"), cm.NUnique(name, window="5d")]
    row = cm.build_features(log_of(**{name: ["x", "y", "x", "x"]}), features, after(4)).iloc[0]
    assert row.tolist() == [3 / 4, "x", 1 / 2, "x", 2, 3 / 4, 2]
    assert value_of(cm.TopValue(name), **{name: ["x", "y", "y"]}) == "y"


@pytest.mark.parametrize("q", [0, 1, 0.0, 1.0, 90, -0.1, math.nan, True, "0.9", None])
def test_a_quantile_is_refused_outside_of_0_and_1(q: Any) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        cm.Quantile("amount", q=q)
    assert str(caught.value) == f"Quantile: q must be a number above 0 and below 1, not {q!r}. Use q=0.9."


@pytest.mark.parametrize("aggregate", [cm.Median, cm.Quantile])
def test_quantiles_of_texts_are_refused(aggregate: Any) -> None:
    with pytest.raises(cm.SchemaError) as caught:
        cm.build_features(log_of(plan=["x", "y"]), [aggregate("plan")], AS_OF)
    assert str(caught.value) == (
        f"{aggregate.__name__}('plan'): 'plan' is text, not a number. Use NUnique('plan') or Latest('plan'), or a "
        "column of numbers."
    )


@pytest.mark.parametrize("feature", [cm.Quantile("amount", q=0.25, window="9d"), cm.First("plan"), cm.TopValue("x")])
def test_definitions_go_to_data_and_back(feature: Any) -> None:
    assert cm.from_data(cm.to_data(feature)) == feature

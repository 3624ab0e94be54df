"""Definitions go to plain data, YAML and JSON and back; what cannot be built says where and what to do."""

import inspect
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.definition import Definition
from crmml.errors import ConfigError, SchemaError
from crmml.spec import completed, read_config
from tests.insight import strategies_tags
from tests.recommend.blocks import RECOMMENDERS

Draw = st.DrawFn

words = st.text(min_size=1) | st.sampled_from(["purchase", "NO", "012", "1e-3", "Count", "dict", "o'brien", "🛒"])
columns = st.sampled_from(["amount", "quantity", "price of o'brien", "Count", "yes"])
durations = st.sampled_from(["30d", "8w", "12h", "90m", "45s"])
scalars = words | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
word_or_words = words | st.lists(words, min_size=1, max_size=3)
attributes = words.filter(lambda name: name not in ("event_type", "channel"))
wheres = st.dictionaries(attributes, scalars | st.lists(scalars, min_size=1, max_size=3), min_size=1, max_size=3)
filters = {"event_type": word_or_words, "channel": word_or_words, "where": wheres}


def made(
    name: str, required: dict[str, st.SearchStrategy[Any]] | None = None, /, **optional: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """Values of the public class `name`, with and without each of its optional arguments."""
    arguments = st.fixed_dictionaries(required or {}, optional=optional)
    return arguments.map(lambda given: getattr(cm, name)(**given))


def aggregate(name: str, **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return made(name, None, window=durations, **filters, **optional)


def aggregate_of_column(name: str) -> st.SearchStrategy[Any]:
    return made(name, {"column": columns}, window=durations, **filters)


def target(name: str, **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    gaps = st.sampled_from(["0d", "1d", "2w"])
    return made(name, {"horizon": durations}, event_type=word_or_words, active_within=durations, gap=gaps, **optional)


def selection(name: str) -> st.SearchStrategy[Any]:
    by_values = made(name, {"column": columns, "values": st.lists(scalars, min_size=1)})
    return by_values | made(name, {"column": columns, "pattern": st.sampled_from(["^[0-9]{5}", "", "a|b"])})


zones = st.sampled_from(["UTC", "Europe/Berlin"])
hours = st.tuples(st.integers(0, 23), st.integers(1, 24)).filter(lambda pair: pair[0] != pair[1] and pair != (0, 24))
days = st.lists(st.sampled_from(["monday", "friday", "sunday"]), min_size=1, unique=True) | st.just("monday")
others = {"channel": word_or_words, "where": wheres, "window": durations}
aggregates = {
    **{name: aggregate(name) for name in ("Recency", "Tenure", "Count")},
    **{name: aggregate_of_column(name) for name in ("Sum", "Mean", "Min", "Max", "Std", "NUnique", "Latest", "First")},
    **{name: aggregate_of_column(name) for name in ("Median", "Entropy", "TopShare", "TopValue", "RepeatShare")},
    "DecayedSum": made("DecayedSum", {"column": columns}, half_life=durations, window=durations, **filters),
    "Quantile": made("Quantile", {"column": columns}, q=st.floats(0.001, 0.999), window=durations, **filters),
    "MeanVector": made("MeanVector", {"column": columns, "size": st.integers(1, 99)}, window=durations, **filters),
    "Gap": aggregate("Gap", stat=st.sampled_from(["mean", "std", "median", "last", "last_to_mean"])),
    "DaysActive": aggregate("DaysActive", timezone=zones),
    "HourShare": aggregate("HourShare", hours=hours, timezone=zones),
    "WeekdayShare": aggregate("WeekdayShare", days=days, timezone=zones),
    "Sessions": aggregate("Sessions", stat=st.sampled_from(["count", "length", "events"]), gap=durations),
    "Streak": aggregate("Streak", stat=st.sampled_from(["current", "longest"]), every=durations),
    "TimeTo": aggregate("TimeTo", nth=st.integers(2, 1000)),
    "Basket": aggregate("Basket", stat=st.sampled_from(["lines", "items", "value", "orders"]), order=words),
    "Share": made("Share", {"event_type": word_or_words}, window=durations, channel=words, where=wheres),
    "Trend": made("Trend", {"window": durations}, column=columns, periods=st.sampled_from([2, 3, 6]), event_type=words),
    "Change": made(
        "Change", {"window": durations}, column=columns, stat=st.sampled_from(["difference", "ratio"]), **filters
    ),
    "ReturnRate": made("ReturnRate", {"event_type": word_or_words}, returned=word_or_words, column=columns, **others)
    | made("ReturnRate", {"event_type": word_or_words, "column": columns, "returned": st.none()}),
    "ConversionRate": made(
        "ConversionRate",
        {"event_type": st.just("view") | st.just(["view", "NO"])},
        **{"to": st.just("order") | st.just(["order", "012"]), "within": durations, "on": words, **others},
    ),
    "CutoffCalendar": made("CutoffCalendar", part=st.sampled_from(["month", "weekday", "day_of_year"])),
}
any_aggregate = st.deferred(lambda: st.one_of(list(aggregates.values())))  # whose repr would be pages
of_one_column = any_aggregate.filter(lambda feature: feature.columns == (feature.name,))
roles = ("item_id", "amount", "quantity", "channel", "event_id", "recorded_at")
definitions = {
    **aggregates,
    "Ratio": made("Ratio", dict.fromkeys(("numerator", "denominator"), of_one_column)),
    "Constant": made("Constant", {"value": words}),
    "Roles": made(
        "Roles",
        {"customer_id": st.just("user"), "timestamp": st.just("yes")},
        event_type=st.just("kind") | made("Constant", {"value": words}),
        timezone=st.sampled_from(["UTC", "Europe/Berlin"]),
        **{role: st.just(f"the {role}") for role in roles},
    ),
    "Keep": selection("Keep"),
    "Drop": selection("Drop"),
    "DropMissing": made("DropMissing", {"column": columns}),
    "DropDuplicates": made("DropDuplicates", columns=st.lists(columns, min_size=1)),
    "KeepBetween": made(
        "KeepBetween", {"column": columns, "maximum": st.integers() | st.just("2025-01-01")}, minimum=st.floats(-9, 9)
    ),
    "FeatureSet": st.lists(any_aggregate, min_size=1, max_size=4, unique_by=lambda feature: feature.name).map(
        cm.FeatureSet
    ),
    "Population": made("Population", event_type=word_or_words, active_within=durations),
    "Rule": made("Rule", {"name": words, "feature": any_aggregate}, ascending=st.booleans(), scale=st.floats(0, 1)),
    **{name: target(name) for name in ("Churn", "Repurchase", "NextItems")},
    "Spend": target("Spend", column=columns),
    "Subscribers": made(
        "Subscribers", {"event_type": word_or_words, "active_within": durations}, ended_by=st.just("the end")
    ),
    "SubscriptionChurn": made(
        "SubscriptionChurn",
        {"horizon": durations, "event_type": word_or_words, "active_within": durations},
        ended_by=st.just(["the end", "no more"]),
    ),
    "ItemWeights": made(
        "ItemWeights",
        weights=st.dictionaries(words, st.floats(0.001, 9), min_size=1, max_size=3),
        window=durations,
        half_life=durations,
    ),
    "Assumption": made("Assumption", {"value": st.floats(0.001, 9)}, source=words)
    | made("Assumption", {"value": st.floats(1, 2), "low": st.floats(0.1, 1), "high": st.integers(2, 9)}),
    "Coupon": made("Coupon", {"name": words, "discount": st.floats(0, 9)}, cost=st.floats(0, 9)),
    **strategies_tags.definitions,
}
segmenters = ("BehaviourSegmenter", "Lookalikes", "RFMSegmenter", "SuggestedSegments", "ValueTiers")
learners = ("ChurnClassifier", "LifetimeValueRegressor", *segmenters, *RECOMMENDERS, "Fallback", "NextBestOffer")
lifetimes = ("BGNBD", "MBGNBD", "ParetoNBD", "GammaGamma", "ShiftedBetaGeometric", "BetaGeometricBetaBinomial")
estimators = [name for name in (*learners, *lifetimes) if name in cm._HOME_OF]
plain = st.recursive(
    st.none() | scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3)
)


@st.composite
def any_estimator(draw: Draw, name: str) -> Any:
    """An estimator with some parameters changed to anything: constructors do not judge, `fit` does."""
    make = getattr(cm, name)
    names = list(inspect.signature(make).parameters)
    return make(**draw(st.dictionaries(st.sampled_from(names), plain, max_size=len(names)))) if names else make()


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Definition):
        return type(one) is type(other) and one == other and repr(one) == repr(other)
    # A mapping may come back as one of the same content, so estimators are compared by what they print.
    return type(one) is type(other) and repr(one.get_params()) == repr(other.get_params())


def assert_there_and_back(value: Any) -> None:
    data = cm.to_data(value)
    assert same(cm.from_data(data), value)
    assert same(cm.from_data(json.loads(json.dumps(data))), value)
    assert same(cm.from_data(cm.load_yaml(cm.dump_yaml(value))), value)


@pytest.mark.parametrize("name", sorted(definitions))
def test_every_definition_goes_there_and_back(name: str) -> None:
    @given(definitions[name])
    def law(value: Any) -> None:
        assert_there_and_back(value)
        namespace = {**{known: getattr(cm, known) for known in definitions}, "inf": float("inf")}
        assert eval(repr(value), namespace) == value

    law()


@pytest.mark.parametrize("name", estimators)
def test_every_estimator_goes_there_and_back(name: str) -> None:
    @given(any_estimator(name))
    def law(value: Any) -> None:
        assert_there_and_back(value)

    law()


def test_every_public_constructor_is_tested_here() -> None:
    found = {name for name in cm._HOME_OF if name[0].isupper() and cm._HOME_OF[name] != "errors"}
    makes_values = {
        name for name in found if issubclass(getattr(cm, name), Definition) or hasattr(getattr(cm, name), "get_params")
    }
    assert makes_values == {*definitions, *estimators}


@given(st.dictionaries(words, plain, max_size=3) | st.lists(plain))
def test_plain_data_goes_there_and_back_whatever_its_keys(data: Any) -> None:
    assert cm.from_data(cm.to_data(data)) == data
    assert cm.from_data(cm.load_yaml(cm.dump_yaml(data))) == data


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (cm.Recency, {"Recency": {}}),
        (lambda: cm.Constant("purchase"), {"Constant": "purchase"}),
        (lambda: cm.Sum("amount"), {"Sum": "amount"}),
        (lambda: cm.Sum("amount", window="90d"), {"Sum": {"column": "amount", "window": "90d"}}),
        (
            lambda: cm.FeatureSet([cm.Recency(), cm.Sum("amount")]),
            {"FeatureSet": [{"Recency": {}}, {"Sum": "amount"}]},
        ),
        (lambda: cm.Count(where={"plan": "gold"}), {"Count": {"where": {"plan": "gold"}}}),
        # "Count" could be taken for the class, and "Plan" for a class of a later version.
        (lambda: cm.Count(where={"Count": 3}), {"Count": {"where": {"dict": {"Count": 3}}}}),
        (lambda: cm.Count(where={"Plan": "gold"}), {"Count": {"where": {"dict": {"Plan": "gold"}}}}),
        (lambda: cm.Count(where={"Plan": "gold", "Age": 3}), {"Count": {"where": {"Age": 3, "Plan": "gold"}}}),
        (cm.ChurnClassifier, {"ChurnClassifier": {}}),
        (lambda: cm.ChurnClassifier(num_leaves=9), {"ChurnClassifier": {"num_leaves": 9}}),
        (lambda: [pd.Timestamp("2024-01-31", tz="UTC")], ["2024-01-31T00:00:00+00:00"]),
        (
            lambda: (date(2024, 1, 31), datetime(2024, 1, 31, 12, tzinfo=UTC)),
            ["2024-01-31", "2024-01-31T12:00:00+00:00"],
        ),
        (lambda: {"n": np.int64(3), "path": Path("a/b")}, {"n": 3, "path": "a/b"}),
    ],
)
def test_the_data_of_a_value(value: Callable[[], Any], data: Any) -> None:
    assert cm.to_data(value()) == data


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"Recency": None}, "Recency()"),  # `Recency:` in YAML
        ({"Sum": {"column": "amount"}}, "Sum('amount')"),
        ({"FeatureSet": {"Recency": None}}, None),
        ({"Count": {"where": {"Plan": "gold"}}}, "Count(where={'Plan': 'gold'})"),
        ({"Count": {"where": {"dict": "gold"}}}, "Count(where={'dict': 'gold'})"),
        (
            {"as_of": {"cutoffs": {"start": "2024-01-01", "end": "2024-01-31", "every": "30d"}}},
            f"{{'as_of': {(pd.Timestamp('2024-01-01', tz='UTC'), pd.Timestamp('2024-01-31', tz='UTC'))!r}}}",
        ),
        ({"weights": {"cutoffs": 1.0}}, "{'weights': {'cutoffs': 1.0}}"),
        ({"weights": {"open_prepared": 1.0}}, "{'weights': {'open_prepared': 1.0}}"),
    ],
)
def test_what_is_built(data: Any, code: str | None) -> None:
    if code is None:
        with pytest.raises(ConfigError, match=r"^FeatureSet: features must be a list"):
            cm.from_data(data)
    else:
        assert repr(cm.from_data(data)) == code


NO_SUCH = "that a configuration can make."


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"features": [{"Recency": {}}, {"Count": {"windw": "30d"}}]},
            "job.yaml: features[1].Count: no parameter 'windw'. Did you mean 'window'?",
        ),
        (
            {"Recency": {"zzz": 1}},
            "job.yaml: Recency: no parameter 'zzz'. Its parameters are: event_type, channel, where, window.",
        ),
        (
            {"target": {"Chrun": {"horizon": "60d"}}},
            (
                f"job.yaml: target: no public class 'Chrun' {NO_SUCH} Did you mean 'Churn'? "
                "For a plain mapping with this key write {dict: {Chrun: ...}}."
            ),
        ),
        (
            {"features": [{"Smu": "amount"}]},
            (
                f"job.yaml: features[0]: no public class 'Smu' {NO_SUCH} Did you mean 'Sum'? "
                "For a plain mapping with this key write {dict: {Smu: ...}}."
            ),
        ),
        (
            {"a": {"_Private": {}}},
            (
                f"job.yaml: a: no public class '_Private' {NO_SUCH} "
                "For a plain mapping with this key write {dict: {_Private: ...}}."
            ),
        ),
        (
            {"a": {"ConfigError": {}}},
            (
                f"job.yaml: a: no public class 'ConfigError' {NO_SUCH} "
                "For a plain mapping with this key write {dict: {ConfigError: ...}}."
            ),
        ),
        (
            {"a": {"train": {}}},
            (
                "job.yaml: a: 'train' is a function: a configuration calls only `cutoffs` and `open_prepared`. "
                "Name a class, or call the function from Python."
            ),
        ),
        (
            {"target": {"Churn": {"event_type": "purchase"}}},
            "job.yaml: target.Churn: the parameter 'horizon' is missing. Add `horizon: ...` to Churn.",
        ),
        (
            {"a": {"Recency": "purchase"}},
            (
                "job.yaml: a.Recency: 'purchase' stands without a name. "
                "Name its parameter, one of: event_type, channel, where, window."
            ),
        ),
        (
            {"log": {"event_type": {"Constant": ""}, "x": 1}},
            "job.yaml: log.event_type.Constant: value must be a non-empty text, not ''. Use Constant('purchase').",
        ),
        ({1: 2}, "job.yaml: the key 1 is no text. Use a text such as '1'."),
    ],
)
def test_what_cannot_be_built_says_where_and_what_to_do(data: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cm.from_data(data, where="job.yaml")
    assert str(caught.value) == message


def test_an_error_of_another_kind_keeps_its_kind_and_gets_its_place(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user,ts\n1,2024-01-01T00:00:00Z\n")
    data = {"log": {"InteractionLog": {"source": str(path), "customer_id": "usr", "timestamp": "ts"}}}
    with pytest.raises(SchemaError, match=r"^job\.yaml: log\.InteractionLog: .*'usr'.* Did you mean 'user'\?"):
        cm.from_data(data, where="job.yaml")


@pytest.mark.parametrize("value", [object(), cm.Count, {1, 2}, b"bytes", lambda: None])
def test_what_is_no_definition_is_not_written(value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        cm.to_data([value])
    assert str(caught.value) == (
        f"{value!r} cannot be written as data: {type(value).__name__} is no definition or estimator of crmml. "
        "Use the classes that crmml lists in dir(crmml)."
    )


def test_completed_writes_every_default_out() -> None:
    assert completed({"features": [{"Sum": "amount"}], "as_of": "2024-01-01"}) == {
        "features": [{"Sum": {"column": "amount", "event_type": None, "channel": None, "where": None, "window": None}}],
        "as_of": "2024-01-01",
    }


@given(definitions["FeatureSet"] | definitions["Roles"])
def test_the_completed_version_means_the_same(value: Any) -> None:
    assert cm.from_data(completed(cm.to_data(value))) == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory. Give the path of a YAML file."),
        (b"", "is empty. Write keyword: value, one per line, such as `features: rfm`."),
        (b"[1]", "holds a list. Write keyword: value, one per line, such as `features: rfm`."),
        (b"a: \xff", "byte 3 is not UTF-8. Save the file as UTF-8."),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "job.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        cm.load_config(path)
    assert str(caught.value) == f"{path}: {message}"


def test_a_config_is_built_keyword_by_keyword(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("features: [Recency: {event_type: purchase}]\ntarget: {Churn: {horizon: 60d}}\nk: 10\n")
    assert cm.load_config(path) == {
        "features": [cm.Recency(event_type="purchase")],
        "target": cm.Churn("60d"),
        "k": 10,
    }
    assert read_config(path)["k"] == 10


def test_a_mistake_in_a_file_is_found_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("features: rfm\nfeatures: standard\n")
    with pytest.raises(ConfigError) as caught:
        cm.load_config(path)
    assert str(caught.value) == (
        f"{path}:2:1: the key 'features' stands here for the second time. Keep one of the two."
    )

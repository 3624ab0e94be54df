"""Tags: the first rule that matches wins, tags may stand on tags, and what refers to nothing is refused by name."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.insight.conditions import as_condition

NAN = float("nan")
VALUES = [NAN, -1.0, 0.0, 1.0, 2.5, 10.0]
# condition -> whether it holds for each of VALUES
TRUTH: dict[Any, list[bool]] = {
    cm.AtLeast(1): [False, False, False, True, True, True],
    cm.Above(1): [False, False, False, False, True, True],
    cm.AtMost(1): [False, True, True, True, False, False],
    cm.Below(1): [False, True, True, False, False, False],
    cm.Between(0, 2.5): [False, False, True, True, False, False],
    cm.Missing(): [True, False, False, False, False, False],
    cm.Not(cm.Missing()): [False, True, True, True, True, True],
    cm.Not(cm.AtLeast(1)): [True, True, True, False, False, False],
    cm.Not((1, 10)): [True, True, True, False, True, False],
    1: [False, False, False, True, False, False],
    (0, 10): [False, False, True, False, False, True],
}


def table(**columns: Any) -> pd.DataFrame:
    rows = len(next(iter(columns.values())))
    return pd.DataFrame({"customer_id": range(rows), "as_of": pd.Timestamp("2024-06-01", tz="UTC"), **columns})


def one(condition: Any, name: str = "x") -> cm.TagSet:
    return cm.TagSet([cm.Tag("tag", [cm.TagRule("yes", where={name: condition})])])


def holds(condition: Any, values: Any) -> list[bool]:
    return list(one(condition).assign(table(x=values))["tag"].notna())


@pytest.mark.parametrize("condition", TRUTH, ids=repr)
@pytest.mark.parametrize("dtype", ["float64", "Float64", "double[pyarrow]"])
def test_conditions_on_numbers(condition: Any, dtype: str) -> None:
    values = pd.Series([None, *VALUES[1:]], dtype=dtype)
    assert holds(condition, values) == TRUTH[condition]


def test_whole_numbers_compare_exactly() -> None:
    """2 ** 53 + 1 is no double: as doubles both values would be 2 ** 53."""
    large = [2**53, 2**53 + 1]
    for dtype in ("int64", "Int64", "UInt64"):
        assert holds(cm.Above(2**53), pd.Series(large, dtype=dtype)) == [False, True], dtype


@pytest.mark.parametrize("dtype", ["object", "string", "category", "string[pyarrow]"])
def test_conditions_on_texts(dtype: str) -> None:
    values = pd.Series(["web", None, "shop", "web", ""], dtype=dtype)
    assert holds("web", values) == [True, False, False, True, False]
    assert holds(["shop", ""], values) == [False, False, True, False, True]
    assert holds(cm.Not("web"), values) == [False, True, True, False, True]
    assert holds(cm.Missing(), values) == [False, True, False, False, False]


def test_truth_values_are_numbers() -> None:
    assert holds(True, pd.Series([True, False, None], dtype="boolean")) == [True, False, False]
    assert holds(cm.AtLeast(1), np.array([True, False])) == [True, False]


@pytest.mark.parametrize("condition", [cm.AtLeast(1), "web", 1, cm.Between(0, 1)], ids=repr)
def test_a_column_of_nothing_meets_nothing(condition: Any) -> None:
    assert holds(condition, [None, None]) == [False, False]


def test_moments_can_be_missing_and_nothing_else() -> None:
    assert holds(cm.Missing(), pd.to_datetime(["2024-01-01", None])) == [False, True]


SPENDER = cm.Tag(
    "spender",
    [
        cm.TagRule("big", where={"x": cm.AtLeast(5)}),
        cm.TagRule("odd", where={"x": cm.AtLeast(0), "channel": "web"}),
        cm.TagRule("small", where={"x": cm.AtLeast(0)}),
        cm.TagRule("big", where={"channel": "shop"}),
    ],
)


def test_the_first_rule_that_matches_wins() -> None:
    given_ = table(x=[9, 9, 3, 3, -1, -1], channel=["web", "shop", "web", "shop", "shop", "web"])
    found = cm.TagSet([SPENDER]).assign(given_)["spender"]
    assert found.astype(object).fillna("-").tolist() == ["big", "big", "odd", "small", "big", "-"]
    assert found.cat.categories.tolist() == ["big", "odd", "small"]  # in the order of the rules, each once


def test_a_rule_without_conditions_is_for_everybody_else() -> None:
    tag = cm.Tag("tag", [cm.TagRule("known", where={"x": cm.AtLeast(0)}), cm.TagRule("unknown")])
    assert cm.TagSet([tag]).assign(table(x=[1.0, NAN]))["tag"].tolist() == ["known", "unknown"]


def test_tags_stand_on_tags_in_any_order() -> None:
    top = cm.Tag("top", [cm.TagRule("yes", where={"middle": "yes"})])
    middle = cm.Tag("middle", [cm.TagRule("yes", where={"base": cm.Not("low"), "x": cm.Below(9)})])
    base = cm.Tag("base", [cm.TagRule("low", where={"x": cm.Below(2)})])
    found = cm.TagSet([top, middle, base]).assign(table(x=[1, 5, 9]))
    assert list(found) == ["customer_id", "as_of", "top", "middle", "base"]
    assert found["top"].notna().tolist() == [False, True, False]
    pd.testing.assert_frame_equal(found, cm.TagSet([base, middle, top]).assign(table(x=[1, 5, 9]))[list(found)])


def test_the_index_of_build_features_and_arrow_are_taken() -> None:
    plain = table(x=[9, 1], channel=["web", "web"])
    expected = cm.TagSet([SPENDER]).assign(plain)
    for same in (plain.set_index(["customer_id", "as_of"]), pa.Table.from_pandas(plain, preserve_index=False)):
        pd.testing.assert_frame_equal(cm.TagSet([SPENDER]).assign(same), expected)


NUMBERS = st.lists(st.one_of(st.integers(-3, 12), st.none()), min_size=1, max_size=12)
RULES = st.lists(
    st.builds(
        cm.TagRule,
        st.sampled_from(["a", "b", "c"]),
        st.dictionaries(
            st.sampled_from(["x", "y"]), st.sampled_from([key for key in TRUTH if key != 1]), min_size=1, max_size=2
        ),
    ),
    min_size=1,
    max_size=4,
)


@given(RULES, NUMBERS, st.randoms(use_true_random=False))
def test_rows_are_judged_one_by_one(rules: list[cm.TagRule], xs: list[Any], random: Any) -> None:
    """Against rules in plain Python, on every row alone, in any order."""
    values = pd.DataFrame({"x": xs, "y": xs[::-1]}, dtype="float64")
    tags = cm.TagSet([cm.Tag("tag", rules)])

    def expected(row: Any) -> Any:
        for rule in rules:
            if all(meets(condition, row[column]) for column, condition in (rule.where or {}).items()):
                return rule.value
        return None

    found = tags.assign(table(x=values["x"], y=values["y"]))
    assert [None if pd.isna(value) else value for value in found["tag"]] == [
        expected(row) for row in values.to_dict("records")
    ]
    order = list(range(len(values)))
    random.shuffle(order)
    mixed = tags.assign(table(x=values["x"], y=values["y"]).iloc[order])
    assert dict(zip(mixed["customer_id"], mixed["tag"].astype(object).fillna("-"), strict=True)) == dict(
        zip(found["customer_id"], found["tag"].astype(object).fillna("-"), strict=True)
    )


def meets(condition: Any, value: float) -> bool:
    """A condition on one number, by its words."""
    if isinstance(condition, cm.Not):
        return not meets(condition.condition, value)
    if isinstance(condition, cm.Missing):
        return value != value
    if isinstance(condition, cm.Between):
        return condition.low <= value < condition.high
    compare = {cm.AtLeast: value.__ge__, cm.Above: value.__gt__, cm.AtMost: value.__le__, cm.Below: value.__lt__}
    if type(condition) in compare:
        return compare[type(condition)](float(condition.value)) is True
    return value in (condition if isinstance(condition, tuple) else (condition,))


def test_tags_survive_yaml_and_print_as_code() -> None:
    tags = cm.TagSet([SPENDER, cm.Tag("all", [cm.TagRule("yes", where={"spender": cm.Not(["big", "odd"])})])])
    assert cm.from_data(cm.load_yaml(cm.dump_yaml(tags))) == tags
    assert repr(tags.tags[1]) == "Tag('all', [TagRule('yes', where={'spender': Not(['big', 'odd'])})])"


def test_describe_says_all_rules_in_words() -> None:
    found = cm.TagSet([SPENDER]).describe()
    assert found["words"].tolist() == ["x >= 5", "channel is web and x >= 0", "x >= 0", "channel is shop"]
    assert as_condition(cm.Not(cm.Between(1, 2)), "").words("x") == "not (1 <= x < 2)"


def rule(value: str = "yes", **where: Any) -> cm.TagRule:
    return cm.TagRule(value, where=where or None)


WITH_X = table(x=[1.0], channel=["web"], when=pd.to_datetime(["2024-01-01"]))
REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "a column that is not there": (
        lambda: one(cm.AtLeast(1), "chanel").assign(WITH_X),
        cm.ConfigError,
        "Tag('tag'): rule 1 ('yes') refers to 'chanel', which is neither a column nor a tag. Did you mean 'channel'? "
        "There is: 'x', 'channel', 'when', 'tag'.",
    ),
    "a value that a tag never has": (
        lambda: cm.TagSet([SPENDER, cm.Tag("top", [rule(spender="bigg")])]),
        cm.ConfigError,
        "Tag('top'): rule 1 ('yes') asks whether 'spender' is 'bigg', which it never is. Did you mean 'big'? "
        "Its values are: 'big', 'odd', 'small'.",
    ),
    "the same behind a Not": (
        lambda: cm.TagSet([SPENDER, cm.Tag("top", [rule(spender=cm.Not(["big", "none"]))])]),
        cm.ConfigError,
        "Tag('top'): rule 1 ('yes') asks whether 'spender' is 'none', which it never is. "
        "Its values are: 'big', 'odd', 'small'.",
    ),
    "a circle": (
        lambda: cm.TagSet(
            [cm.Tag("a", [rule(b=cm.Missing())]), cm.Tag("b", [rule(c="yes")]), cm.Tag("c", [rule(b="yes")])]
        ),
        cm.ConfigError,
        "TagSet: tags use each other in a circle: b -> c -> b. Let 'b' look at features only.",
    ),
    "itself": (
        lambda: cm.TagSet([cm.Tag("a", [rule(a=cm.Missing())])]),
        cm.ConfigError,
        "TagSet: tags use each other in a circle: a -> a. Let 'a' look at features only.",
    ),
    "a name twice": (
        lambda: cm.TagSet([SPENDER, SPENDER]),
        cm.ConfigError,
        "TagSet: two tags are called 'spender'. Rename one, or make one of them of both.",
    ),
    "the name of a column": (
        lambda: cm.TagSet([cm.Tag("x", [rule(channel="web")])]).assign(WITH_X),
        cm.ConfigError,
        "Tag('x'): the table has such a column already. Rename the tag.",
    ),
    "no tags": (lambda: cm.TagSet([]), cm.ConfigError, "TagSet: tags is []. Use a list with at least one Tag."),
    "no tag": (
        lambda: cm.TagSet(["big"]),  # type: ignore[list-item]
        cm.ConfigError,
        "TagSet: tags[0] is 'big'. Use Tag('spender', rules=[...]).",
    ),
    "no rules": (
        lambda: cm.Tag("a", []),
        cm.ConfigError,
        "Tag('a'): rules is []. Use a list with at least one TagRule.",
    ),
    "no rule": (
        lambda: cm.Tag("a", ["big"]),  # type: ignore[list-item]
        cm.ConfigError,
        "Tag('a'): rule 1 is 'big'. Use TagRule('big', where={...}).",
    ),
    "a rule that nobody reaches": (
        lambda: cm.Tag("a", [rule("all"), rule("some", x=1)]),
        cm.ConfigError,
        "Tag('a'): rule 1 ('all') is for everybody, and 1 come after it. Put it last, or give it conditions.",
    ),
    "the name of a key": (
        lambda: cm.Tag("as_of", [rule()]),
        cm.ConfigError,
        "Tag: name is 'as_of'. Use a text of its own, such as Tag('spender', rules=[...]).",
    ),
    "a value that is no text": (
        lambda: cm.TagRule(1),  # type: ignore[arg-type]
        cm.ConfigError,
        "TagRule: value is 1. Use a text, such as TagRule('big', where=...).",
    ),
    "conditions in a list": (
        lambda: cm.TagRule("big", where=[cm.AtLeast(1)]),  # type: ignore[arg-type]
        cm.ConfigError,
        "TagRule: where is [AtLeast(1)]. Use a mapping: where={'recency': AtMost(30)}.",
    ),
    "a condition that is none": (
        lambda: rule(x=None),
        cm.ConfigError,
        "TagRule('yes'): where['x']: None is no condition. Use a value such as 'web', a list of texts or of numbers, "
        "or for example AtLeast(3).",
    ),
    "values of two kinds": (
        lambda: rule(x=["web", 1]),
        cm.ConfigError,
        "TagRule('yes'): where['x']: ['web', 1] is no condition. Use a value such as 'web', a list of texts or of "
        "numbers, or for example AtLeast(3).",
    ),
    "a bound that is none": (
        lambda: cm.AtLeast(NAN),
        cm.ConfigError,
        "AtLeast: value is nan. Use a finite number, such as AtLeast(1).",
    ),
    "a bound in words": (
        lambda: cm.Below("10"),  # type: ignore[arg-type]
        cm.ConfigError,
        "Below: value is '10'. Use a finite number, such as Below(1).",
    ),
    "a range upside down": (
        lambda: cm.Between(10, 1),
        cm.ConfigError,
        "Between: low=10 is not below high=1: no number would lie between them. Use Between(1, 10).",
    ),
    "an empty range": (
        lambda: cm.Between(1, 1),
        cm.ConfigError,
        "Between: low and high are both 1, and high itself is not in the range. For one number write it alone: 1.",
    ),
    "a number compared with texts": (
        lambda: one(cm.AtLeast(1), "channel").assign(WITH_X),
        cm.SchemaError,
        "Tag('tag'): rule 1 ('yes'): 'channel' holds texts, and AtLeast(1) compares numbers. Use a column of numbers, "
        "or name the values, such as ['web', 'shop'].",
    ),
    "a text compared with numbers": (
        lambda: one("web").assign(WITH_X),
        cm.SchemaError,
        "Tag('tag'): rule 1 ('yes'): 'x' holds numbers, and 'web' is never one of them. Compare it with numbers, "
        "such as AtLeast(1).",
    ),
    "a number among moments": (
        lambda: one(cm.AtLeast(1), "when").assign(WITH_X),
        cm.SchemaError,
        f"Tag('tag'): rule 1 ('yes'): 'when' holds values of the type {WITH_X['when'].dtype}, and AtLeast(1) compares "
        "numbers. Use a column of numbers, or name the values, such as ['web', 'shop'].",
    ),
    "no cutoff": (
        lambda: one(1).assign(WITH_X.drop(columns="as_of")),
        cm.SchemaError,
        "TagSet.assign: the table has no 'as_of'. Add it: table.assign(as_of='2024-06-01').",
    ),
    "no customer": (
        lambda: one(1).assign(WITH_X.rename(columns={"customer_id": "customerid"})),
        cm.SchemaError,
        "TagSet.assign: the table has no 'customer_id'. Did you mean 'customerid'? "
        "Add it: table.assign(customer_id=range(len(table))).",
    ),
    "a column twice": (
        lambda: one(1).assign(pd.concat([WITH_X, WITH_X[["x"]]], axis=1)),
        cm.SchemaError,
        "TagSet.assign: two columns are called 'x'. Rename one of them.",
    ),
    "no table": (
        lambda: one(1).assign([1, 2]),  # type: ignore[arg-type]
        cm.SchemaError,
        "TagSet.assign: the table is a list. Use a pandas frame or an Arrow table.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_by_name(name: str) -> None:
    make, error, message = REFUSED[name]
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        make()

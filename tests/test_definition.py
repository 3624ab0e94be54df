"""Definitions print as the code that makes them, compare by value, and cannot be changed."""

from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmml.definition import Definition, FrozenMapping, freeze, non_defaults
from crmml.errors import ConfigError


@dataclass(frozen=True, repr=False)
class Total(Definition):
    column: str
    window: str | None = None
    where: Mapping[str, Any] | None = None
    columns: Any = ()
    scale: float = 1.0
    keep: bool = field(default=True, kw_only=True)


@dataclass(frozen=True, repr=False, kw_only=True)
class Keywords(Definition):
    column: str
    inner: Any = None


@pytest.mark.parametrize(
    "code",
    [
        "Total('amount')",
        "Total('amount', window='90d')",
        "Total('amount', where={'plan': ['gold', 'free']})",
        "Total('amount', columns=['a', 'b'])",
        "Total('amount', columns=[['a'], []])",
        'Total("o\'brien", scale=2.0, keep=False)',
        "Keywords(column='amount', inner=Total('a', where={'x': [1, True]}))",
    ],
)
def test_a_definition_prints_as_the_code_that_makes_it(code: str) -> None:
    assert repr(eval(code)) == code


def test_defaults_are_left_out_also_where_they_are_given() -> None:
    assert repr(Total("amount", window=None, columns=[], scale=1.0, keep=True)) == "Total('amount')"


def test_an_argument_of_another_type_is_not_the_default() -> None:
    # 1 == 1.0 == True in Python, but the code that was written is another.
    assert non_defaults(Total("amount", scale=1)) == {"column": "amount", "scale": 1}
    assert repr(Total("amount", scale=True)) == "Total('amount', scale=True)"


def test_definitions_compare_and_hash_by_value() -> None:
    one, same = (Total("amount", where={"b": 1, "a": ["x"]}), Total("amount", where={"a": ("x",), "b": 1}))
    assert one == same
    assert hash(one) == hash(same)
    assert repr(one) == repr(same)
    assert one != Total("amount", where={"b": 1, "a": ["y"]})
    assert Total("amount") != Keywords(column="amount")  # type: ignore[comparison-overlap]


def test_definitions_cannot_be_changed_not_even_through_what_they_were_given() -> None:
    values = ["gold"]
    where = {"plan": values}
    total = Total("amount", where=where)
    values.append("free")
    where["country"] = ["DE"]
    assert total.where == {"plan": ("gold",)}
    with pytest.raises(FrozenInstanceError):
        total.column = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        total.where["plan"] = "free"  # type: ignore[index]


def test_numpy_scalars_become_pythons() -> None:
    frozen = freeze([np.int64(3), np.float64(0.5), np.str_("a"), np.bool_(True)])
    assert frozen == (3, 0.5, "a", True)
    assert [type(value) for value in frozen] == [int, float, str, bool]


@pytest.mark.parametrize("key", [1, None, True, 1.5, ("a",)])
def test_a_mapping_is_keyed_by_texts(key: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Total("amount", where={key: 1})
    assert str(caught.value) == f"the key {key!r} is no text. Use a text such as '{key}'."


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
contents = st.dictionaries(st.text(), scalars | st.lists(scalars))


@given(contents)
def test_a_frozen_mapping_is_equal_to_its_dict_and_hashes_by_value(content: dict[str, Any]) -> None:
    frozen = FrozenMapping(content)
    backwards = FrozenMapping(dict(reversed(list(content.items()))))
    assert frozen == content
    assert content == frozen
    assert hash(frozen) == hash(backwards)
    assert repr(frozen) == repr(backwards)
    assert freeze(frozen) is frozen
    assert eval(repr(frozen), {"inf": float("inf")}) == {key: content[key] for key in sorted(content)}


def test_a_frozen_mapping_is_no_list_and_no_mapping_with_other_keys() -> None:
    assert FrozenMapping({"a": 1}) != ["a"]
    assert FrozenMapping({"1": 1}) != {1: 1}

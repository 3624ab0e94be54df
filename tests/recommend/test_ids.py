"""Identifiers: their order, their types, and that no two of them are ever taken for one."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmml.errors import DataError, SchemaError
from crmml.recommend.ids import as_ids, look_up, nearest, sorted_codes, to_array

# Everything that UTF-8 can hold, NULs inside too, but not at the end (those are refused).
texts = st.lists(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda t: not t.endswith("\0")), min_size=1)
numbers = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1)


@given(texts | numbers)
def test_codes_are_places_among_the_sorted_distinct_ids(values: list[Any]) -> None:
    codes, distinct = sorted_codes(as_ids(values, "ids"))
    assert distinct.tolist() == sorted(set(values))
    assert [distinct.tolist()[code] for code in codes] == values
    assert look_up(distinct, as_ids(values, "ids"), "ids").tolist() == codes.tolist()


@given(texts | numbers)
def test_stored_arrays_give_the_ids_back(values: list[Any]) -> None:
    array = to_array(as_ids(values, "ids"))
    assert array.dtype.kind in "iU"
    assert array.tolist() == values


@given(texts)
def test_containers_of_texts_are_equal(values: list[str]) -> None:
    expected = as_ids(values, "ids")
    for container in (tuple(values), pd.Series(values), pd.Series(values, dtype=object), pd.Index(values)):
        assert as_ids(container, "ids").equals(expected)


def test_an_unknown_id_has_no_place() -> None:
    known = sorted_codes(as_ids(["a", "b"], "ids"))[1]
    assert look_up(known, as_ids(["b", "", "c", "A"], "ids"), "ids").tolist() == [1, -1, -1, -1]


@pytest.mark.parametrize(("unknown", "hint"), [(-5, 10), (10**15, 30), (14, 10), (16, 20), (15, 10)])
def test_the_nearest_number(unknown: int, hint: int) -> None:
    assert nearest(pd.Index([10, 20, 30]), unknown) == f" Did you mean {hint}?"


def test_the_nearest_text_is_found_quickly_in_a_large_catalogue() -> None:
    known = pd.Index([f"sku-{number:07}" for number in range(200_000)])
    assert nearest(known, "sku-0100000x") == " Did you mean 'sku-0100000'?"


MISSING = "ids: 1 of 2 ids are missing, first in row 1. Drop these rows."


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (5, SchemaError, "ids: 5 is not a list of ids. Use [5]."),
        ("ann", SchemaError, "ids: 'ann' is not a list of ids. Use ['ann']."),
        ([1, None], DataError, "ids: 1 of 2 ids are missing, first in row 1. Drop these rows."),
        (
            pd.Series([1, None], dtype="Int64"),
            DataError,
            "ids: 1 of 2 ids are missing, first in row 1. Drop these rows.",
        ),
        ([True], SchemaError, "ids: ids of type bool (first: Xxxx). Use whole numbers or text."),
        ([(1, 2)], SchemaError, "ids: ids of type mixed (first: (9, 9)). Use whole numbers or text."),
        ([b"a"], SchemaError, "ids: ids of type bytes (first: x'x'). Use whole numbers or text."),
        ([2**70], SchemaError, "ids: a number does not fit into 64 bits. Use text."),
        (
            pd.to_datetime(["2024-01-01"]),
            SchemaError,
            "ids: ids of type datetime64[us] (first: 9999-99-99 99:99:99). Use whole numbers or text.",
        ),
        (np.array([[1, 2]]), SchemaError, "ids: an array of shape (1, 2) is not a list of ids. Use one dimension."),
    ],
)
def test_other_things_are_no_ids(values: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        as_ids(values, "ids")
    assert str(caught.value) == message

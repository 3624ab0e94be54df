"""Recency for the ranker: against plain Python, folded, stored and read."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmml.errors import BundleError
from crmml.recommend._fold import merged
from crmml.recommend._recency import LATELY, NAMES, Recency, read, recency_of, width, written
from crmml.recommend.matrix import Interactions

events = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 20)), min_size=1)


def matrix_of(table: list[tuple[int, int, int]], timestamp: str | None = "at") -> Interactions:
    return Interactions.from_frame(pd.DataFrame(table, columns=["customer_id", "item_id", "at"]), timestamp=timestamp)


@settings(max_examples=100)
@given(events)
def test_ages_and_shares_are_those_of_the_events(table: list[tuple[int, int, int]]) -> None:
    matrix = matrix_of(table)
    found = recency_of(matrix)
    assert found is not None
    last, span = max(at for *_, at in table), max(at for *_, at in table) - min(at for *_, at in table)

    def of(rows: list[tuple[int, int, int]]) -> tuple[float, float]:
        ages = [(last - at) / (span or 1) for *_, at in rows]
        return min(ages), sum(age < LATELY for age in ages) / len(ages)

    for at, item in enumerate(matrix.item_ids):
        assert tuple(found.item[at]) == of([row for row in table if row[1] == item])
    for at, who in enumerate(matrix.customer_ids):
        assert tuple(found.customer[at]) == of([row for row in table if row[0] == who])
    pairs = sorted({row[:2] for row in table})
    assert found.pair.tolist() == [of([row for row in table if row[:2] == pair])[0] for pair in pairs]


def test_the_ranker_sees_a_pair_only_where_there_is_one_and_repeats_are_wanted() -> None:
    matrix = matrix_of([(1, 7, 0), (1, 7, 10), (2, 8, 5)])
    found = recency_of(matrix)
    assert found is not None
    who, item = np.array([0, 0, 1]), np.array([0, 1, 1])
    few = found.columns(matrix, who, item, repeats=False)
    assert [column.tolist() for column in few] == [[0, 0.5, 0.5], [0.5, 0, 0], [0, 0, 0.5], [0.5, 0.5, 0]]
    weight, age = found.columns(matrix, who, item, repeats=True)[4:]
    assert weight.tolist() == [2, 0, 1]
    np.testing.assert_array_equal(age, [0, np.nan, 0.5])
    assert (width(None, repeats=True), width(found, repeats=False), width(found, repeats=True)) == (0, 4, 6)


def test_folded_customers_have_no_times_and_the_others_keep_theirs() -> None:
    known = matrix_of([(1, 7, 0), (1, 8, 10), (3, 7, 5), (3, 8, 6)])
    matrix, rows = merged(known, matrix_of([(2, 8, 0), (3, 8, 0)], timestamp=None), "test")
    old = recency_of(known)
    assert old is not None
    new = old.folded(known, matrix, rows)
    np.testing.assert_array_equal(new.customer, [old.customer[0], [np.nan] * 2, [np.nan] * 2])
    np.testing.assert_array_equal(new.pair, [1.0, 0.0, np.nan, np.nan])
    assert new.item is old.item


def test_no_times_are_stored_as_empty_arrays_and_come_back_as_none() -> None:
    matrix = matrix_of([(1, 7, 0), (2, 8, 3)], timestamp=None)
    assert recency_of(matrix) is None
    assert read(written(None), matrix, "test") is None
    found = recency_of(matrix_of([(1, 7, 0), (2, 8, 3)]))
    assert found is not None
    back = read(written(found), matrix, "test")
    assert isinstance(back, Recency)
    for one, other in zip(found, back, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_arrays_of_another_shape_are_damage(name: str) -> None:
    matrix = matrix_of([(1, 7, 0), (2, 8, 3)])
    state = written(recency_of(matrix))
    shape = state[f"recency.{name}"].shape
    with pytest.raises(BundleError) as error:
        read({**state, f"recency.{name}": np.zeros(9)}, matrix, "here")
    assert str(error.value) == (
        f"here: recency.{name} is not floats of shape {shape}. The state is damaged: train the model again."
    )

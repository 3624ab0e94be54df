"""The matrix against a dictionary, and to arrays and back."""

from collections import defaultdict
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmml.errors import DataError, SchemaError
from crmml.recommend.als import ALS
from crmml.recommend.matrix import Interactions

few = settings(max_examples=40)  # every example builds several tables
Rows = list[tuple[int, str, float]]
rows = st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abc"), st.floats(0, 10)), min_size=1)


def frame_of(table: Rows) -> pd.DataFrame:
    return pd.DataFrame(table, columns=["customer_id", "item_id", "weight"])


def matrix_of(table: Rows) -> Interactions:
    return Interactions.from_frame(frame_of(table), weight="weight")


@few
@given(rows)
def test_equals_a_dictionary_of_sums(table: Rows) -> None:
    matrix = matrix_of(table)
    sums: dict[tuple[int, str], Fraction] = defaultdict(Fraction)
    for customer, item, weight in table:
        sums[customer, item] += Fraction(weight)
    customers, items = matrix.customer_ids.tolist(), matrix.item_ids.tolist()
    assert {(who, items[item]) for row, who in enumerate(customers) for item in matrix.seen(row)} == set(sums)
    dense = matrix.weights.toarray()
    for (customer, item), total in sums.items():
        cell = Fraction(float(dense[customers.index(customer), items.index(item)]))
        assert abs(cell - total) <= Fraction(1, 10**12)
    by_item = [float(sum(w for (_, i), w in sums.items() if i == item)) for item in items]
    np.testing.assert_allclose(matrix.popularity, by_item, atol=1e-12)
    with_weight = [any(w > 0 for (c, _), w in sums.items() if c == customer) for customer in customers]
    assert matrix.has_weight.tolist() == with_weight


@few
@given(rows, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_bit(table: Rows, random: Random) -> None:
    shuffled = list(table)
    random.shuffle(shuffled)
    for name, array in matrix_of(table).to_arrays().items():
        np.testing.assert_array_equal(matrix_of(shuffled).to_arrays()[name], array)


@few
@given(rows)
def test_arrays_and_back(table: Rows) -> None:
    matrix = matrix_of(table)
    again = Interactions.from_arrays(matrix.to_arrays(), "test")
    assert again.customer_ids.equals(matrix.customer_ids)
    assert again.item_ids.equals(matrix.item_ids)
    assert (again.weights != matrix.weights).nnz == 0
    assert again.popular.tolist() == matrix.popular.tolist()


PURCHASES = pd.DataFrame({"user": ["b", "a", "b", "b"], "sku": [7, 7, 9, 7], "at": [3, 1, 2, 1]})
HOURS = pd.Timestamp(0) + pd.to_timedelta(PURCHASES["at"], unit="h")


def purchases(**columns: Any) -> Interactions:
    return Interactions.from_frame(PURCHASES.assign(**columns), customer_id="user", item_id="sku", timestamp="at")


def test_without_weights_every_row_counts_one() -> None:
    assert purchases().weights.toarray().tolist() == [[1, 0], [2, 1]]
    assert Interactions.from_frame(PURCHASES, customer_id="user", item_id="sku").events is None


@pytest.mark.parametrize(
    ("at", "time", "dated"),
    [
        (PURCHASES["at"], [1.0, 1.0, 2.0, 3.0], False),
        # Hours after 1970, in microseconds; the second in another zone.
        (HOURS, [3_600_000_000 * hour for hour in (1, 1, 2, 3)], True),
        (
            HOURS.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
            [3_600_000_000 * hour for hour in (1, 1, 2, 3)],
            True,
        ),
    ],
    ids=["numbers", "dates", "zone"],
)
def test_events_stand_in_the_order_of_time(at: pd.Series, time: list[float], dated: bool) -> None:
    events = purchases(at=at).events
    assert events is not None
    assert (events.customer.tolist(), events.item.tolist()) == ([0, 1, 1, 1], [0, 0, 1, 0])
    assert (events.time.tolist(), events.weight.tolist(), events.dated) == (time, [1.0] * 4, dated)


@few
@given(rows, st.randoms(use_true_random=False))
def test_events_at_the_same_time_do_not_stand_by_row(table: Rows, random: Random) -> None:
    def order(of: Rows) -> list[tuple[Any, ...]]:
        frame = frame_of(of).assign(at=0)
        events = Interactions.from_frame(frame, weight="weight", timestamp="at").events
        assert events is not None
        return list(zip(events.customer, events.item, events.weight, strict=True))

    shuffled = list(table)
    random.shuffle(shuffled)
    assert order(shuffled) == order(table) == sorted(order(table))


def test_a_recommender_learns_the_same_from_the_table_and_from_interactions() -> None:
    table = frame_of([(1, "a", 2.0), (1, "b", 0.5), (2, "b", 1.0), (3, "c", 1.0)])
    made = Interactions.from_frame(table, weight="weight")
    np.testing.assert_equal(ALS(2).fit(made).get_state(), ALS(2).fit(table).get_state())


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        (
            {"at": ["1", "2", "3", "4"]},
            SchemaError,
            "at: times of type str. Use pd.to_datetime, or numbers in their order.",
        ),
        (
            {"at": [1.0, None, 2.0, None]},
            DataError,
            "at: 2 of 4 times are missing, first in row 1. Drop these rows.",
        ),
        (
            {"user": ["a", None, "b", "c"]},
            DataError,
            "user: 1 of 4 ids are missing, first in row 1. Drop these rows.",
        ),
    ],
)
def test_columns_that_cannot_be_read_are_named(columns: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        purchases(**columns)
    assert str(caught.value) == f"Interactions.from_frame: {message}"


def test_a_missing_column_is_named() -> None:
    with pytest.raises(SchemaError) as caught:
        Interactions.from_frame(PURCHASES, customer_id="user", item_id="sku", timestamp="ts")
    assert str(caught.value) == (
        "Interactions.from_frame: interactions has no column 'ts'. It needs user, sku, ts and has user, sku, at."
    )

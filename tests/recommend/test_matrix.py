"""The matrix against a dictionary, and to arrays and back."""

from collections import defaultdict
from fractions import Fraction
from random import Random

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from crmml.recommend.matrix import InteractionMatrix

few = settings(max_examples=40)  # every example builds several tables
Rows = list[tuple[int, str, float]]
rows = st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abc"), st.floats(0, 10)), min_size=1)


def matrix_of(table: Rows) -> InteractionMatrix:
    return InteractionMatrix.from_frame(pd.DataFrame(table, columns=["customer_id", "item_id", "weight"]), "test")


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
    again = InteractionMatrix.from_arrays(matrix.to_arrays(), "test")
    assert again.customer_ids.equals(matrix.customer_ids)
    assert again.item_ids.equals(matrix.item_ids)
    assert (again.weights != matrix.weights).nnz == 0
    assert again.popular.tolist() == matrix.popular.tolist()

"""The best k against sorting everything."""

from unittest import mock

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from crmml.recommend import top
from crmml.recommend.top import Ranked, joined, ranks, top_k

# Few distinct scores, so that ties at the border are the rule.
tables = arrays(
    np.float64, array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.sampled_from([-np.inf, -1, 0, 0.5, 2])
)


@given(tables, st.integers(1, 10), st.sampled_from([(4, 16), (1, 1), (2, 2), (3, 3)]))
def test_equals_sorting_by_score_and_then_by_column(scores: np.ndarray, k: int, sift: tuple[int, int]) -> None:
    expected = [
        (row, column, -negative)
        for row, values in enumerate(scores.tolist())
        for negative, column in sorted((-value, column) for column, value in enumerate(values))[:k]
        if negative < np.inf
    ]
    with mock.patch.multiple(top, SIFT=sift[0], LEAST_TO_SIFT=sift[1]):
        found = top.top_k(scores, k)
    assert list(zip(*(part.tolist() for part in found), strict=True)) == expected


@given(tables, st.integers(1, 10))
def test_ranks_count_from_one_in_every_row(scores: np.ndarray, k: int) -> None:
    row = top_k(scores, k).row
    expected = [np.count_nonzero(row[:place] == row[place]) + 1 for place in range(len(row))]
    assert ranks(row).tolist() == expected


def test_joining_keeps_the_order_inside_a_row() -> None:
    late = Ranked(np.array([2, 2]), np.array([9, 1]), np.array([0.5, 0.5]))
    early = Ranked(np.array([0, 5]), np.array([3, 4]), np.array([1.0, 2.0]))
    assert joined([late, early]).item.tolist() == [3, 9, 1, 4]

"""Frequent itemsets beside counting every set of every basket; the counts by size beside a loop."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from crmml.insight import itemsets
from crmml.insight.itemsets import SizeCounts, frequent_itemsets

ITEMS = 6
baskets = st.lists(st.sets(st.integers(0, ITEMS - 1)), min_size=1, max_size=12)


def matrix(rows: list[set[int]]) -> csr_array:
    return csr_array(np.array([[item in row for item in range(ITEMS)] for row in rows], dtype=np.int32))


def counted(rows: list[set[int]]) -> Counter[tuple[int, ...]]:
    return Counter(part for row in rows for size in range(1, ITEMS + 1) for part in combinations(sorted(row), size))


@given(baskets, st.integers(1, 4), st.sampled_from([None, 1, 2, 3]))
def test_they_are_those_of_counting_every_set(rows: list[set[int]], least: int, longest: int | None) -> None:
    expected = {part: n for part, n in counted(rows).items() if n >= least and len(part) <= (longest or ITEMS)}
    assert frequent_itemsets(matrix(rows), least, longest=longest) == expected


@given(baskets, st.integers(1, 3))
@settings(max_examples=30)
def test_sparse_and_in_blocks_they_are_the_same(rows: list[set[int]], least: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        expected = frequent_itemsets(matrix(rows), least)
        patch.setattr(itemsets, "DENSE_CELLS", 0)
        patch.setattr(itemsets, "BLOCK", 2)
        assert frequent_itemsets(matrix(rows), least) == expected


def test_small_sets_come_first_and_in_order() -> None:
    rows = [{0, 1, 2}] * 2
    assert list(frequent_itemsets(matrix(rows), 2)) == [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]


def test_too_many_stop_the_search() -> None:
    with pytest.raises(OverflowError):
        frequent_itemsets(matrix([set(range(ITEMS))]), 1, most=10)


@given(baskets, st.sets(st.integers(0, ITEMS - 1), max_size=4))
def test_counts_by_size_are_those_of_a_loop(rows: list[set[int]], wanted: set[int]) -> None:
    sizes = np.array([len(row) for row in rows])
    found = SizeCounts(matrix(rows), sizes).of(tuple(sorted(wanted)))
    assert found.tolist() == [
        sum(wanted <= row and len(row) == size for row in rows) for size in range(max(sizes, default=0) + 2)
    ]


@given(baskets)
def test_counting_many_at_once_changes_nothing(rows: list[set[int]]) -> None:
    lines, sizes = matrix(rows), np.array([len(row) for row in rows])
    wanted = [part for length in (1, 2, 3) for part in combinations(range(ITEMS), length)]
    together, alone = SizeCounts(lines, sizes), SizeCounts(lines, sizes)
    together.count(wanted)
    assert all(together.of(part).tolist() == alone.of(part).tolist() for part in wanted)

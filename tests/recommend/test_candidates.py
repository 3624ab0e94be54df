"""The first stage against sorting every generator's scores."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from crmml.recommend import candidates as module
from crmml.recommend.base import Recommender
from crmml.recommend.candidates import Candidates, candidates, standardised
from crmml.recommend.matrix import Interactions

CUSTOMERS, ITEMS = 4, 6
scores = arrays(np.float64, (CUSTOMERS, ITEMS), elements=st.sampled_from([-np.inf, -1, 0, 0.5, 2]))


class Given(Recommender):  # type: ignore[misc]
    """Scores that are given."""

    def __init__(self, table: Any = None) -> None:
        self.table = table

    def _scores(self, customers: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array(self.table[customers])


def everything() -> Interactions:
    """Customer 0 took item 0, and so on; all items are known."""
    table = [(who, item, 1.0 if item == who else 0.0) for who in range(CUSTOMERS) for item in (who, 4, 5)]
    full = Interactions.from_frame(pd.DataFrame(table, columns=["customer_id", "item_id", "w"]), weight="w")
    full.weights.eliminate_zeros()
    return full


def found(tables: list[Any], size: int, **others: Any) -> Candidates:
    generators = {str(at): Given(table) for at, table in enumerate(tables)}
    return candidates(generators, everything(), np.arange(CUSTOMERS), size, **others)


@settings(max_examples=60)
@given(st.lists(scores, min_size=1, max_size=3), st.integers(1, 7), st.booleans())
def test_equals_sorting(tables: list[Any], size: int, exclude_seen: bool) -> None:
    expected: dict[tuple[int, int], list[int]] = {}
    for at, table in enumerate(tables):
        for who in range(CUSTOMERS):
            free = [item for item in range(ITEMS) if table[who, item] > -np.inf and not (exclude_seen and item == who)]
            for rank, item in enumerate(sorted(free, key=lambda item: (-table[who, item], item))[:size], 1):
                expected.setdefault((who, item), [0] * len(tables))[at] = rank
    one = found(tables, size, exclude_seen=exclude_seen)
    assert list(zip(one.row.tolist(), one.item.tolist(), strict=True)) == sorted(expected)
    assert one.rank.tolist() == [expected[pair] for pair in sorted(expected)]


def test_the_other_customers_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    tables = [random.normal(size=(CUSTOMERS, ITEMS)) for _ in range(2)]
    together = found(tables, 3)
    monkeypatch.setattr(module, "CELLS", ITEMS * 2)  # one customer at a time
    for one, other in zip(found(tables, 3), together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_nobody_asked_has_no_candidates() -> None:
    empty = candidates({"a": Given(), "b": Given()}, everything(), np.empty(0, dtype=np.int64), 3)
    assert (len(empty.row), empty.score.shape, empty.rank.shape) == (0, (0, 2), (0, 2))


@settings(max_examples=60)
@given(arrays(np.float64, (7, 2), elements=st.floats(-1e6, 1e6)), st.integers(1, 6))
def test_standardised_scores_have_mean_zero_and_deviation_one_or_zero(raw: Any, cut: int) -> None:
    row = (np.arange(7) >= cut).astype(np.int64)
    made = standardised(raw, row)
    for group in (made[row == 0], made[row == 1]):
        np.testing.assert_allclose(group.mean(axis=0), 0, atol=1e-6)
        deviation = group.std(axis=0)
        assert ((np.abs(deviation - 1) < 1e-6) | (deviation == 0)).all()


def test_no_score_is_the_lowest_score() -> None:
    raw = np.array([[3.0, -np.inf], [1.0, -np.inf], [-np.inf, -np.inf]])
    # 3, 1, 1: the mean is 5/3, the variance 8/9.
    expected = np.array([4, -2, -2]) / 3 / np.sqrt(8 / 9)
    np.testing.assert_allclose(
        standardised(raw, np.zeros(3, dtype=np.int64)), np.stack([expected, np.zeros(3)], axis=1)
    )

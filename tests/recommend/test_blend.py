"""The blend and its figures against counting by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmml.metrics import ndcg_at_k, recall_at_k
from crmml.recommend.blend import Judged, ndcg, places, recall
from crmml.recommend.candidates import Candidates


def judged(customers: int, each: int, generators: int, seed: int, missed: int = 0) -> Judged:
    """Every customer has so many candidates and at least one wanted; `missed` wanted ones are no candidates."""
    random = np.random.default_rng(seed)
    row = np.repeat(np.arange(customers), each)
    item = np.tile(np.arange(each), customers)
    wanted = random.random(len(row)) < 0.3
    wanted[::each] = True
    score = random.choice([-1.0, 0.0, 1.0, 2.0], size=(len(row), generators))
    rank = np.ones(score.shape, dtype=np.int64)
    held = np.bincount(row[wanted], minlength=customers) + missed
    kind = np.array(["random", "coherent"])[np.arange(customers) % 2]
    return Judged(Candidates(row, item, score, rank), wanted, held, kind)


@settings(max_examples=40)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 7), st.integers(0, 2), st.integers(0, 99))
def test_figures_are_those_of_the_metrics(customers: int, each: int, k: int, missed: int, seed: int) -> None:
    case = judged(customers, each, 1, seed, missed)
    score = case.candidates.score[:, 0]
    lists, actual = {}, {}
    for who in range(customers):
        mine = np.flatnonzero(case.candidates.row == who)
        lists[who] = [item for _, item in sorted((-score[at], int(case.candidates.item[at])) for at in mine)]
        actual[who] = [int(case.candidates.item[at]) for at in mine if case.wanted[at]]
        actual[who] += [1000 + number for number in range(missed)]
    assert ndcg(score, case, k).mean() == pytest.approx(ndcg_at_k(actual, lists, k))
    assert recall(score, case, k).mean() == pytest.approx(recall_at_k(actual, lists, k))


def test_ties_go_by_item() -> None:
    rank = np.zeros((4, 1), dtype=np.int64)
    found = Candidates(np.array([0, 0, 0, 2]), np.array([9, 3, 5, 1]), np.zeros((4, 1)), rank)
    assert places(np.array([1.0, 1.0, 2.0, 0.0]), found).tolist() == [2, 1, 0, 0]


def test_some_customers_alone_are_numbered_anew() -> None:
    case = judged(3, 4, 2, seed=2)
    alone = case.of(np.array([False, True, True]))
    score = case.candidates.score[:, 0]
    np.testing.assert_array_equal(ndcg(alone.candidates.score[:, 0], alone, 2), ndcg(score, case, 2)[1:])
    assert alone.candidates.row.tolist() == [0] * 4 + [1] * 4

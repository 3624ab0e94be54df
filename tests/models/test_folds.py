"""Folds: customers together, labels spread, nothing scored by a model that has seen it."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmml.models import _folds
from crmml.models._folds import ENOUGH_ROWS, assign_folds, held_out
from tests.models.mutants import dies

rows = st.lists(st.tuples(st.integers(0, 8), st.sampled_from([0.0, 1.0])), min_size=1, max_size=60)


@given(rows=rows, n_folds=st.integers(1, 5), seed=st.integers(0, 3))
def test_all_rows_of_a_customer_lie_in_one_fold(rows: list[tuple[int, float]], n_folds: int, seed: int) -> None:
    customers, codes = np.unique([customer for customer, _ in rows], return_inverse=True)
    folds = assign_folds(np.array([y for _, y in rows]), codes, n_folds, seed)
    assert all(len(set(folds[codes == code])) == 1 for code in range(len(customers)))
    assert folds.min() >= 0
    assert folds.max() < n_folds


@given(y=st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=60), n_folds=st.integers(1, 5))
def test_each_fold_gets_its_share_of_rows_and_positives(y: list[float], n_folds: int) -> None:
    folds = assign_folds(np.array(y), None, n_folds, seed=0)
    for counts in (
        np.bincount(folds, minlength=n_folds),
        np.bincount(folds[np.array(y) == 1], minlength=n_folds),
    ):
        assert counts.max() - counts.min() <= 1  # dealt out in turn


def test_folds_repeat_and_depend_on_the_seed() -> None:
    y = (np.arange(100) % 2).astype(np.float64)
    assert assign_folds(y, None, 5, 1).tolist() == assign_folds(y, None, 5, 1).tolist()
    assert assign_folds(y, None, 5, 1).tolist() != assign_folds(y, None, 5, 2).tolist()


def test_folds_stop_once_enough_rows_are_held_out() -> None:
    # 5 folds of n/5 rows: k folds hold out k n/5 rows, and k n/5 >= 20,000 ends it.
    for n, needed in ((1_000, 5), (20_000, 5), (25_000, 4), (40_000, 3), (100_000, 1), (500_000, 1)):
        assert len(list(held_out(np.arange(n) % 5, 5))) == needed, n
    assert ENOUGH_ROWS == 20_000


def no_held_out_row_is_trained_on(module: ModuleType) -> None:
    folds = module.assign_folds(np.zeros(20), None, 5, 0)
    pairs: list[Any] = list(module.held_out(folds, 5))
    assert sorted(np.concatenate([test for _, test in pairs])) == list(range(20))
    for train, test in pairs:
        assert set(train).isdisjoint(test)
        assert len(train) + len(test) == 20


def customers_stay_together(module: ModuleType) -> None:
    folds = module.assign_folds(np.arange(42.0), np.arange(42) % 7, 4, 0)
    assert all(len(set(folds[code::7])) == 1 for code in range(7))


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        (no_held_out_row_is_trained_on, "np.flatnonzero(folds != fold)", "np.arange(len(folds))"),
        (no_held_out_row_is_trained_on, "if seen >= ENOUGH_ROWS", "if seen >= 10"),
        (customers_stay_together, "if groups is None else groups", "if True else groups"),
    ],
    ids=["train on the held-out rows", "stop too early", "split customers"],
)
def test_mutants_die(check: Any, old: str, new: str, tmp_path: Path) -> None:
    dies(check, _folds, old, new, tmp_path)

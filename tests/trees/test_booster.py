"""What LightGBM is asked for: trees that begin from an offset, and their exact parts."""

from typing import Any

import numpy as np
import pytest

from crmml.models._platt import sigmoid
from crmml.trees.booster import TreeTrainer

PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "num_iterations": 30,
    "num_leaves": 7,
    "min_data_in_leaf": 20,
    "seed": 0,
}


def trainer(n: int = 4_000) -> tuple[TreeTrainer, np.ndarray, np.ndarray]:
    """Labels with the log odds 2 x0, the table, and these odds."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3))
    odds = 2.0 * X[:, 0]
    label = (rng.random(n) < sigmoid(odds)).astype(np.float64)
    return TreeTrainer(X, label, PARAMETERS, n_jobs=1), X, odds


def test_from_the_truth_on_there_is_little_to_correct() -> None:
    made, X, odds = trainer()
    alone, after = made.train().raw(X, 1), made.train(offset=odds).raw(X, 1)
    assert after.std() < 0.25 * alone.std()
    assert np.corrcoef(odds, odds + after)[0, 1] > 0.98


def test_an_offset_is_of_the_rows_that_are_trained_on() -> None:
    made, X, odds = trainer()
    rows = np.arange(0, 4_000, 2)
    assert made.train(rows, offset=odds[rows]).raw(X, 1).std() < 0.5 * made.train(rows).raw(X, 1).std()


def test_an_offset_is_forgotten_by_the_next_training() -> None:
    made, _, odds = trainer()
    before = made.train().text
    made.train(offset=odds)
    assert made.train().text == before


def test_contributions_and_their_mean_sum_to_the_score() -> None:
    made, X, _ = trainer()
    trees = made.train()
    parts = trees.contributions(X, 1)
    assert parts.shape == (4_000, 4)
    assert parts.sum(axis=1) == pytest.approx(trees.raw(X, 1), abs=1e-9)
    assert np.abs(parts[:, 0]).mean() > 10 * np.abs(parts[:, 1:3]).mean()

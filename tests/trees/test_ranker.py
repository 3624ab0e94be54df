"""LambdaRank: learns an order, stops by itself, and its text is one that is accepted back."""

import numpy as np

from crmml.trees.booster import Trees
from crmml.trees.ranker import OBJECTIVE, Groups, train_ranker
from crmml.trees.text import problem_of


def groups(count: int, seed: int) -> Groups:
    """Groups of ten rows; wanted are the two with the largest first column, the second is noise."""
    random = np.random.default_rng(seed)
    X = random.random((count * 10, 2)).astype(np.float32)
    best = np.argsort(np.argsort(X[:, 0].reshape(count, 10), axis=1), axis=1) >= 8
    return Groups(X, best.ravel(), np.full(count, 10))


def test_an_order_is_learned_and_the_text_is_accepted_back() -> None:
    trees = train_ranker(groups(100, 0), groups(30, 1), k=5, num_iterations=40)
    assert problem_of(trees.text, 2, OBJECTIVE) is None
    other = groups(50, 2)
    score = trees.raw(other.X, 1)
    first = np.argmax(score.reshape(50, 10), axis=1)
    assert other.wanted.reshape(50, 10)[np.arange(50), first].mean() > 0.9  # 0.2 by chance
    np.testing.assert_array_equal(Trees(trees.text).raw(other.X, 1), score)


def test_the_same_groups_give_the_same_trees() -> None:
    first, again = (train_ranker(groups(60, 0), groups(20, 1), k=5, num_iterations=10).text for _ in range(2))
    assert first == again


def test_training_ends_where_other_groups_gain_nothing() -> None:
    noise = groups(40, 1)
    noise = noise._replace(wanted=np.random.default_rng(5).permutation(noise.wanted))
    trees = train_ranker(groups(100, 0), noise, k=5, patience=3)
    assert trees.text.count("Tree=") < 50

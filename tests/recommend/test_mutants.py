"""The lines of the recommenders whose fault would go unseen in a list: each mutant has to die."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmml.errors import DataError, SchemaError
from crmml.recommend import als, base, factors, ids, matrix, top
from tests.models.mutants import dies
from tests.recommend.blocks import two_blocks


def matrix_of(module: ModuleType) -> matrix.Interactions:
    table = pd.DataFrame({"customer_id": [1, 1, 2], "item_id": [5, 5, 7], "weight": [1.0, 2.0, 4.0]})
    made: matrix.Interactions = module.Interactions.from_frame(table, weight="weight")
    return made


def ties_at_the_border_go_by_item(module: ModuleType) -> None:
    scores = np.zeros((1, 50))
    scores[0, 49] = 1
    assert module.top_k(scores, 3).item.tolist() == [49, 0, 1]


def the_best_are_not_sifted_out(module: ModuleType) -> None:
    scores = -np.arange(40.0)[None, :]  # all of the best stand in the columns that are looked at first
    scores[0, [0, 4]], scores[0, [1, 2, 3]] = (9, 8), -50
    assert module.top_k(scores, 2).item.tolist() == [0, 4]


def ties_inside_go_by_item(module: ModuleType) -> None:
    assert module.top_k(np.array([[3.0, 1.0, 2.0, 2.0, 2.0]]), 4).item.tolist() == [0, 2, 3, 4]


def what_is_not_available_is_left_out(module: ModuleType) -> None:
    assert module.top_k(np.array([[-np.inf, 1.0]]), 2).item.tolist() == [1]


def popular_items_without_the_seen(module: ModuleType) -> None:
    known = matrix.Interactions.from_frame(two_blocks(), weight="weight")
    # The first customer took 1..5; of the items 2..5 and 8..11 seven customers took, 8 is the first unseen.
    assert module.popular(known, np.array([0, 1]), 2, True).item.tolist() == [8, 9, 8, 9]
    assert module.popular(known, np.array([-1]), 1, True).item.tolist() == [2]


def popular_two_in_a_row(module: ModuleType) -> None:
    known = matrix.Interactions.from_frame(two_blocks(), weight="weight")
    assert module.popular(known, np.array([0, -1]), 1, True).item.tolist() == [8, 2]


def seen_items_do_not_come_back(module: ModuleType) -> None:
    class AsTaken(module.Recommender):  # type: ignore[misc, name-defined]
        def _scores(self, customers: np.ndarray) -> np.ndarray:
            return np.asarray(self.matrix_.weights[customers].toarray())

    assert AsTaken().fit(two_blocks()).recommend([0], k=50)["item_id"].tolist() == [0, 6, 7, 8, 9, 10, 11]


def an_absence_says_one_and_a_weight_adds_to_it(module: ModuleType) -> None:
    log = two_blocks().assign(weight=lambda t: 0.2 + t.index % 3)
    model = module.ALS(4, iterations=300, alpha=1.0, regularization=0.5).fit(log)
    x, y = model.customer_factors_.astype(float), model.item_factors_.astype(float)
    for row, customer in zip(model.matrix_.weights.toarray(), x, strict=True):
        confidence = 1 + row
        normal = y.T @ (confidence[:, None] * y) + 0.5 * np.eye(4)
        np.testing.assert_allclose(customer, np.linalg.solve(normal, y.T @ (confidence * (row > 0))), atol=1e-3)


def products_are_exact(module: ModuleType) -> None:
    random = np.random.default_rng(0)
    x, y = (module.on_grid(random.normal(size=(50, 64)).astype(np.float32)).astype(float) for _ in "xy")
    order = random.permutation(64)
    assert (x @ y.T).tolist() == (x[:, order] @ y[:, order].T).tolist()


def factors_of(module: ModuleType) -> Any:
    """40 customers and 300 items of small whole numbers, so that ties are everywhere."""

    class Made(module.FactorRecommender):  # type: ignore[misc, name-defined]
        def _learn(self, matrix: Any) -> None:
            random = np.random.default_rng(0)
            size = 1.0 + np.arange(300)[:, None] % 7  # long vectors and short ones
            self.customer_factors_ = random.integers(-2, 3, (40, 3)).astype(np.float32)
            self.item_factors_ = (size * random.integers(-1, 2, (300, 3))).astype(np.float32)

    random = np.random.default_rng(1)
    customers, items = np.concatenate(
        [np.nonzero(random.random((40, 300)) < 0.2), [np.arange(300) % 40, np.arange(300)]], 1
    )
    return Made().fit(pd.DataFrame({"customer_id": customers, "item_id": items, "weight": 1.0}))


def long_vectors_are_enough(module: ModuleType) -> None:
    model, everybody = factors_of(module), np.arange(40)
    hidden = np.arange(300) % 5 == 0
    for k, exclude_seen, without in ((1, True, None), (9, True, hidden), (9, False, None), (200, True, hidden)):
        expected = base.Recommender._best(model, everybody, k, exclude_seen, without)
        found = model._best(everybody, k, exclude_seen, without)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def chunks_keep_their_rows(module: ModuleType) -> None:
    def one(some: np.ndarray) -> top.Ranked:
        return top.Ranked(np.arange(len(some)), some, some * 1.0)

    found = module.in_chunks(np.arange(10), module.CELLS // 3, one)
    assert found.row.tolist() == list(range(10))


def rows_of_a_pair_add_up(module: ModuleType) -> None:
    assert matrix_of(module).popularity.tolist() == [3.0, 4.0]


def equal_popularity_goes_by_item(module: ModuleType) -> None:
    table = pd.DataFrame({"customer_id": 1, "item_id": range(100), "weight": 1.0})
    assert module.Interactions.from_frame(table, weight="weight").popular.tolist() == list(range(100))


def text_and_numbers_never_meet(module: ModuleType) -> None:
    try:
        module.look_up(pd.Index([5]), pd.Index(["5"]), "mutant")
    except SchemaError:
        return
    raise AssertionError("no error")


def a_nul_at_the_end_is_refused(module: ModuleType) -> None:
    try:
        found = module.to_array(module.as_ids(["a", "a\0"], "mutant"))
    except DataError:
        return
    assert len(set(found)) == 2


Check = Callable[[ModuleType], None]
MUTANTS: dict[str, tuple[ModuleType, str, str, Check]] = {
    "ties at the border by chance": (
        top, "equal[: k - count[row]]", "equal[::-1][: k - count[row]]", ties_at_the_border_go_by_item,
    ),
    "ties at the border are lost": (top, "cells.append(", "print(", ties_at_the_border_go_by_item),
    "ties inside by chance": (
        top, "np.lexsort((-value, row))", "np.lexsort((-cell, -value, row))", ties_inside_go_by_item,
    ),
    "a bound that not all of the best reach": (
        top, "some.shape[1] - k, axis=1)[:, -k]", "some.shape[1] - k + 1, axis=1)[:, 1 - k]",
        the_best_are_not_sifted_out,
    ),
    "what was seen is listed with -inf": (
        top, "(value[order] > -np.inf)", "True", what_is_not_available_is_left_out,
    ),
    "what one customer has seen is hidden from the next": (
        base, "hidden[seen] = False", "pass", popular_two_in_a_row,
    ),
    "popular: the list is cut before the seen are left out": (
        base, "order[: k + len(seen)]", "order[:k]", popular_items_without_the_seen,
    ),
    "chunks: rows count from 0 in each": (base, "row=part.row + i * size", "row=part.row", chunks_keep_their_rows),
    "seen items come back": (base, "if exclude_seen:\n", "if False:\n", seen_items_do_not_come_back),
    "als: the weight alone is the confidence": (
        als, "confidence = 1 + alpha * positive.data", "confidence = alpha * positive.data",
        an_absence_says_one_and_a_weight_adds_to_it,
    ),
    "factors off the grid": (
        factors, "return (np.round(factors / step) * step).astype(np.float32)", "return factors", products_are_exact,
    ),
    "factors: ties among the long vectors go by length": (
        factors, "items = np.sort(order[: counts[rows[-1]]])", "items = order[: counts[rows[-1]]]",
        long_vectors_are_enough,
    ),
    "factors: too few long vectors": (
        factors, "order[: counts[rows[-1]]]", "order[: counts[rows[0]]]", long_vectors_are_enough,
    ),
    "factors: what was seen is among the long vectors": (
        factors, "scores[row[at >= 0], at[at >= 0]] = -np.inf", "pass", long_vectors_are_enough,
    ),
    "matrix: only the last row of a pair counts": (
        matrix, "np.add.reduceat(weights, first)", "weights[first]", rows_of_a_pair_add_up,
    ),
    "matrix: equal popularity by chance": (
        matrix, "np.argsort(-self.popularity, kind=\"stable\")", "np.argsort(self.popularity)[::-1]",
        equal_popularity_goes_by_item,
    ),
    "ids: 5 and '5' pass by each other": (
        ids, "if is_text(known) != is_text(ids):", "if False:", text_and_numbers_never_meet,
    ),
    "ids: a NUL at the end is lost": (ids, "if len(cut):", "if False:", a_nul_at_the_end_is_refused),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_dies(name: str, tmp_path: Path) -> None:
    module, old, new, check = MUTANTS[name]
    dies(check, module, old, new, tmp_path)

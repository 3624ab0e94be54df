"""Fitted weights: what they gain on every kind of hold-out, and what is left out."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

import crmml as cm
from crmml.recommend import _weights
from crmml.recommend._selection import EQUAL, FITTED
from crmml.recommend._weights import MEAN, fitted_weights, weighed
from crmml.recommend.blend import Judged, blended, ndcg
from crmml.recommend.candidates import Candidates
from crmml.recommend.two_stage import TwoStage
from tests.models.mutants import dies
from tests.recommend.test_two_stage import log_of_tastes

EACH = 6


def judged(knows: np.ndarray, customers: int = 400, seed: int = 0) -> Judged:
    """Customers of two kinds in turn, six candidates each, one wanted.

    knows, shape (2, generators): how much higher a generator scores what is wanted, by kind; beside it is noise.
    """
    random = np.random.default_rng(seed)
    row = np.repeat(np.arange(customers), EACH)
    wanted = np.zeros(len(row), dtype=bool)
    wanted[np.arange(customers) * EACH + random.integers(EACH, size=customers)] = True
    score = random.standard_normal((len(row), knows.shape[1])) + wanted[:, None] * knows[row % 2]
    found = Candidates(row, np.tile(np.arange(EACH), customers), score, np.ones(score.shape, dtype=np.int64))
    return Judged(
        found, wanted, np.ones(customers, dtype=int), np.array(["random", "coherent"])[np.arange(customers) % 2]
    )


def gains(case: Judged, weights: np.ndarray, k: int) -> list[float]:
    equal, found = (ndcg(weighed(case.candidates, each), case, k) for each in (np.ones(len(weights)), weights))
    return [float((found - equal)[case.kind == kind].mean()) for kind in ("random", "coherent")]


def test_what_knows_counts_for_more_and_what_misleads_is_left_out() -> None:
    case = judged(np.array([[2.0, -1.0, 1.0], [2.0, -1.0, 1.0]]))
    weights = fitted_weights(case, 3)
    assert weights[0] > weights[2] > weights[1] == 0
    assert min(gains(case, weights, 3)) > 0


def test_one_that_knows_everything_is_alone() -> None:
    case = judged(np.array([[9.0, -1.0, -1.0], [9.0, -1.0, -1.0]]))
    assert (fitted_weights(case, 3) > 0).tolist() == [True, False, False]


def test_weights_stay_equal_where_nothing_speaks_against_it() -> None:
    case = judged(np.ones((2, 1)), customers=20)
    same = case.candidates._replace(
        score=np.repeat(case.candidates.score, 3, axis=1), rank=np.ones((20 * EACH, 3), dtype=int)
    )
    assert fitted_weights(case._replace(candidates=same), 3).tolist() == [1.0, 1.0, 1.0]


def a_gain_on_one_kind_paid_for_on_the_other_is_none(module: ModuleType) -> None:
    # The first knows a lot of one kind and nothing of the other, of which the second knows a little.
    case = judged(np.array([[3.0, 0.0], [0.0, 1.0]]))
    assert min(gains(case, np.array([3.0, 1.0]), 3)) < 0 < sum(gains(case, np.array([3.0, 1.0]), 3))
    assert min(gains(case, module.fitted_weights(case, 3), 3)) >= 0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 99))
def test_the_fast_figure_is_the_figure(customers: int, k: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    case = judged(random.random((2, 3)), customers, seed)
    # Without the last two candidates of the last customer, and each on some lists.
    keep = np.arange(customers * EACH) < customers * EACH - 2
    rank = random.integers(0, 3, size=case.candidates.rank.shape)
    case = case._replace(candidates=case.candidates._replace(rank=rank).of(keep), wanted=case.wanted[keep])
    for weights in (np.ones(3), np.array([0.0, 2.0, 0.5]), np.array([0.0, 0.0, 1.0])):
        found = ndcg(weighed(case.candidates, weights), case, k)
        # What no generator in use lists is not recommended, though it has a place behind everything else.
        lost = np.zeros(customers, dtype=bool)
        lost[case.candidates.row[case.wanted & np.isinf(weighed(case.candidates, weights))]] = True
        fast = _weights._Table(case, k).ndcg(weights)
        assert fast[~lost] == pytest.approx(found[~lost], abs=1e-6)


def those_left_out_move_nothing(module: ModuleType) -> None:
    random = np.random.default_rng(0)
    rank = np.array([[1, 0], [2, 0], [0, 1], [0, 2], [3, 3]])
    found = Candidates(np.zeros(5, dtype=int), np.arange(5), random.standard_normal((5, 2)), rank)
    own = found.of(rank[:, 1] > 0)
    alone = (own.score[:, 1] - own.score[:, 1].mean()) / own.score[:, 1].std()
    assert module.weighed(found, np.array([0.0, 2.0])).tolist() == pytest.approx([-np.inf, -np.inf, *alone])


def the_least_counts(module: ModuleType) -> None:
    case = judged(np.ones((2, 1)), customers=4)
    # Gains of 0.3 and -0.1 in turn: the least is -0.1, the mean 0.1.
    assert module._Table(case, 3).least(np.array([0.3, -0.1, 0.3, -0.1])) == pytest.approx(-0.1 + MEAN * 0.1)


Check = Callable[[ModuleType], None]
MUTANTS: dict[str, tuple[str, str, Check]] = {
    "the best kind counts": (
        "return min(gains)", "return max(gains)", a_gain_on_one_kind_paid_for_on_the_other_is_none,
    ),
    "the mean counts for as much": ("MEAN * sum(gains)", "sum(gains)", the_least_counts),
    "what is left out still proposes": (
        "own = (found.rank[:, kept] > 0)", "own = (found.rank > 0)", those_left_out_move_nothing,
    ),
    "scores are as they were among all": (
        "blended(standardised(found.score[own][:, kept], found.row[own])", "blended(found.score[own][:, kept]",
        those_left_out_move_nothing,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_die(name: str, tmp_path: Path) -> None:
    old, new, check = MUTANTS[name]
    dies(check, _weights, old, new, tmp_path)


@pytest.fixture(scope="module")
def model() -> TwoStage:
    """One who knows and three who know nothing: some of these are left out."""
    model = TwoStage([cm.ItemKNN(), cm.Popularity(), cm.Popularity(), cm.Popularity()], k=5).fit(log_of_tastes())
    assert model.chosen_ == FITTED
    return model


def test_generators_left_out_are_not_in_the_model(model: TwoStage) -> None:
    names = ["ItemKNN", "Popularity", "Popularity 2", "Popularity 3"]
    used = [name for name, weight in zip(names, model.weights_, strict=True) if weight > 0]
    assert "ItemKNN" in used
    assert len(used) < 4
    assert list(model.generators_) == used
    assert set(model.candidates(range(20))["source"]) == set(used)
    assert model.selection_["name"].tolist() == [*names, EQUAL, FITTED]


def test_without_what_is_left_out_the_state_is_the_model(model: TwoStage) -> None:
    again = clone(model).set_state(model.get_state())
    assert list(again.generators_) == list(model.generators_)
    pd.testing.assert_frame_equal(again.recommend(range(30)), model.recommend(range(30)), check_exact=True)
    np.testing.assert_equal(again.get_state(), model.get_state())


def test_lists_are_those_of_the_weights(model: TwoStage) -> None:
    """The same from the candidates that the model shows, added up here."""
    table = model.candidates([7]).pivot_table(index="item_id", columns="source", values="score")
    weights = dict(zip(["ItemKNN", "Popularity", "Popularity 2", "Popularity 3"], model.weights_, strict=True))
    first = model.recommend([7], k=5)["item_id"].tolist()
    listed = table.dropna()  # on every list
    total = blended(listed.to_numpy(), np.array([weights[name] for name in listed.columns]))
    order = list(listed.index[np.argsort(-total, kind="stable")])
    assert [item for item in first if item in order] == order[: len([item for item in first if item in order])]

"""TwoStage: that it decides on hold-outs alone, decides right where the answer is obvious, and says what it decided."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import crmml as cm
from crmml.errors import BundleError, ConfigError
from crmml.recommend import two_stage
from crmml.recommend._selection import EQUAL, FITTED, RANKER
from crmml.recommend.matrix import Interactions
from crmml.recommend.popularity import Popularity
from crmml.recommend.two_stage import TwoStage
from tests.recommend.blocks import two_blocks


def log_of_tastes(customers: int = 300, seed: int = 0) -> pd.DataFrame:
    """Ten groups of customers, each with twenty items of its own, of which every customer took eight."""
    random = np.random.default_rng(seed)
    rows = [
        (who, who % 10 * 20 + int(item), 1.0)
        for who in range(customers)
        for item in random.choice(20, size=8, replace=False)
    ]
    return pd.DataFrame(rows, columns=["customer_id", "item_id", "weight"])


@pytest.fixture(scope="module")
def fitted() -> TwoStage:
    """One who knows, outvoted by three who know nothing."""
    return TwoStage([cm.ItemKNN(), cm.Popularity(), cm.Popularity(), cm.Popularity()], k=5).fit(log_of_tastes())


@pytest.fixture(scope="module")
def ranked() -> TwoStage:
    """What decides here is beyond a blend: the ranker is trained, and taken whatever it is worth."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crmml.recommend._selection._best", lambda rows: RANKER)
        return TwoStage([cm.ItemKNN(), cm.Popularity()], k=5).fit(log_of_tastes(900))


def test_a_generator_that_knows_gets_the_larger_weight(fitted: TwoStage) -> None:
    assert fitted.chosen_ == FITTED
    assert fitted.weights_[0] > fitted.weights_[1:].max()
    table = fitted.selection_
    ndcg, error = (dict(zip(table["name"], table[column], strict=True)) for column in ("ndcg", "standard_error"))
    assert table["name"].tolist() == ["ItemKNN", "Popularity", "Popularity 2", "Popularity 3", EQUAL, FITTED]
    assert table["chosen"].tolist() == [False] * 5 + [True]
    assert ndcg["ItemKNN"] > 3 * ndcg["Popularity"]
    assert ndcg[FITTED] - ndcg[EQUAL] > 2 * error[FITTED]
    assert table["difference"].tolist() == pytest.approx([figure - ndcg[EQUAL] for figure in table["ndcg"]])


def test_what_nothing_speaks_against_stays_equal() -> None:
    model = TwoStage([cm.ItemKNN(), cm.ItemKNN()], k=5).fit(log_of_tastes())
    assert model.chosen_ == EQUAL
    assert list(model.generators_) == ["ItemKNN", "ItemKNN 2"]
    assert model.weights_.tolist() == [1.0, 1.0]


def test_exponents_of_the_default_generators_are_chosen_and_those_given_are_not(monkeypatch: Any) -> None:
    monkeypatch.setattr("crmml.recommend.two_stage.default_generators", lambda: [cm.ItemKNN(to_exponent=3.0)])
    monkeypatch.setattr("crmml.recommend.two_stage.GRIDS", {"ItemKNN": {"to_exponent": (0.3,)}})
    # Weighed down by their third power, items that are taken less often would come first.
    log = log_of_tastes().assign(item_id=lambda t: t["item_id"] // 20 * 20 + (t["item_id"] % 20) ** 2 // 20)
    log = log.drop_duplicates(["customer_id", "item_id"])
    assert TwoStage(k=5).fit(log).parameters_ == {"ItemKNN": {"to_exponent": 0.3}}
    assert TwoStage([cm.ItemKNN(to_exponent=3.0)], k=5).fit(log).parameters_ == {}


@pytest.mark.parametrize("customers", [1, 2, 20])
def test_few_customers_get_the_equal_blend(customers: int) -> None:
    model = TwoStage().fit(log_of_tastes(customers))
    assert (model.chosen_, len(model.selection_)) == (EQUAL, 0)
    assert model.recommend([0], k=3)["item_id"].tolist() == model.recommend([0], k=5)["item_id"].tolist()[:3]


def test_the_generators_learn_from_everything_in_the_end(fitted: TwoStage) -> None:
    alone = cm.ItemKNN().fit(log_of_tastes())
    one = fitted.generators_["ItemKNN"].recommend(range(20), k=5)
    pd.testing.assert_frame_equal(one, alone.recommend(range(20), k=5), check_exact=True)


def test_the_ranker_orders_what_the_generators_propose(ranked: TwoStage) -> None:
    assert ranked.selection_["name"].tolist()[-1] == RANKER
    lists = ranked.recommend(range(50), k=5)
    own = lists["item_id"] // 20 == lists["customer_id"] % 10
    assert own.mean() > 0.9
    proposed = ranked.candidates(range(50))[["customer_id", "item_id"]].drop_duplicates()
    assert len(lists.merge(proposed, on=["customer_id", "item_id"])) == len(lists)


@pytest.mark.parametrize("name", ["fitted", "ranked"])
def test_state_is_everything(name: str, request: Any) -> None:
    model = request.getfixturevalue(name)
    again = clone(model).set_state(model.get_state())
    pd.testing.assert_frame_equal(again.recommend(range(50)), model.recommend(range(50)), check_exact=True)
    pd.testing.assert_frame_equal(again.selection_, model.selection_, check_exact=True)
    assert (again.chosen_, again.parameters_) == (model.chosen_, model.parameters_)
    np.testing.assert_equal(again.get_state(), model.get_state())


def test_a_state_of_one_start_is_read(monkeypatch: Any) -> None:
    """Models stored before ALS had several starts say nothing of them."""
    log = log_of_tastes(100)
    with monkeypatch.context() as before:
        before.setattr(two_stage, "settled", lambda matrix: {"ALS": {"alpha": 50.0, "factors": 16}})
        model = TwoStage(k=5).fit(log)
    again = TwoStage(k=5).set_state(model.get_state())
    pd.testing.assert_frame_equal(again.recommend(range(50)), model.recommend(range(50)), check_exact=True)


def test_threads_change_nothing() -> None:
    one, three = (TwoStage([cm.ItemKNN(), cm.Popularity()], k=5, n_jobs=n).fit(log_of_tastes()) for n in (1, 3))
    np.testing.assert_equal(three.get_state(), one.get_state())
    pd.testing.assert_frame_equal(three.recommend(range(300)), one.recommend(range(300)), check_exact=True)


def test_candidates_have_source_and_rank(fitted: TwoStage) -> None:
    table = fitted.candidates([3, 999])
    assert table["customer_id"].unique().tolist() == [3]
    assert set(table["source"]) == set(fitted.generators_)
    alone = Popularity().fit(log_of_tastes()).recommend([3], k=100)
    mine = table[table["source"] == list(fitted.generators_)[-1]].sort_values("rank")
    assert mine["item_id"].tolist() == alone["item_id"].tolist()


def test_generators_propose_among_the_items_that_are_offered() -> None:
    model = TwoStage([cm.ItemKNN()], size=2).fit(log_of_tastes())
    offered = [item for item in range(200) if item % 20 >= 15]
    lists = model.recommend(range(50), k=3, items=offered)
    assert set(lists["item_id"]) <= set(offered)
    assert (lists.groupby("customer_id").size() == 3).all()


def test_newer_interactions_are_taken_in() -> None:
    fitted = TwoStage([cm.ItemKNN(), cm.UserKNN()], k=5).fit(log_of_tastes())
    newer = pd.DataFrame({"customer_id": 5000, "item_id": range(60, 65), "weight": 1.0})
    before = fitted.recommend([0, 5000], k=3)
    model = fitted.fold_in(newer)
    lists = model.recommend([0, 5000], k=3)
    assert (lists["item_id"] // 20).tolist() == [0, 0, 0, 3, 3, 3]
    pd.testing.assert_frame_equal(fitted.recommend([0, 5000], k=3), before, check_exact=True)


def test_lists_may_be_longer_than_what_one_generator_proposes() -> None:
    model = TwoStage([cm.ItemKNN()], size=2).fit(log_of_tastes())
    assert len(model.recommend([0], k=7)) == 7


def decision(**changes: Any) -> np.ndarray:
    return np.array([json.dumps({"chosen": EQUAL, "parameters": {}, "table": []} | changes)])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"blend_weights": np.array([-1.0, 1.0, 1.0, 1.0])}, "blend_weights are not positive"),
        ({"blend_weights": np.zeros(4)}, "blend_weights are not positive"),
        ({"selection": np.zeros(1)}, "selection is not one text"),
        ({"selection": np.array(["{"])}, "selection is not a decision"),
        ({"selection": decision(chosen="best")}, "chosen is 'best'"),
        ({"selection": decision(parameters={"ALS": {"factors": 3}})}, "selection is not a decision"),
        ({"selection": decision(parameters={"ItemKNN": {"power": "1"}})}, "selection is not a decision"),
        ({"ranker": np.zeros(3)}, "ranker is not a vector of bytes"),
        (
            {"selection": decision(), "ranker": np.zeros(3, dtype=np.uint8)},
            "ranker has 3 bytes, but chosen is 'equal blend'",
        ),
        (
            {"selection": decision(chosen=RANKER), "ranker": np.full(4, ord("x"), dtype=np.uint8)},
            "ranker is not a model text: it does not start with the line 'tree'",
        ),
    ],
)
def test_a_state_that_was_not_written_is_refused(fitted: TwoStage, change: dict[str, Any], problem: str) -> None:
    model = clone(fitted)
    with pytest.raises(BundleError) as caught:
        model.set_state({**fitted.get_state(), **change})
    assert str(caught.value) == f"TwoStage.set_state: {problem}. The state is damaged: train the model again."
    assert not hasattr(model, "matrix_")


def test_a_ranker_that_misses_a_generator_is_refused(ranked: TwoStage) -> None:
    with pytest.raises(BundleError) as caught:
        clone(ranked).set_state({**ranked.get_state(), "blend_weights": np.array([1.0, 0.0])})
    assert str(caught.value) == (
        "TwoStage.set_state: blend_weights leave out what the ranker looks at. The state is damaged: train the model "
        "again."
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"size": 0}, "size is 0. Use a whole number of at least 1, such as size=10."),
        ({"k": 2.5}, "k is 2.5. Use a whole number of at least 1, such as k=10."),
        ({"share": 1.0}, "share is 1.0. Use a number below 1, such as 0.2."),
        ({"share": 0}, "share is 0. Use a number above 0, such as 0.2."),
        ({"random_state": -1}, "random_state is -1. Use a whole number of at least 0, such as 0."),
        ({"n_jobs": 0}, "n_jobs is 0. Use a whole number of at least 1, such as n_jobs=10."),
        ({"generators": []}, "generators is []. Use a list of recommenders, such as [ItemKNN(), ALS()]."),
        (
            {"repeats": True},
            "repeats is True, but the order of the events is not known. Give "
            "Interactions.from_frame(..., timestamp=...), or use repeats=False.",
        ),
        ({"generators": "ALS"}, "generators is 'ALS'. Use a list of recommenders, such as [ItemKNN(), ALS()]."),
    ],
)
def test_bad_parameters_are_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TwoStage(**parameters).fit(two_blocks())
    assert str(caught.value) == f"TwoStage.fit: {message}"


def test_a_bundle_recommends_what_the_trained_model_recommends(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("crmml.recommend._selection.LEAST_TO_RANK", 50)
    monkeypatch.setattr("crmml.recommend._selection._best", lambda rows: RANKER)
    log = cm.simulate_log(400, seed=1).log
    likes, target = cm.ItemWeights({"purchase": 1, "view": 0.1}), cm.NextItems("30d", event_type="purchase")
    bundle = cm.train(log, likes, target, TwoStage([cm.ItemKNN(), cm.UserKNN()], k=5), as_of="2024-11-01")
    assert bundle.model.chosen_ == RANKER
    bundle.save(tmp_path / "lists")
    again = cm.Bundle.load(tmp_path / "lists").score(log, "2024-12-01", k=5)
    pd.testing.assert_frame_equal(again, bundle.score(log, "2024-12-01", k=5), check_exact=True)


def test_what_is_taken_again_is_recommended_where_repeats_are_wanted() -> None:
    """Everybody takes their own three items every week, and once in the middle each of thirty."""
    random = np.random.default_rng(0)
    rows = [
        (who, who % 20 * 3 + item, 7 * week + item) for who in range(200) for week in range(20) for item in range(3)
    ]
    rows += [(who, 60 + int(item), 70) for who in range(200) for item in random.choice(30, 10, replace=False)]
    table = Interactions.from_frame(pd.DataFrame(rows, columns=["customer_id", "item_id", "at"]), timestamp="at")
    model = TwoStage(repeats=True, k=3).fit(table)
    lists = model.recommend(range(200), k=3, exclude_seen=False)
    assert next(iter(model.generators_)) == "RepeatPurchase"
    own = lists["item_id"] // 3 == lists["customer_id"] % 20
    assert own.mean() > 0.95
    assert model.selection_[["ndcg_random", "ndcg_coherent"]].isna().all(axis=None)
    again = TwoStage(repeats=True, k=3).set_state(model.get_state())
    pd.testing.assert_frame_equal(again.recommend(range(200), k=3, exclude_seen=False), lists, check_exact=True)


def test_als_is_told_of_weights_relative_to_their_mean() -> None:
    """Weights in cents or in euros are the same interactions."""
    table = log_of_tastes(100)
    euros, cents = (TwoStage(k=5).fit(table.assign(weight=weight)) for weight in (2.0, 200.0))
    assert euros.parameters_["ALS"] == {"alpha": 25.0, "factors": 16, "starts": 2}  # 100 customers: a sixth of them
    assert cents.parameters_["ALS"] == {"alpha": 0.25, "factors": 16, "starts": 2}
    lists = [model.generators_["ALS"].recommend(range(20), k=5)["item_id"].tolist() for model in (euros, cents)]
    assert lists[0] == lists[1]

"""What every recommender must do. They are found in the public table: a new one is tested by being there."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from crmml.errors import BundleError
from crmml.recommend.base import Recommender
from tests.recommend.blocks import (
    CUSTOMERS,
    ITEMS,
    RECOMMENDERS,
    defined_recommenders,
    each,
    missing,
    text_of,
    two_blocks,
)

EVERYBODY = list(range(2 * CUSTOMERS))
# Recommends the same to all of what they have not seen, so it cannot know who belongs where. Nothing else may be added.
NOT_PERSONAL = {"Popularity", "RepeatPurchase"}
# Scores items beside the other candidates, which depend on what is offered.
CANDIDATES_FIRST = {"TwoStage"}


def test_every_recommender_is_public() -> None:
    assert defined_recommenders() == {"Popularity", "ALS"} | set(RECOMMENDERS) == set(RECOMMENDERS)


@each
class TestRightAnswers:
    def test_the_missing_item_of_ones_own_block_comes_first(self, kind: type[Recommender]) -> None:
        first = kind().fit(two_blocks()).recommend(EVERYBODY, k=1).set_index("customer_id")["item_id"]
        if kind.__name__ in NOT_PERSONAL:
            # The first item of those that seven customers took, or of the other block once a block is seen.
            assert first.to_dict() == {who: 8 if who < CUSTOMERS else 2 for who in EVERYBODY} | {
                2: 2,
                3: 3,
                4: 4,
                5: 5,
            }
        else:
            assert first.to_dict() == {who: missing(who) for who in EVERYBODY}

    def test_items_of_ones_own_block_are_the_similar_ones(self, kind: type[Recommender]) -> None:
        alike = kind().fit(two_blocks()).similar_items(range(2 * ITEMS), k=ITEMS - 1)
        found = alike.groupby("item_id")["similar_item_id"].agg(set).to_dict()
        blocks = [set(range(ITEMS)), set(range(ITEMS, 2 * ITEMS))]
        assert found == {item: block - {item} for block in blocks for item in block}

    def test_strangers_get_the_popular_items(self, kind: type[Recommender]) -> None:
        # Seven customers took items 2..5 and 8..11, six took 0, 1, 6, 7: ties in the order of the ids.
        table = kind().fit(two_blocks()).recommend([-1, 999], k=9)
        assert table["item_id"].tolist() == [2, 3, 4, 5, 8, 9, 10, 11, 0] * 2
        assert table["score"].tolist() == [7.0] * 8 + [6.0] + [7.0] * 8 + [6.0]

    def test_customers_without_weight_are_strangers_who_have_seen_something(self, kind: type[Recommender]) -> None:
        only_looked = pd.DataFrame({"customer_id": [77], "item_id": [2], "weight": [0.0]})
        model = kind().fit(pd.concat([two_blocks(), only_looked]))
        assert model.recommend([77], k=3)["item_id"].tolist() == [3, 4, 5]
        assert model.recommend([77], k=3, exclude_seen=False)["item_id"].tolist() == [2, 3, 4]


@each
class TestTable:
    def test_columns_and_types(self, kind: type[Recommender]) -> None:
        model = kind().fit(two_blocks())
        table = model.recommend(np.array([3, 99], dtype=np.int32), k=2)
        types = {"customer_id": "int32", "item_id": "int64", "rank": "int64", "score": "float64"}
        assert table.dtypes.astype(str).to_dict() == types
        alike = model.similar_items([3], k=2).dtypes.astype(str).to_dict()
        assert alike == {"item_id": "int64", "similar_item_id": "int64", "rank": "int64", "score": "float64"}

    def test_customers_come_in_the_order_asked_and_once(self, kind: type[Recommender]) -> None:
        model = kind().fit(two_blocks())
        table = model.recommend([9, 99, 1, 9], k=2)
        assert table["customer_id"].tolist() == [9, 9, 99, 99, 1, 1]
        assert table["rank"].tolist() == [1, 2] * 3
        assert model.similar_items([4, 1, 4], k=1)["item_id"].tolist() == [4, 1]

    def test_scores_fall_and_ties_go_by_item(self, kind: type[Recommender]) -> None:
        table = kind().fit(two_blocks()).recommend([*EVERYBODY, 99], k=2 * ITEMS)
        expected = table.sort_values(["customer_id", "score", "item_id"], ascending=[True, False, True])
        assert table.sort_values(["customer_id", "rank"]).equals(expected)

    def test_seen_items_are_left_out_and_what_is_left_may_be_fewer_than_k(self, kind: type[Recommender]) -> None:
        log = two_blocks()
        table = kind().fit(log).recommend(EVERYBODY, k=50)
        seen = set(log[["customer_id", "item_id"]].itertuples(index=False, name=None))
        given = set(table[["customer_id", "item_id"]].itertuples(index=False, name=None))
        assert not seen & given
        assert len(given) == len(table) == len(EVERYBODY) * 2 * ITEMS - len(seen)

    def test_seen_items_are_kept_when_asked_for(self, kind: type[Recommender]) -> None:
        table = kind().fit(two_blocks()).recommend(EVERYBODY, k=50, exclude_seen=False)
        assert (table.groupby("customer_id")["item_id"].nunique() == 2 * ITEMS).all()

    def test_a_customer_who_has_everything_gets_nothing(self, kind: type[Recommender]) -> None:
        log = pd.DataFrame({"customer_id": [1, 1, 2], "item_id": [7, 8, 7], "weight": 1.0})
        assert kind().fit(log).recommend([1, 2])[["customer_id", "item_id"]].to_numpy().tolist() == [[2, 8]]

    def test_only_what_is_offered_is_recommended(self, kind: type[Recommender]) -> None:
        model, offered = kind().fit(two_blocks()), [11, 0, 3, 999]
        everything = model.recommend([*EVERYBODY, 99], k=50)
        expected = everything[everything["item_id"].isin(offered)].reset_index(drop=True)
        expected["rank"] = expected.groupby("customer_id").cumcount() + 1
        table = model.recommend([*EVERYBODY, 99], k=50, items=offered)
        assert set(table["item_id"]) <= set(offered)
        if kind.__name__ in CANDIDATES_FIRST:
            return
        pd.testing.assert_frame_equal(table, expected, check_exact=True)
        best = model.recommend([*EVERYBODY, 99], k=1, items=offered)
        pd.testing.assert_frame_equal(best, expected[expected["rank"] == 1].reset_index(drop=True), check_exact=True)

    def test_nobody_asked_gives_an_empty_table_with_its_columns(self, kind: type[Recommender]) -> None:
        table = kind().fit(two_blocks()).recommend([])
        assert list(table.columns) == ["customer_id", "item_id", "rank", "score"]
        assert len(table) == 0


EVIL = [
    "",
    " ",
    "o'hara",
    '"x"',
    "; drop table t;--",
    "🛒",
    "\u00e9",
    "e\u0301",
    "NaN",
    "None",
    "1",
    "01",
    "a\0b",
    "\n",
    "${x}",
    "𝔘",
]


@each
class TestIds:
    @pytest.mark.parametrize("dtype", ["int8", "int32", "uint64", "Int64"])
    def test_numbers_stay_numbers(self, kind: type[Recommender], dtype: str) -> None:
        log = two_blocks().astype({"customer_id": dtype, "item_id": dtype})
        expected = kind().fit(two_blocks()).recommend(EVERYBODY, k=3)
        table = kind().fit(log).recommend(log["customer_id"].unique(), k=3)
        pd.testing.assert_frame_equal(table, expected, check_dtype=False)
        assert str(table["item_id"].dtype) == dtype.lower()

    def test_texts_come_back_as_they_went_in(self, kind: type[Recommender]) -> None:
        log = two_blocks(customer=lambda i: EVIL[i], item=lambda i: EVIL[-1 - i])
        model = kind().fit(log)
        again = kind().set_state(model.get_state())
        table = again.recommend(EVIL, k=50, exclude_seen=False)
        assert set(table["customer_id"]) == set(EVIL)
        assert set(table["item_id"]) == set(log["item_id"])
        if kind.__name__ not in NOT_PERSONAL:
            first = model.recommend(EVIL, k=1)
            assert first["item_id"].tolist() == [EVIL[-1 - missing(customer)] for customer in EVERYBODY]

    def test_objects_and_categories_of_texts_are_texts(self, kind: type[Recommender]) -> None:
        log = two_blocks(customer=str, item=str)
        expected = kind().fit(log).recommend(["3"], k=3)
        for dtype in ("object", "category"):
            pd.testing.assert_frame_equal(kind().fit(log.astype({"item_id": dtype})).recommend(["3"], k=3), expected)


@each
class TestSameResult:
    def test_the_order_of_rows_and_their_splitting_are_nothing(self, kind: type[Recommender]) -> None:
        log = two_blocks().assign(weight=lambda t: 0.1 + t.index % 7 / 10)
        halves = pd.concat([log.assign(weight=log["weight"] / 2)] * 2, ignore_index=True)
        expected = kind().fit(log).recommend(EVERYBODY)
        pd.testing.assert_frame_equal(kind().fit(log[::-1]).recommend(EVERYBODY), expected, check_exact=True)
        shuffled = halves.sample(frac=1, random_state=1)
        pd.testing.assert_frame_equal(kind().fit(shuffled).recommend(EVERYBODY), expected, check_exact=True)

    def test_asking_one_by_one_or_all_at_once(self, kind: type[Recommender], monkeypatch: pytest.MonkeyPatch) -> None:
        model = kind().fit(two_blocks())
        together = model.recommend([*EVERYBODY, 99])
        alone = pd.concat([model.recommend([who]) for who in [*EVERYBODY, 99]], ignore_index=True)
        pd.testing.assert_frame_equal(alone, together, check_exact=True)
        monkeypatch.setattr("crmml.recommend.base.CELLS", 3 * 2 * ITEMS)  # three customers at a time
        pd.testing.assert_frame_equal(model.recommend([*EVERYBODY, 99]), together, check_exact=True)

    def test_fitting_twice(self, kind: type[Recommender]) -> None:
        model = kind().fit(two_blocks(customer=str))
        first = model.fit(two_blocks()).recommend(EVERYBODY)
        pd.testing.assert_frame_equal(kind().fit(two_blocks()).recommend(EVERYBODY), first, check_exact=True)

    def test_the_input_is_left_alone(self, kind: type[Recommender]) -> None:
        log = two_blocks()
        kind().fit(log)
        pd.testing.assert_frame_equal(log, two_blocks())

    def test_further_columns_are_ignored(self, kind: type[Recommender]) -> None:
        log = two_blocks().assign(as_of=pd.Timestamp("2024-01-01", tz="UTC"))
        expected = kind().fit(two_blocks()).recommend(EVERYBODY)
        pd.testing.assert_frame_equal(kind().fit(log).recommend(EVERYBODY), expected)


@each
class TestState:
    @pytest.mark.parametrize("as_id", [int, str])
    def test_round_trip(self, kind: type[Recommender], as_id: Callable[[int], Any]) -> None:
        model = kind().fit(two_blocks(customer=as_id, item=as_id))
        state = model.get_state()
        again = clone(model).set_state(state)
        who = [as_id(number) for number in [*EVERYBODY, 99]]
        pd.testing.assert_frame_equal(again.recommend(who), model.recommend(who), check_exact=True)
        item = [as_id(3)]
        pd.testing.assert_frame_equal(again.similar_items(item), model.similar_items(item), check_exact=True)
        np.testing.assert_equal(again.get_state(), state)

    def test_state_is_arrays_that_need_no_pickle(self, kind: type[Recommender], tmp_path: Any) -> None:
        state = kind().fit(two_blocks(customer=str)).get_state()
        assert {array.dtype.kind for array in state.values()} <= set("iufU")
        np.savez(tmp_path / "state.npz", **state)
        with np.load(tmp_path / "state.npz", allow_pickle=False) as stored:
            read = kind().set_state({name: stored[name] for name in stored.files})
        assert len(read.recommend(["3"], k=2)) == 2

    def test_clone_has_the_parameters_and_not_the_data(self, kind: type[Recommender]) -> None:
        model = clone(kind().fit(two_blocks()))
        assert model.get_params() == kind().get_params()
        assert text_of(NotFittedError, lambda: model.recommend([1])).endswith("Call fit(interactions) first.")

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"indices": None}, "the state is without indices"),
            ({"extra": np.zeros(1)}, "the state is with unknown extra"),
            (
                {"customer_ids": np.array(["a"], dtype=object)},
                "customer_ids is not a vector of whole numbers or text",
            ),
            ({"item_ids": np.arange(12)[::-1]}, "item_ids is not sorted"),
            ({"item_ids": np.arange(5)}, "indices are not sorted item numbers below 5"),
            ({"indptr": np.zeros(3, dtype=np.int64)}, "indptr is int64 of shape (3,), not integers of shape (17,)"),
            ({"indptr": np.arange(17, 0, -1)}, "indptr does not rise from 0"),
            ({"weights": np.zeros(2)}, "weights is float64 of shape (2,), not floats of shape (80,)"),
            ({"weights": np.full(80, -1.0)}, "weights are negative"),
            ({"weights": np.full(80, np.nan)}, "weights holds values that are not finite"),
            ({"indices": np.zeros(80, dtype=np.int32)}, "indices are not sorted item numbers below 12"),
            ({"indices": [0] * 80}, "indices is list, not integers of shape (80,)"),
        ],
    )
    def test_a_state_that_was_not_written_is_refused(
        self, kind: type[Recommender], change: dict[str, Any], problem: str
    ) -> None:
        state = {**kind().fit(two_blocks()).get_state(), **change}
        state = {name: value for name, value in state.items() if value is not None}
        model = kind()
        message = text_of(BundleError, lambda: model.set_state(state))
        assert message == f"{kind.__name__}.set_state: {problem}. The state is damaged: train the model again."
        assert not hasattr(model, "matrix_")

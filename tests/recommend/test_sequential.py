"""The order of things: transitions and decays by hand, no order where none is known, and a chain that is found."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from crmml.errors import ConfigError
from crmml.recommend.matrix import Interactions
from crmml.recommend.sequential import LAST, MarkovNext, RepeatPurchase
from tests.recommend.blocks import text_of


def log(rows: list[tuple[Any, ...]]) -> Interactions:
    """Customer, item, time."""
    frame = pd.DataFrame(rows, columns=["customer_id", "item_id", "at"])
    return Interactions.from_frame(frame, timestamp="at")


class TestMarkovByHand:
    #     moments 0: a; 1: b and c; 2: d (customer 1)     0: a; 1: d (customer 2)
    rows = ((1, "a", 0), (1, "b", 5), (1, "c", 5), (1, "d", 9), (2, "a", 1), (2, "d", 2))

    def links(self, **parameters: Any) -> dict[str, list[float]]:
        model = MarkovNext(**{"popularity_exponent": 0.0, **parameters}).fit(log([*self.rows]))
        return dict(zip("abcd", model.links_.toarray().tolist(), strict=True))

    def test_each_step_says_less_and_baskets_belong_together(self) -> None:
        found = self.links(decay=0.5, backward=0.0)
        # a is followed by b and c at once, by d two moments on (0.5), and by d at once of customer 2.
        expected = {"a": [0, 1, 1, 1.5], "b": [0, 0, 1, 1], "c": [0, 1, 0, 1], "d": [0, 0, 0, 0]}
        assert found == expected

    def test_backward_is_a_share_of_it(self) -> None:
        found = self.links(decay=0.5, backward=0.25)
        assert found["d"] == [0.25 * 1.5, 0.25, 0.25, 0]
        assert found["a"] == [0, 1, 1, 1.5]

    def test_reach_ends_it(self) -> None:
        assert self.links(reach=1, backward=0.0)["a"] == [0, 1, 1, 1]

    def test_popular_items_say_less(self) -> None:
        found = self.links(decay=0.5, backward=0.0, popularity_exponent=1.0)
        assert found["a"] == [0, 1 / 2, 1 / 2, 1.5 / 2]  # two moments with a
        assert found["b"] == [0, 0, 1, 1]

    def test_what_was_taken_last_counts_most(self) -> None:
        model = MarkovNext(memory=0.5).fit(log([*self.rows]))
        assert model.recent_.toarray().tolist() == [[0.25, 0.5, 0.5, 1], [0.5, 0, 0, 1]]

    def test_the_score_is_their_sum(self) -> None:
        model = MarkovNext(decay=0.5, backward=0.0, memory=0.5, popularity_exponent=0.0).fit(log([*self.rows]))
        table = model.recommend([2], k=4, exclude_seen=False).set_index("item_id")["score"]
        # 0.5 for a, and d leads nowhere; both customers took a and d, one of two b and c.
        expected = {"d": 0.5 * 1.5 + LAST, "b": 0.5 + LAST / 2, "c": 0.5 + LAST / 2, "a": LAST}
        assert table.to_dict() == pytest.approx(expected)
        assert table.index.tolist() == ["d", "b", "c", "a"]

    def test_the_numbers_of_the_times_do_not_matter_but_their_order_does(self) -> None:
        later = MarkovNext().fit(log([(who, item, 100 + 7 * at) for who, item, at in self.rows]))
        turned = MarkovNext().fit(log([(who, item, -at) for who, item, at in self.rows]))
        assert later.links_.toarray().tolist() == MarkovNext().fit(log([*self.rows])).links_.toarray().tolist()
        assert later.links_.toarray().tolist() != turned.links_.toarray().tolist()

    def test_interactions_without_weight_are_seen_and_say_nothing(self) -> None:
        frame = pd.DataFrame([*self.rows, (1, "x", 6)], columns=["customer_id", "item_id", "at"])
        weighted = frame.assign(weight=(frame["item_id"] != "x").astype(float))
        model = MarkovNext().fit(Interactions.from_frame(weighted, weight="weight", timestamp="at"))
        assert model.links_.toarray()[:4, :4].tolist() == MarkovNext().fit(log([*self.rows])).links_.toarray().tolist()
        assert "x" not in model.recommend([1], k=9)["item_id"].tolist()

    def test_without_times_items_are_taken_together(self) -> None:
        frame = pd.DataFrame([*self.rows], columns=["customer_id", "item_id", "at"])
        model = MarkovNext(popularity_exponent=0.0).fit(Interactions.from_frame(frame))
        assert model.links_.toarray()[0].tolist() == [0, 1, 1, 2]


def test_a_chain_is_found() -> None:
    # From each item one goes on to the next but one of a ring of 12; order alone tells which way round.
    random = np.random.default_rng(0)
    rows, following = [], {}
    for who in range(300):
        item = int(random.integers(12))
        for at in range(4):
            rows.append((who, item, at))
            item = (item + 2) % 12 if random.random() < 0.8 else int(random.integers(12))
        following[who] = (rows[-1][1] + 2) % 12
    model = MarkovNext(1, backward=0.0, memory=0.01).fit(log(rows))
    first = model.recommend(list(following), k=1, exclude_seen=False).set_index("customer_id")["item_id"]
    assert np.mean([first[who] == item for who, item in following.items()]) > 0.95


DAYS = ["2024-01-01", "2024-01-11", "2024-01-21"]


class TestRepeatByHand:
    rows = ((1, "milk", DAYS[0]), (1, "milk", DAYS[1]), (1, "lamp", DAYS[2]), (2, "lamp", DAYS[2]))

    def fitted(self, **parameters: Any) -> RepeatPurchase:
        dated = [(who, item, pd.Timestamp(day)) for who, item, day in self.rows]
        return RepeatPurchase(**{"half_life": 10.0, "demand_half_life": 20.0, **parameters}).fit(log(dated))

    def test_counts_and_demand_are_halved_as_they_age(self) -> None:
        model = self.fitted()
        assert model.counts_.toarray().tolist() == [[1, 1 / 4 + 1 / 2], [1, 0]]  # lamp, milk
        assert model.demand_.tolist() == pytest.approx([1 / 2 + 2, 1 / 2 + 1 / 2 + 0.5**0.5])

    def test_the_score(self) -> None:
        model = self.fitted(demand_exponent=1.0, prior=0.1)
        scores = model.recommend([1], exclude_seen=False).set_index("item_id")["score"]
        demand = dict(zip(["lamp", "milk"], model.demand_, strict=True))
        # Popularity counts rows: lamp two, milk two, of two customers.
        expected = {"lamp": (1 + 0.1) * demand["lamp"], "milk": (0.75 + 0.1) * demand["milk"]}
        assert scores.to_dict() == pytest.approx(expected)

    def test_times_that_are_numbers_make_half_lives_numbers(self) -> None:
        rows = [(1, "a", 0.0), (1, "b", 10.0), (2, "a", 30.0)]
        assert RepeatPurchase(10.0).fit(log(rows)).counts_.toarray().tolist() == [[1 / 8, 1 / 4], [1, 0]]

    def test_without_times_nothing_decays(self) -> None:
        frame = pd.DataFrame({"customer_id": [1, 1, 2], "item_id": ["a", "a", "b"]})
        model = RepeatPurchase().fit(Interactions.from_frame(frame))
        assert model.counts_.toarray().tolist() == [[2, 0], [0, 1]]
        assert model.demand_.tolist() == [2.5, 1.5]

    def test_what_is_no_longer_in_demand_falls_back(self) -> None:
        # Customer 1 took both as often; only one of them is still sold.
        rows = [(1, "old", 0), (1, "new", 0)]
        rows += [(who, "old", 0) for who in range(2, 12)] + [(who, "new", 300) for who in range(2, 12)]
        table = RepeatPurchase(1000.0).fit(log(rows)).recommend([1], exclude_seen=False)
        assert table["item_id"].tolist() == ["new", "old"]
        plain = RepeatPurchase(1000.0, demand_exponent=0.0).fit(log(rows)).recommend([1], exclude_seen=False)
        assert plain["score"].nunique() == 1


@pytest.mark.parametrize("model", [MarkovNext(), RepeatPurchase()])
def test_the_state_keeps_the_order(model: Any) -> None:
    fitted = model.fit(log([*TestMarkovByHand.rows]))
    again = clone(model).set_state(fitted.get_state())
    asked = [1, 2, 9]
    pd.testing.assert_frame_equal(
        again.recommend(asked, exclude_seen=False), fitted.recommend(asked, exclude_seen=False), check_exact=True
    )


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (MarkovNext(0), "MarkovNext.fit: reach is 0. Use a whole number of at least 1, such as reach=10."),
        (MarkovNext(decay=-1), "MarkovNext.fit: decay is -1. Use a number of at least 0, such as 0.7."),
        (MarkovNext(memory=0), "MarkovNext.fit: memory is 0. Use a number above 0, such as 0.6."),
        (RepeatPurchase(0), "RepeatPurchase.fit: half_life is 0. Use a number above 0, such as 240.0."),
        (RepeatPurchase(prior="x"), "RepeatPurchase.fit: prior is 'x'. Use a number of at least 0, such as 0.05."),
    ],
)
def test_bad_parameters_are_named(model: Any, message: str) -> None:
    assert text_of(ConfigError, lambda: model.fit(log([*TestMarkovByHand.rows]))) == message

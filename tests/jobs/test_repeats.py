"""Recommending again what customers buy again: the target that counts repeats, from the log to the lists."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.errors import ConfigError
from tests.jobs.small import day
from tests.jobs.test_items import LISTS, items_log

# ann takes milk every ten days, and once took a lamp; everybody takes tea, once.
BOUGHT = {
    "ann": [(1, "milk"), (5, "lamp"), (11, "milk"), (21, "milk"), (31, "milk"), (33, "lamp"), (34, "tea")],
    "bob": [(2, "tea"), (22, "jam"), (32, "jam")],
    "cat": [(3, "tea")],
    "dan": [(4, "tea")],
    "end": [(60, "tea")],
}
AGAIN = cm.NextItems("10d", repeats=True)


def backtest(target: Any = AGAIN, **changes: Any) -> Any:
    given = {"features": LISTS, "model": cm.RepeatPurchase(), "as_of": day(30)} | changes
    return cm.backtest(items_log(BOUGHT), target=target, **given)


def test_repeats_count_only_where_the_target_says_so() -> None:
    # After day 30 ann takes milk and lamp again and tea anew, bob jam again.
    asked = {
        repeats: backtest(cm.NextItems("10d", repeats=repeats)).predictions.set_index("customer_id")["y"].to_dict()
        for repeats in (False, True)
    }
    assert asked == {False: {"ann": 1}, True: {"ann": 3, "bob": 1}}


def test_personal_frequency_is_a_rule_of_repeats() -> None:
    second, third, fourth = 1 / np.log2([3, 4, 5])
    found = backtest().scores.pivot(index="contender", columns="customer_id", values="ndcg_at_10")
    # Every list holds all four items, had before or not. Of bob's tea and jam, jam was the later one: it comes first,
    # and is what he takes. Frequency does not know which was later, and everybody took tea.
    assert found.loc["RepeatPurchase"].to_dict() == pytest.approx({"ann": 1, "bob": 1})
    assert found.loc["personal-frequency rule"].to_dict() == pytest.approx({"ann": 1, "bob": second})
    # By popularity: milk 3, tea 3, jam 1, lamp 1; ann takes milk, tea and lamp.
    ann = (1 + second + fourth) / (1 + second + third)
    assert found.loc["popularity rule"].to_dict() == pytest.approx({"ann": ann, "bob": third})
    assert "personal-frequency rule" not in set(backtest(cm.NextItems("10d")).scores["contender"])


def test_a_bundle_recommends_again_and_knows_the_order() -> None:
    log = items_log(BOUGHT)
    for target, first in ((AGAIN, {"ann": "milk", "bob": "jam"}), (cm.NextItems("10d"), {"ann": "tea", "bob": "milk"})):
        bundle = cm.train(log, LISTS, target, cm.RepeatPurchase(demand_exponent=0.0), day(30))
        lists = bundle.score(log, day(30), k=1).set_index("customer_id")["item_id"]
        assert {who: lists[who] for who in first} == first


def test_events_in_order_carry_their_time() -> None:
    table = cm.build_interactions(
        items_log(BOUGHT), cm.ItemWeights({"purchase": 2.0}), [day(12), day(3)], in_order=True
    )
    assert list(table.columns) == ["customer_id", "as_of", "item_id", "weight", "timestamp"]
    rows = [
        (who, as_of, item, 2.0, day(at))
        for who, pairs in BOUGHT.items()
        for as_of in (day(3), day(12))
        for at, item in pairs
        if day(at) < as_of
    ]
    expected = pd.DataFrame(rows, columns=table.columns)
    expected = expected.sort_values(["customer_id", "as_of", "item_id", "timestamp"], ignore_index=True)
    pd.testing.assert_frame_equal(table, expected, check_dtype=False)


def test_events_in_order_add_up_to_the_weights() -> None:
    log, weights = cm.simulate_log(60, seed=3).log, cm.ItemWeights({"purchase": 3.0, "view": 1.0}, half_life="30d")
    keys = ["customer_id", "as_of", "item_id"]
    events = cm.build_interactions(log, weights, "2024-06-01", in_order=True)
    sums = events.groupby(keys)["weight"].sum()
    pd.testing.assert_series_equal(sums, cm.build_interactions(log, weights, "2024-06-01").set_index(keys)["weight"])
    assert (events["timestamp"] < events["as_of"]).all()


def test_what_repeats_must_be() -> None:
    with pytest.raises(ConfigError) as caught:
        cm.NextItems("10d", repeats="yes")
    assert str(caught.value) == "NextItems: repeats must be True or False, not 'yes'. Use repeats=True."
    assert cm.from_data(cm.to_data(AGAIN)) == AGAIN

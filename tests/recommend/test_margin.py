"""Margin in the objective: p_purchase * margin ** weight, and what it costs and earns."""

from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.errors import ConfigError, DataError, SchemaError
from crmml.recommend import margin as module_of_margin
from tests.models.mutants import dies
from tests.recommend.blocks import text_of

MARGINS = {"tea": 1.0, "cup": 4.0, "pot": 16.0, "nut": -2.0}


def a_list(customer: str = "ann", **p: float) -> pd.DataFrame:
    rows = [(customer, item, rank, 10.0 - rank, value) for rank, (item, value) in enumerate(p.items(), start=1)]
    return pd.DataFrame(rows, columns=["customer_id", "item_id", "rank", "score", "p_purchase"])


def ranked_by_hand(module: ModuleType) -> None:
    lists = pd.concat([a_list(nut=0.9, tea=0.5, cup=0.2, pot=0.01), a_list("bob", cup=0.1, tea=0.1)])
    # weight 1: .5, .8, .16; weight 1/2: .5, .4, .04; weight 0: .5, .2, .01; the nut earns less than nothing.
    assert module.rank_by_margin(lists, MARGINS)["item_id"].tolist() == ["cup", "tea", "pot", "cup", "tea"]
    half = module.rank_by_margin(lists, MARGINS, weight=0.5)
    assert half["item_id"].tolist() == ["tea", "cup", "pot", "cup", "tea"]
    assert half["rank"].tolist() == [1, 2, 3, 1, 2]
    assert half["expected_margin"].tolist() == [0.5, 0.8, 0.16, 0.4, 0.1]
    assert half["score"].tolist() == [8.0, 7.0, 6.0, 9.0, 8.0]
    # Equal in worth: the order of the list decides.
    assert module.rank_by_margin(lists, MARGINS, weight=0)["item_id"].tolist() == ["tea", "cup", "pot", "cup", "tea"]
    # From 4 on, 4 included, and one of each.
    assert module.rank_by_margin(lists, MARGINS, k=1, least=4)["item_id"].tolist() == ["cup", "cup"]
    # Whatever is allowed: never at a loss.
    assert "nut" not in set(module.rank_by_margin(lists, MARGINS, least=-5)["item_id"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("p * margin**weight", "p * (margin * weight)"),
        ("-worth, customer", "worth, customer"),
        ('ordered["margin"] > 0', 'ordered["margin"] > -9'),
        ('ordered["margin"] >= least', 'ordered["margin"] > least'),
    ],
    ids=["a factor for all", "the least first", "at a loss", "above the least"],
)
def test_mutants_die(old: str, new: str, tmp_path: Path) -> None:
    dies(ranked_by_hand, module_of_margin, old, new, tmp_path)


probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=6)
amounts = st.lists(st.floats(0.01, 100), min_size=6, max_size=6)


@given(probabilities, amounts, st.integers(1, 6))
def test_no_other_choice_has_a_larger_expected_margin(p: list[float], margin: list[float], k: int) -> None:
    items = "abcdef"
    lists = a_list(**dict(zip(items, p, strict=False)))
    found = cm.rank_by_margin(lists, dict(zip(items, margin, strict=True)), k=k)
    worth = [one * other for one, other in zip(p, margin, strict=False)]
    best = max(sum(some) for some in combinations(worth, min(k, len(worth))))
    assert found["expected_margin"].sum() == pytest.approx(best)


@given(probabilities, amounts, st.integers(1, 6), st.lists(st.floats(0, 1), min_size=2, max_size=2))
def test_more_weight_never_lowers_the_margin_nor_raises_the_purchases(
    p: list[float], margin: list[float], k: int, weights: list[float]
) -> None:
    lists = a_list(**dict(zip("abcdef", p, strict=False)))
    of_item = dict(zip("abcdef", margin, strict=True))
    less, more = (cm.rank_by_margin(lists, of_item, k=k, weight=weight) for weight in sorted(weights))
    assert more["expected_margin"].sum() >= less["expected_margin"].sum() - 1e-9
    assert more["p_purchase"].sum() <= less["p_purchase"].sum() + 1e-9


@given(amounts, st.floats(0, 1), st.floats(0.1, 1000))
def test_the_currency_does_not_matter(margin: list[float], weight: float, rate: float) -> None:
    lists = a_list(a=0.3, b=0.25, c=0.2, d=0.1, e=0.05, f=0.01)
    of_item = dict(zip("abcdef", margin, strict=True))
    worth = sorted(p * of_item[item] ** weight for item, p in zip(lists["item_id"], lists["p_purchase"], strict=True))
    if np.diff(worth).min() < 1e-9 * max(worth):
        return  # as good as equal: rounding may decide
    ours = cm.rank_by_margin(lists, of_item, weight=weight)["item_id"].tolist()
    theirs = {item: rate * value for item, value in of_item.items()}
    assert cm.rank_by_margin(lists, theirs, weight=weight)["item_id"].tolist() == ours


def test_without_probabilities_the_order_stays_and_nothing_is_promised() -> None:
    lists = a_list(tea=np.nan, nut=np.nan, pot=np.nan)
    found = cm.rank_by_margin(lists, MARGINS)
    assert found["item_id"].tolist() == ["tea", "pot"]
    assert found["expected_margin"].isna().all()


def test_the_tradeoff_by_hand() -> None:
    lists = pd.concat([a_list(name, tea=0.5, cup=0.2) for name in ("ann", "bob", "eve")], ignore_index=True)
    bought = pd.DataFrame([("ann", "tea"), ("bob", "cup"), ("zoe", "tea")], columns=["customer_id", "item_id"])
    table = cm.margin_tradeoff(lists, MARGINS, bought, k=1, weights=(0, 1))
    # Tea finds ann's: recall (1 + 0) / 2, margin (1 + 0 + 0) / 3; the cup finds bob's: (0 + 1) / 2 and (0 + 4 + 0) / 3.
    assert table["recall"].tolist() == [0.5, 0.5]
    assert table["margin"].tolist() == [1 / 3, 4 / 3]
    assert table["expected_margin"].tolist() == [pytest.approx(0.5), pytest.approx(0.8)]
    assert table["recall_difference"].tolist() == [0.0, 0.0]
    assert table["margin_difference"].tolist() == [0.0, 1.0]
    # Differences -1, 4, 0: standard deviation sqrt(7), over sqrt(3).
    assert table["margin_difference_hi"].loc[1.0] == pytest.approx(1.0 + 1.96 * 7**0.5 / 3**0.5, abs=1e-4)
    assert table["recall_difference_lo"].loc[1.0] == pytest.approx(-1.96 * 2**0.5 / 2**0.5, abs=1e-4)


def test_the_interval_of_the_tradeoff_holds_the_truth() -> None:
    """300 customers buy by the very probabilities: the true differences are known."""
    rng, held = np.random.default_rng(1), 0
    items, p = ["tea", "cup", "pot"], np.array([0.5, 0.2, 0.1])
    lists = pd.concat([a_list(str(who), **dict(zip(items, p, strict=True))) for who in range(300)])
    for _ in range(20):
        buys = rng.random((300, 3)) < p
        who, what = np.nonzero(buys)
        bought = pd.DataFrame({"customer_id": who.astype(str), "item_id": np.array(items)[what]})
        row = cm.margin_tradeoff(lists, MARGINS, bought, k=1, weights=(1,)).iloc[0]
        truth = 0.1 * 16 - 0.5 * 1  # the pot instead of the tea
        held += bool(row["margin_difference_lo"] <= truth <= row["margin_difference_hi"])
    assert held >= 16  # of 20 at 95 %: fewer with a probability of .3 %


@pytest.mark.parametrize(
    ("kind", "call", "message"),
    [
        (
            SchemaError,
            lambda: cm.rank_by_margin(a_list(tea=0.1).drop(columns="p_purchase"), MARGINS),
            "rank_by_margin: lists have no p_purchase, and a score is no probability. "
            "Use what NextBestOffer.recommend returned.",
        ),
        (
            DataError,
            lambda: cm.rank_by_margin(a_list(tea=1.5), MARGINS),
            "rank_by_margin: p_purchase is 1.5 in row 0. Probabilities lie in [0, 1].",
        ),
        (
            DataError,
            lambda: cm.rank_by_margin(a_list(tea=0.5), {"tea": float("nan")}),
            "rank_by_margin: the margin of 'tea' is nan. Give an amount of money, such as 2.5.",
        ),
        (
            DataError,
            lambda: cm.rank_by_margin(a_list(tea=0.5), {}),
            "rank_by_margin: 1 items of the lists have no margin, first 'tea'. Give one for each.",
        ),
        (
            ConfigError,
            lambda: cm.rank_by_margin(a_list(tea=0.5), MARGINS, weight=2),
            "rank_by_margin: weight is 2. Use a number from 0 to 1, such as 0.5.",
        ),
        (
            ConfigError,
            lambda: cm.rank_by_margin(a_list(tea=0.5), MARGINS, least="much"),
            "rank_by_margin: least is 'much'. Use an amount of money, such as least=5, or None.",
        ),
        (
            DataError,
            lambda: cm.margin_tradeoff(a_list(tea=0.5), MARGINS, a_list(tea=0.5)),
            "margin_tradeoff: lists of 1 customers cannot be compared. Give at least two.",
        ),
        (
            ConfigError,
            lambda: cm.margin_tradeoff(a_list(tea=0.5), MARGINS, a_list(tea=0.5), weights=()),
            "margin_tradeoff: weights is (). Use a list of numbers from 0 to 1, such as [0, 0.5, 1].",
        ),
    ],
)
def test_bad_input_is_named(kind: type[Exception], call: Any, message: str) -> None:
    assert text_of(kind, call) == message

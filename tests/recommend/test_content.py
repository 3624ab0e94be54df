"""Cold items: found by their attributes, above chance; warm ones keep what their customers say."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmml.errors import ConfigError, SchemaError
from crmml.recommend.content import ContentItems
from crmml.recommend.spectral import SpectralFilter
from tests.recommend.blocks import text_of, two_blocks

KINDS = 5


def shop(seed: int = 0) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """100 items of five kinds, three attributes each, of which one is the kind's; customers like one kind or two."""
    random = np.random.default_rng(seed)
    kinds = {f"item-{number:03}": number % KINDS for number in range(100)}
    about = {item: [f"kind {kind}", *random.choice([f"word {n}" for n in range(8)], 2)] for item, kind in kinds.items()}
    rows = []
    for who in range(400):
        liked = set(random.choice(KINDS, size=1 + who % 2, replace=False).tolist())
        odds = np.array([6.0 if kind in liked else 0.4 for kind in kinds.values()])
        taken = random.choice(list(kinds), size=12, replace=False, p=odds / odds.sum()).tolist()
        rows += [(who, item, 1.0) for item in taken]
    return pd.DataFrame(rows, columns=["customer_id", "item_id", "weight"]), about


def test_cold_items_are_ranked_above_chance() -> None:
    log, about = shop()
    cold = [f"item-{number:03}" for number in range(0, 100, 4)]  # 25 of all kinds
    warm = log[~log["item_id"].isin(cold)]
    taken = log[log["item_id"].isin(cold)].groupby("customer_id")["item_id"].agg(set)
    lists = ContentItems(about).fit(warm).recommend(taken.index, k=1000)
    lists = lists[lists["item_id"].isin(cold)]
    place = lists.groupby("customer_id").cumcount() + 1
    hits = [item in taken[who] for who, item in zip(lists["customer_id"], lists["item_id"], strict=True)]
    # The mean place of what was taken among the 25 cold items: 13 by chance; the five of the one kind liked stand at 3.
    assert len(lists) == 25 * len(taken)
    assert float(place[hits].mean()) < 8


def test_without_attributes_it_is_the_spectral_filter() -> None:
    log, _ = shop()
    one, other = (model.fit(log).recommend(range(50), k=20) for model in (ContentItems(), SpectralFilter()))
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_customers_take_over_from_attributes() -> None:
    # Item 0 of the first block is said to be of the second: without customers it belongs there, with six it does not.
    about: dict[int, list[str]] = {item: ["one" if item < 6 else "two"] for item in range(12)} | {0: ["two"]}
    log = two_blocks()
    unseen = log[log["item_id"] != 0]
    second = ContentItems(about).fit(unseen).similar_items([0], k=1)["similar_item_id"].iloc[0]
    assert second >= 6
    first = ContentItems(about, trust=0.5).fit(log).similar_items([0], k=1)["similar_item_id"].iloc[0]
    assert first < 6


def test_no_trust_leaves_warm_items_alone() -> None:
    log, about = shop()
    plain = SpectralFilter().fit(log)
    model = ContentItems(about, trust=0.0).fit(log)
    np.testing.assert_allclose(model.item_factors_, plain.item_factors_, atol=1e-5)


def test_items_without_attributes_keep_their_customers_view() -> None:
    log, about = shop()
    few = {item: about[item] for item in list(about)[:50]}
    plain, model = SpectralFilter().fit(log), ContentItems(few, trust=50.0).fit(log)
    np.testing.assert_allclose(model.item_factors_[50:], plain.item_factors_[50:], atol=1e-5)
    assert not np.allclose(model.item_factors_[:50], plain.item_factors_[:50], atol=1e-3)


def test_the_state_holds_the_cold_items() -> None:
    log, about = shop()
    warm = log[log["item_id"] != "item-000"]
    model = ContentItems(about).fit(warm)
    again = ContentItems().set_state(model.get_state())
    table = again.recommend([0, 1], k=100)
    pd.testing.assert_frame_equal(table, model.recommend([0, 1], k=100), check_exact=True)
    assert "item-000" in set(table["item_id"])


@pytest.mark.parametrize(
    ("attributes", "kind", "message"),
    [
        (
            ["a"],
            ConfigError,
            "attributes is a list. Give a mapping from items, such as {'sku-1': ['brand:a', 'colour:red']}.",
        ),
        ({1: "red"}, ConfigError, "attributes[1] is 'red'. Give a list, such as ['red']."),
        (
            {"a": ["red"]},
            SchemaError,
            "items of attributes look like 'a', those of the interactions like 0. Use the same ids in both.",
        ),
    ],
)
def test_bad_attributes_are_named(attributes: Any, kind: type[Exception], message: str) -> None:
    assert text_of(kind, lambda: ContentItems(attributes).fit(two_blocks())) == f"ContentItems.fit: {message}"

"""Published splits, figures as published: all items ranked, seen items left out."""

from pathlib import Path

import pandas as pd
import pytest

from crmml.metrics import ndcg_at_k, recall_at_k
from crmml.recommend.als import ALS
from crmml.recommend.base import Recommender
from crmml.recommend.popularity import Popularity

pytestmark = [pytest.mark.real, pytest.mark.slow]
NAMES = {"user_id": "customer_id"}


def measured(model: Recommender, train: pd.DataFrame, test: pd.DataFrame) -> tuple[float, float]:
    """Recall@20 and NDCG@20 over the customers of the test part."""
    actual = by_customer(test)
    lists = by_customer(model.fit(train.assign(weight=1.0)).recommend(list(actual), k=20))
    return recall_at_k(actual, lists, 20), ndcg_at_k(actual, lists, 20)


def by_customer(table: pd.DataFrame) -> dict[int, list[int]]:
    """The items of every customer, in the order of the rows."""
    lists: dict[int, list[int]] = {}
    for customer, item in zip(table["customer_id"].tolist(), table["item_id"].tolist(), strict=True):
        lists.setdefault(customer, []).append(item)
    return lists


def part(folder: Path, name: str) -> pd.DataFrame:
    if not folder.is_dir():
        pytest.skip(f"the data set is not here: {folder}")
    return pd.read_parquet(folder / f"{name}.parquet").rename(columns=NAMES)


def test_popularity_has_its_published_figures(shared_data: Path) -> None:
    folder = shared_data / "recsys_gowalla"
    found = measured(Popularity(), part(folder, "train"), part(folder, "test"))
    assert tuple(round(value, 4) for value in found) == (0.0416, 0.0317)


def test_als_knows_more_than_popularity(shared_data: Path) -> None:
    ratings = part(shared_data / "recsys_ml_latest_small", "ratings").sort_values(
        ["customer_id", "timestamp", "item_id"]
    )
    held_out = ratings.groupby("customer_id").cumcount() % 5 == 4  # every fifth film of everybody
    train, test = ratings[~held_out], ratings[held_out]
    popular, factorised = measured(Popularity(), train, test), measured(ALS(), train, test)
    # Twice as many of the held-out films, and higher up the list.
    assert factorised[0] > 1.8 * popular[0]
    assert factorised[1] > 1.4 * popular[1]

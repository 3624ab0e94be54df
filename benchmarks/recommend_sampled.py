"""MovieLens-1M as in the papers on neural collaborative filtering: one item among 99 sampled ones, and among all.

    python benchmarks/recommend_sampled.py FOLDER

FOLDER holds `train.parquet`, `test.parquet` and `test_negatives.parquet` (`user_id`, `item_id`) of the published
split. Sampled metrics compare with the published figures and with nothing else: they order models differently from
the full ranking, which stands beside them. Parameters and the 2 to 1 were chosen on one item of everybody drawn from
train.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

from crmml import ALS, EASE, Interactions, ItemKNN, Popularity
from crmml.recommend.base import Recommender

K = 10
PUBLISHED = {
    "popularity": (0.4535, 0.2543),
    "SLIM": (0.7162, 0.4468),
    "iALS": (0.7111, 0.4383),
    "NeuMF": (0.7093, 0.4349),
    "MF (dot product)": (0.7294, 0.4523),
}
MODELS: dict[str, Recommender] = {
    "Popularity": Popularity(),
    "ItemKNN": ItemKNN(2000),
    "EASE": EASE(None, regularization=100.0, activity_exponent=0.5),
    "ALS": ALS(128, alpha=2.0, regularization=40.0, iterations=10),
}


def main() -> None:
    """Read the folder, fit, print the table."""
    parser = argparse.ArgumentParser(description="MovieLens-1M, one item among 99 sampled ones, and among all.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    train, test, negatives = (
        pd.read_parquet(folder / f"{name}.parquet") for name in ("train", "test", "test_negatives")
    )
    log = Interactions.from_frame(train, customer_id="user_id", item_id="item_id")
    print(f"{'':20}{'HR@10':>9}{'NDCG@10':>9}{'HR@10':>14}{'NDCG@10':>9}")
    print(f"{'':20}{'99 sampled':>18}{'all items':>23}")
    for name, figures in PUBLISHED.items():
        print(f"{name + ' *':20}{figures[0]:9.4f}{figures[1]:9.4f}")
    found = {name: scores_of(model.fit(log)) for name, model in MODELS.items()}
    found["2 ALS + EASE"] = 2 * standardised(found["ALS"]) + standardised(found["EASE"])
    for name, scores in found.items():
        sampled, full = among_sampled(scores, log, test, negatives), among_all(scores, log, test)
        print(f"{name:20}{sampled[0]:9.4f}{sampled[1]:9.4f}{full[0]:14.4f}{full[1]:9.4f}")
    print("* published")


def scores_of(model: Recommender) -> np.ndarray:
    """The scores of all items for all customers, seen items too: lists do not show what is asked here."""
    return np.asarray(model._scores(np.arange(len(model.matrix_.customer_ids))), dtype=np.float64)


def standardised(scores: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1 for every customer."""
    return (scores - scores.mean(axis=1, keepdims=True)) / scores.std(axis=1, keepdims=True)


def among_sampled(
    scores: np.ndarray, log: Interactions, test: pd.DataFrame, negatives: pd.DataFrame
) -> tuple[float, float]:
    """Hit rate and NDCG of the held-out item among the sampled ones; equal scores count against it."""
    row, item = places(log, test)
    positive = np.full(len(scores), -1)
    positive[row] = item
    rows, items = places(log, negatives)
    other = positive[rows] != items  # the published samples hold the item itself 156 times
    rows, items = rows[other], items[other]
    own = score_at(scores, np.arange(len(scores)), positive)
    before = np.bincount(rows, weights=score_at(scores, rows, items) >= own[rows], minlength=len(scores))
    return rates(before[row])


def among_all(scores: np.ndarray, log: Interactions, test: pd.DataFrame) -> tuple[float, float]:
    """The same among all items that the customer has not taken."""
    row, item = places(log, test)
    own = score_at(scores, row, item)
    open_to = log.weights.toarray()[row] == 0
    before = ((scores[row] >= own[:, None]) & open_to).sum(axis=1) - (item >= 0)
    return rates(before)


def places(log: Interactions, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every pair; -1 for an item that nobody took in train."""
    return log.customer_ids.get_indexer(table["user_id"]), log.item_ids.get_indexer(table["item_id"])


def score_at(scores: np.ndarray, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
    """The scores in these cells; below all others for an item that nobody took in train."""
    return np.where(items >= 0, scores[rows, items], -np.inf)


def rates(before: np.ndarray) -> tuple[float, float]:
    """Hit rate and NDCG at `K`, given how many items stand before the one that is looked for."""
    hit = before < K
    return float(hit.mean()), float(np.where(hit, 1 / np.log2(before + 2), 0).mean())


if __name__ == "__main__":
    main()

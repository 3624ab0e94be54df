"""Recommenders on the published splits of gowalla and yelp2018: ours, implicit in the same run, and what was published.

    python benchmarks/recommend.py [--data data] [--logs gowalla yelp2018] [--each] [--without-implicit]

All items are ranked, seen ones left out; Recall@20 and NDCG@20 as LightGCN defines them. Before anything else, the
metric code has to give the published figures of popularity. Everything of ours is chosen inside the training part;
implicit runs with its own defaults and with the best of a grid, chosen on a hold-out inside the training part too.
"""

import argparse
import itertools
import resource
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import crmml as cm  # noqa: E402  (the repository's root has to be on the path)
from crmml.metrics.lists import list_metrics  # noqa: E402

K = 20
# As published, Recall@20 and NDCG@20: LightGCN (2020) and BSPM (2023) by their authors, the others by the BARS
# benchmark (2022), which ran them all on these splits.
PUBLISHED = {
    "gowalla": {
        "SLIM (BARS)": (0.1699, 0.1382),
        "EASE (BARS)": (0.1765, 0.1467),
        "LightGCN": (0.1830, 0.1554),
        "GF-CF (BARS)": (0.1849, 0.1518),
        "UltraGCN (BARS)": (0.1862, 0.1580),
        "SimpleX (BARS)": (0.1872, 0.1557),
        "BSPM": (0.1920, 0.1597),
    },
    "yelp2018": {
        "SLIM (BARS)": (0.0646, 0.0541),
        "EASE (BARS)": (0.0657, 0.0552),
        "LightGCN": (0.0649, 0.0530),
        "GF-CF (BARS)": (0.0697, 0.0571),
        "UltraGCN (BARS)": (0.0683, 0.0561),
        "SimpleX (BARS)": (0.0701, 0.0575),
        "BSPM": (0.0720, 0.0593),
    },
}
POPULARITY = {"gowalla": (0.0416, 0.0317)}
WANTED = {"gowalla": (0.198, 0.163), "yelp2018": (0.073, 0.0605)}
GRID: dict[str, list[Any]] = {"factors": [128, 256], "regularization": [0.1, 10.0], "alpha": [1.0, 10.0]}


class Split(NamedTuple):
    """A published split: `customer_id`, `item_id` each."""

    train: pd.DataFrame
    test: pd.DataFrame


class Line(NamedTuple):
    """A line of the table: seconds are CPU seconds of all cores, `wall` those of the clock."""

    name: str
    recall: float
    ndcg: float
    fit: float
    rank: float
    wall: float


def main() -> None:
    """Run and print a table for every log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with recsys_gowalla, recsys_yelp2018")
    parser.add_argument("--logs", nargs="+", choices=list(PUBLISHED), default=list(PUBLISHED))
    parser.add_argument("--each", action="store_true", help="also every generator of the two stages by itself")
    parser.add_argument("--without-implicit", action="store_true", help="ours and the published figures alone")
    asked = parser.parse_args()
    for log in asked.logs:
        report(log, read(asked.data / f"recsys_{log}"), each=asked.each, peer=not asked.without_implicit)


def report(log: str, split: Split, *, each: bool, peer: bool) -> None:
    """One log: the check of the metric, then every line as soon as it is known."""
    print(f"\n## {log}\n", flush=True)
    popularity = measured("Popularity", cm.Popularity(), split)
    found = round(popularity.recall, 4), round(popularity.ndcg, 4)
    if found != POPULARITY.get(log, found):
        sys.exit(f"popularity has {found}, published are {POPULARITY[log]}: the metric is not the published one")
    print("| | Recall@20 | NDCG@20 | fit, CPU s | rank all, CPU s | wall s |\n| --- | --- | --- | --- | --- | --- |")
    for name, (recall, ndcg) in PUBLISHED[log].items():
        print(f"| {name}, published | {recall:.4f} | {ndcg:.4f} | | | |")
    show(popularity)
    model = cm.TwoStage()
    line = show(measured("crmml TwoStage", model, split))
    if each:
        for name, generator in model.generators_.items():
            show(measured(f"crmml {name}", generator, split, fit=False))
    if peer:
        show(implicit_line("implicit ALS, its defaults", split, {}))
        best = tuned(split)
        show(implicit_line(f"implicit ALS, tuned: {best}", split, best))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    weights = dict(zip(model.generators_, model.weights_[model.weights_ > 0].tolist(), strict=True))
    print(f"\nchosen: {model.chosen_}; weights: {weights}; parameters: {model.parameters_}")
    print(f"\n{model.selection_.round(4).to_string()}\n")
    goal = WANTED[log]
    reached = line.recall >= goal[0] and line.ndcg >= goal[1]
    print(f"goal {goal[0]}/{goal[1]}: {'reached' if reached else 'missed'}; peak of the process {memory:.1f} GiB")


def read(folder: Path) -> Split:
    """The split in this folder."""
    parts = (pd.read_parquet(folder / f"{name}.parquet") for name in ("train", "test"))
    return Split(*(part.rename(columns={"user_id": "customer_id"}) for part in parts))


def measured(name: str, model: Any, split: Split, *, fit: bool = True) -> Line:
    """Fit and recommend to everybody, and what it found."""
    begun, start = time.perf_counter(), time.process_time()
    if fit:
        model.fit(cm.Interactions.from_frame(split.train))
    fitted = time.process_time()
    lists = model.recommend(split.test["customer_id"].unique(), k=K)
    ranked, wall = time.process_time(), time.perf_counter() - begun
    found = list_metrics(split.test, lists, K)
    figures = found["recall"].mean(), found["ndcg"].mean()
    return Line(name, *figures, fitted - start, ranked - fitted, wall)


def show(line: Line) -> Line:
    """Print a line of the table."""
    figures = f"{line.recall:.4f} | {line.ndcg:.4f} | {line.fit:.0f} | {line.rank:.0f} | {line.wall:.0f}"
    print(f"| {line.name} | {figures} |", flush=True)
    return line


class Implicit:
    """implicit's ALS with the verbs of ours: its own ids are row numbers."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.parameters = parameters

    def fit(self, interactions: Any) -> None:
        """Fit on every core."""
        from implicit.cpu.als import AlternatingLeastSquares
        from scipy.sparse import csr_matrix
        from threadpoolctl import threadpool_limits

        self.known = interactions
        self.rows = csr_matrix(interactions.weights, dtype=np.float32)
        with threadpool_limits(limits=1, user_api="blas"):
            self.model = AlternatingLeastSquares(**self.parameters, random_state=0)
            self.model.fit(self.rows, show_progress=False)

    def recommend(self, customers: Any, k: int) -> pd.DataFrame:
        """The best k items, seen ones left out."""
        codes = self.known.customer_ids.get_indexer(customers)
        items, _ = self.model.recommend(codes, self.rows[codes], N=k)
        return pd.DataFrame(
            {
                "customer_id": np.repeat(self.known.customer_ids[codes].to_numpy(), k),
                "item_id": self.known.item_ids.to_numpy()[items.ravel()],
                "rank": np.tile(np.arange(1, k + 1), len(codes)),
            }
        )


def implicit_line(name: str, split: Split, parameters: dict[str, Any]) -> Line:
    """implicit with these parameters."""
    return measured(name, Implicit(parameters), split)


def tuned(split: Split) -> dict[str, Any]:
    """The best of the grid on a fifth of every customer's training items."""
    shuffled = split.train.sample(frac=1, random_state=0)
    place = shuffled.groupby("customer_id").cumcount()
    held_out = place < shuffled.groupby("customer_id")["item_id"].transform("size") // 5
    inside = Split(shuffled[~held_out], shuffled[held_out])
    combinations: list[dict[str, Any]] = [
        dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())
    ]
    figures = [implicit_line("", inside, parameters).ndcg for parameters in combinations]
    return combinations[int(np.argmax(figures))]


if __name__ == "__main__":
    main()

"""The figures of docs/decisions/0028: false findings over shuffles, and the recall of hidden members of a list.

python benchmarks/findings.py shuffles [200]
python benchmarks/findings.py bank bank_full.parquet      # or bank_additional_full.parquet
python benchmarks/findings.py shop transactions.parquet   # Online Retail; about half an hour
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from sklearn.decomposition import TruncatedSVD

import crmml as cm

ALLOWED = 0.05


def shuffles(count: int = 200) -> None:
    """How often something is found where there is nothing."""
    rng = np.random.default_rng(1)
    X = pd.DataFrame(rng.gamma(1.0, size=(600, 5)), columns=list("abcde"))
    X.loc[rng.random(600) < 0.2, "b"] = np.nan
    spend = np.where(rng.random(600) < 0.5, 0.0, rng.gamma(0.7, 30.0, 600))
    false = dict.fromkeys(["suggested, amounts", "suggested, yes or no", "profiles", "profiles, tested again"], 0)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        y = rng.permutation(spend)
        for name, measure in (("suggested, amounts", y), ("suggested, yes or no", y > 0)):
            false[name] += len(cm.SuggestedSegments(random_state=seed).fit(X, measure).segments_) > 1
        labels = rng.choice(["x", "y", "z"], 600, p=[0.6, 0.3, 0.1])
        false["profiles"] += len(cm.profile_segments(X, labels, made_from=()).findings) > 0
        shuffled = X.drop(columns="b").apply(rng.permutation)
        model = cm.BehaviourSegmenter(n_clusters=3).fit(shuffled)
        again = cm.profile_segments(shuffled, model, retest=True)
        false["profiles, tested again"] += bool(again.columns["proven"].any())
    for name, found in false.items():
        print(f"{name}: found something in {found} of {count} shuffles; {ALLOWED * count:g} are allowed")


def bank(path: str) -> None:
    """Hidden subscribers of a bank; `duration` is known only after the call, and left out."""
    table = pd.read_parquet(path)
    members = table.pop("y").to_numpy() == 1
    recency = table["pdays"].astype(float).where(~table["pdays"].isin([-1, 999]))  # never contacted before
    X = pd.get_dummies(table.drop(columns="duration").assign(pdays=recency), dtype=float)
    rfm = pd.DataFrame({"recency": recency, "frequency": table["previous"]})
    if "balance" in table:
        rfm["monetary"] = table["balance"]
    for method in ("trees", "nearest"):
        print(f"{Path(path).stem}, {method}: {cm.hidden_seed_recall(cm.Lookalikes(method), X, members, rfm=rfm)}")
    scores = cm.Lookalikes().fit(X, members).scores_  # told of all members, out of fold: what the columns hold
    print(f"told of all members: {_recall_told(scores, members):.3f} in the first 10 %")


def _recall_told(scores: Any, members: Any, parts: int = 5) -> float:
    where = np.flatnonzero(members)
    part = np.random.default_rng(0).permutation(len(where)) % parts
    found = []
    for number in range(parts):
        mine = where[part == number]
        among = np.concatenate([scores[~members], scores[mine]])
        found.append((scores[mine] > np.quantile(among, 0.9)).mean())
    return float(np.mean(found))


def shop(path: str, as_of: str = "2011-09-01") -> None:
    """Later buyers of the 20 items with the most of them, with and without the directions of what was bought."""
    log = cm.datasets.online_retail(path).clean(*cm.datasets.online_retail_cleaning())
    X = cm.build_features(log, "standard", as_of).select_dtypes("number")
    rfm = cm.build_features(log, "rfm", as_of).loc[X.index]
    ids = X.index.get_level_values("customer_id")
    bought = log.events(["customer_id", "timestamp", "event_type", "item_id"]).to_pandas()
    bought = bought[(bought["event_type"] == "purchase") & bought["customer_id"].isin(ids)]
    cutoff = pd.Timestamp(as_of, tz=bought["timestamp"].dt.tz)
    past, later = bought[bought["timestamp"] < cutoff], bought[bought["timestamp"] >= cutoff]
    place = pd.Index(ids).get_indexer(past["customer_id"]), pd.factorize(past["item_id"])[0]
    matrix = coo_array((np.ones(len(past)), place)).tocsr()
    matrix.data[:] = 1.0
    scaled = matrix / np.maximum(1.0, np.sqrt(matrix.sum(axis=1)))[:, None]
    taste = pd.DataFrame(TruncatedSVD(16, random_state=0).fit_transform(scaled), index=X.index).add_prefix("taste_")
    items = later.groupby("item_id")["customer_id"].nunique().sort_values(ascending=False).index[:20]
    rows = []
    for item in items:
        members = ids.isin(later.loc[later["item_id"] == item, "customer_id"])
        for name, table in (("features", X), ("features and taste", X.join(taste))):
            for method in ("trees", "nearest"):
                found = cm.hidden_seed_recall(cm.Lookalikes(method), table, members, rfm=rfm, shares=[0.1]).table
                rows.append({"columns": name, "method": method, **found.iloc[0]})
    means = pd.DataFrame(rows).groupby(["columns", "method"])[["recall", "rfm_best", "rfm_cells"]].mean()
    print(means.round(3).to_string())


if __name__ == "__main__":
    what, *arguments = sys.argv[1:] or ["shuffles"]
    if what == "shuffles":
        shuffles(*map(int, arguments))
    else:
        {"bank": bank, "shop": shop}[what](*arguments)

"""Recommenders that know the order of things, and repeat purchases: published protocols, and a shop by time.

    python benchmarks/sequences.py beauty FOLDER         # sequences.parquet (user_id, item_id, position)
    python benchmarks/sequences.py tmall FOLDER          # buy_train, buy_valid, buy_test, cart, collect
    python benchmarks/sequences.py retail FILE           # Online Retail, the lines of the invoices

All items are ranked, seen ones are left out (not for `retail`). Parameters were chosen on the item before the last
(Beauty), on the validation part (Tmall) and on July to September 2011 (Online Retail), which are printed with
`--choosing`; the test parts are measured without it.
"""

import argparse
import sys
import time
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import pandas as pd  # noqa: E402  (the root has to be on the path)

import crmml as cm  # noqa: E402
from crmml.recommend.base import Recommender  # noqa: E402

NAMES = {"user_id": "customer_id"}
# HR@10 and NDCG@10 as published (full ranking), for the table.
BEAUTY = {"PopRec": (0.0152, 0.0068), "GRU4Rec": (0.0283, 0.0137), "BERT4Rec": (0.0347, 0.0170),
          "SASRec": (0.0605, 0.0318), "S3-Rec": (0.0647, 0.0327)}  # fmt: skip
TMALL = {"LightGCN, buys alone": (0.0393, 0.0209), "CRGCN, with views": (0.0840, 0.0442),
         "MB-CGCN, with views": (0.0984, 0.0558), "MB-HGCN, with views": (0.1443, 0.0769),
         "MuLe, with views": (0.2112, 0.1177)}  # fmt: skip


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["beauty", "tmall", "retail"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--choosing", action="store_true", help="the part that parameters are chosen on")
    given = parser.parse_args()
    {"beauty": beauty, "tmall": tmall, "retail": retail}[given.what](given.path, given.choosing)


def show(report: cm.RecommendationReport, published: dict[str, tuple[float, float]]) -> None:
    """The report, and the published figures under it."""
    print(report, "", sep="\n")
    for name, (hits, ndcg) in published.items():
        print(f"  published: {name:22} HR@10 {hits:.4f}  NDCG@10 {ndcg:.4f}")


def beauty(folder: Path, choosing: bool) -> None:
    """The last item of every customer is the test, the one before it chooses."""
    frame = pd.read_parquet(folder / "sequences.parquet").rename(columns={**NAMES, "position": "timestamp"})
    split = cm.Split.last_item(frame, back=2 if choosing else 1)
    models: dict[str, Recommender] = {
        "MarkovNext": cm.MarkovNext(),
        "MarkovNext, the last item alone": cm.MarkovNext(1, backward=0.0, memory=1e-9),
        "ItemKNN, without order": cm.ItemKNN(),
    }
    start = time.process_time()
    report = cm.evaluate_recommenders(split, models, k=10)
    show(report, BEAUTY)
    print(f"  {time.process_time() - start:.0f} CPU s in all")


def tmall(folder: Path, choosing: bool) -> None:
    """Buys to find; carts and collections help, views are not part of the public files. Only buys count as seen."""
    buys, valid, test = (pd.read_parquet(folder / f"buy_{part}.parquet") for part in ("train", "valid", "test"))
    pairs = ["user_id", "item_id"]
    marked = buys.merge(valid[pairs], on=pairs, how="left", indicator=True)
    learned = buys[(marked["_merge"] == "left_only").to_numpy()] if choosing else buys
    found = (valid if choosing else test).rename(columns=NAMES)
    helpers = pd.concat([pd.read_parquet(folder / f"{part}.parquet") for part in ("cart", "collect")])
    seen = learned.rename(columns=NAMES)
    for name, weight in {"buys alone": 0.0, "buys, carts and collections": 1.0}.items():
        beside = helpers.rename(columns=NAMES).assign(weight=weight)
        train = pd.concat([seen.assign(weight=1.0), *([beside] if weight else [])])
        print(f"\n{name}")
        measured(train, seen, found)
    for name, (hits, ndcg) in TMALL.items():
        print(f"  published: {name:22} HR@10 {hits:.4f}  NDCG@10 {ndcg:.4f}")


def measured(train: pd.DataFrame, seen: pd.DataFrame, found: pd.DataFrame) -> None:
    """HR@10 and NDCG@10; a collected item may be recommended, a bought one not."""
    interactions = cm.Interactions.from_frame(train, weight="weight")
    bought = seen[["customer_id", "item_id"]].drop_duplicates().assign(bought=True)
    asked = found["customer_id"].unique()
    users = cm.UserKNN(to_exponent=0.0)
    models: dict[str, Recommender] = {"Popularity": cm.Popularity(), "ItemKNN": cm.ItemKNN(), "UserKNN": users}
    for name, model in models.items():
        lists = model.fit(interactions).recommend(asked, k=60, exclude_seen=False)
        lists = lists.merge(bought, on=["customer_id", "item_id"], how="left")
        lists = lists[lists["bought"].isna()]
        lists = lists.assign(rank=lists.groupby("customer_id").cumcount() + 1)
        means = cm.metrics.list_metrics(found, lists, 10).mean()
        print(f"  {name:33} HR@10 {means['hit_rate']:.4f}  NDCG@10 {means['ndcg']:.4f}")


def retail(file: Path, choosing: bool) -> None:
    """A month at a time: what customers with a history buy, repeats and new items."""
    lines = pd.read_parquet(file)
    kept = lines["customer_id"].notna() & (lines["quantity"] > 0) & (lines["unit_price"] > 0)
    kept &= lines["stock_code"].str.match(r"^\d") & ~lines["invoice_no"].str.startswith("C")
    frame = pd.DataFrame(
        {
            "customer_id": lines.loc[kept, "customer_id"].astype("int64"),
            "item_id": lines.loc[kept, "stock_code"],
            "timestamp": lines.loc[kept, "invoice_date"],
        }
    ).drop_duplicates()
    months = [pd.Timestamp(2011, month, 1) for month in ((7, 8, 9, 10) if choosing else (10, 11, 12))]
    for at, until in pairwise(months):
        split = cm.Split.temporal(frame, at=at, until=until)
        known = split.test["customer_id"].isin(split.train["customer_id"])
        models: dict[str, Recommender] = {
            "RepeatPurchase": cm.RepeatPurchase(),
            "personal frequency": cm.RepeatPurchase(1e9, demand_exponent=0.0, prior=1e-3),
            "implicit ALS": cm.ALS(),
            "two stages": cm.TwoStage(repeats=True, k=10),
        }
        both = cm.Split(split.train, split.test[known], "temporal, customers with a history")
        print(f"\n{at:%Y-%m}")
        report = cm.evaluate_recommenders(both, models, k=10, exclude_seen=False)
        print(report)
        for name in ("personal frequency", "implicit ALS"):
            table = report.against(name)
            row = table[(table["contender"] == "RepeatPurchase") & (table["metric"] == "ndcg")].iloc[0]
            ends = f"{row['difference_low']:+.4f} to {row['difference_high']:+.4f}"
            print(f"  NDCG@10 of RepeatPurchase - {name}: {row['difference']:+.4f} (95 % interval {ends})")


if __name__ == "__main__":
    main()

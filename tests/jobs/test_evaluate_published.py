"""Public data, evaluated: published figures reproduced, and what the benchmark of sequences claims."""

from pathlib import Path

import pandas as pd
import pytest

import crmml as cm
from crmml.report.recommendations import RULE

pytestmark = [pytest.mark.real, pytest.mark.slow]


def table(folder: Path, name: str) -> pd.DataFrame:
    if not folder.is_dir():
        pytest.skip(f"the data set is not here: {folder}")
    return pd.read_parquet(folder / f"{name}.parquet").rename(
        columns={"user_id": "customer_id", "position": "timestamp"}
    )


def value(report: cm.RecommendationReport, contender: str, metric: str) -> float:
    rows = report.table[report.table["part"] == "all"].set_index(["contender", "metric"])["value"].to_dict()
    return float(rows[contender, metric])


def test_popularity_on_gowalla_is_as_published(shared_data: Path) -> None:
    folder = shared_data / "recsys_gowalla"
    split = cm.Split(table(folder, "train"), table(folder, "test"))
    report = cm.evaluate_recommenders(split, {"the same": cm.Popularity()}, k=20)
    assert round(value(report, RULE, "recall"), 4) == 0.0416
    assert round(value(report, RULE, "ndcg"), 4) == 0.0317


def test_order_beats_the_published_sequence_models_on_beauty(shared_data: Path) -> None:
    split = cm.Split.last_item(table(shared_data / "recsys_seq_beauty", "sequences"))
    report = cm.evaluate_recommenders(split, {"next": cm.MarkovNext()}, k=10)
    assert round(value(report, RULE, "hit_rate"), 4) == 0.0135  # popularity without the test items
    assert value(report, "next", "hit_rate") >= 0.0605  # SASRec


def test_repeats_are_ahead_of_frequency_and_als_in_a_shop(shared_data: Path) -> None:
    lines = table(shared_data / "online_retail", "transactions")
    lines = lines[lines["customer_id"].notna() & (lines["quantity"] > 0) & (lines["unit_price"] > 0)]
    lines = lines[lines["stock_code"].str.match(r"^\d") & ~lines["invoice_no"].str.startswith("C")]
    names = {"stock_code": "item_id", "invoice_date": "timestamp"}
    frame = lines.rename(columns=names)[["customer_id", "item_id", "timestamp"]].drop_duplicates()
    divided = cm.Split.temporal(
        frame.astype({"customer_id": "int64"}), at=pd.Timestamp("2011-11-01"), until=pd.Timestamp("2011-12-01")
    )
    split = cm.Split(divided.train, divided.test[divided.test["customer_id"].isin(divided.train["customer_id"])])
    models = {
        "repeat": cm.RepeatPurchase(),
        "frequency": cm.RepeatPurchase(1e9, demand_exponent=0.0, prior=1e-3),
        "als": cm.ALS(),
    }
    report = cm.evaluate_recommenders(split, models, k=10, exclude_seen=False)
    for other in (RULE, "frequency", "als"):
        rows = report.against(other).to_dict("records")
        mine = next(row for row in rows if (row["part"], row["contender"], row["metric"]) == ("all", "repeat", "ndcg"))
        assert mine["difference_low"] > 0, other


def test_new_items_are_found_by_their_attributes_on_beauty(shared_data: Path) -> None:
    folder = shared_data / "recsys_seq_beauty"
    log = table(folder, "sequences").assign(weight=1.0)
    about = table(folder, "item_attributes").groupby("item_id")["attribute_id"].agg(list).to_dict()
    cold = set(log["item_id"].drop_duplicates().sort_values().iloc[::10])
    warm = log[~log["item_id"].isin(cold)]
    model = cm.ContentItems(about).fit(warm)
    found = log[log["item_id"].isin(cold) & log["customer_id"].isin(warm["customer_id"])]
    lists = model.recommend(found["customer_id"].unique()[:300], k=13_000)
    lists = lists[lists["item_id"].isin(cold)]
    lists = lists.assign(rank=lists.groupby("customer_id").cumcount() + 1)
    asked = found[found["customer_id"].isin(lists["customer_id"])]
    hits = cm.metrics.list_metrics(asked, lists, k=10)["recall"].mean()
    assert hits > 10 * 10 / len(cold)  # ten times what ten drawn items would hold

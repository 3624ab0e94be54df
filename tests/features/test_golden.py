"""The SQL text is reviewed as text: one file per aggregate, one per preset, one per target.

`CRMML_UPDATE_GOLDEN=1 pytest tests/features/test_golden.py` writes them anew; read the difference before you commit it.
"""

import difflib
import os
from pathlib import Path

import pandas as pd
import pytest

import crmml as cm
from crmml.data.time import moments_of
from crmml.features.datasets import dataset_query
from crmml.features.dialects import text_of

GOLDEN = Path(__file__).with_name("golden")
AS_OF = "2024-06-01"
LOG = cm.InteractionLog(
    pd.DataFrame(
        {
            "user": [1, 1],
            "ts": pd.to_datetime(["2024-01-01", "2024-07-01"], utc=True),
            "known": pd.to_datetime(["2024-01-01", "2024-07-01"], utc=True),
            "kind": ["purchase", "view"],
            "sku": ["a", "b"],
            "revenue": [1.0, 2.0],
            "pieces": [1, 2],
            "source": ["web", "app"],
            "plan": ["gold", "free"],
        }
    ),
    customer_id="user",
    timestamp="ts",
    recorded_at="known",
    event_type="kind",
    item_id="sku",
    amount="revenue",
    quantity="pieces",
    channel="source",
)
FEATURES = {
    "recency": cm.Recency(event_type="purchase"),
    "tenure": cm.Tenure(),
    "count": cm.Count(event_type="purchase", channel=["web", "app"], where={"plan": "it's"}, window="90d"),
    "sum": cm.Sum("amount", window="90d"),
    "mean": cm.Mean("amount", event_type="purchase"),
    "min": cm.Min("amount", window="90d"),
    "max": cm.Max("amount"),
    "std": cm.Std("amount", event_type="purchase"),
    "nunique": cm.NUnique("item_id", event_type="view", window="30d"),
    "gap_mean": cm.Gap(event_type="purchase", window="180d"),
    "gap_std": cm.Gap(event_type="purchase", stat="std", window="180d"),
    "share": cm.Share(event_type="purchase", channel="web", window="90d"),
    "trend": cm.Trend("amount", event_type="purchase", window="180d"),
    "latest": cm.Latest("plan", window="90d"),
}
TEXTS = {
    **{name: cm.FeatureSet([feature]).sql(LOG, AS_OF) for name, feature in FEATURES.items()},
    "preset_rfm": cm.presets.rfm(LOG).sql(LOG, AS_OF),
    "preset_standard": cm.presets.standard(LOG).sql(LOG, [AS_OF, "2024-06-08"]),
    "target_churn": text_of(
        dataset_query(
            LOG,
            cm.FeatureSet([cm.Recency()]),
            cm.Churn("30d", event_type="purchase", active_within="180d", gap="7d"),
            moments_of(AS_OF),
        ),
        "duckdb",
    ),
    "target_spend": text_of(
        dataset_query(LOG, cm.FeatureSet([cm.Recency()]), cm.Spend("30d"), moments_of(AS_OF)), "duckdb"
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_sql_is_what_was_reviewed(name: str) -> None:
    file, text = GOLDEN / f"{name}.sql", TEXTS[name] + "\n"
    if os.environ.get("CRMML_UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    golden = file.read_text(encoding="utf-8") if file.exists() else ""
    difference = "".join(difflib.unified_diff(golden.splitlines(True), text.splitlines(True), "reviewed", "now"))
    assert not difference, f"{file.name} has changed:\n{difference}"


def test_every_aggregate_has_a_text() -> None:
    written = {type(feature).__name__ for feature in FEATURES.values()}
    assert written == set(cm._HOMES["features.aggregates"])


def test_no_text_is_left_of_what_is_gone() -> None:
    assert {file.stem for file in GOLDEN.glob("*.sql")} == set(TEXTS)

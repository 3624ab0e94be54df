"""The SQL text of every aggregate, preset and target, reviewed as text.

A difference is shown as a diff. If it is meant: `CRMML_UPDATE_GOLDEN=1 python -m pytest` with this file, then read
`git diff` before committing. sqlglot decides how SQL is laid out, so a file holds for one major version of it.
"""

import difflib
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import crmml as cm
from crmml.data.time import DAY, moments_of
from crmml.features.bought import Bought
from crmml.features.contracts import Contract
from crmml.features.dialects import text_of
from crmml.features.table import Table
from tests.features.oracle import AGGREGATES

GOLDEN = Path(__file__).parent / "golden"
LAYOUT = f"-- sqlglot {version('sqlglot').partition('.')[0]}"
FRAME = pd.DataFrame(
    {
        "user": ["anna", "ben", "anna"],
        "ts": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01"], utc=True),
        "seen": pd.to_datetime(["2024-01-01", "2024-02-02", "2024-03-01"], utc=True),
        "kind": ["purchase", "view", "purchase"],
        "sku": ["a", "b", None],
        "revenue": [19.99, None, -5.0],
        "units": [1, None, 2],
        "source": ["web", "shop", "web"],
        "plan": ["free", "gold", "gold"],
        "taste": [[0.5, -1.0], None, [0.25, 2.0]],
    }
)
LOG = cm.InteractionLog(
    FRAME,
    customer_id="user",
    timestamp="ts",
    event_type="kind",
    item_id="sku",
    amount="revenue",
    quantity="units",
    channel="source",
    recorded_at="seen",
)
PLAIN = cm.InteractionLog(
    FRAME[["user", "ts", "revenue"]],
    customer_id="user",
    timestamp="ts",
    event_type=cm.Constant("purchase"),
    amount="revenue",
)
# One file per aggregate: with and without filter and window, and with whatever else it can be told.
FEATURES: dict[str, list[Any]] = {
    "Recency": [cm.Recency(), cm.Recency(event_type="purchase", channel=["web", "shop"])],
    "Tenure": [cm.Tenure(), cm.Tenure(where={"plan": "gold"})],
    "Count": [cm.Count(), cm.Count(event_type="purchase", window="90d")],
    "Sum": [cm.Sum("amount"), cm.Sum("quantity", event_type=["purchase", "view"], window="8w")],
    "DecayedSum": [cm.DecayedSum("amount"), cm.DecayedSum("quantity", half_life="4w", event_type="view", window="90d")],
    "Mean": [cm.Mean("amount", event_type="purchase")],
    "Min": [cm.Min("amount", window="30d")],
    "Max": [cm.Max("amount", window="30d")],
    "Std": [cm.Std("amount", window="30d")],
    "NUnique": [cm.NUnique("item_id"), cm.NUnique("item_id", event_type="view", window="30d"), cm.NUnique("channel")],
    "Gap": [
        *(cm.Gap(event_type="purchase", stat=stat) for stat in ("mean", "std", "median", "last", "last_to_mean")),
        *(cm.Gap(event_type="purchase", stat=stat, window="180d") for stat in ("mean", "std", "median", "last")),
    ],
    "DaysActive": [cm.DaysActive(), cm.DaysActive(window="90d"), cm.DaysActive(timezone="Europe/Berlin", window="90d")],
    "Sessions": [
        *(cm.Sessions(stat=stat, event_type="view", window="90d") for stat in ("count", "length", "events")),
        cm.Sessions(gap="2h"),
    ],
    "Streak": [
        *(cm.Streak(event_type="purchase", stat=stat) for stat in ("current", "longest")),
        *(cm.Streak(every="1h", stat=stat) for stat in ("current", "longest")),
    ],
    "TimeTo": [cm.TimeTo(event_type="purchase"), cm.TimeTo(nth=4, window="90d")],
    "Change": [cm.Change(window="30d"), cm.Change("amount", stat="ratio", event_type="purchase", window="30d")],
    "HourShare": [cm.HourShare(event_type="view"), cm.HourShare(hours=(22, 6), timezone="Europe/Berlin", window="90d")],
    "WeekdayShare": [cm.WeekdayShare(), cm.WeekdayShare(days="monday", timezone="Europe/Berlin", window="90d")],
    "CutoffCalendar": [cm.CutoffCalendar(part=part) for part in ("month", "weekday", "day_of_year")],
    "Share": [cm.Share(event_type="view", window="90d"), cm.Share(event_type="purchase", channel="web")],
    "Trend": [cm.Trend(window="180d"), cm.Trend("amount", event_type="purchase", window="4w", periods=4)],
    "Latest": [cm.Latest("plan"), cm.Latest("amount", event_type="purchase", window="90d")],
    "First": [cm.First("plan"), cm.First("amount", event_type="purchase", window="90d")],
    "Median": [cm.Median("amount"), cm.Median("amount", event_type="purchase", window="90d")],
    "Quantile": [cm.Quantile("amount", q=0.25, channel="web"), cm.Quantile("amount", event_type="purchase")],
    "Entropy": [cm.Entropy("channel"), cm.Entropy("item_id", event_type="view", window="90d")],
    "TopShare": [cm.TopShare("channel"), cm.TopShare("item_id", event_type="view", window="90d")],
    "TopValue": [cm.TopValue("channel"), cm.TopValue("quantity", event_type="purchase", window="90d")],
    "MeanVector": [cm.MeanVector("taste", 2, window="90d"), cm.MeanVector("plan", 2, event_type="purchase")],
    "RepeatShare": [cm.RepeatShare("item_id", event_type="purchase"), cm.RepeatShare("item_id", window="90d")],
    "Basket": [
        *(cm.Basket(stat=stat, event_type="purchase", window="90d") for stat in ("lines", "items", "value")),
        *(cm.Basket(stat=stat, order="plan") for stat in ("orders", "items", "value")),
    ],
    "ReturnRate": [
        cm.ReturnRate("amount", event_type="purchase", returned="view", window="90d"),
        cm.ReturnRate("amount", event_type="purchase", returned=None),
    ],
    "ConversionRate": [
        cm.ConversionRate(event_type="view", window="90d"),
        cm.ConversionRate(event_type="view", channel="web", within="30d", on="item_id"),
    ],
    "Ratio": [cm.Ratio(cm.Count(event_type="purchase", window="90d"), cm.Count(event_type="view", window="90d"))],
}
# What `transactions` and `contracts` read of a log.
BOUGHT = Bought(event_type="purchase", returns="view", column="amount", timezone="Europe/Berlin")
CONTRACT = Contract(event_type="purchase", ended_by="view", term_us=31 * DAY)
CUTOFFS = moments_of(["2024-02-15", "2024-02-29T23:30:00+01:00"])


def of_features(log: cm.InteractionLog, features: cm.FeatureSet, dialect: str = "duckdb") -> str:
    return features.sql(log, CUTOFFS, dialect=dialect)


def of_target(target: Any) -> str:
    table = Table(LOG, cm.FeatureSet([cm.Recency()]), CUTOFFS, target.population, target)
    return text_of(table.text(CUTOFFS).whole(), "duckdb")


def of_population() -> str:
    population = cm.Population(event_type="purchase", active_within="90d")
    return text_of(Table(LOG, cm.FeatureSet([cm.Count()]), CUTOFFS, population).text(CUTOFFS).whole(), "duckdb")


TEXTS: dict[str, Any] = {
    **{name.lower(): lambda name=name: of_features(LOG, cm.FeatureSet(FEATURES[name])) for name in FEATURES},
    "preset_rfm": lambda: of_features(LOG, cm.presets.rfm(LOG)),
    "preset_rfm_spark": lambda: of_features(LOG, cm.presets.rfm(LOG), "spark"),
    "preset_standard": lambda: of_features(LOG, cm.presets.standard(LOG)),
    "preset_standard_of_a_purchase_log": lambda: of_features(PLAIN, cm.presets.standard(PLAIN)),
    "population": of_population,
    "target_churn": lambda: of_target(cm.Churn("60d", event_type="purchase", active_within="180d", gap="7d")),
    "target_spend": lambda: of_target(cm.Spend("60d", event_type=["purchase", "view"])),
    "target_repurchase": lambda: of_target(cm.Repurchase("60d")),
    "transactions": lambda: of_features(LOG, cm.FeatureSet([BOUGHT])),
    "contracts": lambda: of_features(LOG, cm.FeatureSet([CONTRACT])),
    "target_subscription_churn": lambda: of_target(
        cm.SubscriptionChurn("60d", event_type="purchase", active_within="31d", ended_by="view")
    ),
}


def test_every_aggregate_has_a_golden_file() -> None:
    assert set(FEATURES) == set(AGGREGATES)
    assert {path.stem for path in GOLDEN.glob("*.sql")} == set(TEXTS)


@pytest.mark.parametrize("name", TEXTS)
def test_the_sql_is_the_reviewed_one(name: str) -> None:
    path = GOLDEN / f"{name}.sql"
    actual = f"{LAYOUT}\n{TEXTS[name]()}\n"
    if os.environ.get("CRMML_UPDATE_GOLDEN") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(actual, encoding="utf-8")
    expected = path.read_text(encoding="utf-8")
    if not expected.startswith(f"{LAYOUT}\n"):
        pytest.skip(f"{path.name} was laid out by another sqlglot ({expected.partition(chr(10))[0]})")
    diff = difflib.unified_diff(expected.splitlines(), actual.splitlines(), str(path), "now", lineterm="")
    assert actual == expected, "\n".join(diff)


def test_the_sql_runs_and_does_not_depend_on_the_rows() -> None:
    """A text is about columns and cutoffs: the same for a log with other rows in it."""
    other = cm.InteractionLog.from_roles(FRAME.iloc[::-1], LOG.roles)
    features = cm.FeatureSet([feature for group in FEATURES.values() for feature in group])
    assert of_features(other, features) == of_features(LOG, features)
    assert LOG.engine.arrow(of_features(LOG, features)).num_rows == 4  # two customers, two cutoffs

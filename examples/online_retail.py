"""Online Retail, the whole way: python examples/online_retail.py [transactions.parquet | Online Retail.xlsx]

From the raw invoice lines of a British wholesaler to churn, value, segments and recommendations: each graded beside
simple rules where it can be, tracked in MLflow, and scored into the folder scores/.
"""

import sys
from typing import Any

import crmml as cm

raw = cm.datasets.online_retail(sys.argv[1] if len(sys.argv) > 1 else None)
log = raw.clean(*cm.datasets.online_retail_cleaning())
print(log.cleaning_report().to_string(index=False), log.check(horizon="60d", window="120d"), sep="\n\n")

monthly = cm.cutoffs("2011-04-01", "2011-10-08", every="30d")
purchases = cm.ItemWeights(weights={"purchase": 1})
jobs: dict[str, tuple[Any, ...]] = {
    "churn": ("standard", cm.Churn("60d", event_type="purchase", active_within="120d"), cm.ChurnClassifier()),
    "value": ("standard", cm.Spend("60d", active_within="120d"), cm.LifetimeValueRegressor()),
    "recommendations": (purchases, cm.NextItems("60d", event_type="purchase"), cm.ALS(factors=64)),
}
for name, (features, target, model) in jobs.items():
    report = cm.backtest(log, features, target, model, as_of=monthly)
    print(f"\n{name}\n{'=' * len(name)}\n{report}")
    bundle = cm.train(log, features, target, model, as_of=report.training_cutoffs)
    uri = cm.track(bundle, report, experiment=f"online-retail-{name}")
    print("scores:", cm.score(uri, log, as_of="2011-12-10", out=f"scores/online_retail/{name}"))

segments = cm.train(log, "rfm", None, cm.RFMSegmenter(), as_of="2011-12-10")
print("scores:", cm.score(segments, log, as_of="2011-12-10", out="scores/online_retail/segments"))
print("\nsegments\n========", segments.score(log, "2011-12-10")["segment"].value_counts().to_string(), sep="\n")

"""CDNOW, the whole way: python examples/cdnow.py [transactions.parquet | CDNOW_master.txt]

Every purchase of the 23,570 customers who first bought CDs in the first quarter of 1997: a log without items,
channels or returns. Churn, value and segments; graded beside simple rules, tracked in MLflow, scored into scores/.
"""

import sys

import crmml as cm

log = cm.datasets.cdnow(sys.argv[1] if len(sys.argv) > 1 else None)
print(log.check(horizon="91d", window="180d"))

# All customers arrive by the end of March 1997: the first cutoff lets each of them be seen for a while.
dates = cm.cutoffs("1997-06-01", "1998-03-31", every="60d")
jobs = {
    "churn": (cm.Churn("91d", event_type="purchase"), cm.ChurnClassifier()),
    "value": (cm.Spend("91d"), cm.LifetimeValueRegressor()),
}
for name, (target, model) in jobs.items():
    report = cm.backtest(log, "standard", target, model, as_of=dates)
    print(f"\n{name}\n{'=' * len(name)}\n{report}")
    bundle = cm.train(log, "standard", target, model, as_of=report.training_cutoffs)
    uri = cm.track(bundle, report, experiment=f"cdnow-{name}")
    print("scores:", cm.score(uri, log, as_of="1998-07-01", out=f"scores/cdnow/{name}"))

for name, model in {"rfm": cm.RFMSegmenter(), "behaviour": cm.BehaviourSegmenter(n_clusters=4)}.items():
    bundle = cm.train(log, "rfm", None, model, as_of="1998-07-01")
    print("scores:", cm.score(bundle, log, as_of="1998-07-01", out=f"scores/cdnow/{name}"))
    print(bundle.score(log, "1998-07-01")["segment"].value_counts().to_string())

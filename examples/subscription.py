"""Subscriptions, the whole way: python examples/subscription.py [customers.parquet of Telco]

A simulated log of contracts, paid every 30 days, which are cancelled or lapse: who will leave within 60 days, graded
beside simple rules; how long contracts last, by sBG. Then Telco, a table without a log.
"""

import sys

import numpy as np
import pandas as pd

import crmml as cm

rng = np.random.default_rng(7)
begin = rng.uniform(0, 690, 4_000)  # days since 2023
lived = cm.ShiftedBetaGeometric.from_parameters({"alpha": 0.7, "beta": 3.8}).simulate((720 - begin) // 30, rng)
last = begin + 30 * (lived["t"] - lived["churned"])  # the day of the last payment
payments = [pd.DataFrame({"day": begin + 30 * k, "what": "pay"})[begin + 30 * k <= last] for k in range(24)]
ends = pd.DataFrame({"day": last + rng.uniform(1, 30, 4_000), "what": "cancel"})[lived["churned"] == 1][::2]
calls = pd.DataFrame({"day": last + rng.uniform(-60, 30, 4_000), "what": "support"})[::3]
events = pd.concat([*payments, ends, calls]).query("day < 720").rename_axis("customer").reset_index()
events["at"] = pd.Timestamp("2023-01-01", tz="UTC") + pd.to_timedelta(events["day"], unit="D")
log = cm.InteractionLog(events, customer_id="customer", timestamp="at", event_type="what")

features = [cm.Tenure(), cm.Recency(event_type="pay"), cm.Count(event_type="support", window="60d")]
churn = cm.SubscriptionChurn("60d", event_type="pay", active_within="31d", ended_by="cancel")
cutoffs = cm.cutoffs("2023-06-01", "2024-10-01", every="60d")
report = cm.backtest(log, features, churn, cm.ChurnClassifier(), as_of=cutoffs)
bundle = cm.train(log, features, churn, cm.ChurnClassifier(), as_of=report.training_cutoffs)
print(report, "scores:", cm.score(bundle, log, as_of="2024-12-01", out="scores/subscription"), sep="\n")
contracts = cm.contracts(log, "2024-12-01", event_type="pay", term="31d", ended_by="cancel")
model = cm.ShiftedBetaGeometric().fit(contracts)
print(f"sBG: alpha {model.alpha_:.2f}, beta {model.beta_:.2f}; there after a year: {model.survival([12])[0]:.0%}")
if len(sys.argv) > 1:
    telco = pd.read_parquet(sys.argv[1])
    X, y = pd.get_dummies(telco.drop(columns=["customer_id", "churn"]), dtype=float), telco["churn"]
    later = rng.random(len(X)) < 0.3  # without dates, a random part stands for the future
    p = cm.ChurnClassifier().fit(X[~later], y[~later]).predict_proba(X[later])[:, 1]
    print(f"Telco: AUC {cm.metrics.auc(y[later], p):.3f}, Brier {cm.metrics.brier(y[later], p):.3f}")

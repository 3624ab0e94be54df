"""A shop where nothing changes, unless it is told to: how often does monitoring cry wolf, and whom does it name?

Customers arrive, buy at a rate of their own and leave, as they always did and long before the log begins: the
population and all that is counted in windows are stationary. What differs from cutoff to cutoff is chance, and the
customers of one cutoff are mostly those of the one before. `python -m tests.jobs.drift_world 200` prints the figures.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

import crmml as cm

START, DAYS, BURN_IN = pd.Timestamp("2023-01-01", tz="UTC"), 720, 900
FEATURES = [
    cm.Recency(event_type="purchase"),
    cm.Count(event_type="purchase", window="180d"),
    cm.Sum("amount", event_type="purchase", window="180d"),
    cm.Mean("amount", event_type="purchase", window="180d"),
    cm.Max("amount", event_type="purchase", window="90d"),
    cm.Share(channel="app", event_type="purchase", window="180d"),
    cm.NUnique("channel", window="180d"),
    cm.Count(event_type="view", window="90d"),
    cm.Recency(event_type="view"),
    cm.Std("amount", event_type="purchase", window="180d"),
]
CHURN = cm.Churn("60d", event_type="purchase", active_within="180d")
TRAINING = [START + pd.Timedelta(days=day) for day in range(180, 541, 60)]  # 7 cutoffs; labels until day 600
NOW = START + pd.Timedelta(days=DAYS)
# What is planted after day 600 -> the columns that may be named for it. Whoever is named besides is a false alarm.
AMOUNTS = {
    "sum_amount_purchase_180d",
    "mean_amount_purchase_180d",
    "max_amount_purchase_90d",
    "std_amount_purchase_180d",
}
PLANTED = {"prices": AMOUNTS, "views lost": {"count_view_90d", "recency_view"}, "all by app": {"share_purchase_app"}}


def shop(seed: int, *, drift: str | None = None, customers: int = 1500) -> cm.InteractionLog:
    """The log of one shop; about half of the customers are active at a time. `drift`: a key of PLANTED."""
    random = np.random.default_rng(seed)
    arrival = random.uniform(-BURN_IN, DAYS, customers * (BURN_IN + DAYS) // DAYS)
    leaving = arrival + random.exponential(400, len(arrival))
    frames = []
    for kind, per_day, taste in (("purchase", 1 / 40, 1.5), ("view", 1 / 25, 2.0)):
        rate = random.gamma(taste, per_day / taste, len(arrival))
        number = random.poisson(rate * (leaving - arrival))
        who = np.repeat(np.arange(len(arrival)), number)
        at = random.uniform(arrival[who], leaving[who])
        frames.append(pd.DataFrame({"customer_id": who, "day": at, "event_type": kind}))
    events = pd.concat(frames, ignore_index=True)
    level, app = random.lognormal(3, 0.6, len(arrival)), random.beta(2, 3, len(arrival))
    who = events["customer_id"].to_numpy()
    events["amount"] = np.round(level[who] * random.lognormal(0, 0.4, len(events)), 2)
    events["channel"] = np.where(random.random(len(events)) < app[who], "app", "web")
    events = _drifted(events, drift)
    events = events[(events["day"] >= 0) & (events["day"] < DAYS)]
    events["timestamp"] = (START + pd.to_timedelta(events.pop("day"), unit="D")).dt.round("us")
    events.loc[events["event_type"] == "view", "amount"] = np.nan
    roles = {name: name for name in ("customer_id", "timestamp", "event_type", "amount", "channel")}
    return cm.InteractionLog(events, **roles, observed_until=NOW)


def _drifted(events: pd.DataFrame, drift: str | None) -> pd.DataFrame:
    late = events["day"] >= 600
    if drift == "prices":
        events.loc[late, "amount"] *= 2
    if drift == "all by app":
        events.loc[late, "channel"] = "app"
    return events[~late | (events["event_type"] != "view")] if drift == "views lost" else events


def monitored(seed: int, *, drift: str | None = None) -> cm.MonitorReport:
    """The bundle of an undisturbed past, and the monitor of today."""
    log = shop(seed, drift=drift)
    model = cm.ChurnClassifier(num_iterations=20, num_leaves=7, n_jobs=1)
    bundle = cm.train(log, FEATURES, CHURN, model, TRAINING, progress=False)
    return cm.monitor(bundle, log, NOW, least_psi=1e-9)  # every significant difference counts, however small


def printed(monitored: Callable[..., cm.MonitorReport], planted: Iterable[str], repetitions: int, each: int) -> None:
    """How often there was an alarm, and for which columns: without drift, and `each` times with what is planted."""
    for drift in (None, *planted):
        alarmed, named, least = 0, Counter[str](), []
        for seed in range(repetitions if drift is None else each):
            report = monitored(seed, drift=drift)
            alarmed += not report.alarms.empty
            named.update(report.alarms["column"])
            least.append(float(report.table["p_value"].min()))
        small = np.mean(np.array(least) < 0.05)
        print(
            f"{drift}: alarm in {alarmed} of {len(least)}; least p below .05 in {small:.0%}; {dict(named)}", flush=True
        )


if __name__ == "__main__":
    asked = int(sys.argv[1])
    printed(monitored, PLANTED, asked, max(1, asked // 10))

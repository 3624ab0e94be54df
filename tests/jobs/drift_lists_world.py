"""A shop of items where nothing changes, unless it is told to: the shop of `drift_world`, and what its customers take.

Items come and go at a constant rate, and those that are there are popular as they always were: newcomers among
customers and items are as many at every cutoff. No item makes more than a few percent of the sales: one that made a
quarter of them would be a change of the shop whenever it comes or goes, and would be called so.
`python -m tests.jobs.drift_lists_world 200` prints the figures.
"""

import sys

import numpy as np
import pandas as pd

import crmml as cm
from tests.jobs.drift_world import DAYS, NOW, START, printed, shop

WEIGHTS = cm.ItemWeights(weights={"purchase": 1.0, "view": 0.2})
NEXT = cm.NextItems("60d", event_type="purchase")
TRAINING = [START + pd.Timedelta(days=day) for day in range(240, 601, 60)]  # 7 cutoffs
CHANGE = 660  # the day from which on what is planted is there: the horizon before NOW
# What is planted -> the columns that may be named for it. Whoever is named besides is a false alarm.
PLANTED = {
    "other items": {"new_items", "item_popularity"},
    "thrice as busy": {"interactions"},
    "strangers": {"new_customer", "customers"},
    "long tail": {"item_popularity", "new_items"},
}
_ITEMS, _LIFE = 400, 1000.0  # items at a time, and for how many days one is sold
_SPAN = DAYS + 3 * _LIFE


def shop_of_items(seed: int, *, drift: str | None = None, customers: int = 1200) -> cm.InteractionLog:
    """The log of one shop. `drift`: a key of PLANTED."""
    random = np.random.default_rng(seed + 10_000)
    events = shop(seed, customers=customers).events().to_pandas()[["customer_id", "timestamp", "event_type"]]
    events["timestamp"] = events["timestamp"].dt.tz_localize("UTC")
    day = (events["timestamp"] - START) / pd.Timedelta(days=1)
    late = (day >= CHANGE).to_numpy()
    number = int(_ITEMS * _SPAN / _LIFE)
    begin = random.uniform(-3 * _LIFE, DAYS, number)
    end, attraction = begin + random.exponential(_LIFE, number), random.lognormal(0, 1, number)
    events["item_id"] = 0
    for week in range(int(DAYS // 7) + 1):  # what is on the shelf changes from week to week
        rows = (day // 7 == week).to_numpy()
        there = (begin <= 7 * week) & (7 * week < end)
        likely = attraction ** (0.1 if drift == "long tail" and 7 * week >= CHANGE else 1.0) * there
        events.loc[rows, "item_id"] = random.choice(number, int(rows.sum()), p=likely / likely.sum())
    if drift == "other items":
        events.loc[late, "item_id"] += number
    if drift == "strangers":  # every second customer of the last weeks is somebody whom nobody knows
        events.loc[late & (events["customer_id"] % 2 == 0), "customer_id"] += 10_000_000
    if drift == "thrice as busy":
        again = [events[late].assign(timestamp=events["timestamp"] + pd.Timedelta(seconds=n)) for n in (1, 2)]
        events = pd.concat([events, *again], ignore_index=True)
        events = events[events["timestamp"] < NOW]
    roles = {name: name for name in ("customer_id", "timestamp", "event_type", "item_id")}
    return cm.InteractionLog(events, **roles, observed_until=NOW)


def monitored(seed: int, *, drift: str | None = None) -> cm.MonitorReport:
    """The bundle of an undisturbed past, and the monitor of today."""
    log = shop_of_items(seed, drift=drift)
    bundle = cm.train(log, WEIGHTS, NEXT, cm.Popularity(), TRAINING, progress=False)
    return cm.monitor(bundle, log, NOW, least_psi=1e-9)  # every significant difference counts, however small


if __name__ == "__main__":
    asked = int(sys.argv[1])
    printed(monitored, PLANTED, asked, asked)

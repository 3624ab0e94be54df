"""A small log to prepare, and what its folder holds."""

from pathlib import Path
from random import Random

import pandas as pd
import pyarrow as pa

import crmml as cm

ROLES = {"customer_id": "user", "timestamp": "ts", "event_type": "kind", "timezone": "UTC"}
START = pd.Timestamp("2024-01-01")
# What stands in a folder that was prepared in four buckets.
WHOLE = [".lock", *(f"bucket-000{n}.parquet" for n in range(4)), "manifest.json"]


def rows(events: int = 400, seed: int = 1) -> pa.Table:
    """Events of 50 customers, in no order."""
    random = Random(seed)
    return pa.table(
        {
            "user": [random.randint(1, 50) for _ in range(events)],
            "ts": [START + pd.Timedelta(random.randint(0, 10**12), unit="us") for _ in range(events)],
            "kind": [random.choice(("view", "purchase")) for _ in range(events)],
        }
    )


def names(folder: Path) -> list[str]:
    """The names in a folder."""
    return sorted(path.name for path in folder.iterdir())


def multiset(log: cm.InteractionLog) -> list[str]:
    """The events of a log in an order that depends on nothing but the events."""
    return sorted(map(repr, log.events().to_pylist()))


def interrupted(*_: object, **__: object) -> int:
    """Stands for a function during which somebody pressed Ctrl-C."""
    raise KeyboardInterrupt

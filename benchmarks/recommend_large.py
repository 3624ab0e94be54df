"""Everybody gets a list: a million customers, a hundred thousand items, in bounded memory.

    python benchmarks/recommend_large.py [--customers 1000000] [--items 100000] [--model als | items]

Simulated: everybody has one of a hundred tastes, of which seven in ten of their ten items are, popular ones more often.
Lists of 20 are made for 20,000 customers at a time and written as Parquet, so that memory does not grow with the
number of customers beyond what the model itself knows. Prints CPU seconds, customers per CPU second and the peak
resident memory of the process.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import numpy as np  # noqa: E402  (threads are limited, and the repository's root found, before the imports)
import pandas as pd  # noqa: E402

import crmml as cm  # noqa: E402

K, EACH, TASTES, BLOCK = 20, 10, 100, 20_000


def main() -> None:
    """Simulate, fit, rank everybody, print."""
    lines = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    lines.add_argument("--customers", type=int, default=1_000_000)
    lines.add_argument("--items", type=int, default=100_000)
    lines.add_argument("--model", choices=["als", "items"], default="als")
    options = lines.parse_args()
    log = cm.Interactions.from_frame(simulated(options.customers, options.items))
    print(f"{log}: {memory():.2f} GB with the interactions")
    model = cm.ALS(32, iterations=3, frequency_exponent=0.5) if options.model == "als" else cm.ItemKNN(200)
    start = time.process_time()
    model.fit(log)
    print(f"{type(model).__name__} fitted in {time.process_time() - start:.0f} CPU s, {memory():.2f} GB")
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        for first in range(0, len(log.customer_ids), BLOCK):
            lists = model.recommend(log.customer_ids[first : first + BLOCK], k=K)
            lists.to_parquet(Path(folder) / f"{first}.parquet", index=False)
        rows = sum(len(pd.read_parquet(part, columns=["rank"])) for part in Path(folder).iterdir())
    spent = time.process_time() - start
    print(f"{rows:,} rows for {len(log.customer_ids):,} customers in {spent:.0f} CPU s "
          f"({len(log.customer_ids) / spent:,.0f} customers per CPU s), {memory():.2f} GB")  # fmt: skip


def simulated(customers: int, items: int) -> pd.DataFrame:
    """Ten items for everybody; most of the customer's own taste."""
    random = np.random.default_rng(0)
    who = np.repeat(np.arange(customers), EACH)
    within = np.minimum(random.exponential(items / TASTES / 8, len(who)), items / TASTES - 1).astype(np.int64)
    anything = random.integers(TASTES, size=len(who))
    taste = np.where(random.random(len(who)) < 0.7, who % TASTES, anything)
    return pd.DataFrame({"customer_id": who, "item_id": within * TASTES + taste})


def memory() -> float:
    """The peak resident memory of this process, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()

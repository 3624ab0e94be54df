"""Fitting and recommending beside implicit: the same ALS, the same filter, one thread, one run.

    python benchmarks/recommend_speed.py DATA [--factors 64] [--rounds 3]

DATA is a table (Parquet) of one row per interaction with the columns `user_id` and `item_id`. Prints, for the best
of some rounds taken in turns, the CPU seconds of both fits and customers per CPU second of both, when everybody is
recommended 20 items that they have not taken.
"""

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from crmml import ALS, Interactions

K = 20
ALPHA, REGULARIZATION, ITERATIONS = 20.0, 20.0, 15


def main() -> None:
    """Read the arguments, measure in turns, print the table."""
    parser = argparse.ArgumentParser(description="Fitting and recommending beside implicit.")
    parser.add_argument("data")
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    table = pd.read_parquet(options.data)
    log = Interactions.from_frame(table, customer_id="user_id", item_id="item_id")
    confidence = csr_matrix(log.weights)
    confidence.data = (1 + ALPHA * confidence.data).astype(np.float32)
    ours = ALS(options.factors, regularization=REGULARIZATION, alpha=ALPHA, iterations=ITERATIONS)
    theirs = AlternatingLeastSquares(
        options.factors, regularization=REGULARIZATION, alpha=1.0, iterations=ITERATIONS, num_threads=1, random_state=0
    )
    everybody = np.arange(len(log.customer_ids))

    def recommend_theirs() -> None:
        for start in range(0, len(everybody), 1000):  # its whole answer at once needs customers x items numbers
            some = everybody[start : start + 1000]
            theirs.recommend(some, confidence[some], N=K, filter_already_liked_items=True)

    calls: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "fit": (lambda: ours.fit(log), lambda: theirs.fit(confidence, show_progress=False)),
        "recommend": (lambda: ours.recommend(log.customer_ids, k=K), recommend_theirs),
    }
    print(f"{len(log.customer_ids):,} customers, {len(log.item_ids):,} items, {options.factors} factors, one thread")
    print(f"{'':12}{'crmml':>12}{'implicit':>12}{'ratio':>8}")
    for name, pair in calls.items():
        rounds = [[_cpu(call) for call in pair] for _ in range(options.rounds)]
        seconds = np.min(rounds, axis=0)
        if name == "fit":
            print(f"{name + ', CPU s':12}{seconds[0]:12.1f}{seconds[1]:12.1f}{seconds[0] / seconds[1]:8.2f}")
        else:
            rates = [len(everybody) / second for second in seconds]
            print(f"{'customers/s':12}{rates[0]:12,.0f}{rates[1]:12,.0f}{rates[0] / rates[1]:8.2f}")


def _cpu(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    main()

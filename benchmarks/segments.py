"""Segmenting a million customers beside bare scikit-learn: the same algorithm, the same starts, one thread.

    python benchmarks/segments.py [--customers 1000000] [--features 30] [--rounds 3] [--method kmeans]

Each contender runs in a process of its own, in turns, on the same table of simulated features (skewed, with outliers
and 2 % missing values). Bare scikit-learn is what one would write: impute the median, log the skewed columns, scale
robustly, cluster. Below it, clustering alone on a table that is scaled already. Prints CPU seconds of fit and of
assigning everybody, the best round of each, their ratios, and the peak memory of the process.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

SEGMENTS = 5
CONTENDERS = ("crmml", "scikit-learn", "clustering alone")


def main() -> None:
    """Measure in turns, print the table."""
    parser = argparse.ArgumentParser(description="Segmenting beside bare scikit-learn.")
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--method", choices=["kmeans", "gaussian_mixture"], default="kmeans")
    parser.add_argument("--contender", choices=CONTENDERS)
    options = parser.parse_args()
    if options.contender:
        print(json.dumps(measured(options)))
        return
    best: dict[str, dict[str, float]] = {}
    for _ in range(options.rounds):
        for name in CONTENDERS:
            command = [sys.executable, __file__, *sys.argv[1:], "--contender", name]
            cost = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            before = best.setdefault(name, cost)
            best[name] = {key: min(before[key], value) for key, value in cost.items()}
    what = f"{options.customers:,} customers, {options.features} features"
    print(f"{what}, {SEGMENTS} segments by {options.method}, one thread")
    print(f"the table is {options.customers * options.features * 8 / 1e6:,.0f} MB; best of {options.rounds} rounds")
    print(f"{'':18}{'fit, CPU s':>12}{'assign, CPU s':>15}{'both':>8}{'ratio':>8}{'peak MB':>10}")
    for name, cost in best.items():
        both = cost["fit"] + cost["assign"]
        ratio = (best["crmml"]["fit"] + best["crmml"]["assign"]) / both
        print(f"{name:18}{cost['fit']:12.2f}{cost['assign']:15.2f}{both:8.2f}{ratio:8.2f}{cost['memory']:10,.0f}")


def table(customers: int, features: int) -> Any:
    """Five kinds of customers; every second column skewed, every fifth of counts, some values missing."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, SEGMENTS, customers)
    X = rng.normal(size=(customers, features))
    X += (2.0 * rng.normal(size=(SEGMENTS, features)))[kind]
    np.exp(X[:, ::2], out=X[:, ::2])
    np.floor(X[:, ::5], out=X[:, ::5])
    for column in range(features):
        X[rng.integers(0, customers, customers // 50), column] = np.nan
    return X


def measured(options: argparse.Namespace) -> dict[str, float]:
    """What one contender costs in this process."""
    from benchmarks.cost import peak_memory

    X = table(options.customers, options.features)
    model = contender(options.contender, options.method, X)
    if options.contender == "clustering alone":
        from crmml.models._robust import RobustScaler

        X = RobustScaler.learn(X[:100_000]).apply(X)
    times = {}
    for name, call in (("fit", model.fit), ("assign", model.predict)):
        start = time.process_time()
        call(X)
        times[name] = time.process_time() - start
    return times | {"memory": 1_000 * peak_memory()}


def contender(name: str, method: str, X: Any) -> Any:
    """The estimator of that name, with the same algorithm and the same starts for all."""
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.mixture import GaussianMixture

    from crmml import BehaviourSegmenter
    from crmml.models import _groups

    if name == "crmml":
        return BehaviourSegmenter(SEGMENTS, method=method)
    clusterer: Any
    if method == "gaussian_mixture":
        clusterer = GaussianMixture(SEGMENTS, n_init=_groups.STARTS, reg_covar=0.01, random_state=0)
    elif len(X) > _groups.MINI_BATCH_ROWS:
        clusterer = MiniBatchKMeans(SEGMENTS, n_init=_groups.STARTS, batch_size=_groups.BATCH, random_state=0)
    else:
        clusterer = KMeans(SEGMENTS, n_init=_groups.STARTS, random_state=0)
    return clusterer if name == "clustering alone" else with_steps(clusterer, X)


def with_steps(clusterer: Any, X: Any) -> Any:
    """Impute, log the skewed columns, scale robustly, cluster: scikit-learn's own pipeline."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, RobustScaler

    columns = np.arange(X.shape[1])
    skewed = columns[::2]  # known here; ours has to find out
    logged = make_column_transformer((FunctionTransformer(np.log1p), skewed), remainder="passthrough")
    return make_pipeline(SimpleImputer(strategy="median"), logged, RobustScaler(), clusterer)


if __name__ == "__main__":
    main()

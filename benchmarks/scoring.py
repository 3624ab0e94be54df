"""The scoring job beside bare LightGBM and a plain write, and its memory as the customers grow.

    python benchmarks/scoring.py                    # 1 M customers, 60 features
    python benchmarks/scoring.py --reasons 100000   # the same with the reasons of each score, of so many customers
    python benchmarks/scoring.py --memory 1 4       # the whole job on prepared logs of 1 M and 4 M customers

Every contender runs in a process of its own, in turns, on the same table of features and the same trees. Bare
predicts and writes; ours also has regression and calibration behind the trees, a digest, checksums, the proof.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks.cost import peak_memory, processor_seconds  # noqa: E402  (the root has to be on the path)
from benchmarks.events import AS_OF, cache_folder, event_log  # noqa: E402
from benchmarks.measure import interaction_log  # noqa: E402

FEATURES = 60
EVENTS_PER_CUSTOMER = 10
# The trees are trained on another, smaller shop of the same kind.
TRAINING = (1_000_000, 20_000)
HORIZON_DAYS = 60
MEMORY_LIMIT = "1GB"


def main() -> None:
    """Measure what was asked for, or, in a process of its own, one contender."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--reasons", type=int, metavar="CUSTOMERS", help="with reasons, of so many customers")
    parser.add_argument("--memory", type=int, nargs="+", metavar="MILLIONS", help="the whole job, of so many customers")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--task", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        print(json.dumps(measured(json.loads(options.task))))
    elif options.memory:
        whole_jobs(options.memory)
    else:
        beside_bare(options.reasons or options.customers, options.repeat, reasons=options.reasons is not None)


# What is compared ------------------------------------------------------------------------------------------


def beside_bare(customers: int, repeat: int, *, reasons: bool) -> None:
    """Ours and the bare one in turns; medians and the ratio."""
    table = feature_table(customers)
    runs: dict[str, list[dict[str, float]]] = {"bare": [], "crmml": []}
    for _ in range(repeat):
        for name, found in runs.items():
            task = {"contender": name, "table": str(table), "bundle": str(bundle()), "reasons": reasons}
            found.append(in_a_process(task))
    middle = {name: {key: median(found, key) for key in found[0]} for name, found in runs.items()}
    print(
        f"{int(middle['crmml']['rows']):,} customers, {FEATURES} features, {'with' if reasons else 'without'} reasons\n"
    )
    print("| | CPU s | wall s | peak GB |\n| --- | --- | --- | --- |")
    for name, each in middle.items():
        print(f"| {name} | {each['cpu']:.2f} | {each['wall']:.2f} | {each['memory']:.2f} |")
    ratios = [middle["crmml"][key] / middle["bare"][key] for key in ("cpu", "wall", "memory")]
    print("| ratio | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " |")


def whole_jobs(millions: list[int]) -> None:
    """The job from a prepared log to the proof, features and all, with its peak memory."""
    print(f"{FEATURES} features, {EVENTS_PER_CUSTOMER} events a customer, memory limit of the engine {MEMORY_LIMIT}\n")
    print("| customers | parts | CPU s | wall s | rows a second | peak GB |\n| --- | --- | --- | --- | --- | --- |")
    for each in millions:
        task = {"contender": "job", "log": str(prepared(each * 1_000_000)), "bundle": str(bundle())}
        one = in_a_process(task)
        rate = one["rows"] / one["wall"]
        line = (
            f"{int(one['rows']):,}",
            f"{int(one['parts'])}",
            f"{one['cpu']:.0f}",
            f"{one['wall']:.0f}",
            f"{rate:,.0f}",
        )
        print(f"| {' | '.join(line)} | {one['memory']:.2f} |", flush=True)


def in_a_process(task: dict[str, Any]) -> dict[str, float]:
    """What a contender costs, measured by itself in a process of its own."""
    run = subprocess.run(
        [sys.executable, __file__, "--task", json.dumps(task)], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return found


def median(runs: list[dict[str, float]], key: str) -> float:
    """The middle one of a few runs."""
    return sorted(run[key] for run in runs)[len(runs) // 2]


# The contenders --------------------------------------------------------------------------------------------


def measured(task: dict[str, Any]) -> dict[str, float]:
    """Imports and reading the table before the clock starts; then everything until the files are there."""
    work = {"bare": bare, "crmml": after_the_features, "job": whole_job}[task["contender"]](task)
    before, start = processor_seconds(), time.perf_counter()
    found = work()
    return {
        "cpu": processor_seconds() - before,
        "wall": time.perf_counter() - start,
        "memory": peak_memory(),
        **found,
    }


def bare(task: dict[str, Any]) -> Callable[[], dict[str, float]]:
    """The trees of the bundle in LightGBM on an array, and their scores to Parquet as pyarrow writes by default."""
    import lightgbm
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(task["table"])
    customers = table["customer_id"]
    X = table.drop_columns(["customer_id", "as_of"]).to_pandas().to_numpy(np.float64)
    del table
    booster = lightgbm.Booster(model_str=(Path(task["bundle"]) / "booster.txt").read_text())
    out = Path(mkdtemp()) / "scores.parquet"

    def work() -> dict[str, float]:
        columns = {"customer_id": customers, "p": pa.array(booster.predict(X, num_threads=1))}
        if task["reasons"]:
            parts = np.asarray(booster.predict(X, num_threads=1, pred_contrib=True))[:, :-1]
            largest = np.argsort(-np.abs(parts), axis=1)[:, :3]
            columns |= {f"reason_{place}": pa.array(largest[:, place]) for place in range(3)}
        pq.write_table(pa.table(columns), out)
        return {"rows": len(X)}

    return work


def after_the_features(task: dict[str, Any]) -> Callable[[], dict[str, float]]:
    """All that the job does with a table of features that is there already."""
    import pyarrow.parquet as pq

    import crmml as cm
    from crmml.jobs import score as job
    from crmml.jobs.part_files import Parts
    from crmml.jobs.part_rows import VALUES_PER_PART, TableRows

    loaded = cm.Bundle.load(task["bundle"])
    X = pq.read_table(task["table"]).to_pandas().set_index(["customer_id", "as_of"])

    class FromTable(TableRows):
        """The features as they would come from the log."""

        def __init__(self) -> None:
            self._bundle, self._details, self.expected, self.left = loaded, task["reasons"], len(X), None

        def _features(self, shares: int, of: int, wanted: Callable[[int], bool]) -> Iterator[tuple[int, Any]]:
            for number in range(of):
                yield number, X.iloc[len(X) * number // of : len(X) * (number + 1) // of]

    folder, log = Path(mkdtemp()), cm.simulate_log(10, seed=1).log
    of = -(-len(X) * FEATURES // VALUES_PER_PART)
    metadata = {"model_id": loaded.model_id, "as_of": "[]", "fingerprint": "0" * 64, "target": "null"}

    def work() -> dict[str, float]:
        parts = Parts(folder, "0" * 64, of, {"shares": of}, {})
        rows, digests = FromTable(), job._digests(log)
        job._run(job._Job(folder, log, digests, loaded.model_id, rows, parts, metadata, done=False), progress=False)
        return {"rows": len(X)}

    return work


def whole_job(task: dict[str, Any]) -> Callable[[], dict[str, float]]:
    """`score` without reasons, from a prepared log."""
    import crmml as cm

    loaded = cm.Bundle.load(task["bundle"])
    out = mkdtemp()

    def work() -> dict[str, float]:
        log = cm.open_prepared(task["log"], memory_limit=MEMORY_LIMIT)
        path = cm.score(loaded, log, AS_OF, out, details=False, progress=False)
        found = json.loads((path.parent / "_SUCCESS.json").read_text())
        return {"rows": found["rows"], "parts": len(found["files"])}

    return work


# What they work on, made once and kept ---------------------------------------------------------------------


def prepared(customers: int) -> Path:
    """A prepared log of so many customers."""
    raw = event_log(customers * EVENTS_PER_CUSTOMER, customers)
    folder = raw.with_name(f"prepared-{raw.stem}")
    if not (folder / "manifest.json").exists():
        interaction_log(raw, "2GB").prepare(folder)
    return folder


def bundle() -> Path:
    """A churn model with default parameters on the first features of the list of benchmarks.common_list."""
    from benchmarks.feature_lists import features_of

    import crmml as cm

    folder = cache_folder() / "scoring-bundle"
    if not folder.exists():
        features = [each.build() for each in features_of("common")][:FEATURES]
        churn = cm.Churn(f"{HORIZON_DAYS}d")  # of whatever kind: so that everybody is scored
        cutoffs = [AS_OF - timedelta(days=HORIZON_DAYS * turn + 2) for turn in (3, 2, 1)]
        log = interaction_log(event_log(*TRAINING))
        cm.train(log, features, churn, cm.ChurnClassifier(), cutoffs, progress=False).save(folder)
    return folder


def feature_table(customers: int) -> Path:
    """The features of the customers, as one file."""
    import pyarrow.parquet as pq

    import crmml as cm

    path = cache_folder() / f"scoring-features-{customers}.parquet"
    if not path.exists():
        loaded = cm.Bundle.load(bundle())
        log = cm.open_prepared(prepared(customers), memory_limit="2GB")
        features: Any = loaded.features  # a FeatureSet, as it was trained
        population = None if loaded.target is None else loaded.target.population
        pq.write_table(cm.build_features(log, features, AS_OF, population=population, to="arrow"), path)
    return path


if __name__ == "__main__":
    main()

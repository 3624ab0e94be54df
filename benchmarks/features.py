"""The standard features on millions of simulated events: crmml beside hand-written DuckDB SQL, polars and pandas.

    python benchmarks/features.py --events 10_000_000 --customers 200_000 --repeat 3

Every contender runs in a process of its own, reads the same Parquet file and writes the same table. Reported are
CPU seconds (user and system, over all cores, without start-up and imports), the peak resident memory of the
process, and wall seconds; then ours over theirs. All tables are compared with ours to 1e-6.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks.events import AS_OF, event_log  # noqa: E402  (the repository's root has to be on the path)
from benchmarks.peers import Feature  # noqa: E402

PEERS = {"duckdb": "duckdb_sql", "polars": "polars_lazy", "pandas": "pandas_vectors"}
PACKAGES = ("duckdb", "polars", "pandas", "pyarrow", "numpy", "sqlglot")
TOLERANCE = 1e-6


def main() -> None:
    """Measure all contenders and print the table."""
    options = parser().parse_args()
    if options.run:
        measure(options)
        return
    log = event_log(options.events, options.customers)
    size = log.stat().st_size / 1e6
    print(f"{options.events:,} events of {options.customers:,} customers, {size:.0f} MB of Parquet: {log}")
    print(f"{platform.machine()}, {platform.python_version()}; " + ", ".join(f"{p} {version(p)}" for p in PACKAGES))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        definitions = run_in_process("list", log, work, options)["features"]
        (work / "features.json").write_text(json.dumps(definitions))
        print(f"{len(definitions)} features as of {AS_OF:%Y-%m-%d}, {options.repeat} runs each, median\n")
        contenders = ["crmml", *options.peers]
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
        for _ in range(options.repeat):  # in turns, so that a busy minute hits everybody
            for name in contenders:
                runs[name].append(run_in_process(name, log, work, options))
        names = [item["name"] for item in definitions]
        report(runs, {name: largest_difference(work, name, names) for name in options.peers})


def parser() -> argparse.ArgumentParser:
    """The command line."""
    lines = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    lines.add_argument("--events", type=int, default=10_000_000)
    lines.add_argument("--customers", type=int, default=200_000)
    lines.add_argument("--repeat", type=int, default=3, help="runs of each contender; the median is reported")
    lines.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    lines.add_argument("--run", choices=["list", "crmml", *PEERS], help=argparse.SUPPRESS)
    lines.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    lines.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    return lines


def run_in_process(name: str, log: Path, work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run one contender in a process of its own; what it measured."""
    command = [sys.executable, __file__, "--run", name, "--log", str(log), "--work", str(work)]
    command += ["--events", str(options.events), "--customers", str(options.customers)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def measure(options: argparse.Namespace) -> None:
    """In the process of a contender: build the table, print what it cost."""
    if options.run == "list":
        print(json.dumps({"features": standard_features(options.log)}))
        return
    build = contender(options)
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    table = build()
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    pq.write_table(table, options.work / f"{options.run}.parquet")
    print(json.dumps({"cpu": cpu, "wall": wall, "memory": after.ru_maxrss / 1e6, "rows": table.num_rows}))


def contender(options: argparse.Namespace) -> Any:
    """A function without arguments that builds the table; everything is imported before it is called."""
    if options.run == "crmml":
        return crmml_builder(options.log)
    features = [Feature.of(item) for item in json.loads((options.work / "features.json").read_text())]
    module = import_module(f"benchmarks.peers.{PEERS[options.run]}")
    return lambda: module.build(options.log, features, AS_OF.to_pydatetime())


def interaction_log(path: Path) -> Any:
    """The simulated log in its roles."""
    import crmml as cm

    return cm.InteractionLog(
        path,
        customer_id="customer",
        timestamp="ts",
        event_type="kind",
        item_id="item",
        amount="revenue",
        quantity="units",
        channel="channel",
    )


def standard_features(path: Path) -> list[dict[str, Any]]:
    """The definitions of the preset as plain data, for the peers."""
    import crmml as cm

    found = []
    for feature in cm.presets.standard(interaction_log(path)):
        data = cm.to_data(feature)
        parameters = {} if isinstance(data, str) else next(iter(data.values()))
        parameters = parameters if isinstance(parameters, dict) else {"column": parameters}
        found.append({**parameters, "verb": type(feature).__name__, "name": feature.name})
    return found


def crmml_builder(path: Path) -> Any:
    """Ours: from the path to the frame, the choice of the features and the checks of the log included."""
    import crmml as cm

    def build() -> pa.Table:
        frame = cm.build_features(interaction_log(path), "standard", AS_OF)
        return pa.Table.from_pandas(frame.reset_index(), preserve_index=False)

    cm.FeatureSet([cm.Count()])  # the imports happen here
    return build


def largest_difference(work: Path, peer: str, names: Sequence[str]) -> float:
    """The largest difference between our table and a peer's, relative to the value where that is above 1."""
    ours = pq.read_table(work / "crmml.parquet").rename_columns({"customer_id": "customer"}).sort_by("customer")
    theirs = pq.read_table(work / f"{peer}.parquet").sort_by("customer")
    if not ours["customer"].equals(theirs["customer"].cast(ours["customer"].type)):
        raise SystemExit(f"{peer}: other customers than ours ({theirs.num_rows:,}, ours {ours.num_rows:,})")
    largest = 0.0
    for name in names:
        left, right = ours[name], theirs[name]
        if pa.types.is_string(left.type) or pa.types.is_large_string(left.type):
            difference = float(left.to_pylist() != right.cast(pa.string()).to_pylist())
        else:
            difference = numeric_difference(left, right)
        if difference > TOLERANCE:
            raise SystemExit(f"{peer}: {name} differs from ours by {difference:g}")
        largest = max(largest, difference)
    return largest


def numeric_difference(left: pa.ChunkedArray, right: pa.ChunkedArray) -> float:
    """The largest difference of two columns; infinite where one has a value that the other lacks."""
    a, b = (column.cast(pa.float64()).to_pandas().to_numpy() for column in (left, right))
    if (np.isnan(a) != np.isnan(b)).any():
        return float("inf")
    gaps = np.abs(a - b) / np.maximum(1.0, np.abs(a))
    return float(np.nanmax(gaps)) if (~np.isnan(gaps)).any() else 0.0


def report(runs: dict[str, list[dict[str, Any]]], differences: dict[str, float]) -> None:
    """Print the table of medians and ratios."""
    medians = {
        name: {key: statistics.median(run[key] for run in found) for key in ("cpu", "memory", "wall")}
        for name, found in runs.items()
    }
    ours = medians["crmml"]
    print(f"{'':<8}{'CPU s':>8}{'(min-max)':>14}{'peak GB':>9}{'wall s':>8}   ours / theirs: CPU, memory, wall")
    for name, found in medians.items():
        spread = "{:.1f}-{:.1f}".format(*(f(run["cpu"] for run in runs[name]) for f in (min, max)))
        line = f"{name:<8}{found['cpu']:>8.1f}{spread:>14}{found['memory']:>9.2f}{found['wall']:>8.1f}"
        if name != "crmml":
            ratios = ", ".join(f"{ours[key] / found[key]:.2f}" for key in ("cpu", "memory", "wall"))
            line += f"   {ratios}   (largest difference {differences[name]:.0e})"
        print(line)


if __name__ == "__main__":
    main()

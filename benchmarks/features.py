"""Features of millions of simulated events: crmml beside what people write by hand, in one run.

    python benchmarks/features.py                                  # 10 million events: DuckDB SQL, polars, pandas
    python benchmarks/features.py --prepared                       # also ours and the SQL on a prepared log
    python benchmarks/features.py --list common --prepared         # the features that most people build
    python benchmarks/features.py --peers ibis featuretools        # each in an environment made for it
    python benchmarks/features.py --cutoffs 12                     # a build of 12 cutoffs beside 12 builds
    python benchmarks/features.py --scale 1 3 10 30 100            # millions of events; the table of the documentation

Every contender runs in a process of its own, in turns, from the same Parquet file to a table in memory. Reported are
CPU seconds (user and system, over all cores, without start-up and imports), the peak resident memory of the process,
and wall seconds, as medians; then ours over theirs. All tables are compared to 1e-6 before a number is printed.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks.environments import interpreter  # noqa: E402  (the repository's root has to be on the path)
from benchmarks.events import cache_folder, event_log  # noqa: E402
from benchmarks.feature_lists import LISTS, names_of  # noqa: E402
from benchmarks.peers import PEERS  # noqa: E402
from benchmarks.tables import largest_difference  # noqa: E402

Cost = dict[str, Any]
PACKAGES = ("duckdb", "polars", "pandas", "pyarrow", "numpy", "sqlglot")


def main() -> None:
    """Measure what the command line asks for."""
    options = parser().parse_args()
    print(f"{platform.machine()}, {platform.python_version()}; " + ", ".join(f"{p} {version(p)}" for p in PACKAGES))
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        if options.scale or options.cutoffs:
            from benchmarks.growth import measure_cutoffs, measure_scale

            measure_scale(options, Path(folder)) if options.scale else measure_cutoffs(options, Path(folder))
        else:
            beside_peers(options, Path(folder))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    lines = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    lines.add_argument("--events", type=int, default=10_000_000)
    lines.add_argument("--customers", type=int, default=200_000)
    lines.add_argument("--repeat", type=int, default=3, help="runs of each contender; the median is reported")
    lines.add_argument("--list", choices=LISTS, default="hard", help="a hundred of many kinds, or 110 common ones")
    lines.add_argument("--peers", nargs="*", choices=PEERS, default=["duckdb", "polars", "pandas"])
    lines.add_argument("--without-ours", action="store_true", help="compare the peers with each other only")
    lines.add_argument("--prepared", action="store_true", help="also ours and the SQL by hand on a prepared log")
    lines.add_argument("--cutoffs", type=int, help="that many monthly cutoffs in one build, and in builds of their own")
    lines.add_argument("--scale", type=int, nargs="+", help="millions of events to build from, prepared first")
    lines.add_argument("--memory-limit", default="1GB", help="of the engine, with --scale and --cutoffs")
    return lines


def run(task: Cost) -> Cost:
    """Run one contender in a process of its own; what it measured."""
    script = str(ROOT / "benchmarks" / "measure.py")
    command = [str(interpreter(task["contender"])), script, json.dumps(task, default=str)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{task['contender']} failed:\n{done.stderr}")
    measured: Cost = json.loads(done.stdout.splitlines()[-1])
    return measured


def beside_peers(options: argparse.Namespace, work: Path) -> None:
    """All contenders on the same log."""
    log, names = event_log(options.events, options.customers), names_of(options.list)
    size = log.stat().st_size / 1e6
    print(
        f"{options.events:,} events of {options.customers:,} customers, {size:.0f} MB of Parquet; {len(names)} features"
    )
    tasks: dict[str, Cost] = {} if options.without_ours else {"crmml": {"contender": "crmml", "log": log}}
    tasks |= {name: {"contender": name, "log": log} for name in options.peers}
    if options.prepared:
        folder = prepared_log(log)
        ours = {} if options.without_ours else {"crmml, prepared": {"contender": "crmml", "log": folder}}
        tasks |= {**ours, "duckdb, prepared": {"contender": "duckdb", "log": folder}}
    runs: dict[str, list[Cost]] = {name: [] for name in tasks}
    for _ in range(options.repeat):  # in turns, so that a busy minute hits everybody
        for name, task in tasks.items():
            runs[name].append(run({**task, "list": options.list, "out": work / f"{name}.parquet"}))
            if not options.without_ours:
                same_part(runs, name, log, options.list)
    report(runs, work, options.list)


def same_part(runs: dict[str, list[Cost]], name: str, log: Path, which: str) -> None:
    """After a peer that does a part of the features only: ours of the same part."""
    part = part_of(runs[name][-1], which)
    if len(part) < len(names_of(which)):
        task = {"contender": "crmml", "log": log, "list": which, "features": part}
        runs.setdefault(f"crmml, as {name}", []).append(run(task))


def part_of(cost: Cost, which: str) -> list[str]:
    """The features of a list among the columns that a contender gave."""
    given = set(cost["columns"])
    return [name for name in names_of(which) if name in given]


def prepared_log(log: Path) -> Path:
    """The log, prepared once and kept; a process of its own, which says what that cost."""
    folder = log.with_name(f"prepared-{log.stem}")
    if not (folder / "manifest.json").exists():
        cost = run({"contender": "prepare", "log": log, "folder": folder})
        print(f"prepared once: {cost['cpu']:.1f} CPU s, {cost['memory']:.2f} GB")
    return folder


def report(runs: dict[str, list[Cost]], work: Path, which: str) -> None:
    """Compare the tables, then print medians and ratios."""
    medians = {name: {key: median(own, key) for key in ("cpu", "memory", "wall")} for name, own in runs.items()}
    reference = next(iter(runs))
    header = f"{'':<26}{'features':>9}{'CPU s':>8}{'(min-max)':>13}{'peak GB':>9}{'wall s':>8}"
    print(f"\n{header}   ours / theirs: CPU, memory")
    for name, found in medians.items():
        part = part_of(runs[name][0], which)
        spread = "{:.1f}-{:.1f}".format(*(best(run["cpu"] for run in runs[name]) for best in (min, max)))
        line = f"{name:<26}{len(part):>9}{found['cpu']:>8.1f}{spread:>13}{found['memory']:>9.2f}{found['wall']:>8.1f}"
        ours = medians.get(ours_beside(name, runs))
        if ours and not name.startswith("crmml"):
            line += f"   {ours['cpu'] / found['cpu']:.2f}, {ours['memory'] / found['memory']:.2f}"
        table = work / f"{name}.parquet"
        if name != reference and table.exists():
            line += f"   (largest difference {largest_difference(work / f'{reference}.parquet', table, part):.0e})"
        print(line)


def ours_beside(name: str, runs: dict[str, list[Cost]]) -> str:
    """Which run of ours a peer is compared with: of the same features, from the same kind of log."""
    _, _, suffix = name.partition(",")
    return f"crmml, as {name}" if f"crmml, as {name}" in runs else f"crmml{',' if suffix else ''}{suffix}"


def median(runs: list[Cost], key: str) -> float:
    """The median of one cost."""
    return statistics.median(run[key] for run in runs)


if __name__ == "__main__":
    main()

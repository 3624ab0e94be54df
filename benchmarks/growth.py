"""How the cost of our builds grows: with the number of cutoffs, and with the number of events."""

import argparse
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from benchmarks.events import AS_OF, event_log
from benchmarks.feature_lists import names_of
from benchmarks.features import Cost, median, prepared_log, run

# As in the comparison with the peers.
EVENTS_PER_CUSTOMER = 50


def measure_cutoffs(options: argparse.Namespace, work: Path) -> None:
    """Monthly cutoffs in one build, beside a build for each; the tables have to be the same to the last bit."""
    raw = event_log(options.events, options.customers)
    log = prepared_log(raw) if options.prepared else raw
    cutoffs = [AS_OF - timedelta(days=30 * months) for months in reversed(range(options.cutoffs))]
    print(
        f"{options.events:,} events, {'a prepared log' if options.prepared else 'the raw log'}, {len(cutoffs)} cutoffs"
    )
    together: list[Cost] = []
    single: list[list[Cost]] = []
    for turn in range(options.repeat):
        together.append(build(log, options, cutoffs, work / f"together-{turn}"))
        each = [build(log, options, [one], work / f"{turn}-{one:%Y%m%d}") for one in cutoffs]
        single.append(each)
        for one in cutoffs:
            same_to_the_last_bit(work / f"together-{turn}", work / f"{turn}-{one:%Y%m%d}", one)
    alone = [{"cpu": sum(e["cpu"] for e in each), "memory": max(e["memory"] for e in each)} for each in single]
    rows = {"one build": together, "single builds": alone}
    for name, runs in rows.items():
        print(f"{name:<16}{median(runs, 'cpu'):>8.1f} CPU s{median(runs, 'memory'):>7.2f} GB")
    ratios = (median(together, key) / median(alone, key) for key in ("cpu", "memory"))
    print("one / single: CPU {:.2f}, memory {:.2f}; the same tables to the last bit".format(*ratios))


def build(log: Path, options: argparse.Namespace, cutoffs: list[datetime], folder: Path) -> Cost:
    """One build of ours into a folder."""
    limit = {"memory_limit": options.memory_limit} if options.memory_limit else {}
    moments = [one.isoformat() for one in cutoffs]
    return run({"contender": "crmml", "log": log, "cutoffs": moments, "folder": folder, "list": options.list, **limit})


def same_to_the_last_bit(together: Path, single: Path, cutoff: datetime) -> None:
    """Compare one cutoff of the two ways to build it."""
    left, right = (rows_of(folder, cutoff) for folder in (together, single))
    if not left.equals(right):
        raise SystemExit(f"{cutoff:%Y-%m-%d}: the table of {together.name} is another than that of {single.name}")


def rows_of(folder: Path, cutoff: datetime) -> pa.Table:
    """The rows of a cutoff, in order of customers."""
    found = ds.dataset(folder, format="parquet").to_table(filter=ds.field("as_of") == pa.scalar(cutoff))
    if not found.num_rows:
        raise SystemExit(f"{folder}: no row as of {cutoff:%Y-%m-%d}")
    return found.sort_by("customer_id")


def measure_scale(options: argparse.Namespace, work: Path) -> None:
    """Logs of growing size, prepared and built from; prints a Markdown table."""
    features = f"{len(names_of(options.list))} features, {EVENTS_PER_CUSTOMER} events a customer"
    print(f"{features}, memory limit {options.memory_limit}\n")
    print("| events | customers | prepare: CPU s | peak GB | build: CPU s | peak GB | wall s | CPU s a million |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for line in scaled(options, work):
        print("| " + " | ".join(line) + " |", flush=True)


def scaled(options: argparse.Namespace, work: Path) -> Iterator[list[str]]:
    """The lines of the table."""
    for millions in options.scale:
        events, customers = millions * 1_000_000, millions * 1_000_000 // EVENTS_PER_CUSTOMER
        raw, folder = event_log(events, customers), work / f"prepared-{millions}"
        task: dict[str, Any] = {"log": raw, "folder": folder, "memory_limit": options.memory_limit}
        preparing = run({"contender": "prepare", **task})
        runs = [build(folder, options, [AS_OF], work / f"{millions}-{turn}") for turn in range(options.repeat)]
        cpu = median(runs, "cpu")
        yield [
            f"{millions} M",
            f"{customers:,}",
            f"{preparing['cpu']:.1f}",
            f"{preparing['memory']:.2f}",
            f"{cpu:.1f}",
            f"{median(runs, 'memory'):.2f}",
            f"{median(runs, 'wall'):.1f}",
            f"{cpu / millions:.2f}",
        ]

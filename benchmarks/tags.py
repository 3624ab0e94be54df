"""Tags and the lifecycle of a million customers: time and memory, beside a DuckDB query written by hand.

    python benchmarks/tags.py                        # 1,000,000 customers, 10 events each, 30 tags
    python benchmarks/tags.py --customers 100000

Three things are measured: the rules alone, on a table of features that is there; tags from the log, features built on
the way; the lifecycle from the log. The query by hand says the same 30 tags of the same table, and both have to agree.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import numpy as np  # noqa: E402  (the root has to be on the path)
import pandas as pd  # noqa: E402
from benchmarks.cost import peak_memory  # noqa: E402

import crmml as cm  # noqa: E402

AS_OF = "2024-10-01"
CHANNELS = np.array(["web", "app", "shop"])
FEATURES = cm.FeatureSet(
    [
        cm.Recency(),
        cm.Tenure(),
        *(cm.Count(window=window) for window in ("30d", "90d", "365d")),
        *(cm.Sum("amount", window=window) for window in ("30d", "90d", "365d")),
        *(cm.Share(channel=channel, window="365d") for channel in CHANNELS.tolist()),
        cm.Latest("channel"),
    ]
)


def main() -> None:
    """Print one line per measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=10, help="per customer (default: 10)")
    given = parser.parse_args()
    tags = thirty_tags()
    with tempfile.TemporaryDirectory() as folder:
        path = write_log(Path(folder) / "events.parquet", given.customers, given.events)
        log = cm.InteractionLog(path, customer_id="who", timestamp="at", amount="amount", channel="channel")
        print(f"{log.facts.rows:,} events of {given.customers:,} customers, {len(tags)} tags")
        table = cm.build_features(log, FEATURES, AS_OF)
        print(f"the table of features: {len(table):,} rows, {table.shape[1]} columns, {peak_memory():.2f} GB so far")
        ours = timed("rules on the table", tags.assign, table)
        theirs = timed("the same by hand in DuckDB", by_hand, tags, table.reset_index())
        compare(ours, theirs)
        del ours, theirs, table
        timed("tags from the log", cm.build_tags, log, FEATURES, tags, AS_OF)
        timed("lifecycle from the log", cm.build_lifecycle, log, cm.Lifecycle("30d"), AS_OF)


def timed(what: str, run: Callable[..., Any], *arguments: Any) -> Any:
    """What `run` gives; prints what it cost."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = run(*arguments)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{what:28} {wall:6.1f} s, {cpu:6.1f} CPU s, peak of the process {peak_memory():.2f} GB", flush=True)
    return found


def thirty_tags() -> cm.TagSet:
    """Ten tags on features, ten on features and texts, ten on other tags; three rules each."""
    numbers = ["recency", "tenure", "count_30d", "count_90d", "count_365d"]
    sums = ["sum_amount_30d", "sum_amount_90d", "sum_amount_365d", "share_web_365d", "share_app_365d"]
    plain = [tiers(f"tier {name}", name) for name in [*numbers, *sums]]
    mixed = [
        cm.Tag(
            f"mixed {number}",
            [
                cm.TagRule("a", where={"latest_channel": ["web", "app"], name: cm.AtLeast(5)}),
                cm.TagRule("b", where={"latest_channel": cm.Not("web"), "recency": cm.Below(30 + number)}),
                cm.TagRule("c", where={name: cm.Missing(), "tenure": cm.Above(number)}),
            ],
        )
        for number, name in enumerate([*numbers, *sums])
    ]
    layered = [
        cm.Tag(
            f"layered {number}",
            [
                cm.TagRule("a", where={f"mixed {number}": "a", f"tier {name}": ["high", "middle"]}),
                cm.TagRule("b", where={f"mixed {number}": cm.Not("b"), "count_90d": cm.Between(1, 4)}),
                cm.TagRule("c"),
            ],
        )
        for number, name in enumerate([*numbers, *sums])
    ]
    return cm.TagSet([*layered, *mixed, *plain])


def tiers(tag: str, column: str) -> cm.Tag:
    """Three ranges of a number."""
    low, high = (0.2, 0.6) if column.startswith("share") else (2, 50)
    rules = [("high", cm.AtLeast(high)), ("middle", cm.Between(low, high)), ("low", cm.Below(low))]
    return cm.Tag(tag, [cm.TagRule(value, where={column: condition}) for value, condition in rules])


def write_log(path: Path, customers: int, events: int) -> Path:
    """A log in which customers have rates of their own."""
    random = np.random.default_rng(0)
    n = customers * events
    who = np.where(random.random(n) < 0.5, random.integers(0, customers, n), random.integers(0, customers // 5, n))
    who[:customers] = np.arange(customers)
    at = np.datetime64("2023-01-01", "us") + random.integers(0, 639 * 86_400_000_000, n)
    frame = pd.DataFrame({"who": who, "at": pd.DatetimeIndex(at).tz_localize("UTC")})
    frame["amount"] = np.exp(random.normal(2.5, 1.0, n)).round(2)
    frame["channel"] = CHANNELS[random.integers(0, 3, n)]
    frame.to_parquet(path, index=False)
    return path


def by_hand(tags: cm.TagSet, table: pd.DataFrame) -> pd.DataFrame:
    """One SELECT per layer, every tag a CASE, as one would write it."""
    import duckdb

    names = {tag.name for tag in tags}
    first = [tag for tag in tags.order if not names.intersection(tag.columns)]
    second = [tag for tag in tags.order if names.intersection(tag.columns)]
    inner = ", ".join(f'{case(tag)} AS "{tag.name}"' for tag in first)
    outer = ", ".join(f'{case(tag)} AS "{tag.name}"' for tag in second)
    keys = ", ".join(f'"{tag.name}"' for tag in first)
    connection = duckdb.connect()
    connection.register("features", table)
    text = f"SELECT customer_id, {keys}, {outer} FROM (SELECT *, {inner} FROM features) ORDER BY customer_id"
    found: pd.DataFrame = connection.sql(text).df()
    return found


def case(tag: cm.Tag) -> str:
    """A tag as SQL; the words of this file only, so that nothing has to be escaped."""
    ifs = " ".join(f"WHEN {condition(rule)} THEN '{rule.value}'" for rule in tag.rules)
    return f"CASE {ifs} END"


def condition(rule: cm.TagRule) -> str:
    """The conditions of a rule as SQL."""
    return " AND ".join(sql(f'"{name}"', each) for name, each in (rule.where or {}).items()) or "TRUE"


def sql(name: str, each: Any) -> str:
    """One condition as SQL."""
    if isinstance(each, cm.Not):
        return f"({name} <> '{each.condition}' OR {name} IS NULL)"
    if isinstance(each, cm.Missing):
        return f"{name} IS NULL"
    if isinstance(each, cm.Between):
        return f"({name} >= {each.low} AND {name} < {each.high})"
    signs = {cm.AtLeast: ">=", cm.Above: ">", cm.AtMost: "<=", cm.Below: "<"}
    if type(each) in signs:
        return f"{name} {signs[type(each)]} {each.value}"
    listed = ", ".join(f"'{value}'" for value in (each if isinstance(each, tuple) else (each,)))
    return f"{name} IN ({listed})"


def compare(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    """Raise an error where a customer has another tag."""
    assert (ours["customer_id"].to_numpy() == theirs["customer_id"].to_numpy()).all()
    for name in ours.columns[2:]:
        same = ours[name].astype(object).fillna("-") == theirs[name].astype(object).fillna("-")
        assert same.all(), (name, int((~same).sum()))


if __name__ == "__main__":
    main()

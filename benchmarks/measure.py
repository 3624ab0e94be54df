"""One contender in a process of its own: builds its table once, and says what that cost.

    python benchmarks/measure.py '{"contender": "duckdb", "log": "events.parquet", "out": "table.parquet"}'

Imports nothing of crmml for a peer, and nothing of a peer for crmml: what is measured is the peak of this process.
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks.cost import peak_memory, processor_seconds  # noqa: E402  (the root has to be on the path)
from benchmarks.events import AS_OF  # noqa: E402
from benchmarks.peers import PEERS  # noqa: E402


def main() -> None:
    """Build, measure, write the table, print what it cost."""
    task = json.loads(sys.argv[1])
    build = contender(task)
    before, start = processor_seconds(), time.perf_counter()
    table = build()
    cost = {"cpu": processor_seconds() - before, "wall": time.perf_counter() - start, "memory": peak_memory()}
    print(json.dumps({**cost, **kept(table, task.get("out"))}))


def kept(table: Any, out: str | None) -> dict[str, Any]:
    """Write the table where asked; what it has."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if isinstance(table, Path):
        return {}
    if not isinstance(table, pa.Table):
        table = pa.Table.from_pandas(table.reset_index(), preserve_index=False)
    if out:
        pq.write_table(table, out)
    return {"rows": table.num_rows, "columns": table.column_names}


def contender(task: dict[str, Any]) -> Callable[[], Any]:
    """A function without arguments that builds the table; everything is imported before it is called."""
    log, name = Path(task["log"]), task["contender"]
    if name == "crmml":
        return crmml_builder(log, task)
    if name == "prepare":
        return preparation(log, task)
    module = import_module(f"benchmarks.peers.{PEERS[name].module_of(task.get('list', 'hard'))}")
    return lambda: module.build(log, AS_OF)


def crmml_builder(path: Path, task: dict[str, Any]) -> Callable[[], Any]:
    """Ours: from the path to the table, the definitions and the checks of the log included.

    Of the task: `features` names a part of the features, `cutoffs` other cutoffs than the one, `folder` a folder to
    write the table into, and `memory_limit` what the engine may use.
    """
    from benchmarks.feature_lists import features_of

    import crmml as cm

    features = features_of(task.get("list", "hard"))

    def build() -> Any:
        wanted = [each.build() for each in features if each.name in task.get("features", [each.name])]
        log = interaction_log(path, task.get("memory_limit"))
        cutoffs = [datetime.fromisoformat(each) for each in task.get("cutoffs", [])] or AS_OF
        if task.get("folder"):
            return cm.build_features(log, wanted, cutoffs, out=task["folder"])
        return cm.build_features(log, wanted, cutoffs, to="arrow")

    # The imports happen here: of the definitions, of the engine and of what writes tables.
    cm.build_features(cm.simulate_log(10, seed=1).log, [cm.Count()], "2024-06-01", to="arrow")
    return build


def preparation(path: Path, task: dict[str, Any]) -> Callable[[], Any]:
    """Write the log once by customer and time."""
    import_module("crmml.data.prepared")  # the imports happen here

    def build() -> Path:
        interaction_log(path, task.get("memory_limit")).prepare(task["folder"])
        return Path(task["folder"])

    return build


def interaction_log(path: Path, memory_limit: str | None = None) -> Any:
    """The simulated log in its roles; a folder holds a prepared one."""
    import crmml as cm

    if path.is_dir():
        return cm.open_prepared(path, memory_limit=memory_limit)
    return cm.InteractionLog(
        path,
        customer_id="customer",
        timestamp="ts",
        event_type="kind",
        item_id="item",
        amount="revenue",
        quantity="units",
        channel="channel",
        memory_limit=memory_limit,
    )


if __name__ == "__main__":
    main()

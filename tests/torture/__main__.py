"""`make torture`: every kind of fault in its full number, and docs/reliability.md written from what was counted.

python -m tests.torture                          everything
python -m tests.torture --only kills-of-scoring  one kind; the others keep their row from the last run
python -m tests.torture --share 0.1              a tenth of every number
python -m tests.torture --go-on                  what an interrupted run has left to do
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.torture import faults, page
from tests.torture.kinds import KINDS, Kind
from tests.torture.nursery import ROOT, Nursery
from tests.torture.world import Tally, World


def run(kind: Kind, world: World, n: int, results: dict[str, Any], keep: Path, *, go_on: bool) -> Tally:
    """So many of one kind, in chunks; what is counted is kept after each, whatever happens later."""
    total = Tally(**results[kind.name]) if go_on and kind.name in results else Tally("")
    for start in range(total.tried, n, kind.at_a_time):
        part = kind.run(world, min(kind.at_a_time, n - start), start)
        total.fault = part.fault
        total.add(part)
        results[kind.name] = {**asdict(total), "problems": total.problems[:20]}
        keep.write_text(json.dumps(results, indent=1))
        print(f"{kind.name:<24}{total.tried:>6} tried, {'all survived' if total.perfect else total.problems[:3]}")
        if part.tried == 0:
            break
    return total


def main() -> int:
    """Run what is asked for; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture")
    parser.add_argument("--only", nargs="*", choices=[kind.name for kind in KINDS])
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--go-on", action="store_true")
    parser.add_argument("--results", type=Path, default=Path(tempfile.gettempdir()) / "crmml-torture.json")
    asked = parser.parse_args()
    results = json.loads(asked.results.read_text()) if asked.results.exists() else {}
    chosen = [kind for kind in KINDS if not asked.only or kind.name in asked.only]
    with tempfile.TemporaryDirectory(prefix="torture-") as scratch:
        place = Path(scratch)
        (place / "library").mkdir()
        with Nursery(faults.library(place / "library")) as nursery:
            world = World(nursery, place)
            tallies = []
            for kind in chosen:
                n = max(1, round(kind.full * asked.share))
                tallies.append(run(kind, world, n, results, asked.results, go_on=asked.go_on))
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    (ROOT / "docs" / "reliability.md").write_text(page.text(results, machine))
    return 0 if all(tally.perfect or tally.note.startswith("not run") for tally in tallies) else 1


if __name__ == "__main__":
    sys.exit(main())

"""One fit of a buy-till-you-die model in a process of its own: what it cost, and the parameters that it found.

    python benchmarks/btyd_fit.py '{"contender": "crmml", "model": "BG/NBD", "table": "customers.npz", "repeat": 1}'

Imports nothing of crmml for a peer: what is measured is the peak of this process.
"""

import json
import statistics
import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks.cost import peak_memory, processor_seconds  # noqa: E402  (the root has to be on the path)

MODULES = {"crmml": "btyd_crmml", "lifetimes": "btyd_lifetimes", "pymc-marketing": "btyd_pymc"}


def main() -> None:
    """Fit as often as asked, print the median cost."""
    import numpy as np
    import pandas as pd

    task = json.loads(sys.argv[1])
    table = pd.DataFrame(dict(np.load(task["table"])))
    fit = import_module(f"benchmarks.peers.{MODULES[task['contender']]}").fit
    seconds = []
    for _ in range(task["repeat"]):
        before = processor_seconds()
        parameters = fit(task["model"], table)
        seconds.append(processor_seconds() - before)
    print(json.dumps({"cpu": statistics.median(seconds), "memory": peak_memory(), "parameters": parameters}))


if __name__ == "__main__":
    main()

"""Buy-till-you-die fits: crmml beside lifetimes and pymc-marketing, in one run.

    python benchmarks/btyd.py [transactions_sample_1in10.parquet]
    python benchmarks/btyd.py                    # without the CDNOW file: the simulated customers only
    python benchmarks/btyd.py --peers            # ours only

CDNOW as of 39 weeks, and a million simulated customers, whose times are exact or, as real logs have them, whole days.
Every fit runs in a process of its own with one thread; peers in an environment made for them by pip at the first run.
Reported are CPU seconds of the fit (median of several where it is short; without start-up, imports and reading), the
peak memory of the process, and the log-likelihood of the parameters that it found, all computed by one formula: a
fast fit of something else is none. Pareto/NBD of the peers is measured on 20,000 of the million.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from benchmarks.environments import environment  # noqa: E402  (the repository's root has to be on the path)

import crmml as cm  # noqa: E402

PEERS = {
    "lifetimes": ("lifetimes==0.11.3", "numpy<2", "pandas<2.2", "setuptools<81"),
    "pymc-marketing": ("pymc-marketing==0.19.2",),
}
MODELS = {"BG/NBD": cm.BGNBD, "MBG/NBD": cm.MBGNBD, "Pareto/NBD": cm.ParetoNBD, "Gamma-Gamma": cm.GammaGamma}
PUBLISHED = {  # of CDNOW, from which the simulated customers are drawn
    "BG/NBD": {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426},
    "Pareto/NBD": {"r": 0.553, "alpha": 10.578, "s": 0.606, "beta": 11.669},
}
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Case(NamedTuple):
    """Customers to fit a model to."""

    title: str
    model: str
    table: pd.DataFrame
    repeat: int
    peers: bool = True


def main() -> None:
    """Measure every case with every contender, and print a line for each."""
    options = parser().parse_args()
    packages = ", ".join(f"{package} {version(package)}" for package in ("numpy", "scipy", "pandas"))
    print(f"{platform.machine()}, {platform.python_version()}; {packages}; one thread")
    interpreters = {"crmml": Path(sys.executable), **available(options.peers)}
    print(
        f"{'customers':<28}{'model':<13}{'contender':<16}{'CPU s':>9}{'theirs/ours':>13}{'peak GB':>9}  log-likelihood"
    )
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(options.cdnow, options.customers):
            path = Path(folder) / "customers.npz"
            np.savez(path, **{name: case.table[name].to_numpy() for name in case.table})
            ours = None
            for name, python in interpreters.items():
                if name != "crmml" and not case.peers:
                    continue
                cost = fit(python, {"contender": name, "model": case.model, "table": str(path), "repeat": case.repeat})
                ours = ours or cost
                print(line(case, name, cost, ours))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    lines = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    lines.add_argument("cdnow", nargs="?", type=Path, help="the classic tenth of CDNOW: customer_id, date, amount")
    lines.add_argument("--customers", type=int, default=1_000_000, help="how many are simulated")
    lines.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    return lines


def available(names: list[str]) -> dict[str, Path]:
    """The interpreters of the peers that can be installed; the others are named."""
    found = {}
    for name in names:
        try:
            found[name] = environment(name, PEERS[name])
        except subprocess.CalledProcessError as error:
            print(f"{name}: cannot be installed here (pip: exit code {error.returncode})")
    return found


def cases(cdnow: Path | None, customers: int) -> list[Case]:
    """What is fitted."""
    found = []
    if cdnow is not None:
        table = cm.transactions(cm.datasets.cdnow(cdnow), "1997-10-01").reset_index(drop=True)
        for model in MODELS:
            rows = table[table["m_x"] > 0] if model == "Gamma-Gamma" else table.drop(columns="m_x")
            found.append(Case(f"CDNOW, {len(rows):,}", model, rows, repeat=7))
    for model, parameters in PUBLISHED.items():
        rng = np.random.default_rng(1)
        drawn = MODELS[model].from_parameters(parameters).simulate(rng.uniform(26, 104, customers), rng)
        exact = drawn[["x", "t_x", "T"]]
        for kind, rows in (("whole days", in_days(exact)), ("exact times", exact)):
            slow = model == "Pareto/NBD"
            found.append(Case(f"{customers:,}, {kind}", model, rows, repeat=1, peers=not slow))
            if slow:
                found.append(Case(f"{min(20_000, customers):,}, {kind}", model, rows.head(20_000), repeat=1))
    return found


def in_days(exact: pd.DataFrame) -> pd.DataFrame:
    """The same customers as a log of dates has them; repeat purchases on the day of the first fall on the next."""
    until = np.floor(exact["T"] * 7) + 1
    last = np.where(exact["x"] > 0, np.minimum(np.floor(exact["t_x"] * 7) + 1, until), 0)
    return pd.DataFrame({"x": exact["x"], "t_x": last / 7, "T": until / 7})


def fit(python: Path, task: dict[str, Any]) -> dict[str, Any]:
    """One contender in a process of its own; what it measured, or `failed`: what it said last."""
    script = str(ROOT / "benchmarks" / "btyd_fit.py")
    done = subprocess.run(
        [str(python), script, json.dumps(task)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **THREADS},
    )
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1][:100]}
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def line(case: Case, name: str, cost: dict[str, Any], ours: dict[str, Any]) -> str:
    """One line of the table."""
    head = f"{case.title:<28}{case.model:<13}{name:<16}"
    if "failed" in cost:
        return f"{head}  failed: {cost['failed']}"
    seconds = f"{cost['cpu']:.4f}" if cost["cpu"] < 1 else f"{cost['cpu']:.2f}"
    ratio = "" if cost is ours else f"{cost['cpu'] / ours['cpu']:.1f}"
    return f"{head}{seconds:>9}{ratio:>13}{cost['memory']:>9.2f}  {log_likelihood(case, cost['parameters']):.4f}"


def log_likelihood(case: Case, parameters: dict[str, float]) -> float:
    """Of the customers under the parameters that a contender found."""
    model = MODELS[case.model].from_parameters(parameters)
    rows = {name: case.table[name].to_numpy(dtype=np.float64) for name in model._columns}
    point = np.log([parameters[name] for name in model._names])
    return float(model._objective(rows, np.ones(len(case.table)))(point)[0])


if __name__ == "__main__":
    main()

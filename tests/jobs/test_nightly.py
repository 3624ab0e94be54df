"""The nightly job as a new user runs it: night after night, and killed in between."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import crmml as cm

ROOT = Path(__file__).resolve().parents[2]
STORE = "sqlite:///mlflow.db"
FIRST, LATER = "2024-11-15", "2025-01-01"  # between the two, outcomes become known that the training has not seen
# Importing MLflow takes longer than a night of the small shop: done once, and every night is a process of its own.
NIGHTS = """
import os, runpy, sys
import crmml as cm
import mlflow.store.model_registry.sqlalchemy_store, mlflow.store.tracking.sqlalchemy_store
for name in cm.__all__: getattr(cm, name)
for line in sys.stdin:
    if not (pid := os.fork()):
        sys.argv = ["nightly.py", line.strip()]
        print("night", os.getpid())
        runpy.run_path({path!r}, run_name="__main__")
    print("ended", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


class Shop:
    """A working folder with a log, in which nights are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = NIGHTS.format(path=str(ROOT / "examples" / "nightly.py"))
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", program],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"MLFLOW_TRACKING_URI": STORE},
        )

    def night(self, day: str, *, killed_after: str = "") -> tuple[int, str]:
        """Run one night: its exit code, and what it printed. kill -9 as soon as a line begins with `killed_after`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{day}\n")
        self.process.stdin.flush()
        pid = int(self.process.stdout.readline().removeprefix("night "))
        lines: list[str] = []
        for line in self.process.stdout:
            if line.startswith("ended "):
                return int(line.removeprefix("ended ")), "".join(lines)
            lines.append(line)
            if killed_after and line.startswith(killed_after):
                os.kill(pid, 9)
        raise AssertionError("".join(lines))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    events = cm.simulate_log(300, start="2023-01-01", end=LATER, seed=1).events
    events.to_parquet(tmp_path / "demo" / "events.parquet", index=False)
    shop = Shop(tmp_path)
    yield shop
    shop.process.communicate(timeout=60)


def scored(day: str) -> pd.DataFrame:
    """The scores of a day, once they are proven to be whole."""
    return pd.read_parquet(cm.verify(f"scores/churn/{day}").path)


def champion() -> cm.Bundle:
    return cm.load_bundle("models:/churn@champion", tracking_uri=STORE)


@pytest.mark.slow
def test_nights_one_after_the_other_and_one_that_is_killed(shop: Shop) -> None:
    code, printed = shop.night(FIRST)
    assert (code, "trained: models:/churn/1 " in printed) == (0, True)
    first, once = champion(), scored(FIRST)
    assert set(once["model_id"]) == {first.model_id}
    # Both dates are kept apart. Cutoffs lie 30 days apart, and the training ends a horizon before the last three whose
    # outcome is known: 60 + 60 + 60 days before today, and less than 30 more.
    today, learned = pd.Timestamp(FIRST, tz="UTC"), first.training_cutoffs[-1]
    assert learned + pd.Timedelta(days=180) <= today < learned + pd.Timedelta(days=210)
    assert once["as_of"].unique().tolist() == [today]
    assert f"customers as of {FIRST} by {first.model_id}, in scores/churn/{FIRST}/scores.parquet\n" in printed
    assert f"which has learned from dates until {learned.date()}, and what happened in 60d after them" in printed

    # Killed once the challenger is registered: the champion stands, and no scores claim to be whole.
    code, printed = shop.night(LATER, killed_after="trained:")
    assert (code, "trained: models:/churn/2 " in printed) == (-9, True)
    assert champion().model_id == first.model_id
    assert not Path(f"scores/churn/{LATER}/_SUCCESS.json").exists()

    # Run again it finds its challenger, and ends as if it had never been killed.
    code, printed = shop.night(LATER)
    assert (code, "trained: models:/churn/2 " in printed) == (0, True)
    assert "churn: version 1 stays champion" in printed
    log = cm.load_config(ROOT / "configs" / "nightly.yaml")["log"]
    pd.testing.assert_frame_equal(scored(LATER), champion().score(log, LATER))
    pd.testing.assert_frame_equal(scored(FIRST), once)

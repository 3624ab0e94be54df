"""A run whose process was killed is closed by the next one to track; all others are left alone."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import crmml as cm
from crmml.jobs import runs
from crmml.jobs.runs import PROCESS, close_abandoned, process_tag
from tests.bundle.bundles import bundle, saved
from tests.jobs.mutants import plant

pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'crmml[mlflow]'")
ROOT = Path(__file__).resolve().parents[2]
DAY = 24 * 60 * 60 * 1000


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from mlflow import MlflowClient

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        store = f"sqlite:///{tmp_path_factory.mktemp('runs')}/mlflow.db"
        cm.track(bundle("rfm"), experiment="runs", tracking_uri=store)
        yield MlflowClient(tracking_uri=store, registry_uri=store)


def begun(client: Any, tag: str | None, ago: int = 0) -> str:
    """A run that is running, begun so many milliseconds ago."""
    experiment = client.get_experiment_by_name("runs").experiment_id
    tags = {} if tag is None else {PROCESS: tag}
    run = client.create_run(experiment, tags=tags, start_time=int(time.time() * 1000) - ago)
    return str(run.info.run_id)


def dead() -> str:
    """The tag that a process had, which has ended since."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        return process_tag(process.pid)


def test_only_runs_whose_process_is_gone_are_closed(client: Any) -> None:
    number = os.getpid()
    machine, _, started = process_tag().split(":")
    closed = {
        "ended": begun(client, dead()),
        "another process with its number": begun(client, f"{machine}:{number}:{int(started) - 1}"),
        "another machine, yesterday": begun(client, f"0123456789abcdef:{number}:{started}", ago=DAY + 60_000),
    }
    left = {
        "alive": begun(client, process_tag()),
        "alive for long": begun(client, process_tag(), ago=2 * DAY),
        "another machine, today": begun(client, f"0123456789abcdef:{number}:{started}", ago=DAY - 60_000),
        "another program": begun(client, None, ago=9 * DAY),
    }
    assert set(close_abandoned(client)) == set(closed.values())
    assert {client.get_run(run).info.status for run in closed.values()} == {"KILLED"}
    assert {client.get_run(run).info.status for run in left.values()} == {"RUNNING"}
    assert close_abandoned(client) == []


def test_mutant_that_closes_what_is_alive(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = begun(client, process_tag())
    plant(monkeypatch, runs.__name__, "_started(int(number)) != started", "True")
    assert alive in close_abandoned(client)


KILLED = """
import os, signal, sys
import crmml as cm
store, folder = sys.argv[1:]
loaded = cm.load_bundle(folder)
cm.Bundle.save = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
cm.track(loaded, experiment="killed", tracking_uri=store)
"""


@pytest.mark.slow
def test_a_run_that_was_killed_is_closed_by_the_next(client: Any, tmp_path: Path) -> None:
    store = client.tracking_uri
    command = [sys.executable, "-c", KILLED, store, str(saved("rfm", tmp_path))]
    assert subprocess.run(command, capture_output=True, cwd=ROOT, check=False).returncode == -9
    experiment = client.get_experiment_by_name("killed").experiment_id
    (run,) = client.search_runs([experiment])
    assert run.info.status == "RUNNING"
    cm.track(bundle("rfm"), experiment="next", tracking_uri=store)
    assert client.get_run(run.info.run_id).info.status == "KILLED"
    assert [str(model.status) for model in client.search_logged_models([experiment])] == ["FAILED"]

"""Tracking and registry on a real MLflow server, on loopback: what works on a local store works there."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

import crmml as cm

NEEDED = ("mlflow", "flask", "flask_cors", "aiohttp", "uvicorn")
PATIENCE = 300  # seconds; it takes ten on an idle machine
CUTOFFS = cm.cutoffs("2024-01-01", "2024-10-27", every="90d")
CHURN = cm.Churn("60d", event_type="purchase", active_within="180d")
WEAK = [cm.Count(event_type="view", window="1d")]
pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with a SQLite store, which keeps the files itself."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        pytest.skip(f"`mlflow server` needs {', '.join(missing)}")
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    url = f"http://127.0.0.1:{port}"
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    options += ["--backend-store-uri", f"sqlite:///{folder}/store.db", "--artifacts-destination", str(folder / "files")]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *options],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | quiet,
        )
        try:
            end = time.monotonic() + PATIENCE
            while not answers(url):
                if process.poll() is not None or time.monotonic() > end:
                    said = (folder / "log.txt").read_text(errors="replace")[-300:]
                    pytest.skip(f"`mlflow server` did not start: {said}")
                time.sleep(0.2)
            yield url
        finally:
            process.terminate()  # it ends its worker
            process.wait(timeout=30)


@pytest.fixture(scope="module")
def log() -> cm.InteractionLog:
    return cm.simulate_log(250, seed=1).log


def test_the_whole_way_on_a_server(
    server: str,
    log: cm.InteractionLog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    model = cm.ChurnClassifier(num_iterations=10)
    weak = cm.train(log, WEAK, CHURN, model, CUTOFFS)
    strong = cm.train(log, "rfm", CHURN, model, CUTOFFS)

    # Tracked, and loaded again by both kinds of URI.
    uri = cm.track(weak, experiment="churn", tracking_uri=server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)  # from here on as jobs find it
    from mlflow import MlflowClient

    client = MlflowClient(server)
    experiment = client.get_experiment_by_name("churn")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    for known in (uri, f"runs:/{run.info.run_id}/bundle"):
        assert cm.load_bundle(known).model_id == weak.model_id

    # Registered, challenged and promoted, and back.
    assert cm.register(uri, "churn") == cm.register(weak, "churn") == "models:/churn/1"
    assert cm.register(strong, "churn") == "models:/churn/2"
    promotion = cm.promote("churn", log, CUTOFFS, progress=False)
    assert promotion.moved
    assert cm.load_bundle("models:/churn@champion").model_id == strong.model_id
    aliases = client.get_registered_model("churn").aliases
    assert {name: str(version) for name, version in aliases.items()} == {"champion": "2", "previous": "1"}
    scores = pd.read_parquet(cm.score("models:/churn@champion", log, "2024-12-31", "scores"))
    pd.testing.assert_frame_equal(scores, strong.score(log, "2024-12-31"))
    assert cm.rollback("churn") == "models:/churn/1"
    again = pd.read_parquet(cm.score("models:/churn@champion", log, "2024-12-31", "scores"))
    pd.testing.assert_frame_equal(again, weak.score(log, "2024-12-31"))
    with pytest.raises(cm.DataError) as caught:
        cm.rollback("churn")
    assert str(caught.value).startswith("rollback: 'churn' has no previous champion, so that version 1 stays champion.")

    # Nothing is left in the working folder, and nothing but the jobs' own words is printed.
    assert [path.name for path in tmp_path.iterdir()] == ["scores"]
    assert capfd.readouterr().out == ""


def test_what_the_server_does_not_have_is_said(server: str) -> None:
    with pytest.raises(cm.DataError) as caught:
        cm.load_bundle("models:/nobody@champion", tracking_uri=server)
    assert "MLflow says: " in str(caught.value)
    assert "nobody" in str(caught.value)


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_RETRIES", "BACKOFF_FACTOR"):
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", "0")
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(cm.DataError) as caught:
        cm.load_bundle("models:/churn@champion", tracking_uri=url)
    assert url in str(caught.value)

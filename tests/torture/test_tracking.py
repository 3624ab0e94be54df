"""Tracking under fire, in small numbers; `make torture` starts 32 processes and lets a real server die."""

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from crmml.jobs.store import quiet_mlflow
from tests.torture import tracking
from tests.torture.dying import Door
from tests.torture.test_disturb import perfect
from tests.torture.world import World

pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'crmml[mlflow]'")
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


def test_processes_that_begin_at_once_on_a_fresh_store(small_world: World) -> None:
    perfect(tracking.at_once(small_world, 2), 2)


def test_a_server_that_is_gone_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow tries eight times, which takes four minutes; who wants that can still say so."""
    monkeypatch.delenv(RETRIES, raising=False)
    with quiet_mlflow("a test"):
        assert os.environ[RETRIES] == "3"
    assert RETRIES not in os.environ
    monkeypatch.setenv(RETRIES, "7")
    with quiet_mlflow("a test"):
        assert os.environ[RETRIES] == "7"


# The door -------------------------------------------------------------------------------------------------


class Echo(BaseHTTPRequestHandler):
    heard: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.heard.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base calls it so)
        pass


@pytest.fixture
def echo() -> Iterator[int]:
    Echo.heard.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield int(server.server_address[1])
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("heard", "reached"), [(False, ["/0", "/1"]), (True, ["/0", "/1", "/2"])])
def test_a_door_shuts_after_so_many_requests(echo: int, heard: bool, reached: list[str]) -> None:
    answers = []
    with Door(echo, 2, heard=heard) as door:
        for number in range(4):
            try:
                with urllib.request.urlopen(f"{door.url}/{number}", timeout=10) as answer:
                    answers.append(answer.read().decode())
            except OSError:
                answers.append("gone")
    assert answers == ["ok", "ok", "gone", "gone"]
    assert Echo.heard == reached

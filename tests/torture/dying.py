"""A real MLflow server on loopback, and a door in front of it that closes for ever after so many requests."""

import http.client
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, Thread
from typing import Any

NEEDED = ("mlflow", "flask", "flask_cors", "aiohttp", "uvicorn")
_PATIENCE = 180
_NOT_OURS = {"connection", "transfer-encoding", "content-length", "keep-alive"}


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def server(folder: Path) -> Iterator[int | None]:
    """The port of a server with a SQLite store that keeps the files itself; None where it cannot start here."""
    if any(find_spec(name) is None for name in NEEDED):
        yield None
        return
    port = free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    options += [
        "--backend-store-uri",
        f"sqlite:///{folder}/server.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [sys.executable, "-m", "mlflow", "server", *options]
    with (folder / "server.txt").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | quiet, cwd=folder)
        try:
            yield port if _answers(process, port) else None
        finally:
            process.terminate()
            process.wait(timeout=60)


def _answers(process: "subprocess.Popen[bytes]", port: int) -> bool:
    end = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
        time.sleep(0.3)
    return False


class Door:
    """Passes requests on to a server; after `open_for` of them it is shut, as if the server had died.

    Args:
        port: of the server.
        open_for: how many requests get an answer; None: all.
        heard: whether the first request without an answer still reaches the server, which dies while answering.
    """

    def __init__(self, port: int, open_for: int | None = None, *, heard: bool = False) -> None:
        self.requests = 0
        lock, door = Lock(), self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                with lock:
                    number, door.requests = door.requests, door.requests + 1
                late = open_for is not None and number >= open_for
                if late and not (heard and number == open_for):
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                answer, data = _passed_on(port, self.command, self.path, dict(self.headers), body)
                if late:
                    self.close_connection = True
                    return
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in _NOT_OURS:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base calls it so)
                pass

        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.handle_any)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Door":
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _passed_on(
    port: int, method: str, path: str, headers: dict[str, str], body: bytes
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    kept = {name: value for name, value in headers.items() if name.lower() not in _NOT_OURS}
    connection.request(method, path, body=body or None, headers=kept)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer, data

"""Children by the hundred: one process imports everything once, and forks a child for every run.

A fresh Python that imports crmml takes seconds; a fork takes milliseconds, which is what makes a thousand kills
affordable. The nursery itself opens no connection and starts no thread, so that its children begin clean.
"""

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
PRELOADED = (
    *("lightgbm", "duckdb", "pandas", "pyarrow.parquet", "tests.torture.tasks", "crmml.bundle.core"),
    *("pyarrow.dataset", "pyarrow.pandas_compat", "sqlglot.dialects.duckdb", "sqlglot.generators.duckdb"),
    *("sqlglot.parsers.duckdb", "encodings.cp437", "crmml.jobs.train", "crmml.jobs.score"),
    *("crmml.jobs.verify", "crmml.jobs.tracking"),
)
# Where they are installed; nothing depends on them.
MAYBE = (
    *("narwhals.stable.v2._namespace", "narwhals._pandas_like.dataframe", "narwhals._pandas_like.namespace"),
    *("narwhals._pandas_like.group_by", "narwhals._interchange.dataframe"),
    *("mlflow", "mlflow.artifacts", "mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store"),
)
_MEMORY = 6 * 2**30


@dataclass(frozen=True)
class Job:
    """What a child does: a function of `tests.torture.tasks` with its arguments; killed after so many seconds."""

    task: str
    arguments: tuple[Any, ...] = ()
    killed_after: float | None = None


@dataclass(frozen=True)
class Outcome:
    """How a child ended: 0, 1 after an exception, minus the signal; what it returned; what it printed; how long."""

    status: int
    answer: Any
    output: str
    seconds: float


class Nursery:
    """The process that forks; use it with `with`.

    Args:
        library: a shared library that its calls to the system go through (LD_PRELOAD).
    """

    def __init__(self, library: Path | None = None) -> None:
        self.library = library

    def __enter__(self) -> Self:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore"}
        if self.library is not None:
            environment["LD_PRELOAD"] = str(self.library)
        command = [sys.executable, "-m", "tests.torture.nursery"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, cwd=ROOT, text=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait(timeout=60)

    def warm(self, task: str, *arguments: Any) -> None:
        """Run a task in the nursery itself, so that whatever it imports is there for all that are forked later."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([[[task, arguments, None]], None]) + "\n")

    def run(self, *jobs: Job, timeout: float = 60) -> list[Outcome]:
        """Run these jobs at the same time, each in a child; their outcomes, in the order of the jobs."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = [[job.task, job.arguments, job.killed_after] for job in jobs]
        self._process.stdin.write(json.dumps([asked, timeout]) + "\n")
        self._process.stdin.flush()
        return [Outcome(*answer) for answer in json.loads(self._process.stdout.readline())]

    def one(self, task: str, *arguments: Any, killed_after: float | None = None, timeout: float = 60) -> Outcome:
        """Run one job."""
        return self.run(Job(task, arguments, killed_after), timeout=timeout)[0]

    def value(self, task: str, *arguments: Any, timeout: float = 60) -> Any:
        """What one job returns, which must end well."""
        outcome = self.one(task, *arguments, timeout=timeout)
        assert outcome.status == 0, f"{task}: {outcome.status}: {outcome.output}"
        return outcome.answer


# In the nursery -------------------------------------------------------------------------------------------


def _serve() -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    for name in MAYBE:
        with suppress(ImportError):
            importlib.import_module(name)
    import crmml

    for name in crmml.__all__:
        with suppress(ImportError):  # of an extra that is not installed
            getattr(crmml, name)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        jobs, timeout = json.loads(line)
        if timeout is None:
            for task, arguments, _ in jobs:
                _call(task, arguments)
            continue
        with tempfile.TemporaryDirectory(prefix="torture-") as scratch:
            answers.write(json.dumps(_watched(jobs, timeout, Path(scratch))) + "\n")
        answers.flush()


def _call(task: str, arguments: list[Any]) -> Any:
    return getattr(importlib.import_module("tests.torture.tasks"), task)(*arguments)


def _watched(jobs: list[list[Any]], timeout: float, scratch: Path) -> list[Any]:
    began = time.monotonic()
    pids = {_forked(task, arguments, scratch / str(n)): n for n, (task, arguments, _) in enumerate(jobs)}
    limits = {pid: jobs[n][2] if jobs[n][2] is not None else timeout for pid, n in pids.items()}
    ended: dict[int, tuple[int, float]] = {}
    while len(ended) < len(pids):
        for pid in pids.keys() - ended.keys():
            if time.monotonic() - began >= limits[pid]:
                os.kill(pid, signal.SIGKILL)
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                ended[pid] = os.waitstatus_to_exitcode(status), time.monotonic() - began
        time.sleep(0.0005)
    return [_outcome(*ended[pid], scratch / str(n)) for pid, n in pids.items()]


def _outcome(status: int, seconds: float, place: Path) -> list[Any]:
    answer = place.with_suffix(".json")
    value = json.loads(answer.read_text()) if status == 0 and answer.exists() else None
    return [status, value, place.read_text("utf-8", "replace"), seconds]


def _forked(task: str, arguments: list[Any], place: Path) -> int:
    """A child that runs `task`, prints to `place` and leaves its answer beside it."""
    place.touch()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        output = os.open(place, os.O_WRONLY)
        for number in (1, 2):
            os.dup2(output, number)
        os.close(0)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        answer = _call(task, arguments)
        place.with_suffix(".json").write_text(json.dumps(answer))
        status = 0
    except BaseException:  # noqa: BLE001  (a child says what happened, whatever it was, and ends here)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()

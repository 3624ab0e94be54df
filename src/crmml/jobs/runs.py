"""Runs that a killed process left behind: MLflow would show them as running for ever."""

import hashlib
import os
import platform
import time
from pathlib import Path
from typing import Any

# The tag by which a run says whose it is.
PROCESS = "crmml.process"
# Tracking a bundle takes seconds: what is still running after a day is not, on whatever machine it began.
_LONGEST = 24 * 60 * 60 * 1000
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def process_tag(pid: int | None = None) -> str:
    """This process (or another one here) as a text that no later process will have: machine, number, start.

    The machine is a digest of its name and its start, so that no name gets into the store.

    >>> process_tag() == process_tag(os.getpid())
    True
    """
    number = os.getpid() if pid is None else pid
    return f"{_machine()}:{number}:{_started(number)}"


def close_abandoned(client: Any) -> list[str]:
    """End the runs of `track` whose process is gone, with the status KILLED; the ids of those runs.

    Gone is a process of this machine that no longer runs, and any that began more than a day ago. Runs of other
    programs, and those of processes that are alive, stay as they are.
    """
    experiments = [one.experiment_id for one in client.search_experiments()]
    running = client.search_runs(experiments, "attributes.status = 'RUNNING'") if experiments else []
    gone = [run.info for run in running if _is_gone(run.data.tags.get(PROCESS), run.info.start_time)]
    for info in gone:
        client.set_terminated(info.run_id, "KILLED")
        for model in client.search_logged_models([info.experiment_id]):
            if model.source_run_id == info.run_id and str(model.status) == "PENDING":
                client.finalize_logged_model(model.model_id, "FAILED")
    return [info.run_id for info in gone]


def _is_gone(tag: str | None, began: int) -> bool:
    """Whether the process of a run is known to have ended; never for a run without our tag."""
    if tag is None:
        return False
    machine, _, rest = tag.partition(":")
    number, _, started = rest.partition(":")
    if machine == _machine() and started and number.isdigit():
        return _started(int(number)) != started
    return time.time() * 1000 - began > _LONGEST


def _machine() -> str:
    boot = _BOOT.read_text() if _BOOT.is_file() else ""
    return hashlib.sha256(f"{platform.node()}\0{boot}".encode()).hexdigest()[:16]


def _started(pid: int) -> str:
    """When a process started, in ticks since the machine did; empty where there is none, or no /proc.

    >>> _started(2**30)
    ''
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # the name of the program, in parentheses, may hold anything
    return "" if fields[0] == "Z" else fields[19]

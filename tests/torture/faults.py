"""Faults in the calls to the system: counted, and failed one after the other, by a library loaded before all others."""

import ctypes
import errno
import shutil
import subprocess
from pathlib import Path

KILL = 0
FAULTS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EACCES": errno.EACCES, "kill -9": KILL}
# A full disk stays full; the others hit once.
LASTING = {errno.ENOSPC}


def library(folder: Path) -> Path | None:
    """Compile `faults.c` into this folder; None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    made = folder / "faults.so"
    source = Path(__file__).with_suffix(".c")
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(made), str(source), "-ldl"]
    found = subprocess.run(command, capture_output=True, check=False)
    return made if found.returncode == 0 else None


def available() -> bool:
    """Whether this process was started with the library."""
    return hasattr(ctypes.CDLL(None), "torture_arm")


def arm(folder: str, at: int, fault: int) -> None:
    """From now on, the call number `at` (from 0) that touches `folder` fails; -1: they are only counted."""
    ctypes.CDLL(None).torture_arm(folder.encode(), at, fault, int(fault in LASTING))


def disarm() -> int:
    """How many calls there were."""
    return int(ctypes.CDLL(None).torture_disarm())

"""What this process has cost so far. Needs nothing but the standard library, so that it runs beside any peer."""

import contextlib
import resource
from pathlib import Path


def processor_seconds() -> float:
    """User and system seconds so far, of all threads and of finished child processes."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def peak_memory() -> float:
    """The most resident memory so far, in GB.

    Linux counts the memory of the process that started this one into `ru_maxrss`; its own peak stands in /proc.
    """
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9

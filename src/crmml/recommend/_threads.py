"""The same work for many things on several threads: numpy and scipy let go of Python's lock while they compute."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

Given = TypeVar("Given")
Made = TypeVar("Made")


def mapped(function: Callable[[Given], Made], things: Iterable[Given], n_jobs: int) -> list[Made]:
    """What the function makes of each, in the order of the things; -1: on as many threads as there are cores.

    BLAS runs on one thread inside, so that the threads do not multiply, and sums are added in one order.

    >>> mapped(abs, [-2, 1], n_jobs=2)
    [2, 1]
    """
    with threadpool_limits(limits=1):
        if n_jobs == 1:
            return [function(thing) for thing in things]
        with ThreadPoolExecutor(cores() if n_jobs == -1 else n_jobs) as pool:
            return list(pool.map(function, things))


def cores() -> int:
    """The cores that this process may use.

    >>> cores() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""Events in order of customers, in batches of whole customers, and what a program finds of them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pyarrow as pa

from crmml.features.stream.columns import Answer, Gathering
from crmml.features.stream.program import CUSTOMER, Events, Program, Side, changes_of

# So many events, or some more, are worked on at once. With fewer, what Python does for each batch weighs more; with
# many more, columns do not fit into the caches of a processor, and memory grows.
ROWS = 250_000
# What working on one event takes, of bytes, and the part of the memory limit that all batches at hand may take.
BYTES_PER_ROW = 700
PART_OF_MEMORY = 0.1
# A little less than the largest block that glibc takes as a measure (bytes).
BLOCK = 31 << 20


Made = Callable[[], Events]
Worked = tuple[pa.Array, dict[str, Side], bool]


def rows_within(memory: int, threads: int) -> int:
    """How many events a batch may have, where so many threads work on one each.

    >>> rows_within(16 * 10**9, threads=4), rows_within(10**9, threads=1), rows_within(250 * 10**6, threads=1)
    (250000, 142857, 35714)
    """
    return max(1, min(ROWS, int(memory * PART_OF_MEMORY / BYTES_PER_ROW / threads)))


def answer(program: Program, batches: Iterable[Made], *, threads: int) -> Answer | None:
    """What a program finds of all events: the sides that it knows in every batch; None where there are no events.

    Args:
        program: what is asked.
        batches: what gives events of whole customers, batch by batch; asked for in a thread of its own.
        threads: how many batches are worked on at once.
    """
    _keep_memory()
    gathered = Gathering()
    for ids, sides, in_order in _worked(program, batches, threads):
        gathered.add(ids, sides, in_order=in_order)
    return gathered.answer()


def _keep_memory() -> None:
    """Let the C library keep the memory that a batch gives back, for the next one.

    glibc gives what is free to the system at once, until a larger block was given back (mallopt(3),
    M_MMAP_THRESHOLD): without this the system clears the same memory for each batch anew, half a second in ten million
    events. Elsewhere it does nothing.
    """
    np.empty(BLOCK, np.uint8)


def whole_customers(events: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of about `rows` or more that no customer is divided by; a customer's in their order.

    The rows between a batch's first and last customer are not copied: those two, which others of their rows may stand
    before and after, come together in a batch of their own.
    """
    edges: list[pa.RecordBatch] = []
    there, enough = 0, rows
    for batch in _of_size(events, rows):
        starts = changes_of(batch.column(CUSTOMER))
        first, last = int(starts[:2][-1]), int(starts[-1])
        if last > first:
            yield batch.slice(first, last - first)
        # Copied: a slice would keep the whole batch in memory.
        edges += [batch.take(np.arange(first)), batch.take(np.arange(last, batch.num_rows))]
        there += first + batch.num_rows - last
        if there >= enough:
            every = pa.concat_batches(edges)
            last = int(changes_of(every.column(CUSTOMER))[-1])
            if last:
                yield every.slice(0, last)
            edges, there = [every.take(np.arange(last, every.num_rows))], every.num_rows - last
            # Of a customer with very many rows, those that wait are put together a few times only.
            enough = max(rows, 2 * there)
    if there:
        yield pa.concat_batches(edges)


def _of_size(events: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of half of `rows` or more."""
    waiting: list[pa.RecordBatch] = []
    there = 0
    for batch in events:
        waiting.append(batch)
        there += batch.num_rows
        if 2 * there >= rows:
            yield batch if len(waiting) == 1 else pa.concat_batches(waiting)
            waiting, there = [], 0
    if there:
        yield pa.concat_batches(waiting)


def _worked(program: Program, batches: Iterable[Made], threads: int) -> Iterator[Worked]:
    """What is found of each batch that has events, in order; as many batches at once as there are threads."""

    def work(batch: Made) -> Worked | None:
        events = batch()
        return program.run(events) if len(events) else None

    def worked() -> Iterator[Worked | None]:
        if threads == 1:
            yield from map(work, batches)
            return
        with ThreadPoolExecutor(threads) as pool:
            running: deque[Future[Worked | None]] = deque()
            for batch in batches:
                running.append(pool.submit(work, batch))
                if len(running) > threads:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()

    return (found for found in worked() if found is not None)

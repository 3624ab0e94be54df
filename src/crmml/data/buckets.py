"""Events laid out by customer: divided into pieces in one pass, then every piece sorted and written as Parquet.

The engine reads, cleans and assigns; the rows are moved by numpy and Arrow, which takes half the work of the
engine's own partitioned writing and sorting (docs/decisions/0016-prepared-logs.md has the figures). Memory is that of
one batch while dividing and of one piece while sorting; a piece that is too large for that is sorted by the engine,
which can spill to disk.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlglot import exp

from crmml.data.engine import Engine
from crmml.data.sql import name_of

# Rows of a batch, and of a row group: what DuckDB reads at a time.
BATCH = 122_880
# Read nearly as fast as uncompressed; zstd would be a quarter smaller, and a quarter slower to read.
COMPRESSION = "lz4"
# A sorted piece takes about this many times the bytes of the piece.
COPIES = 3
# A column whose values are mostly repetitions, among the rows looked at, is kept as numbers of its values.
_DIFFERENT, _LOOKED_AT = 0.2, 100_000
_PIECE = "piece-{:04}.arrows"


def piece_of(folder: Path, bucket: int) -> Path:
    """The piece of a bucket in the folder of pieces; absent where the bucket has no customers."""
    return folder / _PIECE.format(bucket)


def divide(
    batches: Iterable[pa.RecordBatch],
    names: Sequence[str],
    folder: Path,
    buckets: int,
    advance: Callable[[int], object],
) -> int:
    """Write the rows of `batches` into one unsorted piece per bucket; how many rows there were.

    Args:
        batches: the columns `names`, then the number of the bucket as a small integer.
        names: the names of the columns in the pieces.
        folder: where the pieces are written.
        buckets: how many there are.
        advance: told the rows of every batch that is written.
    """
    writers: dict[int, pa.RecordBatchWriter] = {}
    rows = 0
    with ExitStack() as open_pieces:
        for batch in batches:
            bucket = batch.column(len(names)).to_numpy()
            # Stable on 16 bits is a radix sort: linear.
            order = pa.array(np.argsort(bucket, kind="stable"))
            arranged = pa.record_batch([batch.column(i) for i in range(len(names))], list(names)).take(order)
            ends = np.cumsum(np.bincount(bucket, minlength=buckets)).tolist()
            for number, (start, end) in enumerate(pairwise([0, *ends])):
                if start == end:
                    continue
                if number not in writers:
                    sink = open_pieces.enter_context(pa.OSFile(str(piece_of(folder, number)), "wb"))
                    writers[number] = open_pieces.enter_context(pa.ipc.new_stream(sink, arranged.schema))
                writers[number].write_batch(arranged.slice(start, end - start))
            rows += batch.num_rows
            advance(batch.num_rows)
    return rows


def write_sorted(piece: Path, file: Path, engine: Engine) -> int:
    """Write the rows of a piece to the Parquet `file`, by customer and time; how many there are.

    A piece that does not fit into the memory of `engine` is sorted by another one with the same limits.
    """
    with pa.memory_map(str(piece)) as source, pa.ipc.open_stream(source) as stream:
        table = stream.read_all()
        repetitive = [name for name in table.column_names if name == "customer_id" or _repeats(table.column(name))]
        options = {
            "compression": COMPRESSION,
            "use_dictionary": repetitive,
            "store_schema": False,  # plain types, whatever Arrow moved them as
        }
        if table.nbytes * COPIES > engine.memory_limit:
            _sort_on_disk(piece, file, Engine(threads=engine.threads, memory_limit=engine.limit), options)
        else:
            order = pa.array(_order(table.column("customer_id"), table.column("timestamp")))
            columns = {
                name: _taken(table.column(name), order, repeats=name in repetitive) for name in table.column_names
            }
            pq.write_table(pa.table(columns), file, row_group_size=BATCH, **options)
        return int(table.num_rows)


def _sort_on_disk(piece: Path, file: Path, engine: Engine, options: Mapping[str, Any]) -> None:
    # Read as a stream: of a mapped file, all that was read would stay in memory as long as there is room.
    with pa.OSFile(str(piece)) as source, pa.ipc.open_stream(source) as stream:
        engine.register("piece", stream)
        order = [exp.Ordered(this=name_of(name)) for name in ("customer_id", "timestamp")]
        query = exp.select("*").from_("piece").order_by(*order)
        with engine.batches(query, rows=BATCH) as batches, pq.ParquetWriter(file, batches.schema, **options) as writer:
            for batch in batches:
                writer.write_batch(batch)


def _order(customers: pa.ChunkedArray, times: pa.ChunkedArray) -> np.ndarray:
    """The positions of the rows, by customer and time."""
    codes = customers.dictionary_encode().combine_chunks()
    ranks = np.empty(len(codes.dictionary), dtype=np.int64)
    ranks[pc.sort_indices(codes.dictionary).to_numpy()] = np.arange(len(ranks))
    rank = ranks[codes.indices.to_numpy()]
    time = times.combine_chunks().view(pa.int64()).to_numpy()
    earliest, latest = int(time.min()), int(time.max())
    if len(ranks) * (latest - earliest + 1) < 2**63:  # both in one number: twice as fast
        return np.argsort(rank * (latest - earliest + 1) + (time - earliest))
    return np.lexsort((time, rank))


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether few of the values of a column of texts or numbers are different."""
    if not (pa.types.is_string(column.type) or pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return False
    looked_at = column.slice(0, _LOOKED_AT)
    return len(looked_at.unique()) <= _DIFFERENT * len(looked_at)


def _taken(column: pa.ChunkedArray, order: pa.Array, *, repeats: bool) -> pa.Array:
    """The values of a column in another order."""
    if pa.types.is_string(column.type):
        if repeats:  # three times faster than moving the texts themselves
            return column.dictionary_encode().combine_chunks().take(order)
        column = column.cast(pa.large_string())  # together they may have more than 2 GB
    elif pa.types.is_binary(column.type):
        column = column.cast(pa.large_binary())
    return column.combine_chunks().take(order)

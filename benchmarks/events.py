"""The simulated events that the benchmarks run on: written once to a Parquet file in a cache folder."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

START = datetime(2023, 1, 1, tzinfo=UTC)
DAYS = 730
AS_OF = START + timedelta(days=DAYS)
CHUNK = 1_000_000
EVENT_TYPES = ("view", "cart", "purchase", "return", "search", "support")
TYPE_SHARES = (0.56, 0.14, 0.14, 0.02, 0.12, 0.02)
CHANNELS = ("web", "app", "shop", "phone")
CHANNEL_SHARES = (0.5, 0.3, 0.15, 0.05)
ITEMS = 20_000


def event_log(events: int, customers: int, folder: Path | None = None) -> Path:
    """The path of a log of `events` events of `customers` customers, in order of time, as a shop appends it.

    Activity is log-normal over customers, popularity of items is a power law, one event in seven is a purchase
    with an amount, one in fifty a return with a negative one. The same numbers give the same file.
    """
    folder = folder or cache_folder()
    path = folder / f"events-{events}-{customers}-v3.parquet"
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        write_events(unfinished, events, customers)
        unfinished.replace(path)
    return path


def cache_folder() -> Path:
    """Where logs and environments are kept between runs: CRMML_CACHE, or a folder in the user's cache."""
    folder = Path(os.environ.get("CRMML_CACHE", Path.home() / ".cache" / "crmml-benchmarks"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_events(path: Path, events: int, customers: int) -> None:
    """Write the log chunk by chunk; each chunk is one slice of time and one row group."""
    random = np.random.default_rng(20_240_101)
    activity = random.lognormal(0.0, 1.0, customers)
    cumulative = np.cumsum(activity) / activity.sum()
    writer: pq.ParquetWriter | None = None
    for start in range(0, events, CHUNK):
        table = chunk_of(random, cumulative, start, min(CHUNK, events - start), events)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    if writer:
        writer.close()


def chunk_of(random: np.random.Generator, cumulative: np.ndarray, start: int, size: int, events: int) -> pa.Table:
    """`size` events in the slice of time that follows the first `start` of `events`."""
    first, span = int(START.timestamp()) * 1_000_000, DAYS * 86_400 * 1_000_000
    low, high = start * span // events, (start + size) * span // events
    types = random.choice(len(EVENT_TYPES), size, p=TYPE_SHARES)
    amounts = np.round(random.lognormal(3.0, 0.8, size), 2)
    amounts = np.where(types == 2, amounts, np.where(types == 3, -amounts, np.nan))
    units = random.geometric(0.7, size).astype(np.float64)
    return pa.table(
        {
            "customer": np.searchsorted(cumulative, random.random(size)).astype(np.int64),
            "ts": pa.array(first + np.sort(random.integers(low, high, size)), pa.timestamp("us", tz="UTC")),
            "kind": names_of(EVENT_TYPES, types),
            "item": pa.array((ITEMS * random.random(size) ** 3).astype(np.int64)),
            "revenue": pa.array(amounts, pa.float64(), from_pandas=True),
            "units": pa.array(np.where(np.isin(types, (2, 3)), units, np.nan), from_pandas=True).cast(pa.int64()),
            "channel": names_of(CHANNELS, random.choice(len(CHANNELS), size, p=CHANNEL_SHARES)),
        }
    )


def names_of(names: tuple[str, ...], codes: np.ndarray) -> pa.Array:
    """The names of the codes, as plain strings: the file must not help one reader more than another."""
    return pa.array(names).take(pa.array(codes))

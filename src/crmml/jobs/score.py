"""`score`: the batch job that writes the scores of a log as one Parquet file, whole or not at all."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from crmml.bundle import Bundle
from crmml.data.files import as_path, atomic_file, lock, remove_leftovers, write_bytes
from crmml.data.log import InteractionLog
from crmml.data.time import AsOf, moments_of
from crmml.errors import ConfigError, DataError
from crmml.jobs.tracking import load_bundle
from crmml.spec import completed, to_data

SCORES = "scores.parquet"
SUCCESS = "_SUCCESS.json"
LOCK = ".lock"
KEYS = ("customer_id", "as_of", "rank")  # of one row; lists have several rows per customer
METADATA = "crmml."  # what every key in the file's metadata begins with


def score(
    bundle: Bundle | str | Path,
    log: InteractionLog,
    as_of: AsOf | Sequence[AsOf],
    out: str | Path,
    *,
    k: int = 10,
    details: bool = True,
    tracking_uri: str | None = None,
) -> Path:
    """Score the customers of a log with a bundle, and write them to `out/scores.parquet`.

    The file appears whole or not at all; `out/_SUCCESS.json` is written last, and only after the file has been read
    back and holds every customer once. A job that finds that file may trust the scores; one that is killed before
    leaves no such file beside scores that it has replaced. The same inputs give the same scores.

    Args:
        bundle: a Bundle, the path of its folder, or the URI that `track` returned.
        log: the interactions.
        as_of: the cutoffs.
        out: the folder to write to; made where it is absent.
        k: length of the recommended lists.
        details: also write what the model says besides the score, such as reasons.
        tracking_uri: the MLflow store, for a URI; the default is that of `track`.

    Returns:
        The path of the Parquet file: the columns of `Bundle.score`; in its metadata, under "crmml.", `model_id`,
        `as_of`, `fingerprint` (of the bundle, the log's facts and the cutoffs) and `target`.

    Raises:
        ConfigError: `out` cannot be written to (asked before the work starts); parts that do not fit.
        DataError: another job is writing there; the disk failed; values that cannot be used.
        BundleError, SchemaError: the bundle is damaged, the log lacks a column.

    >>> import tempfile, crmml as cm
    >>> log = cm.simulate_log(200, seed=1).log
    >>> bundle = cm.train(log, "rfm", None, cm.RFMSegmenter(), "2024-06-01")
    >>> path = cm.score(bundle, log, "2024-09-01", out=tempfile.mkdtemp())
    >>> pd.read_parquet(path).columns.tolist()
    ['customer_id', 'as_of', 'segment', 'model_id']
    """
    folder = as_path(out, "score: out")
    if isinstance(log, str | Path) or not isinstance(log, InteractionLog):
        raise ConfigError(f"score: log is {log!r}. Use InteractionLog(source, customer_id=..., ...).")
    with lock(folder / LOCK):  # which proves that the folder can be written to
        for name in (SCORES, SUCCESS, "writable"):
            remove_leftovers(folder / name)
        loaded = load_bundle(bundle, tracking_uri=tracking_uri)
        cutoffs = moments_of(as_of)
        table = loaded.score(log, cutoffs, k=k, details=details)
        fingerprint = _fingerprint(loaded, log, cutoffs, (k, details))
        metadata = {
            "model_id": loaded.model_id,
            "as_of": json.dumps([cutoff.isoformat() for cutoff in cutoffs]),
            "fingerprint": fingerprint,
            "target": json.dumps(completed(to_data(loaded.target))),
        }
        return _publish(table, folder, metadata)


def _publish(table: pd.DataFrame, folder: Path, metadata: dict[str, str]) -> Path:
    """Write, read back, compare; only then the new file takes the place of the old, and the proof follows."""
    path, proof = folder / SCORES, folder / SUCCESS
    expected = _counts(table)
    with atomic_file(path) as temporary:
        _write(_arrow(table, metadata), temporary)
        written = _counts(_read_back(temporary))
        if written != expected or expected["rows"] != expected["distinct"]:
            raise DataError(
                f"{path}: of {expected['rows']} rows expected, {written['rows']} were written and "
                f"{written['distinct']} are distinct; nothing was replaced. Check that ids in the log are unique, "
                "and the disk."
            )
        # After the rename, the old proof would be about other scores than those that stand beside it.
        proof.unlink(missing_ok=True)
    left = {"not_eligible": table.attrs["not_eligible"]} if "not_eligible" in table.attrs else {}
    said = {**metadata, **{key: json.loads(metadata[key]) for key in ("as_of", "target")}}
    report = {**said, **expected, **left, "sha256": digest_of_file(path)}
    write_bytes(proof, (json.dumps(report, indent=1) + "\n").encode())
    return path


def _counts(table: pd.DataFrame) -> dict[str, int]:
    keys = [name for name in KEYS if name in table]
    return {
        "rows": len(table),
        "customers": int(table["customer_id"].nunique()),
        "distinct": len(table[keys].drop_duplicates()),
    }


def _arrow(table: pd.DataFrame, metadata: dict[str, str]) -> pa.Table:
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    own = {f"{METADATA}{key}": value for key, value in metadata.items()}
    return arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **own})


def _write(table: pa.Table, path: Path) -> None:
    """Write with a checksum per page, and have the disk confirm it before anything else is touched."""
    with path.open("wb") as file:
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)
        file.flush()
        os.fsync(file.fileno())


def _read_back(path: Path) -> pd.DataFrame:
    """The keys of what was written; every page of every column is checked on the way."""
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: what was written cannot be read back ({error}). Check the disk.") from error
    keys: pd.DataFrame = table.select([name for name in KEYS if name in table.column_names]).to_pandas()
    return keys


def digest_of_file(path: Path) -> str:
    """The SHA-256 of all bytes of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fingerprint(bundle: Bundle, log: InteractionLog, cutoffs: Sequence[pd.Timestamp], asked: tuple[int, bool]) -> str:
    """The digest of what was scored with what: the bundle, what the log holds, the cutoffs."""
    parts = [bundle.model_id, repr(log.roles), repr(log.cleaning), repr(log.facts), repr(cutoffs), repr(asked)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()

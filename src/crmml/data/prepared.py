"""Prepared logs: the events written once by customer and time, cleaned and in their roles.

`InteractionLog.prepare` writes, `open_prepared` opens. In the folder stand `manifest.json` and one Parquet file per
bucket of customers; while it is being written also `pieces`, the unsorted buckets. Every step is whole or absent on
disk and recorded in the manifest, so that a second call goes on where the first one was stopped.
"""

import re
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlglot import exp
from sqlglot.errors import SqlglotError

from crmml.data.buckets import BATCH, divide, piece_of, write_sorted
from crmml.data.engine import Engine, EngineError
from crmml.data.files import as_path, atomic_file, atomic_folder, lock, remove_leftovers
from crmml.data.log import InteractionLog
from crmml.data.manifest import (
    MANIFEST,
    BucketFile,
    Identity,
    Manifest,
    check_file,
    check_sum,
    damaged,
    identity_of,
    read_manifest,
)
from crmml.data.roles import COLUMN_ROLES, Constant, Roles
from crmml.data.sources import LOG, Opened, Prepared, parquet
from crmml.data.sql import name_of
from crmml.data.steps import EVENTS, chain
from crmml.errors import ConfigError, DataError, SchemaError

if TYPE_CHECKING:
    from tqdm import tqdm

# Events of one bucket: sorted in about half a gigabyte, and built from in as much.
EVENTS_PER_BUCKET = 3_000_000
# Each has an open file while the log is divided, and systems allow a process 1,024.
MAX_BUCKETS = 512
LOCK = ".lock"
PIECES = "pieces"
EVENTS_VIEW = "events_to_write"
# Types that Parquet or Arrow would change without a word, or cannot hold.
_NOT_KEPT = re.compile(r"\b(BIT|BIGNUM|INTERVAL|UNION|TIME WITH TIME ZONE|VARIANT|GEOMETRY)\b")


def open_prepared(path: str | Path, *, threads: int | None = None, memory_limit: str | None = None) -> InteractionLog:
    """Open a log that `InteractionLog.prepare` wrote.

    Every file is compared with its check sum in the manifest first. What a pass over the log would say (`log.facts`)
    is known already.

    Args:
        path: the folder.
        threads: threads that a query may use; all cores by default.
        memory_limit: memory that a query may use, such as "2GB", before it spills to disk.

    Raises:
        ConfigError: there is no prepared log at `path`.
        DataError: it is not finished, or a file in it is missing or damaged.

    >>> import tempfile, crmml as cm
    >>> folder = tempfile.mkdtemp()
    >>> rows = cm.simulate_log(50, seed=1).log.prepare(folder).facts.rows
    >>> cm.open_prepared(folder).facts.rows == rows
    True
    """
    folder = as_path(path, "open_prepared")
    manifest = read_manifest(folder)
    if not manifest.complete:
        raise DataError(
            f"{folder}: is not finished, {len(manifest.files)} of {manifest.buckets} buckets are written. "
            f"Call prepare({str(folder)!r}) of the same log again: it goes on from there."
        )
    files = tuple((folder / name).resolve() for name in sorted(manifest.files))
    for file in files:
        check_file(file, manifest.files[file.name])
    engine = Engine(files=files, threads=threads, memory_limit=memory_limit)
    try:
        engine.create_view(LOG, exp.select("*").from_(parquet(files)))
    except EngineError as error:
        raise damaged(files[0], f"cannot be read ({error})") from error
    found = engine.columns(LOG)
    if list(found) != list(manifest.columns):
        raise damaged(files[0], f"has the columns {list(found)} instead of {list(manifest.columns)}")
    identity = manifest.identity
    prepared = Prepared(
        folder=folder,
        files=files,
        cleaning=identity.cleaning,
        facts=manifest.facts,
        casts=_casts(files[0], found, manifest.columns),
    )
    opened = Opened(engine, manifest.columns, {}, str(folder), files, prepared=prepared)
    return InteractionLog.of(opened, _own_roles(identity.roles), identity.cleaning, identity.observed_until)


def is_prepared(path: str | Path) -> bool:
    """Whether `path` is the folder of a prepared log, finished or not.

    >>> is_prepared("nowhere")
    False
    """
    return (Path(path) / MANIFEST).is_file()


def _casts(file: Path, found: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, exp.DataType]:
    """The types of the columns that Parquet keeps as another: an UUID as text, seconds as microseconds."""
    casts = {}
    for name, kind in wanted.items():
        if found[name] != kind:
            try:
                casts[name] = exp.DataType.build(kind, dialect="duckdb")
            except SqlglotError:
                raise damaged(file, f"has {name!r} as {found[name]} instead of {kind}") from None
    return casts


def prepare_log(log: InteractionLog, path: str | Path, *, buckets: int | None, progress: bool | None) -> InteractionLog:
    """Write `log` into the folder `path`, or go on writing it; what `InteractionLog.prepare` does."""
    folder = as_path(path, "InteractionLog.prepare")
    _check_buckets(buckets)
    with lock(folder / LOCK):
        for name in (MANIFEST, PIECES, "writable"):
            remove_leftovers(folder / name)
        manifest = _begun(log, folder, buckets)
        for number in range(manifest.buckets):
            remove_leftovers(folder / _name(number))
        if not manifest.complete:
            _write(log, folder, manifest, progress)
        shutil.rmtree(folder / PIECES, ignore_errors=True)
        return open_prepared(folder, threads=log.engine.threads, memory_limit=log.engine.limit)


def default_buckets(rows: int) -> int:
    """The power of two that gives buckets of about three million events.

    >>> [default_buckets(rows) for rows in (10, 4_000_000, 10_000_000, 100_000_000)]
    [1, 1, 4, 32]
    """
    buckets = 1
    while rows / buckets > EVENTS_PER_BUCKET * 2**0.5 and buckets < MAX_BUCKETS:
        buckets *= 2
    return buckets


def _check_buckets(buckets: object) -> None:
    whole = isinstance(buckets, int) and not isinstance(buckets, bool)
    if buckets is not None and not (whole and 1 <= buckets <= MAX_BUCKETS):  # type: ignore[operator]
        raise ConfigError(
            f"InteractionLog.prepare: buckets must be a number from 1 to {MAX_BUCKETS}, not {buckets!r}. "
            "Leave it out for buckets of about three million events."
        )


def _begun(log: InteractionLog, folder: Path, buckets: int | None) -> Manifest:
    """The manifest that is there, if it is of this log; else a new one."""
    identity = identity_of(log, source_digests(log))
    if (folder / MANIFEST).exists():
        manifest = read_manifest(folder)
        _require_same(folder, manifest, identity, buckets)
        return manifest
    others = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    if others:
        raise ConfigError(
            f"{folder}: there is something else than a prepared log ({others[0]!r}). Give a new or an empty folder."
        )
    log.engine.create_view(EVENTS_VIEW, _events(log, *(name_of(name) for name in _names(log))))
    columns = log.engine.columns(EVENTS_VIEW)
    for name, kind in columns.items():
        if _NOT_KEPT.search(kind):
            raise SchemaError(
                f"InteractionLog.prepare: {name!r} is of the type {kind}, which Parquet cannot keep. "
                "Make it a number or a text, or leave the column out of the log."
            )
    facts = log.require_usable()
    manifest = Manifest(identity, buckets or default_buckets(facts.rows), columns, facts)
    manifest.write(folder)
    return manifest


def _events(log: InteractionLog, *values: exp.Expr) -> exp.Select:
    """`values` of every event, cleaned and in the roles."""
    return chain(log.steps(_names(log)), exp.select(*values).from_(EVENTS))


def _require_same(folder: Path, manifest: Manifest, identity: Identity, buckets: int | None) -> None:
    differing = manifest.identity.differences(identity)
    if differing:
        what = differing[0]
        theirs, ours = (getattr(side, what) for side in (manifest.identity, identity))
        said = "" if what == "source" else f" ({_shown(theirs)} there, {_shown(ours)} here)"
        raise ConfigError(
            f"{folder}: there is a prepared log with another {what}{said}. Give another folder, or remove this one."
        )
    if buckets is not None and buckets != manifest.buckets:
        raise ConfigError(
            f"{folder}: there is a prepared log with buckets={manifest.buckets}, not {buckets}. "
            "Leave buckets out, give another folder, or remove this one."
        )


def _shown(value: Any) -> str:
    return repr(list(value)) if isinstance(value, tuple) else repr(value)


# Writing --------------------------------------------------------------------------------------------------


def _write(log: InteractionLog, folder: Path, manifest: Manifest, progress: bool | None) -> None:
    pieces = folder / PIECES
    with _bar(2 * manifest.facts.rows, progress) as bar:
        if not pieces.is_dir():
            _divide(log, pieces, manifest, bar)
        else:
            bar.update(manifest.facts.rows)
        for number in range(manifest.buckets):
            name, piece = _name(number), piece_of(pieces, number)
            if name not in manifest.files and piece.exists():
                with atomic_file(folder / name) as temporary:
                    rows = write_sorted(piece, temporary, log.engine)
                    file = BucketFile(rows, temporary.stat().st_size, check_sum(temporary))
                manifest = manifest.with_file(name, file)
                manifest.write(folder)
            piece.unlink(missing_ok=True)  # only now: until here it could be needed again
            if name in manifest.files:
                bar.update(manifest.files[name].rows)
    _require_rows(folder, manifest, sum(file.rows for file in manifest.files.values()))
    Manifest(manifest.identity, manifest.buckets, manifest.columns, manifest.facts, manifest.files, True).write(folder)


def _divide(log: InteractionLog, pieces: Path, manifest: Manifest, bar: "tqdm[Any]") -> None:
    names = list(manifest.columns)
    values = [_plain(name, kind) for name, kind in manifest.columns.items()]
    hashed = exp.Anonymous(this="hash", expressions=[name_of("customer_id")])
    bucket = exp.cast(exp.Mod(this=hashed, expression=exp.Literal.number(manifest.buckets)), "SMALLINT")
    query = _events(log, *values, exp.alias_(bucket, "bucket_of_customer"))
    with atomic_folder(pieces) as temporary:
        try:
            # Closed also where writing fails: an open result would keep the engine from every other query.
            with log.engine.batches(query, rows=BATCH) as batches:
                rows = divide(batches, names, temporary, manifest.buckets, bar.update)
        except (EngineError, pa.ArrowException) as error:
            if isinstance(error, OSError):
                raise
            raise DataError(
                f"InteractionLog.prepare: the log cannot be read: {error}. Check the files or the frame."
            ) from error
        _require_rows(pieces.parent, manifest, rows)


def _plain(name: str, kind: str) -> exp.Expr:
    """The column, a vector (FLOAT[3]) as a list (FLOAT[]): Arrow before 26 writes none that is missing to Parquet."""
    sizes = re.search(r"(\[\d*\])+$", kind)
    plain = re.sub(r"\d+", "", sizes[0]) if sizes else ""
    if sizes is None or plain == sizes[0]:
        return name_of(name)
    as_list = exp.DataType.build(kind[: sizes.start()] + plain, dialect="duckdb")
    return exp.alias_(exp.cast(name_of(name), as_list), name, quoted=True)


def _require_rows(folder: Path, manifest: Manifest, rows: int) -> None:
    if rows != manifest.facts.rows:
        raise DataError(
            f"{folder}: {rows:,} events were read, but the log had {manifest.facts.rows:,} before: it changed "
            "meanwhile. Remove the folder, and prepare the log again when nothing writes to it."
        )


def _bar(total: int, progress: bool | None) -> "tqdm[Any]":
    """A bar on standard error, in events, each counted when it is divided and when it is sorted."""
    from tqdm import tqdm

    disable = None if progress is None else not progress
    return tqdm(total=total, desc="prepare", unit=" events", unit_scale=True, leave=False, disable=disable)


def _name(number: int) -> str:
    return f"bucket-{number:04}.parquet"


def _names(log: InteractionLog) -> list[str]:
    """The columns that are written; one event type for all needs none."""
    constant = isinstance(log.roles.event_type, Constant)
    return [name for name in log.names if not (constant and name == "event_type")]


def _own_roles(roles: Roles) -> Roles:
    """The roles of a prepared log: every column has the name of its role, every time is UTC."""
    known = {role: role for role in COLUMN_ROLES if roles.knows(role)}
    constant = {"event_type": roles.event_type} if isinstance(roles.event_type, Constant) else {}
    return Roles(**{**known, **constant, "timezone": "UTC"})  # type: ignore[arg-type]


# Where it comes from --------------------------------------------------------------------------------------


def source_digests(log: InteractionLog) -> tuple[str, ...]:
    """What the source of a log is: the size and check sum of each file, or those of the columns of a frame.

    All bytes are read, which takes a hundredth of the time of preparing: the footers of Parquet files would be had
    at once, but two files that differ in some values can have the same. What files are called, and where they stand,
    makes no difference.
    """
    table, files = log.source
    if table is None:
        return tuple(sorted(f"{file.stat().st_size} bytes, {check_sum(file):08x}" for file in files))
    found = 0
    for name in table.column_names:
        # One column and one chunk at a time, so that how the frame was put together makes no difference.
        column = pa.table({name: table.column(name).combine_chunks()})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, column.schema) as writer:
            writer.write_table(column)
        found = zlib.crc32(sink.getvalue(), found)
    return (f"{table.num_rows} rows, {found:08x}",)

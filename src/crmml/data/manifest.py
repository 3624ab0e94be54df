"""`manifest.json` of a prepared log: what it was made from, how far it is, what its files are.

The manifest is the truth: a bucket file that it does not name is not finished. It carries a digest of itself, and
the size and check sum of every file, so that damage is found before anything is read. Digests show damage, not who
wrote a folder: they are no signature.
"""

import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from crmml.data.cleaning import CleaningStep
from crmml.data.facts import Facts
from crmml.data.files import write_bytes
from crmml.data.roles import Roles
from crmml.errors import ConfigError, CrmmlError, DataError
from crmml.spec import from_data, to_data

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

FORMAT = 1
MANIFEST = "manifest.json"
BUCKET = re.compile(r"bucket-\d{4}\.parquet")
_MAX_BYTES = 64 * 2**20
_CHUNK = 2**22
_NAMES_OF_SOURCES = {"InteractionLog", "open_prepared"}
_COUNTS = ("rows", "missing_customer_id", "missing_timestamp", "impossible_timestamp", "future_timestamp")


@dataclass(frozen=True)
class BucketFile:
    """What is known of one finished file: its rows, its size in bytes, its CRC-32."""

    rows: int
    bytes: int
    crc32: int


@dataclass(frozen=True)
class Identity:
    """What decides the content of a prepared log: the same identity, the same events.

    Attributes:
        source: the size and check sum of each file (without its folder and name), or those of the frame.
        roles: which column of the source plays which role.
        cleaning: the steps that were applied.
        observed_until: the moment up to which the log is complete, in ISO format, or None.
    """

    source: tuple[str, ...]
    roles: Roles
    cleaning: tuple[CleaningStep, ...]
    observed_until: str | None

    def differences(self, other: "Identity") -> list[str]:
        """The names of the parts in which `other` is another."""
        return [part.name for part in fields(self) if getattr(self, part.name) != getattr(other, part.name)]


@dataclass(frozen=True)
class Manifest:
    """The content of `manifest.json`.

    Attributes:
        identity: what the log was made from.
        buckets: the number of shares into which the customers are divided.
        columns: the engine's type of every column, by name.
        facts: the facts of the log.
        files: the finished files by name; a bucket without customers has none.
        complete: whether all buckets are finished.
    """

    identity: Identity
    buckets: int
    columns: dict[str, str]
    facts: Facts
    files: dict[str, BucketFile] = field(default_factory=dict)
    complete: bool = False

    def with_file(self, name: str, file: BucketFile) -> "Manifest":
        """The manifest with one more finished file."""
        return replace(self, files={**self.files, name: file})

    def write(self, folder: Path) -> None:
        """Write it into `folder`, whole or not at all."""
        facts = {**asdict(self.facts), "first": self.facts.first.isoformat(), "last": self.facts.last.isoformat()}
        data = {
            "format": FORMAT,
            "source": list(self.identity.source),
            "roles": to_data(self.identity.roles),
            "cleaning": to_data(list(self.identity.cleaning)),
            "observed_until": self.identity.observed_until,
            "buckets": self.buckets,
            "columns": self.columns,
            "facts": facts,
            "files": {name: asdict(file) for name, file in self.files.items()},
            "complete": self.complete,
        }
        write_bytes(folder / MANIFEST, _text({**data, "digest": _digest(data)}))


def read_manifest(folder: Path) -> Manifest:
    """The manifest in `folder`.

    Raises:
        ConfigError: there is none.
        DataError: it is damaged, was changed, or is of a newer format.
    """
    file = folder / MANIFEST
    if not file.is_file():
        raise ConfigError(
            f"{folder}: is no prepared log, it has no {MANIFEST}. Write one with log.prepare({str(folder)!r})."
        )
    try:
        with file.open("rb") as stream:
            data = json.loads(stream.read(_MAX_BYTES))
        digest = data.pop("digest")
        intact = digest == _digest(data)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise damaged(file, "is no manifest") from None
    if not intact:
        raise damaged(file, "has been changed: its digest does not match")
    if data.get("format") != FORMAT:
        raise DataError(
            f"{file}: has the format {data.get('format')!r}, but this version of crmml reads {FORMAT}. "
            "Open it with a newer crmml, or prepare the log again."
        )
    try:
        return _manifest(data)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, CrmmlError) as error:
        raise damaged(file, f"cannot be understood ({type(error).__name__}: {error})") from None


def check_file(file: Path, expected: BucketFile) -> None:
    """Compare a file with what the manifest says of it, byte by byte.

    Raises:
        DataError: it is missing, or has changed.
    """
    try:
        size = file.stat().st_size
        found = check_sum(file) if size == expected.bytes else None
    except OSError:
        raise damaged(file, "is missing") from None
    if found is None:
        raise damaged(file, f"has {size:,} bytes instead of {expected.bytes:,}")
    if found != expected.crc32:
        raise damaged(file, "has been changed: its check sum does not match")


def check_sum(file: Path) -> int:
    """The CRC-32 of a file: it finds every damaged burst of up to 32 bits, at 3 GB a second."""
    # Always the same memory: what is read into fresh memory takes twice the time.
    found, chunk = 0, memoryview(bytearray(_CHUNK))
    with file.open("rb", buffering=0) as stream:
        while size := stream.readinto(chunk):
            found = zlib.crc32(chunk[:size], found)
    return found


def damaged(file: Path, problem: str) -> DataError:
    """A DataError about one file of a prepared log."""
    return DataError(f"{file}: {problem}. Remove the folder {file.parent}, and prepare the log again.")


def identity_of(log: "InteractionLog", source: tuple[str, ...]) -> Identity:
    """The identity of a log whose source is `source`."""
    until = None if log.observed_until is None else log.observed_until.isoformat()
    return Identity(source, log.roles, log.cleaning, until)


def _manifest(data: Mapping[str, Any]) -> Manifest:
    # from_data makes what is public, and an InteractionLog would open files.
    _require(not _NAMES_OF_SOURCES & set(_keys([data["roles"], data["cleaning"]])), "InteractionLog in a definition")
    roles, cleaning = from_data(data["roles"]), from_data(data["cleaning"])
    _require(isinstance(roles, Roles) and all(isinstance(step, CleaningStep) for step in cleaning), "roles or cleaning")
    until = data["observed_until"]
    _require(until is None or (isinstance(until, str) and pd.Timestamp(until).tzinfo is not None), "observed_until")
    columns = data["columns"]
    _require(all(isinstance(text, str) for pair in columns.items() for text in pair), "columns")
    _require(_is_count(data["buckets"]) and isinstance(data["complete"], bool), "buckets")
    files = {}
    for name, numbers in data["files"].items():
        # Only names of our own: a forged manifest must not lead out of the folder.
        _require(bool(BUCKET.fullmatch(name)) and all(_is_count(number) for number in numbers.values()), repr(name))
        files[name] = BucketFile(**numbers)
    facts = _facts(data["facts"])
    complete = data["complete"]
    _require(not complete or sum(file.rows for file in files.values()) == facts.rows > 0, "rows")
    identity = Identity(tuple(map(str, data["source"])), roles, tuple(cleaning), until)
    return Manifest(identity, data["buckets"], dict(columns), facts, files, complete)


def _keys(data: Any) -> Iterator[str]:
    """The keys of all mappings in plain data."""
    if isinstance(data, list):
        for item in data:
            yield from _keys(item)
    elif isinstance(data, dict):
        yield from data
        yield from _keys(list(data.values()))


def _facts(data: Mapping[str, Any]) -> Facts:
    counts = [*(data[name] for name in _COUNTS), *data["event_types"].values()]
    _require(all(_is_count(count) for count in counts), "counts")
    first, last = (pd.Timestamp(data[name]).tz_convert("UTC").as_unit("us") for name in ("first", "last"))
    return Facts(**{**data, "first": first, "last": last, "event_types": dict(data["event_types"])})


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _text(data: Mapping[str, Any]) -> bytes:
    return (json.dumps(data, indent=1) + "\n").encode()


def _digest(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(_text(data)).hexdigest()

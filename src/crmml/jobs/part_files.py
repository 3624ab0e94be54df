"""The files of a scoring job: parts that are whole or absent, and the note of which are finished.

    scores/.parts/part-00000-<fingerprint>.parquet   while the job runs: one file per part of the customers
    scores/.parts/_parts.json                        which parts are finished, with the digest of each
    scores/scores.parquet                            the proven scores: a file, or of several parts the folder of them
    scores/_SUCCESS.json                             the proof, written last

Nothing that can be read as scores is touched before all parts of a new job are proven. The name of a part holds the
first digits of the job's fingerprint, so that a reader who meets the exchange finds a file missing, never a mixture.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from crmml.data.files import atomic_file, remove_tree, write_bytes
from crmml.errors import ConfigError, DataError

SCORES = "scores.parquet"
SUCCESS = "_SUCCESS.json"
LOCK = ".lock"
# Readers of Parquet folders pass over names that begin with a point or an underscore.
PARTS = ".parts"
NOTE = "_parts.json"
KEYS = ("customer_id", "as_of", "rank")  # of one row; lists have several rows per customer
METADATA = "crmml."  # what every key in the metadata of a file begins with
_PART = re.compile(r"part-\d{5}-[0-9a-f]{8}\.parquet")


@dataclass(frozen=True)
class Finished:
    """What is known of a part that has been written and read back.

    rows, customers: how many it holds; nothing is written of a part without rows.
    sha256: the digest of its file.
    """

    rows: int
    customers: int
    sha256: str


class Parts:
    """The parts of one job, in the folder that it writes to.

    Args:
        folder: the folder of the job.
        fingerprint: of the job.
        of: how many parts there are.
        said: what else the job has found out and needs when it goes on, as plain data.
        finished: the parts that are there, by number.
    """

    def __init__(
        self, folder: Path, fingerprint: str, of: int, said: Mapping[str, Any], finished: Mapping[int, Finished]
    ) -> None:
        self.place = folder / PARTS
        self.fingerprint = fingerprint
        self.of = of
        self.said = dict(said)
        self.finished = dict(finished)

    @classmethod
    def read(cls, folder: Path, fingerprint: str, of: int) -> Self:
        """The parts of this job that an earlier run finished, each compared with its digest; nothing is changed."""
        found = cls._in(folder, folder / PARTS, fingerprint, of)
        if not found.missing:
            return found
        # Killed after the exchange and before the proof, a job finds all of them in their place.
        published = cls._in(folder, folder / SCORES, fingerprint, of)
        return found if published.missing else published

    @classmethod
    def _in(cls, folder: Path, place: Path, fingerprint: str, of: int) -> Self:
        found = cls(folder, fingerprint, of, {}, {})
        noted = _note(place / NOTE)
        if noted is None or (noted["fingerprint"], noted["of"]) != (fingerprint, of):
            return found
        found.place, found.said = place, noted["said"]
        for number, one in noted["finished"].items():
            part = Finished(**one)
            if int(number) < of and (not part.rows or _digest_or_none(found.path(int(number))) == part.sha256):
                found.finished[int(number)] = part
        return found

    @property
    def published(self) -> bool:
        """Whether they stand where the scores stand, and only the proof is missing."""
        return self.place.name == SCORES

    @property
    def missing(self) -> list[int]:
        """The numbers of the parts that are not finished."""
        return [number for number in range(self.of) if number not in self.finished]

    @property
    def files(self) -> list[Path]:
        """The files of the finished parts that have rows, in order."""
        return [self.path(number) for number, part in sorted(self.finished.items()) if part.rows]

    def path(self, number: int) -> Path:
        """The file of a part."""
        return self.place / f"part-{number:05d}-{self.fingerprint[:8]}.parquet"

    def tidy(self) -> None:
        """Remove what is no finished part of this job, nor can be read as scores; for who has the lock.

        That is what other jobs left, or this one when it was killed, and files that do not fit their digest.
        """
        if self.published:
            return
        if not self.place.is_dir() or self.place.is_symlink():
            remove_tree(self.place)
            self.place.mkdir()
        kept = {file.name for file in self.files} | ({NOTE} if self.finished or self.said else set())
        for entry in list(self.place.iterdir()):
            if entry.name not in kept:
                remove_tree(entry)

    def note(self, **said: Any) -> None:
        """Write down what is finished, and what the job has found out."""
        self.said |= said
        noted = {
            "fingerprint": self.fingerprint,
            "of": self.of,
            "said": self.said,
            "finished": {str(number): asdict(part) for number, part in sorted(self.finished.items())},
        }
        write_bytes(self.place / NOTE, (json.dumps(noted, indent=1) + "\n").encode())

    def write(self, number: int, table: pd.DataFrame, metadata: Mapping[str, str]) -> Finished:
        """Write a part, read it back, compare; then it gets its name, and is noted as finished.

        Raises:
            DataError: what was read back is not what was written, or has a customer twice; the disk failed.
        """
        part = Finished(0, 0, "")
        if len(table):
            path = self.path(number)
            with atomic_file(path) as temporary:
                write_table(arrow_of(table, {**metadata, "part": f"{number + 1}/{self.of}"}), temporary)
                part = proven(temporary, len(table), path)
        self.finished[number] = part
        self.note()
        return part


def check_replaceable(folder: Path) -> None:
    """Raise a ConfigError where the name of the scores is taken by a folder that no scoring job wrote."""
    place = folder / SCORES
    if not place.is_dir():
        return
    others = sorted(entry.name for entry in place.iterdir() if not (_PART.fullmatch(entry.name) or entry.name == NOTE))
    if others:
        raise ConfigError(
            f"{place}: holds what no scoring job wrote, such as {others[0]!r}. Give another folder, or remove it."
        )


def arrow_of(table: pd.DataFrame, metadata: Mapping[str, str]) -> pa.Table:
    """The table with the metadata under "crmml."; a column without any value is one of texts, as in other parts."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    for place, field in enumerate(arrow.schema):
        if pa.types.is_null(field.type):
            arrow = arrow.set_column(place, field.name, arrow.column(place).cast(pa.large_string()))
    own = {f"{METADATA}{key}": value for key, value in metadata.items()}
    return arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **own})


def write_table(table: pa.Table, path: Path) -> None:
    """Write with a checksum per page, and have the disk confirm it before anything else is touched."""
    with path.open("wb") as file:
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)
        file.flush()
        os.fsync(file.fileno())


def proven(path: Path, expected: int, shown: Path) -> Finished:
    """What a file holds that was written as `shown`, once it has been read back.

    Raises:
        DataError: it cannot be read, or has not the rows that are expected, each of them once.
    """
    keys = read_back(path)
    rows, distinct = len(keys), int((~keys.duplicated()).sum())
    if rows != expected or distinct != expected:
        raise DataError(
            f"{shown}: of {expected} rows expected, {rows} were written and {distinct} are distinct; nothing was "
            "replaced. Check that ids in the log are unique, and the disk."
        )
    return Finished(rows, int(keys["customer_id"].nunique()), digest_of_file(path))


def read_back(path: Path) -> pd.DataFrame:
    """The keys of what was written; every page of every column is checked on the way."""
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: what was written cannot be read back ({error}). Check the disk.") from error
    keys: pd.DataFrame = table.select([name for name in KEYS if name in table.column_names]).to_pandas()
    return keys


def proof_of(report: Mapping[str, Any]) -> bytes:
    """The text of a proof: what is said, and last the digest of all that, so that a changed proof is found as well.

    >>> json.loads(proof_of({"rows": 2}))["digest"][:12]
    '537a592083d4'
    """
    said = {key: value for key, value in report.items() if key != "digest"}
    digest = hashlib.sha256(json.dumps(said, indent=1).encode()).hexdigest()
    return (json.dumps({**said, "digest": digest}, indent=1) + "\n").encode()


def digest_of_file(path: Path) -> str:
    """The SHA-256 of all bytes of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_or_none(path: Path) -> str | None:
    try:
        return digest_of_file(path)
    except OSError:
        return None


def _note(path: Path) -> dict[str, Any] | None:
    """What was noted; None where there is no such file, or none that can be understood: then nothing is finished."""
    try:
        noted = json.loads(path.read_bytes())
        for one in noted["finished"].values():
            Finished(**one)
        whole = isinstance(noted["said"], dict) and all(str(int(key)) == key for key in noted["finished"])
        return {key: noted[key] for key in ("fingerprint", "of", "said", "finished")} if whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None

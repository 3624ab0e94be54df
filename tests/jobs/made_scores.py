"""Scoring jobs on tables that are there already, and what a folder of scores holds."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from crmml.jobs import score as job
from crmml.jobs.part_files import Parts
from crmml.jobs.part_rows import TableRows
from tests.bundle.bundles import log


class MadeRows(TableRows):
    """The rows of a table, in ranges of customers."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.table, self.expected, self.left = table, len(table), None

    def rows(self, parts: Parts) -> Iterator[tuple[int, pd.DataFrame]]:
        for number in parts.missing:
            start, end = (len(self.table) * edge // parts.of for edge in (number, number + 1))
            yield number, self.table.iloc[start:end]


def publish(table: pd.DataFrame, folder: Path, as_of: str, of: int = 1) -> None:
    """Score `table` into `folder` with the job itself, in so many parts."""
    fingerprint = hashlib.sha256(f"{as_of} {of}".encode()).hexdigest()
    metadata = {"model_id": "m", "as_of": json.dumps([as_of]), "fingerprint": fingerprint, "target": "null"}
    made = job._Job(
        folder=folder,
        log=log(),
        digests=job._digests(log()),
        model_id="m",
        rows=MadeRows(table),
        parts=Parts.read(folder, fingerprint, of),
        metadata=metadata,
        done=job._is_done(folder, fingerprint),
    )
    job._run(made, progress=False)


def state_of(folder: Path) -> tuple[Any, Any]:
    """(cutoff of the scores, cutoff that the proof claims); None where there is no file. A half file raises."""
    path, proof = folder / "scores.parquet", folder / "_SUCCESS.json"
    scores = pq.read_table(path, page_checksum_verification=True) if path.exists() else None
    claimed = json.loads(proof.read_text()) if proof.exists() else None
    if claimed is not None:
        assert scores is not None
        assert claimed["files"] == {name: digest(folder / name) for name in claimed["files"]}
        assert claimed["rows"] == scores.num_rows
    found = None if scores is None else scores["as_of"][0].as_py().date().isoformat()
    return found, None if claimed is None else claimed["as_of"][0][:10]


def content(folder: Path) -> dict[str, str]:
    """The digest of every file by its place in the folder; the empty lock apart."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != ".lock")
    return {str(file.relative_to(folder)): digest(file) for file in sorted(files)}


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()

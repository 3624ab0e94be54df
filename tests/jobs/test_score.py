"""The scores on disk: complete and proven, or as they were before."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

import crmml as cm
from crmml.data.files import lock
from crmml.jobs import part_rows
from crmml.jobs.part_files import proof_of
from crmml.spec import from_data
from tests.bundle.bundles import KINDS, LATER, bundle, log, saved
from tests.data.test_files import names
from tests.jobs.made_scores import state_of

FIRST = "2024-08-01"


# What is written ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_holds_the_scores(kind: str, tmp_path: Path) -> None:
    path = cm.score(bundle(kind), log(), [FIRST, LATER], tmp_path / "scores")
    expected = bundle(kind).score(log(), [FIRST, LATER])
    assert path == tmp_path / "scores" / "scores.parquet"
    assert_frame_equal(pd.read_parquet(path), expected)
    assert names(path.parent) == [".lock", "_SUCCESS.json", "scores.parquet"]
    proof = json.loads((path.parent / "_SUCCESS.json").read_text())
    metadata = pq.read_schema(path).metadata
    assert proof == {
        "model_id": bundle(kind).model_id,
        "as_of": ["2024-08-01T00:00:00+00:00", "2024-09-01T00:00:00+00:00"],
        "fingerprint": metadata[b"crmml.fingerprint"].decode(),
        "target": json.loads(metadata[b"crmml.target"]),
        "rows": len(expected),
        "customers": expected["customer_id"].nunique(),
        "distinct": len(expected),
        "expected": sum(
            len(expected[expected["as_of"] == at]["customer_id"].unique()) for at in expected["as_of"].unique()
        ),
        "files": {"scores.parquet": hashlib.sha256(path.read_bytes()).hexdigest()},
        "digest": json.loads(proof_of(proof))["digest"],
    }
    assert metadata[b"crmml.model_id"].decode() == bundle(kind).model_id
    assert json.loads(metadata[b"crmml.as_of"]) == proof["as_of"]
    assert from_data({"target": proof["target"]}, "metadata")["target"] == bundle(kind).target


@pytest.mark.parametrize("ids", [[1, 2, 3], ["a", "b", "c"], ["😀", "o'hara\"; --", "DROP TABLE x"], [2**62, -5, 0]])
def test_ids_keep_their_type(ids: list[Any], tmp_path: Path) -> None:
    events = pd.DataFrame({"customer_id": ids, "timestamp": pd.Timestamp("2024-05-01"), "amount": 1.0})
    events["event_type"] = "purchase"
    roles = {str(name): str(name) for name in events}
    small = cm.InteractionLog(events, **roles, timezone="UTC")
    table = pq.read_table(cm.score(bundle("churn"), small, "2024-05-02", tmp_path))
    assert table["customer_id"].to_pylist() == sorted(ids)
    assert str(table["customer_id"].type).startswith("int64" if isinstance(ids[0], int) else ("string", "large_string"))


def test_one_flipped_bit_is_found_by_who_reads_with_checksums(tmp_path: Path) -> None:
    path = cm.score(bundle("churn"), log(), LATER, tmp_path)
    column = pq.ParquetFile(path).metadata.row_group(0).column(2)  # p_churn
    start = column.dictionary_page_offset or column.data_page_offset
    raw = bytearray(path.read_bytes())
    raw[start + column.total_compressed_size - 10] ^= 4  # inside the column's last page, not its header
    path.write_bytes(raw)
    with pytest.raises(OSError, match="CRC checksum verification failed"):
        pq.read_table(path, page_checksum_verification=True)


def test_a_folder_and_the_bundle_itself_give_the_same(tmp_path: Path) -> None:
    first = cm.score(bundle("value"), log(), LATER, tmp_path / "a")
    second = cm.score(str(saved("value", tmp_path)), log(), LATER, str(tmp_path / "b"))
    assert first.read_bytes() == second.read_bytes()
    again = cm.score(bundle("value"), log(), FIRST, tmp_path / "a")
    assert set(pd.read_parquet(again)["as_of"]) == {pd.Timestamp(FIRST, tz="UTC")}
    assert cm.score(bundle("value"), log(), LATER, tmp_path / "a").read_bytes() == second.read_bytes()


def test_the_fingerprint_is_that_of_the_inputs(tmp_path: Path) -> None:
    def fingerprint(kind: str, as_of: str, a_log: cm.InteractionLog) -> str:
        path = cm.score(bundle(kind), a_log, as_of, tmp_path)
        return str(json.loads((path.parent / "_SUCCESS.json").read_text())["fingerprint"])

    runs = [
        ("churn", LATER, log()),
        ("value", LATER, log()),
        ("churn", FIRST, log()),
        ("churn", LATER, cm.simulate_log(200, seed=2).log),
    ]
    found = [fingerprint(*run) for run in runs]
    assert len(set(found)) == len(runs)
    assert fingerprint(*runs[0]) == found[0]


# Refused before the work starts ---------------------------------------------------------------------------


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        pytest.fail("the work must not start")

    monkeypatch.setattr("crmml.jobs.score._rows", refuse)


@pytest.mark.usefixtures("no_work")
def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(cm.ConfigError) as caught:
        cm.score(bundle("churn"), log(), LATER, tmp_path / "file" / "scores")
    assert str(caught.value) == (
        f"{tmp_path}/file/scores: cannot write there (Not a directory). "
        "Give a folder that you may write to, like ./scores."
    )


@pytest.mark.usefixtures("no_work")
def test_another_job_is_writing_there(tmp_path: Path) -> None:
    with lock(tmp_path / ".lock"), pytest.raises(cm.DataError) as caught:
        cm.score(bundle("churn"), log(), LATER, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: another process is writing there. Wait until it has ended, or give another folder."
    )


@pytest.mark.usefixtures("no_work")
def test_a_log_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        cm.score(bundle("churn"), "events.parquet", LATER, tmp_path / "scores")
    assert str(caught.value) == ("score: log is 'events.parquet'. Use InteractionLog(source, customer_id=..., ...).")
    assert not (tmp_path / "scores").exists()


# The proof is worth something -----------------------------------------------------------------------------


def twice(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.tail(1)], ignore_index=True)


def test_a_customer_twice_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cm.score(bundle("churn"), log(), FIRST, tmp_path)
    real = part_rows.score_rows
    monkeypatch.setattr(part_rows, "score_rows", lambda *args, **kwargs: twice(real(*args, **kwargs)))
    with pytest.raises(cm.DataError) as caught:
        cm.score(bundle("churn"), log(), LATER, tmp_path)
    rows = len(bundle("churn").score(log(), LATER))
    part = next((tmp_path / ".parts").glob("*.parquet"), None)
    assert part is None
    fingerprint = cm.plan_score(bundle("churn"), log(), LATER, tmp_path).fingerprint
    assert str(caught.value) == (
        f"{tmp_path}/.parts/part-00000-{fingerprint[:8]}.parquet: of {rows + 1} rows expected, {rows + 1} were written "
        f"and {rows} are distinct; nothing was replaced. Check that ids in the log are unique, and the disk."
    )
    assert state_of(tmp_path) == (FIRST, FIRST)


def test_a_customer_who_is_forgotten_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cm.score(bundle("churn"), log(), FIRST, tmp_path)
    real = part_rows.score_rows
    monkeypatch.setattr(part_rows, "score_rows", lambda *args, **kwargs: real(*args, **kwargs).iloc[1:])
    with pytest.raises(cm.DataError) as caught:
        cm.score(bundle("churn"), log(), LATER, tmp_path, parts=2)
    rows = len(bundle("churn").score(log(), LATER))
    assert str(caught.value) == (
        f"{tmp_path}/scores.parquet: {rows} customers were to be scored by the log, and {rows - 2} were; nothing was "
        "replaced. Run it again on a log that does not change meanwhile."
    )
    assert state_of(tmp_path) == (FIRST, FIRST)


def lost_rows(table: pa.Table, *args: Any, **kwargs: Any) -> None:
    WRITE(table.slice(1), *args, **kwargs)


def flipped(table: pa.Table, file: Any, **kwargs: Any) -> None:
    buffer = pa.BufferOutputStream()
    WRITE(table, buffer, **kwargs)
    raw = bytearray(buffer.getvalue().to_pybytes())
    raw[len(raw) // 4] ^= 1
    file.write(raw)


WRITE: Callable[..., None] = pq.write_table


@pytest.mark.parametrize("broken", [lost_rows, flipped])
def test_a_disk_that_lies_is_found(
    broken: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cm.score(bundle("churn"), log(), FIRST, tmp_path)
    monkeypatch.setattr(pq, "write_table", broken)
    with pytest.raises(cm.DataError, match=r"cannot be read back|nothing was replaced"):
        cm.score(bundle("churn"), log(), LATER, tmp_path)
    assert state_of(tmp_path) == (FIRST, FIRST)


def test_scores_of_lists_are_distinct_by_rank(tmp_path: Path) -> None:
    cm.score(bundle("popularity"), log(), LATER, tmp_path, k=3)
    proof = json.loads((tmp_path / "_SUCCESS.json").read_text())
    assert proof["rows"] == proof["distinct"] == 3 * proof["customers"]
    assert np.unique(pd.read_parquet(tmp_path / "scores.parquet")["rank"]).tolist() == [1, 2, 3]

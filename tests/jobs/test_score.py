"""The scores on disk: complete and proven, or as they were before."""

import hashlib
import json
import os
import subprocess
import sys
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
from crmml.jobs import score as job
from crmml.spec import from_data
from tests.bundle.bundles import KINDS, LATER, bundle, log, saved
from tests.data.test_files import fail_at, names

ROOT = Path(__file__).resolve().parents[2]
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
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
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

    monkeypatch.setattr(cm.Bundle, "score", refuse)


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


# Whole or not at all --------------------------------------------------------------------------------------


def state_of(folder: Path) -> tuple[Any, Any]:
    """(cutoff of the scores, cutoff that the proof claims); None where there is no file. A half file raises."""
    path, proof = folder / "scores.parquet", folder / "_SUCCESS.json"
    scores = pq.read_table(path, page_checksum_verification=True) if path.exists() else None
    claimed = json.loads(proof.read_text()) if proof.exists() else None
    if claimed is not None:
        assert scores is not None
        assert claimed["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert claimed["rows"] == scores.num_rows
    found = None if scores is None else scores["as_of"][0].as_py().date().isoformat()
    return found, None if claimed is None else claimed["as_of"][0][:10]


# With a proof or without one, but never with the proof of other scores.
ALLOWED: dict[bool, set[tuple[str | None, str | None]]] = {
    True: {(FIRST, FIRST), (FIRST, None), (LATER, None), (LATER, LATER)}
}
ALLOWED[False] = {(None, None), (LATER, None), (LATER, LATER)}


@pytest.mark.parametrize("code", [5, 28, 13])  # EIO, ENOSPC, EACCES
@pytest.mark.parametrize("existing", [True, False])
def test_a_fault_at_any_step(tmp_path: Path, existing: bool, code: int) -> None:
    table = {when: bundle("churn").score(log(), when) for when in (FIRST, LATER)}
    seen = set()
    for n in range(100):
        folder = tmp_path / str(n)
        folder.mkdir()
        if existing:
            publish(table[FIRST], folder, FIRST)
        with pytest.MonkeyPatch.context() as patch:
            taken = fail_at(patch, n, OSError(code, "injected"))
            try:
                publish(table[LATER], folder, LATER)
            except cm.CrmmlError as error:
                assert os.strerror(code) in str(error)  # noqa: PT017  (the last run succeeds)
        seen.add(state_of(folder))
        assert not [name for name in names(folder) if name.startswith(".")]
        if len(taken) <= n:
            assert state_of(folder) == (LATER, LATER)
            assert seen <= ALLOWED[existing]
            assert len(seen) > 1
            return
    pytest.fail("the steps never end")


def publish(table: pd.DataFrame, folder: Path, as_of: str) -> None:
    metadata = {"model_id": "m", "as_of": json.dumps([as_of]), "fingerprint": "f", "target": "null"}
    job._publish(table, folder, metadata)


KILLED = """
import json, os, signal, sys
from pathlib import Path
import pandas as pd
from tests.data.test_files import STEPS
from tests.jobs.test_score import FIRST, LATER, publish, state_of
from tests.bundle.bundles import bundle, log

root, existing = Path(sys.argv[1]), sys.argv[2] == "True"
table = {when: bundle("churn").score(log(), when) for when in (FIRST, LATER)}
STEPS = [*STEPS, (Path, "unlink"), (Path, "open")]

def dying(real, counter, n):
    def step(*args, **kwargs):
        counter.append(1)
        if len(counter) == n + 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return step

seen = []
for n in range(100):
    folder = root / str(n)
    folder.mkdir()
    if existing:
        publish(table[FIRST], folder, FIRST)
    child = os.fork()
    if not child:
        counter = []
        for home, name in STEPS:
            setattr(home, name, dying(getattr(home, name), counter, n))
        publish(table[LATER], folder, LATER)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seen.append([status, *state_of(folder)])
    if status == 0:
        break
print(json.dumps(seen))
"""


@pytest.mark.slow
@pytest.mark.parametrize("existing", [True, False])
def test_a_kill_at_any_step(tmp_path: Path, existing: bool) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(existing)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=300)
    *killed, last = [tuple(state) for state in json.loads(run.stdout)]
    assert last == (0, LATER, LATER)
    assert {status for status, *_ in killed} == {-9}
    assert len(killed) > 10
    assert {(scores, proof) for _, scores, proof in killed} <= ALLOWED[existing]


def test_what_a_killed_job_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".scores.parquet.0123456789abcdef.tmp").write_text("half")
    cm.score(bundle("churn"), log(), LATER, tmp_path)
    assert names(tmp_path) == [".lock", "_SUCCESS.json", "scores.parquet"]


# The proof is worth something -----------------------------------------------------------------------------


def twice(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table.tail(1)], ignore_index=True)


def test_a_customer_twice_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cm.score(bundle("churn"), log(), FIRST, tmp_path)
    real = cm.Bundle.score
    monkeypatch.setattr(cm.Bundle, "score", lambda *args, **kwargs: twice(real(*args, **kwargs)))
    with pytest.raises(cm.DataError) as caught:
        cm.score(bundle("churn"), log(), LATER, tmp_path)
    rows = len(real(bundle("churn"), log(), LATER))
    assert str(caught.value) == (
        f"{tmp_path}/scores.parquet: of {rows + 1} rows expected, {rows + 1} were written and {rows} are distinct; "
        "nothing was replaced. Check that ids in the log are unique, and the disk."
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

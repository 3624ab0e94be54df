"""Preparing is whole: stopped at any moment it goes on; a second writer and another log are refused."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import crmml as cm
from crmml.data import prepared as module
from crmml.data.files import lock
from crmml.errors import ConfigError, DataError, SchemaError
from tests.data.small_logs import ROLES, START, WHOLE, interrupted, multiset, names, rows


@pytest.fixture
def log() -> cm.InteractionLog:
    return cm.InteractionLog(rows(), **ROLES)


# Stopped --------------------------------------------------------------------------------------------------

# Kills itself at the n-th time that it waits for the disk or renames, or is killed after a while.
WORKER = """
import os, signal, sys, time
from pathlib import Path
import crmml as cm
from crmml.data import files, prepared

def dying(real):
    def step(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    return step

source, folder = sys.argv[1:3]
for moment in sys.argv[3:]:
    child = os.fork()  # nothing has been started yet that does not survive it
    if child == 0:
        left = int(moment) if moment.isdigit() else -1
        files._sync, Path.replace, Path.rename = dying(files._sync), dying(Path.replace), dying(Path.rename)
        prepared.divide, prepared.check_sum = dying(prepared.divide), dying(prepared.check_sum)
        log = cm.InteractionLog(source, customer_id="user", timestamp="ts", event_type="kind", timezone="UTC")
        log.prepare(f"{folder}/{moment}", buckets=4, progress=False)
        os._exit(0)
    if not moment.isdigit():
        time.sleep(float(moment))
        os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def killed(source: Path, folder: Path, moments: list[str]) -> list[int]:
    """Prepare once for every moment, in a process of its own that is killed then; the exit codes."""
    command = [sys.executable, "-c", WORKER, str(source), str(folder), *moments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(line) for line in done.stdout.split()]


def unfinished(folder: Path) -> str:
    """What is said of a folder that is not finished; "" where it is."""
    try:
        cm.open_prepared(folder)
    except (ConfigError, DataError) as error:
        return str(error).removeprefix(f"{folder}: ")
    return ""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")
def test_killed_at_any_moment_it_goes_on(tmp_path: Path) -> None:
    pq.write_table(rows(), tmp_path / "events.parquet")
    steps, times = [str(n) for n in range(2, 40, 3)], ["0.05", "0.1", "0.2"]
    codes = killed(tmp_path / "events.parquet", tmp_path, [*steps, *times])
    assert set(codes[: len(steps)]) == {-signal.SIGKILL}
    log = cm.InteractionLog(tmp_path / "events.parquet", **ROLES)
    said = set()
    for moment in [*steps, *times]:
        said.add(unfinished(tmp_path / moment)[:23])
        prepared = log.prepare(tmp_path / moment, buckets=4)
        assert multiset(prepared) == multiset(log)
        assert names(tmp_path / moment) == WHOLE
    written = {f"is not finished, {n} of 4" for n in range(5)}
    assert said - {""} <= {"is no prepared log, it h", *(text[:23] for text in written)} | {"is no prepared log, it "}
    assert len(said) >= 5  # nearly every state was seen


@pytest.mark.parametrize("n", range(1, 37, 4))
def test_a_full_disk_is_named_and_the_folder_can_be_finished(
    tmp_path: Path, log: cm.InteractionLog, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    """The n-th time that the system is asked to confirm or rename a file, the disk is full."""
    asked = []

    def full(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any) -> Any:
            asked.append(real)
            if len(asked) == n:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*args)

        return step

    for home, name in ((os, "fsync"), (Path, "replace"), (Path, "rename")):
        monkeypatch.setattr(home, name, full(getattr(home, name)))
    with pytest.raises(DataError) as caught:
        log.prepare(tmp_path / "prepared", buckets=4)
    file, reason = str(caught.value).removeprefix(f"{tmp_path}/prepared/").split(": writing failed ")
    assert file in (*WHOLE[1:], "pieces")
    assert reason == (
        "(No space left on device). No half-written file is left. Free space or repair the disk, and run it again."
    )
    assert multiset(log.prepare(tmp_path / "prepared", buckets=4)) == multiset(log)
    assert names(tmp_path / "prepared") == WHOLE


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit on Windows")
@pytest.mark.parametrize(("events", "most", "file"), [(60_000, 2**17, "pieces"), (3_000, 2**14, "bucket-0000.parquet")])
def test_a_write_that_fails_half_way(tmp_path: Path, events: int, most: int, file: str) -> None:
    """The system refuses files above a size, as a full disk would: in the pieces, and in a bucket."""
    import resource

    source = rows(events).append_column("note", pa.array([f"{n * 7919:032x}" for n in range(events)]))
    log = cm.InteractionLog(source, **ROLES)
    log.facts  # noqa: B018 (read while the engine may still write what it likes)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if file.startswith("bucket"):  # the piece of a bucket is larger than the bucket, so it is written without limit
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "write_sorted", interrupted)
            with pytest.raises(KeyboardInterrupt):
                log.prepare(tmp_path / "prepared")
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        with pytest.raises(DataError) as caught:
            log.prepare(tmp_path / "prepared")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value) == (
        f"{tmp_path}/prepared/{file}: writing failed (File too large). No half-written file is left. "
        "Free space or repair the disk, and run it again."
    )
    assert multiset(log.prepare(tmp_path / "prepared")) == multiset(log)


def test_what_is_finished_is_not_written_again(
    tmp_path: Path, log: cm.InteractionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = module.write_sorted, []

    def interrupted_third(piece: Path, *args: Any) -> int:
        calls.append(piece.name)
        return real(piece, *args) if len(calls) != 3 else interrupted()

    monkeypatch.setattr(module, "write_sorted", interrupted_third)
    with pytest.raises(KeyboardInterrupt):
        log.prepare(tmp_path, buckets=4)
    assert calls == ["piece-0000.arrows", "piece-0001.arrows", "piece-0002.arrows"]
    monkeypatch.setattr(module, "divide", None)  # not called again
    log.prepare(tmp_path)
    assert calls[3:] == ["piece-0002.arrows", "piece-0003.arrows"]
    before = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    log.prepare(tmp_path)
    assert calls[5:] == []
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before


def test_a_finished_log_is_opened_without_reading_the_source(tmp_path: Path, log: cm.InteractionLog) -> None:
    log.prepare(tmp_path)
    same = cm.InteractionLog(rows(), **ROLES)
    same.prepare(tmp_path)
    assert "facts" not in vars(same)


# Locked ---------------------------------------------------------------------------------------------------


def test_a_second_writer_is_refused(tmp_path: Path, log: cm.InteractionLog) -> None:
    with lock(tmp_path / ".lock"), pytest.raises(DataError) as caught:
        log.prepare(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: another process is writing there. Wait until it has ended, or give another folder."
    )


# Of another log -------------------------------------------------------------------------------------------

AGAIN = "Give another folder, or remove this one."
OTHERS: dict[str, tuple[Callable[[], cm.InteractionLog], str]] = {
    "rows": (lambda: cm.InteractionLog(rows(seed=2), **ROLES), "source. "),
    "roles": (
        lambda: cm.InteractionLog(rows(), **{**ROLES, "event_type": None}),
        "roles (Roles(customer_id='user', timestamp='ts', event_type='kind', timezone='UTC') there, "
        "Roles(customer_id='user', timestamp='ts', timezone='UTC') here). ",
    ),
    "zone": (
        lambda: cm.InteractionLog(rows(), **{**ROLES, "timezone": "Asia/Tokyo"}),
        "roles (Roles(customer_id='user', timestamp='ts', event_type='kind', timezone='UTC') there, "
        "Roles(customer_id='user', timestamp='ts', event_type='kind', timezone='Asia/Tokyo') here). ",
    ),
    "cleaning": (
        lambda: cm.InteractionLog(rows(), **ROLES).clean(cm.DropDuplicates()),
        "cleaning ([] there, [DropDuplicates()] here). ",
    ),
    "observed_until": (
        lambda: cm.InteractionLog(rows(), **ROLES, observed_until="2024-02-01"),
        "observed_until (None there, '2024-02-01T00:00:00+00:00' here). ",
    ),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_log_is_refused(tmp_path: Path, log: cm.InteractionLog, what: str) -> None:
    make, said = OTHERS[what]
    log.prepare(tmp_path)
    with pytest.raises(ConfigError) as caught:
        make().prepare(tmp_path)
    assert str(caught.value) == f"{tmp_path}: there is a prepared log with another {said}{AGAIN}"


def test_another_number_of_buckets_is_refused(tmp_path: Path, log: cm.InteractionLog) -> None:
    log.prepare(tmp_path, buckets=4)
    with pytest.raises(ConfigError) as caught:
        log.prepare(tmp_path, buckets=8)
    assert str(caught.value) == (
        f"{tmp_path}: there is a prepared log with buckets=4, not 8. "
        "Leave buckets out, give another folder, or remove this one."
    )


@pytest.mark.parametrize("buckets", [0, -1, 513, 2.0, True, "4"])
def test_a_number_of_buckets_that_cannot_be(tmp_path: Path, log: cm.InteractionLog, buckets: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        log.prepare(tmp_path / "prepared", buckets=buckets)
    assert str(caught.value) == (
        f"InteractionLog.prepare: buckets must be a number from 1 to 512, not {buckets!r}. "
        "Leave it out for buckets of about three million events."
    )
    assert not (tmp_path / "prepared").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, log: cm.InteractionLog) -> None:
    (tmp_path / "holiday.txt").write_text("beach")
    with pytest.raises(ConfigError) as caught:
        log.prepare(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: there is something else than a prepared log ('holiday.txt'). Give a new or an empty folder."
    )
    assert (tmp_path / "holiday.txt").read_text() == "beach"


@pytest.mark.parametrize("files", [1, 3])
def test_the_same_files_elsewhere_are_the_same_log(tmp_path: Path, files: int) -> None:
    table = rows()
    for folder, prefix in (("here", "a"), ("there", "z")):
        (tmp_path / folder).mkdir()
        for number in range(files):
            pq.write_table(table.slice(number * 100, 100), tmp_path / folder / f"{prefix}{9 - number}.parquet")
    for folder in ("here", "there"):
        cm.InteractionLog(tmp_path / folder, **ROLES).prepare(tmp_path / "prepared")
    (tmp_path / "there" / "z9.parquet").unlink()
    pq.write_table(table.slice(1, 100), tmp_path / "there" / "z9.parquet")
    with pytest.raises(ConfigError) as caught:
        cm.InteractionLog(tmp_path / "there", **ROLES).prepare(tmp_path / "prepared")
    assert str(caught.value) == f"{tmp_path}/prepared: there is a prepared log with another source. {AGAIN}"


def test_the_last_letter_of_a_csv_file_makes_it_another(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text("user,ts,kind\n1,2024-01-01,view\n2,2024-01-02,viev\n")
    cm.InteractionLog(file, **ROLES).prepare(tmp_path / "prepared")
    file.write_text("user,ts,kind\n1,2024-01-01,view\n2,2024-01-02,view\n")
    with pytest.raises(ConfigError) as caught:
        cm.InteractionLog(file, **ROLES).prepare(tmp_path / "prepared")
    assert str(caught.value) == f"{tmp_path}/prepared: there is a prepared log with another source. {AGAIN}"


def test_how_a_frame_was_put_together_makes_no_difference(tmp_path: Path) -> None:
    table = rows().append_column("note", pa.array([None, "a"] * 200))
    cm.InteractionLog(table, **ROLES).prepare(tmp_path)
    parts = pa.concat_tables([table.slice(0, 7), table.slice(7, 150), table.slice(157)])
    cm.InteractionLog(parts, **ROLES).prepare(tmp_path)


# A log that cannot be prepared ----------------------------------------------------------------------------


def test_an_unusable_log_gives_the_usual_errors(tmp_path: Path, log: cm.InteractionLog) -> None:
    with pytest.raises(DataError) as caught:
        log.clean(cm.Keep("event_type", values=["nothing"])).prepare(tmp_path / "empty")
    assert str(caught.value) == (
        "InteractionLog: the log is empty after cleaning (log.cleaning_report() shows the steps). "
        "Give a log with at least one event."
    )
    nobody = pa.table({"user": [1, None], "ts": [START] * 2, "kind": ["view"] * 2})
    with pytest.raises(DataError) as caught:
        cm.InteractionLog(nobody, **ROLES).prepare(tmp_path / "nobody")
    assert str(caught.value) == (
        "InteractionLog: 1 of 2 events have no customer_id (column 'user'). "
        "Drop them: log.clean(DropMissing('customer_id'))."
    )


def test_a_source_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    pq.write_table(rows(400), tmp_path / "events.parquet")
    log = cm.InteractionLog(tmp_path / "events.parquet", **ROLES)
    log.facts  # noqa: B018 (what is known of the log is now of the old file)
    pq.write_table(rows(500), tmp_path / "events.parquet")
    with pytest.raises(DataError) as caught:
        log.prepare(tmp_path / "prepared")
    assert str(caught.value) == (
        f"{tmp_path}/prepared: 500 events were read, but the log had 400 before: it changed meanwhile. "
        "Remove the folder, and prepare the log again when nothing writes to it."
    )


def test_a_type_that_parquet_cannot_keep_is_named(tmp_path: Path) -> None:
    import duckdb

    frame = duckdb.sql("SELECT 1 AS user, TIMESTAMP '2024-01-01' AS ts, 'view' AS kind, INTERVAL 1 DAY AS took")
    with pytest.raises(SchemaError) as caught:
        cm.InteractionLog(frame, **ROLES).prepare(tmp_path)
    assert str(caught.value) == (
        "InteractionLog.prepare: 'took' is of the type INTERVAL, which Parquet cannot keep. "
        "Make it a number or a text, or leave the column out of the log."
    )

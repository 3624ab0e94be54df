"""`build_features(out=...)`: killed at any moment and called again, the same table; nothing of others is touched."""

import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import crmml as cm
from crmml.data.engine import Engine
from crmml.data.files import lock
from crmml.features import execute, outputs
from tests.features.oracle_rows import DAY
from tests.features.same_bits import differing
from tests.features.strategies import EPOCH, ROLES, anchored, arrow_table, random_rows, stamp

MOMENTS = [stamp(EPOCH + n * DAY) for n in range(3)]
FEATURES = cm.FeatureSet([cm.Recency(), cm.Count(event_type="purchase"), cm.NUnique("item_id"), cm.Latest("plan")])
EVENTS = arrow_table(anchored(random_rows(Random(6), [EPOCH], customers=40, events=6)))
SHARES = 4
PARTS = [f"{day}/part-{n:05}.parquet" for day in ("2024-03-10", "2024-03-11", "2024-03-12") for n in range(SHARES)]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> cm.InteractionLog:
    """A log that is so large, for the memory that there is, that its customers are divided into four."""
    monkeypatch.setattr(execute, "BYTES_PER_VALUE", 1)
    log = cm.InteractionLog(EVENTS, **ROLES)
    columns = 6  # the customer, two times, the code of the type, the item, the plan
    monkeypatch.setattr(Engine, "memory_limit", -int(-log.facts.rows * columns // (SHARES * execute.SHARE_OF_MEMORY)))
    return log


@pytest.fixture(scope="module")
def whole() -> pa.Table:
    log = cm.InteractionLog(EVENTS, **ROLES)
    return cm.build_features(log, FEATURES, MOMENTS, to="arrow")


def build(log: cm.InteractionLog, out: Path, features: Any = FEATURES, as_of: Any = MOMENTS, **settings: Any) -> Path:
    folder: Path = cm.build_features(log, features, as_of, out=out, **settings)
    return folder


def parts(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*.parquet"))


def assert_whole(folder: Path, whole: pa.Table) -> None:
    table = pq.read_table(folder).replace_schema_metadata()
    assert differing(table.sort_by([("customer_id", "ascending"), ("as_of", "ascending")]), whole) == []
    assert not list(folder.rglob("*.tmp"))


def stop_after(monkeypatch: pytest.MonkeyPatch, files: int) -> None:
    """Somebody presses Ctrl-C while the file after `files` others is being written."""
    original, written = pq.write_table, 0

    def write_table(*arguments: Any, **settings: Any) -> None:
        nonlocal written
        original(*arguments, **settings)
        written += 1
        if written > files:
            raise KeyboardInterrupt

    monkeypatch.setattr(outputs.pq, "write_table", write_table)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are written from now on."""
    original, written = pq.write_table, []

    def write_table(table: pa.Table, where: Path, **settings: Any) -> None:
        written.append(where.name[1:].rpartition(".parquet")[0])
        original(table, where, **settings)

    monkeypatch.setattr(outputs.pq, "write_table", write_table)
    return written


# Going on -------------------------------------------------------------------------------------------------------


def test_a_folder_per_cutoff_and_a_file_per_share(log: cm.InteractionLog, tmp_path: Path, whole: pa.Table) -> None:
    folder = build(log, tmp_path / "new" / "features")
    assert parts(folder) == PARTS
    assert_whole(folder, whole)


@pytest.mark.parametrize("files", [0, 1, 5, 11])
def test_stopped_and_called_again(
    log: cm.InteractionLog, tmp_path: Path, whole: pa.Table, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    with monkeypatch.context() as during:
        stop_after(during, files)
        with pytest.raises(KeyboardInterrupt):
            build(log, tmp_path)
    assert len(parts(tmp_path)) == files  # what was being written is not there
    written = counted(monkeypatch)
    assert_whole(build(log, tmp_path), whole)
    assert len(written) == len(PARTS) - files
    written.clear()
    assert_whole(build(log, tmp_path), whole)
    assert written == []  # all is there


def test_it_may_go_on_with_more_memory(
    log: cm.InteractionLog, tmp_path: Path, whole: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which alone would divide the customers anew."""
    with monkeypatch.context() as during:
        stop_after(during, 5)
        with pytest.raises(KeyboardInterrupt):
            build(log, tmp_path)
    monkeypatch.setattr(Engine, "memory_limit", 10**9)
    assert_whole(build(log, tmp_path), whole)
    assert parts(tmp_path) == PARTS


@pytest.mark.parametrize("damage", ["removed", "cut off", "empty", "another"])
def test_a_file_that_is_damaged_is_written_again(
    log: cm.InteractionLog, tmp_path: Path, whole: pa.Table, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    build(log, tmp_path)
    file = tmp_path / PARTS[6]
    if damage == "removed":
        file.unlink()
    elif damage == "another":
        pq.write_table(pq.read_table(file).slice(1), file)
    else:
        file.write_bytes(file.read_bytes()[:-20] if damage == "cut off" else b"")
    written = counted(monkeypatch)
    assert_whole(build(log, tmp_path), whole)
    assert written == ["part-00002"]


def test_what_killed_processes_left_is_removed(log: cm.InteractionLog, tmp_path: Path, whole: pa.Table) -> None:
    build(log, tmp_path)
    (tmp_path / PARTS[0]).unlink()
    for left in ("._features.json.{}.tmp", ".writable.{}.tmp", "2024-03-10/.part-00000.parquet.{}.tmp"):
        (tmp_path / left.format("0123456789abcdef")).write_bytes(b"half")
    mine = tmp_path / ".mine.tmp"
    mine.write_bytes(b"somebody else's")
    build(log, tmp_path)
    assert [file.name for file in tmp_path.rglob("*.tmp")] == [mine.name]
    mine.unlink()
    assert_whole(tmp_path, whole)


PROGRAM = """
import sys
import pyarrow.parquet as pq
import crmml as cm
from crmml.features import execute

execute.BYTES_PER_VALUE = 10**9  # in three shares, for the memory below
source, out = sys.argv[1:]
log = cm.InteractionLog(source, **{roles}, threads=1, memory_limit="1000GB")
features = [cm.Recency(), cm.Count(event_type="purchase"), cm.NUnique("item_id"), cm.Latest("plan")]
print("ready", flush=True)
cm.build_features(log, features, {moments}, out=out)
print("done", flush=True)
"""


def test_killed_at_random_moments(tmp_path: Path, whole: pa.Table) -> None:
    """kill -9, each time a little later, until a process gets to the end."""
    source, out = tmp_path / "events.parquet", tmp_path / "features"
    pq.write_table(EVENTS, source)
    program = PROGRAM.replace("{roles}", repr(ROLES)).replace("{moments}", repr([str(moment) for moment in MOMENTS]))
    delays, before = random.Random(7), 0
    for wanted in (0, 2, 5, None):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(source), str(out)], stdout=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            if wanted is not None:
                while len(parts(out)) < wanted and process.poll() is None:
                    time.sleep(0.001)
                time.sleep(delays.uniform(0, 0.02))
                process.kill()
            said = process.stdout.read()
        assert (said, process.returncode) == (("done\n", 0) if wanted is None else ("", -signal.SIGKILL))
        assert len(parts(out)) >= before  # nothing that was there is gone
        before = len(parts(out))
    assert before == 9  # three shares of three cutoffs
    assert_whole(out, whole)


# What is refused ------------------------------------------------------------------------------------------------

LATE = {role: column for role, column in ROLES.items() if role != "recorded_at"}
OTHERS: dict[str, Any] = {
    "features": lambda log, out: build(log, out, [cm.Recency()]),
    "cutoffs": lambda log, out: build(log, out, as_of=MOMENTS[:2]),
    "one cutoff a microsecond later": lambda log, out: build(
        log, out, as_of=[*MOMENTS[:2], stamp(EPOCH + 2 * DAY + 1)]
    ),
    "a population": lambda log, out: build(log, out, population=cm.Population(event_type="purchase")),
    "32 bits": lambda log, out: build(log, out, float32=True),
    "a dictionary": lambda log, out: build(log, out, categories={"latest_plan": ["gold"]}),
    "a cleaned log": lambda log, out: build(log.clean(cm.Drop("channel", values=["web"])), out),
    "other events": lambda log, out: build(cm.InteractionLog(EVENTS.slice(1), **ROLES), out),
    "another role": lambda log, out: build(cm.InteractionLog(EVENTS, **LATE), out),
}


@pytest.mark.parametrize(("other", "files"), [*((other, 1) for other in OTHERS), ("features", None)])
def test_the_folder_of_another_build_is_refused(
    log: cm.InteractionLog, tmp_path: Path, other: str, files: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was stopped after a file, and a whole one."""
    with monkeypatch.context() as during, suppress(KeyboardInterrupt):
        stop_after(during, files or 1000)
        build(log, tmp_path)
    assert len(parts(tmp_path)) == (files or len(PARTS))
    before = {name: (tmp_path / name).read_bytes() for name in (*parts(tmp_path), "_features.json")}
    with pytest.raises(cm.ConfigError) as caught:
        OTHERS[other](log, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: holds the features of another build (other features, log, cutoffs or form). "
        "Give another folder, or remove this one."
    )
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


@pytest.mark.parametrize(
    ("name", "built"), [("mine.parquet", False), ("2024-03-10/part-00099.parquet", True), ("a/b/c.parquet", False)]
)
def test_parquet_files_of_others_are_refused(log: cm.InteractionLog, tmp_path: Path, name: str, built: bool) -> None:
    if built:
        build(log, tmp_path)
    foreign = tmp_path / name
    foreign.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"x": [1]}), foreign)
    with pytest.raises(cm.ConfigError) as caught:
        build(log, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: holds Parquet files that no build of features wrote, such as {name}. "
        "Give another folder, or remove them."
    )
    assert pq.read_table(foreign).to_pydict() == {"x": [1]}


DAMAGED = {
    "no JSON": (b"{", "JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    "nothing": (b"", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
    "no object": (b"[]", "TypeError: list indices must be integers or slices, not str"),
    "a key is missing": (b"{}", "KeyError: 'build'"),
    "another type": (b'{"build": "a", "shares": "4", "complete": true, "rows": {}}', "TypeError: shares is '4'"),
    "no text": (
        b"\xff\xff\xff",
        "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_manifest_is_refused(log: cm.InteractionLog, tmp_path: Path, case: str) -> None:
    content, reason = DAMAGED[case]
    file = tmp_path / "_features.json"
    file.write_bytes(content)
    with pytest.raises(cm.DataError) as caught:
        build(log, tmp_path)
    assert str(caught.value) == f"{file}: cannot be read ({reason}). Remove the folder and build it again."


def test_two_builds_at_once_are_refused(log: cm.InteractionLog, tmp_path: Path, whole: pa.Table) -> None:
    with lock(tmp_path / ".lock"), pytest.raises(cm.DataError) as caught:
        build(log, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: another process is writing there. Wait until it has ended, or give another folder."
    )
    assert parts(tmp_path) == []
    assert_whole(build(log, tmp_path), whole)


def test_a_place_where_nothing_can_be_written_is_refused_before_the_log_is_read(tmp_path: Path) -> None:
    log = cm.InteractionLog(EVENTS, **ROLES)
    (tmp_path / "file").write_text("")
    for out, message in {
        tmp_path / "file": (
            f"{tmp_path / 'file'}: cannot write there (is a file). Give a folder that you may write to, like ./scores."
        ),
        tmp_path / "file" / "features": (
            f"{tmp_path / 'file' / 'features'}: cannot write there (Not a directory). "
            "Give a folder that you may write to, like ./scores."
        ),
        "": "build_features: out: '' is not a path. Use a text, for example 'bundles/churn'.",
    }.items():
        with pytest.raises(cm.ConfigError) as caught:
            build(log, out)  # type: ignore[arg-type]
        assert str(caught.value) == message
    assert "facts" not in vars(log)  # the pass over the events that every table begins with


def test_a_disk_that_is_full_leaves_what_is_whole(
    log: cm.InteractionLog, tmp_path: Path, whole: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, written = pq.write_table, 0

    def write_table(table: pa.Table, where: Path, **settings: Any) -> None:
        nonlocal written
        written += 1
        if written == 4:
            where.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        original(table, where, **settings)

    with monkeypatch.context() as during:
        during.setattr(outputs.pq, "write_table", write_table)
        with pytest.raises(cm.DataError) as caught:
            build(log, tmp_path)
    # Share by share: the first has its three cutoffs.
    assert str(caught.value) == (
        f"{tmp_path / PARTS[1]}: writing failed (No space left on device). No half-written file is left. "
        "Free space or repair the disk, and run it again."
    )
    assert parts(tmp_path) == [PARTS[0], PARTS[4], PARTS[8]]
    assert_whole(build(log, tmp_path), whole)


def test_out_is_for_the_embedded_engine(log: cm.InteractionLog, tmp_path: Path) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        build(log, tmp_path / "features", engine=object())
    assert str(caught.value) == ("build_features: out is written by the embedded engine. Leave out engine, or out.")
    assert not (tmp_path / "features").exists()

"""The lines of a prepared log whose fault would lose, double or mix up events: each mutant has to die."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import crmml as cm
from crmml.data.manifest import Manifest
from crmml.errors import CrmmlError
from tests.data.small_logs import ROLES, START, WHOLE, interrupted, multiset, names, rows
from tests.jobs.mutants import plant

Check = Callable[[Path], None]


def log_of(table: pa.Table, **changes: object) -> cm.InteractionLog:
    return cm.InteractionLog(table, **{**ROLES, **changes})


def whole(folder: Path) -> None:
    """Every event is there once, every customer in one file, every file in order."""
    log = log_of(rows())
    prepared = log.prepare(folder, buckets=4)
    assert multiset(prepared) == multiset(log)
    tables = [pq.read_table(file) for file in prepared.bucket_files or ()]
    customers = [set(table["customer_id"].to_pylist()) for table in tables]
    assert sum(map(len, customers)) == len(set.union(*customers)) == 50
    for table in tables:
        keys = list(zip(table["customer_id"].to_pylist(), table["timestamp"].to_pylist(), strict=True))
        assert keys == sorted(keys)
    assert names(folder) == WHOLE


def resumed(folder: Path) -> None:
    """Stopped before the manifest is written a third time, and gone on with."""
    log, writes = log_of(rows()), 0
    real = Manifest.write

    def write(self: Manifest, folder: Path) -> None:
        nonlocal writes
        writes += 1
        return interrupted() if writes == 3 else real(self, folder)  # type: ignore[return-value]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Manifest, "write", write)
        with pytest.raises(KeyboardInterrupt):
            log.prepare(folder, buckets=4)
    assert multiset(log.prepare(folder)) == multiset(log)


def cleaned_once(folder: Path) -> None:
    """Events that are alike but for a column that is not told apart: one of two was kept, and stays."""
    table = pa.table({"user": [1, 1, 2], "ts": [START] * 3, "kind": ["view", "purchase", "view"]})
    log = log_of(table).clean(cm.DropDuplicates(["customer_id"]))
    prepared = log.prepare(folder)
    assert len(prepared.steps(["customer_id"])) == 1
    assert prepared.clean(cm.Keep("event_type", values=["view"])).facts.event_types == {"view": 1}


def compared_over_all_customers(folder: Path) -> None:
    prepared = log_of(rows()).prepare(folder).clean(cm.DropDuplicates(["event_type"]))
    assert prepared.bucket_files is None


def another_log(folder: Path) -> None:
    log_of(rows()).prepare(folder)
    with pytest.raises(CrmmlError):
        log_of(rows(), timezone="Asia/Tokyo").prepare(folder)


def another_table(folder: Path) -> None:
    log_of(rows()).prepare(folder)
    with pytest.raises(CrmmlError):
        log_of(rows().set_column(2, "kind", [["view"] * 400])).prepare(folder)


def corrected(folder: Path) -> None:
    """Two files of the same size, and with the same footer: the kinds of two events are exchanged."""
    for name, kinds in (("a", ["view", "cart"]), ("b", ["cart", "view"])):
        table = pa.table({"user": [1, 2], "ts": [START] * 2, "kind": kinds})
        pq.write_table(table, folder.parent / f"{name}.parquet", compression="none")
    log_of(folder.parent / "a.parquet").prepare(folder)
    with pytest.raises(CrmmlError):
        log_of(folder.parent / "b.parquet").prepare(folder)


def changed_bytes(folder: Path) -> None:
    (file,) = log_of(rows()).prepare(folder).bucket_files or ()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(CrmmlError):
        cm.open_prepared(folder)


MUTANTS: dict[str, tuple[str, str, str, Check]] = {
    "a bucket for each time, not each customer": (
        "prepared", 'expressions=[name_of("customer_id")]', 'expressions=[name_of("timestamp")]', whole,
    ),
    "the rows of a batch stay in their order": (
        "buckets", 'np.argsort(bucket, kind="stable")', "np.arange(len(bucket))", whole,
    ),
    "the ranks of customers are their positions": (
        "buckets", "rank = ranks[codes.indices.to_numpy()]", "rank = codes.indices.to_numpy().astype(np.int64)", whole,
    ),
    "the latest moment of a customer is the first of the next": (
        "buckets", "np.argsort(rank * (latest - earliest + 1) + (time - earliest))",
        "np.argsort(rank * ((latest - earliest) // 2) + (time - earliest))", whole,
    ),
    "a piece goes before the manifest names its file": (
        "prepared", "                manifest = manifest.with_file(name, file)",
        "                piece.unlink(); manifest = manifest.with_file(name, file)", resumed,
    ),
    "the steps are applied again": (
        "log", "self.cleaning[len(prepared.cleaning) :]", "self.cleaning", cleaned_once,
    ),
    "later steps are forgotten": (
        "log", "self.cleaning[len(prepared.cleaning) :]", "()", cleaned_once,
    ),
    "the facts are those from before later steps": (
        "log", "prepared.facts if prepared is not None and not self._pending else", "prepared.facts if prepared else",
        cleaned_once,
    ),
    "customers are compared within one file": (
        "log", "not all(step.by_customer for step in self._pending)", "False", compared_over_all_customers,
    ),
    "only the source is compared": (
        "manifest", "[part.name for part in fields(self)", "[part.name for part in fields(self)[:1]", another_log,
    ),
    "the source is not compared": (
        "manifest", "[part.name for part in fields(self)", "[part.name for part in fields(self)[1:]", another_table,
    ),
    "a frame is known by its size": (
        "prepared", "zlib.crc32(sink.getvalue(), found)", "found", another_table,
    ),
    "a file is known by its size": (
        "prepared", "{check_sum(file):08x}", "", corrected,
    ),
    "a file is checked by its size": (
        "manifest", "if found != expected.crc32:", "if False:", changed_bytes,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "check", list(dict.fromkeys(check for *_, check in MUTANTS.values())), ids=lambda check: check.__name__
)
def test_the_original_lives(tmp_path: Path, check: Check) -> None:
    check(tmp_path / "prepared")


@pytest.mark.parametrize("name", MUTANTS)
def test_the_mutant_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    part, line, mutant, check = MUTANTS[name]
    plant(monkeypatch, f"crmml.data.{part}", line, mutant)
    with pytest.raises((AssertionError, pytest.fail.Exception, CrmmlError, OSError)):
        check(tmp_path / "prepared")

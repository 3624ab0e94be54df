"""A prepared log that is damaged, forged, unfinished or opened as something else is refused."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import crmml as cm
from crmml.data import prepared as module
from crmml.errors import ConfigError, DataError
from tests.data.small_logs import ROLES, interrupted, rows


@pytest.fixture
def log() -> cm.InteractionLog:
    return cm.InteractionLog(rows(), **ROLES)


# Damaged and forged ---------------------------------------------------------------------------------------


def edited(folder: Path, **changes: Any) -> None:
    """Change the manifest, and give it the digest that belongs to the change."""
    file = folder / "manifest.json"
    data = json.loads(file.read_text())
    data |= changes
    del data["digest"]
    text = json.dumps(data, indent=1) + "\n"
    data["digest"] = hashlib.sha256(text.encode()).hexdigest()
    file.write_text(json.dumps(data, indent=1) + "\n")


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        cm.open_prepared(folder)
    message = str(caught.value)
    end = f". Remove the folder {folder}, and prepare the log again."
    assert message.startswith(f"{folder}/")
    assert message.endswith(end)
    return message.removeprefix(f"{folder}/").removesuffix(end)


def test_a_missing_cut_or_changed_file_is_refused(tmp_path: Path, log: cm.InteractionLog) -> None:
    log.prepare(tmp_path, buckets=2)
    file = tmp_path / "bucket-0001.parquet"
    whole = file.read_bytes()
    file.unlink()
    assert refusal(tmp_path) == "bucket-0001.parquet: is missing"
    file.write_bytes(whole[:-1])
    assert refusal(tmp_path) == f"bucket-0001.parquet: has {len(whole) - 1:,} bytes instead of {len(whole):,}"
    for place in (0, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert refusal(tmp_path) == "bucket-0001.parquet: has been changed: its check sum does not match"
    file.write_bytes(whole)
    assert cm.open_prepared(tmp_path).facts.rows == 400


def test_files_that_are_exchanged_are_refused(tmp_path: Path, log: cm.InteractionLog) -> None:
    log.prepare(tmp_path, buckets=2)
    first, second = (tmp_path / f"bucket-000{n}.parquet" for n in range(2))
    first.rename(tmp_path / "aside")
    second.rename(first)
    (tmp_path / "aside").rename(second)
    assert re.match(r"bucket-0000.parquet: has (been changed|[\d,]+ bytes instead)", refusal(tmp_path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no manifest"),
        ("{}", "is no manifest"),
        ("[1]", "is no manifest"),
        ('{"digest": 1', "is no manifest"),
        ('{"digest": "x"}', "has been changed: its digest does not match"),
        ("[" * 100_000, "is no manifest"),
        ("\ud800", "is no manifest"),
    ],
)
def test_a_manifest_that_is_none(tmp_path: Path, log: cm.InteractionLog, text: str, said: str) -> None:
    log.prepare(tmp_path)
    (tmp_path / "manifest.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert refusal(tmp_path) == f"manifest.json: {said}"


def test_every_changed_byte_of_the_manifest_is_refused(tmp_path: Path, log: cm.InteractionLog) -> None:
    log.prepare(tmp_path)
    file = tmp_path / "manifest.json"
    whole = file.read_bytes()
    for place in range(0, len(whole) - 1, 11):
        file.write_bytes(whole[:place] + b"7" + whole[place + 1 :])
        if file.read_bytes() != whole and not whole[place : place + 1].isspace():
            assert refusal(tmp_path) in (
                "manifest.json: is no manifest",
                "manifest.json: has been changed: its digest does not match",
            )


FORGED: dict[str, tuple[dict[str, Any], str]] = {
    "a file elsewhere": (
        {"files": {"../secret.parquet": {"rows": 400, "bytes": 1, "crc32": 1}}},
        "'../secret.parquet'",
    ),
    "a file by another name": ({"files": {"x.parquet": {"rows": 400, "bytes": 1, "crc32": 1}}}, "'x.parquet'"),
    "files that are a list": ({"files": [1]}, "'list' object has no attribute 'items'"),
    "no rows": ({"files": {}}, "rows"),
    "negative rows": (
        {"files": {"bucket-0000.parquet": {"rows": -1, "bytes": 1, "crc32": 1}}},
        "'bucket-0000.parquet'",
    ),
    "roles that open a file": (
        {"roles": {"InteractionLog": {"source": "/etc/passwd", "customer_id": "a", "timestamp": "b"}}},
        "InteractionLog",
    ),
    "roles that are cleaning": ({"roles": {"DropMissing": "customer_id"}}, "roles or cleaning"),
    "cleaning that is a model": ({"cleaning": [{"ChurnClassifier": {}}]}, "roles or cleaning"),
    "no buckets": ({"buckets": None}, "buckets"),
    "columns that are numbers": ({"columns": {"customer_id": 1}}, "columns"),
    "another moment": ({"observed_until": "tomorrow"}, "tomorrow"),
}


@pytest.mark.parametrize("forgery", FORGED)
def test_a_forged_manifest_is_refused(tmp_path: Path, log: cm.InteractionLog, forgery: str) -> None:
    log.prepare(tmp_path)
    changes, said = FORGED[forgery]
    edited(tmp_path, **changes)
    message = refusal(tmp_path)
    assert message.startswith("manifest.json: cannot be understood (")
    assert said in message


def test_types_that_were_not_written_are_refused(tmp_path: Path, log: cm.InteractionLog) -> None:
    log.prepare(tmp_path)
    edited(tmp_path, columns={"customer_id": "BIGINT", "timestamp": "TIMESTAMP"})
    assert refusal(tmp_path) == (
        "bucket-0000.parquet: has the columns ['customer_id', 'timestamp', 'event_type'] instead of "
        "['customer_id', 'timestamp']"
    )
    types = {"customer_id": "BIGINT", "timestamp": "TIMESTAMP", "event_type": "); DROP TABLE log; --"}
    edited(tmp_path, columns=types)
    assert refusal(tmp_path) == "bucket-0000.parquet: has 'event_type' as VARCHAR instead of ); DROP TABLE log; --"


def test_a_newer_format_is_named(tmp_path: Path, log: cm.InteractionLog) -> None:
    log.prepare(tmp_path)
    edited(tmp_path, format=2)
    with pytest.raises(DataError) as caught:
        cm.open_prepared(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/manifest.json: has the format 2, but this version of crmml reads 1. "
        "Open it with a newer crmml, or prepare the log again."
    )


# Opened wrongly -------------------------------------------------------------------------------------------


def test_a_folder_without_a_prepared_log(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        cm.open_prepared(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: is no prepared log, it has no manifest.json. Write one with log.prepare({str(tmp_path)!r})."
    )


def test_an_unfinished_log_is_not_opened(
    tmp_path: Path, log: cm.InteractionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "write_sorted", interrupted)
    with pytest.raises(KeyboardInterrupt):
        log.prepare(tmp_path, buckets=4)
    with pytest.raises(DataError) as caught:
        cm.open_prepared(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: is not finished, 0 of 4 buckets are written. "
        f"Call prepare({str(tmp_path)!r}) of the same log again: it goes on from there."
    )


def test_a_prepared_folder_is_no_source(tmp_path: Path) -> None:
    pq.write_table(rows(), tmp_path / "events.parquet")
    log = cm.InteractionLog(tmp_path, **ROLES)
    log.prepare(tmp_path / "prepared", buckets=2)
    assert cm.InteractionLog(tmp_path, **ROLES).facts == log.facts  # the copy beneath is not read again
    with pytest.raises(ConfigError) as caught:
        cm.InteractionLog(tmp_path / "prepared", **ROLES)
    folder = tmp_path / "prepared"
    assert str(caught.value) == (
        f"InteractionLog: {folder} is a prepared log. Open it with open_prepared({str(folder)!r})."
    )

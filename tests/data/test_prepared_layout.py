"""How a prepared log is written: in which order, by whom, and with a bar."""

import re
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import crmml as cm
from crmml.data import buckets as layout
from crmml.data import prepared as module
from tests.data.small_logs import ROLES, multiset, rows


@pytest.fixture
def log() -> cm.InteractionLog:
    return cm.InteractionLog(rows(), **ROLES)


# How it is written ----------------------------------------------------------------------------------------


def test_a_piece_that_does_not_fit_in_memory_is_sorted_by_the_engine(
    tmp_path: Path, log: cm.InteractionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.prepare(tmp_path / "memory", buckets=2)
    monkeypatch.setattr(layout, "COPIES", 10**12)
    monkeypatch.setattr(layout, "_order", None)  # not called
    prepared = log.prepare(tmp_path / "engine", buckets=2)
    assert multiset(prepared) == multiset(log)
    for file in prepared.bucket_files or ():
        keys = [
            pq.read_table(folder / file.name, columns=["customer_id", "timestamp"]).to_pylist()
            for folder in (tmp_path / "memory", tmp_path / "engine")
        ]
        assert keys[0] == keys[1]


def test_times_too_far_apart_for_one_number_are_sorted_too(tmp_path: Path) -> None:
    """5,000 customers x 200 years of microseconds need more than 63 bits."""
    random = Random(3)
    days = [random.choice((0, 73_000)) + random.random() for _ in range(20_000)]
    frame = pa.table(
        {
            "user": [random.randint(1, 5_000) for _ in days],
            "ts": [pd.Timestamp("1901-01-01") + pd.Timedelta(day * 0.6, unit="D") for day in days],
            "kind": ["view"] * len(days),
        }
    )
    prepared = cm.InteractionLog(frame, **ROLES).prepare(tmp_path)
    table = prepared.events(["customer_id", "timestamp"])
    keys = list(zip(table["customer_id"].to_pylist(), table["timestamp"].to_pylist(), strict=True))
    (file,) = prepared.bucket_files or ()
    written = pq.read_table(file, columns=["customer_id", "timestamp"]).to_pylist()
    assert [tuple(row.values()) for row in written] == sorted(keys)


def test_there_is_a_bar_where_it_is_asked_for(
    tmp_path: Path, log: cm.InteractionLog, capsys: pytest.CaptureFixture[str]
) -> None:
    log.prepare(tmp_path / "by default")  # where standard error is no terminal
    log.prepare(tmp_path / "never", progress=False)
    assert capsys.readouterr().err == ""
    log.prepare(tmp_path / "shown", progress=True)
    # As wide as the terminal, or ten places where there is none.
    assert re.match(r"\rprepare:   0%\| {10,}\| 0\.00/800 ", capsys.readouterr().err)


@pytest.mark.parametrize("buckets", [1, 4])
def test_the_bar_counts_every_event_when_it_is_divided_and_when_it_is_sorted(
    tmp_path: Path, log: cm.InteractionLog, monkeypatch: pytest.MonkeyPatch, buckets: int
) -> None:
    counted: list[int] = []
    real = module._bar

    def counting(total: int, progress: bool | None) -> Any:
        bar = real(total, progress)
        monkeypatch.setattr(bar, "update", counted.append)
        return bar

    monkeypatch.setattr(module, "_bar", counting)
    log.prepare(tmp_path, buckets=buckets)
    assert counted[0] == 400  # one batch, then the buckets
    assert len(counted) == 1 + buckets
    assert sum(counted) == 800

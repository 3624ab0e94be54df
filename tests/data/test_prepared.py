"""A prepared log is the same log: the same events, facts, tables and errors, in files by customer and time."""

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from tests.data.small_logs import multiset
from tests.features.strategies import (
    EPOCH,
    EVIL,
    ROLES,
    anchored,
    arrow_table,
    budget,
    log_of,
    logs,
    random_rows,
    stamp,
)

DAY = 86_400_000_000
CUTOFFS = [EPOCH, EPOCH + 3 * DAY]
FEATURES = [
    cm.Recency(),
    cm.Tenure(event_type="purchase"),
    cm.Count(window="1w", event_type=["purchase", "view"]),
    *(verb("amount") for verb in (cm.Sum, cm.Mean, cm.Min, cm.Max, cm.Std)),
    *(cm.NUnique(column, window="1w") for column in ("item_id", "channel", "plan")),
    cm.Gap(stat="std"),
    cm.Share(event_type="purchase", where={"plan": ["free", "a b/* */c"]}),
    *(cm.Latest(column) for column in ("plan", "item_id", "amount", "event_type")),
]


def events(customers: int = 60, ids: dict[int, str] | None = None) -> pa.Table:
    """Some hundred events with ties, missing values, late records and the same moments twice."""
    rows = anchored(random_rows(Random(5), CUTOFFS[:1], customers=customers, events=8))
    if ids is not None:
        rows = [{**row, "customer_id": ids.get(row["customer_id"], f"c{row['customer_id']}")} for row in rows]
    return arrow_table(rows)


def table(log: cm.InteractionLog) -> pd.DataFrame:
    return cm.build_features(log, FEATURES, [stamp(cutoff) for cutoff in CUTOFFS])


def assert_same_log(prepared: cm.InteractionLog, log: cm.InteractionLog) -> None:
    assert prepared.names == log.names
    assert [prepared.kind(name) for name in log.names] == [log.kind(name) for name in log.names]
    assert prepared.facts == log.facts
    assert prepared.complete_until == log.complete_until
    assert multiset(prepared) == multiset(log)
    pd.testing.assert_frame_equal(table(prepared), table(log), check_exact=True)


@pytest.mark.parametrize("buckets", [None, 5])
def test_the_same_events_and_the_same_table(tmp_path: Path, buckets: int | None) -> None:
    log = cm.InteractionLog(events(), **ROLES)
    prepared = log.prepare(tmp_path / "prepared", buckets=buckets)
    assert_same_log(prepared, log)
    assert_same_log(cm.open_prepared(tmp_path / "prepared"), log)


def test_text_ids_full_of_sql(tmp_path: Path) -> None:
    log = cm.InteractionLog(events(ids=dict(enumerate(EVIL, start=1))), **ROLES)
    prepared = log.prepare(tmp_path / "prepared", buckets=3)
    assert_same_log(prepared, log)
    assert set(EVIL) < set(prepared.events(["customer_id"])["customer_id"].to_pylist())


def test_attributes_with_every_name(tmp_path: Path) -> None:
    names = [*(name for name in EVIL if name), "a.b", "bucket_of_customer", "n" * 300]
    frame = events()
    for number, name in enumerate(names):
        frame = frame.append_column(name, pa.array([f"{name} {number}"] * frame.num_rows))
    log = cm.InteractionLog(frame, **ROLES)
    prepared = log.prepare(tmp_path / "prepared", buckets=2)
    assert prepared.attributes == ("plan", *names)
    assert_same_log(prepared, log)


def test_every_customer_is_in_one_file_and_every_file_is_sorted(tmp_path: Path) -> None:
    log = cm.InteractionLog(events(), **ROLES)
    files = log.prepare(tmp_path / "prepared", buckets=4).bucket_files
    assert files is not None
    assert [file.name for file in files] == [f"bucket-000{n}.parquet" for n in range(4)]
    seen: set[int] = set()
    for file in files:
        rows = pq.read_table(file, columns=["customer_id", "timestamp"])
        keys = list(zip(rows["customer_id"].to_pylist(), rows["timestamp"].cast(pa.int64()).to_pylist(), strict=True))
        assert keys == sorted(keys)
        customers = {customer for customer, _ in keys}
        assert not customers & seen
        seen |= customers
    assert seen == set(range(61))  # the anchor and 60 customers


def test_a_bucket_without_customers_has_no_file(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user": [1, 1], "ts": pd.to_datetime(["2024-01-01", "2024-02-01"], utc=True)})
    prepared = cm.InteractionLog(frame, customer_id="user", timestamp="ts").prepare(tmp_path, buckets=8)
    assert prepared.bucket_files is not None
    assert len(prepared.bucket_files) == 1
    assert prepared.facts.rows == 2


def test_its_columns_are_called_as_their_roles_and_all_time_is_utc(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user": [1], "ts": pd.to_datetime(["2024-07-01 12:00"])})
    log = cm.InteractionLog(
        frame, customer_id="user", timestamp="ts", event_type=cm.Constant("purchase"), timezone="Europe/Berlin"
    )
    prepared = log.prepare(tmp_path / "prepared")
    assert prepared.roles == cm.Roles(
        customer_id="customer_id", timestamp="timestamp", event_type=cm.Constant("purchase"), timezone="UTC"
    )
    assert prepared.facts.event_types == {"purchase": 1}
    (row,) = prepared.events().to_pylist()
    assert row == {"customer_id": 1, "timestamp": pd.Timestamp("2024-07-01 10:00"), "event_type": "purchase"}
    assert repr(prepared) == f"open_prepared({str(tmp_path / 'prepared')!r})"


def test_cleaning_is_applied_once_and_remembered(tmp_path: Path) -> None:
    twice = pa.concat_tables([events(), events()])
    steps = (
        cm.DropDuplicates(),
        cm.Drop("channel", values=["shop"]),
        cm.KeepBetween("timestamp", maximum="2024-03-20"),
    )
    log = cm.InteractionLog(twice, **ROLES, observed_until="2025-01-01").clean(*steps)
    prepared = log.prepare(tmp_path / "prepared", buckets=3)
    assert prepared.cleaning == steps
    assert prepared.observed_until == log.observed_until
    assert prepared.complete_until == stamp(EPOCH + 10 * DAY)  # the cut is the 20th, the first cutoff the 10th
    assert_same_log(prepared, log)
    assert prepared.cleaning_report().empty


def test_a_prepared_log_can_be_cleaned_further(tmp_path: Path) -> None:
    log = cm.InteractionLog(events(), **ROLES).clean(cm.DropDuplicates())
    further = (cm.Keep("event_type", values=["purchase", "view"]), cm.DropMissing("amount"))
    prepared = log.prepare(tmp_path / "prepared", buckets=3).clean(*further)
    assert_same_log(prepared, log.clean(*further))
    assert prepared.cleaning_report()["step"].tolist() == [repr(step) for step in further]
    assert prepared.bucket_files is not None
    assert repr(prepared).endswith(
        "prepared').clean(Keep('event_type', values=['purchase', 'view']), DropMissing('amount'))"
    )


@pytest.mark.parametrize(
    ("step", "by_customer"),
    [
        (cm.DropDuplicates(), True),
        (cm.DropDuplicates(["customer_id", "amount"]), True),
        (cm.DropDuplicates(["amount"]), False),
        (cm.Drop("amount", values=[0]), True),
    ],
)
def test_there_are_no_bucket_files_where_customers_are_compared(tmp_path: Path, step: Any, by_customer: bool) -> None:
    log = cm.InteractionLog(events(), **ROLES)
    prepared = log.prepare(tmp_path / "prepared", buckets=3).clean(step)
    assert (prepared.bucket_files is not None) == by_customer
    assert_same_log(prepared, log.clean(step))


def test_an_unprepared_log_has_no_bucket_files() -> None:
    assert cm.InteractionLog(events(), **ROLES).bucket_files is None


def test_a_prepared_log_can_be_prepared_again(tmp_path: Path) -> None:
    log = cm.InteractionLog(events(), **ROLES).clean(cm.DropDuplicates())
    again = log.prepare(tmp_path / "first", buckets=3).prepare(tmp_path / "second", buckets=2)
    assert again.bucket_files is not None
    assert len(again.bucket_files) == 2
    assert again.cleaning == (cm.DropDuplicates(),)
    assert_same_log(again, log)


TYPED = {
    "short": "1::SMALLINT",
    "wide": "123456789012345678901234567890::HUGEINT",
    "unsigned": "18446744073709551615::UBIGINT",
    "money": "1.25::DECIMAL(9, 2)",
    "half": "0.5::FLOAT",
    "day": "DATE '2024-01-31'",
    "hour": "TIME '10:30'",
    "second": "'2024-01-31'::TIMESTAMP_S",
    "milli": "'2024-01-31'::TIMESTAMP_MS",
    "nano": "'2024-01-31'::TIMESTAMP_NS",
    "zoned": "'2024-01-31 12:00+02'::TIMESTAMPTZ",
    "key": "'6ba7b810-9dad-11d1-80b4-00c04fd430c8'::UUID",
    "yes": "true",
    "bytes": "'a'::BLOB",
    "vector": "[0.5, 1.5]::DOUBLE[]",
    "fixed": "[0.5, 1.5]::FLOAT[2]",
    "pair": "{'a': 1, 'b c': 'x'}",
    "map": "MAP {'a': 1}",
    "kind": "'gold'::ENUM('gold', 'free')",
}


@pytest.mark.parametrize("from_file", [False, True])
def test_attributes_keep_their_type(tmp_path: Path, from_file: bool) -> None:
    """A frame and a Parquet file keep other types: nanoseconds, UUIDs, wide numbers, lists of a fixed size."""
    selected = ", ".join(f'{value} AS "{name}"' for name, value in TYPED.items())
    typed = duckdb.sql(f"SELECT 1 AS who, TIMESTAMP '2024-01-01' AS at, NULL AS nothing, {selected}")
    if from_file:
        typed.write_parquet(str(tmp_path / "typed.parquet"))
    source = tmp_path / "typed.parquet" if from_file else typed
    log = cm.InteractionLog(source, customer_id="who", timestamp="at", timezone="UTC")
    prepared = log.prepare(tmp_path / "prepared")
    assert prepared.attributes == ("nothing", *TYPED)
    assert [prepared.kind(name) for name in log.names] == [log.kind(name) for name in log.names]
    assert prepared.events().schema == log.events().schema
    assert prepared.events().equals(log.events())
    features = [
        *(cm.Latest(name) for name in ("wide", "second", "milli", "key", "kind", "day", "money")),
        cm.Sum("half"),
        cm.Count(where={"key": "6BA7B810-9DAD-11D1-80B4-00C04FD430C8"}),  # the same UUID, another text
    ]
    raw, table = (cm.build_features(either, features, "2024-01-02") for either in (log, prepared))
    pd.testing.assert_frame_equal(table, raw, check_exact=True)
    assert table.iloc[0].tolist()[-2:] == [0.5, int(from_file)]


def test_numbers_that_are_missing_and_ids_that_are_floats(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"user": [1.0, 2.0, None], "ts": ["2024-01-01"] * 3, "amount": [1.5, float("nan"), 2.0], "note": [None] * 3}
    ).astype({"ts": "datetime64[us]"})
    log = cm.InteractionLog(frame, customer_id="user", timestamp="ts", amount="amount", timezone="UTC")
    prepared = log.clean(cm.DropMissing("customer_id")).prepare(tmp_path / "prepared")
    assert prepared.events().to_pylist() == [
        {"customer_id": 1, "timestamp": pd.Timestamp("2024-01-01"), "amount": 1.5, "note": None},
        {"customer_id": 2, "timestamp": pd.Timestamp("2024-01-01"), "amount": None, "note": None},
    ]


@budget(6, 300)
@given(st.data())
def test_any_log(data: st.DataObject) -> None:
    log = log_of(anchored(data.draw(logs(CUTOFFS))))
    with TemporaryDirectory() as folder:
        assert_same_log(log.prepare(folder, buckets=data.draw(st.integers(1, 4))), log)

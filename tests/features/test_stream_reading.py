"""Events as Arrow reads them: the table is that of the engine, whatever the types and files are."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.features import kept
from crmml.features.plan import AT
from crmml.features.stream.parts import Parts
from crmml.features.stream.program import Events
from crmml.features.stream.rows import Unknown, Vector, Words, narrowest, vector
from crmml.features.table import Table
from tests.features.same_bits import differing
from tests.features.test_stream import alone, asked_of_the_engine

CUTOFF = (pd.Timestamp("2024-03-01", tz="UTC"),)
DAY = 86_400_000_000
SINCE = 1_704_067_200_000_000  # 2024-01-01
ROWS = 600
RANDOM = np.random.default_rng(3)
# Times in no order, some of them after the cutoff, one on it and one a microsecond before.
TIMES = np.concatenate([SINCE + RANDOM.integers(0, 90 * DAY, ROWS - 2), SINCE + 60 * DAY - np.array([0, 1])])
MICROSECONDS = pa.array(TIMES, pa.timestamp("us"))
KINDS = pa.array(RANDOM.choice(["view", "purchase", "straße", "o'brien"], ROWS))


def drawn(values: list[Any], kind: pa.DataType) -> pa.Array:
    return pa.array([values[place] for place in RANDOM.integers(0, len(values), ROWS)], kind, from_pandas=False)


LOG = {
    "who": pa.array(RANDOM.integers(-20, 20, ROWS)),
    "at": MICROSECONDS,
    "kind": KINDS,
    "price": drawn([1.5, -2.25, 19.99, 5e-7, None], pa.float64()),
    "plan": drawn(["a", "b", None], pa.string()),
}
FEATURES = [
    cm.Count(event_type="purchase", window="30d"),
    cm.Recency(),
    cm.Sum("price"),
    cm.Median("price"),
    cm.Latest("price"),
    cm.Latest("plan"),
    cm.TopValue("plan"),
    cm.Gap(stat="std"),
    cm.HourShare(),
]


def table_of(source: Any, **roles: Any) -> Table:
    roles = {"customer_id": "who", "timestamp": "at", "event_type": "kind", "timezone": "UTC"} | roles
    return Table(cm.InteractionLog(source, **roles), cm.FeatureSet(FEATURES), CUTOFF)


def is_read(monkeypatch: pytest.MonkeyPatch, table: Table) -> bool:
    """Whether Arrow reads the events; the table is that of the engine anyhow."""
    with monkeypatch.context() as patch:
        asked = asked_of_the_engine(patch)
        found = table.arrow()
    assert found.num_rows > 30
    assert differing(found, alone(monkeypatch, table), last_bit="quantile_") == []
    return not asked


# A column in another type -> whether it is read here.
OTHERS: dict[str, tuple[dict[str, pa.Array], bool]] = {
    "as it is": ({}, True),
    "times in UTC": ({"at": MICROSECONDS.cast(pa.timestamp("us", "UTC"))}, True),
    "times in Berlin": ({"at": MICROSECONDS.cast(pa.timestamp("us", "Europe/Berlin"))}, True),
    "times in milliseconds": ({"at": MICROSECONDS.cast(pa.timestamp("ms"), safe=False)}, True),
    "times in seconds": ({"at": MICROSECONDS.cast(pa.timestamp("s"), safe=False)}, True),
    "times in nanoseconds": ({"at": MICROSECONDS.cast(pa.timestamp("ns"))}, False),
    "dates": ({"at": MICROSECONDS.cast(pa.date32(), safe=False)}, True),
    "ids of 32 bits": ({"who": LOG["who"].cast(pa.int32())}, True),
    "ids far from each other": ({"who": pa.array(LOG["who"].to_numpy() * 2**58)}, True),
    "texts as ids": ({"who": LOG["who"].cast(pa.string())}, False),
    "NaN": ({"price": drawn([1.5, float("nan"), None], pa.float64())}, True),
    "negative zeros": ({"price": drawn([1.5, -0.0], pa.float64())}, False),
    "whole numbers": ({"price": drawn([1, -5, 10**9, None], pa.int64())}, True),
    "few whole numbers": ({"price": drawn([1, -5, None], pa.int8())}, True),
    "decimals": ({"price": drawn([Decimal("1.5"), Decimal("-99.99"), None], pa.decimal128(12, 2))}, True),
    "floats of 32 bits": ({"price": drawn([1.5, None], pa.float32())}, False),
    "numbers without a sign": ({"price": drawn([1, 2**36, None], pa.uint64())}, False),
    "nothing at all": ({"price": pa.nulls(ROWS, pa.float64()), "plan": pa.nulls(ROWS, pa.string())}, True),
    "large texts": ({"kind": KINDS.cast(pa.large_string())}, True),
    "a dictionary": ({"kind": KINDS.dictionary_encode(), "plan": LOG["plan"].dictionary_encode()}, True),
    "truth values": ({"plan": drawn([True, False, None], pa.bool_())}, False),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("files", [False, True], ids=["in memory", "file"])
def test_the_table_is_that_of_the_engine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, files: bool
) -> None:
    columns, read = OTHERS[name]
    source: Any = pa.table(LOG | columns)
    if files:
        source, rows = tmp_path / "log.parquet", source
        pq.write_table(rows, source, row_group_size=100)
    assert is_read(monkeypatch, table_of(source)) == read


def test_a_dictionary_may_have_a_text_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = pa.array(RANDOM.integers(0, 3, ROWS), pa.int8())
    twice = pa.DictionaryArray.from_arrays(codes, pa.array(["purchase", "view", "purchase"]))
    assert is_read(monkeypatch, table_of(pa.table(LOG | {"kind": twice})))


def test_a_log_of_one_event_type(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_read(monkeypatch, table_of(pa.table(LOG), event_type=cm.Constant("purchase")))


def test_what_became_known_later_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    later = pa.array(TIMES + RANDOM.integers(0, 40 * DAY, ROWS), pa.timestamp("us"), mask=RANDOM.random(ROWS) < 0.3)
    assert is_read(monkeypatch, table_of(pa.table(LOG | {"recorded": later}), recorded_at="recorded"))


@pytest.mark.parametrize("name", ["a.b", "'; DROP TABLE log; --", "straße", "list.element"])
def test_columns_of_any_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    rows = pa.table(LOG)
    rows = rows.append_column(name, rows["who"]).append_column("a", rows["plan"]).drop_columns("who")
    pq.write_table(rows, tmp_path / "log.parquet")
    assert is_read(monkeypatch, table_of(tmp_path, customer_id=name))


@pytest.mark.parametrize("feature", [cm.Count(where={"plan": "a"}), cm.Latest("plan")], ids=str)
def test_texts_that_are_none_are_refused(tmp_path: Path, feature: Any) -> None:
    """The engine says so; Arrow would read them."""
    broken = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.py_buffer(np.array([0, 1, 2, 3], np.int32)), pa.py_buffer(b"a\xffb")]
    )
    rows = pa.table({"who": [1, 1, 2], "at": MICROSECONDS[:3], "plan": broken})
    pq.write_table(rows, tmp_path / "log.parquet")
    log = cm.InteractionLog(tmp_path / "log.parquet", customer_id="who", timestamp="at", timezone="UTC")
    with pytest.raises(cm.DataError, match="Invalid string encoding found in Parquet file"):
        cm.build_features(log, [feature], CUTOFF[0], to="arrow")


# Several files --------------------------------------------------------------------------------------------------


def in_files(folder: Path, *tables: pa.Table) -> Path:
    for number, table in enumerate(tables):
        pq.write_table(table, folder / f"{number}.parquet")
    return folder


def test_files_with_columns_in_another_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = pa.table(LOG)
    other = rows.slice(300).select(["plan", "kind", "at", "price", "who"])
    assert is_read(monkeypatch, table_of(in_files(tmp_path, rows.slice(0, 300), other)))


def test_a_file_without_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = pa.table(LOG)
    assert is_read(monkeypatch, table_of(in_files(tmp_path, rows.slice(0, 0), rows)))


@pytest.mark.parametrize(
    "other",
    [
        lambda rows: rows.drop_columns("plan"),
        lambda rows: rows.set_column(0, "who", rows["who"].cast(pa.int32())),
    ],
    ids=["a column less", "another type"],
)
def test_files_that_are_not_alike_are_the_engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, other: Any) -> None:
    rows = pa.table(LOG)
    assert not is_read(monkeypatch, table_of(in_files(tmp_path, rows.slice(0, 300), other(rows.slice(300)))))


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    table = table_of(in_files(tmp_path, pa.table(LOG)))
    assert table.log.facts.rows == ROWS
    (tmp_path / "0.parquet").unlink()
    with pytest.raises(cm.DataError, match=r"0\.parquet is gone; it was there when the log was opened"):
        table.arrow()


def test_a_log_that_has_grown_is_the_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "rows_of", lambda source: 100)
    assert not is_read(monkeypatch, table_of(pa.table(LOG)))


def test_files_of_a_prepared_log_are_read_together_where_memory_allows(tmp_path: Path) -> None:
    log = table_of(pa.table(LOG)).log
    table = Table(log.prepare(tmp_path, buckets=4), cm.FeatureSet(FEATURES), CUTOFF)
    assert len(list(table.pieces())) == 4
    assert [piece.of for piece in table.pieces(together=True)] == [1]
    assert table.arrow().equals(Table(log, cm.FeatureSet(FEATURES), CUTOFF).arrow())


# Parts ----------------------------------------------------------------------------------------------------------

INTEGERS = st.integers(-(2**63), 2**63 - 1)
EVENT = st.tuples(
    INTEGERS | st.integers(0, 3),
    st.integers(-5, 5),
    st.none() | INTEGERS,
    st.none() | st.sampled_from("aäxyz"),
    st.booleans(),
)


def events_of(rows: list[tuple[Any, ...]]) -> Events:
    """Rows as a batch, texts numbered in the order in which they come."""
    ids, times, numbers, texts, flags = (list(column) for column in zip(*rows, strict=True))
    known = list(dict.fromkeys(text for text in texts if text is not None)) or [""]
    codes = np.array([known.index(text or known[0]) for text in texts])
    columns = {
        AT: Vector(np.array(times)),
        "number": Vector(np.array([each or 0 for each in numbers]), np.array([each is None for each in numbers])),
        "text": Words(codes, pa.array(known), np.array([each is None for each in texts])),
        "flag": Vector(np.array(flags)),
    }
    return Events(pa.array(ids, pa.int64()), columns.__getitem__)


def rows_of(events: Events) -> list[tuple[Any, ...]]:
    number, text = vector(events.column("number")), events.column("text")
    assert isinstance(text, Words)
    missing = [False] * len(events) if number.missing is None else number.missing.tolist()
    numbers = [None if gone else each for gone, each in zip(missing, number.data.tolist(), strict=True)]
    times, flags = (vector(events.column(name)).data.tolist() for name in (AT, "flag"))
    return list(zip(events.ids.to_pylist(), times, numbers, text.arrow().to_pylist(), flags, strict=True))


@given(st.lists(st.lists(EVENT, min_size=1, max_size=12), min_size=1, max_size=6), st.integers(1, 9))
def test_parts_hold_each_event_once_in_order(batches: list[list[tuple[Any, ...]]], size: int) -> None:
    every = [row for batch in batches for row in batch]
    parts = Parts([AT, "number", "text", "flag"], len(every), size)
    for batch in batches:
        parts.add(events_of(batch))
    found = [rows_of(part()) for part in parts]
    assert sorted(map(str, (row for rows in found for row in rows))) == sorted(map(str, every))
    for rows in found:
        assert [row[:2] for row in rows] == sorted(row[:2] for row in rows)
    owners = [{row[0] for row in rows} for rows in found]
    assert sum(map(len, owners)) == len(set().union(*owners))


@pytest.mark.parametrize(
    ("least", "greatest", "kind"),
    [(0, 127, "i1"), (-128, 0, "i1"), (0, 128, "i2"), (-129, 0, "i2"), (0, 2**31 - 1, "i4"), (-(2**31) - 1, 0, "i8")],
)
def test_numbers_are_kept_as_narrow_as_they_are(least: int, greatest: int, kind: str) -> None:
    assert narrowest(np.array([least, greatest])) == np.dtype(kind)


def test_columns_that_change_their_type_are_not_known() -> None:
    rows = (1, 1, 1, "a", True)
    parts = Parts(["number"], 10, 10)
    parts.add(events_of([rows]))
    events = events_of([rows])
    for other in (Vector(np.array([1.5])), Vector(np.array([1]), scale=6), events.column("text")):
        with pytest.raises(Unknown):
            parts.add(Events(events.ids, {"number": other}.__getitem__))
    with pytest.raises(Unknown, match="no whole numbers"):
        parts.add(Events(pa.array(["a"]), events.column))

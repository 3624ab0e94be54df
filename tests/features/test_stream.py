"""One pass over ordered events: the same table as by the engine, whatever the batches, and for every definition."""

import gc
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.data.engine import Engine
from crmml.features import kept
from crmml.features.kept import Share
from crmml.features.plan import Text
from crmml.features.stream.batches import whole_customers
from crmml.features.stream.left import answers_all, events_of, left_of, program_of
from crmml.features.stream.parts import Parts
from crmml.features.stream.rows import Rows, Unknown, values_of
from crmml.features.table import Table
from tests.features.same_bits import differing
from tests.features.strategies import arrow_table, log_of
from tests.features.test_golden_sql import FEATURES
from tests.features.test_plan import EACH, EVERY, LOG, POPULATION, ROWS, TARGETS, TWELVE

CUTOFF = TWELVE[1:2]
EACH_BUT_VECTORS, EVERY_BUT_VECTORS = (
    cm.FeatureSet([each for each in features if not each.columns[0].startswith("mean_vector")])
    for features in (EACH, EVERY)
)
# Clocks of other places are the engine's: events are read by it then.
EACH_IN_UTC, EVERY_IN_UTC = (
    cm.FeatureSet([each for each in features if not any("europe" in name for name in each.columns)])
    for features in (EACH_BUT_VECTORS, EVERY_BUT_VECTORS)
)
# What one pass does not answer.
LEFT = {"MeanVector"}


def alone(monkeypatch: pytest.MonkeyPatch, table: Table) -> pa.Table:
    """The table as the engine makes it alone."""
    with monkeypatch.context() as patch:
        patch.setattr(kept, "program_of", lambda text: None)
        return table.arrow()


def created(monkeypatch: pytest.MonkeyPatch, table: Table) -> tuple[pa.Table, int]:
    """The table, and how often events were kept in a table of their own for it."""
    made: list[Any] = []
    original = Engine.create_table

    def create(engine: Engine, *asked: Any) -> str:
        made.append(asked)
        return original(engine, *asked)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "create_table", create)
        return table.arrow(), len(made)


@pytest.mark.parametrize("features", [EACH, EVERY], ids=["each", "every"])
@pytest.mark.parametrize("cutoffs", [CUTOFF, TWELVE[:3]], ids=["one", "three"])
def test_the_table_is_that_of_the_engine(
    monkeypatch: pytest.MonkeyPatch, features: cm.FeatureSet, cutoffs: tuple[pd.Timestamp, ...]
) -> None:
    table = Table(LOG, features, cutoffs)
    assert differing(table.arrow(), alone(monkeypatch, table), last_bit="quantile_") == []


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_with_a_population_and_labels(monkeypatch: pytest.MonkeyPatch, target: Any) -> None:
    for population in (POPULATION, target.population):
        table = Table(LOG, EACH, TWELVE[:2], population, target)
        assert differing(table.arrow(), alone(monkeypatch, table), last_bit="quantile_") == []


def test_a_population_is_answered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a job scores: those who did something lately. Nobody may be one of them."""
    everybody = Table(log_of(ROWS), EACH_BUT_VECTORS, CUTOFF).arrow().num_rows
    for within, some in (("1w", True), ("45s", None), ("1s", False)):
        population = cm.Population(event_type="purchase", active_within=within)
        table = Table(log_of(ROWS), EACH_BUT_VECTORS, CUTOFF, population)
        found, tables = created(monkeypatch, table)
        assert tables == 0
        assert differing(found, alone(monkeypatch, table), last_bit="quantile_") == []
        assert found.num_rows < everybody
        assert some is None or bool(found.num_rows) is some


@pytest.mark.parametrize("name", FEATURES)
def test_every_kind_of_definition_is_answered_but_vectors(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A new one that is not would be slower than it could be, and nobody would see it."""
    table = Table(LOG, cm.FeatureSet(FEATURES[name]), CUTOFF)
    text = table.text(CUTOFF)
    known = program_of(text)
    assert known is not None
    assert answers_all(text, known) == (name not in LEFT)
    # What is answered is answered without a table of events: nothing in the values was unknown either.
    assert created(monkeypatch, table)[1] == (name in LEFT)


# How the events come: as the engine sorts them, as Arrow reads them, or from the files of a prepared log.
WAYS = ("engine", "Arrow", "prepared")


def by_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the engine read the events, as it does a CSV file."""

    def unknown(*_: object) -> None:
        raise Unknown("a log that Arrow does not read")

    monkeypatch.setattr(kept, "Reading", unknown)


def log_in(monkeypatch: pytest.MonkeyPatch, way: str, folder: Path) -> cm.InteractionLog:
    """A log whose events come in one of the ways."""
    if way == "engine":
        by_the_engine(monkeypatch)
    return log_of(ROWS).prepare(folder, buckets=3) if way == "prepared" else log_of(ROWS)


def asked_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The queries whose events the engine is to read, as they come."""
    asked: list[Any] = []
    original = Engine.stream

    def stream(engine: Engine, query: Any, *, rows: int) -> Iterator[pa.RecordBatch]:
        asked.append(query)
        return original(engine, query, rows=rows)

    monkeypatch.setattr(Engine, "stream", stream)
    return asked


def sliced(monkeypatch: pytest.MonkeyPatch, sizes: Iterator[int]) -> None:
    """Let events come in batches of these sizes, and as many parts as may be."""

    def slices_of(original: Any) -> Any:
        def cut(*asked: Any, **how: Any) -> Iterator[pa.RecordBatch]:
            for batch in original(*asked, **how):
                start = 0
                while start < batch.num_rows:
                    size = next(sizes)
                    yield batch.slice(start, size)
                    start += size

        return cut

    monkeypatch.setattr(Engine, "stream", slices_of(Engine.stream))
    monkeypatch.setattr(kept, "batches_of", slices_of(kept.batches_of))
    monkeypatch.setattr(kept, "whole_customers", lambda events, rows: whole_customers(events, 1))
    monkeypatch.setattr(kept, "Parts", lambda names, rows, size: Parts(names, rows, 20))


@pytest.mark.parametrize("threads", [1, 6])
@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize("way", WAYS)
def test_any_batches_and_threads_give_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str, size: int, threads: int
) -> None:
    log = log_in(monkeypatch, way, tmp_path)
    monkeypatch.setattr(log.engine, "threads", threads)
    table = Table(log, EACH_IN_UTC, CUTOFF)
    whole = table.arrow()
    sliced(monkeypatch, iter(lambda: size, 0))
    asked = asked_of_the_engine(monkeypatch)
    found, tables = created(monkeypatch, table)
    assert (tables, len(asked)) == (0, way == "engine")
    assert differing(found, whole) == []


@given(
    st.lists(st.integers(0, 4), max_size=30), st.lists(st.integers(1, 9), min_size=30, max_size=30), st.integers(1, 20)
)
def test_batches_hold_whole_customers(steps: list[int], sizes: list[int], rows: int) -> None:
    """Every row once, in its place, and no customer in two of them."""
    customers = np.repeat(np.arange(len(steps)), steps)
    batch = pa.record_batch({"customer_id": customers, "row": np.arange(len(customers))})
    ends = [0, *np.cumsum(sizes), len(customers) + sum(sizes)]
    parts = [batch.slice(start, end - start) for start, end in itertools.pairwise(ends)]
    found = [part.to_pydict() for part in whole_customers(parts, rows)]
    assert sorted(row for part in found for row in part["row"]) == list(range(len(customers)))
    assert all(part["row"] == sorted(part["row"]) for part in found)
    owners = [set(part["customer_id"]) for part in found]
    assert sum(map(len, owners)) == len(set(customers.tolist()))
    assert all(owners)


def test_a_batch_that_is_done_is_let_go_of() -> None:
    """The few rows that wait for others of their customers keep no whole batch in memory."""
    rows, batches = 100_000, 20

    def events() -> Iterator[pa.RecordBatch]:
        for number in range(batches):
            ids = pa.array(range(number * rows, (number + 1) * rows), pa.int64())
            yield pa.record_batch({"customer_id": ids, "row": pc.add(ids, 1)})

    before, most = pa.total_allocated_bytes(), 0
    for batch in whole_customers(events(), rows):
        most = max(most, pa.total_allocated_bytes() - before)
        del batch
    # Two columns of 8 bytes, of one batch that is worked on and one that is read.
    assert most < 3 * 2 * 8 * rows < batches * 2 * 8 * rows


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        (pa.string(), ["", "'", "anna", "ä"]),
        (pa.int8(), [-3, 0, 1, 2]),
        (pa.uint64(), [0, 1, 2**63, 2**64 - 1]),
    ],
    ids=str,
)
def test_customers_of_any_type(monkeypatch: pytest.MonkeyPatch, kind: pa.DataType, ids: list[Any]) -> None:
    rows = pa.table(
        {
            "who": pa.array([each for each in ids for _ in range(3)], kind),
            "at": pa.array([stamp for _ in ids for stamp in (1, 2, 2)], pa.timestamp("s", tz="UTC")),
        }
    )
    table = Table(cm.InteractionLog(rows, customer_id="who", timestamp="at"), cm.FeatureSet([cm.Count()]), CUTOFF)
    found = table.arrow()
    assert found["count"].to_pylist() == [3] * len(ids)
    assert differing(found, alone(monkeypatch, table)) == []


# Where one pass cannot answer -----------------------------------------------------------------------------------


def test_values_that_are_not_known_are_left_to_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The definition is known, a value among the data is not: only what reads it goes to the engine."""
    prices = pa.array([-0.0 if n % 5 == 0 else float(n % 7) for n in range(len(ROWS))])
    log = cm.InteractionLog(
        arrow_table(ROWS).select(["who", "at"]).append_column("price", prices),
        customer_id="who",
        timestamp="at",
    )
    table = Table(log, cm.FeatureSet([cm.Count(), cm.Latest("price"), cm.Gap()]), CUTOFF)
    found, tables = created(monkeypatch, table)
    assert tables == 1
    assert differing(found, alone(monkeypatch, table)) == []


def test_events_out_of_order_are_left_to_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    by_the_engine(monkeypatch)
    table = Table(log_of(ROWS), EACH_BUT_VECTORS, CUTOFF)
    whole = alone(monkeypatch, table)
    # Only that the customers' events follow each other, in order of time, matters; not which customer comes first.
    for order, fine in (("at_us DESC", False), ("customer_id, at_us DESC", False), ("customer_id DESC, at_us", True)):
        monkeypatch.setattr(kept, "sorted_by_customer_and_time", lambda query, order=order: query.order_by(order))
        found, tables = created(monkeypatch, table)
        assert tables == (not fine)
        assert differing(found, whole, last_bit="quantile_") == []


def test_a_prepared_log_is_read_without_a_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    features = cm.FeatureSet([cm.Recency(), cm.Gap(stat="std"), cm.NUnique("item_id"), cm.Latest("plan")])
    log = log_of(ROWS)
    found, tables = created(monkeypatch, Table(log.prepare(tmp_path, buckets=3), features, CUTOFF))
    assert tables == 0
    assert differing(found, alone(monkeypatch, Table(log, features, CUTOFF))) == []


def test_nobody_before_the_cutoff(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(log_of(ROWS), EACH_BUT_VECTORS, (pd.Timestamp("1999-01-01", tz="UTC"),))
    found = table.arrow()
    assert found.num_rows == 0
    assert found.schema == alone(monkeypatch, table).schema


def test_what_was_found_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_of(ROWS)
    Table(log, EACH_BUT_VECTORS, CUTOFF).arrow()
    assert log.engine.arrow("SELECT * FROM duckdb_views() WHERE view_name LIKE 'found%'").num_rows == 0


def test_an_error_while_events_are_read_says_what_to_do() -> None:
    log = log_of([{**row, "amount": 2e12} for row in ROWS[:3]] + ROWS[3:])
    with pytest.raises(cm.DataError, match=r"'amount' has the value 2e\+12, but only values below 1e\+12"):
        cm.build_features(log, [cm.Sum("amount")], CUTOFF[0])
    assert len(cm.build_features(log, [cm.Count()], CUTOFF[0])) > 70  # and the log can still be used


def test_memory_that_runs_out_while_events_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then Arrow passes on what the engine says, as an error of its own."""

    def batches(engine: Engine, query: Any, *, rows: int) -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"customer_id": [1], "at_us": [1]})
        raise OSError("Out of Memory Error: failed to allocate 1.0 MiB\n\nPossible solutions: ...")

    by_the_engine(monkeypatch)
    monkeypatch.setattr(Engine, "batches", batches)
    with pytest.raises(cm.DataError) as caught:
        cm.build_features(log_of(ROWS), [cm.Count()], CUTOFF[0])
    assert str(caught.value) == (
        "the engine ran out of memory: Out of Memory Error: failed to allocate 1.0 MiB. "
        "Give it more with memory_limit='8GB', or build fewer cutoffs at once."
    )


def test_no_batch_waits_for_python_to_look_for_cycles() -> None:
    """Rows know each other: with 10 million events, what is not forgotten took 600 MB."""
    table = Table(log_of(ROWS), EACH_BUT_VECTORS, CUTOFF)
    gc.collect()
    gc.disable()
    try:
        table.arrow()
        assert [each for each in gc.get_objects() if isinstance(each, Rows)] == []
    finally:
        gc.enable()


def test_what_is_forgotten() -> None:
    rows = Rows(np.zeros(3, np.int64), lambda _, name: values_of(pa.array([1, 2, 3])))
    part = rows.remember("part", lambda: rows.take(np.array([0])))
    part.column("", "x")
    rows.forget()
    assert (rows._known, part._known) == ({}, {})


# What of a text is left -----------------------------------------------------------------------------------------


def text_of(*features: Any) -> Text:
    return Table(LOG, cm.FeatureSet(list(features)), CUTOFF).text(CUTOFF)


def test_the_events_that_are_read_have_the_columns_that_are_needed() -> None:
    text = text_of(cm.Count(event_type="view", window="3d"), cm.Sum("amount"))
    known = program_of(text)
    assert known is not None
    query = events_of(text, known)
    assert [each.name for each in query.query.expressions] == [
        "customer_id",
        "at_us",
        "event_type_code",
        "exact_amount",
    ]
    assert query.reads_events


def test_of_a_text_that_is_answered_nothing_is_left_but_the_last_step() -> None:
    text = text_of(cm.Count(), cm.Recency())
    left = left_of(text, "found_1", {"by_customer": {"count": "BIGINT", "recency": "BIGINT"}})
    assert not left.reads_events
    assert left.whole().sql("duckdb") == (
        "WITH streamed AS NOT MATERIALIZED (SELECT customer_id, "
        'CAST("by_customer.count" AS BIGINT) AS "by_customer.count", '
        'CAST("by_customer.recency" AS BIGINT) AS "by_customer.recency" FROM found_1) '
        "SELECT streamed.customer_id, CAST('2024-03-10 12:00:00' AS TIMESTAMP) AS as_of, "
        'COALESCE("streamed"."by_customer.count", 0) AS count, '
        'CAST("streamed"."by_customer.recency" AS DOUBLE) / 86400000000 AS recency '
        "FROM streamed ORDER BY streamed.customer_id"
    )


def test_several_cutoffs_keep_the_events_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert created(monkeypatch, Table(log_of(ROWS), EACH_BUT_VECTORS, TWELVE[:3]))[1] == 1


def test_a_range_of_a_log_is_read_from_its_table() -> None:
    assert Share(0, 2).is_range
    assert not Share(0, 1).is_range
    assert not Share(0, 2, files=(Path("bucket-0000.parquet"),)).is_range

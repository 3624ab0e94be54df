"""The same events give the same table, to the last bit: in any order, from any source, with any number of threads."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import crmml as cm
from tests.features.oracle_rows import DAY, duration
from tests.features.strategies import EPOCH, ROLES, anchored, arrow_table, random_rows, stamp

CUTOFFS = [EPOCH + n * DAY // 2 for n in range(12)]
FEATURES = cm.FeatureSet(
    [
        *(cm.Recency(window=window) for window in (None, "3d")),
        *(cm.Tenure(event_type=kind) for kind in ("purchase", "view")),
        *(cm.Count(event_type="purchase", window=window) for window in (None, "1w", "45s")),
        *(cm.Sum("amount", event_type=kind, window="1w") for kind in ("purchase", "view")),
        cm.Sum("quantity", channel="web"),
        *(cm.DecayedSum("amount", half_life=half_life) for half_life in ("90m", "3d")),
        *(verb("amount", where={"plan": ["gold", "free"]}) for verb in (cm.Mean, cm.Min, cm.Max, cm.Std)),
        *(cm.NUnique(column, window="1w") for column in ("item_id", "channel", "amount", "quantity")),
        *(cm.Gap(stat=stat, window=window) for stat in ("mean", "std") for window in (None, "1w")),
        cm.Share(event_type="purchase", channel="web"),
        *(cm.Trend(column, window="1w", periods=7) for column in (None, "amount")),
        *(cm.Latest(column) for column in ("plan", "item_id", "amount", "quantity", "event_type")),
    ]
)


@pytest.fixture(scope="module")
def events() -> pa.Table:
    """A thousand events of 150 customers, many of them simultaneous."""
    return arrow_table(anchored(random_rows(Random(3), CUTOFFS[:3], customers=150, events=12)))


def table(source: Any, cutoffs: list[int] = CUTOFFS, **settings: Any) -> pd.DataFrame:
    log = cm.InteractionLog(source, **ROLES, **settings)
    return cm.build_features(log, FEATURES, [stamp(cutoff) for cutoff in cutoffs])


@pytest.fixture(scope="module")
def expected(events: pa.Table) -> pd.DataFrame:
    built = table(events)
    assert len(built) > 1000
    assert not built.index.has_duplicates
    assert built.index.is_monotonic_increasing
    return built


def assert_same(actual: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(actual, expected, check_exact=True)


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_rows(events: pa.Table, expected: pd.DataFrame, seed: int) -> None:
    order = list(range(events.num_rows))
    Random(seed).shuffle(order)
    assert_same(table(events.take(order)), expected)


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_any_number_of_threads(events: pa.Table, expected: pd.DataFrame, threads: int) -> None:
    assert_same(table(events, threads=threads), expected)


def parquet(events: pa.Table, folder: Path) -> Any:
    pq.write_table(events, folder / "events.parquet", row_group_size=100)
    return folder / "events.parquet"


def several_files(events: pa.Table, folder: Path) -> Any:
    """Five files of unequal length, one of them with its columns in another order, read by a glob."""
    bounds = [0, 1, 700, 701, 1500, events.num_rows]
    for number, (start, end) in enumerate(pairwise(bounds)):
        part = events.slice(start, end - start)
        part = part.select(part.column_names[::-1]) if number == 2 else part
        pq.write_table(part, folder / f"part-{number}.parquet")
    return str(folder / "part-*.parquet")


def csv(events: pa.Table, folder: Path) -> Any:
    pyarrow.csv.write_csv(events, folder / "events.csv")
    return folder / "events.csv"


def without_empty_texts(events: pa.Table) -> pa.Table:
    """A CSV file has one spelling for an empty text and a missing value, so here the empty ones are missing."""
    for number, field in enumerate(events.schema):
        if pa.types.is_string(field.type):
            values = pc.if_else(pc.equal(events.column(number), ""), None, events.column(number))
            events = events.set_column(number, field, values)
    return events


SOURCES: dict[str, Callable[[pa.Table, Path], Any]] = {
    "pandas": lambda events, folder: events.to_pandas(),
    "pandas with Arrow types": lambda events, folder: events.to_pandas(types_mapper=pd.ArrowDtype),
    "polars": lambda events, folder: pl.from_arrow(events),
    "polars lazy": lambda events, folder: pl.from_arrow(events).lazy(),
    "a DuckDB relation": lambda events, folder: duckdb.from_arrow(events),
    "Parquet": parquet,
    "several files": several_files,
}


@pytest.mark.parametrize("source", SOURCES)
def test_any_source(events: pa.Table, expected: pd.DataFrame, tmp_path: Path, source: str) -> None:
    assert_same(table(SOURCES[source](events, tmp_path)), expected)


def test_csv(events: pa.Table, tmp_path: Path) -> None:
    plain = without_empty_texts(events)
    assert_same(table(csv(plain, tmp_path)), table(plain))


def test_nanoseconds_are_the_same_times(events: pa.Table, expected: pd.DataFrame) -> None:
    finer = events.set_column(1, "at", events["at"].cast(pa.timestamp("ns", tz="UTC")))
    assert_same(table(finer), expected)


def test_another_zone_is_the_same_moment(events: pa.Table, expected: pd.DataFrame) -> None:
    elsewhere = events.set_column(1, "at", events["at"].cast(pa.timestamp("us", tz="Asia/Kolkata")))
    assert_same(table(elsewhere), expected)


def test_one_cutoff_or_twelve_at_once(events: pa.Table, expected: pd.DataFrame) -> None:
    alone = [table(events, [cutoff]) for cutoff in CUTOFFS]
    assert_same(pd.concat(alone).sort_index(), expected)


def test_cutoffs_in_any_order(events: pa.Table, expected: pd.DataFrame) -> None:
    assert_same(table(events, CUTOFFS[::-1]), expected)


def test_features_built_together_or_alone(events: pa.Table, expected: pd.DataFrame) -> None:
    log = cm.InteractionLog(events, **ROLES)
    for feature in FEATURES:
        alone = cm.build_features(log, [feature], stamp(CUTOFFS[-1]))
        together = expected.xs(stamp(CUTOFFS[-1]), level="as_of", drop_level=False)[[feature.name]]
        assert_same(alone, together)


def test_the_population_picks_rows_and_changes_none(events: pa.Table, expected: pd.DataFrame) -> None:
    population = cm.Population(event_type="purchase", active_within="1w")
    log = cm.InteractionLog(events, **ROLES)
    at = [stamp(cutoff) for cutoff in CUTOFFS]
    picked = cm.build_features(log, FEATURES, at, population=population)
    assert 0 < len(picked) < len(expected)
    assert duration("1w") == 7 * DAY
    assert_same(picked, expected[expected["count_purchase_1w"] > 0])

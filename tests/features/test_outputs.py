"""The ways out of a table: pandas, polars, Arrow, DuckDB and Parquet hold the same; 32 bits; dictionaries."""

import json
import struct
import sys
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import crmml as cm
from tests.features.oracle_rows import DAY
from tests.features.same_bits import differing
from tests.features.strategies import EPOCH, PLANS, anchored, log_of, random_rows, stamp

MOMENTS = [stamp(EPOCH), stamp(EPOCH + DAY)]
# A double, a whole number, one with missing values, a text with missing values.
FEATURES = cm.FeatureSet([cm.Recency(), cm.Count(event_type="purchase"), cm.Gap(), cm.Latest("plan")])
LOG = log_of(anchored(random_rows(Random(6), [EPOCH], customers=40, events=6)))
DICTIONARY = {"latest_plan": sorted(PLANS)}
SORTED = [("customer_id", "ascending"), ("as_of", "ascending")]


def built(**settings: Any) -> Any:
    return cm.build_features(LOG, FEATURES, MOMENTS, **settings)


@pytest.fixture(scope="module")
def arrow() -> pa.Table:
    return built(to="arrow")


# The same values and types --------------------------------------------------------------------------------------


def test_the_types_of_a_table(arrow: pa.Table) -> None:
    assert {field.name: str(field.type) for field in arrow.schema} == {
        "customer_id": "int64",
        "as_of": "timestamp[us, tz=UTC]",
        "recency": "double",
        "count_purchase": "int64",
        "gap_mean": "double",
        "latest_plan": "string",
    }
    keys = list(zip(arrow["customer_id"].to_pylist(), arrow["as_of"].to_pylist(), strict=True))
    assert keys == sorted(set(keys))
    assert {moment for _, moment in keys} == {moment.to_pydatetime() for moment in MOMENTS}
    assert arrow["count_purchase"].null_count == 0 < arrow["gap_mean"].null_count


def test_pandas_holds_the_same(arrow: pa.Table) -> None:
    frame = built()
    assert frame.index.names == ["customer_id", "as_of"]
    assert str(frame.index.dtypes["as_of"]) == "datetime64[us, UTC]"
    back = pa.Table.from_pandas(frame.reset_index(), preserve_index=False).replace_schema_metadata()
    assert differing(back.cast(arrow.schema), arrow) == []
    assert [frame[name].dtype.kind for name in ("recency", "count_purchase", "gap_mean")] == ["f", "i", "f"]


def test_polars_holds_the_same(arrow: pa.Table) -> None:
    frame = built(to="polars")
    assert isinstance(frame, pl.DataFrame)
    assert frame.schema == {
        "customer_id": pl.Int64,
        "as_of": pl.Datetime("us", "UTC"),
        "recency": pl.Float64,
        "count_purchase": pl.Int64,
        "gap_mean": pl.Float64,
        "latest_plan": pl.String,
    }
    assert differing(frame.to_arrow().cast(arrow.schema), arrow) == []


def test_a_relation_holds_the_same(arrow: pa.Table) -> None:
    relation = built(to="relation")
    assert isinstance(relation, duckdb.DuckDBPyRelation)
    assert [str(kind) for kind in relation.types] == [
        *("BIGINT", "TIMESTAMP WITH TIME ZONE", "DOUBLE", "BIGINT", "DOUBLE", "VARCHAR"),
    ]
    assert differing(relation.to_arrow_table().cast(arrow.schema).sort_by(SORTED), arrow) == []
    assert relation.aggregate("max(count_purchase)").fetchall() == [(max(arrow["count_purchase"].to_pylist()),)]


def test_parquet_holds_the_same_for_every_reader(arrow: pa.Table, tmp_path: Path) -> None:
    folder = built(out=tmp_path / "features")
    assert folder == tmp_path / "features"
    read = {
        "pyarrow": pq.read_table(folder),
        "pandas": pa.Table.from_pandas(pd.read_parquet(folder), preserve_index=False),
        "polars": pl.read_parquet(folder / "*/*.parquet").to_arrow(),
        "duckdb": duckdb.sql(f"SELECT * FROM '{folder}/*/*.parquet'").to_arrow_table(),
    }
    for reader, table in read.items():
        found = table.replace_schema_metadata().cast(arrow.schema).sort_by(SORTED)
        assert differing(found, arrow) == [], reader
    assert sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()) == [
        ".lock",
        "2024-03-10/part-00000.parquet",
        "2024-03-11/part-00000.parquet",
        "_features.json",
    ]
    state = json.loads((folder / "_features.json").read_bytes())
    assert (state["complete"], state["shares"]) == (True, 1)
    assert sum(state["rows"].values()) == arrow.num_rows


def test_cutoffs_a_microsecond_apart_have_folders_of_their_own(tmp_path: Path) -> None:
    moments = [stamp(EPOCH), stamp(EPOCH + 1), stamp(EPOCH + 3_600_000_000)]
    folder = cm.build_features(LOG, FEATURES, moments, out=tmp_path)
    assert sorted(part.name for part in folder.iterdir() if part.is_dir()) == [
        *("2024-03-10", "2024-03-10T000000.000001", "2024-03-10T010000"),
    ]
    whole = cm.build_features(LOG, FEATURES, moments, to="arrow")
    assert differing(pq.read_table(folder).replace_schema_metadata().sort_by(SORTED), whole) == []


def test_another_way_out_is_refused() -> None:
    with pytest.raises(cm.ConfigError) as caught:
        built(to="panda")
    assert str(caught.value) == (
        "to: 'panda' is not one of pandas, polars, arrow, relation. Did you mean 'pandas'? Use to='pandas'."
    )


def test_polars_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    monkeypatch.setattr("crmml.data.engine.Engine.arrow", lambda *_: pytest.fail("the log was read"))
    with pytest.raises(cm.MissingExtraError) as caught:
        built(to="polars")
    assert str(caught.value) == (
        "build_features(to='polars') needs the package 'polars'. Install it with: pip install \"crmml[polars]\""
    )


# 32 bits --------------------------------------------------------------------------------------------------------


def test_real_numbers_in_32_bits_are_the_nearest_ones(arrow: pa.Table) -> None:
    half = built(float32=True, to="arrow")
    assert {field.name: str(field.type) for field in half.schema} == {
        **{field.name: str(field.type) for field in arrow.schema},
        "recency": "float",
        "gap_mean": "float",
    }
    for name in ("recency", "gap_mean"):
        nearest = [value and struct.unpack("f", struct.pack("f", value))[0] for value in arrow[name].to_pylist()]
        assert half[name].to_pylist() == nearest
    others = ["customer_id", "as_of", "count_purchase", "latest_plan"]
    assert differing(half.select(others), arrow.select(others)) == []


def test_32_bits_in_every_way_out(tmp_path: Path) -> None:
    assert str(built(float32=True)["gap_mean"].dtype) == "float32"
    assert built(float32=True, to="polars").schema["gap_mean"] == pl.Float32
    assert str(built(float32=True, to="relation").types[4]) == "FLOAT"
    assert (
        str(pq.read_schema(next(built(float32=True, out=tmp_path).glob("*/*.parquet"))).field("recency").type)
        == "float"
    )


# Dictionaries ---------------------------------------------------------------------------------------------------


def test_a_text_has_the_same_number_whatever_else_occurs(arrow: pa.Table) -> None:
    """The number is the place in the dictionary, in every piece and every way out."""
    places = {text: number for number, text in enumerate(DICTIONARY["latest_plan"])}
    expected = [places.get(text, -1) for text in arrow["latest_plan"].to_pylist()]
    assert len(set(expected)) == len(PLANS) + 1  # every plan, and none
    column = built(categories=DICTIONARY, to="arrow")["latest_plan"]
    assert str(column.type) == "dictionary<values=string, indices=int32, ordered=0>"
    numbers = [number for chunk in column.chunks for number in chunk.indices.to_pylist()]
    assert [-1 if number is None else number for number in numbers] == expected
    codes = built(categories=DICTIONARY)["latest_plan"].cat
    assert (codes.categories.tolist(), codes.codes.tolist()) == (DICTIONARY["latest_plan"], expected)
    series = built(categories=DICTIONARY, to="polars")["latest_plan"]
    assert series.dtype == pl.Enum(DICTIONARY["latest_plan"])
    assert series.to_physical().fill_null(99).to_list() == [99 if number < 0 else number for number in expected]


def test_parquet_keeps_the_dictionary(tmp_path: Path) -> None:
    backwards = {"latest_plan": [*DICTIONARY["latest_plan"][::-1], "never seen"]}
    folder = built(categories=backwards, out=tmp_path)
    for reader in (folder, folder / "2024-03-10", folder / "2024-03-11" / "part-00000.parquet"):
        column = pd.read_parquet(reader)["latest_plan"]
        assert column.cat.categories.tolist() == backwards["latest_plan"]
    texts = duckdb.sql(f"SELECT DISTINCT latest_plan FROM '{folder}/*/*.parquet'").fetchall()
    assert {text for (text,) in texts} == {None, *PLANS}


def test_a_text_that_the_dictionary_lacks_is_missing(arrow: pa.Table) -> None:
    column = built(categories={"latest_plan": ["gold", "platinum"]}, to="arrow")["latest_plan"]
    assert column.to_pylist() == [text if text == "gold" else None for text in arrow["latest_plan"].to_pylist()]
    none = built(categories={"latest_plan": []}, to="arrow")["latest_plan"]
    assert none.null_count == len(none)


def test_the_dictionary_of_a_table_is_that_of_the_next(arrow: pa.Table) -> None:
    assert cm.categories_of(arrow) == cm.categories_of(built()) == DICTIONARY
    first = built(categories=cm.categories_of(built()))
    # Of other cutoffs, where not every text occurs.
    other = cm.build_features(LOG, FEATURES, stamp(EPOCH - 3 * DAY), categories=DICTIONARY)
    assert first["latest_plan"].dtype == other["latest_plan"].dtype
    assert cm.categories_of(cm.build_features(LOG, [cm.Count()], MOMENTS)) == {}


def test_evil_texts_in_a_dictionary() -> None:
    evil = ["o'brien", '"', "", "NULL", "购买", "x" * 10_000, "'; DROP TABLE log; --", "line\nbreak"]
    rows = [{"who": n, "at": pd.Timestamp("2024-01-01"), "plan": text} for n, text in enumerate(evil)]
    log = cm.InteractionLog(pd.DataFrame(rows), customer_id="who", timestamp="at", timezone="UTC")
    table = cm.build_features(log, [cm.Latest("plan")], "2024-01-02", categories={"latest_plan": evil[::-1]})
    assert table["latest_plan"].cat.codes.tolist() == list(range(len(evil)))[::-1]
    assert table["latest_plan"].tolist() == evil


CATEGORIES: dict[str, tuple[Any, str]] = {
    "no mapping": (
        ["latest_plan"],
        "categories: must be a mapping of columns to lists of texts, not ['latest_plan']. "
        "Use {'latest_plan': ['free', 'gold']}.",
    ),
    "a column that is not there": (
        {"latest_pln": ["gold"]},
        "categories: the table has no column 'latest_pln'. Did you mean 'latest_plan'? "
        "It has: recency, count_purchase, gap_mean, latest_plan.",
    ),
    "a key": (
        {"customer_id": ["anna"]},
        "categories: the table has no column 'customer_id'. It has: recency, count_purchase, gap_mean, latest_plan.",
    ),
    "no text": (
        {"count_purchase": ["1"]},
        "categories: the column 'count_purchase' is int64, not text. Leave it out of the categories.",
    ),
    "a text alone": (
        {"latest_plan": "gold"},
        "categories: 'latest_plan' must be a list of texts, not 'gold'. Use {'latest_plan': ['free', 'gold']}.",
    ),
    "no list": (
        {"latest_plan": 3},
        "categories: 'latest_plan' must be a list of texts, not 3. Use {'latest_plan': ['free', 'gold']}.",
    ),
    "numbers": (
        {"latest_plan": [1, 2]},
        "categories: 'latest_plan' must be a list of texts, not [1, 2]. Use {'latest_plan': ['free', 'gold']}.",
    ),
    "something without order": (
        {"latest_plan": {"gold"}},
        "categories: 'latest_plan' must be a list of texts, not {'gold'}. Use {'latest_plan': ['free', 'gold']}.",
    ),
    "numbers of its own": (
        {"latest_plan": {"gold": 7}},
        "categories: 'latest_plan' must be a list of texts, not {'gold': 7}. Use {'latest_plan': ['free', 'gold']}.",
    ),
    "a text twice": (
        {"latest_plan": ["gold", "free", "gold"]},
        "categories: 'latest_plan' lists 'gold' twice. Leave one of them out.",
    ),
    "half a character": (
        {"latest_plan": ["\ud800"]},
        "the text '\\ud800' contains half a character, which UTF-8 cannot hold. Remove it.",
    ),
}


@pytest.mark.parametrize("case", CATEGORIES)
def test_categories_that_cannot_be(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    categories, message = CATEGORIES[case]
    # Before anything is built: not one event is read.
    monkeypatch.setattr("crmml.data.engine.Engine.create_table", lambda *_: pytest.fail("the log was read"))
    for settings in ({}, {"out": tmp_path / "features"}):
        with pytest.raises(cm.ConfigError) as caught:
            built(categories=categories, **settings)
        assert str(caught.value) == message

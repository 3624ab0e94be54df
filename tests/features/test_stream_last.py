"""The last expressions of a table: worked out here as the engine works them out, to the last bit and the type."""

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

import crmml as cm
from crmml.data.engine import DIALECT, Engine
from crmml.features import kept
from crmml.features.plan import BY_CUSTOMER, Text
from crmml.features.stream import wide
from crmml.features.stream.columns import Answer
from crmml.features.stream.last import finished
from crmml.features.stream.left import left_of
from crmml.features.stream.rows import Total, Unknown, Vector
from crmml.features.table import Table
from tests.features.same_bits import differing
from tests.features.strategies import log_of
from tests.features.test_golden_sql import FEATURES
from tests.features.test_plan import ROWS
from tests.features.test_stream import CUTOFF, LEFT

# What one pass finds: counts, sums, ages, doubles and texts, as narrow as they are.
TYPES = {
    "n": "BIGINT",
    "few": "BIGINT",
    "age_us": "BIGINT",
    "units": "HUGEINT",
    "squared_us": "HUGEINT",
    "spent": "DECIMAL(38, 6)",
    "squares": "DECIMAL(38, 12)",
    "wide": "DECIMAL(38, 6)",
    "least": "DECIMAL(18, 6)",
    "middle": "DOUBLE",
    "word": "VARCHAR",
}
COUNTS = st.one_of(st.none(), st.sampled_from([0, 1, 2, 3, 17, 1000, 70_000]))
LONG = st.one_of(st.none(), st.sampled_from([0, 1, -1, 2**53, 2**53 + 1, 2**62]), st.integers(-(10**17), 10**17))
SQUARES = st.one_of(st.none(), st.integers(0, 10**20), st.integers(0, 10**26))
WIDE = st.one_of(st.none(), st.sampled_from([2**64, -(2**64), 2**63, -(2**63)]), st.integers(-(10**28), 10**28))


def _decimals(values: list[Any], scale: int, kind: pa.DataType) -> pa.Array:
    return pa.array([None if each is None else Decimal(each).scaleb(-scale) for each in values], kind)


def answer(rows: list[tuple[Any, ...]]) -> Answer:
    """Customers with what was found of them."""
    n, few, age, units, squared, spent, squares, large, middle, word = (list(each) for each in zip(*rows, strict=True))
    columns = {
        "n": pa.array(n, pa.int32()),
        "few": pa.array(few, pa.int32()),
        "age_us": pa.array(age, pa.int64()),
        "units": pa.array(units, pa.int64()),
        "squared_us": _decimals(squared, 0, pa.decimal128(38, 0)),
        "spent": _decimals(spent, 6, pa.decimal64(18, 6)),
        "squares": _decimals(squares, 12, pa.decimal128(38, 12)),
        "wide": _decimals(large, 6, pa.decimal128(38, 6)),
        "least": _decimals(spent, 6, pa.decimal64(18, 6)),
        "middle": pa.array(middle, pa.float64()),
        "word": pa.array(word, pa.string()),
    }
    assert list(columns) == list(TYPES)
    ids = {"customer_id": pa.array(np.arange(len(rows)))}
    table = pa.table(ids | {f"by_customer.{name}": each for name, each in columns.items()})
    return Answer(table, {BY_CUSTOMER: TYPES}, True)


PRODUCTS = st.integers(-(10**15), 10**15)
CUSTOMERS = st.lists(
    st.tuples(
        COUNTS,
        COUNTS,
        LONG,
        LONG,
        SQUARES,
        st.one_of(st.none(), PRODUCTS),
        SQUARES,
        WIDE,
        st.one_of(st.none(), st.floats(-1e9, 1e9)),
        st.sampled_from([None, "", "web", "Straße"]),
    ),
    min_size=1,
    max_size=20,
)


def query_of(*texts: str) -> exp.Select:
    """The last query of a text that selects these expressions of `by_customer`."""
    parsed = [sqlglot.parse_one(text, dialect=DIALECT) for text in texts]
    for column in (each for node in parsed for each in node.find_all(exp.Column)):
        column.set("table", exp.to_identifier(BY_CUSTOMER))
        column.this.set("quoted", True)
    named = [exp.alias_(node, f"c{place}", quoted=True) for place, node in enumerate(parsed)]
    return exp.select(exp.column("customer_id", table=BY_CUSTOMER), *named).from_(BY_CUSTOMER)


def by_the_engine(query: exp.Select, found: Answer) -> pa.Table:
    """What the engine makes of the same."""
    engine = Engine()
    engine.register("found", found.table)
    return engine.arrow(left_of(Text([], query), "found", found.types).whole())


KNOWN = [
    "n",
    "COALESCE(n, 0)",
    "n - COALESCE(few, 0)",
    "COALESCE(n - few, 0)",
    "GREATEST(few, 1)",
    "GREATEST(n, few)",
    "ABS(few - n)",
    "COALESCE(CASE WHEN (age_us - 1) // 2592000000000 <= 2 THEN n + few END, 0)",
    "CASE WHEN n > few THEN n ELSE 0 END",
    "NULLIF(n, 0)",
    "CAST(n AS BIGINT)",
    "middle",
    "CAST(n AS DOUBLE)",
    "CAST(age_us AS DOUBLE) / 86400000000",
    "CAST(units AS DOUBLE)",
    "CAST(COALESCE(units, 0) AS DOUBLE)",
    "CAST(spent AS DOUBLE)",
    "CAST(least AS DOUBLE)",
    "CAST(COALESCE(spent, 0) AS DOUBLE)",
    "CAST(COALESCE(spent, 0) - COALESCE(least, 0) AS DOUBLE)",
    "CAST(spent AS DOUBLE) / NULLIF(n, 0)",
    "CAST(spent AS DOUBLE) / NULLIF(spent, 0)",
    "CAST(n AS DOUBLE) / NULLIF(CAST(n AS DOUBLE) * (n - 1), 0)",
    "CAST(COALESCE(n, 0) AS DOUBLE) * 6 / 210",
    "CASE WHEN n > few THEN LN(CAST(n AS DOUBLE)) - middle / NULLIF(n, 0) ELSE middle END",
    "CAST(n AS DOUBLE) + middle",
    "SQRT(CAST(n AS DOUBLE)) / 7",
    "CAST(wide AS DOUBLE)",
    "CAST(COALESCE(wide, 0) AS DOUBLE)",
    "CAST(squared_us AS DOUBLE)",
    "CAST(squares AS DOUBLE)",
    "CAST(n * squared_us - units * units AS DOUBLE)",
    "CAST(n * squares - spent * spent AS DOUBLE)",
    "CAST('2024-06-01 00:00:00.000001' AS TIMESTAMP)",
    "word",
]


@given(rows=CUSTOMERS)
def test_columns_are_those_of_the_engine(rows: list[tuple[Any, ...]]) -> None:
    """With bits and types; what is not known, the engine is asked for, so that nothing is ever wrong."""
    found, query = answer(rows), query_of(*KNOWN)
    columns = finished(query, found)
    assert len(columns) > len(KNOWN) / 2
    assert differing(pa.table(columns), by_the_engine(query, found).select(list(columns))) == []


@pytest.mark.parametrize("text", KNOWN)
def test_what_is_known(text: str) -> None:
    found, query = answer([(5, 3, 10**12, 70, 10**25, 12_345_678, 10**22, -(2**70), 0.5, "web")] * 3), query_of(text)
    assert set(finished(query, found)) == {"customer_id", "c0"}


@pytest.mark.parametrize(
    "text",
    [
        "units",  # HUGEINT
        "spent",
        "COALESCE(units, 0)",
        "1",
        "CASE WHEN n > 0 THEN 1 ELSE 0 END",  # INTEGER
        "CAST(n AS INT)",
        "COALESCE(n, 0.5)",
        "CAST(n AS DOUBLE) / (few - few)",
        "SQRT(CAST(0 - n AS DOUBLE))",
        "LN(CAST(n - n AS DOUBLE))",
        "GREATEST(n, few, 3)",
        "GREATEST(middle, middle)",
        "NULLIF(n, few)",
        "UPPER(word)",
        "COALESCE(word, 'none')",
        "CAST(squares * squares AS DOUBLE)",
        "CAST(n * wide AS DOUBLE)",
        "middle * 1e308 * 1e308",
    ],
)
def test_what_is_not_known_is_left_to_the_engine(text: str) -> None:
    found = answer([(5, 3, 10**12, 70, 10**25, 12_345_678, 10**22, 2**100, 0.5, "web")])
    assert set(finished(query_of(text), found)) == {"customer_id"}


@pytest.mark.parametrize(
    "change",
    [
        lambda query: query.where("by_customer.n > 1"),
        lambda query: query.limit(1),
        lambda query: query.distinct(),
        lambda query: query.from_("population"),
        lambda query: query.join("pairs_1", using=["customer_id"], join_type="left"),
    ],
)
def test_a_table_with_other_rows_is_the_engines(change: Any) -> None:
    found = answer([(5, 3, 10**12, 70, 10**25, 12_345_678, 10**22, 2**100, 0.5, "web")])
    assert finished(change(query_of("n")), found) == {}


@pytest.mark.parametrize("kind", [pa.int16(), pa.float64(), pa.large_string(), pa.decimal128(20, 0)])
def test_ids_of_other_types_are_the_engines(kind: pa.DataType) -> None:
    found = answer([(5, 3, 10**12, 70, 10**25, 12_345_678, 10**22, 2**100, 0.5, "web")])
    other = Answer(found.table.set_column(0, "customer_id", pa.array([1]).cast(kind)), found.types, True)
    assert set(finished(query_of("n"), other)) == {"c0"}


# Around where doubles get further apart, and where a number needs its upper half.
POWERS = [sign * 2**power for power in (53, 54, 63, 64, 65, 90) for sign in (1, -1)]
WIDE_WHOLES = st.one_of(
    st.builds(int.__add__, st.sampled_from(POWERS), st.integers(-3, 3)), st.integers(-(2**100), 2**100)
)


def total(values: list[int], scale: int = 0) -> Total:
    """Whole numbers of 128 bits."""
    high, low = [each >> 64 for each in values], [each & (2**64 - 1) for each in values]
    return Total(np.array(high, np.int64), np.array(low, np.uint64), None, scale)


def whole(found: Total) -> list[int]:
    """What they are, as Python has them."""
    return [(int(high) << 64) + int(low) for high, low in zip(found.high, found.low, strict=True)]


@given(st.lists(WIDE_WHOLES, min_size=1), st.sampled_from([0, 6, 12, 18]))
def test_wide_numbers_are_the_doubles_of_the_engine(values: list[int], scale: int) -> None:
    engine = Engine()
    engine.register("t", pa.table({"x": _decimals(values, scale, pa.decimal128(38, scale))}))
    kind = "HUGEINT" if scale == 0 else f"DECIMAL(38, {scale})"
    asked = engine.arrow(f"SELECT CAST(CAST(x AS {kind}) AS DOUBLE) AS x FROM t")["x"].to_numpy()
    assert wide.as_double(total(values, scale)).data.tolist() == asked.tolist()


@given(
    st.lists(
        st.tuples(st.integers(-(2**31) + 1, 2**31 - 1), st.integers(-(2**60), 2**60), st.integers(-(2**90), 2**90)),
        min_size=1,
    )
)
def test_products_and_differences_are_exact(rows: list[tuple[int, int, int]]) -> None:
    n, other, large = (list(each) for each in zip(*rows, strict=True))
    one, two, three = Vector(np.array(n)), Vector(np.array(other)), total(large)
    assert whole(wide.product(one, three)) == [a * c for a, _, c in rows]
    assert whole(wide.product(two, two)) == [b * b for _, b, _ in rows]
    both = wide.difference(wide.product(one, three), wide.product(two, two))
    assert whole(both) == [a * c - b * b for a, b, c in rows]
    assert whole(wide.difference(three, two)) == [c - b for _, b, c in rows]


def test_what_is_too_wide_is_not_known() -> None:
    few, many = Vector(np.array([2**31])), Vector(np.array([2**62]))
    for left, right in ((few, total([2**64])), (Vector(np.array([1])), total([2**96])), (many, many)):
        with pytest.raises(Unknown):
            wide.product(left, right)
    with pytest.raises(Unknown, match="places behind the point"):
        wide.difference(total([1], scale=6), total([1]))


# The amounts of a shop: the deviation of very large ones is the engine's.
SHOP = log_of([{**row, "amount": row["amount"] and row["amount"] % 1000} for row in ROWS])
# What no log decides is left to the engine.
BY_THE_ENGINE = {"CutoffCalendar"}


@pytest.mark.parametrize("name", sorted(FEATURES.keys() - LEFT))
def test_every_kind_of_definition_is_finished_here(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A new one that is not would be slower than it could be, and nobody would see it."""
    unknown: list[str] = []

    def noted(query: exp.Select, found: Answer) -> dict[str, pa.Array]:
        columns = finished(query, found)
        unknown.extend(each.alias_or_name for each in query.expressions if each.alias_or_name not in columns)
        return columns

    monkeypatch.setattr(kept, "finished", noted)
    Table(SHOP, cm.FeatureSet(FEATURES[name]), CUTOFF).arrow()
    assert bool(unknown) == (name in BY_THE_ENGINE)

"""What a stream works out of rows and runs is what the engine says of the same SQL, to the last bit."""

import math
from decimal import Decimal
from random import Random
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp, parse_one

from crmml.features.expressions import case, column, number, oldest_first
from crmml.features.stream.casts import comparable
from crmml.features.stream.columns import Found, column_of, type_of
from crmml.features.stream.folds import fold_of
from crmml.features.stream.groups import grouped
from crmml.features.stream.rows import Moments, Product, Rows, Runs, Unknown, Values, Vector, Words, changes, values_of
from crmml.features.stream.sums import Total
from crmml.features.stream.values import Expressions

RANDOM = Random(7)
CUSTOMERS = sorted(RANDOM.choices(range(40), k=900))
# Whole numbers: small, of 46 bits and more (products of which take 128), below zero, and missing.
WHOLE = [0, 1, -1, 2, 7, -13, 86_400_000_000, 3 * 10**13, -(2**46), 2**46 - 1, 2**61, -(2**61), None]
DIGITS = [Decimal(0), Decimal("0.000001"), Decimal("-250.25"), Decimal("9876543210.500001"), Decimal(10**11), None]
# Doubles: halves of the last place of a decimal, on both sides, and what no decimal of six places holds.
PRICES = [0.5, 5e-7, 1.5e-6, 2.5e-6, -5e-7, 4.9999999e-7, 18.09, -1234567.891, 1e11 + 0.1, 0.1 + 0.2, -0.0, None]
# Microseconds since 1970.
TIMES = [0, 1, -1, 1_700_000_000_000_000, 1_700_000_000_123_457, -86_400_000_001]

# Aggregates of the rows of a window: of every row, of some, of none; of values that are missing or very large.
WINDOWS = [
    "COUNT(CASE WHEN age_us <= 5 THEN 1 END)",
    "COUNT(CASE WHEN flag AND age_us <= 5 THEN 1 END)",
    "COUNT(CASE WHEN age_us <= 5 AND NOT a IS NULL AND flag THEN 1 END)",
    "COUNT(CASE WHEN age_us <= 2592000000000 THEN x END)",
    "SUM(CASE WHEN age_us <= 5 THEN x END)",
    "SUM(CASE WHEN flag AND age_us <= 9 THEN small END)",
    "SUM(CASE WHEN age_us <= 5 AND small > 90 THEN x END)",
    "SUM(CASE WHEN age_us <= 5 THEN a END)",
    "SUM(CASE WHEN age_us <= 5 THEN n END)",
    "SUM(CASE WHEN age_us <= 5 THEN 1 END)",
]
# Those worked out as differences that rows in another order change: not a count of all rows, and no sum of 128 bits.
DIFFERENCES = [*WINDOWS[1:4], WINDOWS[5], WINDOWS[8]]


def table() -> pa.Table:
    """Rows of customers in order of time, the oldest first, with moments that several share."""
    ages = [RANDOM.choice((1, 2, 5, 9, 2_592_000_000_000, 9_000_000_000_000)) for _ in CUSTOMERS]
    pairs = sorted(zip(CUSTOMERS, ages, strict=True), key=lambda pair: (pair[0], -pair[1]))

    def drawn(values: list[Any]) -> list[Any]:
        return RANDOM.choices(values, k=len(pairs))

    return pa.table(
        {
            "row": range(len(pairs)),
            "customer_id": [pair[0] for pair in pairs],
            "age_us": pa.array([pair[1] for pair in pairs], pa.int64()),
            "a": pa.array(drawn(WHOLE), pa.int64()),
            "small": pa.array(drawn([0, 1, 2, 3, 4, -5, None]), pa.int16()),
            "n": pa.array(drawn([1, 2, 3, 17, 5000]), pa.int64()),
            "x": pa.array(drawn(DIGITS), pa.decimal128(18, 6)),
            "flag": pa.array(drawn([True, False, None]), pa.bool_()),
            "word": pa.array(drawn(["web", "", "o'brien", "Straße", "🛒", None]), pa.string()),
            "rate": pa.array(drawn([0.5, -2.25, 1e300, None]), pa.float64()),
            "price": pa.array(drawn(PRICES), pa.float64()),
            "nan": pa.array(drawn([0.5, math.nan, None]), pa.float64(), from_pandas=False),
            "moment": pa.array(drawn(TIMES), pa.timestamp("us")),
            "known": pa.array(drawn([None, *TIMES]), pa.timestamp("us")),
            "zoned": pa.array(drawn(TIMES), pa.timestamp("us", "Europe/Berlin")),
            "second": pa.array(drawn([0, 1_700_000_000, -1, None]), pa.timestamp("s")),
            "milli": pa.array(drawn([0, 1_700_000_000_123, -1]), pa.timestamp("ms")),
            "day": pa.array(drawn([0, 19_800, -1, None]), pa.date32()),
        }
    )


TABLE = table()


def rows() -> Rows:
    """The same rows as a stream has them."""
    batch = TABLE.combine_chunks().to_batches()[0]
    owner = np.unique(TABLE["customer_id"].to_numpy(), return_inverse=True)[1]
    return Rows(owner, lambda _, name: values_of(batch.column(name)))


def listed(values: Values) -> list[Any]:
    """The values of all rows, as Python has them."""
    assert not isinstance(values, Product | Moments)
    if isinstance(values, Words):
        return values.arrow().to_pylist()  # type: ignore[no-any-return]
    size = len(TABLE)
    missing = np.broadcast_to(np.zeros((), bool) if values.missing is None else values.missing, size)
    data = [int(each) if values.data.dtype.kind == "i" else each for each in values.whole(size).tolist()]
    scaled = [Decimal(each).scaleb(-values.scale) if values.scale else each for each in data]
    return [None if gone else each for each, gone in zip(scaled, missing.tolist(), strict=True)]


def arrow(found: Found) -> pa.Array:
    """What was found of all customers, as a column."""
    size = len(found.codes) if isinstance(found, Words) else len(found.low if isinstance(found, Total) else found.data)
    return column_of([np.arange(size)], [found], size)


def asked(text: str, group: str = "") -> list[Any]:
    """What the engine says."""
    connection = duckdb.connect()
    connection.register("t", TABLE)
    order = "customer_id" if group else "row"
    found = connection.sql(f"SELECT {text} AS value FROM t {group} ORDER BY {order}").fetchall()
    return [row[0] for row in found]


@pytest.mark.parametrize(
    "text",
    [
        "flag AND a > 0",
        "flag OR a > 0",
        "NOT (flag AND a IS NULL)",
        "NOT flag OR small <= 2 AND NOT word IS NULL",
        "small IN (1, 3)",
        "NOT small IN (1, 3)",
        "a <> 7",
        "x > 0",
        "x >= 1",
        "rate < rate",
        "CASE WHEN flag THEN a END",
        "CASE WHEN flag THEN word END",
        "CASE WHEN flag THEN small WHEN a > 0 THEN 5 ELSE n END",
        "CASE WHEN flag THEN x END",
        "CASE WHEN a IS NULL THEN flag END",
        "age_us - n + 5 - 2 * small",
        "-(small) // 2",
        "(small - 3) // 2",
        "(age_us - 1) // 2592000000000",
        "CAST(CAST(small AS INT) AS BIGINT)",
        "CAST(x AS DOUBLE)",
        "CAST(a AS DOUBLE)",
        "LN(CAST(n AS DOUBLE))",
        "CAST(age_us AS DOUBLE) / CAST(2592000000000 AS DOUBLE)",
        "POWER(0.5, CAST(age_us AS DOUBLE) / CAST(2592000000000 AS DOUBLE))",
        "CAST(ROUND(POWER(0.5, CAST(n AS DOUBLE) / CAST(7 AS DOUBLE)) * 1000000000000) AS BIGINT)",
        "ROUND(CAST(2 * small + 1 AS DOUBLE) / CAST(2 AS DOUBLE))",
        "x < 0.5",
        "CAST(CAST(n AS DOUBLE) * LN(CAST(n AS DOUBLE)) AS DECIMAL(38, 12))",
        "CAST(price AS DECIMAL(18, 6))",
        "CAST(n AS DECIMAL(18, 6))",
        "CAST(x AS DECIMAL(18, 6))",
        "n % 24",
        "small % 3",
        "COALESCE(small, n)",
        "COALESCE(n, small)",
        "CASE word WHEN 'web' THEN 1 WHEN 'o''brien' THEN 2 WHEN 'web' THEN 3 END",
        "CASE 'web' WHEN 'web' THEN 1 END",
        "CAST('2024-12-31 12:30:00.000001' AS TIMESTAMP)",
        "moment",
        "CAST(zoned AS TIMESTAMPTZ)",
        "CAST(second AS TIMESTAMP)",
        "CAST(milli AS TIMESTAMP)",
        "CAST(day AS TIMESTAMP)",
        "COALESCE(known, moment)",
        "MAKE_TIMESTAMP(EPOCH_US(zoned))",
        "CASE WHEN NOT ISNAN(nan) THEN nan END",
        "ISNAN(nan)",
    ],
)
def test_values_are_those_of_the_engine(text: str) -> None:
    node = parse_one(text, read="duckdb").transform(_as_a_log_writes_it)
    found = Expressions().of(node)(rows())
    if isinstance(found, Moments):
        assert listed(found.us) == asked(f"EPOCH_US({text})")
    else:
        assert listed(found) == asked(text)


def _as_a_log_writes_it(node: exp.Expr) -> exp.Expr:
    """Functions that SQLGlot has names of its own for, by the engine's."""
    if isinstance(node, exp.UnixToTime):
        return exp.Anonymous(this="make_timestamp", expressions=[node.this])
    return node


def before(nth: int) -> exp.Expr:
    """The age of an event before, as definitions write it."""
    return oldest_first(exp.Lag(this=column("age_us"), offset=number(nth)), [column("customer_id")])


def followed(*keys: str) -> exp.Expr:
    """The age of the goal that follows, of the same values, as definitions write it."""
    goal = case([parse_one("small = 1")], column("age_us"))
    order = exp.Order(expressions=[exp.Ordered(this=column("age_us"))])
    divided = [column("customer_id"), *map(column, keys)]
    return exp.Window(this=exp.Max(this=goal), partition_by=divided, order=order)


@pytest.mark.parametrize("node", [before(1), before(3), before(900), followed(), followed("n")], ids=str)
def test_windows_are_those_of_the_engine(node: exp.Expr) -> None:
    """Which of several events of one moment comes first is nobody's choice: the moments have the same values."""
    keys = ["customer_id", "age_us", *(each.name for each in node.args["partition_by"][1:])]
    moments = list(zip(*(TABLE[name].to_pylist() for name in keys), strict=True))

    def by_moment(values: list[Any]) -> list[str]:
        return sorted(str(each) for each in zip(moments, values, strict=True))

    assert by_moment(listed(Expressions().of(node)(rows()))) == by_moment(asked(node.sql("duckdb")))


@pytest.mark.parametrize(
    "text",
    [
        "COUNT(*)",
        "COUNT(a)",
        "COUNT(CASE WHEN flag AND a > 0 THEN 1 END)",
        "MIN(a)",
        "MAX(CASE WHEN small > 90 THEN a END)",
        "MIN(x)",
        "MAX(word)",
        "MIN(CASE WHEN flag THEN word END)",
        "MAX(rate)",
        "SUM(small)",
        "SUM(a)",
        "SUM(x)",
        "SUM(CASE WHEN flag THEN x END)",
        "SUM(CASE WHEN small > 90 THEN x END)",
        "SUM(CAST(age_us AS INT128) * CAST(age_us AS INT128))",
        "SUM(CAST(CASE WHEN a < 0 THEN a END AS INT128) * CAST(age_us AS INT128))",
        "SUM(CAST(x AS DECIMAL(38, 6)) * (5 - 2 * small))",
        "SUM(CAST(x AS DECIMAL(38, 6)) * CAST(age_us AS INT128))",
        "MEDIAN(CAST(small AS DOUBLE))",
        "MEDIAN(CASE WHEN flag THEN CAST(small AS DOUBLE) END)",
        "MEDIAN(CASE WHEN small > 90 THEN CAST(small AS DOUBLE) END)",
        "MEDIAN(CAST(age_us AS DOUBLE))",
        "QUANTILE_CONT(CAST(small AS DOUBLE), 0.25)",
        *WINDOWS,
    ],
)
def test_aggregates_are_those_of_the_engine(text: str) -> None:
    batch = rows()
    found = fold_of(parse_one(text, read="duckdb"), Expressions())(batch, batch.by_customer)
    wanted = asked(text, "GROUP BY customer_id")
    assert arrow(found).to_pylist() == wanted
    # The type is what the engine has, so that what is worked out of it later is the same.
    assert asked(f"TYPEOF({text})", "GROUP BY customer_id")[0].replace(",", ", ") == type_of(found)


@pytest.mark.parametrize("text", WINDOWS)
def test_windows_of_rows_in_no_order_of_time(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Such as rows by item: a window is not the last of a customer's rows there."""
    batch = rows()
    shuffled = batch.take(np.lexsort((np.random.default_rng(5).random(len(batch)), batch.owner)))
    fold = fold_of(parse_one(text, read="duckdb"), Expressions())
    wanted = asked(text, "GROUP BY customer_id")
    assert arrow(fold(shuffled, shuffled.by_customer)).to_pylist() == wanted
    shuffled.forget()
    monkeypatch.setattr(Runs, "never_rise", lambda runs, values: True)
    mutant = arrow(fold(shuffled, shuffled.by_customer)).to_pylist()
    assert (mutant != wanted) == (text in DIFFERENCES)


def test_a_quantile_between_two_values_lies_where_it_is_said_to() -> None:
    """By hand: of 1, 2, 4, 8 the 90 % point is 4 + .7 (8 - 4), up to the rounding of one step."""
    data = pa.table({"customer_id": [1] * 4, "v": [8, 1, 4, 2]}).to_batches()[0]
    batch = Rows(np.zeros(4, np.int64), lambda _, name: values_of(data.column(name)))
    fold = fold_of(parse_one("QUANTILE_CONT(CAST(v AS DOUBLE), 0.9)", read="duckdb"), Expressions())
    assert arrow(fold(batch, batch.by_customer)).to_pylist() == [pytest.approx(6.8, rel=1e-15)]


@pytest.mark.parametrize(("size", "known"), [(2**61, True), (2**62, False), (2**63 - 1, False)])
def test_a_sum_of_too_many_digits_is_left_to_the_engine(size: int, known: bool) -> None:
    """Of 38 digits a sum has fewer than 127 bits; near that the engine adds up, or says that it cannot."""
    data = pa.table({"customer_id": [1] * 2, "v": [size, -size]}).to_batches()[0]
    batch = Rows(np.zeros(2, np.int64), lambda _, name: values_of(data.column(name)))
    fold = fold_of(parse_one("SUM(CAST(v AS INT128) * CAST(v AS INT128))", read="duckdb"), Expressions())
    if known:
        assert arrow(fold(batch, batch.by_customer)).to_pylist() == [2 * size**2]
    else:
        with pytest.raises(Unknown, match="38 digits"):
            fold(batch, batch.by_customer)


def test_no_rows_give_no_runs() -> None:
    none = rows().take(np.zeros(0, np.int64))
    for text in ("COUNT(*)", "SUM(a)", "MIN(x)", "MAX(word)", "MEDIAN(CAST(small AS DOUBLE))"):
        found = fold_of(parse_one(text, read="duckdb"), Expressions())(none, none.by_customer)
        assert arrow(found).to_pylist() == []


@pytest.mark.parametrize(
    "text",
    [
        "word = 'web'",
        "a / 2",
        "a // small",
        "ROUND(rate, 1)",
        "POWER(rate, rate)",
        "rate / rate",
        "CAST(rate AS BIGINT)",
        "small + rate",
        "CASE small WHEN 1 THEN 2 END",
        "CAST(a AS TEXT)",
        "CAST(flag AS DOUBLE)",
        "a * a",
        "x + a",
        "rate + rate",
        "SUM(a) OVER (PARTITION BY customer_id ORDER BY age_us)",
        "LAG(age_us) OVER (ORDER BY age_us DESC)",
        "MAX(CASE WHEN flag THEN age_us END) OVER (PARTITION BY customer_id ORDER BY age_us DESC)",
    ],
)
def test_what_is_not_known_is_said_so(text: str) -> None:
    with pytest.raises(Unknown):
        Expressions().of(parse_one(text, read="duckdb"))(rows())


@pytest.mark.parametrize(
    "text", ["SUM(rate)", "SUM(word)", "MIN(flag)", "MEDIAN(rate)", "STDDEV(a)", "COUNT(DISTINCT a)"]
)
def test_what_is_not_known_of_runs_is_said_so(text: str) -> None:
    with pytest.raises(Unknown):
        fold_of(parse_one(text, read="duckdb"), Expressions())(rows(), rows().by_customer)


def test_columns_whose_order_engines_make_themselves_are_not_known() -> None:
    for value in (float("nan"), -0.0):
        with pytest.raises(Unknown, match="compared as numbers"):
            comparable(values_of(pa.array([1.0, value])))
    with pytest.raises(Unknown, match="a column of time32"):
        values_of(pa.array([1], pa.time32("s")))


def test_the_same_expression_is_worked_out_once() -> None:
    expressions, batch = Expressions(), rows()
    one, two = (expressions.of(parse_one("age_us <= 5 AND flag", read="duckdb")) for _ in range(2))
    assert one is two
    assert one(batch) is two(batch)


def test_where_values_change() -> None:
    assert changes(np.array([3, 3, 4, 4, 4]), np.array([1, 2, 2, 2, 1])).tolist() == [0, 1, 2, 4]
    assert changes(np.array([], np.int64)).tolist() == []


def test_a_number_of_64_bits_is_read_from_a_decimal_wherever_its_column_begins() -> None:
    column = pa.array([Decimal("1.5"), Decimal("-2.25"), None, Decimal("9876543210.500001")], pa.decimal128(18, 6))
    found = values_of(column.slice(1))
    assert not isinstance(found, Words | Product)
    assert found.data[[0, 2]].tolist() == [-2_250_000, 9_876_543_210_500_001]
    assert found.missing is not None
    assert found.missing.tolist() == [False, True, False]


def test_every_kind_of_node_is_a_node_of_sqlglot() -> None:
    """A kind that is renamed there would never be met again."""
    known = Expressions()._makers
    assert all(issubclass(kind, exp.Expr) for kind in known)


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2), st.integers(0, 3)), min_size=1), min_size=1),
    st.integers(1, 3),
)
def test_groups_are_those_of_a_dictionary(customers: list[list[tuple[int, ...]]], keys: int) -> None:
    """Each group once, with its rows in their order: also where a key falls in every group of neighbours alone."""
    rows = [(owner, *codes[:keys]) for owner, each in enumerate(customers) for codes in each]
    owner, *codes = (np.array(each) for each in zip(*rows, strict=True))
    order, runs = grouped(owner, [Vector(code) for code in codes])
    expected: dict[tuple[int, ...], list[int]] = {}
    for place, row in enumerate(rows):
        expected.setdefault(row, []).append(place)
    found = np.split(order, runs.starts[1:])
    assert {rows[each[0]]: each.tolist() for each in found} == expected
    assert len(found) == len(expected)


def test_a_group_that_others_stand_between_is_one() -> None:
    """Where no row follows one of the same plan with a lower item: `make property` found it."""
    plan, item = np.array([0, 1, 0, 1]), np.array([1, 1, 1, 0])
    order, runs = grouped(np.zeros(4, np.int64), [Vector(plan), Vector(item)])
    assert [each.tolist() for each in np.split(order, runs.starts[1:])] == [[0, 2], [3], [1]]

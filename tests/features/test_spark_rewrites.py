"""The rewrites of `crmml.features.dialects` on Spark: every expression has the value that it has in DuckDB."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
import sqlglot
from sqlglot import exp

import crmml as cm
from crmml.features.dialects import text_of
from tests.features.strategies import EVIL


@pytest.fixture(scope="module")
def session(spark: Any) -> Any:
    """A session set up as every log gets one."""
    return cm.SparkEngine(spark)._new_session()


def parsed(text: str) -> exp.Select:
    return sqlglot.parse_one(text, read="duckdb", into=exp.Select)


def in_duckdb(query: exp.Select) -> list[tuple[Any, ...]]:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection.sql(query.sql("duckdb")).fetchall()


def on_spark(session: Any, query: exp.Select) -> list[tuple[Any, ...]]:
    table = session.sql(text_of(query, "spark")).toArrow()
    return [tuple(row.values()) for row in table.to_pylist()]


def same(actual: Any, expected: Any) -> bool:
    if isinstance(expected, float) and actual is not None:
        return math.isclose(actual, expected, rel_tol=1e-12)
    return bool(actual == expected) and (actual is None) == (expected is None)


def differences(session: Any, texts: Sequence[str], source: str = "(SELECT 1) AS t") -> list[str]:
    """One line for every expression whose values on Spark are others than in DuckDB."""
    columns = ", ".join(f"{text} AS c{number}" for number, text in enumerate(texts))
    query = parsed(f"SELECT {columns} FROM {source}")
    actual, expected = on_spark(session, query), in_duckdb(query)
    assert len(actual) == len(expected)
    pairs = [pair for rows in zip(actual, expected, strict=True) for pair in zip(texts, *rows, strict=True)]
    return [f"{text}: {got!r}, DuckDB {wanted!r}" for text, got, wanted in pairs if not same(got, wanted)]


def test_scalars(session: Any) -> None:
    moments = [f"TIMESTAMP '{text}'" for text in ("1969-12-31 23:59:59.999999", "1900-01-01", "2024-02-29 12:30:00.5")]
    zoned = [f"TIMESTAMPTZ '{text}'" for text in ("2024-03-31 02:30:00+02", "1970-01-01 00:00:00.000001-03:30")]
    texts = [
        *(f"epoch_us({moment})" for moment in (*moments, *zoned)),
        *(f"make_timestamp(epoch_us({moment}))" for moment in (*moments, *zoned)),
        # 2^53 + 1 over 1, and a quotient that a double would round up to a whole number.
        *("9007199254740993 // 1", "3999999999999999 // 4000000000000000", "-7 // 2", "7 // 2", "-7 % 3"),
        *("CAST(3 AS DOUBLE) / 7", "7 / 2", "0.1 + 0.2", "sqrt(2)", "ln(10)", "power(0.5, 1.5)", "abs(-3)"),
        *("CAST(1e15 AS INT128) * CAST(1e15 AS INT128)", "CAST(-5 AS INT128)"),
        *(f"CASE WHEN NOT ISNAN({x}) THEN {x} END" for x in ("CAST('NaN' AS DOUBLE)", "CAST(1 AS DOUBLE)")),
        *("COALESCE(NULL, 2)", "GREATEST(1, 3)", "CASE WHEN 1 > 2 THEN 1 END"),
        *("regexp_matches('aXb', 'X')", "regexp_matches('aXb', '^X')", "regexp_matches('a.b\\c', 'b\\\\c$')"),
        *("CAST(12345678901234567890 AS TEXT)", "CAST(TRUE AS TEXT)", "CAST(7 AS TEXT)"),
    ]
    assert differences(session, texts) == []


# Values whose seventh place is a 5 are decided by how they are rounded: half away from zero. From 2^53 millionths
# on, DuckDB's sixth place is that of the nearest double; Spark's is the written one.
FLOATS = (0.1, -0.1, 19.99, 3 / 128, -3 / 128, 1e-7, 5e-7, 1.0000005, 9e9, -8_999_999_999.5, 123456.789012, 0.3)


def test_exact_numbers(session: Any) -> None:
    """Sums and products of decimals keep their digits: n * sum x^2 - (sum x)^2 is exact, and 0 for equal values."""
    exact, wide = "CAST(x AS DECIMAL(18, 6))", "CAST(CAST(x AS DECIMAL(18, 6)) AS DECIMAL(38, 6))"
    rows = ", ".join(f"(CAST({value!r} AS DOUBLE))" for value in FLOATS)
    assert differences(session, [exact, f"{exact} + 1", f"-{exact}"], f"(VALUES {rows}) AS t(x)") == []
    small = ", ".join(f"(CAST({value!r} AS DOUBLE))" for value in (250_000.123457, -19.99, 0.000001, 19.99) * 5)
    squares = f"SUM({wide} * {wide})"
    texts = [
        *(f"SUM({exact})", f"MIN({exact})", f"MAX({exact})", squares, "COUNT(*)", "COUNT(x)"),
        f"COUNT(x) * {squares} - SUM({exact}) * SUM({exact})",
        f"SUM({wide} * (5 - 2 * CAST(3 AS INT)))",
        "CAST(SUM(CAST(x AS DECIMAL(18, 6))) AS DOUBLE) / NULLIF(COUNT(x), 0)",
        "SUM(CAST(1000000000000001 AS INT128) * CAST(1000000000000001 AS INT128))",
    ]
    assert differences(session, texts, f"(VALUES {small}) AS t(x)") == []


def test_what_does_not_fit_is_an_error_and_never_a_null(session: Any) -> None:
    query = parsed("SELECT CAST(x AS DECIMAL(18, 6)) AS d FROM (VALUES (CAST(1e12 AS DOUBLE))) AS t(x)")
    with pytest.raises(duckdb.ConversionException):
        in_duckdb(query)
    with pytest.raises(Exception, match=r"NUMERIC_VALUE_OUT_OF_RANGE"):
        on_spark(session, query)


def test_quantiles(session: Any) -> None:
    """Linear interpolation at (n - 1) q: of 1, 2, 4, 8 the median is 3, and the .9 quantile 4 + .7 * 4 = 6.8."""
    source = "(VALUES (1.0), (8.0), (NULL), (2.0), (4.0)) AS t(x)"
    quantile = parsed(
        f"SELECT quantile_cont(CAST(x AS DOUBLE), 0.9) AS q, median(CAST(x AS DOUBLE)) AS m FROM {source}"
    )
    ((q, m),) = on_spark(session, quantile)
    assert (q, m) == (pytest.approx(6.8, rel=1e-12), 3.0)
    texts = [f"quantile_cont(CAST(x AS DOUBLE), {share})" for share in (0.0, 0.025, 0.25, 0.5, 0.9, 0.975, 1.0)]
    texts += ["median(CAST(x AS DOUBLE))", "median(CASE WHEN x > 2 THEN CAST(x AS DOUBLE) END)"]
    assert differences(session, texts, source) == []
    assert differences(session, texts[:1], "(SELECT CAST(NULL AS DOUBLE) AS x) AS t") == []


# Zones with an hour twice, half an hour twice (Lord Howe), another hemisphere, a lost day (Apia), no changes.
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Pacific/Apia",
)


def around_changes(zone: str) -> list[datetime]:
    """Local times at, and around, every change of the clocks in 2008-2012 and 2024, and some at the edges."""
    found = []
    for year in (2008, 2009, 2010, 2011, 2012, 2024):
        for day in range(365):
            noon = datetime.fromordinal(datetime(year, 1, 1).toordinal() + day)
            before, after = (noon.replace(hour=hour, tzinfo=ZoneInfo(zone)).utcoffset() for hour in (0, 12))
            if before != after:
                found += [noon.replace(hour=hour, minute=minute) for hour in range(5) for minute in (0, 15, 30, 59)]
    return [*found, datetime(1901, 1, 1), datetime(1999, 12, 31, 23, 59, 59, 999_999), datetime(2011, 12, 30, 12)]


@pytest.mark.parametrize("zone", ZONES)
def test_clocks(session: Any, zone: str) -> None:
    """Local times to UTC and back, also those that occur twice, and those that never occur."""
    rows = ", ".join(f"(TIMESTAMP '{moment.isoformat(sep=' ')}')" for moment in around_changes(zone))
    texts = [f"t AT TIME ZONE '{zone}' AT TIME ZONE 'UTC'", f"t AT TIME ZONE 'UTC' AT TIME ZONE '{zone}'"]
    assert differences(session, texts, f"(VALUES {rows}) AS listed(t)") == []


def test_an_hour_that_occurs_twice_is_the_later_one(session: Any) -> None:
    """At 3:00 on 2024-10-27 the clocks of Berlin went back to 2:00: 2:30 was 0:30 and then 1:30 in UTC."""
    query = parsed("SELECT TIMESTAMP '2024-10-27 02:30:00' AT TIME ZONE 'Europe/Berlin' AT TIME ZONE 'UTC' AS t")
    assert on_spark(session, query) == [(datetime(2024, 10, 27, 1, 30),)]


# What text literals and quoted names have to survive: Spark unescapes backslashes and substitutes ${...}.
TEXTS = (
    *EVIL,
    *("\\", "\\\\", "\\'", "'", "''", '"', "`", "a``b", "\\n", "\n", "\r\n", "\t", "\\u0041", "\\101", "\\%", "\\_"),
    *(
        "${env:HOME}",
        "${spark.master}",
        "{{x}}",
        ":name",
        "?",
        "--",
        "/*",
        "*/",
        "\x01",
        "\x7f",
        "\u2028",
        "r'x'",
        "x" * 10_000,
    ),
)


def test_texts_and_names(session: Any) -> None:
    selected = [
        exp.alias_(exp.Literal.string(text), exp.to_identifier(f"{number}{text}", quoted=True))
        for number, text in enumerate(TEXTS)
    ]
    table = session.sql(text_of(exp.select(*selected), "spark")).toArrow()
    assert table.column_names == [f"{number}{text}" for number, text in enumerate(TEXTS)]
    assert [column[0].as_py() for column in table.columns] == list(TEXTS)


def test_texts_are_in_the_order_of_their_bytes(session: Any) -> None:
    rows = [(text, number) for number, text in enumerate(["b", "B", "a", "ä", "🛒", "￿", "", "購"])]
    listed = ", ".join(f"('{text}', {number})" for text, number in rows)
    source = f"(VALUES {listed}) AS t(x, n)"
    query = parsed(f"SELECT n, x FROM {source} ORDER BY x")
    assert on_spark(session, query) == in_duckdb(query)
    assert differences(session, ["MAX(x)", "MIN(x)", "MAX_BY(x, n)"], source) == []


def test_missing_values_come_last_in_every_order(session: Any) -> None:
    query = parsed("SELECT x FROM (VALUES (2), (NULL), (1)) AS t(x) ORDER BY x")
    assert on_spark(session, query) == in_duckdb(query) == [(1,), (2,), (None,)]
    query = parsed("SELECT x, row_number() OVER (ORDER BY x DESC) AS n FROM (VALUES (2), (NULL), (1)) AS t(x)")
    assert sorted(on_spark(session, query), key=str) == sorted(in_duckdb(query), key=str)


def test_one_row_of_several_by_qualify(session: Any) -> None:
    """Spark gets a subquery for it; two in a row, as two cleaning steps make them, do not disturb each other."""
    first = "SELECT x, y FROM (VALUES (1, 'b'), (1, 'a'), (2, 'c')) AS t(x, y)"
    text = (
        f"WITH one AS ({first} QUALIFY row_number() OVER (PARTITION BY x ORDER BY y) = 1), "
        "two AS (SELECT x, y FROM one QUALIFY row_number() OVER (PARTITION BY x ORDER BY y) = 1) "
        "SELECT x, y FROM two ORDER BY x"
    )
    assert on_spark(session, parsed(text)) == in_duckdb(parsed(text)) == [(1, "a"), (2, "c")]

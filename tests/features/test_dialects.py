"""The SQL text for other engines: what each rewrite writes; `test_spark_rewrites.py` runs them on Spark."""

from typing import Any

import pytest
import sqlglot
from sqlglot import exp

import crmml as cm
from crmml.features.dialects import text_of
from tests.features.test_golden_sql import CUTOFFS, FEATURES, LOG

OTHERS = ("spark", "databricks", "snowflake", "bigquery")
# What DuckDB alone understands; in a text for another engine it would be an error there.
DUCKDB_ONLY = ("epoch_us", "make_timestamp", "quantile_cont", "materialized", "int128", "hugeint", "filter(")


def written(expression: str, dialect: str) -> str:
    """An expression of DuckDB as the text of another dialect, on one line."""
    query = sqlglot.parse_one(f"SELECT {expression}", read="duckdb", into=exp.Select)
    lines = text_of(query, dialect).splitlines()[1:]
    return " ".join(line.strip() for line in lines).replace("( ", "(").replace(" )", ")")


EXPECTED: dict[tuple[str, str], str] = {
    ("epoch_us(t)", "spark"): "UNIX_MICROS(CAST(t AS TIMESTAMP))",
    ("epoch_us(t)", "snowflake"): "DATE_PART(EPOCH_MICROSECOND, t)",
    ("epoch_us(t)", "bigquery"): "UNIX_MICROS(CAST(t AS TIMESTAMP))",
    ("make_timestamp(n)", "spark"): "CAST(TIMESTAMP_MICROS(n) AS TIMESTAMP_NTZ)",
    ("make_timestamp(n)", "snowflake"): "TO_TIMESTAMP(n, 6)",
    ("make_timestamp(n)", "bigquery"): "DATETIME(TIMESTAMP_MICROS(n))",
    ("TIMESTAMP '2024-01-31'", "spark"): "CAST('2024-01-31' AS TIMESTAMP_NTZ)",
    ("TIMESTAMP '2024-01-31'", "snowflake"): "CAST('2024-01-31' AS TIMESTAMPNTZ)",
    ("TIMESTAMP '2024-01-31'", "bigquery"): "CAST('2024-01-31' AS DATETIME)",
    ("CAST(n AS INT128)", "spark"): "CAST(n AS DECIMAL(38, 0))",
    ("CAST(n AS INT128)", "snowflake"): "CAST(n AS DECIMAL(38, 0))",
    ("CAST(n AS INT128)", "bigquery"): "CAST(n AS BIGNUMERIC)",
    ("CAST(x AS DECIMAL(18, 6))", "spark"): "CAST(x AS DECIMAL(18, 6))",
    ("CAST(x AS DECIMAL(18, 6))", "bigquery"): "ROUND(CAST(x AS BIGNUMERIC), 6)",
    ("(a - 1) // b", "spark"): "(a - 1) DIV b",
    # -7 // 2 is -3 in DuckDB: the remainder has the sign of the dividend, and taking it away leaves a multiple of 2.
    ("(a - 1) // b", "snowflake"): "CAST(((a - 1) - (a - 1) % b) / b AS BIGINT)",
    ("(a - 1) // b", "bigquery"): "DIV((a - 1), b)",
    ("quantile_cont(x, 0.9)", "spark"): "PERCENTILE(x, 0.9)",
    ("quantile_cont(x, 0.9)", "snowflake"): "PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY x)",
    ("median(x)", "spark"): "MEDIAN(x)",
    ("regexp_matches(x, '^a')", "spark"): "x RLIKE '^a'",
    ("regexp_matches(x, '^a')", "snowflake"): "REGEXP_INSTR(x, '^a') > 0",
    ("regexp_matches(x, '^a')", "bigquery"): "REGEXP_CONTAINS(x, '^a')",
    ("t AT TIME ZONE 'UTC' AT TIME ZONE 'Asia/Tokyo'", "spark"): "CONVERT_TIMEZONE('UTC', 'Asia/Tokyo', t)",
    ("t AT TIME ZONE 'UTC' AT TIME ZONE 'Asia/Tokyo'", "snowflake"): "CONVERT_TIMEZONE('UTC', 'Asia/Tokyo', t)",
    ("t AT TIME ZONE 'UTC' AT TIME ZONE 'Asia/Tokyo'", "bigquery"): "DATETIME(TIMESTAMP(t), 'Asia/Tokyo')",
    ("(t AT TIME ZONE 'Asia/Tokyo') AT TIME ZONE 'UTC'", "bigquery"): "DATETIME(TIMESTAMP(t, 'Asia/Tokyo'))",
    ("ISNAN(x)", "spark"): "ISNAN(x)",
    ("ISNAN(x)", "snowflake"): "x = CAST('NaN' AS DOUBLE)",
    ("ISNAN(x)", "bigquery"): "IS_NAN(x)",
    ("'a\\b' || 'it''s'", "spark"): r"'a\\b' || 'it\'s'",
    ('"a`b"', "spark"): "`a``b`",
    ('"a""b"', "snowflake"): '"a""b"',
}


@pytest.mark.parametrize(("expression", "dialect"), EXPECTED)
def test_what_is_written(expression: str, dialect: str) -> None:
    assert written(expression, dialect) == EXPECTED[expression, dialect]


def test_the_text_of_databricks_is_that_of_spark() -> None:
    texts = [text for text, _ in EXPECTED if "regexp" not in text]  # REGEXP_LIKE there, which is another name of RLIKE
    assert [written(text, "databricks") for text in texts] == [written(text, "spark") for text in texts]


def test_the_quantile_of_bigquery_picks_both_order_statistics() -> None:
    """Position (n - 1) q, counted from 0; what lies between two values is interpolated."""
    values, position = "ARRAY_AGG(x IGNORE NULLS ORDER BY x)", "((COUNT(x) - 1) * 0.9)"
    below = f"{values}[SAFE_OFFSET(CAST(FLOOR({position}) AS INT64))]"
    above = f"{values}[SAFE_OFFSET(CAST(CEIL({position}) AS INT64))]"
    expected = f"({below} + ({above} - {below}) * ({position} - FLOOR({position})))"
    assert written("quantile_cont(x, 0.9)", "bigquery") == expected
    assert written("median(x)", "bigquery") == expected.replace("0.9", "0.5")


@pytest.mark.parametrize("dialect", OTHERS)
@pytest.mark.parametrize("hint", ["MATERIALIZED", "NOT MATERIALIZED"])
def test_a_step_is_kept_by_nobody_else(dialect: str, hint: str) -> None:
    query = sqlglot.parse_one(f"WITH a AS {hint} (SELECT 1 AS n) SELECT n FROM a", read="duckdb", into=exp.Select)
    assert " ".join(text_of(query, dialect).split()) == "WITH a AS ( SELECT 1 AS n ) SELECT n FROM a"


def test_a_rewrite_changes_a_copy() -> None:
    query = sqlglot.parse_one("SELECT epoch_us(t)", read="duckdb", into=exp.Select)
    before = query.sql("duckdb")
    text_of(query, "spark")
    assert query.sql("duckdb") == before


def features_of(name: str) -> cm.FeatureSet:
    return cm.FeatureSet(FEATURES[name])


@pytest.mark.parametrize("dialect", OTHERS)
@pytest.mark.parametrize("name", FEATURES)
def test_every_aggregate_is_written_for_every_engine(name: str, dialect: str) -> None:
    """One statement that its own parser reads back as the same text, without a word of DuckDB's own."""
    text = features_of(name).sql(LOG, CUTOFFS, dialect=dialect)
    (statement,) = sqlglot.parse(text, read=dialect)
    assert statement is not None
    assert "".join(statement.sql(dialect, pretty=True).split()) == "".join(text.split())
    assert [word for word in DUCKDB_ONLY if word in text.lower()] == []


def test_an_unknown_dialect_is_refused() -> None:
    with pytest.raises(cm.ConfigError) as caught:
        features_of("Count").sql(LOG, "2024-02-15", dialect="duckdbb")
    assert str(caught.value) == (
        "dialect 'duckdbb' is not supported. Did you mean 'duckdb'? "
        "Use one of duckdb, spark, databricks, snowflake, bigquery."
    )


EVIL = [
    "it's",
    "a\\",
    "\\'",
    "\\n",
    "line\nbreak",
    "tab\t",
    "${env:HOME}",
    "%_",
    "--",
    "/*",
    "`",
    '"',
    "{{x}}",
    ":a",
    "?",
    "",
]


@pytest.mark.parametrize("dialect", OTHERS)
@pytest.mark.parametrize("evil", EVIL)
def test_texts_and_names_are_read_back_as_they_were(evil: str, dialect: str) -> None:
    name: Any = exp.to_identifier(evil or "empty", quoted=True)
    query = exp.select(exp.alias_(exp.Literal.string(evil), name.copy())).from_(exp.Table(this=name))
    (statement,) = sqlglot.parse(text_of(query, dialect), read=dialect)
    assert statement is not None
    (selected,) = statement.selects
    assert (selected.this.name, selected.alias) == (evil, evil or "empty")

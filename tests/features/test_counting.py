"""The engine's way to count gives the numbers of the printed text, for every mixture of true, false and NULL."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp, parse_one

from crmml.data.engine import Engine
from crmml.features.counting import counting
from crmml.features.expressions import case, column, count, group, number

ENGINE = Engine()


def test_a_condition_is_counted_as_a_truth_value() -> None:
    counted = exp.select(count([exp.LTE(this=column("age_us"), expression=number(5)), column("flag")]))
    assert counting(counted).sql("duckdb") == "SELECT COALESCE(CAST(COUNT_IF(age_us <= 5 AND flag) AS BIGINT), 0)"


@pytest.mark.parametrize(
    "text",
    [
        "SELECT COUNT(*) FROM t",
        "SELECT COUNT(a) FROM t",
        "SELECT COUNT(DISTINCT a) FROM t",
        "SELECT COUNT(CASE WHEN a THEN b END) FROM t",  # b may be missing
        "SELECT COUNT(CASE WHEN a THEN 1 ELSE 2 END) FROM t",  # counts all rows
        "SELECT COUNT(CASE WHEN a THEN 1 WHEN b THEN 2 END) FROM t",
        "SELECT COUNT(CASE a WHEN b THEN 1 END) FROM t",  # `a` is compared, it is no condition
        "SELECT COUNT(CASE WHEN a THEN 1 END) OVER (PARTITION BY b) FROM t",
        "SELECT COUNT(CASE WHEN a THEN 1 END) FILTER(WHERE b) FROM t",
        "SELECT SUM(CASE WHEN a THEN 1 END) FROM t",
    ],
)
def test_what_is_no_count_of_a_condition_stays(text: str) -> None:
    assert counting(parse_one(text, read="duckdb")).sql("duckdb") == text


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([True, False, None])), max_size=12))
def test_both_ways_count_the_same(rows: list[tuple[int, bool | None]]) -> None:
    kept = [exp.select(exp.alias_(number(key), "k"), exp.alias_(exp.convert(true), "a")) for key, true in rows]
    nothing = exp.select(exp.alias_(number(0), "k"), exp.alias_(exp.cast(exp.null(), "BOOLEAN"), "a")).where(
        exp.false()
    )
    table = exp.union(*kept, nothing, distinct=False, copy=False) if kept else nothing
    query = group(table.subquery("t"), [column("k")], [exp.alias_(count([column("a")]), "n")]).order_by("k")
    expected = [
        {"k": key, "n": sum(1 for k, true in rows if k == key and true)} for key in sorted({k for k, _ in rows})
    ]
    for text in (query, counting(query.copy())):
        found = ENGINE.arrow(text)
        assert found.to_pylist() == expected
        assert str(found.schema.field("n").type) == "int64"


def test_a_value_that_may_be_missing_is_counted_where_it_is_there() -> None:
    text = exp.select(exp.Count(this=case([column("a")], column("b")))).sql()
    assert counting(parse_one(text)).sql() == text

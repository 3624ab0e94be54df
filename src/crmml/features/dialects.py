"""The SQL text for another engine: what SQLGlot does not turn by itself.

Every text is built for DuckDB. For another engine it is parsed, changed node by node by the rewrites below, and
written in the other dialect. What they are for:

- moments: a TIMESTAMP is in UTC and has no zone (TIMESTAMP_NTZ in Spark and Snowflake, DATETIME in BigQuery), and
  microseconds since 1970 have another name everywhere;
- clocks: a local time that occurs twice, when clocks go back, is the later moment of the two, as in DuckDB;
- numbers: integers of 128 bits, decimals whose products lose nothing, divisions of whole numbers;
- quantiles: exact and interpolated;
- the cutoffs: a join with a short list, for which Spark must not move the events;
- MATERIALIZED, which DuckDB alone knows, and patterns that match anywhere in a text.

A Spark text is written for the settings of `crmml.data.spark_engine`: another setting can change what it means.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlglot
from sqlglot import Dialect, exp

from crmml.errors import ConfigError, did_you_mean
from crmml.features.plan import CUTOFFS

DUCKDB = "duckdb"


@dataclass(frozen=True)
class Rewrites:
    """How the nodes of a DuckDB text are written in another dialect.

    A template is SQL of that dialect, in which X stands for the first part of the node, Y for the second.

    Attributes:
        functions: templates by the name of DuckDB's function, where SQLGlot knows none of that name.
        nodes: templates by the kind of SQLGlot's node.
        to_local: the template of a time X in UTC, as the clocks of zone Y show it.
        to_utc: the template of a time X on the clocks of zone Y, in UTC.
        cast: what changes a cast.
        broadcast: whether a query says by a hint that the list of cutoffs goes to every worker.
    """

    functions: Mapping[str, str]
    nodes: Mapping[type[exp.Expr], str]
    to_local: str
    to_utc: str
    cast: Callable[[exp.Cast], exp.Expr]
    broadcast: bool = False


def text_of(query: exp.Select, dialect: str) -> str:
    """`query` as readable text of `dialect`.

    Raises:
        ConfigError: there are no rewrites for the dialect.
    """
    known = [DUCKDB, *REWRITES]
    if dialect not in known:
        raise ConfigError(
            f"dialect {dialect!r} is not supported.{did_you_mean(dialect, known)} Use one of {', '.join(known)}."
        )
    if dialect != DUCKDB:
        query = _rewritten(query, dialect)
    return str(query.sql(Dialect.get_or_raise(dialect), pretty=True))


def _rewritten(query: exp.Select, dialect: str) -> exp.Select:
    # Parsed from its own text: a function is then the same node, whoever built it.
    tree = sqlglot.parse_one(query.sql(DUCKDB), read=DUCKDB, into=exp.Select)
    # The inner nodes first: what replaces a node holds its parts as they are already rewritten.
    for node in reversed(list(tree.walk())):
        replacement = _node(node, REWRITES[dialect], dialect)
        if replacement is not node:
            node.replace(replacement)
    return tree


def _node(node: exp.Expr, rewrites: Rewrites, dialect: str) -> exp.Expr:
    """`node`, or what stands in its place in `dialect`."""
    if isinstance(node, exp.CTE):
        node.set("materialized", None)
    elif isinstance(node, exp.Join) and rewrites.broadcast and node.alias_or_name == CUTOFFS and node.parent_select:
        hint = exp.JoinHint(this="BROADCAST", expressions=[exp.to_table(CUTOFFS)])
        node.parent_select.set("hint", exp.Hint(expressions=[hint]))
    elif isinstance(node, exp.Cast):
        return rewrites.cast(node)
    elif isinstance(node, exp.AtTimeZone) and isinstance(node.this.unnest(), exp.AtTimeZone):
        # `time AT TIME ZONE from AT TIME ZONE to`: one of both is UTC.
        first = node.this.unnest()
        source, target = first.args["zone"], node.args["zone"]
        from_utc = source.name == "UTC"
        template = rewrites.to_local if from_utc else rewrites.to_utc
        return _filled(template, dialect, first.this, target if from_utc else source)
    elif isinstance(node, exp.Anonymous) and node.name.lower() in rewrites.functions:
        return _filled(rewrites.functions[node.name.lower()], dialect, *node.expressions)
    elif type(node) in rewrites.nodes:
        return _filled(rewrites.nodes[type(node)], dialect, node.this, node.args.get("expression"))
    return node


def _filled(template: str, dialect: str, *parts: exp.Expr | None) -> exp.Expr:
    """The tree of a template, with the parts of a node in the places of X and Y."""
    tree = _parsed(template, dialect).copy()
    for place in list(tree.find_all(exp.Column)):
        part: Any = parts["XY".index(place.name)]
        place.replace(exp.paren(part) if isinstance(part, exp.Binary) else part.copy())
    return tree


@cache
def _parsed(template: str, dialect: str) -> exp.Expr:
    return sqlglot.parse_one(template, read=dialect)


def _to_decimal_38(node: exp.Cast) -> exp.Expr:
    if node.to.is_type("INT128"):
        node.set("to", exp.DataType.build("DECIMAL(38, 0)"))
    return node


def _to_bignumeric(node: exp.Cast) -> exp.Expr:
    """NUMERIC has 29 digits before the point and rounds products to 9 behind it; BIGNUMERIC has 38 of both.

    A cast takes no number of places in BigQuery: they are rounded to by a call.
    """
    if not node.to.is_type("INT128", "DECIMAL"):
        return node
    precision_and_scale = node.to.expressions
    node.set("to", exp.DataType(this=exp.DataType.Type.BIGDECIMAL))
    return exp.Round(this=node.copy(), decimals=precision_and_scale[1].this) if precision_and_scale else node


# A local time is taken back through the offset of the next day: where that moment shows the same local time, it is
# the later of two, or the only one. Else it lies before a change of the clocks (or in the hour that they skip).
_CONVERTED = """
    CASE WHEN CONVERT_TIMEZONE('UTC', Y, CONVERT_TIMEZONE(Y, 'UTC', X + INTERVAL '1 DAY') - INTERVAL '1 DAY') = X
    THEN CONVERT_TIMEZONE(Y, 'UTC', X + INTERVAL '1 DAY') - INTERVAL '1 DAY'
    ELSE CONVERT_TIMEZONE(Y, 'UTC', X) END"""
_SPARK = Rewrites(
    functions={"epoch_us": "UNIX_MICROS(CAST(X AS TIMESTAMP))"},
    nodes={
        exp.UnixToTime: "CAST(TIMESTAMP_MICROS(X) AS TIMESTAMP_NTZ)",
        exp.PercentileCont: "PERCENTILE(X, Y)",
    },
    to_local="CONVERT_TIMEZONE('UTC', Y, X)",
    to_utc=_CONVERTED,
    cast=_to_decimal_38,
    broadcast=True,
)
_SNOWFLAKE = Rewrites(
    functions={"epoch_us": "DATE_PART(EPOCH_MICROSECOND, X)"},
    nodes={
        # A quotient is rounded to six places there, and RLIKE matches whole texts only.
        exp.IntDiv: "CAST((X - X % Y) / Y AS BIGINT)",
        exp.RegexpLike: "REGEXP_INSTR(X, Y) > 0",
        # There, as in DuckDB, NaN equals itself.
        exp.IsNan: "X = CAST('NaN' AS DOUBLE)",
    },
    to_local="CONVERT_TIMEZONE('UTC', Y, X)",
    to_utc=_CONVERTED,
    cast=_to_decimal_38,
)


def _quantile(share: str) -> str:
    """PERCENTILE_CONT is no aggregate in BigQuery: the two order statistics around the position are picked by hand."""
    values, position = "ARRAY_AGG(X IGNORE NULLS ORDER BY X)", f"((COUNT(X) - 1) * {share})"
    below = f"{values}[SAFE_OFFSET(CAST(FLOOR({position}) AS INT64))]"
    above = f"{values}[SAFE_OFFSET(CAST(CEIL({position}) AS INT64))]"
    return f"({below} + ({above} - {below}) * ({position} - FLOOR({position})))"


_BIGQUERY = Rewrites(
    functions={"epoch_us": "UNIX_MICROS(CAST(X AS TIMESTAMP))"},
    nodes={
        exp.UnixToTime: "DATETIME(TIMESTAMP_MICROS(X))",
        exp.PercentileCont: _quantile("Y"),
        exp.Median: _quantile("0.5"),
    },
    to_local="DATETIME(TIMESTAMP(X), Y)",
    to_utc="DATETIME(TIMESTAMP(X, Y))",
    cast=_to_bignumeric,
)
REWRITES: dict[str, Rewrites] = {
    "spark": _SPARK,
    "databricks": _SPARK,
    "snowflake": _SNOWFLAKE,
    "bigquery": _BIGQUERY,
}

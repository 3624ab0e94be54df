"""The SQL text for another engine: what SQLGlot does not turn by itself."""

from sqlglot import Dialect, exp

from crmml.errors import ConfigError, did_you_mean

# DuckDB's functions between timestamps and microseconds since 1970, where they have other names.
_FUNCTIONS = {
    "spark": {"epoch_us": "UNIX_MICROS", "make_timestamp": "TIMESTAMP_MICROS"},
    "databricks": {"epoch_us": "UNIX_MICROS", "make_timestamp": "TIMESTAMP_MICROS"},
    "bigquery": {"epoch_us": "UNIX_MICROS", "make_timestamp": "TIMESTAMP_MICROS"},
}


def text_of(query: exp.Select, dialect: str) -> str:
    """`query` as readable text of `dialect`.

    Raises:
        ConfigError: SQLGlot does not know the dialect, or it has no microseconds that we know of.
    """
    known = ["duckdb", *_FUNCTIONS]
    if dialect not in known:
        raise ConfigError(
            f"dialect {dialect!r} is not supported.{did_you_mean(dialect, known)} Use one of {', '.join(known)}."
        )
    if dialect != "duckdb":
        query = query.copy()
        for node in query.find_all(exp.Anonymous):
            node.set("this", _FUNCTIONS[dialect].get(node.name.lower(), node.name))
    return str(query.sql(Dialect.get_or_raise(dialect), pretty=True))

"""The SQL text for another engine: what SQLGlot does not turn by itself."""

from sqlglot import Dialect, exp

from crmml.errors import ConfigError, did_you_mean

# epoch_us(timestamp), microseconds since 1970, where it has another name.
_EPOCH_US = {
    "spark": "UNIX_MICROS",
    "databricks": "UNIX_MICROS",
    "bigquery": "UNIX_MICROS",
}


def text_of(query: exp.Select, dialect: str) -> str:
    """`query` as readable text of `dialect`.

    Raises:
        ConfigError: SQLGlot does not know the dialect, or it has no microseconds that we know of.
    """
    known = ["duckdb", *_EPOCH_US]
    if dialect not in known:
        raise ConfigError(
            f"dialect {dialect!r} is not supported.{did_you_mean(dialect, known)} Use one of {', '.join(known)}."
        )
    if dialect != "duckdb":
        query = query.copy()
        for node in query.find_all(exp.Anonymous):
            if node.name.lower() == "epoch_us":
                node.set("this", _EPOCH_US[dialect])
    return str(query.sql(Dialect.get_or_raise(dialect), pretty=True))

"""The hundred features of `benchmarks.feature_list` by hand, as a person who knows the tool would write them.

Each module has one function `build(path, as_of)`: it reads the log's Parquet file and gives one row per customer, with
the column `customer` and one column for each feature that the tool can do. No module knows crmml.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """A contender: its module here, its packages, and whether they need an environment of their own."""

    module: str
    packages: tuple[str, ...]
    apart: bool = False


PEERS = {
    "duckdb": Peer("duckdb_sql", ("duckdb",)),
    "polars": Peer("polars_lazy", ("polars",)),
    "pandas": Peer("pandas_vectors", ("pandas",)),
    "ibis": Peer("ibis_duckdb", ("ibis-framework[duckdb]==12.0.0", "duckdb<2"), apart=True),
    "featuretools": Peer(
        "featuretools_primitives", ("featuretools==1.31.0", "pandas<3", "pyarrow", "setuptools"), apart=True
    ),
}

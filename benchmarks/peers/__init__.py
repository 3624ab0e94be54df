"""The features of `benchmarks.feature_list` and `common_list` by hand, as one who knows the tool would write them.

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
    # The module of the common list, where the tool was measured on it.
    common: str | None = None

    def module_of(self, which: str) -> str:
        """The module that builds a list of features, "hard" or "common"."""
        module = self.module if which == "hard" else self.common
        if module is None:
            raise ValueError(f"{self.module}: no module builds the list {which!r}; use the list 'hard'")
        return module


PEERS = {
    "duckdb": Peer("duckdb_sql", ("duckdb",), common="duckdb_common"),
    "polars": Peer("polars_lazy", ("polars",), common="polars_common"),
    "pandas": Peer("pandas_vectors", ("pandas",), common="pandas_common"),
    "ibis": Peer("ibis_duckdb", ("ibis-framework[duckdb]==12.0.0", "duckdb<2"), apart=True, common="ibis_common"),
    "featuretools": Peer(
        "featuretools_primitives", ("featuretools==1.31.0", "pandas<3", "pyarrow", "setuptools"), apart=True
    ),
}

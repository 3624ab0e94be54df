"""The tables: features as of cutoffs, labels after them, the population from the history alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

import pandas as pd

from crmml.data.cutoffs import check_cutoffs
from crmml.data.time import AsOf, moments_of, spoken
from crmml.errors import ConfigError, DataError
from crmml.features.aggregate import Feature
from crmml.features.aggregates import Recency
from crmml.features.checks import check_event_types
from crmml.features.feature_set import FeatureSet
from crmml.features.outputs import Categories, Shape, To, check_out, check_to, converted, write_parquet
from crmml.features.presets import as_feature_set
from crmml.features.table import LABEL, Table
from crmml.features.targets import Population, Target
from crmml.features.validity import require_complete_labels

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog
    from crmml.data.spark_engine import SparkEngine


class Dataset(NamedTuple):
    """Features `X` and labels `y`, with the same index (`customer_id`, `as_of`).

    >>> import crmml as cm
    >>> log = cm.simulate_log(50, seed=1).log
    >>> X, y = cm.build_dataset(log, [cm.Recency()], cm.Churn("60d", event_type="purchase"), "2024-06-01")
    >>> X.index.equals(y.index), X.index.names
    (True, FrozenList(['customer_id', 'as_of']))
    """

    X: pd.DataFrame
    y: pd.Series


@overload
def build_features(
    log: "InteractionLog",
    features: "FeatureSet | Sequence[Feature] | str",
    as_of: "AsOf | Sequence[AsOf]",
    *,
    population: Population | None = None,
    known_event_types: bool = True,
    engine: "SparkEngine | None" = None,
    to: Literal["pandas"] = "pandas",
    out: None = None,
    float32: bool = False,
    categories: Categories | None = None,
    progress: bool | None = None,
) -> pd.DataFrame: ...


@overload
def build_features(
    log: "InteractionLog",
    features: "FeatureSet | Sequence[Feature] | str",
    as_of: "AsOf | Sequence[AsOf]",
    *,
    population: Population | None = None,
    known_event_types: bool = True,
    engine: "SparkEngine | None" = None,
    to: To = "pandas",
    out: str | Path | None = None,
    float32: bool = False,
    categories: Categories | None = None,
    progress: bool | None = None,
) -> Any: ...


def build_features(
    log: "InteractionLog",
    features: "FeatureSet | Sequence[Feature] | str",
    as_of: "AsOf | Sequence[AsOf]",
    *,
    population: Population | None = None,
    known_event_types: bool = True,
    engine: "SparkEngine | None" = None,
    to: To = "pandas",
    out: str | Path | None = None,
    float32: bool = False,
    categories: Categories | None = None,
    progress: bool | None = None,
) -> Any:
    """The features of every customer as of one or many cutoffs.

    Args:
        log: the interactions.
        features: a FeatureSet, a list of aggregates, or the name of a preset.
        as_of: the cutoffs; nothing at or after a cutoff, and nothing recorded at or after it, is seen.
        population: the customers that get a row; all with any event before the cutoff by default.
        known_event_types: refuse an event type that never occurs in the log (a misspelling, mostly); a scoring
            job on a short log turns this off.
        engine: where the table is built: `SparkEngine(session)`, or the log's own embedded engine by default.
        to: "pandas", "polars", "arrow", or "relation" (of DuckDB).
        out: a folder to write Parquet files into instead, one folder per cutoff and one file per share of the
            customers, so that the table need not fit into memory. Killed and called again, it goes on.
        float32: real numbers in 32 bits: half the memory, seven digits.
        categories: column -> its texts, such as `categories_of` an earlier table: these columns leave as numbers
            of that dictionary (a relation of DuckDB shows the texts); a text that it lacks is missing.
        progress: show a bar on standard error; by default where that is a terminal.

    Returns:
        A frame with one row per customer and cutoff, indexed by (`customer_id`, `as_of`) and sorted by both; one
        column per feature. The other ways out have both as columns. With `out`, the path of the folder.

    Raises:
        SchemaError: the log lacks a column, or has it in another type.
        ConfigError: an event type never occurs; a cutoff is no moment, or lies outside the log; the folder holds
            something else.
        DataError: the log has values that cannot be used.

    >>> import crmml as cm
    >>> log = cm.simulate_log(50, seed=1).log
    >>> table = cm.build_features(log, [cm.Recency(), cm.Count(window="30d")], "2024-06-01")
    >>> list(table.columns)
    ['recency', 'count_30d']
    >>> cm.build_features(log, "rfm", "2024-06-01", to="arrow").column_names[:3]
    ['customer_id', 'as_of', 'recency_purchase']
    """
    check_to(to)
    if out is not None and engine is not None:
        raise ConfigError("build_features: out is written by the embedded engine. Leave out engine, or out.")
    feature_set = as_feature_set(features, log)
    cutoffs = moments_of(as_of)
    shape = Shape(float32=float32, categories=categories)
    feature_set.check(log)
    if out is not None:
        check_out(out)
    table = Table(log, feature_set, cutoffs, population, engine=engine, shape=shape)
    table.check_shape()
    log.require_usable()
    check_cutoffs(log, cutoffs)
    if known_event_types:
        check_known(log, feature_set)
        if population is not None:
            check_event_types(population.filter, log, repr(population))
    if out is not None:
        return write_parquet(table, out, progress=progress)
    return converted(table.arrow(progress=progress), to)


def build_dataset(
    log: "InteractionLog",
    features: "FeatureSet | Sequence[Feature] | str",
    target: Target,
    as_of: "AsOf | Sequence[AsOf]",
    *,
    engine: "SparkEngine | None" = None,
) -> Dataset:
    """Features before, and labels after, one or many cutoffs, for the target's population.

    Args:
        log: the interactions.
        features: a FeatureSet, a list of aggregates, or the name of a preset.
        target: what is labelled, and for whom.
        as_of: the cutoffs.
        engine: where the table is built: `SparkEngine(session)`, or the log's own embedded engine by default.

    Returns:
        `X` and `y`, indexed by (`customer_id`, `as_of`).

    Raises:
        LeakageError: the horizon of a cutoff runs past the end of the log.
        SchemaError, ConfigError, DataError: as for `build_features`; DataError also where nobody is in the
            population.

    >>> import crmml as cm
    >>> log = cm.simulate_log(200, seed=1).log
    >>> X, y = cm.build_dataset(log, "rfm", cm.Spend("90d"), cm.cutoffs("2024-01-01", "2024-03-01", every="30d"))
    >>> len(X) == len(y)
    True
    """
    feature_set = as_feature_set(features, log)
    cutoffs = moments_of(as_of)
    if target.task == "items":
        raise ConfigError(
            f"build_dataset: {target!r} labels items, not customers. Use build_next_items(log, target, as_of)."
        )
    feature_set.check(log)
    log.require_usable()
    target.check(log)
    check_cutoffs(log, cutoffs)
    require_complete_labels(log, target, cutoffs)
    check_known(log, feature_set)
    table = Table(log, feature_set, cutoffs, target.population, target, engine).frame()
    if table.empty:
        raise DataError(
            f"build_dataset: nobody is in the {target.population!r} as of "
            f"{', '.join(spoken(cutoff) for cutoff in cutoffs)}. Use a longer active_within, or a later cutoff."
        )
    return Dataset(table.drop(columns=LABEL), table[LABEL].rename(target.score_name))


def feature_table(
    log: "InteractionLog", features: FeatureSet, cutoffs: Sequence[pd.Timestamp], population: Population | None
) -> Table:
    """The table that `build_features` would build, to be read piece by piece; what it would refuse is refused here.

    Event types that the log does not have are let pass, as a scoring job does.

    >>> import crmml as cm
    >>> log = cm.simulate_log(50, seed=1).log
    >>> table = feature_table(log, cm.FeatureSet([cm.Recency()]), [pd.Timestamp("2024-06-01", tz="UTC")], None)
    >>> [piece.table.column_names for piece in table.pieces(progress=False)]
    [['customer_id', 'as_of', 'recency']]
    """
    features.check(log)
    table = Table(log, features, tuple(cutoffs), population)
    log.require_usable()
    check_cutoffs(log, tuple(cutoffs))
    return table


def count_customers(
    log: "InteractionLog", cutoffs: Sequence[pd.Timestamp], population: Population | None = None
) -> list[int]:
    """How many customers a population has as of each cutoff, counted by the engine in the whole log.

    No table leaves the engine, and the customers are not divided as they are when tables are built: a scoring job
    compares its rows with these numbers.

    >>> import crmml as cm
    >>> log = cm.simulate_log(50, seed=1).log
    >>> cutoffs = [pd.Timestamp(day, tz="UTC") for day in ("2024-01-01", "2024-12-31")]
    >>> count_customers(log, cutoffs, cm.Population(event_type="purchase", active_within="90d"))
    [16, 16]
    """
    counts = []
    for cutoff in cutoffs:
        table = feature_table(log, FeatureSet([Recency()]), [cutoff], population)
        counts.append(table.count())
    return counts


def check_known(log: "InteractionLog", features: FeatureSet) -> None:
    """Raise a ConfigError where a feature looks for an event type that never occurs in `log`."""
    for feature in features:
        for filter_ in feature.filters:
            check_event_types(filter_, log, repr(feature))

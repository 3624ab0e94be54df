"""The tables: features as of cutoffs, labels after them, the population from the history alone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
import pyarrow as pa
from sqlglot import exp

from crmml.data.engine import EngineError
from crmml.data.sql import name_of, named, not_null
from crmml.data.steps import EVENTS, Step, chain
from crmml.data.time import DAY, AsOf, moments_of, spoken
from crmml.errors import ConfigError, DataError, LeakageError
from crmml.features.aggregate import Aggregate
from crmml.features.checks import check_event_types
from crmml.features.compiler import (
    CUTOFFS,
    EXACT,
    EXACT_BELOW,
    HISTORY,
    KEYS,
    POPULATION,
    Plan,
    column,
    column_of,
    microseconds,
    number,
)
from crmml.features.feature_set import FeatureSet
from crmml.features.presets import as_feature_set
from crmml.features.targets import Population, Target

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

OUTCOME = "outcome"
LABELS = "labels"
LABEL = "label"
# A log may have quiet days; a cutoff later than this after its end says that the log is not the newest.
STALE = pd.Timedelta(7 * DAY, unit="us")


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


def build_features(
    log: "InteractionLog",
    features: "FeatureSet | Sequence[Aggregate] | str",
    as_of: "AsOf | Sequence[AsOf]",
    *,
    population: Population | None = None,
    known_event_types: bool = True,
) -> pd.DataFrame:
    """The features of every customer as of one or many cutoffs.

    Args:
        log: the interactions.
        features: a FeatureSet, a list of aggregates, or the name of a preset.
        as_of: the cutoffs; nothing at or after a cutoff, and nothing recorded at or after it, is seen.
        population: the customers that get a row; all with any event before the cutoff by default.
        known_event_types: refuse an event type that never occurs in the log (a misspelling, mostly); a scoring
            job on a short log turns this off.

    Returns:
        A frame with one row per customer and cutoff, indexed by (`customer_id`, `as_of`) and sorted by both; one
        column per feature.

    Raises:
        SchemaError: the log lacks a column, or has it in another type.
        ConfigError: an event type never occurs; a cutoff is no moment, or lies outside the log.
        DataError: the log has values that cannot be used.

    >>> import crmml as cm
    >>> log = cm.simulate_log(50, seed=1).log
    >>> table = cm.build_features(log, [cm.Recency(), cm.Count(window="30d")], "2024-06-01")
    >>> list(table.columns)
    ['recency', 'count_30d']
    """
    feature_set = as_feature_set(features, log)
    cutoffs = moments_of(as_of)
    feature_set.check(log)
    log.require_usable()
    check_cutoffs(log, cutoffs)
    if known_event_types:
        for feature in feature_set:
            check_event_types(feature.filter, log, repr(feature))
        if population is not None:
            check_event_types(population.filter, log, repr(population))
    query = features_query(log, feature_set, cutoffs, population)
    return _frame(_run(log, query, feature_set))


def build_dataset(
    log: "InteractionLog",
    features: "FeatureSet | Sequence[Aggregate] | str",
    target: Target,
    as_of: "AsOf | Sequence[AsOf]",
) -> Dataset:
    """Features before, and labels after, one or many cutoffs, for the target's population.

    Args:
        log: the interactions.
        features: a FeatureSet, a list of aggregates, or the name of a preset.
        target: what is labelled, and for whom.
        as_of: the cutoffs.

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
    for feature in feature_set:
        check_event_types(feature.filter, log, repr(feature))
    query = dataset_query(log, feature_set, target, cutoffs)
    table = _frame(_run(log, query, feature_set, label_column=target.label_column))
    if table.empty:
        raise DataError(
            f"build_dataset: nobody is in the {target.population!r} as of "
            f"{', '.join(spoken(cutoff) for cutoff in cutoffs)}. Use a longer active_within, or a later cutoff."
        )
    return Dataset(table.drop(columns=LABEL), table[LABEL].rename(target.score_name))


def require_complete_labels(log: "InteractionLog", target: Target, cutoffs: Sequence[pd.Timestamp]) -> None:
    """Refuse cutoffs whose horizon runs past the end of the log.

    Raises:
        LeakageError: a label would be what the log's end makes of it.
    """
    end = log.complete_until
    for cutoff in cutoffs:
        if cutoff + target.reach > end:
            horizon = f"gap {target.gap} + horizon {target.horizon}" if target.gap_us else f"horizon {target.horizon}"
            what = "observed_until" if log.observed_until is not None else "the last event in the log"
            raise LeakageError(
                f"as_of {spoken(cutoff)} + {horizon} ends {spoken(cutoff + target.reach)}, "
                f"after {what} ({end.date()}): {target.truncated}. "
                f"Use as_of <= {spoken((end - target.reach).floor('D'))}."
            )


def features_query(
    log: "InteractionLog",
    features: FeatureSet,
    cutoffs: Sequence[pd.Timestamp],
    population: Population | None = None,
) -> exp.Select:
    """The SQL of `build_features`."""
    plan = Plan(log)
    columns = {feature.name: feature.sql(plan) for feature in features}
    if population is None:
        return plan.write(cutoffs, columns)
    population.check(log)
    return plan.write(cutoffs, columns, before=[population_step(plan, population)], base=POPULATION)


def dataset_query(
    log: "InteractionLog", features: FeatureSet, target: Target, cutoffs: Sequence[pd.Timestamp]
) -> exp.Select:
    """The SQL of `build_dataset`."""
    plan = Plan(log)
    columns = {feature.name: feature.sql(plan) for feature in features}
    n = exp.Coalesce(this=column("n", LABELS), expressions=[number(0)])
    total = exp.Coalesce(this=column("total", LABELS), expressions=[number(0)])
    columns[LABEL] = target.label(n, total)
    before = [population_step(plan, target.population)]
    after = [outcome_step(target, _label_columns(target)), _labels_step(target)]
    return plan.write(
        cutoffs,
        columns,
        before=before,
        after=after,
        event_columns=_label_columns(target),
        base=POPULATION,
        joined=[LABELS],
    )


def population_step(plan: Plan, population: Population) -> Step:
    """The customers of a population, from the history alone."""
    query = exp.select(*(column(key) for key in KEYS)).distinct().from_(HISTORY)
    conditions = plan.conditions(population.filter, population.window_us)
    return Step(POPULATION, query.where(*conditions) if conditions else query)


def outcome_step(target: Target, columns: Sequence[str]) -> Step:
    """The one step that sees the future: the events in `[as_of + gap, as_of + gap + horizon)`."""
    ahead = exp.Sub(this=microseconds(column_of("timestamp")), expression=microseconds(column("as_of", CUTOFFS)))
    filtered = target.filter.sql({name: _in_outcome(name) for name in target.filter.columns})
    dated = (
        exp.select(
            column_of("customer_id"),
            column("as_of", CUTOFFS),
            exp.alias_(ahead, "ahead_us"),
            *(named(column_of(name), _in_outcome(name)) for name in columns),
        )
        .from_(EVENTS)
        .join(CUTOFFS, join_type="cross")
    )
    query = (
        exp.select("*")
        .from_(dated.subquery("dated"))
        .where(
            exp.GTE(this=column("ahead_us"), expression=number(target.gap_us)),
            exp.LT(this=column("ahead_us"), expression=number(target.gap_us + target.horizon_us)),
            *filtered,
        )
    )
    return Step(OUTCOME, query)


def _labels_step(target: Target) -> Step:
    values = [exp.alias_(exp.Count(this=exp.Star()), "n")]
    if target.label_column is not None:
        exact = exp.cast(name_of(_in_outcome(target.label_column)), EXACT)
        values.append(exp.alias_(exp.Sum(this=exact), "total"))
    else:
        values.append(exp.alias_(number(0), "total"))
    keys = [column(key) for key in KEYS]
    return Step(LABELS, exp.select(*keys, *values).from_(OUTCOME).group_by(*[key.copy() for key in keys]))


def _in_outcome(name: str) -> str:
    """The name of a role or attribute in the step `outcome`, which has columns of its own."""
    return f"{name}_" if name.casefold() in ("as_of", "ahead_us") else name


def _label_columns(target: Target) -> list[str]:
    return list(dict.fromkeys([*target.filter.columns, *([target.label_column] if target.label_column else [])]))


def check_cutoffs(log: "InteractionLog", cutoffs: Sequence[pd.Timestamp]) -> None:
    """Refuse cutoffs with nothing before them, and cutoffs long after the end of the log."""
    first, end = log.require_usable().first, log.complete_until
    if cutoffs[0] <= first:
        raise ConfigError(
            f"as_of {spoken(cutoffs[0])} is not after the first event in the log ({spoken(first)}): there is no "
            f"history to see. Use as_of >= {spoken(first.ceil('D') + pd.Timedelta(days=1))}."
        )
    if cutoffs[-1] > end + STALE:
        silent = (cutoffs[-1] - end).days
        what = "observed_until" if log.observed_until is not None else "the last event in the log"
        raise ConfigError(
            f"as_of {spoken(cutoffs[-1])} is {silent} days after {what} ({spoken(end)}): every "
            f"customer would look inactive only because the log stops. Use as_of <= "
            f"{spoken(end.floor('D') + pd.Timedelta(days=1))}, a newer log, or say InteractionLog(..., "
            "observed_until=...) if the log is complete."
        )


def _run(
    log: "InteractionLog", query: exp.Select, features: FeatureSet, *, label_column: str | None = None
) -> pa.Table:
    try:
        return log.engine.arrow(query)
    except EngineError as error:
        columns = [*(feature.of for feature in features), label_column]
        explain_values(log, [name for name in columns if name and log.kind(name) == "number"])
        raise DataError(f"the table cannot be built: {error}. Run log.check() to see what the log holds.") from error


def explain_values(log: "InteractionLog", names: Sequence[str]) -> None:
    """Raise a DataError that shows a value which cannot be summed exactly, if there is one."""
    for name in dict.fromkeys(names):
        value = name_of(name)
        size = exp.Abs(this=exp.cast(value, "DOUBLE"))
        fits = exp.LT(this=size, expression=number(EXACT_BELOW))
        query = exp.select(exp.alias_(exp.cast(exp.Max(this=value.copy()), "DOUBLE"), "value")).from_(EVENTS)
        row = log.engine.row(chain(log.steps([name]), query.where(not_null(name), exp.Not(this=fits))))
        if row["value"] is not None:
            raise DataError(
                f"{name!r} has the value {row['value']:g}, but only values below {EXACT_BELOW:.0e} can be summed "
                f"exactly. Mend it, or drop the events: "
                f"log.clean(KeepBetween({name!r}, minimum=-{EXACT_BELOW:.0e}, maximum={EXACT_BELOW:.0e}))."
            )


def _frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    frame["as_of"] = frame["as_of"].dt.tz_localize("UTC").dt.as_unit("us")
    return frame.set_index(list(KEYS))

"""`build_tags`: tags of a log as of cutoffs, over features, stages of the lifecycle, segments and scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from crmml.bundle import Bundle
from crmml.data.files import as_path, atomic_file, check_writable
from crmml.data.log import InteractionLog
from crmml.data.time import AsOf, moments_of
from crmml.errors import ConfigError
from crmml.features.aggregate import Feature
from crmml.features.datasets import build_features
from crmml.features.feature_set import FeatureSet
from crmml.features.presets import as_feature_set
from crmml.features.transactions import transactions
from crmml.insight.lifecycle import Lifecycle, build_lifecycle
from crmml.insight.tags import KEYS, Tag, TagSet
from crmml.jobs.tracking import load_bundle

TAGS = "tags.parquet"
STAGE = "lifecycle"


def build_tags(
    log: InteractionLog,
    features: FeatureSet | Sequence[Feature] | str,
    tags: TagSet | Sequence[Tag],
    as_of: AsOf | Sequence[AsOf],
    *,
    lifecycle: Lifecycle | None = None,
    bundles: Mapping[str, Bundle | str | Path] | None = None,
    out: str | Path | None = None,
) -> pd.DataFrame:
    """What every customer is called as of one or many cutoffs.

    Nothing at or after a cutoff is seen: the tags of a past day are those that would have been computed on it, with
    these definitions and bundles. (A bundle that was trained later knows later thresholds.)

    Args:
        log: the interactions.
        features: what the rules may look at; those that none looks at are not built.
        tags: the tags, as a TagSet or a list.
        as_of: the cutoffs.
        lifecycle: with it, rules may look at the column "lifecycle": the stage of each customer.
        bundles: name -> bundle, or the path of its folder: rules may look at its scores by their own names
            (`p_churn`, `clv`, ...), and at the segments of a segmenter under the bundle's name.
        out: a folder to write `tags.parquet` into, too; whole or not at all.

    Returns:
        One row per customer with any event before the cutoff, sorted by customer and cutoff: `customer_id`, `as_of`,
        and a column per tag, with its values as categories.

    Raises:
        ConfigError: a rule refers to nothing, or two sources have one column; a cutoff lies outside the log.
        SchemaError: the log lacks a column; a rule compares numbers with texts.
        DataError, BundleError: values that cannot be used; a damaged bundle.

    >>> import crmml as cm
    >>> log = cm.simulate_log(200, seed=1).log
    >>> value = cm.Tag("value", [
    ...     cm.TagRule("high", where={"sum_amount_365d": cm.AtLeast(500)}),
    ...     cm.TagRule("low", where={"sum_amount_365d": cm.Above(0)}),
    ... ])
    >>> care = cm.Tag("call", [cm.TagRule("now", where={"value": "high", "lifecycle": ["declining", "lost"]})])
    >>> rules = cm.Lifecycle("20d", event_type="purchase")
    >>> found = cm.build_tags(log, [cm.Sum("amount", window="365d")], [value, care], "2024-10-01", lifecycle=rules)
    >>> found.columns.tolist()
    ['customer_id', 'as_of', 'value', 'call']
    """
    where = "build_tags"
    tag_set = tags if isinstance(tags, TagSet) else TagSet(tags)
    feature_set = as_feature_set(features, log)
    loaded = {name: _scoring(name, source) for name, source in (bundles or {}).items()}
    folder = None if out is None else as_path(out, f"{where}: out")
    if folder is not None:
        check_writable(folder)
    cutoffs = moments_of(as_of)
    _check_early(tag_set, feature_set, lifecycle, loaded)
    wanted = [name for name in feature_set.names if name in tag_set.columns]
    built = build_features(log, feature_set.select(wanted or feature_set.names[:1]), cutoffs)[wanted]
    if lifecycle is not None:
        stages = build_lifecycle(log, lifecycle, cutoffs).set_index(list(KEYS))["segment"]
        built = _with(built, stages.rename(STAGE).to_frame(), where)
    for name, bundle in loaded.items():
        scores = bundle.score(log, cutoffs, details=False).rename(columns={"segment": name})
        built = _with(
            built, scores.set_index(list(KEYS)).drop(columns=["model_id", "eligible"], errors="ignore"), where
        )
    table = tag_set.assign(built)
    if folder is not None:
        with atomic_file(folder / TAGS) as temporary:
            pq.write_table(pa.Table.from_pandas(table, preserve_index=False), temporary, compression="zstd")
    return table


def build_p_alive(
    log: InteractionLog,
    model: Any,
    as_of: AsOf | Sequence[AsOf],
    *,
    event_type: str | Sequence[str] | None = None,
) -> pd.DataFrame:
    """The probability that each customer is still one, for `build_lifecycle(..., p_alive=...)`.

    Args:
        log: the interactions.
        model: a buy-till-you-die model such as `MBGNBD()` or `ParetoNBD()`; by `BGNBD()` everybody with one purchase is
            alive, however long ago. Unfitted, it is fitted at every cutoff anew, on what that
            cutoff sees; fitted, it stays as it is, and cutoffs before its training know more than they should.
        as_of: the cutoffs.
        event_type: the purchases, one type or a list; all events by default.

    Returns:
        One row per customer with a purchase before the cutoff: `customer_id`, `as_of`, `p_alive`.

    Raises:
        ConfigError: the model has no P(alive); as `transactions`.
        SchemaError, DataError: as `transactions` and the model's `fit`.

    >>> import crmml as cm
    >>> log = cm.simulate_log(300, seed=1).log
    >>> alive = cm.build_p_alive(log, cm.MBGNBD(), "2024-06-01", event_type="purchase")
    >>> stages = cm.build_lifecycle(log, cm.Lifecycle("20d", event_type="purchase"), "2024-06-01", p_alive=alive)
    >>> bool(stages["p_alive"].between(0, 1).all())
    True
    """
    if isinstance(model, type) or not hasattr(model, "p_alive"):
        raise ConfigError(f"build_p_alive: model is {model!r}, which has no P(alive). Use for example MBGNBD().")
    try:
        check_is_fitted(model)
        fitted = True
    except NotFittedError:
        fitted = False
    parts = []
    for cutoff in moments_of(as_of):
        table = transactions(log, cutoff, event_type=event_type)[["x", "t_x", "T"]]
        own = model if fitted else clone(model).fit(table)
        parts.append(table.index.to_frame(index=False).assign(p_alive=own.p_alive(table)))
    return pd.concat(parts, ignore_index=True).sort_values(list(KEYS), ignore_index=True)


def _scoring(name: str, source: Bundle | str | Path) -> Bundle:
    bundle = load_bundle(source)
    if bundle.task == "items":
        raise ConfigError(f"build_tags: the bundle {name!r} recommends items, which no rule can look at. Leave it out.")
    return bundle


def _check_early(
    tags: TagSet, features: FeatureSet, lifecycle: Lifecycle | None, bundles: Mapping[str, Bundle]
) -> None:
    """What refers to nothing is refused before anything is built; scores that are not known yet may be meant."""
    known = [*features.names, *([STAGE] if lifecycle is not None else []), *bundles]
    if STAGE in tags.columns and STAGE not in known:
        raise ConfigError(
            "build_tags: a rule looks at 'lifecycle', but there are no rules of the lifecycle. "
            "Add lifecycle=Lifecycle('30d')."
        )
    for name in bundles:
        if name in features.names:
            raise ConfigError(f"build_tags: a bundle and a feature are both called {name!r}. Rename the bundle.")
    if all(bundle.task == "segment" for bundle in bundles.values()):
        tags.check(known)


def _with(table: pd.DataFrame, more: pd.DataFrame, where: str) -> pd.DataFrame:
    for name in more.columns:
        if name in table.columns:
            raise ConfigError(
                f"{where}: two sources have a column {name!r}. Leave one of the bundles out, or rename it in bundles."
            )
    return table.join(more)

"""`select_features`: which features matter, measured on customers whose future the model has not seen."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from crmml.data.log import InteractionLog
from crmml.data.time import AsOf, moments_of
from crmml.errors import ConfigError, DataError
from crmml.features.aggregate import Feature
from crmml.features.datasets import build_dataset
from crmml.features.feature_set import FeatureSet
from crmml.features.presets import as_feature_set
from crmml.features.targets import Target
from crmml.jobs.parts import check_parts, progress_bar, to_fit
from crmml.jobs.rolling import Split, check_rows, model_score, rolling_plan
from crmml.models.churn import ChurnClassifier
from crmml.models.value import LifetimeValueRegressor
from crmml.report.measures import measures_of
from crmml.report.selection import Selection

# How often a feature is shuffled at each hold-out, and how many customers are shuffled at most.
SHUFFLES = 3
MOST_CUSTOMERS = 4_000
# Rows on which correlations are measured at most: enough to tell .95 from .96.
MOST_ROWS = 20_000


def select_features(
    log: InteractionLog,
    features: FeatureSet | Sequence[Feature] | str,
    target: Target,
    as_of: AsOf | Sequence[AsOf],
    *,
    model: Any = None,
    k: int | None = 30,
    min_share: float = 0.0,
    max_correlation: float = 0.95,
    progress: bool = True,
) -> Selection:
    """Keep the features that matter over several cutoffs.

    As in a backtest, for every hold-out cutoff a clone of the model is trained on the earlier cutoffs whose labels
    were complete by then. The importance of a feature at that cutoff is what the model's order of the customers
    loses (AUC, or normalised Gini) when the feature's values are shuffled among them: permutation importance, out of
    time. A feature counts with its mean over the cutoffs.

    Features that say nearly the same share their importance, and each looks dispensable. So of any two whose rank
    correlation is above `max_correlation`, the less important is left out, and the rest is measured again. Then the
    `k` most important stay: only those above 0, with at least `min_share` of the sum of all.

    The choice has seen these cutoffs. Measure what it is worth with a backtest on later ones.

    Source: Breiman, "Random Forests", Machine Learning 45 (2001), section 10; Strobl et al., "Conditional variable
    importance for random forests", BMC Bioinformatics 9 (2008), on correlated features.

    Args:
        log: the interactions.
        features: a FeatureSet, a list of aggregates, or the name of a preset.
        target: what is predicted: Churn, Repurchase or Spend.
        as_of: the cutoffs, at least two that lie gap + horizon apart.
        model: an unfitted estimator; by default ChurnClassifier() or LifetimeValueRegressor().
        k: the most features to keep; None for no limit.
        min_share: the least share of the sum of all importances, from 0 to 1.
        max_correlation: the rank correlation above which two features say the same, from 0 to 1, without its sign.
        progress: show a progress bar, where standard error is a terminal.

    Returns:
        A Selection: the features kept, and a table of the importances of all.

    Raises:
        ConfigError: parts that do not belong together, or a number out of its range.
        LeakageError: the horizon of a cutoff runs past the end of the log; all cutoffs lie nearer than gap +
            horizon.
        DataError: no hold-out can be measured, or no feature matters.
        SchemaError: the log lacks a column.

    >>> import crmml as cm
    >>> log = cm.simulate_log(300, seed=1).log
    >>> churn = cm.Churn("60d", event_type="purchase", active_within="180d")
    >>> features = [cm.Recency(), cm.Count(), cm.Count(window="3650d"), cm.Count(event_type="purchase", window="90d")]
    >>> dates = cm.cutoffs("2024-01-01", "2024-08-28", every="60d")
    >>> found = cm.select_features(log, features, churn, dates, model=cm.ChurnClassifier(num_iterations=20))
    >>> len(found.features) < len(features)  # two of them are the same
    True
    """
    _check_numbers(k, min_share, max_correlation)
    model = _model_for(target) if model is None else model
    task = check_parts("select_features", log, features, target, model)
    if task not in ("binary", "value"):
        raise ConfigError(
            f"select_features: {target!r} is not predicted from features. Use for example Churn(horizon='60d')."
        )
    feature_set, cutoffs = as_feature_set(features, log), moments_of(as_of)
    plan = rolling_plan(cutoffs, target, "select_features")
    with progress_bar("select_features", 1 + 2 * len(plan), progress=progress) as bar:
        X, y = build_dataset(log, feature_set, target, cutoffs)
        bar.update()
        splits = [Split(X, y, holdout, training) for holdout, training in plan]
        first = _importances(splits, feature_set, target, model, bar)
        same_as = _near_duplicates(X, feature_set, first.mean(axis=1), max_correlation)
        rest = feature_set.select([name for name in X.columns if name not in _columns(feature_set, same_as)])
        importances = first if not same_as else _importances(splits, rest, target, model, bar)
    everything = pd.concat([importances, first.loc[list(same_as)]])
    kept = _kept(importances.mean(axis=1), k, min_share)
    if not kept:
        raise DataError(
            f"select_features: no feature matters: shuffling none of {len(feature_set)} lowers the "
            f"{measures_of(task)[0].label} on the {len(importances.columns)} hold-out cutoffs. "
            "Use more customers, other features, or another horizon."
        )
    return Selection(
        features=feature_set.select([name for name in X.columns if name in _columns(feature_set, kept)]),
        importances=everything.rename_axis("feature"),
        same_as=same_as,
        target=repr(target),
        model=" ".join(repr(model).split()),
        task=task,
        max_correlation=max_correlation,
    )


def _check_numbers(k: Any, min_share: Any, max_correlation: Any) -> None:
    if k is not None and (not isinstance(k, int) or isinstance(k, bool) or k < 1):
        raise ConfigError(f"select_features: k must be a whole number from 1, or None, not {k!r}. Use k=30.")
    for name, value, example in (("min_share", min_share, 0.01), ("max_correlation", max_correlation, 0.95)):
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
            raise ConfigError(f"select_features: {name} must be from 0 to 1, not {value!r}. Use {name}={example}.")


def _model_for(target: Any) -> Any:
    return LifetimeValueRegressor() if getattr(target, "task", None) == "value" else ChurnClassifier()


def _importances(splits: Sequence[Split], features: FeatureSet, target: Target, model: Any, bar: Any) -> pd.DataFrame:
    """One row per feature, one column per hold-out cutoff that can be measured."""
    found, reasons = {}, []
    for split in splits:
        try:
            check_rows(split, target)
            found[split.holdout] = _at(split, features, target, model)
        except DataError as error:
            reasons.append(f"{split.holdout.date()}: {error}")
        bar.update()
    if not found:
        raise DataError(
            f"select_features: no hold-out cutoff of {target!r} can be measured. {' '.join(reasons)} "
            "Use other cutoffs, another horizon, or more customers."
        )
    return pd.DataFrame(found, index=[feature.name for feature in features])


def _at(split: Split, features: FeatureSet, target: Target, model: Any) -> list[float]:
    """What the deciding metric loses at one hold-out when each feature is shuffled."""
    names = list(features.names)
    measure = measures_of(target.task)[0]
    fitted = to_fit(model, target).fit(split.X_train[names], split.y_train)
    rows = _some(len(split.X_test), MOST_CUSTOMERS)
    X, y = split.X_test[names].iloc[rows], split.y_test.to_numpy(np.float64)[rows]
    orders = _shuffled(len(X))

    def cost(shuffled: pd.DataFrame) -> float:
        scores = model_score(fitted, shuffled, target).reshape(len(orders), -1)
        return float(np.mean([measure.cost(measure.of(y, score)) for score in scores])) if measure.of else 0.0

    several = pd.concat([X] * len(orders), ignore_index=True)
    whole, losses = cost(several), []
    for feature in features:
        columns = list(feature.columns)
        as_they_were = several[columns].copy()
        # All columns of a feature move together.
        several[columns] = pd.concat([X[columns].iloc[order] for order in orders], ignore_index=True)
        losses.append(cost(several) - whole)
        several[columns] = as_they_were
    return losses


def _shuffled(n: int) -> list[Any]:
    """The orders in which the values of a feature stand: the same for all features, so that noise is shared."""
    random = np.random.default_rng(0)
    return [random.permutation(n) for _ in range(SHUFFLES)]


def _some(n: int, most: int) -> Any:
    """The positions of all of `n` rows, or of some of them drawn at random."""
    return np.arange(n) if n <= most else np.sort(np.random.default_rng(0).choice(n, most, replace=False))


def _near_duplicates(
    X: pd.DataFrame, features: FeatureSet, importance: "pd.Series[float]", bound: float
) -> dict[str, str]:
    """The features to leave out, each with the more important one that says the same."""
    single = [feature.name for feature in features if feature.columns == (feature.name,)]
    # Missing ranks lowest, as one more value: two features are not the same where they miss other customers.
    ranks = X[single].iloc[_some(len(X), MOST_ROWS)].rank(na_option="top").to_numpy()
    ranks = ranks - ranks.mean(axis=0)
    sizes = np.sqrt((ranks**2).sum(axis=0))
    # A constant is like nothing; rounding makes nothing more like another than itself.
    correlation = np.minimum(np.abs(ranks.T @ ranks) / np.maximum(np.outer(sizes, sizes), np.finfo(float).tiny), 1.0)
    position = {name: number for number, name in enumerate(single)}
    same_as: dict[str, str] = {}
    kept: list[str] = []
    for name in importance.loc[single].sort_values(ascending=False, kind="stable").index:
        near = (other for other in kept if correlation[position[name], position[other]] > bound)
        other = next(near, None)
        if other is None:
            kept.append(name)
        else:
            same_as[name] = other
    return same_as


def _kept(importance: "pd.Series[float]", k: int | None, min_share: float) -> list[str]:
    """The names of the features to keep."""
    positive = importance[importance > 0].sort_values(ascending=False, kind="stable")
    return list(positive[positive >= min_share * positive.sum()].index[:k])


def _columns(features: FeatureSet, names: Any) -> set[str]:
    """The columns of the features with these names."""
    return {column for feature in features if feature.name in names for column in feature.columns}

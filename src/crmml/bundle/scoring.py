"""What a model's output is called: from a fitted model and its rows to the score columns of a bundle."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import is_classifier, is_regressor

from crmml.data.time import spoken
from crmml.errors import ConfigError, DataError, SchemaError
from crmml.features.aggregates import Recency
from crmml.features.datasets import build_features
from crmml.features.feature_set import FeatureSet
from crmml.features.interactions import ItemWeights
from crmml.features.targets import Population

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

Columns = dict[str, npt.NDArray[Any]]

_STATE = ("get_state", "set_state")
_EXAMPLES = {
    "binary": "ChurnClassifier()",
    "value": "LifetimeValueRegressor()",
    "segment": "RFMSegmenter()",
    "items": "ALS()",
}


def task_of(features: Any, target: Any) -> str:
    """What is predicted: "binary", "value", "segment" (no target) or "items" (recommendations)."""
    if isinstance(features, ItemWeights):
        return "items"
    return "segment" if target is None else str(target.task)


def check_parts(features: Any, target: Any, model: Any) -> None:
    """Refuse parts that do not belong together, before anything is saved or scored.

    Raises:
        ConfigError: the model cannot be stored, or cannot answer for this target.
        SchemaError: the model was fitted on other columns than the features make.
    """
    if not isinstance(features, FeatureSet | ItemWeights):
        raise ConfigError(f"Bundle: features is {features!r}. Use a FeatureSet, or ItemWeights() for a recommender.")
    task, name = task_of(features, target), type(model).__name__
    items_only = target is not None and (target.task == "items") is not isinstance(features, ItemWeights)
    if items_only:
        wanted = "ItemWeights()" if target.task == "items" else "a FeatureSet"
        raise ConfigError(f"Bundle: features of {target!r} must be {wanted}, not {features!r}.")
    if isinstance(model, type) or not all(callable(getattr(model, method, None)) for method in _STATE):
        raise ConfigError(
            f"Bundle: {model!r} cannot be stored, it has no get_state() and set_state(). "
            f"Use a model of crmml, such as {_EXAMPLES[task]}."
        )
    if not _answers(model, task):
        asked = "without a target" if target is None else f"for {target!r}"
        raise ConfigError(f"Bundle: {name} cannot answer {asked}. Use {_EXAMPLES[task]}.")
    if isinstance(features, FeatureSet):
        _check_columns(features.names, _columns_of(model, name), name)


def _answers(model: Any, task: str) -> bool:
    if task == "binary":
        return is_classifier(model) and hasattr(model, "predict_proba")
    if task == "value":
        return bool(is_regressor(model))
    if task == "segment":
        return hasattr(model, "segment")
    return hasattr(model, "recommend")


def _columns_of(model: Any, name: str) -> list[str]:
    columns = getattr(model, "feature_names_in_", None)
    if columns is None:
        raise ConfigError(
            f"Bundle: {name} is not fitted on a table with named columns. "
            "Fit it on build_dataset(log, features, target, as_of).X."
        )
    return [str(column) for column in columns]


def _check_columns(made: Sequence[str], fitted: Sequence[str], name: str) -> None:
    made, fitted = list(made), list(fitted)
    if made == fitted:
        return
    at = next(i for i in range(max(len(made), len(fitted))) if made[i : i + 1] != fitted[i : i + 1])
    ours, theirs = (repr(names[at]) if at < len(names) else "missing" for names in (made, fitted))
    raise SchemaError(
        f"Bundle: {name} was fitted on other columns than the features make: column {at} is {theirs} in the "
        f"model and {ours} in the features. Fit it on build_dataset(log, features, target, as_of).X."
    )


def table_scores(model: Any, target: Any, rows: pd.DataFrame) -> Columns:
    """The score columns for a table of features: one value per row and column.

    A binary target: the probability of class 1, under the target's name. A value: `clv` and, where the model has
    intervals, `clv_lo` and `clv_hi`. No target: `segment`.
    """
    main = main_score(model, target, rows)
    if target is None:
        return {"segment": main}
    scores = {target.score_name: main}
    if target.task != "binary" and hasattr(model, "predict_interval"):
        low, high = model.predict_interval(rows)
        scores |= {f"{target.score_name}_lo": np.asarray(low), f"{target.score_name}_hi": np.asarray(high)}
    return scores


def main_score(model: Any, target: Any, rows: pd.DataFrame) -> npt.NDArray[Any]:
    """The one score of every row: the probability of class 1, the value, or the segment where there is no target."""
    if target is None:
        return np.asarray(model.segment(rows))
    return _probability_of_one(model, rows) if target.task == "binary" else np.asarray(model.predict(rows))


def table_details(model: Any, target: Any, rows: pd.DataFrame) -> Columns:
    """What the model says besides the score, such as `reasons`: one value per row and column; maybe nothing."""
    if not hasattr(model, "details"):
        return {}
    details = {str(name): column.to_numpy() for name, column in model.details(rows).items()}
    if target.score_name != "p_churn":  # a high probability to buy again is no risk
        details.pop("risk_band", None)
    return details


def score_rows(model: Any, target: Any, rows: pd.DataFrame, *, details: bool) -> pd.DataFrame:
    """The table of scores for a table of features: `customer_id`, `as_of`, the scores, the details, `eligible`.

    `eligible`, True in every row, is there where the target has an `active_within`.
    """
    keys = rows.index.to_frame(index=False)
    if rows.empty:
        return keys
    more = table_details(model, target, rows) if details else {}
    table = keys.assign(**table_scores(model, target, rows), **more)
    return table if watched(target) is None else table.assign(eligible=True)


def watched(target: Any) -> Population | None:
    """The population that one can have left: that of a target with an `active_within`."""
    population = None if target is None else target.population
    there = isinstance(population, Population) and population.active_within is not None
    return population if there else None


def nobody(target: Any, cutoffs: Sequence[pd.Timestamp]) -> DataError:
    """What to say where nobody is in the population."""
    population = "customers with a history" if target is None else f"the {target.population!r}"
    return DataError(
        f"score: nobody is among {population} as of {', '.join(spoken(cutoff) for cutoff in cutoffs)}. "
        "Use a later as_of, or check the event types of the log: print(log.check())."
    )


def left_already(
    log: "InteractionLog", population: Population, active: "pd.Index[Any]", cutoffs: Sequence[pd.Timestamp]
) -> pd.DataFrame:
    """The customers who have had the events of a population, but not lately: `customer_id`, `as_of`.

    active: the customers and cutoffs of the population itself.
    """
    ever = Population(event_type=population.event_type)
    seen = FeatureSet([Recency(event_type=population.event_type)])
    everyone = build_features(log, seen, cutoffs, population=ever, known_event_types=False).index
    return everyone.difference(active, sort=True).to_frame(index=False)


def _probability_of_one(model: Any, rows: pd.DataFrame) -> npt.NDArray[Any]:
    """The column of class 1; a model that never saw a 1 (or only 1s) has learned a certainty."""
    found = np.flatnonzero(np.asarray(model.classes_) == 1)
    if not len(found):
        return np.zeros(len(rows))
    return np.asarray(model.predict_proba(rows))[:, int(found[0])]


def item_scores(model: Any, customers: Any, k: int, *, exclude_seen: bool = True) -> pd.DataFrame:
    """At most `k` rows per customer: `customer_id`, `item_id`, `rank` (from 1), `score`; `p_purchase` if it says so."""
    found: pd.DataFrame = model.recommend(customers, k=k, exclude_seen=exclude_seen)
    columns = ["customer_id", "item_id", "rank", "score", "p_purchase"]
    return found[[name for name in columns if name in found.columns]].reset_index(drop=True)

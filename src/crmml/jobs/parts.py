"""Do features, target and model belong together? Asked before any work starts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sklearn.base import clone, is_classifier, is_regressor
from sklearn.utils import get_tags

from crmml.data.log import InteractionLog
from crmml.data.time import parse_duration
from crmml.errors import ConfigError
from crmml.features.aggregate import Aggregate
from crmml.features.feature_set import FeatureSet
from crmml.features.interactions import ItemWeights
from crmml.features.targets import Target

if TYPE_CHECKING:
    from tqdm import tqdm

Features = FeatureSet | Sequence[Aggregate] | str | ItemWeights

# For every task: what the model must be, and a model and a target that work.
_NEEDS = {
    "binary": ("a classifier with predict_proba", "ChurnClassifier()"),
    "value": ("a regressor", "LifetimeValueRegressor()"),
    "items": ("a recommender", "ALS()"),
    "segments": ("a segmenter", "RFMSegmenter()"),
}
_TARGETS = {
    "binary": "Churn(horizon='60d')",
    "value": "Spend(horizon='90d')",
    "items": "NextItems(horizon='30d')",
    "segments": "None",
}


def check_parts(job: str, log: Any, features: Any, target: Any, model: Any) -> str:
    """The task ("binary", "value", "items" or "segments"), once all parts are known to fit it.

    Args:
        job: name of the job, with which messages begin.
        log, features, target, model: the arguments of the job.

    Raises:
        ConfigError: a part is of another kind than the task needs.

    >>> import crmml as cm
    >>> log = cm.simulate_log(20, seed=1).log
    >>> check_parts("train", log, "rfm", cm.Churn(horizon="60d"), cm.ChurnClassifier())
    'binary'
    """
    if not isinstance(log, InteractionLog):
        raise ConfigError(f"{job}: log is a {type(log).__name__}. Use InteractionLog(source, customer_id=..., ...).")
    if isinstance(target, type) or not (target is None or isinstance(target, Target)):
        raise ConfigError(f"{job}: target is {target!r}. Use for example Churn(horizon='60d').")
    if isinstance(model, type) or not hasattr(model, "get_params"):
        raise ConfigError(f"{job}: model is {model!r}. Use an estimator, for example ChurnClassifier().")
    task = "segments" if target is None else target.task
    _check_features(job, features, task)
    _check_model(job, model, target, task)
    return task


def _check_features(job: str, features: Any, task: str) -> None:
    if isinstance(features, ItemWeights) and task != "items":
        raise ConfigError(
            f"{job}: features is {features!r}, which only recommenders learn from. "
            "Use a FeatureSet, or target=NextItems(horizon='30d') and model=ALS()."
        )
    if not isinstance(features, ItemWeights) and task == "items":
        raise ConfigError(
            f"{job}: recommenders learn from interactions, but features is {features!r}. "
            "Use features=ItemWeights(weights={'purchase': 1})."
        )


def _check_model(job: str, model: Any, target: Any, task: str) -> None:
    kind = kind_of(model)
    if kind == "segments" and get_tags(model).target_tags.required:
        name = type(model).__name__
        raise ConfigError(
            f"{job}: {name} learns from a table and labels, outside of a bundle. Use X, y = "
            f"build_dataset(log, features, Churn(horizon='60d'), as_of), then {name}().fit(X, y)."
        )
    if kind == task:
        return _check_horizon(job, model, target)
    need, example = _NEEDS[task]
    other = "" if kind is None else f", or target={_TARGETS[kind]} for {type(model).__name__}"
    raise ConfigError(
        f"{job}: target {target!r} needs {need}, but model is {type(model).__name__}. Use model={example}{other}."
    )


def _check_horizon(job: str, model: Any, target: Any) -> None:
    """A model that is told another horizon than its labels have would expect too much, or too little."""
    horizon = model.get_params().get("horizon") if target is not None else None
    if horizon is not None and parse_duration(horizon, f"{job}: {type(model).__name__}: horizon") != target.horizon_us:
        raise ConfigError(
            f"{job}: the model's horizon is {horizon!r}, but the target looks ahead {target.horizon!r}. "
            f"Leave it out: {type(model).__name__}() takes the horizon of the target."
        )


def to_fit(model: Any, target: Any) -> Any:
    """An unfitted copy of the model, told the horizon of the target where it has such a parameter and no value.

    >>> from crmml import BGNBD, Churn
    >>> to_fit(BGNBD(penalty=1.0), Churn("60d"))
    BGNBD(penalty=1.0)
    """
    copy = clone(model)
    if target is not None and copy.get_params().get("horizon", "") is None:
        copy.set_params(horizon=target.horizon)
    return copy


def kind_of(model: Any) -> str | None:
    """The task that a model can do, or None.

    >>> import crmml as cm
    >>> kind_of(cm.ChurnClassifier())
    'binary'
    """
    if hasattr(model, "recommend"):
        return "items"
    if is_classifier(model):
        return "binary" if hasattr(model, "predict_proba") else None
    if is_regressor(model):
        return "value"
    return "segments" if hasattr(model, "predict") else None


def progress_bar(job: str, total: int, *, progress: bool) -> "tqdm[Any]":
    """A bar on standard error; silent where that is no terminal, or without `progress`."""
    from tqdm import tqdm

    return tqdm(total=total, desc=job, leave=False, disable=None if progress else True)

"""Data whose truth is known, and states that have been through files."""

import functools
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import crmml as cm

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Churners(NamedTuple):
    X: Floats
    y: Ints
    p: Floats  # the probability with which each y was drawn


def churners(n: int, seed: int) -> Churners:
    """p = sigmoid(1.5 x0 + x1 x2 - 1): one plain effect, one that only trees find, two columns of noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5))
    p = 1 / (1 + np.exp(-(1.5 * X[:, 0] + X[:, 1] * X[:, 2] - 1)))
    return Churners(X, (rng.random(n) < p).astype(np.int64), p)


class Spenders(NamedTuple):
    X: Floats
    y: Floats
    mean: Floats  # the expected value of each y
    nothing: Floats  # the probability that it is 0


def spenders(n: int, seed: int) -> Spenders:
    """Spend is 0 with probability sigmoid(-2 x0), else gamma of shape 1.5: big spenders are rarely at 0."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    nothing = 1 / (1 + np.exp(2 * X[:, 0]))
    money = 20 * np.exp(0.8 * X[:, 0])
    y = np.where(rng.random(n) < nothing, 0.0, rng.gamma(1.5, money / 1.5))
    return Spenders(X, y, money * (1 - nothing), nothing)


@functools.cache
def fitted_models() -> dict[str, tuple[Any, Floats]]:
    """Each estimator, fitted on columns with missing values, and rows to predict. Not to be changed."""
    rng = np.random.default_rng(0)
    X = rng.gamma(1.0, size=(300, 4))
    X[rng.random(X.shape) < 0.1] = np.nan
    y = (np.nan_to_num(X[:, 0]) + rng.normal(size=300) > 0.8).astype(int)
    spend = np.where(y == 1, 0.0, rng.gamma(1.0, 20.0, 300))
    return {
        "ChurnClassifier": (cm.ChurnClassifier().fit(X, np.where(y == 1, "gone", "stays")), X),
        "LifetimeValueRegressor": (cm.LifetimeValueRegressor(min_data_in_leaf=10).fit(X, spend), X),
        "RFMSegmenter": (cm.RFMSegmenter().fit(X), X),
        "BehaviourSegmenter": (cm.BehaviourSegmenter(n_clusters=3).fit(X), X),
        "ValueTiers": (cm.ValueTiers().fit(X), X),
        "SuggestedSegments": (cm.SuggestedSegments().fit(X, y), X),
        "Lookalikes": (cm.Lookalikes(num_iterations=20).fit(X, y), X),
    }


def predictions(model: Any, X: Any) -> dict[str, npt.NDArray[Any]]:
    """All that a model says about rows, by method."""
    said = {"predict": model.predict(X)}
    for method in ("predict_proba", "transform", "segment", "similarity"):
        if hasattr(model, method):
            said[method] = getattr(model, method)(X)
    if hasattr(model, "predict_interval"):
        said["lo"], said["hi"] = model.predict_interval(X)
    if hasattr(model, "feature_importances_"):
        said["feature_importances_"] = model.feature_importances_
    return said


def same_to_the_last_bit(a: dict[str, npt.NDArray[Any]], b: dict[str, npt.NDArray[Any]]) -> bool:
    return a.keys() == b.keys() and all(
        a[key].dtype == b[key].dtype and a[key].tobytes() == b[key].tobytes() for key in a
    )


def write_state(state: dict[str, Any], folder: Path) -> None:
    """Text as text, arrays as npz, the rest as JSON: what a bundle does."""
    arrays = {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
    texts = {key: value for key, value in state.items() if isinstance(value, str)}
    rest = {key: value for key, value in state.items() if key not in arrays and key not in texts}
    np.savez(folder / "arrays.npz", **arrays)
    (folder / "texts.json").write_text(json.dumps(texts))
    (folder / "rest.json").write_text(json.dumps(rest))


def read_state(folder: Path) -> dict[str, Any]:
    with np.load(folder / "arrays.npz", allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    return {
        **arrays,
        **json.loads((folder / "texts.json").read_text()),
        **json.loads((folder / "rest.json").read_text()),
    }

"""Hostile bundles, second half: definitions and states that are well formed and say what they must not."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.bundle.bundles import forge, put
from tests.torture.hostile_files import Attack, cut, manifest

BUILT: dict[str, Attack] = {
    "a class that does not exist": manifest(put("model", {"ChurnClasifier": {}})),
    "a class that is not public": manifest(put("model", {"TableEstimator": {}})),
    "a dunder": manifest(put("model", {"__import__": "os"})),
    "a dotted name": manifest(put("model", {"os.system": "id"})),
    "eval": manifest(put("target", {"eval": "__import__('os').system('id')"})),
    "a log of any file": manifest(put("features", {"InteractionLog": {"source": "/etc/passwd"}})),
    "a log inside a parameter": manifest(
        put("model", {"ChurnClassifier": {"num_leaves": [{"open_prepared": "/etc"}]}}),
    ),
    "a trillion cutoffs": manifest(put("target", {"cutoffs": {"start": "1000", "end": "3000", "every": "1s"}})),
    "a feature for a model": manifest(put("model", {"Count": {"window": "30d"}})),
    "a model for features": manifest(put("features", {"Popularity": {}})),
    "another model": manifest(put("model", {"Popularity": {}})),
    "a model of models, 30 deep": manifest(
        put("model", {"TwoStage": [{"TwoStage": [{"TwoStage": [{"TwoStage": [{"ItemKNN": {}}]}]}]}]})
    ),
    "a parameter that does not exist": manifest(put("model", {"ChurnClassifier": {"__class__": "os"}})),
    "a million threads": manifest(lambda m: m["model"]["ChurnClassifier"].update(n_jobs=1_000_000)),
    "threads without a number": manifest(lambda m: m["model"]["ChurnClassifier"].update(n_jobs="all")),
    "a horizon beyond all time": manifest(put("target", {"Churn": {"horizon": "9" * 30 + "d"}})),
    "a cutoff that is no time": manifest(put("training_cutoffs", ["yesterday"])),
    "endless cutoffs": manifest(put("training_cutoffs", ["2024-01-01"] * 50_000)),
    "a name that is a path": manifest(put("model_id", "../../../etc")),
    "no state": manifest(put("state", [])),
    "a state of another model": manifest(put("state", {"n_features_in": 3, "__dict__": {}})),
    "columns in another order": manifest(lambda m: m["features"]["FeatureSet"]["features"].reverse()),
    "a role twice": manifest(put("roles", {"Roles": {"customer_id": "a", "timestamp": "a"}})),
}


def booster(pattern: str, value: str) -> Attack:
    """The first match in the model's text replaced, digests right."""

    def attack(folder: Path) -> None:
        path = folder / "booster.txt"
        text, count = re.subn(pattern, value, path.read_text(), count=1)
        assert count, pattern
        path.write_text(_sized(text))
        forge(folder, lambda manifest: None)

    return attack


def _sized(text: str) -> str:
    """The text with the sizes of its trees as they are: the attacker knows the format."""
    starts = [match.start() for match in re.finditer(r"^Tree=", text, re.MULTILINE)]
    blocks = [text[a:b] for a, b in zip(starts, [*starts[1:], text.find("end of trees")], strict=True)]
    sizes = " ".join(str(len(block.encode())) for block in blocks)
    return re.sub(r"tree_sizes=.*", f"tree_sizes={sizes}", text)


def array(name: str, change: Callable[[np.ndarray], Any]) -> Attack:
    """One array of the model replaced by another plain array."""

    def attack(folder: Path) -> None:
        arrays = dict(np.load(folder / "arrays.npz", allow_pickle=False))
        arrays[name] = np.asarray(change(arrays[name]))
        np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)
        forge(folder, put("arrays", list(arrays)))

    return attack


def without(name: str) -> Attack:
    def attack(folder: Path) -> None:
        arrays = dict(np.load(folder / "arrays.npz", allow_pickle=False))
        del arrays[name]
        np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)
        forge(folder, put("arrays", list(arrays)))

    return attack


BOOSTER: dict[str, Attack] = {
    "half a booster": cut("booster.txt", 0.5),
    "a booster without its end": cut("booster.txt", 0.99),
    "NaN thresholds": booster(r"(?m)^threshold=\S+", "threshold=nan"),
    "a million leaves": booster(r"(?m)^num_leaves=\d+", "num_leaves=1000000"),
    "minus one leaf": booster(r"(?m)^num_leaves=\d+", "num_leaves=-1"),
    "a column far beyond the table": booster(r"(?m)^split_feature=\d+", "split_feature=123456789"),
    "a tree that is its own child": booster(r"(?m)^left_child=\S+", "left_child=0"),
    "a child far beyond the tree": booster(r"(?m)^right_child=\S+", "right_child=99999"),
    "an endless leaf": booster(r"(?m)^leaf_value=\S+", "leaf_value=inf"),
    "categories": booster(r"(?m)^num_cat=0", "num_cat=1"),
    "linear leaves": booster(r"(?m)^is_linear=0", "is_linear=1"),
    "a decision that does not exist": booster(r"(?m)^decision_type=\d+", "decision_type=255"),
    "a million classes": booster(r"(?m)^num_class=1", "num_class=1000000"),
    "another objective": booster(r"(?m)^objective=.*", "objective=custom"),
    "a hundred thousand columns": booster(r"(?m)^max_feature_idx=\d+", "max_feature_idx=99999"),
}
STATES: dict[str, Attack] = {
    "a calibration of NaN": array("calibration", lambda a: a * np.nan),
    "a calibration that turns the ranking round": array("calibration", lambda a: -abs(a)),
    "classes in the wrong order": array("classes", lambda a: a[::-1]),
    "classes of another type": array("classes", lambda a: a.astype(np.float32) * np.nan),
    "a probe of a million rows": array("probe.rows", lambda a: np.ones((1_000_000, a.shape[1]))),
    "no probe": without("probe.rows"),
    "a missing array": without("calibration"),
    "scores of others": array("probe.p_churn", lambda a: a + 0.5),
    "limits that fall": array("reference.limits", lambda a: a[::-1]),
    "counts below zero": array("reference.counts", lambda a: -a - 1),
}
# Of a recommender: what it would read beyond its own memory, if it believed it.
LISTS: dict[str, Attack] = {
    "items beyond the list": array("indices", lambda a: np.full_like(a, 2**30)),
    "items before the list": array("indices", lambda a: -a - 1),
    "rows that fall": array("indptr", lambda a: a[::-1]),
    "rows beyond the data": array("indptr", lambda a: a * 1000),
    "weights of NaN": array("weights", lambda a: a * np.nan),
    "factors of other customers": array("customer_factors", lambda a: a[:3]),
    "factors of NaN": array("item_factors", lambda a: a * np.nan),
    "factors of another width": array("item_factors", lambda a: a[:, :2]),
    "ids twice": array("customer_ids", np.zeros_like),
    "a probe of a million customers": array("probe.customers", lambda a: np.arange(2_000_000)),
}

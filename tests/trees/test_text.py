"""No text that could hurt LightGBM's parser reaches it."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import crmml as cm
from crmml.trees import text as text_module
from crmml.trees.text import problem_of
from tests.models.made import churners, fitted_models
from tests.models.mutants import dies


@pytest.fixture(scope="module")
def text() -> str:
    """Three trees on five columns."""
    return written()


def written() -> str:
    data = churners(200, seed=0)
    return str(cm.ChurnClassifier(3, 4).fit(data.X, data.y).get_state()["booster"])


def resized(text: str) -> str:
    """The text with tree_sizes that agree with its trees."""
    trees = text[text.index("Tree=0") :].removesuffix("end of trees\n")
    sizes = " ".join(str(len(block.encode())) for block in re.split(r"(?=^Tree=)", trees, flags=re.MULTILINE)[1:])
    return re.sub(r"tree_sizes=[\d ]+", f"tree_sizes={sizes}", text)


def test_every_model_that_is_written_is_accepted(text: str) -> None:
    assert problem_of(text, 5, "binary sigmoid:1") is None
    for X in (np.ones((10, 2)), np.full((10, 2), np.nan), np.repeat([[np.nan, 1.0], [2.0, 1.0]], 5, axis=0)):
        model = cm.ChurnClassifier(3).fit(X, np.arange(10) >= 5)
        assert problem_of(model.get_state()["booster"], 2, "binary sigmoid:1") is None
    value = fitted_models()["LifetimeValueRegressor"][0]
    assert problem_of(value.get_state()["booster"], 4, "tweedie") is None


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("tree\n", "forest\n", "it does not start with the line 'tree'"),
        ("version=v4", "version=v5", "version is 'v5', not 'v4'"),
        ("num_class=1\n", "num_class=2\n", "num_class is '2', not '1'"),
        ("max_feature_idx=4", "max_feature_idx=9", "it reads 9 + 1 columns, not 5"),
        (
            "objective=binary sigmoid:1",
            "objective=regression",
            "its objective is 'regression', not 'binary sigmoid:1'",
        ),
        ("feature_names=Column_0 ", "feature_names=", "feature_names are not Column_0, Column_1, ..."),
        ("feature_infos=[", "feature_infos=", "feature_infos are not 5 ranges"),
        ("label_index=0\n", "label_index=0\nmonotone_constraints=1\n", None),
        ("Tree=1\n", "Tree=7\n", "tree 1: it is headed 'Tree=7'"),
        ("num_leaves=4\n", "num_leaves=5\n", "tree 0: split_feature has 3 values, not 4"),
        ("num_leaves=4\n", "num_leaves=-4\n", "tree 0: num_leaves is -4"),
        ("num_cat=0\n", "num_cat=1\n", "tree 0: it has categories or linear leaves"),
        ("shrinkage=0.03", "shrinkage=0x1p4", "tree 1: shrinkage holds '0x1p4'"),
        ("end of trees\n", "", "the line 'end of trees' is missing"),
        ("end of trees\n", "end of trees\n\nparameters:\n", "something follows 'end of trees'"),
    ],
)
def test_what_differs_is_named(text: str, old: str, new: str, problem: str | None) -> None:
    assert old in text
    found = problem_of(resized(text.replace(old, new, 1)), 5, "binary sigmoid:1")
    if problem is None:
        assert found is not None
        assert found.startswith("its header holds [")
    else:
        assert found == problem


def with_numbers(text: str, key: str, numbers: str) -> str:
    """The text with other numbers in this line of the first tree."""
    return resized(re.sub(rf"^{key}=.*$", f"{key}={numbers}", text, count=1, flags=re.MULTILINE))


def columns_and_numbers_are_checked(module: ModuleType) -> None:
    text = written()
    for key, numbers in (
        ("split_feature", "0 1 5"),
        ("split_feature", "0 1 -1"),
        ("decision_type", "2 2 3"),
        ("decision_type", "2 2 64"),
        ("leaf_value", "0.1 0.2 0.3 inf"),
        ("leaf_value", "0.1 0.2 0.3 nan"),
        ("leaf_value", "0.1 0.2 0.3 1e999"),
        ("num_leaves", ""),
        ("shrinkage", ""),
        ("leaf_value", "0.1 0.2 0.3"),
        ("threshold", "1 2"),
        ("threshold", "1 2 x"),
        ("leaf_count", "1 2 3 4.5"),
    ):
        assert module.problem_of(with_numbers(text, key, numbers), 5, "binary sigmoid:1") is not None, (key, numbers)


def children_make_one_tree(module: ModuleType) -> None:
    # Three nodes and four leaves: 0 -> (1, leaf 0), 1 -> (2, leaf 1), 2 -> (leaf 2, leaf 3).
    text = with_numbers(written(), "left_child", "1 2 -3")
    assert module.problem_of(with_numbers(text, "right_child", "-1 -2 -4"), 5, "binary sigmoid:1") is None
    for left, right in (
        ("1 2 0", "-1 -2 -4"),  # a cycle
        ("1 2 2", "-1 -2 -4"),  # a node of itself
        ("1 2 -3", "-1 -2 -3"),  # a leaf twice
        ("1 2 -3", "-1 -2 -5"),  # a leaf that is not there
        ("1 3 -3", "-1 -2 -4"),  # a node that is not there
    ):
        bad = with_numbers(with_numbers(text, "left_child", left), "right_child", right)
        assert module.problem_of(bad, 5, "binary sigmoid:1") is not None, (left, right)


def sizes_agree(module: ModuleType) -> None:
    text = written()
    longer = re.sub(r"tree_sizes=(\d+)", lambda found: f"tree_sizes={int(found[1]) + 1}", text)
    assert module.problem_of(longer, 5, "binary sigmoid:1") == "tree_sizes does not agree with the trees"


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        (columns_and_numbers_are_checked, "0 <= feature < n_features", "feature < n_features"),
        (columns_and_numbers_are_checked, "0 <= feature < n_features", "0 <= feature"),
        (columns_and_numbers_are_checked, "_DECISIONS = {0, 2, 4, 6, 8, 10}", "_DECISIONS = set(range(128))"),
        (columns_and_numbers_are_checked, "_demand(finite,", "_demand(True,"),
        (columns_and_numbers_are_checked, "length == count or", "length <= count or"),
        (children_make_one_tree, "sorted(reached) == wanted", "len(reached) == len(wanted)"),
        (sizes_agree, "_demand(sizes == found,", "_demand(bool(found),"),
    ],
    ids=[
        "column below 0",
        "column beyond",
        "categories",
        "infinite leaf",
        "short arrays",
        "any children",
        "any sizes",
    ],
)
def test_mutants_die(check: Any, old: str, new: str, tmp_path: Path) -> None:
    dies(check, text_module, old, new, tmp_path)


def test_a_changed_text_is_refused_or_harmless(text: str, tmp_path: Path) -> None:
    """Of 1,500 random changes, those that are accepted load and predict in a process that survives it."""
    rng = np.random.default_rng(0)
    alphabet = "0123456789-. =\n\x00einfTx"
    accepted: list[str] = []
    for number in range(1_500):
        at = int(rng.integers(len(text)))
        length = int(rng.choice([1, 1, 1, 5, 200]))
        middle = "".join(rng.choice(list(alphabet), rng.integers(3)))
        changed = text[:at] + middle + text[at + length :]
        if number % 2:
            changed = resized(changed) if "Tree=0" in changed else changed
        if changed != text and problem_of(changed, 5, "binary sigmoid:1") is None:
            (tmp_path / f"{len(accepted)}.txt").write_text(changed)
            accepted.append(changed)
    assert len(accepted) > 100  # digits of thresholds, counts, parameters: there is something to try
    script = (
        "import sys, lightgbm as lgb, numpy as np\n"
        "from pathlib import Path\n"
        "for path in Path(sys.argv[1]).glob('*.txt'):\n"
        "    booster = lgb.Booster(model_str=path.read_text())\n"
        "    assert np.isfinite(booster.predict(np.ones((1, 5)), raw_score=True)).all()\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2_000:]

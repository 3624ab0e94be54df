"""Check a LightGBM model text before LightGBM sees it.

LightGBM's parser trusts its input: a text with wrong sizes aborts the process. What is read back here
must be exactly of the form that this package writes: one plain tree per round, no categories, no linear
leaves, every array as long as its tree, every child visited once.
"""

import math
import re

# The header, in order; None where the value is checked apart.
_HEADER: dict[str, str | None] = {
    "version": "v4",
    "num_class": "1",
    "num_tree_per_iteration": "1",
    "label_index": "0",
    "max_feature_idx": None,
    "objective": None,
    "feature_names": None,
    "feature_infos": None,
    "tree_sizes": None,
}
_PER_SPLIT = {
    "split_feature": int,
    "split_gain": float,
    "threshold": float,
    "decision_type": int,
    "left_child": int,
    "right_child": int,
    "internal_value": float,
    "internal_weight": float,
    "internal_count": int,
}
_PER_LEAF = {"leaf_value": float, "leaf_weight": float, "leaf_count": int}
_SINGLE = {"num_leaves": int, "num_cat": int, "is_linear": int, "shrinkage": float}
_TREE_KEYS = {**_SINGLE, **_PER_SPLIT, **_PER_LEAF}
# Bits: 1 categorical (never written here), 2 missing goes left, 4 and 8 how a missing value is marked.
_DECISIONS = {0, 2, 4, 6, 8, 10}
_WHOLE = re.compile(r"-?\d{1,18}")
_DECIMAL = re.compile(r"-?(\d+\.?\d*(e[-+]?\d{1,3})?|inf|nan)", re.IGNORECASE)
_RANGE = re.compile(rf"none|\[{_DECIMAL.pattern}:{_DECIMAL.pattern}\]", re.IGNORECASE)
_END = "end of trees\n"
_MOST_LEAVES = 1_000_000


def shortened(text: str) -> str:
    """What LightGBM writes, without the importances and parameters that follow the trees.

    Prediction does not need them, and what is not stored need not be trusted.
    """
    return text[: text.index(_END) + len(_END)]


def problem_of(text: str, n_features: int, objective: str) -> str | None:
    """What is wrong with a model text, or None.

    Args:
        text: The text.
        n_features: The number of columns that the model must read.
        objective: The objective as LightGBM writes it, e.g. "binary sigmoid:1".

    >>> problem_of("treasure", 3, "tweedie")
    "it does not start with the line 'tree'"
    """
    try:
        _check(text, n_features, objective)
    except _ProblemError as problem:
        return str(problem)
    return None


class _ProblemError(Exception):
    """What is wrong with the text."""


def _check(text: str, n_features: int, objective: str) -> None:
    head, _, body = text.partition("\n\n")
    lines = head.split("\n")
    _demand(lines[0] == "tree", "it does not start with the line 'tree'")
    header = _pairs(lines[1:], "the header")
    _demand(list(header) == list(_HEADER), f"its header holds {sorted(header)}, not {sorted(_HEADER)}")
    for key, wanted in _HEADER.items():
        if wanted is not None:
            _demand(header[key] == wanted, f"{key} is {header[key]!r}, not {wanted!r}")
    _demand(
        header["max_feature_idx"] == str(n_features - 1),
        f"it reads {header['max_feature_idx']} + 1 columns, not {n_features}",
    )
    _demand(
        header["objective"] == objective,
        f"its objective is {header['objective']!r}, not {objective!r}",
    )
    names = " ".join(f"Column_{number}" for number in range(n_features))
    _demand(header["feature_names"] == names, "feature_names are not Column_0, Column_1, ...")
    ranges = header["feature_infos"].split(" ")
    _demand(
        len(ranges) == n_features and all(_RANGE.fullmatch(known) for known in ranges),
        f"feature_infos are not {n_features} ranges",
    )
    trees, end, tail = body.partition(_END)
    _demand(end == _END, f"the line {_END.strip()!r} is missing")
    _demand(tail == "", f"something follows {_END.strip()!r}")
    _check_trees(trees, header["tree_sizes"], n_features)


def _check_trees(text: str, sizes: str, n_features: int) -> None:
    starts = [match.start() for match in re.finditer(r"^Tree=", text, re.MULTILINE)]
    _demand(len(starts) > 0 and starts[0] == 0, "it holds no tree")
    blocks = [text[start:stop] for start, stop in zip(starts, [*starts[1:], len(text)], strict=True)]
    found = " ".join(str(len(block.encode())) for block in blocks)
    _demand(sizes == found, "tree_sizes does not agree with the trees")
    for number, block in enumerate(blocks):
        try:
            _check_tree(block, number, n_features)
        except _ProblemError as problem:
            raise _ProblemError(f"tree {number}: {problem}") from None


def _check_tree(block: str, number: int, n_features: int) -> None:
    first, *lines = block.rstrip("\n").split("\n")
    _demand(first == f"Tree={number}", f"it is headed {first!r}")
    tree = _pairs(lines, "it")
    _demand(tree.keys() == _TREE_KEYS.keys(), f"it holds {sorted(tree)}, not {sorted(_TREE_KEYS)}")
    for key, kind in _TREE_KEYS.items():
        _check_numbers(key, tree[key], kind)
    n_leaves = int(tree["num_leaves"])
    _demand(1 <= n_leaves <= _MOST_LEAVES, f"num_leaves is {n_leaves}")
    _demand(tree["num_cat"] == "0" and tree["is_linear"] == "0", "it has categories or linear leaves")
    for keys, count in ((_SINGLE, 1), (_PER_SPLIT, n_leaves - 1), (_PER_LEAF, n_leaves)):
        for key in keys:
            length = len(tree[key].split())
            # A tree without a split leaves out the weight of its only leaf.
            _demand(length == count or (n_leaves == 1 and length == 0), f"{key} has {length} values, not {count}")
    _demand(len(tree["leaf_value"].split()) == n_leaves, "it has no leaf value")
    finite = all(math.isfinite(float(value)) for value in tree["leaf_value"].split())
    _demand(finite, "a leaf value is not finite")
    features = [int(value) for value in tree["split_feature"].split()]
    _demand(all(0 <= feature < n_features for feature in features), f"it splits on a column beyond {n_features}")
    decisions = {int(value) for value in tree["decision_type"].split()}
    _demand(decisions <= _DECISIONS, f"decision_type holds {sorted(decisions - _DECISIONS)}")
    _check_children(tree, n_leaves)


def _check_children(tree: dict[str, str], n_leaves: int) -> None:
    """Node 0 is the root; a child is a later node, or ~leaf; each is reached exactly once."""
    reached: list[int] = []
    for side in ("left_child", "right_child"):
        for node, child in enumerate(int(value) for value in tree[side].split()):
            _demand(child < 0 or child > node, f"{side} of node {node} is {child}, an earlier node")
            reached.append(child)
    wanted = [*range(-n_leaves, 0), *range(1, n_leaves - 1)] if n_leaves > 1 else []
    _demand(sorted(reached) == wanted, "its children do not make one tree")


def _check_numbers(key: str, text: str, kind: type) -> None:
    pattern = _WHOLE if kind is int else _DECIMAL
    words = text.split(" ") if text or key in _SINGLE else []  # nothing is no number
    bad = next((word for word in words if not pattern.fullmatch(word)), None)
    _demand(bad is None, f"{key} holds {bad!r}")


def _pairs(lines: list[str], what: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for line in lines:
        key, equals, value = line.partition("=")
        _demand(equals == "=" and key not in pairs, f"{what} holds the line {line!r}")
        pairs[key] = value
    return pairs


def _demand(condition: bool, problem: str) -> None:
    if not condition:
        raise _ProblemError(problem)

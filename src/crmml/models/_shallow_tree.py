"""A shallow tree that a person can read: grown on ranks, kept as arrays, written as rules."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sklearn.tree import DecisionTreeRegressor

from crmml.models._base import Bools, Floats, Ints

_LEAF = -1
_TAIL = 0.99  # an amount above this quantile is cut to it while the tree grows: one big order makes no segment


@dataclass(frozen=True)
class ShallowTree:
    """A binary tree; node 0 is the root, and children stand after their parents.

    Attributes:
        column: the column that a node asks for, -1 in a leaf; all of shape (nodes,).
        threshold: a value at or below it goes to the left; infinite: every known one does. NaN in a leaf.
        left, right: the children of a node, -1 in a leaf.
        missing_left: whether a missing value goes to the left.
        missing_seen: whether there were missing values at the node when the tree was grown: then the rule says so.
    """

    column: Ints
    threshold: Floats
    left: Ints
    right: Ints
    missing_left: Bools
    missing_seen: Bools

    @property
    def splits(self) -> list[int]:
        """The nodes that ask something."""
        return np.flatnonzero(self.column != _LEAF).tolist()

    @property
    def leaves(self) -> list[int]:
        """The nodes that ask nothing."""
        return np.flatnonzero(self.column == _LEAF).tolist()

    def problem(self, n_features: int) -> str | None:
        """What is wrong with the tree, or None: each node but the root has one parent, which stands before it."""
        nodes, asks = len(self.column), self.column != _LEAF
        if not nodes or np.any(self.column < _LEAF) or np.any(self.column >= n_features):
            return f"must hold columns below {n_features}, or -1, not {self.column.tolist()}"
        if np.any(np.isnan(self.threshold) == asks):
            return "must have a threshold in every node that asks, and in no other"
        children = np.concatenate([self.left[asks], self.right[asks]])
        before = np.all(self.left[asks] > np.flatnonzero(asks)) and np.all(self.right[asks] > np.flatnonzero(asks))
        if sorted(children.tolist()) != list(range(1, nodes)) or not before:
            return f"must name every node but the first as a child once, later than its parent, not {children.tolist()}"
        return None

    def passes(self, X: Floats) -> Iterator[tuple[int, Ints, Bools]]:
        """Every split with the rows that come to it, and whether each goes to the left."""
        at = np.zeros(len(X), dtype=np.int64)
        for node in self.splits:
            rows = np.flatnonzero(at == node)
            values = X[rows, self.column[node]]
            left = np.where(np.isnan(values), self.missing_left[node], values <= self.threshold[node])
            at[rows] = np.where(left, self.left[node], self.right[node])
            yield node, rows, left

    def apply(self, X: Floats) -> Ints:
        """The leaf of every row, shape (rows,): each row on its own."""
        at = np.zeros(len(X), dtype=np.int64)
        for node, rows, left in self.passes(X):
            at[rows] = np.where(left, self.left[node], self.right[node])
        return at

    def pruned(self, kept: set[int]) -> "ShallowTree":
        """The tree with only these splits; below a split that is not kept, none can be."""
        nodes, waiting = [], [0]
        while waiting:  # parents first
            node = waiting.pop(0)
            nodes.append(node)
            if node in kept:
                waiting += [int(self.left[node]), int(self.right[node])]
        place = {node: number for number, node in enumerate(nodes)}
        asks = np.array([node in kept for node in nodes])
        return ShallowTree(
            np.where(asks, self.column[nodes], _LEAF),
            np.where(asks, self.threshold[nodes], np.nan),
            np.array([place[int(self.left[n])] if n in kept else _LEAF for n in nodes], dtype=np.int64),
            np.array([place[int(self.right[n])] if n in kept else _LEAF for n in nodes], dtype=np.int64),
            self.missing_left[nodes] & asks,
            self.missing_seen[nodes] & asks,
        )

    def above(self, node: int) -> list[int]:
        """The splits on the way to a node, the root first."""
        parent = {int(child): at for at in self.splits for child in (self.left[at], self.right[at])}
        way: list[int] = []
        while node in parent:
            node = parent[node]
            way.insert(0, node)
        return way

    def rule(self, leaf: int, names: Sequence[str]) -> str:
        """The rule of a leaf: one condition per column of the way to it; "all customers" where there is none."""
        low: dict[int, float] = {}
        high: dict[int, float] = {}
        missing: dict[int, bool] = {}
        way = [*self.above(leaf), leaf]
        for node, child in pairwise(way):
            column, left = int(self.column[node]), int(self.left[node]) == child
            if left:
                high[column] = float(self.threshold[node])  # deeper is tighter
            else:
                low[column] = float(self.threshold[node])
            here = bool(self.missing_seen[node]) and bool(self.missing_left[node]) == left
            missing[column] = here and missing.get(column, True)
        parts = [_condition(names[c], low.get(c), high.get(c), missing[c]) for c in missing]
        return " and ".join(parts) if parts else "all customers"


def grow(X: Floats, y: Floats, *, depth: int, least: int, seed: int) -> ShallowTree:
    """A regression tree of the measure `y` on the rows of `X`, of at most `depth` questions per leaf.

    It is grown on the ranks of each column (the same splits, whatever the unit or the size of the numbers), and each
    threshold is the shortest decimal number that divides the rows as the split does: "recency <= 40", not 37.518.

    least: rows of a leaf. Source: Breiman, Friedman, Olshen and Stone (1984), Classification and regression trees.
    """
    measure = y if np.isin(y, (0.0, 1.0)).all() else np.minimum(y, np.quantile(y, _TAIL))
    distinct = [np.unique(column[~np.isnan(column)]) for column in X.T]
    places = np.column_stack([np.searchsorted(values, column) for values, column in zip(distinct, X.T, strict=True)])
    ranks = np.where(np.isnan(X), np.nan, places)
    tree = DecisionTreeRegressor(max_depth=depth, min_samples_leaf=least, random_state=seed).fit(ranks, measure).tree_
    asks = tree.children_left != _LEAF
    column = np.where(asks, tree.feature, _LEAF).astype(np.int64)
    threshold = np.full(len(column), np.nan)
    for node in np.flatnonzero(asks):
        if np.isfinite(tree.threshold[node]):
            values, below = distinct[column[node]], math.floor(tree.threshold[node])
            threshold[node] = between(float(values[below]), float(values[below + 1]))
        else:  # known to the left, missing to the right
            threshold[node] = np.inf
    grown = ShallowTree(
        column,
        threshold,
        tree.children_left.astype(np.int64),
        tree.children_right.astype(np.int64),
        tree.missing_go_to_left.astype(bool) & asks,
        np.zeros(len(column), dtype=bool),
    )
    return _with_missing(grown, X, tree.n_node_samples)


def _with_missing(tree: ShallowTree, X: Floats, sizes: Ints) -> ShallowTree:
    """Where no value was missing at a split, a missing one goes where most customers went."""
    missing_left, seen = tree.missing_left.copy(), tree.missing_seen.copy()
    for node, rows, _ in tree.passes(X):
        seen[node] = bool(np.isnan(X[rows, tree.column[node]]).any())
        if not seen[node]:
            missing_left[node] = sizes[tree.left[node]] >= sizes[tree.right[node]]
    return ShallowTree(tree.column, tree.threshold, tree.left, tree.right, missing_left, seen)


def between(low: float, high: float) -> float:
    """The number with the fewest digits that is at least `low` and below `high`.

    >>> between(30.2, 90.7), between(4.0, 5.0), between(0.123, 0.1234), between(-3.7, -1.2)
    (40.0, 4.0, 0.123, -3.0)
    """
    size = max(abs(low), abs(high))
    first = -math.floor(math.log10(size)) if size > 0 else 0
    for digits in range(first, first + 17):
        if not -300 < digits < 300:  # beyond, powers of ten are no floats
            break
        step = 10.0**-digits
        steps = low / step  # a hair less below, since -8.3083 / .0001 comes out a hair above -83083
        candidate = round(math.ceil(steps - 4e-16 * abs(steps)) * step, max(digits, 0))
        if low <= candidate < high:
            return candidate
    return low


def _condition(name: str, low: float | None, high: float | None, missing: bool) -> str:
    if np.inf in (low, high):
        return f"{name} is {'known' if low is None else 'missing'}"
    if low is None:
        text = f"{name} <= {high:.15g}"
    elif high is None:
        text = f"{name} > {low:.15g}"
    else:
        text = f"{low:.15g} < {name} <= {high:.15g}"
    return f"({text} or missing)" if missing else text

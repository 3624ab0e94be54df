"""Segments that a measure suggests: a shallow tree, whose leaves are rules that held-out customers confirm."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from crmml.errors import DataError
from crmml.models._base import Bools, Floats, Ints, State, check_parameters, customer_groups
from crmml.models._held_out import holm, lift_with_interval, p_value_of_split
from crmml.models._segmenter import Segmenter
from crmml.models._shallow_tree import ShallowTree, grow
from crmml.models._state import StateReader

_LEAST = 10  # rows of a leaf: of fewer, nothing could be said


class SuggestedSegments(Segmenter):
    """Segments in which a measure (value, churn, response) is much higher or lower: rules, confirmed on others.

    A shallow tree is grown on one part of the customers, and says where to divide. The other part, which it has not
    seen, decides which divisions are more than chance (an exact test of both sides, corrected for the number of
    divisions by Holm), and measures what is left: size, mean, lift, interval. A division that is not proven, with none
    below it that is, is taken back; where none is proven, everybody is in one segment, "all customers", and that is
    the answer.

    **What may be believed.** The chance that any of the divisions that were proven is none is at most `error_rate`;
    and all intervals together hold the true lifts but for a chance of `error_rate`, however the tree was cut back.
    The tests are exact (of amounts of more than 20,000 customers, normal), intervals of a yes or no on the safe side.
    Those of amounts are approximate, and too narrow for few customers with very skewed amounts: where .99 was promised,
    they held in .98 to .99 of the cases at 150 customers in a segment, in .96 at 45; in .93 to .98 where a few orders
    are most of the sum (log-normal, sigma 2).

    The name of a segment is its rule, such as "recency <= 40 and count > 4". A missing value goes where it did
    when the tree was grown, and the rule says so; where none was missing then, to the larger side.

    Parameters:
        max_depth: Questions on the way to a segment at most; 3 gives 8 segments at most.
        min_share: Least share of the customers in a segment, above 0.
        hold_out: Share of the customers that the tree does not see, and that judge it.
        error_rate: As above.
        random_state: Seed of the division of the customers, a whole number.

    Attributes:
        segments_: The rules, that with the highest mean (where the tree was grown) first; `predict` gives positions.
        n_splits_: Divisions that the tree proposed, and that held-out customers had to confirm.
        p_values_: Their p-values on the held-out customers, corrected for their number. Shape (n_splits_,).
        mean_: Mean of the measure of the held-out customers.
        feature_names_in_: Names of the columns of `fit`, where it got a table with names.
        n_features_in_: Number of columns.

    Source: Breiman, Friedman, Olshen and Stone (1984), Classification and regression trees; Holm (1979), A simple
    sequentially rejective multiple test procedure.

    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"recency": rng.integers(0, 365, 2_000), "age": rng.integers(18, 80, 2_000)})
    >>> churned = rng.random(2_000) < np.where(X["recency"] > 120, 0.6, 0.1)
    >>> model = SuggestedSegments(max_depth=2).fit(X, churned)
    >>> print(model.profile().round(2).rename_axis(None))
                    rows  share  mean  lift  lift_lo  lift_hi
    recency > 122    663   0.66  0.62  1.40     1.29     1.51
    recency <= 122   337   0.34  0.09  0.21     0.13     0.32
    """

    _tree: ShallowTree
    _leaves: Ints
    _figures: Floats

    def __init__(
        self,
        max_depth: int = 3,
        *,
        min_share: float = 0.05,
        hold_out: float = 0.5,
        error_rate: float = 0.05,
        random_state: int = 0,
    ) -> None:
        self.max_depth = max_depth
        self.min_share = min_share
        self.hold_out = hold_out
        self.error_rate = error_rate
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Propose on one part of the rows, confirm on the other.

        Args:
            X: Numbers, shape (rows, columns); one row per customer.
            y: The measure: 0 and 1 (or False and True) for churn or response; an amount for value. Shape (rows,).

        Raises:
            ConfigError: A parameter is out of its range.
            SchemaError: A column with text or dates; `y` is in another order than `X`.
            DataError: An infinite value; a missing measure; fewer than two rows; several rows of one customer.
        """
        check_parameters(
            self,
            max_depth="whole >= 1",
            min_share="below 1",
            hold_out="below 1",
            error_rate="below 1",
            random_state="whole >= 0",
        )
        where = f"{type(self).__name__}.fit"
        values, y = self._check_fitting(X, y, y_numeric=True, ensure_min_samples=2)
        _refuse_repeats(where, X, y)
        measure = np.asarray(y, dtype=np.float64)
        order = np.random.default_rng(self.random_state).permutation(len(measure))
        n_judges = min(len(order) - 1, max(1, round(self.hold_out * len(order))))
        judges, growers = np.sort(order[:n_judges]), np.sort(order[n_judges:])
        least = max(_LEAST, int(np.ceil(self.min_share * len(growers))))
        grown = grow(values[growers], measure[growers], depth=self.max_depth, least=least, seed=self.random_state)
        self.p_values_ = self._judged(grown, values[judges], measure[judges])
        self.n_splits_ = len(self.p_values_)
        tree = grown.pruned(_proven(grown, self.p_values_ <= self.error_rate))
        self._tree = tree
        self._leaves = _best_first(tree, values[growers], measure[growers])
        # Whichever nodes are left over, their intervals hold together: there are no more than this.
        level = 1 - self.error_rate / max(1, len(grown.column) - 1)
        self._figures = _figures(tree.apply(values[judges]), measure[judges], self._leaves, level)
        self.mean_ = float(measure[judges].mean())
        self.segments_ = self._rules()
        return self

    def profile(self) -> pd.DataFrame:
        """The segments on held-out customers.

        Returns:
            Index `segment` (the rule); columns `rows` (held-out customers), `share` (of them), `mean` (of the
            measure), `lift` (over the mean of all held-out customers) and its interval `lift_lo`, `lift_hi`; NaN
            where that mean is not above 0.

        Raises:
            sklearn.exceptions.NotFittedError: Before `fit`.
        """
        check_is_fitted(self)
        names = ["rows", "share", "mean", "lift", "lift_lo", "lift_hi"]
        table = pd.DataFrame(self._figures, columns=names, index=pd.Index(self.segments_.tolist(), name="segment"))
        return table.astype({"rows": np.int64})

    def summary(self) -> str:
        """The segments and what may be believed of them, as text.

        Raises:
            sklearn.exceptions.NotFittedError: Before `fit`.
        """
        table = self.profile()
        proven = int((self.p_values_ <= self.error_rate).sum())
        head = (
            f"{proven} of {self.n_splits_} divisions proven on {table['rows'].sum():,} held-out customers "
            f"(chance of any false one: at most {100 * self.error_rate:g} %)"
        )
        if len(table) == 1:
            return f"{head}\nnothing to suggest: in no part of the customers is the measure provably another one"
        rows = [
            f"  {rule}: {row['rows']:,.0f} customers ({100 * row['share']:.0f} %), mean {row['mean']:.4g}, "
            f"lift {row['lift']:.2f} ({row['lift_lo']:.2f} to {row['lift_hi']:.2f})"
            for rule, row in table.iterrows()
        ]
        return "\n".join([head, *rows])

    def _judged(self, tree: ShallowTree, X: Floats, y: Floats) -> Floats:
        found = [p_value_of_split(y[rows], left, self.random_state) for _, rows, left in tree.passes(X)]
        return holm(np.array(found, dtype=np.float64))

    def _rules(self) -> Any:
        names = [
            str(name) for name in getattr(self, "feature_names_in_", [f"x{n}" for n in range(self.n_features_in_)])
        ]
        return np.array([self._tree.rule(int(leaf), names) for leaf in self._leaves])

    def _assign(self, X: Any, method: str) -> Ints:
        rows = self._check_rows(method, X)
        found = self._tree.apply(rows)
        place = np.empty(len(self._tree.column), dtype=np.int64)
        place[self._leaves] = np.arange(len(self._leaves))
        return place[found]

    def _learned(self) -> State:
        tree = self._tree
        return {
            # One row per node each.
            "nodes": np.column_stack([tree.column, tree.left, tree.right]),
            "thresholds": tree.threshold,
            "missing": np.column_stack([tree.missing_left, tree.missing_seen]),
            "leaves": self._leaves,
            "figures": self._figures,
            "p_values": self.p_values_,
            "mean": np.array([self.mean_]),
        }

    def _checked_state(self, reader: StateReader, n_features: int) -> dict[str, Any]:
        nodes = reader.array("nodes", "i", (None, 3)).astype(np.int64)
        missing = reader.array("missing", "b", (len(nodes), 2))
        thresholds = reader.array("thresholds", "f", (len(nodes),))
        tree = ShallowTree(nodes[:, 0], thresholds, nodes[:, 1], nodes[:, 2], missing[:, 0], missing[:, 1])
        problem = tree.problem(n_features)
        if problem is not None:
            reader.refuse("nodes", problem)
        leaves = reader.array("leaves", "i", (None,)).astype(np.int64)
        if sorted(leaves.tolist()) != tree.leaves:
            reader.refuse("leaves", f"must be {tree.leaves} in some order, not {leaves.tolist()}")
        p_values = reader.finite("p_values", (None,))
        return {
            "_tree": tree,
            "_leaves": leaves,
            "_figures": reader.array("figures", "f", (len(leaves), 6)),
            "p_values_": p_values,
            "n_splits_": len(p_values),
            "mean_": float(reader.finite("mean", (1,))[0]),
        }

    def set_state(self, state: Mapping[str, Any]) -> Self:
        """As of every estimator; the rules are written again, from the tree and the names of the columns."""
        super().set_state(state)
        self.segments_ = self._rules()
        return self


def _refuse_repeats(where: str, X: Any, y: Any) -> None:
    groups = customer_groups(X, y, where)
    if groups is None or len(np.unique(groups)) == len(groups):
        return
    ids = X.index.get_level_values("customer_id")
    again = ids[ids.duplicated()].tolist()[0]
    raise DataError(
        f"{where}: customer {again!r} has {int((ids == again).sum())} rows, and intervals would "
        "count them as as many customers. Use the rows of one cutoff."
    )


def _proven(tree: ShallowTree, proven: Bools) -> set[int]:
    """The splits that are proven, and those above them, without which they could not be asked."""
    kept: set[int] = set()
    for node, is_proven in zip(tree.splits, proven, strict=True):
        if is_proven:
            kept |= {node, *tree.above(node)}
    return kept


def _best_first(tree: ShallowTree, X: Floats, y: Floats) -> Ints:
    """The leaves by their mean where the tree was grown: the held-out rows are not asked for the order."""
    at = tree.apply(X)
    means = [float(y[at == leaf].mean()) for leaf in tree.leaves]
    return np.array(tree.leaves, dtype=np.int64)[np.argsort(-np.array(means), kind="stable")]


def _figures(at: Ints, y: Floats, leaves: Ints, level: float) -> Floats:
    """A row per leaf: rows, share, mean, lift, its interval."""
    rows = []
    for leaf in leaves:
        inside = at == leaf
        mean = float(y[inside].mean()) if inside.any() else float("nan")
        rows.append((inside.sum(), inside.mean(), mean, *lift_with_interval(y, inside, level)))
    return np.array(rows, dtype=np.float64)

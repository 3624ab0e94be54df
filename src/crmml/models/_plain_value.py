"""Lifetime value from any table of numbers: a Tweedie regression whose level and limits come from unseen rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from crmml.models._base import Floats, Ints, State
from crmml.models._folds import N_FOLDS, assign_folds, held_out
from crmml.models._intervals import RatioIntervals
from crmml.models._state import StateReader
from crmml.models._trees import Trees, TreeTrainer, read_trees


class PlainDesign:
    """The fitted design.

    Args:
        mean: The mean of the labels.
        level: Actual over predicted spend of unseen rows.
        trees: The trees; None where nobody spent anything.
        intervals: Of actual over predicted spend.
    """

    def __init__(self, mean: float, level: float, trees: Trees | None, intervals: RatioIntervals) -> None:
        self.mean = mean
        self.level = level
        self.trees = trees
        self.intervals = intervals

    @classmethod
    def learn(
        cls, X: Floats, spend: Floats, groups: Ints | None, lightgbm: Mapping[str, Any], *, n_jobs: int, seed: int
    ) -> "PlainDesign":
        """The design from a table, the spend of its rows (0 or more), and which rows belong together."""
        mean = float(spend.mean())
        if mean == 0.0:  # nobody spent anything: there is nothing to learn, and 0 to expect
            return cls(0.0, 1.0, None, RatioIntervals.learn(np.zeros_like(spend), spend))
        trainer = TreeTrainer(X, spend / mean, {**lightgbm, "seed": seed}, n_jobs=n_jobs)
        n_groups = len(spend) if groups is None else int(groups.max()) + 1
        n_folds = min(N_FOLDS, n_groups)  # a single customer says nothing about another
        predicted: list[Floats] = [np.empty(0)]
        actual: list[Floats] = [np.empty(0)]
        folds = assign_folds(spend, groups, n_folds, seed)
        for train, test in held_out(folds, n_folds):
            if not spend[train].any():
                continue  # the only spender is held out: nothing to train on
            predicted.append(np.exp(trainer.train(train).raw(X[test], n_jobs)) * mean)
            actual.append(spend[test])
        unseen, true = np.concatenate(predicted), np.concatenate(actual)
        level = float(true.sum() / unseen.sum()) if true.sum() > 0 else 1.0
        return cls(mean, level, trainer.train(), RatioIntervals.learn(unseen * level, true))

    def expected(self, X: Floats, n_jobs: int) -> Floats:
        """Expected spend, shape (rows,)."""
        if self.trees is None:
            return np.zeros(len(X))
        return np.exp(self.trees.raw(X, n_jobs)) * (self.mean * self.level)

    def state(self) -> State:
        """A text and arrays."""
        return {
            "booster": None if self.trees is None else self.trees.text,
            "label_mean": self.mean,
            "level": self.level,
            "interval_edges": self.intervals.edges,
            "interval_ratios": self.intervals.ratios,
            "interval_counts": self.intervals.counts,
        }

    @classmethod
    def from_state(cls, reader: StateReader, n_features: int) -> "PlainDesign":
        """The design from the keys that `state` gives."""
        mean = reader.number("label_mean", at_least=0.0)
        level = reader.number("level", at_least=0.0)
        edges = reader.finite("interval_edges", (None,))
        counts = reader.array("interval_counts", "i", (len(edges) + 1,)).astype(np.int64)
        ratios = reader.finite("interval_ratios", (None,))
        if np.any(np.diff(edges) <= 0):
            reader.refuse("interval_edges", "must rise")
        if np.any(counts < 0) or counts.sum() != len(ratios):
            reader.refuse("interval_counts", f"must add up to the {len(ratios)} ratios")
        if any(np.any(np.diff(part, prepend=0.0) < 0) for part in np.split(ratios, np.cumsum(counts)[:-1])):
            reader.refuse("interval_ratios", "must be 0 or more and rise within each bin")
        trees = None if mean == 0.0 else read_trees(reader, "booster", n_features, "tweedie")
        if trees is None and reader.take("booster") is not None:
            reader.refuse("booster", "must be None where the mean of the labels is 0")
        return cls(mean, level, trees, RatioIntervals(edges, ratios, counts))

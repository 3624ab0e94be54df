"""Deterministic folds that keep a customer together and spread the labels evenly."""

from collections.abc import Iterator

import numpy as np

from crmml.models._base import Floats, Ints

N_FOLDS = 5
# Two parameters of a calibration, or the quantiles of ten bins, are known well enough from so many
# rows: beyond, further folds only cost time.
ENOUGH_ROWS = 20_000


def assign_folds(y: Floats, groups: Ints | None, n_folds: int, seed: int) -> Ints:
    """The fold 0..n_folds-1 of each row.

    Groups are sorted by the sum of their `y`, ties in random (seeded) order, and dealt out in turn:
    each fold gets its share of the positives (of the big spenders), and all rows of a group lie in
    the same fold.

    >>> assign_folds(np.array([1., 0., 0., 1.]), np.array([0, 1, 2, 0]), 3, seed=0)[[0, 3]]
    array([0, 0])
    """
    codes = np.arange(len(y)) if groups is None else groups
    totals = np.bincount(codes, weights=y)
    order = np.random.default_rng(seed).permutation(len(totals))
    order = order[np.argsort(-totals[order], kind="stable")]
    fold_of_group = np.empty(len(totals), dtype=np.int64)
    fold_of_group[order] = np.arange(len(totals)) % n_folds
    return fold_of_group[codes]


def held_out(folds: Ints, n_folds: int) -> Iterator[tuple[Ints, Ints]]:
    """(training rows, held-out rows) of the folds in turn, until enough rows have been held out."""
    seen = 0
    for fold in range(n_folds):
        if seen >= ENOUGH_ROWS:
            return
        test = np.flatnonzero(folds == fold)
        seen += len(test)
        yield np.flatnonzero(folds != fold), test

"""How well a score or a probability tells two classes apart: churn, repurchase, response."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from crmml.errors import ConfigError
from crmml.metrics.arrays import (
    Floats,
    bin_edges,
    bin_index,
    bin_sums,
    checked,
    checked_count,
    checked_labels,
    checked_probabilities,
    tie_mean,
)


def auc(y: ArrayLike, score: ArrayLike) -> float:
    """Area under the ROC curve: the probability that a random 1 scores higher than a random 0.

    `(sum of the ranks of the ones - n1 (n1 + 1) / 2) / (n1 n0)`, where tied scores share their average rank:
    a tie counts one half. 0.5 knows nothing, 1 is perfect. Only the order of the scores matters.

    y, score: vectors of one length; y is 0 or 1, a high score stands for 1.
    Raises `DataError`: one class only, missing values, different lengths.
    Source: Hanley and McNeil (1982), The meaning and use of the area under a ROC curve, Radiology 143.

    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])  # 3 of the 4 pairs are in the right order
    0.75
    >>> auc([0, 1, 1], [0.5, 0.5, 0.9])  # one tie, one right: (1/2 + 1) / 2
    0.75
    """
    labels, scores = checked("auc", y=y, score=score)
    checked_labels("auc", labels, need=(0, 1))
    ones = float(labels.sum())
    zeros = len(labels) - ones
    wins = float(rankdata(scores) @ labels) - ones * (ones + 1) / 2
    return wins / (ones * zeros)


def pr_auc(y: ArrayLike, score: ArrayLike) -> float:
    """Average precision: the area under the precision-recall curve, as a sum of steps.

    `sum over thresholds of (recall_n - recall_(n-1)) precision_n`; rows with the same score enter together. A
    score that knows nothing has about the base rate (a constant score exactly). Prefer it to `auc` when the
    ones are rare.

    y, score: vectors of one length; y is 0 or 1, a high score stands for 1.
    Raises `DataError`: no 1 at all, missing values, different lengths.
    Source: Davis and Goadrich (2006), The relationship between precision-recall and ROC curves, ICML; steps
    instead of interpolation, as scikit-learn's average_precision_score.

    >>> pr_auc([0, 1, 1], [0.8, 0.9, 0.1])  # recall 1/2 at precision 1, recall 1 at precision 2/3
    0.8333333333333333
    """
    labels, scores = checked("pr_auc", y=y, score=score)
    checked_labels("pr_auc", labels, need=(1,))
    rows, ones = gains_curve(labels, scores)
    precision = ones[1:] / rows[1:]
    return float(np.diff(ones) @ precision / ones[-1])


def brier(y: ArrayLike, p: ArrayLike) -> float:
    """Brier score: `mean of (p - y)^2`. 0 is perfect; the base rate r as a constant forecast has r (1 - r).

    y, p: vectors of one length; y is 0 or 1, p a probability of 1.
    Raises `DataError`: p outside [0, 1], missing values, different lengths.
    Source: Brier (1950), Verification of forecasts expressed in terms of probability, Monthly Weather Review
    78.

    >>> brier([0, 1], [0.5, 1.0])
    0.125
    """
    labels, probabilities = checked("brier", y=y, p=p)
    checked_labels("brier", labels)
    checked_probabilities("brier", probabilities)
    return float(np.mean((probabilities - labels) ** 2))


def calibration_error(y: ArrayLike, p: ArrayLike, n_bins: int = 10) -> float:
    """Expected calibration error over bins of equal mass: `sum of customers_b / n * |mean y_b - mean p_b|`.

    The bins are those of `calibration_table`. 0 where, on average, p of 100 customers with forecast p are
    ones.

    y, p: vectors of one length; y is 0 or 1, p a probability of 1.
    Raises `DataError`: p outside [0, 1], missing values, different lengths; `ConfigError`: n_bins below 1.
    Source: Naeini, Cooper and Hauskrecht (2015), Obtaining well calibrated probabilities using Bayesian
    binning, AAAI; equal mass as Nixon et al. (2019), Measuring calibration in deep learning.

    >>> calibration_error([0, 1, 0, 1], [0.25, 0.25, 0.75, 0.75])  # both halves are a quarter off
    0.25
    """
    bins = _calibration_bins("calibration_error", y, p, n_bins)
    weights = bins["customers"] / bins["customers"].sum()
    return float((weights * (bins["mean_actual"] - bins["mean_predicted"]).abs()).sum())


def calibration_table(y: ArrayLike, p: ArrayLike, n_bins: int = 10) -> pd.DataFrame:
    """Predicted beside actual share of ones, in bins of equal mass from the lowest to the highest forecast.

    Columns `customers`, `mean_predicted`, `mean_actual`, `gap` (actual - predicted); index `bin` from 1.
    Where tied forecasts straddle two bins, their ones are shared out evenly. With fewer rows than bins, one
    bin per row.

    y, p: vectors of one length; y is 0 or 1, p a probability of 1.
    Raises `DataError`: p outside [0, 1], missing values, different lengths; `ConfigError`: n_bins below 1.

    >>> calibration_table([0, 0, 1, 1], [0.0, 0.25, 0.5, 1.0], n_bins=2)  # doctest: +NORMALIZE_WHITESPACE
         customers  mean_predicted  mean_actual    gap
    bin
    1            2           0.125          0.0 -0.125
    2            2           0.750          1.0  0.250
    """
    return _calibration_bins("calibration_table", y, p, n_bins)


def lift(y: ArrayLike, score: ArrayLike, at: float = 0.1) -> float:
    """Share of ones among the best-scored `at` of the customers, over the share of ones among all.

    `(ones in the top at * n) / (at * n) / (ones / n)`. 1 is what a random choice gives; the most possible is
    min(1 / at, n / ones). Both a tie at the border and a border inside a customer (at * n not whole) count in
    proportion: the expected value over a random order of the ties.

    y, score: vectors of one length; y is 0 or 1, a high score stands for 1. at: a share in (0, 1].
    Raises `DataError`: no 1 at all, missing values, different lengths; `ConfigError`: at outside (0, 1].

    >>> lift([1, 0, 0, 1, 0, 0, 0, 0, 0, 0], [9, 8, 7, 6, 5, 4, 3, 2, 1, 0])  # the top one is a 1: 1 / (2/10)
    5.0
    >>> lift([1, 0, 0, 0, 0, 0, 0, 0, 0, 0], [9, 9, 7, 6, 5, 4, 3, 2, 1, 0])  # one of two tied: 1/2 / (1/10)
    5.0
    """
    labels, scores = checked("lift", y=y, score=score)
    checked_labels("lift", labels, need=(1,))
    if not 0 < at <= 1:
        raise ConfigError(f"lift: at is {at!r}. Use a share of the customers in (0, 1], such as at=0.1.")
    rows, ones = gains_curve(labels, scores)
    targeted = at * len(labels)
    return float(np.interp(targeted, rows, ones) / targeted * (len(labels) / ones[-1]))


def gains_table(y: ArrayLike, score: ArrayLike, n_bins: int = 10) -> pd.DataFrame:
    """What targeting the best-scored customers reaches, bin by bin from the highest score.

    Columns `customers`, `positives`, `rate` (positives / customers), and down to this bin `captured` (share
    of all positives) and `lift` (captured / share of customers); index `bin` from 1. Ties are shared out
    evenly, so that positives need not be whole. With fewer rows than bins, one bin per row.

    y, score: vectors of one length; y is 0 or 1, a high score stands for 1.
    Raises `DataError`: no 1 at all, missing values, different lengths; `ConfigError`: n_bins below 1.

    >>> gains_table([1, 1, 0, 1, 0, 0, 0, 0], range(8, 0, -1), n_bins=4)  # doctest:+NORMALIZE_WHITESPACE
         customers  positives  rate  captured      lift
    bin
    1            2        2.0   1.0  0.666667  2.666667
    2            2        1.0   0.5  1.000000  2.000000
    3            2        0.0   0.0  1.000000  1.333333
    4            2        0.0   0.0  1.000000  1.000000
    """
    labels, scores = checked("gains_table", y=y, score=score)
    checked_labels("gains_table", labels, need=(1,))
    edges = bin_edges(len(labels), checked_count("gains_table", "n_bins", n_bins))
    reached = np.interp(edges, *gains_curve(labels, scores))
    customers, positives = np.diff(edges), np.diff(reached)
    captured = reached[1:] / reached[-1]
    table = {
        "customers": customers,
        "positives": positives,
        "rate": positives / customers,
        "captured": captured,
        "lift": captured * (len(labels) / edges[1:]),
    }
    return pd.DataFrame(table, index=bin_index(len(customers)))


def gains_curve(y: Floats, score: Floats) -> tuple[Floats, Floats]:
    """Rows taken and ones among them, from the highest score down, a point after each group of ties.

    Straight lines between the points are the expected value over a random order inside each group.
    """
    distinct, group = np.unique(-score, return_inverse=True)
    rows = np.bincount(group, minlength=len(distinct))
    ones = np.bincount(group, weights=y, minlength=len(distinct))
    return np.concatenate([[0.0], np.cumsum(rows)]), np.concatenate([[0.0], np.cumsum(ones)])


def _calibration_bins(metric: str, y: ArrayLike, p: ArrayLike, n_bins: int) -> pd.DataFrame:
    labels, probabilities = checked(metric, y=y, p=p)
    checked_labels(metric, labels)
    checked_probabilities(metric, probabilities)
    edges = bin_edges(len(labels), checked_count(metric, "n_bins", n_bins))
    order = np.argsort(probabilities, kind="stable")
    customers = np.diff(edges)
    predicted = bin_sums(probabilities[order], edges) / customers
    actual = bin_sums(tie_mean(labels, probabilities)[order], edges) / customers
    table = {
        "customers": customers,
        "mean_predicted": predicted,
        "mean_actual": actual,
        "gap": actual - predicted,
    }
    return pd.DataFrame(table, index=bin_index(len(customers)))

"""How well predicted value orders the customers, and how far off it is."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from crmml.errors import DataError
from crmml.metrics.arrays import Floats, bin_edges, bin_index, bin_sums, checked, checked_count, tie_mean


def normalised_gini(actual: ArrayLike, score: ArrayLike) -> float:
    """How much of the value the order of `score` finds, beside the perfect order.

    The Gini index of the actual values taken in the order of the score, over the Gini index of their own
    order; both are areas between the gains curve and the diagonal. As those areas are covariances with ranks,
    this is `cov(actual, rank(score)) / cov(actual, rank(actual))`, where tied scores share their average
    rank: the expected value over a random order of the ties. 1 is the perfect order, 0 a random one or a
    constant score, -1 can occur for a reversed order. Negative values (returns) and a total of 0 are allowed,
    since the total cancels.

    actual, score: vectors of one length; any units.
    Raises `DataError`: all actual values are equal, missing values, different lengths.
    Source: Schechtman and Yitzhaki (1987), A measure of association based on Gini's mean difference.

    >>> normalised_gini([0, 10, 30], [1, 2, 3])
    1.0
    >>> normalised_gini([0, 10, 30], [1, 3, 2])  # 10 and 30 change places: (10 - 0) / (30 - 0)
    0.3333333333333333
    """
    values, scores = checked("normalised_gini", actual=actual, score=score)
    _check_varies("normalised_gini", values)
    return _rank_covariance(values, scores) / _rank_covariance(values, values)


def spearman(actual: ArrayLike, score: ArrayLike) -> float:
    """Spearman's rank correlation: the correlation of the ranks, where ties share their average rank.

    1 is the same order, -1 the reverse. A constant score orders nothing and has 0. Unlike `normalised_gini`
    every customer weighs the same, the one with 1 as much as the one with 10,000.

    actual, score: vectors of one length; any units.
    Raises `DataError`: all actual values are equal, missing values, different lengths.
    Source: Spearman (1904), The proof and measurement of association between two things.

    >>> spearman([0, 10, 30], [1, 3, 2])  # 1 - 6 (0 + 1 + 1) / (3 (9 - 1))
    0.5
    """
    values, scores = checked("spearman", actual=actual, score=score)
    _check_varies("spearman", values)
    if _constant(scores):
        return 0.0
    a, b = rankdata(values), rankdata(scores)
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def mae(actual: ArrayLike, predicted: ArrayLike) -> float:
    """Mean absolute error: `mean of |predicted - actual|`, in the units of the values (money).

    The median minimises it: where most customers spend nothing, so does the forecast of 0. Read it beside
    `total_error`, which such a forecast fails.

    actual, predicted: vectors of one length, in one unit.
    Raises `DataError`: missing values, different lengths.

    >>> mae([0.0, 10.0], [1.0, 7.0])
    2.0
    """
    values, forecasts = checked("mae", actual=actual, predicted=predicted)
    return float(np.mean(np.abs(forecasts - values)))


def total_error(actual: ArrayLike, predicted: ArrayLike) -> float:
    """Relative error of the total: `sum(predicted) / sum(actual) - 1`; 0.1 is 10 % too much, 0 is right.

    actual, predicted: vectors of one length, in one unit.
    Raises `DataError`: the actual total is not above 0, missing values, different lengths.

    >>> total_error([10.0, 30.0], [20.0, 24.0])
    0.10000000000000009
    """
    values, forecasts = checked("total_error", actual=actual, predicted=predicted)
    total = float(values.sum())
    if total <= 0:
        raise DataError(
            f"total_error: the actual values sum to {total:g}, and an error relative to that means nothing. "
            "Use more customers or a longer horizon, or compare the sums yourself."
        )
    return float(forecasts.sum()) / total - 1


def decile_table(actual: ArrayLike, predicted: ArrayLike, n_bins: int = 10) -> pd.DataFrame:
    """Predicted beside actual value, in bins of equal mass from the highest to the lowest forecast.

    Columns `customers`, `mean_predicted`, `mean_actual` and `share_of_value` (of the actual total; NaN where
    that is not above 0); index `bin` from 1. Where tied forecasts straddle two bins, their value is shared
    out evenly. With fewer rows than bins, one bin per row.

    actual, predicted: vectors of one length, in one unit.
    Raises `DataError`: missing values, different lengths; `ConfigError`: n_bins below 1.

    >>> decile_table([0, 10, 20, 50], [1, 12, 15, 40], n_bins=2)  # doctest: +NORMALIZE_WHITESPACE
         customers  mean_predicted  mean_actual  share_of_value
    bin
    1            2            27.5         35.0           0.875
    2            2             6.5          5.0           0.125
    """
    values, forecasts = checked("decile_table", actual=actual, predicted=predicted)
    edges = bin_edges(len(values), checked_count("decile_table", "n_bins", n_bins))
    order = np.argsort(-forecasts, kind="stable")
    customers = np.diff(edges)
    sums = bin_sums(tie_mean(values, forecasts)[order], edges)
    total = float(values.sum())
    table = {
        "customers": customers,
        "mean_predicted": bin_sums(forecasts[order], edges) / customers,
        "mean_actual": sums / customers,
        "share_of_value": sums / total if total > 0 else np.full(len(sums), np.nan),
    }
    return pd.DataFrame(table, index=bin_index(len(customers)))


def _rank_covariance(values: Floats, score: Floats) -> float:
    """The sum of values times centred average ranks of the score: proportional to the covariance."""
    centred = rankdata(score) - (len(score) + 1) / 2
    # The centred ranks sum to 0, so a constant may be taken off the values: large ones stay precise.
    return float((values - values.mean()) @ centred)


def _constant(values: Floats) -> bool:
    return bool((values == values[0]).all())


def _check_varies(metric: str, actual: Floats) -> None:
    if _constant(actual):
        raise DataError(
            f"{metric}: all {len(actual)} actual values are {actual[0]:g}, so there is no order to find. "
            "Use more customers or a longer horizon."
        )

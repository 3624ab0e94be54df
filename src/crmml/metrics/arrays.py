"""What the metrics share: checked arrays, and the one treatment of tied scores."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crmml.errors import ConfigError, DataError

Floats = NDArray[np.float64]


def checked(metric: str, **arrays: ArrayLike) -> tuple[Floats, ...]:
    """The arrays as float64 vectors of one length, in the order given.

    `metric` names the caller in the messages, the keywords name the arrays.

    Raises `DataError`: empty; not one-dimensional; not numbers; missing or infinite values; different
    lengths; pandas Series whose indexes differ (their rows belong to different customers).

    >>> y, score = checked("auc", y=[0, 1], score=[0.2, 0.9])
    >>> y.tolist(), score.tolist()
    ([0.0, 1.0], [0.2, 0.9])
    >>> checked("auc", y=[0, 1], score=[0.2])
    Traceback (most recent call last):
        ...
    crmml.errors.DataError: auc: y has 2 values and score has 1. Give one value of each per row.
    """
    _check_indexes(metric, arrays)
    vectors = {name: _vector(metric, name, values) for name, values in arrays.items()}
    (first, head), *others = vectors.items()
    for name, vector in others:
        if len(vector) != len(head):
            raise DataError(
                f"{metric}: {first} has {len(head)} values and {name} has {len(vector)}. "
                "Give one value of each per row."
            )
    return tuple(vectors.values())


def checked_labels(metric: str, y: Floats, *, need: tuple[int, ...] = ()) -> Floats:
    """`y`, once every label is known to be 0 or 1 and every class of `need` occurs; else `DataError`.

    >>> checked_labels("auc", np.array([1.0, 1.0]), need=(0, 1))  # doctest: +NORMALIZE_WHITESPACE
    Traceback (most recent call last):
        ...
    crmml.errors.DataError: auc: all 2 labels in y are 1, but it needs both 0 and 1.
    Use more customers or a longer horizon.
    """
    wrong = np.flatnonzero((y != 0) & (y != 1))
    if len(wrong):
        raise DataError(f"{metric}: y[{wrong[0]}] is {y[wrong[0]]:g}. Labels are 0 or 1.")
    for label in need:
        if not (y == label).any():
            needed = "both 0 and 1" if len(need) == 2 else f"at least one {label}"
            raise DataError(
                f"{metric}: all {len(y)} labels in y are {1 - label}, but it needs {needed}. "
                "Use more customers or a longer horizon."
            )
    return y


def checked_probabilities(metric: str, p: Floats) -> Floats:
    """`p`, once every value is known to lie in [0, 1]; else `DataError`.

    >>> checked_probabilities("brier", np.array([0.5, 1.5]))  # doctest: +NORMALIZE_WHITESPACE
    Traceback (most recent call last):
        ...
    crmml.errors.DataError: brier: p[1] is 1.5. Probabilities lie in [0, 1]:
    give predict_proba(X)[:, 1], not a score.
    """
    wrong = np.flatnonzero((p < 0) | (p > 1))
    if len(wrong):
        raise DataError(
            f"{metric}: p[{wrong[0]}] is {p[wrong[0]]:g}. "
            "Probabilities lie in [0, 1]: give predict_proba(X)[:, 1], not a score."
        )
    return p


def checked_count(metric: str, name: str, value: object) -> int:
    """`value`, once it is known to be a whole number of at least 1; else `ConfigError`.

    >>> checked_count("recall_at_k", "k", 0)
    Traceback (most recent call last):
        ...
    crmml.errors.ConfigError: recall_at_k: k is 0. Use a whole number of at least 1, such as k=10.
    """
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{metric}: {name} is {value!r}. Use a whole number of at least 1, such as {name}=10.")
    return int(value)


def tie_mean(values: Floats, score: Floats) -> Floats:
    """Each value replaced by the mean of `values` over the rows with the same score; shape as given.

    A random order of tied rows puts, on average, exactly this value at each of their places.

    >>> tie_mean(np.array([1.0, 0.0, 1.0]), np.array([7.0, 7.0, 3.0])).tolist()
    [0.5, 0.5, 1.0]
    """
    _, group = np.unique(score, return_inverse=True)
    means: Floats = np.bincount(group, weights=values) / np.bincount(group)
    return means[group]


def bin_edges(rows: int, n_bins: int) -> NDArray[np.int64]:
    """Where to cut sorted rows into bins of equal mass: sizes differ by at most one, larger ones first.

    With fewer rows than bins, every row is its own bin.

    >>> bin_edges(10, 4).tolist()
    [0, 3, 6, 8, 10]
    """
    n_bins = min(n_bins, rows)
    small, extra = divmod(rows, n_bins)
    sizes = np.full(n_bins, small, dtype=np.int64)
    sizes[:extra] += 1
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes)])


def bin_sums(values: Floats, edges: NDArray[np.int64]) -> Floats:
    """The sum of `values` in every bin of `edges`; shape (bins,).

    >>> bin_sums(np.array([1.0, 2.0, 3.0]), np.array([0, 2, 3])).tolist()
    [3.0, 3.0]
    """
    sums: Floats = np.add.reduceat(values, edges[:-1])
    return sums


def bin_index(bins: int) -> pd.Index:
    """The index of a table of bins: 1, 2, ... named "bin".

    >>> bin_index(3).tolist()
    [1, 2, 3]
    """
    return pd.RangeIndex(1, bins + 1, name="bin")


def _vector(metric: str, name: str, values: ArrayLike) -> Floats:
    try:
        vector = _numbers(values)
    except (TypeError, ValueError) as problem:
        raise DataError(f"{metric}: {name} does not hold numbers ({problem}). Give numbers.") from None
    if vector.ndim != 1:
        raise DataError(f"{metric}: {name} has shape {vector.shape}. Give a vector, one value per row.")
    if not len(vector):
        raise DataError(f"{metric}: {name} is empty. Give at least one row.")
    wrong = np.flatnonzero(~np.isfinite(vector))
    if len(wrong):
        raise DataError(
            f"{metric}: {name}[{wrong[0]}] is {vector[wrong[0]]} "
            f"({len(wrong)} of {len(vector)} values are not finite). "
            "Drop these rows or fill them in before measuring."
        )
    return vector


def _numbers(values: Any) -> Floats:
    """As float64; texts and times are a TypeError, although numpy would convert them."""
    if isinstance(values, pd.Series) and pd.api.types.is_extension_array_dtype(values.dtype):
        if not pd.api.types.is_numeric_dtype(values.dtype):
            raise TypeError(f"dtype {values.dtype}, first value {values.iloc[0]!r}")
        # pandas' own missing value has no float: NaN is then refused with its place.
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    array = np.asarray(values)
    if array.dtype.kind not in "biufO" or any(isinstance(value, str) for value in array.flat[:1]):
        raise TypeError(f"dtype {array.dtype}, first value {array.flat[0]!r}")
    return array.astype(np.float64)


def _check_indexes(metric: str, arrays: dict[str, Any]) -> None:
    """Two Series with different indexes are rows of different customers: numpy would pair them silently."""
    series = [(name, values.index) for name, values in arrays.items() if isinstance(values, pd.Series)]
    for name, index in series[1:]:
        first, expected = series[0]
        if len(index) != len(expected) or index.equals(expected):
            continue
        pairs = enumerate(zip(expected.tolist(), index.tolist(), strict=True))
        row, (a, b) = next((row, pair) for row, pair in pairs if pair[0] != pair[1])
        raise DataError(
            f"{metric}: the indexes of {first} and {name} differ: row {row} is {a!r} in {first} and {b!r} in {name}. "
            f"Align them, for example {name}.loc[{first}.index]."
        )

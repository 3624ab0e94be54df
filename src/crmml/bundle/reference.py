"""`Reference`: how features, scores and labels were distributed at the training cutoffs, as counts in bins.

It is what monitoring compares with. No row and no value of a customer is in it: the limits of the bins are quantiles,
rounded to three digits, or lie between two values, and the counts are of two halves of the customers, by a
hash of their id, at every cutoff (see `crmml.metrics.drift.natural_variation`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmml.errors import BundleError

PREFIX = "reference."
SCORE, LABEL = "score", "label"
# What stands in the place of features where a recommender was trained: see `list_reference`.
LIST_COLUMNS = ("interactions", "new_customer", "new_items", "item_popularity")
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_BINS = 10
# Limits are quantiles of at most so many rows: of more they would hardly differ.
_ROWS_FOR_LIMITS = 200_000
# A value that so large a share of the rows has is nobody's own.
_SHARED = 0.05
_ARRAYS = ("columns", "n_limits", "limits", "categories", "counts", "label_means")


@dataclass(frozen=True, eq=False)
class Reference:
    """Counts per bin of every column at every training cutoff.

    Attributes:
        columns: the features in their order, then "score", then "label" where there is a target.
        limits: per column the upper limits of its bins, ascending; the last bin has none. Bin 0 holds the missing
            values, bin 1 those up to the first limit. For segments, the score is the number of the segment's name in
            `categories`, and -1 for every other name.
        categories: the names of the segments, sorted; none where the score is a number.
        counts: per column an array of shape (cutoffs, 2 halves of the customers, bins).
        label_means: of shape (cutoffs, 2), the mean label of each half; of shape (0, 2) without a target.

    >>> index = pd.MultiIndex.from_product([[1, 2, 3, 4], ["2024-01-01", "2024-02-01"]], names=["customer_id", "as_of"])
    >>> X = pd.DataFrame({"recency": [1.0, 2, 3, 4, 5, 6, 7, np.nan]}, index=index)
    >>> reference = Reference.of(X, np.linspace(0, 1, 8))
    >>> reference.counts[0].sum(axis=1)[:, 0].tolist()  # missing: none at the first cutoff, one at the second
    [0, 1]
    """

    columns: tuple[str, ...]
    limits: tuple[Floats, ...]
    categories: tuple[str, ...]
    counts: tuple[Ints, ...]
    label_means: Floats

    @classmethod
    def of(cls, X: pd.DataFrame, scores: npt.ArrayLike, y: pd.Series | None = None) -> "Reference":
        """The reference of training rows.

        Args:
            X: the features, one row per customer and cutoff, indexed by both.
            scores: the model's score of every row: numbers, or names of segments.
            y: the labels, in the order of X.
        """
        categories, numbers = _as_numbers(scores, None)
        named = {str(name): _floats(column) for name, column in X.items()} | {SCORE: numbers}
        if y is not None:
            named[LABEL] = _floats(y)
        limits = tuple(
            _category_limits(categories) if name == SCORE and categories else _limits(values)
            for name, values in named.items()
        )
        cell = _cells(X.index)
        counts = tuple(_count(values, edge, cell) for values, edge in zip(named.values(), limits, strict=True))
        means = np.empty((0, 2))
        if y is not None:
            size = 2 * (int(cell.max()) // 2 + 1)
            sums, rows = (np.bincount(cell, weights, minlength=size) for weights in (named[LABEL], None))
            means = (sums / np.maximum(rows, 1)).reshape(-1, 2)
        return cls(tuple(named), limits, categories, counts, means)

    @property
    def n_cutoffs(self) -> int:
        """Number of training cutoffs."""
        return len(self.counts[0])

    @property
    def customers(self) -> Ints:
        """Number of customers at every training cutoff."""
        sizes: Ints = self.counts[0].sum(axis=(1, 2))
        return sizes

    def count(self, column: str, values: Any) -> Ints:
        """How many of the values of one column, or of the scores, are in each bin; shape (bins,)."""
        place = self.columns.index(column)
        numbers = _as_numbers(values, self.categories)[1] if column == SCORE else _floats(values)
        return np.bincount(_bins(numbers, self.limits[place]), minlength=len(self.limits[place]) + 2).astype(np.int64)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The reference as arrays named `reference.*`, as a bundle keeps them."""
        stored: dict[str, npt.NDArray[Any]] = {
            "columns": np.array(self.columns),
            "n_limits": np.array([len(limits) for limits in self.limits], dtype=np.int64),
            "limits": np.concatenate(self.limits),
            "categories": np.array(self.categories, dtype=str) if self.categories else np.array([""])[:0],
            "counts": np.concatenate(self.counts, axis=2),
            "label_means": self.label_means,
        }
        return {f"{PREFIX}{name}": array for name, array in stored.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], features: Sequence[str], where: Any) -> "Reference":
        """What `arrays()` gave, once every array is known to be what it should; they may come from anybody.

        Raises:
            BundleError: an array is missing or unknown, of another type or shape, or says what cannot be.
        """
        found = {name.removeprefix(PREFIX): array for name, array in arrays.items()}
        problem = _problem(found, features)
        if problem:
            raise BundleError(f"{where}: its reference distributions {problem}. Train the bundle anew.")
        n_limits = found["n_limits"]
        limits = np.split(found["limits"], np.cumsum(n_limits)[:-1])
        counts = np.split(found["counts"], np.cumsum(n_limits + 2)[:-1], axis=2)
        names, categories = (tuple(map(str, found[name])) for name in ("columns", "categories"))
        return cls(names, tuple(limits), categories, tuple(counts), found["label_means"])


def _as_numbers(scores: Any, categories: tuple[str, ...] | None) -> tuple[tuple[str, ...], Floats]:
    """Scores as numbers: the names of segments as their places among the known ones, -1 for a new one."""
    values = np.asarray(scores)
    if categories == () or (categories is None and values.dtype.kind in "biuf"):
        return (), _floats(values)
    texts = pd.Series(values.reshape(-1)).astype(str)
    known = tuple(sorted(texts.unique())) if categories is None else categories
    return known, _floats(pd.Index(known).get_indexer(pd.Index(texts)))


def _floats(values: Any) -> Floats:
    series = values if isinstance(values, pd.Series) else pd.Series(np.asarray(values).reshape(-1))
    numbers: Floats = series.to_numpy(np.float64, na_value=np.nan)
    return numbers


def _cells(index: pd.Index) -> Ints:
    """2 times the number of the cutoff, plus the half of the customer: the same half at every cutoff."""
    cutoffs = pd.factorize(index.get_level_values("as_of"), sort=True)[0]
    halves = pd.util.hash_array(np.asarray(index.get_level_values("customer_id"))) & np.uint64(1)
    cell: Ints = 2 * cutoffs + halves.astype(np.int64)
    return cell


def _limits(values: Floats) -> Floats:
    """Upper limits of at most ten bins with about as many values each; fewer where few values are many."""
    known = values[np.isfinite(values)]
    known = known[:: max(1, len(known) // _ROWS_FOR_LIMITS)]
    if not len(known):
        return np.zeros(1)
    found = np.unique(np.quantile(known, np.arange(1, _BINS) / _BINS, method="inverted_cdf"))
    margin = float(0.1 * (found[-1] - found[0])) or 0.1 * max(abs(float(found[0])), 1.0)
    distinct, sizes = np.unique(known, return_counts=True)
    shared = sizes >= _SHARED * len(known)
    limits = []
    for place in np.searchsorted(distinct, found):
        value, after = distinct[place], distinct[place + 1] if place + 1 < len(distinct) else np.inf
        limits.append(_limit_above(value, min(after, value + 2 * margin)) if shared[place] else _rounded(value))
    if shared[0]:  # what is well below a least value that many have must be seen as well
        limits.append(float(distinct[0]) - margin)
    return np.unique(limits)


def _limit_above(value: float, after: float) -> float:
    """A limit half way to the next value: a value that many have may move a little, and is still the same."""
    middle = (value + after) / 2
    return _rounded(middle) if value < _rounded(middle) < after else float(middle)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _category_limits(categories: Sequence[str]) -> Floats:
    """One bin for every category, and one below for all that are new."""
    return np.arange(len(categories), dtype=np.float64) - 0.5


def _bins(values: Floats, limits: Floats) -> Ints:
    bins: Ints = np.where(np.isnan(values), 0, 1 + np.searchsorted(limits, values, side="left"))
    return bins


def _count(values: Floats, limits: Floats, cell: Ints) -> Ints:
    bins, cells = len(limits) + 2, 2 * (int(cell.max()) // 2 + 1)
    flat = np.bincount(cell * bins + _bins(values, limits), minlength=cells * bins)
    return flat.reshape(-1, 2, bins).astype(np.int64)


def _problem(found: Mapping[str, npt.NDArray[Any]], features: Sequence[str]) -> str:
    """What is wrong with the arrays of a reference, in words; "" where nothing is."""
    if sorted(found) != sorted(_ARRAYS):
        return f"have the arrays {', '.join(found)} instead of {', '.join(_ARRAYS)}"
    kinds = {"columns": ("U", 1), "n_limits": ("i", 1), "limits": ("f", 1), "categories": ("U", 1)}
    kinds |= {"counts": ("i", 3), "label_means": ("f", 2)}
    for name, (kind, n_dim) in kinds.items():
        if found[name].dtype.kind != kind or found[name].ndim != n_dim:
            return f"have {name} of type {found[name].dtype} and shape {found[name].shape}"
    names, n_limits, limits = found["columns"], found["n_limits"], found["limits"]
    if names.tolist() not in ([*features, SCORE], [*features, SCORE, LABEL]):
        return "are of other columns than the features"
    if len(n_limits) != len(names) or (n_limits < 1).any() or n_limits.sum() != len(limits):
        return "have other limits than columns"
    if not np.isfinite(limits).all():
        return "have limits that are no numbers"
    if any((np.diff(part) <= 0).any() for part in np.split(limits, np.cumsum(n_limits)[:-1])):
        return "have limits that do not ascend"
    return _problem_of_counts(found)


def _problem_of_counts(found: Mapping[str, npt.NDArray[Any]]) -> str:
    counts, bins = found["counts"], found["n_limits"] + 2
    if counts.shape[1:] != (2, bins.sum()) or not len(counts) or (counts < 0).any():
        return f"have counts of shape {counts.shape}, or below 0"
    customers = [part.sum(axis=2) for part in np.split(counts, np.cumsum(bins)[:-1], axis=2)]
    if any(not np.array_equal(customers[0], others) for others in customers):
        return "have columns that count different numbers of customers"
    if not customers[0].sum(axis=1).all():
        return "have a cutoff without customers"
    wanted, means = (len(counts) if LABEL in found["columns"] else 0, 2), found["label_means"]
    if means.shape != wanted or not np.isfinite(means).all():
        return f"have label means of shape {means.shape} instead of {wanted}, or no numbers"
    return ""

"""Segments that the data suggest: k-means, a mixture of normal distributions, or density."""

import warnings
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import ClusterMixin
from sklearn.metrics import silhouette_score
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from crmml.errors import ConfigError, DataError
from crmml.models._base import Floats, Ints, State, check_parameters
from crmml.models._groups import METHODS, MINI_BATCH_ROWS, NOISE, Density, Groups, Mixture, sample_of
from crmml.models._robust import RobustScaler, medians_by
from crmml.models._segmenter import Segmenter, column_names
from crmml.models._state import StateReader

NOISE_NAME = "noise"
_MOST_FOR_SILHOUETTE = 2_000


class BehaviourSegmenter(ClusterMixin, Segmenter):  # type: ignore[misc]  # scikit-learn ships no types
    """Groups of customers who behave alike, in columns scaled once and for all.

    The scaling is part of what `fit` learns: skewed columns are logged (sign and log(1 + |x|)), outliers cut to the
    1 % and 99 % quantiles, each column centred on its median and divided by its interquartile range (over 1.349) or
    its standard deviation, whichever is more: none spreads by more than 1. A missing value is taken for the median; a
    constant column counts for nothing. The largest segment is the first.

    Three methods, each with a rule that gives a later customer a segment from their own row alone:

    - "kmeans" (S. Lloyd, 1982): the nearest centre. Above 100,000 rows in mini-batches (D. Sculley, 2010).
    - "gaussian_mixture" (A. Dempster, N. Laird & D. Rubin, 1977): the likeliest of normal distributions, each with
      its own covariance; learned from at most 20,000 rows. Components that are nobody's likeliest are left out.
    - "hdbscan" (R. Campello, D. Moulavi & J. Sander, 2013): dense groups, learned from at most 5,000 rows; a customer
      belongs to the group of the nearest learned member to whom they are as near as the group's own members are to
      each other (in mutual reachability, to the fifth neighbour). Everybody else is "noise": position -1, and the
      last of the names. A small `min_share` finds dense places in any cloud.

    Above 100,000 rows the scaling and the medians of the profile are those of 100,000 rows drawn at random.

    Parameters:
        n_clusters: Number of segments, 1 or more. HDBSCAN: at most so many, the largest; a warning says where there
            are more.
        method: "kmeans", "gaussian_mixture" or "hdbscan".
        min_share: HDBSCAN only: the least share of the customers that makes a segment.
        random_state: Seed of starts and samples, a whole number.

    Attributes:
        labels_: Segment of each training row, shape (rows,), by the rule for later rows; not part of the state.
        segments_: Names "segment_0", "segment_1", ..., with HDBSCAN then "noise"; `predict` gives positions in it.
        cluster_centers_: Centres in scaled units, shape (segments, columns); of HDBSCAN the means of the members.
        silhouette_: Mean silhouette (P. J. Rousseeuw, 1987) of at most 2,000 training rows, -1 to 1: near 1
            the segments lie apart, near 0 they are arbitrary cuts. NaN for a single segment. Without noise.
        feature_names_in_: Names of the columns of `fit`, where it got a table with names.
        n_features_in_: Number of columns.

    >>> X = pd.DataFrame({"visits": [1, 2, 1, 50, 52], "spend": [5.0, 6.0, None, 900.0, 950.0]})
    >>> model = BehaviourSegmenter(n_clusters=2).fit(X)
    >>> model.labels_.tolist()
    [0, 0, 0, 1, 1]
    >>> print(model.profile().rename_axis(None))
               rows  share  visits  spend
    segment_0     3    0.6     1.0    5.5
    segment_1     2    0.4    51.0  925.0
    >>> BehaviourSegmenter(method="hdbscan").fit(X).segment(X).tolist()  # five customers are no crowd
    ['noise', 'noise', 'noise', 'noise', 'noise']
    """

    def __init__(
        self, n_clusters: int = 5, *, method: str = "kmeans", min_share: float = 0.05, random_state: int = 0
    ) -> None:
        self.n_clusters = n_clusters
        self.method = method
        self.min_share = min_share
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: Any, y: object = None) -> Self:
        """Learn the scaling and the groups.

        Args:
            X: Numbers, shape (rows, columns).
            y: Ignored.

        Raises:
            ConfigError: A parameter is out of its range.
            SchemaError: A column with text or dates.
            DataError: An infinite value, or fewer different rows than segments.
        """
        check_parameters(self, n_clusters="whole >= 1", min_share="share", random_state="whole >= 0")
        self._kind()
        values, _ = self._check_fitting(X)
        scaler = RobustScaler.learn(sample_of(values, MINI_BATCH_ROWS, self.random_state))
        Z = scaler.apply(values)
        self._groups, self.labels_ = self._largest_first(self._found(Z), Z)
        self._scaler = scaler
        self.cluster_centers_ = self._groups.centres
        self.silhouette_ = silhouette_of(Z, self.labels_, self.random_state)
        self.segments_ = _names(self._groups)
        # Noise, -1, is the last of the names.
        places = self.labels_ % len(self.segments_)
        self._sizes = np.bincount(places, minlength=len(self.segments_)).astype(np.int64)
        self._medians = _medians(values, places, len(self.segments_), self.random_state)
        return self

    def profile(self) -> pd.DataFrame:
        """What the segments are like: a row per segment of the training rows.

        Returns:
            Index `segment`; columns `rows`, `share` (of all rows), then the median of each feature in its
            own unit, missing values left out.

        Raises:
            sklearn.exceptions.NotFittedError: Before `fit`.
        """
        check_is_fitted(self)
        table = pd.DataFrame(self._medians, columns=column_names(self))
        table.insert(0, "rows", self._sizes, allow_duplicates=True)
        table.insert(1, "share", self._sizes / self._sizes.sum(), allow_duplicates=True)
        return table.set_index(pd.Index(self.segments_.tolist(), name="segment"))

    def _kind(self) -> Any:
        kind = METHODS.get(self.method) if isinstance(self.method, str) else None
        if kind is None:
            raise ConfigError(
                f"{type(self).__name__}: method={self.method!r} must be one of {', '.join(map(repr, METHODS))}. "
                "Use method='kmeans', the default."
            )
        return kind

    def _found(self, Z: Floats) -> Groups:
        kind = self._kind()
        if kind is Density:
            return Density.find(Z, self.min_share, self.random_state)
        self._refuse_fewer_than_segments(len(Z), "rows")
        if kind is Mixture and len(Z) == 1:
            raise DataError(
                f"{type(self).__name__}.fit: X has 1 sample, too few for a mixture. Use method='kmeans', or more rows."
            )
        groups: Groups = kind.find(Z, self.n_clusters, self.random_state)
        return groups

    def _largest_first(self, groups: Groups, Z: Floats) -> tuple[Groups, Ints]:
        """The groups that count, the largest first, and the group of each row."""
        labels = groups.assign(Z)
        centres = groups.centres
        sizes = np.bincount(labels[labels != NOISE], minlength=len(centres))
        there = int((sizes > 0).sum())
        if not groups.noisy and there < self.n_clusters:
            self._refuse_fewer_than_segments(_different_rows(Z, self.n_clusters), "different rows (after scaling)")
        order = np.lexsort((*centres.T[::-1], -sizes))[: min(there, self.n_clusters)]
        if there > self.n_clusters:
            _warn_of_more(there, self.n_clusters, sizes[order].sum() / len(Z), sizes.sum() / len(Z))
        kept = groups.taking(order)
        return kept, kept.assign(Z)

    def _refuse_fewer_than_segments(self, found: int, what: str) -> None:
        if found < self.n_clusters:
            raise DataError(
                f"{type(self).__name__}.fit: X has {found} {what}, too few for n_clusters={self.n_clusters} "
                f"segments. Use n_clusters={found} or fewer, or more rows."
            )

    def _assign(self, X: Any, method: str) -> Ints:
        values = self._check_rows(method, X)
        return self._groups.assign(self._scaler.apply(values))

    def _learned(self) -> State:
        return self._groups.learned() | {
            "logged": self._scaler.logged,
            # One row each: low, high, centre, scale.
            "scaling": np.array([self._scaler.low, self._scaler.high, self._scaler.centre, self._scaler.scale]),
            "sizes": self._sizes,
            "medians": self._medians,
            "silhouette": np.array([self.silhouette_]),
        }

    def _checked_state(self, reader: StateReader, n_features: int) -> dict[str, Any]:
        groups = self._kind().restored(reader, n_features)
        logged = reader.array("logged", "b", (n_features,))
        low, high, centre, scale = reader.finite("scaling", (4, n_features))
        if np.any(low > high) or np.any(scale <= 0):
            reader.refuse("scaling", "must have low <= high and scale > 0")
        names = _names(groups)
        sizes = reader.array("sizes", "i", (len(names),)).astype(np.int64)
        if np.any(sizes < 0) or sizes.sum() < 1:
            reader.refuse("sizes", f"must hold numbers of rows, not {sizes.tolist()}")
        return {
            "_scaler": RobustScaler(logged, low, high, centre, scale),
            "_groups": groups,
            "cluster_centers_": groups.centres,
            "_sizes": sizes,
            "_medians": reader.array("medians", "f", (len(names), n_features)),
            "silhouette_": float(reader.array("silhouette", "f", (1,))[0]),
            "segments_": names,
        }


def _names(groups: Groups) -> npt.NDArray[np.str_]:
    numbered = [f"segment_{number}" for number in range(len(groups.centres))]
    return np.array([*numbered, NOISE_NAME] if groups.noisy else numbered)


def _different_rows(Z: Floats, enough: int) -> int:
    """How many different rows there are; counting stops where there are enough."""
    seen: set[bytes] = set()
    for row in Z:
        seen.add((row + 0.0).tobytes())  # -0 is 0
        if len(seen) >= enough:
            break
    return len(seen)


def _warn_of_more(there: int, kept: int, share: float, all_of_them: float) -> None:
    warnings.warn(
        f"BehaviourSegmenter: HDBSCAN found {there} dense groups with {100 * all_of_them:.0f} % of the rows. "
        f"n_clusters={kept} keeps the largest, with {100 * share:.0f} %; the others are noise. "
        f"Use n_clusters={there} to keep all.",
        UserWarning,
        stacklevel=4,
    )


def _medians(values: Floats, places: Ints, count: int, seed: int) -> Floats:
    """The median of each column in each segment; NaN where a segment (mostly the noise) has nobody."""
    rows = sample_of(np.arange(len(values)), MINI_BATCH_ROWS, seed)
    medians = np.full((count, values.shape[1]), np.nan)
    medians[np.unique(places[rows])] = medians_by(values[rows], places[rows])
    return medians


def silhouette_of(Z: Floats, labels: Ints, seed: int) -> float:
    """The mean silhouette of at most 2,000 rows that are not noise; NaN for a single segment."""
    rows = np.flatnonzero(labels != NOISE)
    if len(rows) > _MOST_FOR_SILHOUETTE:
        rows = np.random.default_rng(seed).choice(rows, _MOST_FOR_SILHOUETTE, replace=False)
    if not 2 <= len(np.unique(labels[rows])) < len(rows):
        return float("nan")
    with threadpool_limits(1):
        return float(silhouette_score(Z[rows], labels[rows]))

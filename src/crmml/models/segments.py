"""Segments that everybody understands (RFM) and segments that the data suggest (k-means)."""

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import ClusterMixin, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_score
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from crmml.errors import DataError, SchemaError
from crmml.models._base import Floats, Ints, State, check_parameters
from crmml.models._rfm_grid import SEGMENTS, positions_of, scores_of, thresholds
from crmml.models._robust import RobustScaler, medians_by, nearest
from crmml.models._segmenter import Segmenter
from crmml.models._state import StateReader

_MOST_FOR_SILHOUETTE = 2_000
_STARTS = 4


class RFMSegmenter(TransformerMixin, Segmenter):  # type: ignore[misc]  # scikit-learn ships no types
    """The classic segments by recency, frequency and money.

    The columns of `X`, in this order: recency (days since the last event: small is good), frequency,
    monetary, and any further columns where more is better. Each column is scored 1 to `n_bins` by its
    quantiles **of the training rows** (A. M. Hughes, Strategic database marketing, 1994): tomorrow's
    customers do not move the segments. Equal values score alike: a tie across several bins gets the
    lowest of them; a column with a single value scores the middle. A missing value (never bought) scores 1.

    The segment is read from the usual grid of eleven names, by the recency score and the mean of the
    other scores, each stretched to 1..5 and rounded (halves up):

        recency 5  New customers   Potential loyalists  Potential loyalists  Champions  Champions
                4  Promising       Potential loyalists  Potential loyalists  Loyal      Loyal
                3  About to sleep  About to sleep       Need attention       Loyal      Loyal
                2  Hibernating     Hibernating          At risk              At risk    Cannot lose them
                1  Lost            Hibernating          At risk              At risk    Cannot lose them
            value  1               2                    3                    4          5

    Parameters:
        n_bins: Number of scores, 2 or more.

    Attributes:
        segments_: The eleven names; `predict` gives positions in it.
        thresholds_: Quantiles between the scores, shape (columns, n_bins - 1); of minus the recency in
            the first row.
        feature_names_in_: Names of the columns of `fit`, where it got a table with names.
        n_features_in_: Number of columns.

    >>> X = pd.DataFrame({"recency": [1, 2, 40, 90, 300], "frequency": [9, 1, 5, 7, 1],
    ...                   "monetary": [90, 10, 50, 70, 10]})
    >>> model = RFMSegmenter().fit(X)
    >>> model.segment(X).tolist()
    ['Champions', 'Promising', 'Need attention', 'At risk', 'Lost']
    >>> model.transform(X)[0]
    array([5, 5, 5])
    """

    def __init__(self, n_bins: int = 5) -> None:
        self.n_bins = n_bins

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []  # scores are whole numbers, whatever comes in
        return tags

    def fit(self, X: Any, y: object = None) -> Self:
        """Learn the thresholds.

        Args:
            X: Recency, frequency, monetary and further value columns, shape (rows, 2 or more).
            y: Ignored.

        Raises:
            ConfigError: `n_bins` is not a whole number of 2 or more.
            SchemaError: Fewer than two columns, or a column with text or dates.
            DataError: An infinite value, or no rows.
        """
        check_parameters(self, n_bins="whole >= 2")
        values, _ = self._check_fitting(X)
        if self.n_features_in_ < 2:
            raise SchemaError(
                f"{type(self).__name__}.fit: X has 1 feature(s), and recency alone makes no RFM. "
                "Give the columns recency (days), frequency, monetary, in this order."
            )
        self.thresholds_ = np.array([thresholds(column, self.n_bins) for column in _more_is_better(values).T])
        self.segments_ = np.array(SEGMENTS)
        return self

    def transform(self, X: Any) -> Ints:
        """The scores, 1 (worst) to `n_bins` (best) in each column, shape (rows, columns).

        Raises:
            SchemaError: The columns are not those of `fit`, in their order; or hold text.
            DataError: An infinite value.
        """
        return self._scores(X, "transform")

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> npt.NDArray[np.object_]:
        """Names of the columns of `transform`: `score_` before each name of `fit`.

        Args:
            input_features: Names of the columns, where `fit` saw none.

        Raises:
            SchemaError: Other names than those of `fit`.
        """
        check_is_fitted(self)
        fitted = getattr(self, "feature_names_in_", None)
        names = _column_names(self) if input_features is None else list(input_features)
        if len(names) != self.n_features_in_ or (fitted is not None and names != list(fitted)):
            raise SchemaError(
                f"{type(self).__name__}.get_feature_names_out: input_features={names!r} are not the columns "
                f"of fit. Use input_features={_column_names(self)!r}."
            )
        return np.array([f"score_{name}" for name in names], dtype=object)

    def _assign(self, X: Any, method: str) -> Ints:
        return positions_of(self._scores(X, method), self.thresholds_.shape[1] + 1)

    def _scores(self, X: Any, method: str) -> Ints:
        values = _more_is_better(self._check_rows(method, X))
        scored = [scores_of(column, limits) for column, limits in zip(values.T, self.thresholds_, strict=True)]
        return np.column_stack(scored)

    def _learned(self) -> State:
        return {"thresholds": self.thresholds_}

    def _checked_state(self, reader: StateReader, n_features: int) -> dict[str, Any]:
        limits = reader.array("thresholds", "f", (n_features, None))
        if n_features < 2 or limits.shape[1] < 1:
            reader.refuse("thresholds", f"must have 2 rows and 1 column or more, not the shape {limits.shape}")
        whole = np.isfinite(limits).all(axis=1) | np.isnan(limits).all(axis=1)
        if not whole.all() or np.any(np.diff(limits, axis=1) < 0):
            reader.refuse("thresholds", "must rise within each row, or be all NaN")
        return {"thresholds_": limits, "segments_": np.array(SEGMENTS)}


class BehaviourSegmenter(ClusterMixin, Segmenter):  # type: ignore[misc]  # scikit-learn ships no types
    """Segments of customers who behave alike: k-means on robustly scaled columns.

    Each column is logged where that lessens a skewness above 1 (sign(x) log(1 + |x|)), cut to its 1 % and
    99 % quantiles, centred on its median and divided by its interquartile range over 1.349 (or by a third
    of its standard deviation, where that is greater: mostly-zero columns). A missing value is taken for
    the median. All of it is learned in `fit`. Then k-means (S. P. Lloyd, Least squares quantization in
    PCM, 1982; scikit-learn's `KMeans`) from 4 seeded starts.

    Segments are numbered by size, the largest is 0 (ties: by the centre's first differing column).

    Parameters:
        n_clusters: Number of segments.
        random_state: Seed of the starts, a whole number.

    Attributes:
        labels_: Segment of each training row, shape (rows,); not part of the state.
        segments_: Names "segment_0", "segment_1", ...; `predict` gives positions in it.
        cluster_centers_: Centres in scaled units, shape (n_clusters, columns).
        silhouette_: Mean silhouette (P. J. Rousseeuw, 1987) of at most 2,000 training rows, -1 to 1: near 1
            the segments lie apart, near 0 they are arbitrary cuts. NaN for a single segment.
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
    """

    def __init__(self, n_clusters: int = 5, *, random_state: int = 0) -> None:
        self.n_clusters = n_clusters
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: Any, y: object = None) -> Self:
        """Learn the scaling and the centres.

        Args:
            X: Numbers, shape (rows, columns).
            y: Ignored.

        Raises:
            ConfigError: A parameter is out of its range.
            SchemaError: A column with text or dates.
            DataError: An infinite value, or fewer different rows than segments.
        """
        check_parameters(self, n_clusters="whole >= 1", random_state="whole >= 0")
        values, _ = self._check_fitting(X)
        scaler = RobustScaler.learn(values)
        Z = scaler.apply(values)
        centres = self._centres(Z)
        self._scaler = scaler
        self.cluster_centers_ = centres
        self.labels_ = nearest(Z, centres)
        self.silhouette_ = _silhouette(Z, self.labels_, self.random_state)
        self._sizes = np.bincount(self.labels_, minlength=len(centres)).astype(np.int64)
        self._medians = medians_by(values, self.labels_)
        self.segments_ = _numbered(len(centres))
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
        table = pd.DataFrame(self._medians, columns=_column_names(self))
        table.insert(0, "rows", self._sizes, allow_duplicates=True)
        table.insert(1, "share", self._sizes / self._sizes.sum(), allow_duplicates=True)
        return table.set_index(pd.Index(self.segments_.tolist(), name="segment"))

    def _centres(self, Z: Floats) -> Floats:
        """The centres in order: largest segment first."""
        self._refuse_fewer_than_segments(len(Z), "rows")
        kmeans = KMeans(self.n_clusters, n_init=_STARTS, random_state=self.random_state)
        with threadpool_limits(1), warnings.catch_warnings():  # sums over threads would depend on their number
            warnings.simplefilter("ignore", ConvergenceWarning)  # too few different rows: refused below
            centres: Floats = kmeans.fit(Z).cluster_centers_
        sizes = np.bincount(nearest(Z, centres), minlength=len(centres))
        self._refuse_fewer_than_segments(int((sizes > 0).sum()), "different rows (after scaling)")
        ordered: Floats = centres[np.lexsort((*centres.T[::-1], -sizes))]
        return ordered

    def _refuse_fewer_than_segments(self, found: int, what: str) -> None:
        if found < self.n_clusters:
            raise DataError(
                f"{type(self).__name__}.fit: X has {found} {what}, too few for n_clusters={self.n_clusters} "
                f"segments. Use n_clusters={found} or fewer, or more rows."
            )

    def _assign(self, X: Any, method: str) -> Ints:
        values = self._check_rows(method, X)
        return nearest(self._scaler.apply(values), self.cluster_centers_)

    def _learned(self) -> State:
        return {
            "centres": self.cluster_centers_,
            "logged": self._scaler.logged,
            # One row each: low, high, centre, scale.
            "scaling": np.array([self._scaler.low, self._scaler.high, self._scaler.centre, self._scaler.scale]),
            "sizes": self._sizes,
            "medians": self._medians,
            "silhouette": np.array([self.silhouette_]),
        }

    def _checked_state(self, reader: StateReader, n_features: int) -> dict[str, Any]:
        centres = reader.finite("centres", (None, n_features))
        logged = reader.array("logged", "b", (n_features,))
        low, high, centre, scale = reader.finite("scaling", (4, n_features))
        if len(centres) == 0 or np.any(low > high) or np.any(scale <= 0):
            reader.refuse("scaling", "must have low <= high and scale > 0, and centres must have a row")
        sizes = reader.array("sizes", "i", (len(centres),)).astype(np.int64)
        if np.any(sizes < 1):
            reader.refuse("sizes", f"must hold 1 or more, not {sizes.tolist()}")
        return {
            "_scaler": RobustScaler(logged, low, high, centre, scale),
            "cluster_centers_": centres,
            "_sizes": sizes,
            "_medians": reader.array("medians", "f", (len(centres), n_features)),
            "silhouette_": float(reader.array("silhouette", "f", (1,))[0]),
            "segments_": _numbered(len(centres)),
        }


def _more_is_better(values: Floats) -> Floats:
    """The columns with the sign of the first one, recency, turned round."""
    return np.column_stack([-values[:, 0], values[:, 1:]])


def _column_names(model: Any) -> list[str]:
    names = getattr(model, "feature_names_in_", None)
    return [f"x{number}" for number in range(model.n_features_in_)] if names is None else list(names)


def _numbered(count: int) -> npt.NDArray[np.str_]:
    return np.array([f"segment_{number}" for number in range(count)])


def _silhouette(Z: Floats, labels: Ints, seed: int) -> float:
    rows = np.arange(len(Z))
    if len(rows) > _MOST_FOR_SILHOUETTE:
        rows = np.random.default_rng(seed).choice(rows, _MOST_FOR_SILHOUETTE, replace=False)
    if not 2 <= len(np.unique(labels[rows])) < len(rows):
        return float("nan")
    with threadpool_limits(1):
        return float(silhouette_score(Z[rows], labels[rows]))

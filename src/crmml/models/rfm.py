"""The classic segments by recency, frequency and money, with thresholds and names that stay."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from crmml.errors import SchemaError
from crmml.models._base import Floats, Ints, State, check_parameters
from crmml.models._rfm_grid import (
    LEVELS,
    Grid,
    cells_of,
    default_rules,
    fixed_thresholds,
    grid_of,
    quantile_thresholds,
    scores_of,
)
from crmml.models._segmenter import Segmenter, column_names
from crmml.models._state import StateReader


class RFMSegmenter(TransformerMixin, Segmenter):  # type: ignore[misc]  # scikit-learn ships no types
    """The classic segments by recency, frequency and money.

    The columns of `X`, in this order: recency (days since the last event: small is good), frequency,
    monetary, and any further columns where more is better. Each column is scored 1 to `n_bins` by its
    quantiles **of the training rows** (A. M. Hughes, Strategic database marketing, 1994), or by limits that you
    give: tomorrow's customers do not move the segments. Equal values score alike: a tie across several bins gets
    the lowest of them; a column with a single value scores the middle. A missing value (never bought) scores 1.

    The segment is read from a grid of names, by the recency score and the mean of the other scores, each stretched
    to 1..5 and rounded (halves up). The usual eleven names, `rule_table()`:

        recency 5  New customers   Potential loyalists  Potential loyalists  Champions  Champions
                4  Promising       Potential loyalists  Potential loyalists  Loyal      Loyal
                3  About to sleep  About to sleep       Need attention       Loyal      Loyal
                2  Hibernating     Hibernating          At risk              At risk    Cannot lose them
                1  Lost            Hibernating          At risk              At risk    Cannot lose them
            value  1               2                    3                    4          5

    Parameters:
        n_bins: Number of scores, 2 or more.
        thresholds: Fixed limits by the name of the column (x0, x1, ... without names): n_bins - 1 rising numbers in
            the column's own unit, so days for the recency. A value on a limit has the lower score: with
            `{"recency": [30, 90, 180, 365]}`, 29 days score 5, and 30 days 4. Columns not named have quantiles.
        rules: The grid as a list of rows `{"segment": ..., "recency": [levels], "value": [levels]}`, every cell
            exactly once; a segment may have several rows. None is `default_rules()`.

    Attributes:
        segments_: The names, in the order of the rules; `predict` gives positions in it.
        thresholds_: Limits between the scores, shape (columns, n_bins - 1); of minus the recency in the first row.
        feature_names_in_: Names of the columns of `fit`, where it got a table with names.
        n_features_in_: Number of columns.

    >>> X = pd.DataFrame({"recency": [1, 2, 40, 90, 300], "frequency": [9, 1, 5, 7, 1],
    ...                   "monetary": [90, 10, 50, 70, 10]})
    >>> model = RFMSegmenter().fit(X)
    >>> model.segment(X).tolist()
    ['Champions', 'Promising', 'Need attention', 'At risk', 'Lost']
    >>> model.transform(X)[0]
    array([5, 5, 5])
    >>> RFMSegmenter(3, thresholds={"recency": [30, 100]}).fit(X).transform(X)[:, 0]
    array([3, 3, 2, 2, 1])
    """

    def __init__(
        self,
        n_bins: int = 5,
        *,
        thresholds: Mapping[str, Sequence[float]] | None = None,
        rules: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        self.n_bins = n_bins
        self.thresholds = thresholds
        self.rules = rules

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []  # scores are whole numbers, whatever comes in
        return tags

    @staticmethod
    def default_rules() -> list[dict[str, Any]]:
        """The rules of the eleven usual names, as rows to be changed and given as `rules`.

        >>> rules = RFMSegmenter.default_rules()
        >>> rules[0]
        {'segment': 'Champions', 'recency': [5], 'value': [4, 5]}
        """
        return default_rules()

    def rule_table(self) -> pd.DataFrame:
        """The grid of names: recency levels from 5 (just now) down to 1, by value levels from 1 to 5.

        Raises:
            ConfigError: `rules` leave a cell empty, or name it twice.

        >>> RFMSegmenter().rule_table().loc[5, 1]
        'New customers'
        """
        grid = self._grid if hasattr(self, "segments_") else self._rules_as_grid()
        names = grid.segments[grid.positions[::-1]].astype(object)
        levels = range(1, LEVELS + 1)
        return pd.DataFrame(
            names, index=pd.Index(reversed(levels), name="recency"), columns=pd.Index(levels, name="value")
        )

    def fit(self, X: Any, y: object = None) -> Self:
        """Learn the thresholds.

        Args:
            X: Recency, frequency, monetary and further value columns, shape (rows, 2 or more).
            y: Ignored.

        Raises:
            ConfigError: `n_bins` is not a whole number of 2 or more; `thresholds` or `rules` cannot be used.
            SchemaError: Fewer than two columns, or a column with text or dates.
            DataError: An infinite value, or no rows.
        """
        check_parameters(self, n_bins="whole >= 2")
        grid = self._rules_as_grid()
        values, _ = self._check_fitting(X)
        name = type(self).__name__
        if self.n_features_in_ < 2:
            raise SchemaError(
                f"{name}.fit: X has 1 feature(s), and recency alone makes no RFM. "
                "Give the columns recency (days), frequency, monetary, in this order."
            )
        fixed = fixed_thresholds(self.thresholds, column_names(self), self.n_bins, name)
        columns = enumerate(_more_is_better(values).T)
        self.thresholds_ = np.array(
            [fixed[at] if at in fixed else quantile_thresholds(column, self.n_bins) for at, column in columns]
        )
        self._grid = grid
        self.segments_ = grid.segments
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
        names = column_names(self) if input_features is None else list(input_features)
        if len(names) != self.n_features_in_ or (fitted is not None and names != list(fitted)):
            raise SchemaError(
                f"{type(self).__name__}.get_feature_names_out: input_features={names!r} are not the columns "
                f"of fit. Use input_features={column_names(self)!r}."
            )
        return np.array([f"score_{name}" for name in names], dtype=object)

    def _rules_as_grid(self) -> Grid:
        rules = default_rules() if self.rules is None else self.rules
        return grid_of(rules, type(self).__name__)

    def _assign(self, X: Any, method: str) -> Ints:
        return cells_of(self._scores(X, method), self.thresholds_.shape[1] + 1, self._grid.positions)

    def _scores(self, X: Any, method: str) -> Ints:
        values = _more_is_better(self._check_rows(method, X))
        scored = [scores_of(column, limits) for column, limits in zip(values.T, self.thresholds_, strict=True)]
        return np.column_stack(scored)

    def _learned(self) -> State:
        return {"thresholds": self.thresholds_, "segments": self._grid.segments, "grid": self._grid.positions}

    def _checked_state(self, reader: StateReader, n_features: int) -> dict[str, Any]:
        limits = reader.array("thresholds", "f", (n_features, None))
        if n_features < 2 or limits.shape[1] < 1:
            reader.refuse("thresholds", f"must have 2 rows and 1 column or more, not the shape {limits.shape}")
        whole = np.isfinite(limits).all(axis=1) | np.isnan(limits).all(axis=1)
        if not whole.all() or np.any(np.diff(limits, axis=1) < 0):
            reader.refuse("thresholds", "must rise within each row, or be all NaN")
        grid = _grid_in(reader)
        return {"thresholds_": limits, "_grid": grid, "segments_": grid.segments}


def _grid_in(reader: StateReader) -> Grid:
    """The grid of a state; states written before there were rules have the usual one."""
    if not reader.has("segments") and not reader.has("grid"):
        return grid_of(default_rules(), "RFMSegmenter")
    segments = reader.array("segments", "U", (None,))
    positions = reader.array("grid", "i", (LEVELS, LEVELS)).astype(np.int64)
    if len(set(segments.tolist())) != len(segments) or set(positions.ravel().tolist()) != set(range(len(segments))):
        reader.refuse("grid", f"must name each of the {len(segments)} different segments by its position")
    return Grid(segments, positions)


def _more_is_better(values: Floats) -> Floats:
    """The columns with the sign of the first one, recency, turned round."""
    return np.column_stack([-values[:, 0], values[:, 1:]])

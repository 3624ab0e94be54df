"""Who will leave: a binary classifier whose probabilities are calibrated."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted

from crmml.data.time import DAY, parse_duration
from crmml.errors import DataError
from crmml.models._base import (
    Floats,
    Ints,
    State,
    TableEstimator,
    check_parameters,
    customer_groups,
    label_array,
)
from crmml.models._blend import BLEND_KEYS, Blend, BlendTrainer
from crmml.models._calibration import SEASON_KEYS, Calibration, Calibrator
from crmml.models._history import find_history
from crmml.models._population import POPULATION_KEYS, Population
from crmml.models._snapshots import snapshots_of
from crmml.models._state import StateReader
from crmml.models._trees import read_trees

# What LightGBM writes into the text of a binary model.
_OBJECTIVE = "binary sigmoid:1"


class ChurnClassifier(ClassifierMixin, TableEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Binary classifier of gradient-boosted trees (LightGBM) with calibrated probabilities.

    **The score.** On any table: the trees. Where the table has a history of purchases (the columns `tenure_*`,
    `recency_*` and `days_active_*` of one event type, without a window) and `horizon` is known: the mean of three raw
    scores, which are wrong in different places. The trees; a logistic regression on logarithms; and BG/NBD's
    probability of no purchase within the horizon, corrected by trees that begin from it. Classes are never
    re-weighted: weights would ruin the probabilities.

    **The probability.** Platt scaling (`crmml.models._platt.fit_platt`) on out-of-fold scores: models that have not
    seen a row score it, in 5 deterministic folds with equal shares of the positives. Above 20,000 rows only as many
    folds are run as give 20,000 such scores. Where `X` has an index level `customer_id`, all rows of a customer lie in
    the same fold, because one customer at two cutoffs is not two independent rows. Where folds are impossible (one
    class has a single row or customer), or where the out-of-fold scores rank no better than chance, everybody gets the
    base rate: `slope_` is then 0.

    **The level.** Where `X` has an index level `as_of`, the intercept is that of the latest cutoffs (with 1,000
    out-of-fold rows or more): with it, the expected positives there are as many as the actual ones. Those labels are a
    horizon old and of another season, while BG/NBD, which has seen no label, knows no season. Where both speak of the
    same event (their odds over all rows differ by a factor of 2 at most), the level is half way between theirs, in
    log odds. Where the cutoffs span a year, each also has an intercept of its own, learned from its labels alone: a
    row that is scored 345 to 385 days after such a cutoff gets that one, of its season. A cutoff in the first two
    horizons of a log says nothing of the season: its customers only look new.

    Missing values (NaN) are allowed. The same data and parameters give the same model, whatever `n_jobs`.

    Parameters keep LightGBM's names (`n_jobs` and `random_state` scikit-learn's):
        num_iterations: Number of trees.
        num_leaves: Leaves of a tree.
        learning_rate: Shrinkage of each tree.
        min_data_in_leaf: Least rows in a leaf; on small data at most a twentieth of the rows, but 5.
        feature_fraction: Share of the columns that each tree may use.
        horizon: How far the labels look ahead, such as "90d"; `train` and `backtest` take that of the target.
        n_jobs: Threads; -1 for all cores.
        random_state: Seed of trees and folds, a whole number.

    Attributes:
        classes_: The two labels, sorted; `predict_proba` has their order. Shape (2,).
        slope_, intercept_: p = sigmoid(slope_ * raw score + intercept_), where no season is known.
        season_: Intercept by cutoff, for the rows of a year later; empty where no year is known.
        feature_names_in_: Names of the columns of `fit`, where it got a table with names.
        n_features_in_: Number of columns.

    >>> from crmml.models._platt import sigmoid
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(2_000, 3))
    >>> y = (rng.random(2_000) < sigmoid(2 * X[:, 0])).astype(int)  # the truth: p = sigmoid(2 x)
    >>> model = ChurnClassifier(num_iterations=50).fit(X, y)
    >>> p = model.predict_proba(np.array([[-1.0, 0, 0], [0, 0, 0], [1.0, 0, 0]]))[:, 1]
    >>> bool(np.all(np.abs(p - sigmoid(np.array([-2.0, 0.0, 2.0]))) < 0.1))
    True
    >>> int(model.feature_importances_.argmax())
    0
    """

    _blend: Blend
    _calibration: Calibration
    _population: Population | None

    def __init__(
        self,
        num_iterations: int = 200,
        num_leaves: int = 7,
        *,
        learning_rate: float = 0.03,
        min_data_in_leaf: int = 50,
        feature_fraction: float = 0.7,
        horizon: str | None = None,
        n_jobs: int = 1,
        random_state: int = 0,
    ) -> None:
        self.num_iterations = num_iterations
        self.num_leaves = num_leaves
        self.learning_rate = learning_rate
        self.min_data_in_leaf = min_data_in_leaf
        self.feature_fraction = feature_fraction
        self.horizon = horizon
        self.n_jobs = n_jobs
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_class = False
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Train on a table and its labels.

        Args:
            X: Numbers, shape (rows, columns); a DataFrame's column names are remembered.
            y: Two different labels (ints, bools or text), shape (rows,); the greater one is the
                positive class, `predict_proba(X)[:, 1]`.

        Raises:
            ConfigError: A parameter is out of its range.
            SchemaError: A column holds text or dates; `y` is in another order than `X`.
            DataError: An infinite value, a label that is missing, fewer or more than two classes.
        """
        check_parameters(
            self,
            num_iterations="whole >= 1",
            num_leaves="whole >= 2",
            learning_rate="number > 0",
            min_data_in_leaf="whole >= 1",
            feature_fraction="share",
            n_jobs="threads",
            random_state="whole >= 0",
        )
        reach = 0 if self.horizon is None else parse_duration(self.horizon, f"{type(self).__name__}: horizon")
        groups = customer_groups(X, y, f"{type(self).__name__}.fit")
        table = X
        X, y = self._check_fitting(X, y)
        classes, codes = self._classes(y)
        positive = codes == 1
        snapshots = snapshots_of(table, len(X))
        history = find_history(self._names())
        trainer = BlendTrainer(
            X,
            positive,
            self._lightgbm(),
            n_jobs=self.n_jobs,
            history=history,
            days=None if self.horizon is None else reach / DAY,
            cutoffs=snapshots.codes,
        )
        blend = trainer.train()
        calibrator = Calibrator(
            trainer,
            X,
            positive,
            groups=groups,
            snapshots=snapshots,
            ages=None if history is None else X[:, history.tenure],
            chance=None if blend.silence is None else blend.silence.chance(X),
            reach=reach,
            n_jobs=self.n_jobs,
            seed=self.random_state,
        )
        self._blend, self._calibration = blend, calibrator.learn()
        latest = X[snapshots.latest]
        self._population = Population.learn(self._blend, latest, self._blend.raw(latest, self.n_jobs), positive)
        self.classes_ = classes
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Calibrated probabilities of the classes in the order of `classes_`, shape (rows, 2).

        Args:
            X: The columns of `fit`; the season of a row is that of its index level `as_of`.

        Raises:
            SchemaError: The columns are not those of `fit`, in their order; or hold text.
            DataError: An infinite value.
        """
        positive = self._positive(X, "predict_proba")
        return np.column_stack([1.0 - positive, positive])

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The likelier label, shape (rows,). For scores use `predict_proba`.

        Raises:
            SchemaError, DataError: As `predict_proba`.
        """
        positive = self._positive(X, "predict")
        # The comparison of predict_proba's two columns: at exactly one half, the first class.
        return self.classes_[(positive > 1.0 - positive).astype(np.intp)]

    def details(self, X: Any) -> pd.DataFrame:
        """What the score of each row means beside others, and why it is what it is.

        Returns:
            One row per row of `X`, in its order and with its index:

            percentile: How many in a hundred customers of the latest training cutoff have a lower raw score, 0 to
                100: it depends neither on who is scored together nor on the season.
            risk_band: By the odds p / (1 - p) over those of the base rate in training: "low" below 1/2, "medium"
                below 2, "high" below 4, "very high" from there on.
            reasons: The three columns that moved the raw score most, in words, with the customer's value, that of
                the customer in the middle, and the direction. Each adds its part of the trees (exact Shapley values,
                LightGBM's `pred_contrib`) and of the regression; BG/NBD's part is a reason of its own.

            No columns where the state is one of before there were details.

        Raises:
            SchemaError, DataError: As `predict_proba`.

        >>> X = np.random.default_rng(0).normal(size=(400, 2))
        >>> model = ChurnClassifier(num_iterations=20).fit(X, X[:, 0] > 1)
        >>> details = model.details(np.array([[-1.0, 0.0], [1.5, 0.0]]))
        >>> details["risk_band"].tolist()
        ['low', 'very high']
        >>> details["reasons"][1].split(", ")[0]
        'column 0: 1.5'
        """
        rows = self._check_rows("details", X)
        index = X.index if isinstance(X, pd.DataFrame) else None
        if self._population is None:
            return pd.DataFrame(index=pd.RangeIndex(len(rows)) if index is None else index)
        p = self._calibration.probabilities(self._blend.raw(rows, self.n_jobs), snapshots_of(X, len(rows)))
        names = self._names() or [f"column {number}" for number in range(rows.shape[1])]
        columns = self._population.details(self._blend, rows, p, names=names, n_jobs=self.n_jobs)
        return pd.DataFrame(columns, index=index)

    @property
    def slope_(self) -> float:
        """The slope of the map from raw scores to log odds; 0 where everybody gets the base rate."""
        check_is_fitted(self, "classes_")
        return self._calibration.slope

    @property
    def intercept_(self) -> float:
        """The intercept of that map where no season is known."""
        check_is_fitted(self, "classes_")
        return self._calibration.intercept

    @property
    def season_(self) -> "pd.Series[float]":
        """The intercept by cutoff, in UTC, for rows of a year later."""
        check_is_fitted(self, "classes_")
        times = pd.to_datetime(self._calibration.times, unit="us", utc=True)
        return pd.Series(self._calibration.levels, index=pd.DatetimeIndex(times, name="as_of"), name="intercept")

    @property
    def feature_importances_(self) -> Floats:
        """Share of each column in the total gain of the trees, shape (columns,); sums to 1, or all 0."""
        check_is_fitted(self, "classes_")
        return self._blend.gains()

    def _positive(self, X: Any, method: str) -> Floats:
        rows = self._check_rows(method, X)  # first: it refuses a model that is not fitted
        return self._calibration.probabilities(self._blend.raw(rows, self.n_jobs), snapshots_of(X, len(rows)))

    def _names(self) -> list[str] | None:
        names = getattr(self, "feature_names_in_", None)
        return None if names is None else [str(name) for name in names]

    def _lightgbm(self) -> dict[str, Any]:
        return {
            "objective": "binary",
            "num_iterations": self.num_iterations,
            "num_leaves": self.num_leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_data_in_leaf,
            "feature_fraction": self.feature_fraction,
            "seed": self.random_state,
        }

    def _classes(self, y: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], Ints]:
        where = f"{type(self).__name__}.fit"
        kind = type_of_target(y, input_name="y")
        if kind == "unknown":
            raise DataError(f"{where}: Unknown label type: y holds {y[0]!r}. Use ints, bools or text.")
        classes, codes, counts = np.unique(label_array(y), return_inverse=True, return_counts=True)
        if kind != "binary":
            raise DataError(
                f"{where}: Only binary classification is supported. The type of the target is {kind}, with "
                f"{len(classes)} different values. Use two labels, e.g. y = (spend == 0).astype(int)."
            )
        if len(classes) == 1:
            raise DataError(
                f"{where}: y has one class only: all {counts[0]} rows are {classes.tolist()[0]!r}. "
                "Use training rows of both classes: more customers, further cutoffs, or another horizon."
            )
        return classes, codes

    def _learned(self) -> State:
        state = {"classes": self.classes_} | self._blend.state() | self._calibration.state()
        return state if self._population is None else state | self._population.state()

    def _checked_state(self, reader: StateReader, n_features: int) -> dict[str, Any]:
        classes = reader.array("classes", "iufbU", (2,))
        if not classes[0] < classes[1]:
            reader.refuse("classes", f"must be two sorted labels, not {classes.tolist()}")
        # A state of before there were seasons and details has none of their keys: it means what it meant.
        today = any(reader.has(key) for key in (*SEASON_KEYS, *POPULATION_KEYS))
        calibration = Calibration.from_state(reader, seasons=today)
        trees = read_trees(reader, "booster", n_features, _OBJECTIVE)
        blend = Blend(trees)
        if any(reader.has(key) for key in BLEND_KEYS):
            corrections = read_trees(reader, "corrections", n_features, _OBJECTIVE)
            blend = Blend.from_state(reader, trees, corrections, n_features)
        population = Population.from_state(reader, n_features) if today else None
        return {"classes_": classes, "_calibration": calibration, "_blend": blend, "_population": population}

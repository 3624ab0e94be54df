"""Who will leave: a binary classifier whose probabilities are calibrated."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted

from crmml.errors import DataError
from crmml.models._base import (
    Bools,
    Floats,
    Ints,
    State,
    TableEstimator,
    check_parameters,
    customer_groups,
    label_array,
)
from crmml.models._folds import N_FOLDS, assign_folds, held_out
from crmml.models._model_text import problem_of
from crmml.models._platt import base_rate, fit_platt, sigmoid
from crmml.models._state import StateReader
from crmml.models._trees import Trees, TreeTrainer


class ChurnClassifier(ClassifierMixin, TableEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Binary classifier of gradient-boosted trees (LightGBM) with calibrated probabilities.

    Classes are never re-weighted: weights would ruin the probabilities. Raw scores become probabilities
    by Platt scaling (`crmml.models._platt.fit_platt`) on out-of-fold scores: models that have not seen a
    row score it, in 5 deterministic folds with equal shares of the positives. Above 20,000 rows only as
    many folds are run as give 20,000 such scores. Where `X` has an index level `customer_id`, all rows of
    a customer lie in the same fold, because one customer at two cutoffs is not two independent rows.
    Where folds are impossible (one class has a single row or customer), or where the out-of-fold scores
    rank no better than chance, everybody gets the base rate of the training rows: `slope_` is then 0.

    Missing values (NaN) are allowed. The same data and parameters give the same model, whatever `n_jobs`.

    Parameters keep LightGBM's names (`n_jobs` and `random_state` scikit-learn's):
        num_iterations: Number of trees.
        num_leaves: Leaves of a tree.
        learning_rate: Shrinkage of each tree.
        min_data_in_leaf: Least rows in a leaf; on small data at most a twentieth of the rows, but 5.
        feature_fraction: Share of the columns that each tree may use.
        n_jobs: Threads; -1 for all cores.
        random_state: Seed of trees and folds, a whole number.

    Attributes:
        classes_: The two labels, sorted; `predict_proba` has their order. Shape (2,).
        slope_, intercept_: p = sigmoid(slope_ * raw score + intercept_).
        feature_names_in_: Names of the columns of `fit`, where it got a table with names.
        n_features_in_: Number of columns.

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

    def __init__(
        self,
        num_iterations: int = 200,
        num_leaves: int = 7,
        *,
        learning_rate: float = 0.03,
        min_data_in_leaf: int = 50,
        feature_fraction: float = 0.7,
        n_jobs: int = 1,
        random_state: int = 0,
    ) -> None:
        self.num_iterations = num_iterations
        self.num_leaves = num_leaves
        self.learning_rate = learning_rate
        self.min_data_in_leaf = min_data_in_leaf
        self.feature_fraction = feature_fraction
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
        groups = customer_groups(X, y, f"{type(self).__name__}.fit")
        X, y = self._check_fitting(X, y)
        classes, codes = self._classes(y)
        positive = codes == 1
        trainer = TreeTrainer(X, positive.astype(np.float64), self._lightgbm(), n_jobs=self.n_jobs)
        calibration = self._calibrate(trainer, X, positive, groups)
        self._trees = trainer.train()
        self.classes_ = classes
        self.slope_, self.intercept_ = calibration
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Calibrated probabilities of the classes in the order of `classes_`, shape (rows, 2).

        Raises:
            SchemaError: The columns are not those of `fit`, in their order; or hold text.
            DataError: An infinite value.
        """
        raw = self._trees_on(X, "predict_proba")
        positive = sigmoid(self.slope_ * raw + self.intercept_)
        return np.column_stack([1.0 - positive, positive])

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The likelier label, shape (rows,). For scores use `predict_proba`.

        Raises:
            SchemaError, DataError: As `predict_proba`.
        """
        raw = self._trees_on(X, "predict")
        positive = sigmoid(self.slope_ * raw + self.intercept_)
        # The comparison of predict_proba's two columns: at exactly one half, the first class.
        return self.classes_[(positive > 1.0 - positive).astype(np.intp)]

    @property
    def feature_importances_(self) -> Floats:
        """Share of each column in the total gain of the trees, shape (columns,); sums to 1, or all 0."""
        check_is_fitted(self)
        return self._trees.gains()

    def _trees_on(self, X: Any, method: str) -> Floats:
        rows = self._check_rows(method, X)  # first: it refuses a model that is not fitted
        return self._trees.raw(rows, self.n_jobs)

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

    def _calibrate(self, trainer: TreeTrainer, X: Floats, positive: Bools, groups: Ints | None) -> tuple[float, float]:
        """Slope and intercept from scores that no scoring model was trained on."""
        n_folds = min(N_FOLDS, *(_n_groups(rows, groups) for rows in (positive, ~positive)))
        if n_folds < 2:
            return base_rate(positive)
        folds = assign_folds(positive.astype(np.float64), groups, n_folds, self.random_state)
        scores: list[Floats] = []
        labels: list[Bools] = []
        for train, test in held_out(folds, n_folds):
            if positive[train].all() or not positive[train].any():
                continue  # customers with rows of both classes can leave a fold with one
            scores.append(trainer.train(train).raw(X[test], self.n_jobs))
            labels.append(positive[test])
        if not scores:
            return base_rate(positive)
        seen = np.concatenate(labels)
        if seen.all() or not seen.any():
            return base_rate(positive)
        return fit_platt(np.concatenate(scores), seen)

    def _learned(self) -> State:
        return {
            "booster": self._trees.text,
            "classes": self.classes_,
            "calibration": np.array([self.slope_, self.intercept_]),
        }

    def _checked_state(self, reader: StateReader, n_features: int) -> dict[str, Any]:
        classes = reader.array("classes", "iufbU", (2,))
        if not classes[0] < classes[1]:
            reader.refuse("classes", f"must be two sorted labels, not {classes.tolist()}")
        slope, intercept = reader.finite("calibration", (2,)).tolist()
        if slope < 0:
            reader.refuse("calibration", f"must not turn the ranking round, but its slope is {slope}")
        text = reader.text("booster")
        problem = problem_of(text, n_features, "binary sigmoid:1")
        if problem is not None:
            reader.refuse("booster", f"is not a model text of this class: {problem}")
        return {"_trees": Trees(text), "classes_": classes, "slope_": slope, "intercept_": intercept}


def _n_groups(rows: Bools, groups: Ints | None) -> int:
    return int(rows.sum()) if groups is None else len(np.unique(groups[rows]))

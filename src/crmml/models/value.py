"""How much a customer will spend: a Tweedie regression with intervals."""

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from crmml.errors import ConfigError, DataError
from crmml.models._base import Floats, Ints, State, TableEstimator, check_parameters, customer_groups
from crmml.models._folds import N_FOLDS, assign_folds, held_out
from crmml.models._intervals import RatioIntervals
from crmml.models._model_text import problem_of
from crmml.models._state import StateReader
from crmml.models._trees import Trees, TreeTrainer

# Regularisation that small, noisy sums of money need; found beside the tree sizes, not worth a parameter.
_REGULARISATION = {"feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 10.0}


class LifetimeValueRegressor(RegressorMixin, TableEstimator):  # type: ignore[misc]
    """Expected spend within a horizon: few small gradient-boosted trees (LightGBM) under a Tweedie loss.

    Spend is zero for many customers and skewed for the rest: a Tweedie distribution with a variance power
    between 1 and 2 has both (B. Jørgensen, Exponential dispersion models, 1987). Net spend can be negative
    where returns exceed purchases; **labels below 0 count as 0**, and predictions are never negative. The
    label is divided by its mean before training, so that the parameters do not depend on the currency.
    So few and small trees stop short of the mean of skewed data: predictions are multiplied by the ratio of
    all actual to all predicted spend, on rows that the predicting model had not seen.

    `predict_interval` is conformal: it uses predictions for rows that the predicting model had not seen
    (5 deterministic folds; above 20,000 rows as many as give that many). Where `X` has an index level
    `customer_id`, all rows of a customer lie in the same fold. Its coverage holds for customers drawn like
    those of the training rows; a season or a price rise that they have not seen is not covered.

    Missing values (NaN) are allowed. The same data and parameters give the same model, whatever `n_jobs`.

    Parameters keep LightGBM's names (`n_jobs` and `random_state` scikit-learn's):
        num_iterations: Number of trees.
        num_leaves: Leaves of a tree.
        learning_rate: Shrinkage of each tree.
        min_data_in_leaf: Least rows in a leaf; on small data at most a twentieth of the rows, but 5.
        tweedie_variance_power: Between 1 (counts) and 2 (gamma).
        n_jobs: Threads; -1 for all cores.
        random_state: Seed of trees and folds, a whole number.

    Attributes:
        label_mean_: Mean of the labels with those below 0 counted as 0, in their unit.
        level_: Actual over predicted spend out of fold; 1 where there are no folds.
        feature_names_in_: Names of the columns of `fit`, where it got a table with names.
        n_features_in_: Number of columns.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.exponential(size=(2_000, 2))
    >>> y = np.where(rng.random(2_000) < 0.5, 0.0, rng.gamma(2.0, 10 * X[:, 0]))  # the truth: mean 10 x
    >>> model = LifetimeValueRegressor().fit(X, y)
    >>> low, middle, high = model.predict(np.array([[0.2, 1.0], [1.0, 1.0], [2.0, 1.0]]))
    >>> bool(low < 5 < middle < 15 < high < 25)
    True
    >>> lo, hi = model.predict_interval(X, coverage=0.9)
    >>> bool(np.mean((lo <= y) & (y <= hi)) > 0.87)
    True
    """

    def __init__(
        self,
        num_iterations: int = 60,
        num_leaves: int = 5,
        *,
        learning_rate: float = 0.04,
        min_data_in_leaf: int = 200,
        tweedie_variance_power: float = 1.5,
        n_jobs: int = 1,
        random_state: int = 0,
    ) -> None:
        self.num_iterations = num_iterations
        self.num_leaves = num_leaves
        self.learning_rate = learning_rate
        self.min_data_in_leaf = min_data_in_leaf
        self.tweedie_variance_power = tweedie_variance_power
        self.n_jobs = n_jobs
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        # Half of the labels of scikit-learn's own regression problem are negative: 0 for this model.
        tags.regressor_tags.poor_score = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Train on a table and the spend of each row.

        Args:
            X: Numbers, shape (rows, columns); a DataFrame's column names are remembered.
            y: Spend in any currency, shape (rows,); values below 0 count as 0.

        Raises:
            ConfigError: A parameter is out of its range.
            SchemaError: A column holds text or dates; `y` is in another order than `X`.
            DataError: An infinite value, a spend that is missing.
        """
        check_parameters(
            self,
            num_iterations="whole >= 1",
            num_leaves="whole >= 2",
            learning_rate="number > 0",
            min_data_in_leaf="whole >= 1",
            tweedie_variance_power="power",
            n_jobs="threads",
            random_state="whole >= 0",
        )
        groups = customer_groups(X, y, f"{type(self).__name__}.fit")
        X, y = self._check_fitting(X, y, y_numeric=True)
        spend = np.maximum(y.astype(np.float64), 0.0)
        if not np.isfinite(spend).all():  # a None among objects turns into NaN after scikit-learn has looked
            row = int(np.flatnonzero(~np.isfinite(spend))[0])
            raise DataError(
                f"{type(self).__name__}.fit: y is {spend[row]} in row {row}. Give every row its spend: "
                "drop the row, or use 0 where nothing was spent."
            )
        self.label_mean_ = float(spend.mean())
        if self.label_mean_ == 0.0:  # nobody spent anything: there is nothing to learn, and 0 to expect
            self.level_ = 1.0
            self._trees: Trees | None = None
            self._intervals = RatioIntervals.learn(np.zeros_like(spend), spend)
            return self
        trainer = TreeTrainer(X, spend / self.label_mean_, self._lightgbm(), n_jobs=self.n_jobs)
        predicted, actual = self._out_of_fold(trainer, X, spend, groups)
        self.level_ = float(actual.sum() / predicted.sum()) if actual.sum() > 0 else 1.0
        self._intervals = RatioIntervals.learn(predicted * self.level_, actual)
        self._trees = trainer.train()
        return self

    def predict(self, X: Any) -> Floats:
        """Expected spend in the unit of `y`, 0 or more, shape (rows,).

        Raises:
            SchemaError: The columns are not those of `fit`, in their order; or hold text.
            DataError: An infinite value.
        """
        return self._spend("predict", X)

    def predict_interval(self, X: Any, coverage: float = 0.9) -> tuple[Floats, Floats]:
        """Between which values the spend of a customer will lie, with probability `coverage`.

        Conformal, apart by bins of the prediction (ten from 500 rows on), so that the top decile is
        covered as well as the whole. The expected spend always lies inside. Where the training rows are
        too few for the coverage (below 9 for 0.9), `hi` is infinite: they cannot tell.

        Args:
            X: As for `predict`.
            coverage: Between 0 and 1.

        Returns:
            (lo, hi) in the unit of `y`, shape (rows,) each, 0 <= lo <= predict(X) <= hi.

        Raises:
            ConfigError: `coverage` is not between 0 and 1.
            SchemaError, DataError: As `predict`.
        """
        if isinstance(coverage, bool) or not isinstance(coverage, int | float) or not 0.0 < coverage < 1.0:
            raise ConfigError(
                f"{type(self).__name__}.predict_interval: coverage={coverage!r} must be a number above 0 "
                "and below 1. Use coverage=0.9."
            )
        return self._intervals.interval(self._spend("predict_interval", X), float(coverage))

    @property
    def feature_importances_(self) -> Floats:
        """Share of each column in the total gain of the trees, shape (columns,); sums to 1, or all 0."""
        check_is_fitted(self)
        return np.zeros(self.n_features_in_) if self._trees is None else self._trees.gains()

    def _spend(self, method: str, X: Any) -> Floats:
        X = self._check_rows(method, X)
        if self._trees is None:
            return np.zeros(len(X))
        return np.exp(self._trees.raw(X, self.n_jobs)) * (self.label_mean_ * self.level_)

    def _lightgbm(self) -> dict[str, Any]:
        return _REGULARISATION | {
            "objective": "tweedie",
            "tweedie_variance_power": self.tweedie_variance_power,
            "num_iterations": self.num_iterations,
            "num_leaves": self.num_leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_data_in_leaf,
            "seed": self.random_state,
        }

    def _out_of_fold(
        self, trainer: TreeTrainer, X: Floats, spend: Floats, groups: Ints | None
    ) -> tuple[Floats, Floats]:
        """(predicted, actual) spend of rows that the predicting model was not trained on; maybe none."""
        n_groups = len(spend) if groups is None else int(groups.max()) + 1
        n_folds = min(N_FOLDS, n_groups)  # a single customer says nothing about another
        predicted: list[Floats] = [np.empty(0)]
        actual: list[Floats] = [np.empty(0)]
        folds = assign_folds(spend, groups, n_folds, self.random_state)
        for train, test in held_out(folds, n_folds):
            if not spend[train].any():
                continue  # the only spender is held out: nothing to train on
            predicted.append(np.exp(trainer.train(train).raw(X[test], self.n_jobs)) * self.label_mean_)
            actual.append(spend[test])
        return np.concatenate(predicted), np.concatenate(actual)

    def _learned(self) -> State:
        return {
            "booster": None if self._trees is None else self._trees.text,
            "label_mean": self.label_mean_,
            "level": self.level_,
            "interval_edges": self._intervals.edges,
            "interval_ratios": self._intervals.ratios,
            "interval_counts": self._intervals.counts,
        }

    def _checked_state(self, reader: StateReader, n_features: int) -> dict[str, Any]:
        mean = reader.number("label_mean", at_least=0.0)
        level = reader.number("level", at_least=0.0)
        edges = reader.finite("interval_edges", (None,))
        counts = reader.array("interval_counts", "i", (len(edges) + 1,)).astype(np.int64)
        ratios = reader.finite("interval_ratios", (None,))
        if np.any(np.diff(edges) <= 0):
            reader.refuse("interval_edges", "must rise")
        if np.any(counts < 0) or counts.sum() != len(ratios):
            reader.refuse("interval_counts", f"must add up to the {len(ratios)} ratios")
        if any(np.any(np.diff(part, prepend=0.0) < 0) for part in np.split(ratios, np.cumsum(counts)[:-1])):
            reader.refuse("interval_ratios", "must be 0 or more and rise within each bin")
        trees = None if mean == 0.0 else self._checked_trees(reader, n_features)
        if trees is None and reader.take("booster") is not None:
            reader.refuse("booster", "must be None where the mean of the labels is 0")
        intervals = RatioIntervals(edges, ratios, counts)
        return {"label_mean_": mean, "level_": level, "_trees": trees, "_intervals": intervals}

    def _checked_trees(self, reader: StateReader, n_features: int) -> Trees:
        text = reader.text("booster")
        problem = problem_of(text, n_features, "tweedie")
        if problem is not None:
            reader.refuse("booster", f"is not a model text of this class: {problem}")
        return Trees(text)

"""How much a customer will spend: small trees on the offset of two forecasts, with intervals, tiers and chances."""

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from crmml.data.time import DAY, parse_duration
from crmml.errors import ConfigError, DataError
from crmml.models._base import Floats, State, TableEstimator, check_parameters, customer_groups
from crmml.models._offset_value import OffsetDesign
from crmml.models._plain_value import PlainDesign
from crmml.models._predictive import Outlook
from crmml.models._snapshots import Snapshots, snapshots_of
from crmml.models._state import StateReader
from crmml.models._value_learner import DESIGNS, Training
from crmml.models._value_table import ValueTable, find_columns

# Regularisation that small, noisy sums of money need; found beside the tree sizes, not worth a parameter.
_REGULARISATION = {"feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 10.0}
_PLAIN = "plain"
TIERS = ("low", "middle", "high", "top")
_TIER_SHARES = (0.4, 0.7, 0.9)
_YEAR = 365.0
# Parts of the horizon whose money is discounted alike.
_PARTS = 24


class LifetimeValueRegressor(RegressorMixin, TableEstimator):  # type: ignore[misc]
    """Expected spend within a horizon: small gradient-boosted trees (LightGBM) that correct two simple forecasts.

    With a `horizon` and a table that tells the purchases of each customer (`recency_*`, `tenure_*`, `days_active_*`
    and `sum_amount*` without a window, and `decayed_sum_*_amount*`; `presets.standard` has them), the trees begin from
    the geometric mean of what BG/NBD with Gamma-Gamma and exponentially weighted spend expect, each relative to its
    mean in the snapshot (the rows of one `as_of` in the index of `X`). They learn the label relative to the mean of its
    snapshot, from the forecasts and from logarithms and ratios of the history, pooled over all snapshots; and from all
    other columns of the table where that orders held-out rows clearly better. The total is
    that of BG/NBD with the parameters of the latest snapshot, times the factor of the season: actual over expected
    spend of the snapshot about a year before the row's `as_of`, where one with 120 days of history before it was
    trained on. Where a simple rule orders held-out rows clearly better than the trees, the rule is used: `design_`.

    Without them (a plain table, an array, `horizon=None`), the trees read the columns as they are, under a Tweedie
    loss: spend is zero for many customers and skewed for the rest (B. Jørgensen, Exponential dispersion models, 1987).
    Predictions are then multiplied by the ratio of all actual to all predicted spend of unseen rows.

    Net spend can be negative where returns exceed purchases; **labels below 0 count as 0**, and predictions are never
    negative. Labels are divided by their mean, so that the parameters do not depend on the currency.

    `predict_interval` is conformal: it uses predictions for rows that the predicting model had not seen (5
    deterministic folds; above 20,000 rows as many as give that many). Where `X` has an index level `customer_id`, all
    rows of a customer lie in the same fold. Its coverage holds for customers and seasons like those of the training.

    Missing values (NaN) are allowed. The same data and parameters give the same model, whatever `n_jobs`.
    The order of the customers of one `as_of` never depends on which others are scored with them; the total does, where
    there are a hundred or more: score whole snapshots.

    Parameters keep LightGBM's names (`n_jobs` and `random_state` scikit-learn's):
        num_iterations: Number of trees.
        num_leaves: Leaves of a tree.
        horizon: The time that the labels look ahead, such as "90d"; `train` and `backtest` take it from the target.
        discount_rate: Interest per year: money after t days counts (1 + discount_rate)^(-t / 365).
        learning_rate: Shrinkage of each tree.
        min_data_in_leaf: Least rows in a leaf; on small data at most a twentieth of the rows, but 5.
        tweedie_variance_power: Between 1 (counts) and 2 (gamma).
        n_jobs: Threads; -1 for all cores.
        random_state: Seed of trees and folds, a whole number.

    Attributes:
        design_: What orders the customers: "trees" on the forecasts, "trees on all columns", "plain" trees, or a rule:
            "geometric mean" of the forecasts, "exponentially weighted", "buy till you die", "last period".
        label_mean_: Mean of the labels with those below 0 counted as 0, in their unit.
        level_: What predictions are multiplied by for the right total.
        tiers_: Predictions above which the tiers "middle", "high" and "top" begin, and the spend above which a
            customer's realised spend is in the top tenth; NaN in a model that an earlier version has saved.
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

    >>> import crmml as cm
    >>> log = cm.simulate_log(300, seed=1).log
    >>> X, y = cm.build_dataset(log, "standard", cm.Spend("90d"), ["2024-01-01", "2024-04-01"])
    >>> model = LifetimeValueRegressor(horizon="90d").fit(X, y)
    >>> model.details(X).columns.tolist()
    ['p_alive', 'expected_orders', 'tier', 'p_top_tier']
    >>> bool((model.predict(X, horizon="365d") > model.predict(X)).all())
    True
    """

    def __init__(
        self,
        num_iterations: int = 60,
        num_leaves: int = 5,
        *,
        horizon: str | None = None,
        discount_rate: float = 0.0,
        learning_rate: float = 0.04,
        min_data_in_leaf: int = 200,
        tweedie_variance_power: float = 1.5,
        n_jobs: int = 1,
        random_state: int = 0,
    ) -> None:
        self.num_iterations = num_iterations
        self.num_leaves = num_leaves
        self.horizon = horizon
        self.discount_rate = discount_rate
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
            X: Numbers, shape (rows, columns); a DataFrame's column names are remembered, and its index levels
                `customer_id` and `as_of` say which rows are of one customer and of one snapshot.
            y: Spend within `horizon` in any currency, shape (rows,); values below 0 count as 0.

        Raises:
            ConfigError: A parameter is out of its range.
            SchemaError: A column holds text or dates; `y` is in another order than `X`.
            DataError: An infinite value, a spend that is missing.
        """
        days = self._checked_days()
        table = X
        groups = customer_groups(X, y, f"{type(self).__name__}.fit")
        X, y = self._check_fitting(X, y, y_numeric=True)
        spend = np.maximum(y.astype(np.float64), 0.0)
        if not np.isfinite(spend).all():  # a None among objects turns into NaN after scikit-learn has looked
            row = int(np.flatnonzero(~np.isfinite(spend))[0])
            raise DataError(
                f"{type(self).__name__}.fit: y is {spend[row]} in row {row}. Give every row its spend: "
                "drop the row, or use 0 where nothing was spent."
            )
        snapshots = snapshots_of(table, len(spend))
        columns = None if days is None else find_columns(self._names(), days)
        self._offset: OffsetDesign | None = None
        self._plain: PlainDesign | None = None
        if columns is not None and days is not None and spend.any():
            known = ValueTable(X, columns)
            training = Training(
                columns, known, spend, snapshots, groups, self._lightgbm(), self.n_jobs, self.random_state
            )
            self._offset = OffsetDesign.learn(training, days)
        if self._offset is None:
            self._plain = PlainDesign.learn(
                X, spend, groups, self._lightgbm(), n_jobs=self.n_jobs, seed=self.random_state
            )
        self.label_mean_ = float(spend.mean())
        self._describe()
        self._learn_tiers(X, spend, snapshots)
        return self

    def predict(self, X: Any, *, horizon: str | None = None) -> Floats:
        """Expected spend in the unit of `y`, 0 or more, shape (rows,).

        Args:
            X: As for `fit`; its index level `as_of` decides the season.
            horizon: Another time to look ahead than that of the labels, longer or shorter: the forecast goes on as
                BG/NBD does, from row to row; beyond the horizon of the labels without a season.

        Raises:
            ConfigError: Another horizon, and the model knows no history of purchases.
            SchemaError: The columns are not those of `fit`, in their order; or hold text.
            DataError: An infinite value.
        """
        rows = self._check_rows("predict", X)
        _, outlook, discount = self._outlook(rows, snapshots_of(X, len(rows)), self._days("predict", horizon))
        return outlook.mean * discount

    def predict_interval(self, X: Any, coverage: float = 0.9, *, horizon: str | None = None) -> tuple[Floats, Floats]:
        """Between which values the spend of a customer will lie, with probability `coverage`.

        Conformal, apart by bins of the prediction (ten from 500 rows on), so that the top decile is covered as well as
        the whole. The expected spend always lies inside. Where the training rows are too few for the coverage (below 9
        for 0.9), `hi` is infinite: they cannot tell.

        Args:
            X: As for `predict`.
            coverage: Between 0 and 1.
            horizon: As for `predict`; the limits of a longer one are wider, by how far past totals were off.

        Returns:
            (lo, hi) in the unit of `y`, shape (rows,) each, 0 <= lo <= predict(X) <= hi.

        Raises:
            ConfigError: `coverage` is not between 0 and 1; or as `predict`.
            SchemaError, DataError: As `predict`.
        """
        if isinstance(coverage, bool) or not isinstance(coverage, int | float) or not 0.0 < coverage < 1.0:
            raise ConfigError(
                f"{type(self).__name__}.predict_interval: coverage={coverage!r} must be a number above 0 "
                "and below 1. Use coverage=0.9."
            )
        rows = self._check_rows("predict_interval", X)
        days, snapshots = self._days("predict_interval", horizon), snapshots_of(X, len(rows))
        base, outlook, discount = self._outlook(rows, snapshots, days)
        if self._offset is not None and days is not None:
            low, high = self._offset.interval(rows, base, snapshots, days, float(coverage))
        else:
            assert self._plain is not None  # noqa: S101 (one of both is there)
            low, high = self._plain.intervals.interval(outlook.mean, float(coverage))
        return low * discount, high * discount

    def details(self, X: Any) -> pd.DataFrame:
        """What else is known of each row, in the order and with the index of `X`.

        Returns:
            `p_alive` (the probability that the customer may still buy) and `expected_orders` (days with purchases
            within the horizon), both only where the table tells the purchases; `tier` (by the prediction, with the
            limits of the latest training snapshot: "top" a tenth, "high" a fifth, "middle" three tenths, "low" the
            rest); `p_top_tier` (the probability of spending more than nine tenths of the training rows did).

        Raises:
            SchemaError, DataError: As `predict`.
        """
        rows = self._check_rows("details", X)
        found: dict[str, Any] = {}
        base, outlook, discount = self._outlook(rows, snapshots_of(X, len(rows)), self._days("details", None))
        if self._offset is not None:
            history = ValueTable(rows, self._offset.columns).history
            found["p_alive"] = self._offset.buyers.p_alive(history)
            found["expected_orders"] = self._offset.buyers.expected_orders(history, self._offset.days)
        if np.isfinite(self.tiers_).all():
            place = np.searchsorted(self.tiers_[:3], outlook.mean * discount, side="left")
            found["tier"] = np.array(TIERS)[place]
            if self._offset is not None:
                found["p_top_tier"] = self._offset.calibration.exceeds(base, outlook, float(self.tiers_[3]))
            elif self._plain is not None:
                found["p_top_tier"] = self._plain.intervals.exceeds(outlook.mean, float(self.tiers_[3]))
        return pd.DataFrame(found, index=getattr(X, "index", None))

    @property
    def feature_importances_(self) -> Floats:
        """Share of each column in the total gain of the trees, shape (columns,); sums to 1, or all 0."""
        check_is_fitted(self)
        if self._plain is not None:
            return np.zeros(self.n_features_in_) if self._plain.trees is None else self._plain.trees.gains()
        assert self._offset is not None  # noqa: S101 (one of both is there)
        if not self._offset.trees:
            return np.zeros(self.n_features_in_)
        gains = np.mean([trees.gains() for trees in self._offset.trees], axis=0)
        return self._offset.columns.shares(gains, self.n_features_in_)

    # The two designs ----------------------------------------------------------------------------------------

    def _outlook(self, rows: Floats, snapshots: Snapshots, days: float | None) -> tuple[Floats, Outlook, Floats]:
        """The forecast that decides the bin of the interval, what is expected, and what discounting leaves of it."""
        if self._offset is None or days is None:
            assert self._plain is not None  # noqa: S101 (one of both is there)
            expected = self._plain.expected(rows, self.n_jobs)
            return expected, Outlook(expected, expected, expected), np.full(len(rows), self._even_discount())
        table = ValueTable(rows, self._offset.columns)
        base = self._offset.base(table, snapshots, self.n_jobs)
        outlook = self._offset.outlook(table, base, snapshots.times[snapshots.codes], days)
        return base, outlook, self._discount(table, days)

    def _discount(self, table: ValueTable, days: float) -> Floats:
        """What is left of each customer's money when it comes as BG/NBD expects it: 1 without a discount rate."""
        if self.discount_rate == 0.0 or self._offset is None:
            return np.ones(len(table))
        edges = np.linspace(0.0, days, _PARTS + 1)
        counts = np.array([self._offset.buyers.expected_orders(table.history, float(edge)) for edge in edges])
        weights = (1.0 + self.discount_rate) ** (-(edges[1:] + edges[:-1]) / 2.0 / _YEAR)
        some = counts[-1] > 0
        left = weights @ np.diff(counts, axis=0) / np.where(some, counts[-1], 1.0)
        return np.where(some, left, weights.mean())

    def _even_discount(self) -> float:
        """What is left of money that comes evenly over the horizon."""
        days = self._horizon_days()
        if self.discount_rate == 0.0 or days is None:
            return 1.0
        rate = np.log1p(self.discount_rate) * days / _YEAR
        return float(-np.expm1(-rate) / rate)

    def _describe(self) -> None:
        if self._offset is not None:
            self.design_, self.level_ = self._offset.design, self._offset.level
        elif self._plain is not None:
            self.design_, self.level_ = _PLAIN, self._plain.level

    def _learn_tiers(self, X: Floats, spend: Floats, snapshots: Snapshots) -> None:
        latest = snapshots.latest
        last = Snapshots(snapshots.times[-1:], np.zeros(int(latest.sum()), dtype=np.int64), snapshots.dated)
        _, outlook, discount = self._outlook(X[latest], last, self._days("fit", None))
        limits = np.quantile(outlook.mean * discount, _TIER_SHARES)
        self.tiers_ = np.append(limits, np.quantile(spend, _TIER_SHARES[-1]))

    # Parameters ---------------------------------------------------------------------------------------------

    def _checked_days(self) -> float | None:
        check_parameters(
            self,
            num_iterations="whole >= 1",
            num_leaves="whole >= 2",
            discount_rate="number >= 0",
            learning_rate="number > 0",
            min_data_in_leaf="whole >= 1",
            tweedie_variance_power="power",
            n_jobs="threads",
            random_state="whole >= 0",
        )
        days = self._horizon_days()
        if self.discount_rate > 0 and days is None:
            raise ConfigError(
                f"{type(self).__name__}: discount_rate={self.discount_rate!r} needs to know when the money comes. "
                "Give the horizon of the labels: horizon='90d'."
            )
        return days

    def _horizon_days(self) -> float | None:
        if self.horizon is None:
            return None
        return parse_duration(self.horizon, f"{type(self).__name__}: horizon") / DAY

    def _days(self, method: str, horizon: str | None) -> float | None:
        """The days to look ahead; None for those of the labels, whatever they are."""
        trained = None if self._offset is None else self._offset.days
        if horizon is None:
            return trained
        where = f"{type(self).__name__}.{method}"
        days = parse_duration(horizon, f"{where}: horizon") / DAY
        if trained is None and days != self._horizon_days():
            raise ConfigError(
                f"{where}: horizon={horizon!r} is not that of the labels ({self.horizon!r}), and this model knows no "
                "history of purchases to go on from. Train it with a horizon on presets.standard(log), or leave out "
                "horizon."
            )
        return days

    def _names(self) -> list[str] | None:
        names = getattr(self, "feature_names_in_", None)
        return None if names is None else [str(name) for name in names]

    def _lightgbm(self) -> dict[str, Any]:
        return {
            "objective": "tweedie",
            "tweedie_variance_power": self.tweedie_variance_power,
            "num_iterations": self.num_iterations,
            "num_leaves": self.num_leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_data_in_leaf,
            **_REGULARISATION,
        }

    # State --------------------------------------------------------------------------------------------------

    def _learned(self) -> State:
        # A list, since a text at the top of a state is a model of LightGBM.
        shared = {"design": [self.design_], "tiers": self.tiers_}
        if self._offset is None:
            assert self._plain is not None  # noqa: S101 (one of both is there)
            return self._plain.state() | shared
        return self._offset.state() | shared | {"label_mean": self.label_mean_}

    def _checked_state(self, reader: StateReader, n_features: int) -> dict[str, Any]:
        design, tiers = _PLAIN, np.full(4, np.nan)
        if reader.has("design") or reader.has("tiers"):  # the first form of the state had neither, and was plain
            design = _checked_design(reader)
            tiers = reader.array("tiers", "f", (4,)).astype(np.float64)
            known = np.isfinite(tiers).all() or np.isnan(tiers).all()
            if not known or (np.diff(tiers[:3]) < 0).any() or (tiers < 0).any():
                reader.refuse("tiers", f"must be four numbers of 0 or more, three of them rising, not {tiers.tolist()}")
        learned: dict[str, Any] = {"design_": design, "tiers_": tiers, "_plain": None, "_offset": None}
        if design == _PLAIN:
            plain = PlainDesign.from_state(reader, n_features)
            return learned | {"_plain": plain, "label_mean_": plain.mean, "level_": plain.level}
        mean = reader.number("label_mean", at_least=0.0)
        offset = OffsetDesign.from_state(reader, design, n_features)
        return learned | {"_offset": offset, "label_mean_": mean, "level_": offset.level}


def _checked_design(reader: StateReader) -> str:
    value = reader.take("design")
    names = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(names, list) or len(names) != 1 or names[0] not in (_PLAIN, *DESIGNS):
        reader.refuse("design", f"must be a list of one of {[_PLAIN, *DESIGNS]}, not {value!r}")
    return str(names[0])

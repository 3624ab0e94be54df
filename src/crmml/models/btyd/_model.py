"""What the buy-till-you-die models share: a fit by maximum likelihood, its report, parameters as a state."""

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from crmml.models._base import Floats, Ints, State, check_parameters
from crmml.models._state import StateReader
from crmml.models.btyd._fitting import Convergence, Maximum, Objective, Search
from crmml.models.btyd._inputs import Rows, Rule, checked_parameters, merged, read_rows, read_weights

# Above this many rows the search begins on a part of them: near the maximum few evaluations are left.
_LARGE = 40_000
_PILOT = 10_000
_PILOT_SHARE = 1 / 40


class BuyTillYouDie(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A model of positive parameters, fitted to the papers' summary of each customer."""

    log_likelihood_: float
    standard_errors_: dict[str, float]
    convergence_: Convergence

    _names: ClassVar[tuple[str, ...]]
    _columns: ClassVar[tuple[str, ...]]
    _rules: ClassVar[tuple[Rule, ...]]
    # The parameters that carry the unit of the data (weeks, pounds).
    _with_unit: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, penalty: float = 0.0, max_iter: int = 500) -> None:
        self.penalty = penalty
        self.max_iter = max_iter

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, float]) -> Self:
        """A model with known parameters, such as published ones: it predicts and simulates without a fit.

        Args:
            parameters: Value by name, the papers' names without the underscore.

        Raises:
            ConfigError: A name is missing or unknown, or a value is not above 0.
        """
        model = cls()
        model._keep(checked_parameters(parameters, cls._names, f"{cls.__name__}.from_parameters"))
        return model

    def fit(self, X: Any, y: object = None, *, sample_weight: Any = None) -> Self:
        """Find the parameters that make the data most likely.

        Args:
            X: DataFrame with the columns of the model, a customer per row; further columns are ignored.
            y: Ignored.
            sample_weight: How many customers each row stands for, shape (rows,); 1 each if None.

        Raises:
            ConfigError: A parameter of the constructor is out of its range.
            SchemaError: A column is missing or holds no numbers.
            DataError: A value that no customer can have; or data that say nothing at all.

        Warns:
            sklearn.exceptions.ConvergenceWarning: The data do not determine the parameters; `convergence_` says why.
        """
        where = f"{type(self).__name__}.fit"
        check_parameters(self, penalty="number >= 0", max_iter="whole >= 1")
        rows = self._read(X, where)
        weights = read_weights(sample_weight, len(next(iter(rows.values()))), where)
        rows, weights = merged(*self._informative(rows, weights, where))
        unit = self._unit(rows, weights)
        scaled = self._in_units(rows, unit)
        found = self._search(scaled, weights)
        self._keep(self._in_data_units(found.point, unit))
        penalty = float(self.penalty) * float(found.point @ found.point)
        self.log_likelihood_ = found.value + penalty - self._log_units(rows, weights, unit)
        self.standard_errors_ = {
            name: float(getattr(self, f"{name}_") * error)
            for name, error in zip(self._names, found.errors, strict=True)
        }
        self.convergence_ = found.report
        if not found.report.converged:
            warnings.warn(f"{where}: {found.report.message}.", ConvergenceWarning, stacklevel=2)
        return self

    def get_state(self) -> State:
        """What `fit` learned, as plain data: arrays of the parameters and of their standard errors.

        Raises:
            sklearn.exceptions.NotFittedError: Before `fit`.
        """
        check_is_fitted(self)
        errors = getattr(self, "standard_errors_", {})
        return {
            "parameters": np.array([getattr(self, f"{name}_") for name in self._names]),
            "standard_errors": np.array([errors.get(name, np.nan) for name in self._names]),
            "log_likelihood": np.array([getattr(self, "log_likelihood_", np.nan)]),
        }

    def set_state(self, state: Mapping[str, Any]) -> Self:
        """Take back what `get_state` gave: the model then predicts the same to the last bit.

        Raises:
            BundleError: A key is missing or unknown, or a value has the wrong type, shape or content.
        """
        reader = StateReader(state, f"{type(self).__name__}.set_state")
        values = reader.finite("parameters", (len(self._names),))
        if (values <= 0).any():
            reader.refuse("parameters", f"must hold numbers above 0, not {values.tolist()}")
        errors = reader.array("standard_errors", "f", (len(self._names),))
        likelihood = reader.array("log_likelihood", "f", (1,))
        reader.finish()
        for attribute in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, attribute)
        self._keep(dict(zip(self._names, values.tolist(), strict=True)))
        self.standard_errors_ = dict(zip(self._names, errors.tolist(), strict=True))
        self.log_likelihood_ = float(likelihood[0])
        return self

    # What a model may or must say of itself.

    def _objective(self, rows: Rows, weights: Floats) -> Objective:
        """The log-likelihood of rows in units, without penalty."""
        raise NotImplementedError

    def _start(self, rows: Rows, weights: Floats) -> dict[str, float]:
        """Where the search begins: parameters in units."""
        raise NotImplementedError

    def _informative(self, rows: Rows, weights: Floats, where: str) -> tuple[Rows, Floats]:
        """The rows that say something; a DataError where none does."""
        return rows, weights

    def _unit(self, rows: Rows, weights: Floats) -> float:
        """The unit in which the data are of the size of 1."""
        return 1.0

    def _in_units(self, rows: Rows, unit: float) -> Rows:
        return rows

    def _log_units(self, rows: Rows, weights: Floats, unit: float) -> float:
        """What the unit adds to the log-likelihood, which is a density in it."""
        return 0.0

    # What happens alike in all of them.

    def _read(self, X: Any, where: str) -> Rows:
        return read_rows(X, self._columns, self._rules, where)

    def _customers(self, X: Any, method: str) -> Rows:
        """The rows of `X` for a question to a fitted model."""
        check_is_fitted(self)
        return self._read(X, f"{type(self).__name__}.{method}")

    def _keep(self, parameters: Mapping[str, float]) -> None:
        for name, value in parameters.items():
            setattr(self, f"{name}_", value)

    def _in_data_units(self, point: Floats, unit: float) -> dict[str, float]:
        values = np.exp(point).tolist()
        return {
            name: value * (unit if name in self._with_unit else 1.0)
            for name, value in zip(self._names, values, strict=True)
        }

    def _penalised(self, rows: Rows, weights: Floats) -> Objective:
        objective = self._objective(rows, weights)
        penalty = float(self.penalty)
        if penalty == 0.0:
            return objective

        def penalised(point: Floats) -> tuple[float, Floats]:
            value, gradient = objective(point)
            return value - penalty * float(point @ point), gradient - 2.0 * penalty * point

        return penalised

    def _search(self, rows: Rows, weights: Floats) -> Maximum:
        start = np.log([self._start(rows, weights)[name] for name in self._names])
        count = len(weights)
        if count <= _LARGE:
            return self._run(rows, weights, start)
        few, times = _every_so_many(weights, max(_PILOT, int(count * _PILOT_SHARE)))
        pilot = self._run({name: values[few] for name, values in rows.items()}, times, start)
        if not pilot.report.converged:
            return self._run(rows, weights, start)
        return self._run(rows, weights, pilot.point, near=pilot.information * (weights.sum() / times.sum()))

    def _run(self, rows: Rows, weights: Floats, start: Floats, *, near: Floats | None = None) -> Maximum:
        objective = self._penalised(rows, weights)
        search = Search(objective, self._names, customers=float(weights.sum()), max_iter=int(self.max_iter))
        return search.run(start, near=near)


def _every_so_many(weights: Floats, size: int) -> tuple[Ints, Floats]:
    """Rows of one in so many customers, evenly through the table, and how many of these each row stands for."""
    ends = np.cumsum(weights)
    times = np.diff(np.floor(ends * (size / ends[-1])), prepend=0.0)
    few = np.flatnonzero(times)
    return few, times[few]

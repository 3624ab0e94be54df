"""What the four estimators share: checked tables, checked parameters, a state of text and arrays."""

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from crmml.errors import ConfigError, DataError, SchemaError
from crmml.models._state import StateReader

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
State = dict[str, Any]

_NAMES_DIFFER = "The feature names should match"
_COUNT_DIFFERS = "features as input"
_MIXED_NAMES = "Feature names are only supported"


class TableEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """An estimator that reads a table of numbers, NaN allowed, and is kept as text and arrays."""

    n_features_in_: int

    def get_state(self) -> State:
        """Everything that `fit` learned, as plain data: text, arrays (never of objects), numbers, lists.

        The parameters are not part of it: they are the definition, `get_params()`.

        Returns:
            A new dictionary. A `str` at the top level is a LightGBM model text.

        Raises:
            sklearn.exceptions.NotFittedError: Before `fit`.
        """
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None)
        shared = {
            "n_features_in": int(self.n_features_in_),
            "feature_names_in": None if names is None else [str(name) for name in names],
        }
        return shared | self._learned()

    def set_state(self, state: Mapping[str, Any]) -> Self:
        """Take back what `get_state` gave: the estimator then predicts the same to the last bit.

        Args:
            state: What `get_state` of the same class returned, through files or not.

        Raises:
            BundleError: A key is missing or unknown, or a value has the wrong type, shape or content.
        """
        reader = StateReader(state, f"{type(self).__name__}.set_state")
        n_features = reader.integer("n_features_in", at_least=1)
        names = reader.names("feature_names_in", n_features)
        learned = self._checked_state(reader, n_features)
        reader.finish()
        # Only now, with everything checked: a refused state leaves the estimator as it was.
        for attribute in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, attribute)
        self.n_features_in_ = n_features
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
        for attribute, value in learned.items():
            setattr(self, attribute, value)
        return self

    def _learned(self) -> State:
        """The part of the state that is the subclass's own."""
        raise NotImplementedError

    def _checked_state(self, reader: StateReader, n_features: int) -> dict[str, Any]:
        """The fitted attributes of the subclass, by name, from a state."""
        raise NotImplementedError

    def _check_fitting(self, X: Any, y: Any = "no_validation", **checks: Any) -> tuple[Floats, Any]:
        """`X` as floats and `y` as scikit-learn checks it, remembering names and number of columns."""
        return self._validated("fit", X, y, reset=True, **checks)

    def _check_rows(self, method: str, X: Any) -> Floats:
        """`X` as floats, refused where its columns are not those of `fit`."""
        check_is_fitted(self)
        return self._validated(method, X, "no_validation", reset=False)[0]

    def _validated(self, method: str, X: Any, y: Any, *, reset: bool, **checks: Any) -> tuple[Floats, Any]:
        where = f"{type(self).__name__}.{method}"
        fitted_names = None if reset else getattr(self, "feature_names_in_", None)
        if fitted_names is None or list(getattr(X, "columns", fitted_names)) == list(fitted_names):
            refuse_text(X, where)  # where the names are wrong, they are the better message
        try:
            checked = validate_data(self, X, y, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan", **checks)
        except ValueError as error:
            raise _typed(error, X, where) from error
        except TypeError as error:
            if _MIXED_NAMES not in str(error):
                raise
            raise SchemaError(f"{where}: {error}") from error
        return checked if isinstance(checked, tuple) else (checked, None)


_RULES = {
    "whole >= 0": "a whole number, 0 or more",
    "whole >= 1": "a whole number, 1 or more",
    "whole >= 2": "a whole number, 2 or more",
    "number >= 0": "a number, 0 or more",
    "number > 0": "a number above 0",
    "share": "a number above 0 and at most 1",
    "below 1": "a number above 0 and below 1",
    "power": "a number above 1 and below 2",
    "threads": "a whole number of threads, 1 or more, or -1 for all cores",
}


def check_parameters(estimator: BaseEstimator, **rules: str) -> None:
    """Refuse a parameter that breaks its rule: "whole >= 2", "number > 0", "share" (0 < x <= 1), "below 1"."""
    defaults = type(estimator)().get_params()
    for name, rule in rules.items():
        value = getattr(estimator, name)
        if not _obeys(value, rule):
            raise ConfigError(
                f"{type(estimator).__name__}: {name}={value!r} must be {_RULES[rule]}. "
                f"Use {name}={defaults[name]!r}, the default."
            )


def _obeys(value: Any, rule: str) -> bool:
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        return False
    number = float(value)
    if not np.isfinite(number):
        return False
    if rule.startswith("whole") or rule == "threads":
        least = 1 if rule == "threads" else int(rule[-1])
        return isinstance(value, Integral) and (number >= least or (rule == "threads" and number == -1))
    return {
        "number >= 0": number >= 0,
        "number > 0": number > 0,
        "share": 0 < number <= 1,
        "below 1": 0 < number < 1,
        "power": 1 < number < 2,
    }[rule]


def _typed(error: ValueError, X: Any, where: str) -> ValueError:
    """scikit-learn's own message under our type, with what to do."""
    text = str(error).rstrip("\n")
    if _NAMES_DIFFER in text:
        missing = "yet now missing" in text
        build = "Build the missing columns, then use" if missing else "Use"
        return SchemaError(f"{where}: {text}\n{build} X[list(model.feature_names_in_)].")
    if _COUNT_DIFFERS in text:
        return SchemaError(f"{where}: {text} Give the columns that fit saw, in its order.")
    if "Input X contains infinity" in text:
        return DataError(f"{where}: {text} {_first_infinite(X)}")
    if "Complex data" in text or "Expected 2D array" in text or "could not convert" in text:
        return SchemaError(f"{where}: {text}")
    return DataError(f"{where}: {text}")


def _first_infinite(X: Any) -> str:
    values = np.asarray(X, dtype=np.float64)
    row, column = np.argwhere(np.isinf(values))[0]
    names = getattr(X, "columns", None)
    name = int(column) if names is None else names[column]
    return (
        f"Column {name!r} is {values[row, column]} in row {row}. "
        "Mark it as missing, which is allowed: X.replace([np.inf, -np.inf], np.nan)."
    )


def refuse_text(X: Any, where: str) -> None:
    """Raise a SchemaError for the first column of `X` that holds text or dates instead of numbers."""
    if isinstance(X, pd.DataFrame):
        columns: list[tuple[Any, Any]] = [
            (X.columns[i], X.iloc[:, i]) for i, kind in enumerate(X.dtypes) if _may_hold_text(kind)
        ]
    else:
        values = X if isinstance(X, np.ndarray) else None
        if values is None or values.ndim != 2 or values.dtype.kind not in "OUSMm":
            return
        columns = list(enumerate(values.T))
    for name, column in columns:
        bad = next((value for value in column if _is_text(value)), None)
        if bad is not None:
            what = "text" if isinstance(bad, str | bytes) else "dates or durations"
            raise SchemaError(
                f"{where}: column {name!r} holds {what} ({bad!s}), and this model reads numbers. "
                f"Leave the column out: {_without(X, name)}; or replace it by numbers, one column of 0 and 1 "
                "per value, the same columns in training and in scoring."
            )


def _may_hold_text(kind: Any) -> bool:
    return not (pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind))


def _is_text(value: Any) -> bool:
    if value is pd.NaT:
        return False
    return isinstance(value, str | bytes | np.datetime64 | np.timedelta64) or hasattr(value, "isoformat")


def _without(X: Any, name: Any) -> str:
    return f"X.drop(columns=[{name!r}])" if isinstance(X, pd.DataFrame) else f"np.delete(X, {name}, axis=1)"


def customer_groups(X: Any, y: Any, where: str) -> Ints | None:
    """The customer of each row as a code from 0, where the index of `X` has a level `customer_id`, else None.

    One customer seen at two cutoffs is not two independent rows: folds keep them together. Only the
    identity is read, never a date.
    """
    if not isinstance(X, pd.DataFrame) or "customer_id" not in X.index.names:
        return None
    if isinstance(y, pd.Series) and "customer_id" in y.index.names and not X.index.equals(y.index):
        raise SchemaError(
            f"{where}: the rows of y are not in the order of the rows of X (their indexes differ). Use y.loc[X.index]."
        )
    codes, _ = pd.factorize(X.index.get_level_values("customer_id"), use_na_sentinel=False)
    return codes.astype(np.int64)


def label_array(values: Sequence[Any] | npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Labels as an array that a file can hold: text as unicode, never objects."""
    labels = np.asarray(values)
    return labels.astype(str) if labels.dtype.kind == "O" else labels

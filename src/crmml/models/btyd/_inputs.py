"""The papers' columns, checked value by value, and merged where customers are alike."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from crmml.errors import ConfigError, DataError, SchemaError, did_you_mean
from crmml.models._base import Bools, Floats, Ints, refuse_text

Rows = dict[str, Floats]

# More different values than this per row are not worth merging.
_WORTH_MERGING = 0.7


class Rule(NamedTuple):
    """What holds in every row, which column breaks it where it does not, and how the message says it."""

    column: str
    holds: Callable[[Rows], Bools]
    must: str
    todo: str


def whole(column: str, meaning: str, *, least: int = 0) -> Rule:
    """The rule that a column counts something."""
    return Rule(
        column,
        lambda rows: (rows[column] >= least) & (rows[column] == np.floor(rows[column])),
        f"must be a whole number, {least} or more",
        f"Give {meaning}",
    )


def read_rows(X: Any, columns: tuple[str, ...], rules: tuple[Rule, ...], where: str) -> Rows:
    """The columns by name, as floats, each shape (rows,); other columns of `X` are not looked at.

    Raises:
        SchemaError: `X` is no table, lacks a column, or a column holds text or dates.
        DataError: No rows, a value that is missing or infinite, or one that breaks a rule.
    """
    listed = ", ".join(columns)
    if not isinstance(X, pd.DataFrame):
        raise SchemaError(f"{where}: X is a {type(X).__name__}. Give a pandas DataFrame with the columns {listed}.")
    for column in columns:
        if column not in X.columns:
            hint = did_you_mean(column, [str(name) for name in X.columns])
            raise SchemaError(f"{where}: X has no column '{column}'.{hint} Give the columns {listed}.")
    if len(X) == 0:
        raise DataError(f"{where}: X has no rows. Give one row or more, a customer each.")
    rows = {column: _numbers(X, column, where) for column in columns}
    for column, values in rows.items():
        if not np.isfinite(values).all():
            _refuse(rows, Rule(column, _finite(column), "must be a finite number", "Leave the row out"), where)
    for rule in rules:
        _refuse(rows, rule, where)
    return rows


def _numbers(X: pd.DataFrame, column: str, where: str) -> Floats:
    values = X[column]
    plain = isinstance(values, pd.Series) and isinstance(values.dtype, np.dtype) and values.dtype.kind in "biuf"
    if not plain:  # a look at each value, which costs more than the fit of a small table
        refuse_text(X[[column]], where)
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _finite(column: str) -> Callable[[Rows], Bools]:
    return lambda rows: np.isfinite(rows[column])


def _refuse(rows: Rows, rule: Rule, where: str) -> None:
    fine = rule.holds(rows)
    if not fine.all():
        row = int(np.flatnonzero(~fine)[0])
        value = rows[rule.column][row]
        raise DataError(f"{where}: column '{rule.column}' is {value:g} in row {row}, but {rule.must}. {rule.todo}.")


def read_weights(sample_weight: Any, count: int, where: str) -> Floats:
    """How many customers each row stands for, shape (rows,): 1 each where nothing is given."""
    if sample_weight is None:
        return np.ones(count)
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (count,):
        raise DataError(f"{where}: sample_weight has the shape {weights.shape}. Give one weight per row: ({count},).")
    fine = np.isfinite(weights) & (weights >= 0)
    if not fine.all():
        row = int(np.flatnonzero(~fine)[0])
        raise DataError(
            f"{where}: sample_weight is {weights[row]:g} in row {row}. "
            "Give the number of customers that the row stands for, 0 or more."
        )
    if not weights.any():
        raise DataError(f"{where}: sample_weight is 0 in every row. Give at least one row a weight, such as 1.")
    return weights


def merged(rows: Rows, weights: Floats) -> tuple[Rows, Floats]:
    """The different rows and how many customers each stands for: the likelihood is the same, and cheaper.

    Rows are left as they are where nearly all differ. Rows without weight are dropped.
    """
    if not weights.all():
        kept = weights > 0
        rows, weights = {name: values[kept] for name, values in rows.items()}, weights[kept]
    if len(weights) == 1:
        return rows, weights
    found = _different(rows, at_most=_WORTH_MERGING * len(weights))
    if found is None:
        return rows, weights
    fewer, kinds = found
    return fewer, np.bincount(kinds, weights=weights).astype(np.float64)


def each_different(rows: Rows, compute: Callable[[Rows], Floats]) -> Floats:
    """`compute` once per different row, spread back over all rows."""
    found = _different(rows, at_most=np.inf)
    assert found is not None  # noqa: S101 (nothing is too many)
    fewer, kinds = found
    return compute(fewer)[kinds]


def _different(rows: Rows, *, at_most: float) -> tuple[Rows, Ints] | None:
    """The different rows, and for each row which of them it is; None as soon as there are more than `at_most`."""
    kinds = np.zeros(len(next(iter(rows.values()))), dtype=np.int64)
    count = 0
    for values in rows.values():
        codes, levels = pd.factorize(values)
        if len(levels) > at_most:
            return None
        kinds, known = pd.factorize(kinds * len(levels) + codes)
        count = len(known)
    if count > at_most:
        return None
    first = np.empty(count, dtype=np.int64)
    first[kinds[::-1]] = np.arange(len(kinds))[::-1]  # the last writer is the first row of its kind
    return {name: values[first] for name, values in rows.items()}, kinds


def not_negative(value: Any, name: str, where: str) -> float:
    """A finite number of 0 or more, such as a horizon."""
    good = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not good or not np.isfinite(value) or value < 0:
        raise ConfigError(f"{where}: {name}={value!r} must be a finite number, 0 or more. Use {name}=30.")
    return float(value)


def lengths(values: Any, name: str, where: str) -> Floats:
    """A list of finite numbers of 0 or more, such as observation times, shape (customers,)."""
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if array.ndim != 1 or not np.isfinite(array).all() or (array < 0).any():
        raise DataError(f"{where}: {name} must hold finite numbers, 0 or more, in one dimension. Use {name}=[30, 40].")
    return array


def checked_parameters(parameters: Mapping[str, float], names: tuple[str, ...], where: str) -> dict[str, float]:
    """The parameters of a model by name, all of them, each a finite number above 0."""
    for name in (*parameters, *names):
        if name not in names or name not in parameters:
            what = "is missing" if name in names else "is no parameter of it"
            raise ConfigError(f"{where}: '{name}' {what}. Give {', '.join(names)}.")
    for name, value in parameters.items():
        if not np.isfinite(value) or value <= 0:
            raise ConfigError(f"{where}: {name}={value!r} must be a finite number above 0. Use {name}=1.0.")
    return {name: float(parameters[name]) for name in names}


def periods(value: Any, name: str, where: str) -> float:
    """A whole number of periods, 0 or more, such as a horizon in discrete time."""
    if not_negative(value, name, where) != np.floor(value):
        raise ConfigError(f"{where}: {name}={value!r} must be a whole number of periods. Use {name}={int(value) + 1}.")
    return float(value)


def counts(values: Any, name: str, where: str) -> Floats:
    """A list of whole numbers of 0 or more, such as periods, shape (customers,)."""
    array = lengths(values, name, where)
    if (array != np.floor(array)).any():
        raise DataError(f"{where}: {name} must hold whole numbers, such as {name}=[1, 3].")
    return array

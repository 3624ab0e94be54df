"""What `profile_segments` reads: checked once, so that nothing after it has to ask again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmml.errors import ConfigError, DataError, SchemaError, did_you_mean

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

_ME = "profile_segments"
_MISSING = "{} is missing"


@dataclass(frozen=True, eq=False)
class Profiled:
    """The rows to be profiled.

    Attributes:
        table: the numbers, shape (customers, columns).
        names: the segments, in the order in which they are shown.
        codes: the position in `names` of each row.
        value: what each row is worth, or None.
        made_from: the columns that made the segments.
        ids: the customer of each row.
        origin: column shown -> column of the table: the same one, or the one that "... is missing" tells of.
    """

    table: pd.DataFrame
    names: list[str]
    codes: Ints
    value: Floats | None
    made_from: tuple[str, ...]
    ids: list[Any]
    origin: Mapping[str, str]

    def columns(self) -> Iterator[tuple[str, Floats]]:
        """Name and values of each column shown, NaN where nothing is known."""
        for name, origin in self.origin.items():
            values = self.table[origin].to_numpy(dtype=np.float64, na_value=np.nan)
            yield name, values if name == origin else np.isnan(values).astype(np.float64)


def read_input(
    table: Any,
    segments: Any,
    value: Any,
    made_from: Sequence[str] | None,
    names: Mapping[str, Mapping[str, str]] | None,
) -> Profiled:
    """The arguments of `profile_segments`, checked; errors as there."""
    _check_table(table)
    table = table.set_axis([str(name) for name in table.columns], axis=1)
    model = segments if hasattr(segments, "segment") else None
    if model is not None:
        segments, made_from = _of_model(model, table, made_from)
    columns = table.columns.tolist()
    used = tuple(columns if made_from is None else made_from)
    for name in used:
        check_column(f"{_ME}: made_from", name, columns)
    labels = _labels(table, segments)
    order = _order(labels, model)
    # Positions by the order above; every label is in it.
    codes = pd.Index(order).get_indexer(pd.Index(labels)).astype(np.int64)
    origin = {}
    for name in columns:
        origin[name] = name
        missing = table[name].isna()
        told = _MISSING.format(name)
        if missing.any() and not missing.all() and told not in columns:
            origin[told] = name
    for rule, wanted in (names or {}).items():
        _check_rule(rule, wanted, list(origin))
    return Profiled(table, order, codes, _value(table, value), used, _ids(table), origin)


def check_column(where: str, name: str, columns: Sequence[str]) -> None:
    """Refuse the name of a column that is not there."""
    if name not in columns:
        raise ConfigError(f"{where}: no column {name!r} in the table.{did_you_mean(str(name), columns)}")


def _check_table(table: Any) -> None:
    if not isinstance(table, pd.DataFrame):
        raise SchemaError(f"{_ME}: table is a {type(table).__name__}. Use a DataFrame, one row per customer.")
    if not len(table) or not len(table.columns):
        raise SchemaError(f"{_ME}: the table has {len(table)} rows and {len(table.columns)} columns. Use one of each.")
    names = pd.Index([str(name) for name in table.columns])
    if names.has_duplicates:
        twice = names[names.duplicated()][0]
        raise SchemaError(f"{_ME}: the table has two columns {twice!r}. Rename one of them.")
    for name, kind in table.dtypes.items():
        if not (pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind)):
            raise SchemaError(
                f"{_ME}: column {name!r} holds no numbers (dtype {kind}). Leave it out: table.drop(columns=[{name!r}])."
            )
        infinite = np.flatnonzero(np.isinf(table[name].to_numpy(dtype=np.float64, na_value=np.nan)))
        if len(infinite):
            raise DataError(
                f"{_ME}: column {name!r} is infinite in row {infinite[0]}. Mark it as missing: "
                "table.replace([np.inf, -np.inf], np.nan)."
            )
    customers = pd.Index(_ids(table))
    if customers.has_duplicates:
        again = customers[customers.duplicated()].tolist()[0]
        raise DataError(
            f"{_ME}: customer {again!r} has {(customers == again).sum()} rows, which would count as as many "
            'customers. Profile one cutoff at a time: table.xs(as_of, level="as_of").'
        )


def _of_model(model: Any, table: pd.DataFrame, made_from: Sequence[str] | None) -> tuple[Any, Sequence[str]]:
    kind = type(model).__name__
    if not hasattr(model, "feature_names_in_"):
        raise ConfigError(f"{_ME}: {kind} was not fitted on a table with named columns. Use {kind}().fit(table).")
    used = [str(name) for name in model.feature_names_in_]
    for name in used:
        check_column(f"{_ME}: {kind}", name, table.columns.tolist())
    return model.segment(table[used]), used if made_from is None else made_from


def _labels(table: pd.DataFrame, segments: Any) -> list[str]:
    if isinstance(segments, pd.Series):
        if not segments.index.equals(table.index):
            if len(segments) != len(table) or not segments.index.sort_values().equals(table.index.sort_values()):
                raise SchemaError(
                    f"{_ME}: the indexes of table and segments differ ({len(table)} and {len(segments)} rows). "
                    "Use rows of the same customers: table.loc[segments.index]."
                )
            segments = segments.loc[table.index]
        segments = segments.tolist()
    labels = list(segments)
    if len(labels) != len(table):
        raise SchemaError(
            f"{_ME}: the table has {len(table)} rows and there are {len(labels)} segments. Use one per row."
        )
    for row, label in enumerate(labels):
        if label is None or label is pd.NA or label != label:  # noqa: PLR0124  (NaN)
            raise DataError(
                f"{_ME}: row {row} has no segment ({label!r}). Leave it out, or name it: segments.fillna('none')."
            )
    return [str(label) for label in labels]


def _order(labels: list[str], model: Any) -> list[str]:
    """As the model has them; else the largest first, then by name."""
    counts = pd.Series(labels).value_counts()
    if model is not None and hasattr(model, "segments_"):
        return [str(name) for name in model.segments_ if str(name) in counts.index]
    return sorted(counts.index, key=lambda name: (-int(counts[name]), name))


def _value(table: pd.DataFrame, value: Any) -> Floats | None:
    if value is None:
        return None
    if isinstance(value, str):
        check_column(f"{_ME}: value", value, table.columns.tolist())
        value = table[value]
    elif isinstance(value, pd.Series) and not value.index.equals(table.index):
        raise SchemaError(f"{_ME}: the indexes of table and value differ. Use value.loc[table.index].")
    worth = pd.Series(np.asarray(value)).to_numpy(dtype=np.float64, na_value=np.nan)
    if worth.shape != (len(table),):
        raise SchemaError(f"{_ME}: value has the shape {worth.shape}. Use one number per row, ({len(table)},).")
    if not np.isfinite(worth).all():
        row = int(np.flatnonzero(~np.isfinite(worth))[0])
        raise DataError(f"{_ME}: the value of row {row} is {worth[row]}. Use 0 for who is worth nothing.")
    if worth.sum() <= 0:
        raise DataError(
            f"{_ME}: the values sum to {worth.sum():g}, and shares of that mean nothing. "
            "Use values whose sum is above 0, such as the revenue before returns."
        )
    return worth


def _check_rule(rule: str, wanted: Mapping[str, str], columns: Sequence[str]) -> None:
    where = f"{_ME}: names[{rule!r}]"
    if not wanted:
        raise ConfigError(f"{where}: is empty. Use for example {{{columns[0]!r}: 'high'}}.")
    for column, level in wanted.items():
        check_column(where, column, columns)
        if level not in ("high", "low"):
            raise ConfigError(f"{where}: {column!r} is {level!r}. Use 'high' or 'low'.")


def _ids(table: pd.DataFrame) -> list[Any]:
    index = table.index
    return (index.get_level_values("customer_id") if "customer_id" in index.names else index).tolist()

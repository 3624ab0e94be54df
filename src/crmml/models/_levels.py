"""Lifetime value, part by part: the level of a cutoff is worked out once, from all rows, and then held.

What `LifetimeValueRegressor` expects of the customers of a cutoff together is what BG/NBD expects of them, so a score
depends on everybody who is scored as of that cutoff. Of each row that takes seven numbers, not the whole table.
"""

from copy import copy
from typing import Any

import pandas as pd

from crmml.models._history import History
from crmml.models._offset_value import OffsetDesign
from crmml.models._snapshots import snapshots_of
from crmml.models._value_table import ValueTable
from crmml.models.value import LifetimeValueRegressor

Levels = dict[int, float]


def level_rows(model: LifetimeValueRegressor, X: pd.DataFrame) -> pd.DataFrame:
    """What decides the levels, of rows of the table: `customer_id`, `as_of`, a history, what is expected beside it.

    Args:
        model: a fitted model for which `needs_levels` is true.
        X: some rows of the table, indexed by (`customer_id`, `as_of`).
    """
    design = _design(model)
    table = ValueTable(model._check_rows("predict", X), design.columns)
    history = {name: getattr(table.history, name) for name in History.__dataclass_fields__}
    return X.index.to_frame(index=False).assign(**history, relative=design.relative(table, model.n_jobs))


def levels_of(model: LifetimeValueRegressor, rows: pd.DataFrame) -> Levels:
    """The level of each cutoff (microseconds since 1970), to the last bit as all rows together have it.

    Args:
        model: the model of `level_rows`.
        rows: what `level_rows` made of all rows, in any order.
    """
    # Sums of doubles depend on their order: that of a table of all customers.
    rows = rows.sort_values(["customer_id", "as_of"], kind="stable")
    snapshots = snapshots_of(pd.DataFrame(index=pd.MultiIndex.from_frame(rows[["customer_id", "as_of"]])), len(rows))
    history = History(*(rows[name].to_numpy() for name in History.__dataclass_fields__))
    found = _design(model).levels_of(history, rows["relative"].to_numpy(), snapshots)
    return dict(zip(snapshots.times.tolist(), found.tolist(), strict=True))


def needs_levels(model: Any) -> bool:
    """Whether the scores of a cutoff depend on who is scored together.

    >>> needs_levels(LifetimeValueRegressor())
    False
    """
    return isinstance(model, LifetimeValueRegressor) and getattr(model, "_offset", None) is not None


def at_levels(model: LifetimeValueRegressor, levels: Levels) -> LifetimeValueRegressor:
    """The same model with its levels held: what it says of a row of these cutoffs depends on no other row."""
    held, design = copy(model), copy(_design(model))
    design.levels = dict(levels)
    held._offset = design
    return held


def _design(model: LifetimeValueRegressor) -> OffsetDesign:
    assert model._offset is not None  # noqa: S101 (the caller has asked needs_levels)
    return model._offset

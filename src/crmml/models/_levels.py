"""Lifetime value, part by part: the level of a cutoff is worked out once, from all rows, and then held.

What `LifetimeValueRegressor` expects of the customers of a cutoff together is what BG/NBD expects of them, so a score
depends on everybody who is scored as of that cutoff. Of each row that takes seven numbers, not the whole table.
"""

from copy import copy
from typing import Any, Self

import numpy as np
import pandas as pd

from crmml.models._base import Floats
from crmml.models._history import History
from crmml.models._offset_value import OffsetDesign
from crmml.models._snapshots import snapshots_of
from crmml.models._value_table import ValueTable
from crmml.models.value import LifetimeValueRegressor

Levels = dict[int, float]


class LevelsOf:
    """Collects what decides the levels from the rows of a table, given in any portions.

    Args:
        model: a fitted model for which `needs_levels` is true.
    """

    def __init__(self, model: LifetimeValueRegressor) -> None:
        self._model = model
        self._keys: list[pd.DataFrame] = []
        self._histories: list[History] = []
        self._relative: list[Floats] = []

    def add(self, X: pd.DataFrame) -> Self:
        """Look at rows of the table, indexed by (`customer_id`, `as_of`)."""
        design = _design(self._model)
        table = ValueTable(self._model._check_rows("predict", X), design.columns)
        self._keys.append(X.index.to_frame(index=False))
        self._histories.append(table.history)
        self._relative.append(design.relative(table, self._model.n_jobs))
        return self

    def levels(self) -> Levels:
        """The level of each cutoff (microseconds since 1970), to the last bit as all rows together have it."""
        keys = pd.concat(self._keys, ignore_index=True)
        # Sums of doubles depend on their order: that of a table of all customers.
        order = keys.sort_values(["customer_id", "as_of"], kind="stable").index.to_numpy()
        snapshots = snapshots_of(pd.DataFrame(index=pd.MultiIndex.from_frame(keys.iloc[order])), len(keys))
        names = History.__dataclass_fields__
        columns = (np.concatenate([getattr(one, name) for one in self._histories])[order] for name in names)
        relative = np.concatenate(self._relative)[order]
        found = _design(self._model).levels_of(History(*columns), relative, snapshots)
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

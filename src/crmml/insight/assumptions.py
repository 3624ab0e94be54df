"""Numbers that nobody measured: a value, the range in which it is believed to be, and where that comes from."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmml.definition import Definition
from crmml.errors import ConfigError, DataError, SchemaError

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

_QUANTILE_95 = 1.6448536269514722  # of the standard normal distribution


@dataclass(frozen=True, repr=False)
class Assumption(Definition):
    """A number above 0 that is assumed, and the range that holds it with a chance of 90 %.

    Half of what is believed lies below `value`, 5 % below `low`, 5 % above `high`, log-normal on either side. Without
    a range it is taken as certain, and printed so.

    Parameters:
        value: the number.
        low, high: the range; both or none.
        source: where it comes from, printed with it.

    Raises:
        ConfigError: not 0 < low <= value <= high.

    >>> Assumption(0.3, 0.25, 0.35, source="accounts 2023").spoken()
    '0.3 (0.25 to 0.35; accounts 2023)'
    >>> Assumption(12).spoken()
    '12 (taken as certain)'
    """

    value: float
    low: float | None = None
    high: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.bounds
        numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (self.value, low, high))
        if not numbers or (self.low is None) != (self.high is None) or not 0 < low <= self.value <= high < np.inf:
            raise ConfigError(
                f"Assumption(value={self.value!r}, low={self.low!r}, high={self.high!r}): must be 0 < low <= value <= "
                "high. Use for example Assumption(0.3, 0.25, 0.35)."
            )

    @property
    def bounds(self) -> tuple[float, float]:
        """`low` and `high`; the value itself without a range."""
        return self.value if self.low is None else self.low, self.value if self.high is None else self.high

    def spoken(self) -> str:
        """The number with its range and source."""
        low, high = self.bounds
        belief = "taken as certain" if low == high else f"{low:,.6g} to {high:,.6g}"
        return f"{self.value:,.6g} ({'; '.join(filter(None, [belief, self.source]))})"

    def draw(self, rng: np.random.Generator, draws: int) -> Floats:
        """Numbers drawn from what is believed, shape (draws,)."""
        z = rng.standard_normal(draws)
        low, high = (float(np.log(end / self.value)) / _QUANTILE_95 for end in self.bounds)
        # Below the median the step down counts, which is below 0 like z itself.
        drawn: Floats = self.value * np.exp(np.abs(z) * np.where(z < 0, low, high))
        return drawn


def check_redraws(where: str, coverage: Any, draws: Any) -> None:
    """Refuse a coverage that is no share, or too few draws for an interval."""
    if isinstance(coverage, bool) or not isinstance(coverage, int | float) or not 0 < coverage < 1:
        raise ConfigError(f"{where}: coverage is {coverage!r}. Use a share in (0, 1), such as coverage=0.9.")
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 100:
        raise ConfigError(f"{where}: draws is {draws!r}. Use a whole number of at least 100, such as draws=2_000.")


def redrawn_means(values: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Means of redrawn customers, shape (draws,) or (draws, columns): the bootstrap with smooth weights (Rubin 1981).

    Of more than 2,000 customers the mean is normal to all intents, and is drawn from that.
    """
    n = len(values)
    if n > 2_000:
        covariance = np.atleast_2d(np.cov(values, rowvar=False)) / n
        drawn = rng.multivariate_normal(np.atleast_1d(values.mean(axis=0)), covariance, draws, method="eigh")
        return drawn[:, 0] if values.ndim == 1 else drawn
    weights = rng.exponential(size=(draws, n))
    means: Floats = weights @ values / weights.sum(axis=1).reshape((-1,) + (1,) * (values.ndim - 1))
    return means


def read_amounts(
    where: str, name: str, values: Any, *, least: float = 0.0, rows: int | None = None
) -> tuple[list[Any], Floats]:
    """The ids (of the index, or row numbers) and the numbers of a Series or list of one number per customer.

    Raises:
        SchemaError: another number of rows than `rows`, or no numbers.
        DataError: none at all; missing, infinite, or below `least`.
    """
    series = values if isinstance(values, pd.Series) else pd.Series(np.asarray(values))
    if not (pd.api.types.is_numeric_dtype(series.dtype) or pd.api.types.is_bool_dtype(series.dtype)):
        raise SchemaError(f"{where}: {name} holds no numbers (dtype {series.dtype}). Use one number per customer.")
    amounts = series.to_numpy(dtype=np.float64, na_value=np.nan)
    if rows is not None and len(amounts) != rows:
        raise SchemaError(f"{where}: {name} has {len(amounts)} rows, not {rows}. Use one per customer, in their order.")
    if not len(amounts):
        raise DataError(f"{where}: {name} is empty. Give at least one customer.")
    wrong = np.flatnonzero(~np.isfinite(amounts) | (amounts < least))
    if len(wrong):
        need = "a number" if least == -np.inf else f"a number of at least {least:g}"
        raise DataError(f"{where}: {name} of row {wrong[0]} is {amounts[wrong[0]]:g}. Use {need} for every customer.")
    index = series.index
    return (index.get_level_values("customer_id") if "customer_id" in index.names else index).tolist(), amounts


def read_groups(where: str, groups: Any, values: Any, rows: int) -> tuple[list[str], Ints]:
    """The names of the groups, the largest first, and the group of each row as a position among them.

    Raises:
        SchemaError: another length or index than the values have.
        DataError: a row without a group.
    """
    if groups is None:
        return ["all"], np.zeros(rows, dtype=np.int64)
    if isinstance(groups, pd.Series) and isinstance(values, pd.Series) and not groups.index.equals(values.index):
        raise SchemaError(f"{where}: the index of groups is another one. Use groups.loc[...] of the same customers.")
    labels = list(groups)
    if len(labels) != rows:
        raise SchemaError(f"{where}: there are {len(labels)} groups for {rows} customers. Use one per customer.")
    missing = np.flatnonzero(pd.isna(pd.Series(labels, dtype=object)))
    if len(missing):
        raise DataError(f"{where}: row {missing[0]} has no group. Name it, such as 'none'.")
    texts = pd.Series([str(label) for label in labels])
    counts = texts.value_counts()
    names = sorted(counts.index, key=lambda name: (-int(counts[name]), name))
    return names, pd.Index(names).get_indexer(pd.Index(texts)).astype(np.int64)

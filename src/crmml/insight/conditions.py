"""Conditions on one column of a table: small frozen values, which are compared and never run."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmml.data.sql import can_be_compared
from crmml.errors import ConfigError, SchemaError
from crmml.spec import Definition

Bools = NDArray[np.bool_]
# What a column holds whose values are all missing: it can be compared with anything, and meets nothing.
NOTHING = "nothing"
_COMPARED: Mapping[str, Callable[[Any, Any], Any]] = {">=": ge, ">": gt, "<=": le, "<": lt}


class Column:
    """A column of a table as conditions look at it: numbers as they are, texts once per different text."""

    _codes: NDArray[Any]

    def __init__(self, values: "pd.Series[Any]") -> None:
        self.name = str(values.name)
        self.missing: Bools = values.isna().to_numpy(dtype=bool)
        dtype, types = values.dtype, pd.api.types
        self.kind = f"values of the type {dtype}"
        if types.is_numeric_dtype(dtype):  # truth values, too
            self.kind = "numbers"
            self._numbers = _plain_numbers(values)
        elif self.missing.all():
            self.kind = NOTHING
        elif isinstance(dtype, pd.CategoricalDtype) or types.is_string_dtype(dtype) or types.is_object_dtype(dtype):
            self._codes, different = pd.factorize(values)  # a missing value has the code -1
            self._texts = list(different)
            if all(isinstance(text, str) for text in self._texts):
                self.kind = "texts"

    def numbers(self, condition: "Condition") -> NDArray[Any]:
        """The numbers; what stands in place of a missing one is meaningless.

        Raises:
            SchemaError: the column holds something else.
        """
        if self.kind == NOTHING:
            return np.zeros(len(self.missing))
        if self.kind != "numbers":
            raise SchemaError(
                f"{self.name!r} holds {self.kind}, and {condition!r} compares numbers. "
                "Use a column of numbers, or name the values, such as ['web', 'shop']."
            )
        return self._numbers

    def one_of(self, values: tuple[Any, ...]) -> Bools:
        """Where the value is one of `values`; a missing one is none of them.

        Raises:
            SchemaError: a value is of another kind than the column's.
        """
        if self.kind == NOTHING:
            return np.zeros(len(self.missing), dtype=bool)
        wanted = "texts" if isinstance(values[0], str) else "numbers"
        if self.kind != wanted:
            raise SchemaError(
                f"{self.name!r} holds {self.kind}, and {values[0]!r} is never one of them. "
                f"Compare it with {'numbers, such as AtLeast(1)' if self.kind == 'numbers' else 'its own values'}."
            )
        if wanted == "numbers":
            return np.asarray(np.isin(self._numbers, list(values)) & ~self.missing)
        found = np.array([*(text in values for text in self._texts), False], dtype=bool)
        return np.asarray(found[self._codes])


def _plain_numbers(values: "pd.Series[Any]") -> NDArray[Any]:
    """Numbers as numpy has them: whole ones stay whole, so that long ids and counts compare exactly."""
    if isinstance(values.dtype, np.dtype):
        return values.to_numpy()
    types = pd.api.types
    whole = types.is_integer_dtype(values.dtype) or types.is_bool_dtype(values.dtype)
    dtype = np.uint64 if types.is_unsigned_integer_dtype(values.dtype) else np.int64 if whole else np.float64
    return values.to_numpy(dtype=dtype, na_value=0)


class Condition(Definition, ABC):
    """What a value has to be; a missing value meets no condition but `Missing` and `Not`."""

    @abstractmethod
    def holds(self, column: Column) -> Bools:
        """Where it holds, shape (rows,)."""

    @abstractmethod
    def words(self, column: str) -> str:
        """The condition on `column` in words."""


@dataclass(frozen=True, repr=False)
class _Bound(Condition):
    """One bound that a number is compared with, as `sign` says."""

    sign: ClassVar[str]
    value: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(type(self).__name__, "value", self.value, example=f"{type(self).__name__}(1)")

    def holds(self, column: Column) -> Bools:
        """Where the number and `value` compare so."""
        return np.asarray(_COMPARED[self.sign](column.numbers(self), self.value) & ~column.missing)

    def words(self, column: str) -> str:
        """The condition in words."""
        return f"{column} {self.sign} {self.value}"


@dataclass(frozen=True, repr=False)
class AtLeast(_Bound):
    """The number is `value` or more.

    Raises:
        ConfigError: the bound is no finite number.

    >>> import crmml as cm
    >>> rule = cm.TagRule("big spender", where={"sum_amount_365d": cm.AtLeast(500)})
    """

    sign = ">="


@dataclass(frozen=True, repr=False)
class Above(_Bound):
    """The number is greater than `value`.

    Raises:
        ConfigError: the bound is no finite number.

    >>> import crmml as cm
    >>> rule = cm.TagRule("buyer", where={"sum_amount": cm.Above(0)})
    """

    sign = ">"


@dataclass(frozen=True, repr=False)
class AtMost(_Bound):
    """The number is `value` or less.

    Raises:
        ConfigError: the bound is no finite number.

    >>> import crmml as cm
    >>> rule = cm.TagRule("recent", where={"recency_purchase": cm.AtMost(30)})
    """

    sign = "<="


@dataclass(frozen=True, repr=False)
class Below(_Bound):
    """The number is less than `value`.

    Raises:
        ConfigError: the bound is no finite number.

    >>> import crmml as cm
    >>> rule = cm.TagRule("at risk", where={"p_alive": cm.Below(0.5)})
    """

    sign = "<"


@dataclass(frozen=True, repr=False)
class Between(Condition):
    """The number is `low` or more and less than `high`: side by side, such ranges leave no gap and no overlap.

    Raises:
        ConfigError: a bound is no finite number, or `low` is not below `high`.

    >>> import crmml as cm
    >>> rule = cm.TagRule("middle", where={"sum_amount_365d": cm.Between(100, 500)})
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("low", "high"):
            check_number("Between", name, getattr(self, name), example="Between(1, 10)")
        if not self.low < self.high:
            raise ConfigError(
                f"Between: low={self.low!r} is not below high={self.high!r}: no number would lie between them. "
                f"Use Between({self.high!r}, {self.low!r})."
                if self.low > self.high
                else f"Between: low and high are both {self.low!r}, and high itself is not in the range. "
                f"For one number write it alone: {self.low!r}."
            )

    def holds(self, column: Column) -> Bools:
        """Where the number is in `[low, high)`."""
        numbers = column.numbers(self)
        return np.asarray((numbers >= self.low) & (numbers < self.high) & ~column.missing)

    def words(self, column: str) -> str:
        """The condition in words."""
        return f"{self.low} <= {column} < {self.high}"


@dataclass(frozen=True, repr=False)
class Missing(Condition):
    """The value is missing: never bought, no score, no tag.

    >>> import crmml as cm
    >>> rule = cm.TagRule("never bought", where={"recency_purchase": cm.Missing()})
    """

    def holds(self, column: Column) -> Bools:
        """Where the value is missing."""
        return column.missing

    def words(self, column: str) -> str:
        """The condition in words."""
        return f"{column} is missing"


@dataclass(frozen=True, repr=False)
class Not(Condition):
    """What `condition` says does not hold: also where the value is missing.

    Args:
        condition: a condition, a value, or a list of values.

    Raises:
        ConfigError: it is none of these.

    >>> import crmml as cm
    >>> rule = cm.TagRule("elsewhere", where={"latest_channel": cm.Not(["web", "app"])})
    >>> known = cm.TagRule("has bought", where={"recency_purchase": cm.Not(cm.Missing())})
    """

    condition: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        as_condition(self.condition, "Not")

    def holds(self, column: Column) -> Bools:
        """Where the condition does not hold."""
        return np.asarray(~as_condition(self.condition, "Not").holds(column))

    def words(self, column: str) -> str:
        """The condition in words."""
        return f"not ({as_condition(self.condition, 'Not').words(column)})"


@dataclass(frozen=True, repr=False)
class OneOf(Condition):
    """The value is one of several: what a plain value, or a list of values, means."""

    values: tuple[Any, ...]

    def holds(self, column: Column) -> Bools:
        """Where the value is one of `values`."""
        return column.one_of(self.values)

    def words(self, column: str) -> str:
        """The condition in words."""
        listed = ", ".join(map(str, self.values))
        return f"{column} is {listed}" if len(self.values) == 1 else f"{column} is one of {listed}"


def as_condition(value: Any, where: str) -> Condition:
    """A condition as it is; a value, or a list of values, as `OneOf`.

    Raises:
        ConfigError: it is a class, a mapping, nothing, or a list of nothing or of different kinds.

    >>> as_condition("web", "a rule"), as_condition(AtLeast(3), "a rule")
    (OneOf(['web']), AtLeast(3))
    """
    if isinstance(value, Condition):
        return value
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    texts = all(isinstance(each, str) for each in values)
    numbers = all(isinstance(each, int | float) and can_be_compared(each) for each in values)
    if not values or not (texts or numbers) or isinstance(value, Mapping):
        raise ConfigError(
            f"{where}: {value!r} is no condition. Use a value such as 'web', a list of texts or of numbers, "
            "or for example AtLeast(3)."
        )
    return OneOf(values)


def values_of(condition: Condition) -> tuple[Any, ...]:
    """The values that a condition names, also behind `Not`; none where it compares numbers."""
    if isinstance(condition, Not):
        return values_of(as_condition(condition.condition, "Not"))
    return condition.values if isinstance(condition, OneOf) else ()


def check_number(
    owner: str, name: str, value: object, *, example: str, low: float | None = None, high: float | None = None
) -> None:
    """Raise a ConfigError where a parameter is no finite number above `low` and below `high`."""
    good = not isinstance(value, bool) and isinstance(value, int | float) and can_be_compared(value)
    if not good or (low is not None and not value > low) or (high is not None and not value < high):  # type: ignore[operator]
        above = "" if low is None else f" above {low}"
        below = "" if high is None else f" and below {high}"
        raise ConfigError(f"{owner}: {name} is {value!r}. Use a finite number{above}{below}, such as {example}.")

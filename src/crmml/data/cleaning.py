"""Cleaning as named, visible steps: small definitions that say which rows of a log stay."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from crmml.data.sql import can_be_compared, is_one_of, moment, name_of, not_null
from crmml.errors import ConfigError
from crmml.spec import Definition

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog


class CleaningStep(Definition):
    """A definition of which rows stay; `column` is a role or an attribute of the log."""

    def needs(self, names: Sequence[str]) -> Sequence[str]:
        """The columns, out of all `names` of the log, that the step has to read."""
        return (self.column,)  # type: ignore[attr-defined]

    def query(self, before: str, columns: Sequence[str]) -> exp.Select:
        """The rows of step `before`, which has `columns`, that stay."""
        return exp.select("*").from_(before).where(self.condition())

    @property
    def by_customer(self) -> bool:
        """Whether the step can be applied to some customers without seeing the others."""
        return True

    def condition(self) -> exp.Expr:
        """What holds for the rows that stay."""
        raise TypeError(f"{type(self).__name__} says neither condition() nor query()")

    def check(self, log: "InteractionLog") -> None:
        """Raise a SchemaError if the log lacks a column of the step."""
        for name in self.needs(log.names):
            log.require(name, repr(self))


@dataclass(frozen=True, repr=False)
class DropMissing(CleaningStep):
    """Drop the events that have no value in `column`.

    >>> from crmml import DropMissing
    >>> DropMissing("customer_id")
    DropMissing('customer_id')
    """

    column: str

    def condition(self) -> exp.Expr:
        return not_null(self.column)


@dataclass(frozen=True, repr=False)
class DropDuplicates(CleaningStep):
    """Keep one of the events that are alike in `columns`; alike in every column where none is named.

    Which one is kept does not depend on the order of the rows: the least by all columns of the log.

    >>> from crmml import DropDuplicates
    >>> DropDuplicates(["event_id"])
    DropDuplicates(columns=['event_id'])
    """

    columns: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.columns, str) or (self.columns is not None and not self.columns):
            raise ConfigError(
                f"DropDuplicates: columns must be a list of names, not {self.columns!r}. "
                "Use DropDuplicates(['event_id']), or DropDuplicates() for rows alike in every column."
            )
        super().__post_init__()

    @property
    def by_customer(self) -> bool:
        return self.columns is None or "customer_id" in self.columns

    def needs(self, names: Sequence[str]) -> Sequence[str]:
        # All of them: rows are duplicates, or are put in order, by every column of the log.
        return [*names, *(name for name in self.columns or () if name not in names)]

    def query(self, before: str, columns: Sequence[str]) -> exp.Select:
        if self.columns is None:
            return exp.select("*").distinct().from_(before)
        rank = exp.Window(
            this=exp.RowNumber(),
            partition_by=[name_of(name) for name in self.columns],
            order=exp.Order(expressions=[exp.Ordered(this=name_of(name)) for name in columns]),
        )
        selected = exp.select(*(name_of(name) for name in columns)).from_(before)
        return selected.qualify(exp.EQ(this=rank, expression=exp.Literal.number(1)))


@dataclass(frozen=True, repr=False)
class _Selection(CleaningStep):
    column: str
    values: Sequence[Any] | None = None
    pattern: str | None = None

    def __post_init__(self) -> None:
        name = type(self).__name__
        if (self.values is None) == (self.pattern is None) or isinstance(self.values, (str, bytes)):
            raise ConfigError(
                f"{name}: give either values (a list) or pattern, not values={self.values!r}, "
                f"pattern={self.pattern!r}. Use {name}('item_id', pattern='^[0-9]{{5}}')."
            )
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ConfigError(
                    f"{name}: pattern {self.pattern!r} is not a regular expression: {error}. "
                    f"Use {name}('item_id', pattern='^[0-9]{{5}}')."
                ) from None
        super().__post_init__()

    def matches(self) -> exp.Expr:
        """Where the column is one of `values` or contains `pattern`; unknown where it is missing."""
        if self.values is not None:
            return is_one_of(self.column, self.values)
        text = exp.cast(exp.column(self.column, quoted=True), "TEXT")
        pattern = exp.Literal.string(str(self.pattern))
        return exp.Anonymous(this="regexp_matches", expressions=[text, pattern])


@dataclass(frozen=True, repr=False)
class Keep(_Selection):
    """Keep only the events whose `column` is one of `values`, or contains the regular expression `pattern`.

    >>> from crmml import Keep
    >>> Keep("event_type", values=["purchase", "return"])
    Keep('event_type', values=['purchase', 'return'])
    """

    def condition(self) -> exp.Expr:
        return self.matches()


@dataclass(frozen=True, repr=False)
class Drop(_Selection):
    """Drop the events whose `column` is one of `values`, or contains the regular expression `pattern`.

    Events without a value stay: `DropMissing` is for those.

    >>> from crmml import Drop
    >>> Drop("item_id", pattern="^TEST")
    Drop('item_id', pattern='^TEST')
    """

    def condition(self) -> exp.Expr:
        return exp.Not(this=exp.Coalesce(this=self.matches(), expressions=[exp.false()]))


@dataclass(frozen=True, repr=False)
class KeepBetween(CleaningStep):
    """Keep the events whose `column` lies in `[minimum, maximum)`.

    Events without a value stay: `DropMissing` is for those.

    Numbers for a numeric column; for a time, texts such as "2024-01-31" (UTC).

    >>> from crmml import KeepBetween
    >>> KeepBetween("timestamp", maximum="2025-01-01")
    KeepBetween('timestamp', maximum='2025-01-01')
    """

    column: str
    minimum: float | str | None = None
    maximum: float | str | None = None

    def __post_init__(self) -> None:
        if self.minimum is None and self.maximum is None:
            raise ConfigError(
                f"KeepBetween: {self.column!r} has neither minimum nor maximum. "
                "Use KeepBetween('timestamp', maximum='2025-01-01')."
            )
        for end in ("minimum", "maximum"):
            value = getattr(self, end)
            if isinstance(value, int | float | Decimal) and not can_be_compared(value):
                raise ConfigError(
                    f"KeepBetween: {end} of {self.column!r} is {value!r:.40}. Use a number, or leave it out."
                )

    def condition(self) -> exp.Expr:
        column = name_of(self.column)
        bounds: list[exp.Expr] = []
        if self.minimum is not None:
            bounds.append(exp.GTE(this=column, expression=_bound(self.minimum)))
        if self.maximum is not None:
            bounds.append(exp.LT(this=column.copy(), expression=_bound(self.maximum)))
        return exp.Coalesce(this=exp.and_(*bounds), expressions=[exp.true()])


def _bound(value: float | str) -> exp.Expr:
    return moment(value) if isinstance(value, str) else exp.convert(value)

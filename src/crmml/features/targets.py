"""Targets: what is to be predicted, for whom, and how far ahead.

A label sees the events in `[as_of + gap, as_of + gap + horizon)`; the population is drawn from the history alone.
"""

import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from math import log
from typing import TYPE_CHECKING, ClassVar

import pandas as pd
from sqlglot import exp

from crmml.data.time import parse_duration
from crmml.errors import ConfigError
from crmml.features.aggregate import Aggregate
from crmml.features.aggregates import Count, Recency, Sum
from crmml.features.change import Change
from crmml.features.checks import check_columns, check_event_types
from crmml.features.decay import DecayedSum
from crmml.features.expressions import as_double, number
from crmml.features.filters import Filter, check_filter
from crmml.spec import Definition

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

# Of the rule that weighs spend by its age: the best of those that were tried on two public logs.
HALF_LIFE = "120d"


@dataclass(frozen=True, repr=False, kw_only=True)
class Population(Definition):
    """The customers that a table has rows for: those with an event of `event_type` within `active_within`.

    >>> from crmml import Population
    >>> Population(event_type="purchase", active_within="180d")
    Population(event_type='purchase', active_within='180d')
    """

    event_type: str | Sequence[str] | None = None
    active_within: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_filter("Population", self.event_type, None, None)
        if self.active_within is not None:
            parse_duration(self.active_within, "Population: active_within")

    @property
    def filter(self) -> Filter:
        """The filter as a value of its own."""
        return Filter.of(event_type=self.event_type)

    @property
    def window_us(self) -> int | None:
        """`active_within` in microseconds."""
        return None if self.active_within is None else parse_duration(self.active_within)

    def check(self, log: "InteractionLog") -> None:
        """Raise where `log` lacks the event type."""
        check_columns(self.filter, log, repr(self))


@dataclass(frozen=True, repr=False)
class Rule(Definition):
    """A simple rule that a model has to beat: one feature, and whether more of it means a higher score.

    `scale` turns the feature into the unit of the target, where the rule is also a guess of the value.

    >>> from crmml import Recency, Rule
    >>> Rule("recency", Recency(), ascending=True).feature.name
    'recency'
    """

    name: str
    feature: Aggregate
    ascending: bool = True
    scale: float = 1.0


@dataclass(frozen=True, repr=False)
class Target(Definition):
    """Base of all targets.

    Args:
        horizon: how far the label looks ahead, such as "60d".
        event_type: the events that count, one type or a list; all by default.
        active_within: only customers with such an event within this time before the cutoff; all with any such
            event by default.
        gap: lead time between the cutoff and the start of the horizon.
    """

    horizon: str
    event_type: str | Sequence[str] | None = None
    active_within: str | None = None
    gap: str = "0d"

    # "binary", "value" or "items": which metrics and models fit.
    task: ClassVar[str]
    # The column in which the prediction leaves the library.
    score_name: ClassVar[str]
    # What would be wrong with a label that reaches beyond the log's end.
    truncated: ClassVar[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        owner = type(self).__name__
        parse_duration(self.horizon, f"{owner}: horizon")
        if not re.fullmatch(r"0+[smhdw]", str(self.gap)):
            parse_duration(self.gap, f"{owner}: gap")
        check_filter(owner, self.event_type, None, None)
        if self.active_within is not None:
            parse_duration(self.active_within, f"{owner}: active_within")

    @property
    def horizon_us(self) -> int:
        """The horizon in microseconds."""
        return parse_duration(self.horizon)

    @property
    def gap_us(self) -> int:
        """The gap in microseconds."""
        return 0 if re.fullmatch(r"0+[smhdw]", self.gap) else parse_duration(self.gap)

    @property
    def reach(self) -> pd.Timedelta:
        """How far after the cutoff the label ends: gap + horizon."""
        return pd.Timedelta(self.gap_us + self.horizon_us, unit="us")

    @property
    def reach_in_words(self) -> str:
        """The reach as it is written in messages."""
        return f"gap + horizon ({self.gap} + {self.horizon})" if self.gap_us else f"horizon ({self.horizon})"

    @property
    def population(self) -> Population:
        """The customers that are labelled."""
        return Population(event_type=self.event_type, active_within=self.active_within)

    @property
    def filter(self) -> Filter:
        """The filter of the label as a value of its own."""
        return Filter.of(event_type=self.event_type)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The simple rules that a model has to beat."""
        return ()

    @property
    def label_column(self) -> str | None:
        """The role or attribute that the label sums; None where it counts events."""
        return None

    def label(self, n: exp.Expr, total: exp.Expr) -> exp.Expr:
        """The label from the number of events in the horizon and the sum of `label_column` over them."""
        raise TypeError(f"{type(self).__name__} has no label per customer")

    def check(self, log: "InteractionLog") -> None:
        """Raise where `log` lacks a column or an event type of the target."""
        check_columns(self.filter, log, repr(self))
        check_event_types(self.filter, log, repr(self))


@dataclass(frozen=True, repr=False)
class Churn(Target):
    """1 where a customer has no event of `event_type` within the horizon, else 0.

    >>> from crmml import Churn
    >>> Churn("60d", event_type="purchase", active_within="180d").population
    Population(event_type='purchase', active_within='180d')
    """

    task: ClassVar[str] = "binary"
    score_name: ClassVar[str] = "p_churn"
    truncated: ClassVar[str] = "customers would be labelled churned only because the log stops"

    @property
    def rules(self) -> tuple[Rule, ...]:
        return _activity_rules(self, returning=False)

    def label(self, n: exp.Expr, total: exp.Expr) -> exp.Expr:
        return _flag(exp.EQ(this=n, expression=number(0)))


@dataclass(frozen=True, repr=False)
class Repurchase(Target):
    """1 where a customer has an event of `event_type` within the horizon, else 0.

    >>> from crmml import Repurchase
    >>> Repurchase("30d", event_type="purchase").score_name
    'p_repurchase'
    """

    task: ClassVar[str] = "binary"
    score_name: ClassVar[str] = "p_repurchase"
    truncated: ClassVar[str] = "customers would be labelled as not returning only because the log stops"

    @property
    def rules(self) -> tuple[Rule, ...]:
        return _activity_rules(self, returning=True)

    def label(self, n: exp.Expr, total: exp.Expr) -> exp.Expr:
        return _flag(exp.GT(this=n, expression=number(0)))


@dataclass(frozen=True, repr=False)
class Spend(Target):
    """Sum of `column` within the horizon, net of returns where these are negative; 0 where there are no events.

    Args:
        column: the role or attribute that is summed.

    >>> from crmml import Spend
    >>> [rule.name for rule in Spend("90d").rules][1:]
    ['mean of the last two periods', 'mean of the last four periods', 'exponentially weighted spend']
    """

    column: str = "amount"

    task: ClassVar[str] = "value"
    score_name: ClassVar[str] = "clv"
    truncated: ClassVar[str] = "customers would be labelled with too little value only because the log stops"

    @property
    def label_column(self) -> str | None:
        return self.column

    @property
    def rules(self) -> tuple[Rule, ...]:
        names = {1: "last-period spend", 2: "mean of the last two periods", 4: "mean of the last four periods"}
        size, unit = int(self.horizon[:-1]), self.horizon[-1]
        periods = [
            Rule(name, Sum(self.column, event_type=self.event_type, window=f"{n * size}{unit}"), scale=1 / n)
            for n, name in names.items()
        ]
        # Steady spend of s per day has a decayed sum of s * half-life / ln 2.
        scale = self.horizon_us / parse_duration(HALF_LIFE) * log(2.0)
        decayed = DecayedSum(self.column, event_type=self.event_type, half_life=HALF_LIFE)
        return (*periods, Rule("exponentially weighted spend", decayed, scale=scale))

    def label(self, n: exp.Expr, total: exp.Expr) -> exp.Expr:
        return as_double(total)

    def check(self, log: "InteractionLog") -> None:
        super().check(log)
        Sum(self.column).check(log)


@dataclass(frozen=True, repr=False)
class NextItems(Target):
    """The items of a customer's events within the horizon: what a recommender has to find.

    Args:
        repeats: whether items that a customer has had before count as well, and may be recommended again, as in a
            shop whose customers come back for the same things; by default only what is new to a customer.

    The others are those of every target.

    >>> from crmml import NextItems
    >>> NextItems("30d", event_type="purchase").task
    'items'
    """

    _: KW_ONLY
    repeats: bool = False

    task: ClassVar[str] = "items"
    score_name: ClassVar[str] = "score"
    truncated: ClassVar[str] = "customers would be labelled with too few items only because the log stops"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.repeats, bool):
            raise ConfigError(f"NextItems: repeats must be True or False, not {self.repeats!r}. Use repeats=True.")

    def check(self, log: "InteractionLog") -> None:
        super().check(log)
        log.require("item_id", repr(self))


def _flag(condition: exp.Expr) -> exp.Expr:
    return exp.cast(exp.Case(ifs=[exp.If(this=condition, true=number(1))], default=number(0)), "BIGINT")


def _activity_rules(target: Target, *, returning: bool) -> tuple[Rule, ...]:
    """Who was seen lately, or often, or no less often than before, comes back."""
    return (
        Rule("recency rule", Recency(event_type=target.event_type), ascending=not returning),
        Rule(
            "frequency rule",
            Count(event_type=target.event_type, window=target.active_within),
            ascending=returning,
        ),
        Rule("halved-window rule", Change(event_type=target.event_type, window=target.horizon), ascending=returning),
    )

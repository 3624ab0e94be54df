"""Subscriptions: who is under contract as of the cutoff, and whose contract ends within the horizon."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sqlglot import exp

from crmml.data.time import parse_duration
from crmml.errors import ConfigError
from crmml.features.aggregates import Recency, Tenure
from crmml.features.expressions import number
from crmml.features.filters import Filter, as_values, check_filter
from crmml.features.targets import Population, Rule, Target


@dataclass(frozen=True, repr=False, kw_only=True)
class Subscribers(Population):
    """The customers whose subscription runs: paid for within its term, and not ended since.

    Args:
        event_type: the events that pay for a term: start and renewal.
        active_within: the term that each of them pays for. A payment exactly one term old still counts.
        ended_by: the events that end a subscription at once. One at the very moment of a payment comes after it.

    Raises:
        ConfigError: no event type, no term, or an event type that both pays and ends.

    >>> from crmml import Subscribers
    >>> Subscribers(event_type=["start", "renewal"], active_within="31d", ended_by="cancel")
    Subscribers(event_type=['start', 'renewal'], active_within='31d', ended_by='cancel')
    """

    ended_by: str | Sequence[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_contract("Subscribers", self.event_type, self.active_within, self.ended_by)

    @property
    def ends(self) -> Filter | None:
        """The filter of the events that end a subscription."""
        return None if self.ended_by is None else Filter.of(event_type=self.ended_by)


@dataclass(frozen=True, repr=False)
class SubscriptionChurn(Target):
    """1 where a subscription ends within the horizon, else 0; for the customers who are subscribed at the cutoff.

    It ends by an event of `ended_by`, or where a term goes by without another payment: a payment exactly one term
    after the last is in time. Who comes back within the horizon has churned all the same.

    Args:
        horizon: how far the label looks ahead, such as "60d". It may be shorter or longer than the term.
        event_type: the events that pay for a term: start and renewal.
        active_within: the term that each of them pays for; the longest where it varies ("31d" for months), and
            a few days more where payments come late.
        gap: has to be "0d": who leaves before the horizon begins belongs to neither class.
        ended_by: the events that end a subscription at once, one type or a list; None where it only lapses.

    Raises:
        ConfigError: no event type, no term, a gap, or an event type that both pays and ends.

    >>> from crmml import SubscriptionChurn
    >>> churn = SubscriptionChurn("60d", event_type=["start", "renewal"], active_within="31d", ended_by="cancel")
    >>> churn.population
    Subscribers(event_type=['start', 'renewal'], active_within='31d', ended_by='cancel')
    >>> churn.score_name, [rule.name for rule in churn.rules]
    ('p_churn', ['renewal rule', 'tenure rule'])
    """

    ended_by: str | Sequence[str] | None = None

    task: ClassVar[str] = "binary"
    score_name: ClassVar[str] = "p_churn"
    truncated: ClassVar[str] = "subscriptions would be labelled as ended only because the log stops"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_contract("SubscriptionChurn", self.event_type, self.active_within, self.ended_by)
        if self.gap_us:
            raise ConfigError(
                f"SubscriptionChurn: with gap={self.gap!r}, who leaves before the horizon begins belongs to neither "
                "class. Leave gap out."
            )

    @property
    def term_us(self) -> int:
        """The paid term in microseconds."""
        return parse_duration(str(self.active_within))

    @property
    def population(self) -> Subscribers:
        """The customers who are subscribed."""
        return Subscribers(event_type=self.event_type, active_within=self.active_within, ended_by=self.ended_by)

    @property
    def filter(self) -> Filter:
        """The events that decide: those that pay, and those that end."""
        ends = () if self.ended_by is None else as_values(self.ended_by)
        return Filter.of(event_type=[*as_values(self.event_type), *ends])

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Who has to renew soon may not; who has stayed long stays."""
        return (
            Rule("renewal rule", Recency(event_type=self.event_type), ascending=True),
            Rule("tenure rule", Tenure(event_type=self.event_type), ascending=False),
        )

    def label(self, n: exp.Expr, total: exp.Expr) -> exp.Expr:
        """`n` counts what ended the subscription."""
        ended = exp.GT(this=n, expression=number(0))
        return exp.cast(exp.Case(ifs=[exp.If(this=ended, true=number(1))], default=number(0)), "BIGINT")


def check_contract(
    owner: str, event_type: str | Sequence[str] | None, term: str | None, ended_by: str | Sequence[str] | None
) -> None:
    """Raise a ConfigError where it is not said what pays and for how long, or where the same event pays and ends."""
    if event_type is None:
        raise ConfigError(
            f"{owner}: without event_type it is not known what pays for a term. Use event_type=['start', 'renewal']."
        )
    if term is None:
        raise ConfigError(
            f"{owner}: without active_within it is not known how long a payment lasts. Use active_within='31d'."
        )
    check_filter(f"{owner}: ended_by", ended_by, None, None)
    for both in () if ended_by is None else as_values(ended_by):
        if both in as_values(event_type):
            raise ConfigError(f"{owner}: {both!r} stands in event_type and in ended_by. Leave it out of one of them.")

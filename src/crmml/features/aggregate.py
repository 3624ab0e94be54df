"""What all features share, and what all aggregates share: the filter, the window, the name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sqlglot import exp

from crmml.data.time import parse_duration
from crmml.errors import ConfigError
from crmml.features.filters import Filter, check_filter, slug
from crmml.features.plan import Plan
from crmml.spec import Definition

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog


@dataclass(frozen=True, repr=False)
class Feature(Definition):
    """Base of everything that a FeatureSet takes: one definition of one column, or of a few."""

    @property
    def name(self) -> str:
        """The name of the feature's column, made from the definition."""
        raise TypeError(f"{type(self).__name__} has no name")

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the feature's columns: its name, unless it has several."""
        return (self.name,)

    @property
    def filters(self) -> tuple[Filter, ...]:
        """The filters that the feature looks through: which event types have to be known."""
        return ()

    @property
    def numbers(self) -> tuple[str, ...]:
        """The roles and attributes whose values are taken as exact numbers."""
        return ()

    def check(self, log: "InteractionLog") -> None:
        """Raise a SchemaError where `log` lacks what the definition names, or has it in another type."""

    def sql(self, plan: Plan) -> exp.Expr:
        """The feature in the last step of the SQL text; the steps before it are asked of `plan`."""
        raise TypeError(f"{type(self).__name__} has no sql()")

    def sql_by_column(self, plan: Plan) -> dict[str, exp.Expr]:
        """The same for each of its columns."""
        return {self.name: self.sql(plan)}


@dataclass(frozen=True, repr=False, kw_only=True)
class Aggregate(Feature):
    """Base of all aggregates: the filter and the window that they share.

    Args:
        event_type: count only events of this type, or of any in a list.
        channel: count only events of this channel, or of any in a list.
        where: count only events whose attributes equal a value, or are in a list: `{"plan": ["gold", "silver"]}`.
        window: how far back to look, such as "90d"; everything before the cutoff by default.
    """

    event_type: str | Sequence[str] | None = None
    channel: str | Sequence[str] | None = None
    where: Mapping[str, Any] | None = None
    window: str | None = None

    verb: ClassVar[str]
    # Parameters of the class that take part in the name, after the verb.
    _named: ClassVar[tuple[str, ...]] = ()
    # Whether `column` has to be a number.
    _numeric: ClassVar[bool] = True
    # Whether the feature is one of the values of `column`, and so of its type.
    picks: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        owner = type(self).__name__
        check_filter(owner, self.event_type, self.channel, self.where)
        if self.window is not None:
            parse_duration(self.window, f"{owner}: window")
        of = self.of
        if of is not None and (not isinstance(of, str) or not of):
            raise ConfigError(f"{owner}: column must be the name of a role or attribute, not {of!r}. Use 'amount'.")

    @property
    def of(self) -> str | None:
        """The role or attribute that is aggregated; None where events are counted."""
        return getattr(self, "column", None)

    @property
    def name(self) -> str:
        """The name of the feature's column, made from the definition.

        >>> from crmml import Sum
        >>> Sum("amount", event_type="purchase", window="90d").name
        'sum_amount_purchase_90d'
        """
        parts = [self.verb, *self._own_parts()]
        if self.of is not None:
            parts.append(slug(self.of))
        parts.extend(self.filter.names())
        if self.window is not None:
            parts.append(self.window)
        return "_".join(parts)

    def _own_parts(self) -> list[str]:
        """The parts of the name that come from parameters of the class, after the verb."""
        return [str(getattr(self, name)) for name in self._named]

    @property
    def filter(self) -> Filter:
        """The filter as a value of its own."""
        return Filter.of(event_type=self.event_type, channel=self.channel, where=self.where)

    @property
    def filters(self) -> tuple[Filter, ...]:
        return (self.filter,)

    @property
    def numbers(self) -> tuple[str, ...]:
        return (self.of,) if self.of is not None and self._numeric else ()

    @property
    def window_us(self) -> int | None:
        """The window in microseconds."""
        return None if self.window is None else parse_duration(self.window)

    def check(self, log: "InteractionLog") -> None:
        """Raise a SchemaError where `log` lacks what the definition names, or has it in another type."""
        from crmml.features.checks import check_aggregate

        check_aggregate(self, log, numeric=self._numeric)

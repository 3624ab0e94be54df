"""Interactions for recommenders: who had to do with which item, how much, as of a cutoff."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
from sqlglot import exp

from crmml.data.sql import literal, name_of, not_null
from crmml.data.steps import chain
from crmml.data.time import AsOf, moments_of, parse_duration
from crmml.errors import ConfigError, DataError
from crmml.features.checks import check_columns, check_event_types
from crmml.features.compiler import AGE, HISTORY, KEYS, Plan, as_double, column, cutoffs_step, number
from crmml.features.datasets import OUTCOME, check_cutoffs, outcome_step, require_complete_labels
from crmml.features.filters import Filter
from crmml.features.targets import NextItems
from crmml.spec import Definition

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog


@dataclass(frozen=True, repr=False, kw_only=True)
class Interactions(Definition):
    """What a recommender learns from: a weight per customer and item.

    Args:
        weights: weight of one event by event type; events of other types do not count. 1 for every event by default.
        window: how far back to look; everything before the cutoff by default.
        half_life: after this time an event counts half as much: `weight * 0.5 ** (age / half_life)`.

    >>> from crmml import Interactions
    >>> Interactions(weights={"purchase": 3, "view": 1}, window="365d")
    Interactions(weights={'purchase': 3, 'view': 1}, window='365d')
    """

    weights: Mapping[str, float] | None = None
    window: str | None = None
    half_life: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights is not None and (not isinstance(self.weights, Mapping) or not self.weights):
            raise ConfigError(
                f"Interactions: weights must be a mapping, not {self.weights!r}. Use weights={{'purchase': 1}}."
            )
        for kind, weight in (self.weights or {}).items():
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < float("inf"):
                raise ConfigError(
                    f"Interactions: weights[{kind!r}] must be a positive number, not {weight!r}. Use for example 1.0."
                )
        for name in ("window", "half_life"):
            if getattr(self, name) is not None:
                parse_duration(getattr(self, name), f"Interactions: {name}")

    @property
    def filter(self) -> Filter:
        """The event types that count."""
        return Filter.of(event_type=None if self.weights is None else list(self.weights))

    def check(self, log: "InteractionLog") -> None:
        """Raise where `log` lacks the items or an event type."""
        log.require("item_id", repr(self))
        check_columns(self.filter, log, repr(self))

    def weight(self) -> exp.Expr:
        """The weight of one event of `history`, as SQL."""
        weight: exp.Expr = number(1)
        if self.weights is not None:
            kinds = (
                (exp.EQ(this=name_of("event_type"), expression=literal(kind)), value)
                for kind, value in self.weights.items()
            )
            weight = exp.Case(ifs=[exp.If(this=condition, true=number(value)) for condition, value in kinds])
        if self.half_life is None:
            return as_double(weight)
        age = exp.Div(this=as_double(column(AGE)), expression=number(parse_duration(self.half_life)))
        return exp.Mul(this=as_double(weight), expression=exp.Pow(this=number(0.5), expression=exp.Paren(this=age)))


def build_interactions(
    log: "InteractionLog", interactions: Interactions, as_of: "AsOf | Sequence[AsOf]"
) -> pd.DataFrame:
    """The weight of every customer and item as of one or many cutoffs.

    Returns:
        A frame with the columns `customer_id`, `as_of`, `item_id`, `weight` (positive), sorted by the first three.

    Raises:
        SchemaError: the log has no item_id.
        ConfigError: an event type never occurs; a cutoff lies outside the log.

    >>> import crmml as cm
    >>> log = cm.simulate_log(50, seed=1).log
    >>> table = cm.build_interactions(log, cm.Interactions(weights={"purchase": 1}), "2024-06-01")
    >>> list(table.columns)
    ['customer_id', 'as_of', 'item_id', 'weight']
    """
    cutoffs = moments_of(as_of)
    interactions.check(log)
    log.require_usable()
    check_cutoffs(log, cutoffs)
    check_event_types(interactions.filter, log, repr(interactions))
    plan = Plan(log)
    window_us = None if interactions.window is None else parse_duration(interactions.window)
    item = plan.value("item_id")
    conditions = [not_null("item_id"), *plan.conditions(interactions.filter, window_us)]
    weight = exp.alias_(exp.Sum(this=interactions.weight()), "weight")
    keys = [*(column(key) for key in KEYS), item]
    query = exp.select(*keys, weight).from_(HISTORY).where(*conditions).group_by(*[key.copy() for key in keys])
    steps = plan.history_steps(cutoffs)
    return _sorted(log, chain(steps, query))


def build_next_items(log: "InteractionLog", target: NextItems, as_of: "AsOf | Sequence[AsOf]") -> pd.DataFrame:
    """The items that each customer of the population took within the horizon.

    Returns:
        A frame with the columns `customer_id`, `as_of`, `item_id`, one row per item, sorted. Customers without
        events in the horizon have no row: there is nothing to find for them.

    Raises:
        LeakageError: the horizon runs past the end of the log.

    >>> import crmml as cm
    >>> log = cm.simulate_log(50, seed=1).log
    >>> table = cm.build_next_items(log, cm.NextItems("30d", event_type="purchase"), "2024-06-01")
    >>> list(table.columns)
    ['customer_id', 'as_of', 'item_id']
    """
    cutoffs = moments_of(as_of)
    log.require_usable()
    target.check(log)
    check_cutoffs(log, cutoffs)
    require_complete_labels(log, target, cutoffs)
    needed = ["customer_id", "timestamp", "item_id", *target.filter.columns]
    outcome = outcome_step(target, ["item_id", *target.filter.columns])
    steps = [cutoffs_step(cutoffs), *log.steps(needed), outcome]
    keys = [*(column(key) for key in KEYS), name_of("item_id")]
    query = exp.select(*keys).distinct().from_(OUTCOME).where(not_null("item_id"))
    table = _sorted(log, chain(steps, query))
    if table.empty:
        raise DataError(f"build_next_items: {target!r} finds no item in the horizon. Use a longer horizon.")
    return table


def _sorted(log: "InteractionLog", query: exp.Select) -> pd.DataFrame:
    names = ("customer_id", "as_of", "item_id")
    frame: pd.DataFrame = log.engine.arrow(query.order_by(*(column(name) for name in names))).to_pandas()
    frame["as_of"] = frame["as_of"].dt.tz_localize("UTC").dt.as_unit("us")
    return frame

"""Interactions for recommenders: who had to do with which item, how much, as of a cutoff."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

import pandas as pd
from sqlglot import exp

from crmml.data.cutoffs import check_cutoffs
from crmml.data.facts import readable
from crmml.data.sql import is_there
from crmml.data.steps import Step, chain
from crmml.data.time import AsOf, moments_of, parse_duration
from crmml.errors import ConfigError, DataError
from crmml.features.checks import check_columns, check_event_types
from crmml.features.expressions import AGE, as_double, column, group, number
from crmml.features.filters import Filter
from crmml.features.labels import OUTCOME, outcome_step
from crmml.features.plan import HISTORY, KEYS, Plan
from crmml.features.targets import NextItems
from crmml.features.validity import require_complete_labels
from crmml.spec import Definition

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

# A weight above it could be infinite where events are added up.
MOST = 1e100


@dataclass(frozen=True, repr=False)
class ItemWeights(Definition):
    """What a recommender learns from: a weight per customer and item.

    Args:
        weights: weight of one event by event type; events of other types do not count. 1 for every event by default.
        window: how far back to look; everything before the cutoff by default.
        half_life: after this time an event counts half as much: `weight * 0.5 ** (age / half_life)`.

    >>> from crmml import ItemWeights
    >>> ItemWeights(weights={"purchase": 3, "view": 1}, window="365d")
    ItemWeights(weights={'purchase': 3, 'view': 1}, window='365d')
    """

    weights: Mapping[str, float] | None = None
    _: KW_ONLY
    window: str | None = None
    half_life: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights is not None and (not isinstance(self.weights, Mapping) or not self.weights):
            raise ConfigError(
                f"ItemWeights: weights must be a mapping, not {self.weights!r}. Use weights={{'purchase': 1}}."
            )
        for kind, weight in (self.weights or {}).items():
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight <= MOST:
                raise ConfigError(
                    f"ItemWeights: weights[{kind!r}] must be a positive number up to {MOST:g}, not {weight!r:.40}. "
                    "Use for example 1.0."
                )
        for name in ("window", "half_life"):
            if getattr(self, name) is not None:
                parse_duration(getattr(self, name), f"ItemWeights: {name}")

    @property
    def filter(self) -> Filter:
        """The event types that count."""
        return Filter.of(event_type=None if self.weights is None else list(self.weights))

    def check(self, log: "InteractionLog") -> None:
        """Raise where `log` lacks the items or an event type."""
        log.require("item_id", repr(self))
        check_columns(self.filter, log, repr(self))

    def conditions(self, plan: Plan) -> list[exp.Expr]:
        """What an event of `history` has to meet to count: an item, a type that has a weight, an age in the window."""
        window_us = None if self.window is None else parse_duration(self.window)
        return [is_there(plan.value("item_id")), *plan.conditions(self.filter, window_us)]

    def weight(self, plan: Plan) -> exp.Expr:
        """The weight of one event of `history`, as SQL."""
        weight: exp.Expr = number(1)
        if self.weights is not None:
            flags = ((plan.flags(Filter.of(event_type=kind)), value) for kind, value in self.weights.items())
            weight = exp.Case(ifs=[exp.If(this=exp.and_(*flag), true=number(float(value))) for flag, value in flags])
        if self.half_life is None:
            return as_double(weight)
        age = exp.Div(this=as_double(column(AGE)), expression=number(parse_duration(self.half_life)))
        return exp.Mul(this=as_double(weight), expression=exp.Pow(this=number(0.5), expression=exp.Paren(this=age)))


def build_interactions(
    log: "InteractionLog", interactions: ItemWeights, as_of: "AsOf | Sequence[AsOf]", *, in_order: bool = False
) -> pd.DataFrame:
    """The weight of every customer and item as of one or many cutoffs.

    Args:
        log: the interactions; it needs an item_id.
        interactions: which events count, and how much.
        as_of: a cutoff, or several.
        in_order: a row for every event, with its time, instead of one for every customer and item: for recommenders
            that know the order of things (`MarkovNext`, `RepeatPurchase`).

    Returns:
        A frame with the columns `customer_id`, `as_of`, `item_id`, `weight` (positive), sorted by the first three;
        with `in_order` also `timestamp`, by which the rows of a customer and item are sorted.

    Raises:
        SchemaError: the log has no item_id.
        ConfigError: an event type never occurs; a cutoff lies outside the log.

    >>> import crmml as cm
    >>> log = cm.simulate_log(50, seed=1).log
    >>> table = cm.build_interactions(log, cm.ItemWeights(weights={"purchase": 1}), "2024-06-01")
    >>> list(table.columns)
    ['customer_id', 'as_of', 'item_id', 'weight']
    """
    cutoffs = moments_of(as_of)
    interactions.check(log)
    log.require_usable()
    check_cutoffs(log, cutoffs)
    check_event_types(interactions.filter, log, repr(interactions))
    plan = Plan(log, cutoffs)
    item, conditions = plan.value("item_id"), interactions.conditions(plan)
    if in_order:
        weight = exp.alias_(interactions.weight(plan), "weight")
        query = exp.select(*plan.keys, item, weight, column(AGE)).from_(HISTORY).where(*conditions)
        by_time = exp.Ordered(this=column(AGE), desc=True)
        return _dated(_sorted(log, plan, query, [plan.history_step()], by_time, column("weight")))
    weight = exp.alias_(exp.Sum(this=interactions.weight(plan)), "weight")
    query = group(HISTORY, [*plan.keys, item], [weight]).where(*conditions)
    return _sorted(log, plan, query, [plan.history_step()])


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
    plan = Plan(log, cutoffs)
    item = plan.value("item_id")
    outcome = outcome_step(plan, target, [item])
    keys = [column(key) for key in KEYS]
    query = exp.select(*keys, item.copy()).distinct().from_(OUTCOME).where(is_there(item.copy()))
    table = _sorted(log, plan, query, [outcome])
    if table.empty:
        raise DataError(f"build_next_items: {target!r} finds no item in the horizon. Use a longer horizon.")
    return table


def _dated(events: pd.DataFrame) -> pd.DataFrame:
    """The events with their time instead of their age."""
    timestamp = events["as_of"] - pd.to_timedelta(events[AGE], unit="us")
    return events.drop(columns=AGE).assign(timestamp=timestamp.dt.as_unit("us"))


def _sorted(log: "InteractionLog", plan: Plan, query: exp.Select, steps: list[Step], *then: exp.Expr) -> pd.DataFrame:
    """The rows of `query` by customer, cutoff and item, and among equal ones by `then`."""
    names = ("customer_id", "as_of", "item_id")
    if not any(found.alias_or_name == "as_of" for found in query.selects):
        query = query.select(exp.alias_(plan.as_of(), "as_of"))
    query = query.order_by(*(column(name) for name in names), *then)
    with readable():
        frame: pd.DataFrame = log.engine.arrow(chain([*plan.coded_steps(), *steps], query)).to_pandas()
    frame["as_of"] = frame["as_of"].dt.tz_localize("UTC").dt.as_unit("us")
    return frame[[*names, *(name for name in frame.columns if name not in names)]]

"""Who is to get a list as of cutoffs, and what they have seen: a table that an engine builds, as it builds features."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from sqlglot import exp

from crmml.data.cutoffs import check_cutoffs
from crmml.data.steps import EVENTS, Step, chain
from crmml.features.aggregates import Recency
from crmml.features.checks import check_event_types
from crmml.features.expressions import column
from crmml.features.feature_set import FeatureSet
from crmml.features.interactions import ItemWeights
from crmml.features.labels import population_step
from crmml.features.plan import HISTORY, POPULATION, Plan, Text
from crmml.features.table import Table

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

SEEN = "seen"


@dataclass(frozen=True)
class SeenTable(Table):
    """`customer_id`, `as_of`, `item_id`: a row for each item that a customer has interacted with before a cutoff.

    Customers of the population who have seen nothing have one row without an item. Without a population it is about
    everybody with interactions.

    interactions: which events count.
    items: False for one row per customer and cutoff, without the items.
    """

    interactions: ItemWeights = field(default_factory=ItemWeights)
    items: bool = True

    def text(self, cutoffs: Sequence[pd.Timestamp]) -> Text:
        """The SQL text as of some of the cutoffs."""
        plan = Plan(self.log, cutoffs)
        conditions = self.interactions.conditions(plan)
        if self.population is None:
            who = Step(POPULATION, exp.select(*plan.keys).distinct().from_(HISTORY).where(*conditions))
        else:
            self.population.check(self.log)
            who = population_step(plan, self.population)
        if not self.items:
            return plan.write({}, before=[who], base=POPULATION)
        item = plan.value("item_id")
        seen = exp.select(*plan.keys, item).distinct().from_(HISTORY).where(*(each.copy() for each in conditions))
        columns: dict[str, exp.Expr] = {"item_id": column(item.name, SEEN)}
        return plan.write(columns, before=[who], after=[Step(SEEN, seen)], base=POPULATION, joined=[SEEN])

    def customers(self) -> int:
        """How many customers are asked, added up over the cutoffs; counted by the embedded engine."""
        return sum(replace(self, cutoffs=(cutoff,), items=False).count() for cutoff in self.cutoffs)

    def example(self) -> pa.Table:
        """`customer_id`, `item_id` of one event, with an item if there is one."""
        names = ["customer_id", "item_id"]
        with_item_first = exp.Ordered(this=exp.Is(this=column("item_id"), expression=exp.null()))
        query = exp.select(*(column(name) for name in names)).from_(EVENTS).order_by(with_item_first).limit(1)
        return self.log.engine.arrow(chain(self.log.steps(names), query))


def seen_table(
    log: "InteractionLog", interactions: ItemWeights, cutoffs: Sequence[pd.Timestamp], target: Any
) -> SeenTable:
    """The table of those who get lists for a target, or without one of all; what cannot be built is refused here.

    Raises:
        SchemaError: the log has no item_id.
        ConfigError: an event type never occurs; a cutoff lies outside the log.

    >>> import crmml as cm
    >>> log = cm.simulate_log(50, seed=1).log
    >>> cutoffs = [pd.Timestamp("2024-06-01", tz="UTC")]
    >>> table = seen_table(log, ItemWeights(weights={"purchase": 1}), cutoffs, cm.NextItems("30d", "purchase"))
    >>> table.customers(), table.arrow(progress=False).column_names
    (38, ['customer_id', 'as_of', 'item_id'])
    """
    interactions.check(log)
    log.require_usable()
    check_cutoffs(log, tuple(cutoffs))
    check_event_types(interactions.filter, log, repr(interactions))
    population = None if target is None else target.population
    # Of the features only the names are asked for, and there are none.
    features = FeatureSet([Recency()])
    return SeenTable(log, features, tuple(cutoffs), population, interactions=interactions)

"""Recommendations as of a cutoff: a model fitted earlier, without what was taken since."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from crmml.bundle.scoring import item_scores
from crmml.definition import python_scalar
from crmml.errors import SchemaError
from crmml.features.aggregates import Recency
from crmml.features.datasets import build_features
from crmml.features.interactions import ItemWeights, build_interactions

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

_COLUMNS = ["customer_id", "item_id", "rank", "score"]


def build_lists(
    log: "InteractionLog", interactions: ItemWeights, target: Any, model: Any, *, as_of: pd.Timestamp, k: int
) -> pd.DataFrame:
    """`customer_id`, `item_id`, `rank`, `score`: the k best items as of `as_of`, in the order of the customers.

    For the target's population, or without a target for every customer with interactions. What a customer has
    interacted with before `as_of`, also since the training, is left out, unless the target counts repeats.
    """
    asked = Asked.of(log, interactions, target, as_of=as_of)
    return asked.lists(target, model, k)


class Asked(NamedTuple):
    """Who is to get a list as of a cutoff, and what they have seen before it.

    customers: their ids, in order.
    seen: `customer_id`, `item_id` of all customers with interactions, in the same order.
    """

    customers: "pd.Index[Any]"
    seen: pd.DataFrame

    @classmethod
    def of(cls, log: "InteractionLog", interactions: ItemWeights, target: Any, *, as_of: pd.Timestamp) -> "Asked":
        """Those of the target's population, or all with interactions."""
        seen = build_interactions(log, interactions, as_of)[["customer_id", "item_id"]]
        if target is None:
            return cls(pd.Index(seen["customer_id"].unique()), seen)
        table = build_features(log, [Recency()], as_of, population=target.population, known_event_types=False)
        return cls(table.index.get_level_values("customer_id"), seen)

    def among(self, customers: "pd.Index[Any]") -> "Asked":
        """The same of some customers only."""
        rows = self.seen["customer_id"].isin(customers)
        return Asked(self.customers[self.customers.isin(customers)], self.seen[rows])

    def lists(self, target: Any, model: Any, k: int) -> pd.DataFrame:
        """`customer_id`, `item_id`, `rank`, `score`: at most `k` rows for each customer."""
        if not len(self.customers):
            return pd.DataFrame(columns=_COLUMNS)
        if target is not None and target.repeats:
            return item_scores(model, self.customers, k, exclude_seen=False)
        return _unseen(model, self.customers, self.seen, k)


def _unseen(model: Any, customers: pd.Index, seen: pd.DataFrame, k: int) -> pd.DataFrame:
    """Ask for k; of whom fewer are left without the seen ones, ask again for twice as many, and so on."""
    parts: list[pd.DataFrame] = []
    waiting, asked = customers, k
    while len(waiting):
        found = item_scores(model, waiting, asked)
        left = _without(found, seen)
        given = found.groupby("customer_id", sort=False).size().reindex(waiting, fill_value=0)
        kept = left.groupby("customer_id", sort=False).size().reindex(waiting, fill_value=0)
        # Done is who has k, and who was given fewer than asked for: there are no more.
        done = ((kept >= k) | (given < asked)).to_numpy()
        parts.append(left[left["customer_id"].isin(waiting[done])])
        waiting, asked = waiting[~done], asked * 2
    table = pd.concat(parts, ignore_index=True)
    table["rank"] = table.groupby("customer_id", sort=False).cumcount() + 1
    table = table[table["rank"] <= k]
    place = pd.Series(np.arange(len(customers)), index=customers)
    order = np.lexsort((table["rank"].to_numpy(), place.reindex(table["customer_id"]).to_numpy()))
    return table.iloc[order].reset_index(drop=True)


def _without(found: pd.DataFrame, seen: pd.DataFrame) -> pd.DataFrame:
    kinds = [pd.api.types.is_integer_dtype(ids["item_id"]) for ids in (found, seen)]
    if kinds[0] is not kinds[1] and len(found) and len(seen):
        ours, theirs = (python_scalar(ids["item_id"].iloc[0]) for ids in (found, seen))
        raise SchemaError(
            f"score: the items of the log are of another type than those of the training log: {theirs!r} instead of "
            f"{ours!r}. Use the same type of item_id in both."
        )
    marked = found.merge(seen.assign(is_seen=True), on=["customer_id", "item_id"], how="left")
    return found[marked["is_seen"].isna().to_numpy()]

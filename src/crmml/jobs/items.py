"""The backtest of recommenders: lists made from the history, measured on what came next."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from sklearn.base import clone

from crmml.data.log import InteractionLog
from crmml.errors import DataError
from crmml.features.interactions import ItemWeights, build_interactions, build_next_items
from crmml.features.targets import NextItems
from crmml.jobs.holdout import Holdout
from crmml.jobs.parts import progress_bar
from crmml.metrics import list_metrics
from crmml.metrics.lists import PAIR
from crmml.recommend.popularity import Popularity
from crmml.recommend.sequential import RepeatPurchase
from crmml.report.backtest import Skipped
from crmml.report.measures import holdout_table, measures_of


def items_holdouts(
    log: InteractionLog,
    interactions: ItemWeights,
    target: NextItems,
    model: Any,
    *,
    cutoffs: Sequence[pd.Timestamp],
    k: int,
    progress: bool,
) -> tuple[list[Holdout], list[Skipped]]:
    """The measured hold-outs, and those that cannot be measured with the reason.

    A recommender learns from the history alone and needs no labels: the history before a cutoff cannot reach
    into the horizon after it, so that there is nothing to purge and every cutoff is a hold-out.
    """
    holdouts, skipped = [], []
    relevant = build_next_items(log, target, cutoffs)
    with progress_bar("backtest", len(cutoffs), progress=progress) as bar:
        for as_of in cutoffs:
            history = build_interactions(log, interactions, as_of, in_order=model.reads_order)
            recent = build_interactions(log, _recent(interactions, target), as_of)
            try:
                mine = relevant[relevant["as_of"] == as_of]
                holdouts.append(_measure(history, recent, mine, model, as_of=as_of, k=k, repeats=target.repeats))
            except DataError as error:
                skipped.append(Skipped(as_of, str(error)))
            bar.update()
    return holdouts, skipped


def _recent(interactions: ItemWeights, target: NextItems) -> ItemWeights:
    """The interactions of the last horizon only."""
    return ItemWeights(weights=interactions.weights, window=target.horizon)


def _measure(
    history: pd.DataFrame,
    recent: pd.DataFrame,
    relevant: pd.DataFrame,
    model: Any,
    *,
    as_of: pd.Timestamp,
    k: int,
    repeats: bool,
) -> Holdout:
    relevant = of_known(relevant, history) if repeats else new_items(relevant, history)
    if relevant.empty:
        raise DataError(f"no customer with a history took {'an' if repeats else 'a new'} item within the horizon.")
    customers = relevant["customer_id"].unique()
    fitted = {
        (type(model).__name__, "model"): clone(model).fit(history),
        ("popularity rule", "rule"): Popularity().fit(history),
    }
    if not recent.empty:
        # A weight of 0 marks an item as seen and counts for nothing else.
        seen = history[recent.columns].assign(weight=0.0)
        fitted["recent-popularity rule", "rule"] = Popularity().fit(pd.concat([seen, recent], ignore_index=True))
    if repeats:
        fitted["personal-frequency rule", "rule"] = RepeatPurchase(demand_exponent=0.0).fit(history[recent.columns])
    rows = []
    for (name, kind), recommender in fitted.items():
        lists = recommender.recommend(customers, k=k, exclude_seen=not repeats)
        found = metrics_of_lists(relevant, lists, k).reset_index()
        rows.append(found.assign(as_of=as_of, contender=name, kind=kind))
    scores = pd.concat(rows, ignore_index=True)
    names = ["as_of", "contender", "kind", "customer_id", "y"]
    scores = scores[[*names, *scores.columns.drop(names)]]
    return Holdout(holdout_table(scores, measures_of("items", k), (as_of,)), scores)


def of_known(relevant: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """The relevant pairs of customers who have a history."""
    return relevant.loc[relevant["customer_id"].isin(history["customer_id"].unique()), PAIR].reset_index(drop=True)


def new_items(relevant: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """The relevant pairs that are new to a customer who has a history: the ones that a list can hold.

    >>> import pandas as pd
    >>> history = pd.DataFrame({"customer_id": [1, 2], "item_id": ["a", "a"]})
    >>> relevant = pd.DataFrame({"customer_id": [1, 1, 3], "item_id": ["a", "b", "b"]})
    >>> new_items(relevant, history)
       customer_id item_id
    0            1       b
    """
    known = of_known(relevant, history)
    marked = known[PAIR].merge(history[PAIR].drop_duplicates(), on=PAIR, how="left", indicator=True)
    return marked.loc[marked["_merge"] == "left_only", PAIR].reset_index(drop=True)


def metrics_of_lists(relevant: pd.DataFrame, lists: pd.DataFrame, k: int) -> pd.DataFrame:
    """The metrics that a backtest shows, by customer, and `y`, the number of relevant items.

    >>> relevant = pd.DataFrame({"customer_id": [1, 1], "item_id": ["a", "b"]})
    >>> lists = pd.DataFrame({"customer_id": [1, 1], "item_id": ["x", "b"], "rank": [1, 2]})
    >>> list(metrics_of_lists(relevant, lists, k=2).columns)
    ['y', 'ndcg_at_2', 'recall_at_2', 'hit_rate_at_2']
    """
    found = list_metrics(relevant, lists, k).rename(columns={"relevant": "y"})
    return found[["y", "ndcg", "recall", "hit_rate"]].rename(
        columns=lambda name: name if name == "y" else f"{name}_at_{k}"
    )

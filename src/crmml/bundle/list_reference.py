"""What of recommendations is compared with the training: who asks, what they take, and what they are offered.

A recommender has no table of features, so monitoring makes a small one of its own: a row for every customer with an
interaction within one horizon before a cutoff. Everything is seen from the start of that horizon, in the same way at
every cutoff, so that a customer or an item is as new today as others were then.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmml.bundle.drift import Row
from crmml.bundle.lists import build_lists
from crmml.bundle.reference import LIST_COLUMNS, SCORE, Reference
from crmml.data.time import parse_duration, spoken
from crmml.errors import DataError
from crmml.features.interactions import ItemWeights, build_interactions
from crmml.metrics.drift import LEAST_CUTOFFS

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

# Where no target says how long to look.
_WINDOW = "30d"


def list_reference(
    log: "InteractionLog", interactions: ItemWeights, target: Any, model: Any, cutoffs: Sequence[pd.Timestamp]
) -> Reference | None:
    """The reference of a recommender; None where drift cannot be told from so few cutoffs.

    Cutoffs without a horizon of log before them, or without an interaction in it, do not count. The scores are those
    of the model as it was fitted at the last cutoff.

    >>> import crmml as cm
    >>> log = cm.simulate_log(100, seed=1).log
    >>> weights, dates = cm.ItemWeights(weights={"purchase": 1}), cm.cutoffs("2024-02-01", "2024-08-01", every="60d")
    >>> model = cm.Popularity().fit(cm.build_interactions(log, weights, dates[-1]))
    >>> list_reference(log, weights, None, model, dates).columns
    ('interactions', 'new_customer', 'new_items', 'item_popularity', 'score')
    """
    window_us = parse_duration(_window(target))
    earliest = log.require_usable().first + pd.Timedelta(window_us, unit="us")
    usable = [cutoff for cutoff in cutoffs if cutoff > earliest]
    tables = []
    for cutoff in usable if len(usable) >= LEAST_CUTOFFS else []:
        with suppress(DataError):  # of a quiet time, which is no reason not to train
            tables.append(list_rows(log, interactions, target, model, cutoff))
    if len(tables) < LEAST_CUTOFFS:
        return None
    X = pd.concat([table for table, _ in tables])
    return Reference.of(X, np.concatenate([scores for _, scores in tables]))


def list_rows(
    log: "InteractionLog", interactions: ItemWeights, target: Any, model: Any, as_of: pd.Timestamp
) -> tuple[pd.DataFrame, npt.NDArray[np.float64]]:
    """The customers with an interaction within one horizon before a cutoff, and the best score each is offered.

    Returns:
        A table by `customer_id` and `as_of` with the columns `interactions` (their number), `new_customer` (1 without
        an interaction before that), `new_items` (the share of the items that nobody had before), `item_popularity`
        (mean over the known items; 0 is what most customers had before, 1 what fewest had; missing where all are new);
        and the scores, missing where the model has nothing to offer.

    Raises:
        DataError: nobody had an interaction within the horizon.
    """
    window = _window(target)
    each = None if interactions.weights is None else dict.fromkeys(interactions.weights, 1.0)
    now = build_interactions(log, ItemWeights(weights=each, window=window), as_of)
    if now.empty:
        raise DataError(
            f"monitor: nobody had an interaction of {interactions!r} in the {window} before {spoken(as_of)}. Use "
            "another as_of, or check the event types of the log: print(log.check())."
        )
    start = as_of - pd.Timedelta(parse_duration(window), unit="us")
    before = build_interactions(log, ItemWeights(weights=each, window=interactions.window), start)
    known = now["item_id"].map(_popularity(before))
    rows = now.assign(new_items=known.isna().astype(float), item_popularity=known).groupby("customer_id")
    means = rows[["new_items", "item_popularity"]].mean()
    newcomers = (~means.index.isin(before["customer_id"].unique())).astype(float)
    X = means.assign(interactions=rows["weight"].sum(), new_customer=newcomers)[list(LIST_COLUMNS)]
    lists = build_lists(log, interactions, target, model, as_of=as_of, k=1)
    scores = lists.set_index("customer_id")["score"].reindex(X.index)
    X.index = pd.MultiIndex.from_product([X.index, [as_of]], names=["customer_id", "as_of"])
    return X, scores.to_numpy(np.float64)


def coverage_row(reference: Reference, scores: npt.NDArray[np.float64]) -> Row:
    """The share of the customers whom the model has something to offer, against the last training cutoff; not tested.

    >>> index = pd.MultiIndex.from_product([range(4), ["2024-01-01"]], names=["customer_id", "as_of"])
    >>> X = pd.DataFrame({"interactions": [1.0, 2, 3, 4]}, index=index)
    >>> reference = Reference.of(X, [0.5, 0.5, 0.4, np.nan])
    >>> row = coverage_row(reference, np.array([0.5, np.nan, np.nan, 0.1]))
    >>> row["before"], row["now"]
    (0.75, 0.5)
    """
    missing = reference.counts[reference.columns.index(SCORE)][-1].sum(axis=0)
    before, now = 1 - float(missing[0] / missing.sum()), float(np.isfinite(scores).mean())
    what = {"kind": "coverage", "column": "coverage", "where": "with a list", "before": before, "now": now}
    effect = abs(now / before - 1) if before else float("nan")
    return {**what, "distance": float("nan"), "effect": effect, "p_value": float("nan")}


def _popularity(pairs: pd.DataFrame) -> pd.Series:
    """Where an item stands among all pairs of customer and item, from what most customers have to what fewest have.

    >>> _popularity(pd.DataFrame({"item_id": ["tea", "tea", "tea", "cup"]})).to_dict()  # in the middle of its pairs
    {'tea': 0.375, 'cup': 0.875}
    """
    # Items that equally many have stand in the order of their ids: the same in every log.
    sizes = pairs.groupby("item_id").size().sort_values(ascending=False, kind="stable")
    found: pd.Series = (sizes.cumsum() - sizes / 2) / max(1, len(pairs))
    return found


def _window(target: Any) -> str:
    return _WINDOW if target is None else str(target.horizon)

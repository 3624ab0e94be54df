"""Recommenders fitted on one side of a split and measured on the other."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from crmml.errors import ConfigError, DataError
from crmml.metrics import (
    catalogue_coverage,
    intra_list_diversity,
    list_metrics,
    new_item_share,
    novelty,
    popularity_lift,
)
from crmml.metrics.arrays import checked_count
from crmml.metrics.lists import PAIR, refuse_sampled
from crmml.recommend.base import Recommender
from crmml.recommend.matrix import Interactions
from crmml.recommend.popularity import Popularity
from crmml.recommend.splits import Split
from crmml.report.recommendations import RULE, RecommendationReport


def evaluate_recommenders(
    split: Split,
    recommenders: Mapping[str, Recommender],
    *,
    k: int = 20,
    exclude_seen: bool = True,
    negatives: int | None = None,
) -> RecommendationReport:
    """Fit recommenders on `split.train` and measure their lists on `split.test`, all items ranked, beside popularity.

    Measured are the customers of the test part with something to find; those who were not seen before get what each
    recommender gives to strangers. Items that nobody took before cannot be found by anybody and count all the same.

    Args:
        split: what to learn from and what to find.
        recommenders: name -> recommender; copies are fitted. "popularity rule" is always added.
        k: length of the lists.
        exclude_seen: leave out what a customer took before, from the lists and from what there is to find. Where
            False, both may hold it, and repeat and new items are also measured apart.
        negatives: refused: metrics among sampled items say something else (Krichene and Rendle 2020).

    Raises:
        ConfigError: no recommenders, a wrong k, or `negatives`.
        DataError: nothing is left to find.

    >>> import crmml as cm
    >>> rows = [(1, "tea", 1), (1, "cup", 2), (2, "tea", 1), (2, "cup", 3), (3, "pot", 1), (3, "tea", 3)]
    >>> frame = pd.DataFrame(rows, columns=["customer_id", "item_id", "timestamp"])
    >>> report = cm.evaluate_recommenders(cm.Split.temporal(frame, at=3), {"again": cm.Popularity()}, k=2)
    >>> report.success[["contender", "hit_rate", "times"]].to_dict("records")[0]
    {'contender': 'again', 'hit_rate': 1.0, 'times': 1.0}
    """
    refuse_sampled("evaluate_recommenders", negatives)
    k = checked_count("evaluate_recommenders", "k", k)
    _check(recommenders)
    seen = split.train[PAIR].drop_duplicates()
    wanted = split.test[PAIR].drop_duplicates().merge(seen, on=PAIR, how="left", indicator=True)
    wanted["new"] = wanted["_merge"] == "left_only"
    parts = {"all": wanted[wanted["new"]]} if exclude_seen else {"all": wanted}
    if not exclude_seen:
        parts |= {"repeat": wanted[~wanted["new"]], "new": wanted[wanted["new"]]}
    if parts["all"].empty:
        raise DataError(
            "evaluate_recommenders: every pair of split.test was seen in split.train: nothing is left to find. "
            "Use exclude_seen=False, or a later part of the log."
        )
    interactions = _interactions(split.train)
    activity = seen.groupby("customer_id").size()
    asked = parts["all"]["customer_id"].unique()
    rows, catalogue = [], []
    for name, recommender in {**recommenders, RULE: Popularity()}.items():
        lists = clone(recommender).fit(interactions).recommend(asked, k=k, exclude_seen=exclude_seen)
        catalogue.append({"contender": name, **_catalogue(lists, seen, k)})
        for part, relevant in parts.items():
            if len(relevant):
                found = list_metrics(relevant, lists, k).reset_index()
                known = found["customer_id"].map(activity).fillna(0).astype(np.int64)
                found.insert(1, "activity", known)
                rows.append(found.assign(contender=name, part=part))
    customers = pd.concat(rows, ignore_index=True)
    first = ["contender", "part"]
    customers = customers[[*first, *customers.columns.drop(first)]].sort_values("part", key=_order, kind="stable")
    return RecommendationReport(
        split=repr(split), k=k, customers=customers.reset_index(drop=True), catalogue=pd.DataFrame(catalogue)
    )


def _check(recommenders: Mapping[str, Recommender]) -> None:
    if not isinstance(recommenders, Mapping) or not recommenders:
        raise ConfigError(
            f"evaluate_recommenders: recommenders is {recommenders!r:.80}. Give a mapping, such as {{'ALS': ALS()}}."
        )
    if RULE in recommenders:
        raise ConfigError(f"evaluate_recommenders: {RULE!r} is added by itself. Give yours another name.")


def _order(parts: "pd.Series[Any]") -> "pd.Series[Any]":
    return parts.map({"all": 0, "repeat": 1, "new": 2})


def _interactions(train: pd.DataFrame) -> Interactions:
    """The training part with the weights and times that it has."""
    weight, timestamp = (name if name in train.columns else None for name in ("weight", "timestamp"))
    return Interactions.from_frame(train, weight=weight, timestamp=timestamp)


def _catalogue(lists: pd.DataFrame, history: pd.DataFrame, k: int) -> dict[str, float]:
    """What the lists do to the catalogue; NaN for what cannot be said of them."""
    known = bool(lists["customer_id"].isin(history["customer_id"]).any())
    pairs = bool((lists.groupby("customer_id").size() > 1).any()) and k > 1
    return {
        "coverage": catalogue_coverage(lists, history["item_id"].nunique(), k),
        "novelty": novelty(lists, history, k),
        "diversity": intra_list_diversity(lists, history, k) if pairs else float("nan"),
        "popularity_lift": popularity_lift(lists, history, k) if known else float("nan"),
        "new_item_share": new_item_share(lists, history, k),
    }

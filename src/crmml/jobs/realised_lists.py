"""What became of recommendations, once the horizon has passed: was more of them taken than of what is popular?"""

import numpy as np
import pandas as pd
from scipy.special import ndtr

from crmml.bundle import Bundle
from crmml.bundle.drift import Row
from crmml.bundle.lists import build_lists
from crmml.data.log import InteractionLog
from crmml.data.time import spoken
from crmml.errors import DataError
from crmml.features.interactions import ItemWeights, build_interactions, build_next_items
from crmml.features.targets import NextItems
from crmml.jobs.items import metrics_of_lists, new_items, of_known
from crmml.recommend.popularity import Popularity
from crmml.report.backtest import BacktestReport
from crmml.report.measures import holdout_table, measures_of

K = 10
RULE = "popularity rule"


def realised_lists(bundle: Bundle, log: InteractionLog, as_of: pd.Timestamp) -> BacktestReport:
    """Measure the lists of a bundle as of a cutoff, as it was fitted, on what was taken in the horizon after it.

    Beside them stands what was most popular where the bundle was trained: both know the same, so that of two that are
    equally good neither falls behind because time goes on. Customers without a list count as missed.

    Args:
        bundle: of a recommender, with a target.
        log: the interactions up to now, cleaned as in training.
        as_of: a cutoff whose horizon has passed.

    Raises:
        DataError: nobody took anything that a list could have held.
        LeakageError: the horizon runs past the end of the log.

    >>> import crmml as cm
    >>> log = cm.simulate_log(100, seed=1).log
    >>> target = cm.NextItems("30d", event_type="purchase")
    >>> bundle = cm.train(log, cm.ItemWeights(weights={"purchase": 1}), target, cm.Popularity(), "2024-06-01")
    >>> realised_lists(bundle, log, pd.Timestamp("2024-08-01", tz="UTC")).table["contender"].tolist()
    ['Popularity', 'popularity rule']
    """
    target, interactions = bundle.target, bundle.features
    assert isinstance(target, NextItems)  # noqa: S101 (of a recommender)
    assert isinstance(interactions, ItemWeights)  # noqa: S101
    taken = build_next_items(log, target, as_of)
    history = build_interactions(log, interactions, as_of)
    relevant = of_known(taken, history) if target.repeats else new_items(taken, history)
    if relevant.empty:
        raise DataError(f"nobody with a history took what a list could have held in the horizon after {spoken(as_of)}.")
    customers = relevant["customer_id"].unique()
    learned = build_interactions(log, interactions, bundle.training_cutoffs[-1])
    popular = build_lists(log, interactions, target, Popularity().fit(learned), as_of=as_of, k=K)
    name = type(bundle.model).__name__
    lists = {(name, "model"): bundle.score(log, as_of, k=K, details=False), (RULE, "rule"): popular}
    rows = [
        metrics_of_lists(relevant, found[found["customer_id"].isin(customers)], K)
        .reset_index()
        .assign(as_of=as_of, contender=contender, kind=kind)
        for (contender, kind), found in lists.items()
    ]
    scores = pd.concat(rows, ignore_index=True)
    return BacktestReport(
        task="items",
        target=repr(target),
        model=name,
        table=holdout_table(scores, measures_of("items", K), ()),
        scores=scores,
        training_cutoffs=(),
        k=K,
    )


def hit_row(outcome: BacktestReport) -> Row:
    """The hit rate of the popularity rule (`before`) and of the bundle's lists (`now`) on the same customers.

    `effect` is by how much the bundle falls behind, `p_value` the chance of falling behind so far if it were as good:
    of a recommender that is ahead, neither is of any concern.

    >>> outcome = BacktestReport(task="items", target="", model="ALS", table=pd.DataFrame(), training_cutoffs=(),
    ...     scores=pd.DataFrame({"kind": ["model"] * 4 + ["rule"] * 4, "customer_id": [1, 2, 3, 4] * 2,
    ...                          "hit_rate_at_10": [1, 1, 1, 0, 1, 0, 0, 0]}))
    >>> {name: hit_row(outcome)[name] for name in ("before", "now", "effect")}
    {'before': 0.25, 'now': 0.75, 'effect': 0.0}
    """
    table = outcome.scores.pivot(index="customer_id", columns="kind", values=f"hit_rate_at_{K}")
    ahead = (table["model"] - table["rule"]).to_numpy(np.float64)
    before, now, spread = float(table["rule"].mean()), float(table["model"].mean()), float(ahead.std())
    p_value = float(ndtr(ahead.mean() * np.sqrt(len(ahead)) / spread)) if spread > 0 else 1.0
    effect = max(0.0, 1 - now / before) if before else 0.0
    what = {"kind": "level", "column": "hit rate against popularity", "where": "mean", "before": before, "now": now}
    return {**what, "distance": float("nan"), "effect": effect, "p_value": p_value}

"""Buy-till-you-die models as rules to beat: fitted on everybody's purchases before each hold-out, no labels needed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from crmml.data.log import InteractionLog
from crmml.data.time import DAY
from crmml.features.aggregate import Feature
from crmml.features.aggregates import Recency, Sum, Tenure
from crmml.features.datasets import build_features
from crmml.features.feature_set import FeatureSet
from crmml.features.presets.known import Known
from crmml.features.rhythm import DaysActive
from crmml.features.targets import Churn, Population, Repurchase, Spend, Target
from crmml.models._base import Floats
from crmml.models._buyers import Buyers
from crmml.models._history import History, find_history, read_history


class BuyersRule(NamedTuple):
    """What a buy-till-you-die model scores at one hold-out.

    name: how the rule is called.
    scores: by customer, high for who is likely of class 1, or worth much.
    probabilistic: whether the scores are probabilities of class 1.
    absent: the score of who has never bought.
    """

    name: str
    scores: pd.Series
    probabilistic: bool
    absent: float

    def of(self, index: "pd.Index[Any]") -> Floats:
        """The scores of the customers of a hold-out, in the order of its index."""
        customers = index.get_level_values("customer_id")
        return self.scores.reindex(customers).fillna(self.absent).to_numpy(np.float64)


def buyers_rules(
    log: InteractionLog, target: Target, holdouts: Sequence[pd.Timestamp]
) -> dict[pd.Timestamp, BuyersRule]:
    """The rule at every hold-out; nothing where it cannot be fitted at all of them, or where the target is no purchase.

    BG/NBD counts the days with purchases of every customer up to the hold-out; Gamma-Gamma what they were worth.
    """
    # With a gap, "buys in the horizon, whatever happens before it" is no question that these models answer.
    if not isinstance(target, Churn | Repurchase | Spend) or target.gap_us:
        return {}
    event_type = target.event_type
    if event_type is None and isinstance(target, Spend):
        event_type = Known(log).main  # the label nets all events; what customers come for is one of them
    wanted: list[Feature] = [kind(event_type=event_type) for kind in (Tenure, Recency, DaysActive)]
    column = target.column if isinstance(target, Spend) else "amount"
    if isinstance(target, Spend):
        wanted.append(Sum(column, event_type=target.event_type))
    features = FeatureSet(wanted)
    population = Population(event_type=event_type)
    rows = build_features(log, features, holdouts, population=population, known_event_types=False, progress=False)
    columns = find_history(features.names, column)
    assert columns is not None  # noqa: S101 (these are its columns)
    # The sum is the last feature, whatever events it is over.
    columns = columns._replace(total=3 if isinstance(target, Spend) else None)
    rules = {}
    for holdout in holdouts:
        there = rows[rows.index.get_level_values("as_of") == holdout]
        history = read_history(there.to_numpy(np.float64), columns)
        buyers = Buyers.learn(history) if len(there) else None
        if buyers is None or (isinstance(target, Spend) and buyers.value is None):
            return {}
        customers = there.index.get_level_values("customer_id")
        rules[holdout] = _rule(target, buyers, history, customers)
    return rules


def _rule(target: Target, buyers: Buyers, history: History, customers: "pd.Index[Any]") -> BuyersRule:
    days = target.horizon_us / DAY
    if isinstance(target, Spend):
        spend = pd.Series(buyers.expected_spend(history, days), index=customers)
        return BuyersRule("BG/NBD + Gamma-Gamma rule", spend, probabilistic=False, absent=0.0)
    leaving = isinstance(target, Churn)
    buys: Floats = buyers.p_buys(history, days)
    scores = pd.Series(1.0 - buys if leaving else buys, index=customers)
    return BuyersRule("BG/NBD rule", scores, probabilistic=True, absent=1.0 if leaving else 0.0)

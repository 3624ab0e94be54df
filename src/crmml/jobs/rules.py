"""Simple rules as contenders: the score of a rule, and what probability or amount it stands for."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from crmml.features.aggregate import Aggregate
from crmml.features.aggregates import Recency
from crmml.features.datasets import Dataset
from crmml.features.feature_set import FeatureSet
from crmml.features.rhythm import Gap
from crmml.features.targets import Rule, Target
from crmml.jobs.buyers import BuyersRule
from crmml.jobs.holdout import contender_rows

Floats = NDArray[np.float64]

# A number with more different values than these is cut into quarters.
_FEW = 8


def with_extra(features: FeatureSet, rules: Sequence[Rule], by: Aggregate | None = None) -> FeatureSet:
    """The features, and those of the rules and of the segments that are not among them: one build, the same rows.

    >>> from crmml import Count, FeatureSet, Recency, Tenure
    >>> rules = [Rule("recency rule", Recency()), Rule("frequency rule", Count())]
    >>> with_extra(FeatureSet([Recency()]), rules, Tenure()).names
    ('recency', 'count', 'tenure')
    """
    asked = [*(rule.feature for rule in rules), *([] if by is None else [by])]
    extra = {feature.name: feature for feature in asked if feature.name not in features.names}
    return features + list(extra.values()) if extra else features


def segment_of(values: pd.Series) -> list[str]:
    """The segment of each customer by one feature: its value as text, or its quarter where it is a number of many.

    >>> segment_of(pd.Series(["web", None, "store"]))
    ['web', 'none', 'store']
    >>> segment_of(pd.Series(range(12)))[::5]
    ['0 to 2.75', '2.75 to 5.5', '8.25 to 11']
    """
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > _FEW:
        numbers = values.to_numpy(np.float64)
        edges = np.unique(np.nanquantile(numbers, [0, 0.25, 0.5, 0.75, 1]))
        quarter = np.clip(np.searchsorted(edges, numbers, side="left"), 1, len(edges) - 1)
        names = np.array([f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)])
        values = pd.Series(names[quarter - 1]).where(~np.isnan(numbers))
    return ["none" if pd.isna(value) else str(value) for value in values]


def rule_scores(rule: Rule, table: pd.DataFrame) -> pd.Series:
    """The score of a rule for every row of a table that has its feature: high stands for 1, or for much.

    A missing value is an answer too: no event to count days since or between is a longer time than any, every
    other missing value is less than any.

    >>> import pandas as pd
    >>> from crmml import Recency
    >>> table = pd.DataFrame({"recency": [3.0, 10.0, None]})
    >>> rule_scores(Rule("recency rule", Recency(), ascending=False), table).tolist()
    [-3.0, -10.0, -11.0]
    """
    values = table[rule.feature.name].astype(np.float64)
    if values.isna().any():
        known = values.dropna() if values.notna().any() else pd.Series([0.0])
        times = isinstance(rule.feature, Recency | Gap)
        values = values.fillna(known.max() + 1 if times else known.min() - 1)
    return values * rule.scale * (1 if rule.ascending else -1)


def calibrated(training: pd.Series, y: pd.Series, scores: pd.Series) -> Floats:
    """The probabilities that `scores` stand for, learned on the `training` scores and their labels.

    Isotonic regression (Zadrozny and Elkan 2002, Transforming classifier scores into accurate multiclass
    probability estimates): the best non-decreasing step function, which keeps the order of the rule.

    >>> import pandas as pd
    >>> calibrated(pd.Series([1.0, 2.0, 3.0, 4.0]), pd.Series([0, 1, 0, 1]), pd.Series([2.5, 9.0])).tolist()
    [0.5, 1.0]
    """
    isotonic = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    isotonic.fit(training.to_numpy(np.float64), y.to_numpy(np.float64))
    return np.asarray(isotonic.predict(scores.to_numpy(np.float64)), dtype=np.float64)


def rule_rows(
    target: Target, now: Dataset, past: Dataset | None, buyers: BuyersRule | None, **more: Any
) -> list[pd.DataFrame]:
    """The rows of every rule of a target, and of the buyers' rule, on the customers of one cutoff.

    past: the rows that the probabilities of a binary target are learned on; without them its rules have no say.
    more: further columns of the rows.
    """
    y, index, rows = now.y.to_numpy(np.float64), now.X.index, []
    for rule in target.rules if target.task != "binary" or past is not None else ():
        # Together, so that a missing value stands at the same place in both.
        both = rule_scores(rule, now.X if past is None else pd.concat([past.X, now.X]))
        training, scores = both.iloc[: len(both) - len(y)], both.iloc[len(both) - len(y) :]
        probability = None if target.task != "binary" or past is None else calibrated(training, past.y, scores)
        rows.append(contender_rows(index, (rule.name, "rule"), y, scores.to_numpy(np.float64), probability, **more))
    if buyers is not None:
        score = buyers.of(index)
        probability = score if buyers.probabilistic else None
        rows.append(contender_rows(index, (buyers.name, "rule"), y, score, probability, **more))
    return rows

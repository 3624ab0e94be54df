"""Simple rules as contenders: the score of a rule, and what probability or amount it stands for."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from crmml.features.aggregates import Recency
from crmml.features.feature_set import FeatureSet
from crmml.features.rhythm import Gap
from crmml.features.targets import Rule

Floats = NDArray[np.float64]


def with_rules(features: FeatureSet, rules: Sequence[Rule]) -> FeatureSet:
    """The features, and those of the rules that are not among them: one build, the same rows.

    >>> from crmml import Count, FeatureSet, Recency
    >>> rules = [Rule("recency rule", Recency()), Rule("frequency rule", Count())]
    >>> with_rules(FeatureSet([Recency()]), rules).names
    ('recency', 'count')
    """
    extra = {rule.feature.name: rule.feature for rule in rules if rule.feature.name not in features.names}
    return features + list(extra.values()) if extra else features


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

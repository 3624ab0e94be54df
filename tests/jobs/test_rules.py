"""Simple rules as contenders: their sign, their missing values, their probabilities."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.jobs.rules import calibrated, rule_scores, with_extra


def test_a_rule_scores_high_where_it_expects_a_one() -> None:
    table = pd.DataFrame({"recency": [1.0, 30.0], "count": [9, 2]})
    longer_is_worse = cm.Rule("recency rule", cm.Recency(), ascending=True)
    more_is_better = cm.Rule("frequency rule", cm.Count(), ascending=False)
    assert rule_scores(longer_is_worse, table).tolist() == [1.0, 30.0]
    assert rule_scores(more_is_better, table).tolist() == [-9.0, -2.0]


def test_an_amount_is_scaled_to_the_horizon() -> None:
    rule = cm.Rule("mean of two", cm.Sum("amount", window="20d"), scale=1 / 2)
    assert rule_scores(rule, pd.DataFrame({"sum_amount_20d": [10.0, -4.0]})).tolist() == [5.0, -2.0]


def test_no_event_is_longer_ago_than_any_and_no_value_is_less_than_any() -> None:
    missing = np.nan
    recency = rule_scores(cm.Rule("r", cm.Recency()), pd.DataFrame({"recency": [3.0, missing, 7.0]}))
    assert recency.tolist() == [3.0, 8.0, 7.0]
    mean = rule_scores(cm.Rule("m", cm.Mean("amount")), pd.DataFrame({"mean_amount": [3.0, missing, 7.0]}))
    assert mean.tolist() == [3.0, 2.0, 7.0]
    nothing = rule_scores(cm.Rule("m", cm.Mean("amount")), pd.DataFrame({"mean_amount": [missing, missing]}))
    assert nothing.nunique() == 1


def test_features_of_rules_are_built_once() -> None:
    features = cm.FeatureSet([cm.Count(), cm.Recency()])
    rules = [cm.Rule("a", cm.Recency()), cm.Rule("b", cm.Tenure()), cm.Rule("c", cm.Tenure(), ascending=False)]
    assert with_extra(features, rules).names == ("count", "recency", "tenure")
    assert with_extra(features, rules[:1]) is features


@given(
    rows=st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 1)), min_size=1, max_size=40),
    asked=st.lists(st.integers(-20, 20), min_size=1, max_size=20),
)
def test_calibrated_scores_are_probabilities_that_keep_the_order(rows: list[tuple[int, int]], asked: list[int]) -> None:
    scores, labels = (pd.Series(column) for column in zip(*rows, strict=True))
    p = calibrated(scores, labels, pd.Series(sorted(asked)))
    assert ((p >= 0) & (p <= 1)).all()
    assert (np.diff(p) >= 0).all()
    # on the training rows they are right on average: isotonic regression keeps the mean
    assert np.isclose(calibrated(scores, labels, scores).mean(), labels.mean())

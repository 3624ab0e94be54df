"""Parameters are chosen on cutoffs, judged on a later one, and never worse than what was given without saying so."""

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

import crmml as cm
from crmml.metrics import auc
from tests.jobs.small import CHURN, CUTOFFS, day, small_log

pytest.importorskip("optuna")

LONG = (*CUTOFFS, day(25), day(35), day(45), day(20))


class Mixed(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """p rises with `weight` times recency less frequency: two parameters, of which one decides."""

    def __init__(self, weight: float = 0.0, idle: str = "a") -> None:
        self.weight = weight
        self.idle = idle

    def fit(self, X: pd.DataFrame, y: pd.Series) -> "Mixed":
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: pd.DataFrame) -> Any:
        p = 1 / (1 + np.exp(-(self.weight * X["recency_purchase"] / 30 - X["count_purchase"]).to_numpy(np.float64)))
        return np.column_stack([1 - p, p])


def tuned(**more: Any) -> cm.Tuning:
    given: dict[str, Any] = {"space": {"weight": (-5.0, 5.0), "idle": ["a", "b"]}, "trials": 8} | more
    return cm.tune(small_log(), "rfm", CHURN, Mixed(), LONG, **given)


def test_the_latest_holdout_chooses_nothing() -> None:
    found = tuned()
    assert found.held_out == day(50)
    X, y = cm.build_dataset(small_log(), "rfm", CHURN, [day(50)])
    assert found.after == auc(y, found.model.fit(X, y).predict_proba(X)[:, 1])
    assert found.before == auc(y, Mixed().fit(X, y).predict_proba(X)[:, 1])


def test_what_chose_is_the_mean_over_the_earlier_holdouts() -> None:
    found = tuned()
    for _, trial in found.trials.iterrows():
        values = []
        for as_of in (day(30), day(35), day(40), day(45)):
            X, y = cm.build_dataset(small_log(), "rfm", CHURN, [as_of])
            values.append(auc(y, Mixed(float(trial["weight"])).fit(X, y).predict_proba(X)[:, 1]))
        assert trial["mean"] == pytest.approx(np.mean(values))
        assert trial["std"] == pytest.approx(np.std(values, ddof=1))
    assert found.trials.set_index("trial").loc[0, "weight"] == 0.0


def test_the_best_trial_is_taken_and_the_given_one_where_none_is_better() -> None:
    found = tuned()
    assert found.trials["mean"].is_monotonic_decreasing
    assert found.parameters == found.trials.iloc[0][["weight", "idle"]].to_dict()
    assert found.model.get_params() == dict(found.parameters)
    assert found.trials["mean"].iloc[0] >= found.trials.set_index("trial").loc[0, "mean"]
    same = tuned(space={"idle": ["a", "b"]}, trials=4)  # a parameter that changes nothing
    assert same.trials["trial"].iloc[0] == 0
    assert (same.parameters, same.helped) == ({"idle": "a"}, False)
    assert "no better: keep the model as it was" in str(same)


def test_the_same_seed_gives_the_same_trials() -> None:
    pd.testing.assert_frame_equal(tuned().trials, tuned().trials)
    assert not tuned().trials.equals(tuned(seed=1).trials)


def test_the_given_model_may_lie_outside_the_range() -> None:
    found = tuned(space={"weight": (1.0, 5.0)}, trials=3)
    assert found.trials.set_index("trial").loc[0, "weight"] == 0.0


def test_a_tuning_in_words() -> None:
    found = tuned()
    text = str(found).splitlines()
    assert text[0].startswith(f"Tuned over {len(found.trials)} trials: ")
    assert text[1].startswith("  where it was chosen    AUC 0.")
    assert text[1].endswith(", which flatters")
    assert text[2].startswith("  held out, 2024-02-20   AUC ")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"space": {"wait": (0, 1)}},
            "tune: Mixed has no parameter 'wait'. Did you mean 'weight'? It has: idle, weight.",
        ),
        ({"space": {"weight": (5.0, 1.0)}}, "tune: weight ranges from 5.0 to 1.0. Give the lower end first."),
        (
            {"space": {"weight": "abc"}},
            "tune: weight is 'abc'. Use a range such as (3, 31), or a list of choices.",
        ),
        ({"space": {}}, "tune: space is {}. Use for example space={'num_leaves': (3, 31)}."),
        ({"space": None}, "tune: space is {}. Use for example space={'num_leaves': (3, 31)}."),
        ({"trials": 1}, "tune: trials is 1. Use a whole number of 2 or more, such as trials=30."),
    ],
)
def test_what_cannot_be_searched_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        tuned(**more)
    assert str(caught.value) == message


def test_one_holdout_cannot_choose_and_judge() -> None:
    with pytest.raises(cm.ConfigError) as caught:
        cm.tune(small_log(), "rfm", CHURN, Mixed(), [day(30), day(40)], space={"weight": (0.0, 1.0)})
    assert str(caught.value) == (
        "tune: the cutoffs give 1 hold-out, 2024-02-10, but one has to choose and a later one to judge. Add a later "
        "cutoff, for example 2024-02-20."
    )


def test_without_optuna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(cm.MissingExtraError) as caught:
        tuned()
    assert 'pip install "crmml[tune]"' in str(caught.value)

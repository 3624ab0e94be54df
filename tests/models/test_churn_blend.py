"""ChurnClassifier on customers of a known process: who buy at random until, unseen, they stop."""

import functools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crmml as cm
from crmml.metrics import auc, calibration_error
from crmml.models._blend import Silence

TRUTH = cm.BGNBD.from_parameters({"r": 0.8, "alpha": 40.0, "a": 0.8, "b": 2.5})
HORIZON = 60.0
NAMES = ["tenure_purchase", "recency_purchase", "days_active_purchase", "noise"]


def customers(n: int, seed: int, *, cutoffs: int = 2) -> tuple[pd.DataFrame, pd.Series]:
    """Different customers at each cutoff, active within 180 days; 1 for who buys nothing within the horizon."""
    parts, labels = [], []
    for number in range(cutoffs):
        rng = np.random.default_rng([seed, number])
        drawn = TRUTH.simulate(rng.uniform(0, 700, n), rng, horizon=HORIZON)
        drawn = drawn[drawn["T"] - drawn["t_x"] <= 180]
        table = pd.DataFrame(
            {
                "tenure_purchase": drawn["T"],
                "recency_purchase": drawn["T"] - drawn["t_x"],
                "days_active_purchase": drawn["x"] + 1.0,
                "noise": rng.normal(size=len(drawn)),
            }
        )
        at = pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(90 * number, unit="D")
        keys = pd.MultiIndex.from_arrays(
            [[f"{number}-{row}" for row in range(len(table))], [at] * len(table)], names=["customer_id", "as_of"]
        )
        parts.append(table.set_axis(keys))
        labels.append(pd.Series((drawn["x_star"] == 0).astype(int).to_numpy(), index=keys))
    return pd.concat(parts), pd.concat(labels)


@functools.cache
def fitted() -> tuple[cm.ChurnClassifier, pd.DataFrame, pd.Series]:
    """A model of 2 x 2,000 customers or so, and others. Not to be changed."""
    model = cm.ChurnClassifier(num_iterations=60, horizon="60d").fit(*customers(3_500, seed=1))
    return model, *customers(4_000, seed=2, cutoffs=1)


def test_the_chance_of_a_purchase_and_of_none_add_up_to_1() -> None:
    model, X, y = fitted()
    assert model._blend.silence is not None
    columns = model._blend.silence.columns
    table, positive, latest = X.to_numpy(), y.to_numpy() == 1, np.full(len(X), True)
    silent, buying = (Silence.learn(table, label, latest, columns, HORIZON) for label in (positive, ~positive))
    assert silent is not None
    assert buying is not None
    assert silent.chance(table) + buying.chance(table) == pytest.approx(np.ones(len(X)))
    assert auc(y, silent.chance(table)) > 0.7


def test_the_known_process_is_found_and_used() -> None:
    model, X, y = fitted()
    silence = model._blend.silence
    assert silence is not None
    p = 1.0 - TRUTH.p_buys(
        pd.DataFrame(
            {
                "x": X["days_active_purchase"] - 1,
                "t_x": np.where(X["days_active_purchase"] > 1, X["tenure_purchase"] - X["recency_purchase"], 0.0),
                "T": X["tenure_purchase"],
            }
        ),
        HORIZON,
    )
    assert silence.p_buys(X.to_numpy()) == pytest.approx(1.0 - p, abs=0.06)
    assert silence.slope == pytest.approx(1.0, abs=0.25)
    # The truth itself is the best possible; trees alone have to learn the process from 4,000 rows.
    trees = cm.ChurnClassifier(num_iterations=60).fit(*customers(3_500, seed=1))
    assert auc(y, p) > auc(y, model.predict_proba(X)[:, 1]) > auc(y, trees.predict_proba(X)[:, 1])
    assert calibration_error(y, model.predict_proba(X)[:, 1]) < 0.04


def test_without_horizon_names_or_history_it_is_trees_alone() -> None:
    X, y = customers(400, seed=3)
    for model, table in (
        (cm.ChurnClassifier(20), X),
        (cm.ChurnClassifier(20, horizon="60d"), X.to_numpy()),
        (cm.ChurnClassifier(20, horizon="60d"), X.drop(columns="days_active_purchase")),
    ):
        assert model.fit(table, y)._blend.silence is None


def test_where_the_purchases_determine_no_model_it_is_trees_alone() -> None:
    X, y = customers(200, seed=3)
    nobody = X.assign(tenure_purchase=np.nan, recency_purchase=np.nan, days_active_purchase=0.0)
    model = cm.ChurnClassifier(20, horizon="60d").fit(nobody, y)
    assert model._blend.silence is None
    assert np.isfinite(model.predict_proba(nobody)).all()


def test_the_line_falls_where_the_positive_label_is_a_purchase() -> None:
    X, y = customers(1_500, seed=4)
    model = cm.ChurnClassifier(20, horizon="60d").fit(X, 1 - y)
    assert model._blend.silence.slope < 0
    assert auc(1 - y, model.predict_proba(X)[:, 1]) > 0.6


def test_contributions_sum_to_the_score_of_each_row_but_for_a_constant() -> None:
    model, X, _ = fitted()
    rows = X.to_numpy()
    parts, silence = model._blend.contributions(rows, 1)
    rest = model._blend.raw(rows, 1) - parts.sum(axis=1) - silence
    assert rest == pytest.approx(np.full(len(rows), rest[0]), abs=1e-9)


def test_the_state_says_the_same_to_the_last_bit() -> None:
    model, X, _ = fitted()
    back = cm.ChurnClassifier().set_state(model.get_state())
    assert back.predict_proba(X).tobytes() == model.predict_proba(X).tobytes()
    pd.testing.assert_frame_equal(back.details(X), model.details(X), check_exact=True)
    assert back.get_state().keys() == model.get_state().keys()
    pd.testing.assert_series_equal(back.season_, model.season_)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"silence": np.array([0.0, 1.0, 0.0])}, "'silence' needs a model of purchases, and a time above 0, not 0.0"),
        ({"silence_columns": np.array([0, 1, 9])}, "'silence_columns' must be columns of 4, not [0, 1, 9]"),
        ({"silence_columns": np.array([-1, 1, 2])}, "'silence_columns' must be columns of 4, not [-1, 1, 2]"),
        ({"linear": np.zeros((4, 3))}, "'linear' has the shape (4, 3), not (4, 4)"),
        ({"base_rate": np.array([1.0])}, "'base_rate' must lie between 0 and 1, not at 1.0"),
        ({"scores": -np.arange(101.0)}, "'scores' must not fall"),
        (
            {"corrections": "treasure"},
            "'corrections' is not a model text of this class: it does not start with the line 'tree'",
        ),
    ],
)
def test_a_damaged_state_is_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(cm.BundleError) as caught:
        cm.ChurnClassifier().set_state(fitted()[0].get_state() | change)
    assert str(caught.value) == (
        f"ChurnClassifier.set_state: {problem}. The state is damaged or of another model: load an intact copy, or "
        "fit the model again."
    )


def test_every_key_of_the_blend_is_needed() -> None:
    state = fitted()[0].get_state()
    for key in state:
        with pytest.raises(cm.BundleError, match=f"'{key}' is missing"):
            cm.ChurnClassifier().set_state({other: value for other, value in state.items() if other != key})


def test_a_state_of_before_there_were_details_has_none() -> None:
    X = fitted()[1]
    plain = cm.ChurnClassifier(20).fit(X, np.arange(len(X)) % 2)
    old = {
        key: plain.get_state()[key]
        for key in ("n_features_in", "feature_names_in", "booster", "classes", "calibration")
    }
    back = cm.ChurnClassifier().set_state(old)
    assert back.predict_proba(X).tobytes() == plain.predict_proba(X).tobytes()
    assert back.details(X).shape == (len(X), 0)


def test_details_are_one_row_per_row_in_its_order() -> None:
    model, X, _ = fitted()
    details = model.details(X)
    assert details.index.equals(X.index)
    assert list(details.columns) == ["percentile", "risk_band", "reasons"]
    p = model.predict_proba(X)[:, 1]
    order = np.argsort(p, kind="stable")
    assert (np.diff(details["percentile"].to_numpy()[order]) >= -1e-9).all()
    bands = pd.Categorical(details["risk_band"], ["low", "medium", "high", "very high"], ordered=True).codes
    assert (np.diff(bands[order]) >= 0).all()
    # Half of all customers like those of training are below the middle: standard error .5 / sqrt(n).
    assert details["percentile"].median() == pytest.approx(50, abs=100 * 4 * 0.5 / np.sqrt(len(X)))
    silent = details["reasons"][X["recency_purchase"].to_numpy() > 170]
    assert silent.str.contains(r"BG/NBD: [\d.]+, others [\d.]+ \(raises the probability\)").mean() > 0.9


@settings(max_examples=10)
@given(seed=st.integers(0, 1_000))
def test_the_order_and_company_of_the_rows_change_nothing(seed: int) -> None:
    model, X, _ = fitted()
    rows = np.random.default_rng(seed).permutation(len(X))[:50]
    assert model.predict_proba(X.iloc[rows]).tolist() == model.predict_proba(X)[rows].tolist()
    pd.testing.assert_frame_equal(model.details(X.iloc[rows]), model.details(X).iloc[rows])


def test_shuffled_training_rows_give_nearly_the_same_model() -> None:
    X, y = customers(1_500, seed=5)
    rows = np.random.default_rng(0).permutation(len(X))
    one = cm.ChurnClassifier(30, horizon="60d").fit(X, y).predict_proba(X)[:, 1]
    other = cm.ChurnClassifier(30, horizon="60d").fit(X.iloc[rows], y.iloc[rows]).predict_proba(X)[:, 1]
    assert np.abs(one - other).mean() < 0.02  # only the folds differ, and ties between splits


@pytest.mark.parametrize(
    "change",
    [
        {"days_active_purchase": 1.0},  # one purchase each
        {"tenure_purchase": 0.0, "recency_purchase": 0.0},  # all on one day
        {"days_active_purchase": 5_000.0},
        {"recency_purchase": -3.0},
        {"noise": 1e300},
    ],
    ids=["one purchase each", "one day", "thousands of purchases", "after the cutoff", "huge"],
)
def test_strange_histories_end_well(change: dict[str, float]) -> None:
    X, y = customers(300, seed=6)
    strange = X.assign(**change)
    model = cm.ChurnClassifier(10, horizon="60d").fit(strange, y)
    p = model.predict_proba(strange)
    assert ((p >= 0) & (p <= 1)).all()
    assert len(model.details(strange)) == len(X)
    model, _, _ = fitted()
    assert np.isfinite(model.predict_proba(strange)).all()


@pytest.mark.parametrize("horizon", ["3650d", "1h"])
def test_any_horizon_will_do(horizon: str) -> None:
    X, y = customers(300, seed=7)
    assert np.isfinite(cm.ChurnClassifier(10, horizon=horizon).fit(X, y).predict_proba(X)).all()


def test_a_horizon_that_is_no_duration_is_refused() -> None:
    X, y = customers(50, seed=8)
    with pytest.raises(cm.ConfigError) as caught:
        cm.ChurnClassifier(horizon="3 months").fit(X, y)
    assert "ChurnClassifier: horizon" in str(caught.value)


@pytest.mark.slow
def test_probabilities_of_a_known_process_are_calibrated() -> None:
    """Over 20 seeds, the mean calibration error stays below .02 where chance alone gives .8 sqrt(p q / n_bin)."""
    errors = []
    for seed in range(20):
        model = cm.ChurnClassifier(num_iterations=60, horizon="60d").fit(*customers(4_000, seed=100 + seed))
        X, y = customers(20_000, seed=200 + seed, cutoffs=1)
        errors.append(calibration_error(y, model.predict_proba(X)[:, 1]))
    assert np.mean(errors) < 0.02

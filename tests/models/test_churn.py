"""ChurnClassifier on data whose probabilities are known."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.models import churn
from tests.models.made import Churners, churners
from tests.models.mutants import dies


def auc(y: Any, score: Any) -> float:
    """The share of (positive, negative) pairs in the right order."""
    ranks = pd.Series(score).rank().to_numpy()
    positive = np.asarray(y) == 1
    n = positive.sum()
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * (~positive).sum()))


@pytest.fixture(scope="module")
def fitted() -> tuple[cm.ChurnClassifier, Churners]:
    train = churners(4_000, seed=1)
    return cm.ChurnClassifier().fit(train.X, train.y), churners(20_000, seed=2)


def test_probabilities_are_calibrated(fitted: tuple[cm.ChurnClassifier, Churners]) -> None:
    model, test = fitted
    p = model.predict_proba(test.X)[:, 1]
    bins = np.array_split(np.argsort(p), 10)
    error = np.mean([abs(p[rows].mean() - test.y[rows].mean()) for rows in bins])
    # A bin's share of positives has a standard error of at most sqrt(1/4 / 2,000) here; had each been
    # learned from its own 400 training rows, sqrt(1/4 / 400) more. The mean of |N(0, s)| is .8 s.
    assert error < 0.8 * np.sqrt(0.25 / 2_000 + 0.25 / 400)


def test_ranking_is_near_the_best_possible(fitted: tuple[cm.ChurnClassifier, Churners]) -> None:
    model, test = fitted
    p = model.predict_proba(test.X)[:, 1]
    chance = np.sqrt(20_001 / (12 * test.y.sum() * (20_000 - test.y.sum())))  # Mann and Whitney, 1947
    assert auc(test.y, p) > 0.5 + 50 * chance
    assert auc(test.y, p) > auc(test.y, test.p) - 0.04
    assert model.feature_importances_.sum() == pytest.approx(1.0)
    assert set(np.argsort(model.feature_importances_)[:2]) == {3, 4}  # the two columns of noise


def test_the_likelier_label_is_predicted(fitted: tuple[cm.ChurnClassifier, Churners]) -> None:
    model, test = fitted
    proba = model.predict_proba(test.X)
    assert proba.sum(axis=1) == pytest.approx(np.ones(20_000), abs=1e-15)
    assert model.predict(test.X).tolist() == proba.argmax(axis=1).tolist()


def test_the_greater_label_is_the_positive_class() -> None:
    data = churners(400, seed=3)
    numbers = cm.ChurnClassifier(num_iterations=20).fit(data.X, data.y)
    for gone, stays in (("yes", "no"), (True, False), (1, -1), (1.0, 0.0)):
        named = cm.ChurnClassifier(num_iterations=20).fit(data.X, np.where(data.y == 1, gone, stays))
        assert named.classes_.tolist() == [stays, gone]
        assert named.predict_proba(data.X).tolist() == numbers.predict_proba(data.X).tolist()
        assert set(named.predict(data.X)) <= {stays, gone}


def test_labels_may_be_a_series_of_text() -> None:
    data = churners(100, seed=3)
    for kind in (object, "str", "category"):
        y = pd.Series(np.where(data.y == 1, "gone", "stays")).astype(kind)
        model = cm.ChurnClassifier(num_iterations=5).fit(data.X, y)
        assert model.classes_.dtype.kind == "U"
        assert model.classes_.tolist() == ["gone", "stays"]


def test_constant_columns_give_everybody_the_base_rate() -> None:
    y = np.arange(50) < 12
    p = cm.ChurnClassifier().fit(np.ones((50, 2)), y).predict_proba(np.zeros((3, 2)))[:, 1]
    assert p == pytest.approx([12 / 50] * 3, abs=1e-12)


def test_noise_gives_probabilities_near_the_base_rate() -> None:
    spreads = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X, y = rng.normal(size=(1_000, 5)), np.arange(1_000) < 300
        model = cm.ChurnClassifier(num_iterations=100, learning_rate=0.1).fit(X, y)
        p = model.predict_proba(rng.normal(size=(1_000, 5)))[:, 1]
        assert p.mean() == pytest.approx(0.3, abs=3 * np.sqrt(0.3 * 0.7 / 1_000))
        spreads.append(p.std())
    # One slope learned from chance moves probabilities by a standard error of the share, sqrt(.21/1,000);
    # twice that, since the final trees are surer of themselves than those of the folds.
    assert np.mean(spreads) < 2 * np.sqrt(0.3 * 0.7 / 1_000)


def a_repeated_customer_is_no_proof(module: ModuleType) -> None:
    """Ten rows per customer, label and columns by customer and pure chance: there is nothing to learn."""
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product([range(100), range(10)], names=["customer_id", "as_of"])
    X = pd.DataFrame(np.repeat(rng.normal(size=(100, 3)), 10, axis=0), index=index, columns=["a", "b", "c"])
    y = pd.Series(np.repeat(np.arange(100) % 2, 10), index=index)
    model = module.ChurnClassifier(num_iterations=100, learning_rate=0.1).fit(X, y)
    p = model.predict_proba(X)[:, 1]
    # 100 independent customers: a slope from chance moves by sqrt(1/4 / 100) = .05; and see above.
    assert p.std() < 2 * 2 * 0.05


def probabilities_follow_the_label(module: ModuleType) -> None:
    X = np.arange(100.0)[:, None]
    p = module.ChurnClassifier().fit(X, np.arange(100) >= 50).predict_proba(X)
    assert p[-1, 1] > 0.5 > p[0, 1]


def a_year_later_the_season_is_back(module: ModuleType) -> None:
    """Columns of noise, and a share of positives that depends on the cutoff alone."""
    rng = np.random.default_rng(0)
    shares = {0: 0.2, 100: 0.8, 200: 0.5, 300: 0.6}
    first = pd.Timestamp("2023-01-01", tz="UTC")
    index = pd.MultiIndex.from_product(
        [range(1_500), first + pd.to_timedelta(list(shares), unit="D")], names=["customer_id", "as_of"]
    )
    y = pd.Series(rng.random(len(index)) < np.tile(list(shares.values()), 1_500), index=index)
    X = pd.DataFrame(rng.normal(size=(len(index), 2)), index=index, columns=["a", "b"])
    model = module.ChurnClassifier(10, horizon="60d").fit(X, y)
    later = {365: 0.2, 470: 0.8, 565: 0.5, 300: 0.6, 420: 0.6}  # no cutoff a year before 300 or 420: that of the latest
    for day, share in later.items():
        at = pd.MultiIndex.from_arrays([range(50), [first + pd.Timedelta(day, unit="D")] * 50], names=index.names)
        p = model.predict_proba(X.head(50).set_axis(at))[:, 1]
        # A share of 1,500 has a standard error of .013 at most.
        assert p.mean() == pytest.approx(share, abs=4 * 0.013), day
    assert list(model.season_.index) == list(index.levels[1])


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        (a_year_later_the_season_is_back, "snapshots_of(table, len(X))", "snapshots_of(None, len(X))"),
        (a_repeated_customer_is_no_proof, "groups = customer_groups(", "groups = None and customer_groups("),
        (probabilities_follow_the_label, "[1.0 - positive, positive]", "[positive, 1.0 - positive]"),
        (probabilities_follow_the_label, "positive = codes == 1", "positive = codes == 0"),
    ],
    ids=["no cutoffs", "split customers", "swap the columns", "swap the classes"],
)
def test_mutants_die(check: Any, old: str, new: str, tmp_path: Path) -> None:
    dies(check, churn, old, new, tmp_path)


def test_a_single_row_of_a_class_gives_the_base_rate() -> None:
    X = np.arange(30.0)[:, None]
    model = cm.ChurnClassifier().fit(X, np.arange(30) == 29)
    assert model.slope_ == 0.0
    assert model.predict_proba(X)[:, 1] == pytest.approx(np.full(30, 1 / 30), abs=1e-12)


def test_a_single_customer_gives_the_base_rate() -> None:
    index = pd.MultiIndex.from_product([["c"], range(20)], names=["customer_id", "as_of"])
    X = pd.DataFrame({"a": np.arange(20.0)}, index=index)
    model = cm.ChurnClassifier().fit(X, pd.Series(np.arange(20) < 5, index=index))
    assert model.slope_ == 0.0
    assert model.predict_proba(X)[:, 1] == pytest.approx(np.full(20, 5 / 20), abs=1e-12)


def test_two_customers_with_both_classes_each_are_calibrated_on_each_other() -> None:
    index = pd.MultiIndex.from_product([["a", "b"], range(40)], names=["customer_id", "as_of"])
    X = pd.DataFrame({"x": np.tile(np.arange(40.0), 2)}, index=index)
    model = cm.ChurnClassifier().fit(X, pd.Series(np.tile(np.arange(40) >= 20, 2), index=index))
    assert model.slope_ > 0
    p = model.predict_proba(X)[:, 1]
    assert p[0] < 0.2
    assert p[39] > 0.8


def test_missing_values_are_information() -> None:
    data = churners(1_000, seed=4)
    X = np.where(data.y[:, None] == 1, np.nan, data.X)
    p = cm.ChurnClassifier().fit(X, data.y).predict_proba(X)[:, 1]
    assert p[data.y == 1].min() > 0.9
    assert p[data.y == 0].max() < 0.1


def test_the_model_does_not_depend_on_the_number_of_threads() -> None:
    data = churners(300, seed=5)
    one = cm.ChurnClassifier(10).fit(data.X, data.y)
    again = cm.ChurnClassifier(10).fit(data.X, data.y)
    two = cm.ChurnClassifier(10, n_jobs=2).fit(data.X, data.y)
    for other in (again, two):
        assert other.predict_proba(data.X).tobytes() == one.predict_proba(data.X).tobytes()
    other_seed = cm.ChurnClassifier(10, random_state=1).fit(data.X, data.y)
    assert other_seed.predict_proba(data.X).tobytes() != one.predict_proba(data.X).tobytes()


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (
            [1] * 6,
            "ChurnClassifier.fit: y has one class only: all 6 rows are 1. "
            "Use training rows of both classes: more customers, further cutoffs, or another horizon.",
        ),
        (
            ["a", "b", "c"] * 2,
            "ChurnClassifier.fit: Only binary classification is supported. The type of the target is multiclass, "
            "with 3 different values. Use two labels, e.g. y = (spend == 0).astype(int).",
        ),
        (
            [0.5, 1.5, 2.5] * 2,
            "ChurnClassifier.fit: Only binary classification is supported. The type of the target is continuous, "
            "with 3 different values. Use two labels, e.g. y = (spend == 0).astype(int).",
        ),
        (
            np.array([0, 1] * 3, dtype=object),
            "ChurnClassifier.fit: Unknown label type: y holds 0. Use ints, bools or text.",
        ),
        ([0.0, 1.0, np.nan] * 2, "ChurnClassifier.fit: Input y contains NaN."),
        (
            [0, 1],
            "ChurnClassifier.fit: Found input variables with inconsistent numbers of samples: [6, 2]",
        ),
    ],
)
def test_unusable_labels_are_refused(y: Any, message: str) -> None:
    with pytest.raises(cm.DataError) as caught:
        cm.ChurnClassifier().fit(np.arange(12.0).reshape(6, 2), y)
    assert str(caught.value) == message


def test_labels_in_another_order_than_the_rows_are_refused() -> None:
    index = pd.MultiIndex.from_product([range(4), ["2024"]], names=["customer_id", "as_of"])
    X = pd.DataFrame({"a": np.arange(4.0)}, index=index)
    y = pd.Series([0, 1, 0, 1], index=index[::-1])
    with pytest.raises(cm.SchemaError) as caught:
        cm.ChurnClassifier().fit(X, y)
    assert str(caught.value) == (
        "ChurnClassifier.fit: the rows of y are not in the order of the rows of X (their indexes differ). "
        "Use y.loc[X.index]."
    )

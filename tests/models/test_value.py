"""LifetimeValueRegressor on spend whose distribution is known."""

from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from scipy.special import gammainc

import crmml as cm
from crmml.models import _intervals, _plain_value, value
from tests.models.made import spenders
from tests.models.mutants import dies, mutant

SEEDS = range(4)
TRAIN = 5_000
TEST = 20_000


def coverage(make: Any) -> tuple[float, float, float]:
    """Share of new customers inside the 90 % interval: of all, and of the tenth with the highest predictions;
    and what the first must exceed 90 % by, because 0 and the prediction are always inside."""
    everybody, top, more = [], [], []
    for seed in SEEDS:
        train, test = spenders(TRAIN, seed), spenders(TEST, seed + 100)
        model = make().fit(train.X, train.y)
        p = model.predict(test.X)
        lo, hi = model.predict_interval(test.X, coverage=0.9)
        inside = (lo <= test.y) & (test.y <= hi)
        everybody.append(inside.mean())
        top.append(inside[p >= np.quantile(p, 0.9)].mean())
        money = test.mean / (1 - test.nothing)
        up_to_prediction = test.nothing + (1 - test.nothing) * gammainc(1.5, 1.5 * p / money)
        more.append(np.maximum(up_to_prediction - 0.9, 0).mean())
    return float(np.mean(everybody)), float(np.mean(top)), float(np.mean(more))


def test_intervals_cover_the_whole_and_the_top_decile() -> None:
    everybody, top, more = coverage(cm.LifetimeValueRegressor)
    # The coverage of conformal limits from n rows has the variance .9 * .1 / n, and m new rows add
    # .9 * .1 / m; four runs halve the standard error. A bin has a tenth of the rows.
    error = np.sqrt(0.09 / TRAIN + 0.09 / TEST) / np.sqrt(len(SEEDS))
    in_bin = np.sqrt(0.09 / (TRAIN / 10) + 0.09 / (TEST / 10)) / np.sqrt(len(SEEDS))
    assert everybody == pytest.approx(0.9 + more, abs=3 * error)
    assert top == pytest.approx(0.9, abs=3 * in_bin)


def test_mutant_with_one_bin_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_bin = mutant(_intervals, "MOST_BINS = 10", "MOST_BINS = 1", tmp_path)
    monkeypatch.setattr(_plain_value, "RatioIntervals", one_bin.RatioIntervals)
    everybody, top, more = coverage(cm.LifetimeValueRegressor)
    assert 0.9 - 0.01 < everybody < 0.9 + more + 0.01  # on average it covers,
    assert abs(top - 0.9) > 3 * np.sqrt(0.09 / (TRAIN / 10) + 0.09 / (TEST / 10)) / 2  # and not at the top


def fitted(module: ModuleType, X: Any, y: Any) -> cm.LifetimeValueRegressor:
    """The estimator on the plain design of `module`."""
    with patch.object(value, "PlainDesign", module.PlainDesign):
        return cm.LifetimeValueRegressor().fit(X, y)


def the_total_is_right(module: ModuleType) -> None:
    ratios = []
    for seed in SEEDS:
        train, test = spenders(TRAIN, seed), spenders(TEST, seed + 100)
        model = fitted(module, train.X, train.y)
        ratios.append(model.predict(test.X).sum() / test.mean.sum())
    # What is known of the mean of the training spend, by its own standard error.
    error = train.y.std() / train.y.mean() / np.sqrt(TRAIN * len(SEEDS))
    assert np.mean(ratios) == pytest.approx(1.0, abs=3 * error)


def the_currency_does_not_matter(module: ModuleType) -> None:
    data = spenders(1_000, seed=7)
    euros = fitted(module, data.X, data.y).predict(data.X)
    yen = fitted(module, data.X, 160 * data.y).predict(data.X)
    assert yen == pytest.approx(160 * euros, rel=1e-6)


def negative_spend_counts_as_zero(module: ModuleType) -> None:
    data = spenders(500, seed=8)
    returned = np.where(data.y == 0, -50.0, data.y)
    plain = module.LifetimeValueRegressor().fit(data.X, data.y)
    try:
        net = module.LifetimeValueRegressor().fit(data.X, returned)
    except Exception as error:  # LightGBM refuses negative labels of a Tweedie loss
        raise AssertionError from error
    assert net.predict(data.X).tolist() == plain.predict(data.X).tolist()
    assert net.label_mean_ == data.y.mean()


@pytest.mark.parametrize(
    ("check", "module", "old", "new"),
    [
        (the_total_is_right, _plain_value, "(self.mean * self.level)", "self.mean"),
        (the_currency_does_not_matter, _plain_value, "spend / mean", "spend"),
        (negative_spend_counts_as_zero, value, "np.maximum(y.astype(np.float64), 0.0)", "y.astype(np.float64)"),
    ],
    ids=["level left out", "label not divided", "negative labels"],
)
def test_mutants_die(check: Any, module: ModuleType, old: str, new: str, tmp_path: Path) -> None:
    dies(check, module, old, new, tmp_path)


def test_ranking_is_near_the_truth() -> None:
    train, test = spenders(TRAIN, 0), spenders(TEST, 100)
    p = cm.LifetimeValueRegressor().fit(train.X, train.y).predict(test.X)
    order = pd.Series(p).corr(pd.Series(test.mean), method="spearman")
    assert order > 0.95


def test_limits_lie_around_the_prediction() -> None:
    data = spenders(1_000, seed=1)
    model = cm.LifetimeValueRegressor().fit(data.X, data.y)
    p = model.predict(data.X)
    for share in (0.01, 0.5, 0.9, 0.999):
        lo, hi = model.predict_interval(data.X, coverage=share)
        assert np.all((lo >= 0) & (lo <= p) & (p <= hi))
    narrow, wide = model.predict_interval(data.X, 0.5)[1], model.predict_interval(data.X, 0.9)[1]
    assert np.all(narrow <= wide)


def test_nobody_spent_anything() -> None:
    model = cm.LifetimeValueRegressor().fit(np.arange(40.0)[:, None], np.zeros(40))
    assert model.predict(np.ones((2, 1))).tolist() == [0.0, 0.0]
    lo, hi = model.predict_interval(np.ones((2, 1)))
    assert (lo.tolist(), hi.tolist()) == ([0.0, 0.0], [0.0, 0.0])
    assert model.feature_importances_.tolist() == [0.0]
    back = cm.LifetimeValueRegressor().set_state(model.get_state())
    assert back.predict(np.ones((2, 1))).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("y", [[5.0], [0.0], [0.0, 5.0], [0.0, 0.0, 0.0, 5.0], [-1.0, -2.0]])
def test_a_handful_of_customers_gives_their_mean_and_no_upper_limit(y: list[float]) -> None:
    X = np.ones((len(y), 2))
    model = cm.LifetimeValueRegressor().fit(X, np.array(y))
    assert model.predict(X) == pytest.approx(np.maximum(y, 0).mean() * model.level_)
    lo, hi = model.predict_interval(X)
    assert lo.tolist() == [0.0] * len(y)
    assert np.isinf(hi).all()


def test_a_single_customer_at_many_cutoffs_says_nothing_about_others() -> None:
    index = pd.MultiIndex.from_product([["c"], range(60)], names=["customer_id", "as_of"])
    X = pd.DataFrame({"a": np.arange(60.0)}, index=index)
    model = cm.LifetimeValueRegressor().fit(X, pd.Series(np.arange(60.0), index=index))
    assert model.level_ == 1.0
    assert np.isinf(model.predict_interval(X)[1]).all()


def test_the_model_does_not_depend_on_the_number_of_threads() -> None:
    data = spenders(300, seed=5)
    one = cm.LifetimeValueRegressor(10).fit(data.X, data.y)
    two = cm.LifetimeValueRegressor(10, n_jobs=2).fit(data.X, data.y)
    assert two.predict(data.X).tobytes() == one.predict(data.X).tobytes()
    assert two.predict_interval(data.X)[1].tobytes() == one.predict_interval(data.X)[1].tobytes()


@pytest.mark.parametrize("share", [0.0, 1.0, 90, float("nan"), True, "0.9", None])
def test_a_coverage_that_is_no_share_is_refused(share: Any) -> None:
    data = spenders(50, seed=0)
    model = cm.LifetimeValueRegressor().fit(data.X, data.y)
    with pytest.raises(cm.ConfigError) as caught:
        model.predict_interval(data.X, coverage=share)
    assert str(caught.value) == (
        f"LifetimeValueRegressor.predict_interval: coverage={share!r} must be a number above 0 and below 1. "
        "Use coverage=0.9."
    )


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1.0, np.nan], "LifetimeValueRegressor.fit: Input y contains NaN."),
        (
            [1.0, np.inf],
            "LifetimeValueRegressor.fit: Input y contains infinity or a value too large for dtype('float64').",
        ),
        (["a", "b"], "LifetimeValueRegressor.fit: could not convert string to float: 'a'"),
    ],
)
def test_unusable_spend_is_refused(y: Any, message: str) -> None:
    with pytest.raises((cm.DataError, cm.SchemaError)) as caught:
        cm.LifetimeValueRegressor().fit(np.ones((2, 1)), pd.Series(y))
    assert str(caught.value) == message


def test_a_spend_that_is_none_is_refused_also_among_objects() -> None:
    """scikit-learn looks for NaN before it makes numbers of objects, and lets a None through."""
    X = np.arange(20.0).reshape(-1, 1)
    y = np.array([1.0, None, *[2.0] * 18], dtype=object)
    with pytest.raises(cm.DataError) as caught:
        cm.LifetimeValueRegressor().fit(X, y)
    assert str(caught.value) == (
        "LifetimeValueRegressor.fit: y is nan in row 1. Give every row its spend: drop the row, or use 0 where nothing "
        "was spent."
    )

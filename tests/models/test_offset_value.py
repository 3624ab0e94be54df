"""LifetimeValueRegressor on the offset of two forecasts: arithmetic of each part, hostile tables, a known truth."""

from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.errors import BundleError
from crmml.metrics import normalised_gini
from crmml.models import _offset_value, _value_learner, value
from crmml.models._buyers import Buyers
from crmml.models._history import find_history, read_history
from tests.models.made_buyers import Shop, shop
from tests.models.mutants import dies

DAY = pd.Timedelta(days=1)


@pytest.fixture(scope="module")
def train() -> Shop:
    return shop(600, seed=0)


@pytest.fixture(scope="module")
def model(train: Shop) -> cm.LifetimeValueRegressor:
    return cm.LifetimeValueRegressor(horizon="90d").fit(train.X, train.y)


def later(seed: int = 1, customers: int = 600) -> Shop:
    return shop(customers, seed, cutoffs=(380.0,))


def fitted(module: ModuleType, data: Shop, **parameters: Any) -> cm.LifetimeValueRegressor:
    """The estimator on the offset design of `module`."""
    with patch.object(value, "OffsetDesign", module.OffsetDesign):
        return cm.LifetimeValueRegressor(**{"horizon": "90d", **parameters}).fit(data.X, data.y)


def btyd(X: pd.DataFrame, days: float, buyers: Buyers | None = None) -> np.ndarray:
    """What BG/NBD with Gamma-Gamma expects of each row."""
    columns = find_history(list(X.columns))
    assert columns is not None
    history = read_history(X.to_numpy(), columns)
    buyers = buyers or Buyers.learn(history)
    assert buyers is not None
    return buyers.expected_spend(history, days)


# Each part by hand ------------------------------------------------------------------------------------------------


def the_total_is_that_of_btyd(module: ModuleType) -> None:
    model, new = fitted(module, shop(600, seed=0)), later(customers=600)
    assert model.predict(new.X).sum() == pytest.approx(btyd(new.X, 90.0).sum())


def the_season_of_a_year_before_moves_the_total(module: ModuleType) -> None:
    data = shop(600, seed=0, cutoffs=(200.0, 290.0))
    early = data.X.index.get_level_values("as_of") == data.X.index[0][1]
    spent = data.y.where(early, 2.5 * data.y)
    model = fitted(module, Shop(data.X, spent))
    factor = float(spent[~early].sum() / btyd(data.X[~early], 90.0).sum())
    assert 1.6 < factor < 3.5
    same_time = shop(600, seed=1, cutoffs=(290.0 + 365.0,))
    other_time = shop(600, seed=1, cutoffs=(290.0 + 240.0,))
    assert model.predict(same_time.X).sum() == pytest.approx(factor * btyd(same_time.X, 90.0).sum())
    assert model.predict(other_time.X).sum() == pytest.approx(btyd(other_time.X, 90.0).sum())


def the_rule_is_the_geometric_mean_of_relative_forecasts(module: ModuleType) -> None:
    data = shop(600, seed=0, cutoffs=(290.0,))
    with patch.object(module.Learner, "choose", lambda self, days: "geometric mean"):
        model = fitted(module, data)
    weighted = data.X["decayed_sum_120d_amount"].to_numpy()
    expected = np.sqrt(np.maximum(btyd(data.X, 90.0), 1e-300) * np.maximum(weighted, 1e-300))
    some = weighted > 1e-3 * weighted.mean()
    ratio = model.predict(data.X)[some] / expected[some]
    assert ratio == pytest.approx(np.full(some.sum(), ratio[0]), rel=1e-6)


def the_level_of_a_snapshot_teaches_nothing(module: ModuleType) -> None:
    """Twice the spend after one cutoff, a season: who is worth more than whom is as before."""
    data, new = shop(600, seed=0), later().X
    season = np.where(data.X.index.get_level_values("as_of") == data.X.index[0][1], 2.0, 1.0)
    with patch.object(module.Learner, "choose", lambda self, days: "trees"):
        plain, seasonal = fitted(module, data), fitted(module, Shop(data.X, data.y * season))
    assert plain.feature_importances_.sum() == pytest.approx(1.0)  # the trees have learned something
    assert seasonal.predict(new) == pytest.approx(plain.predict(new), rel=1e-6)


CHECKS = (
    the_total_is_that_of_btyd,
    the_season_of_a_year_before_moves_the_total,
    the_rule_is_the_geometric_mean_of_relative_forecasts,
    the_level_of_a_snapshot_teaches_nothing,
)


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        (CHECKS[0], "totals / np.maximum(sums, 1e-300), self.level", "self.level, self.level"),
        (CHECKS[1], "return Outlook(base * season,", "return Outlook(base,"),
    ],
    ids=["total", "season"],
)
def test_mutants_die(check: Any, old: str, new: str, tmp_path: Path) -> None:
    dies(check, _offset_value, old, new, tmp_path)


OF_THE_LEARNER = [
    (CHECKS[2], "return (btyd + weighted) / 2.0", "return btyd + weighted"),
    (CHECKS[3], "training.spend / np.where(means > 0, means, 1.0)[codes]", "training.spend"),
]


@pytest.mark.parametrize(("check", "old", "new"), OF_THE_LEARNER, ids=["geometric mean", "relative label"])
def test_mutants_of_the_learner_die(check: Any, old: str, new: str, tmp_path: Path) -> None:
    def on(learner: ModuleType) -> None:
        with (
            patch.object(_offset_value, "Learner", learner.Learner),
            patch.object(_offset_value, "ordering", learner.ordering),
        ):
            check(_offset_value)

    dies(on, _value_learner, old, new, tmp_path)


def test_other_columns_count_where_they_tell_more() -> None:
    """A column that knows half of the future, and one that knows nothing."""
    rng = np.random.default_rng(0)
    data, new = shop(600, seed=0), later()
    noise, told = ([rng.normal(size=len(one.X)) for one in (data, new)] for _ in range(2))
    told = [np.log1p(np.maximum(one.y, 0.0)) + 2.0 * part for one, part in zip((data, new), told, strict=True)]
    blind, aware = (
        cm.LifetimeValueRegressor(horizon="90d", min_data_in_leaf=20).fit(data.X.assign(note=column[0]), data.y)
        for column in (noise, told)
    )
    assert blind.design_ != "trees on all columns"
    assert aware.design_ == "trees on all columns"
    assert aware.feature_importances_[-1] == aware.feature_importances_.max() > 0
    assert aware.feature_importances_.sum() == pytest.approx(1.0)
    known, unknown = aware.predict(new.X.assign(note=told[1])), blind.predict(new.X.assign(note=noise[1]))
    assert normalised_gini(new.y, known) > normalised_gini(new.y, unknown) + 0.02
    again = cm.LifetimeValueRegressor(horizon="90d", min_data_in_leaf=20).set_state(aware.get_state())
    assert again.predict(new.X.assign(note=told[1])).tolist() == known.tolist()
    state = aware.get_state() | {"design": ["trees"]}  # whose trees read fewer columns
    with pytest.raises(BundleError, match="is not a model text of this class: "):
        again.set_state(state)


def test_labels_of_another_kind_of_money_keep_their_total() -> None:
    """A margin of a tenth of the money that the features tell of: the total is a tenth of that of BG/NBD, too."""
    data, new = shop(600, seed=0), later()
    model = cm.LifetimeValueRegressor(5, horizon="90d").fit(data.X, 0.1 * data.y)
    ratio = 0.1 * data.y.sum() / btyd(data.X, 90.0, model._offset.buyers).sum()
    assert model.predict(new.X).sum() == pytest.approx(ratio * btyd(new.X, 90.0).sum())
    assert ratio == pytest.approx(0.1, rel=0.3)
    few = model.predict(new.X.iloc[:50]) / model.predict(new.X)[:50]
    assert few == pytest.approx(np.full(50, few[0]))


def test_a_few_rows_stand_at_the_level_of_the_training_in_the_same_order(
    model: cm.LifetimeValueRegressor, train: Shop
) -> None:
    new = later().X
    whole, few = model.predict(new), model.predict(new.iloc[:50])
    assert np.argsort(few).tolist() == np.argsort(whole[:50]).tolist()
    assert few / whole[:50] == pytest.approx(np.full(50, few[0] / whole[0]))
    undated = model.predict(new.reset_index(drop=True))
    assert undated[:50] == pytest.approx(few)
    latest = train.X[train.X.index.get_level_values("as_of") == train.X.index[-1][1]]
    assert model.predict(latest.reset_index(drop=True)).sum() == pytest.approx(btyd(latest, 90.0).sum())


def test_another_horizon_goes_on_as_btyd_does(model: cm.LifetimeValueRegressor) -> None:
    new = later().X
    buyers = model._offset.buyers
    for days in (30.0, 365.0):
        ratio = btyd(new, days, buyers) / btyd(new, 90.0, buyers)
        assert model.predict(new, horizon=f"{days:g}d") == pytest.approx(model.predict(new) * ratio)
    assert model.predict(new, horizon="90d").tolist() == model.predict(new).tolist()
    low, high = model.predict_interval(new, horizon="365d")
    there = model.predict(new, horizon="365d")
    assert ((low <= there) & (there <= high)).all()


def test_money_later_counts_less(train: Shop) -> None:
    plain = cm.LifetimeValueRegressor(horizon="90d", num_iterations=5).fit(train.X, train.y)
    discounted = cm.LifetimeValueRegressor(horizon="90d", num_iterations=5, discount_rate=0.5).fit(train.X, train.y)
    left = discounted.predict(train.X) / plain.predict(train.X)
    # Between all of it at the end and all at once; orders thin out, so it comes before the middle.
    assert (left > 1.5 ** (-45 / 365)).all()
    assert (left < 1.0).all()
    high = plain.predict_interval(train.X)[1]
    assert discounted.predict_interval(train.X)[1] == pytest.approx(high * left)


def test_a_plain_model_discounts_as_if_money_came_evenly() -> None:
    X, y = np.arange(200.0)[:, None] % 7, np.arange(200.0) % 5
    plain = cm.LifetimeValueRegressor(horizon="365d").fit(X, y)
    half = cm.LifetimeValueRegressor(horizon="365d", discount_rate=1.0).fit(X, y)
    # The mean of 2^-t over a year is (1 - 1/2) / ln 2.
    assert half.predict(X) == pytest.approx(plain.predict(X) * 0.5 / np.log(2))


def test_tiers_are_shares_of_the_latest_training_snapshot(model: cm.LifetimeValueRegressor, train: Shop) -> None:
    latest = train.X[train.X.index.get_level_values("as_of") == train.X.index[-1][1]]
    shares = model.details(latest)["tier"].value_counts(normalize=True)
    for tier, share in {"low": 0.4, "middle": 0.3, "high": 0.2, "top": 0.1}.items():
        assert shares[tier] == pytest.approx(share, abs=1 / len(latest) + 1e-12)
    assert model.tiers_[3] == np.quantile(np.maximum(train.y, 0), 0.9)


def test_details_are_those_of_btyd_and_the_chances_come_true(model: cm.LifetimeValueRegressor) -> None:
    new = later()
    details = model.details(new.X)
    assert details.index.equals(new.X.index)
    assert details.columns.tolist() == ["p_alive", "expected_orders", "tier", "p_top_tier"]
    assert details["p_alive"].between(0, 1).all()
    assert btyd(new.X, 90.0, model._offset.buyers) == pytest.approx(
        details["expected_orders"] * model._offset.buyers.expected_value(
            read_history(new.X.to_numpy(), find_history(list(new.X.columns)))
        )
    )  # fmt: skip
    top = new.y > model.tiers_[3]
    assert details["p_top_tier"].mean() == pytest.approx(top.mean(), abs=3 * np.sqrt(0.09 / len(top)) + 0.01)
    assert details.loc[top, "p_top_tier"].mean() > 2 * details.loc[~top, "p_top_tier"].mean()


def test_plain_models_have_tiers_and_chances_too() -> None:
    rng = np.random.default_rng(0)
    X = rng.exponential(size=(2_000, 2))
    y = rng.exponential(10 * X[:, 0])
    details = cm.LifetimeValueRegressor().fit(X, y).details(X)
    assert details.columns.tolist() == ["tier", "p_top_tier"]
    assert details["p_top_tier"].mean() == pytest.approx(0.1, abs=0.02)


# Which design ------------------------------------------------------------------------------------------------------


def test_a_rule_is_used_where_trees_order_no_better() -> None:
    """Whoever bought in the last period buys as much again, the others nothing: trees do not see it, the rule does."""
    data = shop(600, seed=3)
    again = Shop(data.X, data.X["sum_amount_90d"])
    model = cm.LifetimeValueRegressor(horizon="90d").fit(again.X, again.y)
    assert model.design_ == "last period"
    assert model.feature_importances_.tolist() == [0.0] * 6
    low, high = model.predict_interval(again.X)
    assert (high > low).mean() > 0.9  # a rule has an interval as well
    back = cm.LifetimeValueRegressor(horizon="90d").set_state(model.get_state())
    assert back.predict(again.X).tolist() == model.predict(again.X).tolist()


def test_trees_are_used_where_they_order_better(train: Shop) -> None:
    """Those who have come often are worth twice what any rule says of them."""
    often = Shop(train.X, train.y * np.where(train.X["days_active_purchase"] > 4, 8.0, 1.0))
    model = cm.LifetimeValueRegressor(horizon="90d").fit(often.X, often.y)
    assert model.design_ == "trees"
    assert model.feature_importances_.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("missing", ["recency_purchase", "tenure_purchase", "days_active_purchase", "sum_amount"])
def test_without_a_whole_history_the_design_is_plain(train: Shop, missing: str) -> None:
    X = train.X.drop(columns=[missing])
    assert cm.LifetimeValueRegressor(5, horizon="90d").fit(X, train.y).design_ == "plain"


def test_without_a_horizon_or_names_the_design_is_plain(train: Shop) -> None:
    assert cm.LifetimeValueRegressor(5).fit(train.X, train.y).design_ == "plain"
    assert cm.LifetimeValueRegressor(5, horizon="90d").fit(train.X.to_numpy(), train.y).design_ == "plain"


def test_without_a_weighted_sum_the_offset_is_btyd(train: Shop) -> None:
    X = train.X.drop(columns=["decayed_sum_120d_amount"])
    model = cm.LifetimeValueRegressor(5, horizon="90d").fit(X, train.y)
    assert model.design_ != "plain"
    back = cm.LifetimeValueRegressor(5, horizon="90d").set_state(model.get_state())
    assert back.predict(X).tobytes() == model.predict(X).tobytes()


# Same again --------------------------------------------------------------------------------------------------------


def test_threads_and_state_change_no_bit(train: Shop, model: cm.LifetimeValueRegressor) -> None:
    new = later().X
    two = cm.LifetimeValueRegressor(5, horizon="90d", n_jobs=2).fit(train.X, train.y)
    one = cm.LifetimeValueRegressor(5, horizon="90d").fit(train.X, train.y)
    assert two.predict(new).tobytes() == one.predict(new).tobytes()
    back = cm.LifetimeValueRegressor(horizon="90d").set_state(model.get_state())
    assert back.predict(new).tobytes() == model.predict(new).tobytes()
    for ours, theirs in zip(model.predict_interval(new), back.predict_interval(new), strict=True):
        assert theirs.tobytes() == ours.tobytes()
    assert back.details(new).equals(model.details(new))
    assert back.get_state().keys() == model.get_state().keys()


def test_a_damaged_state_is_refused(model: cm.LifetimeValueRegressor) -> None:
    state = model.get_state()
    for key in state:
        with pytest.raises(BundleError):
            cm.LifetimeValueRegressor().set_state({name: part for name, part in state.items() if name != key})
    for key, bad in {
        "design": ["guess"],
        "tiers": np.array([2.0, 1.0, 3.0, 4.0]),
        "offset": np.zeros(8),
        "buyers_purchases": np.empty(0),
        "booster_2": "tree",
    }.items():
        with pytest.raises(BundleError, match=key):
            cm.LifetimeValueRegressor().set_state(state | {key: bad})


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda X, y: cm.LifetimeValueRegressor(discount_rate=0.1).fit(X, y),
            "LifetimeValueRegressor: discount_rate=0.1 needs to know when the money comes. Give the horizon of the "
            "labels: horizon='90d'.",
        ),
        (
            lambda X, y: cm.LifetimeValueRegressor(discount_rate=-1).fit(X, y),
            "LifetimeValueRegressor: discount_rate=-1 must be a number, 0 or more. Use discount_rate=0.0, the default.",
        ),
        (
            lambda X, y: cm.LifetimeValueRegressor(1).fit(X, y).predict(X, horizon="1w"),
            "LifetimeValueRegressor.predict: horizon='1w' is not that of the labels (None), and this model knows no "
            "history of purchases to go on from. Train it with a horizon on presets.standard(log), or leave out "
            "horizon.",
        ),
    ],
)
def test_what_cannot_be_is_refused(train: Shop, act: Any, message: str) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        act(train.X, train.y)
    assert str(caught.value) == message


# Tables that break the peers ---------------------------------------------------------------------------------------


def history(**columns: Any) -> pd.DataFrame:
    count = max(len(np.atleast_1d(values)) for values in columns.values())
    names = {"tenure": "tenure", "recency": "recency", "days": "days_active", "total": "sum_amount"}
    table = {names[key]: np.broadcast_to(values, count).astype(float) for key, values in columns.items()}
    index = pd.MultiIndex.from_product([range(count), [pd.Timestamp("2024-01-01", tz="UTC")]])
    return pd.DataFrame({**table, "decayed_sum_120d_amount": table["sum_amount"] / 2}, index=index.set_names(
        ["customer_id", "as_of"]))  # fmt: skip


GROWING = np.arange(1.0, 301.0)
HOSTILE = {
    "one purchase each": (history(tenure=GROWING, recency=GROWING, days=1, total=10 + GROWING), GROWING % 3),
    "all on one day": (history(tenure=10, recency=10, days=1, total=GROWING), GROWING % 3),
    "all at the cutoff": (history(tenure=0, recency=0, days=1, total=GROWING), GROWING % 3),
    "nothing paid": (history(tenure=GROWING, recency=GROWING / 2, days=3, total=0), GROWING % 3),
    "more returned than bought": (history(tenure=GROWING, recency=GROWING / 2, days=3, total=-5), -GROWING),
    "some returns": (history(tenure=GROWING, recency=GROWING / 2, days=3, total=GROWING - 100), GROWING - 150),
    "one customer": (history(tenure=[50], recency=[5], days=[4], total=[80]), np.array([20.0])),
    "one customer who spends": (history(tenure=GROWING, recency=GROWING / 3, days=2, total=5), GROWING == 7),
    "thousands of orders": (history(tenure=3_000, recency=GROWING % 9, days=2_000 + GROWING, total=1e6), GROWING),
    "nobody has bought": (history(tenure=np.nan, recency=np.nan, days=0, total=np.zeros(300)), GROWING % 2),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tables_end_well(name: str) -> None:
    X, y = HOSTILE[name]
    model = cm.LifetimeValueRegressor(horizon="3650d").fit(X, np.asarray(y, dtype=float))  # beyond any history
    predicted, (low, high) = model.predict(X), model.predict_interval(X)
    assert np.isfinite(predicted).all()
    assert (predicted >= 0).all()
    assert ((low >= 0) & (low <= predicted) & (predicted <= high)).all()
    assert model.details(X)["p_top_tier"].between(0, 1).all()
    back = cm.LifetimeValueRegressor(horizon="3650d").set_state(model.get_state())
    assert back.predict(X).tolist() == predicted.tolist()


# A known truth -----------------------------------------------------------------------------------------------------


def test_intervals_cover_what_they_say_where_the_truth_is_known() -> None:
    everybody, top = [], []
    for seed in range(3):
        data, new = shop(1_500, seed), later(seed + 50, customers=1_500)
        model = cm.LifetimeValueRegressor(horizon="90d").fit(data.X, data.y)
        predicted, (low, high) = model.predict(new.X), model.predict_interval(new.X)
        inside = (low <= new.y) & (new.y <= high)
        everybody.append(inside.mean())
        top.append(inside[predicted >= np.quantile(predicted, 0.9)].mean())
    assert np.mean(everybody) == pytest.approx(0.9, abs=0.02)
    assert np.mean(top) == pytest.approx(0.9, abs=0.04)

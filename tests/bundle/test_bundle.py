"""A bundle scores as the model it was made of, refuses parts that do not fit, and is saved whole."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from sklearn.linear_model import LogisticRegression

import crmml as cm
from tests.bundle.bundles import BOUGHT, CUTOFF, FEATURES, KINDS, LATER, PARTS, bundle, copied, log, saved
from tests.data.test_files import fail_at, visible

COLUMNS = {
    "churn": ["p_churn", "percentile", "risk_band", "reasons"],
    "repurchase": ["p_repurchase", "percentile", "reasons"],  # to come back is no risk
    "value": ["clv", "clv_lo", "clv_hi", "tier", "p_top_tier"],
    "rfm": ["segment"],
    "behaviour": ["segment"],
    "popularity": ["item_id", "rank", "score"],
    "als": ["item_id", "rank", "score"],
}


def rebuilt(original: cm.Bundle, **changes: Any) -> cm.Bundle:
    """The same bundle with other parts."""
    parts = {
        "features": original.features,
        "target": original.target,
        "model": original.model,
        "roles": original.roles,
        "training_cutoffs": original.training_cutoffs,
        "metrics": original.metrics,
        "cleaning": original.cleaning,
        "fingerprint": original.fingerprint,
    }
    return cm.Bundle(**{**parts, **changes})


# Round trip -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_bundle_is_the_saved_one(kind: str, tmp_path: Path) -> None:
    original = rebuilt(
        bundle(kind),
        metrics={"auc": 0.75, "missing": float("nan"), "by_cutoff": [0.7, float("inf")], "rows": np.int64(3)},
        cleaning=[cm.DropMissing("customer_id")],
    )
    loaded = cm.Bundle.load(original.save(tmp_path / "a"))
    assert repr(loaded) == repr(original)
    assert (loaded.features, loaded.target, loaded.roles) == (original.features, original.target, original.roles)
    assert loaded.cleaning == original.cleaning
    assert loaded.fingerprint == original.fingerprint
    assert loaded.training_cutoffs == (pd.Timestamp(CUTOFF, tz="UTC"),)
    assert repr(loaded.metrics) == "{'auc': 0.75, 'missing': nan, 'by_cutoff': [0.7, inf], 'rows': 3}"
    assert_frame_equal(loaded.score(log(), LATER), original.score(log(), LATER), check_exact=True)
    loaded.save(tmp_path / "b")
    for file in (tmp_path / "a").iterdir():
        assert (tmp_path / "b" / file.name).read_bytes() == file.read_bytes()


def test_a_feature_of_several_columns_is_kept_and_scored(tmp_path: Path) -> None:
    """Its model has more columns than the FeatureSet has features."""
    features = [cm.Count(), cm.MeanVector("channel", 4)]
    original = cm.train(log(), features, cm.Churn("60d"), cm.ChurnClassifier(num_iterations=5), CUTOFF, progress=False)
    loaded = cm.Bundle.load(original.save(tmp_path / "vectors"))
    assert loaded.model.n_features_in_ == 1 + 4
    assert_frame_equal(loaded.score(log(), LATER), original.score(log(), LATER), check_exact=True)


@pytest.mark.parametrize("kind", KINDS)
def test_the_columns_of_the_scores(kind: str) -> None:
    scores = bundle(kind).score(log(), [LATER, CUTOFF])
    assert list(scores) == ["customer_id", "as_of", *COLUMNS[kind], "model_id"]
    assert scores["customer_id"].dtype == np.int64  # as in the log
    assert str(scores["as_of"].dtype) == "datetime64[us, UTC]"
    assert set(scores["as_of"]) == {pd.Timestamp(CUTOFF, tz="UTC"), pd.Timestamp(LATER, tz="UTC")}
    assert set(scores["model_id"]) == {bundle(kind).model_id}
    keys = ["customer_id", "as_of", *(["rank"] if "rank" in scores else [])]
    assert scores[keys].equals(scores[keys].sort_values(keys, ignore_index=True))
    assert not scores[keys].duplicated().any()


def test_the_scores_are_those_of_the_model_on_the_table_it_was_trained_on() -> None:
    features, churn, _ = PARTS["churn"]
    X, _ = cm.build_dataset(log(), features, churn, CUTOFF)
    expected = bundle("churn").model.predict_proba(X)[:, 1]
    scores = bundle("churn").score(log(), CUTOFF)
    assert scores["customer_id"].tolist() == X.index.get_level_values("customer_id").tolist()
    assert scores["p_churn"].tolist() == expected.tolist()


def test_the_population_is_drawn_anew_at_scoring() -> None:
    """Customer 1 buys on day 0 only, customer 2 on days 0 and 50; active within 30 days of day 60 is only 2."""
    events = pd.DataFrame({"customer_id": [1, 2, 2, 3], "day": [0, 0, 50, 60], "event_type": "purchase", "amount": 1.0})
    events["timestamp"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(events.pop("day"), unit="D")
    roles = dict.fromkeys(["customer_id", "timestamp", "event_type", "amount"])
    small = cm.InteractionLog(events, **{name: name for name in roles}, timezone="UTC")
    active = cm.Churn("60d", event_type="purchase", active_within="30d")
    scores = rebuilt(bundle("churn"), target=active).score(small, "2024-03-01")  # day 60
    assert scores["customer_id"].tolist() == [2]
    with pytest.raises(cm.DataError) as caught:
        rebuilt(bundle("churn"), target=active).score(small, "2024-02-15")  # day 45: the last purchase is too old
    assert str(caught.value) == (
        "score: nobody is among the Population(event_type='purchase', active_within='30d') as of 2024-02-15. "
        "Use a later as_of, or check the event types of the log: print(log.check())."
    )


def test_columns_may_have_other_names_than_in_training() -> None:
    events = log().events().to_pandas()
    events["timestamp"] = events["timestamp"].dt.tz_localize("UTC")
    other = events.rename(columns={"customer_id": "user", "timestamp": "ts", "event_type": "kind", "amount": "eur"})
    renamed = cm.InteractionLog(other, customer_id="user", timestamp="ts", event_type="kind", amount="eur")
    assert bundle("churn").score(renamed, LATER).equals(bundle("churn").score(log(), LATER))
    without = cm.InteractionLog(other, customer_id="user", timestamp="ts", event_type="kind")
    with pytest.raises(cm.SchemaError, match="the log has no amount"):
        bundle("churn").score(without, LATER)


def test_the_log_is_cleaned_as_in_training() -> None:
    web = cm.Keep("channel", values=["web"])
    cleaned = rebuilt(bundle("churn"), cleaning=[web])
    features, churn, _ = PARTS["churn"]
    X = cm.build_features(log().clean(web), features, LATER, population=churn.population)
    expected = cleaned.model.predict_proba(X)[:, 1].tolist()
    assert cleaned.score(log(), LATER)["p_churn"].tolist() == expected
    assert cleaned.score(log().clean(web), LATER)["p_churn"].tolist() == expected
    assert len(expected) < len(bundle("churn").score(log(), LATER))
    with pytest.raises(cm.ConfigError) as caught:
        cleaned.score(log().clean(cm.DropMissing("channel")), LATER)
    assert str(caught.value) == (
        "score: the log was cleaned by [DropMissing('channel')], but the training log by "
        "[Keep('channel', values=['web'])]: the features would mean something else. "
        "Give the log without cleaning: the bundle cleans it as in training."
    )


# Lists ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["popularity", "als"])
def test_what_was_taken_since_the_training_is_not_recommended(kind: str) -> None:
    seen = cm.build_interactions(log(), BOUGHT, LATER)
    taken = set(zip(seen["customer_id"], seen["item_id"], strict=True))
    before = cm.build_interactions(log(), BOUGHT, CUTOFF)
    assert taken > set(zip(before["customer_id"], before["item_id"], strict=True))
    lists = bundle(kind).score(log(), LATER, k=25)
    assert taken.isdisjoint(zip(lists["customer_id"], lists["item_id"], strict=True))
    items = len(bundle(kind).model.matrix_.item_ids)
    for customer, ranks in lists.groupby("customer_id")["rank"]:
        known = sum(1 for who, _ in taken if who == customer)
        assert ranks.tolist() == list(range(1, len(ranks) + 1))
        assert len(ranks) >= min(25, items - known)  # as many as there are


def test_the_order_of_the_model_is_kept() -> None:
    lists = bundle("als").score(log(), CUTOFF, k=5)
    expected = bundle("als").model.recommend(lists["customer_id"].unique(), k=5)
    assert_frame_equal(lists[list(expected)], expected)


def test_without_a_target_every_customer_with_interactions_gets_a_list() -> None:
    lists = rebuilt(bundle("als"), target=None).score(log(), LATER)
    assert set(lists["customer_id"]) == set(cm.build_interactions(log(), BOUGHT, LATER)["customer_id"])


def test_lists_for_nobody() -> None:
    """The 30 days of the population lie after the last purchase of anybody."""
    small = cm.InteractionLog(
        pd.DataFrame(
            {
                "customer_id": [1, 2],
                "timestamp": pd.to_datetime(["2024-01-01", "2024-05-01"]),
                "event_type": ["purchase", "view"],
                "item_id": ["a", "b"],
            }
        ),
        customer_id="customer_id",
        timestamp="timestamp",
        event_type="event_type",
        item_id="item_id",
        timezone="UTC",
    )
    target = cm.NextItems("30d", event_type="purchase", active_within="30d")
    with pytest.raises(cm.DataError) as caught:
        rebuilt(bundle("popularity"), target=target).score(small, "2024-05-02")
    assert str(caught.value) == (
        "score: nobody is among the Population(event_type='purchase', active_within='30d') as of 2024-05-02. "
        "Use a later as_of, or check the event types of the log: print(log.check())."
    )


# Parts that do not fit ------------------------------------------------------------------------------------

REFUSED = {
    "features": (
        {"features": FEATURES},
        f"Bundle: features is {FEATURES!r}. Use a FeatureSet, or ItemWeights() for a recommender.",
    ),
    "class": (
        {"model": cm.ChurnClassifier},
        "Bundle: <class 'crmml.models.churn.ChurnClassifier'> cannot be stored, it has no get_state() and "
        "set_state(). Use a model of crmml, such as ChurnClassifier().",
    ),
    "foreign": (
        {"model": LogisticRegression()},
        "Bundle: LogisticRegression() cannot be stored, it has no get_state() and set_state(). "
        "Use a model of crmml, such as ChurnClassifier().",
    ),
    "task": (
        {"target": cm.Spend("60d")},
        "Bundle: ChurnClassifier cannot answer for Spend('60d'). Use LifetimeValueRegressor().",
    ),
    "no target": (
        {"target": None},
        "Bundle: ChurnClassifier cannot answer without a target. Use RFMSegmenter().",
    ),
    "items": (
        {"target": cm.NextItems("30d")},
        f"Bundle: features of NextItems('30d') must be ItemWeights(), not {cm.FeatureSet(FEATURES)!r}.",
    ),
    "not items": (
        {"features": cm.ItemWeights()},
        "Bundle: features of Churn('60d', event_type='purchase') must be a FeatureSet, not ItemWeights().",
    ),
    "unfitted": (
        {"model": cm.ChurnClassifier()},
        "Bundle: ChurnClassifier is not fitted on a table with named columns. "
        "Fit it on build_dataset(log, features, target, as_of).X.",
    ),
    "permuted": (
        {"features": cm.FeatureSet(FEATURES[::-1])},
        "Bundle: ChurnClassifier was fitted on other columns than the features make: column 0 is 'recency' in the "
        "model and 'sum_amount_purchase' in the features. Fit it on build_dataset(log, features, target, as_of).X.",
    ),
    "missing": (
        {"features": cm.FeatureSet(FEATURES[:2])},
        "Bundle: ChurnClassifier was fitted on other columns than the features make: column 2 is "
        "'sum_amount_purchase' in the model and missing in the features. "
        "Fit it on build_dataset(log, features, target, as_of).X.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_parts_that_do_not_fit(name: str) -> None:
    changes, message = REFUSED[name]
    with pytest.raises(cm.CrmmlError) as caught:
        rebuilt(bundle("churn"), **changes)
    assert str(caught.value) == message


# The id of a model ----------------------------------------------------------------------------------------


def test_the_id_is_that_of_what_decides_a_score() -> None:
    original = bundle("churn")
    assert rebuilt(original, metrics={"auc": 0.5}).model_id == original.model_id
    others = [
        rebuilt(original, target=cm.Churn("61d", event_type="purchase")),
        rebuilt(original, cleaning=[cm.DropMissing("channel")]),
        rebuilt(original, training_cutoffs=[LATER]),
        rebuilt(original, fingerprint="other"),
        bundle("repurchase"),
    ]
    ids = {other.model_id for other in others} | {original.model_id}
    assert len(ids) == 1 + len(others)


def test_a_default_that_changes_later_changes_nothing(tmp_path: Path) -> None:
    manifest = json.loads((saved("churn", tmp_path) / "bundle.json").read_text())
    assert manifest["target"]["Churn"]["gap"] == "0d"
    assert manifest["features"]["FeatureSet"]["features"][0] == {
        "Recency": {"event_type": None, "channel": None, "where": None, "window": None}
    }
    assert manifest["model"]["ChurnClassifier"].keys() == cm.ChurnClassifier().get_params().keys()


# Saving ---------------------------------------------------------------------------------------------------


def test_nothing_is_replaced_without_being_asked(tmp_path: Path) -> None:
    folder = saved("churn", tmp_path)
    with pytest.raises(cm.ConfigError) as caught:
        bundle("value").save(folder)
    assert str(caught.value) == (
        f"{folder}: there is a bundle already. Give another path, or replace it with save('{folder}', overwrite=True)."
    )
    bundle("value").save(folder, overwrite=True)
    assert cm.Bundle.load(folder).target == cm.Spend("60d")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years of work")
    with pytest.raises(cm.ConfigError) as caught:
        bundle("value").save(tmp_path / "precious", overwrite=True)
    assert str(caught.value) == (
        f"{tmp_path}/precious: there is something else than a bundle. Give another path, or remove it."
    )
    assert (tmp_path / "precious" / "thesis.txt").read_text() == "years of work"
    (tmp_path / "file").write_text("")
    with pytest.raises(cm.ConfigError) as caught:
        bundle("value").save(tmp_path / "file" / "bundle")
    assert str(caught.value) == (
        f"{tmp_path}/file: cannot write there (is a file). Give a folder that you may write to, like ./scores."
    )


def test_a_fault_while_saving_leaves_the_old_bundle_or_the_new(tmp_path: Path) -> None:
    before = saved("popularity", tmp_path)
    for n in range(100):
        folder = copied(before, f"copy-{n}") if n % 2 else tmp_path / f"copy-{n}"
        with pytest.MonkeyPatch.context() as patch:
            taken = fail_at(patch, n, OSError(28, "injected"))
            try:
                bundle("churn").save(folder, overwrite=True)
            except cm.CrmmlError as error:
                assert "No space left on device" in str(error)  # noqa: PT017  (it may also succeed)
        if folder.exists():
            assert cm.Bundle.load(folder).task in {"items", "binary"}
        if len(taken) <= n:
            assert sorted(visible(folder)) == ["arrays.npz", "booster.txt", "bundle.json"]
            return
    pytest.fail("the steps never end")


def test_a_frame_is_no_log_to_score() -> None:
    with pytest.raises(cm.ConfigError) as caught:
        bundle(KINDS[0]).score(log().events().to_pandas(), LATER)
    assert str(caught.value) == ("Bundle.score: log is a DataFrame. Use InteractionLog(source, customer_id=..., ...).")


def test_items_of_another_type_than_in_training_are_refused() -> None:
    events = pd.DataFrame({"u": [1, 2, 2], "t": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"])})
    roles = {"customer_id": "u", "timestamp": "t", "item_id": "sku", "timezone": "UTC"}
    trained = cm.InteractionLog(events.assign(sku=["tea", "tea", "cup"]), **roles)
    model = cm.Popularity().fit(cm.build_interactions(trained, cm.ItemWeights(), "2024-01-04"))
    made = cm.Bundle(cm.ItemWeights(), None, model, roles=trained.roles, training_cutoffs=["2024-01-04"])
    # The first customer has had tea, and is offered the cup.
    assert made.score(trained, "2024-01-04")["item_id"].tolist() == ["cup"]
    with pytest.raises(cm.SchemaError) as caught:
        made.score(cm.InteractionLog(events.assign(sku=[7, 7, 8]), **roles), "2024-01-04")
    assert str(caught.value) == (
        "score: the items of the log are of another type than those of the training log: 7 instead of 'cup'. "
        "Use the same type of item_id in both."
    )

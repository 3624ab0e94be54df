"""From registry to verdict to alias: the challenger takes the champion's place, or does not, on a real store."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.jobs import promote as job
from crmml.jobs.registry import Aliases, Registry
from crmml.report.promotion import Judgement

pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'crmml[mlflow]'")
NAME = "churn"
CHURN = cm.Churn("60d", event_type="purchase", active_within="180d")
DATES = cm.cutoffs("2024-01-01", "2024-08-28", every="60d")
LATER = ["2024-04-01", "2024-06-01", "2024-08-01"]
GOOD = [cm.Recency(event_type="purchase"), cm.Count(event_type="purchase", window="90d"), cm.Count(window="30d")]
# A bundle that has learned nearly nothing: which weekday somebody likes.
POOR = [cm.Count(event_type="purchase", window="1d")]
QUICK = cm.ChurnClassifier(num_iterations=10)


@pytest.fixture(scope="module")
def log() -> cm.InteractionLog:
    return cm.simulate_log(300, seed=1).log


@pytest.fixture(scope="module")
def bundles(log: cm.InteractionLog) -> dict[str, cm.Bundle]:
    def trained(features: Any, model: Any, target: Any = CHURN) -> cm.Bundle:
        return cm.train(log, features, target, model, "2024-01-01", progress=False)

    return {
        "good": trained(GOOD, QUICK),
        "poor": trained(POOR, QUICK),
        "other": trained(GOOD, QUICK, cm.Churn("30d", event_type="purchase")),
        "segments": trained("rfm", cm.RFMSegmenter(), None),
    }


@pytest.fixture(scope="module")
def made(bundles: dict[str, cm.Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the names are pairs: champion, then challenger."""
    file = tmp_path_factory.mktemp("promote") / "mlflow.db"
    for name, pair in {
        NAME: ("poor", "good"),
        "backwards": ("good", "poor"),
        "targets": ("good", "other"),
        "segments": ("segments", "good"),
        "alone": ("good",),
    }.items():
        for kind in pair:
            cm.register(bundles[kind], name, tracking_uri=f"sqlite:///{file}")
    return file


@pytest.fixture
def store(made: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(made, tmp_path / 'mlflow.db')}"


def aliases(store: str, name: str = NAME) -> Aliases:
    return Registry.open("test", name, store).aliases()


def tag_of(store: str, name: str, version: str) -> str:
    with Registry.open("test", name, store).client() as client:
        return str(client.get_model_version(name, version).tags["crmml.promotion"])


def test_a_better_challenger_becomes_champion_and_can_be_rolled_back(
    store: str, log: cm.InteractionLog, bundles: dict[str, cm.Bundle]
) -> None:
    found = cm.promote(NAME, log, DATES, tracking_uri=store, progress=False)
    assert (found.champion, found.challenger, found.moved) == ("1", "2", True)
    assert aliases(store) == Aliases(champion="2", previous="1")
    assert tag_of(store, NAME, "2") == f"promoted against version 1: {found.judgement}"
    # What was compared is what a backtest of each recipe says.
    alone = cm.backtest(log, GOOD, CHURN, QUICK, DATES, progress=False)
    assert found.judgement.table["challenger"].mean() == pytest.approx(alone.metrics["auc"])
    assert found.reports is not None
    assert found.reports["challenger"].metrics == pytest.approx(alone.metrics)
    assert cm.load_bundle(f"models:/{NAME}@champion", tracking_uri=store).model_id == bundles["good"].model_id
    with pytest.raises(cm.DataError) as caught:
        cm.promote(NAME, log, DATES, tracking_uri=store, progress=False)
    assert str(caught.value) == (
        "promote: 'churn' has no challenger, so there is nothing to compare. "
        "Use register(bundle, 'churn', alias='challenger')."
    )
    cm.rollback(NAME, tracking_uri=store)
    assert aliases(store) == Aliases(champion="1")


def test_as_fitted_the_bundles_themselves_are_compared(store: str, log: cm.InteractionLog) -> None:
    """The table is the AUC of what each bundle scores, worked out here from its scores and the labels."""
    found = cm.promote("backwards", log, LATER, refit=False, tracking_uri=store, progress=False)
    assert not found.moved
    assert aliases(store, "backwards") == Aliases(champion="1", challenger="2")
    assert tag_of(store, "backwards", "2").startswith("refused against version 1: AUC -0.")
    champion = cm.load_bundle("models:/backwards@champion", tracking_uri=store)
    for row in found.judgement.table.to_dict("records"):
        X, y = cm.build_dataset(log, champion.features, CHURN, row["as_of"])
        scores = champion.score(log, row["as_of"], details=False).set_index("customer_id")["p_churn"]
        who = X.index.get_level_values("customer_id")
        expected = cm.metrics.auc(y.to_numpy(), scores.loc[who].to_numpy())
        assert row["champion"] == pytest.approx(expected, abs=1e-12)
        assert row["customers"] == len(y)


def test_a_cutoff_that_one_of_them_was_trained_with_is_refused(store: str, log: cm.InteractionLog) -> None:
    with pytest.raises(cm.LeakageError):
        cm.promote("backwards", log, ["2024-02-01", *LATER], refit=False, tracking_uri=store, progress=False)
    assert aliases(store, "backwards") == Aliases(champion="1", challenger="2")


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The verdict is "better" without any work; what happens meanwhile is for a test to put in."""
    meanwhile: list[Any] = []
    at = [pd.Timestamp(f"2024-0{month}-01", tz="UTC") for month in (1, 2, 3)]
    y = np.tile([0.0, 1.0], 60)
    table = pd.concat([pd.DataFrame({"as_of": one, "customer_id": range(120), "y": y}) for one in at])

    def judge(*_: Any) -> Judgement:
        for act in meanwhile:
            act()
        from crmml.report.promotion import judge as real

        champion, challenger = (table.assign(score=score, probability=score) for score in (0.5, table["y"]))
        return real(champion, challenger, "binary")

    monkeypatch.setattr(job, "judge", judge)
    monkeypatch.setattr(job, "_as_fitted", lambda *_: table)
    return meanwhile


def test_aliases_that_somebody_moved_meanwhile_are_left_alone(
    store: str, log: cm.InteractionLog, bundles: dict[str, cm.Bundle], decided: list[Any]
) -> None:
    decided.append(lambda: cm.register(bundles["good"], NAME, alias="champion", tracking_uri=store))
    with pytest.raises(cm.DataError) as caught:
        cm.promote(NAME, log, LATER, refit=False, tracking_uri=store)
    assert str(caught.value) == (
        "promote: the aliases of 'churn' were moved while the models were compared: champion and challenger were "
        "versions 1 and 2, and are 2 and None. Nothing was changed. Run it again."
    )
    assert aliases(store) == Aliases(champion="2", previous="1")


def test_the_same_recipe_trained_later_is_compared_as_fitted(
    store: str, log: cm.InteractionLog, decided: list[Any]
) -> None:
    later = cm.train(log, POOR, CHURN, QUICK, ["2024-01-01", "2024-02-01"], progress=False)
    cm.register(later, NAME, tracking_uri=store)
    with pytest.raises(cm.ConfigError) as caught:
        cm.promote(NAME, log, DATES, tracking_uri=store)
    assert str(caught.value) == (
        "promote: champion and challenger are one recipe, so that trained anew at the same cutoffs they are equal. To "
        "compare them as fitted, use refit=False, with cutoffs after the training of both."
    )
    assert cm.promote(NAME, log, LATER, refit=False, tracking_uri=store).moved
    assert aliases(store) == Aliases(champion="3", previous="1")


def test_what_was_rolled_back_is_not_promoted_again(
    store: str, log: cm.InteractionLog, bundles: dict[str, cm.Bundle], decided: list[Any]
) -> None:
    """The night after a rollback trains the same bundle on the same dates, registers it, and compares it again."""

    def night(**more: Any) -> Any:
        cm.register(bundles["good"], NAME, tracking_uri=store)
        return cm.promote(NAME, log, LATER, refit=False, tracking_uri=store, **more)

    assert night().moved
    cm.rollback(NAME, tracking_uri=store)
    with Registry.open("test", NAME, store).client() as client:
        client.set_model_version_tag(NAME, "2", "crmml.rolled_back", "2025-01-02")
    refused = night()
    assert (refused.moved, refused.rolled_back, refused.judgement.better) == (False, "2025-01-02", True)
    assert str(refused).splitlines()[0] == (
        "churn: version 1 stays champion: version 2 was rolled back on 2025-01-02. Register another, or promote it "
        "with again=True (--again)."
    )
    assert aliases(store) == Aliases(champion="1", challenger="2")
    assert tag_of(store, NAME, "2") == f"refused against version 1, rolled back on 2025-01-02: {refused.judgement}"
    # Another bundle is another version, and is not kept from anything.
    other = cm.train(log, GOOD, CHURN, QUICK, ["2024-01-01", "2024-02-01"], progress=False)
    cm.register(other, NAME, tracking_uri=store)
    assert cm.promote(NAME, log, LATER, refit=False, tracking_uri=store).moved
    cm.rollback(NAME, tracking_uri=store)
    # Somebody knows better.
    asked = night(again=True)
    assert (asked.moved, asked.rolled_back) == (True, None)
    assert aliases(store) == Aliases(champion="2", previous="1")
    assert tag_of(store, NAME, "2") == f"promoted against version 1: {asked.judgement}"


def test_what_is_not_better_is_said_to_be_so_although_it_was_rolled_back(store: str, log: cm.InteractionLog) -> None:
    with Registry.open("test", "backwards", store).client() as client:
        client.set_model_version_tag("backwards", "2", "crmml.rolled_back", "2025-01-02")
    found = cm.promote("backwards", log, LATER, refit=False, tracking_uri=store, progress=False)
    assert (found.moved, found.rolled_back) == (False, None)
    assert str(found).startswith("backwards: version 1 stays champion: version 2 is not proven to be better.\n")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "targets",
            "promote: the champion predicts Churn('60d', event_type='purchase', active_within='180d'), the challenger "
            "Churn('30d', event_type='purchase'): there is no common measure. Register the challenger under another "
            "name.",
        ),
        (
            "segments",
            "promote: segments predict nothing that could be measured. Look at them, and use register(bundle, name, "
            "alias='champion').",
        ),
        (
            "alone",
            "promote: 'alone' has no challenger, so there is nothing to compare. "
            "Use register(bundle, 'alone', alias='challenger').",
        ),
        (
            "nobody",
            "promote: {store}: MLflow says: Registered Model with name=nobody not found. Check it and tracking_uri; "
            "register(bundle, name) makes a name.",
        ),
    ],
)
def test_what_cannot_be_compared_is_said_before_any_work(
    name: str, message: str, store: str, log: cm.InteractionLog
) -> None:
    with pytest.raises(cm.CrmmlError) as caught:
        cm.promote(name, log, DATES, tracking_uri=store)
    assert str(caught.value) == message.format(store=store)


@pytest.mark.parametrize("wrong", [{"again": 1}, {"refit": "false"}])
def test_what_is_asked_by_yes_or_no_takes_no_other_answer(wrong: dict[str, Any], log: cm.InteractionLog) -> None:
    """As a configuration may say it: a text that says no would be taken for yes."""
    [(key, value)] = wrong.items()
    with pytest.raises(cm.ConfigError) as caught:
        cm.promote(NAME, log, DATES, **wrong)
    assert str(caught.value) == f"promote: {key} is {value!r}. Use True or False."


def test_a_log_that_was_cleaned_otherwise_is_refused(store: str, log: cm.InteractionLog) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        cm.promote(NAME, log.clean(cm.DropMissing("amount")), DATES, tracking_uri=store)
    assert str(caught.value) == (
        "promote: the log was cleaned by [DropMissing('amount')], but the training log of the champion by []. Give the "
        "log without cleaning: each bundle cleans it as in its training."
    )

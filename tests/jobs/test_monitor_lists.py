"""Monitoring of recommenders: what is planted is named, what is usual is not, and lists are held to what was taken."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import crmml as cm
from crmml.bundle.list_reference import list_rows
from crmml.bundle.reference import Reference
from crmml.jobs import cli
from crmml.jobs.realised_lists import hit_row
from crmml.report.backtest import BacktestReport
from tests.jobs.drift_lists_world import NEXT, NOW, PLANTED, TRAINING, WEIGHTS, monitored, shop_of_items

REPETITIONS = 200


def day(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


# Worked by hand -------------------------------------------------------------------------------------------

EVENTS = pd.DataFrame(
    [
        ("ann", "2024-01-05", "tea"),
        ("bob", "2024-01-06", "tea"),
        ("bob", "2024-01-07", "cup"),
        ("ann", "2024-03-05", "tea"),
        ("ann", "2024-03-06", "tea"),
        ("ann", "2024-03-07", "pot"),
        ("cyd", "2024-03-08", "cup"),
        ("bob", "2024-04-20", "cup"),
    ],
    columns=["who", "at", "what"],
)


def log_of(events: pd.DataFrame) -> cm.InteractionLog:
    at = pd.to_datetime(events["at"]).dt.tz_localize("UTC")
    roles = {"customer_id": "who", "timestamp": "at", "event_type": "kind", "item_id": "what"}
    return cm.InteractionLog(events.assign(at=at, kind="purchase"), **roles)


SMALL = log_of(EVENTS)
TARGET = cm.NextItems("30d", event_type="purchase")


def test_everything_is_seen_from_the_start_of_the_horizon() -> None:
    """As of April the 1st, 30 days: ann took tea twice and the new pot, cyd is new and took a cup.

    Before that there were three pairs: two of tea, in the middle of which is 1/3, and one of a cup, 2/3 + 1/6.
    """
    weights = cm.ItemWeights(weights={"purchase": 5.0}, half_life="10d")  # which count for nothing here
    model = cm.Popularity().fit(cm.build_interactions(SMALL, weights, day("2024-04-01")))
    X, scores = list_rows(SMALL, weights, TARGET, model, day("2024-04-01"))
    expected = pd.DataFrame(
        {
            "interactions": [3.0, 1.0],
            "new_customer": [0.0, 1.0],
            "new_items": [1 / 2, 0.0],
            "item_popularity": [1 / 3, 2 / 3 + 1 / 6],
        },
        index=pd.MultiIndex.from_product([["ann", "cyd"], [day("2024-04-01")]], names=["customer_id", "as_of"]),
    )
    pd.testing.assert_frame_equal(X, expected, check_index_type=False)
    assert np.isfinite(scores).all()


def test_nothing_at_or_after_the_cutoff_is_seen() -> None:
    model = cm.Popularity().fit(cm.build_interactions(SMALL, cm.ItemWeights(), day("2024-04-01")))
    before, _ = list_rows(SMALL, cm.ItemWeights(), TARGET, model, day("2024-04-01"))
    later = EVENTS["at"] >= "2024-04-01"
    changed = EVENTS.assign(what=EVENTS["what"].mask(later, "another"), who=EVENTS["who"].mask(later, "eve"))
    after, _ = list_rows(log_of(changed), cm.ItemWeights(), TARGET, model, day("2024-04-01"))
    pd.testing.assert_frame_equal(before, after)


def outcome(model: list[float], rule: list[float]) -> BacktestReport:
    kinds = {"model": model, "rule": rule}
    frames = [
        pd.DataFrame({"kind": kind, "customer_id": range(len(hits)), "hit_rate_at_10": hits})
        for kind, hits in kinds.items()
    ]
    return BacktestReport(
        task="items", target="", model="", table=pd.DataFrame(), scores=pd.concat(frames), training_cutoffs=()
    )


def test_lists_that_fall_behind_what_is_popular_are_an_alarm_and_those_ahead_are_none() -> None:
    """Of 100 customers the rule hits 60 and the lists 30 of these: -.3 on average, deviation sqrt(.3 * .7)."""
    behind = hit_row(outcome([1.0] * 30 + [0.0] * 70, [1.0] * 60 + [0.0] * 40))
    assert behind["p_value"] == pytest.approx(norm.cdf(-0.3 * 100**0.5 / 0.21**0.5))
    assert (behind["before"], behind["now"]) == (0.6, 0.3)
    assert behind["effect"] == pytest.approx(0.5)
    ahead = hit_row(outcome([1.0] * 60 + [0.0] * 40, [1.0] * 30 + [0.0] * 70))
    assert ahead["effect"] == 0
    assert ahead["p_value"] > 0.999
    equal = hit_row(outcome([1.0, 0.0], [1.0, 0.0]))
    assert (equal["effect"], equal["p_value"]) == (0.0, 1.0)


# On a shop with known truth -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained() -> tuple[cm.Bundle, cm.InteractionLog]:
    log = shop_of_items(1, customers=400)
    return cm.train(log, WEIGHTS, NEXT, cm.Popularity(), TRAINING, progress=False), log


def test_the_same_function_the_same_table_the_same_exit_code(
    trained: tuple[cm.Bundle, cm.InteractionLog], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, log = trained
    loaded = cm.Bundle.load(bundle.save(tmp_path / "bundle"))
    report = cm.monitor(loaded, log, NOW)
    assert report.table["column"].tolist() == [
        "customers",
        "interactions",
        "new_customer",
        "new_items",
        "item_popularity",
        "score",
        "coverage",
        "hit rate against popularity",
    ]
    assert report.table["kind"].unique().tolist() == ["population", "feature", "score", "coverage", "level"]
    assert (report.exit_code, report.notes, report.compared_with) == (0, (), 7)
    table = report.table.set_index("column")
    active = cm.build_interactions(log, cm.ItemWeights(weights=WEIGHTS.weights, window="60d"), NOW)
    assert table.loc["customers", "now"] == active["customer_id"].nunique()
    given = set(bundle.score(log, NOW, k=1)["customer_id"])  # who has bought something, ever
    asked = active["customer_id"].drop_duplicates()
    assert table.loc["coverage", "now"] == pytest.approx(asked.isin(given).mean())
    assert table.loc["hit rate against popularity", "effect"] == 0  # what is popular against what is popular
    assert table.loc[["score", "coverage"], "p_value"].isna().all()
    text = str(report)
    assert "against   7 training cutoffs, until 2024-08-23" in text
    assert "Recommended as of 2024-10-22 and realised since, " in text
    # The command says the same.
    events = log.events().to_pandas()
    events.assign(timestamp=events["timestamp"].dt.tz_localize("UTC")).to_parquet(tmp_path / "log.parquet", index=False)
    until = NOW.strftime("%Y-%m-%d")
    assert cli.main(["monitor", str(tmp_path / "bundle"), str(tmp_path / "log.parquet"), "--as-of", until]) == 0
    assert capsys.readouterr().out.startswith(f"Monitor of Popularity ({bundle.model_id}) as of {until}\n")


def test_no_customer_is_in_the_bundle(trained: tuple[cm.Bundle, cm.InteractionLog]) -> None:
    """Counts of bins, by cutoff and half of the customers, and limits: nothing as long as the customers."""
    bundle, _ = trained
    assert bundle.reference is not None
    arrays = bundle.reference.arrays()
    assert arrays["reference.counts"].shape == (7, 2, int((arrays["reference.n_limits"] + 2).sum()))
    assert max(len(array) for array in arrays.values()) <= 50


def test_fewer_cutoffs_keep_no_reference_and_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reference, "of", None)
    bundle = cm.train(SMALL, cm.ItemWeights(), TARGET, cm.Popularity(), ["2024-03-20", "2024-04-01"], progress=False)
    assert bundle.reference is None


def test_a_quiet_time_in_the_past_is_no_reason_not_to_train() -> None:
    """Nobody took anything in February, and before February the 4th there is no horizon of log."""
    dates = ["2024-02-01", "2024-03-01", "2024-03-10", "2024-03-20", "2024-04-01"]
    bundle = cm.train(SMALL, cm.ItemWeights(), TARGET, cm.Popularity(), dates, progress=False)
    assert bundle.reference is not None
    assert bundle.reference.customers.tolist() == [2, 2, 2]  # ann and cyd


def test_a_day_without_interactions_is_said(trained: tuple[cm.Bundle, cm.InteractionLog]) -> None:
    bundle, log = trained
    events = log.events().to_pandas()
    events["timestamp"] = events["timestamp"].dt.tz_localize("UTC")
    roles = {name: name for name in ("customer_id", "timestamp", "event_type", "item_id")}
    silent = cm.InteractionLog(events[events["timestamp"] < NOW - pd.Timedelta(days=60)], **roles, observed_until=NOW)
    with pytest.raises(cm.DataError) as caught:
        cm.monitor(bundle, silent, NOW)
    assert str(caught.value) == (
        "monitor: nobody had an interaction of ItemWeights(weights={'purchase': 1.0, 'view': 0.2}) in the 60d before "
        "2024-12-21. Use another as_of, or check the event types of the log: print(log.check())."
    )


@pytest.mark.slow
@pytest.mark.parametrize("drift", PLANTED)
def test_what_is_planted_is_named(drift: str) -> None:
    report = monitored(300, drift=drift)
    named = set(report.alarms["column"])
    assert named
    assert named <= PLANTED[drift]
    assert report.exit_code == 3


@pytest.mark.repetitions
def test_over_200_repetitions_the_stated_rate_holds() -> None:
    """Of 200 at 5 %, 20 or more would have a chance of one in a thousand."""
    alarmed = sum(not monitored(seed).alarms.empty for seed in range(REPETITIONS))
    print(f"recommenders, nothing changes: alarm in {alarmed} of {REPETITIONS}")
    assert alarmed < 20


@pytest.mark.repetitions
@pytest.mark.parametrize("drift", PLANTED)
def test_over_200_repetitions_what_is_planted_is_named(drift: str) -> None:
    right = PLANTED[drift]
    named = [set(monitored(seed, drift=drift).alarms["column"]) for seed in range(REPETITIONS)]
    found, false = sum(bool(one & right) for one in named), sum(bool(one - right) for one in named)
    print(f"recommenders, {drift}: named in {found} of {REPETITIONS}, another in {false}")
    assert found == REPETITIONS

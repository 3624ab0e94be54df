"""Monitoring finds what was planted and names it, and leaves alone what is only chance or habit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.jobs import cli
from tests.bundle.bundles import OLD_FORMATS, bundle, log
from tests.jobs.drift_world import CHURN, FEATURES, NOW, PLANTED, TRAINING, monitored, shop

REPETITIONS = 4  # python -m tests.jobs.drift_world 200


@pytest.fixture(scope="module")
def trained() -> tuple[cm.Bundle, cm.InteractionLog]:
    calm = shop(100)
    model = cm.ChurnClassifier(num_iterations=10, num_leaves=7, n_jobs=1)
    return cm.train(calm, FEATURES, CHURN, model, TRAINING, progress=False), calm


@pytest.mark.slow
def test_where_nothing_changes_nothing_is_named() -> None:
    """At most 5 % of the repetitions may raise an alarm: of 4, two or more would have a chance of 1.4 %."""
    alarmed = [not monitored(seed).alarms.empty for seed in range(200, 200 + REPETITIONS)]
    assert sum(alarmed) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("drift", PLANTED)
def test_what_is_planted_is_named(drift: str) -> None:
    report = monitored(300, drift=drift)
    named = set(report.alarms["column"])
    assert named >= {"share_purchase_app_180d"} if drift == "all by app" else named >= PLANTED[drift]
    assert report.exit_code == 3
    assert "ALARM" in str(report)


@pytest.mark.repetitions
def test_over_200_repetitions_the_stated_rate_holds() -> None:
    """Of 200 at 5 %, 20 or more would have a chance of one in a thousand."""
    alarmed = sum(not monitored(seed).alarms.empty for seed in range(200))
    print(f"\nnothing changes: alarm in {alarmed} of 200, stated at most 5 %")
    assert alarmed < 20


@pytest.mark.repetitions
@pytest.mark.parametrize("drift", PLANTED)
def test_over_200_repetitions_what_is_planted_is_named(drift: str) -> None:
    right = {"share_purchase_app_180d"} if drift == "all by app" else PLANTED[drift]
    named = [set(monitored(seed, drift=drift).alarms["column"]) for seed in range(200)]
    found = sum(names >= right for names in named)
    print(f"\n{drift}: all of {', '.join(sorted(right))} named in {found} of 200")
    assert found > 190


def test_the_table_says_what_is_there(trained: tuple[cm.Bundle, cm.InteractionLog]) -> None:
    churn, calm = trained
    report = cm.monitor(churn, calm, NOW)
    table = report.table.set_index("column")
    X = cm.build_features(calm, FEATURES, NOW, population=CHURN.population)
    assert table.loc["customers", "now"] == len(X)
    assert churn.reference is not None
    assert table.loc["customers", "before"] == pytest.approx(np.exp(np.log(churn.reference.customers).mean()))
    row = table.loc["recency_purchase"]
    limit = float(row["where"].removeprefix("<= "))
    assert row["now"] == pytest.approx((X["recency_purchase"] <= limit).mean())
    past = cm.build_dataset(calm, FEATURES, CHURN, TRAINING).X["recency_purchase"]
    assert row["before"] == pytest.approx((past <= limit).groupby("as_of").mean().mean())
    assert row["distance"] == pytest.approx(abs(row["now"] - row["before"]))
    # Predictions one horizon earlier, behind everything the training has seen, against what happened since.
    earlier = NOW - CHURN.reach
    scores = churn.score(calm, earlier)["p_churn"]
    assert table.loc["predicted against realised", "before"] == pytest.approx(scores.mean())
    truth = cm.build_dataset(calm, FEATURES, CHURN, earlier).y
    assert table.loc["predicted against realised", "now"] == pytest.approx(truth.mean())
    assert (report.exit_code, report.notes) == (0, ())
    assert "no alarm" in str(report)
    pytest.importorskip("matplotlib")
    bars = report.figure().axes[0]
    assert len(bars.patches) == len(bars.get_yticklabels()) == len(FEATURES) + 2  # features, score, label


def test_before_the_horizon_has_passed_it_says_when(trained: tuple[cm.Bundle, cm.InteractionLog]) -> None:
    churn, calm = trained
    report = cm.monitor(churn, calm, NOW - pd.Timedelta(days=61))
    assert report.realised is None
    assert report.notes == (
        "Predicted against realised: the training has seen what happened until 2024-08-23, so predictions can be "
        "tested from 2024-10-22 on.",
    )
    assert set(report.table["kind"]) == {"population", "feature", "score"}


def test_too_few_cutoffs_are_shown_and_not_tested() -> None:
    report = cm.monitor(bundle("churn"), log(), "2024-12-01")
    assert report.table["p_value"].isna().all()
    assert report.exit_code == 0
    assert report.notes[0] == (
        "Drift is shown and not tested: with 1 training cutoff nobody knows how much is usual. "
        "Train on at least 3 cutoffs."
    )
    assert "Verdict: not tested" in str(report)


@pytest.mark.parametrize("kind", ["value", "rfm", "behaviour"])
def test_other_kinds_of_models(kind: str) -> None:
    table = cm.monitor(bundle(kind), log(), "2024-12-01").table
    expected = ["population", "feature", "score", *(["level", "label"] if kind == "value" else [])]
    assert table["kind"].unique().tolist() == expected


def test_a_bundle_without_reference_and_wrong_arguments(trained: tuple[cm.Bundle, cm.InteractionLog]) -> None:
    old = cm.Bundle.load(OLD_FORMATS / "format_1" / "churn")
    lists = bundle("popularity")
    churn, calm = trained
    calls: dict[str, Callable[[], object]] = {
        f"monitor: the bundle {old.model_id} has no reference distributions: it was trained before crmml kept them. "
        "Train it anew with train().": lambda: cm.monitor(old, log(), "2024-12-01"),
        f"monitor: the bundle {lists.model_id} has no reference distributions: a recommender keeps them where it was "
        "trained with at least three cutoffs, each a horizon or more after the first event. Train it anew with them: "
        "train(..., as_of=cutoffs(start, end, every='30d')).": lambda: cm.monitor(lists, log(), "2024-12-01"),
        "monitor: log is 'events.parquet'. Use InteractionLog(source, customer_id=..., ...).": lambda: cm.monitor(
            churn,
            "events.parquet",  # type: ignore[arg-type]
            NOW,
        ),
        "monitor: false_alarms is 5. Use a number between 0 and 1, such as false_alarms=0.05.": lambda: cm.monitor(
            churn, calm, NOW, false_alarms=5
        ),
    }
    for message, call in calls.items():
        with pytest.raises(cm.ConfigError) as caught:
            call()
        assert str(caught.value) == message


def test_the_command_ends_with_3_where_there_is_an_alarm(
    trained: tuple[cm.Bundle, cm.InteractionLog], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    churn, _ = trained
    folder = churn.save(tmp_path / "bundle")
    for name, seed, drift, expected in (("calm", 100, None, 0), ("dear", 100, "prices", 3)):
        source = tmp_path / f"{name}.parquet"
        events = shop(seed, drift=drift).events().to_pandas()
        events.assign(timestamp=events["timestamp"].dt.tz_localize("UTC")).to_parquet(source, index=False)
        table = tmp_path / f"{name}.csv"
        code = cli.main(["monitor", str(folder), str(source), "--as-of", "2024-12-20", "--table", str(table)])
        printed = capsys.readouterr()
        assert (code, printed.err) == (expected, "")
        assert ("ALARM" in printed.out) is (expected == 3)
        alarms = pd.read_csv(table).query("alarm")["column"].tolist()
        assert bool(alarms) is (expected == 3)
    config = tmp_path / "monitor.yaml"
    roles = "".join(f"    {name}: {name}\n" for name in ("customer_id", "timestamp", "event_type", "amount", "channel"))
    config.write_text(
        f"log:\n  InteractionLog:\n    source: {tmp_path}/dear.parquet\n{roles}bundle: {folder}\nas_of: 2024-12-20\n"
    )
    assert cli.main(["monitor", str(config)]) == 3
    assert cli.main(["monitor", str(folder), str(tmp_path / "dear.parquet")]) == 1
    assert capsys.readouterr().err == (
        f"crmml: {tmp_path}/dear.parquet: as of when? Add --as-of 2024-10-01, or the key 'as_of' to a configuration.\n"
    )

"""Early warnings on a log small enough to count by hand."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.jobs import early_warning as job
from crmml.metrics import auc, lift
from crmml.report.early_warning import WeightedLift, alone
from tests.models.mutants import dies

START = pd.Timestamp("2024-01-01", tz="UTC")
CHURN = cm.Churn("10d", event_type="purchase", active_within="20d")


def day(number: int) -> pd.Timestamp:
    return START + pd.Timedelta(number, unit="D")


def log() -> cm.InteractionLog:
    """Day 40 is looked at, in windows of 20 days: [0, 20) and [20, 40)."""
    rows = [
        # a: four purchases of 10 each of four items, then one
        *(("a", day, "purchase", f"a{day}", 10.0, "web") for day in (1, 5, 9, 19)),
        ("a", 20, "purchase", "a1", 10.0, "web"),
        # b: as often as before, but for a quarter of the money; once in the shop, then only on the web
        ("b", 2, "purchase", "x", 40.0, "shop"),
        ("b", 8, "purchase", "y", 40.0, "web"),
        ("b", 22, "purchase", "x", 10.0, "web"),
        ("b", 39, "purchase", "y", 10.0, "web"),
        # c: new, had nothing to lose; d: silent for 20 days and no longer active
        ("c", 30, "purchase", "x", 5.0, "web"),
        ("d", 19, "purchase", "x", 5.0, "web"),
        # e: more than before; the view counts as activity, and the purchase at the cutoff is the future
        ("e", 15, "purchase", "x", 5.0, "web"),
        ("e", 25, "purchase", "x", 5.0, "web"),
        ("e", 26, "view", "x", None, "web"),
        ("e", 40, "purchase", "x", 5.0, "web"),
        ("end", 0, "purchase", "x", 5.0, "web"),
        ("end", 60, "purchase", "x", 5.0, "web"),
    ]
    frame = pd.DataFrame(rows, columns=["who", "at", "kind", "sku", "value", "channel"])
    return cm.InteractionLog(
        frame.assign(at=[day(number) for number in frame["at"]]),
        customer_id="who",
        timestamp="at",
        event_type="kind",
        item_id="sku",
        amount="value",
        channel="channel",
    )


def drops(found: Any) -> dict[tuple[str, str], tuple[float, float, float]]:
    rows = found.table.itertuples()
    return {(row.customer_id, row.indicator): (row.before, row.now, row.drop) for row in rows}


def each_is_compared_with_their_own_past(module: ModuleType) -> None:
    found = module.early_warning(log(), CHURN, day(40), window="20d")
    assert drops(found) == {
        ("a", "frequency"): (4.0, 1.0, 1 - 1 / 4),
        ("a", "value"): (40.0, 10.0, 1 - 10 / 40),
        ("a", "items"): (4.0, 1.0, 1 - 1 / 4),
        ("a", "activity"): (4.0, 1.0, 1 - 1 / 4),
        ("b", "value"): (80.0, 20.0, 1 - 20 / 80),
        ("b", "channels"): (2.0, 1.0, 1 - 1 / 2),
    }
    assert found.active == 4  # a, b, c, e: d was last seen one day too early
    # a, b and e had something to lose; each indicator of theirs is judged.
    assert found.indicators["customers"].to_dict() == dict.fromkeys(found.indicators.index, 3)
    assert found.indicators.loc["value", "dropped"] == 2 / 3


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('keys["as_of"] - self.length', 'keys["as_of"]'),
        ("1.0 - left", "left"),
        ("population=self.target.population", "population=None"),
    ],
    ids=["compare with now", "drop turned round", "the long gone, too"],
)
def test_mutants_die(old: str, new: str, tmp_path: Path) -> None:
    dies(each_is_compared_with_their_own_past, job, old, new, tmp_path)


def test_the_dates_of_the_windows_stand_beside_the_drop() -> None:
    table = cm.early_warning(log(), CHURN, day(40), window="20d").table
    for column, moment in (("before_from", day(0)), ("now_from", day(20)), ("as_of", day(40))):
        assert set(table[column]) == {moment}
    assert table["customer_id"].tolist() == sorted(table["customer_id"])


def test_only_drops_of_the_asked_size_are_in_the_table() -> None:
    table = cm.early_warning(log(), CHURN, day(40), window="20d", least=0.6).table
    assert set(zip(table["customer_id"], table["indicator"], strict=True)) == {
        ("a", "frequency"),
        ("a", "value"),
        ("a", "items"),
        ("a", "activity"),
        ("b", "value"),
    }


def test_the_future_changes_nothing() -> None:
    events = log().events().to_pandas()
    roles = {name: name for name in ("customer_id", "timestamp", "event_type", "item_id", "amount", "channel")}
    past = events[events["timestamp"] < day(40).tz_convert(events["timestamp"].dt.tz)]
    pd.testing.assert_frame_equal(
        cm.early_warning(cm.InteractionLog(past, **roles, timezone="UTC"), CHURN, day(40), window="20d").table,
        cm.early_warning(log(), CHURN, day(40), window="20d").table,
    )


def test_an_indicator_is_measured_on_earlier_cutoffs_whose_labels_are_complete() -> None:
    simulated = cm.simulate_log(400, seed=2).log
    churn = cm.Churn("60d", event_type="purchase", active_within="180d")
    found = cm.early_warning(simulated, churn, "2024-09-01", window="60d", cutoffs=["2024-05-01", "2024-07-03"])
    count = cm.Count(event_type="purchase", window="60d")
    areas, lifts = [], []
    for cutoff in found.cutoffs:
        X, y = cm.build_dataset(simulated, [count], churn, cutoff)
        past = cm.build_features(simulated, [count], cutoff - pd.Timedelta(60, unit="D")).droplevel("as_of")
        before = past.reindex(X.index.get_level_values("customer_id")).fillna(0.0).to_numpy()[:, 0]
        drop = np.clip(1 - X.to_numpy()[before > 0, 0] / before[before > 0], 0, 1)
        areas.append(auc(y.to_numpy()[before > 0], drop))
        lifts.append(lift(y.to_numpy()[before > 0], drop))
    row = found.indicators.loc["frequency"]
    assert row["auc"] == pytest.approx(np.mean(areas), abs=1e-12)
    assert row["lift"] == pytest.approx(np.mean(lifts), abs=1e-12)
    assert row["auc_lo"] < row["auc"] < row["auc_hi"]
    assert row["auc_lo"] > 0.5  # who buys less often leaves more often: so the log is simulated


def test_the_default_cutoffs_are_purged_and_have_both_windows() -> None:
    found = cm.early_warning(log(), CHURN, day(60), window="10d")
    # One horizon of 10 days apart, the last with labels until day 60, the first with windows from day 0 on.
    assert found.cutoffs == (day(20), day(30), day(40), day(50))


def test_a_log_without_earlier_cutoffs_measures_nothing() -> None:
    found = cm.early_warning(log(), CHURN, day(40), window="20d")
    assert found.cutoffs == ()
    assert found.indicators["auc"].isna().all()
    assert str(found) == (
        "Early warning for Churn('10d', event_type='purchase', active_within='20d')\n"
        "  compares  2024-01-21 to 2024-02-10 with 2024-01-01 to 2024-01-21\n"
        "  active    4 customers, 2 with a warning\n"
        "  measured  on no earlier cutoff: the log is too short\n"
        "\n"
        "                 had any  dropped      AUC alone (95 %)     lift at 10 % (95 %)\n"
        "  frequency            3   33.3%                     -                       -\n"
        "  value                3   66.7%                     -                       -\n"
        "  items                3   33.3%                     -                       -\n"
        "  channels             3   33.3%                     -                       -\n"
        "  activity             3   33.3%                     -                       -"
    )


def test_a_log_of_purchases_alone_has_frequency_alone() -> None:
    frame = pd.DataFrame({"who": ["a", "a", "b"], "at": [day(0), day(30), day(40)]})
    bare = cm.InteractionLog(frame, customer_id="who", timestamp="at", event_type=cm.Constant("purchase"))
    assert list(cm.early_warning(bare, cm.Churn("10d"), day(40), window="20d").indicators.index) == ["frequency"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"target": cm.Spend("60d")},
            cm.ConfigError,
            "early_warning: target is Spend('60d'). Use for example Churn('60d', active_within='180d').",
        ),
        (
            {"least": 0},
            cm.ConfigError,
            "early_warning: least is 0. Use a share above 0 and at most 1, such as least=0.5.",
        ),
        (
            {"as_of": day(30)},
            cm.ConfigError,
            "early_warning: the windows begin on 2023-12-22, before the first event of the log (2024-01-01). "
            "Use as_of >= 2024-02-10, or a shorter window.",
        ),
        (
            {"cutoffs": [day(35)]},
            cm.LeakageError,
            "hold-out cutoff 2024-02-10 is nearer than one horizon (10d) to the last training cutoff 2024-02-05: its "
            "labels reach to 2024-02-15 and know what the hold-out should predict. Train on cutoffs <= 2024-01-31, "
            "or hold out a cutoff >= 2024-02-15.",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    asked: dict[str, Any] = {"target": CHURN, "as_of": day(40), "window": "20d"} | arguments
    with pytest.raises(error) as caught:
        cm.early_warning(log(), **asked)
    assert str(caught.value) == message


def test_lift_of_a_tenth_counts_ties_in_proportion() -> None:
    rng = np.random.default_rng(0)
    for n in (7, 10, 33):
        y, score = (np.arange(n) % 3 == 0).astype(float), rng.integers(0, 4, n).astype(float)
        times = rng.integers(0, 3, n)
        # A customer who weighs 2 is there twice.
        expected = lift(np.repeat(y, times), np.repeat(score, times))
        assert WeightedLift(y, score, np.arange(n)).value(times.astype(float)) == pytest.approx(expected)


def test_labels_of_one_class_measure_nothing() -> None:
    drops = pd.DataFrame({"customer_id": [1, 2], "as_of": [0, 0], "drop": [0.1, 0.2], "y": [1.0, 1.0]})
    assert np.isnan(list(alone(drops).values())).all()

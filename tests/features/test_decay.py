"""DecayedSum by hand, and mutants of its SQL that the oracle has to find."""

from random import Random
from typing import Any

import pandas as pd
import pytest

import crmml as cm
from tests.features.compare import feature_differences
from tests.features.mutants import Mutant, built_in
from tests.features.strategies import EPOCH, anchored, random_rows

CUTOFFS = [EPOCH, EPOCH + 1]
ROWS = anchored(random_rows(Random(17), CUTOFFS, customers=80, events=12))
FEATURES: list[Any] = [
    cm.DecayedSum("amount", half_life="36h", window="3d"),
    cm.DecayedSum("amount", half_life="1w", event_type="purchase"),
]
MUTANTS = [
    Mutant("window: <= becomes <", r"age_us <= ", "age_us < "),
    Mutant("the older, the more", r"POWER\(0\.5", "POWER(2.0"),
    Mutant("linear, not a power", r"POWER\(0\.5, \(", "(1 - ("),
    Mutant("a weight of two decimals", r"\) \* 1000000000000\) AS BIGINT", ") * 100) * 10000000000 AS BIGINT"),
    Mutant("values of whole numbers", r"DECIMAL\(38, 6\)", "DECIMAL(38, 0)"),
    Mutant("half a half-life", r"AS DOUBLE\)\)\)", "AS DOUBLE) / 2))"),
    Mutant("nothing is missing", r"COALESCE\((\S+), 0\)", r"\1"),
]


def days_ago(*ages: float, amounts: list[float]) -> cm.InteractionLog:
    """One customer's purchases, so many days before 2024-06-01; and one event after it."""
    at = pd.Timestamp("2024-06-01", tz="UTC") - pd.to_timedelta(list(ages), unit="D")
    frame = pd.DataFrame({"u": 1, "t": [*at, pd.Timestamp("2024-07-01", tz="UTC")], "amount": [*amounts, 999.0]})
    return cm.InteractionLog(frame, customer_id="u", timestamp="t", amount="amount")


def decayed(log: cm.InteractionLog, **parameters: Any) -> float:
    table = cm.build_features(log, [cm.DecayedSum("amount", **parameters)], "2024-06-01")
    return float(table.iloc[0, 0])


def test_an_event_counts_half_after_each_half_life() -> None:
    log = days_ago(30, 60, 90, amounts=[8.0, 8.0, -8.0])
    assert decayed(log, half_life="30d") == 8 / 2 + 8 / 4 - 8 / 8
    assert decayed(log, half_life="30d", window="60d") == 8 / 2 + 8 / 4
    assert decayed(log, half_life="60d") == pytest.approx(8 * 2**-0.5 + 8 / 2 - 8 * 2**-1.5, abs=1e-11)


def test_steady_spend_sums_to_its_rate_times_the_mean_lifetime() -> None:
    # A penny every day: sum of 0.5^(n / 120) over n = 1, 2, ... 1200 is a geometric series.
    log = days_ago(*range(1, 1201), amounts=[0.01] * 1200)
    q = 0.5 ** (1 / 120)
    assert decayed(log) == pytest.approx(0.01 * q * (1 - q**1200) / (1 - q), rel=1e-10)


def test_what_is_very_old_counts_nothing() -> None:
    # After 41 half-lives the weight is below half of the least decimal of twelve places.
    assert decayed(days_ago(42, 10_000, amounts=[1e11, 1e11]), half_life="1d") == 0.0


def test_without_events_it_is_zero() -> None:
    assert decayed(days_ago(30, amounts=[8.0]), window="10d") == 0.0


def test_a_half_life_that_is_no_duration_is_refused() -> None:
    with pytest.raises(cm.ConfigError) as caught:
        cm.DecayedSum("amount", half_life="4 months")
    assert str(caught.value).startswith("DecayedSum: half_life")


def test_without_a_mutant_everything_agrees() -> None:
    assert feature_differences(ROWS, FEATURES, CUTOFFS) == []


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_the_oracle_finds_the_mutant(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    with built_in(mutant, monkeypatch):
        differences = feature_differences(ROWS, FEATURES, CUTOFFS)
    assert differences != []

"""Named mutants of quantiles, concentration and first values: each one is built in, and the oracle must object."""

from random import Random
from typing import Any

import pytest

import crmml as cm
from tests.features.compare import feature_differences
from tests.features.mutants import Mutant, built_in
from tests.features.strategies import EPOCH, anchored, random_rows

CUTOFFS = [EPOCH, EPOCH + 1]
ROWS = anchored(random_rows(Random(13), CUTOFFS, customers=120, events=12))
FEATURES: list[Any] = [
    cm.Median("amount", window="3d"),
    cm.Quantile("amount", q=0.9, event_type="purchase"),
    cm.Entropy("item_id", window="3d"),
    cm.TopShare("item_id", window="3d"),
    cm.RepeatShare("item_id", window="3d"),
    cm.TopValue("item_id", window="3d"),
    cm.NUnique("item_id"),  # pairs that the others must not count
    cm.First("plan", window="3d"),
]
MUTANTS = [
    Mutant("window: <= becomes <", r"age_us <= ", "age_us < "),
    Mutant("window: forgotten in the pairs", r"COUNT_IF\(age_us <= \d+\)( AS BIGINT\), 0\) AS n)", r"COUNT(*)\1"),
    Mutant("median: the lower of the middle two", r"MEDIAN\((.*?END)\)", r"QUANTILE_DISC(\1, 0.5)"),
    Mutant("quantile: not interpolated", r"QUANTILE_CONT", "QUANTILE_DISC"),
    Mutant("quantile: from the other end", r", 0\.9\)", ", 0.1)"),
    Mutant("entropy: values that come twice add nothing", r"CASE WHEN n > 1 THEN", "CASE WHEN n > 2 THEN"),
    Mutant("entropy: to another base", r"THEN LN\(", "THEN LOG2("),
    Mutant("entropy: 0 without a value", r"(WHEN \S+n_of_entropy_item_id_3d) > 0 THEN", r"\1 >= 0 THEN"),
    Mutant("repeated: twice is not again", r"n >= 2", "n > 2"),
    Mutant("repeated: of values outside of the window", r"n >= 1", "n >= 0"),
    Mutant("top value: ties to the least", r"MAX(\(pairs_1\.item_id\) AS top_value)", r"MIN\1"),
    Mutant("top value: any value that is there", r"pairs_1\.n = \S+ AND ", ""),
    Mutant("top value: values that are not there", r" AND pairs_1\.n > 0", ""),
    Mutant("top share: of the values, not of the events", r"SUM(\(n\) AS n_of_entropy)", r"COUNT\1"),
    Mutant("first: the last", r"MAX(\(CASE WHEN [^)]* END\) AS \w+_first_us)", r"MIN\1"),
    Mutant("first: ties to the least", r"MAX(\(CASE WHEN [^)]* END\) AS first_value)", r"MIN\1"),
    Mutant("first: the first event, with a value or without", r' AND NOT "plan" IS NULL THEN age_us', " THEN age_us"),
]


def test_without_a_mutant_everything_agrees() -> None:
    assert feature_differences(ROWS, FEATURES, CUTOFFS) == []


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_the_oracle_finds_the_mutant(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    with built_in(mutant, monkeypatch):
        differences = feature_differences(ROWS, FEATURES, CUTOFFS)
    assert differences != []

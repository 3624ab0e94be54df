"""Lines that a slip would turn into a plausible but wrong rule: each mutant has to die."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from crmml.insight import baskets, rules, significance
from tests.insight.test_rules import baskets_of
from tests.insight.test_significance import ONE_OTHER, ZERO_BRINGS_ONE
from tests.models.mutants import dies


def sizes_are_compared_alike(module: ModuleType) -> None:
    assert module.p_value((0,), 1, ONE_OTHER.of) == pytest.approx(26 / 252)


def every_item_contributes(module: ModuleType) -> None:
    assert module.p_value((0, 2), 1, ZERO_BRINGS_ONE.of) > 0.05


def chance_of_at_least(module: ModuleType) -> None:
    one = np.array([1])
    assert module.tail(3, 6 * one, 3 * one, 3 * one) == pytest.approx(1 / 20)


def just_met_counts(module: ModuleType) -> None:
    found = module.association_rules(
        baskets_of(["ab"] * 8 + ["a"] * 2 + ["c"] * 87), min_support=8 / 97, min_confidence=0.8, hold_out=0
    )
    assert len(found) == 2


def many_rules_are_corrected_for(module: ModuleType) -> None:
    p_values = np.array([0.004] + [0.5] * 9)
    assert module._discovery(p_values).min() == pytest.approx(0.04)
    assert module._layered(p_values, [((0,), 1)] * 10, 5, 3).min() == pytest.approx(
        0.004 * 5 * 4 * 2
    )  # five items, each with four others, two lengths


def the_later_half_tests(module: ModuleType) -> None:
    table = pd.DataFrame({"basket_id": range(10), "item_id": "a", "at": range(10)})
    search, test = module.Baskets.from_frame(table, timestamp="at").divided(0.3)
    assert (search.times.max(), test.times.tolist()) == (6, [7, 8, 9])


def rows_follow_their_times(module: ModuleType) -> None:
    table = pd.DataFrame({"basket_id": [1, 2, 3], "item_id": list("abc"), "at": [5, 9, 1]})
    made = module.Baskets.from_frame(table, timestamp="at")
    assert made.lines.toarray().argmax(axis=1).tolist() == [2, 0, 1]


Check = Callable[[ModuleType], None]
MUTANTS: dict[str, tuple[ModuleType, str, str, Check]] = {
    "baskets with the item are one larger than those without": (
        significance, "drawn, hits = with_all[1:], both[1:]", "drawn, hits = with_all[:-1], both[:-1]",
        sizes_are_compared_alike,
    ),
    "any item of the antecedent is enough": (
        significance, "return max(_without", "return min(_without", every_item_contributes,
    ),
    "more than instead of at least": (
        significance, "total[max(hits - lowest, 0) :]", "total[max(hits - lowest, 0) + 1 :]", chance_of_at_least,
    ),
    "confidence: just met is missed": (
        rules, "counts[antecedent] <= most", "counts[antecedent] < most", just_met_counts,
    ),
    "rules are not corrected for their number": (
        rules, "np.asarray(false_discovery_control(np.minimum(p_values, 1.0)))", "p_values",
        many_rules_are_corrected_for,
    ),
    "rules that could have been found are not counted": (
        rules, "p_values * layers *", "p_values *", many_rules_are_corrected_for,
    ),
    "the earlier baskets test": (baskets, "held = self.times >= ", "held = self.times < ", the_later_half_tests),
    "times in another order than the baskets": (
        baskets, "row, times = place[row]", "row, times = order[row]", rows_follow_their_times,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_dies(name: str, tmp_path: Path) -> None:
    module, old, new, check = MUTANTS[name]
    dies(check, module, old, new, tmp_path)

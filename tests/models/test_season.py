"""The factor of the season by hand."""

from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from crmml.errors import BundleError
from crmml.models import _season, _snapshots
from crmml.models._season import Season
from crmml.models._snapshots import Snapshots
from crmml.models._state import StateReader
from tests.models.mutants import dies

DAY = 86_400_000_000


def snapshots(*days: int, dated: bool = True) -> Snapshots:
    return Snapshots(np.array(days) * DAY, np.arange(len(days)), dated)


def what_came_true_over_what_was_expected(module: ModuleType) -> None:
    season = module.Season.learn(
        snapshots(130, 160), np.array([130.0, 160]), np.array([50.0, 50]), np.array([60.0, 40])
    )
    assert season.factors.tolist() == [60 / 50, 40 / 50]
    assert season.of(np.array([130 + 365, 160 + 365]) * DAY).tolist() == [60 / 50, 40 / 50]


def a_season_without_a_past_is_unknown(module: ModuleType) -> None:
    past = np.array([119.0, 120.0])
    season = module.Season.learn(snapshots(119, 220), past, np.array([10.0, 10.0]), np.array([30.0, 5.0]))
    assert (season.times.tolist(), season.factors.tolist()) == ([220 * DAY], [0.5])


def only_a_snapshot_near_a_year_before_counts(module: ModuleType) -> None:
    season = module.Season(np.array([100 * DAY]), np.array([2.0]))
    days = np.array([465 - 32, 465 - 31, 465, 465 + 31, 465 + 32])
    assert season.of(days * DAY).tolist() == [1.0, 2.0, 2.0, 2.0, 1.0]


def the_nearer_of_two_counts(module: ModuleType) -> None:
    season = module.Season(np.array([100 * DAY, 130 * DAY]), np.array([2.0, 3.0]))
    assert season.of(np.array([465 + 14, 465 + 16]) * DAY).tolist() == [2.0, 3.0]


def one_odd_snapshot_does_not_rule(module: ModuleType) -> None:
    season = module.Season.learn(snapshots(150, 200), np.full(2, 150.0), np.full(2, 10.0), np.array([1_000.0, 1.0]))
    assert season.factors.tolist() == [4.0, 0.25]


CHECKS = [
    what_came_true_over_what_was_expected,
    a_season_without_a_past_is_unknown,
    only_a_snapshot_near_a_year_before_counts,
    the_nearer_of_two_counts,
    one_odd_snapshot_does_not_rule,
]


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        (CHECKS[0], "actual[known] / expected[known]", "expected[known] / actual[known]"),
        (CHECKS[0], "year_before(times, ", "year_before(times + 365 * DAY, "),
        (CHECKS[1], "(past >= _LEAST_PAST)", "(past >= 0)"),
        (CHECKS[2], "_NEAR = 31 *", "_NEAR = 45 *"),
        (CHECKS[4], "1.0 / _MOST, _MOST", "0.0, np.inf"),
    ],
    ids=["upside down", "no year", "no past", "far away", "unbounded"],
)
def test_mutants_die(check: Any, old: str, new: str, tmp_path: Path) -> None:
    dies(check, _season, old, new, tmp_path)


def test_the_mutant_that_takes_the_farther_snapshot_dies(tmp_path: Path) -> None:
    def with_its_lookup(module: ModuleType) -> None:
        with patch.object(_season, "year_before", module.year_before):
            CHECKS[3](_season)

    dies(with_its_lookup, _snapshots, "away.argmin", "away.argmax", tmp_path)


def test_nothing_expected_or_no_cutoffs_give_no_season() -> None:
    nothing = Season.learn(snapshots(150), np.array([150.0]), np.array([0.0]), np.array([5.0]))
    undated = Season.learn(snapshots(150, dated=False), np.array([150.0]), np.array([5.0]), np.array([5.0]))
    for season in (nothing, undated):
        assert season.of(np.array([0, 515 * DAY])).tolist() == [1.0, 1.0]


def test_the_state_is_read_with_care() -> None:
    state = Season(np.array([DAY, 2 * DAY]), np.array([1.5, 0.5])).state()
    again = Season.from_state(StateReader(state, "test"))
    assert (again.times.tolist(), again.factors.tolist()) == ([DAY, 2 * DAY], [1.5, 0.5])
    for bad in ({"season_times": np.array([2, 1])}, {"season_factors": np.array([1.0, 0.0])}):
        with pytest.raises(BundleError, match=next(iter(bad))):
            Season.from_state(StateReader(state | bad, "test"))

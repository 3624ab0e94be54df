"""Levels and seasons of the calibration, on scores and labels that are made by hand."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmml.errors import BundleError
from crmml.models import _calibration
from crmml.models._calibration import Calibration
from crmml.models._platt import fit_level, sigmoid
from crmml.models._snapshots import Snapshots, snapshots_of
from crmml.models._state import StateReader
from tests.models.mutants import dies

DAY = 86_400_000_000
FIRST = pd.Timestamp("2023-01-01", tz="UTC")


class Given:
    """A trainer whose models give every row the score that stands in its first column, plus what they memorise.

    A row that a model has seen gets 50 for its label: only scores of unseen rows are of any use.
    """

    def __init__(self, X: np.ndarray, positive: np.ndarray) -> None:
        self._X, self._positive = X, positive
        self.trained_on: list[np.ndarray] = []

    def train(self, rows: np.ndarray) -> "Given.Model":
        self.trained_on.append(rows)
        return Given.Model({float(self._X[row, 1]): bool(self._positive[row]) for row in rows})

    class Model:
        def __init__(self, seen: dict[float, bool]) -> None:
            self._seen = seen

        def raw(self, X: np.ndarray, n_jobs: int) -> np.ndarray:
            known = np.array([{None: 0, True: 50, False: -50}[self._seen.get(float(key))] for key in X[:, 1]])
            raw: np.ndarray = X[:, 0] + known
            return raw


def learned(
    module: ModuleType,
    cutoffs: list[int],
    levels: list[float],
    *,
    n: int = 2_000,
    reach: int = 90,
    ages: Any = None,
    chance: Any = None,
    dated: bool = True,
) -> tuple[Calibration, Given]:
    """The calibration of `n` customers at each cutoff (days from the first), whose true intercepts are `levels`.

    `chance`: the intercept that a model without labels expects, of all cutoffs or of each.
    """
    rng = np.random.default_rng(0)
    score = rng.normal(size=n * len(cutoffs))
    codes = np.repeat(np.arange(len(cutoffs)), n)
    # Every label is drawn with p = sigmoid(score + level).
    positive = rng.random(len(score)) < sigmoid(score + np.array(levels)[codes])
    X = np.column_stack([score, np.arange(float(len(score)))])
    times = np.array([int((FIRST.timestamp() + 86_400 * day) * 1_000_000) for day in cutoffs])
    trainer = Given(X, positive)
    calibrator = module.Calibrator(
        trainer,
        X,
        positive,
        groups=np.tile(np.arange(n), len(cutoffs)),
        snapshots=Snapshots(times, codes, dated=dated),
        ages=None if ages is None else np.array(ages, dtype=float)[codes],
        chance=None if chance is None else sigmoid(score + np.broadcast_to(chance, len(cutoffs))[codes]),
        reach=reach * DAY,
        n_jobs=1,
        seed=0,
    )
    return calibrator.learn(), trainer


# 2,000 rows with p near a half: a level has a standard error of about 1 / sqrt(2,000 / 5) = .05.
CLOSE = 4 * 0.05


def levels_are_those_of_unseen_customers(module: ModuleType) -> None:
    found, trainer = learned(module, [0, 100], [-1.0, 1.0])
    # The slope of two levels pooled is flatter than 1, but the level of the latest is there.
    assert 0.6 < found.slope < 1.2
    assert found.intercept == pytest.approx(1.0, abs=CLOSE)
    assert len(found.times) == 0  # no year
    for rows in trainer.trained_on:
        customers = set(rows % 2_000)
        assert len(customers) == 1_600  # both rows of a customer, or none


def a_row_has_the_level_of_the_year_before(module: ModuleType) -> None:
    found, _ = learned(module, [0, 90, 180, 270], [-1.0, 0.0, 1.0, 0.5])
    assert found.intercept == pytest.approx(0.5, abs=CLOSE)
    days = {
        365: -1.0,
        345: -1.0,
        385: -1.0,
        344: 0.5,
        386: 0.5,
        455: 0.0,
        545: 1.0,
        270 + 365: 0.5,
        270: 0.5,
        -365: 0.5,
    }
    index = pd.MultiIndex.from_arrays(
        [range(len(days)), FIRST + pd.to_timedelta(list(days), unit="D")], names=["customer_id", "as_of"]
    )
    rows = snapshots_of(pd.DataFrame({"x": 0.0}, index=index), len(days))
    assert found.intercepts(rows) == pytest.approx(list(days.values()), abs=CLOSE)
    assert found.probabilities(np.full(len(days), -1e9), rows) == pytest.approx(np.zeros(len(days)))


def a_young_log_says_nothing_of_the_season(module: ModuleType) -> None:
    # The log begins 120 days before the first cutoff: two horizons of 90 days lie before the second one only.
    found, _ = learned(module, [0, 90, 180, 270], [-1.0, 0.0, 1.0, 0.5], ages=[120, 210, 300, 390])
    assert ((found.times - found.times[0]) / DAY).tolist() == [0, 90, 180]
    assert found.levels == pytest.approx([0.0, 1.0, 0.5], abs=CLOSE)


def a_level_without_a_season_leans_half_way(module: ModuleType) -> None:
    # The scores lie evenly around 0: log odds of -m and of +m have their middle at an intercept of 0.
    found, _ = learned(module, [0, 100], [-0.3, -0.3], chance=0.3)
    assert found.intercept == pytest.approx(0.0, abs=CLOSE / 2)
    # The latest cutoff counts, not the earlier one: -.6 and 0 have their middle at -.3.
    found, _ = learned(module, [0, 100], [0.6, -0.6], chance=[1.2, 0.0])
    assert found.intercept == pytest.approx(-0.3, abs=CLOSE)


def another_event_moves_no_level(module: ModuleType) -> None:
    # The mean of sigmoid(score + 1) is .70: its odds are 2.3, those of sigmoid(score - 1) 1 / 2.3.
    assert learned(module, [0, 100], [-1.0, -1.0], chance=1.0)[0].intercept == pytest.approx(-1.0, abs=CLOSE)


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        (
            levels_are_those_of_unseen_customers,
            "self._trainer.train(train)",
            "self._trainer.train(np.arange(len(folds)))",
        ),
        (
            levels_are_those_of_unseen_customers,
            "assign_folds(positive.astype(np.float64), groups",
            "assign_folds(positive.astype(np.float64), None",
        ),
        (levels_are_those_of_unseen_customers, "latest = codes >=", "latest = codes <="),
        (levels_are_those_of_unseen_customers, "if 0 < latest.sum()", "if 0 > latest.sum()"),
        (a_row_has_the_level_of_the_year_before, "year_before(rows.times, ", "year_before(rows.times + 730 * DAY, "),
        (a_row_has_the_level_of_the_year_before, "self.times, _NEAR)", "self.times, 2 * _NEAR)"),
        (a_row_has_the_level_of_the_year_before, "np.where(known, self.levels", "np.where(known, -self.levels"),
        (a_young_log_says_nothing_of_the_season, "_HORIZONS_BEFORE = 2", "_HORIZONS_BEFORE = 1"),
        (a_level_without_a_season_leans_half_way, "*_CERTAIN))) / 2.0", "*_CERTAIN))) / 1.0"),
        (a_level_without_a_season_leans_half_way, "rows[latest])", "rows)"),
        (a_level_without_a_season_leans_half_way, "scaled + intercept).mean()", "scaled).mean()"),
        (another_event_moves_no_level, "_SAME_EVENT = 2.0", "_SAME_EVENT = 20.0"),
    ],
    ids=[
        "seen rows",
        "split customers",
        "the earliest level",
        "pooled level",
        "a year later",
        "half a season off",
        "turned season",
        "young log",
        "all the way",
        "chance of all rows",
        "level of the scores",
        "another event",
    ],
)
def test_mutants_die(check: Any, old: str, new: str, tmp_path: Path) -> None:
    dies(check, _calibration, old, new, tmp_path)


def test_few_rows_share_one_level() -> None:
    # 2 x 300 rows are below 1,000: the level is that of all, which is near the middle.
    found, _ = learned(_calibration, [0, 100], [-1.0, 1.0], n=300)
    assert found.intercept == pytest.approx(0.0, abs=0.3)


def test_several_small_cutoffs_are_latest_together() -> None:
    # 600 rows each: the last two make 1,200, at the levels 1 and 2.
    found, _ = learned(_calibration, [0, 30, 60], [-3.0, 1.0, 2.0], n=600)
    assert 1.0 < found.intercept < 2.0


def test_without_cutoffs_labels_are_not_old_and_seasons_lean_on_nothing() -> None:
    # Both levels are -.3; only the first has no labels of a year before to go by.
    undated, _ = learned(_calibration, [0, 100], [-0.3, -0.3], chance=0.3, dated=False)
    assert undated.intercept == pytest.approx(-0.3, abs=CLOSE)
    seasons, _ = learned(_calibration, [0, 90, 180, 270], [-0.3] * 4, chance=0.3)
    assert seasons.levels == pytest.approx([-0.3] * 4, abs=CLOSE)


def test_a_short_span_with_its_horizon_may_be_a_year() -> None:
    # What is scored when the labels of the last cutoff are complete lies 260 + 90 = 350 days after the first.
    assert len(learned(_calibration, [0, 260], [0.0, 0.0])[0].times) == 2
    assert len(learned(_calibration, [0, 250], [0.0, 0.0])[0].times) == 0


@given(
    scaled=st.lists(st.floats(-50, 50), min_size=2, max_size=30),
    share=st.integers(1, 9),
)
def test_a_level_makes_the_expected_as_many_as_the_actual(scaled: list[float], share: int) -> None:
    z = np.array(scaled)
    positive = np.arange(len(z)) * 10 < share * len(z)
    wanted = (
        positive.sum() * (positive.sum() + 1) / (positive.sum() + 2) + (~positive).sum() / ((~positive).sum() + 2)
    ) / len(z)
    assert sigmoid(z + fit_level(z, positive)).mean() == pytest.approx(wanted, abs=1e-9)


@given(raw=st.lists(st.floats(-100, 100), min_size=2, max_size=20), slope=st.floats(0, 5), level=st.floats(-5, 5))
def test_probabilities_rise_with_the_score(raw: list[float], slope: float, level: float) -> None:
    found = Calibration(slope, level, np.empty(0, dtype=np.int64), np.empty(0))
    rows = Snapshots(np.zeros(1, dtype=np.int64), np.zeros(len(raw), dtype=np.int64), dated=False)
    p = found.probabilities(np.sort(raw), rows)
    assert (np.diff(p) >= 0).all()
    assert ((p >= 0) & (p <= 1)).all()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"calibration": np.array([-1.0, 0.0])},
            "'calibration' must not turn the ranking round, but its slope is -1.0",
        ),
        ({"season_times": np.array([2, 1])}, "'season_times' must rise"),
        ({"season_levels": np.array([0.0])}, "'season_levels' has the shape (1,), not (2,)"),
        ({"season_levels": np.array([0.0, np.inf])}, "'season_levels' must hold finite numbers only"),
    ],
)
def test_a_damaged_state_is_refused(change: dict[str, Any], problem: str) -> None:
    state = {"calibration": np.ones(2), "season_times": np.array([1, 2]), "season_levels": np.zeros(2)}
    with pytest.raises(BundleError) as caught:
        Calibration.from_state(StateReader(state | change, "test"), seasons=True)
    assert str(caught.value) == (
        f"test: {problem}. The state is damaged or of another model: load an intact copy, or fit the model again."
    )

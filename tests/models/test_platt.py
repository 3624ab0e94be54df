"""Platt scaling against what arithmetic says."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from crmml.models import _platt
from crmml.models._platt import base_rate, fit_platt, sigmoid
from tests.models.mutants import dies


def test_two_scores_have_an_exact_answer() -> None:
    # Scores 0 and 1, 40 rows each; 10 and 30 positive. Two parameters meet both shares of the smoothed
    # labels: N+ = N- = 40, so a positive counts 41/42 and a negative 1/42.
    raw = np.repeat([0.0, 1.0], 40)
    positive = np.concatenate([np.arange(40) < 10, np.arange(40) < 30])
    low = (10 * 41 + 30 * 1) / (40 * 42)
    high = (30 * 41 + 10 * 1) / (40 * 42)
    slope, intercept = fit_platt(raw, positive)
    assert sigmoid(np.array([intercept, slope + intercept])) == pytest.approx([low, high], abs=1e-9)


def test_a_logistic_truth_is_found() -> None:
    rng = np.random.default_rng(0)
    raw = rng.normal(size=20_000)
    positive = rng.random(20_000) < sigmoid(2.0 * raw - 1.0)
    slope, intercept = fit_platt(raw, positive)
    # The information of a row is p (1 - p) (z, 1)(z, 1)', at most 1/4 of it: standard errors below 0.03.
    assert slope == pytest.approx(2.0, abs=3 * 0.03)
    assert intercept == pytest.approx(-1.0, abs=3 * 0.03)


def test_scale_and_place_of_the_scores_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    raw = rng.normal(size=500)
    positive = rng.random(500) < sigmoid(raw)
    slope, intercept = fit_platt(raw, positive)
    moved_slope, moved_intercept = fit_platt(1_000 * raw - 5e6, positive)
    p = sigmoid(slope * raw + intercept)
    assert sigmoid(moved_slope * (1_000 * raw - 5e6) + moved_intercept) == pytest.approx(p, abs=1e-6)


def test_separable_scores_give_finite_parameters() -> None:
    raw = np.arange(10.0)
    slope, intercept = fit_platt(raw, raw >= 5)
    p = sigmoid(slope * raw + intercept)
    # The smoothed labels are 6/7 and 1/7: no probability is surer than a handful of rows allows.
    assert p.max() < 1.0
    assert p.mean() == pytest.approx(0.5, abs=1e-6)


def test_scores_without_spread_give_the_base_rate() -> None:
    slope, intercept = fit_platt(np.full(8, 3.0), np.arange(8) < 2)
    assert (slope, intercept) == base_rate(np.arange(8) < 2)
    assert sigmoid(np.array([intercept]))[0] == pytest.approx(2 / 8, abs=1e-15)


def scores_worse_than_chance_give_the_base_rate(module: ModuleType) -> None:
    slope, _ = module.fit_platt(np.arange(20.0), np.arange(20) < 10)
    assert slope == 0.0


def test_the_ranking_is_never_turned_round(tmp_path: Path) -> None:
    check = scores_worse_than_chance_give_the_base_rate
    dies(check, _platt, "if slope <= 0.0:", "if slope == 0.0:", tmp_path)

"""Distances, what they mean beside chance and habit, and the correction for many tests."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, ks_2samp, norm
from scipy.stats import t as student

import crmml as cm
from crmml.metrics import drift

COUNTS = st.lists(st.integers(0, 500), min_size=4, max_size=4).filter(any)


@given(COUNTS, COUNTS)
def test_both_distances_are_symmetric_and_zero_for_equal_shares(before: list[int], after: list[int]) -> None:
    for distance in (drift.population_stability, drift.ks_distance):
        assert distance(before, after) == pytest.approx(distance(after, before))
        assert distance(before, before) == 0
        assert distance(before, after) >= 0
    doubled = [2 * count for count in before]
    assert drift.ks_distance(before, doubled) == pytest.approx(0, abs=1e-12)


def test_stability_is_that_of_the_textbook() -> None:
    # Shares .25, .25, .5 and .5, .25, .25 of a million, so that half a customer more does not count.
    expected = 0.25 * np.log(2) + 0 + -0.25 * np.log(0.5)
    assert drift.population_stability([2.5e5, 2.5e5, 5e5], [5e5, 2.5e5, 2.5e5]) == pytest.approx(expected, rel=1e-5)
    assert np.isfinite(drift.population_stability([10, 0], [0, 10]))


def test_distance_and_p_value_are_those_of_scipy_on_values_that_are_bins() -> None:
    random = np.random.default_rng(0)
    first, second = random.integers(0, 600, 60_000) // 100, random.integers(0, 604, 50_000) // 100
    counts = [np.bincount(values, minlength=7) for values in (first, second)]
    found = ks_2samp(first, second, method="asymp")
    assert drift.ks_distance(*counts) == pytest.approx(found.statistic)
    # scipy takes the law of finite samples, here the limit: of so many values they are the same to a few percent.
    assert drift.ks_p_value(found.statistic, 60_000, 50_000) == pytest.approx(found.pvalue, rel=0.05)


def test_variation_is_what_both_halves_share() -> None:
    random = np.random.default_rng(1)
    common = random.normal(0, 0.03, (4000, 1, 1))  # what moves all customers of a cutoff
    chance = random.normal(0, 0.05, (4000, 2, 1))
    assert drift.natural_variation(0.5 + common + chance) == pytest.approx(0.03, rel=0.1)
    # Each customer at all cutoffs: chance then is the same at all, and still no variation.
    fixed = np.repeat(random.normal(0, 0.05, (1, 2, 1)), 50, axis=0)
    assert drift.natural_variation(0.5 + fixed) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("cutoffs", [3, 7])
def test_without_chance_the_tail_is_that_of_student(cutoffs: int) -> None:
    natural, distance = 0.02, 0.1
    expected = 2 * student.sf(distance / (natural * np.sqrt(1 + 1 / cutoffs)), cutoffs - 1)
    for found in (
        drift.ks_p_value(distance, 1e12, 1e12, natural=natural, cutoffs=cutoffs),
        drift.shift_p_value(-distance, 1e-9, natural=natural, cutoffs=cutoffs),
    ):
        assert found == pytest.approx(expected, rel=1e-3)


def test_chance_and_habit_together_by_simulation() -> None:
    random = np.random.default_rng(2)
    draws = np.abs(random.normal(size=400_000)) + 0.5 * np.sqrt(1 + 1 / 6) * np.abs(random.standard_t(5, 400_000))
    for distance in (0.5, 1.5, 3.0):
        found = drift.shift_p_value(distance, 1.0, natural=0.5, cutoffs=6)
        assert found == pytest.approx(np.mean(draws >= distance), rel=0.05)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.2), st.integers(2, 12))
def test_p_values_fall_with_the_distance_and_grow_with_habit(a: float, b: float, natural: float, k: int) -> None:
    near, far = sorted((a, b))
    p = [drift.ks_p_value(distance, 900, 800, natural=natural, cutoffs=k) for distance in (near, far)]
    assert 0 <= p[1] <= p[0] + 1e-9 <= 1 + 2e-9
    assert p[1] >= drift.ks_p_value(far, 900, 800) - 0.005  # the error of the sum over tails
    assert drift.shift_p_value(2, 1) == pytest.approx(2 * norm.sf(2))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_correction_is_that_of_scipy(p: list[float]) -> None:
    np.testing.assert_allclose(drift.benjamini_hochberg(p), false_discovery_control(p), rtol=1e-12)
    with_gap = drift.benjamini_hochberg([np.nan, *p])
    assert np.isnan(with_gap[0])
    np.testing.assert_array_equal(with_gap[1:], drift.benjamini_hochberg(p))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: drift.population_stability([0, 0], [1, 2]),
            "population_stability: before is [0.0, 0.0]. Give counts, not all of them 0.",
        ),
        (
            lambda: drift.ks_distance([1, 2], [-1, 2]),
            "ks_distance: after is [-1.0, 2.0]. Give counts, not all of them 0.",
        ),
        (
            lambda: drift.natural_variation(np.zeros((1, 2, 3))),
            "natural_variation: shares has shape (1, 2, 3). Give (cutoffs, 2, limits) with at least two cutoffs.",
        ),
        (
            lambda: drift.ks_p_value(0.1, 0, 5),
            "ks_p_value: sizes 0 and 5, natural 0.0. Use sizes above 0 and natural >= 0.",
        ),
        (
            lambda: drift.shift_p_value(0.1, 0.0),
            "shift_p_value: spread 0.0, natural 0.0. Use a spread > 0 and natural >= 0.",
        ),
        (
            lambda: drift.ks_p_value(0.1, 5, 5, natural=0.1, cutoffs=1),
            "natural variation is 0.1, but of 1 cutoffs. Give at least 2.",
        ),
        (
            lambda: drift.benjamini_hochberg([0.5, 1.5]),
            "benjamini_hochberg: p_values is [0.5, 1.5]. Give a vector of numbers from 0 to 1.",
        ),
    ],
)
def test_messages(call: Callable[[], object], message: str) -> None:
    with pytest.raises(cm.CrmmlError) as caught:
        call()
    assert str(caught.value) == message

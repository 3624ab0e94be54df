"""When segments are found again, and when they lie apart: on tables where both are plain."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binom

from crmml.models import _stability
from crmml.models._groups import Centres
from tests.models.mutants import dies

Floats = npt.NDArray[np.float64]


def at(*places: tuple[float, int]) -> Floats:
    """So many rows at each place of a line."""
    return np.repeat([place for place, _ in places], [count for _, count in places])[:, None]


ENDS = Centres(np.array([[0.0], [6.0]]))  # the middle is 3; an interval reaches 1 to either side


def fewer_in_the_middle_than_at_both_ends(module: ModuleType) -> None:
    # 50 about 0, 10 about 3, 30 about 6. Beside the lesser end: 10 or fewer of 40 fair coins.
    p_value, emptiness = module.least_apart(ENDS, at((0.0, 50), (3.0, 5), (2.5, 5), (6.0, 30)))
    assert p_value == pytest.approx(float(binom.cdf(10, 40, 0.5)))
    assert emptiness == pytest.approx(1 - 10 / 30)


def a_slope_is_no_valley(module: ModuleType) -> None:
    # 90, 40, 10: as skewed as can be, but with one peak. Beside the last end, 40 or fewer of 50 coins.
    p_value, emptiness = module.least_apart(ENDS, at((0.0, 90), (3.0, 40), (6.0, 10)))
    assert p_value == pytest.approx(float(binom.cdf(40, 50, 0.5)))
    assert emptiness == 0.0


def rows_between_the_intervals_do_not_count(module: ModuleType) -> None:
    near = at((0.0, 20), (3.0, 2), (6.0, 20))
    far = at((1.2, 500), (4.4, 500), (-1.1, 500), (7.4, 500))  # more than 1 away
    assert module.least_apart(ENDS, np.vstack([near, far])) == module.least_apart(ENDS, near)


def one_pair_too_near_is_enough(module: ModuleType) -> None:
    # Centres 0, 6 and 9: a valley between the first two, none between the last two.
    three = Centres(np.array([[0.0], [6.0], [9.0]]))
    p_value, emptiness = module.least_apart(three, at((0.0, 40), (6.0, 40), (7.5, 40), (9.0, 40)))
    assert p_value > 0.5
    assert emptiness == 0.0


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        (fewer_in_the_middle_than_at_both_ends, "for end in (first, last))", "for end in (first, first))"),
        (fewer_in_the_middle_than_at_both_ends, "middle, middle + end", "middle - 1, middle + end"),
        (a_slope_is_no_valley, "p_value = max(", "p_value = min("),
        (rows_between_the_intervals_do_not_count, "_HALF_WIDTH = 1 / 6", "_HALF_WIDTH = 1 / 4"),
        (one_pair_too_near_is_enough, "return max(found, key", "return min(found, key"),
    ],
    ids=["one end only", "one row less", "the better end", "wide intervals", "the best pair"],
)
def test_mutants_die(check: Any, old: str, new: str, tmp_path: Path) -> None:
    dies(check, _stability, old, new, tmp_path)


def test_two_centres_at_one_place_are_one() -> None:
    assert _stability.least_apart(Centres(np.zeros((2, 1))), at((0.0, 9))) == (1.0, 0.0)


def test_neighbours_have_no_third_between_them() -> None:
    # On a line 0, 1, 2 lies between; a triangle has three sides; of a square's diagonals both touch the other two.
    assert _stability.neighbours(np.array([[0.0], [1.0], [2.0]])) == [(0, 1), (1, 2)]
    assert _stability.neighbours(np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 2.0]])) == [(0, 1), (0, 2), (1, 2)]


def test_twice_the_median_of_dependent_p_values() -> None:
    assert _stability.combined([0.01, 0.02, 0.9]) == 0.04
    assert _stability.combined([0.6, 0.7]) == 1.0


def test_the_normal_cloud_has_the_covariance_and_no_groups() -> None:
    rng = np.random.default_rng(0)
    Z = np.vstack([rng.normal(size=(2_000, 3)), rng.normal(size=(2_000, 3)) + np.array([9.0, 9.0, 0.0])])
    Z = np.column_stack([Z, Z[:, 0], np.zeros(4_000)])  # a repeated column, and a constant one
    cloud = _stability.normal_cloud(Z, rng)
    assert np.allclose(np.cov(cloud.T), np.cov(Z.T), atol=0.1 * np.cov(Z.T).max())
    # A quarter of a normal distribution lies within .32 standard deviations of its mean; of two groups nobody does.
    middle = np.abs(cloud[:, 0] - cloud[:, 0].mean()) < 0.3186 * cloud[:, 0].std()
    assert middle.mean() == pytest.approx(0.25, abs=0.03)


def test_whole_numbers_are_spread_over_their_own_place() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.poisson(3.0, 500).astype(float), rng.normal(size=500)])
    X[0, 0] = np.nan
    whole = _stability._whole(X)
    assert whole.tolist() == [True, False]
    smooth = _stability._smooth(X, whole, rng)
    assert np.array_equal(np.round(smooth[1:, 0]), X[1:, 0])
    assert len(np.unique(smooth[1:, 0])) == 499
    assert np.isnan(smooth[0, 0])
    assert np.array_equal(smooth[:, 1], X[:, 1])


CLOUDS = {
    "round": lambda rng: rng.normal(size=(400, 4)),
    "long": lambda rng: rng.normal(size=(400, 4)) * [9.0, 1.0, 1.0, 1.0],
    "skewed": lambda rng: rng.gamma(0.7, size=(400, 4)),
    "even": lambda rng: rng.uniform(size=(400, 4)),
    "counts": lambda rng: rng.poisson(rng.gamma(1.0, 5.0, size=(400, 1)), size=(400, 4)).astype(float),
}


@pytest.mark.parametrize("kind", list(CLOUDS))
def test_one_cloud_of_whatever_shape_has_no_valley(kind: str) -> None:
    """Of 12 clouds and two divisions each at most one in twenty may be called apart: all p-values are large here."""
    p_values = []
    for seed in range(12):
        X = CLOUDS[kind](np.random.default_rng(seed))
        said = _stability.draw(X, [2, 3], "kmeans", seed, null=False)
        p_values += [p for halves in said.values() for p in halves.p_values]
    assert np.mean(np.array(p_values) <= 0.05) <= 0.05

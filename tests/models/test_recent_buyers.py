"""BG/NBD from customers who bought lately: the probability of being seen, and the truth found again."""

import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import check_grad
from scipy.stats import beta, gamma

from crmml.models import _recent_buyers
from crmml.models._recent_buyers import RecentBGNBD, seen_within
from crmml.models.btyd.beta_geometric import BGNBD
from tests.models.mutants import dies

TRUTH = {"r": 0.8, "alpha": 40.0, "a": 0.8, "b": 2.5}
POINT = np.log(list(TRUTH.values()))


def drawn(n: int, seed: int) -> pd.DataFrame:
    """Customers who first bought at any time of the last 700 days."""
    rng = np.random.default_rng(seed)
    customers: pd.DataFrame = BGNBD.from_parameters(TRUTH).simulate(rng.uniform(0, 700, n), rng)
    return customers


def test_the_probability_of_being_seen_is_that_of_many_drawn_customers() -> None:
    rng = np.random.default_rng(0)
    customers = BGNBD.from_parameters(TRUTH).simulate(np.full(100_000, 480.0), rng)
    share = (480.0 - customers["t_x"] <= 180.0).mean()
    p = seen_within(POINT, np.array([300.0]), 180.0).p[0]
    assert p == pytest.approx(share, abs=4 * np.sqrt(p * (1 - p) / 100_000))


def test_the_probability_of_being_seen_is_its_double_integral() -> None:
    rates = gamma(TRUTH["r"], scale=1 / TRUTH["alpha"]).ppf((np.arange(2_000) + 0.5) / 2_000)[:, None]
    dropout = beta(TRUTH["a"], TRUTH["b"]).ppf((np.arange(2_000) + 0.5) / 2_000)[None, :]
    expected = (np.exp(-rates * dropout * 300.0) * -np.expm1(-rates * 180.0)).mean()
    assert seen_within(POINT, np.array([300.0]), 180.0).p[0] == pytest.approx(expected, rel=1e-3)


def test_the_slopes_are_those_of_the_probability() -> None:
    for past in (0.0, 1.0, 300.0):
        error = check_grad(
            lambda point, past=past: seen_within(point, np.array([past]), 180.0).p[0],
            lambda point, past=past: seen_within(point, np.array([past]), 180.0).slopes[:, 0],
            POINT,
        )
        assert error < 1e-6


def the_truth_is_found_again(module: ModuleType) -> None:
    customers = drawn(8_000, seed=1)
    recent = customers[customers["T"] - customers["t_x"] <= 180]
    with warnings.catch_warnings(action="ignore"):  # a mutant may not converge
        model = module.RecentBGNBD().fit(recent)
    for name, value in TRUTH.items():
        assert abs(getattr(model, f"{name}_") - value) < 3 * model.standard_errors_[name], name


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("longer = rows", "longer = 0 * rows"),
        ('rows["T"][longer] - within, ', 'rows["T"][longer], '),
        ("        v = u + within / alpha", "        v = u + 2 * within / alpha"),
    ],
    ids=["plain", "ages from the first purchase", "another window"],
)
def test_mutants_die(old: str, new: str, tmp_path: Path) -> None:
    dies(the_truth_is_found_again, _recent_buyers, old, new, tmp_path)


def test_where_nobody_is_left_out_it_is_the_plain_model() -> None:
    cohort = BGNBD.from_parameters(TRUTH).simulate(np.full(3_000, 270.0), np.random.default_rng(2))
    plain, recent = BGNBD().fit(cohort), RecentBGNBD().fit(cohort)
    assert (cohort["x"] == 0).any()  # their silence is as long as their history
    assert [recent.r_, recent.alpha_, recent.a_, recent.b_] == [plain.r_, plain.alpha_, plain.a_, plain.b_]


def test_everybody_at_the_cutoff_itself_is_no_choice() -> None:
    customers = pd.DataFrame({"x": [1, 2, 1, 3], "t_x": [5.0, 9.0, 7.0, 8.0], "T": [5.0, 9.0, 7.0, 8.0]})
    assert RecentBGNBD(penalty=1.0).fit(customers).r_ == BGNBD(penalty=1.0).fit(customers).r_

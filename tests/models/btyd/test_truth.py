"""A simulated process with known parameters: all six models find them again, seed after seed, and are not too sure."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

import crmml as cm

SEEDS = range(20)
CUSTOMERS = 12_000
Draw = Callable[[Any, np.random.Generator], pd.DataFrame]


def over_time(model: Any, rng: np.random.Generator) -> pd.DataFrame:
    """Customers who came in over a year, in weeks."""
    table: pd.DataFrame = model.simulate(rng.uniform(26, 78, CUSTOMERS), rng)
    return table


def over_periods(model: Any, rng: np.random.Generator) -> pd.DataFrame:
    table: pd.DataFrame = model.simulate(rng.integers(4, 13, CUSTOMERS), rng)
    return table


def over_purchases(model: Any, rng: np.random.Generator) -> pd.DataFrame:
    table: pd.DataFrame = model.simulate(rng.poisson(3.0, CUSTOMERS), rng)
    return table


TRUTH: dict[str, tuple[dict[str, float], Draw]] = {
    "BGNBD": ({"r": 0.6, "alpha": 6.0, "a": 0.8, "b": 2.5}, over_time),
    "MBGNBD": ({"r": 0.6, "alpha": 6.0, "a": 0.8, "b": 2.5}, over_time),
    "ParetoNBD": ({"r": 0.6, "alpha": 10.0, "s": 0.6, "beta": 12.0}, over_time),
    "GammaGamma": ({"p": 6.0, "q": 4.0, "gamma": 15.0}, over_purchases),
    "ShiftedBetaGeometric": ({"alpha": 0.7, "beta": 3.0}, over_periods),
    "BetaGeometricBetaBinomial": ({"alpha": 1.2, "beta": 0.8, "gamma": 0.7, "delta": 2.8}, over_periods),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TRUTH)
def test_the_parameters_are_found_again(name: str) -> None:
    """Over 20 seeds: no bias beyond three standard errors of the mean, and errors as large as they are said to be.

    In logarithms, in which the estimates are normal. Of 420 right ones in all, one lies beyond three standard errors
    by chance (420 x .0027); of the 40 to 80 of a model, two do with a probability of .02, four of .0001.
    """
    truth, draw = TRUTH[name]
    known = getattr(cm, name).from_parameters(truth)
    off = []
    for seed in SEEDS:
        model = getattr(cm, name)().fit(draw(known, np.random.default_rng(seed)))
        assert model.convergence_.converged, model.convergence_.message
        found = {key: getattr(model, f"{key}_") for key in truth}
        off.append([np.log(found[key] / truth[key]) * found[key] / model.standard_errors_[key] for key in truth])
    errors = np.array(off)
    assert np.abs(errors.mean(axis=0) * np.sqrt(len(SEEDS))).max() < 3
    assert (np.abs(errors) > 3).sum() <= 3
    # The parameters of one fit go together: as many as if only every second told something.
    low, high = binom.interval(0.999, errors.size // 2, 0.683)
    assert 2 * low <= (np.abs(errors) < 1).sum() <= 2 * high


@pytest.mark.slow
@pytest.mark.parametrize("name", ["BGNBD", "MBGNBD", "ParetoNBD", "BetaGeometricBetaBinomial"])
def test_the_probabilities_are_calibrated(name: str) -> None:
    """Of fitted models, over 20 seeds: who is still there, and who buys in the horizon, against what happened."""
    truth, _ = TRUTH[name]
    known = getattr(cm, name).from_parameters(truth)
    happened, said = [], []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        seen = rng.integers(4, 13, 2_000) if name.startswith("Beta") else rng.uniform(26, 78, 2_000)
        customers = known.simulate(seen, rng, horizon=3)
        model = getattr(cm, name)().fit(customers)
        happened.append([customers["alive"], customers["x_star"] > 0])
        said.append([model.p_alive(customers), model.p_buys(customers, horizon=3)])
    for was, p in zip(np.concatenate(happened, axis=1), np.concatenate(said, axis=1), strict=True):
        assert cm.metrics.calibration_error(was, p) < 0.02

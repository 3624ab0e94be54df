"""The search finds maxima and says how sure they are; mutants of the lines that would lie quietly."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

import crmml as cm
from crmml.models.btyd import _fitting, _inputs, _model, beta_geometric, pareto
from tests.models.btyd.made import Floats
from tests.models.mutants import dies


def standard_errors_are_those_of_the_inverse(module: ModuleType) -> None:
    # A log-likelihood that is a normal density: its covariance is known. Two parameters, correlated .8.
    covariance = np.array([[0.04, 0.8 * 0.2 * 0.5], [0.8 * 0.2 * 0.5, 0.25]])
    precision, top = np.linalg.inv(covariance), np.array([1.0, -2.0])

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:  # type: ignore[type-arg]
        off = point - top
        return float(-off @ precision @ off / 2), -precision @ off

    found = module.Search(objective, ("a", "b"), customers=1.0, max_iter=100).run(np.zeros(2))
    assert found.report.converged
    assert found.point == pytest.approx(top, abs=1e-3)
    assert found.errors == pytest.approx([0.2, 0.5], rel=1e-4)


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0, 40.0])
def test_a_wrong_guess_of_the_curvature_costs_steps_and_changes_nothing(scale: float) -> None:
    precision, top = np.array([[40.0, -12.0], [-12.0, 6.0]]), np.array([1.0, -2.0])

    def objective(point: Floats) -> tuple[float, Floats]:
        off = point - top
        return float(-off @ precision @ off / 2), -precision @ off

    search = _fitting.Search(objective, ("a", "b"), customers=1.0, max_iter=100)
    found = search.run(top + 0.01, near=scale * precision)
    assert found.report.converged
    assert found.value == objective(found.point)[0]
    assert found.point == pytest.approx(top, abs=1e-3)
    assert found.information == pytest.approx(precision, rel=1e-4)


@given(st.lists(st.one_of(st.integers(1, 9), st.floats(0.01, 50.0)), min_size=1, max_size=60), st.integers(1, 40))
def test_a_part_of_the_customers_has_each_kind_as_often_as_the_whole(weights: list[float], size: int) -> None:
    whole = np.array(weights, dtype=float)
    few, times = _model._every_so_many(whole, size)
    part = np.zeros(len(whole))
    part[few] = times
    # One in so many: of every run of rows, at most one customer too many or too few.
    off = np.cumsum(part) - np.cumsum(whole) / whole.sum() * size
    assert np.abs(off).max() < 1 + 1e-9


def test_the_log_likelihood_is_without_the_penalty_whichever_way_it_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    known = cm.BGNBD.from_parameters({"r": 0.5, "alpha": 6.0, "a": 0.8, "b": 2.5})
    table = known.simulate(rng.uniform(20, 40, 3_000), rng)
    for large in (10**9, 100):
        monkeypatch.setattr(_model, "_LARGE", large)
        model = cm.BGNBD(penalty=5.0).fit(table)
        rows = {name: table[name].to_numpy() for name in ("x", "t_x", "T")}
        point = np.log([model.r_, model.alpha_, model.a_, model.b_])
        assert model.log_likelihood_ == pytest.approx(known._objective(rows, np.ones(3_000))(point)[0], abs=1e-6)


def test_standard_errors_under_a_penalty_are_those_of_the_posterior() -> None:
    lived = cm.ShiftedBetaGeometric.lifetimes([50, 40, 34, 30])
    model = cm.ShiftedBetaGeometric(penalty=2.0).fit(lived, sample_weight=lived["customers"])
    rows = {name: lived[name].to_numpy(dtype=float) for name in ("t", "churned")}
    objective = model._objective(rows, lived["customers"].to_numpy())
    point, step = np.log([model.alpha_, model.beta_]), 1e-5
    slopes = [objective(point + step * axis)[1] - objective(point - step * axis)[1] for axis in np.eye(2)]
    # Of the data, and of a prior with the variance 1 / (2 penalty), whose information is 2 penalty.
    information = -np.array(slopes) / (2 * step) + 2 * 2.0 * np.eye(2)
    expected = np.exp(point) * np.sqrt(np.diag(np.linalg.inv(information)))
    assert list(model.standard_errors_.values()) == pytest.approx(expected.tolist(), rel=1e-4)
    plain = cm.ShiftedBetaGeometric().fit(lived, sample_weight=lived["customers"])
    assert all(error < plain.standard_errors_[name] for name, error in model.standard_errors_.items())


def test_mutant_that_forgets_correlation_dies(tmp_path: Path) -> None:
    old, new = "np.sqrt(np.diag(np.linalg.inv(inner)))", "1.0 / np.sqrt(np.diag(inner))"
    dies(standard_errors_are_those_of_the_inverse, _fitting, old, new, tmp_path)


def merging_keeps_weights(module: ModuleType) -> None:
    _, counts = module.merged({"x": np.array([1.0, 1.0, 1.0, 2.0])}, np.array([3.0, 1.0, 2.0, 5.0]))
    assert counts.tolist() == [3 + 1 + 2, 5]


def test_mutant_that_counts_rows_instead_of_customers_dies(tmp_path: Path) -> None:
    dies(merging_keeps_weights, _inputs, "np.bincount(kinds, weights=weights)", "np.bincount(kinds)", tmp_path)


def silence_counts_by_the_rate(module: ModuleType) -> None:
    model = module.BGNBD.from_parameters({"r": 1.0, "alpha": 5.0, "a": 1.0, "b": 2.0})
    # x = 3, silent from 10 to 25: odds of having stopped a / (b + 2) (30 / 15)^(1 + 3) = 4, so 1 in 5 is alive.
    said = model.p_alive(pd.DataFrame({"x": [3], "t_x": [10.0], "T": [25.0]}))
    assert said[0] == pytest.approx(1 / 5)


def test_mutant_that_forgets_the_purchases_in_the_rate_dies(tmp_path: Path) -> None:
    old, new = "odds = chance + (self.r_ + x) *", "odds = chance + self.r_ *"
    dies(silence_counts_by_the_rate, beta_geometric, old, new, tmp_path)


def integral_holds_for_either_scale(module: ModuleType) -> None:
    for alpha, beta in ((2.0, 9.0), (9.0, 2.0)):
        curve = module._Curve(np.array([3.0]), 1.5, np.array([alpha]), np.array([beta]))
        found = module._silence(curve, np.array([30.0])).plain[0]
        expected, _ = quad(
            lambda u, a=alpha, b=beta: (1 + u / a) ** -3.0 * (1 + u / b) ** -1.5 / (b + u), 0, 30, epsrel=1e-11
        )
        assert found == pytest.approx(expected, rel=1e-8)


def test_mutant_that_forgets_the_change_of_variable_dies(tmp_path: Path) -> None:
    old, new = "f *= grown / large_grown", "pass"
    dies(integral_holds_for_either_scale, pareto, old, new, tmp_path)


@pytest.mark.parametrize("model", [cm.BGNBD, cm.GammaGamma])
def test_a_search_that_begins_on_a_part_ends_where_the_whole_says(
    model: type[cm.BGNBD] | type[cm.GammaGamma], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    if model is cm.BGNBD:
        known = cm.BGNBD.from_parameters({"r": 0.5, "alpha": 6.0, "a": 0.8, "b": 2.5})
        table = known.simulate(rng.uniform(20, 40, 60_000), rng)
    else:
        table = cm.GammaGamma.from_parameters({"p": 6.0, "q": 4.0, "gamma": 15.0}).simulate(np.full(60_000, 3), rng)
    part = model().fit(table)
    monkeypatch.setattr(_model, "_LARGE", 10**9)
    whole = model().fit(table)
    assert part.convergence_.converged
    assert part.log_likelihood_ == pytest.approx(whole.log_likelihood_, abs=1e-5)
    for name, error in whole.standard_errors_.items():
        assert abs(getattr(part, f"{name}_") - getattr(whole, f"{name}_")) < 0.01 * error
        assert part.standard_errors_[name] == pytest.approx(error, rel=1e-2)

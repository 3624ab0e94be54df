"""ALS: that it solves the paper's equations, to the last bit the same, and without `implicit` once it is fitted."""

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from crmml.errors import BundleError, ConfigError, DataError, MissingExtraError
from crmml.recommend import _least_squares
from crmml.recommend.als import ALS
from crmml.recommend.factors import on_grid
from tests.recommend.blocks import each_missing_first, missing, two_blocks


def loss(model: ALS) -> float:
    """The loss of Hu, Koren and Volinsky (2008), equation 3, cell by cell."""
    weights = model.matrix_.weights.toarray()
    x, y = model.customer_factors_.astype(float), model.item_factors_.astype(float)
    errors = (1 + model.alpha * weights) * ((weights > 0) - x @ y.T) ** 2
    return float(errors.sum() + model.regularization * ((x**2).sum() + (y**2).sum()))


def weighted() -> pd.DataFrame:
    return two_blocks().assign(weight=lambda t: 0.2 + t.index % 3)


class TestEquations:
    def test_the_customers_solve_their_normal_equations(self) -> None:
        model = ALS(4, iterations=300, alpha=3.0, regularization=0.5).fit(weighted())
        weights = model.matrix_.weights.toarray()
        y = model.item_factors_.astype(float)
        for row, x in zip(weights, model.customer_factors_, strict=True):
            c = 1 + 3.0 * row
            solution = np.linalg.solve(y.T @ (c[:, None] * y) + 0.5 * np.eye(4), y.T @ (c * (row > 0)))
            np.testing.assert_allclose(x, solution, atol=1e-3)

    def test_more_iterations_lower_the_loss(self) -> None:
        losses = [loss(ALS(4, iterations=n, regularization=0.1).fit(weighted())) for n in (1, 2, 4, 8, 16)]
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] < losses[0]

    def test_a_weight_of_zero_is_an_absence(self) -> None:
        looked = pd.DataFrame({"customer_id": [0], "item_id": [11], "weight": [0.0]})
        plain, more = ALS(4).fit(two_blocks()), ALS(4).fit(pd.concat([two_blocks(), looked]))
        np.testing.assert_array_equal(more.customer_factors_, plain.customer_factors_)
        assert 11 in plain.recommend([0], k=50)["item_id"].tolist()
        assert 11 not in more.recommend([0], k=50)["item_id"].tolist()

    def test_a_weight_below_one_still_says_more_than_an_absence(self) -> None:
        # implicit on its own takes the weight for the confidence: 0.01 would say less than an absence, which says 1.
        log = two_blocks().assign(weight=0.01)
        first = ALS(4, regularization=0.01).fit(log).recommend([0], k=1)
        assert first["item_id"].tolist() == [0]


class TestFrequency:
    def test_everybody_solves_their_own_normal_equations(self) -> None:
        log = pd.concat([weighted(), pd.DataFrame({"customer_id": [0, 99], "item_id": [7, 7], "weight": 1.0})])
        model = ALS(4, iterations=300, alpha=3.0, regularization=0.2, frequency_exponent=0.7).fit(log)
        weights = model.matrix_.weights.toarray()
        x, y = model.customer_factors_.astype(float), model.item_factors_.astype(float)
        for side, own, other in ((weights, x, y), (weights.T, y, x)):
            for row, found in zip(side, own, strict=True):
                c, n = 1 + 3.0 * row, np.count_nonzero(row)
                normal = other.T @ (c[:, None] * other) + 0.2 * n**0.7 * np.eye(4)
                np.testing.assert_allclose(found, np.linalg.solve(normal, other.T @ (c * (row > 0))), atol=2e-3)

    def test_nearly_no_scaling_is_as_good_as_implicit(self) -> None:
        plain, ours = (ALS(4, iterations=50, frequency_exponent=e).fit(weighted()) for e in (0.0, 1e-9))
        assert loss(ours) == pytest.approx(loss(plain), rel=1e-3)

    def test_batches_change_nothing_but_rounding(self, monkeypatch: pytest.MonkeyPatch) -> None:
        expected = ALS(4, frequency_exponent=1.0, regularization=0.1).fit(weighted())
        monkeypatch.setattr(_least_squares, "BATCH", 30)  # two customers at a time
        found = ALS(4, frequency_exponent=1.0, regularization=0.1).fit(weighted())
        np.testing.assert_allclose(found._scores(np.arange(16)), expected._scores(np.arange(16)), atol=1e-3)

    def test_finds_what_is_missing(self) -> None:
        assert each_missing_first(ALS(8, frequency_exponent=1.0).fit(two_blocks()))

    def test_needs_no_implicit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "implicit", None)
        monkeypatch.setitem(sys.modules, "implicit.cpu.als", None)
        assert len(ALS(4, frequency_exponent=0.5).fit(two_blocks()).recommend([0], k=3)) == 3


class TestStarts:
    @pytest.mark.parametrize("exponent", [0.0, 0.5])
    def test_a_score_is_the_mean_of_the_starts(self, exponent: float) -> None:
        both = ALS(4, starts=2, random_state=3, frequency_exponent=exponent).fit(weighted())
        alone = [ALS(4, random_state=seed, frequency_exponent=exponent).fit(weighted()) for seed in (3, 4)]
        mean = sum(one._scores(np.arange(16)) for one in alone) / 2
        np.testing.assert_allclose(both._scores(np.arange(16)), mean, atol=1e-5)
        again = ALS(4, starts=2).set_state(both.get_state())
        np.testing.assert_array_equal(again._scores(np.arange(16)), both._scores(np.arange(16)))


class TestSameBits:
    @given(st.integers(1, 70), st.integers(0, 2**32 - 1), st.floats(1e-6, 1e6))
    def test_scores_do_not_depend_on_the_order_of_addition(self, length: int, seed: int, size: float) -> None:
        random = np.random.default_rng(seed)
        x, y = (on_grid((random.normal(size=(3, length)) * size).astype(np.float32)).astype(float) for _ in "xy")
        order = random.permutation(length)
        assert (x @ y.T).tolist() == (x[:, order] @ y[:, order].T).tolist()
        assert (x[1] @ y.T).tolist() == (x @ y.T)[1].tolist()

    @given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e6))
    def test_the_grid_is_as_fine_as_float32_of_the_largest(self, seed: int, size: float) -> None:
        factors = (np.random.default_rng(seed).normal(size=(5, 64)) * size).astype(np.float32)
        step = 2.0**-22 * np.abs(factors).max()
        assert np.abs(on_grid(factors).astype(float) - factors).max() <= step
        np.testing.assert_array_equal(on_grid(on_grid(factors)), on_grid(factors))

    def test_any_number_of_threads(self) -> None:
        found = []
        for threads in (1, 2, 4):
            with threadpool_limits(limits=threads):
                found.append(ALS(16).fit(weighted()).get_state())
        for state in found[1:]:
            np.testing.assert_equal(state, found[0])

    def test_the_seed_decides(self) -> None:
        first, again, other = (ALS(4, random_state=seed).fit(weighted()).customer_factors_ for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()


class TestImplicit:
    def test_is_not_needed_to_recommend(self, tmp_path: Any) -> None:
        np.savez(tmp_path / "state.npz", **ALS(4).fit(two_blocks()).get_state())
        program = (
            "import sys; sys.modules['implicit'] = None\n"
            "import numpy as np; from crmml import ALS\n"
            f"state = dict(np.load({str(tmp_path / 'state.npz')!r}, allow_pickle=False))\n"
            "model = ALS(4).set_state(state)\n"
            "print(model.recommend([3], k=1).item_id[0], len(model.similar_items([3], k=2)))"
        )
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert (run.stdout.strip(), run.stderr) == ("3 2", "")

    def test_its_absence_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "implicit", None)
        monkeypatch.setitem(sys.modules, "implicit.cpu.als", None)
        with pytest.raises(MissingExtraError) as caught:
            ALS().fit(two_blocks())
        message = "ALS.fit needs the package 'implicit'. Install it with: pip install \"crmml[recommend]\""
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"factors": 0}, "factors is 0. Use a whole number of at least 1, such as factors=10."),
        ({"iterations": 1.5}, "iterations is 1.5. Use a whole number of at least 1, such as iterations=10."),
        ({"starts": 0}, "starts is 0. Use a whole number of at least 1, such as starts=10."),
        ({"regularization": -1.0}, "regularization is -1.0. Use a number of at least 0, such as 20.0."),
        ({"regularization": float("nan")}, "regularization is nan. Use a number of at least 0, such as 20.0."),
        ({"alpha": 0}, "alpha is 0. Use a number above 0, such as 20.0."),
        ({"alpha": "1"}, "alpha is '1'. Use a number above 0, such as 20.0."),
        (
            {"frequency_exponent": -0.5},
            "frequency_exponent is -0.5. Use a number of at least 0, such as 0.5.",
        ),
        ({"random_state": -1}, "random_state is -1. Use a whole number of at least 0, such as 0."),
        ({"random_state": None}, "random_state is None. Use a whole number of at least 0, such as 0."),
    ],
)
def test_bad_parameters_are_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ALS(**parameters).fit(two_blocks())
    assert str(caught.value) == f"ALS.fit: {message}"


def test_weights_too_large_to_solve_for_are_named() -> None:
    with pytest.raises(DataError) as caught:
        ALS(4).fit(two_blocks().assign(weight=lambda t: 10_000 + t.index))  # 80 rows: the median is that of 39 and 40
    assert str(caught.value) == (
        f"ALS.fit: the confidences 1 + alpha * weight are too large to solve for (median {1 + 20 * 10_039.5:g}, "
        f"largest {1 + 20 * 10_079:g}). Use weights of about 1, such as log1p of an amount, or a smaller alpha."
    )


def test_one_customer_with_an_enormous_weight_spoils_nothing() -> None:
    log = two_blocks()
    log.loc[0, "weight"] = 1e11
    first = ALS().fit(log).recommend(range(16), k=1)
    assert first["item_id"].tolist() == [missing(customer) for customer in range(16)]


def test_a_fit_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.recommender_base import ModelFitError

    def fail(*_: Any, **__: Any) -> None:
        raise ModelFitError("NaN encountered in factors")

    monkeypatch.setattr(AlternatingLeastSquares, "fit", fail)
    with pytest.raises(DataError) as caught:
        ALS(4).fit(two_blocks())
    message = "ALS.fit: NaN encountered in factors. Use a larger regularization or smaller weights."
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"item_factors": np.zeros((12, 5), dtype=np.float32)},
            "item_factors is float32 of shape (12, 5), not floats of shape (12, 4)",
        ),
        (
            {"customer_factors": np.full((16, 4), np.inf, dtype=np.float32)},
            "customer_factors holds values that are not finite",
        ),
    ],
)
def test_factors_that_were_not_written_are_refused(change: dict[str, Any], problem: str) -> None:
    state = {**ALS(4).fit(two_blocks()).get_state(), **change}
    with pytest.raises(BundleError) as caught:
        ALS(4).set_state(state)
    assert str(caught.value) == f"ALS.set_state: {problem}. The state is damaged: train the model again."

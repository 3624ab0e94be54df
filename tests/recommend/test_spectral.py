"""The spectral filter: against the whole decomposition, and on tastes of two kinds."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from crmml.errors import ConfigError
from crmml.recommend.spectral import SpectralFilter
from tests.recommend.blocks import two_blocks


def noisy() -> pd.DataFrame:
    random = np.random.default_rng(0)
    customers, items = np.nonzero(random.random((40, 30)) < 0.3)
    return pd.DataFrame({"customer_id": customers, "item_id": items, "weight": random.integers(1, 4, len(items))})


@pytest.mark.parametrize("exponent", [0.0, 0.5, 0.8])
def test_scores_are_the_projection(exponent: float) -> None:
    model = SpectralFilter(popularity_exponent=exponent).fit(noisy())
    r = model.matrix_.weights.toarray() / 3
    du, di = r.sum(axis=1), r.sum(axis=0)
    v = np.linalg.svd(r / np.sqrt(du[:, None] * di))[2][:5].T  # 30 items: a sixth of them
    expected = (r * di**-exponent) @ v @ v.T * di**exponent
    np.testing.assert_allclose(model._scores(np.arange(len(du))), expected, atol=2e-2 * np.abs(expected).max())


def test_two_tastes_are_the_two_first_directions() -> None:
    # The even matrix of two blocks has the singular value 1 twice, once for each block: nothing crosses over.
    scores = SpectralFilter(2).fit(two_blocks())._scores(np.arange(16))
    assert np.abs(scores[:8, 6:]).max() < 1e-6
    assert scores[:8, :6].min() > 0.5


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (7, 6)])
def test_any_shape_can_be_fitted(shape: tuple[int, int]) -> None:
    customers, items = (place.ravel() for place in np.indices(shape))
    log = pd.DataFrame({"customer_id": customers, "item_id": items, "weight": 1.0})
    table = SpectralFilter().fit(log).recommend([0], k=10, exclude_seen=False)
    # Everybody took everything: every item scores the same, in the order of the ids up to rounding.
    assert sorted(table["item_id"]) == list(range(shape[1]))
    assert np.ptp(table["score"]) < 1e-6


def test_any_number_of_threads_and_the_seed() -> None:
    found = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads):
            found.append(SpectralFilter().fit(noisy()).get_state())
    np.testing.assert_equal(found[1], found[0])
    assert (SpectralFilter(random_state=1).fit(noisy()).item_factors_ != found[0]["item_factors"]).any()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"factors": 0}, "factors is 0. Use a whole number of at least 1, such as factors=10."),
        ({"popularity_exponent": -1}, "popularity_exponent is -1. Use a number of at least 0, such as 0.5."),
        ({"random_state": -1}, "random_state is -1. Use a whole number of at least 0, such as 0."),
    ],
)
def test_bad_parameters_are_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SpectralFilter(**parameters).fit(two_blocks())
    assert str(caught.value) == f"SpectralFilter.fit: {message}"

"""EASE: against the ridge regressions it stands for, one by one."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from crmml.errors import BundleError, ConfigError
from crmml.recommend import ease
from crmml.recommend.ease import EASE
from tests.recommend.blocks import each_missing_first, two_blocks


def noisy() -> pd.DataFrame:
    random = np.random.default_rng(0)
    customers, items = np.nonzero(random.random((30, 9)) < 0.4)
    return pd.DataFrame({"customer_id": customers, "item_id": items, "weight": random.integers(1, 5, len(items))})


def regressions(model: EASE, neighbors: int) -> np.ndarray:
    """B by least squares: customers as rows, the penalty as further rows, the nearest items as columns."""
    r = model.matrix_.weights.toarray() / 4
    r *= r.sum(axis=1, keepdims=True) ** (-model.activity_exponent / 2)
    items = r.shape[1]
    cosine = r.T @ r / np.sqrt((r**2).sum(axis=0)[:, None] * (r**2).sum(axis=0))
    links = np.zeros((items, items))
    for j in range(items):
        near = [i for i in np.argsort(-cosine[j], kind="stable") if i != j and cosine[i, j] > 0][:neighbors]
        rows = np.vstack([r[:, near], model.regularization**0.5 * np.eye(len(near))])
        links[near, j] = np.linalg.lstsq(rows, np.concatenate([r[:, j], np.zeros(len(near))]))[0]
    return links


@pytest.mark.parametrize(
    ("neighbors", "exponent"), [(1, 0.0), (3, 1.0), (8, 0.0), (100, 0.5), (None, 0.0), (None, 1.0)]
)
def test_every_column_is_its_ridge_regression(
    neighbors: int | None, exponent: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ease, "ROWS", 60)  # two items at a time
    model = EASE(neighbors, regularization=0.7, activity_exponent=exponent).fit(noisy())
    links = model.item_links_ if neighbors is None else model.item_links_.toarray()
    np.testing.assert_allclose(links, regressions(model, neighbors or 8), atol=1e-6)
    expected = model.matrix_.weights.toarray() / 4 @ links
    np.testing.assert_allclose(model._scores(np.arange(len(expected))), expected, atol=1e-6)


def test_two_items_by_hand() -> None:
    # Three took a and b, one took a only. b from a: 3 / (4 + 1); a from b: 3 / (3 + 1).
    log = pd.DataFrame({"customer_id": [1, 1, 2, 2, 3, 3, 4], "item_id": list("abababa"), "weight": 2.0})
    for neighbors in (1, None):
        table = EASE(neighbors, regularization=1, activity_exponent=0).fit(log).recommend([1], exclude_seen=False)
        assert table["item_id"].tolist() == ["a", "b"]
        assert table["score"].tolist() == pytest.approx([3 / 4, 3 / 5])


def test_the_full_form_finds_what_is_missing() -> None:
    assert each_missing_first(EASE(None).fit(two_blocks()))


def test_the_full_form_is_stored() -> None:
    model = EASE(None).fit(noisy())
    again = EASE(None).set_state(model.get_state())
    pd.testing.assert_frame_equal(again.recommend(range(30)), model.recommend(range(30)), check_exact=True)
    with pytest.raises(BundleError) as caught:
        EASE(None).set_state({**model.get_state(), "links": np.zeros((9, 8))})
    assert str(caught.value) == (
        "EASE.set_state: links is float64 of shape (9, 8), not floats of shape (9, 9). The state is damaged: "
        "train the model again."
    )


@pytest.mark.parametrize("neighbors", [5, None])
def test_any_number_of_threads(neighbors: int | None) -> None:
    found = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads):
            found.append(EASE(neighbors).fit(noisy()).get_state())
    np.testing.assert_equal(found[1], found[0])


def test_too_many_items_for_the_full_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "MOST_ITEMS", 8)
    with pytest.raises(ConfigError) as caught:
        EASE(None).fit(noisy())
    assert str(caught.value) == (
        "EASE.fit: neighbors is None, which inverts a matrix of 9 x 9 items (0.0 GB, twice); at most 8 are "
        "allowed. Use neighbors=100."
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"neighbors": 0}, "neighbors is 0. Use a whole number of at least 1, such as neighbors=10."),
        ({"regularization": 0}, "regularization is 0. Use a number above 0, such as 4.0."),
        ({"activity_exponent": -1}, "activity_exponent is -1. Use a number of at least 0, such as 1.0."),
    ],
)
def test_bad_parameters_are_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        EASE(**parameters).fit(two_blocks())
    assert str(caught.value) == f"EASE.fit: {message}"

"""Neighbours: the formulas of the docstrings, cell by cell, and that few neighbours are the strongest."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from crmml.errors import BundleError, ConfigError
from crmml.recommend import products
from crmml.recommend.neighbors import ItemKNN, UserKNN
from tests.recommend.blocks import two_blocks

ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), st.sampled_from([0.0, 0.5, 1.0, 4.0])), min_size=1)


def table(rows: list[tuple[int, int, float]]) -> pd.DataFrame:
    """The rows and one more, so that there is always something to learn."""
    return pd.DataFrame([*rows, (9, 9, 2.0)], columns=["customer_id", "item_id", "weight"])


def scores(model: ItemKNN | UserKNN) -> np.ndarray:
    return model._scores(np.arange(len(model.matrix_.customer_ids))).astype(float)


@settings(max_examples=50)
@given(ROWS, st.floats(0, 2), st.floats(0.5, 2), st.floats(0, 1), st.floats(0, 1))
def test_items_as_written(rows: list[Any], activity: float, power: float, says: float, helped: float) -> None:
    names = {"activity_exponent": activity, "power": power, "from_exponent": says, "to_exponent": helped}
    model = ItemKNN(**names).fit(table(rows))
    r = model.matrix_.weights.toarray() / model.matrix_.weights.toarray().max()
    du, di = r.sum(axis=1), r.sum(axis=0)
    expected = np.zeros_like(r)
    for u, i, j in np.ndindex(len(du), len(di), len(di)):
        both = sum(r[v, i] * r[v, j] * du[v] ** -activity for v in range(len(du)) if du[v] > 0)
        if i != j and both > 0:
            expected[u, j] += r[u, i] * di[i] ** -says * both**power * di[j] ** -helped
    np.testing.assert_allclose(scores(model), expected, rtol=1e-5)


@settings(max_examples=50)
@given(ROWS, st.floats(0, 1), st.floats(0.5, 2), st.floats(0, 1), st.floats(0, 1))
def test_customers_as_written(rows: list[Any], popularity: float, power: float, activity: float, helped: float) -> None:
    names = {"popularity_exponent": popularity, "power": power, "activity_exponent": activity, "to_exponent": helped}
    model = UserKNN(**names).fit(table(rows))
    r = model.matrix_.weights.toarray() / model.matrix_.weights.toarray().max()
    du, di = r.sum(axis=1), r.sum(axis=0)
    expected = np.zeros_like(r)
    for u, v in np.ndindex(len(du), len(du)):
        both = sum(r[u, i] * r[v, i] * di[i] ** -popularity for i in range(len(di)) if di[i] > 0)
        if u != v and both > 0:
            expected[u] += both**power * du[v] ** -activity * r[v]
    expected *= np.where(di > 0, di, 1) ** -helped
    np.testing.assert_allclose(scores(model), expected, rtol=1e-5)


def test_the_plain_cosine() -> None:
    # Three took a, two of them b as well; one took c only: cos(a, b) = 2 / sqrt(3 * 2), and c goes with nothing.
    log = pd.DataFrame({"customer_id": [1, 1, 2, 2, 3, 4], "item_id": list("ababac"), "weight": 1.0})
    model = ItemKNN(activity_exponent=0, power=1, from_exponent=0.5, to_exponent=0.5).fit(log)
    found = model.recommend([3], exclude_seen=True)
    assert found["item_id"].tolist() == ["b", "c"]
    assert found["score"].tolist() == pytest.approx([2 / 6**0.5, 0])


def test_the_unit_of_the_weights_is_nothing() -> None:
    log = two_blocks().assign(weight=lambda t: 1.0 + t.index % 3)
    for kind in (ItemKNN, UserKNN):
        expected = kind().fit(log).recommend(range(16), k=12)
        cents = kind().fit(log.assign(weight=lambda t: t["weight"] * 2.0**20)).recommend(range(16), k=12)
        pd.testing.assert_frame_equal(cents, expected, check_exact=True)


def test_few_neighbours_are_the_strongest() -> None:
    # b goes with a twice, c once: with one neighbour only b is left; the same among customers.
    log = pd.DataFrame({"customer_id": [1, 1, 2, 2, 3, 3, 4], "item_id": list("ababaca"), "weight": 1.0})
    assert ItemKNN(1).fit(log).recommend([4])["score"].gt(0).tolist() == [True, False]
    pairs = pd.DataFrame({"customer_id": [1, 1, 2, 2, 2, 3, 3], "item_id": list("ababcad"), "weight": 1.0})
    assert UserKNN(1).fit(pairs).recommend([1])["score"].gt(0).tolist() == [True, False]


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0]), min_size=5, max_size=5), min_size=1), st.integers(1, 6))
def test_the_strongest_are_those_of_sorting(rows: list[list[float]], count: int) -> None:
    kept = products.strongest(csr_array(np.array(rows)), count).toarray()
    for row, found in zip(rows, kept.tolist(), strict=True):
        best = sorted(range(5), key=lambda column: (-row[column], column))[:count]
        assert found == [value if column in best else 0.0 for column, value in enumerate(row)]


def test_blocks_are_rows_of_the_product(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    left, right = (csr_array(random.random(shape).round() * 1.0) for shape in ((9, 7), (7, 5)))
    for pairs in (1, 10, 10**9):
        monkeypatch.setattr(products, "PAIRS", pairs)
        found = list(products.blocks(left, right))
        assert [first for first, _ in found] == np.cumsum([0, *(block.shape[0] for _, block in found)])[:-1].tolist()
        np.testing.assert_array_equal(np.concatenate([block.toarray() for _, block in found]), (left @ right).toarray())
    assert len(found) == 1


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (ItemKNN(0), "ItemKNN.fit: neighbors is 0. Use a whole number of at least 1, such as neighbors=10."),
        (ItemKNN(power=0), "ItemKNN.fit: power is 0. Use a number above 0, such as 0.85."),
        (ItemKNN(to_exponent=-1), "ItemKNN.fit: to_exponent is -1. Use a number of at least 0, such as 0.3."),
        (UserKNN(power=float("inf")), "UserKNN.fit: power is inf. Use a number above 0, such as 1.5."),
        (
            UserKNN(popularity_exponent="x"),  # type: ignore[arg-type]
            "UserKNN.fit: popularity_exponent is 'x'. Use a number of at least 0, such as 0.6.",
        ),
    ],
)
def test_bad_parameters_are_named(model: ItemKNN | UserKNN, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        model.fit(two_blocks())
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("links_indptr", np.arange(13)[::-1], "links_indptr does not rise from 0"),
        ("links_indices", np.full(60, 12), "links_indices are not item numbers below 12"),
        ("links_values", np.zeros(3), "links_values is float64 of shape (3,), not floats of shape (60,)"),
    ],
)
def test_links_that_were_not_written_are_refused(name: str, value: np.ndarray, problem: str) -> None:
    state = {**ItemKNN().fit(two_blocks()).get_state(), name: value}  # 12 items, each with the 5 of its block
    with pytest.raises(BundleError) as caught:
        ItemKNN().set_state(state)
    assert str(caught.value) == f"ItemKNN.set_state: {problem}. The state is damaged: train the model again."

"""New customers without learning again: as if they had been there, and nobody else is touched."""

import numpy as np
import pandas as pd
import pytest

from crmml.errors import ConfigError, DataError, SchemaError
from crmml.recommend.als import ALS
from crmml.recommend.base import Recommender
from crmml.recommend.bpr import BPR
from crmml.recommend.ease import EASE
from crmml.recommend.neighbors import ItemKNN, UserKNN
from crmml.recommend.popularity import Popularity
from tests.recommend.blocks import text_of, two_blocks

LEARNED_ONCE = [ItemKNN(), UserKNN(), EASE(), EASE(None), ALS(8), ALS(8, frequency_exponent=0.5)]
every = pytest.mark.parametrize("model", LEARNED_ONCE, ids=str)


def newer() -> pd.DataFrame:
    """A stranger who took 6, 7, 8 and an item nobody knows; customer 0 moves over to the other block."""
    rows = [(50, 6), (50, 7), (50, 8), (50, 777), (0, 9), (0, 10)]
    return pd.DataFrame(rows, columns=["customer_id", "item_id"]).assign(weight=1.0)


@every
def test_their_taste_is_known(model: Recommender) -> None:
    table = model.fit(two_blocks()).fold_in(newer()).recommend([50, 0], k=3)
    assert set(table.loc[table["customer_id"] == 50, "item_id"]) == {9, 10, 11}
    assert set(table.loc[table["customer_id"] == 0, "item_id"]) <= {6, 7, 8, 11}


@every
def test_everybody_else_keeps_their_list_and_the_model_its_state(model: Recommender) -> None:
    fitted = model.fit(two_blocks())
    before, state = fitted.recommend(range(1, 16), k=1), fitted.get_state()
    after = fitted.fold_in(newer()).recommend(range(1, 16), k=1)
    assert after["item_id"].tolist() == before["item_id"].tolist()
    np.testing.assert_equal(fitted.get_state(), state)


@every
def test_a_folded_model_is_stored(model: Recommender) -> None:
    folded = model.fit(two_blocks()).fold_in(newer())
    again = type(model)(**model.get_params()).set_state(folded.get_state())
    everybody = [*range(16), 50]
    pd.testing.assert_frame_equal(again.recommend(everybody), folded.recommend(everybody), check_exact=True)


@pytest.mark.parametrize("starts", [1, 2])
def test_customers_of_als_solve_their_equations(starts: int) -> None:
    model = ALS(4, alpha=3.0, regularization=0.5, frequency_exponent=1.0, starts=starts)
    folded = model.fit(two_blocks()).fold_in(newer())
    c = 1 + 3.0 * np.isin(np.arange(12), [6, 7, 8])
    for own in (slice(first, first + 4) for first in range(0, 4 * starts, 4)):
        y = folded.item_factors_[:, own].astype(float)
        normal = y.T @ (c[:, None] * y) + 0.5 * 3 * np.eye(4)
        solution = np.linalg.solve(normal, y.T @ (c * (c > 1)))
        np.testing.assert_allclose(folded.customer_factors_[16, own] * starts, solution, atol=1e-5)


def test_popularity_counts_what_is_given() -> None:
    # Seven took 8; the stranger makes it eight.
    first = Popularity().fit(two_blocks()).fold_in(newer()).recommend([99], k=1)
    assert first[["item_id", "score"]].to_numpy().tolist() == [[8, 8.0]]


def test_what_cannot_be_folded_in_is_refused() -> None:
    model = ItemKNN().fit(two_blocks())
    assert text_of(ConfigError, lambda: BPR(iterations=1).fit(two_blocks()).fold_in(newer())) == (
        "BPR.fold_in: BPR has to learn again. Call fit with all interactions."
    )
    assert text_of(ConfigError, lambda: ItemKNN().fold_in(newer())) == (
        "ItemKNN.fold_in: not fitted yet. Call fit(interactions) first."
    )
    assert text_of(DataError, lambda: model.fold_in(newer().assign(item_id=777))) == (
        "ItemKNN.fold_in: none of the 1 items was in the interactions the model was fitted on, such as 0. Call fit "
        "with all interactions."
    )
    assert text_of(SchemaError, lambda: model.fold_in(newer().assign(customer_id="x"))) == (
        "ItemKNN.fold_in: customer_id: ids are text (first: 'x'), but the model was fitted on whole numbers (first: "
        "9). Use the type of the log."
    )

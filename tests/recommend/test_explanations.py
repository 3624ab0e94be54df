"""Because of what: the shares are those of the model's own sum."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, issparse

from crmml.errors import ConfigError, DataError, SchemaError
from crmml.recommend import explanations
from crmml.recommend.als import ALS
from crmml.recommend.base import Recommender
from crmml.recommend.ease import EASE
from crmml.recommend.explanations import Terms
from crmml.recommend.matrix import Interactions
from crmml.recommend.neighbors import ItemKNN
from crmml.recommend.sequential import MarkovNext
from tests.models.mutants import dies
from tests.recommend.blocks import missing, two_blocks

WITH_TERMS: list[Recommender] = [ItemKNN(), EASE(), EASE(None), MarkovNext()]


def made() -> tuple[Interactions, Terms]:
    """Customer 7 took the items 0 (twice as much), 1 and 2, customer 8 the item 3."""
    table = pd.DataFrame({"customer_id": [7, 7, 7, 8], "item_id": [0, 1, 2, 3], "weight": [2.0, 1.0, 1.0, 2.0]})
    links = np.zeros((4, 4), dtype=np.float32)
    links[:, 3] = [1.0, 4.0, -5.0, 0.0]
    links[:, 2] = [1.0, 2.0, 0.0, 3.0]
    matrix = Interactions.from_frame(table, weight="weight")
    return matrix, Terms(matrix.weights, csr_array(links))


def asked(*pairs: tuple[int, int]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["customer_id", "item_id"])


def rows(table: pd.DataFrame) -> list[list[Any]]:
    return [list(row) for row in table.itertuples(index=False)]


def by_hand(module: ModuleType) -> None:
    # For item 3, the terms of customer 7 are 2 * 1, 1 * 4 and 1 * -5: of the positive ones, 6, item 1 has two thirds.
    # For item 2 they are 2 * 1 and 1 * 2: equal, so by item.
    found = module.explained(*made(), asked((7, 3), (8, 2), (7, 2)), 2, "test")
    assert list(found.columns) == ["customer_id", "item_id", "rank", "because_item_id", "share"]
    assert rows(found) == [
        [7, 3, 1, 1, pytest.approx(4 / 6)],
        [7, 3, 2, 0, pytest.approx(2 / 6)],
        [8, 2, 1, 3, 1.0],
        [7, 2, 1, 0, 0.5],
        [7, 2, 2, 1, 0.5],
    ]
    assert rows(module.explained(*made(), asked((7, 3)), 1, "test")) == [[7, 3, 1, 1, pytest.approx(4 / 6)]]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("np.maximum(took.data * links, 0.0)", "np.abs(took.data * links)"),
        ("took.data * links", "links"),
        ("(took.indices, -term, row)", "(took.indices, term, row)"),
        ("(place < n)", "(place <= n)"),
        ("/ total[row[kept]]", "/ term.sum()"),
    ],
    ids=["what speaks against", "without how much was taken", "from the smallest", "one more", "share of everything"],
)
def test_mutants_die(old: str, new: str, tmp_path: Path) -> None:
    dies(by_hand, explanations, old, new, tmp_path)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = explanations.explained(*made(), asked((7, 3), (8, 2), (9, 2), (7, 2)), 3, "test")
    for pairs in (1, 2, 3, 4, 5):
        monkeypatch.setattr(explanations, "PAIRS", pairs)
        pd.testing.assert_frame_equal(
            explanations.explained(*made(), asked((7, 3), (8, 2), (9, 2), (7, 2)), 3, "test"), whole
        )


@pytest.mark.parametrize("model", WITH_TERMS, ids=repr)
def test_the_terms_add_up_to_the_score(model: Recommender) -> None:
    fitted = type(model)(**model.get_params()).fit(two_blocks())
    terms = fitted._terms()
    assert terms is not None
    links = terms.links.toarray() if issparse(terms.links) else terms.links
    everybody = np.arange(16)
    assert terms.took.toarray() @ links == pytest.approx(fitted._scores(everybody).astype(float), abs=1e-5)
    lists = fitted.recommend([0, 8, 99], k=1)
    found = fitted.explain(lists, n=6).set_index("customer_id")
    # The five items that each took of the own block speak for the sixth; for 99 popularity alone does.
    assert found.index.unique().tolist() == [0, 8]
    for customer in (0, 8):
        first = 6 * (customer // 8)
        others = set(range(first, first + 6)) - {missing(customer)}
        assert set(found.loc[customer, "because_item_id"]) == others
        assert found.loc[customer, "share"].sum() == pytest.approx(1)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=20), st.integers(1, 6))
def test_shares_fall_and_stay_within_one(pairs: list[tuple[int, int]], n: int) -> None:
    table = asked(*pairs).assign(weight=1.0)
    model = ItemKNN().fit(table)
    lists = model.recommend(sorted({who for who, _ in pairs}), k=5, exclude_seen=False)
    found = model.explain(lists, n=n).groupby(["customer_id", "item_id"])["share"]
    assert (found.sum() <= 1 + 1e-9).all()
    assert (found.size() <= n).all()
    assert found.apply(lambda one: one.is_monotonic_decreasing).all()
    took = set(pairs)
    because = model.explain(lists, n=n)[["customer_id", "because_item_id"]].itertuples(index=False, name=None)
    assert took.issuperset(because)


def test_bad_input_is_named() -> None:
    model = ItemKNN().fit(two_blocks())
    cases: list[tuple[type[Exception], Any, str]] = [
        (
            SchemaError,
            lambda: model.explain(pd.DataFrame({"customer_id": [1]})),
            "ItemKNN.explain: recommendations need the columns 'customer_id' and 'item_id'. Use what recommend "
            "returned.",
        ),
        (
            DataError,
            lambda: model.explain(asked((0, 999))),
            "ItemKNN.explain: item 999 was not in the interactions the model was fitted on. Did you mean 11? Explain "
            "what this model has recommended.",
        ),
        (
            ConfigError,
            lambda: ALS(2).fit(two_blocks()).explain(asked((0, 5))),
            "ALS.explain: its scores are no sums over a customer's items. Use ItemKNN(), EASE() or MarkovNext().",
        ),
        (
            ConfigError,
            lambda: model.explain(asked((0, 5)), n=0),
            "ItemKNN.explain: n is 0. Use a whole number of at least 1, such as n=10.",
        ),
        (
            ConfigError,
            lambda: ItemKNN().explain(asked((0, 5))),
            "ItemKNN.explain: not fitted yet. Call fit(interactions) first.",
        ),
    ]
    for kind, call, message in cases:
        with pytest.raises(kind) as caught:
            call()
        assert str(caught.value) == message

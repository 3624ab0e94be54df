"""BPR: what it prefers, that the seed decides, and what it refuses."""

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from crmml.errors import ConfigError, DataError, MissingExtraError
from crmml.recommend.bpr import BPR
from tests.recommend.blocks import each_missing_first, text_of, two_blocks


def test_what_was_taken_is_preferred_to_what_was_not() -> None:
    model = BPR().fit(two_blocks())
    scores = model._scores(np.arange(16))
    taken = model.matrix_.weights.toarray() > 0
    other_block = np.kron(np.eye(2), np.ones((8, 6))) == 0
    assert (np.where(taken, scores, np.inf).min(axis=1) > np.where(other_block, scores, -np.inf).max(axis=1)).all()


def test_the_number_of_an_item_is_its_popularity() -> None:
    # Everybody took a, half of them b, one of them c: without vectors to speak of, b_i orders them.
    log = pd.DataFrame({"customer_id": [*range(20), *range(10), 0], "item_id": ["a"] * 20 + ["b"] * 10 + ["c"]})
    model = BPR(1, regularization=0.1).fit(log.assign(weight=1.0))
    assert np.argsort(-model.item_factors_[:, -1]).tolist() == [0, 1, 2]
    assert (model.customer_factors_[:, -1] == 1).all()


def test_weights_say_only_whether_there_is_any() -> None:
    log = two_blocks()
    looked = pd.DataFrame({"customer_id": [0], "item_id": [11], "weight": [0.0]})
    expected = BPR(4).fit(log).item_factors_
    np.testing.assert_array_equal(BPR(4).fit(log.assign(weight=7.0)).item_factors_, expected)
    np.testing.assert_array_equal(BPR(4).fit(pd.concat([log, looked])).item_factors_, expected)


def test_the_seed_decides_and_not_the_threads() -> None:
    found = []
    for threads, seed in ((1, 3), (2, 3), (1, 4)):
        with threadpool_limits(limits=threads):
            found.append(BPR(4, random_state=seed).fit(two_blocks()).item_factors_)
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()
    assert each_missing_first(BPR(random_state=3).fit(two_blocks()))


def test_the_absence_of_implicit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "implicit.cpu.bpr", None)
    assert text_of(MissingExtraError, lambda: BPR().fit(two_blocks())) == (
        "BPR.fit needs the package 'implicit'. Install it with: pip install \"crmml[recommend]\""
    )


def test_a_fit_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from implicit.cpu.bpr import BayesianPersonalizedRanking
    from implicit.recommender_base import ModelFitError

    def fail(*_: Any, **__: Any) -> None:
        raise ModelFitError("NaN encountered in factors")

    monkeypatch.setattr(BayesianPersonalizedRanking, "fit", fail)
    assert text_of(DataError, lambda: BPR().fit(two_blocks())) == (
        "BPR.fit: NaN encountered in factors. Use a smaller learning_rate."
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"factors": 0}, "factors is 0. Use a whole number of at least 1, such as factors=10."),
        ({"learning_rate": 0}, "learning_rate is 0. Use a number above 0, such as 0.05."),
        ({"regularization": -1}, "regularization is -1. Use a number of at least 0, such as 0.01."),
        ({"iterations": 0}, "iterations is 0. Use a whole number of at least 1, such as iterations=10."),
        ({"random_state": -1}, "random_state is -1. Use a whole number of at least 0, such as 0."),
    ],
)
def test_bad_parameters_are_named(parameters: dict[str, Any], message: str) -> None:
    assert text_of(ConfigError, lambda: BPR(**parameters).fit(two_blocks())) == f"BPR.fit: {message}"

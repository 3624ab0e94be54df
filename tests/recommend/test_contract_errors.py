"""What every recommender must refuse, and with which words."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from crmml.errors import ConfigError, DataError, SchemaError
from crmml.recommend.base import Recommender
from tests.recommend.blocks import each, text_of, two_blocks


def table(**changes: Any) -> pd.DataFrame:
    columns = {"customer_id": [1, 1, 2], "item_id": ["a", "b", "a"], "weight": [1.0, 1.0, 1.0], **changes}
    return pd.DataFrame({name: column for name, column in columns.items() if column is not None})


WEIGHT = "Use numbers of at least 0 and below 1e12, such as 1.0."


@each
class TestErrors:
    @pytest.mark.parametrize(
        ("interactions", "error", "message"),
        [
            (
                table(weight=None, wieght=1.0),
                SchemaError,
                (
                    "interactions has no column 'weight'. Did you mean 'wieght'? "
                    "It needs customer_id, item_id, weight and has customer_id, item_id, wieght."
                ),
            ),
            (
                pd.DataFrame(),
                SchemaError,
                "interactions has no column 'customer_id'. It needs customer_id, item_id, weight and has none.",
            ),
            (
                [1, 2],
                SchemaError,
                (
                    "interactions is a list. Give a pandas DataFrame with the columns customer_id, item_id, weight, "
                    "such as build_interactions(log, ItemWeights(), as_of=...) returns."
                ),
            ),
            (
                table()[:0],
                DataError,
                "interactions has no rows. Use a later as_of, a longer window or other weights.",
            ),
            (
                table(weight=[1.0, -2.5, -1.0]),
                DataError,
                f"weight is -2.5 in row 1 (2 of 3 rows are wrong). {WEIGHT}",
            ),
            (
                table(weight=[1.0, 1.0, np.nan]),
                DataError,
                f"weight is nan in row 2 (1 of 3 rows are wrong). {WEIGHT}",
            ),
            (
                table(weight=[np.inf, 1e12, 1.0]),
                DataError,
                f"weight is inf in row 0 (2 of 3 rows are wrong). {WEIGHT}",
            ),
            (
                table(weight=["1", "2", "3"]),
                SchemaError,
                "weight is of type str. Use numbers of at least 0, such as 1.0.",
            ),
            (
                table(weight=[0.0, 0.0, 0.0]),
                DataError,
                "all weights are 0: nothing to learn. Use weights such as 1.0.",
            ),
            (
                table(customer_id=["a", None, "b"]),
                DataError,
                "customer_id: 1 of 3 ids are missing, first in row 1. Drop these rows.",
            ),
            (
                table(item_id=[1.5, 2.0, 3.0]),
                SchemaError,
                "item_id: ids of type float64 (first: 9.9). Use whole numbers or text.",
            ),
            (
                table(item_id=[1, "a", 2]),
                SchemaError,
                "item_id: ids of type mixed-integer (first: 9). Use whole numbers or text.",
            ),
            (
                table(item_id=["a", "b\0", "b"]),
                DataError,
                r"item_id: the id 'x\x00' in row 1 ends in a NUL character. Strip it.",
            ),
            (
                table(item_id=pd.Series(["a", "\ud800", "b"], dtype=object)),
                DataError,
                r"item_id: the id '?' is not valid Unicode. Repair its encoding.",
            ),
        ],
    )
    def test_bad_interactions(
        self, kind: type[Recommender], interactions: Any, error: type[Exception], message: str
    ) -> None:
        model = kind()
        assert text_of(error, lambda: model.fit(interactions)) == f"{kind.__name__}.fit: {message}"
        assert not hasattr(model, "matrix_")

    @pytest.mark.parametrize(
        ("call", "where"),
        [
            (lambda model: model.recommend([1]), "recommend"),
            (lambda model: model.similar_items([1]), "similar_items"),
            (lambda model: model.get_state(), "get_state"),
        ],
    )
    def test_not_fitted(self, kind: type[Recommender], call: Callable[[Recommender], object], where: str) -> None:
        message = f"{kind.__name__}.{where}: not fitted yet. Call fit(interactions) first."
        assert text_of(ConfigError, lambda: call(kind())) == message
        assert text_of(NotFittedError, lambda: call(kind())) == message

    @pytest.mark.parametrize("k", [0, -3, 1.5, True])
    def test_bad_k(self, kind: type[Recommender], k: Any) -> None:
        model, name = kind().fit(two_blocks()), kind.__name__
        advice = f"k is {k!r}. Use a whole number of at least 1, such as k=10."
        assert text_of(ConfigError, lambda: model.recommend([1], k=k)) == f"{name}.recommend: {advice}"
        assert text_of(ConfigError, lambda: model.similar_items([1], k=k)) == f"{name}.similar_items: {advice}"

    @pytest.mark.parametrize(
        ("as_id", "asked", "message"),
        [
            (int, [3, 40, 41], ("2 of 3 items were not in the interactions the model was fitted on, first 40."
             " Did you mean 11? Leave them out.")),
            ("sku-{:03}".format, ["sku-0003"], ("1 of 1 items were not in the interactions the model was fitted on, "
             "first 'sku-0003'. Did you mean 'sku-003'? Leave them out.")),
            ("sku-{:03}".format, ["zzz"], ("1 of 1 items were not in the interactions the model was fitted on, "
             "first 'zzz'. Leave them out.")),
        ],
    )  # fmt: skip
    def test_unknown_item(self, kind: type[Recommender], as_id: Any, asked: list[Any], message: str) -> None:
        model = kind().fit(two_blocks(item=as_id))
        assert text_of(DataError, lambda: model.similar_items(asked)) == f"{kind.__name__}.similar_items: {message}"

    def test_ids_of_another_type_than_the_log(self, kind: type[Recommender]) -> None:
        model = kind().fit(two_blocks())
        assert text_of(SchemaError, lambda: model.recommend(["1"])) == (
            f"{kind.__name__}.recommend: customer_ids: ids are text (first: '9'), but the model was fitted on "
            "whole numbers (first: 9). Use the type of the log."
        )
        assert text_of(SchemaError, lambda: model.recommend("1")) == (
            f"{kind.__name__}.recommend: customer_ids: '1' is not a list of ids. Use ['1']."
        )
        assert text_of(SchemaError, lambda: model.recommend([1.0])) == (
            f"{kind.__name__}.recommend: customer_ids: ids of type float64 (first: 9.9). Use whole numbers or text."
        )

    def test_nothing_to_offer(self, kind: type[Recommender]) -> None:
        model = kind().fit(two_blocks())
        for items in ([40, 41, 41], []):
            assert text_of(DataError, partial(model.recommend, [1], items=items)) == (
                f"{kind.__name__}.recommend: none of the {len(set(items))} items that may be recommended was in the "
                "interactions the model was fitted on, such as 0. Give items of the log, or None for all."
            )
        assert text_of(SchemaError, lambda: model.recommend([1], items=["5"])) == (
            f"{kind.__name__}.recommend: items: ids are text (first: '9'), but the model was fitted on whole numbers "
            "(first: 9). Use the type of the log."
        )

"""Divisions of interactions: who learns from what, by hand and by laws."""

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmml.errors import ConfigError, DataError, SchemaError
from crmml.recommend.splits import PAIR, Split

rows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 9)), min_size=8, max_size=40)


def frame_of(entries: list[tuple[int, int, int]]) -> pd.DataFrame:
    return pd.DataFrame(entries, columns=[*PAIR, "timestamp"])


def found(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    return sorted(map(tuple, table.to_numpy().tolist()))


class TestTemporal:
    frame = frame_of([(1, 1, 1), (1, 2, 2), (2, 1, 3), (1, 1, 3), (2, 5, 4)])

    def test_the_moment_itself_is_the_future(self) -> None:
        split = Split.temporal(self.frame, at=3)
        assert found(split.train) == [(1, 1, 1), (1, 2, 2)]
        assert found(split.test) == [(1, 1), (2, 1), (2, 5)]

    def test_until_is_not_included(self) -> None:
        assert found(Split.temporal(self.frame, at=3, until=4).test) == [(1, 1), (2, 1)]

    def test_the_latest_share_by_default(self) -> None:
        assert found(Split.temporal(self.frame, share=0.3).test) == [(1, 1), (2, 1), (2, 5)]  # a moment stays whole
        assert found(Split.temporal(self.frame, share=0.1).test) == [(2, 5)]

    @given(rows, st.integers(1, 9))
    def test_nothing_later_is_learned_from(self, entries: list[tuple[int, int, int]], at: int) -> None:
        frame = frame_of(entries)
        later = frame["timestamp"] >= at
        if later.all() or not later.any():
            with pytest.raises(DataError):
                Split.temporal(frame, at=at)
            return
        split = Split.temporal(frame, at=at)
        assert split.train["timestamp"].max() < at
        assert len(split.train) == int((~later).sum())
        assert found(split.test) == sorted(set(map(tuple, frame.loc[later, PAIR].to_numpy().tolist())))


class TestRandom:
    @given(rows, st.randoms(use_true_random=False))
    def test_a_share_of_everybodys_items_whatever_the_order(
        self, entries: list[tuple[int, int, int]], shuffled: Any
    ) -> None:
        frame = frame_of(entries)
        sizes = frame.drop_duplicates(PAIR).groupby("customer_id").size()
        if not (sizes // 2).sum():
            return
        split = Split.random(frame, share=0.5)
        assert split.test.groupby("customer_id").size().to_dict() == {
            who: size // 2 for who, size in sizes.items() if size // 2
        }
        assert not set(map(tuple, found(split.test))) & set(map(tuple, found(split.train[PAIR])))
        assert len(split.train.drop_duplicates(PAIR)) + len(split.test) == len(frame.drop_duplicates(PAIR))
        order = list(range(len(frame)))
        shuffled.shuffle(order)
        assert found(Split.random(frame.iloc[order], share=0.5).test) == found(split.test)

    def test_another_seed_draws_others(self) -> None:
        frame = frame_of([(1, item, 0) for item in range(100)])
        one, other = (Split.random(frame, random_state=seed).test for seed in (0, 1))
        assert found(one) != found(other)


class TestLastItem:
    frame = frame_of([(1, 7, 1), (1, 8, 3), (1, 9, 2), (2, 5, 1), (3, 4, 2), (3, 3, 2)])

    def test_the_last_of_two_or_more(self) -> None:
        split = Split.last_item(self.frame)
        assert found(split.test) == [(1, 8), (3, 4)]  # at one moment the greater item is the last
        assert found(split.train) == [(1, 7, 1), (1, 9, 2), (3, 3, 2)]

    def test_the_one_before_for_choosing(self) -> None:
        split = Split.last_item(self.frame, back=2)
        assert found(split.test) == [(1, 9)]
        assert found(split.train) == [(1, 7, 1)]


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (
            lambda f: Split.temporal(f.drop(columns="timestamp"), at=1),
            SchemaError,
            "Split.temporal: frame has no column 'timestamp'. It has: customer_id, item_id.",
        ),
        (
            lambda f: Split.temporal(f, at=99),
            DataError,
            "Split: of 6 rows none is left to find (temporal). Divide at another moment, or give more interactions.",
        ),
        (
            lambda f: Split.random(f, share=1.5),
            ConfigError,
            "Split.random: share is 1.5. Use a share between 0 and 1, such as 0.2.",
        ),
        (
            lambda f: Split.last_item(f, back=0),
            ConfigError,
            "Split.last_item: back is 0. Use 1 for the last row, 2 for the one before it.",
        ),
        (
            lambda f: Split(f, f.iloc[:0]),
            DataError,
            "Split: test has no rows. Divide at another moment, or give more interactions.",
        ),
    ],
)
def test_what_cannot_be_divided_is_named(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        make(TestLastItem.frame)
    assert str(caught.value) == message

"""Hold-outs: nothing lost, nobody left with nothing, and what is drawn coherently is alike."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmml.recommend import _holdout
from crmml.recommend._holdout import HoldOut, hold_out
from crmml.recommend.matrix import Interactions

rows = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from([0.0, 1.0, 2.0])), min_size=1)


def matrix_of(table: list[tuple[int, int, float]]) -> Interactions:
    return Interactions.from_frame(pd.DataFrame(table, columns=["customer_id", "item_id", "weight"]), weight="weight")


def drawn(matrix: Interactions, share: float = 0.2, seed: int = 0, sample: int = 1000) -> HoldOut:
    return hold_out(matrix, share, sample, np.random.default_rng(seed))


@settings(max_examples=60)
@given(rows, st.floats(0.01, 0.99), st.integers(0, 5))
def test_what_is_held_out_and_what_is_known_are_everything_and_share_nothing(
    table: list[tuple[int, int, float]], share: float, seed: int
) -> None:
    matrix = matrix_of(table)
    held = drawn(matrix, share, seed)
    all_of_it, wanted = matrix.weights.toarray(), held.wanted.toarray() > 0
    np.testing.assert_array_equal(np.where(wanted, 0, all_of_it), held.known.weights.toarray())
    assert held.known.weights.nnz + held.wanted.nnz == matrix.weights.nnz
    assert (all_of_it[wanted] > 0).all()
    taken = (all_of_it > 0).sum(axis=1)
    expected = [0 if n < 2 else min(max(round(share * n), 1), n - 1) for n in taken.tolist()]
    assert wanted.sum(axis=1).tolist() == expected


def test_half_of_the_customers_are_drawn_coherently() -> None:
    matrix = matrix_of([(who, item, 1.0) for who in range(10) for item in range(4)])
    assert (drawn(matrix).kind == "coherent").sum() == 5


def test_of_many_customers_some_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = matrix_of([(who, item, 1.0) for who in range(30) for item in range(4)])
    monkeypatch.setattr(_holdout, "ALL_OF", 4)
    for sample, expected in ((1000, 10), (6, 6)):  # a third; as many as asked for
        held = drawn(matrix, sample=sample)
        assert (np.diff(held.wanted.indptr) > 0).sum() == expected
        assert (held.kind == "coherent").sum() == expected // 2


def two_tastes() -> Interactions:
    """Everybody took half of either group of ten items; within a group items are taken by the same customers."""
    random = np.random.default_rng(0)
    table = [(who, item, 1.0) for who in range(200) for item in range(10)[who % 2 :: 2]]
    table += [(who, 10 + item, 1.0) for who in range(200) for item in range(10)[int(random.integers(2)) :: 2]]
    return matrix_of(table)


@pytest.mark.parametrize("cells", [_holdout.CELLS, 60])
def test_what_is_drawn_coherently_is_alike(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_holdout, "CELLS", cells)  # 60: three customers at a time
    held = drawn(two_tastes(), share=0.4)  # four of ten items
    groups = [{item // 10 for item in held.wanted.indices[start:end].tolist()} for start, end in
              zip(held.wanted.indptr, held.wanted.indptr[1:], strict=False)]  # fmt: skip
    one_group = np.array([len(found) == 1 for found in groups])
    # Coherent: an item and its three nearest, all of its five. At random: 2 x C(5,4) of C(10,4) = 10 / 210.
    assert one_group[held.kind == "coherent"].all()
    assert one_group[held.kind == "random"].mean() < 0.2


def test_the_seed_decides() -> None:
    first, again, other = (drawn(two_tastes(), seed=seed) for seed in (1, 1, 2))
    assert (first.wanted != again.wanted).nnz == 0
    assert (first.wanted != other.wanted).nnz > 0


def dated(table: list[tuple[int, int, float, int]]) -> Interactions:
    frame = pd.DataFrame(table, columns=["customer_id", "item_id", "weight", "at"])
    return Interactions.from_frame(frame, weight="weight", timestamp="at")


events = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from([0.0, 1.0, 2.0]), st.integers(0, 9)), min_size=1
)


@settings(max_examples=100)
@given(events, st.floats(0.05, 0.95), st.booleans())
def test_of_events_in_order_the_last_are_held_out_and_nothing_of_them_is_known(
    table: list[tuple[int, int, float, int]], share: float, repeats: bool
) -> None:
    matrix = dated(table)
    held = hold_out(matrix, share, 1000, np.random.default_rng(0), repeats=repeats)
    times = sorted(at for *_, weight, at in table if weight > 0)
    cut = times[int((1 - share) * len(times))] if times else None
    if cut is None or cut <= min(at for *_, at in table):  # nothing before: no later part either
        assert not (held.kind == "later").any()
        return
    customers, items = matrix.customer_ids.tolist(), matrix.item_ids.tolist()
    known, wanted = np.zeros(matrix.weights.shape), np.zeros(matrix.weights.shape, dtype=bool)
    seen = np.zeros(matrix.weights.shape, dtype=bool)
    for who, item, weight, at in table:
        if at < cut:
            known[customers.index(who), items.index(item)] += weight
            seen[customers.index(who), items.index(item)] = True
    for who, item, weight, at in table:
        if at >= cut and weight > 0:
            wanted[customers.index(who), items.index(item)] = True
    wanted &= known.sum(axis=1, keepdims=True) > 0  # of the others no taste is known
    np.testing.assert_array_equal(held.known.weights.toarray(), known)
    np.testing.assert_array_equal(held.wanted.toarray() > 0, wanted if repeats else wanted & ~seen)
    assert held.known.events is not None
    assert held.known.events.time.max() < cut


def test_of_the_later_part_some_customers_are_drawn() -> None:
    held = hold_out(
        dated([(who, item, 1.0, item) for who in range(30) for item in range(10)]), 0.2, 7, np.random.default_rng(0)
    )
    assert np.bincount(np.diff(held.wanted.indptr)).tolist() == [23, 0, 7]  # items 8 and 9, of seven customers


def test_events_at_one_time_have_no_order_to_hold_out_by() -> None:
    held = hold_out(
        dated([(who, item, 1.0, 5) for who in range(9) for item in range(4)]), 0.2, 100, np.random.default_rng(0)
    )
    assert set(held.kind) == {"random", "coherent"}

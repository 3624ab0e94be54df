"""Popularity: sums of weights, what one has seen left out."""

from collections import Counter

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from crmml.recommend.popularity import Popularity

Rows = list[tuple[int, str, int]]
rows = st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abcde"), st.integers(1, 4)), min_size=1)


@given(rows, st.integers(1, 6), st.booleans())
def test_equals_counting(table: Rows, k: int, exclude_seen: bool) -> None:
    log = pd.DataFrame(table, columns=["customer_id", "item_id", "weight"])
    total: Counter[str] = Counter()
    for _, item, weight in table:
        total[item] += weight
    best = sorted(total, key=lambda item: (-total[item], item))
    expected = []
    for customer in range(5):  # 4 is always a stranger
        seen = {item for who, item, _ in table if who == customer} if exclude_seen else set()
        mine = [item for item in best if item not in seen][:k]
        expected += [(customer, item, rank, float(total[item])) for rank, item in enumerate(mine, 1)]
    found = Popularity().fit(log).recommend(range(5), k=k, exclude_seen=exclude_seen)
    assert list(found.itertuples(index=False, name=None)) == expected


def test_weights_decide_not_the_number_of_rows() -> None:
    log = pd.DataFrame({"customer_id": [1, 2, 3], "item_id": ["seen", "seen", "bought"], "weight": [0.2, 0.2, 1.0]})
    assert Popularity().fit(log).recommend([99])["item_id"].tolist() == ["bought", "seen"]

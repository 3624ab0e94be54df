"""The test of a rule: by hand, beside SciPy's Fisher test, and exact where its null model holds."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.stats import fisher_exact

from crmml.insight.itemsets import SizeCounts
from crmml.insight.significance import p_value, tail


def counts(rows: list[set[int]], items: int) -> SizeCounts:
    table = np.array([[item in row for item in range(items)] for row in rows], dtype=np.int32)
    return SizeCounts(csr_array(table), table.sum(axis=1))


tables = st.tuples(st.integers(2, 30), st.integers(0, 30), st.integers(0, 30)).map(
    lambda t: (t[0], min(t[1], t[0]), min(t[2], t[0]))
)


@given(tables, st.integers(0, 30))
def test_one_stratum_is_fishers_test(table: tuple[int, int, int], hits: int) -> None:
    rows, marked, drawn = table
    hits = min(max(hits, drawn + marked - rows, 0), marked, drawn)
    square = [[hits, drawn - hits], [marked - hits, rows - marked - drawn + hits]]
    found = tail(hits, np.array([rows]), np.array([marked]), np.array([drawn]))
    expected = fisher_exact(square, alternative="greater").pvalue
    # What is nowhere near proof is said by the normal curve, to about a tenth.
    assert found == pytest.approx(expected, abs=1e-9) or (expected > 0.1 and abs(found - expected) < 0.12)


def test_strata_add_up() -> None:
    # Two strata, in each of which one of two rows is drawn and one is marked.
    two = np.array([2, 2])
    assert tail(2, two, two // 2, two // 2) == pytest.approx(1 / 2 * 1 / 2)


def test_many_are_normal_and_agree_with_the_exact() -> None:
    rows, marked, drawn = np.array([4000]), np.array([1000]), np.array([1000])  # variance 140, then 280
    exact = tail(285, rows, marked, drawn)
    assert exact == pytest.approx(float(fisher_exact([[285, 715], [715, 2285]], alternative="greater").pvalue))
    assert tail(550, 2 * rows, 2 * marked, 2 * drawn) == pytest.approx(
        float(fisher_exact([[550, 1450], [1450, 4550]], alternative="greater").pvalue), rel=0.1
    )


def test_large_baskets_that_hold_everything_prove_nothing() -> None:
    # Half of the baskets hold all of six items, half hold one: everything goes with everything, and nothing is said.
    rows = [set(range(6))] * 60 + [{i % 6} for i in range(60)]
    assert p_value((0,), 1, counts(rows, 6).of) == 1
    square = [[60, 10], [10, 40]]
    assert fisher_exact(square, alternative="greater").pvalue < 1e-10  # what a test without sizes would have said


# With item 0: 4 of 5 hold item 1 as their one other item. Without it: 1 of 5 baskets of one item.
ONE_OTHER = counts([{0, 1}] * 4 + [{0, 2}] + [{1}] + [{2}] * 4, 3)


def test_baskets_are_compared_at_as_many_other_items() -> None:
    expected = sum(comb(5, k) * comb(5, 5 - k) for k in (4, 5)) / comb(10, 5)
    assert p_value((0,), 1, ONE_OTHER.of) == pytest.approx(expected)


def bringing() -> SizeCounts:
    """Item 0 brings item 1; items 2 and 3 come by chance."""
    random = np.random.default_rng(1)
    rows = []
    for _ in range(2000):
        row = {item for item, share in ((0, 0.3), (2, 0.5), (3, 0.3)) if random.random() < share}
        rows.append(row | ({1} if random.random() < (0.6 if 0 in row else 0.1) else set()))
    return counts(rows, 4)


ZERO_BRINGS_ONE = bringing()


def test_every_item_has_to_contribute() -> None:
    assert p_value((0,), 1, ZERO_BRINGS_ONE.of) < 1e-20
    assert p_value((0, 2), 1, ZERO_BRINGS_ONE.of) > 0.05


def test_p_values_are_even_where_only_popularity_and_size_decide() -> None:
    random = np.random.default_rng(5)
    inclination = np.exp(random.normal(0, 1, size=(300, 1)))  # some baskets are ten times as inclined
    popularity = np.array([0.1, 0.15, 0.2, 0.3, 0.4, 0.2, 0.1, 0.1])
    small, plain = 0, 0
    for _ in range(150):
        odds = inclination * popularity
        table = (random.random((300, 8)) < odds / (1 + odds)).astype(np.int32)
        found = SizeCounts(csr_array(table), table.sum(axis=1))
        small += p_value((0,), 1, found.of) < 0.1
        both = int((table[:, 0] & table[:, 1]).sum())
        one, other = int(table[:, 0].sum()), int(table[:, 1].sum())
        square = [[both, one - both], [other - both, 300 - one - other + both]]
        plain += fisher_exact(square, alternative="greater").pvalue < 0.1
    assert small <= 23  # 15 are expected at most, 4 more is the standard deviation
    assert plain > 60  # what people with large baskets would have "proven"

"""Is a rule more than chance? A test in which large baskets, that hold much of everything, prove nothing."""

from collections.abc import Callable
from functools import lru_cache
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, ndtr

from crmml.insight.itemsets import Counts, Itemset

Floats = NDArray[np.float64]

# Beyond this variance the sum of many draws is normal enough, and its exact distribution long to work out.
EXACT_VARIANCE = 200.0
# Below so many standard deviations nothing is ever proven, and two digits of the p-value are enough.
PLAIN = 1.0


def p_value(antecedent: Itemset, consequent: int, by_size: Callable[[Itemset], Counts]) -> float:
    """The probability of as many baskets with the rule, were one item of its antecedent without effect.

    For every item x of the antecedent: among the baskets with the rest of the antecedent, those with x are compared
    with those without it that hold *as many other items*. Where x has no effect, the consequent is spread over both
    by chance: one hypergeometric draw for each number of other items, and their sum is tested (one-sided). The
    largest of the p-values over x counts, so that every item of the antecedent has to contribute.

    Comparing like with like is what makes it a test of the items: people with large baskets buy more of everything,
    and a plain Fisher test calls all of it association. The null model is that of Rasch: each item has its
    popularity, each basket its own inclination to hold items. Under it the test is exact.

    by_size: the number of baskets of every size that hold a set, such as `SizeCounts.of`; sets are ascending.
    Source: Webb (2007), Discovering significant patterns, for the items that have to contribute; Mantel and
    Haenszel (1959) for tables that are compared stratum by stratum, here with their exact distribution.

    >>> from scipy.sparse import csr_array
    >>> from crmml.insight.itemsets import SizeCounts
    >>> lines = csr_array(np.array([[1, 1, 0]] * 5 + [[1, 0, 1]] * 5 + [[0, 0, 1]] * 5))
    >>> counts = SizeCounts(lines, np.asarray(lines.sum(axis=1)))
    >>> round(p_value((0,), 1, counts.of), 4)  # 5 of the 10 baskets with item 0, 0 of the 5 with one other: 252/3003
    0.0839
    """
    return max(_without_effect(antecedent, item, consequent, by_size) for item in antecedent)


def _without_effect(antecedent: Itemset, item: int, consequent: int, by_size: Callable[[Itemset], Counts]) -> float:
    rest = tuple(other for other in antecedent if other != item)
    with_all, without = by_size(antecedent), by_size(rest)
    both, rest_only = by_size(_joined(antecedent, consequent)), by_size(_joined(rest, consequent))
    # Baskets with the item have one place less for other items: their size s stands at s - 1.
    drawn, hits = with_all[1:], both[1:]
    rows = drawn + (without - with_all)[:-1]
    marked = hits + (rest_only - both)[:-1]
    return tail(int(hits.sum()), rows, marked, drawn)


def _joined(itemset: Itemset, item: int) -> Itemset:
    return tuple(sorted((*itemset, item)))


def tail(hits: int, rows: Counts, marked: Counts, drawn: Counts) -> float:
    """P(at least `hits` marked rows), where `drawn[i]` are drawn from `rows[i]`, of which `marked[i]` are marked.

    >>> one = np.array([1])
    >>> round(tail(2, 4 * one, 2 * one, 2 * one), 4)  # one of the six pairs holds both marked ones
    0.1667
    """
    open_ = (drawn > 0) & (drawn < rows) & (marked > 0) & (marked < rows)
    fixed = np.where(drawn == rows, marked, np.where(marked == rows, drawn, 0))
    hits -= int(fixed[~open_ & (rows > 0)].sum())
    n, k, d = (part[open_] for part in (rows, marked, drawn))
    expected = d * k / n
    variance = float((expected * (1 - k / n) * (n - d) / (n - 1)).sum())
    if variance == 0:
        return float(hits <= 0)
    z = (hits - 0.5 - float(expected.sum())) / np.sqrt(variance)
    if variance > EXACT_VARIANCE or (z < PLAIN and variance > 1):
        return float(ndtr(-z))
    lowest, total = 0, np.ones(1)
    logs = _log_factorials(int(n.max()).bit_length())
    for stratum in zip(n.tolist(), k.tolist(), d.tolist(), strict=True):
        start, chances = _hypergeometric(*stratum, logs)
        lowest, total = lowest + start, np.convolve(total, chances)
    return min(1.0, float(total[max(hits - lowest, 0) :].sum()))


def _hypergeometric(rows: int, marked: int, drawn: int, logs: Floats) -> tuple[int, Floats]:
    """The least possible number of marked rows among the drawn, and the chances of it and every number above."""
    mean = drawn * marked / rows
    reach = 12 * mean**0.5 + 30  # beyond it, chances are below 1e-30
    least, most = max(0, drawn + marked - rows, floor(mean - reach)), min(drawn, marked, ceil(mean + reach))
    x = np.arange(least, most + 1)
    unmarked = rows - marked
    always = logs[marked] + logs[unmarked] - logs[rows] + logs[drawn] + logs[rows - drawn]
    log = always - logs[x] - logs[marked - x] - logs[drawn - x] - logs[unmarked - drawn + x]
    return least, np.exp(log)


@lru_cache(maxsize=1)
def _log_factorials(bits: int) -> Floats:
    """The logarithms of 0!, 1!, ... for all numbers of so many bits."""
    return np.asarray(gammaln(np.arange(1, 2**bits + 1, dtype=np.float64)))

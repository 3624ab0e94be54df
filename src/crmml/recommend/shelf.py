"""What a shop does to finished lists: at most so many of a kind, and not ten of the same."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from crmml.errors import ConfigError, DataError, SchemaError
from crmml.metrics.arrays import checked_count

Floats = NDArray[np.float64]

COLUMNS = ("customer_id", "item_id", "rank", "score")


def limit_per_group(lists: pd.DataFrame, groups: Mapping[Any, Any], most: int, k: int = 10) -> pd.DataFrame:
    """The first k of every list, with at most so many items of each group: categories, brands, suppliers.

    Going down each list, an item is taken unless its group has `most` already: no other choice of k within the limit
    has a higher sum of scores.

    Args:
        lists: what `recommend` returned, longer than needed: columns `customer_id`, `item_id`, `rank`, `score`.
        groups: the group of every item in the lists.
        most: at least 1.
        k: the length of the new lists; shorter where the old ones have no more that may stay.

    Returns:
        The rows that stay, by customer in the order given, `rank` counted anew; further columns stay as they are.

    Raises:
        ConfigError: `most` or `k` below 1.
        SchemaError: a column is missing.
        DataError: an item without a group.

    >>> lists = pd.DataFrame({"customer_id": 1, "item_id": ["a", "b", "c"], "rank": [1, 2, 3]})
    >>> lists["score"] = [3.0, 2.0, 1.0]
    >>> limit_per_group(lists, {"a": "tea", "b": "tea", "c": "cups"}, most=1, k=2)["item_id"].tolist()
    ['a', 'c']
    """
    where = "limit_per_group"
    ordered = checked_lists(lists, where)
    most, k = checked_count(where, "most", most), checked_count(where, "k", k)
    group = of_items(ordered, groups, "group", where)
    number = pd.factorize(pd.Series(group, dtype=object), use_na_sentinel=False)[0]
    taken = ordered.assign(_group=number).groupby(["customer_id", "_group"], sort=False).cumcount()
    return first_of_each(ordered[(taken < most).to_numpy()], k)


def diversify(
    lists: pd.DataFrame, attributes: Mapping[Any, Collection[str]], k: int = 10, *, diversity: float = 0.3
) -> pd.DataFrame:
    """The k items of every list that are good and not all alike, by maximal marginal relevance.

    One by one, the item is taken for which

        (1 - diversity) relevance - diversity (largest likeness to an item taken already)

    is largest, ties by rank. The relevance is the score between 0 (the last of the list) and 1 (the first); the
    likeness of two items is what share of their attributes they have in common (Jaccard).

    Args:
        lists: what `recommend` returned, longer than needed: columns `customer_id`, `item_id`, `rank`, `score`.
        attributes: of every item in the lists, such as `{"sku-1": ["brand:a", "colour:red"]}`.
        k: the length of the new lists, at least 1.
        diversity: from 0 (the lists as they are) to 1 (likeness alone).

    Returns:
        As `limit_per_group`; `score` stays that of the recommender, and no longer falls with the rank.

    Raises:
        ConfigError: `k` or `diversity` out of range.
        SchemaError: a column is missing.
        DataError: an item without attributes.

    Source: Carbonell and Goldstein (1998), The use of MMR, diversity-based reranking, SIGIR.

    >>> lists = pd.DataFrame({"customer_id": 1, "item_id": ["a", "b", "c"], "rank": [1, 2, 3]})
    >>> lists["score"] = [3.0, 2.9, 1.0]
    >>> diversify(lists, {"a": ["tea"], "b": ["tea"], "c": ["cup"]}, k=2, diversity=0.6)["item_id"].tolist()
    ['a', 'c']
    """
    where = "diversify"
    ordered = checked_lists(lists, where)
    k = checked_count(where, "k", k)
    if isinstance(diversity, bool) or not isinstance(diversity, int | float) or not 0 <= diversity <= 1:
        raise ConfigError(f"{where}: diversity is {diversity!r}. Use a number from 0 to 1, such as 0.3.")
    having = of_items(ordered, attributes, "attributes", where)
    starts = np.flatnonzero(np.diff(pd.factorize(ordered["customer_id"])[0], prepend=-1))
    relevance = _relevance(ordered["score"].to_numpy(np.float64), starts)
    turn = _turns(relevance, starts, Likeness(ordered["item_id"], having), k, float(diversity))
    picked = np.flatnonzero(turn < k)
    customer = np.searchsorted(starts, picked, side="right")
    return first_of_each(ordered.iloc[picked[np.lexsort((turn[picked], customer))]], k)


class Likeness:
    """What share of their attributes the items of two rows have in common."""

    def __init__(self, items: pd.Series, having: list[Collection[str]]) -> None:
        self._item, ids = pd.factorize(items)
        first = np.unique(self._item, return_index=True)[1]
        sets = [frozenset(having[row]) for row in first]
        number = {name: column for column, name in enumerate(sorted({name for one in sets for name in one}))}
        columns = [number[name] for one in sets for name in one]
        ends = np.cumsum([0, *(len(one) for one in sets)])
        self._has = csr_array((np.ones(len(columns)), columns, ends), shape=(len(ids), max(1, len(number))))
        self._size = np.diff(ends)

    def __call__(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> Floats:
        """Of these rows and those, shape (n,) each; 0 where neither has any."""
        a, b = self._item[one], self._item[other]
        both = np.asarray(self._has[a].multiply(self._has[b]).sum(axis=1)).ravel()
        either = self._size[a] + self._size[b] - both
        return np.asarray(both / np.maximum(either, 1.0))


def _turns(
    relevance: Floats, starts: NDArray[np.int64], alike: Likeness, k: int, diversity: float
) -> NDArray[np.int64]:
    """At which turn, from 0, each row is taken; k for those that never are. One turn of all customers at a time."""
    count = np.diff(np.append(starts, len(relevance)))
    rows, never = np.arange(len(relevance)), len(relevance)
    turn, nearest = np.full(len(relevance), k), np.zeros(len(relevance))
    for step in range(min(k, int(count.max(initial=0)))):
        gain = np.where(turn == k, (1 - diversity) * relevance - diversity * nearest, -np.inf)
        best = np.repeat(np.maximum.reduceat(gain, starts), count)
        first = np.minimum.reduceat(np.where((gain == best) & (turn == k), rows, never), starts)
        turn[first[first < never]] = step
        taken = np.repeat(first, count)
        open_ = rows[taken < never]
        nearest[open_] = np.maximum(nearest[open_], alike(taken[open_], open_))
    return turn


def _relevance(score: Floats, starts: NDArray[np.int64]) -> Floats:
    """From 0, the last of a list, to 1, the first; all 1 where none is better than another."""
    if not len(score):
        return score
    count = np.diff(np.append(starts, len(score)))
    low, high = (np.repeat(ufunc.reduceat(score, starts), count) for ufunc in (np.minimum, np.maximum))
    flat = high == low
    return np.where(flat, 1.0, (score - low) / np.where(flat, 1.0, high - low))


def checked_lists(lists: Any, where: str) -> pd.DataFrame:
    """The lists by customer, in the order of their first rows, then by rank."""
    if not isinstance(lists, pd.DataFrame) or any(name not in lists.columns for name in COLUMNS):
        raise SchemaError(f"{where}: lists need the columns {', '.join(COLUMNS)}. Use what recommend returned.")
    customer = pd.factorize(lists["customer_id"])[0]
    return lists.iloc[np.lexsort((lists["rank"].to_numpy(), customer))].reset_index(drop=True)


def of_items(ordered: pd.DataFrame, known: Mapping[Any, Any], name: str, where: str) -> list[Any]:
    """What is known of the item of every row; `name` says in the messages what that is."""
    if not isinstance(known, Mapping):
        raise ConfigError(f"{where}: {name} is {known!r:.60}, not a mapping. Use {{item_id: {name}}}.")
    items = ordered["item_id"].tolist()
    missing = [item for item in dict.fromkeys(items) if item not in known]
    if missing:
        raise DataError(
            f"{where}: {len(missing)} items of the lists have no {name}, first {missing[0]!r}. Give one for each."
        )
    return [known[item] for item in items]


def first_of_each(kept: pd.DataFrame, k: int) -> pd.DataFrame:
    """The first k rows of every customer, their ranks counted anew."""
    rank = kept.groupby("customer_id", sort=False).cumcount() + 1
    table = kept.assign(rank=rank.astype(np.int64))
    return table[table["rank"] <= k].reset_index(drop=True)

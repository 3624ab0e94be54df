"""How good recommended lists are: each metric is a mean over the customers who have relevant items.

All of them take the same three arguments:

- `actual`: the relevant items (those bought in the horizon) of each customer, as a mapping customer -> items
  or as a sequence of item collections. A customer without any cannot be measured and is refused.
- `recommended`: the lists, best first, in the same form. In a mapping, a customer who is missing got an empty
  list (no hit), and customers whom `actual` does not name are not looked at.
- `k`: how many places of each list count. Shorter lists are fine: what was not recommended cannot hit.
"""

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crmml.errors import DataError
from crmml.metrics.arrays import checked_count

Lists = Mapping[Any, Collection[Hashable]] | Sequence[Collection[Hashable]]
Hits = NDArray[np.bool_]  # one value per place of a list, at most k: is the item there relevant?


def recall_at_k(actual: Lists, recommended: Lists, k: int) -> float:
    """Share of the relevant items that are in the first k places: `hits / |relevant|`, mean over customers.

    With more than k relevant items 1 cannot be reached: the definition of the LightGCN protocol keeps
    |relevant|.

    Raises `DataError`: a customer without relevant items, a repeated item in a list, sequences of different
    lengths;
    `ConfigError`: k below 1.
    Source: He et al. (2020), LightGCN, SIGIR, whose published Recall@20 figures use it.

    >>> recall_at_k([{"a", "b"}, {"c"}], [["a", "x"], ["y", "c"]], k=2)  # (1/2 + 1) / 2
    0.75
    """
    return _mean("recall_at_k", actual, recommended, k, lambda hits, relevant, _k: hits.sum() / relevant)


def ndcg_at_k(actual: Lists, recommended: Lists, k: int) -> float:
    """Normalised discounted cumulative gain with binary relevance, mean over customers.

    `DCG = sum over hits at place i of 1 / log2(i + 1)`, over the DCG of a list with min(k, |relevant|) hits
    in front.

    Raises `DataError`: a customer without relevant items, a repeated item in a list, sequences of different
    lengths;
    `ConfigError`: k below 1.
    Source: Jarvelin and Kekalainen (2002), Cumulated gain-based evaluation of IR techniques; binary as in
    LightGCN.

    >>> ndcg_at_k([{"a"}], [["x", "a"]], k=2)  # 1 / log2(3)
    0.6309297535714575
    """
    return _mean("ndcg_at_k", actual, recommended, k, _ndcg)


def hit_rate_at_k(actual: Lists, recommended: Lists, k: int) -> float:
    """Share of customers with at least one relevant item in the first k places.

    Raises `DataError`: a customer without relevant items, a repeated item in a list, sequences of different
    lengths;
    `ConfigError`: k below 1.

    >>> hit_rate_at_k({1: {"a"}, 2: {"b"}}, {1: ["a"], 2: ["x"]}, k=1)
    0.5
    """
    return _mean("hit_rate_at_k", actual, recommended, k, lambda hits, _relevant, _k: float(hits.any()))


def average_precision_at_k(actual: Lists, recommended: Lists, k: int) -> float:
    """Average precision, mean over customers (MAP@k).

    `sum over hits of the precision at their place / min(k, |relevant|)`.

    Raises `DataError`: a customer without relevant items, a repeated item in a list, sequences of different
    lengths;
    `ConfigError`: k below 1.
    Source: Manning, Raghavan and Schutze (2008), Introduction to Information Retrieval, section 8.4; cut at
    k.

    >>> average_precision_at_k([{"a", "b"}], [["a", "x", "b"]], k=3)  # (1/1 + 2/3) / 2
    0.8333333333333333
    """
    return _mean("average_precision_at_k", actual, recommended, k, _average_precision)


def reciprocal_rank_at_k(actual: Lists, recommended: Lists, k: int) -> float:
    """One over the place of the first relevant item, 0 where none is among the first k; mean over customers (MRR).

    Raises `DataError`: a customer without relevant items, a repeated item in a list, sequences of different
    lengths;
    `ConfigError`: k below 1.
    Source: Voorhees (1999), The TREC-8 question answering track report.

    >>> reciprocal_rank_at_k([{"b"}, {"z"}], [["a", "b"], ["x", "y"]], k=2)  # (1/2 + 0) / 2
    0.25
    """
    return _mean("reciprocal_rank_at_k", actual, recommended, k, _reciprocal_rank)


def _reciprocal_rank(hits: Hits, _relevant: int, _k: int) -> float:
    return 1 / (1 + int(np.argmax(hits))) if hits.any() else 0.0


def _ndcg(hits: Hits, relevant: int, k: int) -> float:
    discounts = 1 / np.log2(np.arange(2, k + 2))
    return float(discounts[: len(hits)] @ hits / discounts[: min(k, relevant)].sum())


def _average_precision(hits: Hits, relevant: int, k: int) -> float:
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision @ hits / min(k, relevant))


def _mean(metric: str, actual: Lists, recommended: Lists, k: int, value: Callable[[Hits, int, int], float]) -> float:
    """The mean of `value(hits, |relevant|, k)` over the customers of `actual`."""
    k = checked_count(metric, "k", k)
    values = []
    for customer, relevant, ranked in _pairs(metric, actual, recommended):
        if not relevant:
            raise DataError(
                f"{metric}: actual[{customer!r}] is empty: without relevant items nothing can be found. "
                "Leave such customers out."
            )
        if len(set(ranked)) != len(ranked):
            repeated = next(item for place, item in enumerate(ranked) if item in ranked[:place])
            raise DataError(
                f"{metric}: recommended[{customer!r}] holds {repeated!r} more than once. Recommend each item once."
            )
        hits = np.fromiter((item in relevant for item in ranked[:k]), dtype=bool)
        values.append(float(value(hits, len(relevant), k)))
    return float(np.mean(values))


def _pairs(metric: str, actual: Lists, recommended: Lists) -> Iterator[tuple[Any, set[Hashable], list[Hashable]]]:
    """Customer, relevant items and recommended list, for every customer of `actual`."""
    if isinstance(actual, Mapping) != isinstance(recommended, Mapping):
        raise DataError(
            f"{metric}: actual is a {type(actual).__name__} and recommended a {type(recommended).__name__}. "
            "Give two mappings from customers, or two sequences."
        )
    if not len(actual):
        raise DataError(f"{metric}: actual is empty. Give at least one customer with relevant items.")
    if isinstance(actual, Mapping) and isinstance(recommended, Mapping):
        _check_customers(metric, actual, recommended)
        for customer, items in actual.items():
            yield (
                customer,
                set(_items(metric, "actual", customer, items)),
                list(_items(metric, "recommended", customer, recommended.get(customer, ()))),
            )
        return
    if len(actual) != len(recommended):
        raise DataError(
            f"{metric}: actual has {len(actual)} customers and recommended has {len(recommended)}. "
            "Give one list for each customer, empty where there is none."
        )
    for row in range(len(actual)):
        yield (
            row,
            set(_items(metric, "actual", row, actual[row])),
            list(_items(metric, "recommended", row, recommended[row])),
        )


def _items(metric: str, name: str, customer: Any, items: Any) -> Collection[Hashable]:
    """The items, unless they are one text: its letters would count as items."""
    if isinstance(items, (str, bytes)) or not hasattr(items, "__iter__"):
        raise DataError(f"{metric}: {name}[{customer!r}] is {items!r}. Give a list of items, such as [{items!r}].")
    return items  # type: ignore[no-any-return]


def _check_customers(metric: str, actual: Mapping[Any, Any], recommended: Mapping[Any, Any]) -> None:
    """Keys of two kinds (5 and "5") meet nowhere, and every metric would be a plausible 0."""
    if recommended and not any(customer in recommended for customer in actual):
        raise DataError(
            f"{metric}: no customer of actual is in recommended: keys like {next(iter(actual))!r} and "
            f"{next(iter(recommended))!r}. Use the same customer ids in both."
        )

"""How good recommended lists are, from tables: customer by customer, and what they do to a catalogue.

The tables are those that recommenders give and take: `lists` has the columns `customer_id`, `item_id`, `rank` (from 1),
`relevant` and `history` have `customer_id`, `item_id`. A pair twice counts once.
"""

from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from crmml.errors import ConfigError, DataError, SchemaError
from crmml.metrics.arrays import checked_count

Floats: TypeAlias = NDArray[np.float64]
PAIR = ["customer_id", "item_id"]


def list_metrics(relevant: pd.DataFrame, lists: pd.DataFrame, k: int) -> pd.DataFrame:
    """The metrics at k of every customer with relevant items: their means are the metrics of the literature.

    A customer without a list has found nothing; lists of customers without relevant items are not looked at. Columns
    `relevant` (number of items), then, with hits at the places i of the first k:

        ndcg               sum of 1 / log2(i + 1), over that of a list with min(k, relevant) hits in front
        recall             hits / relevant
        hit_rate           1 where there is a hit
        average_precision  sum of the precision at the hits / min(k, relevant): MAP is its mean
        reciprocal_rank    1 / place of the first hit, 0 without one: MRR is its mean

    Raises `SchemaError`: a missing column; `DataError`: no relevant items, an item twice in a list, a customer type
    that never meets; `ConfigError`: k below 1.
    Source: the definitions of `crmml.metrics.recall_at_k` and its neighbours; Voorhees (1999), The TREC-8 question
    answering track report, for the reciprocal rank.

    >>> import pandas as pd
    >>> relevant = pd.DataFrame({"customer_id": [1, 1], "item_id": ["a", "b"]})
    >>> lists = pd.DataFrame({"customer_id": [1, 1], "item_id": ["x", "b"], "rank": [1, 2]})
    >>> list_metrics(relevant, lists, k=2).iloc[0].round(3).tolist()
    [2.0, 0.387, 0.5, 1.0, 0.25, 0.5]
    """
    k = checked_count("list_metrics", "k", k)
    _check_columns("list_metrics", relevant=relevant, lists=lists)
    wanted = relevant[PAIR].drop_duplicates()
    if wanted.empty:
        raise DataError("list_metrics: relevant has no rows: nothing can be found. Give at least one pair.")
    _check_meet(wanted, lists)
    count = wanted.groupby("customer_id", sort=True).size()
    hits = _first(lists, k).merge(wanted, on=PAIR).sort_values(["customer_id", "rank"], kind="stable")
    place = hits["rank"].to_numpy(np.float64)
    by_customer = hits.assign(
        gain=1 / np.log2(place + 1),
        precision=(hits.groupby("customer_id").cumcount().to_numpy() + 1) / place,
        reciprocal=1 / place,
    ).groupby("customer_id")
    found = by_customer.agg(hits=("rank", "size"), gain=("gain", "sum"), precision=("precision", "sum"))
    found["first"] = by_customer["reciprocal"].max()
    found = found.reindex(count.index, fill_value=0.0)
    reachable = np.minimum(count.to_numpy(), k)
    ideal = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
    return pd.DataFrame(
        {
            "relevant": count,
            "ndcg": found["gain"] / ideal[reachable - 1],
            "recall": found["hits"] / count,
            "hit_rate": (found["hits"] > 0).astype(np.float64),
            "average_precision": found["precision"] / reachable,
            "reciprocal_rank": found["first"],
        }
    )


def catalogue_coverage(lists: pd.DataFrame, items: int, k: int) -> float:
    """Share of a catalogue of `items` that stands in the first k places of at least one list.

    Raises `SchemaError`: a missing column; `ConfigError`: k or items below 1.
    Source: Ge, Delgado-Battenfeld and Jannach (2010), Beyond accuracy, RecSys.

    >>> import pandas as pd
    >>> lists = pd.DataFrame({"customer_id": [1, 1, 2], "item_id": ["a", "b", "a"], "rank": [1, 2, 1]})
    >>> catalogue_coverage(lists, items=4, k=2)
    0.5
    """
    items = checked_count("catalogue_coverage", "items", items)
    _check_columns("catalogue_coverage", lists=lists)
    return _first(lists, checked_count("catalogue_coverage", "k", k))["item_id"].nunique() / items


def novelty(lists: pd.DataFrame, history: pd.DataFrame, k: int) -> float:
    """How rarely the recommended items were taken before, in bits: the mean of `-log2(share of the customers)`.

    1 is an item that half of the customers have; an item that nobody has counts as if one had. The mean is over
    customers, each the mean of the first k places.

    Raises `SchemaError`: a missing column; `DataError`: no lists; `ConfigError`: k below 1.
    Source: Vargas and Castells (2011), Rank and relevance in novelty and diversity metrics, RecSys.

    >>> import pandas as pd
    >>> history = pd.DataFrame({"customer_id": [1, 2, 3, 4, 4], "item_id": ["a", "a", "b", "c", "a"]})
    >>> lists = pd.DataFrame({"customer_id": [9, 9], "item_id": ["b", "c"], "rank": [1, 2]})
    >>> novelty(lists, history, k=2)
    2.0
    """
    taken, customers = _popularity("novelty", lists, history, k)
    taken["bits"] = -np.log2(np.maximum(taken["customers"], 1) / customers)
    return _mean(taken, "bits")


def popularity_lift(lists: pd.DataFrame, history: pd.DataFrame, k: int) -> float:
    """How much more popular the recommended items are than those that the same customers took: 0 is no bias.

    `mean popularity of the first k places / mean popularity of the items in the history - 1`, where popularity is the
    number of customers, and both means are over the items of a customer, then over customers with both.

    Raises `SchemaError`: a missing column; `DataError`: no lists, or no customer has both; `ConfigError`: k below 1.
    Source: Abdollahpouri et al. (2019), The unfairness of popularity bias in recommendation; over all customers.

    >>> import pandas as pd
    >>> history = pd.DataFrame({"customer_id": [1, 1, 2, 3], "item_id": ["a", "b", "c", "c"]})
    >>> lists = pd.DataFrame({"customer_id": [1], "item_id": ["c"], "rank": [1]})
    >>> popularity_lift(lists, history, k=1)  # 2 customers beside 1
    1.0
    """
    taken, _ = _popularity("popularity_lift", lists, history, k)
    own = history[PAIR].drop_duplicates()
    own = own[own["customer_id"].isin(taken["customer_id"].unique())].assign(rank=1)
    if own.empty:
        raise DataError("popularity_lift: no customer of lists is in history. Use the same customer ids in both.")
    usual, _ = _popularity("popularity_lift", own, history, 1)
    both = taken[taken["customer_id"].isin(usual["customer_id"].unique())]
    return _mean(both, "customers") / _mean(usual, "customers") - 1


def new_item_share(lists: pd.DataFrame, history: pd.DataFrame, k: int) -> float:
    """Share of the first k places with items that are new to the customer; mean over customers.

    1 where lists leave out what was taken before; below it they remind.

    Raises `SchemaError`: a missing column; `DataError`: no lists; `ConfigError`: k below 1.

    >>> import pandas as pd
    >>> history = pd.DataFrame({"customer_id": [1], "item_id": ["a"]})
    >>> lists = pd.DataFrame({"customer_id": [1, 1], "item_id": ["a", "b"], "rank": [1, 2]})
    >>> new_item_share(lists, history, k=2)
    0.5
    """
    first = _lists("new_item_share", lists, history, k)
    marked = first.merge(history[PAIR].drop_duplicates(), on=PAIR, how="left", indicator=True)
    return _mean(marked.assign(new=(marked["_merge"] == "left_only").astype(np.float64)), "new")


def intra_list_diversity(
    lists: pd.DataFrame, history: pd.DataFrame, k: int, *, most: int = 2_000, random_state: int = 0
) -> float:
    """How different the items of a list are: the mean of `1 - likeness` over the pairs of its first k places.

    Likeness is the cosine of the sets of customers who took the items: 1 where the same customers took both, 0 where
    no customer did. The mean is over customers with two items or more, of whom at most `most` are drawn.

    Raises `SchemaError`: a missing column; `DataError`: no list has two items; `ConfigError`: k or most below 1.
    Source: Ziegler et al. (2005), Improving recommendation lists through topic diversification, WWW.

    >>> import pandas as pd
    >>> history = pd.DataFrame({"customer_id": [1, 2, 1, 2, 3], "item_id": ["a", "a", "b", "b", "c"]})
    >>> lists = pd.DataFrame({"customer_id": [9, 9, 9], "item_id": ["a", "b", "c"], "rank": [1, 2, 3]})
    >>> round(intra_list_diversity(lists, history, k=3), 4)  # the pair a, b is alike, two pairs are not
    0.6667
    """
    first = _lists("intra_list_diversity", lists, history, k)
    most = checked_count("intra_list_diversity", "most", most)
    sizes = first.groupby("customer_id")["item_id"].transform("size")
    first = first[sizes >= 2]
    if first.empty:
        raise DataError("intra_list_diversity: no list has two items. Use longer lists, such as k=10.")
    customers = pd.Index(first["customer_id"].unique())
    if len(customers) > most:
        drawn = np.random.default_rng(random_state).choice(len(customers), most, replace=False)
        first = first[first["customer_id"].isin(customers[np.sort(drawn)])]
    vectors, items = _unit_vectors(history, first["item_id"])
    row, customers = pd.factorize(first["customer_id"])
    column = items.get_indexer(pd.Index(first["item_id"]))
    chosen = csr_array((np.ones(len(row)), (row, column)), shape=(len(customers), len(items)))
    length = chosen.sum(axis=1)
    # |sum of the vectors|^2 counts every pair twice and every item with itself once (0 where nobody took it).
    total = np.asarray(chosen.multiply(chosen @ (vectors @ vectors.T)).sum(axis=1)).ravel()
    itself = np.asarray(chosen @ np.asarray(vectors.power(2).sum(axis=1)).ravel()).ravel()
    return float(np.mean(1 - (total - itself) / (length * (length - 1))))


def _unit_vectors(history: pd.DataFrame, wanted: pd.Series) -> tuple[csr_array, "pd.Index[int]"]:
    """The customers of each wanted item as a row of length 1 (0 where there are none)."""
    items = pd.Index(wanted.unique())
    mine = history.loc[history["item_id"].isin(items), PAIR].drop_duplicates()
    row = items.get_indexer(pd.Index(mine["item_id"]))
    customer = pd.factorize(mine["customer_id"])[0]
    size = np.maximum(np.bincount(row, minlength=len(items)), 1)
    shape = (len(items), int(customer.max(initial=0)) + 1)
    return csr_array((1 / np.sqrt(size[row]), (row, customer)), shape=shape), items


def _popularity(metric: str, lists: pd.DataFrame, history: pd.DataFrame, k: int) -> tuple[pd.DataFrame, int]:
    """The first k places with the number of `customers` who took each item, and the number of all customers."""
    first = _lists(metric, lists, history, k)
    pairs = history[PAIR].drop_duplicates()
    customers = first["item_id"].map(pairs["item_id"].value_counts()).fillna(0).to_numpy(np.float64)
    return first.assign(customers=customers), int(pairs["customer_id"].nunique())


def _lists(metric: str, lists: pd.DataFrame, history: pd.DataFrame, k: int) -> pd.DataFrame:
    k = checked_count(metric, "k", k)
    _check_columns(metric, lists=lists, history=history)
    first = _first(lists, k)
    if first.empty:
        raise DataError(f"{metric}: lists has no rows. Give at least one recommended item.")
    return first


def _first(lists: pd.DataFrame, k: int) -> pd.DataFrame:
    first = lists.loc[lists["rank"] <= k, [*PAIR, "rank"]]
    twice = np.flatnonzero(first.duplicated(PAIR))
    if len(twice):
        row = first.iloc[twice[0]]
        raise DataError(
            f"lists: item {_shown(row['item_id'])} stands in the list of customer {_shown(row['customer_id'])} "
            "more than once. Recommend each item once."
        )
    return first


def _mean(table: pd.DataFrame, column: str) -> float:
    """The mean over customers of each one's mean."""
    return float(table.groupby("customer_id")[column].mean().mean())


def _check_columns(metric: str, **tables: pd.DataFrame) -> None:
    for name, table in tables.items():
        for column in [*PAIR, *(["rank"] if name == "lists" else [])]:
            if column not in table.columns:
                raise SchemaError(
                    f"{metric}: {name} has no column {column!r}. It has: {', '.join(map(str, table.columns))}."
                )


def _check_meet(relevant: pd.DataFrame, lists: pd.DataFrame) -> None:
    """Ids of two kinds (5 and "5") meet nowhere, and every metric would be a plausible 0."""
    for name in PAIR:
        kinds = [pd.api.types.is_numeric_dtype(table[name].dtype) for table in (relevant, lists)]
        if len(lists) and kinds[0] != kinds[1]:
            raise DataError(
                f"list_metrics: {name} is {_shown(relevant[name].iloc[0])} in relevant and "
                f"{_shown(lists[name].iloc[0])} in lists: they never meet. Use the same ids in both."
            )


def _shown(value: object) -> str:
    """An id as Python writes it, whatever array it comes from."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def refuse_sampled(metric: str, negatives: object) -> None:
    """Refuse metrics over sampled items.

    Raises `ConfigError` unless `negatives` is None.
    Source: Krichene and Rendle (2020), On sampled metrics for item recommendation, KDD.

    >>> refuse_sampled("evaluate_recommenders", None)
    """
    if negatives is not None:
        raise ConfigError(
            f"{metric}: negatives={negatives!r} asks for metrics among sampled items. They can order recommenders "
            "otherwise than the ranking of all items does, since they hardly see who stands first among thousands. "
            "Leave negatives out: all items are ranked."
        )

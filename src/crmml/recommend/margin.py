"""Price and margin in the objective: how much relevance a list gives up for how much margin."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmml.errors import ConfigError, DataError, SchemaError
from crmml.metrics.arrays import checked_count
from crmml.metrics.lists import PAIR, list_metrics
from crmml.recommend.parameters import is_number
from crmml.recommend.shelf import checked_lists, first_of_each, of_items

Floats = NDArray[np.float64]

NORMAL = 1.959963984540054  # 97.5 % of a normal distribution lie below


def rank_by_margin(
    lists: pd.DataFrame, margins: Mapping[Any, float], k: int = 10, *, weight: float = 1.0, least: float | None = None
) -> pd.DataFrame:
    """The k items of every list with the largest `p_purchase * margin ** weight`.

    With `weight=0` the most probable items, with `weight=1` those with the largest expected margin: no other k of the
    list have a larger sum of `p_purchase * margin`. Between them, a larger weight never lowers a list's expected
    margin and never raises its expected number of purchases. The unit of the margin does not matter. Items without a
    margin above 0 are never offered, nor are those with a margin below `least`.

    Args:
        lists: what `NextBestOffer.recommend` returned, longer than needed: `customer_id`, `item_id`, `rank`, `score`,
            `p_purchase`. Lists without probabilities (NaN, of customers nobody has seen) keep their order.
        margins: what a sale of each item in the lists earns, before any discount; may be negative.
        k: the length of the new lists; shorter where fewer items may stay.
        weight: from 0 (relevance) to 1 (expected margin).
        least: the least margin of an item that is offered; every margin above 0 by default.

    Returns:
        The rows that stay, by customer in the order given, `rank` counted anew; further columns stay as they are, and
        `margin` and `expected_margin` (p_purchase * margin) are added.

    Raises:
        ConfigError: `weight`, `least` or `k` out of range; margins is no mapping.
        SchemaError: a column is missing.
        DataError: an item without a margin, a margin that is not finite, a probability outside [0, 1].

    >>> lists = pd.DataFrame({"customer_id": 1, "item_id": ["tea", "pot"], "rank": [1, 2], "score": [2.0, 1.0]})
    >>> lists["p_purchase"] = [0.10, 0.05]
    >>> rank_by_margin(lists, {"tea": 1.0, "pot": 4.0})[["item_id", "rank", "expected_margin"]].values.tolist()
    [['pot', 1, 0.2], ['tea', 2, 0.1]]
    """
    where = "rank_by_margin"
    ordered = _checked(lists, margins, where)
    k = checked_count(where, "k", k)
    _check_weight(where, weight)
    if least is not None and not is_number(least):
        raise ConfigError(f"{where}: least is {least!r}. Use an amount of money, such as least=5, or None.")
    return _ranked(ordered, k, float(weight), 0.0 if least is None else float(least))


def margin_tradeoff(
    lists: pd.DataFrame,
    margins: Mapping[Any, float],
    bought: pd.DataFrame,
    k: int = 10,
    *,
    weights: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
) -> pd.DataFrame:
    """What margin in the objective costs in recall and earns in margin, on lists whose customers' purchases are known.

    One row per weight of `rank_by_margin`, index `weight`. Means over customers: `recall` and `ndcg` at k of those
    who bought; `expected_margin`, what the k items of a list are expected to earn, and `margin`, what those of them
    that were bought did earn (0 for who bought none), of everybody with a list. `recall_difference` and
    `margin_difference` are against `weight=0`, each with `_lo` and `_hi`: 95 %, normal over customers, whose lists are
    compared in pairs.

    These are purchases that were made without the lists: they show what a list gives up in relevance, and whether the
    dearer items on it are wanted at all. What showing it changes, only an experiment tells.

    Args:
        lists: as in `rank_by_margin`, made from what was known before the purchases.
        margins: what a sale of each item in the lists earns.
        bought: `customer_id`, `item_id` of what was bought within the horizon, such as `build_next_items` gives;
            without items that could not be recommended.
        k: the length of the lists that are compared.
        weights: each from 0 to 1.

    Raises:
        ConfigError: a weight or `k` out of range.
        SchemaError: a column is missing.
        DataError: as `rank_by_margin`; nobody bought anything, or there are fewer than two customers with a list.

    >>> lists = pd.DataFrame({"customer_id": [1, 1, 2, 2], "item_id": ["tea", "pot"] * 2, "rank": [1, 2] * 2})
    >>> lists = lists.assign(score=0.0, p_purchase=[0.10, 0.05] * 2)
    >>> bought = pd.DataFrame({"customer_id": [1], "item_id": ["tea"]})
    >>> found = margin_tradeoff(lists, {"tea": 1.0, "pot": 4.0}, bought, k=1, weights=(0, 1))
    >>> found[["recall", "expected_margin", "margin"]].values.tolist()
    [[1.0, 0.1, 0.5], [0.0, 0.2, 0.0]]
    """
    where = "margin_tradeoff"
    ordered = _checked(lists, margins, where)
    k = checked_count(where, "k", k)
    if not isinstance(weights, Sequence) or not len(weights):
        raise ConfigError(f"{where}: weights is {weights!r}. Use a list of numbers from 0 to 1, such as [0, 0.5, 1].")
    for weight in weights:
        _check_weight(where, weight)
    customers = pd.Index(ordered["customer_id"].unique())
    if len(customers) < 2:
        raise DataError(f"{where}: lists of {len(customers)} customers cannot be compared. Give at least two.")
    measured = {float(weight): _measured(ordered, bought, customers, k, float(weight)) for weight in (0.0, *weights)}
    rows = [
        {
            "weight": float(weight),
            **measured[float(weight)].mean().to_dict(),
            **_difference(measured[float(weight)] - measured[0.0], "recall"),
            **_difference(measured[float(weight)] - measured[0.0], "margin"),
        }
        for weight in weights
    ]
    return pd.DataFrame(rows).set_index("weight")


def _ranked(ordered: pd.DataFrame, k: int, weight: float, least: float) -> pd.DataFrame:
    sold = ordered[(ordered["margin"] > 0) & (ordered["margin"] >= least)]
    p, margin = sold["p_purchase"].to_numpy(np.float64), sold["margin"].to_numpy(np.float64)
    customer, rank = pd.factorize(sold["customer_id"])[0], sold["rank"].to_numpy()
    # Without a probability the order stays: the worth is the same for the whole list, and ties go by rank.
    worth = np.where(np.isnan(p), 0.0, p * margin**weight)
    return first_of_each(sold.iloc[np.lexsort((rank, -worth, customer))], k)


def _measured(ordered: pd.DataFrame, bought: pd.DataFrame, customers: Any, k: int, weight: float) -> pd.DataFrame:
    """By customer: `recall`, `ndcg` (NaN for who bought nothing), `expected_margin`, `margin`."""
    shown = _ranked(ordered, k, weight, 0.0)
    relevant = bought[bought["customer_id"].isin(customers)] if "customer_id" in bought else bought
    found = list_metrics(relevant, shown, k)[["recall", "ndcg"]].reindex(customers)
    hits = shown.merge(relevant[PAIR].drop_duplicates(), on=PAIR)
    found["expected_margin"] = shown.groupby("customer_id")["expected_margin"].sum().reindex(customers, fill_value=0.0)
    found["margin"] = hits.groupby("customer_id")["margin"].sum().reindex(customers, fill_value=0.0)
    return found


def _difference(differences: pd.DataFrame, name: str) -> dict[str, float]:
    values = differences[name].dropna().to_numpy(np.float64)
    mean = float(values.mean())
    reach = NORMAL * float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return {f"{name}_difference": mean, f"{name}_difference_lo": mean - reach, f"{name}_difference_hi": mean + reach}


def _checked(lists: Any, margins: Mapping[Any, float], where: str) -> pd.DataFrame:
    """The lists in order, with `margin` and `expected_margin`."""
    ordered = checked_lists(lists, where)
    if "p_purchase" not in ordered.columns:
        raise SchemaError(
            f"{where}: lists have no p_purchase, and a score is no probability. "
            "Use what NextBestOffer.recommend returned."
        )
    p = ordered["p_purchase"].to_numpy(np.float64)
    wrong = np.flatnonzero((p < 0) | (p > 1))
    if len(wrong):
        raise DataError(f"{where}: p_purchase is {p[wrong[0]]:g} in row {wrong[0]}. Probabilities lie in [0, 1].")
    margin = of_items(ordered, margins, "margin", where)
    for item, value in zip(ordered["item_id"], margin, strict=True):
        if not is_number(value):
            raise DataError(f"{where}: the margin of {item!r} is {value!r}. Give an amount of money, such as 2.5.")
    values = np.array(margin, dtype=np.float64)
    return ordered.assign(margin=values, expected_margin=p * values)


def _check_weight(where: str, weight: object) -> None:
    if not is_number(weight) or not 0 <= float(weight) <= 1:  # type: ignore[arg-type]
        raise ConfigError(f"{where}: weight is {weight!r}. Use a number from 0 to 1, such as 0.5.")

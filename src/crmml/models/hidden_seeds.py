"""How many of the seeds that were hidden a ranking finds again, beside chance and beside RFM."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from crmml.errors import ConfigError, DataError, SchemaError
from crmml.models._base import Bools, Floats, Ints
from crmml.models.lookalikes import Lookalikes
from crmml.models.rfm import RFMSegmenter

_ME = "hidden_seed_recall"
_DRAWS = 1_000
_COVERAGE = 0.9


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class HiddenSeeds:
    """What `hidden_seed_recall` measured; `print` shows it.

    Attributes:
        table: one row per share of the others that is taken: `share`; `recall` (share of the hidden seeds that are
            in it) and its interval `recall_lo`, `recall_hi`; `random` (what a random order finds: the share itself);
            where RFM columns were given, `rfm_best` (customers with the highest RFM scores first), `rfm_cells` (cells
            of RFM scores by their share of known seeds), and `times_best`, `times_cells`: the recall over theirs, each
            with an interval `..._lo`, `..._hi`.
        seeds: how many seeds were hidden, each once.
        customers: how many customers were ranked in each part, on average.
        parts: in how many parts the seeds were hidden.

    >>> HiddenSeeds(table=pd.DataFrame({"share": [0.1], "recall": [0.4]}), seeds=50, customers=900, parts=5)
    HiddenSeeds(50 seeds, 5 parts)
    """

    table: pd.DataFrame
    seeds: int
    customers: int
    parts: int

    def __repr__(self) -> str:
        return f"HiddenSeeds({self.seeds} seeds, {self.parts} parts)"

    def __str__(self) -> str:
        lines = [
            f"{self.seeds:,} seeds, a {_part(self.parts)} of them hidden at a time among {self.customers:,} customers "
            f"({100 * _COVERAGE:g} % intervals)"
        ]
        for row in self.table.to_dict("records"):
            text = f"  first {100 * row['share']:g} %: finds {_range(row, 'recall', 100)} %"
            if "rfm_best" in row:
                text += (
                    f"; RFM {100 * row['rfm_best']:.1f} %, {_range(row, 'times_best')} times that; "
                    f"by RFM cell {100 * row['rfm_cells']:.1f} %, {_range(row, 'times_cells')} times that"
                )
            lines.append(text)
        return "\n".join(lines)


def hidden_seed_recall(
    model: Lookalikes,
    X: Any,
    seeds: Any,
    *,
    rfm: pd.DataFrame | None = None,
    shares: Sequence[float] = (0.01, 0.05, 0.1, 0.2),
    parts: int = 5,
    random_state: int = 0,
) -> HiddenSeeds:
    """Hide a part of the seeds among the others, rank them, and see how many of them come first; every seed once.

    A seed that is hidden is an "other" for everything that is learned, for the model as for RFM. Recall at 10 % is the
    share of the hidden seeds in the first 10 % of the others (equal scores in random order: in expectation). Intervals
    come from redrawing the seeds (bootstrap, 90 %), which leaves out what another model would have made of it.

    RFM is given two chances: `rfm_best` takes the customers with the highest sum of scores, as a campaign without a
    model does; `rfm_cells` orders the 125 cells of scores by the share of known seeds in them, drawn to the average by
    as many customers as the average cell has seeds.

    Args:
        model: an unfitted `Lookalikes`; a clone is fitted for each part.
        X: numbers, one row per customer, shape (rows, columns).
        seeds: True for the seeds, shape (rows,).
        rfm: recency, frequency, monetary of the same rows, as for `RFMSegmenter`.
        shares: of the others to be taken, in (0, 1].
        parts: into how many parts the seeds are divided, 2 or more.
        random_state: seed of the division.

    Raises:
        ConfigError: a parameter is out of its range.
        SchemaError: `X`, `seeds` and `rfm` have different numbers of rows.
        DataError: fewer seeds than parts, or what `Lookalikes.fit` refuses.

    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"visits": rng.gamma(2.0, size=1_000), "age": rng.integers(18, 80, 1_000)})
    >>> seeds = (X["visits"] > 4).to_numpy()
    >>> found = hidden_seed_recall(Lookalikes(num_iterations=20), X, seeds, shares=[0.1])
    >>> bool(found.table["recall"].item() > 0.9)
    True
    """
    _check_parameters(model, shares, parts)
    known = _known(X, seeds, rfm, parts)
    where = np.flatnonzero(known)
    part_of = np.random.default_rng(random_state).permutation(len(where)) % parts
    scores = None if rfm is None else np.asarray(RFMSegmenter().fit(rfm).transform(rfm))
    names = ["recall"] if scores is None else ["recall", "rfm_best", "rfm_cells"]
    found = {name: np.empty((len(where), len(shares))) for name in names}
    customers = 0
    for part in range(parts):
        hidden = where[part_of == part]
        labels = known.copy()
        labels[hidden] = False
        others = np.flatnonzero(~labels)
        customers += len(others)
        orders = {"recall": clone(model).fit(X, labels.astype(np.int64)).scores_}
        if scores is not None:
            orders |= {"rfm_best": scores.sum(axis=1).astype(np.float64), "rfm_cells": _by_cell(scores, labels)}
        is_hidden = np.isin(others, hidden)
        for name, order in orders.items():
            for at, share in enumerate(shares):
                found[name][part_of == part, at] = taken(order[others], share)[is_hidden]
    table = _table(found, shares, random_state)
    return HiddenSeeds(table=table, seeds=len(where), customers=round(customers / parts), parts=parts)


def taken(scores: Floats, share: float) -> Floats:
    """The chance of each row to be in the first `share` of the list, equal scores in random order; shape (rows,).

    >>> taken(np.array([3.0, 2.0, 2.0, 1.0]), 0.5).tolist()
    [1.0, 0.5, 0.5, 0.0]
    """
    places = share * len(scores)
    _, group, counts = np.unique(-scores, return_inverse=True, return_counts=True)
    before = np.concatenate([[0], np.cumsum(counts)[:-1]])
    chance: Floats = np.clip((places - before) / counts, 0.0, 1.0)
    return chance[group]


def _by_cell(scores: Ints, labels: Bools) -> Floats:
    """The share of known seeds in each customer's cell of RFM scores, shrunk to the average, for who is no seed.

    Without the customer, as the model's scores are: with it, a hidden seed would count as an "other" of its own cell.
    """
    _, cell = np.unique(scores, axis=0, return_inverse=True)
    sizes, seeds = np.bincount(cell), np.bincount(cell, weights=labels)
    base = labels.mean()
    weight = max(1.0, float(labels.sum()) / len(sizes))
    share: Floats = (seeds + weight * base) / (sizes - 1 + weight)
    return share[cell]


def _table(found: dict[str, Floats], shares: Sequence[float], seed: int) -> pd.DataFrame:
    draws = np.random.default_rng(seed).integers(0, len(found["recall"]), (_DRAWS, len(found["recall"])))
    tails = [(1 - _COVERAGE) / 2, (1 + _COVERAGE) / 2]
    table = pd.DataFrame({"share": [float(share) for share in shares]})
    drawn = {name: np.array([hits[rows].mean(axis=0) for rows in draws]) for name, hits in found.items()}
    table["recall"] = found["recall"].mean(axis=0)
    table["recall_lo"], table["recall_hi"] = np.quantile(drawn["recall"], tails, axis=0)
    table["random"] = table["share"]
    with np.errstate(divide="ignore", invalid="ignore"):
        for name in [name for name in found if name != "recall"]:
            times = name.replace("rfm", "times")
            table[name] = found[name].mean(axis=0)
            table[times] = table["recall"] / table[name]
            table[f"{times}_lo"], table[f"{times}_hi"] = np.quantile(drawn["recall"] / drawn[name], tails, axis=0)
    return table


def _check_parameters(model: Any, shares: Sequence[Any], parts: Any) -> None:
    if not isinstance(model, Lookalikes):
        raise ConfigError(f"{_ME}: model is {model!r}. Use Lookalikes().")
    if isinstance(parts, bool) or not isinstance(parts, int) or parts < 2:
        raise ConfigError(f"{_ME}: parts is {parts!r}. Use a whole number of at least 2, such as parts=5.")
    for share in shares:
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise ConfigError(f"{_ME}: shares holds {share!r}. Use shares above 0 and up to 1, such as 0.1.")


def _known(X: Any, seeds: Any, rfm: Any, parts: int) -> Bools:
    known = np.asarray(seeds)
    if known.shape != (len(X),) or (rfm is not None and len(rfm) != len(X)):
        raise SchemaError(
            f"{_ME}: X has {len(X)} rows, seeds the shape {known.shape}"
            f"{'' if rfm is None else f', rfm {len(rfm)} rows'}. Use one row per customer in each."
        )
    if not np.isin(known, (0, 1)).all():
        raise DataError(
            f"{_ME}: seeds holds {known[~np.isin(known, (0, 1))][0]!r}. Use True for the seeds, else False."
        )
    count = int(known.sum())
    if count < 2 * parts:
        raise DataError(f"{_ME}: {count} seeds, too few for {parts} parts of 2. Use a longer list, or fewer parts.")
    return known.astype(bool)


def _range(row: Any, name: str, times: float = 1.0) -> str:
    low, high = times * row[f"{name}_lo"], times * row[f"{name}_hi"]
    return f"{times * row[name]:.3g} ({low:.3g} to {high:.3g})"


def _part(parts: int) -> str:
    return {2: "half", 3: "third", 4: "quarter", 5: "fifth", 10: "tenth"}.get(parts, f"1 / {parts}")

"""New rows against a bundle's reference: one line per column, with the chance of such a difference without drift."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmml.bundle.reference import LABEL, SCORE, Reference
from crmml.metrics.drift import (
    LEAST_CUTOFFS,
    ks_distance,
    ks_p_value,
    natural_variation,
    population_stability,
    shift_p_value,
)

Row = dict[str, Any]


def compare(reference: Reference, values: Mapping[str, npt.ArrayLike]) -> list[Row]:
    """One row per column of `values`: how it is distributed now, against the training cutoffs.

    Args:
        reference: that of the bundle.
        values: column of the reference -> its values of all customers at one new cutoff.

    Returns:
        Dicts with `kind` ("feature", "score", "label"), `column`, `where` (what differs most, in words), `before` and
        `now` (the share of the customers there), `distance` (of Kolmogorov and Smirnov), `effect` (the PSI) and
        `p_value`; NaN where the training had too few cutoffs to know how much is usual.

    >>> keys = [range(200), pd.date_range("2024-01-01", periods=4)]
    >>> index = pd.MultiIndex.from_product(keys, names=["customer_id", "as_of"])
    >>> X = pd.DataFrame({"recency": np.tile(np.arange(200.0), 4)}, index=index)
    >>> row, = compare(Reference.of(X, np.zeros(800)), {"recency": np.arange(200.0) + 40})
    >>> row["where"], round(row["before"], 2), round(row["now"], 2)  # 40 more for everybody
    ('<= 59', 0.3, 0.1)
    >>> row["p_value"] < 0.01
    True
    """
    return [_row(reference, column, now) for column, now in values.items()]


def population_row(reference: Reference, customers: int) -> Row:
    """The number of customers now, against the training cutoffs: `before` is their mean, `effect` the relative change.

    It has moved as it moved between the training cutoffs; the logarithm is compared, as sizes grow by factors.
    """
    sizes = reference.customers
    logs = np.log(sizes)
    before = float(np.exp(logs.mean()))
    p_value = float("nan")
    if len(sizes) >= LEAST_CUTOFFS:
        spread = float(np.sqrt(1 / customers + 1 / sizes.mean()))
        usual = float(logs.std(ddof=1))
        p_value = shift_p_value(float(np.log(customers / before)), spread, natural=usual, cutoffs=len(sizes))
    what = {"kind": "population", "column": "customers", "where": "customers", "before": before, "now": customers}
    return {**what, "distance": float("nan"), "effect": abs(customers / before - 1), "p_value": p_value}


def level_row(reference: Reference, y: npt.NDArray[np.float64], predicted: npt.NDArray[np.float64]) -> Row:
    """What was predicted on the mean (`before`), against what happened (`now`); `effect` is the relative difference.

    The usual is how much the mean label moved between the training cutoffs; chance is that of the customers now, and
    of as many in the training.
    """
    errors = y - predicted
    p_value, spread = float("nan"), float(errors.std() * np.sqrt(1 / len(y) + 1 / reference.customers.mean()))
    if reference.n_cutoffs >= LEAST_CUTOFFS and spread > 0:
        usual = natural_variation(reference.label_means[:, :, None])
        p_value = shift_p_value(float(errors.mean()), spread, natural=usual, cutoffs=reference.n_cutoffs)
    before, now = float(predicted.mean()), float(y.mean())
    effect = abs(now - before) / abs(before) if before else float("nan")
    what = {"kind": "level", "column": "predicted against realised", "where": "mean", "before": before, "now": now}
    return {**what, "distance": float("nan"), "effect": effect, "p_value": p_value}


def _row(reference: Reference, column: str, values: npt.ArrayLike) -> Row:
    place = reference.columns.index(column)
    counts, now = reference.counts[place], reference.count(column, values)
    sizes = counts.sum(axis=2, keepdims=True)
    each = counts.sum(axis=1)  # every training cutoff weighs the same, however many customers it had
    size = float(reference.customers.mean())
    shares = (each / each.sum(axis=1, keepdims=True)).mean(axis=0)
    distance = ks_distance(shares, now)
    p_value = float("nan")
    if reference.n_cutoffs >= LEAST_CUTOFFS:
        halves = (np.cumsum(counts, axis=2) / np.maximum(sizes, 1))[:, :, :-1]
        usual = natural_variation(halves)
        p_value = ks_p_value(distance, size, float(now.sum()), natural=usual, cutoffs=reference.n_cutoffs)
    where, before, after = _where(reference, column, shares, now / now.sum())
    kind = column if column in (SCORE, LABEL) and place >= len(reference.columns) - 2 else "feature"
    what = {"kind": kind, "column": column, "where": where, "before": before, "now": after}
    return {**what, "distance": distance, "effect": population_stability(shares * size, now), "p_value": p_value}


def _where(
    reference: Reference, column: str, before: npt.NDArray[np.float64], now: npt.NDArray[np.float64]
) -> tuple[str, float, float]:
    """Where two distributions differ most, in words, and the shares there."""
    if column == SCORE and reference.categories:
        place = int(np.argmax(np.abs(now - before)))
        names = ("missing", "another segment", *reference.categories)
        return names[place], float(before[place]), float(now[place])
    sums = np.cumsum(before), np.cumsum(now)
    place = int(np.argmax(np.abs(sums[1] - sums[0])[:-1]))
    if place == 0:
        return "missing", float(before[0]), float(now[0])
    limit = reference.limits[reference.columns.index(column)][place - 1]
    return f"<= {limit:.6g}", float(sums[0][place]), float(sums[1][place])


def as_table(rows: list[Row]) -> pd.DataFrame:
    """The rows as a table, its columns in the order of `compare`."""
    columns = ["kind", "column", "where", "before", "now", "distance", "effect", "p_value"]
    return pd.DataFrame(rows, columns=columns)

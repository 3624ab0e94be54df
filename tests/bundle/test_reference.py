"""What a bundle keeps of the distribution of its training rows: counts that add up, and nothing of a customer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.bundle.reference import LIST_COLUMNS, PREFIX, Reference
from tests.bundle.bundles import FEATURES, PARTS, log

CUTOFFS = ["2024-02-01", "2024-04-01", "2024-06-01"]


def trained(kind: str) -> cm.Bundle:
    return cm.train(log(), *PARTS[kind], CUTOFFS, progress=False)


def rows(values: list[float], cutoffs: int = 1) -> pd.DataFrame:
    keys = [range(len(values) // cutoffs), pd.date_range("2024-01-01", periods=cutoffs)]
    return pd.DataFrame({"x": values}, index=pd.MultiIndex.from_product(keys, names=["customer_id", "as_of"]))


@pytest.mark.parametrize("kind", ["churn", "value", "rfm", "behaviour"])
def test_it_counts_the_training_rows_and_comes_back(kind: str, tmp_path: Path) -> None:
    bundle = trained(kind)
    reference = bundle.reference
    assert reference is not None
    features, target, _ = PARTS[kind]
    X = cm.build_features(log(), features, CUTOFFS) if target is None else cm.build_dataset(
        log(), features, target, CUTOFFS).X  # fmt: skip
    assert reference.customers.tolist() == X.groupby("as_of").size().tolist()
    assert reference.columns == (*X.columns, "score", *([] if target is None else ["label"]))
    for place, name in enumerate(X.columns):
        np.testing.assert_array_equal(reference.count(name, X[name]), reference.counts[place].sum(axis=(0, 1)))
    loaded = cm.Bundle.load(bundle.save(tmp_path / kind))
    assert loaded.model_id == bundle.model_id
    assert loaded.reference is not None
    for name, array in reference.arrays().items():
        np.testing.assert_array_equal(loaded.reference.arrays()[name], array)
    scores = bundle.score(log(), CUTOFFS)[{"churn": "p_churn", "value": "clv"}.get(kind, "segment")]
    np.testing.assert_array_equal(
        loaded.reference.count("score", scores), reference.counts[len(X.columns)].sum(axis=(0, 1))
    )


def test_a_recommender_keeps_who_took_what(tmp_path: Path) -> None:
    bundle = trained("popularity")
    reference = bundle.reference
    assert reference is not None
    assert reference.columns == (*LIST_COLUMNS, "score")
    features, target, _ = PARTS["popularity"]
    recent = cm.ItemWeights(weights=features.weights, window=target.horizon)
    taken = cm.build_interactions(log(), recent, CUTOFFS)
    assert reference.customers.tolist() == taken.groupby("as_of")["customer_id"].nunique().tolist()
    loaded = cm.Bundle.load(bundle.save(tmp_path / "lists"))
    assert loaded.model_id == bundle.model_id
    assert loaded.reference is not None
    for name, array in reference.arrays().items():
        np.testing.assert_array_equal(loaded.reference.arrays()[name], array)


def test_a_customer_stands_in_the_same_half_at_every_cutoff() -> None:
    reference = Reference.of(rows([1.0, 2.0] * 50, cutoffs=2), np.zeros(100))
    # The first cutoff has only ones, the second only twos: 50 customers each, split alike.
    first, second = reference.counts[0]
    assert first.sum(axis=1).tolist() == second.sum(axis=1).tolist()
    assert first.sum() == second.sum() == 50
    assert 10 < first.sum(axis=1)[0] < 40


def test_missing_values_infinities_and_what_was_never_seen_have_bins() -> None:
    reference = Reference.of(rows([0.0] * 60 + [float(i) for i in range(1, 41)]), np.zeros(100))
    counted = reference.count("x", [np.nan, -9.0, -np.inf, 0.0, 1e9, np.inf])
    assert counted[0] == 1  # missing
    assert counted[1] == 2  # well below the least value, which 60 % have
    assert counted[2] == 1  # that value
    assert counted[-1] == 2
    assert counted.sum() == 6


def test_a_new_segment_is_none_of_the_known_ones() -> None:
    reference = Reference.of(rows([1.0, 2.0, 3.0]), np.array(["a", "b", "a"]))
    assert reference.categories == ("a", "b")
    assert reference.count("score", np.array(["b", "c", "a", "a"])).tolist() == [0, 1, 2, 1]


def test_limits_are_nobodys_own_values() -> None:
    values = np.round(np.random.default_rng(0).uniform(100, 1000, 500), 6)
    reference = Reference.of(rows(values.tolist()), values)
    assert not set(reference.limits[0]) & set(values)
    sizes = reference.counts[0].sum(axis=(0, 1))[1:]
    assert np.abs(sizes - 50).max() <= 3  # about a tenth in each: a limit moves by at most .5 of 900
    shared = Reference.of(rows([123456.789] * 100 + [1.0] * 100), np.zeros(200))
    # A tenth of the range around both: half way to the other would be too far to see it move.
    assert shared.limits[0].tolist() == pytest.approx([1 - 12345.6, 12300, 136000], abs=1)


def test_a_value_that_many_have_may_move_a_little() -> None:
    """A capped score, or a sum in another order: the last digits of what a third of the rows have."""
    values = [0.1, 0.5, 0.9] * 40
    reference = Reference.of(rows([1.0] * 120), np.array(values))
    moved = np.array(values) * (1 + 1e-9)
    np.testing.assert_array_equal(reference.count("score", moved), reference.count("score", values))
    np.testing.assert_array_equal(reference.count("score", values)[2:], [40, 40, 40, 0])
    assert reference.count("score", np.array(values) + 0.4)[-1] == 40


def test_columns_without_any_value() -> None:
    reference = Reference.of(rows([np.nan] * 4), np.full(4, np.inf))
    assert reference.count("x", [np.nan, 1.0]).tolist() == [1, 0, 1]
    assert all(np.isfinite(limits).all() for limits in reference.limits)


FORGED: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "other columns": ("columns", lambda a: a[::-1].copy(), "are of other columns than the features"),
    "type": ("counts", lambda a: a.astype(float), "have counts of type float64 and shape (3, 2, 45)"),
    "negative": ("counts", lambda a: -a, "have counts of shape (3, 2, 45), or below 0"),
    "no cutoff": ("counts", lambda a: a[:0], "have counts of shape (0, 2, 45), or below 0"),
    "limits down": ("limits", lambda a: -a, "have limits that do not ascend"),
    "limits nan": ("limits", lambda a: np.where(a == a[0], np.nan, a), "have limits that are no numbers"),
    "sizes": ("n_limits", lambda a: a + 1, "have other limits than columns"),
    "one more": (
        "counts",
        lambda a: a + (np.arange(a.shape[2]) == 0),
        "have columns that count different numbers of customers",
    ),
    "nobody": ("counts", lambda a: a * (np.arange(3) > 0)[:, None, None], "have a cutoff without customers"),
    "means": ("label_means", lambda a: a * np.inf, "have label means of shape (3, 2) instead of (3, 2), or no numbers"),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_reference_is_refused(case: str) -> None:
    name, change, problem = FORGED[case]
    reference = trained("churn").reference
    assert reference is not None
    arrays = reference.arrays()
    width = arrays[f"{PREFIX}counts"].shape[2]
    arrays[f"{PREFIX}{name}"] = change(arrays[f"{PREFIX}{name}"])
    with pytest.raises(cm.BundleError) as caught:
        Reference.from_arrays(arrays, cm.FeatureSet(FEATURES).names, "bundles/churn")
    assert str(caught.value) == (
        f"bundles/churn: its reference distributions {problem.replace('45', str(width))}. Train the bundle anew."
    )


def test_a_missing_array() -> None:
    reference = trained("churn").reference
    assert reference is not None
    arrays = {name: array for name, array in reference.arrays().items() if not name.endswith("limits")}
    with pytest.raises(cm.BundleError) as caught:
        Reference.from_arrays(arrays, cm.FeatureSet(FEATURES).names, "b")
    assert str(caught.value) == (
        "b: its reference distributions have the arrays columns, categories, counts, label_means instead of "
        "columns, n_limits, limits, categories, counts, label_means. Train the bundle anew."
    )

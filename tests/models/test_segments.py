"""Behaviour whose groups are obvious, and a scaling that tomorrow's customers do not move."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.models import _robust, segments
from tests.models.mutants import dies


def blobs(sizes: tuple[int, ...] = (60, 30, 10), seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Groups in four columns, twenty standard deviations apart, shuffled."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return 20.0 * truth[:, None] + rng.normal(size=(len(truth), 4)), truth


def separated_groups_are_found_and_numbered_by_size(module: ModuleType) -> None:
    X, truth = blobs()
    model = module.BehaviourSegmenter(n_clusters=3).fit(X)
    assert model.labels_.tolist() == truth.tolist()  # 60, 30, 10: the largest is 0
    assert model.predict(X).tolist() == truth.tolist()
    assert model.silhouette_ > 0.8


def scoring_does_not_move_the_scaling(module: ModuleType) -> None:
    X, truth = blobs()
    model = module.BehaviourSegmenter(n_clusters=3).fit(X)
    assert [model.predict(X[[row]])[0] for row in range(20)] == truth[:20].tolist()


def a_missing_value_is_taken_for_the_median(module: ModuleType) -> None:
    X = np.column_stack([np.arange(101.0), np.arange(101.0)])
    scaled = module.RobustScaler.learn(X).apply(np.array([[np.nan, 50.0], [np.nan, 100.0]]))
    assert scaled[:, 0].tolist() == [0.0, 0.0]
    assert scaled[0, 1] == 0.0
    assert scaled[1, 1] > 0


def an_outlier_counts_as_the_last_percent(module: ModuleType) -> None:
    X = np.append(np.arange(1000.0), 1e9)[:, None]
    scaler = module.RobustScaler.learn(X)
    scaled = scaler.apply(X)[:, 0]
    assert scaled.max() == scaled[995]
    assert np.all(np.abs(scaled) < 5)


def a_rare_column_does_not_outweigh(module: ModuleType) -> None:
    # 75 zeros, a one, 24 thousands: the upper quartile lies a quarter of the way from 0 to 1.
    X = np.array([0.0] * 75 + [1.0] + [1_000.0] * 24)[:, None]
    assert module.RobustScaler.learn(X).apply(X).std() <= 1.0 + 1e-9


@pytest.mark.parametrize(
    ("check", "module", "old", "new"),
    [
        (
            separated_groups_are_found_and_numbered_by_size,
            segments,
            "*centres.T[::-1], -sizes)",
            "*centres.T[::-1], sizes)",
        ),
        (
            scoring_does_not_move_the_scaling,
            segments,
            "assign(self._scaler.apply(values)",
            "assign(RobustScaler.learn(values).apply(values)",
        ),
        (
            a_missing_value_is_taken_for_the_median,
            _robust,
            "part[np.isnan(part)] = 0.0",
            "part[np.isnan(part)] = -10.0",
        ),
        (a_missing_value_is_taken_for_the_median, _robust, "part -= self.centre", "part -= self.low"),
        (a_rare_column_does_not_outweigh, _robust, "_IQR_OF_NORMAL, spread)", "_IQR_OF_NORMAL, 0.0)"),
        (an_outlier_counts_as_the_last_percent, _robust, "self.low, self.high, out", "-np.inf, np.inf, out"),
    ],
    ids=[
        "smallest first",
        "scaling at scoring",
        "missing far below",
        "centred on the low end",
        "tiny scale",
        "outliers kept",
    ],
)
def test_behaviour_mutants_die(check: Any, module: ModuleType, old: str, new: str, tmp_path: Path) -> None:
    dies(check, module, old, new, tmp_path)


def test_skewed_columns_are_logged_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    spend = np.exp(rng.normal(3.0, 1.5, 500))
    X = np.column_stack([spend, -spend, rng.normal(size=500), np.full(500, 2.0), np.full(500, np.nan)])
    assert _robust.RobustScaler.learn(X).logged.tolist() == [True, True, False, False, False]


def test_the_profile_speaks_the_units_of_the_columns() -> None:
    few = pd.DataFrame({"visits": [1.0, 2.0, 3.0, 4.0, np.nan], "spend": [5.0, 7.0, np.nan, 5.0, 7.0]})
    many = pd.DataFrame({"visits": [90.0, 100.0, 110.0], "spend": [900.0, 920.0, 940.0]})
    profile = cm.BehaviourSegmenter(n_clusters=2).fit(pd.concat([many, few])).profile()
    assert profile.index.name == "segment"
    assert profile.to_dict("index") == {
        "segment_0": {"rows": 5, "share": 5 / 8, "visits": 2.5, "spend": 6.0},
        "segment_1": {"rows": 3, "share": 3 / 8, "visits": 100.0, "spend": 920.0},
    }


def test_the_numbering_does_not_depend_on_the_seed_or_the_order() -> None:
    X, truth = blobs()
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(X))
        model = cm.BehaviourSegmenter(n_clusters=3, random_state=seed).fit(X[order])
        assert model.labels_.tolist() == truth[order].tolist()


def test_equal_sizes_are_ordered_by_their_centres() -> None:
    X = np.array([[9.0, 1.0], [9.0, 1.1], [1.0, 9.0], [1.0, 9.1]])
    assert cm.BehaviourSegmenter(n_clusters=2).fit(X).labels_.tolist() == [1, 1, 0, 0]


def test_one_segment_has_no_silhouette() -> None:
    model = cm.BehaviourSegmenter(n_clusters=1).fit(blobs()[0])
    assert np.isnan(model.silhouette_)
    back = cm.BehaviourSegmenter(n_clusters=1).set_state(model.get_state())
    assert np.isnan(back.silhouette_)
    assert back.profile().equals(model.profile())


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            np.arange(3.0)[:, None],
            "BehaviourSegmenter.fit: X has 3 rows, too few for n_clusters=5 segments. "
            "Use n_clusters=3 or fewer, or more rows.",
        ),
        (
            np.repeat([[1.0], [2.0]], 10, axis=0),
            "BehaviourSegmenter.fit: X has 2 different rows (after scaling), too few for n_clusters=5 segments. "
            "Use n_clusters=2 or fewer, or more rows.",
        ),
    ],
)
def test_more_segments_than_customers_are_refused(X: Any, message: str) -> None:
    with pytest.raises(cm.DataError) as caught:
        cm.BehaviourSegmenter().fit(X)
    assert str(caught.value) == message

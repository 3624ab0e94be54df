"""Segments whose right answer is obvious, and thresholds that tomorrow's customers do not move."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.models import _rfm_grid, _robust, segments
from crmml.models._rfm_grid import LEVELS, POSITIONS, SEGMENTS, positions_of, thresholds
from tests.models.mutants import dies

# ---- RFM -----------------------------------------------------------------------------------------


def ten_customers() -> pd.DataFrame:
    """Ranks 1..10 in each column: the best customer has recency 1 and the highest counts."""
    return pd.DataFrame(
        {"recency": np.arange(1.0, 11.0), "frequency": np.arange(10.0, 0, -1), "m": np.arange(100.0, 0, -10)}
    )


def known_ranks_give_known_scores(module: ModuleType) -> None:
    # Fifths of ten different values: two customers in each, the two most recent at 5.
    scores = module.RFMSegmenter().fit(ten_customers()).transform(ten_customers())
    assert scores[:, 0].tolist() == [5, 5, 4, 4, 3, 3, 2, 2, 1, 1]
    assert scores[:, 1].tolist() == [5, 5, 4, 4, 3, 3, 2, 2, 1, 1]
    assert scores[:, 2].tolist() == [5, 5, 4, 4, 3, 3, 2, 2, 1, 1]


def scoring_does_not_move_the_thresholds(module: ModuleType) -> None:
    model = module.RFMSegmenter().fit(ten_customers())
    assert model.segment(ten_customers().tail(1)).tolist() == ["Lost"]
    assert model.segment(ten_customers().head(1)).tolist() == ["Champions"]


def a_tie_across_bins_takes_the_lowest(module: ModuleType) -> None:
    # Six of ten bought once: the fifths up to .6 end at 1, so 1 exceeds none of them; 2 exceeds three.
    limits = module.thresholds(np.array([1.0] * 6 + [2.0] * 2 + [3.0] * 2), 5)
    assert limits.tolist() == [1.0, 1.0, pytest.approx(1.4), pytest.approx(2.2)]
    assert module.scores_of(np.array([0.0, 1.0, 1.2, 2.0, 3.0]), limits).tolist() == [1, 1, 3, 4, 5]


def a_value_on_a_threshold_stays_below_it(module: ModuleType) -> None:
    limits = module.thresholds(np.arange(11.0), 5)  # 2, 4, 6, 8
    assert module.scores_of(np.array([2.0, np.nextafter(2.0, 3.0), 8.0, 8.5]), limits).tolist() == [1, 2, 4, 5]


def halves_round_up(module: ModuleType) -> None:
    # Value scores 1 and 2: level 1.5 -> 2, so recency 5 is a potential loyalist and no new customer.
    names = [SEGMENTS[position] for position in module.positions_of(np.array([[5, 1, 2], [5, 1, 1]]), 5)]
    assert names == ["Potential loyalists", "New customers"]


@pytest.mark.parametrize(
    ("check", "module", "old", "new"),
    [
        (known_ranks_give_known_scores, segments, "[-values[:, 0], values[:, 1:]]", "[values[:, 0], values[:, 1:]]"),
        (
            scoring_does_not_move_the_thresholds,
            segments,
            "[scores_of(column, limits) for",
            "[scores_of(column, thresholds(column, len(limits) + 1)) for",
        ),
        (a_value_on_a_threshold_stays_below_it, _rfm_grid, "values > limit", "values >= limit"),
        (a_tie_across_bins_takes_the_lowest, _rfm_grid, "values > limit", "values >= limit"),
        (halves_round_up, _rfm_grid, "* above + full)", "* above)"),
    ],
    ids=["recency as it is", "thresholds at scoring", "on the threshold", "ties to the highest", "halves down"],
)
def test_rfm_mutants_die(check: Any, module: ModuleType, old: str, new: str, tmp_path: Path) -> None:
    dies(check, module, old, new, tmp_path)


def test_every_cell_of_the_grid_has_its_name() -> None:
    corners = {(5, 5): "Champions", (5, 1): "New customers", (1, 5): "Cannot lose them", (1, 1): "Lost"}
    edges = {(4, 1): "Promising", (3, 3): "Need attention", (3, 1): "About to sleep", (2, 1): "Hibernating"}
    inside = {(2, 4): "At risk", (3, 4): "Loyal", (4, 2): "Potential loyalists"}
    for (recency, worth), name in (corners | edges | inside).items():
        assert SEGMENTS[positions_of(np.array([[recency, worth]]), LEVELS)[0]] == name
    assert len(SEGMENTS) == 11
    assert set(POSITIONS.ravel().tolist()) == set(range(11))  # no name is unreachable


@pytest.mark.parametrize("n_bins", [2, 3, 4, 7, 10])
def test_other_numbers_of_bins_reach_the_same_corners(n_bins: int) -> None:
    corners = np.array([[n_bins, n_bins], [n_bins, 1], [1, n_bins], [1, 1]])
    names = [SEGMENTS[position] for position in positions_of(corners, n_bins)]
    assert names == ["Champions", "New customers", "Cannot lose them", "Lost"]


def test_a_column_with_one_value_scores_the_middle() -> None:
    for n_bins, middle in ((2, 1), (3, 2), (5, 3), (10, 5)):
        X = np.column_stack([np.arange(9.0), np.full(9, 7.0)])
        model = cm.RFMSegmenter(n_bins).fit(X)
        assert set(model.transform(X)[:, 1].tolist()) == {middle}
        assert model.transform([[0.0, 6.9], [0.0, 7.1]])[:, 1].tolist() == [1, n_bins]


def test_one_customer_needs_attention() -> None:
    assert cm.RFMSegmenter().fit([[3.0, 2.0, 50.0]]).segment([[3.0, 2.0, 50.0]]).tolist() == ["Need attention"]


def test_who_never_bought_scores_one() -> None:
    X = ten_customers()
    model = cm.RFMSegmenter().fit(pd.concat([X, X.assign(recency=np.nan, m=np.nan)]))
    never = pd.DataFrame({"recency": [np.nan], "frequency": [0.0], "m": [np.nan]})
    assert model.transform(never).tolist() == [[1, 1, 1]]
    # Missing values are no values: the thresholds are those of the ten.
    assert model.thresholds_[0].tolist() == cm.RFMSegmenter().fit(X).thresholds_[0].tolist()


def test_predict_gives_positions_of_the_names() -> None:
    X = ten_customers()
    model = cm.RFMSegmenter().fit(X)
    assert model.segments_[model.predict(X)].tolist() == model.segment(X).tolist()
    assert model.segment(X).dtype.kind == "U"
    assert model.get_feature_names_out().tolist() == ["score_recency", "score_frequency", "score_m"]
    assert model.set_output(transform="pandas").transform(X).columns.tolist() == [
        "score_recency",
        "score_frequency",
        "score_m",
    ]


def test_names_of_other_columns_are_refused() -> None:
    model = cm.RFMSegmenter().fit(ten_customers())
    with pytest.raises(cm.SchemaError) as caught:
        model.get_feature_names_out(["a", "b", "c"])
    assert str(caught.value) == (
        "RFMSegmenter.get_feature_names_out: input_features=['a', 'b', 'c'] are not the columns of fit. "
        "Use input_features=['recency', 'frequency', 'm']."
    )


def test_recency_alone_is_refused() -> None:
    with pytest.raises(cm.SchemaError) as caught:
        cm.RFMSegmenter().fit(ten_customers()[["recency"]])
    assert str(caught.value) == (
        "RFMSegmenter.fit: X has 1 feature(s), and recency alone makes no RFM. "
        "Give the columns recency (days), frequency, monetary, in this order."
    )


values = st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=40)


@given(column=values, n_bins=st.integers(2, 8))
def test_a_higher_value_never_scores_lower(column: list[float], n_bins: int) -> None:
    known = np.array(column)
    limits = thresholds(known, n_bins)
    scores = _rfm_grid.scores_of(np.sort(known), limits)  # NaN last
    present = ~np.isnan(np.sort(known))
    assert np.all(np.diff(scores[present]) >= 0)
    assert np.all(scores[~present] == 1)
    assert scores.min() >= 1
    assert scores.max() <= n_bins


# ---- Behaviour -----------------------------------------------------------------------------------


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
    assert module.RobustScaler.learn(X).apply(X).std() <= 3.0 + 1e-9


@pytest.mark.parametrize(
    ("check", "module", "old", "new"),
    [
        (separated_groups_are_found_and_numbered_by_size, segments, "-sizes))]", "sizes))]"),
        (
            scoring_does_not_move_the_scaling,
            segments,
            "nearest(self._scaler.apply(values)",
            "nearest(RobustScaler.learn(values).apply(values)",
        ),
        (a_missing_value_is_taken_for_the_median, _robust, "nan=0.0", "nan=-10.0"),
        (a_missing_value_is_taken_for_the_median, _robust, "(cut - self.centre)", "(cut - self.low)"),
        (a_rare_column_does_not_outweigh, _robust, "spread / _MOST_SPREAD)", "0.0)"),
        (an_outlier_counts_as_the_last_percent, _robust, "self.low, self.high)", "-np.inf, np.inf)"),
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

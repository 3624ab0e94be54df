"""RFM segments whose right answer is obvious, and thresholds that tomorrow's customers do not move."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.models import _rfm_grid, rfm
from crmml.models._rfm_grid import LEVELS, cells_of, default_rules, grid_of, quantile_thresholds
from tests.models.mutants import dies

USUAL = grid_of(default_rules(), "")


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
    limits = module.quantile_thresholds(np.array([1.0] * 6 + [2.0] * 2 + [3.0] * 2), 5)
    assert limits.tolist() == [1.0, 1.0, pytest.approx(1.4), pytest.approx(2.2)]
    assert module.scores_of(np.array([0.0, 1.0, 1.2, 2.0, 3.0]), limits).tolist() == [1, 1, 3, 4, 5]


def a_value_on_a_threshold_stays_below_it(module: ModuleType) -> None:
    limits = module.quantile_thresholds(np.arange(11.0), 5)  # 2, 4, 6, 8
    assert module.scores_of(np.array([2.0, np.nextafter(2.0, 3.0), 8.0, 8.5]), limits).tolist() == [1, 2, 4, 5]


def halves_round_up(module: ModuleType) -> None:
    # Value scores 1 and 2: level 1.5 -> 2, so recency 5 is a potential loyalist and no new customer.
    names = [
        USUAL.segments[position] for position in module.cells_of(np.array([[5, 1, 2], [5, 1, 1]]), 5, USUAL.positions)
    ]
    assert names == ["Potential loyalists", "New customers"]


@pytest.mark.parametrize(
    ("check", "module", "old", "new"),
    [
        (known_ranks_give_known_scores, rfm, "[-values[:, 0], values[:, 1:]]", "[values[:, 0], values[:, 1:]]"),
        (
            scoring_does_not_move_the_thresholds,
            rfm,
            "[scores_of(column, limits) for",
            "[scores_of(column, quantile_thresholds(column, len(limits) + 1)) for",
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
        assert USUAL.segments[cells_of(np.array([[recency, worth]]), LEVELS, USUAL.positions)[0]] == name
    assert len(USUAL.segments) == 11
    assert set(USUAL.positions.ravel().tolist()) == set(range(11))  # no name is unreachable


@pytest.mark.parametrize("n_bins", [2, 3, 4, 7, 10])
def test_other_numbers_of_bins_reach_the_same_corners(n_bins: int) -> None:
    corners = np.array([[n_bins, n_bins], [n_bins, 1], [1, n_bins], [1, 1]])
    names = [USUAL.segments[position] for position in cells_of(corners, n_bins, USUAL.positions)]
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
    limits = quantile_thresholds(known, n_bins)
    scores = _rfm_grid.scores_of(np.sort(known), limits)  # NaN last
    present = ~np.isnan(np.sort(known))
    assert np.all(np.diff(scores[present]) >= 0)
    assert np.all(scores[~present] == 1)
    assert scores.min() >= 1
    assert scores.max() <= n_bins


# ---- Limits and names of one's own ----------------------------------------------------------------


def test_fixed_limits_are_in_the_unit_of_their_column() -> None:
    # Below 30 days 5, below 90 days 4, ...; 30 itself is not below 30. Orders: above 1 scores 2, above 8 scores 5.
    limits = {"recency": [30, 90, 180, 365], "frequency": [1, 2, 4, 8]}
    X = pd.DataFrame(
        {"recency": [29.0, 30.0, 364.0, 365.0, np.nan], "frequency": [9.0, 8.0, 1.0, 2.0, 0.0], "m": np.arange(5.0)}
    )
    model = cm.RFMSegmenter(thresholds=limits).fit(X)
    assert model.transform(X)[:, 0].tolist() == [5, 4, 2, 1, 1]
    assert model.transform(X)[:, 1].tolist() == [5, 4, 1, 2, 1]
    assert model.thresholds_[2].tolist() == pytest.approx([0.8, 1.6, 2.4, 3.2])  # fifths of 0..4: not named, learned


def test_fixed_limits_do_not_depend_on_the_rows() -> None:
    limits = {"x0": [1, 2, 3, 4], "x1": [10, 20, 30, 40]}
    rows = np.random.default_rng(0).gamma(1.0, size=(50, 2))
    one, other = (cm.RFMSegmenter(thresholds=limits).fit(X) for X in (rows, 100 * rows))
    assert one.thresholds_.tolist() == other.thresholds_.tolist() == [[-4, -3, -2, -1], [10, 20, 30, 40]]


SIMPLE = [
    {"segment": "Now", "recency": [4, 5], "value": [1, 2, 3, 4, 5]},
    {"segment": "Then", "recency": [1, 2, 3], "value": [1, 2, 3, 4, 5]},
]


def test_rules_of_ones_own_name_the_segments() -> None:
    model = cm.RFMSegmenter(rules=SIMPLE).fit(ten_customers())
    assert model.segments_.tolist() == ["Now", "Then"]
    assert model.segment(ten_customers()).tolist() == ["Now"] * 4 + ["Then"] * 6  # recency 5, 5, 4, 4, 3, ...
    assert model.rule_table()[3].tolist() == ["Now", "Now", "Then", "Then", "Then"]
    back = cm.RFMSegmenter().set_state(model.get_state())
    assert back.rule_table().equals(model.rule_table())
    assert back.segment(ten_customers()).tolist() == model.segment(ten_customers()).tolist()


def test_one_level_needs_no_list_and_a_cell_may_be_named_twice_alike() -> None:
    rules = [*SIMPLE, {"segment": "Now", "recency": 5, "value": 5}]
    assert cm.RFMSegmenter(rules=rules).rule_table().equals(cm.RFMSegmenter(rules=SIMPLE).rule_table())


def test_the_default_rules_are_new_at_every_call() -> None:
    cm.RFMSegmenter.default_rules()[0]["segment"] = "VIP"
    assert cm.RFMSegmenter.default_rules()[0]["segment"] == "Champions"


def test_a_state_from_before_there_were_rules_has_the_usual_names() -> None:
    model = cm.RFMSegmenter().fit(ten_customers())
    old = {key: value for key, value in model.get_state().items() if key not in ("segments", "grid")}
    assert cm.RFMSegmenter().set_state(old).segment(ten_customers()).tolist() == model.segment(ten_customers()).tolist()


def rules_with(number: int, **changes: Any) -> list[dict[str, Any]]:
    rules = default_rules()
    rules[number] |= changes
    return rules


ROW = "{'segment': 'Champions', 'recency': [5], 'value': [4, 5]}"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"rules": rules_with(1, recency=[3, 4, 5])},
            "RFMSegmenter: rules: recency 5, value 4 is both 'Champions' and 'Loyal'. Take it out of one of the two.",
        ),
        (
            {"rules": default_rules()[:-1]},
            "RFMSegmenter: rules: recency 1, value 1 has no segment. "
            "Add a row, for example {'segment': 'Other', 'recency': [1], 'value': [1]}.",
        ),
        (
            {"rules": "usual"},
            f"RFMSegmenter: rules='usual' must be a list of rows such as {ROW}. "
            "Use RFMSegmenter.default_rules(), and change what you need.",
        ),
        ({"rules": [3]}, f"RFMSegmenter: rules[0] is 3, no row. Use for example {ROW}."),
        (
            {"rules": [{"segmnt": "A", "recency": 1, "value": 1}]},
            "RFMSegmenter: rules[0]: no key 'segmnt'. Did you mean 'segment'?",
        ),
        (
            {"rules": [{"segment": "A", "recency": 1}]},
            f"RFMSegmenter: rules[0]: the key 'value' is missing. Use for example {ROW}.",
        ),
        (
            {"rules": rules_with(0, segment="")},
            "RFMSegmenter: rules[0]: segment is '', no name. Use for example 'Champions'.",
        ),
        (
            {"rules": rules_with(0, recency=[5, 6])},
            "RFMSegmenter: rules[0]: recency=[5, 6] must hold levels from 1 (lowest) to 5. Use for example [4, 5].",
        ),
        (
            {"thresholds": [30]},
            "RFMSegmenter: thresholds=[30] must be a mapping from column to limits, such as "
            "{'recency': [30, 60, 120, 240]}.",
        ),
        (
            {"thresholds": {"recensy": [1, 2, 3, 4]}},
            "RFMSegmenter: thresholds: no column 'recensy'. Did you mean 'recency'?",
        ),
        (
            {"thresholds": {"recency": [1, 2, 2, 4]}},
            "RFMSegmenter: thresholds: 'recency' is [1, 2, 2, 4], but n_bins=5 needs 4 rising numbers. "
            "Use for example [30, 60, 120, 240].",
        ),
        (
            {"thresholds": {"recency": [30, 90]}},
            "RFMSegmenter: thresholds: 'recency' is [30, 90], but n_bins=5 needs 4 rising numbers. "
            "Use for example [30, 60, 120, 240].",
        ),
    ],
)
def test_rules_and_limits_that_cannot_be_used_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        cm.RFMSegmenter(**parameters).fit(ten_customers())
    assert str(caught.value) == message


def test_a_bundle_keeps_limits_and_rules_to_the_last_bit(tmp_path: Path) -> None:
    log = cm.simulate_log(120, seed=2).log
    model = cm.RFMSegmenter(thresholds={"recency_purchase": [30, 90, 180, 365]}, rules=SIMPLE)
    bundle = cm.train(log, "rfm", None, model, "2024-06-01", progress=False)
    back = cm.Bundle.load(bundle.save(tmp_path / "bundle"))
    assert back.model.thresholds_.tobytes() == bundle.model.thresholds_.tobytes()
    assert back.model.get_params() == model.get_params()
    assert back.model.rule_table().equals(bundle.model.rule_table())
    pd.testing.assert_frame_equal(back.score(log, "2024-09-01"), bundle.score(log, "2024-09-01"))

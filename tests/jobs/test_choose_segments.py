"""Planted segments are found in their number; one cloud is left whole; what cannot be asked is refused."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

import crmml as cm
from tests.jobs.planted import planted

DRAWS = 4


def choice_of(X: Any, most: int = 5, **more: Any) -> cm.SegmentChoice:
    return cm.choose_segments(X, range(1, most + 1), draws=DRAWS, progress=False, **more)


@pytest.mark.parametrize("segments", [2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(3))
def test_planted_segments_are_recovered(segments: int, seed: int) -> None:
    X, truth = planted(segments, seed)
    for method in ("kmeans", "gaussian_mixture"):
        model = cm.BehaviourSegmenter(segments, method=method).fit(X)
        assert adjusted_rand_score(truth, model.labels_) >= 0.9, method


@pytest.mark.slow
@pytest.mark.parametrize("segments", [2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(3))
def test_the_number_of_planted_segments_is_found(segments: int, seed: int) -> None:
    X, _ = planted(segments, seed)
    assert choice_of(X, most=6).k == segments


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_of_one_planted_segment_there_is_nothing_to_split(seed: int) -> None:
    choice = choice_of(planted(1, seed)[0])
    assert choice.k == 1
    assert choice.why.startswith("Nothing to split. No number of segments leaves a valley between all neighbours")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_habits_that_differ_without_a_gap_are_not_split(seed: int) -> None:
    """The log as it is simulated without segments: rates are gamma distributed, as in the Pareto/NBD model."""
    X, _ = planted(None, seed)
    often = X[["count_purchase_365d", "count_visit_365d", "sum_amount_purchase_365d"]]
    assert choice_of(often).k == 1


def blobs(n: int = 300) -> pd.DataFrame:
    """Three groups, 15 standard deviations apart."""
    rng = np.random.default_rng(0)
    groups = 15.0 * np.eye(3)[np.arange(n) % 3]
    return pd.DataFrame(groups + rng.normal(size=(n, 3)), columns=["a", "b", "c"])


@pytest.fixture(scope="module")
def three() -> cm.SegmentChoice:
    return choice_of(blobs(), most=4)


def test_the_choice_says_what_it_saw(three: cm.SegmentChoice) -> None:
    assert three.table.index.tolist() == [1, 2, 3, 4]
    row = three.table.loc[3]
    assert row["stability"] == 1.0
    assert row["smallest"] == pytest.approx(1 / 3)
    assert row["valley"] == 1.0  # nobody half way
    assert row["p_value"] < 1e-3
    assert three.table["apart"].tolist() == [False, three.table.loc[2, "apart"], True, False]
    assert three.k == 3
    assert re.fullmatch(
        r"3 segments: the most that other customers repeat \(agreement 1\.00, asked for is 0\.8\) and that all lie "
        r"apart, with a valley of 100 % between the nearest two \(p = [0-9e-]+, asked for is 0\.05\)\.",
        three.why,
    )
    printed = str(three)
    assert "rows  all 300; 4 draws of two halves" in printed
    assert re.search(r"^   3   1\.00 .* stable, apart  <- chosen$", printed, re.MULTILINE)


def test_the_same_call_gives_the_same_table(three: cm.SegmentChoice) -> None:
    pd.testing.assert_frame_equal(choice_of(blobs(), most=4).table, three.table)


def test_constant_columns_and_missing_values_do_no_harm() -> None:
    X = blobs().assign(constant=1.0, empty=np.nan)
    X.loc[::20, "a"] = np.nan
    assert cm.choose_segments(X, [2, 3], draws=2, progress=False).k == 3


def test_customers_all_alike_are_not_split() -> None:
    choice = cm.choose_segments(pd.DataFrame({"a": np.ones(40)}), [1, 2, 3], draws=2, progress=False)
    assert choice.k == 1


def test_the_picture_shows_the_table(three: cm.SegmentChoice) -> None:
    pytest.importorskip("matplotlib")
    again, apart = three.figure().axes
    drawn = {str(line.get_label()): line for line in [*again.get_lines(), *apart.get_lines()]}
    cuts = three.table.loc[2:]
    assert drawn["one cloud of the same covariance"].get_ydata().tolist() == cuts["stability_null"].tolist()
    assert drawn["silhouette"].get_ydata().tolist() == cuts["silhouette"].tolist()
    assert [bar.get_height() for bar in apart.patches] == [
        *cuts["valley"][cuts["apart"]],
        *cuts["valley"][~cuts["apart"]],
    ]
    assert drawn["chosen"].get_xdata() == [3, 3]


def two_cutoffs() -> pd.DataFrame:
    keys = pd.MultiIndex.from_product([["ann", "bob"], ["2024-01-01", "2024-02-01"]], names=["customer_id", "as_of"])
    return pd.DataFrame({"a": np.arange(4.0)}, index=keys)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: choice_of(blobs(9)),
            cm.DataError,
            "choose_segments: X has 9 rows, and a half of them cannot make k=5 segments. "
            "Use candidates up to 4, or more rows.",
        ),
        (
            lambda: cm.choose_segments(blobs(), [1]),
            cm.ConfigError,
            "choose_segments: candidates=[1] must be whole numbers of 1 or more, one of them above 1. "
            "Use range(1, 11), the default.",
        ),
        (
            lambda: cm.choose_segments(blobs(), 5),
            cm.ConfigError,
            "choose_segments: candidates=5 must be whole numbers of 1 or more, one of them above 1. "
            "Use range(1, 11), the default.",
        ),
        (
            lambda: cm.choose_segments(blobs(), draws=0),
            cm.ConfigError,
            "choose_segments: draws=0 must be a whole number, 1 or more. Use 20, the default.",
        ),
        (
            lambda: choice_of(blobs(), error_rate=1.0),
            cm.ConfigError,
            "choose_segments: error_rate=1.0 must be a number above 0 and below 1. Use 0.05, the default.",
        ),
        (
            lambda: choice_of(blobs(), random_state=-1),
            cm.ConfigError,
            "choose_segments: random_state=-1 must be a whole number, 0 or more. Use 0, the default.",
        ),
        (
            lambda: choice_of(blobs(), model=cm.BehaviourSegmenter(method="hdbscan")),
            cm.ConfigError,
            "choose_segments: HDBSCAN finds the number of segments by itself. "
            "Use BehaviourSegmenter(method='kmeans') or 'gaussian_mixture' to compare numbers.",
        ),
        (
            lambda: choice_of(blobs(), model=cm.RFMSegmenter()),
            cm.ConfigError,
            "choose_segments: model is RFMSegmenter(). Use a BehaviourSegmenter, for example the default.",
        ),
        (
            lambda: choice_of(two_cutoffs()),
            cm.DataError,
            "choose_segments: customer 'ann' has several rows, and would agree with themself in both halves. "
            "Use the table of one cutoff.",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message

"""The three ways to find groups: what each finds where it is obvious, its rule for later rows, and its state."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

import crmml as cm
from crmml.models import _groups
from tests.models.made import predictions, read_state, same_to_the_last_bit, write_state
from tests.models.mutants import dies

Floats = npt.NDArray[np.float64]
METHODS = ("kmeans", "gaussian_mixture", "hdbscan")
methods = pytest.mark.parametrize("method", METHODS)


def blobs(sizes: tuple[int, ...] = (120, 60, 40), seed: int = 0, far: float = 12.0) -> tuple[Floats, Any]:
    """Groups in three columns, some standard deviations apart, shuffled."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return far * truth[:, None] + rng.normal(size=(len(truth), 3)), truth


def segmenter(method: str, n_clusters: int = 3, **more: Any) -> cm.BehaviourSegmenter:
    return cm.BehaviourSegmenter(n_clusters, method=method, **more)


@methods
@pytest.mark.parametrize("seed", range(5))
def test_separated_groups_are_found_and_numbered_by_size(method: str, seed: int) -> None:
    X, truth = blobs(seed=seed)
    labels = segmenter(method).fit(X).labels_
    found = labels != -1
    assert found.mean() > 0.9
    assert labels[found].tolist() == truth[found].tolist()  # 120, 60, 40: the largest is 0


@methods
def test_the_rule_for_later_rows_gives_the_training_rows_their_own_segment(method: str) -> None:
    X, _ = blobs(far=3.0)  # close enough for noise and doubt
    model = segmenter(method).fit(X)
    assert model.predict(X).tolist() == model.labels_.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_the_rule_of_density_repeats_what_hdbscan_said(seed: int) -> None:
    """A group of HDBSCAN is what hangs together below the distance at which it splits from its parent."""
    Z = np.random.default_rng(seed).normal(size=(300, 2)) + 2.2 * (np.arange(300) % 3)[:, None]
    density = _groups.Density.find(Z, 0.05, 0)
    assert set(density.groups.tolist()) > {-1, 0}  # groups and noise
    assert density.assign(Z).tolist() == density.groups.tolist()


@methods
def test_a_state_that_went_through_files_says_the_same_to_the_last_bit(method: str, tmp_path: Path) -> None:
    X, _ = blobs(far=3.0)
    model = segmenter(method).fit(X)
    write_state(model.get_state(), tmp_path)
    back = segmenter(method).set_state(read_state(tmp_path))
    assert same_to_the_last_bit(predictions(back, X), predictions(model, X))
    assert back.get_state().keys() == model.get_state().keys()
    for key, value in model.get_state().items():
        if isinstance(value, np.ndarray):
            assert back.get_state()[key].tobytes() == value.tobytes(), key
    assert back.profile().equals(model.profile())


@methods
def test_the_same_rows_give_the_same_model(method: str) -> None:
    X, _ = blobs(far=2.0)
    one, other = segmenter(method).fit(X).get_state(), segmenter(method).fit(X.copy()).get_state()
    assert all(np.array_equal(one[key], other[key]) for key in one)


FITTED = {method: segmenter(method).fit(blobs(far=2.5)[0]) for method in METHODS}
numbers = st.floats(-20, 20) | st.sampled_from([0.0, 0.5, 1.25, -3.0]) | st.just(float("nan"))
tables = st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=30)


@given(method=st.sampled_from(METHODS), asked=tables, others=tables, first=st.booleans())
def test_more_customers_change_nobodys_segment(method: str, asked: Any, others: Any, first: bool) -> None:
    model = FITTED[method]
    alone = model.predict(np.array(asked))
    together = model.predict(np.array([*others, *asked] if first else [*asked, *others]))
    assert (together[len(others) :] if first else together[: len(asked)]).tolist() == alone.tolist()
    assert [model.predict(np.array([row]))[0] for row in asked[:3]] == alone[:3].tolist()


@settings(max_examples=5)
@given(seed=st.integers(0, 1000), method=st.sampled_from(METHODS))
def test_nor_do_thousands_of_them(seed: int, method: str) -> None:
    rows = np.random.default_rng(seed).normal(3.0, 4.0, size=(5_000, 3))  # more than are taken at a time
    some = np.random.default_rng(seed + 1).permutation(5_000)[:700]
    assert FITTED[method].predict(rows[some]).tolist() == FITTED[method].predict(rows)[some].tolist()


@given(rows=tables, rfm=st.booleans(), others=tables)
def test_nor_is_anybodys_score_or_tier_changed(rows: Any, rfm: bool, others: Any) -> None:
    X, _ = blobs()
    model = cm.RFMSegmenter().fit(X) if rfm else cm.ValueTiers().fit(X)
    assert model.segment(np.array([*others, *rows]))[len(others) :].tolist() == model.segment(np.array(rows)).tolist()


# ---- Noise ---------------------------------------------------------------------------------------


def test_noise_stays_noise_and_is_the_last_name() -> None:
    X, _ = blobs()
    far_off = np.array([[500.0, -500.0, 500.0], [6.0, 6.0, 6.0]])  # nowhere, and half way between two groups
    model = segmenter("hdbscan").fit(np.vstack([X, far_off]))
    assert model.segments_.tolist() == ["segment_0", "segment_1", "segment_2", "noise"]
    assert model.predict(far_off).tolist() == [-1, -1]
    assert model.segments_[model.predict(far_off)].tolist() == model.segment(far_off).tolist() == ["noise"] * 2
    profile = model.profile()
    assert profile["rows"].sum() == len(X) + 2
    assert profile.loc["noise", "rows"] == (model.labels_ == -1).sum()
    assert len(model.cluster_centers_) == 3


def test_where_no_two_groups_have_room_all_is_noise() -> None:
    model = segmenter("hdbscan", min_share=0.6).fit(blobs()[0])
    assert set(model.segment(np.zeros((2, 3)))) == {"noise"}
    assert model.segments_.tolist() == ["noise"]
    assert np.isnan(model.silhouette_)
    back = segmenter("hdbscan").set_state(model.get_state())
    assert back.profile().equals(model.profile())


def test_more_groups_than_asked_for_are_said_and_become_noise() -> None:
    X, truth = blobs()
    with pytest.warns(UserWarning, match="HDBSCAN") as caught:
        model = segmenter("hdbscan", n_clusters=2).fit(X)
    kept, found = (100 * ((model.labels_ != -1) & (truth < 2)).mean(), 3)
    assert str(caught[0].message).startswith(f"BehaviourSegmenter: HDBSCAN found {found} dense groups with ")
    assert str(caught[0].message).endswith(
        f"n_clusters=2 keeps the largest, with {kept:.0f} %; the others are noise. Use n_clusters=3 to keep all."
    )
    assert set(model.labels_[truth == 2]) == {-1}


def noise_within_the_range_of_others_is_noise(module: ModuleType) -> None:
    # A grid of distance 1, five rows around; a row half way beyond the edge hangs on, one at distance 3 does not.
    Z = np.array([[x, y] for x in range(8) for y in range(8)], dtype=float)
    far = Z + 40.0
    density = module.Density.find(np.vstack([Z, far]), 0.2, 0)
    assert density.assign(np.array([[3.5, 7.9], [3.5, 10.5], [20.0, 20.0], [43.0, 43.0]])).tolist()[1:3] == [-1, -1]
    assert density.assign(Z).tolist() == [density.groups[0]] * 64


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mutual > self.reach[groups]", "mutual > 10 * self.reach[groups]"),
        ("mutual > self.reach[groups]", "mutual >= self.reach[groups]"),
        ("mutual[rows, start + rows] = np.inf", "mutual[rows, start + rows] = 0"),
    ],
    ids=["reaches too far", "the last member is lost", "each reaches itself"],
)
def test_mutants_of_density_die(old: str, new: str, tmp_path: Path) -> None:
    dies(noise_within_the_range_of_others_is_noise, _groups, old, new, tmp_path)


# ---- Mixtures ------------------------------------------------------------------------------------


def long_and_round(module: ModuleType) -> None:
    """A long thin cloud through a small round one: nearest centres cut the long one, likelihood does not."""
    rng = np.random.default_rng(3)
    long = rng.normal(size=(400, 2)) * [10.0, 0.3]
    round_ = rng.normal(size=(400, 2)) * 0.5 + [0.0, 6.0]
    Z, truth = np.vstack([long, round_]), np.repeat([0, 1], 400)
    assert adjusted_rand_score(truth, module.Mixture.find(Z, 2, 0).assign(Z)) > 0.95


def test_a_mixture_follows_the_shape_of_the_groups() -> None:
    long_and_round(_groups)


@pytest.mark.parametrize(
    ("old", "new"),
    [("range(column + 1)", "range(column, column + 1)"), ("- 0.5 * total", "+ 0.5 * total")],
    ids=["no correlation", "least likely"],
)
def test_mutants_of_the_mixture_die(old: str, new: str, tmp_path: Path) -> None:
    def heights_are_those_of_the_normal_density(module: ModuleType) -> None:
        from scipy.stats import multivariate_normal

        rng = np.random.default_rng(0)
        Z = rng.normal(size=(300, 3)) @ np.array([[1.0, 0.8, 0.0], [0.0, 0.6, 0.5], [0.0, 0.0, 1.0]])
        mixture = module.Mixture.find(Z, 1, 0)
        ours = mixture._height(np.ascontiguousarray(Z.T), 0)
        theirs = multivariate_normal(Z.mean(axis=0), np.cov(Z.T, bias=True) + 0.01 * np.eye(3)).logpdf(Z)
        # But for the constant of the normal density: 3/2 log(2 pi).
        assert np.allclose(ours - 1.5 * np.log(2 * np.pi), theirs)

    dies(heights_are_those_of_the_normal_density, _groups, old, new, tmp_path)


def test_one_customer_is_too_few_for_a_mixture() -> None:
    with pytest.raises(cm.DataError) as caught:
        segmenter("gaussian_mixture", n_clusters=1).fit([[1.0, 2.0]])
    assert str(caught.value) == (
        "BehaviourSegmenter.fit: X has 1 sample, too few for a mixture. Use method='kmeans', or more rows."
    )


# ---- All -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["kmeans", "gaussian_mixture"])
def test_more_segments_than_different_customers_are_refused(method: str) -> None:
    with pytest.raises(cm.DataError) as caught:
        segmenter(method, n_clusters=4).fit(np.repeat([[1.0], [2.0]], 10, axis=0))
    assert str(caught.value) == (
        "BehaviourSegmenter.fit: X has 2 different rows (after scaling), too few for n_clusters=4 segments. "
        "Use n_clusters=2 or fewer, or more rows."
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"method": "dbscan"},
            "BehaviourSegmenter: method='dbscan' must be one of 'kmeans', 'gaussian_mixture', 'hdbscan'. "
            "Use method='kmeans', the default.",
        ),
        (
            {"min_share": 0},
            "BehaviourSegmenter: min_share=0 must be a number above 0 and at most 1. Use min_share=0.05, the default.",
        ),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        cm.BehaviourSegmenter(**parameters).fit(blobs()[0])
    assert str(caught.value) == message


def test_many_rows_are_read_in_small_batches_and_found_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_groups, "MINI_BATCH_ROWS", 1_000)
    monkeypatch.setattr(_groups, "MIXTURE_ROWS", 500)
    monkeypatch.setattr(_groups, "DENSITY_ROWS", 500)
    X, truth = blobs((2_000, 1_500, 1_000))
    for method in METHODS:
        labels = segmenter(method).fit(X).labels_
        assert adjusted_rand_score(truth, labels) > 0.9, method


@methods
def test_a_bundle_keeps_the_groups_to_the_last_bit(method: str, tmp_path: Path) -> None:
    log = cm.simulate_log(150, seed=3).log
    features = [cm.Count(event_type="purchase"), cm.Count(event_type="visit"), cm.Sum("amount")]
    bundle = cm.train(log, features, None, segmenter(method, min_share=0.05), "2024-06-01", progress=False)
    back = cm.Bundle.load(bundle.save(tmp_path / "bundle"))
    for key, value in bundle.model.get_state().items():
        if isinstance(value, np.ndarray):
            assert back.model.get_state()[key].tobytes() == value.tobytes(), key
    pd.testing.assert_frame_equal(back.score(log, "2024-09-01"), bundle.score(log, "2024-09-01"))

"""Lookalikes: who is planted is found, nobody is scored by a model that knows them, bands stay where they are."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.models import hidden_seeds, lookalikes
from crmml.models._robust import RobustScaler
from crmml.models.hidden_seeds import hidden_seed_recall, taken
from crmml.models.lookalikes import Lookalikes
from tests.models.made import read_state, same_to_the_last_bit, write_state
from tests.models.mutants import dies

METHODS = ("trees", "nearest")


def members(rows: int, seed: int) -> tuple[pd.DataFrame, Any, Any]:
    """Customers, who is alike (visits above 4 and young), and a list that holds half of those."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "visits": rng.gamma(2.0, size=rows),
            "age": rng.integers(18, 80, rows).astype(float),
            "x": rng.normal(size=rows),
        },
        index=pd.Index([f"c{row}" for row in range(rows)], name="customer_id"),
    )
    alike = ((X["visits"] > 3) & (X["age"] < 45)).to_numpy()
    return X, alike, alike & (rng.random(rows) < 0.5)


@pytest.mark.parametrize("method", METHODS)
def test_those_who_ought_to_be_on_the_list_come_first(method: str) -> None:
    X, alike, seeds = members(3_000, seed=1)
    ranking = Lookalikes(method).fit(X, seeds).ranking()
    assert set(ranking["customer_id"]) == set(X.index[~seeds])
    assert ranking["rank"].tolist() == list(range(1, len(ranking) + 1))
    assert ranking["score"].is_monotonic_decreasing
    hidden = set(X.index[alike & ~seeds])
    first = ranking["customer_id"].head(len(hidden))
    assert len(hidden & set(first)) / len(hidden) > (0.8 if method == "trees" else 0.6)  # at random: .09


@pytest.mark.parametrize("method", METHODS)
def test_random_seeds_are_like_nobody(method: str) -> None:
    X, _, _ = members(2_000, seed=2)
    seeds = np.random.default_rng(3).random(2_000) < 0.2
    table = Lookalikes(method).fit(X, seeds).profile()
    # A model that had seen the seeds would find most of them again in its first bands.
    assert table.loc[["top 1 %", "1 to 5 %", "5 to 10 %"], "share_of_seeds"].sum() == pytest.approx(0.1, abs=0.045)


def test_bands_hold_the_shares_of_the_others_that_they_say() -> None:
    X, _, seeds = members(4_000, seed=4)
    model = Lookalikes().fit(X, seeds)
    assert model.segments_.tolist() == ["top 1 %", "1 to 5 %", "5 to 10 %", "10 to 25 %", "the rest"]
    others = (~seeds).sum()
    table = model.profile()
    expected = np.diff([0, 0.01, 0.05, 0.1, 0.25, 1]) * others
    np.testing.assert_allclose(table["others"], expected, atol=1)
    assert table["others"].sum() + table["seeds"].sum() == 4_000
    assert table["share_of_seeds"].sum() == pytest.approx(1)
    top = table.iloc[0]
    assert top["lift"] == pytest.approx((top["seeds"] / seeds.sum()) / ((top["others"] + top["seeds"]) / 4_000))
    counts = model.ranking()["segment"].value_counts()
    assert counts.to_dict() == table["others"].to_dict()


def test_labels_may_be_any_two_of_which_the_greater_is_the_seed() -> None:
    X, _, seeds = members(500, seed=5)
    plain = Lookalikes(num_iterations=10).fit(X, seeds).scores_
    for labels in (seeds.astype(int), np.where(seeds, "on", "off"), np.where(seeds, 7.5, -1)):
        assert Lookalikes(num_iterations=10).fit(X, labels).scores_.tolist() == plain.tolist()


def nobody_is_scored_by_a_model_that_has_seen_them(module: ModuleType) -> None:
    """Each seed is one of a kind: it can be recognised only by who has learned it."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3))
    seeds = rng.random(600) < 0.3
    scores = module.Lookalikes(num_leaves=31, min_data_in_leaf=5).fit(X, seeds).scores_
    assert 0.35 < cm.metrics.auc(seeds.astype(int), scores) < 0.65


def the_others_decide_the_bands(module: ModuleType) -> None:
    X, _, seeds = members(2_000, seed=6)
    model = module.Lookalikes("nearest", bands=(0.5,)).fit(X, seeds)
    assert model.profile()["others"].iloc[0] == pytest.approx((~seeds).sum() / 2, abs=1)


def a_score_on_the_threshold_is_below_it(module: ModuleType) -> None:
    assert module._bands(np.array([3.0, 2.0, 1.0, 0.0]), np.array([2.0, 1.0])).tolist() == [0, 1, 2, 2]


def hidden_seeds_are_nobodys_seeds(module: ModuleType) -> None:
    """The list is noise: whoever is told of the hidden ones finds them again."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    table = module.hidden_seed_recall(
        Lookalikes(num_iterations=5), X, rng.random(400) < 0.2, rfm=pd.DataFrame(rng.integers(0, 99, (400, 3)))
    ).table.set_index("share")
    assert table.loc[0.1, "recall"] < 0.3
    assert table.loc[0.1, "rfm_cells"] < 0.3


@pytest.mark.parametrize(
    ("check", "module", "old", "new"),
    [
        (nobody_is_scored_by_a_model_that_has_seen_them, lookalikes, "np.flatnonzero(~out)", "np.arange(len(seeds))"),
        (the_others_decide_the_bands, lookalikes, "np.quantile(scores[~seeds]", "np.quantile(scores[seeds]"),
        (a_score_on_the_threshold_is_below_it, lookalikes, "scores[:, None] <= ", "scores[:, None] < "),
        (hidden_seeds_are_nobodys_seeds, hidden_seeds, "_by_cell(scores, labels)", "_by_cell(scores, known)"),
    ],
    ids=["in-sample scores", "bands of the seeds", "on the threshold", "cells know the hidden"],
)
def test_mutants_die(check: Any, module: ModuleType, old: str, new: str, tmp_path: Path) -> None:
    dies(check, module, old, new, tmp_path)


@pytest.mark.parametrize("method", METHODS)
def test_the_state_brings_scores_and_bands_back(method: str, tmp_path: Path) -> None:
    X, _, seeds = members(800, seed=7)
    X.loc[::9, "visits"] = np.nan
    model = Lookalikes(method, num_iterations=20).fit(X, seeds)
    write_state(model.get_state(), tmp_path)
    back = Lookalikes(method).set_state(read_state(tmp_path))
    said = [{"similarity": one.similarity(X), "segment": one.segment(X)} for one in (model, back)]
    assert same_to_the_last_bit(said[0], said[1])
    assert back.profile().equals(model.profile())
    with pytest.raises(cm.DataError) as caught:
        back.ranking()
    assert str(caught.value) == (
        "Lookalikes.ranking: a model that was loaded holds no customers. "
        "Use similarity(X) of the customers to be ranked, or fit it again."
    )


def test_the_state_of_nearest_holds_nobodys_own_row() -> None:
    X, _, seeds = members(800, seed=8)
    model = Lookalikes("nearest").fit(X, seeds)
    state = model.get_state()
    Z = RobustScaler.learn(X.to_numpy()).apply(X.to_numpy())
    assert 2 <= len(state["seeds"]) == len(state["others"]) <= seeds.sum() / 10
    for centre in (*state["seeds"], *state["others"]):
        assert np.abs(Z - centre).max(axis=1).min() > 0


@pytest.mark.parametrize("method", METHODS)
def test_adding_rows_changes_nobody_elses_score(method: str) -> None:
    X, _, seeds = members(400, seed=9)
    model = Lookalikes(method, num_iterations=5).fit(X, seeds)

    @given(st.permutations(range(40)))
    def law(order: list[int]) -> None:
        together = model.similarity(X.iloc[order])
        assert together[:2].tolist() == [model.similarity(X.iloc[[row]])[0] for row in order[:2]]

    law()


# ---- recall of hidden seeds ---------------------------------------------------------------------


def test_taken_shares_ties_out_evenly() -> None:
    assert taken(np.array([1.0, 5.0, 5.0, 5.0, 0.0]), 0.4).tolist() == [0.0, 2 / 3, 2 / 3, 2 / 3, 0.0]
    assert taken(np.arange(10.0), 0.25).sum() == pytest.approx(2.5)
    assert taken(np.zeros(8), 0.25).tolist() == [0.25] * 8


def test_a_cell_is_judged_by_everybody_else_in_it() -> None:
    scores = np.array([[1, 1], [1, 1], [1, 1], [2, 1]])
    labels = np.array([True, False, False, False])
    # One seed of four and two cells: the average, .25, weighs as much as one customer.
    found = hidden_seeds._by_cell(scores, labels)
    assert found[1:].tolist() == [(1 + 0.25) / (2 + 1), (1 + 0.25) / (2 + 1), 0.25 / (0 + 1)]


def test_recall_of_hidden_seeds_beside_chance_and_rfm() -> None:
    rng = np.random.default_rng(0)
    rows = 2_000
    taste, spend = rng.normal(size=rows), rng.gamma(1.0, size=rows)
    X = pd.DataFrame({"taste": taste, "spend": spend})
    rfm = pd.DataFrame({"recency": rng.integers(0, 365, rows), "frequency": rng.poisson(3, rows), "monetary": spend})
    seeds = taste > np.quantile(taste, 0.9)  # RFM sees nothing of it
    found = hidden_seed_recall(Lookalikes(num_iterations=50), X, seeds, rfm=rfm, shares=[0.1, 1.0])
    row, all_taken = found.table.to_dict("records")
    assert (found.seeds, found.parts, found.customers) == (200, 5, 1840)
    assert row["recall"] > 0.9
    assert row["recall_lo"] <= row["recall"] <= row["recall_hi"]
    assert row["rfm_best"] == pytest.approx(0.1, abs=0.07)
    assert row["rfm_cells"] == pytest.approx(0.1, abs=0.07)
    assert row["times_best"] == pytest.approx(row["recall"] / row["rfm_best"])
    assert (all_taken["recall"], all_taken["rfm_best"], all_taken["times_cells"]) == (1, 1, 1)
    assert str(found).splitlines()[0] == (
        "200 seeds, a fifth of them hidden at a time among 1,840 customers (90 % intervals)"
    )
    alone = hidden_seed_recall(Lookalikes(num_iterations=5), X, seeds, shares=[0.1])
    assert list(alone.table.columns) == ["share", "recall", "recall_lo", "recall_hi", "random"]


def bank(shared_data: Path, name: str) -> tuple[pd.DataFrame, pd.DataFrame, Any]:
    """Columns known before the call (`duration` is not), RFM of earlier campaigns, who subscribed."""
    table = pd.read_parquet(shared_data / "campaign_bank_marketing" / f"{name}.parquet")
    seeds = table.pop("y").to_numpy() == 1
    recency = table["pdays"].astype(float).where(~table["pdays"].isin([-1, 999]))
    X = pd.get_dummies(table.drop(columns="duration").assign(pdays=recency), dtype=float)
    rfm = pd.DataFrame({"recency": recency, "frequency": table["previous"]})
    return X, rfm.assign(monetary=table["balance"]) if "balance" in table else rfm, seeds


@pytest.mark.real
@pytest.mark.slow
def test_a_bank_finds_its_hidden_subscribers(shared_data: Path) -> None:
    X, rfm, seeds = bank(shared_data, "bank_full")
    row = hidden_seed_recall(Lookalikes(), X, seeds, rfm=rfm, shares=[0.1]).table.iloc[0]
    assert row["recall"] > 0.5
    # Not the double: here RFM is earlier campaigns, and their answers are the strongest column there is.
    assert row["times_best_lo"] > 1.7
    assert row["times_cells_lo"] > 1.7


def message(call: Any) -> str:
    with pytest.raises(cm.CrmmlError) as caught:
        call()
    return f"{type(caught.value).__name__}: {caught.value}"


X40, _, SEEDS40 = members(40, seed=0)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            lambda: Lookalikes("near").fit(X40, SEEDS40),
            "ConfigError: Lookalikes: method='near' is unknown. Use method='trees' or method='nearest'.",
        ),
        (
            lambda: Lookalikes(bands=(0.1, 0.05)).fit(X40, SEEDS40),
            "ConfigError: Lookalikes: bands=(0.1, 0.05) must rise between 0 and 1. Use bands=(0.01, 0.05, 0.1, 0.25).",
        ),
        (
            lambda: Lookalikes().fit(X40, [1] * 40),
            "DataError: Lookalikes.fit: y holds 1 different labels (1), i.e. 1 class(es). "
            "Use 1 for the seeds and 0 for everybody else.",
        ),
        (
            lambda: Lookalikes().fit(X40, [1] + [0] * 39),
            "DataError: Lookalikes.fit: y has 1 seed. Use at least two, so that one can be held out.",
        ),
        (
            lambda: hidden_seed_recall(Lookalikes(), X40, SEEDS40[:9]),
            "SchemaError: hidden_seed_recall: X has 40 rows, seeds the shape (9,). Use one row per customer in each.",
        ),
        (
            lambda: hidden_seed_recall(Lookalikes(), X40, [True] * 4 + [False] * 36),
            "DataError: hidden_seed_recall: 4 seeds, too few for 5 parts of 2. Use a longer list, or fewer parts.",
        ),
        (
            lambda: hidden_seed_recall(cm.RFMSegmenter(), X40, SEEDS40),
            "ConfigError: hidden_seed_recall: model is RFMSegmenter(). Use Lookalikes().",
        ),
        (
            lambda: hidden_seed_recall(Lookalikes(), X40, SEEDS40, shares=[10]),
            "ConfigError: hidden_seed_recall: shares holds 10. Use shares above 0 and up to 1, such as 0.1.",
        ),
    ],
)
def test_bad_input_is_refused_with_what_to_do(call: Any, expected: str) -> None:
    assert message(call) == expected

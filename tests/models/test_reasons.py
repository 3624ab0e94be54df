"""Reasons in words: which columns, in which direction, at which length; percentiles and bands by arithmetic."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmml.models import _population, _reasons
from crmml.models._population import Population
from crmml.models._reasons import in_words, reasons
from tests.models.mutants import dies


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("recency_purchase", ("time since the last purchase", " days")),
        ("tenure", ("time since the first event", " days")),
        ("count_purchase_90d", ("number of purchases in 90 days", "")),
        ("count", ("number of events", "")),
        ("days_active_365d", ("days with events in 365 days", "")),
        ("sum_amount_purchase_365d", ("sum of amount of purchases in 365 days", "")),
        ("sum_amount", ("sum of amount", "")),
        ("decayed_sum_120d_amount", ("recent 120d amount", "")),
        ("nunique_item_id_purchase_90d", ("number of different item of purchases in 90 days", "")),
        ("gap_mean_purchase", ("mean gap between purchases", " days")),
        ("gap_last_to_mean_purchase", ("last gap over the mean gap between purchases", "")),
        ("change_ratio_amount_purchase_30d", ("change, as a ratio, of amount of purchases in 30 days", "")),
        ("trend_page_view_180d", ("trend of page views in 180 days", "")),
        # What is not known stays as it is: no guess is better than a wrong one.
        ("recency_purchase_per_gap_mean_purchase", ("recency_purchase_per_gap_mean_purchase", "")),
        ("recencyx", ("recencyx", "")),
        ("Monthly\n Charges", ("Monthly Charges", "")),
        ("x" * 300, ("x" * 97 + "...", "")),
    ],
)
def test_generated_names_become_words(name: str, words: tuple[str, str]) -> None:
    assert in_words(name) == words


def the_direction_is_that_of_the_contribution(module: ModuleType) -> None:
    said = module.reasons(
        [("silence", " days"), ("orders", "")], np.array([[143.0, 2.0]]), np.array([35.0, 4.5]), np.array([[0.2, -0.9]])
    )
    assert said == [
        "orders: 2, others 4.5 (lowers the probability); silence: 143 days, others 35 days (raises the probability)"
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"raises" if adds > 0.0', '"raises" if adds < 0.0'),
        ("np.argsort(-np.abs(contributions)", "np.argsort(np.abs(contributions)"),
        ("{_number(value, unit)}, others", "{others[column]}, others"),
    ],
    ids=["turned round", "least first", "the others' value"],
)
def test_mutants_of_the_reasons_die(old: str, new: str, tmp_path: Path) -> None:
    dies(the_direction_is_that_of_the_contribution, _reasons, old, new, tmp_path)


def test_three_at_most_and_only_what_moved_the_score() -> None:
    names = [(letter, "") for letter in "abcd"]
    X, typical = np.zeros((2, 4)), np.ones(4)
    four, one = reasons(names, X, typical, np.array([[1.0, 1.0, -1.0, 0.5], [0.0, 0.0, 0.3, 0.0]]))
    assert [part[0] for part in four.split("; ")] == ["a", "b", "c"]  # ties in the order of the columns
    assert one == "c: 0, others 1 (raises the probability)"
    assert reasons(names, X[:1], typical, np.zeros((1, 4))) == [""]


def test_a_missing_value_is_called_so() -> None:
    said = reasons([("gap", " days")], np.array([[np.nan]]), np.array([np.nan]), np.array([[1.0]]))
    assert said == ["gap: missing, others missing (raises the probability)"]


@given(
    value=st.floats(allow_nan=True, allow_infinity=False),
    typical=st.floats(allow_nan=True, allow_infinity=False),
    name=st.text(min_size=1, max_size=400),
)
def test_a_reason_is_one_short_line(value: float, typical: float, name: str) -> None:
    (said,) = reasons([in_words(name)], np.array([[value]]), np.array([typical]), np.array([[1.0]]))
    assert len(said) < 200
    assert said.splitlines() == [said]


# Percentiles and bands -----------------------------------------------------------------------------------------


def population(scores: Any, base_rate: float = 0.2) -> Population:
    return Population(np.asarray(scores, dtype=float), base_rate, np.zeros(1), 0.0, 0.0)


def test_a_percentile_counts_the_lower_scores_of_training() -> None:
    found = population(np.linspace(0.0, 10.0, 101)).percentiles(np.array([-1.0, 0.0, 2.5, 9.99, 10.0, 11.0]))
    assert found == pytest.approx([0.0, 0.0, 25.0, 99.9, 100.0, 100.0])


def test_of_equal_scores_half_count() -> None:
    # The lower 40 quantiles are 0, of which nobody is lower and 39 of 100 steps equal.
    scores = np.concatenate([np.zeros(40), np.linspace(1.0, 2.0, 61)])
    assert population(scores).percentiles(np.array([0.0, 2.0])) == pytest.approx([(0 + 40 - 1) / 2, 100.0])
    assert population(np.ones(101)).percentiles(np.array([0.0, 1.0, 2.0])) == pytest.approx([0.0, 50.0, 100.0])


@given(scores=st.lists(st.integers(-20, 20), min_size=101, max_size=101), raw=st.lists(st.floats(-25, 25), min_size=2))
def test_percentiles_rise_with_the_score_and_stay_in_their_range(scores: list[int], raw: list[float]) -> None:
    found = population(sorted(scores)).percentiles(np.sort(raw))
    assert (np.diff(found) >= -1e-9).all()
    assert found.min() >= 0.0
    assert found.max() <= 100.0


def bands_follow_the_odds(module: ModuleType) -> None:
    # A base rate of 1/5 has the odds 1 : 4; the bounds are 1 : 8, 1 : 2 and 1 : 1.
    made = module.Population(np.zeros(101), 0.2, np.zeros(1), 0.0, 0.0)
    p = np.array([0.0, 1 / 9 - 1e-9, 1 / 9 + 1e-9, 1 / 3 - 1e-9, 1 / 3 + 1e-9, 1 / 2 - 1e-9, 1 / 2 + 1e-9, 1.0])
    assert made.bands(p).tolist() == ["low", "low", "medium", "medium", "high", "high", "very high", "very high"]


def test_mutant_of_the_bands_dies(tmp_path: Path) -> None:
    dies(bands_follow_the_odds, _population, "self.base_rate / (1.0 - self.base_rate)", "self.base_rate", tmp_path)

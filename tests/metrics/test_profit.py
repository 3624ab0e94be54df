"""What a campaign earns, and what intervals are worth: by arithmetic, and by their laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.metrics import coverage, profit_curve, winkler

PEOPLE = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=1, max_size=30)
MONEY = st.floats(0, 100)


@given(PEOPLE, MONEY, st.floats(0, 1), MONEY, MONEY)
def test_contacting_everybody_earns_the_same_whatever_the_order(
    people: list[tuple[int, int]], margin: float, save_rate: float, contact: float, offer: float
) -> None:
    y, score = (np.array(column, dtype=float) for column in zip(*[(1, 3), *people], strict=True))
    curve = profit_curve(y, score, margin=margin, save_rate=save_rate, contact_cost=contact, offer_cost=offer)
    leavers, stayers = y.sum(), (1 - y).sum()
    # A leaver takes the offer only when it saves her; who would have stayed takes it in any case.
    expected = leavers * (save_rate * (margin - offer) - contact) - stayers * (offer + contact)
    assert curve["profit"].iloc[-1] == pytest.approx(expected, abs=1e-6)
    assert curve["profit"].iloc[0] == 0.0
    assert curve["customers"].iloc[-1] == len(y)


def test_a_fixed_cost_is_due_with_the_first_contact() -> None:
    curve = profit_curve([1, 0], [2, 1], margin=10, save_rate=1, contact_cost=0, fixed_cost=3)
    assert curve["profit"].loc[[0.0, 0.5, 1.0]].tolist() == [0.0, 7.0, 7.0]


def test_ties_earn_what_a_random_order_does() -> None:
    curve = profit_curve([1, 0, 0, 1], [1, 1, 1, 1], margin=10, save_rate=1, contact_cost=0)
    assert curve["profit"].loc[[0.25, 0.5, 1.0]].tolist() == [5.0, 10.0, 20.0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"save_rate": 30},
            "profit_curve: save_rate is 30. Use a share from 0 to 1, such as save_rate=0.3.",
        ),
        (
            {"contact_cost": -1.0},
            "profit_curve: contact_cost is -1.0. Use an amount of money, 0 or more: contact_cost=10.",
        ),
        (
            {"margin": float("nan")},
            "profit_curve: margin is nan. Use an amount of money, 0 or more: margin=10.",
        ),
    ],
)
def test_economics_out_of_range(wrong: dict[str, float], message: str) -> None:
    given_ = {"margin": 10.0, "save_rate": 0.3, "contact_cost": 1.0} | wrong
    with pytest.raises(cm.ConfigError) as caught:
        profit_curve([1, 0], [2, 1], **given_)
    assert str(caught.value) == message


def test_both_ends_are_inside() -> None:
    assert coverage([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], [2.0, 2.0, 2.0]) == 2 / 3


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=20), st.floats(0.05, 0.95))
def test_the_score_of_an_interval_that_holds_everything_is_its_width(values: list[float], promised: float) -> None:
    lo, hi = np.full(len(values), -50.0), np.full(len(values), 50.0)
    assert winkler(values, lo, hi, coverage=promised) == pytest.approx(100.0)
    # and one unit too narrow at the top costs 2 / (1 - coverage) for each unit outside, and saves its width
    cut = np.maximum(np.asarray(values) - 49.0, 0.0).mean() * 2 / (1 - promised)
    assert winkler(values, lo, hi - 1.0, coverage=promised) == pytest.approx(99.0 + cut)


def test_the_true_quantiles_score_best() -> None:
    drawn = np.random.default_rng(0).normal(size=100_000)
    scores = {
        z: winkler(drawn, np.full(len(drawn), -z), np.full(len(drawn), z), coverage=0.9) for z in (1.2, 1.645, 2.2)
    }
    assert min(scores, key=scores.__getitem__) == 1.645


def test_ends_the_wrong_way_round() -> None:
    with pytest.raises(cm.DataError) as caught:
        coverage([1.0, 2.0], [0.0, 5.0], [3.0, 4.0])
    assert str(caught.value) == "coverage: lo[1] is 5 and hi[1] is 4. Give the lower end as lo."
    with pytest.raises(cm.ConfigError) as wrong:
        winkler([1.0], [0.0], [3.0], coverage=90)
    assert str(wrong.value) == "winkler: coverage is 90. Use a share in (0, 1), such as coverage=0.9."

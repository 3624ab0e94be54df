"""When a challenger counts as better: on worked examples, and on simulated customers whose truth is known."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

import crmml as cm
from crmml.report import promotion
from crmml.report.promotion import Judgement, Promotion, judge
from tests.jobs.mutants import plant

Floats = NDArray[np.float64]
MONTHS = [pd.Timestamp(f"2024-{month:02}-01", tz="UTC") for month in range(1, 13)]
# What the interval promises: a challenger that is no better passes in at most so many of all cases.
STATED = 0.025


def rows(y: Floats, score: Floats, cutoffs: int = 3) -> pd.DataFrame:
    """The same customers with the same scores at every cutoff."""
    one = pd.DataFrame({"customer_id": range(len(y)), "y": y, "score": score, "probability": np.clip(score, 0, 1)})
    return pd.concat([one.assign(as_of=MONTHS[number]) for number in range(cutoffs)], ignore_index=True)


# Worked examples ------------------------------------------------------------------------------------------

Y = np.array([0.0, 0.0, 1.0, 1.0] * 30)
RIGHT = np.array([0.2, 0.2, 0.8, 0.8] * 30)
FAIR = np.array([0.2, 0.5, 0.5, 0.8] * 30)
# Right at two cutoffs, and fair at the third.
LUCKY = pd.concat([rows(Y, RIGHT, 2), rows(Y, FAIR, 3)[240:]])


def test_the_difference_is_that_of_the_deciding_measure() -> None:
    """RIGHT orders all pairs; FAIR ties one of the four kinds of pairs of a 0 and a 1: 1 - 1/8 = 0.875."""
    found = judge(rows(Y, FAIR), rows(Y, RIGHT), "binary")
    assert found.table.to_dict("records")[0] == {
        "as_of": MONTHS[0],
        "customers": 120,
        "champion": 0.875,
        "challenger": 1.0,
        "difference": 0.125,
    }
    assert found.better
    assert found.comparison.difference == pytest.approx(0.125)
    # Squared errors: FAIR .04, .25, .25, .04, RIGHT .04 each.
    assert found.loss is not None
    assert found.loss.difference == pytest.approx(0.04 - 0.145)
    turned = judge(rows(Y, RIGHT), rows(Y, FAIR), "binary")
    assert not turned.better
    assert turned.high < 0


def test_equal_scores_are_no_progress() -> None:
    found = judge(rows(Y, FAIR), rows(Y, FAIR), "binary")
    assert (found.low, found.high, found.better) == (0.0, 0.0, False)


def test_a_better_order_with_worse_probabilities_is_no_progress() -> None:
    """Divided by 100 the order stays perfect, and the Brier score goes from .145 to (.998^2 + .992^2) / ... ."""
    tiny = RIGHT / 100
    found = judge(rows(Y, FAIR), rows(Y, tiny), "binary")
    brier = (2 * 0.002**2 + 2 * (1 - 0.008) ** 2) / 4
    assert found.ahead
    assert found.loss is not None
    assert found.loss.difference == pytest.approx(brier - 0.145)
    assert (found.costs, found.better) == (True, False)
    assert str(found).endswith("ahead on 3 of 3 cutoffs; Brier +0.347, which is worse")
    scattered = dataclasses.replace(found.loss, std=1e9)  # no grade would call it worse, and yet it speaks against it
    assert scattered.verdict == "no better"
    assert dataclasses.replace(found, loss=scattered).costs


def test_amounts_are_judged_by_their_order_and_their_absolute_error() -> None:
    spent = np.arange(120.0)
    noisy = spent + np.tile([0.0, 60.0, -60.0], 40)
    found = judge(rows(spent, noisy), rows(spent, spent), "value")
    assert found.better
    assert found.loss is not None
    assert found.loss.difference == pytest.approx(-40.0)  # two thirds of the customers, by 60
    worse = judge(rows(spent, noisy), rows(spent, spent + 100), "value")
    assert (worse.ahead, worse.better) == (True, False)


def test_lists_are_judged_by_their_ndcg() -> None:
    def lists(ndcg: float) -> pd.DataFrame:
        values = np.clip(ndcg + 0.1 * np.sin(np.arange(90)), 0, 1)
        one = pd.DataFrame({"customer_id": range(90), "y": 1.0, "ndcg_at_5": values})
        return pd.concat([one.assign(as_of=MONTHS[number]) for number in range(3)], ignore_index=True)

    found = judge(lists(0.2), lists(0.5), "items", k=5)
    assert found.better
    assert found.loss is None


def test_the_interval_is_the_wider_of_two() -> None:
    """Cutoffs that disagree widen it: 0.125, 0.125 and 0 have mean 1/12 and deviation 0.0722; t(2) is 4.303."""
    found = judge(rows(Y, FAIR), LUCKY, "binary")
    assert found.comparison.low > 0
    assert found.low == pytest.approx(1 / 12 - 4.3027 * 0.0722 / 3**0.5, abs=1e-3)
    assert not found.better


@pytest.mark.parametrize(
    ("champion", "challenger", "message"),
    [
        (
            rows(Y, FAIR, 2),
            rows(Y, RIGHT, 2),
            "promote: 2 cutoffs can be measured, and with fewer than 3 agreement may be chance. Give more cutoffs in "
            "as_of, such as cutoffs(start, end, every='30d').",
        ),
        (
            rows(Y, FAIR),
            rows(Y[:100], RIGHT[:100]),
            "promote: the champion scores 360 customers at all cutoffs together, the challenger 300, and 300 of them "
            "are the same. Train the challenger for the same population, with the same cleaning.",
        ),
        (
            rows(Y, FAIR),
            rows(np.append(Y[:-1], 0.0), RIGHT),
            "promote: 3 of 360 labels differ between champion and challenger, which clean the log or count its items "
            "in different ways: no difference of their scores would mean anything. Train the challenger with the "
            "champion's cleaning and item weights.",
        ),
    ],
)
def test_what_cannot_be_compared(champion: pd.DataFrame, challenger: pd.DataFrame, message: str) -> None:
    with pytest.raises(cm.DataError) as caught:
        judge(champion, challenger, "binary")
    assert str(caught.value) == message


def test_a_promotion_says_what_was_found_and_done() -> None:
    found = judge(rows(Y, FAIR), rows(Y, RIGHT), "binary")
    moved = Promotion(name="churn", champion="1", challenger="3", moved=True, judgement=found)
    assert str(moved).splitlines()[:3] == [
        "churn: version 3 is champion now, version 1 is previous.",
        f"  AUC +0.125 on average (95 % interval +{found.low:.3f} to +{found.high:.3f}), ahead on 3 of 3 cutoffs",
        "",
    ]
    stays = dataclasses.replace(moved, moved=False)
    assert str(stays).splitlines()[0] == ("churn: version 1 stays champion: version 3 is not proven to be better.")


# Simulated customers --------------------------------------------------------------------------------------


def simulated(random: np.random.Generator, *, luck: float, noise: float, customers: int = 500, cutoffs: int = 4) -> Any:
    """Champion and challenger of customers whose true probabilities are known.

    Both see eight traits of a customer and weigh them rightly, up to the `luck` of each fit, which differs from cutoff
    to cutoff; both see each customer through a noise of their own that stays with the customer. The champion's has
    the standard deviation 0.7. With `noise` 0.7 the challenger is as good as the champion, and no better.
    """
    traits = random.normal(size=(customers, 8))
    weights = np.ones(8) / np.sqrt(8)
    own = {"champion": 0.7 * random.normal(size=customers), "challenger": noise * random.normal(size=customers)}
    said: dict[str, list[pd.DataFrame]] = {side: [] for side in own}
    for number in range(cutoffs):
        here = np.flatnonzero(random.random(customers) < 0.8)
        true = traits @ weights + 0.5 * random.normal(size=customers)
        y = (random.random(customers) < 1 / (1 + np.exp(-1.2 * true))).astype(np.float64)
        for side, view in own.items():
            score = traits @ (weights + luck * random.normal(size=8)) + view
            table = {"as_of": MONTHS[number], "customer_id": here, "y": y[here], "score": score[here]}
            said[side].append(pd.DataFrame(table).assign(probability=1 / (1 + np.exp(-score[here]))))
    return tuple(pd.concat(said[side], ignore_index=True) for side in own)


def promoted(repetitions: int, luck: float, noise: float, judged: Callable[..., Judgement] = judge) -> int:
    random = np.random.default_rng(7)
    return sum(judged(*simulated(random, luck=luck, noise=noise), "binary").better for _ in range(repetitions))


def most(repetitions: int) -> int:
    """More promotions than these would come with a probability below 0.1 %, were the stated rate true."""
    return int(binom.ppf(0.999, repetitions, STATED))


def test_a_challenger_that_is_no_better_is_refused() -> None:
    """Of 6, one may pass by luck; the repetitions below measure the rate."""
    assert promoted(6, luck=0.1, noise=0.7) <= most(6) == 2


def test_a_challenger_that_is_better_is_promoted() -> None:
    assert promoted(4, luck=0.0, noise=0.1) >= 3


@pytest.mark.repetitions
@pytest.mark.parametrize("luck", [0.0, 0.1, 0.2])
def test_over_200_repetitions_the_stated_rate_holds(luck: float) -> None:
    found = promoted(200, luck, noise=0.7)
    print(f"\nno better, luck of the fit {luck}: {found} of 200 promoted, stated at most {STATED:.1%}")
    assert found <= most(200)


@pytest.mark.repetitions
def test_over_200_repetitions_what_is_better_is_promoted() -> None:
    found = {noise: promoted(200, luck=0.0, noise=noise) for noise in (0.4, 0.1)}
    print(f"\nbetter, promoted of 200, by the noise that is left of 0.7: {found}")
    assert found[0.4] > 100
    assert found[0.1] > 190


def test_mutant_of_the_interval_over_cutoffs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Student's interval, two lucky cutoffs of three would do: for what is shown, and for the verdict."""
    assert not judge(rows(Y, FAIR), LUCKY, "binary").better
    plant(monkeypatch, promotion.__name__, "low=min(comparison.low, low)", "low=comparison.low")
    found = judge(rows(Y, FAIR), LUCKY, "binary")
    assert found.low > 0
    assert not found.better
    unsteady = dataclasses.replace(found.comparison, std=0.0)  # as if all cutoffs agreed
    assert dataclasses.replace(found, comparison=unsteady).better

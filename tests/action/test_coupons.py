"""Coupons: incremental profit by hand, the choice under a budget, and every assumption said."""

from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.action import budget as module_of_budget
from crmml.action import coupons as module_of_coupons
from crmml.errors import ConfigError, DataError, SchemaError
from tests.models.mutants import dies

FIVE = cm.Coupon(name="five", discount=5.0, cost=0.5, uplift=0.5, uplift_lo=0.0, uplift_hi=1.0)
TEN = cm.Coupon(name="ten", discount=10.0, uplift=1.0)


def offers(**p: float) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": list(p), "p_purchase": list(p.values()), "margin": 40.0})


def profit_by_hand(module: ModuleType) -> None:
    five = module.Coupon(name="five", discount=5.0, cost=0.5, uplift=0.5, uplift_lo=0.0, uplift_hi=1.0)
    table = offers(ann=0.2, bob=0.9, eve=0.01)
    plan = module.plan_coupons(table, [five])
    # ann: .3 (40 - 5) - .2 x 40 - .5 = 2; bob: 1 x 35 - .9 x 40 - .5 = -1.5; eve: .015 x 35 - .01 x 40 - .5 < 0.
    assert plan.table["customer_id"].tolist() == ["ann"]
    row = plan.table.iloc[0]
    assert row["profit"] == pytest.approx(2.0)
    # At the lower end nobody buys more: .2 x 35 - .2 x 40 - .5; at the upper end .4 x 35 - 8 - .5.
    assert (row["profit_lo"], row["profit_hi"]) == (pytest.approx(-1.5), pytest.approx(5.5))
    assert row["spend"] == pytest.approx(0.3 * 5 + 0.5)
    assert (plan.customers, plan.unprofitable, plan.unpaid, plan.unknown) == (3, 2, 0, 0)
    # It may lose: the cautious hand out none.
    assert len(module.plan_coupons(table, [five], cautious=True).table) == 0


def choice_by_hand(module: ModuleType) -> None:
    """Two customers: 0 can have 4 for 1 or 7 for 3 (1.5 per unit more), 1 can have 6 for 2 or 6 for 4 or lose 1."""
    customer, spend = np.array([0, 0, 1, 1, 1]), np.array([1.0, 3.0, 2.0, 4.0, 0.0])
    profit = np.array([4.0, 7.0, 6.0, 6.0, -1.0])
    taken = {money: module.choose(customer, spend, profit, money).tolist() for money in (0.0, 1.0, 3.0, 5.0, None)}
    assert taken == {0.0: [], 1.0: [0], 3.0: [0, 2], 5.0: [1, 2], None: [1, 2]}
    # The middle one earns .5 per unit after .5, the last 1.75: it is skipped, not a step on the way.
    assert (
        module.choose(np.zeros(3, dtype=np.int64), np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.2, 4.0]), 2.0).size == 0
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("with_it * (margin - coupon.discount) - p * margin", "with_it * margin - p * (margin - coupon.discount)"),
        ('"profit": with_it * (margin - coupon.discount) - p * margin - coupon.cost', '"profit": with_it * margin'),
        ("np.where(worth > 0,", "np.where(worth > -2,"),
        ("with_it * coupon.discount + coupon.cost", "coupon.discount + coupon.cost"),
        ("np.minimum(1.0, p * (1.0 + one))", "p * (1.0 + one)"),
        ('"profit_lo" if cautious else "profit"', '"profit"'),
    ],
    ids=["discount on the wrong side", "not incremental", "at a loss", "spent on all", "above 1", "not cautious"],
)
def test_mutants_of_the_profit_die(old: str, new: str, tmp_path: Path) -> None:
    def check(module: ModuleType) -> None:
        profit_by_hand(module)
        # Certain buyers cannot buy more: at p = 1 a coupon loses its discount, whatever the uplift.
        sure = module.plan_coupons(offers(ann=1.0), [module.Coupon(name="a", discount=1.0, uplift=2.0)])
        assert len(sure.table) == 0

    dies(check, module_of_coupons, old, new, tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("order[profit[order] > 0]", "order"),
        ("hull.pop()", "break"),
        ("more > left", "more > left + 1"),
        ("np.argsort(-ratio", "np.argsort(ratio"),
        ("            continue  # dearer", "            pass  # dearer"),
    ],
    ids=["without profit", "a step that no mix beats", "more than there is", "the worst first", "dearer for nothing"],
)
def test_mutants_of_the_choice_die(old: str, new: str, tmp_path: Path) -> None:
    dies(choice_by_hand, module_of_budget, old, new, tmp_path)


options = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(-5, 20)), min_size=1, max_size=8)


@given(options, st.integers(0, 40))
def test_the_choice_is_within_one_step_of_the_best(rows: list[tuple[int, int, int]], money: int) -> None:
    customer = np.array([row[0] for row in rows])
    spend, profit = (np.array([float(row[at]) for row in rows]) for at in (1, 2))
    taken = module_of_budget.choose(customer, spend, profit, float(money))
    assert len(set(customer[taken])) == len(taken)
    assert spend[taken].sum() <= money
    assert (profit[taken] > 0).all()
    by_customer = [[None, *np.flatnonzero(customer == who).tolist()] for who in range(4)]
    best = max(
        sum(profit[one] for one in choice if one is not None)
        for choice in product(*by_customer)
        if sum(spend[one] for one in choice if one is not None) <= money
    )
    assert best - max(0.0, profit.max()) <= profit[taken].sum() <= best
    # With money enough it is the best.
    rich = module_of_budget.choose(customer, spend, profit, None)
    assert profit[rich].sum() == sum(
        max(0.0, *profit[some]) if (some := customer == who).any() else 0 for who in range(4)
    )


@given(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=20), st.floats(0, 2), st.floats(0, 60))
def test_nobody_gets_a_coupon_that_earns_nothing(p: list[float], uplift: float, discount: float) -> None:
    table = pd.DataFrame({"customer_id": range(len(p)), "p_purchase": p, "margin": 40.0})
    plan = cm.plan_coupons(table, [cm.Coupon(name="a", discount=discount, uplift=uplift)])
    assert (plan.table["profit"] > 0).all()
    gains = [min(1.0, one * (1 + uplift)) * (40.0 - discount) - one * 40.0 for one in p]
    assert plan.profit == pytest.approx(sum(gain for gain in gains if gain > 0))
    assert len(plan.table) + plan.unprofitable == len(p)


def test_the_expected_profit_is_that_of_a_simulated_campaign() -> None:
    """100,000 customers decide with and without their coupon, on the same dice: the difference is what was planned."""
    random = np.random.default_rng(0)
    p, margin = random.uniform(0.01, 0.4, 100_000), random.uniform(5, 60, 100_000)
    table = pd.DataFrame({"customer_id": np.arange(len(p)), "p_purchase": p, "margin": margin})
    plan = cm.plan_coupons(table, [FIVE, TEN], budget=30_000)
    given_, dice = plan.table, random.random(len(plan.table))
    discount, cost = (given_["coupon"].map(values) for values in ({"five": 5, "ten": 10}, {"five": 0.5, "ten": 0.0}))
    without = (dice < given_["p_without"]) * given_["margin"]
    with_it = (dice < given_["p_with"]) * (given_["margin"] - discount) - cost
    realised = with_it - without
    error = realised.std() * len(realised) ** 0.5
    assert plan.profit == pytest.approx(realised.sum(), abs=3 * error)
    assert error < 0.05 * plan.profit
    spent = ((dice < given_["p_with"]) * discount + cost).sum()
    assert spent == pytest.approx(plan.spend, rel=0.03)
    assert 29_980 < plan.spend <= 30_000
    # Better than the same money for the likeliest buyers, which is what a response model would do.
    likely = table.sort_values("p_purchase", ascending=False)
    naive = cm.plan_coupons(likely.head(len(given_)), [FIVE], budget=30_000)
    assert plan.profit > 1.2 * naive.profit


def test_measured_probabilities_and_their_interval() -> None:
    table = offers(ann=0.1).assign(p_with=0.2, p_with_lo=0.15, p_with_hi=0.25)
    plan = cm.plan_coupons(table, [cm.Coupon(name="a", discount=10.0)], cautious=True)
    # .2 x 30 - .1 x 40 = 2; .15 x 30 - 4 = .5; .25 x 30 - 4 = 3.5.
    assert [plan.profit, *plan.profit_range] == pytest.approx([2.0, 0.5, 3.5])
    # Sold below what it costs, more buyers are the worse end.
    loss = module_of_coupons._option(table, cm.Coupon(name="a", discount=50.0)).iloc[0]
    assert loss["profit_lo"] == pytest.approx(0.25 * -10 - 4)


def test_all_that_is_taken_for_granted_is_said() -> None:
    table = pd.concat([offers(ann=0.2, bob=0.21, eve=0.9), offers(joe=np.nan)], ignore_index=True)
    assert str(cm.plan_coupons(table, [FIVE], budget=2.0, cautious=False)) == (
        "1 of 4 customers get a coupon: 2.00 more profit expected (-1.50 to 5.50) for 2.00 of 2.00 spent.\n"
        "None for 1 to whom no coupon earns anything, 1 beyond the budget, 1 whose probability is not known.\n"
        "  five: 1 customers, profit 2.00, spend 2.00\n"
        "Taken for granted:\n"
        "  - 'five' (5 off for who buys, 0.5 for each handed out): +50% buyers, between +0% and +100%, the same for "
        "all; assumed, not measured.\n"
        "  - p_purchase is what happens without a coupon, within its horizon.\n"
        "  - Everybody who buys with a coupon uses it; nobody buys less of other things, or later, because of it.\n"
        "  - The ends of the profit are for all customers at the same end of their range."
    )


@pytest.mark.parametrize(
    ("kind", "call", "message"),
    [
        (
            ConfigError,
            lambda: cm.Coupon(name="a", discount=-1.0),
            "Coupon: discount is -1.0. Use an amount of money, 0 or more: discount=5.",
        ),
        (
            ConfigError,
            lambda: cm.Coupon(name="a", discount=1.0, uplift=0.5, uplift_lo=0.6, uplift_hi=0.7),
            "Coupon: uplift 0.5 does not lie between uplift_lo 0.6 and uplift_hi 0.7. Give a range that holds it.",
        ),
        (
            ConfigError,
            lambda: cm.Coupon(name="a", discount=1.0, uplift=0.5, uplift_lo=0.4),
            "Coupon: a range takes uplift, uplift_lo and uplift_hi. Give all three, or uplift alone.",
        ),
        (
            ConfigError,
            lambda: cm.plan_coupons(offers(ann=0.1), []),
            "plan_coupons: coupons is []. Use a list: [Coupon(name='five', discount=5, uplift=0.3)].",
        ),
        (
            ConfigError,
            lambda: cm.plan_coupons(offers(ann=0.1), [TEN, TEN]),
            "plan_coupons: two coupons are called 'ten'. Rename one.",
        ),
        (
            ConfigError,
            lambda: cm.plan_coupons(offers(ann=0.1), [TEN], cautious=True),
            "plan_coupons: cautious=True needs a range. Give uplift_lo and uplift_hi, or the columns p_with_lo and "
            "p_with_hi.",
        ),
        (
            ConfigError,
            lambda: cm.plan_coupons(offers(ann=0.1), [TEN], budget=-5),
            "plan_coupons: budget is -5. Use an amount of money, 0 or more, or None.",
        ),
        (
            SchemaError,
            lambda: cm.plan_coupons(offers(ann=0.1), [cm.Coupon(name="a", discount=1.0)]),
            "plan_coupons: offers have no column 'p_with'. Give coupons without it an uplift. They have: customer_id, "
            "p_purchase, margin.",
        ),
        (
            SchemaError,
            lambda: cm.plan_coupons(offers(ann=0.1).rename(columns={"margin": "margins"}), [TEN]),
            "plan_coupons: offers have no column 'margin'. Did you mean 'margins'? They have: customer_id, p_purchase, "
            "margins.",
        ),
        (
            DataError,
            lambda: cm.plan_coupons(offers(ann=0.1, bob=1.5), [TEN]),
            "plan_coupons: in 1 of 2 rows, first row 1, p_purchase is not in [0, 1]. Give a probability.",
        ),
        (
            DataError,
            lambda: cm.plan_coupons(offers(ann=0.1).assign(margin=np.inf), [TEN]),
            "plan_coupons: in 1 of 1 rows, first row 0, margin is not finite. Give an amount of money.",
        ),
        (
            DataError,
            lambda: cm.plan_coupons(offers(), [TEN]),
            "plan_coupons: offers have no rows. Give at least one.",
        ),
    ],
)
def test_bad_input_is_named(kind: type[Exception], call: Any, message: str) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message

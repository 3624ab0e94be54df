"""Wallets whose truth is known, and intervals that hold it as often as they say."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.insight.assumptions import Assumption, redrawn_means
from crmml.insight.profit import profit_contribution
from crmml.insight.wallet import share_of_wallet

MEAN, SPREAD, B, BUYING = 1000.0, 0.6, 3.0, 0.7  # shares of those who buy: Beta(1, 3), a quarter on average


def market(customers: int, seed: int) -> tuple[Any, Any]:
    """Spends with us, and the wallets that they come from."""
    rng = np.random.default_rng(seed)
    variance = np.log1p(SPREAD**2)
    wallets = rng.lognormal(np.log(MEAN) - variance / 2, np.sqrt(variance), customers)
    shares = np.where(rng.random(customers) < BUYING, rng.beta(1, B, customers), 0.0)
    return shares * wallets, wallets


def test_shares_of_customers_are_right_on_average_and_their_intervals_hold_them() -> None:
    spend, wallets = market(20_000, seed=1)
    found = share_of_wallet(spend, Assumption(MEAN), spread=SPREAD).customers
    true, buys = spend / wallets, spend > 0
    assert found["share"][~buys].eq(0).all()
    assert found["share"][buys].mean() == pytest.approx(1 / (1 + B), abs=0.01)
    # Bayes' estimates are right within each part of the customers that can be told apart: by their spend.
    for part in np.array_split(np.argsort(spend[buys]), 5):
        assert found["share"][buys].iloc[part].mean() == pytest.approx(true[buys][part].mean(), abs=0.02)
    inside = (found["share_lo"] <= true) & (true <= found["share_hi"])
    assert inside[buys].mean() == pytest.approx(0.9, abs=0.012)  # the standard deviation of 14,000 draws is .0025
    assert found["open"][buys].mean() == pytest.approx((wallets - spend)[buys].mean(), rel=0.02)


def test_the_interval_of_a_group_holds_both_sources_of_doubt() -> None:
    # The wallet is believed to be 1,000, 5 % below 800, 5 % above 1,300: draw what is true from that belief.
    belief, held = Assumption(MEAN, 800, 1300), 0
    truth = belief.draw(np.random.default_rng(0), 200)
    for seed, mean in enumerate(truth):
        spend, _ = market(60, seed)
        scaled = spend * mean / MEAN
        row = share_of_wallet(scaled, belief, draws=400, random_state=seed).groups.iloc[0]
        held += row["share_lo"] <= BUYING / (1 + B) <= row["share_hi"]
    assert 165 <= held <= 194  # 180 are expected, 4.2 is the standard deviation


def test_groups_have_wallets_of_their_own() -> None:
    spend = pd.Series([100.0, 300, 50, 50], index=pd.Index([1, 2, 3, 4], name="customer_id"))
    kinds = pd.Series(["firm", "firm", "home", "home"], index=spend.index)
    answer = share_of_wallet(spend, {"firm": Assumption(1000), "home": Assumption(200)}, groups=kinds)
    assert answer.groups[["group", "spend", "wallet", "share", "open"]].to_numpy().tolist() == [
        ["firm", 200, 1000, 200 / 1000, 800],
        ["home", 50, 200, 50 / 200, 150],
    ]
    assert answer.customers["customer_id"].tolist() == [1, 2, 3, 4]


def test_every_number_that_was_assumed_is_printed() -> None:
    spend = [120.0] * 6 + [2000.0] * 4
    text = str(share_of_wallet(spend, Assumption(1500, 1000, 1800, source="panel 2023"), spread=0.5, coverage=0.8))
    assert text.startswith(
        "Share of wallet of 10 customers (80 % intervals)\n  all: 10 customers, 872.00 of 1,500.00 each"
    )
    assert text.endswith(
        "assumed:\n"
        "  - mean category spend 1,500 (1,000 to 1,800; panel 2023)\n"
        "  - wallets within a group: log-normal, standard deviation 0.5 times the mean\n"
        "  - shares of those who buy: Beta(1, b) with the mean of their group, independent of the wallet\n"
        "do not believe it as it is:\n"
        "  - 40 % spend more with us than the assumed mean wallet"
    )


def test_profit_is_margin_less_what_it_costs_to_serve() -> None:
    counts = pd.DataFrame({"orders": [1, 10], "returns": [0, 5]})
    answer = profit_contribution(
        pd.Series([100.0, 200], index=["a", "b"]),
        Assumption(0.4, 0.3, 0.5, source="accounts"),
        costs={"orders": Assumption(4), "returns": Assumption(10, 8, 12)},
        counts=counts,
        groups=["good", "bad"],
    )
    assert answer.customers["profit"].tolist() == [0.4 * 100 - 4, 0.4 * 200 - 4 * 10 - 10 * 5]
    assert answer.losing == 1 / 2
    assert answer.groups.set_index("group")["share_of_profit"].to_dict() == {
        "bad": pytest.approx(-10 / 26), "good": pytest.approx(36 / 26),
    }  # fmt: skip
    assert str(answer).endswith(
        "assumed:\n"
        "  - margin 0.4 (0.3 to 0.5; accounts)\n"
        "  - cost of one of orders: 4 (taken as certain)\n"
        "  - cost of one of returns: 10 (8 to 12)"
    )


def test_the_interval_of_profit_is_that_of_its_parts() -> None:
    # All customers alike: only the margin is in doubt, and the profit is proportional to it.
    row = profit_contribution([100.0] * 50, Assumption(0.4, 0.3, 0.5), draws=20_000).groups.iloc[0]
    assert (row["per_customer_lo"], row["per_customer_hi"]) == (pytest.approx(30, abs=0.5), pytest.approx(50, abs=0.5))
    # The margin is certain: only the sample is in doubt. 5,000 customers, half at 0, half at 100.
    many = profit_contribution([0.0, 100.0] * 2500, Assumption(0.4), draws=20_000).groups.iloc[0]
    error = 0.4 * 50 / 5000**0.5
    assert many["per_customer_hi"] - many["per_customer_lo"] == pytest.approx(2 * 1.645 * error, rel=0.05)


def test_redrawing_a_few_or_many_gives_the_same_spread() -> None:
    values = np.random.default_rng(0).gamma(1.0, size=(2_500, 2))
    rng = np.random.default_rng(1)
    many = redrawn_means(values, 4_000, rng)
    few = redrawn_means(values[:2_000], 4_000, rng)
    np.testing.assert_allclose(few.std(axis=0) * 2_000**0.5, values[:2_000].std(axis=0), rtol=0.06)
    np.testing.assert_allclose(many.std(axis=0) * 2_500**0.5, values.std(axis=0), rtol=0.06)


def test_an_assumption_is_believed_as_stated() -> None:
    drawn = Assumption(10, 8, 15).draw(np.random.default_rng(0), 100_000)
    np.testing.assert_allclose(np.quantile(drawn, [0.05, 0.5, 0.95]), [8, 10, 15], rtol=0.01)


def message(call: Any) -> str:
    with pytest.raises(cm.CrmmlError) as caught:
        call()
    return f"{type(caught.value).__name__}: {caught.value}"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            lambda: Assumption(0.3, 0.4, 0.5),
            "ConfigError: Assumption(value=0.3, low=0.4, high=0.5): must be 0 < low <= value <= high. "
            "Use for example Assumption(0.3, 0.25, 0.35).",
        ),
        (
            lambda: share_of_wallet([10.0], 500),
            "ConfigError: share_of_wallet: category_spend is 500. Use Assumption(value, low, high), such as "
            "Assumption(1_000, 800, 1_300).",
        ),
        (
            lambda: share_of_wallet([600.0, 800], Assumption(500)),
            "DataError: share_of_wallet: group 'all' spends 700.00 each, and its category_spend is 500.00: a share of "
            "100 % or more. Use a category_spend above it, such as 1,400.00.",
        ),
        (
            lambda: share_of_wallet([10.0, -1], Assumption(500)),
            "DataError: share_of_wallet: spend of row 1 is -1. Use a number of at least 0 for every customer.",
        ),
        (
            lambda: share_of_wallet([], Assumption(500)),
            "DataError: share_of_wallet: spend is empty. Give at least one customer.",
        ),
        (
            lambda: share_of_wallet([10.0, 20], {"a": Assumption(500)}, groups=["a", "b"]),
            "ConfigError: share_of_wallet: category_spend has no Assumption for the group 'b'. Give it one.",
        ),
        (
            lambda: share_of_wallet([10.0, 20], Assumption(500), groups=["a"]),
            "SchemaError: share_of_wallet: there are 1 groups for 2 customers. Use one per customer.",
        ),
        (
            lambda: share_of_wallet([10.0], Assumption(500), spread=0),
            "ConfigError: share_of_wallet: spread is 0. Use a number above 0 and up to 5, such as spread=0.6.",
        ),
        (
            lambda: profit_contribution([10.0], Assumption(30, 20, 40)),
            "ConfigError: profit_contribution: margin is Assumption(30, low=20, high=40). "
            "Use shares of the revenue, such as Assumption(0.3, 0.25, 0.35).",
        ),
        (
            lambda: profit_contribution([10.0], Assumption(0.3), costs={"orders": Assumption(4)}),
            "ConfigError: profit_contribution: costs['orders'] has no column in counts. "
            "Use counts with a column 'orders'.",
        ),
    ],
)
def test_bad_input_is_refused_with_what_to_do(call: Any, expected: str) -> None:
    assert message(call) == expected

"""Tiers whose limits can be counted out by hand."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.models import tiers
from tests.models.mutants import dies


def test_the_few_who_bring_most_are_the_first_tier() -> None:
    # 500 + 300 = 800 of 1,000: A ends there; 800 + 100 + 60 = 960 is the first sum to reach 950: B.
    X = pd.DataFrame({"revenue": [10.0, 60.0, 500.0, 30.0, 100.0, 300.0]})
    model = cm.ValueTiers(shares=(0.8, 0.95)).fit(X)
    assert model.limits_.tolist() == [300.0, 60.0]
    assert model.segment(X).tolist() == ["C", "B", "A", "C", "B", "A"]


def test_the_best_share_of_the_customers() -> None:
    X = np.arange(1.0, 101.0)[:, None]
    model = cm.ValueTiers(shares=(0.05, 0.2), by="customers").fit(X)
    assert model.limits_.tolist() == [96.0, 81.0]  # 96..100 are 5 of 100, 81..100 are 20
    assert model.gradient()["customers"].tolist() == [5, 15, 80]


def test_customers_without_value_count_as_customers() -> None:
    X = np.array([[9.0], [8.0], [7.0], [6.0], [0.0], [0.0], [0.0], [-5.0], [np.nan], [np.nan]])
    model = cm.ValueTiers(shares=(0.2,), by="customers").fit(X)  # 2 of the 10
    assert model.segment(X).tolist() == ["A"] * 2 + ["B"] * 8
    everybody = cm.ValueTiers(shares=(0.9,), by="customers").fit(X)  # 9 of 10, but only four have bought
    assert everybody.segment(X).tolist() == ["A"] * 4 + ["B"] * 6


def equal_values_stay_together(module: ModuleType) -> None:
    X = np.array([[10.0]] * 4 + [[1.0]])  # 80 % of 41 is reached within the ties
    model = module.ValueTiers(shares=(0.5,)).fit(X)
    assert model.segment(X).tolist() == ["A"] * 4 + ["B"]


def scoring_does_not_move_the_limits(module: ModuleType) -> None:
    X = np.array([[500.0], [300.0], [100.0], [60.0], [30.0], [10.0]])
    model = module.ValueTiers().fit(X)
    assert model.segment([[9_999.0], [299.0], [np.nan], [-1.0]]).tolist() == ["A", "B", "C", "C"]


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        (equal_values_stay_together, "~(worth >= limit)", "~(worth > limit)"),
        (scoring_does_not_move_the_limits, "~(worth >= limit)", "worth < limit"),
        (scoring_does_not_move_the_limits, "np.sort(worth[worth > 0])[::-1]", "np.sort(worth[worth > 0])"),
    ],
    ids=["ties below", "missing is best", "worst first"],
)
def test_mutants_die(check: Any, old: str, new: str, tmp_path: Path) -> None:
    dies(check, tiers, old, new, tmp_path)


def test_the_gradient_counts_the_tiers_out() -> None:
    X = pd.DataFrame({"revenue": [500.0, 300.0, 100.0, 60.0, 40.0, 0.0], "orders": [9.0, 7.0, 4.0, 2.0, 1.0, np.nan]})
    table = cm.ValueTiers(shares=(0.8, 0.95)).fit(X).gradient()
    assert table["customers"].tolist() == [2, 2, 2]
    assert table["customer_share"].tolist() == [2 / 6] * 3
    assert table["revenue"].tolist() == [500 + 300, 100 + 60, 40]
    assert table["revenue_share"].tolist() == [0.8, 0.16, 0.04]
    assert table["least"].tolist() == [300, 60, 0]
    assert table["mean"].tolist() == [400, 80, 20]
    assert table["step_up"].tolist()[1:] == [400 - 80, 80 - 20]
    assert np.isnan(table.loc["A", "step_up"])  # there is nothing above
    assert table["orders"].tolist() == [8, 3, 1]


@given(
    worth=st.lists(st.floats(0.01, 1e6), min_size=1, max_size=40),
    cut=st.floats(0.01, 0.99),
    by=st.sampled_from(["revenue", "customers"]),
)
def test_the_first_tier_is_the_smallest_that_reaches_its_share(worth: list[float], cut: float, by: str) -> None:
    X = np.array(worth)[:, None]
    best = X[cm.ValueTiers(shares=(cut,), by=by).fit(X).predict(X) == 0, 0]
    weight, total = (best.sum(), X.sum()) if by == "revenue" else (len(best), len(X))
    assert weight >= cut * total * (1 - 1e-9)
    without = best[best > best.min()]  # the last of them, and all who are worth the same, were needed
    assert (without.sum() if by == "revenue" else len(without)) < cut * total


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"shares": (0.8, 0.8)},
            "ValueTiers: shares=(0.8, 0.8) must be 1 to 25 rising numbers above 0 and below 1. "
            "Use shares=(0.8, 0.95), the default.",
        ),
        (
            {"shares": 0.8},
            "ValueTiers: shares=0.8 must be 1 to 25 rising numbers above 0 and below 1. "
            "Use shares=(0.8, 0.95), the default.",
        ),
        (
            {"by": "profit"},
            "ValueTiers: by='profit' must be one of 'revenue', 'customers'. Use by='revenue', the default.",
        ),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        cm.ValueTiers(**parameters).fit([[1.0], [2.0]])
    assert str(caught.value) == message


def test_no_revenue_is_refused() -> None:
    with pytest.raises(cm.DataError) as caught:
        cm.ValueTiers().fit(pd.DataFrame({"revenue": [0.0, np.nan, -3.0]}))
    assert str(caught.value) == (
        "ValueTiers.fit: nobody has a 'revenue' above 0 among 3 rows, so there is no revenue to divide. "
        "Give the column of the value first."
    )


def test_a_bundle_keeps_the_limits_to_the_last_bit(tmp_path: Path) -> None:
    log = cm.simulate_log(120, seed=2).log
    bundle = cm.train(log, [cm.Sum("amount")], None, cm.ValueTiers(shares=(0.5, 0.9)), "2024-06-01", progress=False)
    back = cm.Bundle.load(bundle.save(tmp_path / "bundle"))
    assert back.model.limits_.tobytes() == bundle.model.limits_.tobytes()
    assert back.model.gradient().equals(bundle.model.gradient())
    pd.testing.assert_frame_equal(back.score(log, "2024-09-01"), bundle.score(log, "2024-09-01"))

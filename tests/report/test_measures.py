"""The metrics of a report: direction, difference, wording, and the table of one hold-out."""

import math

import pandas as pd
import pytest

import crmml as cm
from crmml.report.measures import holdout_table, measures_of

AT = pd.Timestamp("2024-03-01", tz="UTC")
BEFORE = (pd.Timestamp("2023-11-01", tz="UTC"), pd.Timestamp("2024-01-01", tz="UTC"))
AUC, _, BRIER, _, LIFT = measures_of("binary")
GINI, _, MAE, TOTAL = measures_of("value")


def test_better_is_higher_lower_or_nearer_to_zero() -> None:
    assert AUC.is_better(0.7, 0.6)
    assert BRIER.is_better(0.1, 0.2)
    assert TOTAL.is_better(-0.1, 0.2)
    assert TOTAL.is_better(0.1, -0.2)
    for measure in (AUC, BRIER, TOTAL):
        assert not measure.is_better(0.3, 0.3)


def test_differences_are_of_values_and_for_errors_of_a_total_of_sizes() -> None:
    assert AUC.difference(0.75, 0.5) == 0.25
    assert BRIER.difference(0.25, 0.5) == -0.25
    assert TOTAL.difference(-0.5, 0.25) == 0.25


@pytest.mark.parametrize(
    ("measure", "value", "text"),
    [
        (AUC, 0.78251, "0.783"),
        (LIFT, 2.0, "2.00"),
        (MAE, 3.14159, "3.14"),
        (MAE, 314.159, "314.2"),
        (MAE, 31415.9, "31,416"),
        (TOTAL, 0.0321, "+3.2 %"),
        (TOTAL, -0.0321, "-3.2 %"),
        (AUC, math.nan, "-"),
    ],
)
def test_values_as_people_read_them(measure: object, value: float, text: str) -> None:
    assert measure.text(value) == text  # type: ignore[attr-defined]


def test_a_spread_has_the_decimals_of_its_mean() -> None:
    assert MAE.text(9.87654, like=126.0) == "9.9"
    assert AUC.text(0.0312, signed=True) == "+0.031"


def test_an_unknown_task() -> None:
    with pytest.raises(cm.ConfigError) as caught:
        measures_of("uplift")
    assert str(caught.value) == ("measures_of: no task 'uplift'. The tasks are 'binary', 'value' and 'items'.")


def test_the_lines_of_a_holdout_by_hand() -> None:
    rows = pd.DataFrame(
        {
            "as_of": AT,
            "contender": ["m"] * 4 + ["r"] * 4,
            "kind": ["model"] * 4 + ["rule"] * 4,
            "customer_id": [1, 2, 3, 4] * 2,
            "y": [0, 0, 1, 1] * 2,
            "score": [1, 2, 3, 4, 4, 1, 2, 3],
            "probability": [0.0, 0.5, 0.5, 1.0, 1.0, 0.0, 0.0, 0.0],
        }
    )
    table = holdout_table(rows, measures_of("binary"), BEFORE).set_index("contender")
    assert table["auc"].to_dict() == {"m": 1.0, "r": 2 / 4}  # the rule puts 1 above 3 and above 4
    assert table["brier"].to_dict() == {"m": (0.25 + 0.25) / 4, "r": (1 + 1 + 1) / 4}
    assert table["customers"].tolist() == [4, 4]
    assert table["mean_y"].tolist() == [0.5, 0.5]
    assert table["trained_on"].tolist() == [2, 2]
    assert table["trained_until"].tolist() == [BEFORE[1]] * 2

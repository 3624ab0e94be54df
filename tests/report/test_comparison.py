"""The paired comparison with the best rule: its numbers, its interval, its words."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binom

from crmml.metrics import auc, normalised_gini
from crmml.report.comparison import (
    Comparison,
    WeightedGini,
    WeightedMean,
    best_rule,
    compare,
    customer_bootstrap,
    interval,
)
from crmml.report.measures import holdout_table, measures_of
from tests.report.made import CUTOFFS, churn_report, items_report, report_of, rows_of, value_report
from tests.report.test_promotion import simulated

AUC = measures_of("binary")[0]

ROWS = st.lists(st.tuples(st.integers(-5, 50), st.integers(-4, 4), st.integers(0, 3)), min_size=2, max_size=30)


@given(ROWS)
def test_a_weight_is_a_number_of_copies(rows: list[tuple[int, int, int]]) -> None:
    value, score, copies = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    many = copies.astype(int)
    gini = WeightedGini(value, score, np.arange(len(rows)), auc=False).value(copies)
    if len(set(np.repeat(value, many))) < 2:
        assert np.isnan(gini)
    else:
        assert gini == pytest.approx(normalised_gini(np.repeat(value, many), np.repeat(score, many)))
    label = (value > 10).astype(np.float64)
    area = WeightedGini(label, score, np.arange(len(rows)), auc=True).value(copies)
    if len(set(np.repeat(label, many))) < 2:
        assert np.isnan(area)
    else:
        assert area == pytest.approx(auc(np.repeat(label, many), np.repeat(score, many)))


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3)), min_size=1, max_size=20))
def test_weighted_mean(rows: list[tuple[float, int]]) -> None:
    values, weights = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    assume(weights.sum() > 0)
    mean = WeightedMean(values, np.arange(len(rows))).value(weights)
    assert mean == pytest.approx(np.repeat(values, weights.astype(int)).mean())
    assert np.isnan(WeightedMean(values, np.arange(len(rows))).value(weights * 0))


def two_cutoffs() -> pd.DataFrame:
    """AUC: model 1 and 3/4, rule 3/4 and 1/4."""
    y = np.array([0, 0, 1, 1])
    pieces = [
        rows_of(CUTOFFS[0], "model", "model", y, np.array([0.1, 0.2, 0.3, 0.4]), of="binary"),
        rows_of(CUTOFFS[0], "recency rule", "rule", y, np.array([0.1, 0.3, 0.2, 0.4]), of="binary"),
        rows_of(CUTOFFS[1], "model", "model", y, np.array([0.1, 0.3, 0.2, 0.4]), of="binary"),
        rows_of(CUTOFFS[1], "recency rule", "rule", y, np.array([0.2, 0.4, 0.1, 0.3]), of="binary"),
    ]
    return pd.concat(pieces, ignore_index=True)


def test_a_comparison_by_hand() -> None:
    found = report_of(two_cutoffs(), "binary").comparison
    assert found is not None
    assert (found.rule, found.cutoffs, found.wins) == ("recency rule", 2, 2)
    differences = [1 - 3 / 4, 3 / 4 - 1 / 4]
    assert found.difference == pytest.approx(sum(differences) / 2)
    assert found.std == pytest.approx(np.sqrt(2 * (1 / 8) ** 2 / (2 - 1)))
    assert found.low <= found.difference <= found.high


def test_the_same_scores_have_no_difference() -> None:
    rows = churn_report(2, 200).scores
    model = rows[rows["kind"] == "model"]
    twins = pd.concat([model, model.assign(kind="rule", contender="twin")], ignore_index=True)
    found = report_of(twins, "binary").comparison
    assert found is not None
    assert (found.difference, found.low, found.high, found.wins) == (0, 0, 0, 0)
    assert found.verdict == "no better"


def test_the_rows_of_one_customer_are_drawn_together() -> None:
    """Five copies of one hold-out hold no more evidence than one: the interval must not shrink."""
    one = churn_report(1, 300).scores
    five = pd.concat([one.assign(as_of=as_of) for as_of in CUTOFFS], ignore_index=True)
    expected = customer_bootstrap(one, "recency rule", AUC)
    assert customer_bootstrap(five, "recency rule", AUC) == pytest.approx(np.repeat(expected, 5, axis=1))


def test_the_interval_has_the_width_that_theory_gives() -> None:
    """A mean of n independent differences of variance v has a 95 % interval of 2 * 1.96 * sqrt(v / n)."""
    ndcg = measures_of("items")[0]
    rows = items_report(1, 4000).scores
    mine = rows.loc[rows["kind"] == "model", ndcg.name].to_numpy()
    theirs = rows.loc[rows["contender"] == "popularity rule", ndcg.name].to_numpy()
    low, high = interval(customer_bootstrap(rows, "popularity rule", ndcg))
    expected = 2 * 1.96 * np.sqrt((mine - theirs).var() / len(mine))
    assert (high - low) == pytest.approx(expected, rel=0.2)
    assert (low + high) / 2 == pytest.approx((mine - theirs).mean(), abs=expected / 10)


def test_the_interval_is_of_the_mean_over_cutoffs_and_not_of_the_pooled_rows() -> None:
    """One cutoff in a good season, one in a bad: inside each the model is perfect, and pooled it is not."""
    y = np.array([0, 1] * 50)
    pieces = []
    for as_of, level in zip(CUTOFFS[:2], (0.0, 0.5), strict=True):
        pieces.append(rows_of(as_of, "model", "model", y, level + y / 10, of="binary"))
        pieces.append(rows_of(as_of, "coin", "rule", y, np.full(100, 0.5), of="binary"))
    # perfect 1 - coin 1/2, in every draw
    assert (customer_bootstrap(pd.concat(pieces, ignore_index=True), "coin", AUC) == 0.5).all()


def test_the_interval_is_the_same_every_time() -> None:
    rows = value_report(2, 200).scores
    gini = measures_of("value")[0]
    first = customer_bootstrap(rows, "last-period spend", gini)
    assert (first == customer_bootstrap(rows, "last-period spend", gini)).all()
    assert (first != customer_bootstrap(rows, "last-period spend", gini, seed=1)).all()


def test_without_a_rule_there_is_nothing_to_compare() -> None:
    rows = two_cutoffs()
    alone = report_of(rows[rows["kind"] == "model"], "binary")
    assert alone.comparison is None
    assert alone.best_rule is None
    assert compare(alone.table, alone.scores, AUC) is None


def test_the_best_rule_is_the_best_on_average_for_low_and_high_measures() -> None:
    table = pd.DataFrame(
        {
            "contender": ["model", "a", "b"] * 2,
            "kind": ["model", "rule", "rule"] * 2,
            "auc": [0.9, 0.6, 0.7, 0.9, 0.9, 0.7],  # a 0.75, b 0.7
            "brier": [0.1, 0.3, 0.2, 0.1, 0.3, 0.2],  # a 0.3, b 0.2: low is good
        }
    )
    assert best_rule(table, AUC) == "a"
    assert best_rule(table, measures_of("binary")[2]) == "b"


@pytest.mark.parametrize(
    ("numbers", "verdict", "sentence"),
    [
        (
            {"wins": 5, "difference": 0.031, "low": 0.025, "high": 0.038},
            "better",
            "better than the recency rule on 5 of 5 cutoffs: AUC +0.031 on average (95 % interval +0.025 to +0.038)",
        ),
        (
            {"wins": 5, "difference": 0.031, "low": -0.001, "high": 0.038},
            "no better",
            "no better than the recency rule: better on 5 of 5 cutoffs, AUC +0.031 on average "
            "(95 % interval -0.001 to +0.038)",
        ),
        (
            # lucky cutoffs carry the mean: customers agree, cutoffs do not (3 of 5 are less than two thirds)
            {"wins": 3, "difference": 0.031, "low": 0.025, "high": 0.038},
            "no better",
            "no better than the recency rule: better on 3 of 5 cutoffs, AUC +0.031 on average "
            "(95 % interval +0.025 to +0.038), but the cutoffs disagree",
        ),
        (
            {"wins": 2, "cutoffs": 3, "difference": 0.031, "low": 0.025, "high": 0.038},
            "better",
            "better than the recency rule on 2 of 3 cutoffs: AUC +0.031 on average (95 % interval +0.025 to +0.038)",
        ),
        (
            {"wins": 0, "difference": -0.031, "low": -0.038, "high": -0.025},
            "worse",
            "worse than the recency rule: better on 0 of 5 cutoffs, AUC -0.031 on average "
            "(95 % interval -0.038 to -0.025)",
        ),
        (
            {"wins": 1, "cutoffs": 1, "difference": 0.031, "low": 0.025, "high": 0.038},
            "better",
            "better than the recency rule on the only cutoff: AUC +0.031 (95 % interval +0.025 to +0.038)",
        ),
    ],
)
def test_the_verdict_needs_customers_and_cutoffs(numbers: dict[str, Any], verdict: str, sentence: str) -> None:
    given: dict[str, Any] = {"measure": AUC, "rule": "recency rule", "cutoffs": 5, "std": 0.01}
    found = Comparison(**(given | numbers))
    assert found.verdict == verdict
    assert str(found) == sentence


def test_where_low_is_good_a_negative_difference_is_better() -> None:
    brier = measures_of("binary")[2]
    given: dict[str, Any] = {"measure": brier, "rule": "r", "cutoffs": 3, "wins": 3, "std": 0.0}
    assert Comparison(**given, difference=-0.02, low=-0.03, high=-0.01).verdict == "better"


@pytest.mark.parametrize(
    ("cutoffs", "std", "verdict"),
    [
        (3, 0.0120, "better"),  # 4.303 * 0.0120 / sqrt(3) = 0.0298
        (3, 0.0122, "no better"),  # 0.0303
        (5, 0.0241, "better"),  # 2.776 * 0.0241 / sqrt(5) = 0.0299
        (5, 0.0243, "no better"),  # 0.0302
        (2, 9.0, "better"),  # of two cutoffs nobody knows
        (1, float("nan"), "better"),
    ],
)
def test_cutoffs_that_differ_prove_nothing(cutoffs: int, std: float, verdict: str) -> None:
    """Half of Student's interval is held against a mean difference of 0.03, in both directions."""
    given: dict[str, Any] = {"measure": AUC, "rule": "r", "cutoffs": cutoffs, "std": std}
    found = Comparison(**given, wins=cutoffs, difference=0.03, low=0.01, high=0.05)
    assert found.verdict == verdict
    if verdict == "no better":
        assert str(found).endswith("(95 % interval +0.010 to +0.050), but the cutoffs disagree")
    turned = Comparison(**given, wins=0, difference=-0.03, low=-0.05, high=-0.01)
    assert turned.verdict == verdict.replace("better", "worse").replace("no worse", "no better")


# Over repetitions -----------------------------------------------------------------------------------------

STATED = 0.025


def graded(repetitions: int, luck: float, noise: float, cutoffs: int) -> int:
    """How often a model is called better than a rule, both of the customers of `simulated`."""
    random = np.random.default_rng(11)
    return sum(better(*simulated(random, luck=luck, noise=noise, cutoffs=cutoffs)) for _ in range(repetitions))


def better(rule: pd.DataFrame, model: pd.DataFrame) -> bool:
    both = [rule.assign(contender="a rule", kind="rule"), model.assign(contender="a model", kind="model")]
    scores = pd.concat(both, ignore_index=True)
    table = pd.concat([holdout_table(rows, (AUC,), ()) for _, rows in scores.groupby("as_of")], ignore_index=True)
    found = compare(table, scores, AUC)
    assert found is not None
    return found.verdict == "better"


@pytest.mark.repetitions
@pytest.mark.parametrize("cutoffs", [4, 6])
@pytest.mark.parametrize("luck", [0.0, 0.1, 0.2])
def test_over_200_repetitions_an_equal_model_gets_no_grade(luck: float, cutoffs: int) -> None:
    found = graded(200, luck, noise=0.7, cutoffs=cutoffs)
    print(f"\nas good as the rule, {cutoffs} cutoffs, luck {luck}: {found} of 200 graded, stated at most {STATED:.1%}")
    assert found <= int(binom.ppf(0.999, 200, STATED))


@pytest.mark.repetitions
def test_over_200_repetitions_a_better_model_gets_one() -> None:
    """Six cutoffs: of four, Student's interval (3.2 standard errors, of six 2.6) leaves a twentieth unproven."""
    found = {noise: graded(200, luck=0.0, noise=noise, cutoffs=6) for noise in (0.4, 0.1)}
    print(f"\nbetter than the rule, graded of 200, by the noise that is left of 0.7: {found}")
    assert found[0.4] > 100
    assert found[0.1] > 190


@pytest.mark.parametrize(
    ("numbers", "grade"),
    [
        ({"intervals": ((0.01, 0.05), (0.02, 0.05), (0.001, 0.05))}, "A"),
        ({"intervals": ((0.01, 0.05), (0.02, 0.05), (0.0, 0.05))}, "B"),  # one cutoff alone does not prove it
        ({"intervals": ((0.01, 0.05), (0.02, 0.05)), "cutoffs": 2, "wins": 2}, "B"),  # two cutoffs may agree by chance
        ({"intervals": ((0.01, 0.05), (0.02, 0.05), (-0.02, 0.05)), "wins": 2}, "C"),
        ({"intervals": ((0.01, 0.05),), "cutoffs": 1, "wins": 1}, "C"),
        ({"low": 0.0}, "no better than the rule"),
        ({"wins": 1}, "no better than the rule"),
        ({"low": -0.03, "high": -0.01, "wins": 0}, "no better than the rule"),
    ],
)
def test_the_grade_comes_from_the_intervals(numbers: dict[str, Any], grade: str) -> None:
    given: dict[str, Any] = {"measure": AUC, "rule": "r", "cutoffs": 3, "wins": 3, "std": 0.01}
    given |= {"difference": 0.03, "low": 0.01, "high": 0.05, "intervals": ((0.01, 0.05),) * 3}
    assert Comparison(**(given | numbers)).grade == grade


def test_where_low_is_good_the_grade_looks_at_the_upper_end() -> None:
    brier = measures_of("binary")[2]
    given: dict[str, Any] = {"measure": brier, "rule": "r", "cutoffs": 3, "wins": 3, "std": 0.0, "difference": -0.02}
    given |= {"low": -0.03, "high": -0.01}
    assert Comparison(**given, intervals=((-0.03, -0.01),) * 3).grade == "A"
    assert Comparison(**given, intervals=((-0.03, 0.01),) * 3).grade == "B"


def test_every_cutoff_has_its_own_interval() -> None:
    rows = churn_report(3, 300).scores
    found = report_of(rows, "binary").comparison
    assert found is not None
    for as_of, ends in zip(CUTOFFS[:3], found.intervals, strict=True):
        alone = report_of(rows[rows["as_of"] == as_of], "binary").comparison
        assert alone is not None
        # The same customers are drawn: those of one cutoff are those of all.
        assert ends == pytest.approx((alone.low, alone.high))

"""The lines whose fault would go unseen in a report: each mutant has to die of a named test."""

from collections.abc import Callable

import pytest

from tests.jobs import test_backtest, test_items, test_rolling, test_rules
from tests.jobs.mutants import plant
from tests.jobs.small import FITS
from tests.report import test_backtest_report, test_comparison

ROLLING, RULES, HOLDOUT, ITEMS = (f"crmml.jobs.{name}" for name in ("rolling", "rules", "holdout", "items"))
PURGE = "moment + target.reach <= at"
MUTANTS = {
    "purge: a label may not end where the hold-out begins": (
        "crmml.features.cutoffs",
        PURGE,
        "moment + target.reach < at",
        test_backtest.test_the_model_is_trained_anew_on_all_complete_earlier_cutoffs_and_never_on_the_holdout,
    ),
    "purge: forgotten": (
        "crmml.features.cutoffs",
        PURGE,
        "moment < at",
        test_rolling.test_a_label_may_end_where_the_holdout_begins_and_not_a_moment_later,
    ),
    "purge: the gap forgotten": (
        "crmml.features.cutoffs",
        PURGE,
        "moment + pd.Timedelta(target.horizon_us, unit='us') <= at",
        test_rolling.test_a_label_may_end_where_the_holdout_begins_and_not_a_moment_later,
    ),
    "purge: by the gap alone": (
        "crmml.features.cutoffs",
        PURGE,
        "moment + pd.Timedelta(target.gap_us, unit='us') <= at",
        test_rolling.test_a_label_may_end_where_the_holdout_begins_and_not_a_moment_later,
    ),
    "training on the hold-out too": (
        ROLLING,
        "as_of.isin(list(training))",
        "as_of.isin([*training, holdout])",
        test_backtest.test_the_model_is_trained_anew_on_all_complete_earlier_cutoffs_and_never_on_the_holdout,
    ),
    "training on the last cutoff alone": (
        ROLLING,
        "as_of.isin(list(training))",
        "(as_of == training[-1])",
        test_backtest.test_the_model_is_trained_anew_on_all_complete_earlier_cutoffs_and_never_on_the_holdout,
    ),
    "measuring on the training rows": (
        ROLLING,
        "self.X_test, self.y_test = X[now], y[now]",
        "self.X_test, self.y_test = X[past], y[past]",
        test_backtest.test_auc_of_model_and_rules_by_hand,
    ),
    "calibrating the rule on the hold-out": (
        ROLLING,
        "calibrated(training, split.y_train, test)",
        "calibrated(test, split.y_test, test)",
        test_backtest.test_brier_score_of_model_and_rule_by_hand,
    ),
    "the model sees the rules' features": (
        ROLLING,
        "names = list(features.names)",
        "names = list(split.X_train.columns)",
        test_backtest.test_the_model_sees_the_features_asked_for_and_not_those_of_the_rules,
    ),
    "the rule's sign, in its scores": (
        RULES,
        "(1 if rule.ascending else -1)",
        "(-1 if rule.ascending else 1)",
        test_rules.test_a_rule_scores_high_where_it_expects_a_one,
    ),
    "the rule's sign, in its AUC": (
        RULES,
        "(1 if rule.ascending else -1)",
        "(-1 if rule.ascending else 1)",
        test_backtest.test_auc_of_model_and_rules_by_hand,
    ),
    "the rule's scale": (
        RULES,
        "values * rule.scale",
        "values",
        test_backtest.test_value_rules_guess_amounts_by_hand,
    ),
    "a missing recency counts as short": (
        RULES,
        "known.max() + 1 if times",
        "known.min() - 1 if times",
        test_rules.test_no_event_is_longer_ago_than_any_and_no_value_is_less_than_any,
    ),
    "the suspicion asks the wrong way round": (
        HOLDOUT,
        "if not value >= TOO_GOOD",
        "if value >= TOO_GOOD",
        test_backtest.test_a_warning_says_where_what_and_what_to_do,
    ),
    "lists measured on items had before": (
        ITEMS,
        "relevant = new_items(relevant, history)",
        "relevant = relevant",
        test_items.test_metrics_by_hand,
    ),
    "recall over the whole list": (
        ITEMS,
        'lists[lists["rank"] <= k]',
        "lists",
        test_items.test_only_the_first_k_places_count,
    ),
    "the sum over cutoffs instead of the mean": (
        "crmml.report.comparison",
        "difference=float(differences.mean())",
        "difference=float(differences.sum())",
        test_backtest.test_every_cutoff_weighs_the_same_and_the_best_rule_is_chosen_with_hindsight,
    ),
    "pooled rows instead of the mean over cutoffs": (
        "crmml.report.comparison",
        'scores.groupby("as_of").indices.values()',
        "[np.arange(len(scores))]",
        test_comparison.test_the_interval_is_of_the_mean_over_cutoffs_and_not_of_the_pooled_rows,
    ),
    "the worst rule instead of the best": (
        "crmml.report.comparison",
        ".idxmin()",
        ".idxmax()",
        test_backtest.test_every_cutoff_weighs_the_same_and_the_best_rule_is_chosen_with_hindsight,
    ),
    "rows drawn instead of customers": (
        "crmml.report.comparison",
        'codes, customers = pd.factorize(scores["customer_id"])',
        'codes, customers = pd.factorize(scores["customer_id"].astype(str) + scores["as_of"].astype(str))',
        test_comparison.test_the_rows_of_one_customer_are_drawn_together,
    ),
    "the median of the cutoffs instead of the mean": (
        "crmml.report.backtest",
        'groups.agg(["mean", "std", "min", "max"])',
        'groups.agg(["median", "std", "min", "max"]).rename(columns={"median": "mean"})',
        test_backtest_report.test_summary_is_over_cutoffs,
    ),
    "the spread divided by n": (
        "crmml.report.comparison",
        "differences.std(ddof=1)",
        "differences.std(ddof=0)",
        test_comparison.test_a_comparison_by_hand,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_mutant_dies(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, line, mutant, killer = MUTANTS[name]
    test: Callable[[], None] = killer
    FITS.clear()
    plant(monkeypatch, module, line, mutant)
    with pytest.raises((AssertionError, KeyError)):
        test()

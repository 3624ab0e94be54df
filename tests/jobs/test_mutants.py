"""The lines whose fault would go unseen in a report: each mutant has to die of a named test."""

from collections.abc import Callable

import pytest

import crmml as cm
from tests.jobs import (
    test_backtest,
    test_buyers,
    test_items,
    test_realised,
    test_repeats,
    test_rolling,
    test_rules,
    test_tune,
)
from tests.jobs.mutants import plant
from tests.jobs.small import FITS
from tests.metrics import test_profit
from tests.report import test_backtest_report, test_breakdown, test_comparison

ROLLING, RULES, HOLDOUT, ITEMS = (f"crmml.jobs.{name}" for name in ("rolling", "rules", "holdout", "items"))
REALISED, TUNE = "crmml.jobs.realised", "crmml.jobs.tune"
ONE_CUTOFF_DOUBTS = {"intervals": ((0.01, 0.05), (0.02, 0.05), (0.0, 0.05))}
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
        RULES,
        "calibrated(training, past.y, scores)",
        "calibrated(scores, now.y, scores)",
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
        " if repeats else new_items(relevant, history)",
        "",
        test_items.test_metrics_by_hand,
    ),
    "repeats left out of lists": (
        ITEMS,
        "exclude_seen=not repeats",
        "exclude_seen=True",
        test_repeats.test_personal_frequency_is_a_rule_of_repeats,
    ),
    "repeats left out of what a bundle recommends": (
        "crmml.bundle.lists",
        "exclude_seen=False",
        "exclude_seen=True",
        test_repeats.test_a_bundle_recommends_again_and_knows_the_order,
    ),
    "training without the order": (
        "crmml.jobs.train",
        "in_order=model.reads_order",
        "in_order=False",
        test_repeats.test_a_bundle_recommends_again_and_knows_the_order,
    ),
    "times after the cutoff": (
        "crmml.features.interactions",
        'events["as_of"] - pd.to_timedelta',
        'events["as_of"] + pd.to_timedelta',
        test_repeats.test_events_in_order_carry_their_time,
    ),
    "recall over the whole list": (
        "crmml.metrics.lists",
        'lists.loc[lists["rank"] <= k, ',
        "lists.loc[:, ",
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
    "a grade from the mean's interval alone": (
        "crmml.report.comparison",
        "all(self._gains(*ends)[0] > 0 for ends in self.intervals)",
        "self.low > 0",
        lambda: test_comparison.test_the_grade_comes_from_the_intervals(ONE_CUTOFF_DOUBTS, "B"),
    ),
    "a grade that forgets which side is good": (
        "crmml.report.comparison",
        "sorted(self.measure.cost(0.0) - self.measure.cost(end) for end in (low, high))",
        "sorted((low, high))",
        test_comparison.test_where_low_is_good_the_grade_looks_at_the_upper_end,
    ),
    "coverage of the lowest tenth": (
        "crmml.report.breakdown",
        'rank(method="first", ascending=False, pct=True)',
        'rank(method="first", pct=True)',
        test_breakdown.test_coverage_is_a_share_of_all_and_of_the_top_tenth,
    ),
    "the sum of the profits instead of their mean": (
        "crmml.report.profit",
        "return total / len(curves)",
        "return total",
        test_breakdown.test_profit_is_the_mean_over_the_cutoffs,
    ),
    "who would have stayed pays nothing": (
        "crmml.metrics.profit",
        "contacted * (offer_cost + contact_cost)",
        "leavers * (offer_cost + contact_cost)",
        test_profit.test_contacting_everybody_earns_the_same_whatever_the_order,
    ),
    "realised before the horizon has passed": (
        REALISED,
        "if end <= log.complete_until",
        "if as_of <= log.complete_until",
        test_realised.test_a_horizon_that_has_not_passed_is_named,
    ),
    "realised a microsecond too early": (
        REALISED,
        "if end <= log.complete_until",
        "if end <= log.complete_until + pd.Timedelta(1, unit='us')",
        test_realised.test_the_horizon_has_passed_with_its_last_microsecond,
    ),
    "rules measured on customers without a score": (
        REALISED,
        "now = Dataset(X.loc[both], y.loc[both])",
        "now = Dataset(X, y)",
        test_realised.test_the_rules_are_measured_on_the_customers_with_a_score,
    ),
    "the cutoff that judges chooses, too": (
        TUNE,
        "_Objective(splits[:-1], asked, model, target)",
        "_Objective(splits, asked, model, target)",
        test_tune.test_what_chose_is_the_mean_over_the_earlier_holdouts,
    ),
    "the worst trial instead of the best": (
        TUNE,
        "found.sort(key=lambda trial: measure.cost(float(np.mean(trial[2]))))",
        "found.sort(key=lambda trial: -measure.cost(float(np.mean(trial[2]))))",
        test_tune.test_the_best_trial_is_taken_and_the_given_one_where_none_is_better,
    ),
    "a later purchase teaches the buyers' rule": (
        "crmml.jobs.buyers",
        'there = rows[rows.index.get_level_values("as_of") == holdout]',
        'there = rows[rows.index.get_level_values("as_of") == max(holdouts)]',
        test_buyers.test_each_holdout_has_its_own_fit,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_mutant_dies(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, line, mutant, killer = MUTANTS[name]
    test: Callable[[], None] = killer
    FITS.clear()
    plant(monkeypatch, module, line, mutant)
    with pytest.raises((AssertionError, KeyError, cm.LeakageError)):
        test()

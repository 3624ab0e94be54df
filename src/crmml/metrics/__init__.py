"""Metrics: pure functions of arrays, one number or one table each.

Three rules hold for all of them:

- **Ties are resolved in expectation.** Where several rows have the same score, the result is what a random
  order of those rows gives on average, so no result depends on the order of the rows.
- **A score that knows nothing is measured, a truth that holds nothing is refused.** A constant score has an
  AUC of 0.5 and a Gini of 0; labels of one class, or values that are all equal, are a `DataError`.
- **Nothing is dropped.** A missing value, or arrays that do not belong together, is a `DataError` which names
  the place.
"""

from crmml.metrics.classification import (
    auc,
    brier,
    calibration_error,
    calibration_table,
    gains_table,
    lift,
    pr_auc,
)
from crmml.metrics.intervals import coverage, winkler
from crmml.metrics.lists import (
    catalogue_coverage,
    intra_list_diversity,
    list_metrics,
    new_item_share,
    novelty,
    popularity_lift,
)
from crmml.metrics.off_policy import off_policy_value
from crmml.metrics.profit import profit_curve
from crmml.metrics.ranking import average_precision_at_k, hit_rate_at_k, ndcg_at_k, recall_at_k, reciprocal_rank_at_k
from crmml.metrics.value import decile_table, mae, normalised_gini, spearman, total_error

__all__ = [
    "auc",
    "average_precision_at_k",
    "brier",
    "calibration_error",
    "calibration_table",
    "catalogue_coverage",
    "coverage",
    "decile_table",
    "gains_table",
    "hit_rate_at_k",
    "intra_list_diversity",
    "lift",
    "list_metrics",
    "mae",
    "ndcg_at_k",
    "new_item_share",
    "normalised_gini",
    "novelty",
    "off_policy_value",
    "popularity_lift",
    "pr_auc",
    "profit_curve",
    "recall_at_k",
    "reciprocal_rank_at_k",
    "spearman",
    "total_error",
    "winkler",
]

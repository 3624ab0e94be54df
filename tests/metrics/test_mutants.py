"""The lines of the metrics whose fault would go unseen in a report: each mutant has to die."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from crmml.metrics import classification, ranking, value
from tests.models.mutants import dies


def same(found: float, expected: float) -> None:
    assert found == pytest.approx(expected, abs=1e-12)


Check = Callable[[ModuleType], None]
MUTANTS: dict[str, tuple[ModuleType, str, str, Check]] = {
    "auc: ties lose instead of counting one half": (
        classification, "rankdata(scores)", "rankdata(scores, method='min')",
        lambda m: same(m.auc([0, 1], [5, 5]), 1 / 2),
    ),
    "auc: ties by the order of the rows": (
        classification, "rankdata(scores)", "rankdata(scores, method='ordinal')",
        lambda m: same(m.auc([0, 1], [5, 5]), 1 / 2),
    ),
    "lift: the top of the list is its end": (
        classification, "np.unique(-score, return_inverse=True)", "np.unique(score, return_inverse=True)",
        lambda m: same(m.lift([1, 0], [2, 1], at=0.5), 2),
    ),
    "lift: the top is not rounded to whole customers": (
        classification, "targeted = at * len(labels)", "targeted = max(1, int(at * len(labels)))",
        lambda m: same(m.lift([1, 0, 1, 0, 0, 0], range(6, 0, -1), at=0.25), (1 / 1.5) / (2 / 6)),
    ),
    "lift: over the number of ones, not their share": (
        classification, "/ targeted * (len(labels) / ones[-1])", "/ targeted / ones[-1]",
        lambda m: same(m.lift([1, 0], [2, 1], at=0.5), 2),
    ),
    "calibration: tied forecasts by the order of the rows": (
        classification, "tie_mean(labels, probabilities)[order]", "labels[order]",
        lambda m: same(m.calibration_error([1, 0, 1, 0, 0, 0, 0, 0], [0.25] * 8, n_bins=2), 0),
    ),
    "calibration: bins count alike instead of their customers": (
        classification, "bins[\"customers\"] / bins[\"customers\"].sum()", "1 / len(bins)",
        lambda m: same(m.calibration_error([0, 0, 1], [0.0, 0.0, 0.5], n_bins=2), 1 / 3 * 1 / 2),
    ),
    "gini: ties by the order of the rows": (
        value, "rankdata(score) - (len(score) + 1) / 2", "rankdata(score, method='ordinal') - (len(score) + 1) / 2",
        lambda m: same(m.normalised_gini([1, 2], [7, 7]), 0),
    ),
    "gini: the denominator is the score's own order": (
        value, "/ _rank_covariance(values, values)", "/ _rank_covariance(scores, scores)",
        lambda m: same(m.normalised_gini([0, 10], [1, 2]), 1),
    ),
    "total error: actual over predicted": (
        value, "float(forecasts.sum()) / total - 1", "total / float(forecasts.sum()) - 1",
        lambda m: same(m.total_error([10], [15]), 1 / 2),
    ),
    "decile table: the lowest forecast first": (
        value, "np.argsort(-forecasts, kind=\"stable\")", "np.argsort(forecasts, kind=\"stable\")",
        lambda m: same(m.decile_table([0, 8], [1, 9], n_bins=2)["mean_actual"].iloc[0], 8),
    ),
    "recall: out of min(k, relevant)": (
        ranking, "hits.sum() / relevant)", "hits.sum() / min(_k, relevant))",
        lambda m: same(m.recall_at_k([{1, 2, 3}], [[1]], k=1), 1 / 3),
    ),
    "ndcg: the best list is as long as the relevant items": (
        ranking, "discounts[: min(k, relevant)]", "discounts[: len(hits)]",
        lambda m: same(m.ndcg_at_k([{1}], [[1, 2]], k=2), 1),
    ),
    "ndcg: the first place is discounted": (
        ranking, "np.arange(2, k + 2)", "np.arange(3, k + 3)",
        lambda m: same(m.ndcg_at_k([{1, 2}], [[1, 9]], k=2), 1 / (1 + 1 / 1.5849625007211562)),
    ),
    "average precision: out of all relevant items": (
        ranking, "precision @ hits / min(k, relevant)", "precision @ hits / relevant",
        lambda m: same(m.average_precision_at_k([{1, 2, 3}], [[1]], k=1), 1),
    ),
    "lists: places after k count": (
        ranking, "for item in ranked[:k])", "for item in ranked)",
        lambda m: same(m.hit_rate_at_k([{1}], [[2, 1]], k=1), 0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_dies(name: str, tmp_path: Path) -> None:
    module, old, new, check = MUTANTS[name]
    dies(check, module, old, new, tmp_path)

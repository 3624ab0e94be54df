"""Segmenters that learn from a measure or a list are fitted by hand, and assign later customers through a bundle."""

from pathlib import Path
from typing import Any

import pytest

import crmml as cm
from tests.bundle.bundles import CUTOFF, LATER, log

FEATURES = cm.FeatureSet([cm.Recency(), cm.Count(event_type="purchase", window="180d"), cm.Tenure()])


def fitted(model: Any) -> tuple[cm.Bundle, Any]:
    X, y = cm.build_dataset(log(), FEATURES, cm.Churn("60d", event_type="purchase"), CUTOFF)
    model.fit(X, y)
    return cm.Bundle(FEATURES, None, model, roles=log().roles, training_cutoffs=[CUTOFF]), model


@pytest.mark.parametrize(
    "model",
    [cm.SuggestedSegments(max_depth=1, error_rate=0.5), cm.Lookalikes(num_iterations=10), cm.Lookalikes("nearest")],
    ids=["suggested", "trees", "nearest"],
)
def test_a_bundle_assigns_later_customers(model: Any, tmp_path: Path) -> None:
    bundle, learned = fitted(model)
    bundle.save(tmp_path / "segments")
    scored = cm.Bundle.load(tmp_path / "segments").score(log(), LATER)
    assert list(scored.columns) == ["customer_id", "as_of", "segment", "model_id"]
    X = cm.build_features(log(), FEATURES, LATER)
    assert scored["customer_id"].tolist() == X.index.get_level_values("customer_id").tolist()
    assert scored["segment"].tolist() == learned.segment(X).tolist()
    assert len(set(learned.segments_)) > 1


def test_a_ranking_says_as_of_when() -> None:
    _, model = fitted(cm.Lookalikes("nearest"))
    ranking = model.ranking()
    assert list(ranking.columns) == ["customer_id", "as_of", "rank", "score", "segment"]
    assert ranking["as_of"].astype(str).unique().tolist() == [f"{CUTOFF} 00:00:00+00:00"]

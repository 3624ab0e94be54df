"""Selecting features: importances by arithmetic, near-duplicates, what is kept, and what is refused."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.jobs import select
from crmml.metrics import auc
from tests.jobs.small import CHURN, CUTOFFS, FITS, SPEND, ColumnClassifier, ColumnRegressor, day, small_log

BOUGHT = {"event_type": "purchase"}
RECENCY, COUNT, SUM = cm.Recency(**BOUGHT), cm.Count(**BOUGHT), cm.Sum("amount", **BOUGHT)
# The same as COUNT in a log of two months.
SAME = cm.Count(**BOUGHT, window="400d")


def chosen(features: Any = (RECENCY, COUNT, SUM), target: Any = CHURN, **own: Any) -> cm.Selection:
    own = {"model": ColumnClassifier(), "max_correlation": 1.0} | own
    return cm.select_features(small_log(), list(features), target, CUTOFFS, **own)


@pytest.fixture
def reversed_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of at random, the values are shuffled once, into the opposite order."""
    monkeypatch.setattr(select, "_shuffled", lambda n: [np.arange(n)[::-1]])


def test_importance_is_what_the_metric_loses_at_each_holdout(reversed_orders: None) -> None:
    found = chosen()
    assert found.cutoffs == CUTOFFS[1:]
    X, y = cm.build_dataset(small_log(), [RECENCY], CHURN, CUTOFFS[1:])
    for cutoff in found.cutoffs:
        own = X.index.get_level_values("as_of") == cutoff
        recency, labels = X["recency_purchase"][own].to_numpy(), y[own].to_numpy()
        loss = auc(labels, recency) - auc(labels, recency[::-1])
        assert found.importances[cutoff]["recency_purchase"] == pytest.approx(loss, abs=1e-12)
    # The model looks at nothing else.
    assert (found.importances.drop(index="recency_purchase") == 0).all(axis=None)
    assert found.features == cm.FeatureSet([RECENCY])
    table = found.table
    assert table["share"].tolist() == [1.0, 0.0, 0.0]
    assert table.loc["recency_purchase", "mean"] == found.importances.loc["recency_purchase"].mean()


def test_a_model_is_trained_on_what_was_complete_by_then(reversed_orders: None) -> None:
    FITS.clear()
    chosen()
    trained = [set(X.index.get_level_values("as_of")) for X, _ in FITS]
    assert trained == [{day(30)}, {day(30), day(40)}]


def test_of_two_that_say_the_same_the_more_important_stays(reversed_orders: None) -> None:
    model = ColumnRegressor(SAME.name)
    found = chosen([COUNT, SAME, RECENCY], SPEND, model=model, max_correlation=0.99)
    assert found.same_as == {COUNT.name: SAME.name}
    assert found.features == cm.FeatureSet([SAME])
    last = found.table.iloc[-1]
    assert (last.name, last["same_as"], last["kept"]) == (COUNT.name, SAME.name, False)
    assert np.isnan(last["share"])
    # At a bound of 1 nothing is above it.
    assert chosen([COUNT, SAME, RECENCY], SPEND, model=model).same_as == {}


def test_what_was_kept_is_measured_again_without_its_near_duplicates(reversed_orders: None) -> None:
    class Half(ColumnClassifier):
        """Looks at the recency alone if it is the only one, else at two features in equal parts."""

        def _values(self, X: pd.DataFrame) -> Any:
            return X.filter(like="recency").mean(axis=1).to_numpy(np.float64)

    twin = cm.Recency(**BOUGHT, window="400d")
    FITS.clear()
    found = chosen([RECENCY, twin], model=Half(), max_correlation=0.99)
    assert found.same_as == {twin.name: RECENCY.name}
    assert [list(X.columns) for X, _ in FITS] == [[RECENCY.name, twin.name]] * 2 + [[RECENCY.name]] * 2
    alone = chosen([RECENCY], model=Half()).importances
    pd.testing.assert_frame_equal(found.importances.loc[[RECENCY.name]], alone)


@pytest.mark.parametrize(
    ("values", "k", "min_share", "kept"),
    [
        # importances                              sum of those above 0 is 10
        ({"a": 6, "b": 3, "c": 1, "d": -1, "e": 0}, None, 0.0, ["a", "b", "c"]),
        ({"a": 6, "b": 3, "c": 1, "d": -1, "e": 0}, 2, 0.0, ["a", "b"]),
        ({"a": 6, "b": 3, "c": 1, "d": -1, "e": 0}, None, 0.3, ["a", "b"]),
        ({"a": 6, "b": 3, "c": 1, "d": -1, "e": 0}, 1, 0.1, ["a"]),
        ({"a": -1, "b": 0}, 30, 0.0, []),
    ],
)
def test_what_is_kept(values: dict[str, float], k: int | None, min_share: float, kept: list[str]) -> None:
    assert select._kept(pd.Series(values), k, min_share) == kept


def test_missing_is_a_rank_of_its_own_and_constants_are_like_nothing() -> None:
    features = cm.FeatureSet([cm.Recency(event_type=kind) for kind in "abcd"])
    X = pd.DataFrame({"recency_a": [1.0, 2, 3, 4], "recency_b": [8.0, 6, 4, 2], "recency_c": [1, 2, 3, np.nan],
                      "recency_d": [7.0] * 4})  # fmt: skip
    importance = pd.Series(dict.fromkeys(X.columns, 1.0))
    # b is a turned round. c ranks 2, 3, 4, 1 against 1, 2, 3, 4: the correlation is (2 + 6 + 12 + 4 - 25) / 5 = -.2.
    assert select._near_duplicates(X, features, importance, 0.99) == {"recency_b": "recency_a"}
    assert select._near_duplicates(X, features, importance, 0.19) == {
        "recency_b": "recency_a",
        "recency_c": "recency_a",
    }
    assert select._near_duplicates(X, features, importance, 0.21) == {"recency_b": "recency_a"}


def test_a_model_of_the_task_is_taken_by_default_and_the_report_says_what_was_done() -> None:
    log = cm.simulate_log(300, seed=2).log
    features = [cm.Recency(), cm.Count(window="365d"), cm.Count(window="3650d"), cm.Count()]
    cutoffs = cm.cutoffs("2024-01-01", "2024-08-28", every="120d")
    found = cm.select_features(log, features, cm.Churn("60d", event_type="purchase"), cutoffs)
    assert found.same_as.keys() <= {"count", "count_3650d"}
    assert len(found.same_as) == 1
    lines = str(found).splitlines()
    assert lines[:5] == [
        f"Selection of {len(found.features)} of 4 features",
        "  predicts  Churn('60d', event_type='purchase')",
        "  with      ChurnClassifier()",
        "  held out  2 cutoffs, 2024-04-30 to 2024-08-28",
        "  the same  1 left out (rank correlation with a more important one above 0.95)",
    ]
    assert lines[7].startswith(f"  {found.table.index[0]}")
    assert set(found.features.names) == set(found.table.index[found.table["kept"]])
    pytest.importorskip("matplotlib")
    bars = found.figure().axes[0].patches
    assert [bar.get_width() for bar in bars][::-1] == found.table["mean"][found.table["kept"]].tolist()


REFUSED = [
    (lambda: chosen(k=0), "select_features: k must be a whole number from 1, or None, not 0. Use k=30."),
    (lambda: chosen(min_share=2), "select_features: min_share must be from 0 to 1, not 2. Use min_share=0.01."),
    (lambda: chosen(max_correlation="high"),
     "select_features: max_correlation must be from 0 to 1, not 'high'. Use max_correlation=0.95."),
    (lambda: cm.select_features(small_log(), "rfm", CHURN, "2024-02-01"),
     "select_features: as_of is one cutoff, 2024-02-01, but select_features trains on earlier cutoffs than it holds "
     "out. Give at least two that lie one horizon (10d) apart, for example as_of=['2024-01-22', '2024-02-01']."),
    (lambda: chosen(target=None, model=cm.RFMSegmenter()),
     "select_features: None is not predicted from features. Use for example Churn(horizon='60d')."),
]  # fmt: skip


@pytest.mark.parametrize(("act", "message"), REFUSED)
def test_what_makes_no_sense_is_refused(act: Any, message: str) -> None:
    with pytest.raises(cm.CrmmlError) as caught:
        act()
    assert str(caught.value) == message


def test_where_nothing_matters_nothing_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "_shuffled", lambda n: [np.arange(n)])  # every value stays where it is
    with pytest.raises(cm.DataError) as caught:
        chosen()
    assert str(caught.value) == (
        "select_features: no feature matters: shuffling none of 3 lowers the AUC on the 2 hold-out cutoffs. Use more "
        "customers, other features, or another horizon."
    )


def test_a_set_gives_the_features_of_columns_and_refuses_others() -> None:
    features = cm.FeatureSet([RECENCY, COUNT, SUM])
    assert features.select([SUM.name, RECENCY.name]) == cm.FeatureSet([RECENCY, SUM])
    for wrong, message in (
        (["count_purchas"],
         "FeatureSet.select: there is no column 'count_purchas'. Did you mean 'count_purchase'? It has: "
         "'recency_purchase', 'count_purchase', 'sum_amount_purchase'."),
        ("count", "FeatureSet.select: columns must be a list, not 'count'. Use ['count']."),
    ):  # fmt: skip
        with pytest.raises(cm.ConfigError) as caught:
            features.select(wrong)
        assert str(caught.value) == message

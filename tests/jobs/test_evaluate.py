"""Recommenders measured on a split: what is asked, what is refused, and that intervals cover."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmml.errors import ConfigError, DataError
from crmml.jobs.evaluate import evaluate_recommenders
from crmml.metrics import list_metrics
from crmml.recommend.als import ALS
from crmml.recommend.popularity import Popularity
from crmml.recommend.splits import Split
from crmml.report.recommendations import RULE, RecommendationReport, _measured


def two_tastes(customers: int = 60) -> pd.DataFrame:
    """Half take of the even items, half of the odd ones, ten each; one after the other."""
    random = np.random.default_rng(0)
    rows = []
    for who in range(customers):
        mine = random.permutation(np.arange(who % 2, 40, 2))[:10]
        rows += [(who, int(item), at) for at, item in enumerate(mine)]
    return pd.DataFrame(rows, columns=["customer_id", "item_id", "timestamp"])


@pytest.fixture(scope="module")
def report() -> RecommendationReport:
    return evaluate_recommenders(Split.temporal(two_tastes(), at=8), {"ALS": ALS(4)}, k=10)


def value(report: RecommendationReport, contender: str, metric: str, column: str = "value", part: str = "all") -> float:
    table = report.table
    row = table[(table["contender"] == contender) & (table["metric"] == metric) & (table["part"] == part)]
    return float(row[column].iloc[0])


class TestTheReport:
    def test_the_means_are_those_of_the_lists(self, report: RecommendationReport) -> None:
        split = Split.temporal(two_tastes(), at=8)
        lists = Popularity().fit(split.train.assign(weight=1.0)).recommend(range(60), k=10)
        expected = list_metrics(split.test, lists, 10).mean()
        for metric in ("ndcg", "recall", "hit_rate", "average_precision", "reciprocal_rank"):
            assert value(report, RULE, metric) == pytest.approx(expected[metric])

    def test_tastes_are_found_and_the_interval_says_so(self, report: RecommendationReport) -> None:
        # Two of twelve unseen items of the own taste: chance among them is 10/12, among all 32 it is 10/32.
        assert value(report, "ALS", "recall") > 0.7
        assert value(report, RULE, "recall") < 0.5
        assert value(report, "ALS", "recall", "difference_low") > 0
        mine, rule = report.success.to_dict("records")
        assert [rule[name] for name in ("contender", "times", "low", "high")] == [RULE, 1, 1, 1]
        assert mine["low"] > 1

    def test_differences_from_another_contender(self, report: RecommendationReport) -> None:
        turned = report.against("ALS")
        mine = turned[(turned["contender"] == RULE) & (turned["metric"] == "ndcg")].iloc[0]
        assert mine["difference"] == pytest.approx(-value(report, "ALS", "ndcg", "difference"))
        assert mine["difference_high"] == pytest.approx(-value(report, "ALS", "ndcg", "difference_low"))
        with pytest.raises(ConfigError) as caught:
            report.against("als")
        assert str(caught.value) == (
            "RecommendationReport.against: no contender 'als'. Did you mean 'ALS'? There are: 'ALS', 'popularity rule'."
        )

    def test_activity_counts_what_was_learned_from(self, report: RecommendationReport) -> None:
        assert report.customers["activity"].unique().tolist() == [8]
        assert report.by_activity["activity"].unique().tolist() == ["8 items"]

    def test_groups_of_activity_hold_everybody_once(self) -> None:
        frame = two_tastes()
        few = frame[(frame["timestamp"] < 1 + frame["customer_id"] % 7) | (frame["timestamp"] >= 8)]
        groups = evaluate_recommenders(Split.temporal(few, at=8), {"p": Popularity()}, k=3).by_activity
        mine = groups[groups["contender"] == "p"]
        assert mine["activity"].tolist() == ["1 to 3 items", "4 to 5 items", "6 to 7 items"]
        assert mine["customers"].sum() == 60
        report = evaluate_recommenders(Split.temporal(few, at=8), {"p": Popularity()}, k=3)
        mean = float((mine["recall"] * mine["customers"]).sum()) / 60
        assert mean == pytest.approx(value(report, "p", "recall"))

    def test_catalogue_says_what_the_lists_are_made_of(self, report: RecommendationReport) -> None:
        assert report.catalogue["contender"].tolist() == ["ALS", RULE]
        mine, rule = report.catalogue.to_dict("records")
        assert mine["new_item_share"] == rule["new_item_share"] == 1
        assert mine["coverage"] > rule["coverage"]
        assert mine["popularity_lift"] < rule["popularity_lift"]
        assert mine["diversity"] < rule["diversity"]  # of one taste

    def test_it_reads_as_text_and_as_a_page(self, report: RecommendationReport, tmp_path: Any) -> None:
        text = str(report)
        assert text.startswith(
            "Recommenders, lists of 10, all items ranked\n  Split(temporal: 480 rows of 60 customers"
        )
        page = report.to_html(tmp_path / "report.html").read_text()
        assert "By activity" in page
        assert "<script" not in page


def test_repeat_and_new_items_are_measured_apart() -> None:
    rows = [(who, "daily", at) for who in range(5) for at in range(4)] + [(who, f"new{who % 2}", 3) for who in range(5)]
    rows += [(9, "new0", 1), (9, "new1", 1)]
    frame = pd.DataFrame(rows, columns=["customer_id", "item_id", "timestamp"])
    report = evaluate_recommenders(Split.temporal(frame, at=3), {"p": Popularity()}, k=1, exclude_seen=False)
    assert report.table["part"].unique().tolist() == ["all", "repeat", "new"]
    assert value(report, "p", "recall", part="all") == 1 / 2  # the daily item of two
    assert value(report, "p", "recall", part="repeat") == 1
    assert value(report, "p", "recall", part="new") == 0
    assert report.catalogue["new_item_share"].tolist() == [0, 0]


def test_intervals_cover_the_truth() -> None:
    # Metrics of customers drawn from a known distribution: 95 % intervals of their mean, 60 times.
    random, covered = np.random.default_rng(3), 0
    for _ in range(60):
        draw = pd.DataFrame({"contender": RULE, "customer_id": range(200)})
        for metric in ("ndcg", "recall", "hit_rate", "average_precision", "reciprocal_rank"):
            draw[metric] = random.beta(0.5, 2, size=200)
        first = _measured("all", draw, RULE).iloc[0]
        covered += bool(first["low"] <= 0.2 <= first["high"])
    assert 51 <= covered <= 60  # 57 expected, 1.7 is the standard deviation


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"recommenders": {}}, ConfigError, "recommenders is {}. Give a mapping, such as {'ALS': ALS()}."),
        (
            {"recommenders": {RULE: Popularity()}},
            ConfigError,
            "'popularity rule' is added by itself. Give yours another name.",
        ),
        ({"k": 0}, ConfigError, "k is 0. Use a whole number of at least 1, such as k=10."),
    ],
)
def test_bad_parameters_are_named(arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    given = {"recommenders": {"p": Popularity()}, **arguments}
    with pytest.raises(kind) as caught:
        evaluate_recommenders(Split.temporal(two_tastes(4), at=8), **given)
    assert str(caught.value) == f"evaluate_recommenders: {message}"


def test_nothing_new_to_find_is_said() -> None:
    frame = pd.DataFrame({"customer_id": [1, 1], "item_id": ["a", "a"], "timestamp": [1, 2]})
    with pytest.raises(DataError) as caught:
        evaluate_recommenders(Split.temporal(frame, at=2), {"p": Popularity()})
    assert str(caught.value) == (
        "evaluate_recommenders: every pair of split.test was seen in split.train: nothing is left to find. "
        "Use exclude_seen=False, or a later part of the log."
    )

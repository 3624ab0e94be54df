"""Profiles whose right answer is obvious, and findings that chance does not make."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.base import BaseEstimator, ClusterMixin

import crmml as cm
from crmml.insight.profiles import SegmentProfiles, profile_segments


def shoppers() -> pd.DataFrame:
    """Six who buy rarely, four who buy often; one of the six never bought and has no recency."""
    return pd.DataFrame(
        {
            "recency": [90.0, 80, 70, 60, 50, np.nan, 4, 3, 2, 1],
            "orders": [1.0, 1, 2, 2, 3, 0, 20, 21, 22, 30],
            "spend": [10.0, 10, 20, 20, 40, 0, 200, 200, 200, 300],
            "noise": [3.0, 1, 4, 1, 5, 9, 2, 6, 5, 3],
        },
        index=pd.Index([f"c{number}" for number in range(10)], name="customer_id"),
    )


RARE_OFTEN = ["rare"] * 6 + ["often"] * 4


def effect(profiles: SegmentProfiles, segment: str, column: str) -> dict[Any, Any]:
    rows = profiles.effects
    return rows[(rows["segment"] == segment) & (rows["column"] == column)].to_dict("records")[0]


def test_size_and_worth_of_each_segment() -> None:
    table = profile_segments(shoppers(), RARE_OFTEN, value="spend").segments
    assert table.drop(columns="name").to_dict("records") == [
        {
            "segment": "rare", "customers": 6, "share": 6 / 10, "value": 100.0, "share_of_value": 100 / 1000,
            "value_per_customer": 100 / 6, "index": pytest.approx((100 / 1000) / (6 / 10)),
        },
        {
            "segment": "often", "customers": 4, "share": 4 / 10, "value": 900.0, "share_of_value": 900 / 1000,
            "value_per_customer": 225.0, "index": pytest.approx((900 / 1000) / (4 / 10)),
        },
    ]  # fmt: skip


def test_effects_are_shares_of_pairs() -> None:
    profiles = profile_segments(shoppers(), RARE_OFTEN, made_from=())
    orders = effect(profiles, "often", "orders")
    assert (orders["effect"], orders["typical"], orders["typical_rest"], orders["known"]) == (1.0, 21.5, 1.5, 4)
    # 2 beats two of the six (1, 1); 6 beats five; 5 beats four and ties with one; 3 beats two and ties with one.
    wins, losses = 2 + 5 + 4 + 2, 4 + 1 + 1 + 3
    assert effect(profiles, "often", "noise")["effect"] == pytest.approx((wins - losses) / (6 * 4))
    assert effect(profiles, "rare", "noise")["effect"] == pytest.approx((losses - wins) / (6 * 4))


def test_a_missing_value_is_left_out_and_told_of_in_a_column_of_its_own() -> None:
    profiles = profile_segments(shoppers(), RARE_OFTEN, made_from=())
    recency = effect(profiles, "rare", "recency")
    assert (recency["typical"], recency["known"], recency["effect"]) == (70.0, 5, 1.0)
    missing = effect(profiles, "rare", "recency is missing")
    # A yes or no: the difference of the shares.
    assert (missing["typical"], missing["typical_rest"], missing["effect"]) == (1 / 6, 0.0, pytest.approx(1 / 6))
    assert effect(profiles, "often", "recency is missing")["yes_no"]


def test_p_values_are_those_of_mann_and_whitney() -> None:
    from scipy.stats import mannwhitneyu

    table = shoppers()
    profiles = profile_segments(table, RARE_OFTEN, made_from=())
    for column in ("orders", "spend", "noise"):
        expected = mannwhitneyu(table[column][:6], table[column][6:], method="asymptotic").pvalue
        assert effect(profiles, "rare", column)["p_value"] == pytest.approx(expected, rel=1e-9)
        assert effect(profiles, "often", column)["p_value"] == pytest.approx(expected, rel=1e-9)


def test_all_tests_together_are_one_family() -> None:
    profiles = profile_segments(shoppers(), RARE_OFTEN, made_from=())
    from scipy.stats import false_discovery_control

    assert len(profiles.effects) == 2 * 5
    np.testing.assert_allclose(profiles.effects["q_value"], false_discovery_control(profiles.effects["p_value"]))
    assert profiles.effects["proven"].tolist() == (profiles.effects["q_value"] <= 0.05).tolist()
    assert set(profiles.findings["column"]) == {"recency", "orders", "spend"}


def test_a_column_that_made_the_segments_is_described_and_not_tested() -> None:
    profiles = profile_segments(shoppers(), RARE_OFTEN)  # who says nothing has made them from all columns
    assert profiles.effects["p_value"].isna().all()
    assert not profiles.effects["proven"].any()
    some = profile_segments(shoppers(), RARE_OFTEN, made_from=["recency"]).effects
    # The column that tells of missing recencies is made of recency.
    assert set(some.loc[some["p_value"].isna(), "column"]) == {"recency", "recency is missing"}


def test_the_text_says_it_in_words_and_numbers() -> None:
    profiles = profile_segments(
        shoppers(), RARE_OFTEN, value="spend", made_from=["orders"], words={"orders": "orders a year"}, examples=0
    )
    assert str(profiles) == (
        "2 segments of 10 customers; 1 column made them (described, not tested); 4 tested: 4 findings, of\n"
        "which at most 5 % are false\n"
        "\n"
        "rare: 6 customers (60 %), 10 % of the value, 0.17 times the average each\n"
        "  suggested name: high recency, low orders a year\n"
        "  recency much higher: median 70, of the rest 2.5 (effect +1.00)\n"
        "  orders a year much lower: median 1.5, of the rest 21.5 (effect -1.00)\n"
        "  spend much lower: median 15, of the rest 200 (effect -1.00)\n"
        "\n"
        "often: 4 customers (40 %), 90 % of the value, 2.2 times the average each\n"
        "  suggested name: low recency, high orders a year\n"
        "  recency much lower: median 2.5, of the rest 70 (effect -1.00)\n"
        "  orders a year much higher: median 21.5, of the rest 1.5 (effect +1.00)\n"
        "  spend much higher: median 200, of the rest 15 (effect +1.00)"
    )
    shown = profiles.table()
    assert shown["apart"].iloc[1].startswith("recency much lower: median 2.5, of the rest 70 (effect -1.00); orders")
    assert shown["examples"].tolist() == [(), ()]


def test_examples_are_the_customers_near_the_centre() -> None:
    values = [1.0, 2, 3, 4, 500, 10_001, 10_002, 10_003]
    table = pd.DataFrame({"x": values}, index=pd.Index(list("abcdefgh"), name="customer_id"))
    profiles = profile_segments(table, ["low"] * 5 + ["high"] * 3, examples=1)
    assert profiles.examples == {"low": ("c",), "high": ("g",)}  # by ranks: 500 pulls nothing
    assert str(profiles).count("near the centre: g") == 1


def test_the_first_rule_that_matches_names_a_segment_and_no_name_comes_twice() -> None:
    names = {
        "Sleeping stars": {"recency": "high", "spend": "high"},
        "Stars": {"spend": "high"},
        "Anybody": {"spend": "low"},
    }
    found = profile_segments(shoppers(), RARE_OFTEN, names=names).segments
    assert found["name"].tolist() == ["Anybody", "Stars"]
    thirds = pd.DataFrame({"spend": [0.0] * 10 + [1.0] * 10 + [9.0] * 10})
    three = profile_segments(thirds, ["a"] * 10 + ["b"] * 10 + ["c"] * 10, names={"Low": {"spend": "low"}}).segments
    assert three["name"].tolist() == ["Low", "like all others", "high spend"]
    same = pd.DataFrame({"spend": [0.0] * 10 + [1.0] * 10 + [8.0] * 10 + [9.0] * 10})
    labels = [name for name in "abcd" for _ in range(10)]
    assert profile_segments(same, labels).segments["name"].tolist() == [
        "low spend", "low spend (b)", "high spend", "high spend (d)",
    ]  # fmt: skip


def test_one_segment_has_nothing_to_be_compared_with() -> None:
    profiles = profile_segments(shoppers(), ["all"] * 10)
    assert str(profiles).endswith("One segment: there is nothing to compare it with.")
    assert profiles.effects["effect"].isna().all()


def test_constant_and_empty_columns_find_nothing() -> None:
    table = shoppers().assign(constant=7.0, empty=np.nan)
    profiles = profile_segments(table, RARE_OFTEN, made_from=())
    assert effect(profiles, "rare", "constant")["effect"] == 0.0
    assert effect(profiles, "rare", "constant")["p_value"] == 1.0
    assert effect(profiles, "rare", "empty")["known"] == 0
    assert np.isnan(effect(profiles, "rare", "empty")["p_value"])


def test_columns_of_any_name_and_type_are_read() -> None:
    table = pd.DataFrame({0: [1, None, 3, 4], "0 is missing": [5.0, 6, 7, 8], "yes": [True, False, True, True]})
    dressed = table.astype({0: "Int64", "yes": "boolean"})
    found = profile_segments(dressed, list("aabb"), made_from=())
    assert found.columns["column"].tolist() == ["0", "0 is missing", "yes"]
    assert effect(found, "b", "0 is missing")["typical"] == 7.5  # the table's own column
    assert effect(found, "a", "yes")["typical"] == 1 / 2


def test_segments_follow_the_index_of_their_series() -> None:
    labels = pd.Series(RARE_OFTEN, index=shoppers().index)
    shuffled = labels.sample(frac=1, random_state=1)
    assert profile_segments(shoppers(), shuffled).effects.equals(profile_segments(shoppers(), labels).effects)


def test_a_fitted_model_says_which_columns_it_used() -> None:
    table = shoppers().fillna(120.0)
    model = cm.BehaviourSegmenter(n_clusters=2).fit(table[["recency", "orders"]])
    profiles = profile_segments(table, model)
    assert profiles.segments["segment"].tolist() == ["segment_0", "segment_1"]
    made = profiles.columns.set_index("column")["made_segments"]
    assert made.to_dict() == {"recency": True, "orders": True, "spend": False, "noise": False}


columns = st.lists(st.floats(-100, 100) | st.just(float("nan")), min_size=12, max_size=12)


@given(column=columns, codes=st.lists(st.sampled_from("abc"), min_size=12, max_size=12))
def test_effects_do_not_depend_on_units_or_on_the_order_of_rows(column: list[float], codes: list[str]) -> None:
    table = pd.DataFrame({"x": np.round(column, 3)})
    plain = profile_segments(table, codes, made_from=()).effects
    scaled = profile_segments(table * 4 + 1024, codes, made_from=()).effects
    backwards = profile_segments(table[::-1], codes[::-1], made_from=()).effects
    for other in (scaled, backwards):
        for name in ("segment", "known"):
            assert plain[name].tolist() == other[name].tolist()
        if not table["x"].isin((0.0, 1.0)).all():  # 0 and 1 would be a yes or no
            np.testing.assert_allclose(plain["effect"], other["effect"], atol=1e-12)
            np.testing.assert_allclose(plain["p_value"], other["p_value"], atol=1e-12)


def correlated(rows: int, seed: int) -> pd.DataFrame:
    """Skewed columns that go together: what customers have."""
    rng = np.random.default_rng(seed)
    activity = rng.normal(size=(rows, 1))
    return pd.DataFrame(np.exp(activity + rng.normal(size=(rows, 4))), columns=list("abcd"))


# With a chance of 5 % each, more than this many of 200 come up once in a thousand times.
MOST = int(binom.ppf(0.999, 200, 0.05))


@pytest.mark.slow
def test_segments_dealt_at_random_have_findings_no_more_often_than_stated() -> None:
    false = 0
    for seed in range(200):
        labels = np.random.default_rng(1000 + seed).choice(["x", "y", "z"], 200, p=[0.6, 0.3, 0.1])
        false += len(profile_segments(correlated(200, seed), labels, made_from=()).findings) > 0
    assert false <= MOST


class Halves(ClusterMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Cuts customers in two by the sum of their columns: a segmenter that always finds something."""

    def fit(self, X: pd.DataFrame, y: object = None) -> "Halves":
        self.feature_names_in_ = np.array(X.columns, dtype=object)
        self.middle_ = float(X.sum(axis=1).median())
        return self

    def segment(self, X: pd.DataFrame) -> Any:
        return np.where(X.sum(axis=1) > self.middle_, "high", "low")


@pytest.mark.slow
def test_columns_that_made_the_segments_pass_the_test_without_themselves_only_where_columns_go_together() -> None:
    false = 0
    for seed in range(200):
        shuffled = correlated(100, seed).apply(np.random.default_rng(seed).permutation)
        profiles = profile_segments(shuffled, Halves().fit(shuffled), retest=True)
        assert (profiles.effects["effect"].abs() > 0.2).any()  # as always: described, never "proven"
        false += int(profiles.columns["proven"].any())
    assert false <= MOST
    together = correlated(100, 0)
    assert profile_segments(together, Halves().fit(together), retest=True).columns["proven"].all()


def message(*arguments: Any, **more: Any) -> str:
    with pytest.raises(cm.CrmmlError) as caught:
        profile_segments(*arguments, **more)
    return f"{type(caught.value).__name__}: {caught.value}"


def cutoffs() -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples([(7, "2024-01-01"), (7, "2024-02-01")], names=["customer_id", "as_of"])
    return pd.DataFrame({"x": [1.0, 2.0]}, index=index)


@pytest.mark.parametrize(
    ("arguments", "more", "expected"),
    [
        (
            (shoppers(), RARE_OFTEN[:9]), {},
            "SchemaError: profile_segments: the table has 10 rows and there are 9 segments. Use one per row.",
        ),
        (
            (shoppers(), [None, *RARE_OFTEN[1:]]), {},
            "DataError: profile_segments: row 0 has no segment (None). "
            "Leave it out, or name it: segments.fillna('none').",
        ),
        (
            (shoppers(), pd.Series(RARE_OFTEN)), {},
            "SchemaError: profile_segments: the indexes of table and segments differ (10 and 10 rows). "
            "Use rows of the same customers: table.loc[segments.index].",
        ),
        (
            (cutoffs(), ["a", "b"]), {},
            "DataError: profile_segments: customer 7 has 2 rows, which would count as as many customers. "
            'Profile one cutoff at a time: table.xs(as_of, level="as_of").',
        ),
        (
            (shoppers().assign(plan="gold"), RARE_OFTEN), {},
            "SchemaError: profile_segments: column 'plan' holds no numbers (dtype str). "
            "Leave it out: table.drop(columns=['plan']).",
        ),
        (
            (shoppers().assign(x=np.inf), RARE_OFTEN), {},
            "DataError: profile_segments: column 'x' is infinite in row 0. Mark it as missing: "
            "table.replace([np.inf, -np.inf], np.nan).",
        ),
        (
            (shoppers().set_axis(["x", "y", "y", "z"], axis=1), RARE_OFTEN), {},
            "SchemaError: profile_segments: the table has two columns 'y'. Rename one of them.",
        ),
        (
            (shoppers().head(0), []), {},
            "SchemaError: profile_segments: the table has 0 rows and 4 columns. Use one of each.",
        ),
        (
            (shoppers(), RARE_OFTEN), {"made_from": ["order"]},
            "ConfigError: profile_segments: made_from: no column 'order' in the table. Did you mean 'orders'?",
        ),
        (
            (shoppers(), RARE_OFTEN), {"value": "spent"},
            "ConfigError: profile_segments: value: no column 'spent' in the table. Did you mean 'spend'?",
        ),
        (
            (shoppers(), RARE_OFTEN), {"value": -shoppers()["spend"]},
            "DataError: profile_segments: the values sum to -1000, and shares of that mean nothing. "
            "Use values whose sum is above 0, such as the revenue before returns.",
        ),
        (
            (shoppers(), RARE_OFTEN), {"names": {"Stars": {"spend": "top"}}},
            "ConfigError: profile_segments: names['Stars']: 'spend' is 'top'. Use 'high' or 'low'.",
        ),
        (
            (shoppers(), RARE_OFTEN), {"retest": True},
            "ConfigError: profile_segments: retest=True needs a fitted clustering model that can be fitted again, and "
            "segments is a list. Use segments=BehaviourSegmenter().fit(table), or retest=False.",
        ),
        (
            (shoppers(), RARE_OFTEN), {"false_findings": 5},
            "ConfigError: profile_segments: false_findings is 5. Use a share, such as 0.05.",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_what_to_do(arguments: Any, more: dict[str, Any], expected: str) -> None:
    assert message(*arguments, **more) == expected

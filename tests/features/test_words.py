"""Definitions in words: every public one has them, they read well, and different definitions read differently."""

from typing import Any

import pandas as pd
import pytest
from hypothesis import given

import crmml as cm
from crmml.features.aggregate import Feature
from crmml.features.words import words_of
from tests.features.oracle import AGGREGATES
from tests.features.strategies import budget, feature_sets

BOUGHT = {"event_type": "purchase"}
WEB = {**BOUGHT, "channel": "web", "where": {"plan": ["gold", "free"]}, "window": "4w"}


def public() -> list[type[Feature]]:
    values = [getattr(cm, name) for name in cm.__all__]
    return [value for value in values if isinstance(value, type) and issubclass(value, Feature)]


@pytest.mark.parametrize("cls", public(), ids=lambda cls: cls.__name__)
def test_every_public_feature_has_words(cls: type[Feature]) -> None:
    assert words_of.dispatch(cls) is not words_of.dispatch(object)


@budget(25, 1_000)
@given(feature_sets(sorted(AGGREGATES), each=3))
def test_different_definitions_read_differently(features: list[Any]) -> None:
    table = cm.FeatureSet(features).describe()
    assert table["column"].tolist() == [column for feature in features for column in feature.columns]
    assert not table.duplicated(["words", "unit"]).any()
    assert not (table == "").any(axis=None)


READ = [
    (cm.Count(**BOUGHT, window="90d"), "number of purchases in the 90 days before the cutoff"),
    (cm.Count(**WEB), 'number of purchases through "web" with plan "gold" or "free" in the 4 weeks before the cutoff'),
    (cm.Count(event_type=["view", "cart"], where={"quantity": 2}),
     'number of views or "cart" events with quantity 2 before the cutoff'),
    (cm.Recency(), "days since the last event"),
    (cm.Recency(**WEB), 'days since the last purchase through "web" with plan "gold" or "free", looking back 4 weeks'),
    (cm.Tenure(event_type="cart"), 'days since the first "cart" event'),
    (cm.Sum("amount", window="1d"), "sum of amount over events in the 1 day before the cutoff"),
    (cm.DecayedSum("amount", **BOUGHT),
     "sum of amount over purchases before the cutoff, each counting half after 120 days"),
    (cm.Mean("amount", **BOUGHT), "mean of amount over purchases before the cutoff"),
    (cm.Min("amount"), "least value of amount over events before the cutoff"),
    (cm.Max("amount"), "greatest value of amount over events before the cutoff"),
    (cm.Std("amount"), "standard deviation of amount over events before the cutoff"),
    (cm.Median("amount"), "median of amount over events before the cutoff"),
    (cm.Quantile("amount", q=0.975), "97.5 % quantile of amount over events before the cutoff"),
    (cm.Share(event_type="view", window="12h"),
     "of all events in the 12 hours before the cutoff, the share that are views"),
    (cm.Share(**WEB),
     'of the purchases in the 4 weeks before the cutoff, the share through "web" with plan "gold" or "free"'),
    (cm.NUnique("item_id"), "number of distinct values of item_id of events before the cutoff"),
    (cm.Entropy("channel"),
     "how evenly events before the cutoff spread over the values of channel: their entropy, 0 for one value"),
    (cm.TopShare("channel", **BOUGHT),
     "of the purchases with a value of channel before the cutoff, the share that have the most frequent one"),
    (cm.RepeatShare("item_id", **BOUGHT),
     "of the distinct values of item_id of purchases before the cutoff, the share with at least two"),
    (cm.TopValue("channel"), "most frequent value of channel of events before the cutoff"),
    (cm.First("channel"), "value of channel of the first event that has one"),
    (cm.MeanVector("taste", 2), "the mean vector of taste over events before the cutoff"),
    (cm.Latest("plan", window="30d"), "value of plan of the last event that has one, looking back 30 days"),
    (cm.DaysActive(**BOUGHT), "number of days (UTC) with purchases before the cutoff"),
    (cm.Sessions(stat="length", gap="1h"),
     "mean time from the first to the last event of sessions of events before the cutoff, each ended by more than "
     "1 hour without one"),
    (cm.Gap(stat="last_to_mean", **BOUGHT),
     "days between the last two purchases before the cutoff, divided by the mean between consecutive ones"),
    (cm.TimeTo(nth=22), "days from the first to the 22nd of the events before the cutoff"),
    (cm.Streak(every="7d", **BOUGHT),
     "number of periods in a row up to the cutoff, of 7 days each, with purchases before the cutoff"),
    (cm.Trend("amount", window="84d"),
     "slope of the sum of amount over events, over the 6 periods of 14 days before the cutoff"),
    (cm.Change(**BOUGHT, window="30d"),
     "number of purchases in the 30 days before the cutoff, minus the same for the 30 days before these"),
    (cm.HourShare(hours=(22, 6), timezone="Europe/Berlin"),
     "of the events before the cutoff, the share from 22:00 to before 06:00 (Europe/Berlin)"),
    (cm.WeekdayShare(), "of the events before the cutoff, the share on Saturday or Sunday (UTC)"),
    (cm.CutoffCalendar(), "month of the cutoff (UTC)"),
    (cm.Basket(stat="value", order="invoice", **BOUGHT, window="1w"),
     "mean sum of amount of orders (purchases with one value of invoice) in the 1 week before the cutoff"),
    (cm.ReturnRate(**WEB),
     'number of returns, divided by the number of purchases, both through "web" with plan "gold" or "free" in the '
     "4 weeks before the cutoff"),
    (cm.ReturnRate("amount", returned=None, **BOUGHT),
     "sum of the negative values of amount, without the sign, divided by the sum of the positive ones, of purchases "
     "before the cutoff"),
    (cm.ConversionRate(event_type="view", on="item_id", window="90d"),
     "of the views in the 90 days before the cutoff, the share followed within 7 days by purchases with the same "
     "value of item_id"),
    (cm.Ratio(cm.Count(), cm.Ratio(cm.Count(**BOUGHT), cm.Recency())),
     "number of events before the cutoff; divided by: (number of purchases before the cutoff; divided by: days "
     "since the last event)"),
]  # fmt: skip


@pytest.mark.parametrize(("feature", "text"), READ, ids=lambda value: getattr(value, "name", ""))
def test_how_a_definition_reads(feature: Any, text: str) -> None:
    assert words_of(feature).text == text


@pytest.mark.parametrize(
    ("feature", "unit", "missing"),
    [
        (cm.Count(), "events", "never missing: 0 where there are none"),
        (cm.Recency(**BOUGHT, window="1d"), "days", "there is no purchase in the 1 day before the cutoff"),
        (cm.Mean("amount", **BOUGHT), "unit of amount", "no purchase before the cutoff has a value of amount"),
        (cm.Std("amount"), "unit of amount",
         "there are fewer than two events with a value of amount before the cutoff"),
        (cm.Gap(stat="std"), "days", "there are fewer than three events before the cutoff"),
        (cm.Gap(stat="last_to_mean"), "ratio",
         "there are fewer than two events before the cutoff, or all are at the same moment"),
        (cm.Share(**BOUGHT, channel="web"), "share, 0 to 1", "there is no purchase before the cutoff"),
        (cm.Trend("amount", window="9h", periods=2), "unit of amount per 270 minutes",
         "never missing: 0 where nothing happened"),
        (cm.Ratio(cm.Sum("amount"), cm.Count()), "unit of amount per events",
         "one of the two is missing, or count is 0"),
    ],
)  # fmt: skip
def test_the_unit_and_what_missing_means(feature: Any, unit: str, missing: str) -> None:
    words = words_of(feature)
    assert (words.unit, words.missing) == (unit, missing)


def test_with_a_log_a_value_says_what_it_is_and_a_feature_that_the_log_lacks_is_refused() -> None:
    frame = pd.DataFrame({"u": [1], "t": pd.to_datetime(["2024-01-01"], utc=True), "plan": ["gold"], "score": [1.5]})
    log = cm.InteractionLog(frame, customer_id="u", timestamp="t")
    features = cm.FeatureSet([cm.Latest("plan"), cm.First("score"), cm.Count()])
    assert features.describe()["unit"].tolist() == ["value of plan", "value of score", "events"]
    assert features.describe(log)["unit"].tolist() == ["value of plan (text)", "value of score (number)", "events"]
    with pytest.raises(cm.SchemaError) as caught:
        cm.FeatureSet([cm.Latest("channel")]).describe(log)
    assert str(caught.value) == (
        "Latest('channel'): the log has no channel. Say which column plays it: InteractionLog(..., channel='column')."
    )


def test_a_feature_without_words_says_where_they_go() -> None:
    class Odd(Feature):
        pass

    with pytest.raises(TypeError) as caught:
        words_of(Odd())
    assert str(caught.value) == "Odd has no words: register a function for it in crmml.features.words"

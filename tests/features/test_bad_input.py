"""Bad input to features: one typed error each, compared whole."""

from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

import crmml as cm

FRAME = pd.DataFrame(
    {
        "who": [1, 1, 2, 2],
        "at": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-01-15", "2024-03-01"], utc=True),
        "kind": ["purchase", "view", "purchase", "view"],
        "revenue": [10.0, None, 5.5, None],
        "plan": ["free", "gold", "free", "gold"],
        "level": [1, 2, 3, 4],
    }
)


def log_with(**columns: Any) -> cm.InteractionLog:
    return cm.InteractionLog(
        FRAME.assign(**columns), customer_id="who", timestamp="at", event_type="kind", amount="revenue"
    )


LOG = log_with()


def built(*features: Any, as_of: Any = "2024-02-15", log: cm.InteractionLog = LOG, **settings: Any) -> pd.DataFrame:
    frame: pd.DataFrame = cm.build_features(log, features, as_of, **settings)
    return frame


DEFINITIONS: dict[str, tuple[Any, str]] = {
    "a window in words": (
        lambda: cm.Count(window="90 days"),
        "Count: window '90 days' is not a duration. Use '90d'.",
    ),
    "a window in months": (
        lambda: cm.Sum("amount", window="3 months"),
        "Sum: window '3 months' is not a duration: months and years differ in length. Use days: '90d'.",
    ),
    "a window as a number": (
        lambda: cm.Count(window=90),  # type: ignore[arg-type]
        "Count: window 90 is not a duration. Use a number and one of s, m, h, d, w, for example '30d', '8w' or '12h'.",
    ),
    "a window without length": (
        lambda: cm.Count(window="0d"),
        "Count: window '0d' has no length. Use a positive duration, for example '30d'.",
    ),
    "a window longer than history": (
        lambda: cm.Count(window="999999999w"),
        "Count: window '999999999w' is longer than any log. Leave it out, or use for example '3650d'.",
    ),
    "a feature twice": (
        lambda: cm.FeatureSet([cm.Count(), cm.Recency(), cm.Count()]),
        "FeatureSet: features[2] Count() has the same column 'count' as Count(). Leave one of them out.",
    ),
    "two features of one name": (
        lambda: cm.FeatureSet([cm.Count(event_type=["a", "b"]), cm.Count(event_type="a_or_b")]),
        "FeatureSet: features[1] Count(event_type='a_or_b') has the same column 'count_a_or_b' as "
        "Count(event_type=['a', 'b']). Leave one of them out.",
    ),
    "a feature added twice": (
        lambda: cm.FeatureSet([cm.Count()]) + cm.FeatureSet([cm.Count()]),
        "FeatureSet: features[1] Count() has the same column 'count' as Count(). Leave one of them out.",
    ),
    "no features": (
        lambda: cm.FeatureSet([]),
        "FeatureSet: the list is empty. Use at least one aggregate, for example [Recency()].",
    ),
    "a name instead of a definition": (
        lambda: cm.FeatureSet(["count"]),  # type: ignore[list-item]
        "FeatureSet: features[0] is 'count', not an aggregate. Use for example Count(window='30d').",
    ),
    "an event type that is a number": (
        lambda: cm.Count(event_type=3),  # type: ignore[arg-type]
        "Count: event_type must be a text or a list of texts, not 3. Use event_type='purchase'.",
    ),
    "a filter on nothing": (
        lambda: cm.Count(where={"plan": None}),
        "Count: where compares 'plan' with None, which no event equals. Use a value, for example "
        "where={'plan': 'gold'}.",
    ),
    "a filter with two spellings": (
        lambda: cm.Count(where={"event_type": "view"}),
        "Count: where names 'event_type'. Use the parameter instead: event_type='view'.",
    ),
    "a share of everything": (
        cm.Share,
        "Share: without a filter the share is always 1. Use Share(event_type='purchase').",
    ),
    "a trend without end": (cm.Trend, "Trend: a trend needs a window. Use Trend(window='180d')."),
    "a trend in unequal periods": (
        lambda: cm.Trend(window="3d", periods=7),
        "Trend: window '3d' does not divide into 7 equal periods. Use a multiple, for example window='210d'.",
    ),
    "a number that no column can hold": (
        lambda: cm.Count(where={"level": float("inf")}),
        "Count: where compares 'level' with inf, which no event equals. Use a finite number, for example "
        "where={'level': 1}.",
    ),
    "no number": (
        lambda: cm.Share(where={"level": [1, float("nan")]}),
        "Share: where compares 'level' with nan, which no event equals. Use a finite number, for example "
        "where={'level': 1}.",
    ),
    "a number of too many digits": (
        lambda: cm.Count(where={"level": 10**400}),
        "Count: where compares 'level' with a number of 1,329 bits, which no event equals. Use a finite number, for "
        "example where={'level': 1}.",
    ),
}
REQUESTS: dict[str, tuple[type[cm.CrmmlError], Any, str]] = {
    "a cutoff before the first event": (
        cm.ConfigError,
        lambda: built(cm.Count(), as_of="2023-12-31"),
        "as_of 2023-12-31 is not after the first event in the log (2024-01-01): there is no history to see. "
        "Use as_of >= 2024-01-02.",
    ),
    "a cutoff at the first event": (
        cm.ConfigError,
        lambda: built(cm.Count(), as_of="2024-01-01"),
        "as_of 2024-01-01 is not after the first event in the log (2024-01-01): there is no history to see. "
        "Use as_of >= 2024-01-02.",
    ),
    "a cutoff long after the last event": (
        cm.ConfigError,
        lambda: built(cm.Count(), as_of=["2024-02-15", "2024-06-01"]),
        "as_of 2024-06-01 is 92 days after the last event in the log (2024-03-01): every customer would look "
        "inactive only because the log stops. Use as_of <= 2024-03-02, a newer log, or say InteractionLog(..., "
        "observed_until=...) if the log is complete.",
    ),
    "a cutoff that is no date": (
        cm.ConfigError,
        lambda: built(cm.Count(), as_of="yesterday"),
        "as_of 'yesterday' is not a date or time. Use for example '2024-01-31' or '2024-01-31T12:00:00+01:00'.",
    ),
    "a cutoff twice": (
        cm.ConfigError,
        lambda: built(cm.Count(), as_of=["2024-02-01", "2024-02-01T01:00:00+01:00"]),
        "as_of 2024-02-01 stands in the list twice. Leave one of them out.",
    ),
    "an event type that never occurs": (
        cm.ConfigError,
        lambda: built(cm.Count(event_type="purchse")),
        "Count(event_type='purchse'): event type 'purchse' never occurs in the log. Did you mean 'purchase'? "
        "It has: 'purchase' (2), 'view' (2).",
    ),
    "an event type of another case": (
        cm.ConfigError,
        lambda: built(cm.Recency(event_type=["purchase", "VIEW"])),
        "Recency(event_type=['purchase', 'VIEW']): event type 'VIEW' never occurs in the log. Did you mean 'view'? "
        "It has: 'purchase' (2), 'view' (2).",
    ),
    "a population of an event type that never occurs": (
        cm.ConfigError,
        lambda: built(cm.Count(), population=cm.Population(event_type="order")),
        "Population(event_type='order'): event type 'order' never occurs in the log. It has: 'purchase' (2), "
        "'view' (2).",
    ),
    "a target of an event type that never occurs": (
        cm.ConfigError,
        lambda: cm.build_dataset(LOG, [cm.Count()], cm.Churn("7d", event_type="purchases"), "2024-02-15"),
        "Churn('7d', event_type='purchases'): event type 'purchases' never occurs in the log. Did you mean "
        "'purchase'? It has: 'purchase' (2), 'view' (2).",
    ),
    "a preset that does not exist": (
        cm.ConfigError,
        lambda: cm.build_features(LOG, "standart", "2024-02-15"),
        "features: there is no preset 'standart'. Did you mean 'standard'? Use one of rfm, standard, clickstream, "
        "subscription, omnichannel, early_warning, or a FeatureSet.",
    ),
    "a role that the log lacks": (
        cm.SchemaError,
        lambda: built(cm.NUnique("item_id")),
        "NUnique('item_id'): the log has no item_id. Say which column plays it: InteractionLog(..., item_id='column').",
    ),
    "an attribute that the log lacks": (
        cm.SchemaError,
        lambda: built(cm.Latest("pln")),
        "Latest('pln'): the log has no 'pln'. Did you mean 'plan'? It has: 'customer_id', 'timestamp', 'event_type', "
        "'amount', 'plan', 'level'.",
    ),
    "the sum of a text": (
        cm.SchemaError,
        lambda: built(cm.Sum("plan")),
        "Sum('plan'): 'plan' is text, not a number. Use NUnique('plan') or Latest('plan'), or a column of numbers.",
    ),
    "a number compared with a text": (
        cm.SchemaError,
        lambda: built(cm.Count(where={"level": "one"})),
        "Count(where={'level': 'one'}): 'level' is number, and 'one' (str) is not. Compare it with a number, for "
        "example level=1.",
    ),
    "an infinite amount": (
        cm.DataError,
        lambda: built(cm.Sum("amount"), log=log_with(revenue=[float("inf"), 1.0, 2.0, 3.0])),
        "'amount' has the value inf, but only values below 1e+12 can be summed exactly. Mend it, or drop the events: "
        "log.clean(KeepBetween('amount', minimum=-1e+12, maximum=1e+12)).",
    ),
    "a text with a NUL": (
        cm.ConfigError,
        lambda: built(cm.Count(where={"plan": "a\0b"})),
        "the text 'a\\x00b' contains a NUL character, which SQL cannot hold. Remove it.",
    ),
    "half a character": (
        cm.ConfigError,
        lambda: built(cm.Count(where={"plan": "\ud800"})),
        "the text '\\ud800' contains half a character, which UTF-8 cannot hold. Remove it.",
    ),
    "nobody in the population": (
        cm.DataError,
        lambda: cm.build_dataset(LOG, [cm.Count()], cm.Churn("1d", active_within="1d"), "2024-02-15"),
        "build_dataset: nobody is in the Population(active_within='1d') as of 2024-02-15. Use a longer "
        "active_within, or a later cutoff.",
    ),
}


@pytest.mark.parametrize("case", DEFINITIONS)
def test_a_definition_that_cannot_be(case: str) -> None:
    act, message = DEFINITIONS[case]
    with pytest.raises(cm.ConfigError) as caught:
        act()
    assert str(caught.value) == message


@pytest.mark.parametrize("case", REQUESTS)
def test_a_request_that_cannot_be_met(case: str) -> None:
    kind, act, message = REQUESTS[case]
    with pytest.raises(kind) as caught:
        act()
    assert str(caught.value) == message


@pytest.mark.parametrize("amount", [1e6, 123_456_789.0, 1e11])
def test_large_amounts_are_exact(amount: float) -> None:
    """Customer 1 has two of them, one half as large: mean 3/4, standard deviation 1/2 * sqrt(1/2) of the amount."""
    log = log_with(revenue=[amount, amount / 2, 1.0, 1.0])
    table = built(cm.Sum("amount"), cm.Std("amount"), cm.Trend("amount", window="180d", periods=2), log=log)
    first = table.iloc[0]
    assert first["sum_amount"] == 1.5 * amount
    assert first["std_amount"] == pytest.approx(amount / 2 * 0.5**0.5, rel=1e-15)
    assert first["trend_amount_180d_by_2"] == 1.5 * amount  # both fall into the second half


@pytest.mark.parametrize(
    "number", [10**60, -(10**60), 1e60, Decimal("1E+60"), 2**127, 2**127 - 1, 2**53 + 1, 0.1, True]
)
def test_any_number_can_be_compared(number: Any) -> None:
    """Beyond 128 bits only a double can be equal; the nearest one is."""
    log = log_with(level=[float(number), -1.5, float(number), None])
    assert built(cm.Count(where={"level": [number, 17]}), log=log).iloc[:, 0].tolist() == [1, 1]

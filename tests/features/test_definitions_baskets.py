"""Orders, returns, conversions and ratios: names, worked examples, and what is refused."""

from typing import Any

import pandas as pd
import pytest

import crmml as cm
from tests.features.strategies import EPOCH

DAY = pd.Timedelta(days=1)
NOON = pd.Timestamp(EPOCH, unit="us", tz="UTC") + DAY / 2
BOUGHT = {"event_type": "purchase"}
# Anna: two lines on day 0 (one order by time, two by number), a third on day 1, a return on day 2.
ROWS = [
    # customer, day, type, item, amount, order, channel
    ("anna", 0, "view", "a", None, None, "web"),
    ("anna", 0, "purchase", "a", 10.0, "A1", "web"),
    ("anna", 0, "purchase", "a", 20.0, "A2", "web"),
    ("anna", 1, "purchase", "b", 30.0, "A2", "shop"),
    ("anna", 2, "return", "b", -15.0, None, "shop"),
    ("anna", 2, "view", "c", None, None, "web"),
    # Ben views twice and buys what he viewed second, exactly a week after the first view.
    ("ben", 0, "view", "a", None, None, "web"),
    ("ben", 1, "view", "b", None, None, "web"),
    ("ben", 7, "purchase", "b", -5.0, None, "web"),
    # Cleo only views.
    ("cleo", 0, "view", None, None, None, "web"),
]


@pytest.fixture(scope="module")
def log() -> cm.InteractionLog:
    frame = pd.DataFrame(ROWS, columns=["who", "day", "kind", "sku", "revenue", "invoice", "source"])
    frame["at"] = NOON + frame.pop("day") * DAY
    roles = {"customer_id": "who", "timestamp": "at", "event_type": "kind", "item_id": "sku"}
    return cm.InteractionLog(frame, **roles, amount="revenue", channel="source")


@pytest.mark.parametrize(
    ("feature", "name"),
    [
        (cm.Basket(), "basket_lines"),
        (cm.Basket(stat="value", **BOUGHT, channel="web", window="30d"), "basket_value_purchase_web_30d"),
        (cm.Basket(stat="items", order="Invoice No"), "basket_items_by_invoice_no"),
        (cm.ReturnRate(**BOUGHT), "return_rate_purchase"),
        (cm.ReturnRate("amount", returned=["return", "refund"], **BOUGHT),
         "return_rate_by_return_or_refund_amount_purchase"),
        (cm.ReturnRate("amount", returned=None, **BOUGHT, window="1w"), "return_rate_negative_amount_purchase_1w"),
        (cm.ConversionRate(event_type=["view", "cart"], window="90d"),
         "conversion_rate_view_or_cart_to_purchase_within_7d_90d"),
        (cm.ConversionRate(event_type="view", channel="web", to="cart", within="30m", on="item_id"),
         "conversion_rate_view_web_to_cart_within_30m_on_item_id"),
        (cm.Ratio(cm.Sum("amount"), cm.Count(window="30d")), "sum_amount_per_count_30d"),
    ],
)  # fmt: skip
def test_names_are_made_from_the_definition(feature: Any, name: str) -> None:
    assert feature.name == name


EXAMPLES: list[tuple[Any, dict[str, float | None]]] = [
    # By time anna has the orders {10, 20} and {30}; by number {10} and {20, 30}.
    (cm.Basket(stat="orders", **BOUGHT), {"anna": 2, "ben": 1, "cleo": 0}),
    (cm.Basket(stat="lines", **BOUGHT), {"anna": 3 / 2, "ben": 1, "cleo": None}),
    (cm.Basket(stat="items", **BOUGHT), {"anna": (1 + 1) / 2, "ben": 1, "cleo": None}),
    (cm.Basket(stat="value", **BOUGHT), {"anna": (10 + 20 + 30) / 2, "ben": -5, "cleo": None}),
    (cm.Basket(stat="orders", order="invoice"), {"anna": 2, "ben": 0, "cleo": 0}),
    (cm.Basket(stat="lines", order="invoice"), {"anna": 3 / 2, "ben": None, "cleo": None}),
    (cm.Basket(stat="items", order="invoice"), {"anna": (1 + 2) / 2, "ben": None, "cleo": None}),
    (cm.Basket(stat="value", order="invoice", channel="web"), {"anna": (10 + 20) / 2, "ben": None, "cleo": None}),
    # A view is a line without amount, and cleo's has no item.
    (cm.Basket(stat="value", event_type="view"), {"anna": 0, "ben": 0, "cleo": 0}),
    (cm.Basket(stat="items", event_type="view"), {"anna": 1, "ben": 1, "cleo": 0}),
    (cm.ReturnRate(**BOUGHT), {"anna": 1 / 3, "ben": 0, "cleo": None}),
    (cm.ReturnRate("amount", **BOUGHT), {"anna": 15 / 60, "ben": 0, "cleo": None}),
    (cm.ReturnRate(**BOUGHT, channel="web"), {"anna": 0 / 2, "ben": 0, "cleo": None}),
    (cm.ReturnRate("amount", returned=None, event_type=["purchase", "return"]),
     {"anna": 15 / 60, "ben": None, "cleo": None}),
    (cm.ConversionRate(event_type="view"), {"anna": 1 / 2, "ben": 1 / 2, "cleo": 0}),
    (cm.ConversionRate(event_type="view", within="8d"), {"anna": 1 / 2, "ben": 2 / 2, "cleo": 0}),
    (cm.ConversionRate(event_type="view", within="8d", on="item_id"), {"anna": 1 / 2, "ben": 1 / 2, "cleo": 0}),
    (cm.ConversionRate(event_type="view", to="return", within="2d"), {"anna": 1 / 2, "ben": 0, "cleo": 0}),
    (cm.ConversionRate(event_type="return", window="7d"), {"anna": 0, "ben": None, "cleo": None}),
    (cm.Ratio(cm.Sum("amount", **BOUGHT), cm.Count(**BOUGHT)), {"anna": 60 / 3, "ben": -5, "cleo": None}),
    (cm.Ratio(cm.Count(**BOUGHT), cm.Count()), {"anna": 3 / 6, "ben": 1 / 3, "cleo": 0}),
    (cm.Ratio(cm.Count(), cm.Recency(**BOUGHT)), {"anna": 6 / 7, "ben": 3, "cleo": None}),
]  # fmt: skip


@pytest.mark.parametrize(("feature", "expected"), EXAMPLES, ids=lambda value: getattr(value, "name", ""))
def test_worked_examples(log: cm.InteractionLog, feature: Any, expected: dict[str, float | None]) -> None:
    table = cm.build_features(log, [feature], NOON + 8 * DAY).droplevel("as_of")
    actual = {who: None if pd.isna(value) else float(value) for who, value in table[feature.name].items()}
    assert actual == expected


def test_what_follows_after_the_cutoff_is_not_seen(log: cm.InteractionLog) -> None:
    rate = cm.ConversionRate(event_type="view", within="30d")
    at = cm.build_features(log, [rate], [NOON + 7 * DAY, NOON + 7 * DAY + pd.Timedelta(microseconds=1)])
    assert at.loc["ben"][rate.name].tolist() == [0.0, 1.0]


def test_a_ratio_is_a_definition_of_definitions() -> None:
    ratio = cm.Ratio(cm.Count(event_type="purchase"), cm.Ratio(cm.Sum("amount"), cm.Count()))
    assert cm.from_data(cm.to_data(ratio)) == ratio
    assert cm.to_data(cm.Ratio(cm.Count(), cm.Recency())) == {
        "Ratio": {"numerator": {"Count": {}}, "denominator": {"Recency": {}}}
    }
    assert repr(ratio) == "Ratio(Count(event_type='purchase'), Ratio(Sum('amount'), Count()))"


def of_log(log: cm.InteractionLog, feature: Any) -> None:
    cm.build_features(log, [feature], NOON + 8 * DAY)


REFUSED = [
    (lambda log: cm.Basket(stat="size"),
     "Basket: stat must be 'lines', 'items', 'value' or 'orders', not 'size'. Use stat='lines'."),
    (lambda log: cm.Basket(order=7), "Basket: order must be the name of an attribute, not 7. Use order='order_id'."),
    (lambda log: of_log(log, cm.Basket(order="invoic")),
     "Basket(order='invoic'): the log has no 'invoic'. Did you mean 'invoice'? It has: 'customer_id', 'timestamp', "
     "'event_type', 'item_id', 'amount', 'channel', 'invoice'."),
    (lambda log: cm.ReturnRate(),
     "ReturnRate: without event_type it is not known what was bought. Use ReturnRate(event_type='purchase')."),
    (lambda log: cm.ReturnRate(event_type="purchase", returned=None),
     "ReturnRate: returned=None takes negative values for returns, and no column is given. "
     "Use ReturnRate('amount', returned=None, event_type='purchase')."),
    (lambda log: cm.ReturnRate(event_type="purchase", returned=[]),
     "ReturnRate: returned must be a text or a list of texts, not (). Use returned='return'."),
    (lambda log: of_log(log, cm.ReturnRate(event_type="purchase", returned="refund")),
     "ReturnRate(returned='refund', event_type='purchase'): event type 'refund' never occurs in the log. "
     "Did you mean 'return'? It has: 'view' (5), 'purchase' (4), 'return' (1)."),
    (lambda log: of_log(log, cm.ReturnRate("item_id", event_type="purchase")),
     "ReturnRate(column='item_id', event_type='purchase'): 'item_id' is text, not a number. "
     "Use NUnique('item_id') or Latest('item_id'), or a column of numbers."),
    (lambda log: cm.ConversionRate(to="purchase"),
     "ConversionRate: without event_type it is not known what converts. "
     "Use ConversionRate(event_type='view', to='purchase')."),
    (lambda log: cm.ConversionRate(event_type="view", to=None),
     "ConversionRate: to must be a text or a list of texts, not None. Use to='purchase'."),
    (lambda log: cm.ConversionRate(event_type=["view", "purchase"]),
     "ConversionRate: 'purchase' is in event_type and in to, and would follow itself. Leave it out of one of them, "
     "or use TimeTo(nth=2, event_type='purchase') for what is done again."),
    (lambda log: cm.ConversionRate(event_type="view", within="1 week"),
     "ConversionRate: within '1 week' is not a duration. Use '1w'."),
    (lambda log: cm.ConversionRate(event_type="view", on=""),
     "ConversionRate: on must be the name of a role or attribute, not ''. Use on='item_id'."),
    (lambda log: cm.Ratio("count", cm.Count()),
     "Ratio: numerator must be a feature, not 'count'. Use numerator=Count(window='90d')."),
    (lambda log: of_log(log, cm.Ratio(cm.Latest("channel"), cm.Count())),
     "Ratio(Latest('channel'), Count()): Latest('channel') is text, which cannot be divided. "
     "Use a feature that is a number, for example NUnique('channel')."),
    (lambda log: of_log(log, cm.Ratio(cm.Count(), cm.Count(event_type="veiw"))),
     "Ratio(Count(), Count(event_type='veiw')): event type 'veiw' never occurs in the log. Did you mean 'view'? "
     "It has: 'view' (5), 'purchase' (4), 'return' (1)."),
]  # fmt: skip


@pytest.mark.parametrize(("act", "message"), REFUSED)
def test_what_makes_no_sense_is_refused(log: cm.InteractionLog, act: Any, message: str) -> None:
    with pytest.raises(cm.CrmmlError) as caught:
        act(log)
    assert str(caught.value) == message

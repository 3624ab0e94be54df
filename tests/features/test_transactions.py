"""`transactions` and `discrete_transactions`: the oracle, the published summary, the cutoff, what is refused."""

import warnings
from bisect import bisect_right
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from tests.features.compare import agree, cells
from tests.features.mutants import Mutant, built_in
from tests.features.oracle_rows import DAY, Row, duration, history
from tests.features.oracle_transactions import discrete, transactions
from tests.features.strategies import (
    EPOCH,
    anchored,
    anchors,
    budget,
    log_of,
    logs,
    random_rows,
    stamp,
    unseen,
)

ZONES = ("UTC", "America/New_York", None)
UNITS = ("7d", "1d", "12h")


def built(rows: list[Row], **options: Any) -> pd.DataFrame:
    """The table, without the word about values that are not positive."""
    zone = options.pop("zone")
    merge = {"merge": None} if zone is None else {"merge": "day", "timezone": zone}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return cm.transactions(log_of(rows), options.pop("as_of"), **merge, **options)


def differences(table: pd.DataFrame, expected: dict[Any, dict[str, Any]]) -> list[str]:
    actual = {who: values for (who, _), values in cells(table).items()}
    if actual.keys() != expected.keys():
        return [f"customers: {actual.keys() ^ expected.keys()}"]
    return [
        f"{who} {name}: {actual[who][name]!r}, expected {value!r}"
        for who, values in expected.items()
        for name, value in values.items()
        if not agree(actual[who][name], value)
    ]


def compared(rows: list[Row], *, event_type: Any, returns: Any, unit: str, zone: str | None) -> list[str]:
    """As of the epoch; with a later cutoff beside it, so that more is read than the first may see."""
    cutoffs = [stamp(EPOCH), stamp(EPOCH + 1)]
    table = built(rows, as_of=cutoffs, event_type=event_type, returns=returns, unit=unit, zone=zone)
    expected = transactions(rows, EPOCH, event_type=event_type, returns=returns, unit_us=duration(unit), zone=zone)
    return differences(table.loc[(slice(None), cutoffs[:1]), :], expected)


@budget(12, 3_000)
@given(st.data())
def test_transactions_equal_the_oracle(data: st.DataObject) -> None:
    rows = anchored(data.draw(logs([EPOCH])))
    event_type = data.draw(st.sampled_from((None, "view", ["view", "purchase"])))
    returns = data.draw(st.sampled_from((None, "return"))) if event_type is not None else None
    unit, zone = data.draw(st.sampled_from(UNITS)), data.draw(st.sampled_from(ZONES))
    assert compared(rows, event_type=event_type, returns=returns, unit=unit, zone=zone) == []


MANY = anchored(random_rows(Random(5), [EPOCH], customers=300, events=14))
# Only one line guards the cutoff where a log does not say when its events became known.
UNRECORDED = [{**row, "recorded_at": None} for row in MANY]
# Far apart, so that periods of weeks and months have something to tell.
WIDE = [{**row, "timestamp": EPOCH - (EPOCH - row["timestamp"]) * 30, "recorded_at": None} for row in MANY[:-8]]


@pytest.mark.parametrize("period", ["7d", "36h"])
def test_periods_of_one_length_end_at_the_cutoff(period: str) -> None:
    table = cm.discrete_transactions(log_of(anchored(WIDE)), stamp(EPOCH), event_type="purchase", periods=period)
    length = duration(period)
    expected = discrete(WIDE, EPOCH, event_type="purchase", period=lambda at: -((EPOCH - 1 - at) // length))
    assert differences(table, expected) == []
    assert table["n"].max() > 10


def test_periods_may_be_the_months_of_the_calendar() -> None:
    months = list(pd.date_range("2023-09-01", "2024-03-01", freq="MS", tz="UTC"))
    begins = [month.value // 1000 for month in months]
    as_of = pd.Timestamp("2024-03-09", tz="UTC")
    table = cm.discrete_transactions(log_of(anchored(WIDE)), as_of, event_type="purchase", periods=months)
    expected = discrete(WIDE, as_of.value // 1000, event_type="purchase", period=lambda at: bisect_right(begins, at))
    assert differences(table, expected) == []
    assert table["n"].max() > 3


def test_one_customer_by_hand() -> None:
    # Bought for 10 on March 1 (twice), for 20 and 30 on March 4, for 5 on March 8; sent back for 15 on March 6.
    at = ["2024-03-01 09:00", "2024-03-01 17:00", "2024-03-04", "2024-03-04 00:01", "2024-03-06", "2024-03-08 12:00"]
    frame = pd.DataFrame(
        {
            "who": "anna",
            "at": pd.to_datetime(at, format="mixed", utc=True),
            "kind": ["buy", "buy", "buy", "buy", "back", "buy"],
            "amount": [10.0, 10, 20, 30, -15, 5],
        }
    )
    log = cm.InteractionLog(frame, customer_id="who", timestamp="at", event_type="kind", amount="amount")
    days = cm.transactions(log, "2024-03-11", event_type="buy", returns="back", unit="1d")
    # Two days with purchases after the first; the last day that is seen is March 10.
    assert days.reset_index(drop=True).to_dict("list") == {"x": [2], "t_x": [7.0], "T": [9.0], "m_x": [40 / 2]}
    gross = cm.transactions(log, "2024-03-11", event_type="buy", unit="1d")
    assert gross["m_x"].tolist() == [55 / 2]
    exact = cm.transactions(log, "2024-03-11", event_type="buy", unit="1d", merge=None)
    assert exact.reset_index(drop=True).to_dict("list") == {
        "x": [4],
        "t_x": [7 + 3 / 24],
        "T": [10 - 9 / 24],
        "m_x": [(10 + 20 + 30 + 5) / 4],
    }
    # As of the last purchase it is not seen; a microsecond later it is, on a day that is not over.
    for later, x, T in ((0, 1, 7.0), (1, 2, 7.0)):
        cutoff = pd.Timestamp("2024-03-08 12:00", tz="UTC") + pd.Timedelta(later, unit="us")
        seen = cm.transactions(log, cutoff, event_type="buy", unit="1d")
        assert seen[["x", "T"]].to_numpy().tolist() == [[x, T]]


def test_several_cutoffs_are_each_of_them() -> None:
    cutoffs = [stamp(EPOCH), stamp(EPOCH + DAY)]
    options = {"event_type": "purchase", "returns": "return", "unit": "7d", "zone": "America/New_York"}
    both = built(MANY, as_of=cutoffs, **options)
    for cutoff in cutoffs:
        one = built(MANY, as_of=cutoff, **options)
        pd.testing.assert_frame_equal(both.loc[(slice(None), [cutoff]), :], one, check_exact=True)


@budget(6, 1_000)
@given(st.data())
def test_nothing_at_or_after_the_cutoff_is_seen(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(("int", "str")))
    past = history(data.draw(logs([EPOCH], kind=kind)), EPOCH)
    anchor = anchors("anchor" if kind == "str" else 0)
    futures = [data.draw(unseen(EPOCH, kind)) for _ in range(2)]
    one, other = (
        built([*past, *anchor, *future], as_of=stamp(EPOCH), event_type=["view", "purchase"], zone="UTC")
        for future in futures
    )
    pd.testing.assert_frame_equal(one, other, check_exact=True)


MUTANTS = [
    Mutant("cutoff: < becomes <=", r"(FROM coded WHERE at_us) <", r"\1 <="),
    Mutant("returns: not brought back", r'"event_type_code" = 1 OR "event_type_code" = 2', '"event_type_code" = 1'),
    Mutant("returns: purchases too", r"COUNT_IF\([^)]*\)( AS BIGINT\), 0\) AS bought)", r"COUNT(*)\1"),
    Mutant("value: of the first too", r"transactions_1\.moment > ", "transactions_1.moment >= "),
    Mutant("first: of returns", r"MIN\(\s*CASE WHEN bought > 0 THEN moment END\)", "MIN(moment)"),
    Mutant("value: of how many", r"transactions_1\.priced > 0", "TRUE"),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_the_oracle_finds_the_mutant(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    with built_in(mutant, monkeypatch):
        found = compared(UNRECORDED, event_type="purchase", returns="return", unit="7d", zone="UTC")
    assert found != []


def test_without_a_mutant_everything_agrees() -> None:
    for rows in (MANY, UNRECORDED):
        assert compared(rows, event_type="purchase", returns="return", unit="7d", zone="UTC") == []


def test_t_x_and_T_are_equal_to_the_last_bit_where_the_last_day_is_a_purchase() -> None:
    days = [f"2024-03-{day:02}" for day in (1, 2, 4, 7)]
    frame = pd.DataFrame({"who": range(4), "at": pd.to_datetime(days, utc=True)})
    last = frame.assign(at=pd.Timestamp("2024-03-10 23:59", tz="UTC"))
    log = cm.InteractionLog(pd.concat([frame, last]), customer_id="who", timestamp="at")
    table = cm.transactions(log, "2024-03-11")
    assert (table["t_x"] == table["T"]).all()
    assert table["m_x"].isna().all()  # the log has no amount


@pytest.mark.real
def test_cdnow_gives_the_published_likelihoods(shared_data: Path) -> None:
    log = cm.datasets.cdnow(shared_data / "cdnow" / "transactions_sample_1in10.parquet")
    table = cm.transactions(log, "1997-10-01")
    assert (len(table), int(table["x"].sum()), int((table["x"] > 0).sum())) == (2_357, 2_457, 946)
    assert cm.BGNBD().fit(table).log_likelihood_ == pytest.approx(-9582.4292, abs=1e-4)
    assert cm.GammaGamma().fit(table).log_likelihood_ == pytest.approx(-4055.92, abs=0.01)


def shop(*rows: tuple[str, str, float]) -> cm.InteractionLog:
    """A log of purchases and returns in March 2024: who, the day, the amount; returns are below zero."""
    frame = pd.DataFrame(rows, columns=["who", "at", "amount"])
    frame["kind"] = ["return" if amount < 0 else "purchase" for amount in frame["amount"]]
    frame["at"] = pd.to_datetime("2024-03-" + frame["at"], utc=True)
    return cm.InteractionLog(frame, customer_id="who", timestamp="at", event_type="kind", amount="amount")


SHOP = shop(("anna", "01", 5.0), ("anna", "03", 5.0), ("anna", "05", -9.0), ("ben", "02", 1.0), ("ben", "04", 0.0),
            ("carl", "02", 1.0), ("carl", "04", 7.0), ("dora", "06", 2.0))  # fmt: skip


def test_customers_who_returned_all_or_paid_nothing_are_counted() -> None:
    with pytest.warns(UserWarning, match="m_x of 0 or less") as caught:
        table = cm.transactions(SHOP, "2024-03-07", event_type="purchase", returns="return")
    assert [str(warning.message) for warning in caught] == [
        "transactions: 2 customers have a mean value m_x of 0 or less, of 3 with repeat transactions: they returned as "
        "much as they bought, or paid nothing. GammaGamma refuses them: fit it to table[table['m_x'] > 0]."
    ]
    assert table["m_x"].fillna(-99).tolist() == [5 - 9, 0, 7, -99]
    with pytest.warns(UserWarning, match="transactions: 1 customer has a mean value"):
        cm.transactions(SHOP, "2024-03-07", event_type="purchase")


def test_one_customer_with_thousands_of_purchases() -> None:
    minutes = pd.date_range("2024-03-01", "2024-03-06", freq="min", tz="UTC", inclusive="left")
    frame = pd.DataFrame({"who": "anna", "at": [*minutes, *minutes], "amount": 0.5})  # two lines to each order
    log = cm.InteractionLog(frame, customer_id="who", timestamp="at", amount="amount")
    orders = cm.transactions(log, "2024-03-06", merge=None, unit="1d")
    n = 5 * 24 * 60
    assert orders.to_numpy().tolist() == [[n - 1, 5 - 1 / (24 * 60), 5.0, 1.0]]
    days = cm.transactions(log, "2024-03-06", unit="1d")
    assert days.to_numpy().tolist() == [[4, 4.0, 4.0, 24 * 60 * 1.0]]


def test_all_purchases_on_one_day_leave_nothing_to_fit() -> None:
    log = shop(("anna", "01", 5.0), ("anna", "01", 6.0), ("ben", "01", 1.0))
    table = cm.transactions(log, "2024-03-02")
    assert table[["x", "t_x", "T"]].to_numpy().tolist() == [[0, 0, 0], [0, 0, 0]]
    with pytest.raises(cm.DataError) as caught:
        cm.BGNBD().fit(table)
    assert str(caught.value) == (
        "BGNBD.fit: column 'T' is 0 for every customer: all are seen on the day of their first purchase only, "
        "which says nothing about later ones. Give a later end of observation."
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cm.transactions(SHOP, "2024-03-07", merge="week"),
         "transactions: merge='week' is neither 'day' nor None. Use merge='day'."),
        (lambda: cm.transactions(SHOP, "2024-03-07", unit="1 week"),
         "transactions: unit '1 week' is not a duration. Use '1w'."),
        (lambda: cm.transactions(SHOP, "2024-03-07", timezone="Berlin"),
         "transactions: timezone 'Berlin' is not an IANA time zone. Did you mean 'Europe/Berlin'? "
         "Use a name like 'UTC' or 'Europe/Berlin'."),
        (lambda: cm.transactions(SHOP, "2024-03-07", returns="return"),
         "transactions: with returns='return', but without event_type, returns would count as purchases. "
         "Use event_type='purchase'."),
        (lambda: cm.transactions(SHOP, "2024-03-07", event_type=["purchase", "return"], returns="return"),
         "transactions: 'return' stands in event_type and in returns. Leave it out of one of them."),
        (lambda: cm.transactions(SHOP, "2024-03-07", event_type="purchas"),
         "transactions: event type 'purchas' never occurs in the log. Did you mean 'purchase'? "
         "It has: 'purchase' (7), 'return' (1)."),
        (lambda: cm.transactions(SHOP, "2024-03-07", column="revenue"),
         "transactions: the log has no 'revenue'. It has: 'customer_id', 'timestamp', 'event_type', 'amount'."),
        (lambda: cm.transactions(SHOP, "2024-03-07", column="event_type"),
         "transactions: 'event_type' is text, not a number. Use a column of numbers."),
        (lambda: cm.transactions(SHOP, "2024-03-05", event_type="return"),
         "transactions: nobody bought before as_of 2024-03-05. Use a later cutoff."),
        (lambda: cm.discrete_transactions(SHOP, "2024-03-07", periods=["2024-03-01", "2024-03-07"]),
         "discrete_transactions: the period that begins 2024-03-07 is not before as_of 2024-03-07, which ends the "
         "last one. Leave it out, or use a later cutoff."),
        (lambda: cm.discrete_transactions(SHOP, "2024-03-07", periods="month"),
         "discrete_transactions: periods 'month' is not a duration. Use a number and one of s, m, h, d, w, for "
         "example '30d', '8w' or '12h'."),
        (lambda: cm.transactions(SHOP, "2024-06-07"),
         "as_of 2024-06-07 is 93 days after the last event in the log (2024-03-06): every customer would look "
         "inactive only because the log stops. Use as_of <= 2024-03-07, a newer log, or say InteractionLog(..., "
         "observed_until=...) if the log is complete."),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(call: Any, words: str) -> None:
    with pytest.raises(cm.CrmmlError) as caught:
        call()
    assert str(caught.value) == words


def test_periods_follow_each_other_without_a_gap() -> None:
    """One purchase in each hour of ten days: whatever the period, a customer buys in all of them."""
    hours = pd.date_range("2024-03-01", "2024-03-11", freq="h", tz="UTC", inclusive="left")
    log = cm.InteractionLog(pd.DataFrame({"who": 1, "at": hours}), customer_id="who", timestamp="at")
    for period, n in (("1d", 9), ("2d", 4), ("3d", 3), ("5d", 1), ("30d", 0)):
        table = cm.discrete_transactions(log, "2024-03-11", periods=period)
        assert table.to_numpy().tolist() == [[n, n, n]], period

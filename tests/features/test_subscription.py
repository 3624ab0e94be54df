"""Subscriptions: the oracle, the future, mutants, the words of what is refused; contracts and their cohorts."""

from random import Random
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from crmml.features.contracts import Contract
from tests.features.compare import Named, cells, differences
from tests.features.mutants import Mutant, built_in
from tests.features.oracle_contracts import contract, labels
from tests.features.oracle_rows import DAY, Row, duration, history
from tests.features.strategies import (
    EPOCH,
    anchored,
    anchors,
    budget,
    log_of,
    random_rows,
    several_logs,
    some_cutoffs,
    stamp,
    unseen,
)

CUTOFFS = [EPOCH, EPOCH + 1]


def churn(horizon: str = "2d", term: str = "3d", pays: Any = "purchase", ended_by: Any = "return") -> Any:
    return cm.SubscriptionChurn(horizon, event_type=pays, active_within=term, ended_by=ended_by)


def label_differences(rows: list[Row], target: Any, cutoffs: list[int]) -> list[str]:
    expected = labels(rows, target, cutoffs)
    if not expected:
        with pytest.raises(cm.DataError, match="nobody is in the Subscribers"):
            cm.build_dataset(log_of(rows), [cm.Count()], target, [stamp(cutoff) for cutoff in cutoffs])
        return []
    data = cm.build_dataset(log_of(rows), [cm.Count()], target, [stamp(cutoff) for cutoff in cutoffs])
    return differences(cells(data.y.to_frame("y")), expected, [Named("y", target)])


targets = st.builds(
    churn,
    horizon=st.sampled_from(("1d", "2d", "1w")),
    term=st.sampled_from(("3d", "36h", "1w", "45s")),
    pays=st.sampled_from(("purchase", ["purchase"])),
    ended_by=st.sampled_from((None, "return", ["return", "view"])),
)


@budget(8, 3_000)
@given(st.data())
def test_populations_and_labels_equal_the_oracle(data: st.DataObject) -> None:
    cutoffs = data.draw(some_cutoffs(), label="cutoffs")
    rows = anchored(data.draw(several_logs(cutoffs, of=5), label="rows"))
    assert label_differences(rows, data.draw(targets, label="target"), cutoffs) == []


@budget(6, 1_000)
@given(st.integers(0, 2**32), some_cutoffs(), targets)
def test_labels_of_many_customers_equal_the_oracle(seed: int, cutoffs: list[int], target: Any) -> None:
    rows = anchored(random_rows(Random(seed), cutoffs, customers=200, events=12))
    assert label_differences(rows, target, cutoffs) == []


@budget(4, 1_000)
@given(st.data())
def test_no_subscriber_is_one_by_the_future(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(("int", "str")))
    past = history(data.draw(several_logs([EPOCH], of=3)), EPOCH)
    past = [row for row in past if isinstance(row["customer_id"], int) == (kind == "int")]
    anchor = anchors("anchor" if kind == "str" else 0)
    who = cm.Subscribers(event_type=["purchase", "view"], active_within="3d", ended_by="return")
    one, other = (
        cm.build_features(
            log_of([*past, *anchor, *data.draw(unseen(EPOCH, kind))]), [cm.Count()], stamp(EPOCH), population=who
        )
        for _ in range(2)
    )
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def calendar_rows(random: Random) -> list[Row]:
    """Payments and ends at midnights around the cutoff, some a microsecond beside, some known late: edges meet."""
    rows: list[Row] = []
    for customer in range(1, 501):
        for _ in range(random.randint(1, 7)):
            at = EPOCH + random.randint(-6, 8) * DAY + random.choice((-1, 0, 0, 0, 0, 1))
            kind = random.choice(("purchase", "purchase", "purchase", "return"))
            known = random.choice((None, None, None, at + DAY))
            rows.append({"customer_id": customer, "timestamp": at, "event_type": kind, "recorded_at": known})
    return rows


ROWS = anchored(calendar_rows(Random(3)))
UNRECORDED = [{**row, "recorded_at": None} for row in ROWS]
# A horizon shorter than the term, and a longer one; both end at a midnight.
PROMPT, LONG = churn("2d"), churn("5d")


def first_difference() -> str | None:
    """Of all logs and targets."""
    found = (label_differences(rows, target, CUTOFFS) for rows in (ROWS, UNRECORDED) for target in (PROMPT, LONG))
    return next((line for lines in found for line in lines), None)


TERM = duration("3d")
PAID, ENDED = (rf'MIN\(CASE WHEN "event_type_code" = {code} THEN age_us END\)' for code in (1, 2))

MUTANTS = [
    Mutant("population: term <= becomes <", rf"({PAID}) <= ", r"\1 < "),
    Mutant("population: term forgotten", rf"({PAID}) <= {TERM}", r"\1 >= 0"),
    Mutant("population: an end at the moment of a payment does not end", rf"({ENDED}) > ", r"\1 >= "),
    Mutant("population: ends forgotten", rf"{ENDED} > {PAID}", "TRUE"),
    Mutant("outcome: what became known late is not read", rf"ahead_us >= -{TERM}", "ahead_us >= 0"),
    Mutant("horizon: end < becomes <=", r"ahead_us < (\d\d+)", r"ahead_us <= \1"),
    Mutant("lapse: between two payments forgotten", rf"COALESCE\(longest_us, 0\) > {TERM}", "FALSE"),
    Mutant("lapse: between two, > becomes >=", rf"(COALESCE\(longest_us, 0\)) > {TERM}", rf"\1 >= {TERM}"),
    Mutant("lapse: after the last forgotten", rf"\d+ - renewed_1\.last_us > {TERM}", "FALSE"),
    Mutant("lapse: after the last, > becomes >=", rf"(renewed_1\.last_us) > {TERM}", rf"\1 >= {TERM}"),
    Mutant("end: before the cutoff counts", r"COUNT_IF\(ahead_us >= 0\)", "COUNT(*)"),
    Mutant("end: at the cutoff does not count", r"COUNT_IF\(ahead_us >= 0", "COUNT_IF(ahead_us > 0"),
    Mutant("end: forgotten", r"ended_1\.n > 0", "FALSE"),
    Mutant("end: known late, forgotten", r"ended_1\.ended_us >= renewed_1\.paid_us", "FALSE"),
]


def test_without_a_mutant_everything_agrees() -> None:
    assert first_difference() is None


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_the_oracle_finds_the_mutant(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    with built_in(mutant, monkeypatch):
        found = first_difference()
    assert found is not None


def contract_differences(rows: list[Row], cutoffs: list[int], ended_by: Any) -> list[str]:
    table = cm.contracts(
        log_of(rows), [stamp(cutoff) for cutoff in cutoffs], event_type="purchase", term="3d", ended_by=ended_by
    )
    table["started"] = table["started"].astype("datetime64[us, UTC]").astype("int64")
    expected = {
        (who, as_of): found
        for who in {row["customer_id"] for row in rows}
        for as_of in cutoffs
        if (found := contract([row for row in rows if row["customer_id"] == who], "purchase", ended_by, TERM, as_of))
    }
    definition = Contract(event_type="purchase", ended_by=ended_by, term_us=TERM)
    named = [Named(column, definition) for column in ("t", "churned", "started")]
    return differences(cells(table), expected, named)


@budget(6, 2_000)
@given(st.data())
def test_contracts_equal_the_oracle(data: st.DataObject) -> None:
    rows = anchored(data.draw(several_logs([EPOCH], of=5)))
    buys = {"customer_id": "b" if isinstance(rows[0]["customer_id"], str) else 77, "timestamp": EPOCH - DAY}
    rows = [*rows, {**rows[-1], **buys, "event_type": "purchase", "recorded_at": None}]
    assert contract_differences(rows, [EPOCH], data.draw(st.sampled_from((None, "return", ["view", "return"])))) == []


@pytest.mark.parametrize(
    "mutant",
    [
        Mutant("term: <= becomes <", rf"\) <= {TERM}", rf") < {TERM}"),
        Mutant("an end does not end", r"paid_before = 1", "TRUE"),
        Mutant("order: the end comes first", r"pays DESC", "pays"),
        Mutant("the first contract instead of the newest", r"MIN\((CASE WHEN pays = 1 AND NOT)", r"MAX(\1"),
        Mutant("all payments ever", r"age_us <= began_us", "TRUE"),
    ],
    ids=str,
)
def test_the_oracle_finds_the_mutant_in_contracts(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    assert contract_differences(UNRECORDED, CUTOFFS, "return") == []
    with built_in(mutant, monkeypatch):
        found = contract_differences(UNRECORDED, CUTOFFS, "return")
    assert found != []


TERMS = {"event_type": ["start", "renewal"], "active_within": "31d"}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cm.SubscriptionChurn("60d", active_within="31d"),
         "SubscriptionChurn: without event_type it is not known what pays for a term. "
         "Use event_type=['start', 'renewal']."),
        (lambda: cm.SubscriptionChurn("60d", event_type="start"),
         "SubscriptionChurn: without active_within it is not known how long a payment lasts. Use active_within='31d'."),
        (lambda: cm.SubscriptionChurn("60d", **TERMS, gap="7d"),
         "SubscriptionChurn: with gap='7d', who leaves before the horizon begins belongs to neither class. "
         "Leave gap out."),
        (lambda: cm.SubscriptionChurn("60d", **TERMS, ended_by=["renewal", "cancel"]),
         "SubscriptionChurn: 'renewal' stands in event_type and in ended_by. Leave it out of one of them."),
        (lambda: cm.Subscribers(active_within="31d"),
         "Subscribers: without event_type it is not known what pays for a term. Use event_type=['start', 'renewal']."),
        (lambda: cm.contracts(log_of(ROWS), stamp(EPOCH), event_type="purchase", term="month"),
         "contracts: term 'month' is not a duration. Use a number and one of s, m, h, d, w, for example '30d', '8w' "
         "or '12h'."),
        (lambda: cm.contracts(log_of(ROWS), stamp(EPOCH), event_type="purchase", term="31d", ended_by="purchase"),
         "contracts: 'purchase' stands in event_type and in ended_by. Leave it out of one of them."),
        (lambda: cm.survivors(pd.DataFrame(), cohorts="week"),
         "survivors: cohorts='week' is none of month, quarter, year. Use cohorts='month'."),
        (lambda: cm.build_dataset(log_of(ROWS), [cm.Count()], cm.SubscriptionChurn("500d", **{**TERMS, "event_type":
            "purchase"}), stamp(EPOCH)),
         "as_of 2024-03-10 + horizon 500d ends 2025-07-23, after the last event in the log (2025-04-14): subscriptions "
         "would be labelled as ended only because the log stops. Use as_of <= 2023-12-01."),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(call: Any, words: str) -> None:
    with pytest.raises(cm.CrmmlError) as caught:
        call()
    assert str(caught.value) == words


def test_spark_labels_the_same_subscribers(spark: Any) -> None:
    cutoffs = [stamp(cutoff) for cutoff in CUTOFFS]
    for target in (PROMPT, LONG):
        data = cm.build_dataset(log_of(ROWS), [cm.Count()], target, cutoffs, engine=cm.SparkEngine(spark))
        assert differences(cells(data.y.to_frame("y")), labels(ROWS, target, CUTOFFS), [Named("y", target)]) == []

"""The lifecycle: the engine says what plain Python says, as of that day, whatever came after and whoever else."""

import re
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import crmml as cm
from tests.features.oracle_rows import DAY, Row
from tests.features.strategies import EPOCH, anchored, budget, log_of, logs, several_logs, some_cutoffs, stamp
from tests.features.test_future_invariance import two_futures
from tests.insight import oracle_lifecycle as oracle

RULES = cm.Lifecycle("2d", event_type=["purchase", "view"], late_after=1.5, lost_after=3.0)
START = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


def log_with(**days: list[float]) -> cm.InteractionLog:
    """A log of customers with purchases on these days of 2024 (0 is the first of January), complete for three years."""
    rows = [(name, stamp(START + round(day * DAY))) for name, each in days.items() for day in each]
    frame = pd.DataFrame(rows, columns=["who", "when"])
    return cm.InteractionLog(frame, customer_id="who", timestamp="when", observed_until="2027-01-01")


def stage_of(days: list[float], as_of: float, rules: cm.Lifecycle | None = None, **given: Any) -> str:
    rules = rules or cm.Lifecycle("10d")
    found = cm.build_lifecycle(log_with(anna=days), rules, stamp(START + round(as_of * DAY)), **given)
    return str(found["segment"].item())


def test_the_stages_of_a_life() -> None:
    """Ten days between visits: late after 30, lost after 60; the day of the cutoff itself is not over."""
    steady = [0, 10, 20, 30]
    at = {
        # cutoff: visits before it -> stage
        1: "acquired",
        30: "developing",  # three visits; the fourth is at the cutoff, and not seen
        31: "maintained",
        60: "maintained",  # 29 whole days of silence: 31 to 59
        61: "declining",  # 30
        90: "declining",
        91: "lost",  # 60
    }
    assert {cutoff: stage_of(steady, cutoff) for cutoff in at} == at


def test_a_customer_who_comes_back_is_won_back_until_settled() -> None:
    back = [0, 10, 20, 30, 130, 140, 150]
    # The return, one more visit; the third is settled: it is not below settled_after=3.
    assert [stage_of(back, cutoff) for cutoff in (131, 141, 151)] == ["won back", "won back", "maintained"]
    # The long silence does not become the rhythm: of gaps 10, 10, 10, 100, 10, 10 the median is 10.
    found = cm.build_lifecycle(log_with(anna=back), cm.Lifecycle("10d"), stamp(START + 151 * DAY))
    assert found["rhythm"].item() == 10


def test_the_typical_gap_counts_as_one_gap() -> None:
    found = cm.build_lifecycle(log_with(anna=[0], ben=[0, 4], carl=[0, 4, 10, 14]), cm.Lifecycle("10d"), "2024-01-20")
    assert found["rhythm"].tolist() == [10, (4 + 10) / 2, (3 * 4 + 10) / 4]


def test_days_with_several_events_are_one_visit() -> None:
    found = cm.build_lifecycle(log_with(anna=[0, 0.25, 0.5, 3]), cm.Lifecycle("10d"), "2024-01-20")
    assert found[["visits", "silence"]].to_numpy().tolist() == [[2, 15]]  # the 5th to the 19th


def test_p_alive_decides_where_it_is_given() -> None:
    rows = {"customer_id": ["anna"], "as_of": stamp(START + 31 * DAY), "p_alive": [0.6]}
    table = pd.DataFrame(rows)
    steady = [0, 10, 20, 30]
    for alive, stage in {
        0.6: "maintained",
        0.5: "maintained",
        0.4: "declining",
        0.1: "declining",
        0.05: "lost",
    }.items():
        assert stage_of(steady, 31, p_alive=table.assign(p_alive=alive)) == stage
    # Missing for this customer, or missing as a number: the rhythm decides, here and for the silence.
    assert stage_of(steady, 31, p_alive=table.assign(customer_id="ben")) == "maintained"
    assert stage_of(steady, 31, p_alive=pa.Table.from_pandas(table.assign(p_alive=float("nan")))) == "maintained"


@budget(25, 500)
@given(st.data())
def test_the_engine_says_what_plain_python_says(data: st.DataObject) -> None:
    cutoffs = data.draw(some_cutoffs())
    rows = anchored(data.draw(several_logs(cutoffs, of=4)))
    found = cm.build_lifecycle(log_of(rows), RULES, [stamp(cutoff) for cutoff in cutoffs])
    assert found.index.equals(pd.RangeIndex(len(found)))
    expected = {
        (customer, stamp(cutoff)): result
        for cutoff in cutoffs
        for customer, result in oracle.stages(rows, RULES, cutoff).items()
    }
    shown = ["segment", "visits", "silence", "rhythm"]
    assert {
        (row.customer_id, row.as_of): tuple(getattr(row, n) for n in shown) for row in found.itertuples()
    } == expected


@budget(12, 500)
@given(two_futures())
def test_no_stage_sees_the_future(futures: tuple[list[Row], list[Row]]) -> None:
    first, second = (cm.build_lifecycle(log_of(rows), RULES, stamp(EPOCH)) for rows in futures)
    pd.testing.assert_frame_equal(first, second, check_exact=True)


@budget(8, 300)
@given(logs([EPOCH], kind="int"), logs([EPOCH], kind="int"))
def test_other_customers_change_nobodys_stage(mine: list[Row], others: list[Row]) -> None:
    others = [{**row, "customer_id": row["customer_id"] + 5000} for row in others]
    alone = cm.build_lifecycle(log_of(anchored(mine)), RULES, stamp(EPOCH))
    among = cm.build_lifecycle(log_of(anchored([*mine, *others])), RULES, stamp(EPOCH))
    # The anchor is a customer of both.
    kept = among[~among["customer_id"].isin([row["customer_id"] for row in others])].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, kept, check_exact=True)


GAPS = st.lists(st.integers(1, 90), min_size=1, max_size=8)


@given(GAPS, st.integers(1, 400))
def test_who_is_lost_and_comes_back_is_won_back(gaps: list[int], silence: int) -> None:
    """The law behind the rule, on the oracle, which the engine agrees with."""
    days = [sum(gaps[:place]) for place in range(len(gaps) + 1)]
    rules = cm.Lifecycle("10d")
    before, *_ = oracle.stage(days, rules, days[-1] + silence)
    after, *_ = oracle.stage([*days, days[-1] + silence], rules, days[-1] + silence)
    assert (before == "lost") <= (after == "won back")


def test_learn_takes_the_median_of_medians() -> None:
    log = log_with(anna=[0], ben=[0, 4, 8], carl=[0, 7], dora=[0, 30, 32, 62])
    assert cm.Lifecycle.learn(log, "2024-06-01") == cm.Lifecycle("7d")  # of 4, 7 and 30 (of 2, 30, 30)


def test_rules_survive_yaml() -> None:
    assert cm.from_data(cm.load_yaml(cm.dump_yaml(RULES))) == RULES


LOG = log_with(anna=[0, 10])
REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "a month": (
        lambda: cm.Lifecycle("1 month"),
        cm.ConfigError,
        "Lifecycle: typical_gap '1 month' is not a duration: months and years differ in length. Use days: '30d'.",
    ),
    "hours": (
        lambda: cm.Lifecycle("12h"),
        cm.ConfigError,
        "Lifecycle: typical_gap '12h' is below a day. Use a longer one: '1d'.",
    ),
    "the wrong order": (
        lambda: cm.Lifecycle("30d", lost_after=2),
        cm.ConfigError,
        "Lifecycle: late_after=3.0 is not below lost_after=2: nobody would be declining. Use for example "
        "late_after=3.0, lost_after=6.0.",
    ),
    "probabilities in the wrong order": (
        lambda: cm.Lifecycle("30d", lost_below=0.5),
        cm.ConfigError,
        "Lifecycle: lost_below=0.5 is not below declining_below=0.5: nobody would be declining. Use for example "
        "declining_below=0.5, lost_below=0.1.",
    ),
    "no multiple": (
        lambda: cm.Lifecycle("30d", late_after=0),
        cm.ConfigError,
        "Lifecycle: late_after is 0. Use a finite number above 0, such as 3.0.",
    ),
    "a probability above 1": (
        lambda: cm.Lifecycle("30d", declining_below=1.5),
        cm.ConfigError,
        "Lifecycle: declining_below is 1.5. Use a finite number above 0 and below 1, such as 0.5.",
    ),
    "one visit": (
        lambda: cm.Lifecycle("30d", settled_after=1),
        cm.ConfigError,
        "Lifecycle: settled_after is 1. Use a number of visits from 2 on, such as 3.",
    ),
    "no event type": (
        lambda: cm.Lifecycle("30d", event_type=[]),
        cm.ConfigError,
        "Lifecycle: event_type must be a text or a list of texts, not (). Use event_type='purchase'.",
    ),
    "rules in other words": (
        lambda: cm.build_lifecycle(LOG, "30d", "2024-03-01"),
        cm.ConfigError,
        "build_lifecycle: rules is '30d'. Use for example Lifecycle('30d', event_type='purchase').",
    ),
    "a log without types": (
        lambda: cm.build_lifecycle(LOG, cm.Lifecycle("30d", event_type="purchase"), "2024-03-01"),
        cm.SchemaError,
        "build_lifecycle: the log has no event_type. Say which column plays it: "
        "InteractionLog(..., event_type='column').",
    ),
    "one visit each": (
        lambda: cm.Lifecycle.learn(log_with(anna=[0]), "2024-03-01"),
        cm.DataError,
        "Lifecycle.learn: nobody has visits on two days before the cutoff. Use a later as_of, or say the gap: "
        "Lifecycle('30d').",
    ),
    "no probability": (
        lambda: stage_of([0], 9, p_alive=pd.DataFrame({"customer_id": ["anna"], "as_of": "2024-01-10", "p_alive": 7})),
        cm.DataError,
        "build_lifecycle: p_alive has the value 7. Give probabilities, from 0 to 1.",
    ),
    "probabilities under another name": (
        lambda: stage_of([0], 9, p_alive=pd.DataFrame({"customer_id": ["anna"], "as_of": "2024-01-10", "alive": 0.7})),
        cm.SchemaError,
        "build_lifecycle: p_alive has no column 'p_alive'. It has: 'customer_id', 'as_of', 'alive'.",
    ),
    "two probabilities": (
        lambda: stage_of(
            [0], 9, p_alive=pd.DataFrame({"customer_id": ["anna"] * 2, "as_of": "2024-01-10", "p_alive": 0.7})
        ),
        cm.DataError,
        "build_lifecycle: p_alive has two rows for customer 'anna' as of 2024-01-10. Keep one.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused(name: str) -> None:
    make, error, message = REFUSED[name]
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        make()


def test_an_event_type_that_never_occurs_is_refused() -> None:
    log = cm.simulate_log(50, seed=1).log
    with pytest.raises(cm.ConfigError) as caught:
        cm.build_lifecycle(log, cm.Lifecycle("30d", event_type="purchse"), "2024-06-01")
    message = "build_lifecycle: event type 'purchse' never occurs in the log. Did you mean 'purchase'? It has: "
    assert str(caught.value).startswith(message)

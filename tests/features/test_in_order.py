"""Tables in order of customer and time: a shorter text gives the same bits, where the order holds and only there."""

from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from sqlglot import exp

import crmml as cm
from crmml.data.engine import Engine
from crmml.features import kept
from crmml.features.in_order import is_in_order
from crmml.features.plan import Text
from crmml.features.table import Table
from tests.features.compare import cells, differences
from tests.features.oracle import build
from tests.features.oracle_rows import DAY
from tests.features.same_bits import differing
from tests.features.strategies import EPOCH, EVIL, anchored, log_of, random_rows, stamp

FEATURES = cm.FeatureSet(
    [
        cm.Gap(stat="std"),
        cm.Gap(stat="last", event_type="purchase", window="1w"),
        cm.Sessions(window="3d"),
        cm.DaysActive(window="1w"),
        cm.TimeTo(nth=3),
        cm.Streak(every="1d"),
        cm.Streak(every="2d", stat="longest", event_type="view"),
        cm.Basket(stat="items"),
    ]
)
CUTOFF = (stamp(EPOCH + DAY),)
ROWS = anchored(random_rows(Random(9), [EPOCH], customers=60, events=12))
NAMED = [{**row, "customer_id": (*EVIL, *map(str, range(100)))[row["customer_id"]]} for row in ROWS]
LOGS = {"numbers": log_of(ROWS), "texts": log_of(NAMED)}


@pytest.fixture(autouse=True)
def engine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine answers everything, also what one pass over the events would."""
    monkeypatch.setattr(kept, "program_of", lambda text: None)


def order_of(rows: list[tuple[Any, int]]) -> bool:
    """What the engine says of the order of (customer, time)."""
    engine = Engine()
    customers, times = [row[0] for row in rows], [row[1] for row in rows]
    kind = pa.string() if customers and isinstance(customers[0], str) else pa.int64()
    engine.register("kept", pa.table({"customer_id": pa.array(customers, kind), "at_us": pa.array(times, pa.int64())}))
    return bool(engine.row(is_in_order("kept"))["in_order"])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], True),
        ([(7, 3)], True),
        ([(1, 5), (1, 5), (1, 6), (2, 0)], True),  # two at one moment; each customer's time starts anew
        ([(1, 5), (1, 4)], False),
        ([(2, 5), (1, 6)], False),
        ([(1, 5), (2, 6), (1, 7)], False),  # in order of time, but not customer by customer
        ([("a", 2), ("b", 1), ("é", 0)], True),
        ([("b", 1), ("a", 2)], False),
    ],
)
def test_the_order_of_customers_and_times(rows: list[tuple[Any, int]], expected: bool) -> None:
    assert order_of(rows) is expected


def test_one_late_row_among_many() -> None:
    """The order is looked at across the parts in which an engine reads a table."""
    times = list(range(500_000))
    assert order_of([(1, time) for time in times])
    times[300_000], times[300_001] = times[300_001], times[300_000]
    assert not order_of([(1, time) for time in times])


def texts(monkeypatch: pytest.MonkeyPatch, table: Table) -> str:
    """What the engine is asked for the rows of `table`."""
    asked: list[str] = []
    original = Engine.arrow

    def arrow(engine: Engine, query: Any) -> pa.Table:
        asked.append(str(query))
        return original(engine, query)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "arrow", arrow)
        table.arrow()
    return next(text for text in asked if "history AS" in text)


@pytest.mark.parametrize("ids", LOGS)
def test_a_look_at_the_row_before_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch, ids: str) -> None:
    table = Table(LOGS[ids], FEATURES, CUTOFF)
    looked = table.arrow()
    monkeypatch.setattr(kept, "looking_back", lambda query: query)
    assert differing(looked, table.arrow()) == []


def test_only_windows_over_the_history_become_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    text = texts(monkeypatch, Table(LOGS["numbers"], FEATURES, CUTOFF))
    assert "LAG(age_us, 2) OVER ()" in text
    assert "LAG(customer_id, 2) OVER () = customer_id" in text
    assert "ORDER BY age_us" not in text
    # Leaving out rows leaves the order: the starts of runs look at the start before.
    assert "LAG(period) OVER ()" in text
    assert "PARTITION BY" not in text


def test_where_the_order_is_gone_the_windows_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(LOGS["numbers"], FEATURES, CUTOFF)
    whole = table.arrow()
    monkeypatch.setattr(kept, "sorted_by_customer_and_time", lambda query: query.order_by("at_us DESC"))
    assert differing(table.arrow(), whole) == []


def test_a_wrong_answer_about_the_order_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: a table that is said to be in order and is not."""
    yes = "SELECT TRUE AS in_order"
    monkeypatch.setattr(kept, "sorted_by_customer_and_time", lambda query: query.order_by("at_us DESC"))
    monkeypatch.setattr(kept, "is_in_order", lambda table: yes)
    frame = Table(LOGS["numbers"], FEATURES, CUTOFF).frame()
    assert differences(cells(frame), build(ROWS, list(FEATURES), [EPOCH + DAY]), list(FEATURES))


def test_a_prepared_log_stands_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = LOGS["texts"]
    prepared = log.prepare(tmp_path, buckets=3)
    table = Table(prepared, FEATURES, CUTOFF)
    assert "LAG(age_us) OVER ()" in texts(monkeypatch, table)
    assert differing(table.arrow(), Table(log, FEATURES, CUTOFF).arrow()) == []


def test_files_share_a_text_where_they_stand_in_the_same_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The text is written once, and once more for a file whose order is gone."""
    log = LOGS["texts"]
    prepared = log.prepare(tmp_path, buckets=3)
    expected = Table(log, FEATURES, CUTOFF).arrow()
    answers = iter(["TRUE", "FALSE", "TRUE"])
    monkeypatch.setattr(kept, "is_in_order", lambda table: f"SELECT {next(answers)} AS in_order")
    written: list[bool] = []
    original = Text.from_coded

    def from_coded(text: Text, rows: exp.Select) -> exp.Select:
        written.append(True)
        return original(text, rows)

    monkeypatch.setattr(Text, "from_coded", from_coded)
    asked: list[str] = []
    arrow = Engine.arrow

    def ask(engine: Engine, query: Any) -> pa.Table:
        asked.append(str(query))
        return arrow(engine, query)

    monkeypatch.setattr(Engine, "arrow", ask)
    assert differing(Table(prepared, FEATURES, CUTOFF).arrow(), expected) == []
    of_shares = ["PARTITION BY" in text for text in asked if "history AS" in text]
    assert (of_shares, len(written)) == ([False, True, False], 2)


def test_labels_and_several_cutoffs(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = (CUTOFF[0] - pd.Timedelta(days=1), *CUTOFF)
    target = cm.Churn("1d", event_type="purchase")
    table = Table(LOGS["numbers"], FEATURES, moments, target.population, target)
    looked = table.arrow()
    monkeypatch.setattr(kept, "looking_back", lambda query: query)
    assert differing(looked, table.arrow()) == []

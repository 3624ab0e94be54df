"""A log in its roles: zones, ids, CSV, cleaning, the closed engine."""

import copy
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import crmml as cm
from crmml.data.engine import Engine, EngineError

FRAME = pd.DataFrame(
    {
        "u": [1, 1, 2, 2],
        "t": pd.to_datetime(["2024-01-01", "2024-01-01", "2024-02-01", "2024-02-02"], utc=True),
        "k": ["purchase", "purchase", "view", None],
        "a": [10.0, 10.0, None, -3.0],
        "sku": ["12345", "12345", "POST", "54321A"],
    }
)


def log_of(source: Any = FRAME, **roles: Any) -> cm.InteractionLog:
    mapping = {"customer_id": "u", "timestamp": "t", "event_type": "k", "amount": "a", "item_id": "sku"}
    return cm.InteractionLog(source, **{**mapping, **roles})


def times(log: cm.InteractionLog) -> list[datetime]:
    found: list[datetime] = log.events(["timestamp"]).column("timestamp").to_pylist()
    return sorted(found)


def test_naive_times_are_read_in_the_zone_that_the_log_names() -> None:
    naive = FRAME.assign(t=pd.to_datetime(["2024-01-01 00:30", "2024-07-01 00:30"] * 2, format="%Y-%m-%d %H:%M"))
    berlin = times(log_of(naive, timezone="Europe/Berlin"))
    # One hour ahead of UTC in winter, two in summer.
    assert berlin[0] == datetime(2023, 12, 31, 23, 30)
    assert berlin[2] == datetime(2024, 6, 30, 22, 30)
    assert times(log_of(naive, timezone="UTC"))[0] == datetime(2024, 1, 1, 0, 30)


def test_a_zone_in_the_data_wins_over_the_zone_of_the_log() -> None:
    assert times(log_of(timezone="Asia/Tokyo")) == times(log_of())


def test_dates_are_midnights() -> None:
    dates = FRAME.assign(t=FRAME["t"].dt.date)
    assert times(log_of(dates, timezone="UTC")) == times(log_of())


def test_nanoseconds_are_rounded_to_microseconds() -> None:
    late = FRAME.assign(t=pd.Timestamp("2024-01-01 00:00:00.000000999", tz="UTC"))
    assert set(times(log_of(late))) == {datetime(2024, 1, 1, 0, 0, 0, 1)}


@pytest.mark.parametrize("nanoseconds", [0, 1, 499, 999])
def test_an_event_within_the_microsecond_after_the_cutoff_stays_unseen(nanoseconds: int) -> None:
    after = FRAME.assign(
        t=[*FRAME["t"][:3], pd.Timestamp("2024-02-03", tz="UTC") + pd.Timedelta(nanoseconds, unit="ns")]
    )
    assert cm.build_features(log_of(after), [cm.Count()], "2024-02-03")["count"].tolist() == [2, 1]


def csv_log(path: Path, text: str, **roles: Any) -> cm.InteractionLog:
    path.write_text(text, encoding="utf-8")
    return log_of(path, **{"amount": None, "item_id": None, "event_type": None, **roles})


def test_csv_keeps_offsets_that_differ_from_line_to_line(tmp_path: Path) -> None:
    log = csv_log(
        tmp_path / "log.csv", "u,t\n1,2024-01-01T10:00:00+02:00\n1,2024-01-01 10:00:00-0330\n1,2024-01-01T10:00Z\n"
    )
    assert [(moment.hour, moment.minute) for moment in times(log)] == [(8, 0), (10, 0), (13, 30)]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["1", "20"], [1, 20]),
        (["007", "1"], ["007", "1"]),
        (["1", "x"], ["1", "x"]),
        (["-5", "0"], [-5, 0]),
        (["+5", "1"], ["+5", "1"]),
        (["9" * 19, "1"], ["1", "9" * 19]),
    ],
)
def test_csv_ids_are_integers_only_if_nothing_of_their_spelling_is_lost(
    ids: list[str], expected: list[Any], tmp_path: Path
) -> None:
    text = "u,t\n" + "".join(f"{one},2024-01-01\n" for one in ids)
    log = csv_log(tmp_path / "log.csv", text, timezone="UTC")
    found = sorted(log.events(["customer_id"]).column("customer_id").to_pylist())
    assert found == expected


def test_csv_with_quotes_a_byte_order_mark_semicolons_and_blank_lines(tmp_path: Path) -> None:
    text = '\ufeffu;t;note\n1;2024-01-01;"a; ""b""\nc"\n\n2;2024-01-02;\n'
    log = csv_log(tmp_path / "log.csv", text, timezone="UTC")
    assert log.attributes == ("note",)
    assert log.events(["note"]).column("note").to_pylist() == ['a; "b"\nc', None]


def test_unmapped_columns_are_attributes_and_a_role_is_reached_by_its_own_name_only() -> None:
    log = log_of(amount=None)
    assert log.names == ("customer_id", "timestamp", "event_type", "item_id", "a")
    with pytest.raises(cm.SchemaError) as caught:
        cm.build_features(log, [cm.Sum("amount")], "2024-02-02")
    assert str(caught.value) == (
        "Sum('amount'): the log has no amount. Say which column plays it: InteractionLog(..., amount='column')."
    )


def test_cleaning_is_a_chain_of_named_steps_with_counts() -> None:
    log = log_of().clean(
        cm.DropDuplicates(),  # the first two rows are alike
        cm.DropMissing("event_type"),  # the last row
        cm.Keep("item_id", pattern="^[0-9]{5}"),  # not POST
    )
    report = log.cleaning_report()
    assert report["step"].tolist() == [
        "DropDuplicates()",
        "DropMissing('event_type')",
        "Keep('item_id', pattern='^[0-9]{5}')",
    ]
    assert report[["rows_before", "rows_dropped", "rows_after"]].to_numpy().tolist() == [
        [4, 1, 3],
        [3, 1, 2],
        [2, 1, 1],
    ]
    assert log.facts.rows == 1
    assert log_of().facts.rows == 4  # the log that it came from is as it was


@pytest.mark.parametrize(
    ("step", "left"),
    [
        (cm.Drop("item_id", pattern="^[0-9]{5}$"), ["POST", "54321A"]),
        (cm.Drop("event_type", values=["view"]), ["12345", "12345", "54321A"]),  # a missing value is not "view"
        (cm.Keep("event_type", values=["view"]), ["POST"]),
        (cm.KeepBetween("amount", minimum=0), ["12345", "12345", "POST"]),  # a missing amount is not below 0
        (cm.KeepBetween("timestamp", minimum="2024-01-01", maximum="2024-02-01"), ["12345", "12345"]),
        (cm.KeepBetween("timestamp", minimum="2024-02-01T00:00:00.000001"), ["54321A"]),
        (cm.DropDuplicates(["customer_id"]), ["12345", "POST"]),
    ],
)
def test_each_step_keeps_what_it_says(step: Any, left: list[str]) -> None:
    items = log_of().clean(step).events(["item_id"]).column("item_id").to_pylist()
    assert sorted(items) == sorted(left)


def test_which_duplicate_stays_does_not_depend_on_the_order_of_the_rows() -> None:
    step = cm.DropDuplicates(["customer_id"])
    forward = log_of(FRAME).clean(step).events().to_pylist()
    backward = log_of(FRAME.iloc[::-1]).clean(step).events().to_pylist()
    assert sorted(map(str, forward)) == sorted(map(str, backward))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: cm.Keep("item_id"),
            "Keep: give either values (a list) or pattern, not values=None, pattern=None. "
            "Use Keep('item_id', pattern='^[0-9]{5}').",
        ),
        (
            lambda: cm.Drop("item_id", pattern="["),
            "Drop: pattern '[' is not a regular expression: unterminated character set at position 0. "
            "Use Drop('item_id', pattern='^[0-9]{5}').",
        ),
        (
            lambda: cm.KeepBetween("amount"),
            "KeepBetween: 'amount' has neither minimum nor maximum. "
            "Use KeepBetween('timestamp', maximum='2025-01-01').",
        ),
        (
            lambda: cm.KeepBetween("amount", minimum=float("nan")),
            "KeepBetween: minimum of 'amount' is nan. Use a number, or leave it out.",
        ),
        (
            lambda: cm.KeepBetween("amount", minimum=0, maximum=float("inf")),
            "KeepBetween: maximum of 'amount' is inf. Use a number, or leave it out.",
        ),
        (
            lambda: cm.KeepBetween("amount", maximum=10**309),  # above the greatest double
            f"KeepBetween: maximum of 'amount' is 1{'0' * 39}. Use a number, or leave it out.",
        ),
        (
            lambda: cm.DropDuplicates("event_id"),
            "DropDuplicates: columns must be a list of names, not 'event_id'. Use DropDuplicates(['event_id']), "
            "or DropDuplicates() for rows alike in every column.",
        ),
        (
            lambda: log_of().clean(cm.DropMissing("chanel")),
            "DropMissing('chanel'): the log has no 'chanel'. It has: 'customer_id', 'timestamp', 'event_type', "
            "'item_id', 'amount'.",
        ),
        (
            lambda: log_of().clean("customer_id"),
            "InteractionLog.clean: 'customer_id' is not a cleaning step. Use DropMissing('customer_id'), "
            "DropDuplicates(), Keep(...), Drop(...) or KeepBetween(...).",
        ),
    ],
)
def test_a_wrong_step_is_refused(act: Any, message: str) -> None:
    with pytest.raises(cm.CrmmlError) as caught:
        act()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{other}')",
        "SELECT * FROM '{other}'",
        "COPY (SELECT 1) TO '{out}'",
        "ATTACH '{out}'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "SELECT * FROM FRAME",
    ],
)
def test_the_engine_reads_the_files_of_its_log_and_nothing_else(query: str, tmp_path: Path) -> None:
    mine, other, out = tmp_path / "mine.csv", tmp_path / "other.csv", tmp_path / "out"
    mine.write_text("a\n1\n")
    other.write_text("a\n1\n")
    engine = Engine(files=[mine])
    assert engine.arrow(f"SELECT * FROM read_csv('{mine}')").num_rows == 1
    with pytest.raises(EngineError):
        engine.arrow(query.format(other=other, out=out))
    assert not out.exists()


def test_a_log_larger_than_its_memory_spills_to_disk() -> None:
    engine = Engine(threads=1, memory_limit="40MB")
    sorted_rows = engine.arrow(
        "SELECT i FROM (SELECT hash(i) AS i FROM range(5000000) t(i) ORDER BY i) LIMIT 1 OFFSET 4999999"
    )
    assert sorted_rows.num_rows == 1


def test_a_log_prints_as_what_it_was_made_from() -> None:
    assert repr(log_of(observed_until="2024-03-01")).endswith("amount='a', observed_until='2024-03-01')")
    assert repr(log_of().clean(cm.DropMissing("customer_id"))) == (
        "InteractionLog(4 rows in memory, customer_id='u', timestamp='t', event_type='k', item_id='sku', "
        "amount='a').clean(DropMissing('customer_id'))"
    )


def test_a_log_that_is_copied_is_itself() -> None:
    log = log_of()
    assert copy.deepcopy({"log": log})["log"] is log
    assert copy.copy(log).events().equals(log.events())


def test_events_without_columns_and_with_what_cannot_be_read_are_refused() -> None:
    with pytest.raises(cm.ConfigError) as caught:
        log_of().events([])
    assert str(caught.value) == "InteractionLog.events: the list of columns is empty. Leave it out for all of them."
    with pytest.raises(cm.DataError) as failed:
        log_of().clean(cm.Keep("amount", values=["web"])).events()
    assert str(failed.value) == (
        "InteractionLog: the log cannot be read: Conversion Error: Could not convert string 'web' to DOUBLE. "
        "Check the files or the frame."
    )

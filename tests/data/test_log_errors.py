"""Every bad input of a log ends in one typed error, compared whole: where, what with its value, what to do."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import crmml as cm
from crmml.data import facts

TIMES = pd.to_datetime(["2024-01-01 10:00", "2024-02-01 00:00", "2024-03-15 00:00"], utc=True)
FRAME = pd.DataFrame({"u": [1, 1, 2], "t": TIMES, "k": ["purchase", "view", "purchase"], "a": [1.5, None, 2.0]})
OBJECT_HOURS = [datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=hours))) for hours in (1, 2, 3)]


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "now", lambda: datetime(2026, 11, 22))


def log_of(frame: Any = FRAME, **roles: Any) -> cm.InteractionLog:
    mapping = {"customer_id": "u", "timestamp": "t", "event_type": "k", "amount": "a"}
    return cm.InteractionLog(frame, **{**mapping, **roles})


def build(frame: Any = FRAME, as_of: Any = "2024-03-01", **roles: Any) -> pd.DataFrame:
    return cm.build_features(log_of(frame, **roles), [cm.Count(), cm.Sum("amount"), cm.Recency()], as_of)


def objects(values: list[Any]) -> "pd.Series[Any]":
    return pd.Series(values, dtype=object)


CASES: dict[str, tuple[Callable[[], Any], type[cm.CrmmlError], str]] = {
    "missing column, with the nearest": (
        lambda: log_of(FRAME.rename(columns={"u": "user_id"}), customer_id="userid"),
        cm.SchemaError,
        "InteractionLog: no column 'userid' for customer_id. Did you mean 'user_id'? "
        "The log has: 'user_id', 't', 'k', 'a'.",
    ),
    "the column is the index": (
        lambda: log_of(FRAME.set_index("u")),
        cm.SchemaError,
        "InteractionLog: 'u' for customer_id is the index of the frame, not a column. Make it one: "
        "frame.reset_index().",
    ),
    "a column twice": (
        lambda: log_of(pd.concat([FRAME, FRAME[["a"]]], axis=1)),
        cm.SchemaError,
        "InteractionLog: column 'a' stands in the frame twice. Rename one of them.",
    ),
    "names that differ in case only": (
        lambda: log_of(FRAME.assign(A=1)),
        cm.SchemaError,
        "InteractionLog: columns 'a' and 'A' have the same name but for upper and lower case. Rename one of them.",
    ),
    "a column whose name is no text": (
        lambda: log_of(FRAME.rename(columns={"a": 1})),
        cm.SchemaError,
        "InteractionLog: the frame has a column named 1, which is not text. Rename it: "
        "frame.columns = frame.columns.map(str).",
    ),
    "two roles for one column": (
        lambda: log_of(channel="k"),
        cm.ConfigError,
        "InteractionLog: column 'k' is given two roles, event_type and channel. Leave channel out, "
        "or name another column.",
    ),
    "amount is text": (
        lambda: log_of(FRAME.assign(a=["1", "x", "2"])),
        cm.SchemaError,
        "InteractionLog: column 'a' cannot be the amount: it is text (for example '9'). Make it a number, "
        "for example frame['a'] = pd.to_numeric(frame['a']).",
    ),
    "event type is a number": (
        lambda: log_of(FRAME.assign(k=[7, 8, 9])),
        cm.SchemaError,
        "InteractionLog: column 'k' cannot be the event_type: it is bigint (for example '7'). Make it text, "
        "or use event_type=Constant('purchase').",
    ),
    "ids of mixed types": (
        lambda: log_of(FRAME.assign(u=objects([1, "a", 2]))),
        cm.SchemaError,
        "InteractionLog: column 'u' mixes types: 9 (int) and 'x' (str). Make it one type, for example "
        "frame['u'] = frame['u'].astype(str).",
    ),
    "timestamps are texts": (
        lambda: log_of(FRAME.assign(t=["2024-01-01", "2024-02-01", "2024-03-01"])),
        cm.SchemaError,
        "InteractionLog: column 't' cannot be the timestamp: it is text (for example '9999-99-99'). Parse it "
        "first, for example frame['t'] = pd.to_datetime(frame['t'], utc=True).",
    ),
    "timestamps are numbers": (
        lambda: log_of(FRAME.assign(t=[1704067200, 1704067201, 1704067202])),
        cm.SchemaError,
        "InteractionLog: column 't' cannot be the timestamp: it is bigint (for example '1704067200'). Parse it "
        "first, for example frame['t'] = pd.to_datetime(frame['t'], unit='s', utc=True).",
    ),
    "dates without a zone": (
        lambda: log_of(FRAME.assign(t=[date(2024, 1, 1)] * 3)),
        cm.SchemaError,
        "InteractionLog: the times in column 't' have no zone (for example '2024-01-01'). Say which one they are "
        "meant in, for example timezone='UTC' or timezone='Europe/Berlin'.",
    ),
    "timestamps without a zone": (
        lambda: log_of(FRAME.assign(t=TIMES.tz_localize(None))),
        cm.SchemaError,
        "InteractionLog: the times in column 't' have no zone (for example '2024-01-01 10:00:00'). Say which one "
        "they are meant in, for example timezone='UTC' or timezone='Europe/Berlin'.",
    ),
    "timestamps with and without a zone": (
        lambda: log_of(FRAME.assign(t=objects([OBJECT_HOURS[0], datetime(2024, 1, 1), None]))),
        cm.SchemaError,
        "InteractionLog: column 't' mixes timestamps with a zone (2024-01-01T00:00:00+01:00) and without one "
        "(2024-01-01T00:00:00). Give all of them a zone, for example frame['t'] = pd.to_datetime(frame['t'], "
        "utc=True).",
    ),
    "an unknown zone": (
        lambda: log_of(timezone="Europe/Berln"),
        cm.ConfigError,
        "InteractionLog: timezone 'Europe/Berln' is not an IANA time zone. Did you mean 'Europe/Berlin'? "
        "Use a name like 'UTC' or 'Europe/Berlin'.",
    ),
    "no source": (
        lambda: log_of(42),
        cm.ConfigError,
        "InteractionLog: cannot read a log from builtins.int. Pass a path or glob of Parquet or CSV files, "
        "a pandas or polars frame, an Arrow table, or a DuckDB relation.",
    ),
    "empty log": (
        lambda: build(FRAME.iloc[:0]),
        cm.DataError,
        "InteractionLog: the log is empty. Give a log with at least one event.",
    ),
    "empty after cleaning": (
        lambda: cm.build_features(log_of().clean(cm.Keep("event_type", ["?"])), [cm.Count()], "2024-03-01"),
        cm.DataError,
        "InteractionLog: the log is empty after cleaning (log.cleaning_report() shows the steps). "
        "Give a log with at least one event.",
    ),
    "missing ids": (
        lambda: build(FRAME.assign(u=objects([1, None, 2]))),
        cm.DataError,
        "InteractionLog: 1 of 3 events have no customer_id (column 'u'). Drop them: "
        "log.clean(DropMissing('customer_id')).",
    ),
    "missing times": (
        lambda: build(FRAME.assign(t=pd.Series([pd.NaT, TIMES[1], TIMES[2]]))),
        cm.DataError,
        "InteractionLog: 1 of 3 events have no timestamp (column 't'). Drop them: log.clean(DropMissing('timestamp')).",
    ),
    "times in the year 1": (
        lambda: build(FRAME.assign(t=objects([datetime(1, 1, 1, tzinfo=UTC), *TIMES[1:].to_pydatetime()]))),
        cm.DataError,
        "InteractionLog: 1 of 3 events are before 1900, the first at 0001-01-01 00:00:00+00:00 (column 't'). Mend "
        "them, or drop them: log.clean(KeepBetween('timestamp', minimum='1900-01-01')).",
    ),
    "times in the future": (
        lambda: build(FRAME.assign(t=[TIMES[0], TIMES[1], pd.Timestamp("2026-11-23 00:00:00.000001", tz="UTC")])),
        cm.DataError,
        "InteractionLog: 1 of 3 events are in the future, the last at 2026-11-23 00:00:00.000001+00:00 (column 't'). "
        "Mend them, or drop them: log.clean(KeepBetween('timestamp', maximum='2026-11-22')).",
    ),
    "an infinite amount": (
        lambda: build(FRAME.assign(a=[1.0, float("inf"), 2.0])),
        cm.DataError,
        "'amount' has the value inf, but only values below 1e+12 can be summed exactly. Mend it, or drop the "
        "events: log.clean(KeepBetween('amount', minimum=-1e+12, maximum=1e+12)).",
    ),
    "cutoff before the first event": (
        lambda: build(as_of="2024-01-01"),
        cm.ConfigError,
        "as_of 2024-01-01 is not after the first event in the log (2024-01-01 10:00:00): there is no history to "
        "see. Use as_of >= 2024-01-03.",
    ),
    "cutoff long after the last event": (
        lambda: build(as_of="2024-03-22 00:00:00.000001"),
        cm.ConfigError,
        "as_of 2024-03-22 00:00:00.000001 is 7 days after the last event in the log (2024-03-15): every customer "
        "would look inactive only because the log stops. Use as_of <= 2024-03-16, a newer log, or say "
        "InteractionLog(..., observed_until=...) if the log is complete.",
    ),
    "cutoff that is no moment": (
        lambda: build(as_of="yesterday"),
        cm.ConfigError,
        "as_of 'yesterday' is not a date or time. Use for example '2024-01-31' or '2024-01-31T12:00:00+01:00'.",
    ),
    "cutoff that is a number": (
        lambda: build(as_of=20240101),
        cm.ConfigError,
        "as_of 20240101 is not a date or time. Use for example '2024-01-31' or '2024-01-31T12:00:00+01:00'.",
    ),
    "no cutoff": (
        lambda: build(as_of=[]),
        cm.ConfigError,
        "as_of is an empty list. Give at least one cutoff, for example '2024-01-31'.",
    ),
    "a cutoff twice": (
        lambda: build(as_of=["2024-03-01", "2024-03-01T01:00+01:00"]),
        cm.ConfigError,
        "as_of 2024-03-01 stands in the list twice. Leave one of them out.",
    ),
    "a constant that is no text": (
        lambda: cm.Constant(""),
        cm.ConfigError,
        "Constant: value must be a non-empty text, not ''. Use Constant('purchase').",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_says_where_what_and_what_to_do(name: str) -> None:
    act, kind, message = CASES[name]
    with pytest.raises(kind) as caught:
        act()
    assert type(caught.value) is kind
    assert str(caught.value) == message


FILES: dict[str, tuple[str, bytes, type[cm.CrmmlError], str]] = {
    "empty file": (
        "log.csv",
        b"",
        cm.DataError,
        "InteractionLog: {path} is empty (0 bytes). Leave it out, or write it again.",
    ),
    "no rows": (
        "log.csv",
        b"u,t,k,a\n",
        cm.DataError,
        "InteractionLog: {path} has a header but no rows. Give a file with at least one event.",
    ),
    "no header": (
        "log.csv",
        b"\n1,2\n",
        cm.DataError,
        "InteractionLog: {path} has no header line. Write the column names into the first line.",
    ),
    "a short line": (
        "log.csv",
        b"u,t,k,a\n1,2024-01-01,purchase,1\n1,2024-01-02\n",
        cm.DataError,
        "InteractionLog: {path}, line 3, has 2 fields, but the header has 4. Mend the line; quote a field that "
        "contains ','.",
    ),
    "a long line": (
        "log.csv",
        b"u;t;k;a\n1;2024-01-01;purchase;1;9\n",
        cm.DataError,
        "InteractionLog: {path}, line 2, has 5 fields, but the header has 4. Mend the line; quote a field that "
        "contains ';'.",
    ),
    "not UTF-8": (
        "log.csv",
        "u,t,k,a\n1,2024-01-01,café,1\n".encode("latin-1"),
        cm.DataError,
        "InteractionLog: {path} is not UTF-8 (byte 0xe9). Write it again with encoding='utf-8'.",
    ),
    "no timestamp": (
        "log.csv",
        b"u,t,k,a\n1,gestern,purchase,1\n",
        cm.SchemaError,
        "InteractionLog: column 't' holds 'xxxxxxx', which is not a timestamp. Write timestamps like "
        "'2024-01-31 12:30:00' or '2024-01-31T12:30:00+01:00'.",
    ),
    "with and without offset": (
        "log.csv",
        b"u,t,k,a\n1,2024-01-01T10:00:00+08,purchase,1\n1,2024-01-01T10:00:00,purchase,1\n",
        cm.SchemaError,
        "InteractionLog: column 't' mixes timestamps with a zone (2024-01-01T10:00:00+08) and without one "
        "(2024-01-01T10:00:00). Write all of them with an offset, like '2024-01-31T12:30:00+00:00'.",
    ),
    "damaged Parquet": (
        "log.parquet",
        b"PAR1 and then nothing that belongs there",
        cm.DataError,
        "InteractionLog: {path} cannot be read as parquet: Invalid Input Error: No magic bytes found at end of file "
        "'{path}'. Write it again, or leave the file out of the source.",
    ),
    "neither Parquet nor CSV": (
        "log.json",
        b"{}",
        cm.ConfigError,
        "InteractionLog: {path} is neither Parquet nor CSV by its name. Use a file that ends in one of .parquet, "
        ".pq, .csv, .tsv, .txt, .csv.gz, .tsv.gz, or pass a frame.",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_bad_files_are_refused(name: str, tmp_path: Path) -> None:
    file, content, kind, message = FILES[name]
    path = tmp_path / file
    path.write_bytes(content)
    with pytest.raises(kind) as caught:
        log_of(path, timezone="UTC")
    assert str(caught.value) == message.format(path=path.resolve())


def test_a_path_without_files_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(cm.ConfigError) as caught:
        log_of("events/*.parquet")
    assert str(caught.value) == (
        f"InteractionLog: no file matches 'events/*.parquet' (looked in {tmp_path}). Give the path of a Parquet or "
        "CSV file, a folder of them, or a glob like 'events/*.parquet'."
    )


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "half.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(cm.DataError, match=r"half\.parquet cannot be read as parquet"):
        log_of(tmp_path / "half.parquet")


def test_a_log_with_one_customer_builds_and_the_cutoff_may_be_the_day_after_the_last_event() -> None:
    table = build(FRAME[FRAME["u"] == 1], as_of="2024-02-02")
    assert table.to_dict("list") == {"count": [2], "sum_amount": [1.5], "recency": [1.0]}


def test_the_future_begins_a_day_from_now() -> None:
    """Clocks differ: an event a day ahead to the microsecond is still taken."""
    edge = FRAME.assign(t=[TIMES[0], TIMES[1], pd.Timestamp("2026-11-23", tz="UTC")])
    assert len(build(edge)) == 1


@pytest.mark.parametrize(
    ("year", "message"),
    [
        (-5000, "before 1900, the first at 0001-01-01 00:00:00+00:00 (column 't'). Mend them, or drop them: "
         "log.clean(KeepBetween('timestamp', minimum='1900-01-01'))."),
        (200_000, "in the future, the last at 9999-12-31 23:59:59.999999+00:00 (column 't'). Mend them, or drop them: "
         "log.clean(KeepBetween('timestamp', maximum='2026-11-22'))."),
    ],
)  # fmt: skip
def test_times_outside_of_every_calendar_are_described_and_refused(year: int, message: str) -> None:
    """The engine holds years that Python has no date for; what they are is said with the nearest date."""
    times = FRAME["t"].dt.tz_localize(None).to_numpy().astype("datetime64[s]")
    times[0] = np.datetime64(f"{year:+07}-01-01" if year > 9999 else f"{year:05}-01-01", "s")
    frame = FRAME.assign(t=times)
    with pytest.raises(cm.DataError) as caught:
        build(frame, timezone="UTC")
    assert str(caught.value) == f"InteractionLog: 1 of {len(frame)} events are {message}"
    assert not log_of(frame, timezone="UTC").check().ready["churn"]


def test_an_attribute_that_differs_from_a_role_in_case_only_is_hidden_by_it() -> None:
    """The engine reads "U" and "u" as one name: the sum of the attribute would silently be that of the role."""
    frame = FRAME.assign(Customer_ID=1.0)
    log = log_of(frame)
    assert "Customer_ID" not in log.attributes
    with pytest.raises(cm.SchemaError) as caught:
        cm.Sum("Customer_ID").check(log)
    listed = ", ".join(repr(name) for name in log.names)
    assert str(caught.value) == (
        f"Sum('Customer_ID'): the log has no 'Customer_ID'. Did you mean 'customer_id'? It has: {listed}."
    )

"""Names and values that try to be SQL are only names and values: right results, and a canary that survives."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
from sqlglot import exp

import crmml as cm
from crmml.features.table import Table
from tests.features import oracle
from tests.features.compare import cells, differences
from tests.features.oracle import build
from tests.features.oracle_rows import Row
from tests.features.same_bits import differing
from tests.features.strategies import COLUMNS, EPOCH, EVIL, ROLES, anchors, arrow_table, log_of, stamp

HOUR = 3_600_000_000
LONG = "x" * 10_000
MOMENTS = (EPOCH, EPOCH + HOUR)


class Canary:
    """A table beside the log, and a file that no text of a table may write."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "canary"
        # The name under which the first table of an engine is kept.
        self.attack = f"'\"); DROP TABLE kept_1; COPY (SELECT 1) TO '{self.file}'; --"

    def sits_in(self, log: cm.InteractionLog) -> None:
        self.log = log
        assert log.engine.create_table(exp.select(exp.alias_(exp.Literal.number(42), "n"))) == "kept_1"

    def lives(self) -> bool:
        rows = self.log.engine.arrow("SELECT n FROM kept_1").to_pylist()
        return bool(rows == [{"n": 42}]) and not self.file.exists()


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    return Canary(tmp_path)


def test_the_canary_dies_where_texts_are_pasted_together(canary: Canary) -> None:
    log = log_of(anchors("anchor"))
    canary.sits_in(log)
    for statement in canary.attack.split(";")[1:2]:
        log.engine._run(statement)
    with pytest.raises(cm.CrmmlError):
        canary.lives()


# Every public aggregate -----------------------------------------------------------------------------------------

# What a definition needs beside a column and a filter.
NEEDED: dict[str, dict[str, Any]] = {
    "Trend": {"window": "6h"},
    "Change": {"window": "2h"},
    "ReturnRate": {"event_type": "view", "returned": "return"},
    "ConversionRate": {"event_type": "view"},
    "TimeTo": {"event_type": "view"},
}


def definitions(column: str, where: dict[str, Any]) -> list[Any]:
    """Every public aggregate of a column, with and without a filter: a new one is tested as soon as it is public."""
    found: list[Any] = []
    for name in sorted(oracle.AGGREGATES):
        kind = getattr(cm, name)
        known = {field.name for field in fields(kind)}
        named: dict[str, Any] = {key: column for key in ("column", "order", "on") if key in known}
        own: dict[str, Any] = {**NEEDED.get(name, {}), **named}
        if name == "MeanVector":
            found.append(kind(f"{column} of vectors", size=2, where=where))
        elif name == "Ratio":
            found.append(cm.Ratio(cm.Sum(column), cm.Count(where=where)))
        elif "where" in known:
            found += [kind(**own, where=where), *([] if name == "Share" else [kind(**own)])]
        else:
            found.append(kind(**own))
    return list({feature.name: feature for feature in found}.values())


@pytest.mark.parametrize("name", [EVIL[2], "naïve 🛒 购买\nline\tbreak", LONG], ids=lambda name: name[:20])
def test_every_aggregate_of_a_column_with_an_evil_name(name: str, canary: Canary) -> None:
    name = canary.attack + name
    values = (5.0, 7.0, 5.0, None, 6.0, 2.5)
    rows: list[Row] = [
        {
            "customer_id": who,
            "timestamp": EPOCH + step * HOUR,
            "event_type": "purchase" if step % 2 else "view",
            "item_id": f"{step % 2}",
            "amount": 1.0,
            name: value,
            f"{name} of vectors": None if value is None else [value, 0.5],
        }
        for who in ("anna", "ben")
        for step, value in zip(range(-5, 1), values if who == "anna" else values[::-1], strict=True)
    ]
    rows += anchors("anchor")
    table = arrow_table(rows).append_column(name, pa.array([row.get(name) for row in rows], pa.float64()))
    vectors = f"{name} of vectors"
    table = table.append_column(vectors, pa.array([row.get(vectors) for row in rows], pa.list_(pa.float64())))
    log = cm.InteractionLog(table, **{role: column for role, column in ROLES.items() if role != "recorded_at"})
    canary.sits_in(log)
    features = definitions(name, {name: [5, 7]})
    built = cm.build_features(log, features, [stamp(moment) for moment in MOMENTS])
    assert differences(cells(built), build(rows, features, list(MOMENTS)), features) == []
    labels = cm.build_dataset(log, features[:1], cm.Spend("2h", column=name), stamp(EPOCH)).y
    assert labels.to_dict() == {
        ("anchor", stamp(EPOCH)): 0.0,
        ("anna", stamp(EPOCH)): 2.5,
        ("ben", stamp(EPOCH)): 5.0,
    }
    assert canary.lives()


@pytest.mark.parametrize("evil", [*EVIL[::2], EVIL[-1], LONG], ids=lambda evil: repr(evil[:20]))
def test_evil_ids_and_values(evil: str, canary: Canary, tmp_path: Path) -> None:
    """As ids, event types, channels, items and attributes; cutoff by cutoff, in one text, prepared, as Parquet."""
    attack = evil + canary.attack
    texts = (evil, attack, "plain", evil)
    rows: list[Row] = [
        {
            "customer_id": who,
            "timestamp": EPOCH - step * HOUR,
            **dict.fromkeys(("event_type", "item_id", "channel", "plan"), text),
            "amount": float(step),
        }
        for who in ("anna", attack, evil)
        for step, text in enumerate(texts, start=1)
    ]
    rows += anchors("anchor")
    features = cm.FeatureSet(
        [
            cm.Count(event_type=evil),
            cm.Sum("amount", event_type=[evil, attack], window="2h"),
            cm.Share(channel=attack),
            cm.Recency(where={"plan": [attack, "plain"], "item_id": attack}),
            cm.Latest("plan", event_type="plain"),
            cm.First("plan"),
            cm.TopValue("item_id", event_type=[evil, attack]),
            cm.Entropy("channel", where={"plan": [evil, "plain"]}),
            cm.NUnique("item_id", where={"plan": evil}),
            cm.Gap(channel=evil, stat="std"),
            cm.ConversionRate(event_type=attack, to=evil, within="1h"),
            cm.ReturnRate("amount", event_type=evil, returned=attack),
        ]
    )
    log = log_of(rows)
    canary.sits_in(log)
    moments = tuple(stamp(moment) for moment in MOMENTS)
    built = cm.build_features(log, features, moments)
    assert differences(cells(built), build(rows, list(features), list(MOMENTS)), features) == []
    table = Table(log, features, moments)
    expected = table.arrow()
    assert differing(table.shape.of(log.engine.arrow(table.text(moments).whole())), expected) == []
    prepared = log.prepare(tmp_path / "prepared", buckets=2)
    assert differing(cm.build_features(prepared, features, moments, to="arrow"), expected) == []
    dictionary = {"first_plan": [*texts[:3]]}
    folder = cm.build_features(log, features, moments, out=tmp_path / "features", categories=dictionary)
    read = pq.read_table(folder).sort_by([("customer_id", "ascending"), ("as_of", "ascending")])
    assert read["first_plan"].to_pylist() == expected["first_plan"].to_pylist()
    target = cm.Churn("1d", event_type=[evil, attack])
    assert len(cm.build_dataset(log, features, target, moments[0]).y) == 3
    assert canary.lives()
    assert log.facts.rows == len(rows)


# Our own names, as names of attributes --------------------------------------------------------------------------

OURS = (
    *("age_us", "at_us", "known_us", "as_of", "customer", "n", "total", "label", "ahead_us", "gap_us", "previous_us"),
    *(
        "youngest_us",
        "youngest_1",
        "next_us",
        "latest_value",
        "last_value",
        "first_us",
        "exact_amount",
        "rowid",
        "select",
    ),
    *("history", "events", "coded", "cutoffs", "listed", "dated", "outcome", "labels", "population", "log", "kept_1"),
    *(
        "by_customer",
        "by_view",
        "pairs_1",
        "pairs_1_by_customer",
        "ordered_1",
        "ends_1",
        "event_type_code",
        "hour",
        "day",
    ),
)


def test_names_of_our_own() -> None:
    """One log in which every attribute is called as something of ours."""
    numbers = (5.0, 7.0, 5.0, 2.5)
    rows: list[Row] = [
        {
            "customer_id": "anna",
            "timestamp": EPOCH + step * HOUR,
            "event_type": "view",
            "amount": 1.0,
            **{name: value + place for place, name in enumerate(OURS)},
        }
        for step, value in zip((-3, -2, -1, 1), numbers, strict=True)
    ]
    rows += anchors("anchor")
    table = arrow_table(rows)
    for name in OURS:
        table = table.append_column(name, pa.array([row.get(name) for row in rows], pa.float64()))
    log = cm.InteractionLog(table, **{role: column for role, column in COLUMNS.items() if role in ROLES})
    plain = [
        *(cm.Sum(name) for name in OURS),
        *(cm.Count(where={name: 5 + place}) for place, name in enumerate(OURS)),
        cm.DaysActive(),
        cm.HourShare(),
    ]
    grouped = [
        # One of them for each name: every grouping of values is a step of its own.
        *((cm.Latest, cm.NUnique, cm.TopValue)[place % 3](name) for place, name in enumerate(OURS)),
        *(cm.Gap(where={name: 5 + place}, stat="std") for place, name in enumerate(OURS[:5])),
        *(cm.First("amount", where={name: 5 + place}) for place, name in enumerate(OURS[:5])),
    ]
    one = cm.build_features(log, [*plain, *grouped], stamp(EPOCH))
    assert differences(cells(one), build(rows, [*plain, *grouped], [EPOCH]), [*plain, *grouped]) == []
    moments = tuple(stamp(moment) for moment in MOMENTS)
    several = Table(log, cm.FeatureSet(plain), moments)
    joined = several.shape.of(log.engine.arrow(several.text(moments).whole()))
    found = cells(joined.to_pandas().set_index(["customer_id", "as_of"]))
    assert differences(found, build(rows, plain, list(MOMENTS)), plain) == []
    labels = cm.build_dataset(log, [cm.Count()], cm.Spend("2h", column="ahead_us"), stamp(EPOCH)).y
    assert labels.tolist() == [0.0, 2.5 + OURS.index("ahead_us")]


# Other dialects -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["spark", "databricks", "bigquery"])
@pytest.mark.parametrize("evil", [*EVIL, LONG, "\\' OR 1=1 --", "\\"], ids=lambda evil: repr(evil[:20]))
def test_evil_texts_and_names_in_the_text_for_another_engine(evil: str, dialect: str) -> None:
    """Read again as that dialect, the text is one statement with this value and this name in it."""
    attribute = f"a{evil}"
    frame = pd.DataFrame({"who": [1], "at": pd.to_datetime(["2024-01-01"], utc=True), "kind": ["x"], attribute: [1.0]})
    log = cm.InteractionLog(frame, customer_id="who", timestamp="at", event_type="kind")
    text = cm.FeatureSet([cm.Count(event_type=evil), cm.Sum(attribute)]).sql(log, "2024-02-01", dialect=dialect)
    (statement,) = sqlglot.parse(text, read=dialect)
    assert isinstance(statement, exp.Select)
    assert evil in {each.this for each in statement.find_all(exp.Literal) if each.is_string}
    assert attribute in {each.name for each in statement.find_all(exp.Identifier)}
    assert statement.named_selects == [
        *("customer_id", "as_of"),
        *cm.FeatureSet([cm.Count(event_type=evil), cm.Sum(attribute)]).names,
    ]

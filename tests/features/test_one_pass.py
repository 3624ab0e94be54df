"""Groupings that go together: the same bits with a pass less, and only where the rows and the names are the same."""

from pathlib import Path

import pyarrow as pa
import pytest
from sqlglot import exp, parse_one

import crmml as cm
from crmml.features import execute, one_pass
from crmml.features.execute import sorted_by_keys
from crmml.features.one_pass import in_one_pass
from crmml.features.table import Table
from tests.features.same_bits import differing
from tests.features.test_in_order import CUTOFF, LOGS

BOUGHT = {"event_type": "purchase"}
FEATURES = cm.FeatureSet(
    [
        cm.Recency(),
        cm.Latest("channel"),  # a step that reads the grouping of all events
        cm.Gap(stat="std"),
        cm.Count(**BOUGHT),
        cm.Mean("amount", **BOUGHT),
        cm.Quantile("amount", q=0.9, **BOUGHT),
        cm.Gap(stat="median", **BOUGHT),
        cm.DaysActive(**BOUGHT),
    ]
)


def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Which grouping went with which, from now on."""
    found: list[tuple[str, str]] = []
    original = one_pass._take

    def take(query: exp.Select, other: exp.CTE, looking: exp.CTE, grouping: exp.CTE) -> None:
        found.append((other.alias, grouping.alias))
        original(query, other, looking, grouping)

    monkeypatch.setattr(one_pass, "_take", take)
    return found


def apart(monkeypatch: pytest.MonkeyPatch, table: Table) -> pa.Table:
    """The rows with every grouping on its own."""
    with monkeypatch.context() as patch:
        patch.setattr(execute, "in_one_pass", lambda query: query)
        return table.arrow()


@pytest.mark.parametrize("ids", LOGS)
def test_together_they_give_the_same_bits(monkeypatch: pytest.MonkeyPatch, ids: str) -> None:
    table = Table(LOGS[ids], FEATURES, CUTOFF)
    expected = apart(monkeypatch, table)
    found = taken(monkeypatch)
    assert differing(table.arrow(), expected) == []
    assert found == [("by_customer", "ordered_1_by_customer"), ("by_purchase", "ordered_2_by_customer")]


def test_each_share_of_the_customers_is_read_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(LOGS["numbers"], FEATURES, CUTOFF)
    expected = apart(monkeypatch, table)
    found = taken(monkeypatch)
    shares = [table.shape.of(piece.table) for piece in table.pieces(shares=3)]
    assert differing(sorted_by_keys(shares), expected) == []
    assert len(found) == 3 * 2


def test_files_of_a_prepared_log_are_read_in_one_pass(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    expected = apart(monkeypatch, Table(LOGS["texts"], FEATURES, CUTOFF))
    found = taken(monkeypatch)
    prepared = Table(LOGS["texts"].prepare(tmp_path, buckets=3), FEATURES, CUTOFF)
    assert differing(prepared.arrow(), expected) == []
    assert len(found) == 2  # the files share a text


def test_out_of_order_each_grouping_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    found = taken(monkeypatch)
    monkeypatch.setattr(execute, "sorted_by_customer_and_time", lambda query: query.order_by("at_us DESC"))
    Table(LOGS["numbers"], FEATURES, CUTOFF).arrow()
    assert found == []


def test_groupings_of_other_events_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: whatever the conditions, two groupings go together."""
    table = Table(LOGS["numbers"], FEATURES, CUTOFF)
    expected = apart(monkeypatch, table)
    monkeypatch.setattr(one_pass, "_conditions", lambda step: set())
    assert "count_purchase" in differing(table.arrow(), expected)


def text_of(
    *,
    counted: str = "SELECT c, COUNT(v) AS n FROM history WHERE a AND b GROUP BY c",
    looking: str = "SELECT c, LAG(t) OVER () AS s FROM history WHERE b AND a",
    looked: str = "SELECT c, MIN(s) AS m FROM looking GROUP BY c",
    reader: str = "SELECT c, n FROM counted",
) -> str:
    """A text of two groupings and a step that reads the first."""
    steps = {"history": "SELECT * FROM t", "counted": counted, "looking": looking, "looked": looked, "reader": reader}
    chain = ", ".join(f"{name} AS ({query})" for name, query in steps.items())
    return f"WITH {chain} SELECT counted.c, n, m FROM counted LEFT JOIN looked USING (c) LEFT JOIN reader USING (c)"


def written(text: str) -> str:
    """The text as it is written after the change."""
    return in_one_pass(parse_one(text, read="duckdb")).sql("duckdb")


def test_one_reads_what_both_need_and_is_read_in_place_of_both() -> None:
    assert written(text_of()) == (
        "WITH history AS (SELECT * FROM t), "
        'looking AS (SELECT c, LAG(t) OVER () AS s, "v" FROM history WHERE b AND a), '
        "looked AS (SELECT c, MIN(s) AS m, COUNT(v) AS n FROM looking GROUP BY c), "
        "reader AS (SELECT c, n FROM looked) "
        "SELECT looked.c, n, m FROM looked LEFT JOIN reader USING (c)"
    )


@pytest.mark.parametrize(
    "text",
    [
        text_of(counted="SELECT c, COUNT(v) AS n FROM history WHERE a GROUP BY c"),  # of more events
        text_of(counted="SELECT c, COUNT(v) AS n FROM history GROUP BY c"),
        text_of(counted="SELECT c, COUNT(v) AS n FROM history WHERE a OR b GROUP BY c"),
        text_of(counted="SELECT c, COUNT(v) AS n FROM history WHERE a AND b GROUP BY c, v"),  # of pairs
        text_of(counted="SELECT c, COUNT(v) AS n FROM other WHERE a AND b GROUP BY c"),
        text_of(counted="SELECT c, COUNT(v) AS n FROM history JOIN other USING (c) WHERE a AND b GROUP BY c"),
        text_of(counted="SELECT c, COUNT(S) AS n FROM history WHERE a AND b GROUP BY c"),  # another `s`
        text_of(looked="SELECT c, MIN(s) AS N FROM looking GROUP BY c"),  # the name is taken
        text_of(looked="SELECT c, MIN(s) AS m FROM looking WHERE s > 0 GROUP BY c"),  # of fewer events
        text_of(looking="SELECT c, LAG(t) OVER (PARTITION BY c) AS s FROM history WHERE a AND b"),  # sorts its columns
        text_of(looking="SELECT c, LAG(t) OVER (ORDER BY t) AS s FROM history WHERE a AND b"),
        text_of(looking="SELECT c, t AS s FROM history WHERE a AND b"),  # looks at no row before
        text_of(reader="SELECT c, n FROM counted JOIN looked USING (c)"),  # it would read one step twice
    ],
)
def test_what_differs_stays_apart(text: str) -> None:
    assert written(text) == text

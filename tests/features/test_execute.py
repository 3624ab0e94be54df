"""Shares of the customers: however they are divided, the same table, and every customer in it exactly once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import crmml as cm
from crmml.data.engine import Engine
from crmml.features import execute
from crmml.features.execute import Piece, shares_of
from crmml.features.table import Table
from tests.features.compare import cells, differences
from tests.features.mutants import Mutant, built_in
from tests.features.oracle import build
from tests.features.oracle_rows import DAY
from tests.features.same_bits import differing
from tests.features.strategies import EPOCH, EVIL, anchored, log_of, random_rows, stamp

CUTOFFS = [EPOCH, EPOCH + DAY, EPOCH + 2 * DAY]
MOMENTS = tuple(map(stamp, CUTOFFS))
FEATURES = cm.FeatureSet(
    [
        cm.Recency(),
        cm.Count(event_type="purchase", window="3d"),
        cm.Sum("amount"),
        cm.NUnique("item_id", window="1w"),
        cm.Gap(stat="std"),
        cm.Latest("plan"),
        cm.First("item_id"),
    ]
)
ROWS = anchored(random_rows(Random(4), CUTOFFS, customers=80, events=8))
# The same events of customers with names of all kinds.
NAMES = (*EVIL, *(f"customer {number}" for number in range(100)))
NAMED = [{**row, "customer_id": NAMES[row["customer_id"]]} for row in ROWS]
LOGS = {"numbers": log_of(ROWS), "texts": log_of(NAMED)}


def divided(monkeypatch: pytest.MonkeyPatch, log: cm.InteractionLog, shares: int, table: Table | None = None) -> None:
    """As if there were only so much memory that the customers have to be divided into `shares`."""
    coded = (table or Table(log, FEATURES, MOMENTS)).text(MOMENTS[:1]).until_coded()
    size = log.facts.rows * len(coded.selects) * execute.BYTES_PER_VALUE
    limit = -int(-size // (shares * execute.SHARE_OF_MEMORY))
    monkeypatch.setattr(Engine, "memory_limit", limit)


def customers(piece: Piece) -> set[Any]:
    return set(piece.table["customer_id"].to_pylist())


# How customers are divided --------------------------------------------------------------------------------------


def test_shares_follow_from_rows_columns_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    log = LOGS["numbers"]
    coded = Table(log, cm.FeatureSet([cm.Count(event_type="view")]), MOMENTS).text(MOMENTS[:1]).until_coded()
    # Four columns of 12 bytes: the customer, two times, and the code of the event type.
    size = log.facts.rows * 4 * 12
    for limit, shares in ((10**9, 1), (size / 0.4, 1), (size / 0.4 - 1, 2), (size / 0.8, 2), (size / 4, 10)):
        monkeypatch.setattr(Engine, "memory_limit", limit)
        assert len(shares_of(log, coded)) == shares
    assert len(shares_of(log, coded, 7)) == 7  # as it was known already


def test_the_memory_of_an_engine_is_what_was_asked_for() -> None:
    assert Engine(memory_limit="1GB").memory_limit == pytest.approx(10**9, rel=0.01)
    assert Engine(memory_limit="512MiB").memory_limit == 512 * 2**20


@pytest.mark.parametrize("shares", [2, 7])
@pytest.mark.parametrize("ids", LOGS)
def test_any_number_of_shares_gives_the_same_table(monkeypatch: pytest.MonkeyPatch, ids: str, shares: int) -> None:
    table = Table(LOGS[ids], FEATURES, MOMENTS)
    whole = table.arrow()
    divided(monkeypatch, LOGS[ids], shares)
    assert table.shares() == shares
    assert differing(table.arrow(), whole) == []


def test_every_customer_is_in_one_share(monkeypatch: pytest.MonkeyPatch) -> None:
    log = LOGS["texts"]
    divided(monkeypatch, log, 4)
    found = list(Table(log, FEATURES, MOMENTS).pieces())
    assert [(piece.number, piece.of, piece.as_of) for piece in found] == [
        (number, 4, cutoff) for number in range(4) for cutoff in MOMENTS
    ]
    last = [piece for piece in found if piece.as_of == MOMENTS[-1]]
    everybody = set().union(*map(customers, last))
    assert everybody == set(cm.build_features(log, [cm.Count()], MOMENTS[-1], to="arrow")["customer_id"].to_pylist())
    assert sum(piece.table.num_rows for piece in last) == len(everybody)
    assert all(piece.table.num_rows > 5 for piece in last)


@pytest.mark.parametrize(
    "target", [cm.Spend("2d", active_within="1w"), cm.Churn("1d", event_type="purchase")], ids=repr
)
def test_labels_in_shares(monkeypatch: pytest.MonkeyPatch, target: Any) -> None:
    log = LOGS["texts"]
    table = Table(log, FEATURES, MOMENTS, target.population, target)
    whole = table.arrow()
    divided(monkeypatch, log, 3, table)
    assert table.shares() == 3
    assert differing(table.arrow(), whole) == []


@pytest.mark.parametrize("buckets", [1, 5])
@pytest.mark.parametrize("ids", LOGS)
def test_a_prepared_log_is_read_file_by_file(tmp_path: Path, ids: str, buckets: int) -> None:
    log = LOGS[ids]
    prepared = log.prepare(tmp_path, buckets=buckets)
    table = Table(prepared, FEATURES, MOMENTS)
    assert table.shares() == buckets
    assert differing(table.arrow(), Table(log, FEATURES, MOMENTS).arrow()) == []


def test_a_prepared_log_is_divided_anew_where_cleaning_compares_customers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = cm.DropDuplicates(["amount"])
    prepared, log = LOGS["texts"].prepare(tmp_path, buckets=5).clean(step), LOGS["texts"].clean(step)
    whole = Table(log, FEATURES, MOMENTS[:1]).arrow()
    divided(monkeypatch, prepared, 3)
    table = Table(prepared, FEATURES, MOMENTS[:1])
    assert table.shares() == 3
    assert differing(table.arrow(), whole) == []
    assert sum(whole["count_purchase_3d"].to_pylist()) > 0


def test_more_shares_than_customers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most shares are empty; their pieces have the same columns and types, and no row."""
    rows = anchored(random_rows(Random(4), CUTOFFS, customers=2, events=8))
    log = log_of(rows)
    whole = Table(log, FEATURES, MOMENTS).arrow()
    divided(monkeypatch, log, 9)
    assert differing(Table(log, FEATURES, MOMENTS).arrow(), whole) == []


def test_an_attribute_called_like_the_number_of_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares are ranges of rows: a column of the user's of that name must not be taken for it."""
    rows = [{**row, "rowid": f"r{number % 5}"} for number, row in enumerate(ROWS)]
    frame = pd.DataFrame(rows)[["customer_id", "timestamp", "rowid"]]
    frame["timestamp"] = [stamp(moment) for moment in frame["timestamp"]]
    log = cm.InteractionLog(frame, customer_id="customer_id", timestamp="timestamp")
    table = Table(log, cm.FeatureSet([cm.NUnique("rowid"), cm.Latest("rowid")]), MOMENTS)
    whole = table.arrow()
    divided(monkeypatch, log, 3, table)
    assert table.shares() == 3
    assert differing(table.arrow(), whole) == []


SHARES = [
    Mutant("share: from the first row on", r"rowid >= \d+", "rowid >= 0"),
    Mutant("share: without its first row", r"rowid >= ", "rowid > "),
    Mutant("share: with all that follow", r" AND rowid < \d+", ""),
    Mutant("share: with the first row of the next", r"rowid < ", "rowid <= "),
    Mutant("share: some rows later", r"rowid < (\d+)", r"rowid < \1 + 3"),
]


@pytest.mark.parametrize("mutant", SHARES, ids=str)
def test_a_customer_that_is_lost_or_comes_twice_is_found(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    log, features = LOGS["numbers"], list(FEATURES)
    divided(monkeypatch, log, 3)
    with built_in(mutant, monkeypatch):
        # `built_in` undoes every change, so the number of shares is given.
        rows = pa.concat_tables([piece.table for piece in Table(log, FEATURES, MOMENTS).pieces(shares=3)])
    frame = Table(log, FEATURES, MOMENTS).shape.of(rows).to_pandas().set_index(["customer_id", "as_of"])
    found = differences(cells(frame), build(ROWS, features, CUTOFFS), features)
    assert found or frame.index.has_duplicates


# What runs, and what is left behind -----------------------------------------------------------------------------


def kept(log: cm.InteractionLog) -> int:
    """The tables that an engine holds beside the log."""
    return int(log.engine.arrow("SELECT COUNT(*) AS n FROM duckdb_tables()")["n"][0].as_py())


def test_pieces_that_are_done_are_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    log = LOGS["numbers"]
    table = Table(log, FEATURES, MOMENTS)
    everything = {(piece.number, piece.as_of): piece.table for piece in table.pieces(shares=3)}
    done = {(0, MOMENTS[0]), (2, MOMENTS[1]), *((1, moment) for moment in MOMENTS)}
    made: list[Any] = []
    original = Engine.create_table

    def create_table(engine: Engine, query: Any, name: str | None) -> str:
        made.append(query)
        return original(engine, query, name)

    monkeypatch.setattr(Engine, "create_table", create_table)
    found = list(table.pieces(shares=3, done=lambda number, as_of: (number, as_of) in done))
    assert [(piece.number, piece.as_of) for piece in found] == [key for key in everything if key not in done]
    assert all(differing(piece.table, everything[piece.number, piece.as_of]) == [] for piece in found)
    assert len(made) == 1  # one table for all that is missing
    assert list(table.pieces(shares=3, done=lambda number, as_of: True)) == []
    assert len(made) == 1  # and none where nothing is


def test_nothing_is_kept_after_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_of(ROWS)
    pieces: Iterator[Piece] = Table(log, FEATURES, MOMENTS).pieces(shares=2)
    next(pieces)
    assert kept(log) == 1
    pieces.close()  # type: ignore[attr-defined]
    assert kept(log) == 0
    assert len(list(Table(log, FEATURES, MOMENTS).pieces(shares=2))) == 6
    assert kept(log) == 0


def test_nothing_is_kept_after_an_error() -> None:
    log = log_of([{**row, "amount": 2e12} for row in ROWS[:3]] + ROWS[3:])
    with pytest.raises(cm.DataError, match=r"'amount' has the value 2e\+12, but only values below 1e\+12"):
        cm.build_features(log, [cm.Sum("amount")], MOMENTS)
    assert kept(log) == 0
    assert len(cm.build_features(log, [cm.Count()], MOMENTS[-1])) > 70  # and the log can still be used


def test_two_threads_may_build_from_one_log() -> None:
    log = log_of(ROWS)
    whole = Table(log, FEATURES, MOMENTS).arrow()
    with ThreadPoolExecutor(3) as pool:
        tables = list(pool.map(lambda _: Table(log, FEATURES, MOMENTS).arrow(), range(4)))
    assert [differing(table, whole) for table in tables] == [[]] * 4
    assert kept(log) == 0


def test_an_engine_that_fails_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_of(ROWS)
    broken = Mutant("broken", "FROM history", "FROM nowhere")
    with built_in(broken, monkeypatch), pytest.raises(cm.DataError) as caught:
        cm.build_features(log, [cm.Count()], MOMENTS)
    assert str(caught.value) == (
        "the table cannot be built: Catalog Error: Table with name nowhere does not exist!. "
        "Run log.check() to see what the log holds."
    )


# The bar --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("progress", "shown"), [(True, True), (False, False), (None, False)])
def test_a_bar_is_shown_where_it_is_wanted(
    progress: bool | None, shown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """By default only on a terminal, which a captured stream is not."""
    cm.build_features(LOGS["numbers"], FEATURES, MOMENTS, progress=progress)
    said = capsys.readouterr()
    assert ("features" in said.err) == shown
    assert said.out == ""


class Bar:
    """Stands for tqdm, and remembers."""

    last: "Bar"

    def __init__(self, **settings: Any) -> None:
        self.settings, self.n, self.total, self.seen = settings, 0, 0, [0]
        Bar.last = self

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def update(self, by: int) -> None:
        self.n += by
        self.seen.append(self.n)


@pytest.mark.parametrize(("done", "seen"), [(set(), [0, 1, 2, 3, 4, 5, 6]), ({(0, 1), (0, 2), (1, 0)}, [0, 1, 5, 6])])
def test_the_bar_counts_pieces_and_those_that_are_done(
    monkeypatch: pytest.MonkeyPatch, done: set[tuple[int, int]], seen: list[int]
) -> None:
    monkeypatch.setattr("tqdm.tqdm", Bar)
    table = Table(LOGS["numbers"], FEATURES, MOMENTS)
    list(table.pieces(shares=2, done=lambda number, as_of: (number, MOMENTS.index(as_of)) in done))
    assert Bar.last.seen == seen
    assert Bar.last.total == 6


# EXPLAIN --------------------------------------------------------------------------------------------------------


def test_explain_draws_the_plan_of_the_whole_text() -> None:
    drawing = FEATURES.explain(LOGS["numbers"], MOMENTS)
    for part in ("GROUP BY", "WINDOW", "JOIN", "min(", "lag("):
        assert part.lower() in drawing.lower().replace("hash_group_by", "group by"), part


def test_explain_says_what_one_pass_answers() -> None:
    features = cm.FeatureSet([cm.Count(), cm.Gap(stat="std"), cm.MeanVector("event_type", size=2)])
    for cutoffs in (MOMENTS, MOMENTS[:1]):
        said = features.explain(LOGS["numbers"], cutoffs)
        assert said.startswith("In one pass over the events: by_customer, ordered_1_by_customer.\n\n")


def test_explain_says_what_the_log_lacks() -> None:
    log = cm.InteractionLog(
        pd.DataFrame({"who": [1], "at": pd.to_datetime(["2024-01-01"], utc=True)}), customer_id="who", timestamp="at"
    )
    with pytest.raises(cm.SchemaError) as caught:
        cm.FeatureSet([cm.Sum("amount")]).explain(log, "2024-02-01")
    assert str(caught.value) == (
        "Sum('amount'): the log has no amount. Say which column plays it: InteractionLog(..., amount='column')."
    )

"""Mutants of one pass: each of these lines keeps customers, moments or values apart."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crmml as cm
from crmml.features import kept
from crmml.features.stream import groups, last, parts, program, reading, recent, sums, values, wide, windows
from crmml.features.stream.rows import Vector
from crmml.features.table import Table
from tests.features.same_bits import differing
from tests.features.test_stream import CUTOFF, EVERY_IN_UTC, alone, created, log_in, sliced

# Of every kind; and windows that begin at events of the log, the shorter one among the events of the longer.
FEATURES = cm.FeatureSet([*EVERY_IN_UTC, cm.Sum("quantity", window="36h"), cm.Sum("quantity", window="3d")])
OF_PREPARED = {"batches: customers divided"}
NOTICED = {f"parts: {what}" for what in ("in order of time only", "in order of customers only", "customers divided")}


def mutants() -> dict[str, tuple[Any, str, Any]]:
    before, following, chosen, code = values.before, windows._following, values._chosen, groups.code_of
    first, column, rest = recent._first, last.of_buffers, kept.Kept._rest
    return {
        "before: of any customer": (
            values,
            "before",
            lambda v, owner, n: before(v, 0 * owner, n),
        ),
        "before: one row too far": (values, "before", lambda v, owner, n: before(v, owner, n + 1)),
        "next: not of the same item": (windows, "grouped", lambda owner, keys: groups.grouped(owner, [])),
        "next: of any customer": (
            windows,
            "_following",
            lambda goal, age, owner: following(goal, age, 0 * owner),
        ),
        "power: the base forgotten": (values, "_power", lambda base, exponent: exponent),
        "rounding: down": (values, "rounded", lambda value: Vector(np.floor(value.data), value.missing)),
        "case: what is not met counts": (values, "_chosen", lambda c, then, other, rows: then(rows)),
        "missing: filled": (sums, "filled", lambda data, missing: np.where(missing, 1, data)),
        "where: forgotten": (program, "_where", lambda rows, condition: rows),
        "groups: by customer only": (groups, "code_of", lambda value: 0 * code(value)),
        "places: those of the first customers": (program, "spread", lambda v, places, size: np.resize(v, size)),
        "batches: customers divided": (
            kept,
            "whole_customers",
            lambda events, rows: (e for e in events if e.num_rows),
        ),
        "reading: what comes after the cutoff": (reading, "_met", lambda condition, rows: np.arange(rows)),
        "parts: in order of time only": (parts, "_order", lambda ids, time: np.argsort(time, kind="stable")),
        "parts: in order of customers only": (parts, "_order", lambda ids, time: np.argsort(ids, kind="stable")),
        "parts: customers divided": (parts, "_part_of", lambda ids, of: (np.arange(len(ids)) % of).astype(np.int64)),
        "parts: numbers cut off": (parts, "narrowest", lambda d: np.dtype("i1") if d.dtype.kind == "i" else d.dtype),
        "window: longer": (recent, "_first", lambda age, rows, runs, us: first(age, rows, runs, us + 10**9)),
        "window: of any age": (recent, "_first", lambda age, rows, runs, us: runs.starts),
        "or: and": (values, "_or", values._and),
        "last: nothing is missing": (last, "of_buffers", lambda kind, data, missing: column(kind, data, None)),
        "last: columns of other customers": (
            kept.Kept,
            "_rest",
            lambda *asked: {name: values[::-1] for name, values in rest(*asked).items()},
        ),
        "wide: the lower half only": (wide, "as_double", lambda value: Vector(value.low / 1e6, value.missing)),
        "chosen: the other": (values, "_chosen", lambda c, then, other, rows: chosen(c, other or then, then, rows)),
    }


def test_without_a_mutant_nothing_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Or else every mutant would be found for another reason."""
    table = Table(log_in(monkeypatch, "Arrow", tmp_path), FEATURES, CUTOFF)
    whole = alone(monkeypatch, table)
    sliced(monkeypatch, iter(lambda: 50, 0))
    assert differing(created(monkeypatch, table)[0], whole, last_bit="quantile_") == []


@pytest.mark.parametrize("name", mutants())
def test_a_mutant_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    where, line, mutant = mutants()[name]
    log = log_in(monkeypatch, "prepared" if name in OF_PREPARED else "Arrow", tmp_path)
    table = Table(log, FEATURES, CUTOFF)
    whole = alone(monkeypatch, table)
    sliced(monkeypatch, iter(lambda: 50, 0))
    monkeypatch.setattr(where, line, mutant)
    found, tables = created(monkeypatch, table)
    # That customers are divided, or moments in no order, is noticed as it happens: then events are kept in a table.
    assert tables > 0 if name in NOTICED else differing(found, whole, last_bit="quantile_") != []

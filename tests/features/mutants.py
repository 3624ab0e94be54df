"""Mutants: changes of the SQL text just before it runs, which a test has to notice.

A mutant that finds nothing to change fails, so that its test does not live on when the line that it guards has moved.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from crmml.data.engine import Engine
from crmml.features import kept


@dataclass(frozen=True)
class Mutant:
    """A replacement (regular expression, text) in the SQL; of a table in no order where `in_order` is False."""

    name: str
    pattern: str
    replacement: str
    in_order: bool = True

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Written:
    """A text where the engine expects a query."""

    text: str

    def sql(self, dialect: str) -> str:
        return self.text


@contextmanager
def built_in(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every text of a table runs as the mutant writes it, and one must have changed.

    There are two: what is kept of each event (`create_table`), and the table from that (known by its `history`). The
    engine answers all of it: what one pass over the events answers reads the same definitions, and no text.
    """
    query, keep = Engine.arrow, Engine.create_table
    changed = 0

    def mutated(text: str) -> str:
        nonlocal changed
        text, count = re.subn(mutant.pattern, mutant.replacement, text)
        changed += count
        return text

    def arrow(self: Engine, asked: Any) -> Any:
        text = asked if isinstance(asked, str) else asked.sql("duckdb")
        return query(self, mutated(text) if "history AS " in text else text)

    def create_table(self: Engine, asked: Any, name: str | None) -> str:
        return keep(self, Written(mutated(asked.sql("duckdb"))), name)  # type: ignore[arg-type]

    monkeypatch.setattr(kept, "program_of", lambda text: None)
    if not mutant.in_order:
        monkeypatch.setattr(kept, "looking_back", lambda query: query)
    monkeypatch.setattr(Engine, "arrow", arrow)
    monkeypatch.setattr(Engine, "create_table", create_table)
    yield
    monkeypatch.undo()
    assert changed > 0, f"the mutant {mutant.name!r} found nothing to change: has its line moved?"

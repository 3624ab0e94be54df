"""A SQL text as a chain of named steps."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

# The step that holds the events of a log, cleaned, in their roles.
EVENTS = "events"


@dataclass(frozen=True)
class Step:
    """One named step of a SQL text: `name AS (query)`.

    Whether an engine holds the step's rows or works them out anew for each reader is its own choice, unless `kept`
    says so.
    """

    name: str
    query: exp.Select
    kept: bool | None = None


def chain(steps: Sequence[Step], query: exp.Select) -> exp.Select:
    """`query` with `steps` before it, as one SQL text."""
    for step in steps:
        query = query.with_(step.name, as_=step.query, materialized=step.kept, copy=False)
    return query

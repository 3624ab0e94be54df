"""The text that is left when a stream has answered what it knows: the other groupings, and the last expressions."""

from collections.abc import Iterable, Mapping, Sequence

from sqlglot import exp

from crmml.data.sql import is_there
from crmml.data.steps import Step
from crmml.features.plan import BY_CUSTOMER, CODED, Text
from crmml.features.stream.columns import DOUBLE, TEXT, qualified
from crmml.features.stream.program import CUSTOMER, THERE, Program
from crmml.features.stream.rows import Unknown

STREAMED = "streamed"
# What a column of the stream is already; numbers come as narrow as they are.
AS_THEY_ARE = (DOUBLE, TEXT)


def program_of(text: Text) -> Program | None:
    """What a stream can answer of a text, or None where that is nothing."""
    at = text.coded + 1
    try:
        program = Program(text.steps[at], text.steps[at + 1 :])
    except Unknown:
        return None
    return program if set(_read(text.query)) & set(program.sides) else None


def answers_all(text: Text, program: Program) -> bool:
    """Whether nothing of a text is left that reads the events."""
    others = [step for step in text.steps if step.name not in program.sides]
    return not any(step.name == CODED for step in _reached(others, text.query))


def events_of(text: Text, program: Program) -> Text:
    """The text of the events that the stream reads, instead of the table."""
    read = exp.select(CUSTOMER, *(exp.column(name, quoted=True) for name in program.reads)).from_(CODED)
    seen = text.steps[text.coded + 1].query.args.get("where")
    query = read.where(seen.this.copy()) if seen else read
    return Text(_reached(text.steps, query), query)


def left_of(text: Text, source: str, known: Mapping[str, Mapping[str, str]]) -> Text:
    """The text of the table, where the sides `known` stand in the table `source`, with columns of these types."""
    query = text.query.copy()
    query.set("joins", [join for join in query.args.get("joins") or [] if join.this.name not in known])
    base = query.args["from_"].this.name
    if base == BY_CUSTOMER and base in known:  # has everybody
        query = query.from_(STREAMED, copy=False)
    elif THERE in known.get(base, {}):
        there = exp.column(qualified(base, THERE), table=STREAMED, quoted=True)
        query = query.from_(STREAMED, copy=False).where(is_there(there), copy=False)
    else:
        query = query.join(STREAMED, using=[CUSTOMER], join_type="left", copy=False)
    for found in list(query.find_all(exp.Column)):
        if found.table in known:
            key = found.name == CUSTOMER
            name = found.name if key else qualified(found.table, found.name)
            column = exp.column(name, table=STREAMED, quoted=not key)
            selected = found.parent is query and not key
            found.replace(exp.alias_(column, found.this.copy()) if selected else column)
    columns = (_typed(qualified(side, of), kind) for side, types in known.items() for of, kind in types.items())
    streamed = exp.select(CUSTOMER, *columns).from_(source)
    return Text(_reached([*text.steps, Step(STREAMED, streamed, kept=False)], query), query)


def selecting(query: exp.Select, expressions: Sequence[exp.Expr]) -> exp.Select:
    """A copy of a query that has these expressions instead of its own."""
    parts = {**query.args, "expressions": list(expressions)}
    return exp.Select(**{name: _copied(part) for name, part in parts.items()})


def _copied(part: object) -> object:
    if isinstance(part, list):
        return [_copied(each) for each in part]
    return part.copy() if isinstance(part, exp.Expr) else part


def _typed(name: str, kind: str) -> exp.Expr:
    found = exp.column(name, quoted=True)
    return found if kind in AS_THEY_ARE else exp.alias_(exp.cast(found, kind), name, quoted=True)


def _read(query: exp.Select) -> Iterable[str]:
    """The steps that a query reads, by name."""
    return (table.name for table in query.find_all(exp.Table))


def _reached(steps: Sequence[Step], query: exp.Select) -> list[Step]:
    """The steps that a query needs."""
    needed = set(_read(query))
    kept: list[Step] = []
    for step in reversed(steps):
        if step.name in needed:
            needed |= set(_read(step.query))
            kept.append(step)
    return kept[::-1]

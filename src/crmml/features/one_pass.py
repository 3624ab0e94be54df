"""Groupings of the same events in one pass, where the events stand in order.

Days, sessions and gaps look at each event and the one before it; counts and sums of the same events are a grouping of
their own. Where a look at the row before needs no sort, the rows that the one groups are those of the other, each with
a few columns more: together they are read, filtered and hashed once, and one table less is joined. The text that is
printed keeps both: elsewhere each column more would go through the sort of a window.
"""

from collections.abc import Iterator

from sqlglot import exp

from crmml.features.plan import HISTORY


def in_one_pass(query: exp.Select) -> exp.Select:
    """The same text, changed in place: a grouping of events goes with one that looks back from the same events.

    >>> from sqlglot import parse_one
    >>> text = '''
    ... WITH history AS (SELECT c, age FROM t), counted AS (SELECT c, COUNT(*) AS n FROM history GROUP BY c),
    ... steps AS (SELECT c, LAG(age) OVER () AS before FROM history),
    ... looked AS (SELECT c, MIN(before) AS b FROM steps GROUP BY c)
    ... SELECT counted.c, n, b FROM counted LEFT JOIN looked USING (c)'''
    >>> print(in_one_pass(parse_one(text, dialect="duckdb")).sql("duckdb", pretty=True).replace("  ", " "))
    WITH history AS (
     SELECT
      c,
      age
     FROM t
    ), steps AS (
     SELECT
      c,
      LAG(age) OVER () AS before
     FROM history
    ), looked AS (
     SELECT
      c,
      MIN(before) AS b,
      COUNT(*) AS n
     FROM steps
     GROUP BY
      c
    )
    SELECT
     looked.c,
     n,
     b
    FROM looked
    """
    for looking, grouping in list(_looking_back(query)):
        for other in list(query.ctes):
            if _of_the_same(other.this, looking.this, grouping.this) and _can_go_with(query, other, looking, grouping):
                _take(query, other, looking, grouping)
    return query


def _looking_back(query: exp.Select) -> Iterator[tuple[exp.CTE, exp.CTE]]:
    """The steps that look from every event of some to the one before, each with a grouping of all its rows."""
    for looking in query.ctes:
        windows = list(looking.this.find_all(exp.Window))
        if windows and _reads(looking.this) == [HISTORY] and not any(map(_sorts, windows)):
            for grouping in query.ctes:
                whole = _reads(grouping.this) == [looking.alias] and not grouping.this.args.get("where")
                if whole and grouping.this.args.get("group"):
                    yield looking, grouping


def _sorts(window: exp.Window) -> bool:
    return bool(window.args.get("partition_by") or window.args.get("order"))


def _of_the_same(other: exp.Select, looking: exp.Select, grouping: exp.Select) -> bool:
    """Whether `other` groups the events that `looking` looks at, by what `grouping` groups them."""
    same = other.args.get("group") == grouping.args["group"]
    return same and _reads(other) == [HISTORY] and _conditions(other) == _conditions(looking)


def _can_go_with(query: exp.Select, other: exp.CTE, looking: exp.CTE, grouping: exp.CTE) -> bool:
    """Whether all names still say what they said, and no step reads both groupings."""
    given = {each.alias_or_name.casefold(): each for each in looking.this.selects}
    renamed = (given.get(name.casefold()) for name in _needed(other.this))
    if any(not isinstance(each, exp.Column | None) for each in renamed):
        return False
    taken = {each.alias_or_name.casefold() for each in grouping.this.selects}
    both = {other.alias, grouping.alias}
    return not any(each.alias_or_name.casefold() in taken for each in _aggregates(other.this)) and not any(
        both <= set(_reads(step.this)) for step in query.ctes
    )


def _take(query: exp.Select, other: exp.CTE, looking: exp.CTE, grouping: exp.CTE) -> None:
    """Let `grouping` work out what `other` does, and be read in its place."""
    given = {each.alias_or_name.casefold() for each in looking.this.selects}
    more = [exp.column(name, quoted=True) for name in _needed(other.this) if name.casefold() not in given]
    looking.this.select(*more, copy=False)
    grouping.this.select(*(each.copy() for each in _aggregates(other.this)), copy=False)
    steps = [step for step in query.ctes if step not in (other, looking, grouping)]
    after = [step.alias for step in steps].index(HISTORY) + 1  # before all that read `other`
    query.args["with_"].set("expressions", [*steps[:after], looking, grouping, *steps[after:]])
    for table in list(query.find_all(exp.Table)):
        if table.name == other.alias:
            table.set("this", exp.to_identifier(grouping.alias))
    for column in query.find_all(exp.Column):
        if column.table == other.alias:
            column.set("table", exp.to_identifier(grouping.alias))
    read = [query.args["from_"].this.name]
    for join in list(query.args.get("joins") or []):
        if join.this.name in read:
            join.pop()  # the same rows a second time
        read.append(join.this.name)


def _reads(step: exp.Select) -> list[str]:
    """The tables that a step reads."""
    return [table.name for table in step.find_all(exp.Table)]


def _conditions(step: exp.Select) -> set[exp.Expr]:
    """What the rows have to meet."""
    where = step.args.get("where")
    if where is None:
        return set()
    return set(where.this.flatten()) if isinstance(where.this, exp.And) else {where.this}


def _aggregates(step: exp.Select) -> list[exp.Expr]:
    """What a grouping selects beside its keys."""
    return [each for each in step.selects if isinstance(each, exp.Alias)]


def _needed(step: exp.Select) -> list[str]:
    """The columns that the aggregates of a grouping read, in the order in which they do."""
    return list(dict.fromkeys(found.name for each in _aggregates(step) for found in each.find_all(exp.Column)))

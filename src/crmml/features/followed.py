"""The grouping behind conversions: events, each with the event of a goal that follows it."""

from collections.abc import Iterable

from sqlglot import exp

from crmml.data.sql import is_there
from crmml.data.steps import Step
from crmml.features.expressions import AGE, case, column, group, newest_first, within
from crmml.features.filters import Filter
from crmml.features.needs import HISTORY, Aggregates
from crmml.features.plan import Plan


class Followed:
    """Events, each with the age of the next event of a goal: `next_us`, NULL where none follows before the cutoff."""

    def __init__(self, plan: Plan, goal: Filter, on: str | None) -> None:
        self._plan = plan
        self._goal = goal
        self._on = [] if on is None else [plan.value(on)]
        self._name = plan.step_name("followed")
        self._asked: dict[tuple[Filter, int | None], None] = {}
        self.side = f"{self._name}_by_customer"
        self.aggregates = Aggregates(self.side)

    def inside(self, filter_: Filter, window_us: int | None) -> list[exp.Expr]:
        """That an event meets a filter and lies in a window."""
        self._asked[filter_, window_us] = None
        return self._plan.conditions(filter_, window_us)

    def steps(self) -> Iterable[Step]:
        goal = self._plan.flags(self._goal)
        # From the cutoff back to the event: the oldest goal that is not older, events of the same moment included.
        among = [*self._plan.keys, *(value.copy() for value in self._on)]
        following = newest_first(exp.Max(this=case(goal, column(AGE))), among)
        conditions = (flag for filter_, _ in self._asked for flag in self._plan.flags(filter_))
        compared = dict.fromkeys(name for flag in conditions for name in flag.find_all(exp.Column))
        rows = exp.select(*self._plan.keys, column(AGE), *compared, exp.alias_(following, "next_us"))
        rows = rows.from_(HISTORY).where(*self._rows(goal), *(is_there(value.copy()) for value in self._on))
        yield Step(self._name, rows)
        yield Step(self.side, group(self._name, self._plan.keys, self.aggregates.selected()))

    def _rows(self, goal: list[exp.Expr]) -> list[exp.Expr]:
        """That an event is a goal, or one that may convert; what follows an event in a window lies in it too."""
        starts = dict.fromkeys(filter_ for filter_, _ in self._asked)
        either = [exp.and_(*goal, copy=True), *(exp.and_(*self._plan.flags(start)) for start in starts)]
        windows = [window_us for _, window_us in self._asked]
        longest = None if None in windows else max(us for us in windows if us is not None)
        return [exp.or_(*either), *within(longest)]

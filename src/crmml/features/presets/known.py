"""What a log has, as far as presets ask: its main event, the others, channels, columns, times of day."""

from functools import cached_property
from typing import TYPE_CHECKING

from sqlglot import exp

from crmml.data.steps import EVENTS, chain
from crmml.data.time import SECOND
from crmml.features.expressions import microseconds, number

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

# More types or channels than these make columns that hardly any customer has.
MAX_EVENT_TYPES = 5
MAX_CHANNELS = 4
# The types that are looked for by name, the likeliest name first.
RETURNS = ("return", "refund", "returned", "refunded")
INTERESTS = ("view", "visit", "page_view", "pageview", "click")
# Zones differ from UTC by whole quarters of an hour: dates alone lie on one in any of them.
QUARTER_US = 15 * 60 * SECOND


class Known:
    """What a log has.

    >>> import crmml as cm
    >>> known = Known(cm.simulate_log(50, seed=1).log)
    >>> known.main, known.interest, known.returned
    ('purchase', 'view', 'return')
    """

    def __init__(self, log: "InteractionLog") -> None:
        self.log = log
        self.types = tuple(log.facts.event_types)

    @property
    def main(self) -> str | None:
        """The event that the business lives from: "purchase" where the log has it, else the most frequent type."""
        return "purchase" if "purchase" in self.types else next(iter(self.types), None)

    @property
    def mixed(self) -> bool:
        """Whether there are events of several types."""
        return len(self.types) > 1

    @property
    def others(self) -> tuple[str, ...]:
        """The types besides the main one, most frequent first."""
        return tuple(kind for kind in self.types if kind != self.main)[:MAX_EVENT_TYPES]

    @property
    def returned(self) -> str | None:
        """The type of returns."""
        return next((kind for kind in RETURNS if kind in self.types and kind != self.main), None)

    @property
    def interest(self) -> str | None:
        """The type by which customers show interest: a view, or else the most frequent type besides the main one."""
        rest = [kind for kind in self.types if kind not in (self.main, self.returned)]
        return next((kind for kind in (*INTERESTS, *rest) if kind in rest), None)

    def has(self, name: str) -> bool:
        """Whether the log has a role."""
        return self.log.roles.knows(name)

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """The most used channels, most used first, ties in alphabetical order; none where there is only one."""
        if not self.has("channel"):
            return ()
        channel = exp.column("channel")
        counted = exp.select(channel, exp.alias_(exp.Count(this=exp.Star()), "n"))
        counted = counted.from_(EVENTS).where(exp.Not(this=exp.Is(this=channel.copy(), expression=exp.null())))
        rows = self.log.engine.rows(chain(self.log.steps(["channel"]), counted.group_by(channel.copy())))
        rows = sorted(rows, key=lambda row: (-row["n"], row["channel"]))
        return tuple(row["channel"] for row in rows[:MAX_CHANNELS]) if len(rows) > 1 else ()

    @cached_property
    def timed(self) -> bool:
        """Whether the log knows the time of the day, not dates alone."""
        rest = exp.Mod(this=microseconds(exp.column("timestamp", quoted=True)), expression=number(QUARTER_US))
        query = exp.select(exp.alias_(exp.Max(this=exp.Abs(this=rest)), "rest")).from_(EVENTS)
        row = self.log.engine.row(chain(self.log.steps(["timestamp"]), query))
        return bool(row["rest"])

"""For churn, value and recommendations: is a log ready, why not, and what to do."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crmml.data.time import DAY
from crmml.errors import did_you_mean

if TYPE_CHECKING:
    from crmml.data.facts import Facts
    from crmml.data.log import InteractionLog

# Below these a model learns noise: they are the least with which a backtest says anything.
MIN_CUSTOMERS = 100
MIN_REPEAT_SHARE = 0.05
MIN_ITEMS = 10
Duration = tuple[str, int]


@dataclass(frozen=True)
class Counts:
    """Figures that only the report needs.

    Attributes:
        customers: distinct customers.
        items: distinct items; None where the log has no item_id.
        repeat_customers: customers with events of the main type on two moments or more.
        main_events: events of the main type.
        main_customers: customers with such an event.
        duplicates: events that are alike in every column to another one.
        repeated_event_ids: events whose event_id stands in the log before; None where it has no event_id.
        negative_amounts: events with an amount below 0; None where the log has no amount.
        at_epoch: events at 1970-01-01 00:00:00, where a time that was 0 or missing ends up.
        missing: events of the main type without a value, by role.
    """

    customers: int
    items: int | None
    repeat_customers: int
    main_events: int
    main_customers: int
    duplicates: int
    repeated_event_ids: int | None
    negative_amounts: int | None
    at_epoch: int
    missing: dict[str, int]


@dataclass(frozen=True)
class Readiness:
    """Whether a log is ready for a task.

    Attributes:
        task: "churn", "value" or "recommendations".
        reasons: what is missing, each with what to do; empty where the log is ready.
        days_needed, days_there: history that window and horizon ask for, and that the log has.
    """

    task: str
    reasons: tuple[str, ...]
    days_needed: int
    days_there: int

    @property
    def ready(self) -> bool:
        """Nothing is missing."""
        return not self.reasons

    def __str__(self) -> str:
        history = f"needs {self.days_needed:,} days of history, the log has {self.days_there:,}"
        if self.ready:
            return f"{self.task:<15} ready ({history})"
        head = f"{self.task:<15} not ready, because {self.reasons[0]}"
        return "\n".join([head, *(f"{'':<15} and because {reason}" for reason in self.reasons[1:])])


def judge(
    log: "InteractionLog",
    facts: "Facts",
    counts: Counts,
    main: str | None,
    *,
    horizon: Duration,
    window: Duration,
) -> tuple[Readiness, ...]:
    """The readiness for each task, with the given window and horizon."""
    there = 0 if facts.rows == facts.missing_timestamp else (facts.last - facts.first).days
    # One training and one hold-out cutoff, a horizon apart, each with a window before and a horizon after it.
    needed = -(-(window[1] + 2 * horizon[1]) // DAY)
    common = _blocking(facts)
    if there < needed:
        common.append(
            f"window {window[0]} and two horizons of {horizon[0]} need {needed:,} days of history, and the log has "
            f"{there:,}: use a shorter window or horizon, or more history"
        )
    if main is not None and main not in facts.event_types:
        common.append(f"event type {main!r} never occurs:{did_you_mean(main, facts.event_types)} name one that does")
    if 0 < counts.main_customers < MIN_CUSTOMERS:
        common.append(f"only {counts.main_customers:,} customers are there: {MIN_CUSTOMERS} are the least to judge by")
    repeated = counts.repeat_customers / max(counts.main_customers, 1)
    again = []
    if counts.main_customers and repeated < MIN_REPEAT_SHARE:
        again.append(f"only {repeated:.1%} of the customers came twice: there is no behaviour to learn from")
    missing = {
        "value": [] if log.roles.knows("amount") else ["the log has no amount: say InteractionLog(..., amount=...)"],
        "recommendations": _items(counts),
    }
    return tuple(
        Readiness(task, (*common, *again, *missing.get(task, [])), needed, there)
        for task in ("churn", "value", "recommendations")
    )


def _blocking(facts: "Facts") -> list[str]:
    """What makes every table impossible."""
    if facts.rows == 0:
        return ["the log is empty: give one with events"]
    blocking = []
    if facts.missing_customer_id:
        blocking.append("events have no customer_id: clean(DropMissing('customer_id'))")
    if facts.missing_timestamp:
        blocking.append("events have no timestamp: clean(DropMissing('timestamp'))")
    if facts.impossible_timestamp or facts.future_timestamp:
        blocking.append("events are at impossible times: clean(KeepBetween('timestamp', ...))")
    return blocking


def _items(counts: Counts) -> list[str]:
    if counts.items is None:
        return ["the log has no item_id: say InteractionLog(..., item_id=...)"]
    if counts.items < MIN_ITEMS:
        return [f"only {counts.items:,} items are there: with fewer than {MIN_ITEMS} show all of them"]
    return []

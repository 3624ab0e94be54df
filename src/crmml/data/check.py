"""`log.check()`: what a log holds, what is wrong with it, and what it is ready for. It describes; it never fails."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
from sqlglot import exp

from crmml.data.facts import EARLIEST, Facts, count_where, is_missing
from crmml.data.readiness import Counts, Readiness, judge
from crmml.data.sql import is_there, moment, name_of
from crmml.data.steps import EVENTS, chain
from crmml.data.time import parse_duration, spoken
from crmml.errors import did_you_mean

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

EPOCH = "1970-01-01"


@dataclass(frozen=True)
class CheckReport:
    """The readiness report of a log; `print` shows it.

    Attributes:
        facts: rows, span, event types, missing and impossible times.
        counts: customers, items, duplicates, returns, missing values.
        event_type: the event that was taken for activity.
        readiness: for churn, value and recommendations: ready or not, why, what to do.
        problems: what is wrong with the data, each with what to do.
    """

    facts: Facts
    counts: Counts
    event_type: str | None
    readiness: tuple[Readiness, ...]
    problems: tuple[str, ...]

    @property
    def ready(self) -> dict[str, bool]:
        """Task -> whether the log is ready for it."""
        return {item.task: item.ready for item in self.readiness}

    def __str__(self) -> str:
        return "\n".join([*self._figures(), *self._problems(), *(str(item) for item in self.readiness)])

    def _figures(self) -> list[str]:
        facts, counts = self.facts, self.counts
        rows = [("events", f"{facts.rows:,}"), ("customers", f"{counts.customers:,}")]
        if counts.items is not None:
            rows.append(("items", f"{counts.items:,}"))
        if not pd.isna(facts.first):
            span = f"{(facts.last - facts.first).days:,} days"
            rows.append(("span", f"{span}, {spoken(facts.first)} to {spoken(facts.last)} (UTC)"))
        if facts.event_types:
            kinds = [f"{kind} {n:,} ({n / facts.rows:.0%})" for kind, n in facts.event_types.items()]
            rows.append(("event types", ", ".join(kinds[:8]) + (", ..." if len(kinds) > 8 else "")))
        if counts.negative_amounts is not None:
            share = counts.negative_amounts / max(facts.rows, 1)
            rows.append(("returns", f"{counts.negative_amounts:,} events with a negative amount ({share:.1%})"))
        return [f"{name:<15} {text}" for name, text in rows]

    def _problems(self) -> list[str]:
        if not self.problems:
            return [f"{'problems':<15} none found"]
        lines = [f"{'problems':<15} {self.problems[0]}"]
        return lines + [f"{'':<15} {problem}" for problem in self.problems[1:]]


def check_log(log: "InteractionLog", *, horizon: str, window: str, event_type: str | None) -> CheckReport:
    """The report of `log.check()`."""
    horizon_us, window_us = parse_duration(horizon, "horizon"), parse_duration(window, "window")
    facts = log.facts
    main = _main_event_type(facts) if event_type is None else event_type
    counts = _counts(log, main)
    problems = tuple(_problems(facts, counts, main))
    if event_type is not None and event_type not in facts.event_types:
        hint = did_you_mean(event_type, facts.event_types)
        problems = (f"event type {event_type!r} never occurs.{hint}", *problems)
    readiness = judge(log, facts, counts, main, horizon=(horizon, horizon_us), window=(window, window_us))
    return CheckReport(facts, counts, main, readiness, problems)


def _main_event_type(facts: Facts) -> str | None:
    types = facts.event_types
    return "purchase" if "purchase" in types else next(iter(types), None)


def _counts(log: "InteractionLog", main: str | None) -> Counts:
    roles = [role for role in log.names if log.roles.knows(role)]
    is_main: exp.Expr = exp.true()
    if main is not None:
        is_main = exp.EQ(this=name_of("event_type"), expression=exp.Literal.string(main))
    columns = {
        "customers": _distinct("customer_id"),
        "main_events": count_where(is_main),
        "at_epoch": count_where(exp.EQ(this=name_of("timestamp"), expression=moment(EPOCH))),
        **{f"missing_{role}": count_where(exp.and_(is_missing(role), is_main.copy())) for role in roles},
    }
    if "item_id" in roles:
        columns["items"] = _distinct("item_id")
    if "amount" in roles:
        columns["negative"] = count_where(exp.LT(this=name_of("amount"), expression=exp.Literal.number(0)))
    if "event_id" in roles:
        known = exp.Count(this=name_of("event_id"))
        columns["repeated_ids"] = exp.Sub(this=known, expression=_distinct("event_id"))
    selected = exp.select(*(exp.alias_(value, name) for name, value in columns.items())).from_(EVENTS)
    row = log.engine.row(chain(log.steps(roles), selected))
    buyers = log.engine.row(_buyers(log, is_main))
    return Counts(
        customers=row["customers"],
        items=row.get("items"),
        repeat_customers=buyers["repeat"] or 0,
        main_events=row["main_events"],
        main_customers=buyers["customers"] or 0,
        duplicates=_duplicates(log),
        repeated_event_ids=row.get("repeated_ids"),
        negative_amounts=row.get("negative"),
        at_epoch=row["at_epoch"],
        missing={role: row[f"missing_{role}"] for role in roles},
    )


def _distinct(role: str) -> exp.Expr:
    return exp.Count(this=exp.Distinct(expressions=[name_of(role)]))


def _buyers(log: "InteractionLog", is_main: exp.Expr) -> exp.Select:
    """How many customers have an event of the main type, and how many have them at two moments."""
    customer, moments = name_of("customer_id"), exp.alias_(_distinct("timestamp"), "moments")
    per_customer = exp.select(moments).from_(EVENTS).where(is_main, is_there(customer)).group_by(customer.copy())
    repeated = count_where(exp.GT(this=exp.column("moments"), expression=exp.Literal.number(1)))
    counted = exp.select(exp.alias_(exp.Count(this=exp.Star()), "customers"), exp.alias_(repeated, "repeat"))
    typed = ["event_type"] if log.roles.knows("event_type") else []
    return chain(log.steps(["customer_id", "timestamp", *typed]), counted.from_(per_customer.subquery("buyers")))


def _duplicates(log: "InteractionLog") -> int:
    distinct = exp.select("*").distinct().from_(EVENTS).subquery("distinct_events")
    counted = exp.select(exp.alias_(exp.Count(this=exp.Star()), "n")).from_(distinct)
    return int(log.facts.rows - log.engine.row(chain(log.steps(log.names), counted))["n"])


def _problems(facts: Facts, counts: Counts, main: str | None) -> list[str]:
    found: list[str] = []

    def note(n: int | None, problem: Callable[[str], str]) -> None:
        if n:
            found.append(problem(f"{n:,} of {facts.rows:,} events"))

    if facts.rows == 0:
        found.append("the log is empty. Give one with at least one event.")
    note(facts.missing_customer_id, lambda n: f"{n} have no customer_id: clean(DropMissing('customer_id')).")
    note(facts.missing_timestamp, lambda n: f"{n} have no timestamp: clean(DropMissing('timestamp')).")
    note(
        facts.impossible_timestamp,
        lambda n: f"{n} are before {EARLIEST.year}: clean(KeepBetween('timestamp', minimum='{EARLIEST.date()}')).",
    )
    note(
        facts.future_timestamp,
        lambda n: f"{n} are in the future, the last at {facts.last}: clean(KeepBetween('timestamp', maximum=...)).",
    )
    note(
        counts.at_epoch,
        lambda n: (
            f"{n} are at 1970-01-01 00:00:00, where a missing time ends up: "
            "clean(KeepBetween('timestamp', minimum='1970-01-02'))."
        ),
    )
    note(counts.duplicates, lambda n: f"{n} repeat another one in every column: clean(DropDuplicates()).")
    note(
        counts.repeated_event_ids,
        lambda n: f"{n} repeat an event_id: clean(DropDuplicates(['event_id'])).",
    )
    for role, missing in counts.missing.items():
        if missing and role in ("event_type", "item_id", "amount", "channel", "event_id"):
            kind = "events" if main is None else f"{main} events"
            found.append(f"{missing:,} of {counts.main_events:,} {kind} have no {role}: they count as missing values.")
    if facts.rows and len(facts.event_types) > 100:
        found.append(f"{len(facts.event_types):,} event types: is the event_type column a name or an id?")
    return found

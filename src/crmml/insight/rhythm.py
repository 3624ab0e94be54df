"""Visits and the gaps between them, as of cutoffs, worked out by the engine of a log.

    events -> visits (customer, day, seen_us) -> gaps -> usual -> rhythms (kept) -> the last visit before a cutoff

A visit is seen as of a cutoff when one of its events had happened and was known. Where the log does not say when events
became known, what a cutoff sees of a customer are the first visits, and the running medians of all visits serve every
cutoff; where it says so, they are worked out for each.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import pandas as pd
import pyarrow as pa
from sqlglot import exp

from crmml.data.facts import readable
from crmml.data.sql import is_one_of, literal, moment, name_of
from crmml.data.steps import EVENTS, Step, chain
from crmml.data.time import DAY

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

# From 1900 on days are counted, so that none is negative: no event of a log is from before.
SINCE_1900 = 25_567 * DAY
CUSTOMER = "customer_id"


class Rhythms:
    """The visits of every customer in order, with the median of the gaps so far, kept in the engine of the log.

    log: the interactions. event_types: the events that are a visit; None for all.
    typical: days that count as one gap of everybody. lost_after: after how many rhythms a customer is lost.
    """

    def __init__(
        self, log: "InteractionLog", event_types: Sequence[str] | None, typical: float, lost_after: float
    ) -> None:
        self._log, self._typical, self._lost_after = log, typical, lost_after
        self._event_types = event_types
        self._recorded = log.roles.knows("recorded_at")
        self._visits: str | None = None
        self._rhythms: str | None = None

    def __enter__(self) -> Self:
        with readable():
            self._visits = self._log.engine.create_table(self._visits_query())
        return self

    def __exit__(self, *_: object) -> None:
        for table in (self._visits, self._rhythms):
            if table is not None:
                self._log.engine.drop_table(table)
        self._visits = self._rhythms = None

    def as_of(self, cutoff: pd.Timestamp) -> pa.Table:
        """One row per customer with a visit before a cutoff.

        Returns:
            `customer_id`, `visits`, `usual` (median gap in days, missing with one visit), `silence` (whole days),
            `since_return` (visits after the last return from being lost; missing where there was none).
        """
        engine, until = self._log.engine, _microseconds(moment(cutoff.to_pydatetime()))
        with readable():
            if self._rhythms is None or self._recorded:
                if self._rhythms is not None:
                    engine.drop_table(self._rhythms)
                self._rhythms = engine.create_table(self._rhythms_query(until if self._recorded else None))
            table: pa.Table = engine.arrow(_last_query(self._rhythms, until))
        return table

    def _visits_query(self) -> exp.Select:
        """The days with events of every customer: `day`, and `seen_us`, from when on a cutoff sees it."""
        wanted = [CUSTOMER, "timestamp", *(["recorded_at"] if self._recorded else [])]
        conditions = []
        if self._event_types is not None:
            wanted.append("event_type")
            conditions.append(is_one_of("event_type", list(self._event_types)))
        at = _microseconds(name_of("timestamp"))
        seen: exp.Expr = at
        if self._recorded:
            known = exp.Coalesce(this=name_of("recorded_at"), expressions=[name_of("timestamp")])
            seen = exp.func("GREATEST", at.copy(), _microseconds(known))
        query = exp.select(
            exp.alias_(name_of(CUSTOMER), CUSTOMER),
            exp.alias_(_day(at.copy()), "day"),
            exp.alias_(exp.Min(this=seen), "seen_us"),
        ).from_(EVENTS)
        query = query.where(*conditions) if conditions else query
        return chain(self._log.steps(wanted), query.group_by(name_of(CUSTOMER), _day(at.copy())))

    def _rhythms_query(self, until: exp.Expr | None) -> exp.Select:
        """Every visit with its number, the median gap up to it, and the number of the last return up to it."""
        visits = exp.select(CUSTOMER, "day", "seen_us").from_(str(self._visits))
        if until is not None:
            visits = visits.where(exp.LT(this=_column("seen_us"), expression=until.copy()))
        gap = exp.Sub(this=_column("day"), expression=_in_order(exp.Lag(this=_column("day"))))
        gaps = exp.select(
            CUSTOMER, "day", "seen_us", exp.alias_(gap, "gap"), exp.alias_(_in_order(exp.RowNumber()), "visits")
        ).from_("visits")
        median = exp.Anonymous(this="QUANTILE_DISC", expressions=[_column("gap"), literal(0.5)])
        usual = exp.select("*", exp.alias_(_so_far(median), "usual")).from_("gaps")
        before = exp.select("*", exp.alias_(_in_order(exp.Lag(this=_column("usual"))), "usual_before")).from_("usual")
        columns = [CUSTOMER, "day", "seen_us", "visits", "usual"]
        returned = exp.Case(ifs=[exp.If(this=self._was_lost(), true=_column("visits"))])
        query = exp.select(*columns, exp.alias_(_so_far(exp.Max(this=returned)), "returned")).from_("before")
        steps = [Step("visits", visits), Step("gaps", gaps), Step("usual", usual), Step("before", before)]
        return chain(steps, query)

    def _was_lost(self) -> exp.Expr:
        """`gap >= lost_after * rhythm`, with the rhythm that a customer had before the gap."""
        if self._lost_after == float("inf"):
            return exp.false()
        earlier = exp.Paren(this=exp.Sub(this=_column("visits"), expression=literal(2)))  # gaps before this one
        known = exp.Coalesce(this=_column("usual_before"), expressions=[literal(0)])
        total = exp.Add(this=exp.Mul(this=earlier, expression=known), expression=_double(self._typical))
        number = exp.Paren(this=exp.Sub(this=_column("visits"), expression=literal(1)))
        rhythm = exp.Div(this=exp.Paren(this=total), expression=number)
        late = exp.Mul(this=_double(self._lost_after), expression=exp.Paren(this=rhythm))
        return exp.GTE(this=_column("gap"), expression=late)


def _last_query(rhythms: str, until: exp.Expr) -> exp.Select:
    """The last visit of every customer that a cutoff sees, and the days since."""
    seen = exp.LT(this=_column("seen_us"), expression=until)
    latest = exp.Order(expressions=[exp.Ordered(this=_column("day"), desc=True)])
    place = exp.Window(this=exp.RowNumber(), partition_by=[_column(CUSTOMER)], order=latest)
    ordered = exp.select("*", exp.alias_(place, "place")).from_(rhythms).where(seen)
    # The last day that the cutoff sees: of a cutoff at midnight the day before.
    today = _day(exp.Paren(this=exp.Sub(this=until.copy(), expression=literal(1))))
    query = exp.select(
        CUSTOMER,
        "visits",
        "usual",
        exp.alias_(exp.Sub(this=today, expression=_column("day")), "silence"),
        exp.alias_(exp.Sub(this=_column("visits"), expression=_column("returned")), "since_return"),
    ).from_("ordered")
    last = exp.EQ(this=_column("place"), expression=literal(1))
    return chain([Step("ordered", ordered)], query.where(last).order_by(CUSTOMER))


def _column(name: str) -> exp.Column:
    return exp.column(name)


def _double(value: float) -> exp.Expr:
    return exp.cast(literal(float(value)), "DOUBLE")


def _microseconds(time: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="epoch_us", expressions=[time])


def _day(at_us: exp.Expr) -> exp.Expr:
    """Microseconds since 1970 as whole days since 1900."""
    since = exp.Paren(this=exp.Add(this=at_us, expression=literal(SINCE_1900)))
    return exp.cast(exp.IntDiv(this=since, expression=literal(DAY)), "INT")


def _in_order(function: exp.Expr) -> exp.Window:
    """`function` over the visits of a customer in order of time."""
    order = exp.Order(expressions=[exp.Ordered(this=_column("day"))])
    return exp.Window(this=function, partition_by=[_column(CUSTOMER)], order=order)


def _so_far(aggregate: exp.Expr) -> exp.Window:
    """`aggregate` over the visits of a customer up to this one."""
    window = _in_order(aggregate)
    spec = exp.WindowSpec(kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW")
    window.set("spec", spec)
    return window

"""Contracts from a log: how many renewals came up for each customer, and who left; what sBG is fitted to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from sqlglot import exp

from crmml.data.steps import Step
from crmml.data.time import AsOf, parse_duration
from crmml.errors import ConfigError, DataError
from crmml.features.aggregate import Feature
from crmml.features.checks import check_columns, check_event_types
from crmml.features.datasets import build_features
from crmml.features.expressions import AGE, case, column, count, group, minus, named, number
from crmml.features.filters import Filter
from crmml.features.plan import HISTORY, Plan
from crmml.features.subscription import check_contract
from crmml.features.targets import Population

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

_COHORTS = ("month", "quarter", "year")


def contracts(
    log: "InteractionLog",
    as_of: "AsOf | Sequence[AsOf]",
    *,
    event_type: str | Sequence[str],
    term: str,
    ended_by: str | Sequence[str] | None = None,
) -> pd.DataFrame:
    """`t` and `churned` of every customer who was ever under contract: the input of `ShiftedBetaGeometric`.

    A contract begins with a payment and lasts as long as another follows within each term, or until it is ended. The
    row is that of the newest contract of a customer: who comes back begins anew.

    Args:
        log: the interactions.
        as_of: the cutoffs; one mostly.
        event_type: the events that pay for a term: start and renewal.
        term: how long a payment lasts, such as "31d" where it is a month: the longest, where it varies.
        ended_by: the events that end a contract at once; None where it only lapses.

    Returns:
        A row per customer with a payment before the cutoff, indexed by (`customer_id`, `as_of`): `t`, the renewals
        that came up; `churned`, 1 where the customer left at the last of them; `started`, when the contract began.

    Raises:
        SchemaError: the log lacks a column, or has it in another type.
        ConfigError: an event type never occurs, or both pays and ends; a cutoff or term is none.
        DataError: nobody paid before the cutoff.

    >>> import crmml as cm
    >>> days = ["2024-01-01", "2024-01-31", "2024-03-01", "2024-01-10", "2024-02-01", "2024-03-20"]
    >>> frame = pd.DataFrame({"user": ["anna"] * 3 + ["ben"] * 2 + ["carl"], "day": pd.to_datetime(days, utc=True)})
    >>> frame["what"] = ["start", "renewal", "renewal", "start", "cancel", "start"]
    >>> log = cm.InteractionLog(frame, customer_id="user", timestamp="day", event_type="what")
    >>> found = cm.contracts(log, "2024-03-21", event_type=["start", "renewal"], term="31d", ended_by="cancel")
    >>> found[["t", "churned"]].to_numpy().tolist()  # anna renewed twice, ben left at the first renewal
    [[2, 0], [1, 1], [0, 0]]
    >>> model = cm.ShiftedBetaGeometric(penalty=0.1).fit(found)
    >>> model.p_renews(found, horizon=1).round(2).tolist()
    [0.82, 0.0, 0.58]
    """
    where = "contracts"
    check_contract(where, event_type, term, ended_by)
    definition = Contract(event_type=event_type, ended_by=ended_by, term_us=parse_duration(term, f"{where}: term"))
    for filter_ in definition.filters:
        check_columns(filter_, log, where)
        check_event_types(filter_, log, where)
    found = build_features(log, [definition], as_of, population=Population(event_type=event_type))
    if found.empty:
        raise DataError(f"{where}: nobody paid before the cutoff. Use a later as_of.")
    churned = (found["paid_us"] > definition.term_us) | (found["ended_us"] <= found["paid_us"])
    cutoffs = found.index.get_level_values("as_of")
    return pd.DataFrame(
        {
            "t": found["payments"] - 1 + churned,
            "churned": churned.astype("int64"),
            "started": cutoffs - pd.to_timedelta(found["started_us"].to_numpy(), unit="us"),
        }
    )


def survivors(table: pd.DataFrame, *, cohorts: Literal["month", "quarter", "year"] = "month") -> pd.DataFrame:
    """How many customers of each cohort are still there after one renewal, two, and so on: the papers' table.

    Args:
        table: what `contracts` gives: `t`, `churned`, `started`.
        cohorts: who began in the same "month", "quarter" or "year" (UTC) is one cohort.

    Returns:
        A row per cohort (index `cohort`, as text) and a column per number of renewals, from 0 on. NaN from where a
        renewal has not come up yet for everybody who is still there.

    Raises:
        ConfigError: another kind of cohort.

    >>> table = pd.DataFrame({"t": [2, 1, 2, 0], "churned": [0, 1, 1, 0]})
    >>> table["started"] = pd.to_datetime(["2024-01-03", "2024-01-05", "2024-01-31", "2024-03-01"], utc=True)
    >>> found = survivors(table)
    >>> found.loc["2024-01"].tolist(), found.loc["2024-03"].tolist()
    ([3.0, 2.0, 1.0], [1.0, nan, nan])
    >>> from crmml import ShiftedBetaGeometric
    >>> ShiftedBetaGeometric.lifetimes(found.loc["2024-01"].dropna()).to_dict("list")
    {'t': [1, 2, 2], 'churned': [1, 1, 0], 'customers': [1.0, 1.0, 1.0]}
    """
    if cohorts not in _COHORTS:
        raise ConfigError(f"survivors: cohorts={cohorts!r} is none of {', '.join(_COHORTS)}. Use cohorts='month'.")
    began = table["started"].dt.tz_convert("UTC").dt.tz_localize(None).dt.to_period(cohorts[0].upper())
    most = int(table["t"].max())
    rows = {}
    for cohort, own in table.groupby(began):
        renewed, there = own["t"] - own["churned"], own.loc[own["churned"] == 0, "t"]
        until = int(there.min()) if len(there) else int(own["t"].max())
        rows[str(cohort)] = [float((renewed >= k).sum()) if k <= until else np.nan for k in range(most + 1)]
    return pd.DataFrame.from_dict(rows, orient="index", columns=range(most + 1)).rename_axis("cohort")


@dataclass(frozen=True, repr=False, kw_only=True)
class Contract(Feature):
    """The newest contract of a customer: its payments, the ages of its start, of the last payment and the last end."""

    event_type: str | Sequence[str]
    ended_by: str | Sequence[str] | None
    term_us: int

    @property
    def name(self) -> str:
        return "contract"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("payments", "started_us", "paid_us", "ended_us")

    @property
    def filters(self) -> tuple[Filter, ...]:
        ends = [] if self.ended_by is None else [Filter.of(event_type=self.ended_by)]
        return (Filter.of(event_type=self.event_type), *ends)

    def sql_by_column(self, plan: Plan) -> dict[str, exp.Expr]:
        need = plan.need(("contract", self), lambda plan: Runs(plan, self))
        return {name: column(name, need.side) for name in self.columns}


class Runs:
    """The steps behind `Contract`: payments and ends in order, where contracts begin, the newest of each customer."""

    def __init__(self, plan: Plan, definition: Contract) -> None:
        self._plan = plan
        self._term_us = definition.term_us
        self._flags = [exp.and_(*plan.flags(filter_)) for filter_ in definition.filters]
        self._dues, self._ordered, self._runs = (plan.step_name(name) for name in ("dues", "dues_in_order", "runs"))
        self.side = plan.step_name("contract")

    def steps(self) -> Iterable[Step]:
        keys, age, pays = self._plan.keys, column(AGE), column("pays")
        paying = exp.Case(ifs=[exp.If(this=self._flags[0].copy(), true=number(1))], default=number(0))
        dues = exp.select(*keys, age, exp.alias_(paying, "pays")).from_(HISTORY)
        yield Step(self._dues, dues.where(exp.or_(*(flag.copy() for flag in self._flags))))
        # Of what happens at the same moment, the payment comes first.
        order = exp.Order(expressions=[exp.Ordered(this=each.copy(), desc=True) for each in (age, pays)])
        lags = (
            exp.alias_(exp.Window(this=exp.Lag(this=each.copy()), partition_by=keys, order=order.copy()), name)
            for each, name in ((age, "before_us"), (pays, "paid_before"))
        )
        yield Step(self._ordered, exp.select(*keys, age.copy(), pays.copy(), *lags).from_(self._dues))
        is_paid = exp.EQ(this=pays, expression=number(1))
        follows = exp.and_(
            exp.EQ(this=column("paid_before"), expression=number(1)),
            exp.LTE(this=minus(column("before_us"), age.copy()), expression=number(self._term_us)),
        )
        begins = exp.Not(this=exp.Coalesce(this=exp.Paren(this=follows), expressions=[exp.false()]))
        newest = exp.Window(this=exp.Min(this=case([is_paid, begins], age.copy())), partition_by=keys)
        runs = exp.select(*keys, age.copy(), pays.copy(), exp.alias_(newest, "began_us")).from_(self._ordered)
        yield Step(self._runs, runs)
        inside = exp.LTE(this=age.copy(), expression=column("began_us"))
        is_end = exp.EQ(this=pays.copy(), expression=number(0))
        found = {
            "payments": count([is_paid.copy(), inside]),
            "started_us": exp.Min(this=column("began_us")),
            "paid_us": exp.Min(this=case([is_paid.copy()], age.copy())),
            "ended_us": exp.Min(this=case([is_end], age.copy())),
        }
        yield Step(self.side, group(self._runs, keys, named(found)))

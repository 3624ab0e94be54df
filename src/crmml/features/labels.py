"""The steps of a data set besides its features: the population from the history, the labels from the horizon."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from crmml.data.sql import name_of
from crmml.data.steps import Step
from crmml.features.expressions import (
    AGE,
    at_most,
    case,
    column,
    count,
    group,
    microseconds,
    minus,
    named,
    number,
    or_zero,
)
from crmml.features.filters import Filter
from crmml.features.plan import AT, CODED, CUTOFFS, HISTORY, KEYS, POPULATION, Plan
from crmml.features.subscription import Subscribers, SubscriptionChurn

if TYPE_CHECKING:
    from crmml.features.targets import Population, Target

OUTCOME = "outcome"
LABELS = "labels"


def population_step(plan: Plan, population: "Population") -> Step:
    """The customers of a population, from the history alone."""
    if isinstance(population, Subscribers) and population.ends is not None:
        return Step(POPULATION, _not_ended(plan, population, population.ends))
    query = exp.select(*plan.keys).distinct().from_(HISTORY)
    conditions = plan.conditions(population.filter, population.window_us)
    return Step(POPULATION, query.where(*conditions) if conditions else query)


def _not_ended(plan: Plan, population: Subscribers, ends: Filter) -> exp.Select:
    """Those with a payment in the window that is younger than whatever ended a subscription."""
    paid, ended = (exp.and_(*plan.flags(filter_)) for filter_ in (population.filter, ends))
    last_paid, last_ended = (exp.Min(this=case([flag], column(AGE))) for flag in (paid, ended))
    since = exp.Coalesce(this=exp.GT(this=last_ended, expression=last_paid.copy()), expressions=[exp.true()])
    query = exp.select(*plan.keys).from_(HISTORY).where(exp.or_(paid.copy(), ended.copy()))
    return query.group_by(*plan.keys).having(at_most(last_paid, population.window_us or 0), since)


def outcome_step(plan: Plan, target: "Target", values: Sequence[exp.Column] = (), *, back_us: int = 0) -> Step:
    """The one step that sees the future: the events in `[as_of + gap - back, as_of + gap + horizon)`."""
    cutoff = microseconds(column("as_of", CUTOFFS))
    ahead = exp.alias_(minus(column(AT), cutoff).this, "ahead_us")
    flags = plan.flags(target.filter)
    keys = [column("customer_id"), column("as_of", CUTOFFS)]
    compared = (found.name for flag in flags for found in flag.find_all(exp.Column))
    needed = dict.fromkeys([*compared, *(value.name for value in values)])
    dated = exp.select(*keys, ahead, *(name_of(name) for name in needed)).from_(CODED)
    dated = dated.join(plan.listed_cutoffs(), join_type="cross")
    query = exp.select("*").from_(dated.subquery("dated"))
    start, end = target.gap_us - back_us, target.gap_us + target.horizon_us
    inside = [
        exp.GTE(this=column("ahead_us"), expression=number(start)),
        exp.LT(this=column("ahead_us"), expression=number(end)),
    ]
    return Step(OUTCOME, query.where(*inside, *flags))


def labels_steps(plan: Plan, target: "Target") -> list[Step]:
    """The outcome, and its events and values by customer and cutoff."""
    if isinstance(target, SubscriptionChurn):
        return [outcome_step(plan, target, back_us=target.term_us), *_ends_steps(plan, target)]
    summed = [plan.exact(target.label_column)] if target.label_column is not None else []
    n = exp.alias_(exp.Count(this=exp.Star()), "n")
    total = exp.alias_(exp.Sum(this=summed[0].copy()) if summed else number(0), "total")
    labels = group(OUTCOME, [column(key) for key in KEYS], [n, total])
    return [outcome_step(plan, target, summed), Step(LABELS, labels)]


def _ends_steps(plan: Plan, target: SubscriptionChurn) -> list[Step]:
    """How often a subscription ended in the horizon: by an event, or by a term that went by without a payment.

    The outcome reaches one term back, so that the last payment before the cutoff is in it whenever it became known.
    """
    payments, renewed, ended = (plan.step_name(name) for name in ("payments", "renewed", "ended"))
    pays, ahead = plan.flags(target.population.filter), column("ahead_us")
    before = exp.LT(this=ahead, expression=number(0))
    order = exp.Order(expressions=[exp.Ordered(this=ahead.copy())])
    lag = exp.Window(this=exp.Lag(this=ahead.copy()), partition_by=plan.keys, order=order)
    each = exp.select(*plan.keys, ahead.copy(), exp.alias_(lag, "before_us")).from_(OUTCOME).where(*pays)
    found = {
        "paid_us": exp.Max(this=case([before], ahead)),
        "last_us": exp.Max(this=ahead.copy()),
        "longest_us": exp.Max(this=minus(ahead.copy(), column("before_us"))),
    }
    steps = [Step(payments, each), Step(renewed, group(payments, plan.keys, named(found)))]
    term, horizon = number(target.term_us), number(target.horizon_us)
    silences = (or_zero(column("longest_us")), exp.Sub(this=horizon, expression=column("last_us", renewed)))
    ends: list[exp.Expr] = [exp.GT(this=silence, expression=term.copy()) for silence in silences]
    labels = exp.select(*(column(key.name, renewed) for key in plan.keys)).from_(renewed)
    if target.population.ends is not None:
        inside = exp.GTE(this=ahead.copy(), expression=number(0))
        counted = {"n": count([inside]), "ended_us": exp.Max(this=case([before.copy()], ahead.copy()))}
        query = group(OUTCOME, plan.keys, named(counted))
        steps.append(Step(ended, query.where(*plan.flags(target.population.ends))))
        labels = labels.join(ended, using=[key.name for key in plan.keys], join_type="left")
        # Ended before the cutoff, which did not know it yet.
        late = exp.GTE(this=column("ended_us", ended), expression=column("paid_us", renewed))
        ends += [late, exp.GT(this=column("n", ended), expression=number(0))]
    n = exp.Case(ifs=[exp.If(this=exp.or_(*ends), true=number(1))], default=number(0))
    return [*steps, Step(LABELS, labels.select(exp.alias_(n, "n"), exp.alias_(number(0), "total")))]


def label_of(target: "Target") -> exp.Expr:
    """The label in the last step, which has joined the labels."""
    return target.label(or_zero(column("n", LABELS)), or_zero(column("total", LABELS)))

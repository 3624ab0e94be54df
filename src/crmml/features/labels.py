"""The steps of a data set besides its features: the population from the history, the labels from the horizon."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from crmml.data.sql import name_of
from crmml.data.steps import Step
from crmml.features.expressions import column, group, microseconds, minus, number, or_zero
from crmml.features.plan import AT, CODED, CUTOFFS, HISTORY, KEYS, POPULATION, Plan

if TYPE_CHECKING:
    from crmml.features.targets import Population, Target

OUTCOME = "outcome"
LABELS = "labels"


def population_step(plan: Plan, population: "Population") -> Step:
    """The customers of a population, from the history alone."""
    query = exp.select(*plan.keys).distinct().from_(HISTORY)
    conditions = plan.conditions(population.filter, population.window_us)
    return Step(POPULATION, query.where(*conditions) if conditions else query)


def outcome_step(plan: Plan, target: "Target", values: Sequence[exp.Column] = ()) -> Step:
    """The one step that sees the future: the events in `[as_of + gap, as_of + gap + horizon)`."""
    cutoff = microseconds(column("as_of", CUTOFFS))
    ahead = exp.alias_(minus(column(AT), cutoff).this, "ahead_us")
    flags = plan.flags(target.filter)
    keys = [column("customer_id"), column("as_of", CUTOFFS)]
    compared = (found.name for flag in flags for found in flag.find_all(exp.Column))
    needed = dict.fromkeys([*compared, *(value.name for value in values)])
    dated = exp.select(*keys, ahead, *(name_of(name) for name in needed)).from_(CODED)
    dated = dated.join(plan.listed_cutoffs(), join_type="cross")
    query = exp.select("*").from_(dated.subquery("dated"))
    start, end = target.gap_us, target.gap_us + target.horizon_us
    inside = [
        exp.GTE(this=column("ahead_us"), expression=number(start)),
        exp.LT(this=column("ahead_us"), expression=number(end)),
    ]
    return Step(OUTCOME, query.where(*inside, *flags))


def labels_steps(plan: Plan, target: "Target") -> list[Step]:
    """The outcome, and its events and values by customer and cutoff."""
    summed = [plan.exact(target.label_column)] if target.label_column is not None else []
    n = exp.alias_(exp.Count(this=exp.Star()), "n")
    total = exp.alias_(exp.Sum(this=summed[0].copy()) if summed else number(0), "total")
    labels = group(OUTCOME, [column(key) for key in KEYS], [n, total])
    return [outcome_step(plan, target, summed), Step(LABELS, labels)]


def label_of(target: "Target") -> exp.Expr:
    """The label in the last step, which has joined the labels."""
    return target.label(or_zero(column("n", LABELS)), or_zero(column("total", LABELS)))

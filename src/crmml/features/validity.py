"""Whether horizons lie within a log, and which value it was that an engine could not sum."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
from sqlglot import exp

from crmml.data.sql import name_of, not_null
from crmml.data.steps import EVENTS, chain
from crmml.data.time import spoken
from crmml.errors import DataError, LeakageError
from crmml.features.expressions import EXACT_BELOW, VECTOR_BELOW, number

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog
    from crmml.features.targets import Target


def require_complete_labels(log: "InteractionLog", target: "Target", cutoffs: Sequence[pd.Timestamp]) -> None:
    """Refuse cutoffs whose horizon runs past the end of the log.

    Raises:
        LeakageError: a label would be what the log's end makes of it.
    """
    end = log.complete_until
    for cutoff in cutoffs:
        if cutoff + target.reach > end:
            horizon = f"gap {target.gap} + horizon {target.horizon}" if target.gap_us else f"horizon {target.horizon}"
            what = "observed_until" if log.observed_until is not None else "the last event in the log"
            raise LeakageError(
                f"as_of {spoken(cutoff)} + {horizon} ends {spoken(cutoff + target.reach)}, "
                f"after {what} ({end.date()}): {target.truncated}. "
                f"Use as_of <= {spoken((end - target.reach).floor('D'))}."
            )


def explain_values(log: "InteractionLog", names: Sequence[str]) -> None:
    """Raise a DataError that shows a value which cannot be summed exactly, if there is one."""
    for name in dict.fromkeys(names):
        if log.kind(name).endswith("]"):
            _explain_vectors(log, name)
        if log.kind(name) != "number":
            continue
        value = name_of(name)
        size = exp.Abs(this=exp.cast(value, "DOUBLE"))
        fits = exp.LT(this=size, expression=number(EXACT_BELOW))
        query = exp.select(exp.alias_(exp.cast(exp.Max(this=value.copy()), "DOUBLE"), "value")).from_(EVENTS)
        row = log.engine.row(chain(log.steps([name]), query.where(not_null(name), exp.Not(this=fits))))
        if row["value"] is not None:
            raise DataError(
                f"{name!r} has the value {row['value']:g}, but only values below {EXACT_BELOW:.0e} can be summed "
                f"exactly. Mend it, or drop the events: "
                f"log.clean(KeepBetween({name!r}, minimum=-{EXACT_BELOW:.0e}, maximum={EXACT_BELOW:.0e}))."
            )


def _explain_vectors(log: "InteractionLog", name: str) -> None:
    """The same for the numbers of lists; in a list with NaN, the greatest number is NaN."""
    ends = (exp.Anonymous(this=end, expressions=[name_of(name)]) for end in ("list_max", "list_min"))
    largest = exp.func("GREATEST", *(exp.Abs(this=exp.cast(end, "DOUBLE")) for end in ends))
    query = exp.select(exp.alias_(exp.Max(this=largest), "value")).from_(EVENTS)
    value = log.engine.row(chain(log.steps([name]), query))["value"]
    if value is not None and not value < VECTOR_BELOW:
        raise DataError(
            f"{name!r} has a list with the number {value:g} (its sign aside), but only numbers below "
            f"{VECTOR_BELOW:.0e} can be summed exactly. Mend it, or make the whole list missing (None)."
        )

"""Whether a log has what a cutoff asks for: a history before it, an end not long before it, the event types named."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from crmml.data.time import DAY, spoken
from crmml.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

# A log may have quiet days; a cutoff later than this after its end says that the log is not the newest.
STALE = pd.Timedelta(7 * DAY, unit="us")


def check_cutoffs(log: "InteractionLog", cutoffs: Sequence[pd.Timestamp]) -> None:
    """Refuse cutoffs with nothing before them, and cutoffs long after the end of the log."""
    first, end = log.require_usable().first, log.complete_until
    if cutoffs[0] <= first:
        raise ConfigError(
            f"as_of {spoken(cutoffs[0])} is not after the first event in the log ({spoken(first)}): there is no "
            f"history to see. Use as_of >= {spoken(first.ceil('D') + pd.Timedelta(days=1))}."
        )
    if cutoffs[-1] > end + STALE:
        silent = (cutoffs[-1] - end).days
        what = "observed_until" if log.observed_until is not None else "the last event in the log"
        raise ConfigError(
            f"as_of {spoken(cutoffs[-1])} is {silent} days after {what} ({spoken(end)}): every "
            f"customer would look inactive only because the log stops. Use as_of <= "
            f"{spoken(end.floor('D') + pd.Timedelta(days=1))}, a newer log, or say InteractionLog(..., "
            "observed_until=...) if the log is complete."
        )


def require_event_types(log: "InteractionLog", wanted: Iterable[Any], where: str) -> None:
    """Raise a ConfigError, beginning with `where`, for an event type that never occurs in `log`."""
    known = log.facts.event_types
    for value in wanted:
        if value not in known:
            listed = ", ".join(f"{kind!r} ({n:,})" for kind, n in list(known.items())[:20])
            raise ConfigError(
                f"{where}: event type {value!r} never occurs in the log.{did_you_mean(value, known)} It has: {listed}."
            )

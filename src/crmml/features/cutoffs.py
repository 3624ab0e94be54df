"""Cutoffs: the moments at which tables are built, and the distance that keeps training from the hold-out."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from crmml.data.time import DAY, AsOf, moment_of, moments_of, parse_duration, spoken
from crmml.errors import ConfigError, LeakageError

if TYPE_CHECKING:
    from crmml.features.targets import Target

# A cutoff per hour for a year; more is a mistyped unit, and would fill the memory before anybody sees it.
MOST = 10_000


def cutoffs(start: AsOf, end: AsOf, every: str, *, timezone: str = "UTC") -> tuple[pd.Timestamp, ...]:
    """The moments `start`, `start + every`, ... up to and including `end`.

    Args:
        start, end: first and last moment; without a zone they are meant in `timezone`.
        every: distance, such as "30d".
        timezone: IANA zone of `start` and `end`. Whole days are steps of its calendar: a cutoff at midnight stays at
            midnight when the clocks change.

    Returns:
        Moments in UTC.

    Raises:
        ConfigError: `end` is before `start`, or a moment, duration or zone cannot be understood.

    >>> import crmml as cm
    >>> [str(moment.date()) for moment in cm.cutoffs("2024-01-01", "2024-03-01", every="30d")]
    ['2024-01-01', '2024-01-31', '2024-03-01']
    """
    first, last = (_in_zone(value, what, timezone) for value, what in ((start, "start"), (end, "end")))
    step_us = parse_duration(every, "every")
    step = pd.Timedelta(step_us, unit="us")
    if last < first:
        raise ConfigError(
            f"cutoffs: end {spoken(last)} is before start {spoken(first)}. Swap them, or use a later end."
        )
    n = (last - first) // step + 1
    if n > MOST:
        raise ConfigError(
            f"cutoffs: from {spoken(first)} to {spoken(last)} every {every!r} makes {n:,} cutoffs, but the most is "
            f"{MOST:,}. Use a longer every, for example '30d'."
        )
    if timezone == "UTC" or step_us % DAY:
        return tuple(first + number * step for number in range(n))
    local, moments = first.tz_convert(timezone).tz_localize(None), [first]
    while (following := _in_zone(local + len(moments) * step, "cutoff", timezone)) <= last:
        moments.append(following)
    return tuple(moments)


def _in_zone(value: AsOf, what: str, timezone: str) -> pd.Timestamp:
    moment = moment_of(value, what)
    if timezone == "UTC" or pd.Timestamp(value).tzinfo is not None:
        return moment
    try:
        return moment.tz_localize(None).tz_localize(timezone).tz_convert("UTC")
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"cutoffs: {what} {value!r} has no meaning in timezone {timezone!r} ({error}). "
            "Use an IANA zone like 'Europe/Berlin' and a time that its clocks show once."
        ) from None


def purged(candidates: Iterable[AsOf], holdout: AsOf, target: "Target") -> tuple[pd.Timestamp, ...]:
    """The `candidates` whose labels are complete at the `holdout` cutoff: those that may train for it.

    A label that is drawn after the hold-out cutoff knows what the hold-out is about to predict.

    >>> import crmml as cm
    >>> from crmml.features.cutoffs import purged
    >>> target = cm.Churn(horizon="60d")
    >>> kept = purged(["2024-01-01", "2024-02-01"], "2024-03-01", target)
    >>> [str(moment.date()) for moment in kept]
    ['2024-01-01']
    """
    at = moment_of(holdout, "hold-out")
    return tuple(moment for moment in moments_of(candidates) if moment + target.reach <= at)


def require_purged(training: Sequence[AsOf], holdout: Sequence[AsOf] | AsOf, target: "Target") -> None:
    """Refuse a hold-out cutoff that lies nearer than gap + horizon to the last training cutoff.

    Raises:
        LeakageError: the training labels reach beyond a hold-out cutoff.

    >>> import crmml as cm
    >>> from crmml.features.cutoffs import require_purged
    >>> require_purged(["2024-01-01"], "2024-03-01", cm.Churn(horizon="60d"))
    """
    last = moments_of(training, "training cutoff")[-1]
    first = moments_of(holdout, "hold-out")[0]
    if last + target.reach > first:
        raise LeakageError(
            f"hold-out cutoff {spoken(first)} is nearer than one {target.reach_in_words} to the last training "
            f"cutoff {spoken(last)}: its labels reach to {spoken(last + target.reach)} and know what the hold-out "
            f"should predict. Train on cutoffs <= {spoken(first - target.reach)}, or hold out a cutoff "
            f">= {spoken(last + target.reach)}."
        )

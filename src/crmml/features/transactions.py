"""The papers' summary of each customer, from a log as of a cutoff: what the buy-till-you-die models are fitted to."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmml.data.time import DAY, AsOf, moments_of, parse_duration, require_zone, spoken
from crmml.errors import ConfigError, DataError, SchemaError
from crmml.features.bought import Bought, overlap
from crmml.features.checks import check_columns, check_event_types
from crmml.features.datasets import build_features
from crmml.features.filters import check_filter
from crmml.features.moments import SINCE_1899
from crmml.features.targets import Population

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

Types = str | Sequence[str] | None
Ints = npt.NDArray[np.int64]


def transactions(
    log: "InteractionLog",
    as_of: "AsOf | Sequence[AsOf]",
    *,
    event_type: Types = None,
    returns: Types = None,
    merge: Literal["day"] | None = "day",
    unit: str = "7d",
    column: str = "amount",
    timezone: str = "UTC",
) -> pd.DataFrame:
    """`x`, `t_x`, `T` and `m_x` of every customer: the input of `BGNBD`, `MBGNBD`, `ParetoNBD` and `GammaGamma`.

    Nothing at or after the cutoff is seen. With `merge="day"` all purchases of a calendar day are one transaction,
    and time goes by in whole days: a customer who first bought on the last day before the cutoff has T = 0. With
    `merge=None` time is exact, and only events of the same microsecond (the lines of an order, mostly) are one.

    Args:
        log: the interactions.
        as_of: the cutoffs; one mostly.
        event_type: the purchases, one type or a list; all events by default.
        returns: the events that bring something back. They are no transactions, but their values count in `m_x`;
            they are below zero in most logs.
        merge: "day" or None.
        unit: the unit of `t_x` and `T`, such as "7d" (weeks) or "1d".
        column: the role or attribute that holds values. Where the log has no `amount`, `m_x` is NaN.
        timezone: the IANA zone whose calendar has the days.

    Returns:
        A row per customer with a purchase before the cutoff, indexed by (`customer_id`, `as_of`):

        - `x`: repeat transactions, so without the first;
        - `t_x`: the time from the first to the last, in units; 0 where x is 0;
        - `T`: the time from the first to the cutoff, in units;
        - `m_x`: the value of all events after the first transaction, returns included, over the number of repeat
          transactions with a value; NaN where there is none.

    Raises:
        SchemaError: the log lacks a column, or has it in another type.
        ConfigError: an event type never occurs, or is both bought and brought back; a cutoff or unit is none.
        DataError: nobody bought before the cutoff; values that cannot be summed.

    Warns:
        UserWarning: some customers with repeat transactions have an `m_x` of 0 or less; says how many.

    >>> import crmml as cm
    >>> log = cm.simulate_log(500, seed=1).log
    >>> table = cm.transactions(log, "2024-06-01", event_type="purchase")
    >>> table.columns.tolist(), bool((table["t_x"] <= table["T"]).all())
    (['x', 't_x', 'T', 'm_x'], True)
    >>> rates, values = cm.BGNBD().fit(table), cm.GammaGamma().fit(table)
    >>> worth = rates.expected_purchases(table, horizon=13) * values.expected_value(table)  # of the next 13 weeks
    >>> worth.shape == (len(table),)
    True
    """
    where = "transactions"
    unit_us = parse_duration(unit, f"{where}: unit")
    if merge not in ("day", None):
        raise ConfigError(f"{where}: merge={merge!r} is neither 'day' nor None. Use merge='day'.")
    require_zone(timezone, f"{where}: timezone")
    _check_types(where, event_type, returns)
    definition = Bought(
        event_type=event_type,
        returns=returns,
        column=_value_column(log, column, where),
        timezone=timezone if merge == "day" else None,
    )
    found = _found(log, definition, as_of, where)
    first, last = (found[name].to_numpy(dtype=np.int64) for name in ("first", "last"))
    until, step_us = _end(found.index.get_level_values("as_of"), definition.timezone)
    # Whole numbers until the one division: where t_x and T are equal, they are so to the last bit.
    table = pd.DataFrame(
        {"x": found["n"] - 1, "t_x": (last - first) * step_us / unit_us, "T": (until - first) * step_us / unit_us}
    )
    table["m_x"] = _mean_value(found) if definition.column else np.nan
    _say_not_positive(table, where)
    return table


def discrete_transactions(
    log: "InteractionLog",
    as_of: AsOf,
    *,
    event_type: Types = None,
    periods: "str | Sequence[AsOf]" = "28d",
) -> pd.DataFrame:
    """`x`, `t_x` and `n` of every customer: the input of `BetaGeometricBetaBinomial`.

    Time is cut into periods, and each customer buys or does not in each. The period of the first purchase is number 0.

    Args:
        log: the interactions.
        as_of: the cutoff; it ends the last period.
        event_type: the purchases, one type or a list; all events by default.
        periods: the length of all periods, counted back from the cutoff, such as "28d"; or the moments at which
            they begin, where they differ in length: months and years. What lies before the first of these moments
            is one period more.

    Returns:
        A row per customer with a purchase before the cutoff, indexed by (`customer_id`, `as_of`): `x` periods with a
        purchase, without the first; `t_x`, the number of the last of them, 0 where there is none; `n` periods after
        the first.

    Raises:
        SchemaError: the log lacks a column, or has it in another type.
        ConfigError: an event type never occurs; a cutoff or period is none; a period begins after the cutoff.
        DataError: nobody bought before the cutoff.

    >>> import crmml as cm
    >>> log = cm.simulate_log(500, seed=1).log
    >>> table = cm.discrete_transactions(log, "2024-06-01", event_type="purchase", periods="28d")
    >>> months = [f"2023-{month:02}-01" for month in range(1, 13)]
    >>> by_month = cm.discrete_transactions(log, "2024-01-01", event_type="purchase", periods=months)
    >>> int(by_month["n"].max())  # January is number 0 of who bought then, December number 11
    11
    >>> model = cm.BetaGeometricBetaBinomial().fit(by_month)
    >>> bool(model.expected_purchases(by_month, horizon=3).max() < 3)
    True
    """
    where = "discrete_transactions"
    _check_types(where, event_type, None)
    if isinstance(periods, str):
        definition = Bought(event_type=event_type, period_us=parse_duration(periods, f"{where}: periods"))
        last = 0
    else:
        begins = moments_of(periods, f"{where}: periods")
        cutoff = moments_of(as_of)[-1]
        if begins[-1] >= cutoff:
            raise ConfigError(
                f"{where}: the period that begins {spoken(begins[-1])} is not before as_of {spoken(cutoff)}, which "
                "ends the last one. Leave it out, or use a later cutoff."
            )
        definition = Bought(event_type=event_type, begins_us=[begin.value // 1000 for begin in begins])
        last = len(begins)
    found = _found(log, definition, as_of, where)
    return pd.DataFrame({"x": found["n"] - 1, "t_x": found["last"] - found["first"], "n": last - found["first"]})


def _found(log: "InteractionLog", definition: Bought, as_of: "AsOf | Sequence[AsOf]", where: str) -> pd.DataFrame:
    """The transactions of each customer with a purchase, after all checks."""
    for filter_ in definition.filters:
        check_columns(filter_, log, where)
        check_event_types(filter_, log, where)
    population = Population(event_type=definition.event_type)
    found = build_features(log, [definition], as_of, population=population)
    if found.empty:
        listed = ", ".join(spoken(cutoff) for cutoff in moments_of(as_of))
        raise DataError(f"{where}: nobody bought before as_of {listed}. Use a later cutoff.")
    return found


def _end(cutoffs: pd.Index, timezone: str | None) -> tuple[Ints, int]:
    """The last moment that a cutoff lets one see, by row, and the microseconds of one step of it.

    Of days, the one before the cutoff (or that it cuts in two); of exact times, the cutoff itself.
    """
    until = pd.DatetimeIndex(cutoffs)
    if timezone is None:
        return _since_1970(until), 1
    local = (until - pd.Timedelta(1, unit="us")).tz_convert(timezone).tz_localize(None)
    return (_since_1970(local) + SINCE_1899) // DAY, DAY


def _since_1970(moments: pd.DatetimeIndex) -> Ints:
    """Moments as microseconds."""
    return np.asarray(moments.as_unit("us").asi8, dtype=np.int64)


def _mean_value(found: pd.DataFrame) -> "pd.Series[float]":
    return found["value"].astype("float64") / found["priced"].where(found["priced"] > 0)


def _check_types(where: str, event_type: Types, returns: Types) -> None:
    check_filter(where, event_type, None, None)
    if returns is None:
        return
    if event_type is None:
        raise ConfigError(
            f"{where}: with returns={returns!r}, but without event_type, returns would count as purchases. "
            "Use event_type='purchase'."
        )
    check_filter(where, returns, None, None)
    for both in overlap(event_type, returns):
        raise ConfigError(f"{where}: {both!r} stands in event_type and in returns. Leave it out of one of them.")


def _value_column(log: "InteractionLog", column: str, where: str) -> str | None:
    """The column of values; None where it is the default and the log has none."""
    if column == "amount" and column not in log.names:
        return None
    log.require(column, where)
    if log.kind(column) != "number":
        raise SchemaError(f"{where}: {column!r} is {log.kind(column)}, not a number. Use a column of numbers.")
    return column


def _say_not_positive(table: pd.DataFrame, where: str) -> None:
    count, of = int((table["m_x"] <= 0).sum()), int((table["x"] > 0).sum())
    if count:
        who = "1 customer has" if count == 1 else f"{count:,} customers have"
        warnings.warn(
            f"{where}: {who} a mean value m_x of 0 or less, of {of:,} with repeat transactions: they returned as much "
            "as they bought, or paid nothing. GammaGamma refuses them: fit it to table[table['m_x'] > 0].",
            UserWarning,
            stacklevel=3,
        )

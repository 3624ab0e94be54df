"""A simulated log with known truth: who buys how often, who has gone and when, who likes what.

Every customer has hidden traits, drawn once (`truth`), and leaves events, drawn from the traits (`events`).
What a model finds in the events can so be compared with what is true.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from crmml.data.log import InteractionLog
from crmml.data.simulated import behaviour, world
from crmml.data.simulated.clock import Clock
from crmml.data.simulated.events import KINDS, Events
from crmml.errors import ConfigError

DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True, eq=False)
class Simulated:
    """A simulated log and what is true of it.

    Attributes:
        log: the events as an `InteractionLog`; `category`, `plan`, `rating`, `order_id` are attributes.
        events: the same events as a frame, sorted by time, which is UTC.
        truth: one row per customer (index `customer_id`): `arrival`; `dropout` (time of leaving for ever, NaT
            for those still there at the end); `rate` (purchases per day while there, mean over the seasons);
            `dropout_rate` (per day); `taste` and `second_taste` (categories); `channel` (the preferred one);
            `mean_quantity`; `return_rate` (share of purchases sent back); `satisfaction` (0 to 10); `plan`
            (at arrival); `upgrade` (when the plan went one step up, NaT for never); with planted segments also
            `segment`, from 0.
        items: one row per item (index `item_id`): `category`, `price`, `popularity` (within the category).
    """

    log: InteractionLog
    events: pd.DataFrame
    truth: pd.DataFrame
    items: pd.DataFrame

    def __repr__(self) -> str:
        return f"Simulated({len(self.events):,} events of {len(self.truth):,} customers)"


def simulate_log(
    n_customers: int = 2000,
    *,
    start: str | date | datetime = "2023-01-01",
    end: str | date | datetime = "2025-01-01",
    seed: int = 0,
    segments: int | None = None,
) -> Simulated:
    """Simulate the interactions of `n_customers` in `[start, end)`, with known truth.

    Customers arrive all the time, buy at a rate of their own (gamma distributed) that follows the hour and
    the season, and leave for ever after an exponential lifetime with a rate of their own (gamma distributed):
    the Pareto/NBD model of Schmittlein, Morrison & Colombo (1987). Around it: visits, views and carts before
    purchases; preferred channels and categories; returns; service contacts, which grow frequent in the last
    weeks before a customer leaves; surveys, which get worse then; plans that are upgraded. Two years give
    about 54 events per customer. The same arguments give the same log.

    Habits differ without a gap from customer to customer, so there are no segments to be found. `segments` plants
    some: within a segment all buy about as often, as much and in the same channel; all come early, and nobody leaves.

    Args:
        n_customers: how many customers arrive within the span.
        start: first moment of the log; UTC where it has no zone.
        end: moment at which the log stops.
        seed: of the random numbers; another seed gives another log of the same kind.
        segments: how many segments to plant, 1 to 5; None for none.

    Raises:
        ConfigError: no customer, a span under one day, a negative seed, or other than 1 to 5 segments.

    >>> from crmml import simulate_log
    >>> simulated = simulate_log(100, seed=1)
    >>> sorted(simulated.events["event_type"].unique())
    ['cart', 'purchase', 'return', 'service', 'survey', 'view', 'visit']
    >>> simulated.truth[["rate", "dropout", "taste"]].shape
    (100, 3)
    >>> simulate_log(0)
    Traceback (most recent call last):
        ...
    crmml.errors.ConfigError: simulate_log: n_customers must be a whole number of at least 1, not 0. Use 2000.
    """
    _check_whole("n_customers", n_customers, least=1, example=2000)
    _check_whole("seed", seed, least=0, example=0)
    if segments is not None:
        _check_whole("segments", segments, least=1, example=3, most=len(world.HABITS))
    clock = _clock(start, end)
    rng = np.random.default_rng(seed)
    items = world.draw_items(rng)
    customers = world.draw_customers(int(n_customers), clock, rng)
    if segments is not None:
        customers = world.planted(customers, int(segments), clock, rng)
    events = behaviour.draw_events(customers, items, clock, rng)
    frame = _frame(events, customers, items, clock)
    truth = _truth(customers, clock)
    if segments is not None:
        truth["segment"] = customers.segment.astype(np.int64)
    return Simulated(_log(frame), frame, truth, _items(items))


def _check_whole(name: str, value: object, *, least: int, example: int, most: int | None = None) -> None:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):  # type: ignore[operator]
        allowed = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ConfigError(f"simulate_log: {name} must be a whole number {allowed}, not {value!r}. Use {example}.")


def _clock(start: str | date | datetime, end: str | date | datetime) -> Clock:
    first, last = _moment("start", start, "2023-01-01"), _moment("end", end, "2025-01-01")
    if last - first < pd.Timedelta(days=1):
        raise ConfigError(
            f"simulate_log: from start {first.isoformat()} to end {last.isoformat()} is less than one day. "
            f"Use an end such as '{(first + pd.Timedelta(days=730)).date()}'."
        )
    return Clock(first, (last - first) / pd.Timedelta(days=1))


def _moment(name: str, value: str | date | datetime, example: str) -> pd.Timestamp:
    try:
        moment: object = pd.Timestamp(value)
    except (TypeError, ValueError):
        moment = None
    if not isinstance(moment, pd.Timestamp) or pd.isna(moment):
        raise ConfigError(f"simulate_log: {name} {value!r} is not a date or time. Use '{example}'.")
    return moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")


def _times(days: npt.NDArray[np.float64], clock: Clock) -> pd.DatetimeIndex:
    """Days since `start` as UTC timestamps in microseconds; NaN becomes NaT."""
    known = np.isfinite(days)
    first = clock.start.tz_localize(None).to_datetime64().astype("datetime64[us]").astype(np.int64)
    moments = np.full(len(days), np.iinfo(np.int64).min, dtype=np.int64)
    moments[known] = first + np.floor(days[known] * DAY).astype(np.int64)
    return pd.DatetimeIndex(moments.view("datetime64[us]")).tz_localize("UTC")


def _named(codes: npt.NDArray[Any], names: Sequence[str]) -> "pd.Categorical[str]":
    """The names that the codes stand for; -1 is missing."""
    return pd.Categorical.from_codes(codes, pd.Index(list(names)))


def _frame(events: Events, customers: world.Customers, items: world.Items, clock: Clock) -> pd.DataFrame:
    """The events in the order of time, as a frame that says everything by name."""
    order = np.argsort(events.time, kind="stable")
    customer, item = events.customer[order], events.item[order]
    time = events.time[order]
    plan = customers.plan[customer] + (time >= customers.upgrade[customer])
    category = np.where(item < 0, -1, items.category[item])
    order_id, quantity, rating = events.order[order], events.quantity[order], events.rating[order]
    return pd.DataFrame(
        {
            "event_id": np.arange(1, len(order) + 1),
            "customer_id": customer.astype(np.int64) + 1,
            "timestamp": _times(time, clock),
            "event_type": _named(events.kind[order], KINDS),
            "item_id": _named(item, items.names),
            "category": _named(category, world.CATEGORIES),
            "channel": _named(events.channel[order], world.CHANNELS),
            "quantity": pd.arrays.IntegerArray(quantity.astype(np.int64), quantity == 0),
            "amount": events.amount[order],
            "order_id": pd.arrays.IntegerArray(order_id, order_id < 0),
            "rating": pd.arrays.IntegerArray(rating.astype(np.int64), rating < 0),
            "plan": _named(plan, world.PLANS),
        },
        copy=False,
    )


def _log(frame: pd.DataFrame) -> InteractionLog:
    return InteractionLog(
        frame,
        customer_id="customer_id",
        timestamp="timestamp",
        event_type="event_type",
        item_id="item_id",
        amount="amount",
        quantity="quantity",
        channel="channel",
        event_id="event_id",
    )


def _truth(customers: world.Customers, clock: Clock) -> pd.DataFrame:
    def before_end(days: npt.NDArray[np.float64]) -> pd.DatetimeIndex:
        return _times(np.where(days < clock.days, days, np.nan), clock)

    return pd.DataFrame(
        {
            "arrival": _times(customers.arrival, clock),
            "dropout": before_end(customers.dropout),
            "rate": customers.rate,
            "dropout_rate": customers.dropout_rate,
            "taste": _named(customers.taste, world.CATEGORIES),
            "second_taste": _named(customers.second_taste, world.CATEGORIES),
            "channel": _named(customers.channel, world.CHANNELS),
            "mean_quantity": customers.mean_quantity,
            "return_rate": customers.return_rate,
            "satisfaction": customers.satisfaction,
            "plan": _named(customers.plan, world.PLANS),
            "upgrade": before_end(customers.upgrade),
        },
        index=pd.RangeIndex(1, len(customers.rate) + 1, name="customer_id"),
    )


def _items(items: world.Items) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "category": _named(items.category, world.CATEGORIES),
            "price": items.price,
            "popularity": items.popularity,
        },
        index=pd.Index(items.names, name="item_id"),
    )

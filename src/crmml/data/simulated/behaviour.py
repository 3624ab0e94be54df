"""What simulated customers do: sessions with purchases, returns, service contacts, survey answers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crmml.data.simulated.clock import Clock
from crmml.data.simulated.events import Events
from crmml.data.simulated.world import (
    CATEGORIES,
    CHANNEL_SHARES,
    CHANNELS,
    ITEMS_PER_CATEGORY,
    Customers,
    Items,
    draw,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BUYS = 0.35  # share of sessions that end in a purchase
CARTS = 0.25  # share of the other online sessions in which an item is left in the cart
VIEWS = 1.5  # mean number of views beyond the first
SESSION = 8 / 1440  # mean length: 8 minutes
LOYALTY = 0.7  # share of sessions in the preferred channel; the others follow the shares of all
TASTES = np.array([0.55, 0.25, 0.20])  # share of sessions in the first taste, the second, any category
ONLINE = np.isin(CHANNELS, ["web", "app", "social"])  # where visits, views and carts are seen

RETURN_DELAY = (1.0, 10.0)  # days: at least, and on the mean beyond it
SERVICE_RATE = 1 / 150  # contacts per day
TROUBLE = 45.0  # days before drop-out in which customers are in trouble
TROUBLE_RATE = 1 / 20  # further service contacts per day then
SURVEYED = 0.1  # share of purchases followed by an answered survey
SURVEY_DELAY = (0.5, 3.0)  # days, as for returns
TROUBLE_RATING = 2.5  # points less in a survey then


@dataclass(frozen=True, eq=False, kw_only=True)
class _Sessions:
    """Times at which customers look for something, from `time` to `end`."""

    customer: Ints
    time: Floats
    end: Floats
    buys: npt.NDArray[np.bool_]
    online: npt.NDArray[np.bool_]
    channel: npt.NDArray[np.int8]
    item: Ints

    def at(self, which: npt.NDArray[np.bool_] | Ints, part: Floats | float) -> Floats:
        """The time at which a part of the session has passed."""
        time, end = self.time[which], self.end[which]
        return np.minimum(time + part * (end - time), end)  # rounding must not carry it over the end


def draw_events(customers: Customers, items: Items, clock: Clock, rng: np.random.Generator) -> Events:
    """All events of all customers, not sorted.

    Nothing happens at or after the end of the log, and nothing after a customer's drop-out except returns.
    """
    limit = np.minimum(customers.dropout, clock.last)
    sessions = _draw_sessions(customers, items, clock, limit, rng)
    purchases = _purchases(sessions, customers, items, rng)
    parts = [
        *_browsing(sessions, items, rng),
        purchases,
        _returns(purchases, customers, clock, rng),
        _service(customers, limit, rng),
        _surveys(purchases, customers, limit, rng),
    ]
    return Events.concat(parts)


def _draw_sessions(
    customers: Customers, items: Items, clock: Clock, limit: Floats, rng: np.random.Generator
) -> _Sessions:
    """A Poisson process in busy time, of rate `rate / BUYS`; each customer begins with a purchase."""
    first, last = clock.busy(customers.arrival), clock.busy(limit)
    number = rng.poisson(customers.rate / BUYS * (last - first))
    later = np.repeat(np.arange(len(number)), number)
    time = clock.moment(rng.uniform(first[later], last[later]))
    customer = np.concatenate([np.arange(len(number)), later])
    # Rounding in the inversion must not carry a session over the edge.
    time = np.concatenate([customers.arrival, np.clip(time, customers.arrival[later], limit[later])])
    size = len(customer)
    buys = rng.random(size) < BUYS
    buys[: len(number)] = True
    channel = _channel(customers, customer, rng)
    return _Sessions(
        customer=customer,
        time=time,
        end=np.minimum(time + rng.exponential(SESSION, size), limit[customer]),
        buys=buys,
        online=ONLINE[channel],
        channel=channel,
        item=_item(_category(customers, customer, rng), items, rng),
    )


def _channel(customers: Customers, customer: Ints, rng: np.random.Generator) -> npt.NDArray[np.int8]:
    loyal = rng.random(len(customer)) < LOYALTY
    return np.where(loyal, customers.channel[customer], draw(CHANNEL_SHARES, len(customer), rng))


def _category(customers: Customers, customer: Ints, rng: np.random.Generator) -> Ints:
    which = draw(TASTES, len(customer), rng)
    anything = rng.integers(0, len(CATEGORIES), len(customer))
    tastes = np.where(which == 0, customers.taste[customer], customers.second_taste[customer])
    return np.where(which == len(TASTES) - 1, anything, tastes).astype(np.int64)


def _item(category: Ints, items: Items, rng: np.random.Generator) -> Ints:
    rank = np.searchsorted(items.choice, rng.random(len(category)), side="right")
    return category * ITEMS_PER_CATEGORY + np.minimum(rank, ITEMS_PER_CATEGORY - 1)


def _browsing(sessions: _Sessions, items: Items, rng: np.random.Generator) -> list[Events]:
    """Visit, views and cart of the online sessions, in this order within the session."""
    online = np.flatnonzero(sessions.online)
    views = 1 + rng.poisson(VIEWS, len(online))
    viewing = np.repeat(online, views)
    category = sessions.item[viewing] // ITEMS_PER_CATEGORY
    viewed = _item(category, items, rng)
    first = np.cumsum(views) - views
    viewed[first] = sessions.item[online]  # one of the views is of the item that the session is about
    carting = online[sessions.buys[online] | (rng.random(len(online)) < CARTS)]

    def events(kind: str, which: Ints, part: Floats | float, **columns: Ints) -> Events:
        time, channel = sessions.at(which, part), sessions.channel[which]
        return Events.of(kind, sessions.customer[which], time, channel=channel, **columns)

    return [
        events("visit", online, 0.0),
        events("view", viewing, rng.uniform(0.05, 0.85, len(viewing)), item=viewed),
        events("cart", carting, 0.9, item=sessions.item[carting]),
    ]


def _purchases(sessions: _Sessions, customers: Customers, items: Items, rng: np.random.Generator) -> Events:
    """The purchase at the end of a session that buys; orders are numbered in the order of time."""
    buys = np.flatnonzero(sessions.buys)
    customer, item, time = sessions.customer[buys], sessions.item[buys], sessions.at(buys, 1.0)
    quantity = 1 + rng.poisson(customers.mean_quantity[customer] - 1)
    number = np.empty(len(buys), dtype=np.int64)
    number[np.argsort(time, kind="stable")] = np.arange(1, len(buys) + 1)
    return Events.of(
        "purchase",
        customer,
        time,
        item=item,
        channel=sessions.channel[buys],
        quantity=quantity,
        amount=np.round(quantity * items.price[item], 2),
        order=number,
    )


def _returns(purchases: Events, customers: Customers, clock: Clock, rng: np.random.Generator) -> Events:
    """Whole orders sent back, some days later; also after the customer has left for ever."""
    back = purchases.where(rng.random(len(purchases.time)) < customers.return_rate[purchases.customer])
    at_least, beyond = RETURN_DELAY
    time = back.time + at_least + rng.exponential(beyond, len(back.time))
    returns = Events.of(
        "return",
        back.customer,
        time,
        item=back.item,
        channel=back.channel,
        quantity=-back.quantity,
        amount=-back.amount,
        order=back.order,
    )
    return returns.where(time < clock.days)


def _service(customers: Customers, limit: Floats, rng: np.random.Generator) -> Events:
    """Service contacts at a low rate all the time, and at a high one in the weeks before drop-out."""
    trouble = np.maximum(customers.dropout - TROUBLE, customers.arrival)
    troubled = np.minimum(trouble, limit)
    usual = _poisson_times(SERVICE_RATE, customers.arrival, limit, rng)
    further = _poisson_times(TROUBLE_RATE, troubled, limit, rng)
    customer, time = (np.concatenate(pair) for pair in zip(usual, further, strict=True))
    return Events.of("service", customer, time, channel=_channel(customers, customer, rng))


def _poisson_times(rate: float, first: Floats, last: Floats, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """(customer, time) of a Poisson process of constant rate in `[first, last)` of each customer."""
    number = rng.poisson(rate * (last - first))
    customer = np.repeat(np.arange(len(number)), number)
    return customer, rng.uniform(first[customer], last[customer])


def _surveys(purchases: Events, customers: Customers, limit: Floats, rng: np.random.Generator) -> Events:
    """Answers after some purchases, 0 to 10 around the satisfaction; lower when drop-out is near."""
    asked = purchases.where(rng.random(len(purchases.time)) < SURVEYED)
    at_least, beyond = SURVEY_DELAY
    time = asked.time + at_least + rng.exponential(beyond, len(asked.time))
    near = time > customers.dropout[asked.customer] - TROUBLE
    mood = customers.satisfaction[asked.customer] - TROUBLE_RATING * near
    rating = np.clip(np.rint(mood + rng.normal(0.0, 1.2, len(time))), 0, 10)
    answers = Events.of(
        "survey",
        asked.customer,
        time,
        item=asked.item,
        channel=asked.channel,
        order=asked.order,
        rating=rating,
    )
    return answers.where(time < limit[asked.customer])

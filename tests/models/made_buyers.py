"""A table of features of simulated customers: BG/NBD decides when they buy, Gamma-Gamma for how much."""

from typing import NamedTuple

import numpy as np
import pandas as pd

R, ALPHA, A, B = 0.8, 40.0, 0.6, 3.0  # days
P, Q, GAMMA = 4.0, 4.0, 30.0
HALF_LIFE = 120.0
START = pd.Timestamp("2023-01-01", tz="UTC")
_ORDERS = 60


class Shop(NamedTuple):
    X: pd.DataFrame
    y: "pd.Series[float]"


def shop(customers: int, seed: int, cutoffs: tuple[float, ...] = (200.0, 290.0), horizon: float = 90.0) -> Shop:
    """Features as of so many days after the start, and the spend within the horizon after each.

    Customers come evenly over the first half year; every order has a day of its own.
    """
    rng = np.random.default_rng(seed)
    rate, p = rng.gamma(R, 1 / ALPHA, customers)[:, None], rng.beta(A, B, customers)
    first = rng.uniform(0.0, 180.0, customers)[:, None]
    times = first + np.concatenate(
        [np.zeros((customers, 1)), np.cumsum(rng.exponential(size=(customers, _ORDERS)) / rate, axis=1)], axis=1
    )
    # Who stops does so after an order, the first one excepted.
    times[np.arange(_ORDERS + 1) > rng.geometric(p)[:, None]] = np.inf
    money = rng.gamma(P, size=times.shape) / rng.gamma(Q, 1 / GAMMA, customers)[:, None]
    parts = [_as_of(times, money, cutoff, horizon) for cutoff in cutoffs]
    return Shop(pd.concat([part.X for part in parts]), pd.concat([part.y for part in parts]))


def _as_of(times: np.ndarray, money: np.ndarray, cutoff: float, horizon: float) -> Shop:
    known = times[:, 0] < cutoff
    at, value = times[known], money[known]
    past, future = at < cutoff, (at >= cutoff) & (at < cutoff + horizon)
    age = np.where(past, cutoff - at, 0.0)
    table = {
        "tenure_purchase": cutoff - at[:, 0],
        "recency_purchase": np.where(past, age, np.inf).min(axis=1),
        "days_active_purchase": past.sum(axis=1),
        "sum_amount": (value * past).sum(axis=1),
        "sum_amount_90d": (value * (past & (age <= 90.0))).sum(axis=1),
        "decayed_sum_120d_amount": (value * past * 0.5 ** (age / HALF_LIFE)).sum(axis=1),
    }
    index = pd.MultiIndex.from_product(
        [np.flatnonzero(known), [START + pd.Timedelta(days=cutoff)]], names=["customer_id", "as_of"]
    )
    return Shop(pd.DataFrame(table, index=index), pd.Series((value * future).sum(axis=1), index=index))

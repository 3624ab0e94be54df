"""The best choice of one option per customer under a budget: a knapsack of many small things."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def choose(customer: NDArray[np.int64], spend: Floats, profit: Floats, budget: float | None) -> NDArray[np.int64]:
    """The options to take, at most one per customer, of the most profit that `budget` pays for.

    Of every customer only those options count that no mix of cheaper and dearer ones beats; going from one to the next
    dearer, each step earns less per unit spent than the one before. Steps are taken over all customers in the order of
    what they earn per unit, as far as the money goes. The profit is below the best possible by less than the one
    largest step, so that with many customers nothing is lost. Options without profit are never taken, and without a
    budget everybody gets the most profitable one.

    Args:
        customer: numbered from 0, shape (options,).
        spend: what each option costs, at least 0, shape (options,).
        profit: what it earns, all costs taken off, shape (options,).
        budget: what may be spent in all; None for any amount.

    Returns:
        Positions of the options, ascending.

    Source: Sinha and Zoltners (1979), The multiple-choice knapsack problem, Operations Research 27.

    >>> customer, spend = np.array([0, 0, 1]), np.array([1.0, 3.0, 1.0])
    >>> choose(customer, spend, np.array([5.0, 7.0, 4.0]), budget=2.0).tolist()  # the dearer one earns 1 per unit more
    [0, 2]
    """
    option, before, ratio = _steps(customer, spend, profit)
    left = np.inf if budget is None else float(budget)
    taken: dict[int, int] = {}
    stopped: set[int] = set()
    for at in np.argsort(-ratio, kind="stable").tolist():
        mine, who = int(option[at]), int(customer[option[at]])
        more = float(spend[mine] - (spend[before[at]] if before[at] >= 0 else 0.0))
        # A step that cannot be paid ends the customer's steps: the next ones stand on it.
        if who in stopped or more > left:
            stopped.add(who)
            continue
        left -= more
        taken[who] = mine
    return np.array(sorted(taken.values()), dtype=np.int64)


def _steps(
    customer: NDArray[np.int64], spend: Floats, profit: Floats
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """The steps along each customer's best options: to which, from which (-1: from none), profit per unit spent."""
    order = np.lexsort((-profit, spend, customer))
    order = order[profit[order] > 0]
    steps: list[tuple[int, int, float]] = []
    hull: list[tuple[int, float]] = []  # option and ratio of the step to it, of the customer at hand
    last = -1
    for option in order.tolist():
        if customer[option] != last:
            steps += _linked(hull)
            hull, last = [], int(customer[option])
        if hull and profit[option] <= profit[hull[-1][0]]:
            continue  # dearer, and earns no more
        while hull and _ratio(spend, profit, hull[-1][0], option) >= hull[-1][1]:
            hull.pop()  # going there at once earns more per unit than by this one
        hull.append((option, _ratio(spend, profit, hull[-1][0] if hull else -1, option)))
    steps += _linked(hull)
    to, source, ratio = zip(*steps, strict=True) if steps else ((), (), ())
    return np.array(to, dtype=np.int64), np.array(source, dtype=np.int64), np.array(ratio, dtype=np.float64)


def _linked(hull: list[tuple[int, float]]) -> list[tuple[int, int, float]]:
    return [(option, hull[at - 1][0] if at else -1, ratio) for at, (option, ratio) in enumerate(hull)]


def _ratio(spend: Floats, profit: Floats, one: int, other: int) -> float:
    """Profit per unit spent from one option (-1: none) to a dearer one; infinite where it costs nothing."""
    more = float(spend[other] - (spend[one] if one >= 0 else 0.0))
    gain = float(profit[other] - (profit[one] if one >= 0 else 0.0))
    return gain / more if more > 0 else float("inf")

"""Logged recommendations whose truth is known: who would take what, and two policies that show it."""

import numpy as np
import pandas as pd


class World:
    """Customers of two kinds, items that each kind takes with a known probability, and two random policies."""

    def __init__(self, items: int = 8, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.items = items
        self.taken = random.uniform(0.05, 0.6, size=(2, items))
        self.old = _policy(random.normal(0, 0.7, size=(2, items)))
        self.new = _policy(3 * self.taken)
        self.truth = float((self.new * self.taken).sum(axis=1).mean())

    def logged(self, customers: int, random: np.random.Generator, shown: int = 2) -> pd.DataFrame:
        """What the old policy showed, with its propensities; a customer's own liking makes its rows alike."""
        who = np.repeat(np.arange(customers), shown)
        kind = who % 2
        item = np.array([random.choice(self.items, p=self.old[one]) for one in kind])
        liking = np.repeat(random.choice([0.6, 1.4], size=customers), shown)
        reward = random.random(len(who)) < liking * self.taken[kind, item]
        return pd.DataFrame(
            {"customer_id": who, "item_id": item, "reward": reward.astype(float), "propensity": self.old[kind, item]}
        )

    def table(self, customers: int, values: np.ndarray, name: str) -> pd.DataFrame:
        """`values` (kinds, items) for every customer and item."""
        who = np.repeat(np.arange(customers), self.items)
        item = np.tile(np.arange(self.items), customers)
        return pd.DataFrame({"customer_id": who, "item_id": item, name: values[who % 2, item]})


def _policy(scores: np.ndarray) -> np.ndarray:
    odds = np.exp(scores)
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))

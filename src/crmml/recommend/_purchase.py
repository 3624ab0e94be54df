"""From places and scores on a list to the probability that the item is bought: a regression, then monotone steps."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from crmml.recommend.matrix import checked_array, damaged

Floats = NDArray[np.float64]

METHODS = ("isotonic", "platt")
# What the regression reads of every row; more of the first three never lowers the probability.
COLUMNS = ("level of the score", "place", "among the places", "items of the customer", "weight per item")
RISING = 3
# The scores of a fitted model are known by so many quantiles of its own lists.
LEVELS = 501
# Steps are made of so many rows at least: the best few of a list are not certain because they were once bought.
LEAST_ROWS = 100
MOST_STEPS = 200
ARRAYS = ("purchase_line", "purchase_steps")


@dataclass(frozen=True, eq=False)
class PurchaseMap:
    """p of a row with the columns `COLUMNS`: expit of their line, taken to the nearest steps where there are such.

    line: shape (6,), a factor for each column and the constant. steps: shape (2, n), where on the line each step stands
    and its probability, both rising; n is 0 without steps.

    >>> found = PurchaseMap(np.array([1.0, 0.0, 0.0, 0.0, 0.0, -2.0]), np.empty((2, 0)))
    >>> found(np.array([[2.0, 0.0, 0.0, 0.0, 0.0]])).tolist()
    [0.5]
    """

    line: Floats
    steps: Floats

    def __call__(self, columns: Floats) -> Floats:
        raw = columns @ self.line[:-1] + self.line[-1]
        if not self.steps.shape[1]:
            return np.asarray(expit(raw))
        return np.asarray(np.interp(raw, *self.steps))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Both as arrays."""
        return {"purchase_line": self.line, "purchase_steps": self.steps}

    @classmethod
    def from_arrays(cls, state: dict[str, Any], where: str) -> "PurchaseMap":
        """The reverse. Raises `BundleError` for arrays that `to_arrays` cannot have written."""
        line = checked_array(state["purchase_line"], "f", (len(COLUMNS) + 1,), f"{where}: purchase_line")
        if (line[:RISING] < 0).any():
            raise damaged(f"{where}: purchase_line turns the ranking round")
        steps = state["purchase_steps"]
        count = steps.shape[-1] if isinstance(steps, np.ndarray) else 0
        steps = checked_array(steps, "f", (2, count), f"{where}: purchase_steps")
        if (np.diff(steps, axis=1) < 0).any() or (steps[1] < 0).any() or (steps[1] > 1).any():
            raise damaged(f"{where}: purchase_steps do not rise from 0 to 1")
        return cls(line, steps)


def fit_purchases(columns: Floats, bought: NDArray[np.bool_], method: str) -> PurchaseMap:
    """The map under which these rows were bought most likely.

    A logistic regression: Platt's, of more than one column. A factor of the first three that came out below 0 is
    left out, and the rest fitted again: a better score or place is no reason against an item. "isotonic": then rows in
    the order of the line, in up to 200 bins of equal size and of 100 rows or more, get the rising frequencies that fit
    best, and what lies between two bins a value between theirs.

    Args:
        columns: shape (rows, 5), finite.
        bought: shape (rows,), with both values in it.
        method: "isotonic" or "platt".

    Source: Platt (1999), Probabilistic outputs for support vector machines; Zadrozny and Elkan (2002), Transforming
    classifier scores into accurate multiclass probability estimates, KDD.

    >>> rng = np.random.default_rng(0)
    >>> columns = np.zeros((20_000, 5))
    >>> columns[:, 0] = rng.integers(0, 2, 20_000)
    >>> bought = rng.random(20_000) < np.where(columns[:, 0] == 1, 0.3, 0.1)
    >>> fit_purchases(columns, bought, "platt")(np.array([[0.0] * 5, [1.0] + [0.0] * 4])).round(2).tolist()
    [0.1, 0.3]
    """
    line = _line(columns, bought)
    if method == "platt":
        return PurchaseMap(line, np.empty((2, 0)))
    return PurchaseMap(line, _steps(columns @ line[:-1] + line[-1], bought))


def _line(columns: Floats, bought: NDArray[np.bool_]) -> Floats:
    centre, spread = columns.mean(axis=0), columns.std(axis=0)
    used = spread > 0
    while True:
        line = np.zeros(len(COLUMNS) + 1)
        share = float(bought.mean())
        line[-1] = np.log(share / (1 - share))
        if not used.any():
            return line
        # A touch of ridge: with two groups that can be told apart exactly, nothing would end.
        model = LogisticRegression(C=100.0, tol=1e-8, max_iter=1000)
        model.fit((columns[:, used] - centre[used]) / spread[used], bought)
        line[:-1][used] = model.coef_[0] / spread[used]
        line[-1] = float(model.intercept_[0] - line[:-1] @ centre)
        wrong = np.flatnonzero(line[:RISING] < 0)
        if not len(wrong):
            return line
        used[wrong[np.argmin((line[:-1] * spread)[wrong])]] = False


def _steps(raw: Floats, bought: NDArray[np.bool_]) -> Floats:
    count = int(np.clip(len(raw) // LEAST_ROWS, 1, MOST_STEPS))
    # Equal values are not torn apart: who stands at the same place gets the same probability.
    edges = np.unique(np.quantile(raw, np.linspace(0, 1, count + 1)[1:-1]))
    inside = np.searchsorted(edges, raw, side="right")
    rows = np.bincount(inside, minlength=len(edges) + 1)
    full = rows > 0
    place = np.bincount(inside, weights=raw, minlength=len(rows))[full] / rows[full]
    share = np.bincount(inside, weights=bought, minlength=len(rows))[full] / rows[full]
    rising = IsotonicRegression(y_min=0.0, y_max=1.0).fit(place, share, sample_weight=rows[full])
    # Nothing is impossible because so many did not buy it: half a purchase more.
    least = 0.5 / (len(raw) / max(1, len(place)) + 1)
    return np.vstack([place, np.clip(rising.predict(place), min(least, float(bought.mean())), 1.0)])


def level_of(score: Floats, levels: Floats) -> Floats:
    """How high a score is among those of the model's own lists: -log(share above it), so that the top is spread out.

    levels: quantiles of these scores, rising, shape (n,); the result does not depend on their unit.

    >>> levels = np.array([1.0, 2.0, 3.0, 4.0])
    >>> np.exp(-level_of(np.array([1.0, 9.0]), levels)).round(3).tolist()  # 3.5 and 0 of them above: 4 / 4.5, .5 / 4.5
    [0.889, 0.111]
    """
    below = (np.searchsorted(levels, score, side="left") + np.searchsorted(levels, score, side="right")) / 2
    return np.asarray(-np.log((len(levels) - below + 0.5) / (len(levels) + 0.5)))

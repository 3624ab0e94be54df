"""The raw score of churn: trees, a logistic regression, and trees that correct a buy-till-you-die model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from crmml.models._base import Bools, Floats, Ints, State
from crmml.models._buyers import Buyers
from crmml.models._history import HistoryColumns, read_history
from crmml.models._linear import Linear
from crmml.models._platt import fit_line
from crmml.models._state import StateReader
from crmml.models._trees import Trees, TreeTrainer

# Of the state, besides the trees: all or none.
BLEND_KEYS = (
    "corrections",
    "silence",
    "silence_columns",
    "linear",
    "linear_intercept",
    "buyers_purchases",
    "buyers_value",
)
# Log odds of a probability that a model may be sure of, but not surer.
_SUREST = 14.0
# The buy-till-you-die model knows most already: the trees on it are fewer.
_OFFSET_SHARE = 0.3


@dataclass(frozen=True)
class Silence:
    """How likely a customer buys nothing within `days`, by BG/NBD, on the line that fits the labels best."""

    buyers: Buyers
    columns: HistoryColumns
    days: float
    slope: float
    intercept: float

    @classmethod
    def learn(cls, X: Floats, positive: Bools, latest: Bools, columns: HistoryColumns, days: float) -> "Silence | None":
        """Rates from the customers of the latest cutoff, the line from all rows; None where there is no model.

        The line has any slope: where the positive label means a purchase, it falls.
        """
        buyers = Buyers.learn(read_history(X[latest], columns))
        if buyers is None:
            return None
        plain = cls(buyers, columns, days, 1.0, 0.0)
        slope, intercept = fit_line(plain.raw(X), positive)
        return cls(buyers, columns, days, slope, intercept)

    def p_buys(self, X: Floats) -> Floats:
        """The probability of a purchase within the days, shape (rows,)."""
        return self.buyers.p_buys(read_history(X, self.columns), self.days)

    def chance(self, X: Floats) -> Floats:
        """The probability of the positive label by BG/NBD alone, which has seen no label, shape (rows,)."""
        p_buys = self.p_buys(X)
        return p_buys if self.slope < 0 else 1.0 - p_buys

    def raw(self, X: Floats) -> Floats:
        """Log odds of the positive label, shape (rows,)."""
        p = self.p_buys(X)
        with np.errstate(divide="ignore"):
            odds = np.clip(np.log1p(-p) - np.log(p), -_SUREST, _SUREST)
        raw: Floats = self.slope * odds + self.intercept
        return raw


@dataclass(frozen=True)
class Blend:
    """Trees alone, or the mean of the three raw scores where there is a history of purchases."""

    trees: Trees
    linear: Linear | None = None
    silence: Silence | None = None
    corrections: Trees | None = None

    def raw(self, X: Floats, n_jobs: int) -> Floats:
        """Log odds before calibration, shape (rows,)."""
        raw = self.trees.raw(X, n_jobs)
        if self.linear is None or self.silence is None or self.corrections is None:
            return raw
        return (raw + self.linear.raw(X) + self.silence.raw(X) + self.corrections.raw(X, n_jobs)) / 3.0

    def contributions(self, X: Floats, n_jobs: int) -> tuple[Floats, Floats | None]:
        """What each column adds to the raw score, (rows, columns), and what BG/NBD does, (rows,)."""
        parts = self.trees.contributions(X, n_jobs)[:, :-1]
        if self.linear is None or self.silence is None or self.corrections is None:
            return parts, None
        parts = parts + self.linear.contributions(X) + self.corrections.contributions(X, n_jobs)[:, :-1]
        return parts / 3.0, self.silence.raw(X) / 3.0

    def gains(self) -> Floats:
        """Share of the total gain by column, mean of the trees."""
        gains = self.trees.gains()
        return gains if self.corrections is None else (gains + self.corrections.gains()) / 2.0

    def state(self) -> State:
        """Texts and arrays."""
        state: State = {"booster": self.trees.text}
        if self.linear is None or self.silence is None or self.corrections is None:
            return state
        line = np.array([self.silence.days, self.silence.slope, self.silence.intercept])
        columns = self.silence.columns
        return (
            state
            | self.linear.state()
            | self.silence.buyers.state()
            | {
                "silence": line,
                "silence_columns": np.array([columns.tenure, columns.recency, columns.days]),
                "corrections": self.corrections.text,
            }
        )

    @classmethod
    def from_state(cls, reader: StateReader, trees: Trees, corrections: Trees, n_features: int) -> "Blend":
        """The mean of three from the keys of `state`, with its trees, already checked."""
        linear = Linear.from_state(reader, n_features)
        buyers = Buyers.from_state(reader)
        days, slope, intercept = reader.finite("silence", (3,)).tolist()
        if buyers is None or days <= 0:
            reader.refuse("silence", f"needs a model of purchases, and a time above 0, not {days}")
        columns = reader.array("silence_columns", "i", (3,))
        if (columns < 0).any() or (columns >= n_features).any():
            reader.refuse("silence_columns", f"must be columns of {n_features}, not {columns.tolist()}")
        tenure, recency, active = columns.tolist()
        places = HistoryColumns(tenure, recency, active, None, None, float("nan"))
        silence = Silence(buyers, places, days, slope, intercept)
        return cls(trees, linear, silence, corrections)


class BlendTrainer:
    """Trains blends on all or some rows of one table.

    Args:
        X: Shape (rows, columns).
        positive: The labels, shape (rows,).
        parameters: LightGBM's.
        n_jobs: Threads.
        history: Where the history of purchases stands in the table; None for trees alone.
        days: How far the labels look ahead; None for trees alone.
        cutoffs: The number of each row's cutoff, rising with time, shape (rows,).
    """

    def __init__(
        self,
        X: Floats,
        positive: Bools,
        parameters: Mapping[str, Any],
        *,
        n_jobs: int,
        history: HistoryColumns | None,
        days: float | None,
        cutoffs: Ints,
    ) -> None:
        self._X, self._positive, self._cutoffs = X, positive, cutoffs
        self._history, self._days = history, days
        label = positive.astype(np.float64)
        self._plain = TreeTrainer(X, label, parameters, n_jobs=n_jobs)
        fewer = {**parameters, "num_iterations": max(1, round(parameters["num_iterations"] * _OFFSET_SHARE))}
        self._short = TreeTrainer(X, label, fewer, n_jobs=n_jobs)

    def train(self, rows: Ints | None = None) -> Blend:
        """The blend of these rows; of all rows where none are named."""
        trees = self._plain.train(rows)
        some = np.arange(len(self._X)) if rows is None else rows
        X, positive, cutoffs = self._X[some], self._positive[some], self._cutoffs[some]
        silence = None
        if self._history is not None and self._days is not None:
            silence = Silence.learn(X, positive, cutoffs == cutoffs.max(), self._history, self._days)
        if silence is None:
            return Blend(trees)
        corrections = self._short.train(rows, offset=silence.raw(X))
        return Blend(trees, Linear.train(X, positive), silence, corrections)

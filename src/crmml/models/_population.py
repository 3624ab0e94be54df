"""The customers that a classifier has learned from, as the ones to compare another with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crmml.models._base import Bools, Floats, State
from crmml.models._blend import Blend
from crmml.models._reasons import in_words, reasons
from crmml.models._state import StateReader

POPULATION_KEYS = ("scores", "base_rate", "typical", "usual")
_STEPS = 101  # quantiles of the raw score: one per hundredth
# Odds over those of the base rate, from which on a band begins.
_BANDS = ((0.5, "medium"), (2.0, "high"), (4.0, "very high"))


@dataclass(frozen=True)
class Population:
    """The customers of the latest training cutoff.

    Attributes:
        scores: Quantiles of their raw scores, shape (101,).
        base_rate: The share of positives among all training rows.
        typical: The median of each column, NaN where all are missing, shape (columns,).
        usual_raw, usual_p: The median of what the buy-till-you-die model adds, and of its probability of a purchase;
            0 where there is none.
    """

    scores: Floats
    base_rate: float
    typical: Floats
    usual_raw: float
    usual_p: float

    @classmethod
    def learn(cls, blend: Blend, X: Floats, raw: Floats, positive: Bools) -> "Population":
        """X, raw: the rows of the latest cutoff and their scores; positive: the labels of all rows."""
        known = ~np.isnan(X).all(axis=0)
        typical = np.full(X.shape[1], np.nan)
        typical[known] = np.nanmedian(X[:, known], axis=0)
        usual_raw = usual_p = 0.0
        if blend.silence is not None:
            usual_raw = float(np.median(blend.silence.raw(X))) / 3.0
            usual_p = float(np.median(blend.silence.p_buys(X)))
        scores = np.quantile(raw, np.linspace(0.0, 1.0, _STEPS))
        return cls(scores, float(positive.mean()), typical, usual_raw, usual_p)

    def details(
        self, blend: Blend, X: Floats, p: Floats, *, names: Sequence[str], n_jobs: int
    ) -> dict[str, npt.NDArray[Any]]:
        """The columns `percentile`, `risk_band` and `reasons` for rows with the probabilities `p`."""
        words = [in_words(name) for name in names]
        parts, silence = blend.contributions(X, n_jobs)
        typical = self.typical
        if silence is not None and blend.silence is not None:
            days = blend.silence.days
            words.append((f"chance of a purchase within {days:g} days by BG/NBD", ""))
            X = np.column_stack([X, blend.silence.p_buys(X)])
            typical = np.append(typical, self.usual_p)
            parts = np.column_stack([parts, silence - self.usual_raw])
        return {
            "percentile": self.percentiles(blend.raw(X[:, : len(names)], n_jobs)),
            "risk_band": self.bands(p),
            "reasons": np.array(reasons(words, X, typical, parts), dtype=object),
        }

    def percentiles(self, raw: Floats) -> Floats:
        """How many in a hundred have a lower score, half of those with the same one, shape (rows,)."""
        below = np.searchsorted(self.scores, raw, side="left")
        up_to = np.searchsorted(self.scores, raw, side="right")
        inside = np.interp(raw, self.scores, np.arange(float(_STEPS)))
        # Within a stretch of equal quantiles, its middle.
        flat = up_to - below > 1
        return np.where(flat, (below + up_to - 1) / 2.0, inside)

    def bands(self, p: Floats) -> npt.NDArray[Any]:
        """The band of each probability, shape (rows,)."""
        base_odds = self.base_rate / (1.0 - self.base_rate)
        with np.errstate(divide="ignore"):
            ratio = p / (1.0 - p) / base_odds
        names = np.array(["low", *(name for _, name in _BANDS)], dtype=object)
        return names[np.searchsorted([bound for bound, _ in _BANDS], ratio, side="right")]

    def state(self) -> State:
        """Arrays."""
        return {
            "scores": self.scores,
            "base_rate": np.array([self.base_rate]),
            "typical": self.typical,
            "usual": np.array([self.usual_raw, self.usual_p]),
        }

    @classmethod
    def from_state(cls, reader: StateReader, n_features: int) -> "Population":
        """The population from the keys of `state`."""
        scores = reader.finite("scores", (_STEPS,))
        if (np.diff(scores) < 0).any():
            reader.refuse("scores", "must not fall")
        base_rate = float(reader.finite("base_rate", (1,))[0])
        if not 0.0 < base_rate < 1.0:
            reader.refuse("base_rate", f"must lie between 0 and 1, not at {base_rate}")
        typical = reader.array("typical", "f", (n_features,))
        usual_raw, usual_p = reader.finite("usual", (2,)).tolist()
        return cls(scores, base_rate, typical, usual_raw, usual_p)

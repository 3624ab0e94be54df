"""Platt scaling: raw scores to probabilities."""

import numpy as np

from crmml.models._base import Bools, Floats

_STEPS = 100
_TOLERANCE = 1e-10


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)) without overflow.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def log_odds(share: float) -> float:
    """log(share / (1 - share)).

    >>> log_odds(0.5)
    0.0
    """
    return float(np.log(share / (1.0 - share)))


def base_rate(positive: Bools) -> tuple[float, float]:
    """(0, log odds of the share of positives): everybody gets the base rate."""
    return 0.0, log_odds(float(np.mean(positive)))


def fit_platt(raw: Floats, positive: Bools) -> tuple[float, float]:
    """Slope and intercept of p = sigmoid(slope * raw + intercept).

    Maximum likelihood on Platt's smoothed labels (J. Platt, Probabilistic outputs for support vector
    machines, 1999: (N+ + 1)/(N+ + 2) and 1/(N- + 2)), by Newton's method with halved steps (H.-T. Lin,
    C.-J. Lin and R. Weng, A note on Platt's probabilistic outputs, 2007).

    A slope that is not positive says that the scores held nothing beyond chance: then everybody gets the
    base rate, rather than a ranking turned round.

    Args:
        raw: Scores of rows that the scoring model has not seen, shape (rows,).
        positive: Whether the row is of the positive class, shape (rows,).
    """
    slope, intercept = fit_line(raw, positive)
    if slope <= 0.0:
        return base_rate(positive)
    return slope, intercept


def fit_line(raw: Floats, positive: Bools) -> tuple[float, float]:
    """As `fit_platt`, but the slope may have any sign: 0 only where the scores have no spread."""
    spread = float(raw.std())
    if spread == 0.0:
        return base_rate(positive)
    centre = float(raw.mean())
    slope, intercept = _newton((raw - centre) / spread, _smoothed(positive))
    return slope / spread, intercept - slope * centre / spread


def fit_level(scaled: Floats, positive: Bools) -> float:
    """The intercept with which p = sigmoid(scaled + intercept) are as many as the positives, on smoothed labels.

    >>> level = fit_level(np.zeros(8), np.arange(8) < 4)
    >>> abs(level) < 1e-9
    True
    """
    return level_at(scaled, float(_smoothed(positive).mean()))


def level_at(scaled: Floats, wanted: float) -> float:
    """The intercept with which the mean of p = sigmoid(scaled + intercept) is the share `wanted`.

    By halving an interval, since the mean of p rises with the intercept.

    >>> level = level_at(np.zeros(8), 0.75)  # the log odds of three quarters are log(3)
    >>> round(level, 6), round(float(np.log(3.0)), 6)
    (1.098612, 1.098612)
    """
    low, high = -40.0 - float(scaled.max()), 40.0 - float(scaled.min())
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if sigmoid(scaled + middle).mean() < wanted else (low, middle)
    return (low + high) / 2.0


def _smoothed(positive: Bools) -> Floats:
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    return np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))


def _newton(z: Floats, label: Floats) -> tuple[float, float]:
    design = np.column_stack([z, np.ones_like(z)])
    weights = np.array([0.0, np.log(label.mean() / (1.0 - label.mean()))])
    loss = _loss(design @ weights, label)
    for _ in range(_STEPS):
        p = sigmoid(design @ weights)
        gradient = design.T @ (p - label)
        if np.abs(gradient).max() <= _TOLERANCE * len(z):
            break
        hessian = (design * (p * (1.0 - p))[:, None]).T @ design + 1e-12 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        scale = 1.0
        while scale > 1e-10 and _loss(design @ (weights - scale * step), label) > loss:
            scale /= 2.0
        weights = weights - scale * step
        loss = _loss(design @ weights, label)
    return float(weights[0]), float(weights[1])


def _loss(x: Floats, label: Floats) -> float:
    return float(np.sum(np.logaddexp(0.0, x) - label * x))

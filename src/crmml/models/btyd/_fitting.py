"""Maximum likelihood over the logarithms of positive parameters, and an honest word on how it went."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from crmml.models._base import Bools, Floats

# The log-likelihood and its gradient at the logarithms of the parameters.
Objective = Callable[[Floats], tuple[float, Floats]]

# A parameter beyond exp(+-12) of its unit is one that the data push away for ever.
LIMIT = 12.0
_STEP = 1e-5  # of the differences of gradients: standard errors are right to five digits or so
_GAP = 1e-7  # of the log-likelihood, which statistics never see
_VAGUE = 10.0  # standard error of a logarithm: a factor of 20,000 either way
_NEWTON_STEPS = 20


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """How a fit went.

    Attributes:
        converged: Whether the parameters are the maximum, and the data determine them.
        message: The same in words; where it is no, what to do.
        n_evaluations: How often the likelihood was computed.
        gap: By how much the log-likelihood could still rise, from the curvature; NaN where that is not concave.

    >>> Convergence(converged=True, message="converged", n_evaluations=21, gap=1e-9).converged
    True
    """

    converged: bool
    message: str
    n_evaluations: int
    gap: float


@dataclass(frozen=True)
class Maximum:
    """Where the search ended: logarithms of the parameters, what was maximised, minus its Hessian, the report."""

    point: Floats
    value: float
    information: Floats
    report: Convergence

    @property
    def errors(self) -> Floats:
        """Standard errors of the logarithms, shape (parameters,)."""
        return _standard_errors(self.information, _inside(self.point))


class Search:
    """One search for a maximum; counts its evaluations."""

    def __init__(self, objective: Objective, names: tuple[str, ...], *, customers: float, max_iter: int) -> None:
        self._objective = objective
        self._names = names
        self._customers = customers
        self._max_iter = max_iter
        self._n_evaluations = 0

    def run(self, start: Floats, *, near: Floats | None = None) -> Maximum:
        """L-BFGS, then Newton's method on differences of the gradient.

        Where `start` is near the maximum, only the latter: `near` is about minus the Hessian there.
        """
        point, value, information, gap = self._polish(self._descend(start) if near is None else start, near)
        if near is not None and not gap < _GAP:
            point, value, information, gap = self._polish(self._descend(point), None)
        errors = _standard_errors(information, _inside(point))
        return Maximum(point, value, information, self._report(point, errors, gap))

    def _evaluate(self, point: Floats) -> tuple[float, Floats]:
        self._n_evaluations += 1
        return self._objective(point)

    def _descend(self, start: Floats) -> Floats:
        def loss(point: Floats) -> tuple[float, Floats]:
            value, gradient = self._evaluate(point)
            return -value / self._customers, -gradient / self._customers

        options = {"maxiter": self._max_iter, "ftol": 1e-10, "gtol": 1e-6}
        bounds = [(-LIMIT, LIMIT)] * len(start)
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        point: Floats = np.asarray(found.x, dtype=np.float64)
        return point

    def _polish(self, point: Floats, guess: Floats | None) -> tuple[Floats, float, Floats, float]:
        """The point after Newton's steps, the objective and the information there, and the gap that is left.

        A guess of the information serves until it finds no more to gain: then it is computed.
        """
        value, gradient = self._evaluate(point)
        at, guessed = point, guess is not None
        information = self._information(point, gradient) if guess is None else guess
        for _ in range(_NEWTON_STEPS):
            step = _newton_step(information, gradient, _inside(point))
            gap = np.nan if step is None else float(gradient @ step) / 2.0
            tried = None if step is None or gap < _GAP else self._step(point, step, value)
            if tried is not None:
                point, value, gradient = tried
            elif not guessed:
                break
            if tried is None or np.abs(point - at).max() > 0.1:  # far enough for another curvature
                at, information, guessed = point, self._information(point, gradient), False
        if np.abs(point - at).max() > 1e-4:
            information = self._information(point, gradient)
        return point, value, information, gap

    def _step(self, point: Floats, step: Floats, value: float) -> tuple[Floats, float, Floats] | None:
        """The point after a step, the objective and its gradient there; None where it does not rise."""
        tried = np.clip(point + step / max(1.0, float(np.abs(step).max())), -LIMIT, LIMIT)
        new_value, new_gradient = self._evaluate(tried)
        return (tried, new_value, new_gradient) if new_value > value else None

    def _information(self, point: Floats, gradient: Floats) -> Floats:
        """Minus the Hessian by differences from the gradient at a point, shape (parameters, parameters)."""
        ahead = [self._evaluate(point + _STEP * axis)[1] for axis in np.eye(len(point))]
        matrix = (gradient - np.array(ahead)) / _STEP
        symmetric: Floats = (matrix + matrix.T) / 2.0
        return symmetric

    def _report(self, point: Floats, errors: Floats, gap: float) -> Convergence:
        inside = _inside(point)
        vague = inside & ~(errors < _VAGUE)
        if not inside.all():
            far = [f"{name}_" for name, fine in zip(self._names, inside, strict=True) if not fine]
            why = f"the likelihood rises for ever towards a limit of {' and '.join(far)}"
        elif vague.any() or np.isnan(gap):
            loose = [f"{name}_" for name, wide in zip(self._names, vague, strict=True) if wide]
            why = f"the data do not determine {' and '.join(loose) or 'the parameters'}"
        elif gap >= max(_GAP, 1e-12 * self._customers):
            why = f"the log-likelihood could still rise by {gap:.2g}"
        else:
            message = f"converged after {self._n_evaluations} evaluations"
            return Convergence(converged=True, message=message, n_evaluations=self._n_evaluations, gap=gap)
        advice = "fit more customers, set a penalty such as penalty=0.1, or raise max_iter"
        return Convergence(
            converged=False, message=f"not converged: {why}: {advice}", n_evaluations=self._n_evaluations, gap=gap
        )


def _inside(point: Floats) -> Bools:
    inside: Bools = np.abs(point) < LIMIT - 0.01
    return inside


def _newton_step(information: Floats, gradient: Floats, free: Bools) -> Floats | None:
    """The step to the top of the parabola among the free parameters; None where it has no top."""
    step = np.zeros(len(gradient))
    if free.any():
        inner = information[np.ix_(free, free)]
        if not np.isfinite(inner).all() or np.linalg.eigvalsh(inner).min() <= 0.0:
            return None
        step[free] = np.linalg.solve(inner, gradient[free])
    return step


def _standard_errors(information: Floats, free: Bools) -> Floats:
    """Of each logarithm, with the parameters at their limit held there; NaN for those and where there is no top."""
    errors = np.full(len(information), np.nan)
    inner = information[np.ix_(free, free)]
    if free.any() and np.isfinite(inner).all() and np.linalg.eigvalsh(inner).min() > 0.0:
        errors[free] = np.sqrt(np.diag(np.linalg.inv(inner)))
    return errors

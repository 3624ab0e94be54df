"""BG/NBD and Gamma-Gamma on the history in a table of features: what other models build upon."""

import warnings
from typing import Self

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning

from crmml.errors import DataError
from crmml.models._base import Floats, State
from crmml.models._history import History
from crmml.models._recent_buyers import RecentBGNBD
from crmml.models._state import StateReader
from crmml.models.btyd.beta_geometric import BGNBD
from crmml.models.btyd.gamma_gamma import GammaGamma

# Draws the parameters to 1 so gently that only data which say nothing feel it.
_PENALTY = 0.01
# A young log can leave open whether anybody has stopped at all: there the gentle one does not end the search.
_STRONGER = 1.0


class Buyers:
    """When and for how much customers buy again, from their purchases so far.

    Args:
        purchases: A fitted BG/NBD, in days.
        value: A fitted Gamma-Gamma; None where there is no money, or too few customers with any.
    """

    def __init__(self, purchases: BGNBD, value: GammaGamma | None) -> None:
        self.purchases = purchases
        self.value = value

    @classmethod
    def learn(cls, history: History) -> Self | None:
        """Fit both to customers at one cutoff; None where their purchases determine no model.

        The customers may be everybody, or those who bought lately: see `RecentBGNBD`.
        """
        some = history[history.known]
        for penalty in (_PENALTY, _STRONGER):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)  # looked at below
                    purchases = RecentBGNBD(penalty=penalty).fit(_frame(some))
            except DataError:
                return None
            if purchases.convergence_.converged:
                return cls(purchases, _value(some))
        return None

    def p_alive(self, history: History) -> Floats:
        """The probability that a customer may still buy; 0 for who never has."""
        return np.where(history.known, self.purchases.p_alive(_frame(history)), 0.0)

    def p_buys(self, history: History, days: float) -> Floats:
        """The probability of a purchase within so many days; 0 for who never has bought."""
        return np.where(history.known, self.purchases.p_buys(_frame(history), days), 0.0)

    def expected_orders(self, history: History, days: float) -> Floats:
        """Expected days with purchases within so many days; 0 for who never has bought."""
        return np.where(history.known, self.purchases.expected_purchases(_frame(history), days), 0.0)

    def expected_value(self, history: History) -> Floats:
        """Expected money per day with purchases, above 0; that of everybody where the own mean is 0 or less."""
        if self.value is None:
            return np.ones(len(history))
        usable = history.mean_value > 0  # not so where it is missing
        x = np.where(usable, history.x + 1.0, 0.0)
        return self.value.expected_value(pd.DataFrame({"x": x, "m_x": np.where(usable, history.mean_value, 0.0)}))

    def expected_spend(self, history: History, days: float) -> Floats:
        """Expected money within so many days; orders where there is no money in the table."""
        return self.expected_orders(history, days) * self.expected_value(history)

    def state(self) -> State:
        """The parameters as arrays."""
        value = np.empty(0) if self.value is None else self.value.get_state()["parameters"]
        return {"buyers_purchases": self.purchases.get_state()["parameters"], "buyers_value": value}

    @staticmethod
    def no_state() -> State:
        """What `state` of no model is."""
        return {"buyers_purchases": np.empty(0), "buyers_value": np.empty(0)}

    @classmethod
    def from_state(cls, reader: StateReader) -> Self | None:
        """The model, or None, from the keys that `state` and `no_state` give."""
        purchases = _positive(reader, "buyers_purchases", 4)
        value = _positive(reader, "buyers_value", 3)
        if not purchases:
            return None
        model = BGNBD.from_parameters(dict(zip(("r", "alpha", "a", "b"), purchases, strict=True)))
        names = ("p", "q", "gamma")
        return cls(model, GammaGamma.from_parameters(dict(zip(names, value, strict=True))) if value else None)


def _positive(reader: StateReader, key: str, length: int) -> list[float]:
    values = reader.finite(key, (None,))
    if len(values) not in (0, length) or (values <= 0).any():
        reader.refuse(key, f"must hold {length} numbers above 0 or none, not {values.tolist()}")
    return [float(value) for value in values]


def _value(some: History) -> GammaGamma | None:
    usable = some[some.mean_value > 0]
    if len(usable) < 2 or np.ptp(usable.mean_value) == 0.0:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = GammaGamma(penalty=_PENALTY).fit(pd.DataFrame({"x": usable.x + 1.0, "m_x": usable.mean_value}))
    # Below 1 there is no mean to expect of a new customer.
    return model if model.convergence_.converged and model.p_ + model.q_ > 1.0 and model.q_ > 1.0 else None


def _frame(history: History) -> pd.DataFrame:
    return pd.DataFrame({"x": history.x, "t_x": history.t_x, "T": history.T})

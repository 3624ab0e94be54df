"""What BG/NBD, MBG/NBD and Pareto/NBD share: the columns `x`, `t_x`, `T` and the questions they answer."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from crmml.errors import DataError
from crmml.models._base import Bools, Floats
from crmml.models.btyd._inputs import Rows, Rule, each_different, lengths, not_negative, whole
from crmml.models.btyd._model import BuyTillYouDie


class TransactionModel(BuyTillYouDie):
    """Customers who buy at random moments until, unseen, they stop.

    `X` has a customer per row: `x` repeat purchases (the first purchase is not counted), the last of them at
    `t_x`, observed until `T`; both counted from the first purchase, in any one unit of time.
    """

    _columns: ClassVar[tuple[str, ...]] = ("x", "t_x", "T")
    _rules: ClassVar[tuple[Rule, ...]] = (
        whole("x", "the number of repeat purchases, without the first"),
        Rule("T", lambda rows: rows["T"] >= 0, "must be 0 or more", "Give the time from the first purchase"),
        Rule("t_x", lambda rows: rows["t_x"] >= 0, "must be 0 or more", "Give the time from the first purchase"),
        Rule("t_x", lambda rows: rows["t_x"] <= rows["T"], "must not exceed T", "Give the time of the last purchase"),
        Rule(
            "t_x",
            lambda rows: (rows["x"] > 0) | (rows["t_x"] == 0),
            "must be 0 where x is 0",
            "Give 0 to customers without a repeat purchase",
        ),
    )

    def p_alive(self, X: Any) -> Floats:
        """The probability that each customer is still active at `T`, shape (rows,).

        Raises:
            SchemaError, DataError: As `fit`.
        """
        return each_different(self._customers(X, "p_alive"), self._alive)

    def p_buys(self, X: Any, horizon: float) -> Floats:
        """The probability of at least one purchase in (T, T + horizon], shape (rows,).

        Args:
            X: The customers, as in `fit`.
            horizon: In the unit of time of `T`, 0 or more; it may be longer than the history.

        Raises:
            ConfigError: A horizon that is no number of 0 or more.
            SchemaError, DataError: As `fit`.
        """
        rows, span = self._customers(X, "p_buys"), self._horizon(horizon, "p_buys")
        return each_different(rows, lambda some: self._alive(some) * self._buys_if_alive(some, span))

    def expected_purchases(self, X: Any, horizon: float) -> Floats:
        """The expected number of purchases in (T, T + horizon], shape (rows,).

        Args:
            X: The customers, as in `fit`.
            horizon: In the unit of time of `T`, 0 or more; it may be longer than the history.

        Raises:
            ConfigError: A horizon that is no number of 0 or more.
            SchemaError, DataError: As `fit`.
        """
        rows, span = self._customers(X, "expected_purchases"), self._horizon(horizon, "expected_purchases")
        alive = each_different(rows, self._alive)
        # While a customer lives, only x and T matter: far fewer different rows, for the costlier part.
        return alive * each_different({"x": rows["x"], "T": rows["T"]}, lambda some: self._if_alive(some, span))

    def expected_purchases_new(self, horizon: float) -> float:
        """The expected number of repeat purchases of a new customer within a horizon of the first purchase.

        Raises:
            ConfigError: A horizon that is no number of 0 or more.
        """
        check_is_fitted(self)
        return self._new(self._horizon(horizon, "expected_purchases_new"))

    def simulate(self, T: Any, rng: np.random.Generator, *, horizon: float = 0.0) -> pd.DataFrame:
        """Draw customers from the process.

        Args:
            T: How long each customer is observed, shape (customers,).
            rng: Source of randomness, such as `np.random.default_rng(0)`: the same seed, the same customers.
            horizon: How long they are watched after that.

        Returns:
            A row per customer: `x`, `t_x`, `T` as `fit` takes them; `alive` at `T` (bool); `x_star`, the number of
            purchases in (T, T + horizon].

        Raises:
            ConfigError: A horizon that is no number of 0 or more.
            DataError: An observation time that is no number of 0 or more.
        """
        check_is_fitted(self)
        where = f"{type(self).__name__}.simulate"
        observed, span = lengths(T, "T", where), self._horizon(horizon, "simulate")
        x, t_x, alive, x_star = self._draw(observed, span, rng)
        return pd.DataFrame({"x": x, "t_x": t_x, "T": observed, "alive": alive, "x_star": x_star})

    def _alive(self, rows: Rows) -> Floats:
        raise NotImplementedError

    def _buys_if_alive(self, rows: Rows, horizon: float) -> Floats:
        raise NotImplementedError

    def _if_alive(self, rows: Rows, horizon: float) -> Floats:
        """Expected purchases in the horizon of customers alive at `T`; rows have `x` and `T`."""
        raise NotImplementedError

    def _new(self, horizon: float) -> float:
        raise NotImplementedError

    def _draw(self, observed: Floats, horizon: float, rng: np.random.Generator) -> tuple[Floats, Floats, Bools, Floats]:
        """`x`, `t_x`, `alive` and `x_star`, each shape (customers,)."""
        raise NotImplementedError

    def _horizon(self, horizon: float, method: str) -> float:
        return not_negative(horizon, "horizon", f"{type(self).__name__}.{method}")

    def _informative(self, rows: Rows, weights: Floats, where: str) -> tuple[Rows, Floats]:
        if not (weights * rows["T"]).any():
            raise DataError(
                f"{where}: column 'T' is 0 for every customer: all are seen on the day of their first purchase only, "
                "which says nothing about later ones. Give a later end of observation."
            )
        return rows, weights

    def _unit(self, rows: Rows, weights: Floats) -> float:
        return float((weights * rows["T"]).sum() / weights.sum())

    def _in_units(self, rows: Rows, unit: float) -> Rows:
        return {"x": rows["x"], "t_x": rows["t_x"] / unit, "T": rows["T"] / unit}

    def _log_units(self, rows: Rows, weights: Floats, unit: float) -> float:
        return float((weights * rows["x"]).sum() * np.log(unit))

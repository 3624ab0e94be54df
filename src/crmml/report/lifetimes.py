"""The matrices of frequency and recency: what a buy-till-you-die model thinks of customers of every kind."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from crmml.errors import ConfigError, MissingExtraError
from crmml.models.btyd._transactions import TransactionModel
from crmml.models.btyd.discrete import BetaGeometricBetaBinomial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

_ROWS = 60  # of the matrix, where time is continuous


def frequency_recency_figure(
    model: TransactionModel | BetaGeometricBetaBinomial, *, seen: float, horizon: float, most: int = 20
) -> "Figure":
    """A picture of who is still a customer, and of what they will buy: by frequency and recency.

    Two matrices side by side: `p_alive`, and `expected_purchases` within the horizon. From left to right, the number
    of repeat purchases; from top to bottom, the time since the last one. Bottom left: bought once, at the very
    beginning. Bottom right: used to buy often, and has not been seen for long. White: no customer can be there.

    Args:
        model: `BGNBD`, `MBGNBD`, `ParetoNBD` or `BetaGeometricBetaBinomial`, fitted or from parameters.
        seen: how long the customers have been observed (`T`, or `n`), in the model's unit.
        horizon: of the expected purchases, in the same unit.
        most: the highest number of repeat purchases; of BG/BB never more than `seen`.

    Returns:
        A matplotlib figure: `figure.savefig("matrix.png")`.

    Raises:
        ConfigError: another kind of model; `seen`, `horizon` or `most` is not above 0.
        MissingExtraError: matplotlib is not installed.
        sklearn.exceptions.NotFittedError: the model is not fitted.

    >>> import crmml as cm
    >>> model = cm.BGNBD.from_parameters({"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426})
    >>> figure = cm.frequency_recency_figure(model, seen=39, horizon=13)
    >>> [axes.get_title(loc="left") for axes in figure.axes[:2]]
    ['Probability of being alive', 'Expected purchases, next 13']
    """
    kind = _checked(model, seen, horizon, most)
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("frequency_recency_figure()", "matplotlib", extra="plot") from None
    grid, since = _grid(kind, seen, most)
    customers = _customers(kind, grid, since, seen)
    possible = customers.notna().all(axis=1).to_numpy()
    figure = Figure(figsize=(10.0, 4.4), layout="constrained", facecolor="white")
    panels = figure.subplots(1, 2, sharey=True)
    ahead: Any = horizon  # whole periods of BG/BB, which says so itself
    expected = model.expected_purchases(customers[possible], ahead)
    answers = {
        "Probability of being alive": model.p_alive(customers[possible]),
        f"Expected purchases, next {horizon:g}": expected,
    }
    for axes, (title, answer) in zip(panels, answers.items(), strict=True):
        matrix = np.full(len(customers), np.nan)
        matrix[possible] = answer
        _draw(axes, matrix.reshape(len(since), len(grid)), since, title)
    panels[0].images[0].set_clim(0.0, 1.0)
    panels[0].set_ylabel("Time since the last purchase")
    return figure


def _checked(model: Any, seen: float, horizon: float, most: int) -> str:
    """ "T" or "n": what the model calls the time for which a customer was observed."""
    where = "frequency_recency_figure"
    if not isinstance(model, TransactionModel | BetaGeometricBetaBinomial):
        raise ConfigError(
            f"{where}: {type(model).__name__} knows no frequency and recency. "
            "Use a BGNBD, MBGNBD, ParetoNBD or BetaGeometricBetaBinomial."
        )
    for name, value in (("seen", seen), ("horizon", horizon), ("most", most)):
        if not np.isfinite(value) or value <= 0:
            raise ConfigError(f"{where}: {name}={value!r} must be a number above 0. Use {name}=39.")
    check_is_fitted(model)
    return "n" if isinstance(model, BetaGeometricBetaBinomial) else "T"


def _grid(kind: str, seen: float, most: int) -> tuple[Floats, Floats]:
    """The numbers of purchases, and the times since the last one."""
    if kind == "n":
        return np.arange(min(most, seen) + 1.0), np.arange(seen + 1.0)
    return np.arange(most + 1.0), np.linspace(0.0, seen, _ROWS + 1)


def _customers(kind: str, grid: Floats, since: Floats, seen: float) -> pd.DataFrame:
    """A customer for each cell, row by row; NaN where there cannot be one."""
    silent, x = (values.ravel() for values in np.meshgrid(since, grid, indexing="ij"))
    last = seen - silent
    possible = np.where(x == 0, last == 0, last > 0) & ((kind == "T") | (x <= last))
    return pd.DataFrame({"x": x, "t_x": np.where(possible, last, np.nan), kind: float(seen)})


def _draw(axes: "Axes", matrix: Floats, since: Floats, title: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=10)
    axes.set_xlabel("Repeat purchases")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    half = (since[1] - since[0]) / 2
    extent = (-0.5, matrix.shape[1] - 0.5, since[-1] + half, since[0] - half)
    image = axes.imshow(matrix, aspect="auto", extent=extent, cmap="viridis", vmin=0.0, interpolation="nearest")
    bar = axes.get_figure().colorbar(image, ax=axes)  # type: ignore[union-attr]
    bar.outline.set_visible(False)
    axes.spines[:].set_visible(False)

"""lifetimes: maximum likelihood with gradients from autograd."""

import lifetimes
import pandas as pd

MODELS = {
    "BG/NBD": lifetimes.BetaGeoFitter,
    "MBG/NBD": lifetimes.ModifiedBetaGeoFitter,
    "Pareto/NBD": lifetimes.ParetoNBDFitter,
    "Gamma-Gamma": lifetimes.GammaGammaFitter,
}
NAMES = {"v": "gamma"}  # of Gamma-Gamma


def fit(model: str, table: pd.DataFrame) -> dict[str, float]:
    """The parameters by the papers' names."""
    fitter = MODELS[model]()
    if model == "Gamma-Gamma":
        fitter.fit(table["x"], table["m_x"])
    else:
        fitter.fit(table["x"], table["t_x"], table["T"])
    return {NAMES.get(name, name): float(value) for name, value in fitter.params_.items()}

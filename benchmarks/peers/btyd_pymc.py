"""pymc-marketing: the maximum of the posterior under flat priors, which is that of the likelihood."""

import pandas as pd
from pymc_extras.prior import Prior
from pymc_marketing import clv

MODELS = {
    "BG/NBD": (clv.BetaGeoModel, ("r", "alpha", "a", "b")),
    "MBG/NBD": (clv.ModifiedBetaGeoModel, ("r", "alpha", "a", "b")),
    "Pareto/NBD": (clv.ParetoNBDModel, ("r", "alpha", "s", "beta")),
    "Gamma-Gamma": (clv.GammaGammaModel, ("p", "q", "v")),
}
NAMES = {"v": "gamma"}  # of Gamma-Gamma
COLUMNS = {"x": "frequency", "t_x": "recency", "m_x": "monetary_value"}


def fit(model: str, table: pd.DataFrame) -> dict[str, float]:
    """The parameters by the papers' names."""
    kind, names = MODELS[model]
    data = table.rename(columns=COLUMNS).assign(customer_id=range(len(table)))
    fitted = kind(data=data, model_config={name: Prior("HalfFlat") for name in names})
    fitted.fit(method="map", progressbar=False)
    return {NAMES.get(name, name): float(fitted.idata.posterior[name].item()) for name in names}

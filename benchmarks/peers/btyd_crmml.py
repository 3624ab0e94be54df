"""Ours, called as the peers are."""

import pandas as pd

import crmml as cm

MODELS = {"BG/NBD": cm.BGNBD, "MBG/NBD": cm.MBGNBD, "Pareto/NBD": cm.ParetoNBD, "Gamma-Gamma": cm.GammaGamma}


def fit(model: str, table: pd.DataFrame) -> dict[str, float]:
    """The parameters by the papers' names."""
    fitted = MODELS[model]().fit(table)
    return {name: float(getattr(fitted, f"{name}_")) for name in fitted._names}

"""Lines that a slip would turn into a star too many, or a number of somebody else: each mutant has to die."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from crmml.insight import assumptions, effects, profile_input, profile_text, profiles, wallet_prior
from tests.insight.test_profiles import RARE_OFTEN, shoppers
from tests.models.mutants import dies


def used_columns_are_not_tested(module: ModuleType) -> None:
    found = module.profile_segments(shoppers(), RARE_OFTEN, made_from=["orders"]).effects
    assert found.loc[found["column"] == "orders", "p_value"].isna().all()


def silence_means_all_columns(module: ModuleType) -> None:
    read = module.read_input(shoppers(), RARE_OFTEN, None, None, None)
    assert read.made_from == ("recency", "orders", "spend", "noise")


def the_column_itself_is_left_out(module: ModuleType) -> None:
    seen = []

    class Recorder:
        _estimator_type = "clusterer"
        feature_names_in_ = np.array(["orders", "spend"], dtype=object)
        segments_ = np.array(["a", "b"])

        def segment(self, X: pd.DataFrame) -> list[str]:
            return ["a"] * 6 + ["b"] * 4

        def fit(self, X: pd.DataFrame) -> "Recorder":
            seen.append(list(X.columns))
            return self

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "clone", lambda model: model)
        patch.setattr(module, "is_clusterer", lambda model: True)
        module.profile_segments(shoppers()[["orders", "spend"]], Recorder(), retest=True)
    assert seen == [["spend"], ["orders"]]


def ties_are_corrected_for(module: ModuleType) -> None:
    from scipy.stats import mannwhitneyu

    values, codes = np.repeat([0.0, 1.0], [30, 10]), np.arange(40) % 4 // 3
    expected = mannwhitneyu(values[codes == 0], values[codes == 1], method="asymptotic").pvalue
    assert module.deltas(module.ranked(values), codes, 2)[1].tolist() == [pytest.approx(expected)] * 2


def missing_p_values_are_no_tests(module: ModuleType) -> None:
    assert module.discoveries(np.array([0.02, np.nan, np.nan, 0.04])).tolist()[0] == pytest.approx(0.04)


def only_what_is_proven_is_said(module: ModuleType) -> None:
    few = pd.DataFrame({"x": [1.0, 2, 3, 4, 5, 6, 4.5, 5.5, 6.5, 2.5]})
    found = profiles.profile_segments(few, RARE_OFTEN, made_from=())
    assert found.effects["effect"].iloc[0] == pytest.approx((7 - 17) / 24)  # of ten customers that is no proof
    assert module.mentioned(found, "rare") == []


def a_belief_below_the_value_goes_down(module: ModuleType) -> None:
    drawn = module.Assumption(10, 5, 11).draw(np.random.default_rng(0), 20_000)
    assert np.quantile(drawn, [0.05, 0.95]) == pytest.approx([5, 11], rel=0.03)


def a_wallet_holds_the_spend(module: ModuleType) -> None:
    shares = module.WalletPrior(mean=100.0, spread=0.5, share=0.3).shares(np.array([150.0, 400.0]), 0.9)
    assert (shares[:, 3] >= [150.0, 400.0]).all()
    assert (shares[:, :3] <= 1).all()
    assert (shares[:, 1] < shares[:, 0]).all()


Check = Callable[[ModuleType], None]
MUTANTS: dict[str, tuple[ModuleType, str, str, Check]] = {
    "columns that made the segments get stars": (
        profiles, '"p_value": np.nan if made else p', '"p_value": p', used_columns_are_not_tested,
    ),
    "silence means no column": (
        profile_input, "tuple(columns if made_from is None else made_from)", "tuple(made_from or ())",
        silence_means_all_columns,
    ),
    "the column helps to find its own segments": (
        profiles, "for name in used if name != left_out]", "for name in used]", the_column_itself_is_left_out,
    ),
    "ties are forgotten": (effects, "n + 1 - column.ties /", "n + 1 - 0 * column.ties /", ties_are_corrected_for),
    "columns that were not tested count": (
        effects, "tested = ~np.isnan(p_values)", "p_values = np.nan_to_num(p_values, nan=1.0); tested = p_values >= 0",
        missing_p_values_are_no_tests,
    ),
    "chance is said aloud": (
        profile_text, 'mine[(mine["proven"] | mine["made_segments"]) & (mine', 'mine[(mine',
        only_what_is_proven_is_said,
    ),
    "belief goes up only": (
        assumptions, "np.exp(np.abs(z) * ", "np.exp(z * ", a_belief_below_the_value_goes_down,
    ),
    "wallets below the spend": (
        wallet_prior, "ndtri(below + left * steps)", "ndtri(steps)", a_wallet_holds_the_spend,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_dies(name: str, tmp_path: Path) -> None:
    module, old, new, check = MUTANTS[name]
    dies(check, module, old, new, tmp_path)

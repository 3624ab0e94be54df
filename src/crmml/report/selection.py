"""`Selection`: which features were kept, and what each is worth, as a table, as text and as a picture."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crmml.features.feature_set import FeatureSet
from crmml.report.measures import Measure, measures_of
from crmml.report.text import day

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Lines of the printed table.
SHOWN = 15


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Selection:
    """The features that `select_features` kept, and the importances of all of them.

    Attributes:
        features: the features kept, in the order in which they were given.
        importances: one row per feature, one column per hold-out cutoff: what the deciding metric loses there when
            the feature is shuffled. Of a near-duplicate, before it was left out.
        same_as: the near-duplicates that were left out, each with the more important feature that says the same.
        target, model: as the code that makes them.
        task: "binary" or "value".
        max_correlation: the rank correlation above which two features say the same.

    >>> import crmml as cm
    >>> log = cm.simulate_log(300, seed=1).log
    >>> churn = cm.Churn("60d", event_type="purchase", active_within="180d")
    >>> model = cm.ChurnClassifier(num_iterations=20)
    >>> found = cm.select_features(log, "rfm", churn, ["2024-01-01", "2024-03-01", "2024-05-01"], model=model, k=1)
    >>> found.features.names == (found.table.index[0],)
    True
    """

    features: FeatureSet
    importances: pd.DataFrame
    same_as: dict[str, str]
    target: str
    model: str
    task: str
    max_correlation: float

    @property
    def measure(self) -> Measure:
        """The metric that decides."""
        return measures_of(self.task)[0]

    @property
    def cutoffs(self) -> tuple[pd.Timestamp, ...]:
        """The hold-out cutoffs on which the importances were measured."""
        return tuple(pd.DatetimeIndex(self.importances.columns))

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per feature, the most important first, near-duplicates last.

        Columns: `mean`, `std` (over the cutoffs, n - 1), `min`, `max`; `share` of the sum of all means above 0;
        `kept`; `same_as`, the feature that made this one dispensable, or None.
        """
        values = self.importances
        table = pd.DataFrame(
            {
                "mean": values.mean(axis=1),
                "std": values.std(axis=1),
                "min": values.min(axis=1),
                "max": values.max(axis=1),
            }
        )
        alone = ~table.index.isin(list(self.same_as))
        total = table["mean"][alone].clip(lower=0).sum()
        table["share"] = (table["mean"].clip(lower=0) / total).where(alone) if total > 0 else np.nan
        kept = {feature.name for feature in self.features}
        table["kept"] = [name in kept for name in table.index]
        table["same_as"] = pd.Series([self.same_as.get(name) for name in table.index], table.index, dtype=object)
        # `lexsort` sorts by its last key first.
        return table.iloc[np.lexsort((-table["mean"].to_numpy(), ~alone))]

    def figure(self) -> "Figure":
        """The features kept, by importance, with the range over the cutoffs (no window is opened).

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        from crmml.report.pictures import importances

        return importances(self)

    def __str__(self) -> str:
        n, first, last = len(self.cutoffs), day(self.cutoffs[0]), day(self.cutoffs[-1])
        label, kept = self.measure.label, self.table[self.table["kept"]]
        lines = [
            f"Selection of {len(self.features)} of {len(self.importances)} features",
            f"  predicts  {self.target}",
            f"  with      {self.model}",
            f"  held out  {n} cutoff{'' if n == 1 else 's'}, {first}{'' if n == 1 else f' to {last}'}",
            f"  the same  {len(self.same_as)} left out (rank correlation with a more important one above "
            f"{self.max_correlation:g})",
            "",
            f"What the {label} loses when a feature is shuffled, mean over the cutoffs ± standard deviation, "
            "and its share",
        ]
        width = max(len(name) for name in kept.index[:SHOWN])
        lines += [
            f"  {name:{width}}  {self.measure.text(row['mean'], signed=True)} ±{self.measure.text(row['std'])}"
            f"  {100 * row['share']:5.1f} %"
            for name, row in kept.head(SHOWN).iterrows()
        ]
        if len(kept) > SHOWN:
            lines.append(f"  and {len(kept) - SHOWN} more: selection.table has all")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Selection({len(self.features)} of {len(self.importances)} features, cutoffs={len(self.cutoffs)})"

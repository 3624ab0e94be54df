"""`early_warning`: which active customers do less than they used to, and whether that has meant anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from crmml.data.log import InteractionLog
from crmml.data.time import AsOf, moment_of, moments_of, parse_duration, spoken
from crmml.errors import ConfigError
from crmml.features.aggregate import Aggregate
from crmml.features.aggregates import Count, NUnique, Sum
from crmml.features.cutoffs import require_purged
from crmml.features.datasets import build_dataset, build_features
from crmml.features.feature_set import FeatureSet
from crmml.features.targets import Churn
from crmml.report.early_warning import EarlyWarning, alone

# Earlier cutoffs that are measured unless others are given.
MOST_CUTOFFS = 6


def early_warning(
    log: InteractionLog,
    target: Churn,
    as_of: AsOf,
    *,
    window: str = "90d",
    breadth: Sequence[str] = (),
    least: float = 0.5,
    cutoffs: Sequence[AsOf] | None = None,
) -> EarlyWarning:
    """Compare every active customer with their own past, and measure what each such drop is worth.

    Two windows of equal length lie side by side: `[as_of - window, as_of)` and the one before it. An indicator is
    how much of what a customer did in the earlier one is gone, `1 - now / before`, from 0 to 1; customers who did
    nothing in it had nothing to lose, and are not judged. The indicators:

    - "frequency": the number of the target's events
    - "value": the sum of `amount` over them
    - "items", and each attribute in `breadth`: how many different ones
    - "channels": how many different ones, over all events
    - "activity": the number of all events, where the log has several types

    A drop is a fact; whether it warns is measured. On earlier cutoffs whose labels are complete by `as_of`, each
    indicator alone is the score: AUC and lift, with intervals over redrawn customers. Near 0.5 it is noise.

    Args:
        log: the interactions.
        target: who is active, and what churn is.
        as_of: the cutoff of the warning.
        window: length of each of the two windows.
        breadth: attributes of the log, such as "category", whose number of different values is an indicator.
        least: the share that must be gone for a row in the table, above 0 and at most 1.
        cutoffs: the earlier cutoffs; by default up to six, one gap + horizon apart, that have both windows.

    Returns:
        An EarlyWarning: the table of drops with the dates compared, and what each indicator is worth.

    Raises:
        ConfigError: the target is no Churn, `least` is out of its range, or the log begins within the windows.
        LeakageError: the labels of an earlier cutoff are not complete by `as_of`.
        SchemaError: the log lacks a column.
        DataError: nobody is active.

    >>> import crmml as cm
    >>> log = cm.simulate_log(300, seed=1).log
    >>> churn = cm.Churn("60d", event_type="purchase", active_within="180d")
    >>> found = cm.early_warning(log, churn, "2024-06-01", window="60d")
    >>> sorted(found.indicators.index)
    ['activity', 'channels', 'frequency', 'items', 'value']
    """
    _check(target, least)
    at, length = moment_of(as_of), pd.Timedelta(parse_duration(window, "early_warning: window"), unit="us")
    first = log.require_usable().first
    if at - 2 * length < first:
        raise ConfigError(
            f"early_warning: the windows begin on {spoken(at - 2 * length)}, before the first event of the log "
            f"({spoken(first)}). Use as_of >= {spoken((first + 2 * length).ceil('D'))}, or a shorter window."
        )
    earlier = _earlier(target, at, first + 2 * length) if cutoffs is None else moments_of(cutoffs)
    if earlier:
        require_purged(earlier, at, target)
    compared = _Compared(log, target, _indicators(log, target, window, breadth), length)
    drops = compared.drops([at])
    table = _table(drops, at, length, least)
    return EarlyWarning(
        table=table,
        indicators=_worth(drops, table, compared.labelled(earlier) if earlier else None),
        active=len(drops) // len(compared.indicators),
        as_of=at,
        before_from=at - 2 * length,
        now_from=at - length,
        cutoffs=tuple(earlier),
        target=repr(target),
    )


def _check(target: object, least: object) -> None:
    if not isinstance(target, Churn):
        raise ConfigError(f"early_warning: target is {target!r}. Use for example Churn('60d', active_within='180d').")
    if isinstance(least, bool) or not isinstance(least, int | float) or not 0 < least <= 1:
        raise ConfigError(f"early_warning: least is {least!r}. Use a share above 0 and at most 1, such as least=0.5.")


def _earlier(target: Churn, at: pd.Timestamp, first: pd.Timestamp) -> tuple[pd.Timestamp, ...]:
    """Cutoffs one reach apart, the latest with labels complete at `at`, that have both windows."""
    cutoffs = [at - number * target.reach for number in range(MOST_CUTOFFS, 0, -1)]
    return tuple(cutoff for cutoff in cutoffs if cutoff >= first)


def _indicators(log: InteractionLog, target: Churn, window: str, breadth: Sequence[str]) -> dict[str, Aggregate]:
    kind = target.event_type
    found: dict[str, Aggregate] = {"frequency": Count(event_type=kind, window=window)}
    if log.roles.knows("amount"):
        found["value"] = Sum("amount", event_type=kind, window=window)
    if log.roles.knows("item_id"):
        found["items"] = NUnique("item_id", event_type=kind, window=window)
    found |= {column: NUnique(column, event_type=kind, window=window) for column in breadth}
    if log.roles.knows("channel"):
        found["channels"] = NUnique("channel", window=window)
    if kind is not None and len(log.facts.event_types) > 1:
        found["activity"] = Count(window=window)
    return found


@dataclass(frozen=True)
class _Compared:
    """The indicators of a log, each in two windows side by side."""

    log: InteractionLog
    target: Churn
    indicators: Mapping[str, Aggregate]
    length: pd.Timedelta

    @property
    def features(self) -> FeatureSet:
        """The indicators in one window."""
        return FeatureSet(list(self.indicators.values()))

    def drops(self, cutoffs: Sequence[pd.Timestamp], now: pd.DataFrame | None = None) -> pd.DataFrame:
        """One row per indicator, active customer and cutoff: `before`, `now` and the share that is gone.

        What a customer did in the window before is what the same features saw one window earlier.
        """
        if now is None:
            now = build_features(self.log, self.features, cutoffs, population=self.target.population)
        past = build_features(self.log, self.features, [cutoff - self.length for cutoff in cutoffs])
        keys = now.index.to_frame(index=False)
        before = past.reindex(pd.MultiIndex.from_frame(keys.assign(as_of=keys["as_of"] - self.length)))
        parts = [
            keys.assign(
                indicator=name,
                before=before[feature.name].fillna(0.0).to_numpy(np.float64),
                now=now[feature.name].fillna(0.0).to_numpy(np.float64),
            )
            for name, feature in self.indicators.items()
        ]
        table = pd.concat(parts, ignore_index=True)
        left = table["now"] / table["before"].where(table["before"] > 0)
        return table.assign(drop=(1.0 - left).clip(0.0, 1.0))

    def labelled(self, cutoffs: Sequence[pd.Timestamp]) -> pd.DataFrame:
        """The drops as of earlier cutoffs, with `y`: 1 for who then churned."""
        X, y = build_dataset(self.log, self.features, self.target, cutoffs)
        return self.drops(cutoffs, X).assign(y=np.tile(y.to_numpy(np.float64), len(self.indicators)))


def _table(drops: pd.DataFrame, at: pd.Timestamp, length: pd.Timedelta, least: float) -> pd.DataFrame:
    found = drops[drops["drop"] >= least].assign(before_from=at - 2 * length, now_from=at - length)
    found = found.assign(_order=-found["drop"]).sort_values(["customer_id", "_order"], kind="stable")
    return found.drop(columns="_order").reset_index(drop=True)


def _worth(drops: pd.DataFrame, table: pd.DataFrame, past: pd.DataFrame | None) -> pd.DataFrame:
    """One row per indicator, the best first: whom it judges, how many it warns of, and how well it did before."""
    rows = []
    for name, judged in drops[drops["drop"].notna()].groupby("indicator", sort=False):
        counted = {"indicator": name, "customers": len(judged)}
        counted["dropped"] = float((table["indicator"] == name).sum()) / len(judged)
        known = drops.iloc[:0].assign(y=0.0) if past is None else past
        rows.append({**counted, **alone(known[(known["indicator"] == name) & known["drop"].notna()])})
    if not rows:
        return pd.DataFrame(columns=["customers", "dropped", *alone(drops.iloc[:0].assign(y=0.0))])
    found = pd.DataFrame(rows).set_index("indicator")
    return found.sort_values("auc", ascending=False, kind="stable", na_position="last")

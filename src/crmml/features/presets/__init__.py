"""Presets: sets of features for common situations, chosen from what a log has."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from crmml.errors import ConfigError, did_you_mean
from crmml.features.aggregate import Feature
from crmml.features.feature_set import FeatureSet
from crmml.features.presets.basic import rfm, standard
from crmml.features.presets.situations import clickstream, early_warning, omnichannel, subscription

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

__all__ = ["clickstream", "early_warning", "omnichannel", "rfm", "standard", "subscription"]

PRESETS: dict[str, Callable[["InteractionLog"], FeatureSet]] = {
    "rfm": rfm,
    "standard": standard,
    "clickstream": clickstream,
    "subscription": subscription,
    "omnichannel": omnichannel,
    "early_warning": early_warning,
}


def as_feature_set(features: "FeatureSet | Sequence[Feature] | str", log: "InteractionLog") -> FeatureSet:
    """A FeatureSet as it is, a list of aggregates as one, or the name of a preset built for `log`."""
    if isinstance(features, FeatureSet):
        return features
    if isinstance(features, str):
        if features not in PRESETS:
            raise ConfigError(
                f"features: there is no preset {features!r}.{did_you_mean(features, PRESETS)} "
                f"Use one of {', '.join(PRESETS)}, or a FeatureSet."
            )
        return PRESETS[features](log)
    return FeatureSet(features)

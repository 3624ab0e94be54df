"""The presets for any log: three features that everybody knows, and a hundred that most models are content with."""

from typing import TYPE_CHECKING

from crmml.features.aggregates import Count, Recency, Sum
from crmml.features.feature_set import FeatureSet
from crmml.features.presets import groups
from crmml.features.presets.known import Known

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog


def rfm(log: "InteractionLog") -> FeatureSet:
    """Recency, frequency and monetary value of the main event, and nothing else.

    The main event is the purchase, or the most frequent type in a log without purchases.

    >>> import crmml as cm
    >>> log = cm.simulate_log(20, seed=1).log
    >>> cm.presets.rfm(log).names
    ('recency_purchase', 'count_purchase', 'sum_amount_purchase')
    """
    known = Known(log)
    features: groups.Features = [Recency(event_type=known.main), Count(event_type=known.main)]
    if known.has("amount"):
        features.append(Sum("amount", event_type=known.main))
    return FeatureSet(features)


def standard(log: "InteractionLog") -> FeatureSet:
    """About 100 features: how lately, how often, how much, how regularly, how broadly, and in which direction.

    Which ones depends on the roles, event types and channels of the log: fewer where it has less. All are numbers.
    Hours and weekdays are those of UTC.

    >>> import crmml as cm
    >>> log = cm.simulate_log(200, seed=1).log
    >>> 90 <= len(cm.presets.standard(log)) <= 110
    True
    """
    known = Known(log)
    return put_together(
        groups.when(known),
        groups.how_many(known),
        groups.how_much(known),
        groups.how_regular(known),
        groups.what_kind(known),
        groups.how_broad(known),
        groups.how_active(known),
        groups.what_follows(known),
    )


def put_together(*found: groups.Features) -> FeatureSet:
    """One set of all features; of several with the same column, the first.

    Two event types that differ by a hyphen alone make the same names.
    """
    by_name = {feature.name: feature for group in reversed(found) for feature in reversed(group)}
    return FeatureSet([feature for group in found for feature in group if by_name[feature.name] is feature])

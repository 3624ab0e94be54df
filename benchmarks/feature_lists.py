"""The two lists of features that are measured, under the names that the command line knows."""

from benchmarks import common_list, feature_list

LISTS = {"hard": feature_list.FEATURES, "common": common_list.FEATURES}


def features_of(which: str) -> tuple[feature_list.Feature, ...]:
    """The definitions of a list, "hard" or "common"."""
    return LISTS[which]


def names_of(which: str) -> list[str]:
    """The columns of a list."""
    return [feature.name for feature in LISTS[which]]

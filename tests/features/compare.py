"""Comparing what crmml builds with what the oracle says."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import pytest

import crmml as cm
from crmml.errors import DataError
from tests.features import oracle
from tests.features.oracle_rows import Row
from tests.features.strategies import log_of, stamp

# Counts, sums and picked values are exact; one division or one square root of an exact number is off by a few
# units in the last place, and a standard deviation by the rounding of the squares that it adds up.
RELATIVE = 1e-9


def agree(actual: Any, expected: Any) -> bool:
    """Whether two values are the same, a missing one like a missing one."""
    if expected is None or expected != expected:
        return bool(pd.isna(actual))
    if isinstance(expected, float):
        return math.isclose(actual, expected, rel_tol=RELATIVE, abs_tol=RELATIVE)
    return bool(actual == expected)


def cells(frame: pd.DataFrame) -> dict[tuple[Any, int], dict[str, Any]]:
    """The frame as the oracle writes it: (customer, cutoff in microseconds) -> column -> value."""
    columns = {name: frame[name].tolist() for name in frame.columns}
    keys = [(customer, as_of.value // 1000) for customer, as_of in frame.index.tolist()]
    return {key: {name: column[i] for name, column in columns.items()} for i, key in enumerate(keys)}


def differences(
    actual: Mapping[Any, Mapping[str, Any]], expected: Mapping[Any, Mapping[str, Any]], features: Iterable[Any]
) -> list[str]:
    """One line for every customer that is too many or missing, and for every value that differs."""
    definitions = {column: feature for feature in features for column in feature.columns}
    found = [f"too many: {key}" for key in actual.keys() - expected.keys()]
    found += [f"missing: {key}" for key in expected.keys() - actual.keys()]
    for key in actual.keys() & expected.keys():
        for name, value in expected[key].items():
            if not agree(actual[key][name], value):
                found.append(f"{key} {definitions[name]!r}: {actual[key][name]!r}, expected {value!r}")
    return sorted(found)


def feature_differences(rows: list[Row], features: list[Any], cutoffs: list[int]) -> list[str]:
    """Where `build_features` and the oracle differ."""
    frame = cm.build_features(log_of(rows), cm.FeatureSet(features), [stamp(cutoff) for cutoff in cutoffs])
    return differences(cells(frame), oracle.build(rows, features, cutoffs), features)


def label_differences(rows: list[Row], target: Any, cutoffs: list[int]) -> list[str]:
    """Where the rows or labels of `build_dataset` and the oracle differ; nobody to label is a DataError."""
    expected = oracle.labels(rows, target, cutoffs)
    if not expected:
        with pytest.raises(DataError, match="nobody is in the Population"):
            cm.build_dataset(log_of(rows), [cm.Count()], target, [stamp(cutoff) for cutoff in cutoffs])
        return []
    data = cm.build_dataset(log_of(rows), [cm.Count()], target, [stamp(cutoff) for cutoff in cutoffs])
    assert data.X.index.equals(data.y.index)
    actual = cells(data.y.to_frame("y"))
    return differences(actual, {key: {"y": label} for key, label in expected.items()}, [Named("y", target)])


class Named:
    """A target under the name of a column, so that a difference prints the definition."""

    def __init__(self, name: str, definition: object) -> None:
        self.columns, self.definition = (name,), definition

    def __repr__(self) -> str:
        return repr(self.definition)

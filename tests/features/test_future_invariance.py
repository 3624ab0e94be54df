"""Nothing that happens, or becomes known, at or after the cutoff changes a feature or a population.

Each example has one past and two futures: rows inserted, deleted and modified at will. Both logs have to give the
same table, to the last bit.
"""

from typing import Any

import pandas as pd
from hypothesis import given, reject
from hypothesis import strategies as st

import crmml as cm
from tests.features import oracle
from tests.features.oracle_rows import Row, history
from tests.features.strategies import (
    EPOCH,
    EVENT_TYPES,
    HORIZON,
    WINDOWS,
    anchors,
    budget,
    feature_sets,
    log_of,
    logs,
    stamp,
    unseen,
)

NAMES = sorted(oracle.AGGREGATES)
KINDS = st.sampled_from(("int", "str"))


@st.composite
def two_futures(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    """Two logs that are the same as far as the cutoff can see, their rows in any order."""
    kind = draw(KINDS)
    past = history(draw(logs([EPOCH], kind=kind)), EPOCH)
    first, second = draw(unseen(EPOCH, kind)), draw(unseen(EPOCH, kind))
    assert history([*first, *second], EPOCH) == []
    anchor = anchors("anchor" if kind == "str" else 0)
    return [*past, *anchor, *first], [*second, *anchor, *past]


def table(rows: list[Row], features: Any, population: Any = None) -> pd.DataFrame:
    return cm.build_features(log_of(rows), features, stamp(EPOCH), population=population)


@budget(12, 500)
@given(two_futures(), feature_sets(NAMES))
def test_no_feature_sees_the_future(futures: tuple[list[Row], list[Row]], features: list[Any]) -> None:
    first, second = (table(rows, features) for rows in futures)
    pd.testing.assert_frame_equal(first, second, check_exact=True)


@budget(8, 500)
@given(two_futures(), st.sampled_from(sorted(cm.presets.__all__)))
def test_no_preset_sees_the_future(futures: tuple[list[Row], list[Row]], name: str) -> None:
    own = {"renewal": "purchase"} if name == "subscription" else {}
    try:
        features = getattr(cm.presets, name)(log_of(futures[0]), **own)
    except cm.ConfigError:  # the log lacks what the preset is for
        reject()
    first, second = (table(rows, features) for rows in futures)
    pd.testing.assert_frame_equal(first, second, check_exact=True)


POPULATIONS = st.builds(
    cm.Population,
    event_type=st.one_of(st.none(), st.sampled_from(EVENT_TYPES), st.just(list(EVENT_TYPES[:2]))),
    active_within=st.one_of(st.none(), st.sampled_from(WINDOWS)),
)


@budget(15, 2_000)
@given(two_futures(), POPULATIONS)
def test_no_population_sees_the_future(futures: tuple[list[Row], list[Row]], population: Any) -> None:
    first, second = (table(rows, [cm.Count()], population) for rows in futures)
    pd.testing.assert_frame_equal(first, second, check_exact=True)


TARGETS = st.sampled_from((cm.Churn(HORIZON), cm.Repurchase(HORIZON), cm.Spend(HORIZON, gap="1d")))


@budget(8, 500)
@given(two_futures(), feature_sets(NAMES, each=1), TARGETS)
def test_no_row_of_a_dataset_sees_the_future(
    futures: tuple[list[Row], list[Row]], features: list[Any], target: Any
) -> None:
    first, second = (cm.build_dataset(log_of(rows), features, target, stamp(EPOCH)).X for rows in futures)
    pd.testing.assert_frame_equal(first, second, check_exact=True)

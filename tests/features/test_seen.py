"""Who gets lists and what they have seen, as one SQL text: what `build_interactions` and `build_features` say."""

from typing import Any

import pandas as pd
import pytest

import crmml as cm
from crmml.data.time import moments_of
from crmml.features.seen import seen_table
from tests.jobs.mutants import plant

DAYS = ["2024-03-01", "2024-06-01"]
WEIGHTS = {
    "bought": cm.ItemWeights({"purchase": 1}),
    "lately": cm.ItemWeights({"purchase": 2, "view": 1}, window="20d", half_life="5d"),
}
TARGETS = {"all": None, "visitors": cm.NextItems("30d"), "buyers": cm.NextItems("30d", "purchase", "60d")}


@pytest.fixture(scope="module")
def log() -> cm.InteractionLog:
    return cm.simulate_log(80, seed=4).log


@pytest.mark.parametrize("days", [DAYS[:1], DAYS], ids=["one cutoff", "two"])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("target", TARGETS)
def test_it_is_what_lists_are_made_of(target: str, weights: str, days: list[str], log: cm.InteractionLog) -> None:
    interactions, population = WEIGHTS[weights], getattr(TARGETS[target], "population", None)
    table = seen_table(log, interactions, moments_of(days), TARGETS[target])
    rows: pd.DataFrame = table.arrow(progress=False).to_pandas()
    keys = ["customer_id", "as_of"]
    seen = cm.build_interactions(log, interactions, days)[[*keys, "item_id"]]
    asked = seen[keys].drop_duplicates()
    if population is not None:
        index = cm.build_features(log, [cm.Recency()], days, population=population).index
        asked = index.to_frame(index=False)
    expected = asked.merge(seen, on=keys, how="left")
    assert _set(rows) == _set(expected)
    assert len(rows) == len(expected) > len(asked)
    assert expected["item_id"].isna().any() == (weights == "lately" and target != "all")
    assert table.customers() == len(asked)


def test_a_whole_table_is_one_text_as_well(log: cm.InteractionLog) -> None:
    table = seen_table(log, WEIGHTS["lately"], moments_of(DAYS), TARGETS["buyers"])
    assert table.count() == len(table.arrow(progress=False))


def test_an_example_has_an_item_if_there_is_one(log: cm.InteractionLog) -> None:
    def example(events: pd.DataFrame) -> Any:
        some = cm.InteractionLog(events, **{name: name for name in ("customer_id", "timestamp", "item_id")})
        return seen_table(some, cm.ItemWeights(), moments_of(DAYS), None).example().to_pylist()

    days = pd.to_datetime(["2024-01-01", "2024-02-01", "2024-12-01"], utc=True)
    events = pd.DataFrame({"customer_id": [1, 2, 3], "timestamp": days, "item_id": [None, "tea", None]})
    assert example(events) == [{"customer_id": 2, "item_id": "tea"}]


MUTANTS = {
    "what was seen outside of the window is left out as well": (
        "from_(HISTORY).where(*(each.copy() for each in conditions))",
        "from_(HISTORY)",
    ),
    "who has seen nothing is not asked": (
        "before=[who], after=[Step(SEEN, seen)], base=POPULATION, joined=[SEEN])",
        "before=[who, Step(SEEN, seen)], base=SEEN)",
    ),
    "only the first cutoff is counted": ("for cutoff in self.cutoffs)", "for cutoff in self.cutoffs[:1])"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_dies(name: str, log: cm.InteractionLog, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "crmml.features.seen", *MUTANTS[name])
    with pytest.raises(AssertionError):
        test_it_is_what_lists_are_made_of("visitors", "lately", DAYS, log)


def _set(rows: pd.DataFrame) -> set[tuple[Any, ...]]:
    items = rows["item_id"].astype(object).where(rows["item_id"].notna(), None)
    return set(zip(rows["customer_id"], rows["as_of"], items, strict=True))

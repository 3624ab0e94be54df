"""Lines of the ordered and the content models that a slip would turn into plausible lists: each mutant has to die."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from crmml.recommend import content, sequential, splits
from tests.models.mutants import dies
from tests.recommend.blocks import two_blocks
from tests.recommend.test_sequential import TestMarkovByHand, TestRepeatByHand, log

ROWS = [*TestMarkovByHand.rows]


def steps_by_hand(module: ModuleType) -> None:
    model = module.MarkovNext(decay=0.5, backward=0.25, popularity_exponent=0.0).fit(log(ROWS))
    assert model.links_.toarray()[[0, 3]].tolist() == [[0, 1, 1, 1.5], [0.25 * 1.5, 0.25, 0.25, 0]]


def the_last_counts_most(module: ModuleType) -> None:
    model = module.MarkovNext(memory=0.5).fit(log(ROWS))
    assert model.recent_.toarray().tolist() == [[0.25, 0.5, 0.5, 1], [0.5, 0, 0, 1]]


def weightless_events_say_nothing(module: ModuleType) -> None:
    frame = pd.DataFrame([*ROWS, (1, "x", 6)], columns=["customer_id", "item_id", "at"])
    frame = frame.assign(weight=(frame["item_id"] != "x").astype(float))
    made = sequential.Interactions.from_frame(frame, weight="weight", timestamp="at")
    assert module.MarkovNext().fit(made).links_.toarray()[:, 4].tolist() == [0.0] * 5


def counts_decay_by_days(module: ModuleType) -> None:
    dated = [(who, item, pd.Timestamp(day)) for who, item, day in TestRepeatByHand.rows]
    model = module.RepeatPurchase(10.0, demand_half_life=20.0).fit(log(dated))
    assert model.counts_.toarray().tolist() == [[1, 1 / 4 + 1 / 2], [1, 0]]
    assert model.demand_.tolist() == pytest.approx([2.5, 1 + 0.5**0.5])


def new_items_are_as_helped_as_a_usual_one(module: ModuleType) -> None:
    about = {item: ["one" if item < 6 else "two"] for item in range(13)}  # 12 is new
    model = module.ContentItems(about).fit(two_blocks())
    assert np.abs(model.item_factors_[12]).max() > 0.2 * np.abs(model.item_factors_[6:12]).max()
    assert set(model.recommend([9], k=2)["item_id"]) == {7, 12}


def the_moment_is_the_future(module: ModuleType) -> None:
    frame = pd.DataFrame({"customer_id": 1, "item_id": range(4), "timestamp": range(4)})
    split = module.Split.temporal(frame, at=2)
    assert (split.train["timestamp"].tolist(), split.test["item_id"].tolist()) == ([0, 1], [2, 3])


def nothing_after_the_row_to_find_is_learned_from(module: ModuleType) -> None:
    frame = pd.DataFrame({"customer_id": 1, "item_id": range(4), "timestamp": range(4)})
    split = module.Split.last_item(frame, back=2)
    assert (split.train["timestamp"].tolist(), split.test["item_id"].tolist()) == ([0, 1], [2])


Check = Callable[[ModuleType], None]
MUTANTS: dict[str, tuple[ModuleType, str, str, Check]] = {
    "markov: back and forth are confused": (
        sequential, "rows += [earlier, earlier + step]", "rows += [earlier + step, earlier]", steps_by_hand,
    ),
    "markov: one customer goes on where another ends": (
        sequential, "np.flatnonzero(customer[:-step] == customer[step:])", "np.arange(moments - step)", steps_by_hand,
    ),
    "markov: the first moments count most": (
        sequential, "ago = ends - 1 - np.arange(len(customer))",
        "ago = np.arange(len(customer)) - np.searchsorted(customer, customer)", the_last_counts_most,
    ),
    "markov: what was only seen speaks": (
        sequential, "np.flatnonzero(events.weight > 0)", "np.flatnonzero(events.weight >= 0)",
        weightless_events_say_nothing,
    ),
    "repeat: half-lives are microseconds": (
        sequential, "(DAY if events.dated else 1.0)", "1.0", counts_decay_by_days,
    ),
    "repeat: demand does not decay": (
        sequential, "events.weight * _halved(events, self.demand_half_life)", "events.weight", counts_decay_by_days,
    ),
    "content: new items are never helped": (
        content, "np.where(popularity > 0, helped, usual)", "np.where(popularity > 0, helped, 0.0)",
        new_items_are_as_helped_as_a_usual_one,
    ),
    "split: the moment itself is learned from": (
        splits, "later = time >= at", "later = time > at", the_moment_is_the_future,
    ),
    "split: later rows than the one to find are learned from": (
        splits, "ordered[from_end >= back]", "ordered[from_end != back - 1]",
        nothing_after_the_row_to_find_is_learned_from,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_dies(name: str, tmp_path: Path) -> None:
    module, old, new, check = MUTANTS[name]
    dies(check, module, old, new, tmp_path)

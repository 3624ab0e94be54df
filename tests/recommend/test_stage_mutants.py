"""The lines of the two stages whose fault would go unseen in a list: each mutant has to die."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from crmml.recommend import _holdout, _selection, blend, candidates
from crmml.recommend.matrix import Interactions
from crmml.recommend.popularity import Popularity
from tests.models.mutants import dies
from tests.recommend.blocks import two_blocks


def known_items_are_not_the_wanted_ones(module: ModuleType) -> None:
    matrix = Interactions.from_frame(two_blocks(), weight="weight")
    held = module.hold_out(matrix, 0.4, 100, np.random.default_rng(0))
    assert not (held.known.weights.toarray() * held.wanted.toarray()).any()
    assert held.wanted.nnz == 16 * 2  # two of the five items of every customer


def coherent_items_are_alike(module: ModuleType) -> None:
    # Everybody has four items that all have, and one that nobody else has; two are held out. Four times of five the one
    # that the other is to be like is one of the four, and then both are.
    rows = [(who, item) for who in range(60) for item in (1000, 1001, 1002, 1003, who)]
    table = pd.DataFrame(rows, columns=["customer_id", "item_id"])
    held = module.hold_out(Interactions.from_frame(table), 0.4, 100, np.random.default_rng(0))
    shared = held.wanted[np.flatnonzero(held.kind == "coherent")].toarray()[:, 60:].sum(axis=1)
    assert (shared == 2).mean() > 0.5


def nothing_of_the_later_part_is_known(module: ModuleType) -> None:
    # Everybody takes item 0 at time 0, and so on to item 9; the last fifth are 8 and 9, from the moment of 8 on.
    table = pd.DataFrame([(who, item, item) for who in range(9) for item in range(10)], columns=["c", "i", "at"])
    order = Interactions.from_frame(table, customer_id="c", item_id="i", timestamp="at")
    held = module.hold_out(order, 0.2, 100, np.random.default_rng(0))
    assert held.known.weights.sum(axis=0).tolist() == [9] * 8 + [0, 0]
    assert held.wanted.sum(axis=0).tolist() == [0] * 8 + [9, 9]
    assert held.known.events.time.max() == 7


def clearly_better_or_the_equal_blend(module: ModuleType) -> None:
    def row(name: str, ndcg: float, error: float, worse_on: float) -> dict[str, object]:
        return {
            "name": name, "ndcg": ndcg, "difference": ndcg - 0.2, "standard_error": error, "worse_on": worse_on,
        }  # fmt: skip

    equal, alone = row("equal blend", 0.2, 0.0, 0.0), row("ItemKNN", 0.9, 0.01, 0.5)
    assert module._best([alone, equal, row("ranker", 0.23, 0.01, 0.01)]) == "ranker"
    assert module._best([alone, equal, row("ranker", 0.23, 0.02, 0.01)]) == "equal blend"
    assert module._best([alone, equal, row("ranker", 0.23, 0.01, -0.01)]) == "equal blend"
    both = [row("fitted blend", 0.24, 0.01, 0.01), row("ranker", 0.23, 0.01, 0.01)]
    assert module._best([alone, equal, *both]) == "fitted blend"


def what_is_not_found_counts(module: ModuleType) -> None:
    one = candidates.Candidates(
        np.zeros(1, dtype=np.int64), np.array([5]), np.zeros((1, 1)), np.ones((1, 1), dtype=int)
    )
    judged = module.Judged(one, np.array([True]), np.array([2]), np.array(["random"]))
    # One of two wanted items, in the first place: 1 / (1 + 1 / log2(3)).
    assert module.ndcg(np.zeros(1), judged, 5)[0] == pytest.approx(1 / (1 + 1 / np.log2(3)))


def seen_items_are_not_proposed(module: ModuleType) -> None:
    model = Popularity().fit(two_blocks())
    who = np.array([0, 9])
    found = module.candidates({"": model}, model.matrix_, who, 3)
    seen = [set(model.matrix_.seen(customer).tolist()) for customer in who]
    assert not any(item in seen[row] for row, item in zip(found.row.tolist(), found.item.tolist(), strict=True))
    hidden = np.arange(12) != 8
    only = module.candidates({"": model}, model.matrix_, who, 3, hidden=hidden)
    assert (only.row.tolist(), only.item.tolist()) == ([0], [8])  # customer 9 has it


def places_start_anew_for_every_customer(module: ModuleType) -> None:
    model = Popularity().fit(two_blocks())
    found = module.candidates({"": model}, model.matrix_, np.array([0, 9]), 2)
    assert [sorted(found.rank[found.row == row, 0].tolist()) for row in (0, 1)] == [[1, 2], [1, 2]]


Check = Callable[[ModuleType], None]
MUTANTS: dict[str, tuple[ModuleType, str, str, Check]] = {
    "hold-out: what is wanted stays known": (
        _holdout, "~np.isin(_cells(weights), _cells(wanted))", "weights.indices >= 0",
        known_items_are_not_the_wanted_ones,
    ),
    "hold-out: more than the share": (
        _holdout, "leaves = place < count[row]", "leaves = place <= count[row]", known_items_are_not_the_wanted_ones,
    ),
    "hold-out: the least alike": (
        _holdout, "key = -_likeness", "key = _likeness", coherent_items_are_alike,
    ),
    "hold-out: the moment itself is known": (
        _holdout, "before = events.time < moments", "before = events.time <= moments",
        nothing_of_the_later_part_is_known,
    ),
    "hold-out: events stay that are no longer known": (
        _holdout, "time=events.time[before]", "time=events.time", nothing_of_the_later_part_is_known,
    ),
    "choice: better by chance": (
        _selection, "row[\"difference\"] > CLEAR * row[\"standard_error\"]", "row[\"difference\"] > 0",
        clearly_better_or_the_equal_blend,
    ),
    "choice: worse on one kind of hold-out": (
        _selection, "and row[\"worse_on\"] >= 0", "", clearly_better_or_the_equal_blend,
    ),
    "choice: a generator alone": (
        _selection, "if row[\"name\"] in (FITTED, RANKER)", "if row[\"name\"] != EQUAL",
        clearly_better_or_the_equal_blend,
    ),
    "ndcg: only what was found is wanted": (
        blend, "np.clip(judged.held, 1, k) - 1]", "np.clip(np.ones_like(judged.held), 1, k) - 1]",
        what_is_not_found_counts,
    ),
    "candidates: seen items come back": (
        candidates, "            if exclude_seen:", "            if False:", seen_items_are_not_proposed,
    ),
    "candidates: hidden items come back": (
        candidates, "one[:, hidden] = -np.inf", "pass", seen_items_are_not_proposed,
    ),
    "candidates: places run on": (
        candidates, "- starts[best.row] + 1", "+ 1", places_start_anew_for_every_customer,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_dies(name: str, tmp_path: Path) -> None:
    module, old, new, check = MUTANTS[name]
    dies(check, module, old, new, tmp_path)

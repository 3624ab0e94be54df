"""Lines of the metrics of lists that a slip would turn into plausible figures: each mutant has to die."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from crmml.errors import DataError
from crmml.metrics import lists, off_policy
from tests.metrics.test_lists import TestCatalogue, pairs
from tests.metrics.test_off_policy import LOGGED, POLICY, PREDICTED
from tests.models.mutants import dies


def only_k_places_count(module: ModuleType) -> None:
    found = module.list_metrics(pairs([{1, 2}]), pairs([[9, 1, 2]]), k=2).iloc[0]
    assert found["recall"] == 1 / 2
    assert found["average_precision"] == (1 / 2) / 2


def a_customer_without_a_list_counts(module: ModuleType) -> None:
    assert module.list_metrics(pairs([{1}, {2}]), pairs([[1]]), k=1)["recall"].tolist() == [1, 0]


def the_ideal_list_has_what_there_is(module: ModuleType) -> None:
    assert module.list_metrics(pairs([{1}]), pairs([[1]]), k=2)["ndcg"].tolist() == [1]


def an_item_is_not_like_itself(module: ModuleType) -> None:
    found = module.intra_list_diversity(pairs([[1, 3]]), TestCatalogue.history, k=2)
    assert found == pytest.approx(1 - 1 / np.sqrt(4))


def the_mean_is_over_customers(module: ModuleType) -> None:
    given = pd.DataFrame({"customer_id": [1, 1, 8], "item_id": [1, 3, 1], "rank": [1, 2, 1]})
    assert module.new_item_share(given, TestCatalogue.history, k=2) == 3 / 4


def estimates_by_hand(module: ModuleType) -> None:
    found = module.off_policy_value(LOGGED, POLICY, PREDICTED)
    dr = (0.9 + 0.9 + 1.2 + 1.6 * 0 + 0.4 * -0.5 + 1.2 * 1) / 3
    assert found["value"].tolist() == pytest.approx([4 / 3, 5.2 / 3, 5.2 / 3.2, dr])


def rows_of_a_customer_are_taken_together(module: ModuleType) -> None:
    doubled = pd.concat([LOGGED] * 2, ignore_index=True)  # the same customers: nothing new is known
    once, twice = (module.off_policy_value(table, POLICY)["standard_error"]["ips"] for table in (LOGGED, doubled))
    assert once == pytest.approx(twice)


def wrong_propensities_are_noticed(module: ModuleType) -> None:
    many = pd.concat([LOGGED.assign(customer_id=LOGGED["customer_id"] + 2 * n) for n in range(200)])
    policy = pd.concat([POLICY.assign(customer_id=POLICY["customer_id"] + 2 * n) for n in range(200)])
    try:
        module.off_policy_value(many.assign(propensity=0.9), policy)
    except DataError:
        return
    raise AssertionError("no error")


Check = Callable[[ModuleType], None]
MUTANTS: dict[str, tuple[ModuleType, str, str, Check]] = {
    "places after k count": (lists, "lists[\"rank\"] <= k", "lists[\"rank\"] <= k + 1", only_k_places_count),
    "customers without a list are left out": (
        lists, "found = found.reindex(count.index, fill_value=0.0)", "count = count.reindex(found.index)",
        a_customer_without_a_list_counts,
    ),
    "the ideal list always has k hits": (
        lists, "ideal[reachable - 1]", "ideal[-1]", the_ideal_list_has_what_there_is,
    ),
    "items are like themselves": (lists, "(total - itself)", "total", an_item_is_not_like_itself),
    "the mean is over rows": (
        lists, "table.groupby(\"customer_id\")[column].mean().mean()", "table[column].mean()",
        the_mean_is_over_customers,
    ),
    "dr adds the whole reward": (off_policy, "weights * (reward - own)", "weights * reward", estimates_by_hand),
    "snips is not normalised": (
        off_policy, "_mean(weights * reward, weights, groups)", "_mean(weights * reward, np.ones(len(rows)), groups)",
        estimates_by_hand,
    ),
    "every row is a customer": (
        off_policy, "groups = pd.factorize(rows[\"customer_id\"])[0]", "groups = np.arange(len(rows))",
        rows_of_a_customer_are_taken_together,
    ),
    "weights may have any mean": (
        off_policy, "    _check_mean_weight(weights, groups)\n    found", "    found", wrong_propensities_are_noticed,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_dies(name: str, tmp_path: Path) -> None:
    module, old, new, check = MUTANTS[name]
    dies(check, module, old, new, tmp_path)

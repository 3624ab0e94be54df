"""Off-policy estimates: by hand, at the nominal rate where the truth is known, and what breaks the contract."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from crmml.errors import DataError, SchemaError
from crmml.metrics import off_policy_value
from tests.metrics.simulated_policies import World

# Customers 1 and 2 were shown a or b at even odds, customer 1 both.
LOGGED = pd.DataFrame(
    {"customer_id": [1, 1, 2], "item_id": ["a", "b", "a"], "reward": [1.0, 0.0, 3.0], "propensity": [0.5, 0.5, 0.5]}
)
POLICY = pd.DataFrame(
    {"customer_id": [1, 1, 2, 2], "item_id": ["a", "b", "a", "b"], "probability": [0.8, 0.2, 0.6, 0.4]}
)
PREDICTED = POLICY[["customer_id", "item_id"]].assign(reward=[1.0, 0.5, 2.0, 0.0])


class TestByHand:
    weights = np.array([1.6, 0.4, 1.2])

    def test_ips_and_its_self_normalised_form(self) -> None:
        found = off_policy_value(LOGGED, POLICY)
        total = 1.6 * 1 + 0.4 * 0 + 1.2 * 3
        assert found["value"].tolist() == pytest.approx([4 / 3, total / 3, total / (1.6 + 0.4 + 1.2)])
        assert found.index.tolist() == ["logged", "ips", "snips"]
        effective = 3.2**2 / (self.weights**2).sum()
        assert found["effective_rows"].tolist() == pytest.approx([3, effective, effective])

    def test_doubly_robust_corrects_the_prediction(self) -> None:
        found = off_policy_value(LOGGED, POLICY, PREDICTED)
        expected = [0.8 * 1 + 0.2 * 0.5, 0.8 * 1 + 0.2 * 0.5, 0.6 * 2]
        corrections = [1.6 * (1 - 1), 0.4 * (0 - 0.5), 1.2 * (3 - 2)]
        assert found["value"]["dr"] == pytest.approx((sum(expected) + sum(corrections)) / 3)

    def test_the_standard_error_takes_a_customers_rows_together(self) -> None:
        mean = 5.2 / 3
        residuals = [(1.6 + 0) - 2 * mean, 3.6 - mean]  # customer 1 has two rows
        expected = np.sqrt((residuals[0] ** 2 + residuals[1] ** 2) * 2 / 1) / 3
        assert off_policy_value(LOGGED, POLICY)["standard_error"]["ips"] == pytest.approx(expected)

    def test_the_policy_that_was_in_use_has_the_reward_that_was_earned(self) -> None:
        found = off_policy_value(LOGGED, POLICY.assign(probability=0.5))
        assert found["value"].tolist() == pytest.approx([4 / 3] * 3)

    def test_a_perfect_prediction_leaves_nothing_to_chance(self) -> None:
        world, random = World(), np.random.default_rng(0)
        logged = world.logged(200, random)
        logged["reward"] = world.taken[logged["customer_id"] % 2, logged["item_id"]]
        found = off_policy_value(
            logged, world.table(200, world.new, "probability"), world.table(200, world.taken, "reward")
        )
        assert found["value"]["dr"] == pytest.approx(world.truth)
        assert found["value"]["dr"] - found["value"]["ips"] != 0


def coverage(repetitions: int, customers: int = 400) -> dict[str, float]:
    """How often the truth lies inside the interval of each estimator; predictions are wrong on purpose."""
    world, random = World(), np.random.default_rng(7)
    policy = world.table(customers, world.new, "probability")
    wrong = world.table(customers, world.taken.mean(axis=1, keepdims=True) + 0 * world.taken, "reward")
    inside = dict.fromkeys(("ips", "snips", "dr"), 0)
    for _ in range(repetitions):
        found = off_policy_value(world.logged(customers, random), policy, wrong)
        for name in inside:
            inside[name] += bool(found["low"][name] <= world.truth <= found["high"][name])
    return {name: count / repetitions for name, count in inside.items()}


def test_intervals_hold_the_truth_at_the_nominal_rate() -> None:
    # 40 repetitions of 95 %: 36 or fewer happen in one of twenty runs, 34 or fewer in one of three hundred.
    assert min(coverage(40).values()) >= 35 / 40


@pytest.mark.slow
def test_intervals_hold_the_truth_at_the_nominal_rate_over_200_repetitions() -> None:
    assert all(0.91 <= share <= 0.99 for share in coverage(200).values())


def test_doubly_robust_is_narrower_where_the_prediction_is_good() -> None:
    world, random = World(), np.random.default_rng(1)
    found = off_policy_value(
        world.logged(2000, random),
        world.table(2000, world.new, "probability"),
        world.table(2000, world.taken, "reward"),
    )
    error = found["standard_error"]
    assert error["dr"] < error["snips"] < error["ips"] * 1.05
    # What was earned says nothing of the new policy: it is better by more than five standard errors.
    assert found["value"]["dr"] - found["value"]["logged"] > 5 * error["dr"]


def change(table: pd.DataFrame, **columns: Any) -> pd.DataFrame:
    return table.assign(**columns)


NOT_ONE = (
    "but has to be 1. Either the propensities are not those of the policy that was in use, or it never showed some of "
    "what the new one shows. Log what a policy with some chance for every item shows."
)


@pytest.mark.parametrize(
    ("logged", "policy", "predicted", "kind", "message"),
    [
        (
            LOGGED.drop(columns="propensity"), POLICY, None, SchemaError,
            "logged has no column 'propensity'. It needs customer_id, item_id, reward, propensity.",
        ),
        (
            change(LOGGED, propensity=[0.5, 0.0, 1.5]), POLICY, None, DataError,
            "propensity is 0 in row 1 of logged (2 of 3 rows are wrong). Log the probability of what was shown: above "
            "0, up to 1.",
        ),
        (
            change(LOGGED, reward=[1.0, np.nan, 0.0]), POLICY, None, DataError,
            "reward is missing or not finite in row 1 of logged (1 of 3 rows are wrong). Drop or repair these rows.",
        ),
        (
            LOGGED[LOGGED["customer_id"] == 1], POLICY, None, DataError,
            "logged has rows of 1 customers. Intervals need two or more.",
        ),
        (
            LOGGED, POLICY[POLICY["customer_id"] == 1], None, DataError,
            "policy says nothing of 1 of 2 customers, first 2. Say what it would show them, or leave their rows out of "
            "logged.",
        ),
        (
            LOGGED, change(POLICY, probability=[0.8, 0.1, 0.6, 0.4]), None, DataError,
            "the probabilities of policy add up to 0.9 for customer 1 (1 customers are wrong). They have to add up to "
            "1 for each.",
        ),
        (
            LOGGED, change(POLICY, probability=[1.5, -0.5, 0.6, 0.4]), None, DataError,
            "probability is -0.5 in row 1 of policy. Use 0 or more.",
        ),
        (
            LOGGED, pd.concat([POLICY, POLICY]), None, DataError,
            "policy has customer 1 and item 'a' more than once. Give each pair once.",
        ),
        (
            LOGGED, POLICY, PREDICTED.iloc[1:], DataError,
            "predicted has no reward for customer 1 and item 'a' of logged (1 pairs are missing). Predict every pair "
            "of logged and of policy.",
        ),
        (
            LOGGED, change(POLICY, item_id=["c", "d", "c", "d"]), None, DataError,
            "probability / propensity is 0.000 on average (0.000 is its standard error), " + NOT_ONE,
        ),
    ],
)  # fmt: skip
def test_a_broken_contract_is_named(
    logged: pd.DataFrame, policy: pd.DataFrame, predicted: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        off_policy_value(logged, policy, predicted)
    assert str(caught.value) == f"off_policy_value: {message}"


def test_propensities_of_another_policy_are_noticed() -> None:
    world, random = World(), np.random.default_rng(2)
    logged = world.logged(2000, random).assign(propensity=0.5)  # of eight items, each shown with about 1/8
    with pytest.raises(DataError) as caught:
        off_policy_value(logged, world.table(2000, world.new, "probability"))
    assert str(caught.value).endswith(NOT_ONE)

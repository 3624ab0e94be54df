"""What another way of recommending would have earned, from a log of what was shown and how likely that was."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student

from crmml.errors import ConfigError, DataError, SchemaError, did_you_mean

Floats: TypeAlias = NDArray[np.float64]
PAIR = ["customer_id", "item_id"]

COVERAGE = 0.95
# The mean weight is 1 but for chance; so many standard errors away from it is no chance.
SUSPECT = 5.0


def off_policy_value(logged: pd.DataFrame, policy: pd.DataFrame, predicted: pd.DataFrame | None = None) -> pd.DataFrame:
    """The reward per shown item that `policy` would have had, estimated from what another policy showed.

    **What has to be logged**, one row per item that was shown: `customer_id`, `item_id`, `reward` (1 for a click, an
    amount, ...: of this very item), and `propensity`: the probability with which the policy of that time showed this
    item to this customer in this place, written down *when it was shown*. Every item that `policy` may show must have
    had a chance, so the old policy has to choose at random at least now and then. The rewards of items that are shown
    side by side may not depend on each other.

    `policy` has `customer_id`, `item_id`, `probability`: what the new policy would show to each customer of the log;
    its probabilities add up to 1 for each. Of a recommender that always shows the first item, this is
    `lists[lists["rank"] == 1].assign(probability=1.0)`.

    With w = probability / propensity of the logged item (0 where the new policy does not show it), r the reward and
    q the prediction, the rows of the result are

        logged  mean r: what was earned
        ips     mean of w r: right on average, wide where weights are large
        snips   sum of w r / sum of w: a little biased, much narrower
        dr      mean of (expected q under `policy` + w (r - q)): right where the propensities or q are; narrow where
                q is good. Only with `predicted`.

    Columns `value`, `standard_error`, `low`, `high` (95 %, Student's t over customers, whose rows are taken together),
    `rows`, `effective_rows`: rows without weights that would say as much, (sum of w)^2 / sum of w^2.

    Args:
        logged: what was shown, see above.
        policy: what the new policy would show.
        predicted: `customer_id`, `item_id`, `reward`: what a model predicts for every pair of `logged` and of
            `policy`. It may not have learned from these rows.

    Raises:
        SchemaError: a column is missing.
        DataError: the contract is broken: no rows; values that are missing or not finite; a propensity that is not in
            (0, 1]; probabilities that do not add up to 1; a customer without a policy or a pair without a prediction;
            one customer only; and weights whose mean is not 1, which shows that propensities are not those of the
            policy that was in use, or that it never showed what the new one shows.

    Source: Horvitz and Thompson (1952); Swaminathan and Joachims (2015), The self-normalized estimator for
    counterfactual learning, NIPS; Dudik, Langford and Li (2011), Doubly robust policy evaluation and learning, ICML.

    >>> import pandas as pd
    >>> shown = [(n, item, item == "tea") for n in range(100) for item in ("tea", "cup")]
    >>> logged = pd.DataFrame(shown, columns=["customer_id", "item_id", "reward"]).assign(propensity=0.5)
    >>> policy = pd.DataFrame({"customer_id": range(100), "item_id": "tea", "probability": 1.0})
    >>> off_policy_value(logged, policy)["value"].to_dict()
    {'logged': 0.5, 'ips': 1.0, 'snips': 1.0}
    """
    rows = _checked_log(logged)
    _check_policy(policy, rows)
    weights = _weights(rows, policy)
    reward = rows["reward"].to_numpy(np.float64)
    groups = pd.factorize(rows["customer_id"])[0]
    _check_mean_weight(weights, groups)
    found = {
        "logged": _mean(reward, np.ones(len(rows)), groups),
        "ips": _mean(weights * reward, np.ones(len(rows)), groups),
        "snips": _mean(weights * reward, weights, groups),
    }
    if predicted is not None:
        own, expected = _predictions(rows, policy, predicted)
        found["dr"] = _mean(expected + weights * (reward - own), np.ones(len(rows)), groups)
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    return _table(found, groups, len(rows), effective)


def _mean(values: Floats, sizes: Floats, groups: NDArray[np.int64]) -> tuple[float, float]:
    """`sum of values / sum of sizes` and its standard error over groups, by linearising the quotient."""
    value = float(values.sum() / sizes.sum())
    residuals = np.bincount(groups, weights=values - value * sizes)
    n = len(residuals)
    return value, float(np.sqrt((residuals**2).sum() * n / (n - 1)) / sizes.sum())


def _table(
    found: Mapping[str, tuple[float, float]], groups: NDArray[np.int64], rows: int, effective: float
) -> pd.DataFrame:
    reach = float(student.ppf((1 + COVERAGE) / 2, df=int(groups.max())))
    lines = [
        {
            "value": value,
            "standard_error": error,
            "low": value - reach * error,
            "high": value + reach * error,
            "rows": rows,
            "effective_rows": float(rows) if name == "logged" else effective,
        }
        for name, (value, error) in found.items()
    ]
    return pd.DataFrame(lines, index=pd.Index(list(found), name="estimator"))


def _weights(rows: pd.DataFrame, policy: pd.DataFrame) -> Floats:
    probability = rows[PAIR].merge(policy[[*PAIR, "probability"]], on=PAIR, how="left")["probability"]
    weights: Floats = probability.fillna(0.0).to_numpy(np.float64) / rows["propensity"].to_numpy(np.float64)
    return weights


def _predictions(rows: pd.DataFrame, policy: pd.DataFrame, predicted: pd.DataFrame) -> tuple[Floats, Floats]:
    """The prediction of the item shown, and the expected one under the policy, of every row."""
    _check_columns(predicted, "predicted", [*PAIR, "reward"])
    _check_finite(predicted, "predicted", "reward")
    _check_once(predicted, "predicted")
    known = predicted[[*PAIR, "reward"]].rename(columns={"reward": "prediction"})
    own = rows[PAIR].merge(known, on=PAIR, how="left")
    chosen = policy[policy["probability"] > 0].merge(known, on=PAIR, how="left")
    for name, table in (("logged", own), ("policy", chosen)):
        missing = np.flatnonzero(table["prediction"].isna())
        if len(missing):
            customer, item = table[PAIR].iloc[missing[0] : missing[0] + 1].to_dict("split")["data"][0]
            raise DataError(
                f"off_policy_value: predicted has no reward for customer {customer!r} and item {item!r} of {name} "
                f"({len(missing)} pairs are missing). Predict every pair of logged and of policy."
            )
    expected = (chosen["probability"] * chosen["prediction"]).groupby(chosen["customer_id"]).sum()
    return (
        own["prediction"].to_numpy(np.float64),
        rows["customer_id"].map(expected).to_numpy(np.float64),
    )


# The contract ---------------------------------------------------------------------------------------------


def _checked_log(logged: pd.DataFrame) -> pd.DataFrame:
    _check_columns(logged, "logged", [*PAIR, "reward", "propensity"])
    if logged["customer_id"].nunique() < 2:
        raise DataError(
            f"off_policy_value: logged has rows of {logged['customer_id'].nunique()} customers. "
            "Intervals need two or more."
        )
    for name in ("reward", "propensity"):
        _check_finite(logged, "logged", name)
    propensity = logged["propensity"].to_numpy(np.float64)
    wrong = np.flatnonzero((propensity <= 0) | (propensity > 1))
    if len(wrong):
        raise DataError(
            f"off_policy_value: propensity is {propensity[wrong[0]]:g} in row {wrong[0]} of logged ({len(wrong)} of "
            f"{len(logged)} rows are wrong). Log the probability of what was shown: above 0, up to 1."
        )
    return logged.astype({"reward": np.float64})


def _check_policy(policy: pd.DataFrame, rows: pd.DataFrame) -> None:
    _check_columns(policy, "policy", [*PAIR, "probability"])
    _check_finite(policy, "policy", "probability")
    _check_once(policy, "policy")
    negative = np.flatnonzero(policy["probability"] < 0)
    if len(negative):
        value = float(policy["probability"].iloc[negative[0]])
        raise DataError(f"off_policy_value: probability is {value:g} in row {negative[0]} of policy. Use 0 or more.")
    totals = policy.groupby("customer_id")["probability"].sum()
    asked = pd.Index(rows["customer_id"].unique())
    absent = asked[~asked.isin(totals.index)]
    if len(absent):
        raise DataError(
            f"off_policy_value: policy says nothing of {len(absent)} of {len(asked)} customers, first "
            f"{absent[:1].tolist()[0]!r}. Say what it would show them, or leave their rows out of logged."
        )
    wrong = totals[(totals - 1).abs() > 1e-6]
    if len(wrong):
        raise DataError(
            f"off_policy_value: the probabilities of policy add up to {wrong.iloc[0]:g} for customer "
            f"{wrong.index[:1].tolist()[0]!r} ({len(wrong)} customers are wrong). They have to add up to 1 for each."
        )


def _check_mean_weight(weights: Floats, groups: NDArray[np.int64]) -> None:
    """Weights are 1 on average, whatever the policies: else the log is not what it says."""
    mean, error = _mean(weights, np.ones(len(weights)), groups)
    if not weights.any() or abs(mean - 1) > max(SUSPECT * error, 1e-6):
        raise DataError(
            f"off_policy_value: probability / propensity is {mean:.3f} on average ({error:.3f} is its standard error), "
            "but has to be 1. Either the propensities are not those of the policy that was in use, or it never showed "
            "some of what the new one shows. Log what a policy with some chance for every item shows."
        )


def _check_columns(table: pd.DataFrame, name: str, columns: list[str]) -> None:
    if not isinstance(table, pd.DataFrame):
        raise ConfigError(f"off_policy_value: {name} is a {type(table).__name__}. Give a pandas DataFrame.")
    for column in columns:
        if column not in table.columns:
            names = [str(found) for found in table.columns]
            raise SchemaError(
                f"off_policy_value: {name} has no column {column!r}.{did_you_mean(column, names)} "
                f"It needs {', '.join(columns)}."
            )
    if table.empty:
        raise DataError(f"off_policy_value: {name} has no rows. Give at least one.")


def _check_finite(table: pd.DataFrame, name: str, column: str) -> None:
    if not pd.api.types.is_numeric_dtype(table[column].dtype):
        raise SchemaError(f"off_policy_value: {column} of {name} is of type {table[column].dtype}. Use numbers.")
    wrong = np.flatnonzero(~np.isfinite(table[column].to_numpy(dtype=np.float64, na_value=np.nan)))
    if len(wrong):
        raise DataError(
            f"off_policy_value: {column} is missing or not finite in row {wrong[0]} of {name} ({len(wrong)} of "
            f"{len(table)} rows are wrong). Drop or repair these rows."
        )


def _check_once(table: pd.DataFrame, name: str) -> None:
    twice = np.flatnonzero(table.duplicated(PAIR))
    if len(twice):
        customer, item = table[PAIR].iloc[twice[0] : twice[0] + 1].to_dict("split")["data"][0]
        raise DataError(
            f"off_policy_value: {name} has customer {customer!r} and item {item!r} more than once. Give each pair once."
        )

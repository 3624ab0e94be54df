"""How much of what customers spend in a category they spend with us: with every assumption said."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from crmml.errors import ConfigError, DataError
from crmml.insight.assumptions import (
    Assumption,
    check_redraws,
    read_amounts,
    read_groups,
    redrawn_means,
)
from crmml.insight.wallet_prior import WalletPrior

_ME = "share_of_wallet"


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ShareOfWallet:
    """What `share_of_wallet` estimates; `print` shows it with the assumptions.

    Attributes:
        groups: one row per group: `group`, `customers`, `spend` (with us, per customer), `wallet` (assumed, per
            customer), `share` and its interval `share_lo`, `share_hi`, `open` (wallet - spend, per customer).
        customers: one row per customer, in the order of `spend`: `customer_id`, `spend`, `share`, `share_lo`,
            `share_hi`, `open`: the expected share of their wallet, its interval, and what is expected to go to others.
        assumptions: what was assumed, each a sentence with its numbers.
        warnings: where the assumptions contradict the data.
        coverage: of the intervals.

    >>> answer = share_of_wallet([120.0, 300.0, 0.0], Assumption(1_000))
    >>> list(answer.customers.columns)
    ['customer_id', 'spend', 'share', 'share_lo', 'share_hi', 'open']
    """

    groups: pd.DataFrame
    customers: pd.DataFrame
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]
    coverage: float

    def __repr__(self) -> str:
        return f"ShareOfWallet({len(self.groups)} groups, {len(self.customers):,} customers)"

    def __str__(self) -> str:
        lines = [f"Share of wallet of {len(self.customers):,} customers ({100 * self.coverage:g} % intervals)"]
        lines += [
            f"  {row['group']}: {row['customers']:,} customers, {row['spend']:,.2f} of {row['wallet']:,.2f} each: "
            f"{_percent(row['share'])} ({_percent(row['share_lo'])} to {_percent(row['share_hi'])}); "
            f"{row['open']:,.2f} each go to others"
            for row in self.groups.to_dict("records")
        ]
        lines += ["assumed:", *(f"  - {text}" for text in self.assumptions)]
        if self.warnings:
            lines += ["do not believe it as it is:", *(f"  - {text}" for text in self.warnings)]
        return "\n".join(lines)


def share_of_wallet(
    spend: Any,
    category_spend: Assumption | Mapping[str, Assumption],
    *,
    groups: Any = None,
    spread: float = 0.6,
    coverage: float = 0.9,
    draws: int = 2_000,
    random_state: int = 0,
) -> ShareOfWallet:
    """Estimate which share of their spending in the category customers spend with us.

    Nobody sees the wallet, so it is assumed, and the answer is as good as the assumption: `category_spend` is what a
    customer of the population spends on the category in the same time, with us or with others, from a statistical
    office, a panel or a survey, with the range in which you believe it to be.

    Of a group: its spend over its wallets. The interval holds both that the customers are a sample (bootstrap) and the
    range of the assumption. Of a customer: wallets in a group differ (log-normal, with the coefficient of variation
    `spread`), and shares of those who buy are spread as a Beta(1, b) whose mean is the group's. What a customer spends
    with us then tells of the wallet (Bayes' rule): it is at least that. The intervals of customers take the mean wallet
    as given.

    Args:
        spend: what each customer spent with us in a time, 0 or more; a Series indexed by customer, or numbers.
        category_spend: the mean wallet of a customer in the same time; by group, where they differ.
        groups: the group of each customer, such as a segment; left out, all are one group.
        spread: how much wallets differ: standard deviation over mean, above 0.
        coverage: of the intervals, in (0, 1).
        draws: how often to redraw.
        random_state: seed of the draws.

    Raises:
        ConfigError: a parameter is out of its range, or a group has no `category_spend`.
        SchemaError: `spend` and `groups` have different lengths or indexes.
        DataError: a spend that is missing or below 0; a group that spends as much as it is assumed to have.

    Source: the share of wallet as Bayes' estimate from spend with one firm: Du, Kamakura and Mela (2007), Size and
    share of customer wallet; here with fewer, stated assumptions.

    >>> spend = pd.Series([0.0, 120, 300, 900], index=["a", "b", "c", "d"])
    >>> answer = share_of_wallet(spend, Assumption(1_000, 800, 1_300, source="household survey 2023"))
    >>> answer.groups[["spend", "wallet", "share"]].values.tolist()
    [[330.0, 1000.0, 0.33]]
    >>> answer.customers["share"].round(2).tolist()
    [0.0, 0.21, 0.45, 0.7]
    """
    check_redraws(_ME, coverage, draws)
    if isinstance(spread, bool) or not isinstance(spread, int | float) or not 0 < spread <= 5:
        raise ConfigError(f"{_ME}: spread is {spread!r}. Use a number above 0 and up to 5, such as spread=0.6.")
    ids, amounts = read_amounts(_ME, "spend", spend)
    names, codes = read_groups(_ME, groups, spend, len(amounts))
    wallets = {name: _wallet_of(category_spend, name, groups) for name in names}
    rng = np.random.default_rng(random_state)
    rows, customers, said, warnings = [], np.empty((len(amounts), 5)), [], []
    for code, name in enumerate(names):
        inside = codes == code
        mine, wallet = amounts[inside], wallets[name]
        mean = float(mine.mean())
        drawn = redrawn_means(mine, draws, rng) / wallet.draw(rng, draws)
        low, high = np.quantile(drawn, [(1 - coverage) / 2, (1 + coverage) / 2])
        if mean >= wallet.value:
            raise DataError(
                f"{_ME}: group {name!r} spends {mean:,.2f} each, and its category_spend is {wallet.value:,.2f}: a "
                f"share of 100 % or more. Use a category_spend above it, such as {2 * mean:,.2f}."
            )
        share = mean / wallet.value
        row = {"group": name, "customers": int(inside.sum()), "spend": mean, "wallet": wallet.value, "share": share}
        rows.append(row | {"share_lo": low, "share_hi": high, "open": wallet.value - mean})
        buying = float((mine > 0).mean())
        prior = WalletPrior(mean=wallet.value, spread=spread, share=min(share / buying, 0.99) if buying else 0.5)
        customers[inside] = np.column_stack([mine, prior.shares(mine, coverage)])
        said.append(f"{_of(name, category_spend)}mean category spend {wallet.spoken()}")
        above, prefix = float((mine > wallet.value).mean()), "" if groups is None else f"{name}: "
        if above > 0.25:  # of a log-normal with a mean like that, fewer than half lie above it
            warnings.append(f"{prefix}{_percent(above)} spend more with us than the assumed mean wallet")
        if share / max(buying, 1e-12) >= 0.99:
            warnings.append(f"{prefix}those who buy would spend all they have with us")
    said.append(f"wallets within a group: log-normal, standard deviation {spread:g} times the mean")
    said.append("shares of those who buy: Beta(1, b) with the mean of their group, independent of the wallet")
    table = pd.DataFrame(customers, columns=["spend", "share", "share_lo", "share_hi", "wallet"])
    table.insert(0, "customer_id", ids)
    table["open"] = table.pop("wallet") - table["spend"]
    return ShareOfWallet(
        groups=pd.DataFrame(rows),
        customers=table,
        assumptions=tuple(dict.fromkeys(said)),
        warnings=tuple(warnings),
        coverage=coverage,
    )


def _wallet_of(given: Any, name: str, groups: Any) -> Assumption:
    if isinstance(given, Assumption):
        return given
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"{_ME}: category_spend is {given!r}. Use Assumption(value, low, high), such as "
            "Assumption(1_000, 800, 1_300)."
        )
    if groups is None:
        raise ConfigError(f"{_ME}: category_spend names groups, and there are none. Use groups=..., one per customer.")
    found = given.get(name)
    if not isinstance(found, Assumption):
        raise ConfigError(f"{_ME}: category_spend has no Assumption for the group {name!r}. Give it one.")
    return found


def _of(name: str, given: Any) -> str:
    return "" if isinstance(given, Assumption) else f"{name}: "  # one for all is said once


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"

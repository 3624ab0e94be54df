"""What customers contribute: margin on what they buy, less what it costs to serve them, with every assumption said."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from crmml.errors import ConfigError
from crmml.insight.assumptions import (
    Assumption,
    Floats,
    check_redraws,
    read_amounts,
    read_groups,
    redrawn_means,
)

_ME = "profit_contribution"
_TOP = 0.2


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ProfitContribution:
    """What `profit_contribution` estimates; `print` shows it with the assumptions.

    Attributes:
        groups: one row per group: `group`, `customers`, `revenue`, `profit` (sums) and its interval `profit_lo`,
            `profit_hi`, `per_customer` and its interval, `share_of_profit` (NaN where the total is not above 0).
        customers: one row per customer: `customer_id`, `revenue`, `profit`, at the values assumed.
        top: share of the total profit that the fifth of the customers with the most profit makes; NaN as above.
        losing: share of the customers whose profit is below 0.
        assumptions: what was assumed, each a sentence with its numbers.
        coverage: of the intervals.

    >>> answer = profit_contribution([100.0, 300.0], Assumption(0.3, 0.25, 0.35))
    >>> answer.groups["profit"].tolist()
    [120.0]
    """

    groups: pd.DataFrame
    customers: pd.DataFrame
    top: float
    losing: float
    assumptions: tuple[str, ...]
    coverage: float

    def __repr__(self) -> str:
        return f"ProfitContribution({len(self.groups)} groups, {len(self.customers):,} customers)"

    def __str__(self) -> str:
        lines = [
            f"Profit contribution of {len(self.customers):,} customers ({100 * self.coverage:g} % intervals)",
            f"  the fifth with the most profit makes {_percent(self.top)} of it; {_percent(self.losing)} of the "
            "customers cost more than they bring",
        ]
        lines += [
            f"  {row['group']}: {row['customers']:,} customers, revenue {row['revenue']:,.0f}, profit "
            f"{row['profit']:,.0f} ({row['profit_lo']:,.0f} to {row['profit_hi']:,.0f}), "
            f"{row['per_customer']:,.2f} each"
            for row in self.groups.to_dict("records")
        ]
        return "\n".join([*lines, "assumed:", *(f"  - {text}" for text in self.assumptions)])


def profit_contribution(
    revenue: Any,
    margin: Assumption,
    *,
    costs: Mapping[str, Assumption] | None = None,
    counts: pd.DataFrame | None = None,
    groups: Any = None,
    coverage: float = 0.9,
    draws: int = 2_000,
    random_state: int = 0,
) -> ProfitContribution:
    """Estimate what customers contribute: margin on their revenue, less what it costs to serve them.

    profit = margin * revenue - the sum of unit costs times counts, such as orders, returns, calls. Intervals hold both
    that the customers are a sample (bootstrap within each group) and the ranges of all assumptions at once: a margin
    that is lower is lower for every group.

    Args:
        revenue: net of returns, per customer; a Series indexed by customer, or numbers.
        margin: share of the revenue that is left after the costs of goods, above 0 and at most 1.
        costs: the cost of one order, one return, ..., by the column of `counts`.
        counts: how many of each a customer had: one row per customer in the order of `revenue`.
        groups: the group of each customer, such as a segment; left out, all are one group.
        coverage, draws, random_state: as for `share_of_wallet`.

    Raises:
        ConfigError: a parameter is out of its range, or a cost has no column.
        SchemaError: lengths or indexes differ.
        DataError: a revenue or a count that is missing or infinite.

    >>> orders = pd.DataFrame({"orders": [1, 2, 30]})
    >>> answer = profit_contribution(
    ...     [100.0, 300.0, 150.0], Assumption(0.3, 0.25, 0.35), costs={"orders": Assumption(4, 3, 5)}, counts=orders
    ... )
    >>> answer.customers["profit"].tolist()  # .3 * 100 - 4 * 1, ...
    [26.0, 82.0, -75.0]
    """
    check_redraws(_ME, coverage, draws)
    if not isinstance(margin, Assumption) or margin.bounds[1] > 1:
        raise ConfigError(
            f"{_ME}: margin is {margin!r}. Use shares of the revenue, such as Assumption(0.3, 0.25, 0.35)."
        )
    ids, amounts = read_amounts(_ME, "revenue", revenue, least=-np.inf)
    names, codes = read_groups(_ME, groups, revenue, len(amounts))
    units = dict(costs or {})
    numbers = _counted(units, counts, len(amounts))
    rng = np.random.default_rng(random_state)
    margins = np.minimum(margin.draw(rng, draws), 1.0)
    drawn_units = [unit.draw(rng, draws) for unit in units.values()]
    profit = margin.value * amounts - sum((unit.value * numbers[name] for name, unit in units.items()), np.zeros(1))
    rows = []
    for code, name in enumerate(names):
        inside = np.flatnonzero(codes == code)
        parts = np.column_stack([amounts[inside], *(numbers[unit][inside] for unit in units)])
        means = redrawn_means(parts, draws, rng)
        each = margins * means[:, 0] - sum((unit * means[:, 1 + i] for i, unit in enumerate(drawn_units)), np.zeros(1))
        low, high = np.quantile(each, [(1 - coverage) / 2, (1 + coverage) / 2])
        count, total = len(inside), float(profit[inside].sum())
        row = {"group": name, "customers": count, "revenue": float(amounts[inside].sum()), "profit": total}
        row |= {"profit_lo": low * count, "profit_hi": high * count}
        rows.append(row | {"per_customer": total / count, "per_customer_lo": low, "per_customer_hi": high})
    table = pd.DataFrame(rows)
    whole = float(profit.sum())
    table["share_of_profit"] = table["profit"] / whole if whole > 0 else np.nan
    best = np.sort(profit)[::-1][: max(1, round(_TOP * len(profit)))]
    said = [f"margin {margin.spoken()}", *(f"cost of one of {name}: {unit.spoken()}" for name, unit in units.items())]
    return ProfitContribution(
        groups=table,
        customers=pd.DataFrame({"customer_id": ids, "revenue": amounts, "profit": profit}),
        top=float(best.sum()) / whole if whole > 0 else float("nan"),
        losing=float((profit < 0).mean()),
        assumptions=tuple(said),
        coverage=coverage,
    )


def _counted(units: Mapping[str, Any], counts: Any, rows: int) -> dict[str, Floats]:
    found = {}
    for name, unit in units.items():
        if not isinstance(unit, Assumption):
            raise ConfigError(f"{_ME}: costs[{name!r}] is {unit!r}. Use Assumption(value, low, high).")
        if counts is None or name not in counts.columns:
            raise ConfigError(f"{_ME}: costs[{name!r}] has no column in counts. Use counts with a column {name!r}.")
        _, found[name] = read_amounts(_ME, f"counts[{name!r}]", counts[name], rows=rows)
    return found


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"

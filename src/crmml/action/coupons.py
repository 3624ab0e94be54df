"""Coupons by expected incremental profit, under a budget, with every assumption written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmml.action.budget import choose
from crmml.errors import ConfigError, DataError, SchemaError, did_you_mean
from crmml.spec import Definition

Floats = NDArray[np.float64]

COLUMNS = ("customer_id", "p_purchase", "margin")
MEASURED = ("p_with", "p_with_lo", "p_with_hi")


@dataclass(frozen=True, repr=False, kw_only=True)
class Coupon(Definition):
    """A coupon: what it takes off the price, what it costs to hand out, and how much more is bought with it.

    Args:
        name: how it is called in tables.
        discount: money off for who buys with it.
        cost: of handing it out, used or not.
        uplift: by which share more are assumed to buy with it: .3 makes a probability of 10 % one of 13 %. None where
            the probability with the coupon is measured (an experiment): the offers then have the column `p_with`.
        uplift_lo, uplift_hi: the range in which the uplift is believed to lie; both or none.

    Raises:
        ConfigError: an amount below 0, an uplift below -1, a range that does not hold the uplift.

    >>> Coupon(name="five off", discount=5.0, uplift=0.3, uplift_lo=0.1, uplift_hi=0.5)
    Coupon(name='five off', discount=5.0, uplift=0.3, uplift_lo=0.1, uplift_hi=0.5)
    """

    name: str
    discount: float
    cost: float = 0.0
    uplift: float | None = None
    uplift_lo: float | None = None
    uplift_hi: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.name, str) or not self.name:
            raise ConfigError(f"Coupon: name is {self.name!r}. Use a text, such as 'five off'.")
        for name in ("discount", "cost"):
            value = getattr(self, name)
            if not _is_number(value) or value < 0:
                raise ConfigError(f"Coupon: {name} is {value!r}. Use an amount of money, 0 or more: {name}=5.")
        for name in ("uplift", "uplift_lo", "uplift_hi"):
            value = getattr(self, name)
            if value is not None and (not _is_number(value) or value < -1):
                raise ConfigError(f"Coupon: {name} is {value!r}. Use a share of -1 or more, such as {name}=0.3.")
        if (self.uplift_lo is None) != (self.uplift_hi is None) or (self.uplift is None and self.uplift_lo is not None):
            raise ConfigError("Coupon: a range takes uplift, uplift_lo and uplift_hi. Give all three, or uplift alone.")
        low, middle, high = (-1.0 if one is None else one for one in (self.uplift_lo, self.uplift, self.uplift_hi))
        if self.has_range and not low <= middle <= high:
            raise ConfigError(
                f"Coupon: uplift {self.uplift} does not lie between uplift_lo {self.uplift_lo} and uplift_hi "
                f"{self.uplift_hi}. Give a range that holds it."
            )

    @property
    def has_range(self) -> bool:
        """Whether it says how far the uplift may be off."""
        return self.uplift_lo is not None

    def p_with(self, offers: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
        """The probability with the coupon, its lower and its upper end, shape (offers,); at most 1."""
        if self.uplift is None:
            found = [offers[name if name in offers.columns else "p_with"].to_numpy(np.float64) for name in MEASURED]
            return found[0], found[1], found[2]
        p = offers["p_purchase"].to_numpy(np.float64)
        low, high = (self.uplift if one is None else one for one in (self.uplift_lo, self.uplift_hi))
        with_it, lower, upper = (np.minimum(1.0, p * (1.0 + one)) for one in (self.uplift, low, high))
        return with_it, lower, upper

    def assumption(self) -> str:
        """What is taken for granted about it, in words."""
        costs = f"{self.discount:g} off for who buys, {self.cost:g} for each handed out"
        if self.uplift is None:
            return f"'{self.name}' ({costs}): who buys with it was measured (column p_with)."
        spread = f", between {self.uplift_lo:+.0%} and {self.uplift_hi:+.0%}" if self.has_range else ""
        return f"'{self.name}' ({costs}): {self.uplift:+.0%} buyers{spread}, the same for all; assumed, not measured."


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class CouponPlan:
    """Who gets which coupon, what that is expected to earn, and what was taken for granted; `print` says all of it.

    Attributes:
        table: a row per customer with a coupon, by customer in the order given: `customer_id`, `item_id` where the
            offers have it, `coupon`, `p_without`, `p_with`, `margin`, `spend` (expected: discount of who buys, and
            cost), `profit` (incremental), `profit_lo`, `profit_hi`.
        customers: customers with an offer.
        unknown: of these, without a known probability.
        unprofitable: of these, for whom no coupon earns anything.
        unpaid: of these, for whom one would, but not for this budget.
        budget: what may be spent; None for any amount.
        assumptions: sentences.

    >>> offers = pd.DataFrame({"customer_id": [1], "p_purchase": [0.2], "margin": [40.0]})
    >>> round(plan_coupons(offers, [Coupon(name="five", discount=5.0, uplift=0.5)]).profit, 3)  # .3 x 35 - .2 x 40
    2.5
    """

    table: pd.DataFrame
    customers: int
    unknown: int
    unprofitable: int
    unpaid: int
    budget: float | None
    assumptions: tuple[str, ...]

    @property
    def profit(self) -> float:
        """The expected incremental profit of the plan."""
        return float(self.table["profit"].sum())

    @property
    def profit_range(self) -> tuple[float, float]:
        """Its lower and upper end: everybody's uplift at the same end."""
        return float(self.table["profit_lo"].sum()), float(self.table["profit_hi"].sum())

    @property
    def spend(self) -> float:
        """What discounts and handing out are expected to cost."""
        return float(self.table["spend"].sum())

    def __repr__(self) -> str:
        return f"CouponPlan({len(self.table)} of {self.customers} customers, profit={self.profit:.2f})"

    def __str__(self) -> str:
        low, high = self.profit_range
        of = "" if self.budget is None else f" of {self.budget:,.2f}"
        by_coupon = self.table.groupby("coupon", sort=False)
        sums = by_coupon.agg(rows=("coupon", "size"), profit=("profit", "sum"), spend=("spend", "sum"))
        lines = [
            f"{len(self.table):,} of {self.customers:,} customers get a coupon: {self.profit:,.2f} more profit "
            f"expected ({low:,.2f} to {high:,.2f}) for {self.spend:,.2f}{of} spent.",
            f"None for {self.unprofitable:,} to whom no coupon earns anything, {self.unpaid:,} beyond the budget, "
            f"{self.unknown:,} whose probability is not known.",
            *(
                f"  {name}: {row.rows:,} customers, profit {row.profit:,.2f}, spend {row.spend:,.2f}"
                for name, row in zip(sums.index, sums.itertuples(), strict=True)
            ),
            "Taken for granted:",
            *(f"  - {sentence}" for sentence in self.assumptions),
        ]
        return "\n".join(lines)


def plan_coupons(
    offers: pd.DataFrame, coupons: Sequence[Coupon], *, budget: float | None = None, cautious: bool = False
) -> CouponPlan:
    """Who gets which coupon: the most expected incremental profit that the budget pays for.

    The profit of a coupon is what it changes,

        p_with (margin - discount) - p_without margin - cost

    where the discount is also paid to those who would have bought anyway. Only where it is above 0 is one handed out:
    likely buyers at full price are left alone. Each customer gets at most one coupon, for one item. The expected spend,
    `p_with discount + cost`, stays within the budget; see `crmml.action.budget.choose` for the choice.

    Args:
        offers: a row per customer, or per customer and item: `customer_id`, `p_purchase` (the probability without a
            coupon, such as `NextBestOffer` says), `margin` (of a sale at full price; `rank_by_margin` adds it), and
            where an experiment measured it `p_with`, with `p_with_lo` and `p_with_hi` where it has an interval. Rows
            without a probability (NaN) get no coupon.
        coupons: what can be handed out.
        budget: expected spend at most; None for any amount.
        cautious: hand out only what earns something at the lower end of its range too.

    Raises:
        ConfigError: no coupons, two of one name, a budget below 0, `cautious` without a range.
        SchemaError: a column is missing.
        DataError: no rows, a probability outside [0, 1], a margin that is not finite, ends the wrong way round.

    >>> offers = pd.DataFrame({"customer_id": ["ann", "bob"], "p_purchase": [0.1, 0.9], "margin": [20.0, 20.0]})
    >>> print(plan_coupons(offers, [Coupon(name="five off", discount=5.0, cost=0.1, uplift=0.6)]))
    1 of 2 customers get a coupon: 0.30 more profit expected (0.30 to 0.30) for 0.90 spent.
    None for 1 to whom no coupon earns anything, 0 beyond the budget, 0 whose probability is not known.
      five off: 1 customers, profit 0.30, spend 0.90
    Taken for granted:
      - 'five off' (5 off for who buys, 0.1 for each handed out): +60% buyers, the same for all; assumed, not measured.
      - p_purchase is what happens without a coupon, within its horizon.
      - Everybody who buys with a coupon uses it; nobody buys less of other things, or later, because of it.
    """
    known, coupons = _checked(offers, coupons), tuple(coupons)
    if budget is not None and (not _is_number(budget) or budget < 0):
        raise ConfigError(f"plan_coupons: budget is {budget!r}. Use an amount of money, 0 or more, or None.")
    if cautious and not any(_ranged(coupon, offers) for coupon in coupons):
        raise ConfigError(
            "plan_coupons: cautious=True needs a range. Give uplift_lo and uplift_hi, or the columns p_with_lo and "
            "p_with_hi."
        )
    options = pd.concat([_option(known, coupon) for coupon in coupons], ignore_index=True)
    worth = options["profit_lo" if cautious else "profit"].to_numpy(np.float64)
    profit = np.where(worth > 0, options["profit"].to_numpy(np.float64), 0.0)
    names = pd.Index(offers["customer_id"].unique())
    customer = names.get_indexer(pd.Index(options["customer_id"])).astype(np.int64)
    taken = choose(customer, options["spend"].to_numpy(np.float64), profit, budget)
    taken = taken[np.argsort(customer[taken], kind="stable")]
    with_probability = known["customer_id"].nunique()
    worthwhile = len(np.unique(customer[profit > 0]))
    return CouponPlan(
        table=options.iloc[taken].reset_index(drop=True),
        customers=len(names),
        unknown=len(names) - with_probability,
        unprofitable=with_probability - worthwhile,
        unpaid=worthwhile - len(taken),
        budget=None if budget is None else float(budget),
        assumptions=_assumptions(coupons, offers, cautious),
    )


def _option(offers: pd.DataFrame, coupon: Coupon) -> pd.DataFrame:
    """What this coupon would do for every offer."""
    p, margin = offers["p_purchase"].to_numpy(np.float64), offers["margin"].to_numpy(np.float64)
    with_it, low, high = coupon.p_with(offers)
    ends = [one * (margin - coupon.discount) - p * margin - coupon.cost for one in (low, high)]
    ids = [name for name in ("customer_id", "item_id") if name in offers.columns]
    found: dict[str, Any] = {
        "coupon": coupon.name,
        "p_without": p,
        "p_with": with_it,
        "margin": margin,
        "spend": with_it * coupon.discount + coupon.cost,
        "profit": with_it * (margin - coupon.discount) - p * margin - coupon.cost,
        # Sold below its price, more buyers are a loss: the ends change places.
        "profit_lo": np.minimum(*ends),
        "profit_hi": np.maximum(*ends),
    }
    return offers[ids].assign(**found)


def _assumptions(coupons: Sequence[Coupon], offers: pd.DataFrame, cautious: bool) -> tuple[str, ...]:
    said = [coupon.assumption() for coupon in coupons]
    said += [
        "p_purchase is what happens without a coupon, within its horizon.",
        "Everybody who buys with a coupon uses it; nobody buys less of other things, or later, because of it.",
    ]
    if any(_ranged(coupon, offers) for coupon in coupons):
        said.append("The ends of the profit are for all customers at the same end of their range.")
    if cautious:
        said.append("Coupons that may lose money within their range are not handed out.")
    return tuple(said)


def _ranged(coupon: Coupon, offers: pd.DataFrame) -> bool:
    return coupon.has_range or (coupon.uplift is None and "p_with_lo" in offers.columns)


def _checked(offers: Any, coupons: Any) -> pd.DataFrame:
    """The offers with a known probability."""
    if not isinstance(coupons, Sequence) or not coupons or not all(isinstance(one, Coupon) for one in coupons):
        raise ConfigError(
            f"plan_coupons: coupons is {coupons!r:.60}. Use a list: [Coupon(name='five', discount=5, uplift=0.3)]."
        )
    names = [coupon.name for coupon in coupons]
    if len(set(names)) < len(names):
        raise ConfigError(f"plan_coupons: two coupons are called {max(names, key=names.count)!r}. Rename one.")
    measured = any(coupon.uplift is None for coupon in coupons)
    _check_columns(offers, measured)
    known: pd.DataFrame = offers[offers["p_purchase"].notna()].reset_index(drop=True)
    ends = [name for name in MEASURED if measured and name in offers.columns]
    for name in ("p_purchase", *ends):
        values = known[name].to_numpy(np.float64)
        _refuse(~((values >= 0) & (values <= 1)), f"{name} is not in [0, 1]. Give a probability")
    _refuse(~np.isfinite(known["margin"].to_numpy(np.float64)), "margin is not finite. Give an amount of money")
    if len(ends) == 3:
        with_it, low, high = (known[name].to_numpy(np.float64) for name in MEASURED)
        _refuse((low > with_it) | (with_it > high), "p_with does not lie between p_with_lo and p_with_hi. Mend them")
    return known


def _check_columns(offers: Any, measured: bool) -> None:
    if not isinstance(offers, pd.DataFrame):
        raise SchemaError(f"plan_coupons: offers is a {type(offers).__name__}. Use a table with {', '.join(COLUMNS)}.")
    for name in (*COLUMNS, *(["p_with"] if measured else [])):
        if name not in offers.columns:
            hint = did_you_mean(name, [str(column) for column in offers.columns])
            why = " Give coupons without it an uplift." if name == "p_with" else ""
            raise SchemaError(
                f"plan_coupons: offers have no column {name!r}.{hint}{why} They have: {', '.join(map(str, offers))}."
            )
    if ("p_with_lo" in offers.columns) != ("p_with_hi" in offers.columns):
        raise SchemaError("plan_coupons: offers have one of p_with_lo and p_with_hi. Give both, or none.")
    if offers.empty:
        raise DataError("plan_coupons: offers have no rows. Give at least one.")


def _refuse(wrong: NDArray[np.bool_], what: str) -> None:
    rows = np.flatnonzero(wrong)
    if len(rows):
        raise DataError(f"plan_coupons: in {len(rows)} of {len(wrong)} rows, first row {rows[0]}, {what}.")


def _is_number(value: object) -> bool:
    return (
        isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(np.isfinite(float(value)))
    )

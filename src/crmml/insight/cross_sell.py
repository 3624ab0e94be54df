"""Cross-sell: who has bought in one category buys in which other one next, more often than others do."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import false_discovery_control
from sqlglot import exp

from crmml.data.facts import readable
from crmml.data.log import InteractionLog
from crmml.data.sql import is_one_of, is_there, moment, name_of
from crmml.data.steps import EVENTS, chain
from crmml.data.time import AsOf, moment_of, parse_duration, spoken
from crmml.errors import ConfigError, DataError
from crmml.insight.significance import tail
from crmml.metrics.arrays import checked_count

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NORMAL = 1.959963984540054  # 97.5 % of a normal distribution lie below


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class CrossSell:
    """Which category leads to which, and whom to offer what; `print` shows the strongest pairs.

    Attributes:
        pairs: a row for every pair that was found, the proven ones first, then by rate: `from_category`,
            `to_category`; `customers` who had bought in the first and not in the second when the measuring began, the
            `rate` of these who bought in the second within the horizon, `base_rate` of all customers without it;
            `lift` (rate over base rate) with `lift_lo`, `lift_hi` (95 %); `lift_alike`, the same against customers
            with as many categories; `p_value`, `q_value` (corrected for the number of pairs), `proven`.
        as_of: the cutoff; nothing at or after it was seen.
        horizon: how far "next" reaches.
        searched: number of pairs that could have been found.
        false_pairs: the share of false pairs among the proven ones that is allowed.

    >>> import crmml as cm
    >>> found = cm.cross_sell(cm.simulate_log(300, seed=1).log, as_of="2024-12-01", horizon="90d", least=10)
    >>> found.candidates(k=1).columns.tolist()
    ['customer_id', 'as_of', 'to_category', 'from_category', 'rank', 'rate', 'lift']
    """

    pairs: pd.DataFrame
    as_of: pd.Timestamp
    horizon: str
    searched: int
    false_pairs: float
    first: "Firsts"

    def candidates(self, k: int = 3) -> pd.DataFrame:
        """Whom to offer which category as of the cutoff: by proven pairs, to who has bought in one and not the other.

        At most k categories for each customer, by the rate that was measured for the pair; of several pairs that lead
        to one category, the one with the highest rate counts. Columns `customer_id`, `as_of`, `to_category`,
        `from_category`, `rank` (from 1), `rate`, `lift`; by customer, then by rank.

        Raises `ConfigError`: k below 1.
        """
        k = checked_count("CrossSell.candidates", "k", k)
        has = self.first.before(int(self.as_of.value // 1000)).tocsc()
        parts = []
        for pair in self.pairs[self.pairs["proven"]].itertuples():
            one, other = (self.first.categories.get_loc(name) for name in (pair.from_category, pair.to_category))
            rows = np.setdiff1d(has[:, [one]].nonzero()[0], has[:, [other]].nonzero()[0])
            found = {"row": rows, "to_category": pair.to_category, "from_category": pair.from_category}
            parts.append(pd.DataFrame({**found, "rate": pair.rate, "lift": pair.lift}))
        columns = ["row", "to_category", "from_category", "rate", "lift"]
        table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
        order = ["row", "rate", "to_category", "from_category"]
        table = table.sort_values(order, ascending=[True, False, True, True], ignore_index=True)
        table = table.drop_duplicates(["row", "to_category"], ignore_index=True)
        table["rank"] = table.groupby("row").cumcount() + 1
        table = table[table["rank"] <= k].reset_index(drop=True)
        table["customer_id"] = self.first.customers[table["row"].to_numpy(np.int64)]
        table["as_of"] = pd.Series(self.as_of, index=table.index, dtype="datetime64[us, UTC]")
        return table[["customer_id", "as_of", "to_category", "from_category", "rank", "rate", "lift"]]

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        return f"CrossSell({len(self)} pairs, {int(self.pairs['proven'].sum())} proven, as of {spoken(self.as_of)})"

    def __str__(self) -> str:
        proven = self.pairs[self.pairs["proven"]]
        lines = [
            f"{self.searched:,} pairs of categories, {len(self):,} found, {len(proven):,} more than chance as of "
            f"{spoken(self.as_of)} (of these at most {self.false_pairs:.0%} are false)"
        ]
        lines += [
            f"  {row.from_category} -> {row.to_category}: {row.rate:.1%} within {self.horizon}, lift {row.lift:.2f} "
            f"({row.lift_lo:.2f} to {row.lift_hi:.2f}), {row.lift_alike:.2f} among alike"
            for row in proven.head(10).itertuples()
        ]
        return "\n".join(lines)


def cross_sell(
    log: InteractionLog,
    category: str = "category",
    *,
    as_of: AsOf,
    horizon: str,
    event_type: str | None = "purchase",
    least: int = 50,
    false_pairs: float = 0.05,
) -> CrossSell:
    """Which category customers buy in next for the first time, by the categories they have bought in.

    For a pair (A, B) and a moment, the customers count who have bought in A and not in B; the rate is the share of
    them who buy in B within the horizon after it. Pairs are **found** two horizons before the cutoff, where the rate is
    above that of all customers without B, and **measured** one horizon before it, on what was bought from then up to
    the cutoff: the lift is not the best of many, and can be planned with.

    Customers who buy in many categories buy more of everything, so that every pair has a lift above 1. A pair is proven
    where the rate is also higher than that of customers without A and B who have *as many categories*, other ones
    instead of A: one hypergeometric draw for each number of them, and their sum is tested (one-sided), as for
    association rules, and corrected for the number of pairs found (Benjamini and Hochberg).

    Args:
        log: the interactions.
        category: the attribute (or `item_id`) that holds the category of an event; events without one do not count.
        as_of: the cutoff; only events before it, and known before it, are seen.
        horizon: how far "next" reaches.
        event_type: the events that count; None for all.
        least: customers with A and without B below whom a pair is not looked at.
        false_pairs: the share of false pairs allowed among the proven ones, in (0, 1).

    Raises:
        SchemaError: the log lacks the attribute.
        ConfigError: a parameter out of its range.
        DataError: nobody bought in any category two horizons before the cutoff.

    Source: Knott, Hayes and Neslin (2002), Next-product-to-buy models for cross-selling applications, Journal of
    Interactive Marketing 16; Mantel and Haenszel (1959) for tables compared stratum by stratum.

    >>> import crmml as cm
    >>> found = cross_sell(cm.simulate_log(300, seed=1).log, as_of="2024-12-01", horizon="90d", least=10)
    >>> found.pairs.columns.tolist()[:5]
    ['from_category', 'to_category', 'customers', 'rate', 'base_rate']
    """
    where = "cross_sell"
    log.require(category, where)
    if event_type is not None:
        log.require("event_type", where)
    least = checked_count(where, "least", least)
    is_share = isinstance(false_pairs, float | int) and not isinstance(false_pairs, bool)
    if not is_share or not 0 < false_pairs < 1:
        raise ConfigError(f"{where}: false_pairs is {false_pairs!r}. Use a share between 0 and 1, such as 0.05.")
    cutoff, step = moment_of(as_of), parse_duration(horizon, f"{where}: horizon")
    log.require_usable()
    first = _firsts(log, category, event_type, cutoff)
    end = int(cutoff.value // 1000)
    if not first.before(end - 2 * step).nnz:
        start = spoken(cutoff - pd.Timedelta(2 * step, unit="us"))
        raise DataError(
            f"{where}: nobody bought in any {category} before {start}, two horizons before the cutoff. "
            "Use a later as_of or a shorter horizon."
        )
    searched = len(first.categories) * (len(first.categories) - 1)
    table = _measured(first, _found(first, end - 2 * step, end - step, least), end - step, end)
    table["q_value"] = false_discovery_control(table["p_value"].to_numpy()) if len(table) else table["p_value"]
    better = (table["lift"] > 1) & (table["lift_alike"] > 1)
    table["proven"] = (table["q_value"] <= false_pairs) & better
    order = ["proven", "rate", "from_category", "to_category"]
    table = table.sort_values(order, ascending=[False, False, True, True], ignore_index=True)
    return CrossSell(
        pairs=table, as_of=cutoff, horizon=horizon, searched=searched, false_pairs=false_pairs, first=first
    )


@dataclass(frozen=True, eq=False)
class Firsts:
    """When each customer first bought in each category: `row`, `column`, `time` (microseconds), each shape (n,)."""

    customers: "pd.Index[Any]"
    categories: "pd.Index[Any]"
    row: Ints
    column: Ints
    time: Ints

    def before(self, end: int, start: int | None = None) -> csr_array:
        """Who first bought in what before `end` (and not before `start`): ones, shape (customers, categories)."""
        some = self.time < end if start is None else (self.time < end) & (self.time >= start)
        ones = np.ones(int(some.sum()))
        return csr_array((ones, (self.row[some], self.column[some])), shape=(len(self.customers), len(self.categories)))


def _firsts(log: InteractionLog, category: str, event_type: str | None, cutoff: pd.Timestamp) -> Firsts:
    end = moment(cutoff.to_pydatetime())
    wanted = ["customer_id", "timestamp", category]
    conditions: list[exp.Expr] = [is_there(name_of(category)), exp.LT(this=name_of("timestamp"), expression=end)]
    if event_type is not None:
        wanted.append("event_type")
        conditions.append(is_one_of("event_type", [event_type]))
    if log.roles.knows("recorded_at"):
        wanted.append("recorded_at")
        known = exp.Coalesce(this=name_of("recorded_at"), expressions=[name_of("timestamp")])
        conditions.append(exp.LT(this=known, expression=end.copy()))
    keys = [name_of("customer_id"), name_of(category)]
    columns = [
        exp.alias_(name_of("customer_id"), "customer"),
        exp.alias_(name_of(category), "kind"),
        exp.alias_(exp.Min(this=name_of("timestamp")), "first"),
    ]
    query = exp.select(*columns).from_(EVENTS).where(*conditions).group_by(*keys)
    with readable():
        table: pd.DataFrame = log.engine.arrow(chain(log.steps(dict.fromkeys(wanted)), query)).to_pandas()
    row, customers = pd.factorize(table["customer"], sort=True)
    column, categories = pd.factorize(table["kind"], sort=True)
    time = table["first"].to_numpy().astype("datetime64[us]").astype(np.int64)
    return Firsts(pd.Index(customers), pd.Index(categories), row.astype(np.int64), column.astype(np.int64), time)


def _found(first: Firsts, start: int, end: int, least: int) -> list[tuple[int, int]]:
    """The pairs whose rate is above that of everybody without the second."""
    has, new = first.before(start), first.before(end, start)
    # Customers who have something: of others it is not known that they are customers.
    known = np.diff(has.indptr) > 0
    held, bought = np.asarray(has.sum(axis=0)).ravel(), np.asarray(new[known].sum(axis=0)).ravel()
    customers = held[:, None] - (has.T @ has).toarray()
    hits = (has.T @ new).toarray()
    base = bought / np.maximum(known.sum() - held, 1)
    chosen = (customers >= least) & (hits > customers * base)
    return [(int(one), int(other)) for one, other in zip(*np.nonzero(chosen), strict=True) if one != other]


def _measured(first: Firsts, pairs: list[tuple[int, int]], start: int, end: int) -> pd.DataFrame:
    has, new = first.before(start).tocsc(), first.before(end, start).tocsc()
    size = np.asarray(has.sum(axis=1)).ravel().astype(np.int64)
    holds, buys = ({at: _column(matrix, at) for pair in pairs for at in pair} for matrix in (has, new))
    rows = [
        {
            "from_category": first.categories[one],
            "to_category": first.categories[other],
            **_pair(holds[one], (size > 0) & ~holds[other], buys[other], size),
        }
        for one, other in pairs
    ]
    names = ["customers", "rate", "base_rate", "lift", "lift_lo", "lift_hi", "lift_alike", "p_value"]
    return pd.DataFrame(rows, columns=["from_category", "to_category", *names])


def _pair(has: NDArray[np.bool_], open_: NDArray[np.bool_], buys: NDArray[np.bool_], size: Ints) -> dict[str, float]:
    """The measures of one pair. open_: the customers without the second category; size: categories of each."""
    mine, rest = open_ & has, open_ & ~has
    n, m = int(mine.sum()), int(rest.sum())
    hits, others = int((buys & mine).sum()), int((buys & rest).sum())
    length = int(size.max(initial=0)) + 1
    drawn, rows, marked = (np.bincount(size[some], minlength=length) for some in (mine, open_, open_ & buys))
    expected = float((drawn * marked / np.maximum(rows, 1)).sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        lift = np.float64(hits / max(n, 1)) / (np.float64(hits + others) / (n + m))
        low, high = _interval(float(lift), hits, n, others, m)
        return {
            "customers": n,
            "rate": hits / max(n, 1),
            "base_rate": (hits + others) / max(n + m, 1),
            "lift": float(lift),
            "lift_lo": low,
            "lift_hi": high,
            "lift_alike": float(np.float64(hits) / expected),
            "p_value": tail(hits, rows, marked, drawn),
        }


def _interval(lift: float, hits: int, n: int, others: int, m: int) -> tuple[float, float]:
    """95 % of rate / base rate, normal on the logarithm; the base holds the rate's own customers with their share."""
    if not hits or not n:
        return 0.0, float("nan")
    r, q, w = hits / n, others / max(m, 1), n / (n + m)
    base = w * r + (1 - w) * q
    variance = ((1 / r - w / base) ** 2) * r * (1 - r) / n + (((1 - w) / base) ** 2) * q * (1 - q) / max(m, 1)
    reach = float(np.exp(NORMAL * variance**0.5))
    return lift / reach, lift * reach


def _column(matrix: Any, at: int) -> NDArray[np.bool_]:
    found = np.zeros(matrix.shape[0], dtype=bool)
    found[matrix.indices[matrix.indptr[at] : matrix.indptr[at + 1]]] = True
    return found

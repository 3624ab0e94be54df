"""Association rules: what is bought with what, and which of it is more than chance."""

from dataclasses import dataclass
from math import ceil, comb, floor
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from crmml.errors import ConfigError, DataError
from crmml.insight.baskets import Baskets
from crmml.insight.itemsets import Itemset, SizeCounts, frequent_itemsets
from crmml.insight.significance import p_value
from crmml.metrics.arrays import checked_count

Floats: TypeAlias = NDArray[np.float64]

# More sets than these fill the memory, and nobody reads them.
MOST_ITEMSETS = 2_000_000
SMALL = 1e-9  # a share of a whole number of baskets may be off by as much


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class AssociationRules:
    """The rules that `association_rules` found; `print` shows the strongest.

    Attributes:
        table: one row per rule, the proven ones first, then by lift: `antecedent` (tuple of items), `consequent`,
            `baskets` (that hold all of them), `support`, `confidence`, `lift` where the rules were found; the same
            as `baskets_later`, `support_later`, `confidence_later`, `lift_later` in the baskets that were held out
            (NaN where none hold the antecedent); `p_value`; `q_value`, corrected for the number of rules; `proven`.
        itemsets: the frequent itemsets: `items` (tuple), `baskets`, `support`; small sets first.
        searched: number of baskets that the rules were found in.
        held_out: number of baskets that tested them; 0 where they are the same.
        false_rules: the share of false rules among the proven ones that is allowed.

    >>> import crmml as cm
    >>> baskets = cm.Baskets.from_log(cm.simulate_log(200, seed=1).log, event_type="purchase")
    >>> rules = cm.association_rules(baskets, min_support=0.001)
    >>> list(rules.table.columns)[:4]
    ['antecedent', 'consequent', 'baskets', 'support']
    """

    table: pd.DataFrame
    itemsets: pd.DataFrame
    searched: int
    held_out: int
    false_rules: float

    @property
    def proven(self) -> pd.DataFrame:
        """The rules that are more than chance."""
        return self.table[self.table["proven"]].reset_index(drop=True)

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        return f"AssociationRules({len(self)} rules, {len(self.proven)} proven, {len(self.itemsets)} itemsets)"

    def __str__(self) -> str:
        tested = f"tested on {self.held_out:,} others" if self.held_out else "tested on the same ones"
        head = (
            f"{len(self):,} rules found in {self.searched:,} baskets, {tested}: {len(self.proven):,} are more than "
            f"chance\n(of these at most {self.false_rules:.0%} are false)"
        )
        later = "_later" if self.held_out else ""
        lines = [
            f"  {', '.join(map(str, row['antecedent']))} -> {row['consequent']}: confidence "
            f"{row[f'confidence{later}']:.0%}, lift {row[f'lift{later}']:.2f}"
            for row in self.proven.head(10).to_dict("records")
        ]
        return "\n".join([head, *lines])


def association_rules(
    baskets: Baskets,
    *,
    min_support: float = 0.01,
    min_confidence: float = 0.2,
    longest: int | None = 5,
    hold_out: float = 0.3,
    false_rules: float = 0.05,
) -> AssociationRules:
    """Rules "who has these items in the basket also has that one", and which of them are more than chance.

    The rules are found in the earlier baskets and tested on the later ones: `confidence_later` and `lift_later` are
    not the best of many, and can be planned with. `confidence` is the share of the baskets with the antecedent that
    hold the consequent, `lift` is that over the share of all baskets that do.

    A rule is proven where its lift is above 1 and its consequent more frequent than in baskets *of the same size*
    without one item of the antecedent, for each of its items (see `crmml.insight.significance.p_value`), after
    correcting for the number of rules: by Benjamini and Hochberg on baskets held out, so that at most the share
    `false_rules` of the proven rules is false on average. With `hold_out=0` rules are tested on the baskets they were
    found in, and p-values are corrected for every rule that could have been found: each length has an equal part of
    `false_rules`, divided by the number of its possible rules (Webb's layered critical values). Then the chance of any
    false rule is at most `false_rules`.

    Args:
        baskets: what was bought together.
        min_support: the least share of the baskets with all items of a rule, in (0, 1].
        min_confidence: the least confidence, in (0, 1].
        longest: items of a rule at most, with the consequent; None for any number.
        hold_out: share of the baskets to test on, the latest where their time is known; 0 for none.
        false_rules: the share of false rules allowed, in (0, 1).

    Raises:
        ConfigError: a parameter out of its range.
        DataError: there are more than two million frequent itemsets, or a side of the division would be empty.

    Source: Agrawal and Srikant (1994), Fast algorithms for mining association rules; Webb (2007), Discovering
    significant patterns; Benjamini and Hochberg (1995), Controlling the false discovery rate.

    >>> import crmml as cm
    >>> receipts = (["tea", "cup"], ["tea", "cup", "nut"], ["nut", "fig"], ["tea", "fig"]) * 50
    >>> lines = [(number, item) for number, receipt in enumerate(receipts) for item in receipt]
    >>> baskets = cm.Baskets.from_frame(pd.DataFrame(lines, columns=["basket_id", "item_id"]))
    >>> print(cm.association_rules(baskets, min_confidence=0.6, longest=2))
    2 rules found in 140 baskets, tested on 60 others: 2 are more than chance
    (of these at most 5% are false)
      tea -> cup: confidence 60%, lift 1.25
      cup -> tea: confidence 100%, lift 1.25
    """
    longest = None if longest is None else checked_count("association_rules", "longest", longest)
    for name, value in (("min_support", min_support), ("min_confidence", min_confidence)):
        _check(name, value, _is_number(value) and 0 < value <= 1, "a share above 0 and up to 1, such as 0.1")
    _check("hold_out", hold_out, _is_number(hold_out) and 0 <= hold_out < 1, "0, or a share below 1, such as 0.3")
    _check("false_rules", false_rules, _is_number(false_rules) and 0 < false_rules < 1, "a share, such as 0.05")
    search, test = baskets.divided(hold_out) if hold_out else (baskets, baskets)
    counts = _frequent(search, min_support, longest)
    rules = _rules(counts, min_confidence)
    table = _table(rules, counts, search)
    seen = _Seen(test, rules)
    table = pd.concat([table, seen.measured(rules) if hold_out else _nothing_later(len(rules))], axis=1)
    p_values = seen.p_values(rules)
    table["p_value"] = p_values
    frequent = sum(len(itemset) == 1 for itemset in counts)
    table["q_value"] = _discovery(p_values) if hold_out else _layered(p_values, rules, frequent, longest)
    # A lift below 1 can be more than the size of its baskets explains, but says what not to recommend.
    table["proven"] = (table["q_value"] <= false_rules) & (table["lift_later" if hold_out else "lift"] > 1)
    return AssociationRules(
        table=_ordered(table),
        itemsets=_itemsets(counts, search),
        searched=len(search),
        held_out=len(test) if hold_out else 0,
        false_rules=false_rules,
    )


Rule: TypeAlias = tuple[Itemset, int]  # antecedent and consequent, as columns


def _frequent(search: Baskets, min_support: float, longest: int | None) -> dict[Itemset, int]:
    least = max(1, ceil(min_support * len(search) - SMALL))
    try:
        return frequent_itemsets(search.lines, least, longest=longest, most=MOST_ITEMSETS)
    except OverflowError:
        raise DataError(
            f"association_rules: more than {MOST_ITEMSETS:,} itemsets stand in {least:,} or more of {len(search):,} "
            f"baskets. Use a higher min_support, such as {min(1.0, 2 * min_support):g}, or a lower longest."
        ) from None


def _rules(counts: dict[Itemset, int], min_confidence: float) -> list[Rule]:
    found = []
    for itemset, count in counts.items():
        # In whole baskets: 8 of 10 is 80 %, whatever the quotient of two supports says.
        most = floor(count / min_confidence + SMALL)
        for place, item in enumerate(itemset if len(itemset) > 1 else ()):
            antecedent = itemset[:place] + itemset[place + 1 :]
            if counts[antecedent] <= most:
                found.append((antecedent, item))
    return found


def _table(rules: list[Rule], counts: dict[Itemset, int], search: Baskets) -> pd.DataFrame:
    both = np.array([counts[_all(rule)] for rule in rules], dtype=np.int64)
    antecedent = np.array([counts[rule[0]] for rule in rules], dtype=np.int64)
    consequent = np.array([counts[(rule[1],)] for rule in rules], dtype=np.int64)
    names = search.items
    head = pd.DataFrame(
        {
            "antecedent": _named([rule[0] for rule in rules], names),
            "consequent": names[[rule[1] for rule in rules]],
        }
    )
    return pd.concat([head, _measures(both, antecedent, consequent, len(search), "")], axis=1)


def _measures(
    both: NDArray[np.int64], antecedent: NDArray[np.int64], consequent: NDArray[np.int64], baskets: int, ending: str
) -> pd.DataFrame:
    """`baskets`, `support`, `confidence`, `lift` of rules; NaN where a quotient has no denominator."""
    with np.errstate(invalid="ignore", divide="ignore"):
        confidence = both / antecedent
        lift = confidence / (consequent / baskets)
    found = {"baskets": both, "support": both / baskets, "confidence": confidence, "lift": lift}
    return pd.DataFrame({f"{name}{ending}": values for name, values in found.items()})


def _nothing_later(rows: int) -> pd.DataFrame:
    names = ["baskets_later", "support_later", "confidence_later", "lift_later"]
    return pd.DataFrame(np.nan, index=range(rows), columns=names)


class _Seen:
    """What the baskets that test the rules say of them."""

    def __init__(self, test: Baskets, rules: list[Rule]) -> None:
        self._baskets = len(test)
        self._counts = SizeCounts(test.lines, test.sizes)
        whole = {_all(rule) for rule in rules}
        shorter = {part for itemset in whole for part in _shorter(itemset)}
        shortest = {part for itemset in shorter for part in _shorter(itemset)}
        self._counts.count(whole | shorter | shortest | {(rule[1],) for rule in rules})

    def measured(self, rules: list[Rule]) -> pd.DataFrame:
        both, antecedent, consequent = (
            np.array([self._counts.of(itemset).sum() for itemset in column], dtype=np.int64)
            for column in ([_all(rule) for rule in rules], [rule[0] for rule in rules], [(rule[1],) for rule in rules])
        )
        return _measures(both, antecedent, consequent, self._baskets, "_later")

    def p_values(self, rules: list[Rule]) -> Floats:
        return np.array([p_value(*rule, self._counts.of) for rule in rules], dtype=np.float64)


def _all(rule: Rule) -> Itemset:
    return tuple(sorted((*rule[0], rule[1])))


def _shorter(itemset: Itemset) -> list[Itemset]:
    return [itemset[:place] + itemset[place + 1 :] for place in range(len(itemset))]


def _discovery(p_values: Floats) -> Floats:
    return np.asarray(false_discovery_control(np.minimum(p_values, 1.0))) if len(p_values) else p_values


def _layered(p_values: Floats, rules: list[Rule], frequent: int, longest: int | None) -> Floats:
    """p-values times the number of rules of that length that could have been found, and the number of lengths."""
    lengths = np.array([len(rule[0]) + 1 for rule in rules], dtype=np.int64)
    layers = max(1, min(longest or frequent, frequent) - 1)
    possible = {int(n): float(frequent * comb(frequent - 1, int(n) - 1)) for n in set(lengths.tolist())}
    corrected: Floats = p_values * layers * np.array([possible[n] for n in lengths.tolist()])
    return np.minimum(1.0, corrected)


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    """Proven rules first, strong ones first; rules that are equal in both stay in the order of their items."""
    order = np.lexsort((-table["lift"].to_numpy(), ~table["proven"].to_numpy(dtype=bool)))
    return table.iloc[order].reset_index(drop=True)


def _itemsets(counts: dict[Itemset, int], search: Baskets) -> pd.DataFrame:
    baskets = np.array(list(counts.values()), dtype=np.int64)
    items = _named(list(counts), search.items)
    return pd.DataFrame({"items": items, "baskets": baskets, "support": baskets / len(search)})


def _named(itemsets: list[Itemset], names: "pd.Index[Any]") -> pd.Series:
    listed = names.tolist()
    return pd.Series([tuple(listed[item] for item in itemset) for itemset in itemsets], dtype=object)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _check(name: str, value: object, good: bool, wanted: str) -> None:
    if not good:
        raise ConfigError(f"association_rules: {name} is {value!r}. Use {wanted}.")

"""Association rules: the published counts, no false rules on shuffled baskets, and speed beside the peers.

    python benchmarks/baskets.py GROCERIES.parquet                 # receipts (transaction_id, item), as arules has them
    python benchmarks/baskets.py GROCERIES.parquet --shuffles 200  # the share of shuffles with a false rule
    python benchmarks/baskets.py GROCERIES.parquet --copies 100    # the speed on a hundred times the receipts

Peers (mlxtend, pyfim) are measured where they can be imported.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import numpy as np  # noqa: E402  (the root has to be on the path)
import pandas as pd  # noqa: E402
from benchmarks.cost import peak_memory  # noqa: E402
from scipy.sparse import csr_array  # noqa: E402


def main() -> None:
    """Print the counts, the shuffles, the speed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groceries", type=Path)
    parser.add_argument("--shuffles", type=int, default=0)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--only", choices=["crmml", "pyfim", "mlxtend"], help="this contender only")
    given = parser.parse_args()
    lines = pd.read_parquet(given.groceries)[["transaction_id", "item"]]
    if given.shuffles:
        false_rules(lines, given.shuffles)
        return
    table = copied(lines, given.copies)
    baskets = table["transaction_id"].nunique()
    print(f"{baskets:,} baskets, {len(table):,} lines; support .001, confidence .8")
    for name, mine in {"crmml": ours, "pyfim": pyfim, "mlxtend": mlxtend}.items():
        if given.only in (None, name):
            print(cost(name, mine, table))


def cost(name: str, mine: Callable[[pd.DataFrame], tuple[int, int]], table: pd.DataFrame) -> str:
    """One line: what was found, and in which time."""
    start, wall = time.process_time(), time.perf_counter()
    try:
        itemsets, rules = mine(table)
    except ImportError:
        return f"{name:8} is not installed"
    seconds, wall = time.process_time() - start, time.perf_counter() - wall
    memory = peak_memory()
    found = f"{itemsets:,} itemsets, {rules:,} rules with one consequent"
    return f"{name:8} {found}: {seconds:.1f} CPU s, {wall:.1f} s, peak of the process {memory:.2f} GB"


def ours(table: pd.DataFrame) -> tuple[int, int]:
    """With the test of every rule, which the peers do not have."""
    import crmml as cm

    baskets = cm.Baskets.from_frame(table, basket_id="transaction_id", item_id="item")
    found = cm.association_rules(baskets, min_support=0.001, min_confidence=0.8, longest=None, hold_out=0)
    return len(found.itemsets), len(found.table)


def pyfim(table: pd.DataFrame) -> tuple[int, int]:
    """Borgelt's FP-growth in C; its rules are of one consequent."""
    import fim  # type: ignore[import-not-found]

    baskets = table.groupby("transaction_id")["item"].agg(tuple).tolist()
    # Its rules take the support of the antecedent for the rule's: count those of the frequent sets only.
    itemsets = fim.fpgrowth(baskets, supp=0.1, report="a")
    rules = fim.arules(baskets, supp=0.1, conf=80, zmin=2, mode="o", report="a")
    return len(itemsets), len(rules)


def mlxtend(table: pd.DataFrame) -> tuple[int, int]:
    """FP-growth in Python, on a dense table where that fits, else on a sparse one."""
    from mlxtend.frequent_patterns import association_rules, fpgrowth  # type: ignore[import-not-found]

    row, item = pd.factorize(table["transaction_id"])[0], pd.factorize(table["item"])[0]
    matrix = csr_array((np.ones(len(table), dtype=bool), (row, item)))
    dense = matrix.shape[0] * matrix.shape[1] < 500_000_000
    frame = pd.DataFrame(matrix.toarray()) if dense else pd.DataFrame.sparse.from_spmatrix(matrix)
    itemsets = fpgrowth(frame, min_support=0.001)
    rules = association_rules(itemsets, metric="confidence", min_threshold=0.8)
    return len(itemsets), int((rules["consequents"].map(len) == 1).sum())


def copied(lines: pd.DataFrame, copies: int) -> pd.DataFrame:
    """The receipts so many times, a fifth of the items of each copy drawn anew, so that no two are alike."""
    random = np.random.default_rng(0)
    parts = [lines]
    for copy in range(1, copies):
        drawn = random.permutation(lines["item"].to_numpy())
        item = np.where(random.random(len(lines)) < 0.2, drawn, lines["item"])
        ids = lines["transaction_id"] + copy * 1_000_000
        parts.append(pd.DataFrame({"transaction_id": ids, "item": item}))
    return pd.concat(parts, ignore_index=True).drop_duplicates()


def false_rules(lines: pd.DataFrame, shuffles: int) -> None:
    """The share of shuffles with a rule called proven; at most .05 is allowed, as no rule is true there."""
    import crmml as cm

    baskets = cm.Baskets.from_frame(lines, basket_id="transaction_id", item_id="item")
    for way in (sizes_kept, independent):
        for hold_out in (0.3, 0.0):
            random, false, rules, plain = np.random.default_rng(1), 0, 0, 0
            for _ in range(shuffles):
                shuffled = cm.Baskets(baskets.items, way(baskets.lines, random))
                found = cm.association_rules(
                    shuffled, min_support=0.005, min_confidence=0.05, longest=3, hold_out=hold_out
                )
                false, rules = false + (len(found.proven) > 0), rules + len(found)
                plain += int((found.table["p_value"] < 0.05).sum())
            each = f"{rules / shuffles:,.0f} rules found on each, {plain / rules:.1%} of their p-values below .05"
            print(f"{way.__name__:12} hold_out={hold_out}: {false} of {shuffles} shuffles with a false rule ({each})")


def sizes_kept(lines: csr_array, random: np.random.Generator) -> csr_array:
    """The items of all lines shuffled: the popularity of items and the sizes of baskets stay."""
    row = np.repeat(np.arange(lines.shape[0], dtype=np.int64), np.diff(lines.indptr))
    column = lines.indices.astype(np.int64)
    random.shuffle(column)
    while True:  # an item twice in a basket changes places with any other
        place = row * lines.shape[1] + column
        order = np.argsort(place, kind="stable")
        twice = order[1:][np.diff(place[order]) == 0]
        if not len(twice):
            return csr_array((np.ones(len(column), dtype=np.int32), (row, column)), shape=lines.shape)
        for one, other in zip(twice, random.integers(len(column), size=len(twice)), strict=True):
            column[one], column[other] = column[other], column[one]


def independent(lines: csr_array, random: np.random.Generator) -> csr_array:
    """Every item drawn into as many baskets as it was in, whatever these hold: sizes change."""
    totals = np.bincount(lines.indices, minlength=lines.shape[1])
    rows = np.concatenate([random.choice(lines.shape[0], total, replace=False) for total in totals])
    columns = np.repeat(np.arange(lines.shape[1]), totals)
    return csr_array((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=lines.shape)


if __name__ == "__main__":
    main()

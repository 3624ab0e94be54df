"""What became of tags: when customers got and lost them, how many have each, and which go together."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from crmml.data.time import spoken
from crmml.errors import SchemaError
from crmml.insight.assignments import NONE, read_grid
from crmml.insight.tags import KEYS, keyed

OVERLAPS_SHOWN = 10


def tag_history(tagged: "pd.DataFrame | pa.Table") -> pd.DataFrame:
    """When every customer got and lost each value of each tag.

    Days are those of the cutoffs: who got and lost a value between two of them is not seen with it.

    Args:
        tagged: what `TagSet.assign` or `build_tags` gives, as of one or many cutoffs. pandas or Arrow.

    Returns:
        A row per customer, tag and stay, sorted by these: `customer_id`, `tag`, `value`, `got` (the first cutoff with
        it), `lost` (the first without it, or without the customer; NaT where it is there still), `since_before`
        (whether it was there at the first cutoff already, so that `got` may be earlier).

    Raises:
        SchemaError: `customer_id` or `as_of` is missing, or there are no tags.
        DataError: two rows for one customer and cutoff.

    >>> table = pd.DataFrame({"customer_id": [1, 1, 1], "as_of": ["2024-01-01", "2024-02-01", "2024-03-01"],
    ...                       "spender": ["small", "big", None]})
    >>> found = tag_history(table)
    >>> found.assign(got=found["got"].dt.date, lost=found["lost"].dt.date).drop(columns=["customer_id", "tag"])
       value         got        lost  since_before
    0  small  2024-01-01  2024-02-01          True
    1    big  2024-02-01  2024-03-01         False
    """
    frame = keyed(tagged, "tag_history")
    parts = [_stays(frame, tag) for tag in _tags(frame, "tag_history")]
    return pd.concat(parts, ignore_index=True).sort_values(["customer_id", "tag", "got"], ignore_index=True)


def _stays(frame: pd.DataFrame, tag: str) -> pd.DataFrame:
    grid = read_grid(frame[[*KEYS, tag]], tag, "tag_history", least=1)
    n, columns = grid.codes.shape
    begins = np.ones((n, columns), dtype=bool)
    begins[:, 1:] = grid.codes[:, 1:] != grid.codes[:, :-1]
    places = np.flatnonzero(begins)
    row, got, code = places // columns, places % columns, grid.codes.ravel()[places]
    lost = np.append(places[1:], n * columns) - row * columns  # the first cutoff after, in the same row
    named = np.array([name != NONE for name in grid.names] + [False])  # -1, absent, looks at the last
    kept = named[code]
    row, got, lost, code = row[kept], got[kept], lost[kept], code[kept]
    moments = pd.DatetimeIndex([*grid.cutoffs, pd.NaT]).as_unit("us")
    return pd.DataFrame(
        {
            "customer_id": grid.customers[row],
            "tag": tag,
            "value": np.array(grid.names, dtype=object)[code],
            "got": grid.cutoffs[got],
            "lost": moments[lost],
            "since_before": got == 0,
        }
    )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TagReport:
    """How many customers have each value of each tag, and which values go together.

    Attributes:
        coverage: a row per cutoff, tag and value: `as_of`, `tag`, `value`, `customers`, `share` of all customers of
            that cutoff; the value "(none)" where a tag says nothing.
        overlap: as of the last cutoff, a row per pair of values of different tags, the most alike first: `tag`,
            `value`, `other_tag`, `other_value`, `customers` with both, `share_of_value`, `share_of_other` (of those
            with one, who also has the other), `jaccard` (both over either; 1 is the same customers), `lift` (both over
            what independent tags would share).
        per_customer: as of the last cutoff, index the number of tags that say something, `customers` with so many.

    >>> import crmml as cm
    >>> tags = cm.TagSet([cm.Tag("spender", [cm.TagRule("big", where={"sum_amount": cm.AtLeast(500)})])])
    >>> table = pd.DataFrame({"customer_id": [1, 2], "as_of": "2024-06-01", "sum_amount": [700, 20]})
    >>> cm.tag_report(tags.assign(table)).per_customer.to_dict()
    {0: 1, 1: 1}
    """

    coverage: pd.DataFrame
    overlap: pd.DataFrame
    per_customer: pd.Series

    def __str__(self) -> str:
        last = self.coverage["as_of"].max()
        now = self.coverage[(self.coverage["as_of"] == last) & (self.coverage["customers"] > 0)]
        customers = int(self.per_customer.sum())
        without = int(self.per_customer.get(0, 0))
        lines = [f"Tags of {customers:,} customers as of {spoken(last)}; {without:,} have none"]
        lines += now[["tag", "value", "customers", "share"]].to_string(index=False, formatters=_FORMATS).split("\n")
        if len(self.overlap):
            lines += ["", "Values most alike (jaccard: customers with both, of those with either)"]
            names = ["tag", "value", "other_tag", "other_value", "customers", "jaccard", "lift"]
            shown = self.overlap[names].head(OVERLAPS_SHOWN)
            lines += shown.to_string(index=False, formatters=_FORMATS).split("\n")
        return "\n".join(lines)

    __repr__ = __str__


_FORMATS: Any = {"share": "{:.1%}".format, "jaccard": "{:.2f}".format, "lift": "{:.2f}".format}


def tag_report(tagged: "pd.DataFrame | pa.Table") -> TagReport:
    """Coverage and overlap of tags.

    Args:
        tagged: what `TagSet.assign` or `build_tags` gives, as of one or many cutoffs. pandas or Arrow.

    Returns:
        TagReport: coverage by cutoff, overlap and number of tags per customer as of the last.

    Raises:
        SchemaError: `customer_id` or `as_of` is missing, or there are no tags.
        DataError: two rows for one customer and cutoff.

    >>> table = pd.DataFrame({"customer_id": [1, 2, 3, 4], "as_of": "2024-01-01",
    ...                       "spender": ["big", "big", "small", None], "vip": ["yes", None, None, None]})
    >>> print(tag_report(table))
    Tags of 4 customers as of 2024-01-01; 1 have none
        tag  value  customers share
    spender    big          2 50.0%
    spender  small          1 25.0%
    spender (none)          1 25.0%
        vip    yes          1 25.0%
        vip (none)          3 75.0%
    <BLANKLINE>
    Values most alike (jaccard: customers with both, of those with either)
        tag value other_tag other_value  customers jaccard lift
    spender   big       vip         yes          1    0.50 2.00
    """
    frame = keyed(tagged, "tag_report")
    tags = _tags(frame, "tag_report")
    grids = {tag: read_grid(frame[[*KEYS, tag]], tag, "tag_report", least=1) for tag in tags}
    coverage = []
    for tag, grid in grids.items():
        for column, cutoff in enumerate(grid.cutoffs):
            there = grid.codes[:, column]
            customers = np.bincount(there[there >= 0], minlength=len(grid.names))
            part = {"as_of": cutoff, "tag": tag, "value": list(grid.names), "customers": customers}
            coverage.append(pd.DataFrame({**part, "share": customers / customers.sum()}))
    order = {tag: number for number, tag in enumerate(tags)}
    table = pd.concat(coverage, ignore_index=True)
    table = table.iloc[np.lexsort((table["tag"].map(order), table["as_of"]))].reset_index(drop=True)
    present = next(iter(grids.values())).codes[:, -1] >= 0
    now = {tag: _named(grid.codes[present, -1], grid.names) for tag, grid in grids.items()}
    has = np.sum([codes >= 0 for codes, _ in now.values()], axis=0)
    counted = pd.Series(np.bincount(has, minlength=len(tags) + 1), name="customers").rename_axis("tags")
    return TagReport(coverage=table, overlap=_overlap(now), per_customer=counted)


Named = tuple[NDArray[np.int64], list[str]]


def _named(codes: NDArray[np.int16], names: tuple[str, ...]) -> Named:
    """The positions of values, -1 where a tag says nothing; and the values."""
    nothing = len(names) - 1 if names[-1] == NONE else len(names)
    return np.where(codes < nothing, codes, -1).astype(np.int64), list(names[:nothing])


def _overlap(now: dict[str, Named]) -> pd.DataFrame:
    """The pairs of values of different tags that some customer has both of."""
    rows = []
    for (tag, (codes, values)), (other, (others, other_values)) in combinations(now.items(), 2):
        shape = (len(values) + 1, len(other_values) + 1)
        # The last row and column are for customers without a value.
        both = np.bincount(codes % shape[0] * shape[1] + others % shape[1], minlength=shape[0] * shape[1])
        table = both.reshape(shape)
        of_value, of_other, customers = table.sum(axis=1), table.sum(axis=0), len(codes)
        for i, j in zip(*np.nonzero(table[:-1, :-1]), strict=True):
            n, a, b = int(table[i, j]), int(of_value[i]), int(of_other[j])
            rows.append(
                (tag, values[i], other, other_values[j], n, n / a, n / b, n / (a + b - n), n * customers / a / b)
            )
    names = ["tag", "value", "other_tag", "other_value", "customers"]
    found = pd.DataFrame(rows, columns=[*names, "share_of_value", "share_of_other", "jaccard", "lift"])
    return found.sort_values("jaccard", ascending=False, kind="stable", ignore_index=True)


def _tags(frame: pd.DataFrame, where: str) -> list[str]:
    """The columns of tags.

    Raises:
        SchemaError: there are none.
    """
    tags = [str(name) for name in frame.columns if name not in KEYS]
    if not tags:
        raise SchemaError(f"{where}: the table has no tags. Give what TagSet([...]).assign(table) returns.")
    return tags

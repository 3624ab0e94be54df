"""What sets segments apart: their size, their worth, their columns against everybody else's, in words and numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from sklearn.base import clone, is_clusterer

from crmml.errors import ConfigError
from crmml.insight import effects as ranks
from crmml.insight.profile_input import Floats, Profiled, read_input
from crmml.insight.profile_text import mentioned, profile_lines, suggested_names

Names: TypeAlias = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class SegmentProfiles:
    """What `profile_segments` found; `print` says it in words.

    Attributes:
        segments: one row per segment: `segment`, `name` (suggested), `customers`, `share`, and, where a value was
            given, `value` (the sum), `share_of_value`, `value_per_customer`, `index` (share_of_value / share).
        effects: one row per segment and column: `segment`, `column`, `typical` and `typical_rest` (the median; the
            share of 1 where a column is `yes_no`), `known` (rows with a value), `effect` (Cliff's delta against the
            rest, -1 to 1), `made_segments`, `p_value`, `q_value`, `proven`.
        columns: one row per column: `column`, `made_segments`, and of the columns that made the segments, where they
            were tested again, `p_value`, `q_value`, `proven`: whether segments found without it differ in it, too.
        examples: customers near the centre of each segment, ids only.
        false_findings: the share of the findings that may be false.
        words: what columns are called in the text.

    >>> table = pd.DataFrame({"visits": [1.0, 2, 1, 9, 8], "spend": [5.0, 0, 1, 40, 54]})
    >>> profiles = profile_segments(table, ["a", "a", "a", "b", "b"], value="spend")
    >>> profiles.segments[["segment", "customers", "share_of_value"]].values.tolist()
    [['a', 3, 0.06], ['b', 2, 0.94]]
    """

    segments: pd.DataFrame
    effects: pd.DataFrame
    columns: pd.DataFrame
    examples: Mapping[str, tuple[Any, ...]]
    false_findings: float
    words: Mapping[str, str]

    def table(self) -> pd.DataFrame:
        """One row per segment, to be shown: `segments`, with `apart` (what sets it apart, in words) and `examples`."""
        apart = ["; ".join(mentioned(self, segment)) or "nothing that is known" for segment in self.segments["segment"]]
        examples = [self.examples[segment] for segment in self.segments["segment"]]
        return self.segments.assign(apart=apart, examples=pd.Series(examples))

    @property
    def findings(self) -> pd.DataFrame:
        """The rows of `effects` that are proven: more than chance, in columns that did not make the segments."""
        return self.effects[self.effects["proven"]].reset_index(drop=True)

    def __repr__(self) -> str:
        return f"SegmentProfiles({len(self.segments)} segments, {len(self.columns)} columns)"

    def __str__(self) -> str:
        return "\n".join(profile_lines(self))


def profile_segments(
    table: pd.DataFrame,
    segments: Any,
    *,
    value: Any = None,
    made_from: Sequence[str] | None = None,
    retest: bool = False,
    names: Names | None = None,
    words: Mapping[str, str] | None = None,
    false_findings: float = 0.05,
    examples: int = 3,
) -> SegmentProfiles:
    """Describe segments: how large, what they are worth, and in which columns they differ from everybody else.

    The difference is Cliff's delta, the chance that a member's value is higher than another customer's, minus the
    chance that it is lower: 0.147 is small, 0.33 medium, 0.474 large (Romano and others, 2006). Whether it is more
    than chance is tested by Mann and Whitney's test, and corrected for the number of segments times columns by
    Benjamini and Hochberg.

    **A column that made the segments is described, not tested.** Groups formed by a column differ in it, whatever the
    data: also in noise, and on other customers just as well. So p-values are given only for columns outside
    `made_from`, and without a word of yours every column of the table counts as used. `retest=True` asks the question
    about the others, too, in a form that has an answer: a column is left out, the segments are found again without it
    (from the same rows, by a clone of the model), and it is tested whether these differ in the column (Kruskal and
    Wallis). Where the columns have nothing to do with each other, they do not.

    A column with missing values has a second one, "... is missing" (1 or 0): who never bought has no recency.

    Args:
        table: numbers, one row per customer, as of one cutoff; shape (customers, columns).
        segments: the segment of each row as a list, an array or a Series with the index of the table; or a fitted
            model, such as a `BehaviourSegmenter`, whose columns the table has.
        value: what a customer is worth, such as the revenue of a year: the name of a column, or one number per row.
        made_from: the columns that the segments were made from: `()` for none of them. Left out: all columns of the
            table, or those of the model.
        retest: test the columns that made the segments as described above; needs a fitted clustering model.
        names: names to suggest, the first match wins: `{"Champions": {"recency": "low", "monetary": "high"}}`. A
            column is high or low where its effect is at least medium. Who matches none is named by the strongest
            effects.
        words: what columns are called in the text, by column.
        false_findings: the share of the findings that may be false, in (0, 1).
        examples: how many customers near the centre to name, by their ids in the index. Near: by ranks in all columns.

    Raises:
        ConfigError: a parameter is out of its range, or names a column that is not there.
        SchemaError: the table is no table of numbers, or has no rows; the indexes of table and segments differ.
        DataError: a customer has several rows or no segment; an infinite number; a value whose sum is not above 0.

    Source: Cliff (1993), Dominance statistics; Benjamini and Hochberg (1995), Controlling the false discovery rate;
    that clustering invalidates tests: Gao, Bien and Witten (2024), Selective inference for hierarchical clustering.

    >>> table = pd.DataFrame({"visits": [1.0] * 30 + [9.0] * 20, "age": [30.0, 40.0] * 25})
    >>> print(profile_segments(table, ["few"] * 30 + ["many"] * 20, made_from=["visits"]))
    2 segments of 50 customers; 1 column made them (described, not tested); 1 tested: 0 findings, of
    which at most 5 % are false
    <BLANKLINE>
    few: 30 customers (60 %)
      suggested name: low visits
      visits much lower: median 1, of the rest 9 (effect -1.00)
      near the centre: 0, 1, 2
    <BLANKLINE>
    many: 20 customers (40 %)
      suggested name: high visits
      visits much higher: median 9, of the rest 1 (effect +1.00)
      near the centre: 30, 31, 32
    """
    if isinstance(false_findings, bool) or not 0 < false_findings < 1:
        raise ConfigError(f"profile_segments: false_findings is {false_findings!r}. Use a share, such as 0.05.")
    if isinstance(examples, bool) or not isinstance(examples, int) or examples < 0:
        raise ConfigError(f"profile_segments: examples is {examples!r}. Use a whole number, such as examples=3.")
    read = read_input(table, segments, value, made_from, names)
    measured = _measured(read)
    again = _found_again(read, segments) if retest else {}
    effects, columns = _corrected(measured.effects, read, again, false_findings)
    summary = _summary(read)
    profiles = SegmentProfiles(
        segments=summary,
        effects=effects,
        columns=columns,
        examples=_near(read, measured.distances, examples),
        false_findings=false_findings,
        words=dict(words or {}),
    )
    suggested = suggested_names(profiles, names or {})
    return SegmentProfiles(**{**vars(profiles), "segments": _with_names(summary, suggested)})


class _Measured(NamedTuple):
    """The effects of all columns, column by column; and how far every row is from the centre of its segment."""

    effects: pd.DataFrame
    distances: Floats


def _measured(read: Profiled) -> _Measured:
    """One pass over the columns: the ranks of one are in memory at a time."""
    count = len(read.names)
    sizes = np.bincount(read.codes, minlength=count)
    parts, distances = [], np.zeros(len(read.codes))
    for name, values in read.columns():
        column = ranks.ranked(values)
        made = read.origin[name] in read.made_from
        yes_no = bool(np.isin(column.values, (0.0, 1.0)).all())
        delta, p = ranks.deltas(column, read.codes, count)
        own, rest, known = ranks.typical(column, read.codes, count, yes_no=yes_no)
        part = {"segment": read.names, "column": name, "typical": own, "typical_rest": rest, "yes_no": yes_no}
        part |= {"known": known, "effect": delta, "made_segments": made, "p_value": np.nan if made else p}
        parts.append(pd.DataFrame(part))
        place = np.full(len(values), 0.5)  # unknown: in the middle
        place[column.order] = (column.ranks - 0.5) / max(len(column.ranks), 1)
        centre = np.bincount(read.codes, weights=place, minlength=count) / sizes
        distances += (place - centre[read.codes]) ** 2
    table = pd.concat(parts, ignore_index=True)
    by_segment = np.argsort(np.tile(np.arange(count), len(parts)), kind="stable")
    return _Measured(table.iloc[by_segment].reset_index(drop=True), distances)


def _found_again(read: Profiled, model: Any) -> dict[str, float]:
    """For each column that made the segments: the p-value that segments found without it do not differ in it."""
    kind = type(model).__name__
    if not hasattr(model, "segment") or not is_clusterer(model):
        raise ConfigError(
            f"profile_segments: retest=True needs a fitted clustering model that can be fitted again, and segments is "
            f"a {kind}. Use segments=BehaviourSegmenter().fit(table), or retest=False."
        )
    used = list(read.made_from)
    if len(used) < 2:
        raise ConfigError(
            f"profile_segments: retest=True finds the segments again without one of their columns, and {kind} "
            f"has only {used[0]!r}. Use retest=False."
        )
    p_values = {}
    for left_out in used:
        rest = read.table[[name for name in used if name != left_out]]
        found, _ = pd.factorize(np.asarray(clone(model).fit(rest).segment(rest)))
        again, groups = found.astype(np.int64), int(found.max()) + 1
        for name, values in read.columns():
            if read.origin[name] == left_out:
                p_values[name] = ranks.any_difference(ranks.ranked(values), again, groups)
    return p_values


def _corrected(
    effects: pd.DataFrame, read: Profiled, again: Mapping[str, float], level: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All tests are one family: those of segments and columns, and those of columns that were left out."""
    columns = pd.DataFrame({"column": list(read.origin)})
    columns["made_segments"] = [origin in read.made_from for origin in read.origin.values()]
    columns["p_value"] = [again.get(name, np.nan) for name in read.origin]
    q_values = ranks.discoveries(np.concatenate([effects["p_value"], columns["p_value"]]))
    for part, q in ((effects, q_values[: len(effects)]), (columns, q_values[len(effects) :])):
        part["q_value"] = q
        part["proven"] = q <= level
    return effects, columns


def _summary(read: Profiled) -> pd.DataFrame:
    customers = np.bincount(read.codes, minlength=len(read.names))
    table = pd.DataFrame({"segment": read.names, "customers": customers, "share": customers / len(read.codes)})
    if read.value is not None:
        table["value"] = np.bincount(read.codes, weights=read.value, minlength=len(read.names))
        table["share_of_value"] = table["value"] / table["value"].sum()
        table["value_per_customer"] = table["value"] / table["customers"]
        table["index"] = table["share_of_value"] / table["share"]
    return table


def _near(read: Profiled, distances: Floats, count: int) -> dict[str, tuple[Any, ...]]:
    """The customers nearest to the mean rank of their segment; of equally near ones the first rows."""
    found = {}
    for code, name in enumerate(read.names):
        rows = np.flatnonzero(read.codes == code)
        nearest = rows[np.argsort(distances[rows], kind="stable")[:count]]
        found[name] = tuple(read.ids[row] for row in nearest)
    return found


def _with_names(summary: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    named = summary.copy()
    named.insert(1, "name", list(names))
    return named

"""Profiles in words: what is said of a segment, and the name that is suggested for it."""

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from crmml.insight.effects import MEDIUM, NEGLIGIBLE, SMALL

if TYPE_CHECKING:
    from crmml.insight.profiles import SegmentProfiles

_WIDTH = 99
_MOST_SAID = 5  # columns of a segment, in the text
_IN_A_NAME = 2


def profile_lines(profiles: "SegmentProfiles") -> list[str]:
    """The lines of `print(profiles)`."""
    lines = textwrap.wrap(_head(profiles), _WIDTH)
    if len(profiles.segments) == 1:
        return [*lines, "One segment: there is nothing to compare it with."]
    for row in profiles.segments.to_dict("records"):
        segment = row["segment"]
        said = mentioned(profiles, segment) or ["nothing that is known sets it apart"]
        lines += ["", _about(row), f"  suggested name: {row['name']}", *(f"  {line}" for line in said)]
        if profiles.examples[segment]:
            lines.append(f"  near the centre: {', '.join(map(str, profiles.examples[segment]))}")
    return lines


def mentioned(profiles: "SegmentProfiles", segment: str) -> list[str]:
    """What sets a segment apart, the strongest first: columns proven, or known because they made the segments."""
    rows = _strong(profiles, segment, NEGLIGIBLE).head(_MOST_SAID)
    return [_sentence(row, profiles.words) for row in rows.to_dict("records")]


def suggested_names(profiles: "SegmentProfiles", rules: Mapping[str, Mapping[str, str]]) -> list[str]:
    """A name per segment: of the first rule that matches, else of its strongest effects; none twice."""
    names: list[str] = []
    for segment in profiles.segments["segment"]:
        strong = _strong(profiles, segment, SMALL)
        levels = {row["column"]: "high" if row["effect"] > 0 else "low" for row in strong.to_dict("records")}
        matching = [name for name, rule in rules.items() if all(levels.get(c) == level for c, level in rule.items())]
        name = matching[0] if matching else _described(levels, profiles.words, names)
        names.append(name if name not in names else f"{name} ({segment})")
    return names


def _described(levels: Mapping[str, str], words: Mapping[str, str], taken: list[str]) -> str:
    """The two strongest columns, and as many more as it takes to differ from names that are taken."""
    parts = [f"{level} {words.get(column, column)}" for column, level in levels.items()]
    for count in range(_IN_A_NAME, len(parts)):
        name = ", ".join(parts[:count])
        if name not in taken:
            return name
    return ", ".join(parts) or "like all others"


def _strong(profiles: "SegmentProfiles", segment: str, least: float) -> pd.DataFrame:
    mine = profiles.effects[profiles.effects["segment"] == segment]
    sayable = mine[(mine["proven"] | mine["made_segments"]) & (mine["effect"].abs() >= least)]
    return sayable.sort_values("effect", key=lambda effect: -effect.abs(), kind="stable")


def _head(profiles: "SegmentProfiles") -> str:
    columns, segments = profiles.columns, profiles.segments
    made = int(columns["made_segments"].sum())
    tested = len(columns) - made
    text = f"{_count(len(segments), 'segment')} of {segments['customers'].sum():,} customers"
    if made:
        text += f"; {_count(made, 'column')} made them (described, not tested)"
        again = columns[columns["p_value"].notna()]
        if len(again):
            text = text.removesuffix(", not tested)") + ")"
            found = ", ".join(again.loc[again["proven"], "column"].map(lambda name: profiles.words.get(name, name)))
            text += f"; segments found without the column differ in it, too: {found or 'in no case'}"
    if tested:
        count = _count(len(profiles.findings), "finding")
        most = f"{100 * profiles.false_findings:g} %"
        text += f"; {tested} tested: {count}, of which at most {most} are false"
    return text


def _about(row: Mapping[Any, Any]) -> str:
    text = f"{row['segment']}: {_count(row['customers'], 'customer')} ({100 * row['share']:.0f} %)"
    if "share_of_value" in row:
        text += f", {100 * row['share_of_value']:.0f} % of the value, {row['index']:.2g} times the average each"
    return text


def _sentence(row: Mapping[Any, Any], words: Mapping[str, str]) -> str:
    size = abs(row["effect"])
    how = "much " if size >= MEDIUM else "" if size >= SMALL else "somewhat "
    how += "higher" if row["effect"] > 0 else "lower"
    column = words.get(row["column"], row["column"])
    if row["yes_no"]:
        numbers = f"{100 * row['typical']:.0f} %, of the rest {100 * row['typical_rest']:.0f} %"
    else:
        numbers = f"median {_number(row['typical'])}, of the rest {_number(row['typical_rest'])}"
    return f"{column} {how}: {numbers} (effect {row['effect']:+.2f})"


def _number(value: float) -> str:
    """As people read it: three digits below a hundred, none after the point above.

    >>> _number(1234.5), _number(0.12345), _number(9.0)
    ('1,234', '0.123', '9')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"

"""The history of tags, their coverage and overlap, against small tables counted by hand."""

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crmml as cm

DATES = ["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"]
MOMENTS = [pd.Timestamp(date, tz="UTC") for date in DATES]


def tagged(**paths: str) -> pd.DataFrame:
    """The value of the tag "x" at each date: a letter, a hyphen for none, a dot for absence."""
    rows = [
        (customer, DATES[step], None if letter == "-" else letter)
        for customer, path in paths.items()
        for step, letter in enumerate(path)
        if letter != "."
    ]
    return pd.DataFrame(rows, columns=["customer_id", "as_of", "x"])


def stays(path: str) -> list[tuple[str, int, int | None, bool]]:
    """Value, first place, first place without it (None: still there), whether from the start."""
    found, place = [], 0
    while place < len(path):
        end = place
        while end < len(path) and path[end] == path[place]:
            end += 1
        if path[place] not in ".-":
            found.append((path[place], place, end if end < len(path) else None, place == 0))
        place = end
    return found


@settings(max_examples=20)
@given(st.lists(st.text("ab-.", min_size=4, max_size=4), min_size=1, max_size=5))
def test_history_says_when_a_tag_was_got_and_lost(paths: list[str]) -> None:
    # One more customer, so that every date is in the table, and every value occurs.
    customers = {"always": "abab", **{f"c{number}": path for number, path in enumerate(paths)}}
    found = cm.tag_history(tagged(**customers).sample(frac=1, random_state=0))
    expected = [
        (customer, "x", value, MOMENTS[got], None if lost is None else MOMENTS[lost], before)
        for customer, path in sorted(customers.items())
        for value, got, lost, before in stays(path)
    ]
    shown = found.astype(object).where(found.notna(), None)
    assert [tuple(row) for row in shown.to_numpy().tolist()] == expected


def test_several_tags_have_a_history_each() -> None:
    table = tagged(anna="ab").assign(y=["p", "p"])
    assert cm.tag_history(table)[["tag", "value"]].to_numpy().tolist() == [["x", "a"], ["x", "b"], ["y", "p"]]


LAST = pd.DataFrame(
    {
        "customer_id": range(8),
        "as_of": "2024-02-01",
        "x": pd.Categorical(["a", "a", "a", "a", "b", "b", None, None], categories=["b", "a", "never"]),
        "y": ["p", "p", "p", None, "p", None, None, "q"],
    }
)


def test_coverage_and_overlap() -> None:
    before = LAST.assign(as_of="2024-01-01", x="a", y=None)
    report = cm.tag_report(pd.concat([before, LAST]))
    now = report.coverage[report.coverage["as_of"] == MOMENTS[1]].set_index(["tag", "value"])
    assert now["customers"].to_dict() == {
        ("x", "a"): 4, ("x", "b"): 2, ("x", "(none)"): 2, ("y", "p"): 4, ("y", "q"): 1, ("y", "(none)"): 3,
    }  # fmt: skip
    assert now.loc[("x", "a"), "share"] == 4 / 8
    assert report.per_customer.to_dict() == {0: 1, 1: 3, 2: 4}
    pairs = report.overlap.set_index(["value", "other_value"])
    assert pairs["customers"].to_dict() == {("a", "p"): 3, ("b", "p"): 1}
    first = report.overlap.to_dict("records")[0]  # the most alike: a and p
    assert first["share_of_value"] == 3 / 4
    assert first["share_of_other"] == 3 / 4
    assert first["jaccard"] == 3 / 5  # four have a, four p, three both
    assert first["lift"] == 3 * 8 / (4 * 4)


def test_who_is_gone_does_not_count_as_without_tags() -> None:
    report = cm.tag_report(tagged(anna="aa", ben="a."))
    assert report.per_customer.to_dict() == {0: 0, 1: 1}
    now = report.coverage[report.coverage["as_of"] == MOMENTS[1]]
    assert now["share"].tolist() == [1.0]


def test_a_tag_that_nobody_has_is_reported_as_such() -> None:
    report = cm.tag_report(tagged(anna="--", ben="--"))
    assert report.coverage["value"].unique().tolist() == ["(none)"]
    assert report.overlap.empty
    assert cm.tag_history(tagged(anna="--")).empty


@pytest.mark.parametrize("job", [cm.tag_history, cm.tag_report])
def test_a_table_without_tags_is_refused(job: Any) -> None:
    with pytest.raises(cm.SchemaError) as caught:
        job(LAST[["customer_id", "as_of"]])
    where = job.__name__
    assert str(caught.value) == f"{where}: the table has no tags. Give what TagSet([...]).assign(table) returns."

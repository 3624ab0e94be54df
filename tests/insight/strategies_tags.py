"""Hypothesis strategies: tags, conditions and lifecycles of every kind."""

from typing import Any

from hypothesis import strategies as st

import crmml as cm

words = st.text(min_size=1) | st.sampled_from(["big", "NO", "012", "dict", "Count", "o'brien", "🛒"])
names = words.filter(lambda name: name not in ("customer_id", "as_of"))
numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
values = words | numbers | st.lists(words, min_size=1, max_size=3) | st.lists(numbers, min_size=1, max_size=3)
bounds = {name: st.builds(getattr(cm, name), numbers) for name in ("AtLeast", "Above", "AtMost", "Below")}
ranges = st.tuples(numbers, numbers).filter(lambda pair: pair[0] < pair[1])
plain = {**bounds, "Between": ranges.map(lambda pair: cm.Between(*pair)), "Missing": st.just(cm.Missing())}
conditions = {**plain, "Not": st.builds(cm.Not, st.one_of(values, *plain.values()))}
# Of a tag's own values, only those that it has may be asked for: the names of columns here are none of the tags'.
columns = st.sampled_from(["recency", "sum of amount", "Count", "dict"])
wheres = st.dictionaries(columns, st.one_of(values, *conditions.values()), min_size=1, max_size=3)
rules = st.builds(cm.TagRule, words, wheres)
tag = st.builds(cm.Tag, names.map(lambda name: f"tag {name}"), st.lists(rules, min_size=1, max_size=3))
durations = st.sampled_from(["1d", "30d", "8w", "48h"])

definitions: dict[str, st.SearchStrategy[Any]] = {
    **conditions,
    "TagRule": rules | st.builds(cm.TagRule, words),
    "Tag": tag,
    "TagSet": st.builds(cm.TagSet, st.lists(tag, min_size=1, max_size=3, unique_by=lambda each: each.name)),
    "Lifecycle": st.builds(
        cm.Lifecycle,
        durations,
        event_type=st.none() | words | st.lists(words, min_size=1, max_size=2),
        late_after=st.floats(0.1, 5),
        lost_after=st.floats(5.1, 50),
        settled_after=st.integers(2, 9),
        established_after=st.integers(2, 9),
        declining_below=st.floats(0.5, 0.9),
        lost_below=st.floats(0.01, 0.4),
    ),
}

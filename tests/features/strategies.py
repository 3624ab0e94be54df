"""Hypothesis strategies: small logs whose times lie on and one microsecond around every boundary there is.

A log that is random in time never has an event exactly at the cutoff. Here half of all times are a boundary
(a cutoff, a cutoff minus a window, an edge between two periods of a trend, the end of a horizon) plus -1, 0 or
+1 microseconds, and times are drawn from a short list, so that several events of a customer are simultaneous.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from random import Random
from typing import Any

import pandas as pd
import pyarrow as pa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import crmml as cm
from tests.features.oracle_rows import DAY, Row, duration
from tests.features.strategies_rhythm import OWN_RHYTHM, cutoff_calendars

EPOCH = int(datetime(2024, 3, 10, tzinfo=UTC).timestamp()) * 1_000_000  # the first cutoff; no zone changes its clock
WINDOWS = ("3d", "1w", "36h", "90m", "45s")
PERIODS = (2, 3, 6, 7)
HORIZON = "2d"
CUTOFF_STEPS = (0, 1, 45_000_000, DAY, duration("3d"), duration("1w"))

# Names that break a text pasted together: quotes, comments, a null in disguise, emptiness, other scripts.
EVIL = (
    "o'brien",
    '"quoted"',
    "'; DROP TABLE log; --",
    "a b/* */c",
    "",
    "NULL",
    "naïve Straße",
    "🛒🇩🇪",
    "购买",
    "%_\\",
    "{x}$y`z",
    "line\nbreak",
)
EVENT_TYPES = ("purchase", "view", "return", *EVIL[:3], "🛒🇩🇪")
CHANNELS = ("web", "shop", "", "o'brien")
PLANS = ("free", "gold", "a b/* */c", "")
ITEMS = ("a", "b", "c", "🛒🇩🇪")
# 3/128 = 0.0234375 lies half-way between two amounts of 6 decimals.
AMOUNTS = (0.0, 1.0, -1.0, 19.99, 0.000001, 3 / 128, -3 / 128, -250.25, 2_500_000.0, 9_876_543_210.5)
CUSTOMERS = {"int": (1, 2, -7, 2**53 + 1), "str": ("1", "anna", "'; DROP TABLE log; --", "🛒🇩🇪", "", "NULL")}
NEWCOMERS = {"int": (100,), "str": ("newcomer",)}
# How the columns of the test log are called, and the Arrow type of each.
COLUMNS = {
    "customer_id": "who",
    "timestamp": "at",
    "event_type": "kind",
    "item_id": "sku",
    "amount": "revenue",
    "quantity": "units",
    "channel": "source",
    "recorded_at": "known",
    "plan": "plan",
}
ROLES = {role: column for role, column in COLUMNS.items() if role != "plan"}
UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")


def budget(usual: int, property_run: int) -> settings:
    """How many examples the usual run tries, and how many `make property`: an example here is a query or two."""
    many = settings.default is not None and settings.default.max_examples > 100
    return settings(max_examples=property_run if many else usual)


def boundaries(cutoffs: Iterable[int]) -> list[int]:
    """Every time at which something changes side, for these cutoffs."""
    found = set()
    for cutoff in cutoffs:
        found |= {cutoff, cutoff + duration(HORIZON), cutoff + duration("1d"), cutoff + duration("3d")}
        for window in WINDOWS:
            length = duration(window)
            edges = {k * length // n for n in PERIODS if length % n == 0 for k in range(n + 1)}
            found |= {cutoff - length + edge for edge in edges}
    return sorted(found)


def some_cutoffs() -> SearchStrategy[list[int]]:
    """One to three cutoffs, sometimes only a microsecond apart."""
    steps = st.lists(st.sampled_from(CUTOFF_STEPS), min_size=1, max_size=3, unique=True)
    return steps.map(lambda chosen: sorted(EPOCH + step for step in chosen))


def times(cutoffs: list[int]) -> SearchStrategy[int]:
    """Times on a boundary, a microsecond beside it, or anywhere in the two weeks around the cutoffs."""
    edges = st.builds(lambda edge, step: edge + step, st.sampled_from(boundaries(cutoffs)), st.integers(-1, 1))
    return st.one_of(edges, edges, st.integers(cutoffs[0] - duration("10d"), cutoffs[-1] + duration("4d")))


def optional(values: Iterable[Any]) -> SearchStrategy[Any]:
    return st.one_of(st.sampled_from(tuple(values)), st.sampled_from(tuple(values)), st.none())


def row_of(customers: SearchStrategy[Any], at: SearchStrategy[int], recorded: SearchStrategy[Any]) -> Any:
    """One row: whose it is, its time and when it became known are given, everything else is drawn."""
    return st.fixed_dictionaries(
        {
            "customer_id": customers,
            "timestamp": at,
            "event_type": st.one_of(st.sampled_from(EVENT_TYPES[:2]), optional(EVENT_TYPES)),
            "item_id": optional(ITEMS),
            "amount": st.one_of(optional(AMOUNTS), st.integers(-(10**9), 10**9).map(lambda n: n / 10_000)),
            "quantity": optional((1, 2, 3, -1)),
            "channel": optional(CHANNELS),
            "recorded_at": recorded,
            "plan": optional(PLANS),
        }
    )


@st.composite
def logs(draw: st.DrawFn, cutoffs: list[int], max_rows: int = 24, kind: str | None = None) -> list[Row]:
    """The rows of a small log with ties in time, missing values and several customers and event types."""
    ids = CUSTOMERS[kind or draw(st.sampled_from(sorted(CUSTOMERS)))]
    who = st.sampled_from(ids[: draw(st.integers(1, len(ids)))])
    pool = st.sampled_from(draw(st.lists(times(cutoffs), min_size=1, max_size=max_rows)))
    late = st.builds(lambda cutoff, step: cutoff + step, st.sampled_from(cutoffs), st.integers(-1, 1))
    recorded = st.one_of(st.none(), st.none(), late, pool)
    return draw(st.lists(row_of(who, pool, recorded), min_size=1, max_size=max_rows))


@st.composite
def several_logs(draw: st.DrawFn, cutoffs: list[int], of: int) -> list[Row]:
    """The rows of `of` logs in one: every log has customers of its own, so one query tests them all."""
    kind = draw(st.sampled_from(sorted(CUSTOMERS)))
    parts = [draw(logs(cutoffs, kind=kind)) for _ in range(of)]
    return [
        {**row, "customer_id": of_log(row["customer_id"], number)} for number, part in enumerate(parts) for row in part
    ]


def of_log(who: Any, number: int) -> Any:
    """The customer under another id, and under the same in the first log."""
    if isinstance(who, str):
        return f"{who}/{number}" if number else who
    return who + 1000 * number


def unseen(cutoff: int, kind: str, max_rows: int = 12) -> SearchStrategy[list[Row]]:
    """Rows that the cutoff must not see: at or after it, or recorded at or after it; of old and new customers."""
    who = st.sampled_from((*CUSTOMERS[kind], *NEWCOMERS[kind]))
    later = [at for at in boundaries([cutoff]) if at >= cutoff]
    after = st.one_of(st.sampled_from((cutoff, cutoff + 1)), st.sampled_from(later))
    any_time = st.one_of(st.none(), after, times([cutoff]))
    future = row_of(who, after, any_time)
    late = row_of(who, times([cutoff]), after)
    return st.lists(st.one_of(future, late), max_size=max_rows)


def anchors(who: Any) -> list[Row]:
    """The events of one more customer: with them a log starts long before, ends long after, and has every type.

    Cutoffs outside the log, horizons past its end and event types that it lacks are errors, tested elsewhere.
    """
    row = {**dict.fromkeys(COLUMNS), "customer_id": who}
    first = {**row, "timestamp": EPOCH - duration("400d"), "event_type": "view"}
    return [
        first,
        *({**row, "timestamp": EPOCH + duration("400d"), "event_type": event_type} for event_type in EVENT_TYPES),
    ]


def anchored(rows: list[Row]) -> list[Row]:
    """The rows and the anchors."""
    return [*rows, *anchors("anchor" if has_text_ids(rows) else 0)]


def has_text_ids(rows: list[Row]) -> bool:
    return any(isinstance(row["customer_id"], str) for row in rows)


def arrow_table(rows: list[Row]) -> pa.Table:
    """The rows as an Arrow table under the test log's column names."""
    ids = pa.string() if has_text_ids(rows) else pa.int64()
    types = {
        "customer_id": ids,
        "timestamp": UTC_MICROSECONDS,
        "recorded_at": UTC_MICROSECONDS,
        "amount": pa.float64(),
        "quantity": pa.int64(),
    }
    arrays = {
        column: pa.array([row.get(role) for row in rows], types.get(role, pa.string()))
        for role, column in COLUMNS.items()
    }
    return pa.table(arrays)


def log_of(rows: list[Row]) -> cm.InteractionLog:
    """The rows as a log; one in which no row says when it became known has no such role."""
    roles = dict(ROLES)
    if all(row.get("recorded_at") is None for row in rows):
        del roles["recorded_at"]
    return cm.InteractionLog(arrow_table(rows), **roles)


def stamp(microseconds: int) -> pd.Timestamp:
    """The time as crmml takes and gives it."""
    return pd.Timestamp(microseconds, unit="us", tz="UTC").as_unit("us")


def one_or_list(values: Iterable[Any]) -> SearchStrategy[Any]:
    """A value, or a list of one or two."""
    options = tuple(values)
    pairs = [[a, b] for a in options for b in options if a != b]
    return st.sampled_from([*options, *([option] for option in options), *pairs])


WHERE = st.one_of(
    st.builds(lambda plan: {"plan": plan}, one_or_list(PLANS)),
    st.builds(lambda item, plan: {"item_id": item, "plan": plan}, one_or_list(ITEMS), one_or_list(PLANS)),
    st.builds(lambda quantity: {"quantity": quantity}, st.sampled_from((1, 2, [1, 3]))),
)
EVENT_TYPE = st.one_of(st.just("purchase"), one_or_list(EVENT_TYPES))
REQUIRED = st.sampled_from(("event_type", "channel", "where"))
FILTERS = st.sampled_from(("none", "event_type", "event_type", "channel", "where", "all"))


@st.composite
def filters(draw: st.DrawFn, required: bool = False) -> dict[str, Any]:
    """The keywords of a filter; often none at all, so that something is left to aggregate."""
    kind = draw(REQUIRED if required else FILTERS)
    found: dict[str, Any] = {}
    if kind in ("event_type", "all"):
        found["event_type"] = draw(EVENT_TYPE)
    if kind in ("channel", "all"):
        found["channel"] = draw(one_or_list(CHANNELS))
    if kind in ("where", "all"):
        found["where"] = draw(WHERE)
    return found


NUMBER = st.sampled_from(("amount", "quantity"))
ANYTHING = st.sampled_from(("item_id", "channel", "plan", "amount", "event_type", "quantity"))
TRENDS = [(window, n) for window in WINDOWS for n in PERIODS if duration(window) % n == 0]
OWN: dict[str, dict[str, SearchStrategy[Any]]] = {
    **{verb: {"column": NUMBER} for verb in ("Sum", "Mean", "Min", "Max", "Std", "Median")},
    **{verb: {"column": ANYTHING} for verb in ("NUnique", "Latest", "First")},
    **{verb: {"column": ANYTHING} for verb in ("Entropy", "TopShare", "TopValue", "RepeatShare")},
    # At (n - 1) q of up to 60 values, a double meets the whole numbers that the decimal meets.
    "Quantile": {"column": NUMBER, "q": st.sampled_from((0.01, 0.1, 0.25, 0.5, 0.9, 0.975))},
    "MeanVector": {
        "column": st.sampled_from(("plan", "channel", "event_type", "item_id")),
        "size": st.sampled_from((1, 3, 8)),
    },
    **OWN_RHYTHM,
    "DecayedSum": {"column": NUMBER, "half_life": st.sampled_from(("45s", "36h", "1w", "120d"))},
    "Trend": {"column": st.one_of(st.none(), NUMBER), "pair": st.sampled_from(TRENDS)},
    "Basket": {
        "stat": st.sampled_from(("lines", "items", "value", "orders")),
        "order": st.sampled_from((None, None, "plan", "quantity")),
    },
}


def aggregates(name: str) -> SearchStrategy[Any]:
    """Definitions of one public aggregate, by its name."""
    from tests.features.strategies_baskets import BUILT  # which is made of these

    if name == "CutoffCalendar":
        return cutoff_calendars()
    if name in BUILT:
        return BUILT[name]()
    window = st.just("") if name == "Trend" else st.sampled_from(WINDOWS if name == "Change" else (None, *WINDOWS))

    def build(own: dict[str, Any], shared: dict[str, Any], window: str | None) -> Any:
        parameters = {**own, **shared, "window": window}
        if name == "Trend":
            parameters["window"], parameters["periods"] = parameters.pop("pair")
        return getattr(cm, name)(**parameters)

    return st.builds(build, st.fixed_dictionaries(OWN.get(name, {})), filters(name == "Share"), window)


def feature_sets(names: Iterable[str], each: int = 2) -> SearchStrategy[list[Any]]:
    """Definitions of every named aggregate, `each` of one kind, without two of the same name."""
    kinds = [st.tuples(*[aggregates(name)] * each) for name in names]
    return st.tuples(*kinds).map(
        lambda groups: list({feature.name: feature for group in groups for feature in group}.values())
    )


def random_rows(random: Random, cutoffs: list[int], customers: int, events: int) -> list[Row]:
    """Many customers with the same kinds of values at once, without a strategy: one query then tests them all."""
    edges = boundaries(cutoffs)
    start, end = cutoffs[0] - duration("10d"), cutoffs[-1] + duration("4d")

    def row(customer: int) -> Row:
        at = (
            random.choice(edges) + random.choice((-1, 0, 0, 1)) if random.random() < 0.7 else random.randint(start, end)
        )
        late = random.choice(cutoffs) + random.choice((-1, 0, 1))
        return {
            "customer_id": customer,
            "timestamp": at,
            "event_type": random.choice(("purchase", "view", random.choice((None, *EVENT_TYPES)))),
            "item_id": random.choice((None, *ITEMS)),
            "amount": random.choice((None, *AMOUNTS, random.randint(-(10**9), 10**9) / 10_000)),
            "quantity": random.choice((None, 1, 2, 3, -1)),
            "channel": random.choice((None, *CHANNELS)),
            "recorded_at": random.choice((None, None, None, late, at + random.randint(-DAY, DAY))),
            "plan": random.choice((None, *PLANS)),
        }

    rows = [row(customer) for customer in range(1, customers + 1) for _ in range(random.randint(1, events))]
    # The same moment twice, so that ties and simultaneous events occur for most customers.
    return rows + [{**row(old["customer_id"]), "timestamp": old["timestamp"]} for old in rows[::5]]

"""Strategies for definitions whose parameters depend on each other: orders, returns, conversions, ratios."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import crmml as cm
from tests.features.strategies import EVENT_TYPE, EVENT_TYPES, NUMBER, WINDOWS, aggregates, filters, one_or_list

WINDOW = st.sampled_from((None, *WINDOWS))


def shared() -> SearchStrategy[dict[str, Any]]:
    """Filter and window, with an event type."""
    return st.builds(
        lambda found, event_type, window: {"event_type": event_type, **found, "window": window},
        filters(),
        EVENT_TYPE,
        WINDOW,
    )


def return_rates() -> SearchStrategy[Any]:
    returned = st.one_of(st.just("return"), st.none(), one_or_list(EVENT_TYPES))

    def build(returned: Any, column: Any, column_or_none: Any, shared: dict[str, Any]) -> Any:
        return cm.ReturnRate(column if returned is None else column_or_none, returned=returned, **shared)

    return st.builds(build, returned, NUMBER, st.one_of(st.none(), NUMBER), shared())


def conversion_rates() -> SearchStrategy[Any]:
    goals = ["purchase", "return", ["purchase", "return"], EVENT_TYPES[3]]
    starts = ["view", ["view", EVENT_TYPES[4]], EVENT_TYPES[5]]
    # Within a day, so that times on the edges of windows are also on the edges of what is soon enough.
    within = st.sampled_from(("1d", "2d", *WINDOWS))
    on = st.sampled_from((None, None, "item_id", "plan", "quantity"))

    def build(start: Any, shared: dict[str, Any], **own: Any) -> Any:
        return cm.ConversionRate(**{**shared, "event_type": start}, **own)

    return st.builds(
        build, start=st.sampled_from(starts), shared=shared(), to=st.sampled_from(goals), within=within, on=on
    )


def ratios() -> SearchStrategy[Any]:
    parts = st.one_of([aggregates(name) for name in ("Count", "Sum", "Recency", "NUnique", "Share", "Basket")])
    return st.builds(cm.Ratio, parts, parts)


BUILT = {"ReturnRate": return_rates, "ConversionRate": conversion_rates, "Ratio": ratios}

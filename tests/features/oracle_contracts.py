"""Who is subscribed, whose subscription ends, and how long contracts have run, in plain Python."""

from itertools import pairwise
from typing import Any

from tests.features.oracle_rows import Row, duration, equal_or_in, history


def times(rows: list[Row], event_type: Any) -> list[int]:
    """When there was an event of these types, in order; never where none is named."""
    if event_type is None:
        return []
    return sorted(row["timestamp"] for row in rows if equal_or_in(row, "event_type", event_type))


def subscribed(rows: list[Row], who: Any, as_of: int) -> bool:
    """Whether the last payment is known, lasts until the cutoff, and was not followed by an end."""
    known = history(rows, as_of)
    paid, ended = times(known, who.event_type), times(known, who.ended_by)
    return bool(paid) and as_of - paid[-1] <= duration(who.active_within) and not (ended and ended[-1] >= paid[-1])


def ends(rows: list[Row], target: Any, as_of: int) -> int:
    """Whether the subscription of a subscriber ends in the horizon, by whatever turned out to be true."""
    term, until = duration(target.active_within), as_of + duration(target.horizon)
    true = [row for row in rows if row["timestamp"] < until]
    paid = times(true, target.event_type)
    last = max(at for at in paid if at < as_of)
    if any(at >= last for at in times(true, target.ended_by)):
        return 1
    chain = [last, *(at for at in paid if at >= as_of)]
    # A payment at the very end of a term is in time, and the one at the end of the horizon is not seen.
    lapsed = any(after - before > term for before, after in pairwise(chain)) or chain[-1] + term < until
    return int(lapsed)


def labels(rows: list[Row], target: Any, cutoffs: list[int]) -> dict[tuple[Any, int], dict[str, int]]:
    """(customer, cutoff) -> label of everybody who is subscribed."""
    own: dict[Any, list[Row]] = {}
    for row in rows:
        own.setdefault(row["customer_id"], []).append(row)
    return {
        (who, as_of): {"y": ends(each, target, as_of)}
        for who, each in own.items()
        for as_of in cutoffs
        if subscribed(each, target, as_of)
    }


def contract(rows: list[Row], event_type: Any, ended_by: Any, term: int, as_of: int) -> dict[str, int] | None:
    """t, churned and started of one customer's newest contract: event after event."""
    known = history(rows, as_of)
    # Of what happens at the same moment, the payment comes first.
    dues = sorted([(at, 0) for at in times(known, event_type)] + [(at, 1) for at in times(known, ended_by)])
    if not times(known, event_type):
        return None
    payments, started, last, running = 0, 0, 0, False
    for at, is_end in dues:
        if is_end:
            running = False
        elif running and at - last <= term:
            payments, last = payments + 1, at
        else:
            payments, started, last, running = 1, at, at, True
    churned = int(not running or as_of - last > term)
    return {"t": payments - 1 + churned, "churned": churned, "started": started}

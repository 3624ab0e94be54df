"""The lifecycle of one customer in plain Python, row by row: what the engine has to find."""

from itertools import pairwise
from statistics import median_low
from typing import Any

import crmml as cm
from tests.features.oracle_rows import DAY, Row, history


def stages(rows: list[Row], rules: cm.Lifecycle, as_of: int) -> dict[Any, tuple[str, int, int, float]]:
    """Customer -> stage, visits, silence, rhythm, as of a cutoff in microseconds."""
    wanted = rules.event_types
    seen = [row for row in history(rows, as_of) if wanted is None or row["event_type"] in wanted]
    days: dict[Any, set[int]] = {}
    for row in seen:
        days.setdefault(row["customer_id"], set()).add(row["timestamp"] // DAY)
    return {customer: stage(sorted(visits), rules, (as_of - 1) // DAY) for customer, visits in days.items()}


def rhythm(days: list[int], typical: float) -> float:
    """The median gap, with the typical one as one more."""
    if len(days) == 1:
        return typical
    gaps = [later - earlier for earlier, later in pairwise(days)]
    return ((len(days) - 1) * median_low(gaps) + typical) / len(days)


def stage(days: list[int], rules: cm.Lifecycle, today: int) -> tuple[str, int, int, float]:
    """Stage, visits, silence, rhythm of a customer with visits on these days."""
    typical = rules.typical_us / DAY
    own, silence = rhythm(days, typical), today - days[-1]
    lost_before = [
        days[place] - days[place - 1] >= rules.lost_after * rhythm(days[:place], typical)
        for place in range(1, len(days))
    ]
    since = lost_before[::-1].index(True) + 1 if any(lost_before) else None  # visits from the return on
    if silence >= rules.lost_after * own:
        name = "lost"
    elif silence >= rules.late_after * own:
        name = "declining"
    elif since is not None and since < rules.settled_after:
        name = "won back"
    elif len(days) == 1:
        name = "acquired"
    else:
        name = "developing" if len(days) < rules.established_after else "maintained"
    return name, len(days), silence, own

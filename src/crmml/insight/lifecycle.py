"""The lifecycle: where every customer stands as of a cutoff, by the customer's own rhythm."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa

from crmml.data.cutoffs import check_cutoffs, require_event_types
from crmml.data.time import DAY, AsOf, moments_of, parse_duration
from crmml.errors import ConfigError, DataError, SchemaError
from crmml.insight.conditions import check_number
from crmml.insight.rhythm import Rhythms
from crmml.insight.tags import KEYS, keyed
from crmml.spec import Definition

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

# In the order in which a customer passes through them.
STAGES = ("acquired", "developing", "maintained", "declining", "lost", "won back")
ACQUIRED, DEVELOPING, MAINTAINED, DECLINING, LOST, WON_BACK = range(6)


@dataclass(frozen=True, repr=False)
class Lifecycle(Definition):
    """The rules of the lifecycle, in multiples of the customer's own rhythm.

    A visit is a day (UTC) with events. The rhythm is the median of the days between the visits of a customer, drawn
    towards `typical_gap`, which counts like one gap more: `((visits - 1) * median + typical_gap) / visits`. Of regular
    random (Poisson) visits, one gap in `2 ** k` is longer than `k` medians: by default one gap in 8 makes a customer
    declining for a while, and one in 64 lost. The first of these that holds is the stage:

    1. lost: no visit for `lost_after` rhythms or more; where P(alive) is given, it is below `lost_below`
    2. declining: no visit for `late_after` rhythms or more; where P(alive) is given, it is below `declining_below`
    3. won back: came back from a silence in which the customer was lost by the rhythm of then, and has fewer than
       `settled_after` visits since, the one of the return included
    4. acquired: one visit
    5. developing: fewer than `established_after` visits
    6. maintained: all others

    Nothing of it is learned from other customers: adding some moves nobody.

    Args:
        typical_gap: the days between visits that are usual in this business, such as "30d"; `Lifecycle.learn` counts
            them in a log.
        event_type: the events that are a visit, one type or a list; all events by default.
        late_after, lost_after: multiples of the rhythm.
        settled_after, established_after: numbers of visits.
        declining_below, lost_below: probabilities of being alive.

    Raises:
        ConfigError: a parameter out of its range, or two in the wrong order.

    >>> import crmml as cm
    >>> rules = cm.Lifecycle("30d", event_type="purchase")
    >>> log = cm.simulate_log(300, seed=1).log
    >>> stages = cm.build_lifecycle(log, rules, "2024-06-01")
    >>> stages.columns.tolist()
    ['customer_id', 'as_of', 'segment', 'visits', 'silence', 'rhythm']
    """

    typical_gap: str
    _: KW_ONLY
    event_type: str | Sequence[str] | None = None
    late_after: float = 3.0
    lost_after: float = 6.0
    settled_after: int = 3
    established_after: int = 4
    declining_below: float = 0.5
    lost_below: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.typical_us < DAY:
            raise ConfigError(f"Lifecycle: typical_gap {self.typical_gap!r} is below a day. Use a longer one: '1d'.")
        kinds = self.event_types
        if kinds is not None and (not kinds or not all(isinstance(kind, str) for kind in kinds)):
            raise ConfigError(
                f"Lifecycle: event_type must be a text or a list of texts, not {self.event_type!r}. "
                "Use event_type='purchase'."
            )
        for name in ("settled_after", "established_after"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 2:
                raise ConfigError(f"Lifecycle: {name} is {value!r}. Use a number of visits from 2 on, such as 3.")
        for name in ("late_after", "lost_after"):
            check_number("Lifecycle", name, getattr(self, name), example="3.0", low=0)
        for name in ("declining_below", "lost_below"):
            check_number("Lifecycle", name, getattr(self, name), example="0.5", low=0, high=1)
        if self.late_after >= self.lost_after:
            raise ConfigError(
                f"Lifecycle: late_after={self.late_after!r} is not below lost_after={self.lost_after!r}: nobody would "
                "be declining. Use for example late_after=3.0, lost_after=6.0."
            )
        if self.lost_below >= self.declining_below:
            raise ConfigError(
                f"Lifecycle: lost_below={self.lost_below!r} is not below declining_below={self.declining_below!r}: "
                "nobody would be declining. Use for example declining_below=0.5, lost_below=0.1."
            )

    @property
    def typical_us(self) -> int:
        """`typical_gap` in microseconds."""
        return parse_duration(self.typical_gap, "Lifecycle: typical_gap")

    @property
    def event_types(self) -> tuple[str, ...] | None:
        """The events that are a visit; None for all."""
        if self.event_type is None:
            return None
        return (self.event_type,) if isinstance(self.event_type, str) else tuple(self.event_type)

    @classmethod
    def learn(cls, log: "InteractionLog", as_of: AsOf, *, event_type: str | Sequence[str] | None = None) -> Self:
        """The rules with the typical gap of a log: the median, over the customers with two visits, of their median.

        Learn it once and keep it: learned anew at every cutoff it would move customers by what others do.

        Raises:
            ConfigError, SchemaError: as `build_lifecycle`.
            DataError: nobody has two visits.

        >>> import crmml as cm
        >>> log = cm.simulate_log(300, seed=1).log
        >>> cm.Lifecycle.learn(log, "2024-06-01", event_type="purchase")
        Lifecycle('18d', event_type='purchase')
        """
        rules = cls("1d", event_type=event_type)
        cutoff, *_ = _checked(log, rules, as_of, "Lifecycle.learn")
        with Rhythms(log, rules.event_types, 1.0, float("inf")) as rhythms:
            found = rhythms.as_of(cutoff)["usual"].to_pandas().dropna()
        if found.empty:
            raise DataError(
                "Lifecycle.learn: nobody has visits on two days before the cutoff. Use a later as_of, or say the gap: "
                "Lifecycle('30d')."
            )
        return cls(f"{round(found.median())}d", event_type=event_type)


def build_lifecycle(
    log: "InteractionLog",
    rules: Lifecycle,
    as_of: "AsOf | Sequence[AsOf]",
    *,
    p_alive: "pd.DataFrame | pa.Table | None" = None,
) -> pd.DataFrame:
    """The stage of every customer as of one or many cutoffs.

    Nothing at or after a cutoff is seen, and nothing that became known at or after it.

    Args:
        log: the interactions.
        rules: what the stages are.
        as_of: the cutoffs.
        p_alive: the probability that each customer is still one: `customer_id`, `as_of`, `p_alive`, as
            `build_p_alive` makes it. Who has none there is judged by the rhythm. Also after a silence the rhythm says
            whether somebody was lost and is won back.

    Returns:
        One row per cutoff and customer with a visit before it, sorted by customer and cutoff: `customer_id`, `as_of`,
        `segment` (the stage, as a category), `visits`, `silence` (whole days without a visit before the cutoff),
        `rhythm` (days), and `p_alive` where it is given.

    Raises:
        SchemaError: the log has no event types, or `p_alive` lacks a column.
        ConfigError: an event type never occurs; a cutoff is no moment, or lies outside the log.
        DataError: nobody has a visit before the cutoff; a probability is none.

    Source: the stages are the custom of the trade; being late by one's own rhythm is the idea of Fader, Hardie and
    Lee, "Counting your customers" the easy way (2005), without its model.

    >>> import crmml as cm
    >>> days = pd.to_datetime(["2024-01-01", "2024-01-31", "2024-03-01", "2024-03-31", "2024-04-25"], utc=True)
    >>> frame = pd.DataFrame({"who": ["anna"] * 4 + ["ben"], "when": days})
    >>> log = cm.InteractionLog(frame, customer_id="who", timestamp="when", observed_until="2025-01-01")
    >>> found = cm.build_lifecycle(log, cm.Lifecycle("30d"), ["2024-05-01", "2024-07-15", "2024-12-01"])
    >>> print(found.drop(columns="as_of").to_string(index=False))
    customer_id    segment  visits  silence  rhythm
           anna maintained       4       30    30.0
           anna  declining       4      105    30.0
           anna       lost       4      244    30.0
            ben   acquired       1        5    30.0
            ben   acquired       1       80    30.0
            ben       lost       1      219    30.0
    """
    where = "build_lifecycle"
    if not isinstance(rules, Lifecycle):
        raise ConfigError(f"{where}: rules is {rules!r}. Use for example Lifecycle('30d', event_type='purchase').")
    cutoffs = _checked(log, rules, as_of, where)
    alive = None if p_alive is None else _probabilities(p_alive, where)
    typical = rules.typical_us / DAY
    with Rhythms(log, rules.event_types, typical, rules.lost_after) as rhythms:
        parts = [rhythms.as_of(cutoff).to_pandas().assign(as_of=cutoff) for cutoff in cutoffs]
    rows = pd.concat(parts, ignore_index=True).sort_values(list(KEYS), ignore_index=True, kind="stable")
    if rows.empty:
        raise DataError(f"{where}: nobody has a visit before the cutoffs. Use a later as_of.")
    visits = rows["visits"].to_numpy(np.int64)
    rows["rhythm"] = rhythm_of(visits, rows["usual"].to_numpy(np.float64), typical)
    table: pd.DataFrame = rows[[*KEYS, "visits", "silence", "rhythm"]]
    if alive is not None:
        table = table.join(alive, on=list(KEYS))
    stages = _stages(rules, table, rows["since_return"].to_numpy(np.float64))
    table.insert(2, "segment", pd.Series(pd.Categorical.from_codes(stages, pd.Index(STAGES)), index=table.index))
    return table


def rhythm_of(visits: Any, usual: Any, typical: float) -> Any:
    """The days between visits of customers, shape (customers,): their median gap, and the typical one as one more.

    >>> rhythm_of(np.array([1, 3]), np.array([np.nan, 10.0]), 40.0)
    array([40., 20.])
    """
    return np.where(visits > 1, ((visits - 1) * np.nan_to_num(usual) + typical) / visits, typical)


def _stages(rules: Lifecycle, table: pd.DataFrame, since_return: Any) -> Any:
    """The number of the stage of every row, shape (rows,)."""
    visits, silence = table["visits"].to_numpy(), table["silence"].to_numpy()
    rhythm = table["rhythm"].to_numpy()
    lost, late = silence >= rules.lost_after * rhythm, silence >= rules.late_after * rhythm
    if "p_alive" in table:
        alive = table["p_alive"].to_numpy(np.float64)
        lost = np.where(np.isnan(alive), lost, alive < rules.lost_below)
        late = np.where(np.isnan(alive), late, alive < rules.declining_below)
    back = since_return + 1 < rules.settled_after  # NaN, never lost, is not less
    conditions = [lost, late, back, visits == 1, visits < rules.established_after]
    chosen = [LOST, DECLINING, WON_BACK, ACQUIRED, DEVELOPING]
    return np.select(conditions, chosen, MAINTAINED)


def _checked(
    log: "InteractionLog", rules: Lifecycle, as_of: "AsOf | Sequence[AsOf]", where: str
) -> tuple[pd.Timestamp, ...]:
    """The cutoffs, once the log has what the rules need before them."""
    cutoffs = moments_of(as_of)
    log.require_usable()
    if rules.event_types is not None:
        log.require("event_type", where)
        require_event_types(log, rules.event_types, where)
    check_cutoffs(log, cutoffs)
    return cutoffs


def _probabilities(table: "pd.DataFrame | pa.Table", where: str) -> "pd.Series[Any]":
    """P(alive) by customer and cutoff."""
    frame = keyed(table, f"{where}: p_alive")
    if "p_alive" not in frame:
        raise SchemaError(f"{where}: p_alive has no column 'p_alive'. It has: {', '.join(map(repr, frame.columns))}.")
    found = frame["p_alive"].astype("float64")
    wrong = found[(found < 0) | (found > 1)]
    if len(wrong):
        raise DataError(f"{where}: p_alive has the value {wrong.iloc[0]:g}. Give probabilities, from 0 to 1.")
    keys = frame[list(KEYS)].copy()
    keys["as_of"] = pd.to_datetime(keys["as_of"], utc=True).dt.as_unit("us")
    twice = keys[keys.duplicated()]
    if len(twice):
        row = twice.iloc[0]
        raise DataError(
            f"{where}: p_alive has two rows for customer {row['customer_id']!r} as of {row['as_of'].date()}. Keep one."
        )
    return pd.Series(found.to_numpy(), index=pd.MultiIndex.from_frame(keys), name="p_alive")

"""How values are distributed over a customer's events: quantiles, concentration, the most frequent value."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from sqlglot import exp

from crmml.data.steps import Step
from crmml.errors import ConfigError
from crmml.features.aggregate import Aggregate
from crmml.features.expressions import as_double, case, column, count, group, number, or_zero, ratio, times
from crmml.features.needs import Pairs
from crmml.features.plan import Plan

# What a logarithm is rounded to before it is summed: the sum then does not depend on the order of the rows.
LOGARITHMS = "DECIMAL(38, 12)"


@dataclass(frozen=True, repr=False)
class Median(Aggregate):
    """Median of `column`: its middle value, or the mean of the middle two.

    Formula: with the values in order, x_(1) <= ... <= x_(m):
        x_((m + 1) / 2)                        where m is odd
        (x_(m / 2) + x_(m / 2 + 1)) / 2        where m is even
    Unit: that of `column`
    Missing: no event has a value

    >>> from crmml import Median
    >>> Median("amount", event_type="purchase").name
    'median_amount_purchase'
    """

    column: str

    verb: ClassVar[str] = "median"

    def sql(self, plan: Plan) -> exp.Expr:
        return _quantile(self, plan, exp.Median)


@dataclass(frozen=True, repr=False)
class Quantile(Aggregate):
    """The value of `column` below which a share `q` of its values lies.

    Between two of the values it is interpolated linearly. This is what NumPy, pandas and R do by default.

    Formula: with the values in order, x_(0) <= ... <= x_(m - 1), and the position h = (m - 1) q:
        x_(k) + (h - k) (x_(k + 1) - x_(k)),   where k = floor(h)
    Unit: that of `column`
    Missing: no event has a value
    Source: Hyndman and Fan, "Sample Quantiles in Statistical Packages", The American Statistician 50 (1996), type 7

    Args:
        q: the share, above 0 and below 1.

    >>> from crmml import Quantile
    >>> Quantile("amount", q=0.975, event_type="purchase").name
    'quantile_97_5_amount_purchase'
    """

    column: str
    q: float = 0.9

    verb: ClassVar[str] = "quantile"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.q, float) or not 0 < self.q < 1:
            raise ConfigError(f"Quantile: q must be a number above 0 and below 1, not {self.q!r}. Use q=0.9.")

    def _own_parts(self) -> list[str]:
        # Through the digits that Python prints: 100 times 0.07 is not 7 in binary numbers.
        percent = (Decimal(repr(self.q)) * 100).normalize()
        return [f"{percent:f}".replace(".", "_")]

    def sql(self, plan: Plan) -> exp.Expr:
        return _quantile(self, plan, exp.PercentileCont, number(self.q))


def _quantile(of: Median | Quantile, plan: Plan, function: type[exp.Func], *arguments: exp.Expr) -> exp.Expr:
    events = plan.events(of.filter, of.column)
    # The exact value as a double: between two decimals, engines would round to the decimal's places.
    values = case(events.inside(of.window_us), as_double(plan.exact(of.column)))
    return events.per_customer(function.from_arg_list([values, *arguments]), of.name)


@dataclass(frozen=True, repr=False)
class Entropy(Aggregate):
    """How evenly events spread over the values of `column`: their entropy, 0 where all have the same value.

    It is at most the logarithm of the number of distinct values. A text, number or other value counts as it is, not
    by its size.

    Formula: -sum_v p_v ln p_v, where p_v is the share of the value v in the events that have one
    Unit: nats
    Missing: no event has a value
    Source: Shannon, "A Mathematical Theory of Communication", Bell System Technical Journal 27 (1948)

    >>> from crmml import Entropy
    >>> Entropy("channel", window="365d").name
    'entropy_channel_365d'
    """

    column: str

    verb: ClassVar[str] = "entropy"
    _numeric: ClassVar[bool] = False

    def sql(self, plan: Plan) -> exp.Expr:
        pairs, n = _counted(self, plan)
        total = pairs.per_customer(exp.Sum(this=n), f"n_of_{self.name}")
        top = pairs.per_customer(exp.Max(this=n.copy()), f"top_of_{self.name}")
        # With p = n / N the entropy is ln N - sum(n ln n) / N. Values that occur once add nothing to the sum.
        several = exp.GT(this=n.copy(), expression=number(1))
        weighted = exp.cast(times(as_double(n.copy()), exp.Ln(this=as_double(n.copy()))), LOGARITHMS)
        sum_of = pairs.per_customer(exp.Sum(this=case([several], weighted)), f"weighted_{self.name}")
        entropy = exp.Sub(this=exp.Ln(this=as_double(total)), expression=ratio(or_zero(sum_of), total.copy()))
        # One value alone is exactly 0, which the difference of two rounded numbers would miss.
        spread = exp.GT(this=total.copy(), expression=top)
        single = exp.GT(this=total.copy(), expression=number(0))
        return exp.Case(ifs=[exp.If(this=spread, true=entropy), exp.If(this=single, true=as_double(number(0)))])


@dataclass(frozen=True, repr=False)
class TopShare(Aggregate):
    """Share of the events that have the most frequent value of `column`, in the events that have a value.

    Formula: max_v n_v / m, where n_v events have the value v
    Unit: share, above 0; 1 where all have the same value
    Missing: no event has a value

    >>> from crmml import TopShare
    >>> TopShare("item_id", event_type="purchase", window="365d").name
    'top_share_item_id_purchase_365d'
    """

    column: str

    verb: ClassVar[str] = "top_share"
    _numeric: ClassVar[bool] = False

    def sql(self, plan: Plan) -> exp.Expr:
        pairs, n = _counted(self, plan)
        top = pairs.per_customer(exp.Max(this=n), f"top_of_{self.name}")
        return ratio(top, pairs.per_customer(exp.Sum(this=n.copy()), f"n_of_{self.name}"))


@dataclass(frozen=True, repr=False)
class RepeatShare(Aggregate):
    """Share of the distinct values of `column` with at least two events: of the items bought, those bought again.

    Formula: |{v: n_v >= 2}| / |{v: n_v >= 1}|, where n_v events have the value v
    Unit: share, 0 to 1
    Missing: no event has a value

    >>> from crmml import RepeatShare
    >>> RepeatShare("item_id", event_type="purchase").name
    'repeat_share_item_id_purchase'
    """

    column: str

    verb: ClassVar[str] = "repeat_share"
    _numeric: ClassVar[bool] = False

    def sql(self, plan: Plan) -> exp.Expr:
        pairs, n = _counted(self, plan)
        again, once = (count([exp.GTE(this=n.copy(), expression=number(least))]) for least in (2, 1))
        repeated = pairs.per_customer(again, f"repeated_{self.name}")
        return ratio(repeated, pairs.per_customer(once, f"distinct_of_{self.name}"))


@dataclass(frozen=True, repr=False)
class TopValue(Aggregate):
    """The most frequent value of `column`.

    Of several that are equally frequent, it is the greatest. Texts are compared by their code points; numbers come
    as floats.

    Formula: max {v: n_v = max_w n_w}, where n_v events have the value v
    Unit: that of `column`
    Missing: no event has a value

    >>> from crmml import TopValue
    >>> TopValue("channel", event_type="purchase", window="365d").name
    'top_value_channel_purchase_365d'
    """

    column: str

    verb: ClassVar[str] = "top_value"
    _numeric: ClassVar[bool] = False
    picks: ClassVar[bool] = True

    def sql(self, plan: Plan) -> exp.Expr:
        pairs, n = _counted(self, plan)
        key = ("top", pairs.name, n)
        value = column("top_value", plan.need(key, lambda plan: Tops(plan, pairs, n, plan.step_name("top"))).side)
        # One type whatever the cutoff: whole numbers with a gap in them could not stay whole.
        return as_double(value) if plan.log.kind(self.column) == "number" else value


class Tops:
    """The most frequent value of each customer's pairs, the greatest of several."""

    def __init__(self, plan: Plan, pairs: Pairs, n: exp.Column, name: str) -> None:
        self._plan = plan
        self._pairs = pairs
        self._n = n
        self._most = pairs.per_customer(exp.Max(this=n.copy()), "most")
        self.side = name

    def steps(self) -> Iterable[Step]:
        pairs = self._pairs.name
        keys = [column(key.name, pairs) for key in self._plan.keys]
        (value,) = self._pairs.values
        value.set("table", exp.to_identifier(pairs))
        n = column(self._n.name, pairs)
        # A customer whose events have a value under other filters only has 0 of them as the most.
        most = [exp.EQ(this=n, expression=self._most.copy()), exp.GT(this=n.copy(), expression=number(0))]
        found = group(pairs, keys, [exp.alias_(exp.Max(this=value), "top_value")])
        yield Step(self.side, found.join(self._pairs.side, using=[key.name for key in keys]).where(*most))


@dataclass(frozen=True, repr=False)
class First(Aggregate):
    """Value of `column` at the first event that has one: how it began.

    Of several values at the same moment, the greatest is taken; numbers come as floats.

    Formula: x_1
    Unit: that of `column`
    Missing: no event has a value

    >>> from crmml import First
    >>> First("channel").name
    'first_channel'
    """

    column: str

    verb: ClassVar[str] = "first"
    _numeric: ClassVar[bool] = False
    picks: ClassVar[bool] = True

    def sql(self, plan: Plan) -> exp.Expr:
        value = plan.ends(self.filter, self.window_us, self.column, first=True)
        return as_double(value) if plan.log.kind(self.column) == "number" else value


def _counted(of: Aggregate, plan: Plan) -> tuple[Pairs, exp.Column]:
    """The values of each customer, and how many events in filter and window each of them has."""
    pairs = plan.pairs(of.filter, plan.value(of.of or ""))
    return pairs, pairs.events(of.filter, of.window_us)

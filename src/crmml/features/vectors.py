"""Vectors of events, such as embeddings or the words of a text, as one mean vector of the customer."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, ClassVar

from sqlglot import exp

from crmml.data.sql import is_there, literal
from crmml.data.steps import Step
from crmml.errors import ConfigError
from crmml.features.aggregate import Aggregate
from crmml.features.expressions import COORDINATE, as_double, case, column, count, group, number, or_zero, ratio, times
from crmml.features.needs import HISTORY, Aggregates
from crmml.features.plan import Plan

if TYPE_CHECKING:
    from crmml.data.log import InteractionLog

MOST = 4096
# A run of characters that are neither white space nor punctuation: ASCII's up to "`" (of lower case texts), those of
# Latin-1, and those of U+20xx and U+30xx. Said by what it is not, it needs no names of classes, which differ by engine.
WORD = "[^\t-/:-`{-\u00bf\u2010-\u205e\u2ff0-\u3004\u3008-\u301f]+"
HEXADECIMAL = "0123456789abcdef"


@dataclass(frozen=True, repr=False)
class MeanVector(Aggregate):
    """Mean of the vectors of `column` over the events that have one: one column per coordinate.

    The column holds lists of numbers, such as embeddings, all of them `size` long and with every number there; they
    are taken as decimals of nine places. Or it holds texts: each is then the vector of its words, which are hashed
    into `size` coordinates, so that no vocabulary has to be kept. For other vectors of texts, add their embeddings to
    the log as a column of lists.

    Formula: for coordinate j = 0, ..., size - 1:
        mean of v_1[j], ..., v_m[j]
        v_i[j] of a text: the sum of s(w) over its words w with h(w) = j
    Unit: that of the coordinates; of a text: words, each counted as +1 or -1
    Missing: no event has a vector
    Source: Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009, for texts

    A word is a run of letters and digits, in lower case. With the first five digits of its MD5 digest in UTF-8,
    h(w) is the number that the first four make, modulo `size`, and s(w) is +1 where the fifth is below 8, else -1.

    Args:
        size: how many coordinates there are, 1 to 4096.

    >>> from crmml import MeanVector
    >>> MeanVector("embedding", size=2, event_type="view", window="90d").columns
    ('mean_vector_embedding_view_90d_0', 'mean_vector_embedding_view_90d_1')
    """

    column: str
    size: int

    verb: ClassVar[str] = "mean_vector"
    _numeric: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.size, int) or isinstance(self.size, bool) or not 1 <= self.size <= MOST:
            raise ConfigError(f"MeanVector: size must be a whole number from 1 to {MOST}, not {self.size!r}. Use 64.")

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, one per coordinate."""
        return tuple(f"{self.name}_{number}" for number in range(self.size))

    @property
    def numbers(self) -> tuple[str, ...]:
        return (self.column,)

    def check(self, log: "InteractionLog") -> None:
        """Raise a SchemaError where the column has no vectors of this size, and no texts."""
        from crmml.features.checks import check_vectors

        super().check(log)
        check_vectors(self, log)

    def sql_by_column(self, plan: Plan) -> dict[str, exp.Expr]:
        means = self._of_words(plan) if plan.log.kind(self.column) == "text" else self._of_coordinates(plan)
        return dict(zip(self.columns, means, strict=True))

    def _of_coordinates(self, plan: Plan) -> Iterable[exp.Expr]:
        key = ("coordinates", self.column, self.filter, self.window_us)
        need = plan.need(key, lambda plan: Coordinates(plan, self, plan.step_name("coordinates")))
        return (need.mean(position) for position in range(self.size))

    def _of_words(self, plan: Plan) -> Iterable[exp.Expr]:
        events, text = plan.events(self.filter), plan.value(self.column)
        n = events.per_customer(count([*events.inside(self.window_us), is_there(text)]), f"n_of_{self.name}")
        conditions = [*plan.conditions(self.filter, self.window_us), is_there(text.copy())]
        key = ("words", text, self.filter, self.window_us, self.size)
        bag = plan.need(key, lambda plan: Bags(plan, text.copy(), conditions, self.size, plan.step_name("words")))
        return (ratio(or_zero(bag.coordinate(position)), n.copy()) for position in range(self.size))


class Coordinates:
    """The vectors of each customer: their number, and the exact sum of each coordinate."""

    def __init__(self, plan: Plan, of: MeanVector, name: str) -> None:
        self._plan = plan
        self._vector = plan.value(of.column)
        self._conditions = [*plan.conditions(of.filter, of.window_us), is_there(self._vector.copy())]
        self.side = name
        self._aggregates = Aggregates(name)

    def mean(self, position: int) -> exp.Expr:
        """The mean of one coordinate, in the last step."""
        coordinate = exp.Bracket(this=self._vector.copy(), expressions=[number(position)])
        total = exp.Sum(this=exp.cast(as_double(coordinate), COORDINATE))
        return ratio(self._aggregates.add(total, f"sum_{position}"), self._aggregates.add(count([]), "n"))

    def steps(self) -> Iterable[Step]:
        yield Step(self.side, group(HISTORY, self._plan.keys, self._aggregates.selected()).where(*self._conditions))


class Bags:
    """The words of each customer's texts, hashed: the sum of their signs by coordinate.

    A word is hashed once, however often it occurs.
    """

    def __init__(self, plan: Plan, text: exp.Expr, conditions: list[exp.Expr], size: int, name: str) -> None:
        self._plan = plan
        self._text = text
        self._conditions = conditions
        self._size = size
        self._name = name
        self.side = f"{name}_by_customer"
        self._coordinates = Aggregates(self.side)

    def coordinate(self, position: int) -> exp.Column:
        """The sum of one coordinate, as the last step refers to it."""
        at = exp.EQ(this=column("place"), expression=number(position))
        return self._coordinates.add(exp.Max(this=case([at], column("n"))), f"at_{position}")

    def steps(self) -> Iterable[Step]:
        keys, words, hashed, cells = self._plan.keys, self._name, f"{self._name}_hashed", f"{self._name}_cells"
        found = exp.RegexpExtractAll(this=exp.Lower(this=self._text), expression=literal(WORD))
        listed = exp.select(*self._plan.keys, exp.alias_(exp.Explode(this=found), "word"))
        # Read twice, as twice the work takes less than holding every word.
        yield Step(words, listed.from_(HISTORY).where(*self._conditions), kept=False)
        digests = group(words, [column("word")], [exp.alias_(exp.MD5(this=column("word")), "digest")])
        yield Step(f"{self._name}_digests", digests)
        place = exp.Mod(this=_value_of_digits(4), expression=number(self._size))
        low = exp.LT(this=_digit(5), expression=number(8))
        sign = exp.Case(ifs=[exp.If(this=low, true=number(1))], default=number(-1))
        placed = exp.select(column("word"), exp.alias_(place, "place"), exp.alias_(sign, "plus_or_minus"))
        yield Step(hashed, placed.from_(f"{self._name}_digests"))
        summed = group(words, [*keys, column("place")], [exp.alias_(exp.Sum(this=column("plus_or_minus")), "n")])
        yield Step(cells, summed.join(hashed, using=["word"]))
        yield Step(self.side, group(cells, keys, self._coordinates.selected()))


def _digit(position: int) -> exp.Expr:
    """The value of one hexadecimal digit of the digest, counted from 1."""
    one = exp.Substring(this=column("digest"), start=number(position), length=number(1))
    found = exp.StrPosition(this=literal(HEXADECIMAL), substr=one)
    return exp.paren(exp.Sub(this=found, expression=number(1)))


def _value_of_digits(n: int) -> exp.Expr:
    """The number that the first `n` digits make."""
    digits = (_digit(position) for position in range(1, n + 1))
    return reduce(lambda high, low: exp.paren(exp.Add(this=times(high, number(16)), expression=low)), digits)

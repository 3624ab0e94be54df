"""Tags: what a customer is called, by ordered rules over features, segments, scores and other tags."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from crmml.errors import ConfigError, SchemaError, did_you_mean
from crmml.insight.conditions import Bools, Column, Condition, as_condition, values_of
from crmml.spec import Definition

KEYS = ("customer_id", "as_of")
Codes = NDArray[np.int16]


@dataclass(frozen=True, repr=False)
class TagRule(Definition):
    """One rule of a tag: the value that a customer gets who meets all conditions.

    Args:
        value: what the tag then says.
        where: column -> condition (`AtLeast`, `Below`, `Between`, `Missing`, `Not`, ...), a value, or a list of
            values; all must hold. A column is a feature, a score, a segment, or another tag. Without conditions the
            rule is for everybody whom no earlier rule matched.

    Raises:
        ConfigError: the value is no text, or something else than a condition stands in `where`.

    >>> import crmml as cm
    >>> cm.TagRule("big", where={"sum_amount_365d": cm.AtLeast(500), "latest_channel": ["web", "app"]}).words
    'latest_channel is one of web, app and sum_amount_365d >= 500'
    """

    value: str
    where: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.value, str) or not self.value:
            raise ConfigError(f"TagRule: value is {self.value!r}. Use a text, such as TagRule('big', where=...).")
        if self.where is not None and not isinstance(self.where, Mapping):
            raise ConfigError(f"TagRule: where is {self.where!r}. Use a mapping: where={{'recency': AtMost(30)}}.")
        for column, condition in (self.where or {}).items():
            as_condition(condition, f"TagRule({self.value!r}): where[{column!r}]")
        super().__post_init__()

    @property
    def conditions(self) -> dict[str, Condition]:
        """Column -> condition."""
        return {column: as_condition(value, "TagRule") for column, value in (self.where or {}).items()}

    @property
    def words(self) -> str:
        """All conditions in words."""
        return " and ".join(each.words(column) for column, each in self.conditions.items()) or "everybody else"


@dataclass(frozen=True, repr=False)
class Tag(Definition):
    """A name for what customers are, with the rules that say it: the first rule that matches wins.

    Args:
        name: the column of the table that comes out.
        rules: the rules, in order. Who matches none has no value.

    Raises:
        ConfigError: no rules, or a rule that nobody can reach.

    >>> import crmml as cm
    >>> spender = cm.Tag("spender", [
    ...     cm.TagRule("big", where={"sum_amount_365d": cm.AtLeast(500)}),
    ...     cm.TagRule("small", where={"sum_amount_365d": cm.Above(0)}),
    ... ])
    >>> print(cm.dump_yaml(spender), end="")
    Tag:
      name: spender
      rules:
      - TagRule:
          value: big
          where:
            dict:
              sum_amount_365d: {AtLeast: 500}
      - TagRule:
          value: small
          where:
            dict:
              sum_amount_365d: {Above: 0}
    """

    name: str
    rules: Sequence[TagRule]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or self.name in KEYS:
            raise ConfigError(
                f"Tag: name is {self.name!r}. Use a text of its own, such as Tag('spender', rules=[...])."
            )
        where = f"Tag({self.name!r})"
        if not isinstance(self.rules, list | tuple) or not self.rules:
            raise ConfigError(f"{where}: rules is {self.rules!r}. Use a list with at least one TagRule.")
        for number, rule in enumerate(self.rules, start=1):
            if not isinstance(rule, TagRule):
                raise ConfigError(f"{where}: rule {number} is {rule!r}. Use TagRule('big', where={{...}}).")
            if not rule.where and number < len(self.rules):
                raise ConfigError(
                    f"{where}: rule {number} ({rule.value!r}) is for everybody, and {len(self.rules) - number} "
                    "come after it. Put it last, or give it conditions."
                )
        super().__post_init__()

    @property
    def values(self) -> tuple[str, ...]:
        """What the tag can say, in the order of the rules."""
        return tuple(dict.fromkeys(rule.value for rule in self.rules))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that its rules look at: features, segments, scores, other tags."""
        return tuple(dict.fromkeys(column for rule in self.rules for column in rule.where or {}))


@dataclass(frozen=True, repr=False)
class TagSet(Definition):
    """Tags that are computed together; a tag may use another one, whatever their order.

    Args:
        tags: the tags; their order is that of the columns that come out.

    Raises:
        ConfigError: two tags with one name, a value that a tag never has, or tags that use each other in a circle.

    >>> import crmml as cm
    >>> tags = cm.TagSet([
    ...     cm.Tag("spender", [cm.TagRule("big", where={"sum_amount": cm.AtLeast(500)})]),
    ...     cm.Tag("win back", [cm.TagRule("first", where={"spender": "big", "recency": cm.Above(90)})]),
    ... ])
    >>> table = pd.DataFrame({"customer_id": [1, 2, 3], "as_of": "2024-06-01",
    ...                       "sum_amount": [700, 900, 20], "recency": [120, 3, 120]})
    >>> print(tags.assign(table).to_string(index=False))
     customer_id      as_of spender win back
               1 2024-06-01     big    first
               2 2024-06-01     big      NaN
               3 2024-06-01     NaN      NaN
    """

    tags: Sequence[Tag]

    def __post_init__(self) -> None:
        if not isinstance(self.tags, list | tuple) or not self.tags:
            raise ConfigError(f"TagSet: tags is {self.tags!r}. Use a list with at least one Tag.")
        for number, tag in enumerate(self.tags):
            if not isinstance(tag, Tag):
                raise ConfigError(f"TagSet: tags[{number}] is {tag!r}. Use Tag('spender', rules=[...]).")
            if tag.name in [other.name for other in self.tags[:number]]:
                raise ConfigError(f"TagSet: two tags are called {tag.name!r}. Rename one, or make one of them of both.")
        super().__post_init__()
        self._check_values()
        self.order  # noqa: B018  (raises where tags go in a circle)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tags, in order."""
        return tuple(tag.name for tag in self.tags)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a table must have: all that rules look at, but for the tags themselves."""
        names = set(self.names)
        return tuple(dict.fromkeys(column for tag in self.tags for column in tag.columns if column not in names))

    @property
    def order(self) -> tuple[Tag, ...]:
        """The tags in an order in which each comes after those that it uses."""
        by_name = {tag.name: tag for tag in self.tags}
        done: dict[str, Tag] = {}

        def visit(tag: Tag, path: tuple[str, ...]) -> None:
            if tag.name in path:
                circle = [*path[path.index(tag.name) :], tag.name]
                raise ConfigError(
                    f"TagSet: tags use each other in a circle: {' -> '.join(circle)}. "
                    f"Let {tag.name!r} look at features only."
                )
            if tag.name not in done:
                for column in tag.columns:
                    if column in by_name:
                        visit(by_name[column], (*path, tag.name))
                done[tag.name] = tag

        for tag in self.tags:
            visit(tag, ())
        return tuple(done.values())

    def __iter__(self) -> Iterator[Tag]:
        return iter(self.tags)

    def __len__(self) -> int:
        return len(self.tags)

    def check(self, columns: Collection[str]) -> None:
        """Raise a ConfigError where a rule refers to a column that is neither in `columns` nor a tag."""
        known = [*columns, *self.names]
        for tag in self.tags:
            if tag.name in columns:
                raise ConfigError(f"Tag({tag.name!r}): the table has such a column already. Rename the tag.")
            for number, rule in enumerate(tag.rules, start=1):
                for column in rule.where or {}:
                    if column not in known:
                        few = ", ".join(map(repr, known[:20])) + (", ..." if len(known) > 20 else "")
                        raise ConfigError(
                            f"Tag({tag.name!r}): rule {number} ({rule.value!r}) refers to {column!r}, which is "
                            f"neither a column nor a tag.{did_you_mean(column, known)} There is: {few}."
                        )

    def assign(self, table: "pd.DataFrame | pa.Table") -> pd.DataFrame:
        """What every row of a table is called.

        Each row is judged by itself: other rows change nothing.

        Args:
            table: features, segments and scores, one row per customer and cutoff; `customer_id` and `as_of` are
                columns, or the index, as `build_features` makes it. pandas or Arrow.

        Returns:
            A frame with `customer_id`, `as_of` and one column per tag, its values as categories in the order of the
            rules; missing where no rule matches.

        Raises:
            SchemaError: `customer_id` or `as_of` is missing, or a column holds what a condition cannot compare.
            ConfigError: a rule refers to nothing.
        """
        frame = keyed(table, "TagSet.assign")
        values = [str(name) for name in frame.columns if name not in KEYS]
        self.check(values)
        columns = {name: Column(frame[name]) for name in self.columns}
        made: dict[str, pd.Series[Any]] = {}
        for tag in self.order:
            codes = _codes(tag, columns, len(frame))
            made[tag.name] = pd.Series(pd.Categorical.from_codes(codes, pd.Index(tag.values)), name=tag.name)
            columns[tag.name] = _Assigned(made[tag.name], codes)
        return pd.DataFrame({**{key: frame[key] for key in KEYS}, **{name: made[name] for name in self.names}})

    def describe(self) -> pd.DataFrame:
        """All rules in words: `tag`, `rule` (its number), `value`, `words`."""
        rows = [
            {"tag": tag.name, "rule": number, "value": rule.value, "words": rule.words}
            for tag in self.tags
            for number, rule in enumerate(tag.rules, start=1)
        ]
        return pd.DataFrame(rows)

    def _check_values(self) -> None:
        """A rule that asks for a value which a tag never has would never match."""
        values = {tag.name: tag.values for tag in self.tags}
        for tag in self.tags:
            for number, rule in enumerate(tag.rules, start=1):
                for column, condition in rule.conditions.items():
                    for value in values_of(condition):
                        if column in values and value not in values[column]:
                            raise ConfigError(
                                f"Tag({tag.name!r}): rule {number} ({rule.value!r}) asks whether {column!r} is "
                                f"{value!r}, which it never is.{did_you_mean(str(value), values[column])} "
                                f"Its values are: {', '.join(map(repr, values[column]))}."
                            )


class _Assigned(Column):
    """A tag as other tags look at it: its values are known already, and need not be looked for."""

    def __init__(self, values: "pd.Series[Any]", codes: Codes) -> None:
        self.name, self.kind = str(values.name), "texts"
        self.missing = codes < 0
        self._codes, self._texts = codes, list(values.cat.categories)


def _codes(tag: Tag, columns: Mapping[str, Column], rows: int) -> Codes:
    """The number of the value of every row; -1 where no rule matches."""
    values = {value: number for number, value in enumerate(tag.values)}
    codes = np.full(rows, -1, dtype=np.int16)
    for number, rule in enumerate(tag.rules, start=1):
        try:
            # What an earlier rule has matched stays as it is.
            matched: Bools = codes < 0
            for column, condition in rule.conditions.items():
                matched = matched & condition.holds(columns[column])
        except SchemaError as error:
            raise SchemaError(f"Tag({tag.name!r}): rule {number} ({rule.value!r}): {error}") from None
        codes[matched] = values[rule.value]
    return codes


def keyed(table: "pd.DataFrame | pa.Table", where: str) -> pd.DataFrame:
    """A table as a frame with the columns `customer_id` and `as_of`, rows numbered from 0.

    Raises:
        SchemaError: it is no table, or one of them is missing.
    """
    frame = table.to_pandas() if isinstance(table, pa.Table) else table
    if not isinstance(frame, pd.DataFrame):
        raise SchemaError(f"{where}: the table is a {type(table).__name__}. Use a pandas frame or an Arrow table.")
    in_index = [name for name in frame.index.names if name in KEYS]
    frame = frame.reset_index(level=in_index).reset_index(drop=True) if in_index else frame.reset_index(drop=True)
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise SchemaError(f"{where}: two columns are called {twice[0]!r}. Rename one of them.")
    for key in KEYS:
        if key not in frame.columns:
            example = "'2024-06-01'" if key == "as_of" else "range(len(table))"
            raise SchemaError(
                f"{where}: the table has no {key!r}.{did_you_mean(key, map(str, frame.columns))} "
                f"Add it: table.assign({key}={example})."
            )
    return frame

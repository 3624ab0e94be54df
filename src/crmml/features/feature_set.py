"""`FeatureSet`: several aggregates as one value, which compiles to one SQL text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from crmml.data.time import AsOf, moments_of
from crmml.errors import ConfigError, did_you_mean
from crmml.features.aggregate import Feature
from crmml.features.plan import Plan
from crmml.spec import Definition

if TYPE_CHECKING:
    import pandas as pd

    from crmml.data.log import InteractionLog


@dataclass(frozen=True, repr=False)
class FeatureSet(Definition):
    """Definitions of features that are built together, in one pass over the log.

    Args:
        features: the aggregates; the order is the order of the columns.

    Raises:
        ConfigError: it is empty, holds something else, or two features have the same name.

    >>> import crmml as cm
    >>> features = cm.FeatureSet([cm.Recency(), cm.Count(window="30d")])
    >>> features.names
    ('recency', 'count_30d')
    """

    features: Sequence[Feature]

    def __post_init__(self) -> None:
        if isinstance(self.features, (str, Feature)) or not isinstance(self.features, Sequence):
            raise ConfigError(
                f"FeatureSet: features must be a list of aggregates, not {self.features!r}. "
                "Use FeatureSet([Recency(), Count(window='30d')])."
            )
        if not self.features:
            raise ConfigError("FeatureSet: the list is empty. Use at least one aggregate, for example [Recency()].")
        by_column: dict[str, Feature] = {}
        for position, feature in enumerate(self.features):
            if not isinstance(feature, Feature):
                raise ConfigError(
                    f"FeatureSet: features[{position}] is {feature!r}, not an aggregate. "
                    "Use for example Count(window='30d')."
                )
            for column in feature.columns:
                other = by_column.setdefault(column, feature)
                if other is not feature:
                    raise ConfigError(
                        f"FeatureSet: features[{position}] {feature!r} has the same column {column!r} as "
                        f"{other!r}. Leave one of them out."
                    )
        super().__post_init__()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the table, in order."""
        return tuple(column for feature in self.features for column in feature.columns)

    def __iter__(self) -> Iterator[Feature]:
        return iter(self.features)

    def __len__(self) -> int:
        return len(self.features)

    def __add__(self, other: "FeatureSet | Sequence[Feature]") -> "FeatureSet":
        return FeatureSet([*self.features, *other])

    def select(self, columns: Sequence[str]) -> "FeatureSet":
        """The features with these columns, in the order of this set; `select_features` says which ones matter.

        Raises:
            ConfigError: the set has no such column.

        >>> import crmml as cm
        >>> features = cm.FeatureSet([cm.Recency(), cm.Count(window="30d"), cm.Count(window="90d")])
        >>> features.select(["count_90d", "recency"]).names
        ('recency', 'count_90d')
        """
        if isinstance(columns, str):
            raise ConfigError(f"FeatureSet.select: columns must be a list, not {columns!r}. Use [{columns!r}].")
        for column in columns:
            if column not in self.names:
                raise ConfigError(
                    f"FeatureSet.select: there is no column {column!r}.{did_you_mean(str(column), self.names)} "
                    f"It has: {', '.join(map(repr, self.names[:20]))}{', ...' if len(self.names) > 20 else ''}."
                )
        wanted = set(columns)
        return FeatureSet([feature for feature in self.features if wanted.intersection(feature.columns)])

    def check(self, log: "InteractionLog") -> None:
        """Raise a SchemaError where `log` lacks what a feature needs."""
        for feature in self.features:
            feature.check(log)

    def describe(self, log: "InteractionLog | None" = None) -> "pd.DataFrame":
        """What each column says, in words that are made from its definition.

        Args:
            log: with it, the features are checked against the log, and the unit of values that are taken from a
                column as they are says whether they are texts or numbers.

        Returns:
            A frame with one row per column of the table: `column`, `definition` (the code that makes it), `words`,
            `unit`, and `missing`: what it means where the column has no value.

        Raises:
            SchemaError: the log lacks what a feature needs.

        >>> import crmml as cm
        >>> features = cm.FeatureSet([cm.Count(event_type="purchase", window="90d")])
        >>> for name, value in features.describe().iloc[0].items():
        ...     print(f"{name}: {value}")
        column: count_purchase_90d
        definition: Count(event_type='purchase', window='90d')
        words: number of purchases in the 90 days before the cutoff
        unit: events
        missing: never missing: 0 where there are none
        """
        from crmml.features.words import described

        if log is not None:
            self.check(log)
        return described(self.features, log)

    def sql(self, log: "InteractionLog", as_of: "AsOf | Sequence[AsOf]", *, dialect: str = "duckdb") -> str:
        """The SQL text that builds these features from `log` as of one or many cutoffs.

        >>> import crmml as cm
        >>> log = cm.simulate_log(20, seed=1).log
        >>> print(cm.FeatureSet([cm.Count(event_type="purchase", window="30d")]).sql(log, "2024-06-01"))
        ... # doctest: +ELLIPSIS
        WITH events AS (
        ...
        """
        from crmml.features.dialects import text_of

        self.check(log)
        plan = Plan(log, moments_of(as_of))
        return text_of(plan.write(self.sql_by_column(plan)).whole(), dialect)

    def explain(self, log: "InteractionLog", as_of: "AsOf | Sequence[AsOf]") -> str:
        """The steps that a build answers in one pass over the events, and the engine's plan for the text as a drawing.

        The engine itself runs the steps that are not among those, the events, and the last step.

        >>> import crmml as cm
        >>> log = cm.simulate_log(20, seed=1).log
        >>> features = cm.FeatureSet([cm.Count(window="30d"), cm.MeanVector("event_type", size=2)])
        >>> print(features.explain(log, "2024-06-01"))  # doctest: +ELLIPSIS
        In one pass over the events: by_customer.
        ...
        """
        from crmml.features.stream.left import program_of

        self.check(log)
        moments = moments_of(as_of)
        plan, single = Plan(log, moments), Plan(log, moments[:1])
        known = program_of(single.write(self.sql_by_column(single)))
        sides = ", ".join(known.sides) if known else "nothing"
        drawing = log.engine.explain(plan.write(self.sql_by_column(plan)).whole())
        return f"In one pass over the events: {sides}.\n\n{drawing}"

    def sql_by_column(self, plan: Plan) -> dict[str, exp.Expr]:
        """Every column in the last step of the SQL text; the steps before it are asked of `plan`."""
        return {name: sql for feature in self.features for name, sql in feature.sql_by_column(plan).items()}

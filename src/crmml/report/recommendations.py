"""`RecommendationReport`: how good recommenders are, for whom, and what they do to the catalogue."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crmml.data.files import as_path, write_bytes
from crmml.errors import ConfigError, did_you_mean
from crmml.report.comparison import REPLICATES, interval
from crmml.report.page import dressed, page, table_of

METRICS = ("ndcg", "recall", "hit_rate", "average_precision", "reciprocal_rank")
LABELS = ("NDCG", "recall", "hit rate", "MAP", "MRR")
RULE = "popularity rule"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RecommendationReport:
    """Recommenders beside each other and beside popularity; `print` shows it, `to_html` writes it as a page.

    Attributes:
        split: how the interactions were divided.
        k: length of the lists.
        customers: one row per contender, part and customer with something to find: `contender`, `part` ("all"; and
            where seen items may be recommended, "repeat" and "new": measured on these items alone), `customer_id`,
            `activity` (items learned from), `relevant`, then the metrics, see `crmml.metrics.list_metrics`.
        catalogue: one row per contender: `coverage`, `novelty` (bits), `diversity`, `popularity_lift`,
            `new_item_share`, see `crmml.metrics`.

    >>> import crmml as cm
    >>> rows = [(c, i, (7 * c + i) % 50) for c in range(40) for i in range(20) if (i - c) % 2 == 0 or i < 3]
    >>> frame = pd.DataFrame(rows, columns=["customer_id", "item_id", "timestamp"])
    >>> report = cm.evaluate_recommenders(cm.Split.temporal(frame, at=40), {"ALS": cm.ALS(4)}, k=5)
    >>> report.table["contender"].unique().tolist()
    ['ALS', 'popularity rule']
    """

    split: str
    k: int
    customers: pd.DataFrame
    catalogue: pd.DataFrame

    @cached_property
    def table(self) -> pd.DataFrame:
        """Per part, contender and metric: `value`, its 95 % interval, and the difference from popularity with its own.

        Columns `part`, `contender`, `customers`, `metric`, `value`, `low`, `high`, `difference`, `difference_low`,
        `difference_high`. Intervals redraw whole customers, the same for all contenders (Efron and Tibshirani 1993).
        """
        return self.against(RULE)

    def against(self, contender: str) -> pd.DataFrame:
        """The same table with the differences from another contender than popularity.

        Raises:
            ConfigError: there is no such contender.
        """
        names = self.catalogue["contender"].tolist()
        if contender not in names:
            raise ConfigError(
                f"RecommendationReport.against: no contender {contender!r}.{did_you_mean(contender, names)} "
                f"There are: {', '.join(map(repr, names))}."
            )
        return pd.concat([_measured(part, rows, contender) for part, rows in self._parts()], ignore_index=True)

    @cached_property
    def success(self) -> pd.DataFrame:
        """Success at k against popularity: the `hit_rate`, `times` that of popularity, and its interval.

        Columns `part`, `contender`, `hit_rate`, `times`, `low`, `high`; NaN where popularity finds nothing.
        """
        rows = []
        for part, mine in self._parts():
            hits, names = _wide(mine, "hit_rate")
            means = _redrawn(hits)
            rule = names.index(RULE)
            with np.errstate(divide="ignore", invalid="ignore"):
                ratios, times = means / means[:, [rule]], hits.mean(axis=0) / hits[:, rule].mean()
            for column, name in enumerate(names):
                finite = np.where(np.isfinite(ratios[:, column]), ratios[:, column], np.nan)
                low, high = interval(finite)
                row = {"part": part, "contender": name, "hit_rate": hits[:, column].mean(), "times": times[column]}
                rows.append({**row, "low": low, "high": high})
        return pd.DataFrame(rows)

    @cached_property
    def by_activity(self) -> pd.DataFrame:
        """The means for customers with few, some and many items to learn from: thirds, as near as ties allow.

        Columns `activity` (such as "3 to 7 items"), `contender`, `customers`, then the metrics.
        """
        mine = self.customers[self.customers["part"] == "all"]
        known = mine.loc[mine["contender"] == RULE, "activity"].to_numpy()
        borders = np.unique(np.quantile(known, [1 / 3, 2 / 3], method="inverted_cdf"))
        group = np.searchsorted(borders, mine["activity"].to_numpy())
        rows = []
        for (number, contender), some in mine.groupby([group, "contender"], sort=False):
            few, many = int(some["activity"].min()), int(some["activity"].max())
            means = {name: float(some[name].mean()) for name in METRICS}
            said = _items(few, many)
            rows.append({"group": number, "activity": said, "contender": contender, "customers": len(some), **means})
        return pd.DataFrame(rows).sort_values("group", kind="stable").drop(columns="group").reset_index(drop=True)

    def _parts(self) -> Iterable[tuple[str, pd.DataFrame]]:
        return ((str(part), rows) for part, rows in self.customers.groupby("part", sort=False))

    def to_html(self, path: str | Path) -> Path:
        """Write the report as one HTML page that needs nothing else.

        Returns:
            The path written.

        Raises:
            ConfigError: the folder cannot be written to.
        """
        file = as_path(path, "to_html")
        write_bytes(file, page("Recommenders", self._repr_html_()).encode())
        return file

    def _repr_html_(self) -> str:
        tables = {
            "Means over customers": self._summary(),
            "Success against popularity": _text(self.success),
            "By activity": _text(self.by_activity),
            "The catalogue": _text(self.catalogue),
            "All metrics with intervals": _text(self.table),
        }
        parts = [f"<h1>Recommenders, lists of {self.k}</h1>", f"<p>{escape(self.split)}</p>"]
        for title, frame in tables.items():
            parts += [f"<h2>{escape(title)}</h2>", table_of(list(frame.columns), frame.to_numpy().tolist())]
        return dressed(parts)

    def _summary(self) -> pd.DataFrame:
        """The means as text, with the interval of the first metric's difference from popularity."""
        rows = []
        for (part, contender), mine in self.table.groupby(["part", "contender"], sort=False):
            values = dict(zip(mine["metric"], mine["value"], strict=True))
            first = mine.iloc[0]
            ends = f"{first['difference_low']:+.4f} to {first['difference_high']:+.4f}"
            row = {"part": str(part), "contender": str(contender), "customers": f"{first['customers']:,}"}
            row |= {label: f"{values[name]:.4f}" for name, label in zip(METRICS, LABELS, strict=True)}
            rows.append({**row, "NDCG - popularity": "-" if contender == RULE else ends})
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        shown = self._summary()
        if shown["part"].nunique() == 1:
            shown = shown.drop(columns="part")
        return "\n".join(
            [
                f"Recommenders, lists of {self.k}, all items ranked",
                f"  {self.split}",
                "",
                shown.to_string(index=False),
                "",
                _text(self.catalogue).to_string(index=False),
            ]
        )

    def __repr__(self) -> str:
        return f"RecommendationReport(k={self.k}, contenders={self.catalogue['contender'].tolist()})"


def _measured(part: str, rows: pd.DataFrame, against: str) -> pd.DataFrame:
    names = list(dict.fromkeys(rows["contender"]))
    wide = np.concatenate([_wide(rows, metric)[0] for metric in METRICS], axis=1)
    redrawn, rule, found = _redrawn(wide), names.index(against), []
    for place, metric in enumerate(METRICS):
        mine = slice(place * len(names), (place + 1) * len(names))
        values, draws = wide[:, mine], redrawn[:, mine]
        for column, name in enumerate(names):
            low, high = interval(draws[:, column])
            least, most = interval(draws[:, column] - draws[:, rule])
            mean = float(values[:, column].mean())
            found.append(
                {
                    "part": part, "contender": name, "customers": len(values), "metric": metric, "value": mean,
                    "low": low, "high": high, "difference": mean - float(values[:, rule].mean()),
                    "difference_low": least, "difference_high": most,
                }
            )  # fmt: skip
    contenders = len(found) // len(METRICS)  # contender by contender, as they are read
    return pd.DataFrame([row for place in range(contenders) for row in found[place::contenders]])


def _wide(rows: pd.DataFrame, metric: str) -> tuple[NDArray[np.float64], list[str]]:
    """One column per contender, one row per customer."""
    names = list(dict.fromkeys(rows["contender"]))
    wide = rows.pivot(index="customer_id", columns="contender", values=metric)[names]
    return wide.to_numpy(np.float64), names


def _redrawn(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The means of the columns when customers (rows) are drawn anew, always in the same way; (replicates, columns)."""
    random, customers = np.random.default_rng(0), len(values)
    means = np.empty((REPLICATES, values.shape[1]))
    for number in range(REPLICATES):
        weights = np.bincount(random.integers(customers, size=customers), minlength=customers)
        means[number] = weights @ values / customers
    return means


def _items(few: int, many: int) -> str:
    return f"{few} items" if few == many else f"{few} to {many} items"


def _text(frame: pd.DataFrame) -> pd.DataFrame:
    """Every value as people read it."""
    return pd.DataFrame({str(name): [_cell(value) for value in frame[name].tolist()] for name in frame.columns})


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "-" if np.isnan(value) else f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)

"""Scores beside what is true: in a simulated log it is known who has gone, who buys how often, and who likes what."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from crmml.data.simulate import Simulated
from crmml.errors import MissingExtraError
from crmml.features.targets import Target
from crmml.metrics import auc, spearman

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Hatched, so that the second bar differs without its colour too.
_LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "edgecolor": "#0072B2"},
    {"color": "white", "edgecolor": "#767676", "hatch": "///"},
)
_FIFTHS = ("lowest rate", "low rate", "middle rate", "high rate", "highest rate")


@dataclass(frozen=True, eq=False)
class Truth:
    """What the scores of one task look like beside the truth.

    Attributes:
        sentence: the finding in one sentence.
        table: a row per group of customers, with its size and the numbers of `shown`.
        shown: the columns that the picture shows as bars, with how they are called.
        unit: what the bars count.
        form: how the numbers are written.
    """

    sentence: str
    table: pd.DataFrame
    shown: Mapping[str, str]
    unit: str
    form: str = "{:.0%}"

    def figure(self) -> "Figure":
        """The table as bars.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise MissingExtraError("A picture of the demo", "matplotlib", extra="plot") from None
        figure = Figure(figsize=(6.4, 4.2), layout="constrained", facecolor="white")
        axes = figure.add_subplot()
        height = 0.8 / len(self.shown)
        for number, (column, label) in enumerate(self.shown.items()):
            places = [place + number * height for place in range(len(self.table))]
            look = _LOOKS[number]
            bars = axes.barh(places, self.table[column], height * 0.92, align="edge", label=label, **look)
            axes.bar_label(bars, fmt=self.form, fontsize=9, padding=3)
        axes.set_yticks([place + 0.4 for place in range(len(self.table))], [str(name) for name in self.table.index])
        axes.invert_yaxis()
        title = f"Beside the truth: {self.unit}"
        figure.suptitle(title, x=0.01, horizontalalignment="left", fontsize=12, fontweight="bold")
        axes.xaxis.set_visible(False)  # every bar says its number
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.margins(x=0.12)
        if len(self.shown) > 1:
            figure.legend(frameon=False, fontsize=9, loc="outside lower center", ncols=2)
        return figure


def of_churn(scores: pd.DataFrame, simulated: Simulated, as_of: pd.Timestamp, target: Target) -> Truth:
    """Do customers who have left for ever, which no event says, get a high `p_churn`?"""
    dropout = scores["customer_id"].map(simulated.truth["dropout"])
    leaving = dropout <= as_of + target.reach
    gone = dropout <= as_of
    ahead = f"leave within {target.horizon}"
    group = pd.Series("still there", index=scores.index).mask(leaving, ahead).mask(gone, "already gone")
    table = _means(scores, group, ["p_churn"]).reindex(["already gone", ahead, "still there"]).dropna(how="all")
    means = table["p_churn"].reindex(["already gone", "still there"])
    # A tiny log may hold only one of the two kinds.
    ranked = f" (AUC for having gone {auc(gone.astype(int), scores['p_churn']):.2f})" if gone.nunique() == 2 else ""
    sentence = (
        "Customers who had already gone for ever, which no event in the log says, got a mean p_churn of "
        f"{means.iloc[0]:.2f}; those who stayed got {means.iloc[1]:.2f}{ranked}."
    )
    return Truth(sentence, table, {"p_churn": "p_churn"}, "mean p_churn", "{:.2f}")


def of_value(scores: pd.DataFrame, simulated: Simulated, as_of: pd.Timestamp, target: Target) -> Truth:
    """Do customers with a high true rate of purchases, unless they have gone, get a high value?"""
    events = simulated.events
    ahead = events[(events["timestamp"] >= as_of) & (events["timestamp"] < as_of + target.reach)]
    spent = ahead[ahead["event_type"].isin(["purchase", "return"])].groupby("customer_id")["amount"].sum()
    known = scores.assign(spent=scores["customer_id"].map(spent).fillna(0.0))
    truth = simulated.truth.loc[known["customer_id"]].set_axis(known.index)
    gone = truth["dropout"] <= as_of
    rate = truth["rate"].mask(gone, 0.0)
    fifth = pd.qcut(truth["rate"][~gone], len(_FIFTHS), labels=list(_FIFTHS)).astype(object)
    table = _means(known, fifth.reindex(known.index, fill_value="already gone"), ["clv", "spent"])
    table = table.reindex(["already gone", *_FIFTHS]).dropna(how="all")
    sentence = (
        f"Predicted value against the true rate of purchases (0 for who has gone): rank correlation "
        f"{spearman(rate, known['clv']):.2f}. Customers who had gone were predicted "
        f"{table['clv'].get('already gone', float('nan')):.2f} and the fifth with the highest rate "
        f"{table['clv'].iloc[-1]:.2f} on average; they spent {table['spent'].get('already gone', 0.0):.2f} and "
        f"{table['spent'].iloc[-1]:.2f}."
    )
    shown = {"clv": "predicted", "spent": "really spent"}
    return Truth(sentence, table, shown, f"mean value in {target.horizon}, by true rate of purchases", "{:,.0f}")


def of_segments(scores: pd.DataFrame, simulated: Simulated, as_of: pd.Timestamp) -> Truth:
    """Which share of each segment has gone for ever?"""
    gone = (scores["customer_id"].map(simulated.truth["dropout"]) <= as_of).astype(float)
    table = _means(scores.assign(gone=gone), scores["segment"].astype(str), ["gone"]).sort_values("gone")
    sentence = (
        f"Of the segment '{table.index[0]}' {table['gone'].iloc[0]:.0%} had gone for ever, of "
        f"'{table.index[-1]}' {table['gone'].iloc[-1]:.0%}."
    )
    return Truth(sentence, table, {"gone": "gone for ever"}, "share of a segment that has gone for ever")


def of_recommendations(lists: Mapping[str, pd.DataFrame], simulated: Simulated) -> Truth:
    """Which share of each recommender's lists lies in a category that the customer really likes?"""
    shares = {}
    for name, table in lists.items():
        category = table["item_id"].map(simulated.items["category"].astype(str))
        tastes = simulated.truth.loc[table["customer_id"], ["taste", "second_taste"]].astype(str)
        liked = tastes.set_axis(table.index).eq(category, axis=0).any(axis=1)
        shares[name] = {"customers": table["customer_id"].nunique(), "liked": liked.mean()}
    result = pd.DataFrame.from_dict(shares, orient="index")
    said = " and ".join(f"{row.liked:.0%} of what {name} recommends" for name, row in result.iterrows())
    sentence = (
        f"Each customer truly likes two of {simulated.items['category'].nunique()} categories: {said} is in them."
    )
    return Truth(sentence, result, {"liked": "liked"}, "share of a list that the customer likes")


def _means(scores: pd.DataFrame, group: "pd.Series[Any]", columns: list[str]) -> pd.DataFrame:
    groups = scores.groupby(group)
    return groups[columns].mean().assign(customers=groups.size())[["customers", *columns]].rename_axis(None)

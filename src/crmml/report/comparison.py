"""Is the model better than the best simple rule? A paired comparison over cutoffs and over customers."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student

from crmml.report.measures import Floats, Measure

Grade = Literal["A", "B", "C", "no better than the rule"]

REPLICATES = 200
COVERAGE = 0.95
# With fewer hold-outs than these, agreement may be chance.
PROVING = 3


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The model beside the best simple rule, on the measure that decides.

    The best rule is chosen with hindsight, after seeing all hold-outs: a benefit of the doubt for the rule.

    Attributes:
        measure: the measure that decides.
        rule: name of the best rule.
        cutoffs: number of hold-out cutoffs.
        wins: on how many of them the model is better.
        difference: mean over the cutoffs of model - rule, both on the same customers.
        std: standard deviation of that difference over the cutoffs; NaN with one cutoff.
        low, high: 95 % interval of `difference`: bootstrap over customers (see `customer_bootstrap`).
        intervals: the same interval (low, high) at each cutoff alone.
    """

    measure: Measure
    rule: str
    cutoffs: int
    wins: int
    difference: float
    std: float
    low: float
    high: float
    intervals: tuple[tuple[float, float], ...] = ()

    @property
    def grade(self) -> Grade:
        """How well it is proven that the model is better, from the intervals of the difference alone.

        "A": the interval lies on the good side of 0 at every cutoff, of which there are three or more.
        "B": the interval of the mean does, and the model is ahead at every cutoff, of which there are two or more.
        "C": the interval of the mean does, and two thirds of the cutoffs agree: the verdict is "better".
        """
        if self.verdict != "better":
            return "no better than the rule"
        if self.cutoffs >= PROVING and all(self._gains(*ends)[0] > 0 for ends in self.intervals):
            return "A"
        return "B" if self.wins == self.cutoffs > 1 else "C"

    def _gains(self, low: float, high: float) -> tuple[float, float]:
        """The ends of an interval of the difference, turned so that more is better; the lesser first."""
        least, most = sorted(self.measure.cost(0.0) - self.measure.cost(end) for end in (low, high))
        return least, most

    @property
    def verdict(self) -> Literal["better", "no better", "worse"]:
        """What customers and cutoffs agree on.

        "better" if the interval lies on the good side of 0, two thirds of the cutoffs agree and, of three cutoffs or
        more, so does the interval over the cutoffs (Student's): redrawing customers takes the fitted models as given,
        and so overlooks that one was lucky at this log. "worse" likewise.
        """
        gains, half = self._gains(self.low, self.high), self._half
        mean = self._gains(self.difference, self.difference)[0]
        if gains[0] > 0 and mean > half and 3 * self.wins >= 2 * self.cutoffs:
            return "better"
        if gains[1] < 0 and mean < -half and 3 * self.wins <= self.cutoffs:
            return "worse"
        return "no better"

    @property
    def over_cutoffs(self) -> tuple[float, float]:
        """Student's 95 % interval of the mean over three cutoffs or more; the mean itself where there are fewer.

        >>> from crmml.report.measures import measures_of
        >>> found = Comparison(measure=measures_of("binary")[0], rule="recency rule", cutoffs=3, wins=3,
        ...                    difference=0.02, std=0.01, low=0.0, high=0.0)
        >>> [round(end, 4) for end in found.over_cutoffs]  # 0.02 -+ 4.303 * 0.01 / sqrt(3)
        [-0.0048, 0.0448]
        """
        return self.difference - self._half, self.difference + self._half

    @property
    def _half(self) -> float:
        """Half the width of Student's 95 % interval of the mean over the cutoffs; 0 where there are too few of them."""
        if self.cutoffs < PROVING:
            return 0.0
        return float(student.ppf((1 + COVERAGE) / 2, self.cutoffs - 1) * self.std / self.cutoffs**0.5)

    def __str__(self) -> str:
        """One sentence in plain words.

        >>> from crmml.report.measures import measures_of
        >>> print(Comparison(measure=measures_of("binary")[0], rule="recency rule", cutoffs=5, wins=5,
        ...                  difference=0.031, std=0.004, low=0.025, high=0.038))
        better than the recency rule on 5 of 5 cutoffs: AUC +0.031 on average (95 % interval +0.025 to +0.038)
        """
        text = self.measure.text
        only = self.cutoffs == 1
        interval = f"95 % interval {text(self.low, signed=True)} to {text(self.high, signed=True)}"
        mean = f"{self.measure.label} {text(self.difference, signed=True)}{'' if only else ' on average'}"
        count = "on the only cutoff" if only else f"on {self.wins} of {self.cutoffs} cutoffs"
        if self.verdict == "better" or only:
            return f"{self.verdict} than the {self.rule} {count}: {mean} ({interval})"
        clear = self.verdict == "no better" and not self.low <= 0 <= self.high
        doubt = ", but the cutoffs disagree" if clear else ""
        return f"{self.verdict} than the {self.rule}: better {count}, {mean} ({interval}){doubt}"


def best_rule(table: pd.DataFrame, measure: Measure) -> str | None:
    """The rule with the best mean of `measure` over the cutoffs; None where the table has no rule.

    >>> import pandas as pd
    >>> from crmml.report.measures import measures_of
    >>> table = pd.DataFrame({"contender": ["model", "recency", "count"], "kind": ["model", "rule", "rule"],
    ...                       "auc": [0.8, 0.7, 0.6]})
    >>> best_rule(table, measures_of("binary")[0])
    'recency'
    """
    rules = table[table["kind"] == "rule"].groupby("contender", sort=False)[measure.name].mean()
    return None if rules.empty else str(rules.map(measure.cost).idxmin())


def compare(
    table: pd.DataFrame, scores: pd.DataFrame, measure: Measure, *, replicates: int = REPLICATES
) -> Comparison | None:
    """The paired comparison of the model with the best rule; None where there is no rule.

    table: one row per cutoff and contender, columns `as_of`, `contender`, `kind` and the measure.
    scores: the rows behind it: `as_of`, `contender`, `kind`, `customer_id`, `y` and `score` (for lists the
    measure itself per customer).
    """
    rule = best_rule(table, measure)
    if rule is None:
        return None
    model = table[table["kind"] == "model"].set_index("as_of")[measure.name]
    other = table[(table["kind"] == "rule") & (table["contender"] == rule)].set_index("as_of")[measure.name]
    pairs = [(float(model[as_of]), float(other[as_of])) for as_of in model.index]
    differences = np.array([measure.difference(mine, theirs) for mine, theirs in pairs])
    draws = customer_bootstrap(scores, rule, measure, replicates=replicates)
    low, high = interval(means_over_cutoffs(draws))
    return Comparison(
        measure=measure,
        rule=rule,
        cutoffs=len(pairs),
        wins=sum(measure.is_better(mine, theirs) for mine, theirs in pairs),
        difference=float(differences.mean()),
        std=float(differences.std(ddof=1)) if len(pairs) > 1 else float("nan"),
        low=low,
        high=high,
        intervals=tuple(interval(column) for column in draws.T),
    )


def customer_bootstrap(
    scores: pd.DataFrame, rule: str, measure: Measure, *, replicates: int = REPLICATES, seed: int = 0
) -> Floats:
    """Differences model - rule under redrawn customers, shape (replicates, cutoffs); NaN where one is undefined.

    Whole customers are drawn with replacement, so that the rows of one customer at several cutoffs stay
    together; each draw gives one difference per cutoff. The spread says how much the customers at hand decide, not
    how much next season may differ: read it beside the spread over cutoffs. Efron and Tibshirani (1993), An
    introduction to the bootstrap, chapter 13.
    """
    codes, customers = pd.factorize(scores["customer_id"])
    kind, contender = scores["kind"].to_numpy(), scores["contender"].to_numpy()
    holdouts = []
    for rows in scores.groupby("as_of").indices.values():
        mine, theirs = rows[kind[rows] == "model"], rows[(kind[rows] == "rule") & (contender[rows] == rule)]
        holdouts.append([_weighable(scores.iloc[side], codes[side], measure) for side in (mine, theirs)])
    generator = np.random.default_rng(seed)
    draws = np.empty((replicates, len(holdouts)))
    for number in range(replicates):
        drawn = generator.integers(len(customers), size=len(customers))
        weights = np.bincount(drawn, minlength=len(customers)).astype(np.float64)
        draws[number] = [mine.value(weights) - theirs.value(weights) for mine, theirs in holdouts]
    return draws


def interval(draws: Floats) -> tuple[float, float]:
    """The 95 % interval of draws by their percentiles; NaN where no draw could be measured.

    >>> [round(end) for end in interval(np.arange(1001.0))]
    [25, 975]
    """
    known = draws[~np.isnan(draws)]
    if not len(known):
        return float("nan"), float("nan")
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


def means_over_cutoffs(draws: Floats) -> Floats:
    """The mean over the cutoffs that each draw can measure (a draw may hold labels of one class only)."""
    known = ~np.isnan(draws)
    counts = known.sum(axis=1)
    sums = np.where(known, draws, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


class WeightedMean:
    """The mean of a value per customer, for weights of customers."""

    def __init__(self, values: Floats, customers: NDArray[np.intp]) -> None:
        self._values, self._customers = values, customers

    def value(self, weights: Floats) -> float:
        """The weighted mean; NaN where no customer has weight."""
        mine = weights[self._customers]
        total = float(mine.sum())
        return float(mine @ self._values) / total if total else float("nan")


class WeightedGini:
    """Normalised Gini of a score, or the AUC, for weights of customers: sorted once, weighed often.

    The Gini is twice the area between the gains curve and the diagonal, with straight lines over ties; for
    labels 0 and 1 the normalised Gini is 2 AUC - 1.

    >>> import numpy as np
    >>> y, score = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.4, 0.35, 0.8])
    >>> WeightedGini(y, score, np.arange(4), auc=True).value(np.ones(4))
    0.75
    """

    def __init__(self, y: Floats, score: Floats, customers: NDArray[np.intp], *, auc: bool) -> None:
        self._orders = [_Order(y, key, customers) for key in (score, y)]
        self._auc = auc

    def value(self, weights: Floats) -> float:
        """The metric of the rows, each counted as often as its customer weighs; NaN where it is undefined."""
        found, most = (order.area(weights) for order in self._orders)
        if most == 0:
            return float("nan")
        return (found / most + 1) / 2 if self._auc else found / most


class _Order:
    """Rows from the highest key to the lowest, with the places where groups of ties begin."""

    def __init__(self, y: Floats, key: Floats, customers: NDArray[np.intp]) -> None:
        order = np.argsort(-key, kind="stable")
        ordered = key[order]
        self._starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        self._y, self._customers = y[order], customers[order]

    def area(self, weights: Floats) -> float:
        """Area between the gains curve (as sums, not shares) and its diagonal.

        Sums, because a share of a total of 0 means nothing; the total cancels in the normalised Gini.
        """
        mine = weights[self._customers]
        rows = np.add.reduceat(mine, self._starts)
        gains = np.add.reduceat(mine * self._y, self._starts)
        heights = np.cumsum(gains) - gains / 2
        return float(rows @ heights) - float(rows.sum()) * float(gains.sum()) / 2


def _weighable(rows: pd.DataFrame, customers: NDArray[np.intp], measure: Measure) -> WeightedGini | WeightedMean:
    if measure.of is None:
        return WeightedMean(rows[measure.name].to_numpy(np.float64), customers)
    y, score = rows["y"].to_numpy(np.float64), rows["score"].to_numpy(np.float64)
    return WeightedGini(y, score, customers, auc=measure.name == "auc")

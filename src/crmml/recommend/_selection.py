"""What a two-stage recommender decides on hold-outs: the generators' exponents, the blend, the ranker or none."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone

from crmml.recommend._holdout import KINDS, HoldOut, hold_out
from crmml.recommend._recency import recency_of
from crmml.recommend._threads import mapped
from crmml.recommend._weights import fitted_weights, weighed
from crmml.recommend.base import Recommender
from crmml.recommend.blend import Judged, blended, ndcg, recall
from crmml.recommend.candidates import Candidates, candidates
from crmml.recommend.matrix import Interactions
from crmml.recommend.reranker import Seen, columns, trained
from crmml.trees.booster import Trees

EQUAL, FITTED, RANKER = "equal blend", "fitted blend", "ranker"
# Fewer customers with something held out say nothing; of fewer than a few thousand trees learn too little.
LEAST = 60
LEAST_TO_RANK = 600
# Of the customers of the hold-outs: what trains, what says when to stop, and the rest judges.
TRAIN, STOP = 0.6, 0.15
CLEAR = 2.0  # standard errors by which another must be better than the equal blend
TUNED_ON = 2_000  # customers that an exponent is chosen on

# Parameter -> the values to try, for the generators of one class.
Grids = Mapping[str, Mapping[str, Sequence[float]]]


class Selection(NamedTuple):
    """What was decided, and why.

    generators: by name, unfitted, with the parameters chosen. parameters: those that were chosen or set, by generator.
    weights: of the blend, shape (generators,), 0 for those that are not used. ranker: where it was chosen.
    table: see `TwoStage.selection_`.
    """

    generators: dict[str, Recommender]
    parameters: dict[str, dict[str, float]]
    weights: NDArray[np.float64]
    ranker: Trees | None
    chosen: str
    table: pd.DataFrame


class Plan(NamedTuple):
    """How to choose: the parameters of `TwoStage`."""

    size: int
    share: float
    k: int
    sample: int
    seed: int
    n_jobs: int
    repeats: bool


class Ground(NamedTuple):
    """What the choice is made on: the hold-out, what is seen of what stays known, how long lists are, and threads."""

    held: HoldOut
    seen: Seen
    size: int
    k: int
    n_jobs: int

    def judged(self, generators: Mapping[str, Recommender], customers: NDArray[np.int64], size: int) -> Judged:
        """The candidates of these customers, and which of them were held out."""
        new = not self.seen.repeats
        found = candidates(generators, self.seen.matrix, customers, size, exclude_seen=new, n_jobs=self.n_jobs)
        wanted = self.held.wanted[customers]
        cell = np.repeat(np.arange(len(customers)), np.diff(wanted.indptr)) * wanted.shape[1] + wanted.indices
        hit = np.isin(found.row * wanted.shape[1] + found.item, cell)
        return Judged(found, hit, np.diff(wanted.indptr).astype(np.int64), self.held.kind[customers])

    def table(self, judged: Judged, customers: NDArray[np.int64]) -> NDArray[np.float32]:
        """What the ranker sees of these candidates."""
        return columns(judged.candidates, self.seen, customers, self.size)


def select(
    generators: Mapping[str, Recommender],
    matrix: Interactions,
    plan: Plan,
    grids: Grids,
    settled: Mapping[str, Mapping[str, float]],
) -> Selection:
    """Decide on hold-outs from this matrix. The generators are not changed; clones of them are fitted.

    settled: parameters that are not chosen but set, by the generators' class.
    """
    kinds = {name: type(one).__name__ for name, one in generators.items()}
    set_here = {name: dict(settled[kind]) for name, kind in kinds.items() if kind in settled}
    generators = {name: clone(one).set_params(**set_here.get(name, {})) for name, one in generators.items()}
    random = np.random.default_rng(plan.seed)
    held = hold_out(matrix, plan.share, plan.sample, random, repeats=plan.repeats)
    customers = np.flatnonzero((np.diff(held.wanted.indptr) > 0) & held.known.has_weight)
    customers = random.permutation(customers)
    if len(customers) < LEAST:
        return Selection(generators, set_here, np.ones(len(generators)), None, EQUAL, table_of([]))
    seen = Seen(held.known, recency_of(held.known), plan.repeats)
    ground = Ground(held, seen, plan.size, plan.k, plan.n_jobs)
    few, alone = np.sort(customers[:TUNED_ON]), ground._replace(n_jobs=1)
    grid_of = {name: grids.get(type(one).__name__, {}) for name, one in generators.items()}
    found = mapped(lambda name: tuned(generators[name], grid_of[name], alone, few), generators, plan.n_jobs)
    fitted = dict(zip(generators, found, strict=True))
    parameters = {
        name: {key: float(fitted[name].get_params()[key]) for key in grid} for name, grid in grid_of.items() if grid
    }
    cuts = [int(TRAIN * len(customers)), int((TRAIN + STOP) * len(customers))]
    weights, ranker, chosen, table = _decide(fitted, ground, [np.sort(group) for group in np.split(customers, cuts)])
    unfitted = {name: clone(one) for name, one in fitted.items()}
    return Selection(unfitted, {**set_here, **parameters}, weights, ranker, chosen, table)


def tuned(
    generator: Recommender, grid: Mapping[str, Sequence[float]], ground: Ground, customers: NDArray[np.int64]
) -> Recommender:
    """The generator fitted with the best values of a grid, one parameter after the other from those it has."""

    def figure(model: Recommender) -> float:
        judged = ground.judged({"": model}, customers, ground.k)
        return float(ndcg(judged.candidates.score[:, 0], judged, ground.k).mean())

    best: Recommender = clone(generator).fit(ground.held.known)
    best_figure = figure(best) if grid else 0.0
    for name, values in grid.items():
        at = best.get_params()
        for value in values:
            if value == at[name]:
                continue
            other: Recommender = clone(best).set_params(**{**at, name: value}).fit(ground.held.known)
            found = figure(other)
            if found > best_figure:
                best, best_figure = other, found
    return best


def _decide(
    fitted: Mapping[str, Recommender], ground: Ground, groups: list[NDArray[np.int64]]
) -> tuple[NDArray[np.float64], Trees | None, str, pd.DataFrame]:
    """The blend's weights, the ranker if it is to be used, the choice and the table that it was made on."""
    train, stop, judge = (ground.judged(fitted, group, ground.size) for group in groups)
    equal = np.ones(len(fitted))
    weights = fitted_weights(train, ground.k)
    scores = {name: _alone(judge.candidates, column) for column, name in enumerate(fitted)}
    scores[EQUAL] = blended(judge.candidates.score, equal)
    scores[FITTED] = weighed(judge.candidates, weights)
    ranker = None
    if len(train.held) + len(stop.held) >= LEAST_TO_RANK:
        seen = [(part, ground.table(part, group)) for part, group in zip((train, stop), groups, strict=False)]
        ranker = trained(seen[0], seen[1], ground.k, ground.n_jobs)
        scores[RANKER] = ranker.raw(ground.table(judge, groups[2]), ground.n_jobs)
    figures = {name: ndcg(score, judge, ground.k) for name, score in scores.items()}
    rows = [_row(name, figures, scores[name], judge, ground.k) for name in scores]
    chosen = _best(rows)
    table = table_of(rows).assign(chosen=[row["name"] == chosen for row in rows])
    return (weights if chosen == FITTED else equal), (ranker if chosen == RANKER else None), chosen, table


def _alone(found: Candidates, column: int) -> NDArray[np.float64]:
    """The score of one generator: what is not on its list comes after what is."""
    return np.where(found.rank[:, column] > 0, -found.rank[:, column], -np.inf).astype(np.float64)


def _row(
    name: str, figures: Mapping[str, NDArray[np.float64]], score: NDArray[np.float64], judge: Judged, k: int
) -> dict[str, Any]:
    difference = figures[name] - figures[EQUAL]
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    return {
        "name": name,
        "recall": float(recall(score, judge, k).mean()),
        "ndcg": float(figures[name].mean()),
        **{f"ndcg_{kind}": _mean(figures[name], judge.kind == kind) for kind in KINDS},
        "difference": float(difference.mean()),
        "standard_error": float(error),
        "worse_on": min(_mean(difference, judge.kind == kind) for kind in np.unique(judge.kind)),
    }


def _mean(values: NDArray[np.float64], where: NDArray[np.bool_]) -> float:
    return float(values[where].mean()) if where.any() else float("nan")


def _best(rows: list[dict[str, Any]]) -> str:
    """The equal blend, unless the fitted one or the ranker is clearly better and on no kind of hold-out worse."""
    clear = [
        row
        for row in rows
        if row["name"] in (FITTED, RANKER)
        and row["difference"] > CLEAR * row["standard_error"]
        and row["worse_on"] >= 0
    ]
    return str(max(clear, key=lambda row: row["ndcg"])["name"]) if clear else EQUAL


def table_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows as the table that users see."""
    kinds = [f"ndcg_{kind}" for kind in KINDS]
    names = ["name", "recall", "ndcg", *kinds, "difference", "standard_error", "chosen"]
    return pd.DataFrame(rows, columns=names)

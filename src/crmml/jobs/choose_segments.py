"""`choose_segments`: how many segments there are, judged on customers who did not make them."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from crmml.errors import ConfigError, DataError
from crmml.jobs.parts import progress_bar
from crmml.models._base import Floats
from crmml.models._groups import METHODS, sample_of
from crmml.models._robust import RobustScaler
from crmml.models._stability import Halves, combined, draw
from crmml.models.segments import BehaviourSegmenter, silhouette_of
from crmml.report.segment_choice import GOOD, SegmentChoice

MOST_ROWS = 4_000
# The normal cloud is asked in one of so many draws: its mean needs no interval.
_NULL_EVERY = 4


def choose_segments(
    X: Any,
    candidates: Iterable[int] = range(1, 11),
    *,
    model: BehaviourSegmenter | None = None,
    draws: int = 20,
    error_rate: float = 0.05,
    random_state: int = 0,
    progress: bool = True,
) -> SegmentChoice:
    """How many segments there are: the most that are found again in other customers, and that lie apart.

    The rows are divided at random in two halves, again and again; either half learns its own scaling and segments.
    *Stable*: the two divide all rows alike (mean adjusted Rand index of .8 or more). *Apart*: on the line between
    the centres of any two neighbours there are fewer rows of the other half around the middle than around either
    end, which no distribution with a single peak, however skewed, brings about. Where no number above 1 is both,
    there is nothing to split, and k is 1: of tables that are one cloud at most `error_rate` are divided.

    All neighbours have to lie apart: one crowd beside a cloud that k-means has to cut somewhere is not found. Look at
    `BehaviourSegmenter(method="hdbscan")`, too.

    Args:
        X: a row per customer, numbers, missing values allowed, shape (rows, columns); at most 4,000 rows, drawn at
            random, are looked at. One column where most have the same value (0, say) makes a valley of its own: a
            channel that a few use now and then. Leave such columns out, or mean them.
        candidates: the numbers of segments to try.
        model: the segmenter, whose `method` and `random_state` count; BehaviourSegmenter() where None. "hdbscan"
            finds its number by itself.
        draws: how many pairs of halves.
        error_rate: how often one cloud may be divided.
        random_state: seed of the draws.
        progress: show a progress bar, where standard error is a terminal.

    Returns:
        A SegmentChoice: print it, look at its `figure()`, take `k`.

    Raises:
        ConfigError: candidates, draws, error rate or model cannot be used.
        SchemaError: a column with text or dates.
        DataError: an infinite value, too few rows, or several rows per customer.

    Sources: T. Lange et al., Stability-based validation of clustering solutions (Neural Computation 16, 2004); the
    test of a valley is our own, from exact binomial tests on rows held out (see docs/decisions/0027).

    >>> rng = np.random.default_rng(0)
    >>> one_cloud = rng.gamma(1.0, size=(500, 3))
    >>> choice = choose_segments(one_cloud, candidates=[1, 2, 3], draws=5)
    >>> choice.k
    1
    """
    numbers = _checked(candidates, draws, error_rate, random_state)
    segmenter = _checked_model(model)
    _refuse_repeats(X)
    values, _ = clone(segmenter).set_params(n_clusters=1)._check_fitting(X)
    rows = sample_of(values, MOST_ROWS, random_state)
    if len(rows) // 2 < max(numbers):
        raise DataError(
            f"choose_segments: X has {len(rows)} rows, and a half of them cannot make k={max(numbers)} segments. "
            f"Use candidates up to {max(1, len(rows) // 2)}, or more rows."
        )
    several = [k for k in numbers if k > 1]
    said = []
    with progress_bar("choose_segments", draws, progress=progress) as bar:
        for number in range(draws):
            seed = random_state + number
            said.append(draw(rows, several, segmenter.method, seed, null=number % _NULL_EVERY == 0))
            bar.update()
    found = [_row([each[k] for each in said], len(several), error_rate) for k in several]
    whole = [_on_all(rows, k, segmenter) for k in several]
    table = pd.DataFrame([row | more for row, more in zip(found, whole, strict=True)], index=several, columns=_COLUMNS)
    if 1 in numbers:
        table = pd.concat([pd.DataFrame([_ONE], index=[1], columns=_COLUMNS), table])
    return SegmentChoice(
        table=table.astype({"stable": bool, "apart": bool}).rename_axis("k"),
        rows=len(rows),
        of_rows=len(values),
        draws=draws,
        model=repr(segmenter),
        error_rate=error_rate,
    )


_COLUMNS = [
    *("stability", "stability_lo", "stability_hi", "stability_null", "silhouette", "smallest"),
    *("valley", "p_value", "stable", "apart"),
]
_ONE = dict.fromkeys(_COLUMNS, np.nan) | {"smallest": 1.0, "stable": False, "apart": False}


def _row(said: list[Halves], candidates: int, error_rate: float) -> dict[str, Any]:
    """What all draws together say about one number of segments."""
    agreements = np.array([halves.agreement for halves in said])
    p_value = min(1.0, candidates * combined([p for halves in said for p in halves.p_values]))
    return {
        "stability": agreements.mean(),
        "stability_lo": np.quantile(agreements, 0.05),
        "stability_hi": np.quantile(agreements, 0.95),
        "stability_null": np.nanmean([halves.agreement_null for halves in said]),
        "valley": np.median([depth for halves in said for depth in halves.depths]),
        "p_value": p_value,
        "stable": agreements.mean() >= GOOD,
        "apart": p_value <= error_rate,
    }


def _on_all(rows: Floats, k: int, segmenter: BehaviourSegmenter) -> dict[str, Any]:
    """Silhouette and share of the smallest segment, of the segments that all rows make."""
    Z = RobustScaler.learn(rows).apply(rows)
    kind: Any = METHODS[segmenter.method]
    labels = kind.find(Z, k, segmenter.random_state).assign(Z)
    return {
        "silhouette": silhouette_of(Z, labels, segmenter.random_state),
        "smallest": np.bincount(labels, minlength=k).min() / len(rows),
    }


def _checked(candidates: Any, draws: Any, error_rate: Any, random_state: Any) -> list[int]:
    try:
        numbers = sorted(set(candidates))
    except TypeError:
        numbers = []
    if not all(_is_whole(k, 1) for k in numbers) or not any(k > 1 for k in numbers):
        raise ConfigError(
            f"choose_segments: candidates={candidates!r} must be whole numbers of 1 or more, one of them above 1. "
            "Use range(1, 11), the default."
        )
    if not _is_whole(draws, 1):
        raise ConfigError(f"choose_segments: draws={draws!r} must be a whole number, 1 or more. Use 20, the default.")
    if not isinstance(error_rate, float) or not 0 < error_rate < 1:
        raise ConfigError(
            f"choose_segments: error_rate={error_rate!r} must be a number above 0 and below 1. Use 0.05, the default."
        )
    if not _is_whole(random_state, 0):
        raise ConfigError(
            f"choose_segments: random_state={random_state!r} must be a whole number, 0 or more. Use 0, the default."
        )
    return [int(k) for k in numbers]


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= least)


def _checked_model(model: Any) -> BehaviourSegmenter:
    segmenter = BehaviourSegmenter() if model is None else model
    if not isinstance(segmenter, BehaviourSegmenter):
        raise ConfigError(f"choose_segments: model is {model!r}. Use a BehaviourSegmenter, for example the default.")
    if segmenter.method == "hdbscan":
        raise ConfigError(
            "choose_segments: HDBSCAN finds the number of segments by itself. "
            "Use BehaviourSegmenter(method='kmeans') or 'gaussian_mixture' to compare numbers."
        )
    return segmenter


def _refuse_repeats(X: Any) -> None:
    """One customer in both halves would agree with themself."""
    index = getattr(X, "index", None)
    if not isinstance(index, pd.Index) or "customer_id" not in index.names:
        return
    customers = index.get_level_values("customer_id")
    if customers.has_duplicates:
        twice = customers[customers.duplicated()][0]
        raise DataError(
            f"choose_segments: customer {twice!r} has several rows, and would agree with themself in both halves. "
            "Use the table of one cutoff."
        )

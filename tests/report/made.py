"""Reports made by hand, from scores whose quality is known, without a log or a model."""

import numpy as np
import pandas as pd

from crmml.report.backtest import BacktestReport, Skipped
from crmml.report.measures import holdout_table, measures_of

CUTOFFS = tuple(pd.date_range("2024-03-01", periods=5, freq="30D", tz="UTC").as_unit("us"))
EARLIER = tuple(pd.date_range("2023-11-02", periods=2, freq="30D", tz="UTC").as_unit("us"))


def rows_of(
    as_of: pd.Timestamp, contender: str, kind: str, y: "np.ndarray", score: "np.ndarray", *, of: str
) -> pd.DataFrame:
    """The rows of one contender at one cutoff, customers numbered from 0."""
    frame = pd.DataFrame({"as_of": as_of, "contender": contender, "kind": kind, "customer_id": np.arange(len(y))})
    if of == "items":
        return frame.assign(y=2, **dict.fromkeys(("ndcg_at_10", "recall_at_10", "hit_rate_at_10"), y * score))
    return frame.assign(y=y, score=score, probability=score if of == "binary" else np.nan)


def report_of(scores: pd.DataFrame, task: str, **more: object) -> BacktestReport:
    """A report of these scores, cutoff by cutoff."""
    tables = [holdout_table(rows, measures_of(task), EARLIER) for _, rows in scores.groupby("as_of", sort=True)]
    settings: dict[str, object] = {
        "target": "Churn(horizon='60d', event_type='purchase', active_within='180d')",
        "model": "ChurnClassifier()",
        "training_cutoffs": (*EARLIER, *CUTOFFS),
    } | more
    return BacktestReport(task=task, table=pd.concat(tables, ignore_index=True), scores=scores, **settings)  # type: ignore[arg-type]


def churn_report(cutoffs: int = 5, customers: int = 2000, edge: float = 0.6, **more: object) -> BacktestReport:
    """The model sees the latent risk with less noise (by `edge`) than the recency rule."""
    generator = np.random.default_rng(7)
    pieces = []
    for as_of in CUTOFFS[:cutoffs]:
        risk = generator.normal(-1.0, 1.2, customers)
        y = (generator.random(customers) < 1 / (1 + np.exp(-risk))).astype(int)
        for name, kind, noise in (("ChurnClassifier", "model", 0.8), ("recency rule", "rule", 0.8 + edge)):
            seen = risk + generator.normal(0, noise, customers)
            score = 1 / (1 + np.exp(1.0 * (1 - 1.44 / (1.44 + noise**2)) - seen * 1.44 / (1.44 + noise**2)))
            pieces.append(rows_of(as_of, name, kind, y, score, of="binary"))
    return report_of(pd.concat(pieces, ignore_index=True), "binary", **more)


def value_report(cutoffs: int = 5, customers: int = 2000) -> BacktestReport:
    """Spend with many zeros and a long tail."""
    generator = np.random.default_rng(8)
    pieces = []
    for as_of in CUTOFFS[:cutoffs]:
        rate = np.exp(generator.normal(4, 1.2, customers))
        y = np.where(generator.random(customers) < 0.5, 0.0, rate * generator.gamma(2, 0.5, customers) * 2)
        for name, kind, noise in (("LifetimeValueRegressor", "model", 0.3), ("last-period spend", "rule", 0.9)):
            score = rate * np.exp(generator.normal(-(noise**2) / 2, noise, customers))
            pieces.append(rows_of(as_of, name, kind, y, score, of="value"))
    target = "Spend(horizon='90d', event_type='purchase', active_within='365d')"
    return report_of(pd.concat(pieces, ignore_index=True), "value", target=target, model="LifetimeValueRegressor()")


def items_report(cutoffs: int = 5, customers: int = 300) -> BacktestReport:
    """Lists that hit with a known share."""
    generator = np.random.default_rng(9)
    pieces = []
    for as_of in CUTOFFS[:cutoffs]:
        for name, kind, share in (
            ("ALS", "model", 0.3),
            ("popularity rule", "rule", 0.2),
            ("bought-before rule", "rule", 0.25),
        ):
            hit = (generator.random(customers) < share).astype(float)
            pieces.append(rows_of(as_of, name, kind, hit, generator.random(customers), of="items"))
    return report_of(pd.concat(pieces, ignore_index=True), "items", target="NextItems(horizon='30d')", model="ALS()")


SKIPPED = (Skipped(CUTOFFS[-1] + pd.Timedelta("30D"), "all 12 labels in y are 1"),)

"""`crmml demo`: everything once, on a simulated log whose truth is known."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from crmml.bundle import Bundle
from crmml.data.files import atomic_file, check_writable, write_bytes
from crmml.data.log import InteractionLog
from crmml.data.simulate import Simulated, simulate_log
from crmml.data.time import moment_of
from crmml.errors import ConfigError, MissingExtraError
from crmml.features.cutoffs import cutoffs
from crmml.features.interactions import ItemWeights
from crmml.features.targets import Churn, NextItems, Spend, Target
from crmml.jobs import truth
from crmml.jobs.backtest import backtest
from crmml.jobs.demo_page import Chapter, demo_page
from crmml.jobs.score import score
from crmml.jobs.tracking import track
from crmml.jobs.train import train
from crmml.models.churn import ChurnClassifier
from crmml.models.rfm import RFMSegmenter
from crmml.models.value import LifetimeValueRegressor
from crmml.recommend.als import ALS
from crmml.recommend.popularity import Popularity
from crmml.report.backtest import BacktestReport

# The log that is written ends today. The simulation goes on for a horizon: a future to compare the scores with,
# which is in no file, so that no model can have seen it.
START, TODAY, END = "2023-01-01", "2025-01-01", "2025-04-01"
STEPS = 6
FEWEST = 100


@dataclass(frozen=True)
class Story:
    """One question, and the definitions that answer it: what configs/<name>.yaml says too."""

    question: str
    features: Any
    target: Target | None
    model: Any
    as_of: Any


def stories() -> dict[str, Story]:
    """The questions of the demo, by name.

    >>> list(stories())
    ['churn', 'value', 'segments', 'recommendations']
    """
    return {
        "churn": Story(
            "Who will not buy again within 60 days?",
            "standard",
            Churn("60d", event_type="purchase", active_within="180d"),
            ChurnClassifier(),
            cutoffs("2024-01-01", "2024-10-27", every="60d"),
        ),
        "value": Story(
            "How much will each customer spend within 90 days, net of returns?",
            "standard",
            Spend("90d", event_type=["purchase", "return"], active_within="365d"),
            LifetimeValueRegressor(),
            cutoffs("2024-01-01", "2024-09-27", every="45d"),
        ),
        "segments": Story("Which kinds of customers are there?", "rfm", None, RFMSegmenter(), "2024-12-01"),
        "recommendations": Story(
            "What will each customer buy next?",
            ItemWeights(weights={"purchase": 1.0, "cart": 0.3, "view": 0.1}, half_life="90d"),
            NextItems("30d", event_type="purchase"),
            ALS(),
            cutoffs("2024-08-01", "2024-11-29", every="30d"),
        ),
    }


@dataclass
class _Demo:
    """What the steps of one run share."""

    folder: Path
    simulated: Simulated
    log: InteractionLog
    chapters: list[Chapter] = field(default_factory=list)
    tracked: bool = False

    def tell(self, name: str, story: Story) -> None:
        """Backtest, train, save, track, score: the path of every question."""
        report = None
        if story.target is not None:
            report = self._backtest(name, story)
            print(report, end="\n\n")
        # What a recommender learns from is no label, and so complete up to today.
        cutoffs_ = TODAY if isinstance(story.features, ItemWeights) else story.as_of
        bundle = train(self.log, story.features, story.target, story.model, cutoffs_)
        if report is not None:
            bundle.metrics = report.metrics
        bundle.save(self.folder / "bundles" / name, overwrite=True)
        self._track(name, bundle, report)
        scores = pd.read_parquet(score(bundle, self.log, TODAY, self.folder / "scores" / name))
        found = self._truth(name, story, scores)
        print(f"Known truth: {found.sentence}")
        self.chapters.append(Chapter(name, story.question, report, scores, found))

    def _backtest(self, name: str, story: Story) -> BacktestReport:
        assert story.target is not None  # noqa: S101 (the caller has seen to it)
        report = backtest(self.log, story.features, story.target, story.model, story.as_of)
        report.to_html(self.folder / f"{name}.html")
        return report

    def _track(self, name: str, bundle: Bundle, report: BacktestReport | None) -> None:
        store = f"sqlite:///{(self.folder / 'mlflow.db').absolute()}"
        try:
            track(bundle, report, experiment=f"crmml demo: {name}", tracking_uri=store)
            self.tracked = True
        except MissingExtraError as error:
            print(f"Not tracked: {error}")

    def _truth(self, name: str, story: Story, scores: pd.DataFrame) -> truth.Truth:
        as_of = moment_of(TODAY)
        if isinstance(story.features, ItemWeights):
            popular = train(self.log, story.features, story.target, Popularity(), as_of)
            lists = {type(story.model).__name__: scores, "Popularity": popular.score(self.log, as_of)}
            return truth.of_recommendations(lists, self.simulated)
        if story.target is None:
            return truth.of_segments(scores, self.simulated, as_of)
        compare = truth.of_churn if story.target.task == "binary" else truth.of_value
        return compare(scores, self.simulated, as_of, story.target)


def demo(*, out: str | Path = "demo", customers: int = 2000, seed: int = 1) -> Path:
    """Run every job on a simulated log, and compare the scores with the truth.

    Args:
        out: the folder for all that is written: the log, backtests and report as pages, bundles, scores, MLflow.
        customers: how many customers the log has.
        seed: another seed gives another log of the same kind.

    Returns:
        The path of the report, a page to open in a browser.

    Raises:
        ConfigError: `out` cannot be written to, or there are too few customers to learn from.
    """
    if customers < FEWEST:
        raise ConfigError(
            f"demo: {customers} customers are too few to learn from. Use at least {FEWEST}, such as 2000."
        )
    folder, started = Path(out), time.perf_counter()
    check_writable(folder)
    with _step(1, f"simulate {customers:,} customers of a shop: two years, and three months still to come"):
        simulated = simulate_log(customers, start=START, end=END, seed=seed)
        log = _written(simulated, folder / "events.parquet")
        seen = log.facts.rows
        print(f"{seen:,} events in the log, and {len(simulated.events) - seen:,} still to come, which no job sees")
    with _step(2, "check: what is in the log, and what is it ready for?"):
        check = log.check()
        print(check)
    run = _Demo(folder, simulated, log)
    for number, (name, story) in enumerate(stories().items(), start=3):
        with _step(number, f"{name}: {story.question}"):
            run.tell(name, _possible(story))
    report = folder / "report.html"
    write_bytes(report, demo_page(str(check), run.chapters, time.perf_counter() - started).encode())
    print(_ending(folder, report, tracked=run.tracked))
    return report


@contextmanager
def _step(number: int, title: str) -> Iterator[None]:
    print(f"\n[{number}/{STEPS}] {title}\n", flush=True)
    yield


def _possible(story: Story) -> Story:
    """The story with a model that the installed packages can fit."""
    if not isinstance(story.model, ALS):
        return story
    try:
        rows = [(customer, item, 1.0) for customer in (1, 2) for item in (1, 2)]
        ALS(factors=1, iterations=1).fit(pd.DataFrame(rows, columns=["customer_id", "item_id", "weight"]))
    except MissingExtraError as error:
        print(f"Popularity in place of ALS: {error}")
        return replace(story, model=Popularity())
    return story


def _written(simulated: Simulated, path: Path) -> InteractionLog:
    """The events up to today as a file, read as a log."""
    events = simulated.events
    with atomic_file(path) as temporary:
        events[events["timestamp"] < moment_of(TODAY)].to_parquet(temporary, index=False)
    return InteractionLog.from_roles(path, simulated.log.roles)


def _ending(folder: Path, report: Path, *, tracked: bool) -> str:
    lines = [
        "",
        f"Open {report} in a browser: the findings, with pictures, beside the truth.",
        f"  {folder / 'churn.html'}, value.html, recommendations.html: the backtests in full",
        f"  {folder / 'scores'}: the scores as Parquet; {folder / 'bundles'}: what made them",
    ]
    if tracked:
        store = f"sqlite:///{folder / 'mlflow.db'}"
        lines.append(f"  {folder / 'mlflow.db'}: the runs; with all of mlflow: mlflow ui --backend-store-uri {store}")
    lines.append(f"The same, one by one: crmml backtest configs/churn.yaml reads {folder / 'events.parquet'}.")
    return "\n".join(lines)

"""The whole way that a log goes, once, in a child: everything that is said or written is kept for the search."""

import io
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

import crmml as cm
from crmml.jobs import cli
from tests.torture.canaries import CANARIES

LATER = "2024-09-01"
CUTOFFS = ["2024-03-01", "2024-05-01"]


def planted() -> pd.DataFrame:
    """A simulated log whose customers have names, phones, mails and ids that are canaries."""
    events: pd.DataFrame = cm.simulate_log(80, seed=1).log.events().to_pandas()
    number = events["customer_id"].astype(str).str.zfill(4)
    events["timestamp"] = events["timestamp"].dt.tz_localize("UTC")
    events["customer_id"] = CANARIES["id"] + "-" + number
    events["event_id"] = CANARIES["event"] + "-" + events.index.astype(str)
    events["name"] = "Zephyrine " + CANARIES["name"] + " " + number
    events["mail"] = "z" + number + "@" + CANARIES["mail"]
    events["phone"] = "+1-" + CANARIES["phone"] + "-" + number
    return events


def log_of(events: pd.DataFrame, **other: str) -> cm.InteractionLog:
    names = ("customer_id", "timestamp", "event_type", "item_id", "amount", "event_id")
    return cm.InteractionLog(events, **{name: name for name in names if name in events} | other)


@contextmanager
def _listening(place: Path) -> Iterator[None]:
    """Warnings and log records of every level, in files of their own."""
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    handler.setLevel(logging.DEBUG)
    root = logging.getLogger()
    root.addHandler(handler)
    logging.getLogger("crmml").setLevel(logging.DEBUG)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield
    root.removeHandler(handler)
    (place / "log records.txt").write_text(heard.getvalue())
    (place / "warnings.txt").write_text("\n".join(str(one.message) for one in warned))


def go(place: str) -> None:
    """Everything, from the planted log to the errors; what was said stands below `place`/said."""
    root = Path(place)
    said = root / "said"
    said.mkdir()

    def say(name: str, *texts: object) -> None:
        (said / f"{name}.txt").write_text("\n".join(map(str, texts)))

    with _listening(said):
        events = planted()
        events.to_parquet(root / "source.parquet")
        log = log_of(events)
        say("repr of the log", repr(log), repr(log.roles), repr(log.facts))
        say("check of the log", log.check())
        _model(root, log, say)
        _lists(root, log, say)
        _prepared(root, log, say)
        _command_line(root)
    say("errors", *_errors(events, root, traceback=False))
    say("tracebacks", *_errors(events, root, traceback=True))


def _model(root: Path, log: cm.InteractionLog, say: Callable[..., None]) -> None:
    features, churn = cm.presets.rfm(log), cm.Churn("60d", event_type="purchase")
    model = cm.ChurnClassifier(num_iterations=5)
    say("definitions", repr(features), repr(churn), repr(model))
    say("definitions as YAML", cm.dump_yaml(features), cm.dump_yaml(churn))
    report = cm.backtest(log, features, churn, model, CUTOFFS)
    say("report of a backtest", report)
    report.to_html(root / "pages" / "backtest.html")
    for name, figure in report.figures().items():
        (root / "pictures").mkdir(exist_ok=True)
        figure.savefig(root / "pictures" / f"{name}.png")
    bundle = cm.train(log, features, churn, model, CUTOFFS)
    say("repr of a bundle", repr(bundle))
    bundle.save(root / "bundle")
    store = f"sqlite:///{root}/store/mlflow.db"
    (root / "store").mkdir()
    cm.track(bundle, report, experiment="canaries", tracking_uri=store)
    cm.register(bundle, "canaries", tracking_uri=store)
    say("plan of a scoring job", cm.plan_score(bundle, log, LATER, root / "scores"))
    cm.score(bundle, log, LATER, root / "scores", parts=2)
    say("proof read again", repr(cm.verify(root / "scores")))
    found = cm.monitor(bundle, log, LATER)
    say("report of monitoring", found)
    found.figure().savefig(root / "pictures" / "monitor.png")
    say("scores without their ids", bundle.score(log, LATER).drop(columns="customer_id").to_string())


def _lists(root: Path, log: cm.InteractionLog, say: Callable[..., None]) -> None:
    items, target = cm.ItemWeights(), cm.NextItems("30d", event_type="purchase")
    bundle = cm.train(log, items, target, cm.Popularity(), CUTOFFS[0])
    bundle.save(root / "lists")
    cm.score(bundle, log, LATER, root / "list-scores", k=2)
    say("repr of a recommender", repr(bundle), repr(bundle.model))


def _prepared(root: Path, log: cm.InteractionLog, say: Callable[..., None]) -> None:
    prepared = log.prepare(root / "prepared")
    say("repr of a prepared log", repr(prepared))


def _command_line(root: Path) -> None:
    """The same as commands, which print."""
    roles = "\n".join(f"    {name}: {name}" for name in ("customer_id", "timestamp", "event_type", "amount"))
    text = f"log:\n  InteractionLog:\n    source: {root}/source.parquet\n{roles}\nas_of: {LATER}\n"
    (root / "job.yaml").write_text(f"{text}bundle: {root}/bundle\nout: {root}/cli-scores\n")
    print("exit", cli.main(["score", str(root / "job.yaml")]), cli.main(["verify", str(root / "cli-scores")]))


# Errors ---------------------------------------------------------------------------------------------------


def _errors(events: pd.DataFrame, root: Path, *, traceback: bool) -> list[str]:
    """What is said when personal data stands where it must not."""
    found = []
    for name, call in _mistakes(events, root).items():
        try:
            call()
            found.append(f"{name}: no error")
        except cm.CrmmlError as error:
            found.append(f"{name}: {_traceback() if traceback else error}")
    return found


def _traceback() -> str:
    return traceback.format_exc()


def _changed(events: pd.DataFrame, **columns: Any) -> pd.DataFrame:
    return events.assign(**columns)


def _mistakes(events: pd.DataFrame, root: Path) -> dict[str, Callable[[], object]]:
    mixed = events["phone"].astype(object).where(events.index % 2 == 0, 5)
    table = events[["customer_id", "item_id"]].dropna().assign(weight=1.0)
    model = cm.Popularity().fit(table)
    csv = root / "log.csv"
    events[["customer_id", "phone", "name"]].to_csv(csv, index=False)
    ragged = root / "ragged.csv"
    ragged.write_text(csv.read_text() + f"{CANARIES['id']},{CANARIES['phone']},{CANARIES['name']},one,more\n")
    bundle = cm.Bundle.load(root / "bundle")
    imaginary = [complex(0, number) for number in range(len(events))]
    in_csv = {"customer_id": "customer_id", "timestamp": "phone"}
    return {
        "names for amounts": lambda: log_of(events, amount="name").check(),
        "phones for times": lambda: log_of(events, timestamp="phone").check(),
        "phones for times in a file": lambda: cm.InteractionLog(csv, **in_csv).check(),
        "a line too long": lambda: cm.InteractionLog(ragged, **in_csv).check(),
        "times without a zone": lambda: log_of(events, timestamp="naive").check(),
        "phones and numbers mixed": lambda: log_of(_changed(events, phone=mixed)).check(),
        "names that are no text": lambda: log_of(_changed(events, name=imaginary)).check(),
        "amounts beyond all sums": lambda: cm.build_features(
            log_of(_changed(events, amount=1e300)), [cm.Sum("amount")], "2024-06-01"
        ),
        "no column": lambda: log_of(events, amount="phones").check(),
        "a filter on names": lambda: cm.build_features(log_of(events), [cm.Sum("name")], "2024-06-01"),
        "a mean of names": lambda: cm.build_features(log_of(events), [cm.Mean("mail")], "2024-06-01"),
        "recommendations for ids of another type": lambda: model.recommend([1.5]),
        "recommendations for numbers": lambda: model.recommend([1, 2]),
        "likeness to an unknown item": lambda: model.similar_items(["no such thing"]),
        "weights below 0": lambda: cm.Popularity().fit(table.assign(weight=-1.0)),
        "ids of several types": lambda: cm.Popularity().fit(table.assign(customer_id=[1, *table["customer_id"][1:]])),
        "ids with a zero": lambda: cm.Popularity().fit(table.assign(customer_id=table["customer_id"] + "\0")),
        "too early": lambda: bundle.score(log_of(events), "2010-01-01"),
        "one class": lambda: cm.train(
            log_of(events), "rfm", cm.Churn("1d", event_type="purchase"), cm.ChurnClassifier(), "2023-01-03"
        ),
        "a missing id": lambda: cm.build_features(log_of(_changed(events, customer_id=None)), "rfm", "2024-06-01"),
        "events without amounts": lambda: bundle.score(log_of(events.drop(columns="amount")), LATER),
    }

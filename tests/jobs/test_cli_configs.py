"""A configuration is the call: every keyword argument of a job is a key; and what a scheduler gets to know."""

import ast
import inspect
import re
import shlex
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import pandas as pd
import pytest

import crmml as cm
from crmml.jobs import cli, commands
from tests.bundle.bundles import bundle

ROOT = Path(__file__).resolve().parents[2]
OPERATE = (ROOT / "docs" / "tasks" / "operate.md").read_text(encoding="utf-8")
LOG = """\
log:
  InteractionLog: {source: events.parquet, customer_id: customer_id, timestamp: timestamp, event_type: event_type}
"""
# Every key with a value that is not the default.
VALUES = {
    "bundle": "somewhere",
    "features": "rfm",
    "target": "{Churn: {horizon: 30d}}",
    "model": "{ChurnClassifier: {}}",
    "as_of": "[2024-01-01, 2024-02-01]",
    "by": "{TopValue: channel}",
    "name": "churn",
    "refit": "false",
    "again": "true",
    "out": "scored",
    "k": "5",
    "details": "false",
    "parts": "3",
    "scores": "earlier.parquet",
    "false_alarms": "0.01",
    "least_psi": "0.2",
}
CHURN = f"{LOG}features: rfm\ntarget: {{Churn: {{horizon: 60d}}}}\nmodel: {{ChurnClassifier: {{}}}}\n"
# What is of this run, and not of the job; a session of Spark is of a process.
OF_THE_RUN = {"progress", "tracking_uri", "engine"}
JOBS = {"train": cm.train, "backtest": cm.backtest, "score": cm.score, "monitor": cm.monitor, "promote": cm.promote}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    columns = ["customer_id", "timestamp", "event_type"]
    cm.simulate_log(30, seed=1).events[columns].to_parquet("events.parquet", index=False)
    return tmp_path


def message(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(list(arguments)) == 1
    return capsys.readouterr().err.removeprefix("crmml: ").rstrip("\n")


@pytest.mark.parametrize("command", JOBS)
def test_every_keyword_argument_of_a_job_is_a_key(command: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = set(inspect.signature(JOBS[command]).parameters) - OF_THE_RUN
    asked = {key: value for key, value in VALUES.items() if key in keys}
    Path("job.yaml").write_text(LOG + "".join(f"{key}: {value}\n" for key, value in asked.items()))
    called: dict[str, Any] = {}

    def job(**arguments: Any) -> None:
        called.update(arguments)
        raise KeyboardInterrupt

    job.__signature__ = inspect.signature(JOBS[command])  # type: ignore[attr-defined]
    monkeypatch.setattr(commands, command, job)
    monkeypatch.setattr(commands, "load_bundle", lambda *_, **__: bundle("popularity"))
    extra = ["--out", "bundle"] if command == "train" else []
    assert cli.main([command, "job.yaml", *extra]) == 130
    assert set(called) - OF_THE_RUN == keys
    expected = cm.load_config("job.yaml")
    for key in keys - {"log", "bundle"}:
        assert repr(called[key]) == repr(expected[key])


def test_of_the_cutoffs_those_whose_outcome_is_known(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dates = "as_of: {cutoffs: {start: 2024-01-01, end: 2030-01-01, every: 30d}}"
    Path("job.yaml").write_text(f"{CHURN}{dates}\n")
    # January the 31st and 60 days are March the 31st (2024 is a leap year), which the night before does not know.
    for until, last in (("2024-03-31", "2024-01-31"), ("2024-03-30", "2024-01-01")):
        found = commands._arguments("job.yaml", "train", cm.train, until)["as_of"]
        assert found[-1] == pd.Timestamp(last, tz="UTC")
    # A log that ends before that day knows no more than it has seen.
    given = commands._arguments("job.yaml", "train", cm.train, "2030-01-01")
    latest = given["as_of"][-1]
    assert latest + pd.Timedelta(days=60) <= given["log"].complete_until < latest + pd.Timedelta(days=90)
    assert message(capsys, "train", "job.yaml", "--until", "2024-02-29", "--out", "b") == (
        "job.yaml: of no date in as_of the outcome is known by 2024-02-29. Use --until 2024-03-01 or later, or an "
        "earlier date in as_of."
    )


def test_what_cannot_be_written_is_refused_before_the_work(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("job.yaml").write_text(f"{CHURN}as_of: 2024-01-01\n")
    for job in ("train", "backtest", "monitor"):  # whoever calls one fails in another way
        monkeypatch.setattr(commands, job, create_autospec(JOBS[job], side_effect=AssertionError(job)))
    refused = "/dev/null: cannot write there (File exists). Give a folder that you may write to, like ./scores."
    assert message(capsys, "train", "job.yaml", "--out", "/dev/null/bundle") == refused
    Path("full").mkdir()
    Path("full/note.txt").write_text("mine")
    assert message(capsys, "train", "job.yaml", "--out", "full") == (
        "full: there is something else than a bundle. Give another path, or remove it."
    )
    for option in ("--table", "--picture"):
        assert message(capsys, "monitor", "job.yaml", option, "/dev/null/drift") == refused
    assert message(capsys, "backtest", "job.yaml", "--html", "/dev/null/page.html") == refused


def test_a_job_that_is_not_told_when_or_where_to(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle("popularity").save("b")
    Path("job.yaml").write_text(f"{LOG}bundle: b\n")
    for command in ("score", "monitor"):
        assert message(capsys, command, "job.yaml") == (
            "job.yaml: as of when? Add --as-of 2024-10-01, or the key 'as_of' to a configuration."
        )
    assert message(capsys, "score", "job.yaml", "--as-of", "2024-06-01") == (
        "job.yaml: where to? Add --out scores, or the key 'out' to a configuration."
    )
    assert message(capsys, "score", "b") == "b: cannot be read: Is a directory. Give the path of a YAML file."


# What a scheduler gets ------------------------------------------------------------------------------------


def test_the_exit_codes_are_those_of_the_page() -> None:
    """The other tests of the commands end with each of them."""
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", OPERATE, re.MULTILINE)
    assert {int(code): text for code, text in rows} == cli.EXIT_CODES
    assert commands.NOT_PROVEN == cli.LOOK


def test_wrong_usage_is_told_from_wrong_input(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["score", "--no-such-option"])
    assert stopped.value.code == cli.WRONG_USAGE
    assert cli.main(["show", "nowhere.yaml"]) == cli.WRONG_INPUT


def test_the_examples_of_schedulers_call_commands_that_exist() -> None:
    """Airflow is not installed: its example is read as Python, and its commands as those of cron."""
    dag = re.search(r"```py\n(.*?)```", OPERATE, re.DOTALL)
    assert dag is not None
    tree = ast.parse(dag.group(1))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    cron = re.search(r"```crontab\n(.*?)```", OPERATE, re.DOTALL)
    assert cron is not None
    lines = [line for line in cron.group(1).splitlines() if line and not line.startswith(("#", "MAILTO"))]
    parser = cli._parser()
    found = [re.findall(r"crmml ([^&]*)", re.sub(r"\$\(date [^)]*\)", "$day", text)) for text in [*texts, *lines]]
    called = [parser.parse_args(shlex.split(command)) for texts_ in found for command in texts_]
    assert {one.command for one in called} == {"train", "register", "promote", "monitor", "score", "verify"}

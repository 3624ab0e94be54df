"""`crmml prepare`, and what a prepared folder can be given to."""

from pathlib import Path

import pandas as pd
import pytest

import crmml as cm
from crmml.jobs import cli

QUICK = """\
log:
  InteractionLog:
    source: events.parquet
    customer_id: customer_id
    timestamp: timestamp
    event_type: event_type
    amount: amount
clean:
  - Drop: {column: channel_name, values: [phone]}
features: rfm
target:
  Churn: {horizon: 60d, event_type: purchase}
model:
  ChurnClassifier: {num_iterations: 10}
as_of: [2024-01-01, 2024-07-01]
"""
PREPARED = (
    "log: {open_prepared: {path: prepared}}\n" + QUICK.partition("features:")[1] + QUICK.partition("features:")[2]
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    events = cm.simulate_log(200, seed=1).events.rename(columns={"channel": "channel_name"})
    events.to_parquet("events.parquet", index=False)
    Path("quick.yaml").write_text(QUICK)
    Path("prepared.yaml").write_text(PREPARED)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], command: str) -> str:
    """Standard output of a command that works."""
    code = cli.main(command.split())
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    return out


def refused(capsys: pytest.CaptureFixture[str], command: str) -> str:
    """The message of a command that fails."""
    code = cli.main(command.split())
    out, err = capsys.readouterr()
    assert (code, out) == (1, "")
    return err.removeprefix("crmml: ").removesuffix("\n")


def test_a_configuration_is_prepared_and_goes_on(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "prepare quick.yaml --out prepared --buckets 2")
    frame = pd.read_parquet("events.parquet")
    left = int((frame["channel_name"] != "phone").sum())
    size = sum(file.stat().st_size for file in Path("prepared").glob("*.parquet")) / 1e6
    assert out == f"events          {left:,}\nfiles           2, {size:.1f} MB\nwritten         prepared\n"
    assert run(capsys, "prepare quick.yaml --out prepared") == out


def test_the_same_bundle_is_trained_on_the_log_and_on_the_prepared_one(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "prepare quick.yaml --out prepared --buckets 3")
    for name in ("quick", "prepared"):
        run(capsys, f"train {name}.yaml --out bundles/{name}")
        for source in ("quick.yaml", "prepared.yaml", "prepared"):
            run(capsys, f"score bundles/{name} {source} --as-of 2024-10-01 --out scores/{name}/{source}")
    scores = [pd.read_parquet(file).drop(columns="model_id") for file in Path("scores").rglob("scores.parquet")]
    assert len(scores) == 6
    for other in scores[1:]:
        pd.testing.assert_frame_equal(other, scores[0], check_exact=True)
    # The prepared log remembers how it was cleaned, and a bundle that is trained on it cleans as that did.
    quick, prepared = (cm.Bundle.load(f"bundles/{name}") for name in ("quick", "prepared"))
    assert prepared.cleaning == quick.cleaning == (cm.Drop("channel_name", values=["phone"]),)


def test_a_prepared_folder_is_checked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "prepare quick.yaml --out prepared")
    assert "customer" in run(capsys, "check prepared")
    assert refused(capsys, "check prepared --amount revenue") == (
        "prepared: a prepared log names the columns itself. Leave these options out."
    )


def test_a_folder_that_is_not_finished_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "prepare quick.yaml --out prepared --buckets 0") == (
        "InteractionLog.prepare: buckets must be a number from 1 to 512, not 0. "
        "Leave it out for buckets of about three million events."
    )
    assert refused(capsys, "check prepared.yaml") == (
        "prepared.yaml: log.open_prepared: prepared: is no prepared log, it has no manifest.json. "
        "Write one with log.prepare('prepared')."
    )


def test_a_configuration_that_opens_a_prepared_log_shows_itself(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys, "show prepared.yaml")
    assert shown.startswith("log:\n  open_prepared: {path: prepared, threads: null, memory_limit: null}\n")

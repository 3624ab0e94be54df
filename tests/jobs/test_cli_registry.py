"""`crmml register`, `promote` and `rollback`: the examples of their help, and what a scheduler gets to see."""

import re
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

import crmml as cm
from crmml.jobs import commands
from tests.jobs.test_cli import QUICK, examples, refused, run

pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'crmml[mlflow]'")
WITH_NAME = QUICK.replace("as_of: [2024-01-01, 2024-04-01, 2024-07-01]", "name: churn\nrefit: false\nas_of: [DATES]")


QUICKLY = cm.ChurnClassifier(num_iterations=10)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a log, a bundle that knows little, and one that knows more."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    Path("demo").mkdir()
    simulated = cm.simulate_log(400, seed=1)
    simulated.events.to_parquet("demo/events.parquet", index=False)
    Path("churn.yaml").write_text(WITH_NAME.replace("DATES", "2024-04-01, 2024-06-01, 2024-08-01"))
    churn = cm.Churn("60d", event_type="purchase")
    for name, features in {"poor": [cm.Count(event_type="purchase", window="1d")], "churn": "rfm"}.items():
        known = cm.train(simulated.log, features, churn, QUICKLY, "2024-01-01", progress=False)
        known.save(f"demo/bundles/{name}")
    return tmp_path


def test_from_the_first_champion_to_the_next_and_back(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "crmml register demo/bundles/poor churn") == (0, "registered      models:/churn/1\n", "")
    (example,) = examples(capsys, "register")
    assert run(capsys, example) == (0, "registered      models:/churn/2\n", "")
    example, again = examples(capsys, "promote")
    code, out, err = run(capsys, example)
    assert (code, err) == (0, "")
    assert out.startswith("churn: version 2 is champion now, version 1 is previous.\n  AUC +0.")
    score = "crmml score models:/churn@champion demo/events.parquet --as-of 2024-12-01 --out scores"
    assert run(capsys, score) == (0, "written         scores/scores.parquet\n", "")
    assert cm.load_bundle("models:/churn@champion").model_id == cm.Bundle.load("demo/bundles/churn").model_id
    shown = run(capsys, "crmml show models:/churn@champion")[1]
    assert re.match(r"model_id +(\w+)", shown)[1] == cm.Bundle.load("demo/bundles/churn").model_id  # type: ignore[index]
    (example,) = examples(capsys, "rollback")
    assert run(capsys, example) == (0, "champion        models:/churn/1\n", "")
    assert refused(capsys, example).startswith("rollback: 'churn' has no previous champion, so that version 1 stays")
    assert refused(capsys, "crmml promote churn.yaml") == (
        "promote: 'churn' has no challenger, so there is nothing to compare. "
        "Use register(bundle, 'churn', alias='challenger')."
    )
    # The night after: the same bundle, which is better by all that is measured, and was not wanted.
    run(capsys, "crmml register demo/bundles/churn churn")
    code, out, err = run(capsys, again)
    assert (code, err) == (3, "")
    assert out.startswith("churn: version 1 stays champion: version 2 was rolled back on 20")
    code, out, err = run(capsys, f"{again} --again")
    assert (code, err) == (0, "")
    assert out.startswith("churn: version 2 is champion now, version 1 is previous.\n")


def test_of_the_cutoffs_those_whose_outcome_is_known(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And as fitted, those that neither has learned from: the cutoff of the training was 2024-01-01, and 60 days."""
    for name in ("poor", "churn"):
        cm.register(f"demo/bundles/{name}", "churn")
    promote = Mock(return_value=Mock(moved=True))
    monkeypatch.setattr(commands, "promote", promote)
    every = "{cutoffs: {start: 2024-01-01, end: 2030-01-01, every: 30d}}"

    def dates(until: str, text: str) -> list[str]:
        Path("churn.yaml").write_text(text)
        commands.promote_config(config="churn.yaml", until=until, again=False, tracking_uri=None)
        return [str(cutoff.date()) for cutoff in promote.call_args.kwargs["as_of"]]

    fitted = WITH_NAME.replace("[DATES]", every)
    recipes = fitted.replace("refit: false", "refit: true")
    known = ["2024-01-01", "2024-01-31", "2024-03-01", "2024-03-31"]
    assert dates("2024-05-30", recipes) == known
    assert dates("2024-05-30", fitted) == known[2:]
    assert dates("2030-01-01", fitted)[-1] == "2024-10-27"  # no more than the log has seen, which ends with the year
    for text, until, message in (
        (
            recipes,
            "2024-02-29",
            "churn.yaml: of no date in as_of the outcome is known by 2024-02-29. Use --until 2024-03-01 or later, or "
            "an earlier date in as_of.",
        ),
        (
            fitted,
            "2024-04-29",
            "churn.yaml: champion and challenger have learned from what happened until 2024-03-01, and of no date in "
            "as_of from then on the outcome is known by 2024-04-29. Use --until 2024-04-30 or later, `refit: true`, or "
            "train on earlier dates.",
        ),
    ):
        with pytest.raises(cm.ConfigError) as caught:
            dates(until, text)
        assert str(caught.value) == message


def test_a_challenger_that_is_not_better_ends_with_3(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    class Refused:
        moved = False

        def __str__(self) -> str:
            return "churn: version 1 stays champion"

    def promote(**arguments: Any) -> Refused:
        asked.update(arguments)
        return Refused()

    monkeypatch.setattr(commands, "promote", promote)
    config = tmp_path / "churn.yaml"
    cm.simulate_log(5, seed=1).events.to_parquet(tmp_path / "events.parquet", index=False)
    text = WITH_NAME.replace("DATES", "2024-04-01")
    config.write_text(text.replace("demo/events.parquet", str(tmp_path / "events.parquet")))
    assert run(capsys, f"crmml promote {config} --tracking-uri http://x") == (
        3,
        "churn: version 1 stays champion\n",
        "",
    )
    assert asked.keys() == {"name", "log", "as_of", "refit", "tracking_uri"}
    assert (asked["name"], asked["refit"], asked["tracking_uri"]) == ("churn", False, "http://x")


def test_a_configuration_without_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "quick.yaml"
    config.write_text(QUICK)
    assert refused(capsys, f"crmml promote {config}") == (
        f"{config}: the key 'name' is missing. crmml promote needs name, log, as_of: add `name: ...`."
    )

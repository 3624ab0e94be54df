"""The demo writes what it promises, where it promises, and its scores agree with the known truth."""

import re
import sys
from pathlib import Path

import pandas as pd
import pytest

import crmml as cm
from crmml.jobs import cli
from crmml.jobs.demo import TODAY, stories

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
# In one process of a pool, so that the demo runs once for all of them.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo")]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of one run with a log smaller than the usual, and what was printed."""
    for package in ("implicit", "matplotlib", "mlflow"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        printed = run("--customers", "800")
    return folder, printed


def run(*arguments: str) -> str:
    """What `crmml demo --out demo` prints."""
    import contextlib
    import io

    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert cli.main(["demo", "--out", "demo", *arguments]) == 0
    return output.getvalue()


def number(pattern: str, text: str) -> float:
    (found,) = re.findall(pattern, text)
    return float(found)


def test_it_writes_only_below_its_folder(done: tuple[Path, str]) -> None:
    folder, _ = done
    assert [path.name for path in folder.iterdir()] == ["demo"]
    names = {path.name for path in (folder / "demo").iterdir() if not path.name.startswith(".")}
    pages = {"report.html", "churn.html", "value.html", "recommendations.html"}
    assert names == {*pages, "events.parquet", "bundles", "scores", "mlflow.db", "mlruns"}
    assert not [path for path in folder.rglob("*") if path.name.endswith(".tmp")]


def test_it_says_at_the_end_what_to_open(done: tuple[Path, str]) -> None:
    _, printed = done
    assert "\nOpen demo/report.html in a browser: the findings, with pictures, beside the truth.\n" in printed
    assert [f"[{step}/6]" in printed for step in range(1, 7)] == [True] * 6


def test_the_models_beat_the_rules(done: tuple[Path, str]) -> None:
    _, printed = done
    assert len(re.findall(r"^Verdict: better than the ", printed, re.MULTILINE)) == 3


def test_the_scores_agree_with_the_truth(done: tuple[Path, str]) -> None:
    _, printed = done
    gone, stayed = re.findall(r"mean p_churn of (\d\.\d+);\sthose who stayed got (\d\.\d+)", printed)[0]
    assert float(gone) > float(stayed) + 0.2
    assert number(r"AUC for having gone (\d\.\d+)", printed) > 0.8
    assert number(r"rank correlation (\d\.\d+)", printed) > 0.6
    als, popularity = re.findall(r"(\d+)% of what ALS recommends and (\d+)% of what Popularity", printed)[0]
    assert int(als) > 2 * int(popularity)


def test_no_job_saw_what_was_still_to_come(done: tuple[Path, str]) -> None:
    folder, _ = done
    events = pd.read_parquet(folder / "demo" / "events.parquet")
    assert events["timestamp"].max() < pd.Timestamp(TODAY, tz="UTC")
    for path in (folder / "demo" / "bundles").iterdir():
        bundle = cm.Bundle.load(path)
        reach = pd.Timedelta(0) if bundle.task in ("segment", "items") else bundle.target.reach  # type: ignore[union-attr]
        assert all(cutoff + reach <= pd.Timestamp(TODAY, tz="UTC") for cutoff in bundle.training_cutoffs)


def test_the_scores_are_those_of_the_bundles(done: tuple[Path, str]) -> None:
    folder, _ = done
    columns = {"churn": "p_churn", "value": "clv", "segments": "segment", "recommendations": "item_id"}
    for name, column in columns.items():
        scores = pd.read_parquet(folder / "demo" / "scores" / name / "scores.parquet")
        assert column in scores
        assert set(scores["model_id"]) == {cm.Bundle.load(folder / "demo" / "bundles" / name).model_id}


def test_the_pages_need_nothing_but_themselves(done: tuple[Path, str]) -> None:
    folder, _ = done
    for path in (folder / "demo").glob("*.html"):
        page = path.read_text()
        assert "<script" not in page
        links = re.findall(r'(?:src|href)="([^"]*)"', page)
        assert links
        for link in links:
            assert link.startswith("data:image/svg+xml;base64,") or (path.parent / link).is_file()
    report = (folder / "demo" / "report.html").read_text()
    assert report.count("<img ") == 3 + 4  # three backtests, and the truth of four questions
    assert report.count("<h2>") == 1 + 4


def test_a_second_run_replaces_the_first(done: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """And without the optional packages it does what can be done, and says what to install."""
    folder, _ = done
    monkeypatch.chdir(folder)
    for package in ("implicit", "implicit.cpu", "implicit.cpu.als", "implicit.als", "matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    printed = run("--customers", "200")
    assert printed.count("Not tracked: ") == 4
    fallback = "Popularity in place of ALS: ALS.fit needs the package 'implicit'. Install it with: pip install"
    assert f'{fallback} "crmml[recommend]"' in printed
    report = (folder / "demo" / "report.html").read_text()
    assert "<img " not in report
    assert "pip install &quot;crmml[plot]&quot;" in report


@pytest.mark.parametrize("name", sorted(stories()))
def test_the_configurations_say_the_same(name: str, done: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = done
    monkeypatch.chdir(folder)
    story, config = stories()[name], cm.load_config(CONFIGS / f"{name}.yaml")
    roles = cm.simulate_log(20, seed=1).log.roles
    assert config.pop("log").roles == roles
    expected = {"features": story.features, "target": story.target, "model": story.model, "as_of": story.as_of}
    assert repr({"target": None} | config) == repr({"target": None} | {key: expected[key] for key in config})
    assert set(config) == {key for key, value in expected.items() if value is not None}


def test_the_configurations_are_those_of_the_demo() -> None:
    others = {"tags", "nightly", "monitor"}  # which have a story of their own, not of the demo
    assert {path.stem for path in CONFIGS.iterdir()} == set(stories()) | others


def test_too_few_customers_end_in_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["demo", "--customers", "99"]) == 1
    assert capsys.readouterr().err == (
        "crmml: demo: 99 customers are too few to learn from. Use at least 100, such as 2000.\n"
    )
    assert not list(tmp_path.iterdir())

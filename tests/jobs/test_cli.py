"""The command line: every example in the help runs, every mistake is one line that says what to do."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pandas as pd
import pytest

import crmml as cm
from crmml.jobs import cli, commands

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
OPERATE = ("register", "promote", "rollback", "verify", "monitor")  # which have test files of their own
COMMANDS = ("demo", "check", "prepare", "train", "backtest", "score", *OPERATE, "tag", "show", "sql")
QUICK = """\
log:
  InteractionLog:
    source: demo/events.parquet
    customer_id: customer_id
    timestamp: timestamp
    event_type: event_type
    amount: amount
features: rfm
target:
  Churn: {horizon: 60d, event_type: purchase}
model:
  ChurnClassifier: {num_iterations: 10}
as_of: [2024-01-01, 2024-04-01, 2024-07-01]
"""


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the configurations, and a small log where `crmml demo` writes it."""
    folder = tmp_path_factory.mktemp("cli")
    copytree(CONFIGS, folder / "configs")
    (folder / "demo").mkdir()
    cm.simulate_log(400, seed=1).events.to_parquet(folder / "demo" / "events.parquet", index=False)
    (folder / "quick.yaml").write_text(QUICK)
    return folder


@pytest.fixture
def here(workshop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(workshop)
    return workshop


def run(capsys: pytest.CaptureFixture[str], command: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command line."""
    program, *arguments = shlex.split(command)
    assert program == "crmml"
    try:
        code = cli.main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def refused(capsys: pytest.CaptureFixture[str], command: str) -> str:
    """The message of a command that ends with 1, says one thing on standard error, and prints nothing else."""
    code, out, err = run(capsys, command)
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    assert err.startswith("crmml: ")
    return err.removeprefix("crmml: ").rstrip("\n")


def examples(capsys: pytest.CaptureFixture[str], command: str) -> list[str]:
    code, out, _ = run(capsys, f"crmml {command} --help")
    assert code == 0
    return re.findall(r"^  (crmml .*)$", out.partition("examples:")[2], re.MULTILINE)


# What works -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_example_in_the_help_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = {}
    for command in [name for name in COMMANDS[1:] if name not in OPERATE[:3]]:  # they have tests of their own
        found = examples(capsys, command)
        assert found, f"crmml {command} --help shows no example"
        for example in found:
            code, out, err = run(capsys, example)
            assert (code, err) == (0, ""), example
            printed[example] = out
    assert Path("demo/value.html").read_text().startswith("<!DOCTYPE html>")
    scores = pd.read_parquet("demo/scores/churn/scores.parquet")
    details = ["percentile", "risk_band", "reasons", "eligible"]
    assert list(scores.columns) == ["customer_id", "as_of", "p_churn", *details, "model_id"]
    assert printed["crmml show demo/bundles/churn"].startswith(f"model_id        {scores['model_id'].iloc[0]}\n")


def test_the_example_of_the_demo_is_the_one_that_is_tested(capsys: pytest.CaptureFixture[str]) -> None:
    assert examples(capsys, "demo") == ["crmml demo --out demo"]


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "crmml --help")
    assert code == 0
    assert re.findall(r"^    (\w+) ", out, re.MULTILINE) == list(COMMANDS)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "crmml --version") == (0, f"crmml {cm.__version__}\n", "")


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.iterdir()))
def test_every_configuration_shows_its_completed_version_which_means_the_same(
    name: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, f"crmml show configs/{name}.yaml")
    assert code == 0
    Path(f"{name}-completed.yaml").write_text(out)
    given, shown = (cm.load_config(path) for path in (f"configs/{name}.yaml", f"{name}-completed.yaml"))
    assert list(shown) == list(given)
    assert {key: repr(value) for key, value in shown.items()} == {key: repr(value) for key, value in given.items()}
    assert run(capsys, f"crmml show {name}-completed.yaml") == (0, out, "")


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("segments", ["customer_id", "as_of", "segment", "model_id"]),
        ("recommendations", ["customer_id", "as_of", "item_id", "rank", "score", "model_id"]),
    ],
)
def test_a_configuration_trains_and_scores(
    name: str, columns: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "recommendations":
        pytest.importorskip("implicit")
    code, out, err = run(capsys, f"crmml train configs/{name}.yaml --out trained/{name}")
    assert (code, err) == (0, "")
    assert out.endswith(f"\nsaved in        trained/{name}\n")
    command = f"crmml score trained/{name} configs/{name}.yaml --as-of 2025-01-01 --out scored/{name}"
    assert run(capsys, command) == (0, f"written         scored/{name}/scores.parquet\n", "")
    assert list(pd.read_parquet(f"scored/{name}/scores.parquet").columns) == columns


def test_recommendations_are_backtested(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("implicit")
    code, out, _ = run(capsys, "crmml backtest configs/recommendations.yaml")
    assert code == 0
    assert out.startswith("Backtest of ALS()\n")


def test_a_bundle_is_tracked_with_its_backtest_and_scored_by_its_uri(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mlflow")
    store = f"sqlite:///{here / 'mlflow.db'}"
    code, out, _ = run(
        capsys, f"crmml train quick.yaml --out trained/quick --backtest --experiment quick --tracking-uri {store}"
    )
    assert code == 0
    assert out.startswith("Backtest of ChurnClassifier")
    assert Path("trained/quick/bundle.json").is_file()
    uri = re.findall(r"^tracked as      (models:/m-\w+)$", out, re.MULTILINE)[0]
    _, shown, _ = run(capsys, f"crmml show {uri} --tracking-uri {store}")
    bundle = cm.Bundle.load("trained/quick")
    assert shown.splitlines()[0] == f"model_id        {bundle.model_id}"
    assert f"\nauc             {bundle.metrics['auc']:.4g}\n" in shown
    assert "\nfeatures        Recency(event_type='purchase')\n" in shown
    command = f"crmml score {uri} demo/events.parquet --as-of 2024-12-01 --out scored/uri --tracking-uri {store}"
    assert run(capsys, command)[0] == 0


def test_training_twice_gives_the_same_bundle(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert run(capsys, "crmml train quick.yaml --out trained/twice --overwrite")[0] == 0
    first = cm.Bundle.load("trained/twice").model_id
    run(capsys, "crmml train quick.yaml --out trained/again")
    assert cm.Bundle.load("trained/again").model_id == first


def test_a_preset_is_expanded_for_the_log(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "crmml show quick.yaml --expand")
    Path("expanded.yaml").write_text(out)
    config = cm.load_config("expanded.yaml")
    assert config["features"] == cm.presets.rfm(config["log"])


def test_sql_is_that_of_the_features(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "crmml sql quick.yaml --as-of 2024-06-01")
    log = cm.load_config("quick.yaml")["log"]
    assert out == cm.presets.rfm(log).sql(log, "2024-06-01") + "\n"
    _, spark, _ = run(capsys, "crmml sql quick.yaml --dialect spark")
    assert spark == cm.presets.rfm(log).sql(log, ["2024-01-01", "2024-04-01", "2024-07-01"], dialect="spark") + "\n"


def test_a_log_is_cleaned_by_the_steps_of_the_configuration(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("clean.yaml").write_text(
        QUICK + "clean:\n- DropMissing: amount\n- Keep: {column: event_type, values: [purchase]}\n"
    )
    _, out, _ = run(capsys, "crmml check clean.yaml")
    purchases = pd.read_parquet("demo/events.parquet")["event_type"].eq("purchase").sum()
    assert out.startswith(f"events          {purchases:,}\n")
    assert run(capsys, "crmml train clean.yaml --out trained/clean")[0] == 0
    assert cm.Bundle.load("trained/clean").cleaning == (
        cm.DropMissing("amount"),
        cm.Keep("event_type", values=["purchase"]),
    )
    # The bundle cleans the log itself, also the log of the configuration that names the steps.
    assert run(capsys, "crmml score trained/clean clean.yaml --as-of 2024-12-01 --out scored/clean")[0] == 0


def test_a_file_is_checked_with_the_names_of_its_columns(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("log.csv").write_text("who,when,what\n1,2024-01-01,5.0\n2,2024-01-02,6.5\n")
    command = "crmml check log.csv --customer-id who --timestamp when --amount what --timezone UTC --constant purchase"
    code, out, err = run(capsys, f"{command} --horizon 30d --window 30d")
    assert (code, err) == (0, "")
    log = cm.InteractionLog(
        "log.csv",
        customer_id="who",
        timestamp="when",
        amount="what",
        timezone="UTC",
        event_type=cm.Constant("purchase"),
    )
    assert out == f"{log.check(horizon='30d', window='30d')}\n"


def test_a_check_asks_for_what_the_target_needs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "crmml check configs/churn.yaml")
    log = cm.load_config("configs/churn.yaml")["log"]
    assert out == f"{log.check(horizon='60d', window='180d', event_type='purchase')}\n"


def test_a_reader_that_has_seen_enough_is_no_error(here: Path) -> None:
    command = [sys.executable, "-m", "crmml", "sql", "configs/churn.yaml"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()  # what `| head -0` does
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 0


# What does not -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("crmml", "the following arguments are required: COMMAND"),
        ("crmml trian x.yaml", "argument COMMAND: invalid choice: 'trian'"),
        ("crmml train x.yaml", "the following arguments are required: --out"),
        ("crmml demo --customers many", "argument --customers: invalid int value: 'many'"),
        ("crmml backtest x.yaml --htm report.html", "unrecognized arguments: --htm report.html"),
    ],
)
def test_wrong_usage_ends_with_2(command: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, command)
    assert (code, out) == (2, "")
    assert f"error: {message}" in err


NO_LOG = QUICK.partition("features:")[2]


@pytest.mark.parametrize(
    ("command", "text", "message"),
    [
        (
            "backtest",
            QUICK.replace("features: rfm", "features:\n- Recency: {}\n- Count: {windw: 30d}"),
            "job.yaml: features[1].Count: no parameter 'windw'. Did you mean 'window'?",
        ),
        ("backtest", QUICK.replace("model:", "modle:"), "job.yaml: no key 'modle'. Did you mean 'model'?"),
        (
            "backtest",
            QUICK + "zzz: 1\n",
            "job.yaml: no key 'zzz'. The keys are: log, clean, features, target, model, as_of, tags, lifecycle, "
            "bundles, bundle, name, refit, again, by, out, k, details, parts, scores, false_alarms, least_psi.",
        ),
        (
            "backtest",
            QUICK.replace("as_of:", "# as_of:"),
            "job.yaml: the key 'as_of' is missing. crmml backtest needs log, features, model, as_of: add `as_of: ...`.",
        ),
        (
            "sql",
            QUICK.replace("as_of:", "# as_of:"),
            "job.yaml: the key 'as_of' is missing. Add it, or use --as-of 2024-10-01.",
        ),
        (
            "check",
            "log: demo/events.parquet",
            "job.yaml: log is 'demo/events.parquet'. Use `log: {InteractionLog: {source: ...}}`.",
        ),
        (
            "check",
            "log: &log\n  InteractionLog: {source: a}",
            "job.yaml:1:6: the anchor &log is refused. Write the value out where it is used.",
        ),
        (
            "show",
            "features: {System: {command: ls}}",
            "job.yaml: features: no public class 'System' that a configuration can make. "
            "For a plain mapping with this key write {dict: {System: ...}}.",
        ),
        (
            "show",
            "target: {Churn: {horizon: 2 months}}",
            "job.yaml: target.Churn: horizon '2 months' is not a duration: months and years differ in length. "
            "Use days: '60d'.",
        ),
        (
            "sql",
            QUICK.replace("features: rfm", "features: {ItemWeights: {}}"),
            "job.yaml: features is ItemWeights(), which is no table of features. "
            "Use a configuration with features, such as `features: rfm`.",
        ),
    ],
)
def test_a_mistake_in_a_configuration(
    command: str, text: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("job.yaml").write_text(text)
    assert refused(capsys, f"crmml {command} job.yaml") == message


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            "crmml train nowhere.yaml --out b",
            "nowhere.yaml: cannot be read: No such file or directory. Give the path of a YAML file.",
        ),
        (
            "crmml check demo/events.parquet --customer-id customer_id",
            "demo/events.parquet: which column is the timestamp? Add --timestamp and the name of the column, "
            "for example --timestamp timestamp; or give a configuration (.yaml) that says so.",
        ),
        (
            "crmml check quick.yaml --amount revenue",
            "quick.yaml: a configuration names the columns itself. Leave these options out.",
        ),
        (
            "crmml check log.csv --customer-id a --timestamp b --event-type c --constant purchase",
            "log.csv: --event-type and --constant exclude each other. Leave one of them out.",
        ),
        (
            "crmml show demo --expand",
            "demo: --expand is for a configuration. A bundle shows all its features.",
        ),
        (
            "crmml show nowhere",
            "nowhere: there is no such folder. Give the folder that Bundle.save() wrote.",
        ),
    ],
)
def test_a_mistake_on_the_command_line(
    command: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, command) == message


def test_a_bundle_is_not_replaced_unasked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "crmml train quick.yaml --out trained/kept --overwrite")
    before = Path("trained/kept/bundle.json").read_bytes()
    assert refused(capsys, "crmml train quick.yaml --out trained/kept").startswith("trained/kept: there is a bundle")
    assert Path("trained/kept/bundle.json").read_bytes() == before


def test_debug_shows_where_an_error_comes_from(here: Path) -> None:
    for command in (["--debug", "show", "nowhere"], ["show", "nowhere", "--debug"]):
        with pytest.raises(cm.BundleError):
            cli.main(command)


def test_an_error_that_nobody_thought_of_is_still_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_: object) -> None:
        raise TypeError("no such thing")

    monkeypatch.setattr(commands, "show", broken)
    assert refused(capsys, "crmml show x.yaml") == (
        "unexpected TypeError: no such thing. "
        "This is a mistake in crmml: run it again with --debug, and report what that prints."
    )


def test_an_interrupted_command_ends_as_shells_expect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "show", interrupted)
    assert run(capsys, "crmml show x.yaml") == (130, "", "")

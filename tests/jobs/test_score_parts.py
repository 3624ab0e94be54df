"""Scores in parts: the same for any number of them, of one job only, of one state of the log."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import crmml as cm
from crmml.jobs import cli, part_rows
from crmml.jobs.part_files import Parts
from crmml.models._levels import needs_levels
from tests.bundle.bundles import LATER, bundle, log
from tests.data.test_files import names
from tests.jobs.made_scores import content, state_of

FIRST = "2024-08-01"
AGAIN = "Do not use these scores: run the scoring job again."


PURCHASES = [kind(event_type="purchase") for kind in (cm.Tenure, cm.Recency, cm.DaysActive)]


@pytest.fixture(scope="module")
def many() -> cm.InteractionLog:
    """Enough customers for BG/NBD to tell what all of a cutoff together are worth."""
    return cm.simulate_log(400, seed=3).log


@pytest.fixture(scope="module")
def value(many: cm.InteractionLog) -> cm.Bundle:
    features = [*PURCHASES, cm.Sum("amount"), cm.DecayedSum("amount", half_life="90d")]
    return cm.train(many, features, cm.Spend("90d"), cm.LifetimeValueRegressor(num_iterations=5), "2024-04-01")


@pytest.mark.parametrize("kind", ["churn", "repurchase", "rfm", "behaviour", "als"])
def test_the_number_of_parts_changes_no_score(kind: str, tmp_path: Path) -> None:
    expected = bundle(kind).score(log(), [FIRST, LATER])
    path = cm.score(bundle(kind), log(), [FIRST, LATER], tmp_path, parts=7)
    assert_frame_equal(pd.read_parquet(path), expected, check_exact=True)
    assert len(list(path.glob("part-*.parquet"))) == 7
    assert cm.verify(tmp_path).rows == len(expected)


def test_what_all_customers_are_worth_together_is_worked_out_once(
    tmp_path: Path, many: cm.InteractionLog, value: cm.Bundle
) -> None:
    assert needs_levels(value.model)
    expected = value.score(many, [FIRST, LATER])
    path = cm.score(value, many, [FIRST, LATER], tmp_path, parts=3)
    assert_frame_equal(pd.read_parquet(path), expected, check_exact=True)
    # The scores of the customers of one part by themselves are others: so much for the danger.
    some = expected["customer_id"] < 100
    X = cm.build_features(many, value.features, [FIRST, LATER], population=value.target.population)  # type: ignore[union-attr]
    alone = value.model.predict(X[X.index.get_level_values("customer_id") < 100])
    assert not (alone == expected["clv"][some].to_numpy()).all()


def test_a_prepared_log_is_scored_file_by_file(tmp_path: Path, many: cm.InteractionLog, value: cm.Bundle) -> None:
    prepared = many.prepare(tmp_path / "prepared", buckets=4)
    expected = value.score(many, LATER)
    for parts in (1, 3):
        path = cm.score(value, prepared, LATER, tmp_path / str(parts), parts=parts)
        found = pd.read_parquet(path).sort_values("customer_id", ignore_index=True)
        assert_frame_equal(found, expected, check_exact=True)
    with pytest.raises(cm.ConfigError) as caught:
        cm.score(value, prepared, LATER, tmp_path / "5", parts=5)
    assert str(caught.value) == (
        "score: parts is 5, but the prepared log has 4 files, and each is read as a whole. Use parts=4, or prepare the "
        "log with buckets=5."
    )


def test_many_customers_make_several_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = len(bundle("churn").score(log(), LATER))
    monkeypatch.setattr(part_rows, "VALUES_PER_PART", rows * 3 // 4)  # of three features
    assert cm.plan_score(bundle("churn"), log(), LATER, tmp_path).parts == 4
    lists = bundle("als").score(log(), LATER)["customer_id"].nunique()
    monkeypatch.setattr(part_rows, "LINES_PER_PART", lists * 10 // 2)
    assert cm.plan_score(bundle("als"), log(), LATER, tmp_path).parts == 2


def test_who_goes_on_with_more_memory_divides_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Six in ten events are of one customer, who fills several shares or one, as they are small or large.
    customers = [0] * 60 + [1 + event // 4 for event in range(40)]
    times = pd.Timestamp("2024-05-01") + pd.to_timedelta(range(100), unit="s")
    events = pd.DataFrame({"customer_id": customers, "timestamp": times, "event_type": "purchase", "amount": 1.0})
    uneven = cm.InteractionLog(events, **{name: name for name in events}, timezone="UTC")  # type: ignore[arg-type]
    shares = iter([6, 1])
    monkeypatch.setattr("crmml.features.table.Table.shares", lambda _: next(shares))
    real = Parts.write

    def killed(self: Parts, number: int, *rest: Any) -> Any:
        if number == 1:
            raise KeyboardInterrupt
        return real(self, number, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Parts, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            cm.score(bundle("churn"), uneven, "2024-05-02", tmp_path, parts=3)
    path = cm.score(bundle("churn"), uneven, "2024-05-02", tmp_path, parts=3)
    assert_frame_equal(pd.read_parquet(path), bundle("churn").score(uneven, "2024-05-02"), check_exact=True)


# Jobs side by side, and one after the other --------------------------------------------------------------------


def test_a_new_night_replaces_the_old_one_when_it_is_proven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cm.score(bundle("churn"), log(), FIRST, tmp_path, parts=3)
    before = content(tmp_path)
    seen = []
    real = Parts.write

    def write(self: Parts, number: int, *rest: Any) -> Any:
        found = real(self, number, *rest)
        # Until the last part is written, whoever reads finds the old scores with their proof.
        seen.append(state_of(tmp_path))
        assert before.items() <= content(tmp_path).items()
        return found

    monkeypatch.setattr(Parts, "write", write)
    cm.score(bundle("churn"), log(), LATER, tmp_path, parts=2)
    assert seen == [(FIRST, FIRST)] * 2
    assert state_of(tmp_path) == (LATER, LATER)
    assert names(tmp_path) == [".lock", "_SUCCESS.json", "scores.parquet"]
    # No file has the name of an old one, so that nobody who reads meanwhile mixes them.
    assert {Path(name).name for name in content(tmp_path) if name in before} == {"_SUCCESS.json", "_parts.json"}


def test_the_same_job_again_finds_that_there_is_nothing_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = cm.score(bundle("churn"), log(), LATER, tmp_path, parts=2)
    before = content(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Parts, "write", lambda *args: pytest.fail("all is there"))
        assert cm.score(bundle("churn"), log(), LATER, tmp_path, parts=2) == path
    part = min(path.glob("part-*.parquet"))
    part.write_bytes(part.read_bytes()[:-1])
    cm.score(bundle("churn"), log(), LATER, tmp_path, parts=2)  # damaged since: it is scored again
    assert content(tmp_path) == before


@pytest.mark.parametrize("damage", ["another job's", "a flipped bit", "no note", "a note of somebody"])
def test_parts_that_are_not_what_this_job_has_noted_are_scored_again(damage: str, tmp_path: Path) -> None:
    def killed_after(as_of: str, folder: Path) -> Path:
        cm.score(bundle("churn"), log(), as_of, folder, parts=2)
        (folder / "scores.parquet").rename(folder / ".parts")
        (folder / "_SUCCESS.json").unlink()
        return folder / ".parts"

    parts = killed_after(LATER, tmp_path / "a")
    one = min(parts.glob("part-*.parquet"))
    if damage == "another job's":
        shutil.copy(min(killed_after(FIRST, tmp_path / "b").glob("part-*.parquet")), one)
    elif damage == "a flipped bit":
        raw = bytearray(one.read_bytes())
        raw[len(raw) // 2] ^= 1
        one.write_bytes(raw)
    elif damage == "no note":
        (parts / "_parts.json").write_text("{}")
    else:
        note = json.loads((parts / "_parts.json").read_text())
        (parts / "_parts.json").write_text(json.dumps({**note, "fingerprint": "0" * 64}))
    left = {"another job's": 1, "a flipped bit": 1}.get(damage, 0)
    assert cm.plan_score(bundle("churn"), log(), LATER, tmp_path / "a", parts=2).finished == left
    path = cm.score(bundle("churn"), log(), LATER, tmp_path / "a", parts=2)
    assert_frame_equal(pd.read_parquet(path), bundle("churn").score(log(), LATER))
    cm.verify(tmp_path / "a")


def test_a_folder_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "scores.parquet").mkdir()
    (tmp_path / "scores.parquet" / "mine.parquet").write_text("precious")
    with pytest.raises(cm.ConfigError) as caught:
        cm.score(bundle("churn"), log(), LATER, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/scores.parquet: holds what no scoring job wrote, such as 'mine.parquet'. Give another folder, or "
        "remove it."
    )


@pytest.mark.parametrize("parts", [0, -1, 2.0, True, "4", 10_001])
def test_a_number_of_parts_that_is_none(parts: Any, tmp_path: Path) -> None:
    with pytest.raises(cm.ConfigError) as caught:
        cm.score(bundle("churn"), log(), LATER, tmp_path / "scores", parts=parts)
    assert str(caught.value) == f"score: parts is {parts!r}. Use a whole number from 1 to 10000, such as parts=8."
    assert not (tmp_path / "scores").exists()


def test_one_customer_in_two_parts_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = part_rows.score_rows
    calls: list[pd.DataFrame] = []

    def shifted(*args: Any, **kwargs: Any) -> pd.DataFrame:
        calls.append(real(*args, **kwargs))
        if len(calls) == 1:
            return calls[0]
        return pd.concat([calls[0].tail(1), calls[1].iloc[1:]], ignore_index=True)

    monkeypatch.setattr(part_rows, "score_rows", shifted)
    with pytest.raises(cm.DataError) as caught:
        cm.score(bundle("churn"), log(), LATER, tmp_path, parts=2)
    rows = sum(len(each) for each in calls)
    assert str(caught.value) == (
        f"{tmp_path}/scores.parquet: {rows} customers were written in parts, of which {rows - 1} are distinct; nothing "
        "was replaced. Run it again on a log that does not change meanwhile."
    )
    assert state_of(tmp_path) == (None, None)


# A log that changes meanwhile ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["grows", "other values"])
def test_a_log_that_changes_while_it_is_scored(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = cm.simulate_log(200, seed=1).events
    file = tmp_path / "events.parquet"
    events.to_parquet(file)
    roles = ("customer_id", "timestamp", "event_type", "item_id", "amount", "channel")
    a_log = cm.InteractionLog(file, **{name: name for name in roles})  # type: ignore[arg-type]
    cm.score(bundle("churn"), a_log, FIRST, tmp_path / "scores")
    real = Parts.write

    def write(self: Parts, number: int, *rest: Any) -> Any:
        if number == 1:
            changed = pd.concat([events, events.tail(5)]) if how == "grows" else events.assign(amount=1.0)
            changed.to_parquet(file)
        return real(self, number, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Parts, "write", write)
        with pytest.raises(cm.DataError) as caught:
            cm.score(bundle("churn"), a_log, LATER, tmp_path / "scores", parts=3)
    assert str(caught.value) == (
        f"{tmp_path}/scores: the log has changed while it was scored; nothing was replaced. Score a copy of it, or a "
        "prepared log: log.prepare('prepared'), then open_prepared('prepared')."
    )
    assert state_of(tmp_path / "scores") == (FIRST, FIRST)
    assert names(tmp_path / "scores") == [".lock", "_SUCCESS.json", "scores.parquet"]
    # Afterwards it is another log, and the job another job.
    path = cm.score(bundle("churn"), a_log, LATER, tmp_path / "scores", parts=3)
    again = cm.InteractionLog(file, **{name: name for name in roles})  # type: ignore[arg-type]
    assert_frame_equal(pd.read_parquet(path), bundle("churn").score(again, LATER), check_exact=True)


# What would be done --------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = bundle("churn").save(tmp_path / "bundle")
    cm.simulate_log(200, seed=1).events.to_parquet(tmp_path / "events.parquet")
    out = tmp_path / "scores"
    command = [
        "score",
        str(saved),
        str(tmp_path / "events.parquet"),
        "--as-of",
        LATER,
        "--out",
        str(out),
        "--parts",
        "3",
    ]

    def said() -> list[list[str]]:
        assert cli.main([*command, "--dry-run"]) == 0
        return [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[-3:]]

    rows = len(bundle("churn").score(log(), LATER))
    customers, parts, _ = said()
    assert customers == ["customers", str(rows)]
    assert parts == ["parts", "3, of which 0 finished before"]
    assert not out.exists()
    assert cli.main(command) == 0
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*")}
    assert said()[1] == ["parts", "3, all proven: nothing to do"]
    assert before == {file: file.stat().st_mtime_ns for file in out.rglob("*")}


def test_verify_reads_every_part(tmp_path: Path) -> None:
    path = cm.score(bundle("churn"), log(), LATER, tmp_path, parts=3)
    last = max(path.glob("part-*.parquet"))
    raw = last.read_bytes()
    last.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(cm.DataError, match=f"^{last}: has been changed: its SHA-256 is"):
        cm.verify(tmp_path)
    last.unlink()
    with pytest.raises(cm.DataError) as caught:
        cm.verify(tmp_path)
    assert str(caught.value) == f"{last}: is missing, although _SUCCESS.json is there. {AGAIN}"
    last.write_bytes(raw)
    stranger = path / "part-00009-00000000.parquet"
    stranger.write_bytes(raw)
    with pytest.raises(cm.DataError) as caught:
        cm.verify(tmp_path)
    assert str(caught.value) == f"{stranger}: is none of the files that _SUCCESS.json names. {AGAIN}"
    stranger.unlink()
    proof = json.loads((tmp_path / "_SUCCESS.json").read_text())
    proof["files"]["../elsewhere.parquet"] = "0" * 64
    (tmp_path / "_SUCCESS.json").write_text(json.dumps(proof))
    with pytest.raises(cm.DataError) as caught:
        cm.verify(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/_SUCCESS.json: says '../elsewhere.parquet', which is no file of scores. {AGAIN}"
    )


def test_scores_in_parts_can_be_compared_with_what_happened(tmp_path: Path) -> None:
    files = [cm.score(bundle("churn"), log(), FIRST, tmp_path / str(parts), parts=parts) for parts in (1, 3)]
    one, three = (cm.realised(file, log()).table for file in files)
    assert_frame_equal(one, three)

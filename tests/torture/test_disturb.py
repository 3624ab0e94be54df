"""A small number of every disturbance; `make torture` does them all, and writes docs/reliability.md."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.torture import disturb, flips, growing, world
from tests.torture.faults import FAULTS
from tests.torture.kinds import KINDS
from tests.torture.world import SCENARIOS, TRAININGS, Tally, World

OVER_OLD = SCENARIOS[1]


def perfect(tally: Tally, tried: int) -> None:
    assert tally.problems == []
    assert (tally.tried, tally.perfect) == (tried, True)


def test_a_killed_scoring_job_goes_on(small_world: World) -> None:
    perfect(disturb.scoring_killed(small_world, 2), 2)


def test_a_killed_training_leaves_the_old_bundle_or_the_new_one(small_world: World) -> None:
    perfect(disturb.training_killed(small_world, 2), 2)


def test_a_fault_at_a_call_to_the_system(small_world: World) -> None:
    if small_world.nursery.library is None:
        pytest.skip("there is no C compiler here to make the library that fails calls")
    calls = disturb.calls_of(small_world, OVER_OLD)
    assert calls > 30
    tally = Tally("some")
    for at, fault in zip(range(3, calls, calls // len(FAULTS)), FAULTS.values(), strict=False):
        tally.count(disturb._one_fault(small_world, OVER_OLD, at, fault))
    perfect(tally, len(FAULTS))


def test_two_writers_do_not_mix(small_world: World) -> None:
    perfect(disturb.writers(small_world, 1), 1)


def test_a_full_disk(small_world: World) -> None:
    tally = disturb.full_disk(small_world, 2)
    if tally.note:
        pytest.skip(tally.note)
    perfect(tally, 2)


def test_a_log_that_grows_is_scored_as_it_was_or_as_it_is(small_world: World) -> None:
    perfect(growing.growing(small_world, 3), 3)


def test_a_flipped_bit_is_found(small_world: World) -> None:
    perfect(flips.scores(small_world, 60), 60)
    perfect(flips.bundles(small_world, 30), 30)


# The harness itself ---------------------------------------------------------------------------------------


def test_mutant_a_job_without_care_is_caught(small_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes over the old scores, proof first: killed, it leaves neither the old nor the new."""
    one_file = SCENARIOS[2]
    careless = replace(one_file, task="careless")
    with disturb.place_for(small_world, one_file) as out:
        arguments = careless.arguments(small_world.root, out)
        ended = small_world.nursery.one("faulty", str(out.parent), 4, FAULTS["EIO"], "careless", *arguments)
        problems = small_world.judge(one_file, out, ended.answer[:2])
    assert set(problems) == {"survived", "kept"}
    assert problems["kept"].endswith("neither the old nor the new is there")


def test_scores_of_neither_log_are_caught(small_world: World) -> None:
    """What is expected is that of other logs: what the job leaves is neither."""
    end = growing.undisturbed(small_world, [("whole", 1)])["whole", 1]
    other = end._replace(contents=("of another log",), digest="of other files")
    kind, problems = growing.one(small_world, "whole", 1, 5 * end.seconds, other)
    assert (kind, set(problems)) == ("done", {"kept", "equal"})


def test_what_stands_twice_or_is_left_behind_is_caught(small_world: World) -> None:
    with disturb.place_for(small_world, TRAININGS[1]) as out:
        (out.parent / ".out.0123456789abcdef.tmp").write_text("left by a killed process, and by the next one too")
        assert set(small_world.judge(TRAININGS[1], out)) == {"equal"}


def test_a_tally_counts_each_promise_by_itself() -> None:
    tally = Tally("x")
    tally.count({})
    tally.count({"kept": "a row is gone", "equal": "other bytes"})
    assert (tally.tried, tally.survived, tally.kept, tally.single, tally.equal) == (2, 2, 1, 2, 1)
    assert tally.problems == ["kept: a row is gone", "equal: other bytes"]
    assert not tally.perfect
    assert not Tally("never tried").perfect


def test_the_page_shows_what_was_counted() -> None:
    from dataclasses import asdict

    from tests.torture import page

    tally = Tally("a fault", tried=1000, survived=999, kept=998, single=997, equal=996, note="of 2000")
    shown = page.text({KINDS[0].name: asdict(tally)}, "2 cores")
    assert "| a fault (of 2000) | 1,000 | 999 | 998 | 997 | 996 |\n" in shown
    assert f"- *a fault*: {KINDS[0].means[:40]}" in shown


def test_the_content_of_a_folder_is_its_scores(tmp_path: Path) -> None:
    assert world.content_of(tmp_path) == ""
    (tmp_path / "scores.parquet").write_text("half a file")
    assert world.content_of(tmp_path).startswith("unreadable: ")

"""Lines of the scoring job whose fault would go unseen until a disk fails: each mutant has to die of a named test."""

from collections.abc import Callable
from pathlib import Path

import pytest

import crmml as cm
from tests.jobs import test_score, test_score_order, test_score_parts
from tests.jobs.mutants import plant

JOB, FILES, ROWS, VERIFY = (f"crmml.jobs.{name}" for name in ("score", "part_files", "part_rows", "verify"))
Test = Callable[[Path, pytest.MonkeyPatch], None]
MUTANTS: dict[str, tuple[str, str, str, Test]] = {
    "renamed before the disk has it": (
        FILES,
        "        os.fsync(file.fileno())",
        "        pass",
        test_score_order.test_every_part_is_on_the_disk_before_it_gets_its_name,
    ),
    "proof before the scores": (
        JOB,
        "    if not parts.published:\n",
        "    write_bytes(proof, proof_of(report))\n    if not parts.published:\n",
        test_score_order.test_the_proof_comes_last,
    ),
    "the old proof stays beside the new scores": (
        JOB,
        "    proof.unlink(missing_ok=True)\n",
        "",
        test_score_order.test_the_proof_comes_last,
    ),
    "nobody counts in the log": (
        JOB,
        "    job.rows.check(written, path)\n",
        "",
        test_score.test_a_customer_who_is_forgotten_is_missed,
    ),
    "nobody looks for a customer in two parts": (
        JOB,
        "if len(files) > 1 and",
        "if len(files) > 100 and",
        test_score_parts.test_one_customer_in_two_parts_is_found,
    ),
    "the log is looked at once": (
        JOB,
        "if _digests(job.log) != job.digests:",
        "if job.digests != job.digests:",
        lambda path, patch: test_score_parts.test_a_log_that_changes_while_it_is_scored("grows", path, patch),
    ),
    "parts are believed": (
        FILES,
        "_digest_or_none(found.path(int(number))) == part.sha256",
        "found.path(int(number)).exists()",
        lambda path, _: test_score_parts.test_parts_that_are_not_what_this_job_has_noted_are_scored_again(
            "a flipped bit", path
        ),
    ),
    "parts of any job": (
        FILES,
        '(noted["fingerprint"], noted["of"]) != (fingerprint, of)',
        'noted["of"] != of',
        lambda path, _: test_score_parts.test_parts_that_are_not_what_this_job_has_noted_are_scored_again(
            "a note of somebody", path
        ),
    ),
    "divided anew": (
        ROWS,
        'shares = parts.said.get("shares")',
        "shares = None",
        test_score_parts.test_who_goes_on_with_more_memory_divides_as_before,
    ),
    "a file too many": (
        VERIFY,
        "        if others:",
        "        if others and False:",
        lambda path, _: test_score_parts.test_verify_reads_every_part(path),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", MUTANTS)
def test_a_mutant_dies(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, line, mutant, test = MUTANTS[fault]
    for name in ("original", "mutant"):
        (tmp_path / name).mkdir()
    test(tmp_path / "original", monkeypatch)
    plant(monkeypatch, module, line, mutant)
    with pytest.raises((AssertionError, pytest.fail.Exception, cm.DataError)):  # the last: the job itself finds it
        test(tmp_path / "mutant", monkeypatch)

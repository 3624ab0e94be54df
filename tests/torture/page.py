"""docs/reliability.md: written from what the harness counted, never by hand."""

from collections.abc import Mapping
from textwrap import fill
from typing import Any

from tests.torture.kinds import KINDS

_HEAD = """\
# What crmml survives

This page is written by `make torture`, which does all of this to the scoring job, to training, to bundles and to
tracking, and counts what became of them. The tests do a small number of each. The small log has 60 customers: what
matters here is the order of writing, flushing and renaming, which is the same for all.

| fault | tried | survived | nothing lost | nothing doubled | digests equal |
| --- | --- | --- | --- | --- | --- |
"""
_WORDS = """
- *survived*: no process ended but by the hand of the test; every error was a `CrmmlError` that says what to do; the job
  that was run again ended well. For damaged and hostile files: they were refused, and nothing else happened.
- *nothing lost*: after the fault, before anything is repaired, a reader finds the old scores (or bundle) whole, or the
  new ones whole; nothing at all only where there was nothing before.
- *nothing doubled*: no customer and cutoff stands twice in the scores after the second run.
- *digests equal*: after the second run every file has the bytes that a run without any fault writes, and there is no
  other file: no temporary one, no half of a part.

Where there is nothing to be lost or doubled, as in a hostile bundle, the last three say that nothing was.
"""
_WIDTH = 120


def text(results: Mapping[str, Mapping[str, Any]], machine: str) -> str:
    """The page for these results."""
    shown = [kind for kind in KINDS if kind.name in results]
    rows = [_row(results[kind.name]) for kind in shown]
    meaning = [
        fill(f"- *{results[kind.name]['fault']}*: {kind.means}", _WIDTH, subsequent_indent="  ") for kind in shown
    ]
    minutes = sum(float(results[kind.name]["seconds"]) for kind in shown) / 60
    took = fill(f"Counted on {machine}, in {minutes:.0f} minutes beside other work. Again: `make torture`.", _WIDTH)
    return f"{_HEAD}{''.join(rows)}\n{took}\n{_WORDS}\n## What was done\n\n{_lines(meaning)}"


def _lines(parts: list[str]) -> str:
    return "\n".join(parts) + "\n"


def _row(result: Mapping[str, Any]) -> str:
    note = f" ({result['note']})" if result["note"] else ""
    cells = [f"{result[name]:,}" for name in ("tried", "survived", "kept", "single", "equal")]
    return f"| {result['fault']}{note} | {' | '.join(cells)} |\n"
